"""A project over tiny silver tables that a test writes by hand, on the real engine and lake."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pyarrow as pa

from tidelake.config import Project
from tidelake.contracts.source import Source, source_from
from tidelake.engine.base import Layout
from tidelake.engine.duckdb import DuckEngine
from tidelake.gold.build import build_gold
from tidelake.gold.model import ModelRun
from tidelake.lake.lake import Lake

INSTANT = pa.timestamp("us", "UTC")
BASE = {
    "event_date": pa.date32(),
    "event_time": INSTANT,
    "event_id": pa.string(),
    "actor_id": pa.string(),
    "event_name": pa.string(),
    "session_id": pa.string(),
    "received_at": INSTANT,
    "seq": pa.int64(),
    "traffic_class": pa.string(),
}
Answer = TypeVar("Answer")
DEFAULTS = {"actor_id": "ann", "event_name": "click", "traffic_class": "human"}


def at(text: str) -> datetime:
    """An instant in UTC from `2025-01-31 10:00`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Tiny:
    """A lake in a folder with one project; `app` is its event source."""

    def __init__(
        self,
        root: Path,
        settings: Mapping[str, Any] | None = None,
        *,
        columns: Mapping[str, pa.DataType] | None = None,
        dedup: str = "key",
    ) -> None:
        self.project = Project.model_validate({"name": "tiny", "root": root, **(settings or {})})
        self.columns = {**BASE, **(columns or {})}
        self.lake = Lake(str(root / "lake"))
        self.lake.prepare()
        self.engine = DuckEngine(self.lake, timezone=self.project.timezone, threads=2)
        mapping = {"event_time": "t", "event_id": "i", "actor_id": "a", "event_name": "n", "session_id": "s"}
        self.sources: dict[str, Source] = {
            "app": source_from({"name": "app", "path": "x", "mapping": mapping, "dedup": dedup})
        }

    def __enter__(self) -> Tiny:
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.close()

    def rows(self, events: Iterable[Mapping[str, Any]]) -> pa.Table:
        """Events as rows of silver: `event_date` is worked out, ids are numbered."""
        zone = ZoneInfo(self.project.timezone)
        filled = []
        for number, event in enumerate(events):
            row = {**DEFAULTS, "event_id": f"e{number:05d}", **event}
            if isinstance(row["event_time"], str):
                row["event_time"] = at(row["event_time"])
            row["event_date"] = row["event_time"].astimezone(zone).date()
            filled.append(row)
        return pa.Table.from_pylist(filled, schema=pa.schema(list(self.columns.items())))

    def add(self, events: Iterable[Mapping[str, Any]], *, table: str = "silver.app") -> None:
        """Append events to silver."""
        self.engine.write(self.rows(events), table, "append", layout=Layout(("event_date",)))

    def replace(self, days: Sequence[date], events: Iterable[Mapping[str, Any]]) -> None:
        """Put events in the place of all events of some dates."""
        self.engine.write(
            self.rows(events), "silver.app", "replace", replace={"event_date": days}, layout=Layout(("event_date",))
        )

    def build(self, **options: Any) -> list[ModelRun]:
        return build_gold(self.engine, self.lake, self.project, self.sources, **options)

    def ask(self, question: Callable[..., Answer], *given: Any, **options: Any) -> Answer:
        """What a question answers about this project."""
        return question(self.engine, self.lake, self.project, self.sources, *given, **options)

    def query(self, sql: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.engine.query(sql).to_pylist()
        return rows

    def sessions(self) -> list[dict[str, Any]]:
        return self.query("SELECT * FROM gold.sessions ORDER BY actor_id, started_at, unit")

    def everything(self) -> dict[str, list[dict[str, Any]]]:
        """Every gold table's rows, in an order that does not depend on how they were built."""
        found = {}
        for table in self.lake.tables():
            if table.startswith("gold."):
                names = sorted(self.engine.query(f"SELECT * FROM {table} LIMIT 0").column_names)
                found[table] = self.query(f"SELECT {', '.join(names)} FROM {table} ORDER BY ALL")
        return found


class _Watched:
    """An engine, and those beside it, that tells of each table before it writes to it."""

    def __init__(self, engine: DuckEngine, tell: Callable[[str], None]) -> None:
        self._engine = engine
        self._tell = tell
        self.capabilities = engine.capabilities

    def beside(self) -> _Watched:
        return _Watched(self._engine.beside(), self._tell)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def write(self, select: Any, table: str, *arguments: Any, **options: Any) -> int:
        self._tell(table)
        return self._engine.write(select, table, *arguments, **options)


@contextmanager
def watched(tiny: Tiny, tell: Callable[[str], None]) -> Iterator[None]:
    """Call `tell` with a table's name before each write of a build; what it raises ends the build there."""
    engine = tiny.engine
    tiny.engine = _Watched(engine, tell)  # type: ignore[assignment]
    try:
        yield
    finally:
        tiny.engine = engine
