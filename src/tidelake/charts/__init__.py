"""A table of numbers as a chart: lines over time, a cohort matrix, bars, funnel steps (Vega-Lite, made with Altair)."""

from __future__ import annotations

from tidelake.charts.draw import chart_of
from tidelake.charts.files import ENDINGS, save

__all__ = ["ENDINGS", "chart_of", "save"]
