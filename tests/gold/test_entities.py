"""What entities of count facts had on each day (METRICS section 13)."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.checks.entities import entity_days
from tests.gold.tiny import INSTANT, Tiny
from tidelake.contracts.source import source_from
from tidelake.engine.base import Layout
from tidelake.metrics.measure import MeasureResult, measure

FIRST = date(2025, 1, 1)
ROWS = pa.schema(
    [
        ("event_date", pa.date32()),
        ("event_time", INSTANT),
        ("entity", pa.string()),
        ("views", pa.int64()),
        ("project", pa.string()),
        ("traffic_class", pa.string()),
    ]
)
COVERAGE = pa.schema(
    [
        ("source", pa.string()),
        ("date", pa.date32()),
        ("expected", pa.int64()),
        ("received", pa.int64()),
        ("status", pa.string()),
    ]
)


class Sites(Tiny):
    """A project with one count source, `sites`."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.sources = {
            "sites": source_from(
                {
                    "name": "sites",
                    "fact": "count",
                    "path": "x",
                    "mapping": {"entity": "site", "event_time": "hour"},
                    "measures": ["views"],
                }
            )
        }

    def count(self, counts: Iterable[tuple[str, date, int]]) -> None:
        rows = [
            {
                "event_date": day,
                "event_time": datetime.combine(day, time(5), tzinfo=UTC),
                "entity": entity,
                "views": views,
                "project": entity[:1],
            }
            for entity, day, views in counts
        ]
        table = pa.Table.from_pylist(rows, schema=ROWS)
        self.engine.write(table, "silver.sites", "append", layout=Layout(("event_date",)))

    def cover(self, statuses: dict[date, str]) -> None:
        rows = [{"source": "sites", "date": day, "status": status} for day, status in statuses.items()]
        self.engine.write(pa.Table.from_pylist(rows, schema=COVERAGE), "ops.coverage", "overwrite")

    def days(self) -> dict[tuple[str, date], tuple[str, int | None]]:
        rows = self.query("SELECT * FROM gold.entity_day")
        assert len({(row["entity"], row["activity_date"]) for row in rows}) == len(rows)
        assert all(row["is_missing"] == (row["status"] == "missing") for row in rows)
        return {(row["entity"], row["activity_date"]): (row["status"], row["views"]) for row in rows}


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[Sites]:
    with Sites(tmp_path) as made:
        yield made


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def ask(sites: Sites, metric: str, **options: Any) -> MeasureResult:
    return measure(sites.engine, sites.lake, sites.project, sites.sources, metric, **options)


def test_counts_whose_sum_does_not_fit_into_64_bits_are_a_number(sites: Sites) -> None:
    """Twice 2^63 - 1 is 2^64 - 2; as a number 2^64, the nearest with 53 bits."""
    sites.count([("en", day(0), 2**63 - 1), ("en", day(0), 2**63 - 1), ("en", day(1), 3)])
    sites.build()
    assert sites.days() == {("en", day(0)): ("observed", 2.0**64), ("en", day(1)): ("observed", 3)}
    assert [row["value"] for row in ask(sites, "views").to_dicts()] == [2.0**64, 3]
    assert [row["value"] for row in ask(sites, "views", by=["project"]).to_dicts()] == [2.0**64, 3]


def test_absent_is_zero_where_received_and_null_where_missing(sites: Sites) -> None:
    sites.count([("en", day(0), 5), ("en", day(0), 2), ("de", day(0), 1), ("en", day(1), 3), ("en", day(3), 4)])
    sites.build()
    assert sites.days() == {
        ("en", day(0)): ("observed", 7),
        ("en", day(1)): ("observed", 3),
        ("en", day(2)): ("missing", None),
        ("en", day(3)): ("observed", 4),
        ("de", day(0)): ("observed", 1),
        ("de", day(1)): ("zero", 0),
        ("de", day(2)): ("missing", None),
        ("de", day(3)): ("zero", 0),
    }


def test_a_received_day_without_rows_is_zero_for_all(sites: Sites) -> None:
    sites.count([("en", day(0), 5), ("en", day(2), 5)])
    sites.cover({day(0): "received", day(1): "received", day(2): "received"})
    sites.build()
    assert sites.days()["en", day(1)] == ("zero", 0)
    sites.cover({day(0): "received", day(1): "missing", day(2): "received"})
    sites.build()
    assert sites.days()["en", day(1)] == ("missing", None)


def test_an_entity_is_closed_after_28_received_days_and_opens_again(sites: Sites) -> None:
    sites.count([("old", day(0), 1), *(("en", day(number), 1) for number in range(28))])
    sites.build()
    assert sites.days()["old", day(27)] == ("zero", 0)
    sites.count([("en", day(28), 1)])
    runs = sites.build()
    assert sites.days()["old", day(1)] == ("closed", None)
    assert runs[-1].dates == tuple(day(number) for number in range(1, 29))
    sites.count([("old", day(29), 1), ("en", day(29), 1)])
    sites.build()
    assert sites.days()["old", day(1)] == ("zero", 0)


def test_one_more_day_touches_no_other(sites: Sites) -> None:
    sites.count([("en", day(number), 1) for number in range(5)])
    sites.build()
    sites.count([("en", day(5), 1)])
    assert [run.dates for run in sites.build()] == [(day(5),)]
    assert {run.reason for run in sites.build()} == {"nothing new"}


def test_views_add_up_by_day_week_and_entity(sites: Sites) -> None:
    sites.count([("en", day(0), 5), ("de", day(0), 1), ("en", day(2), 4), ("fr", day(2), 2)])
    sites.build()
    result = ask(sites, "views")
    assert [(row["value"], row["status"]) for row in result.to_dicts()] == [
        (6, "complete"),
        (None, "missing"),
        (6, "open"),
    ]
    by_site = {
        (row["period_start"], row["entity"]): row["value"] for row in ask(sites, "views", by="entity").to_dicts()
    }
    assert by_site[day(0), "fr"] is None  # not yet there
    assert by_site[day(2), "de"] == 0
    week = ask(sites, "sites.views", grain="week").to_dicts()[0]
    assert (week["value"], week["status"]) == (12, "degraded")
    by_project = {
        row["project"]: row["value"] for row in ask(sites, "wau_views", by="project", grain="month").to_dicts()
    }
    assert by_project == {"d": 1, "e": 9, "f": 2}


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6), parts=st.integers(1, 5), in_order=st.booleans())
def test_any_split_into_builds_equals_the_plain_loops(seed: int, parts: int, in_order: bool) -> None:
    rng = random.Random(seed)
    length = rng.choice([10, 40, 70])
    skipped = {day(rng.randrange(length)) for _ in range(3)}
    counts = [
        (entity, one, rng.randrange(3))
        for entity, start, end in [("a", 0, length), ("b", 5, 9), ("c", length - 3, length), ("d", 0, length // 2)]
        for one in (day(number) for number in range(start, min(end, length)))
        if rng.random() < 0.6 and one not in skipped
    ]
    arriving = sorted(counts, key=lambda row: row[1]) if in_order else rng.sample(counts, len(counts))
    with tempfile.TemporaryDirectory() as root, Sites(Path(root)) as sites:
        for part in range(parts):
            batch = arriving[part * len(arriving) // parts : (part + 1) * len(arriving) // parts]
            if batch:
                sites.count(batch)
                sites.build()
        received = {one for _, one, _ in counts}
        first, last = min(received), max(received)
        every = {first + timedelta(days=offset) for offset in range((last - first).days + 1)}
        assert sites.days() == entity_days(counts, first=first, last=last, missing=every - received)
