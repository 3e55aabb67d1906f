"""A table of numbers as a chart: lines over time, a cohort matrix, bars, funnel steps (Vega-Lite, made with Altair)."""
