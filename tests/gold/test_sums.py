"""Sums of measures: the same in any order of the rows, whatever the size of the numbers (METRICS section 0)."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tidelake.metrics.measure import measure

GREATEST = 2**63 - 1
DAY = date(2025, 3, 3)
SETTINGS = {
    "dimensions": ["region"],
    "measures": {"paid": {"sum": "amount"}, "bytes": {"sum": "size"}},
    "watch": {"column": "amount"},
}
COLUMNS = {"region": pa.string(), "amount": pa.float64(), "size": pa.int64()}
TABLES = ("user_day", "user_day_value", "event_day WHERE dimension = '(all)'", "sessions")


def events(amounts: list[float], sizes: list[int]) -> list[dict[str, Any]]:
    """One event a number, a second apart, all of one actor, session and region."""
    rows = [{"amount": amount} for amount in amounts] + [{"size": size} for size in sizes]
    return [
        {"event_time": f"2025-03-03 10:00:{at:02d}", "event_id": f"e{at}", "region": "x", **row}
        for at, row in enumerate(rows)
    ]


def sums(tiny: Tiny) -> list[tuple[float, float]]:
    """Both measures of the day from every table that has them, and as `tide measure` tells them."""
    found = [tiny.query(f"SELECT paid, bytes FROM gold.{table}") for table in TABLES]
    assert all(len(rows) == 1 for rows in found)
    told = [(rows[0]["paid"], rows[0]["bytes"]) for rows in found]
    for options in ({}, {"by": ["region"]}, {"where": "region = 'x'"}):
        results = [
            measure(tiny.engine, tiny.lake, tiny.project, tiny.sources, metric, **options).to_dicts()  # type: ignore[arg-type]
            for metric in ("paid", "bytes")
        ]
        told.append((results[0][0]["value"], results[1][0]["value"]))
    return told


@pytest.mark.parametrize(
    ("amounts", "paid"),
    [
        pytest.param([0.1, 0.2], 0.3, id="fractions are decimals"),
        pytest.param([0.1, 1e20, 0.2, -1e20], 0.3, id="large ones that cancel leave the small ones"),
        pytest.param([1e20, 3e22, 1e27, -1e27, 1.5], 3.01e22, id="large ones are added exactly"),
        pytest.param([1e18, 9e18, 9e18], 1.9e19, id="a sum may be larger than its parts"),
        pytest.param([1e30, 1.0], 1e30, id="one that no decimal holds"),
        pytest.param([6e-10] * 10, 1e-8, id="each is rounded to nine digits after the point: up"),
        pytest.param([4e-10] * 10, 0.0, id="each is rounded to nine digits after the point: down"),
    ],
)
def test_sums_of_fractions(tmp_path: Path, amounts: list[float], paid: float) -> None:
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as tiny:
        tiny.add(events(amounts, [7]))
        tiny.build()
        assert sums(tiny) == [(paid, 7)] * 7
        assert [row["watch_seconds"] for row in tiny.query("SELECT watch_seconds FROM gold.user_day")] == [paid]
        before = tiny.everything()
        tiny.replace([DAY], events(amounts, [7])[::-1])
        tiny.build()
        assert tiny.everything() == before


def test_integers_whose_sum_does_not_fit_are_numbers_until_it_does(tmp_path: Path) -> None:
    """Twice 2^63 - 1 is 2^64 - 2; as a number 2^64, the nearest with 53 bits. The tables begin anew for it."""

    def kinds(tiny: Tiny) -> dict[str, str]:
        found = {f"gold.{table.split()[0]}" for table in TABLES}
        return {table: str(tiny.lake.schema(table).field("bytes").type) for table in found}  # type: ignore[union-attr]

    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as tiny:
        tiny.add(events([], [5, GREATEST // 3]))
        tiny.build()
        assert sums(tiny) == [(0, GREATEST // 3 + 5)] * 4 + [(0, float(GREATEST // 3 + 5))] * 3
        assert set(kinds(tiny).values()) == {"int64"}
        tiny.replace([DAY], events([], [GREATEST, GREATEST]))
        tiny.build()
        assert sums(tiny) == [(0, 2.0**64)] * 7
        assert set(kinds(tiny).values()) == {"double"}
        tiny.replace([DAY], events([], [-GREATEST - 1, 1, 2]))  # the least integer of 64 bits, which has no absolute
        tiny.build()
        assert sums(tiny) == [(0, -(2.0**63))] * 7
        tiny.replace([DAY], events([], [7, 8]))
        tiny.build()
        assert sums(tiny) == [(0, 15)] * 7
        assert set(kinds(tiny).values()) == {"int64"}
