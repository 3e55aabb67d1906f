"""A project with one count source, `sites`, whose silver a test writes by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from tests.gold.tiny import INSTANT, Tiny
from tidelake.contracts.source import source_from
from tidelake.engine.base import Layout

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
COVERAGE = pa.schema([("source", pa.string()), ("date", pa.date32()), ("status", pa.string())])
WATERMARKS = pa.schema(
    [("source", pa.string()), ("date", pa.date32()), ("watermark", INSTANT), ("lateness_seconds", pa.float64())]
)
SOURCE = {
    "name": "sites",
    "fact": "count",
    "path": "x",
    "mapping": {"entity": "site", "event_time": "hour"},
    "measures": ["views"],
}


class Sites(Tiny):
    """Counts of sites by day. Without coverage rows, a day without any row is missing and the last day is open."""

    def __init__(self, root: Path, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(root, settings)
        self.sources = {"sites": source_from(SOURCE)}

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

    def series(self, entity: str, first: date, values: Iterable[int | None]) -> None:
        """One entity's counts from a date on; None = no row."""
        self.count((entity, first + timedelta(days=n), v) for n, v in enumerate(values) if v is not None)
