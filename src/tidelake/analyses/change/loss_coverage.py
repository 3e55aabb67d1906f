"""What share of the 90 % intervals of a loss held the truth, as `python -m benchmarks.loss` measured it."""

from __future__ import annotations

# days of history, days ahead: without a shock that all segments share; with one it is near none (benchmarks/README.md)
OWN_HISTORY: dict[tuple[int, int], float] = {
    (7, 1): 0.99,
    (7, 7): 1.00,
    (7, 14): 1.00,
    (7, 28): 0.98,
    (14, 1): 0.88,
    (14, 7): 0.85,
    (14, 14): 0.83,
    (14, 28): 0.72,
    (21, 1): 0.82,
    (21, 7): 0.80,
    (21, 14): 0.74,
    (21, 28): 0.57,
    (28, 1): 0.88,
    (28, 7): 0.79,
    (28, 14): 0.74,
    (28, 28): 0.62,
    (42, 1): 0.82,
    (42, 7): 0.81,
    (42, 14): 0.70,
    (42, 28): 0.53,
    (56, 1): 0.82,
    (56, 7): 0.76,
    (56, 14): 0.66,
    (56, 28): 0.49,
}
# controls: mean over 36 and 70 days of history, one and two weeks ahead
CONTROLS: dict[int, float] = {1: 0.90, 2: 0.91, 5: 0.92, 19: 0.90}


def coverage_of_own_history(days: int, ahead: int) -> float:
    """Coverage of an interval from a series' own history.

    Args:
        days: Of history.
        ahead: Days counted.

    Returns:
        That of the nearest lengths measured which are no longer in history and no shorter ahead, where there are.
    """
    lengths = sorted({length for length, _ in OWN_HISTORY})
    horizons = sorted({horizon for _, horizon in OWN_HISTORY})
    length = max((one for one in lengths if one <= days), default=lengths[0])
    horizon = min((one for one in horizons if one >= ahead), default=horizons[-1])
    return OWN_HISTORY[length, horizon]


def coverage_of_controls(controls: int) -> float:
    """Coverage of an interval from at least so many controls."""
    return CONTROLS[max((size for size in CONTROLS if size <= controls), default=min(CONTROLS))]
