"""Medians over columns of one row, and what is far from them."""

from __future__ import annotations

from collections.abc import Sequence

MAD_TO_SIGMA = "14826e-4"  # 1 / the 75 % point of the normal distribution


def sorted_columns(rows: str, columns: Sequence[str], keep: Sequence[str]) -> str:
    """The rows with the values of some columns in ascending order within each row; `keep` stay as they are.

    Nulls must not be among them.

    Source:
        Odd-even transposition sort: as many layers as columns (D. Knuth, The Art of Computer Programming 3, 5.3.4).
    """
    kept = "".join(f"{name}, " for name in keep)
    for layer in range(len(columns)):
        listed = [f"{name} AS {name}" for name in columns]
        for index in range(layer % 2, len(columns) - 1, 2):
            low, high = columns[index], columns[index + 1]
            listed[index : index + 2] = [f"least({low}, {high}) AS {low}", f"greatest({low}, {high}) AS {high}"]
        rows = f"SELECT {kept}{', '.join(listed)} FROM ({rows}) AS layer_{layer}"
    return rows


def robust_z_sql(rows: str, segments: Sequence[str], *, history: int) -> str:
    """Each day's distance from the same weekday's previous values, one row a segment and day.

    x = ln(1 + v), m = median of the x of the previous `history` values of the weekday, MAD = median of |x - m|:
    z = (ln(1 + v) - m) / max(1.4826 MAD, 1 / sqrt(median of the values + 1)). The floor is the noise of a Poisson
    count on the scale of logarithms: without it, a weekday that had the same value each time would make a spike of
    any other value.

    Columns: `segments`, day, value, expected (exp(m) - 1), z; both null where there are fewer values before.

    Args:
        rows: SELECT with `day`, `value` (not null) and the segments.

    Source:
        P. J. Rousseeuw, C. Croux: Alternatives to the median absolute deviation, JASA 88 (1993), 1273-1283.
    """
    parts = ", ".join([*segments, "weekday_iso(day)"])
    past = [f"v{index}" for index in range(1, history + 1)]
    lags = ", ".join(
        f"lag(value, {index}) OVER (PARTITION BY {parts} ORDER BY day) AS v{index}" for index in range(1, history + 1)
    )
    kept = [*segments, "day", "value"]
    listed = ", ".join(kept)
    known = f"SELECT * FROM (SELECT {listed}, {lags} FROM ({rows}) AS series) AS past WHERE v{history} IS NOT NULL"
    low, high = past[(history - 1) // 2], past[history // 2]
    logs = f"(safe_ln(1e0 + {low}) + safe_ln(1e0 + {high})) * 5e-1"
    centred = (
        f"SELECT {listed}, {logs} AS middle, ({low} + {high}) * 5e-1 AS typical, {', '.join(past)} "
        f"FROM ({sorted_columns(known, past, kept)}) AS sorted"
    )
    away = ", ".join(f"abs(safe_ln(1e0 + {name}) - middle) AS {name}" for name in past)
    apart = f"SELECT {listed}, middle, typical, {away} FROM ({centred}) AS centred"
    spread = sorted_columns(apart, past, [*kept, "middle", "typical"])
    scale = (
        f"greatest({MAD_TO_SIGMA} * (({low} + {high}) * 5e-1), safe_divide(1e0, sqrt(typical + 1e0)))"
        # typical may be below -1 only for values that have no logarithm, and then z is null anyway
    )
    return (
        f"SELECT {listed}, exp(middle) - 1e0 AS expected, safe_divide(safe_ln(1e0 + value) - middle, {scale}) AS z "
        f"FROM ({spread}) AS spread"
    )
