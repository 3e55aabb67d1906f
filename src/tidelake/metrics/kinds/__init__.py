"""The mathematics of metrics: each kind turns rows of a fact into one number a period and segment."""
