"""Which tables are published, with their key, version and rows in parts that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa

from tidelake.contracts.table import load_table, quoted
from tidelake.engine.base import MODEL_LAYERS, Engine
from tidelake.errors import LakeError, UnknownNameError
from tidelake.gold.models import read_models
from tidelake.gold.sqltext import FOLDER, dates_condition
from tidelake.lake import Lake

PART_ROWS = 500_000


@dataclass(frozen=True)
class Publication:
    """One table of the lake, as it is to be published.

    Attributes:
        name: `layer.table`.
        target: Its name there: `layer_table`.
        key: Columns that identify a row, by the table's contract; empty where it declares none.
        table_id: Delta's id: another one when the table was dropped and made anew.
        rows: By the Delta log.
    """

    name: str
    key: tuple[str, ...]
    schema: pa.Schema
    table_id: str
    version: int
    rows: int

    @property
    def target(self) -> str:
        return self.name.replace(".", "_")


def publications(lake: Lake, root: Path, select: Sequence[str] = ()) -> list[Publication]:
    """The tables to publish: those named, else all of gold, staging, intermediate and mart that hold rows' columns.

    Raises:
        UnknownNameError: A table does not exist, or is of a layer that is not published.
        LakeError: There is none yet.
    """
    known = [name for name in lake.tables() if name.split(".")[0] in MODEL_LAYERS]
    for name in select:
        if name not in known:
            raise UnknownNameError("table", name, known, where="the lake")
    if not known:
        raise LakeError("The lake has no table to publish yet.", hint="Run `tide build` first.")
    keys = {item.spec.name: item.spec.key for item in read_models(root)}
    found = []
    for name in dict.fromkeys(select or sorted(known)):
        schema, state = lake.schema(name), lake.state(name)
        if schema is None or state is None:
            continue
        declared = FOLDER / f"{name.removeprefix('gold.')}.yml"
        if name not in keys and name.startswith("gold.") and declared.exists():
            keys[name] = load_table(declared, name=name).key
        rows = sum(file.records for file in lake.files(name))
        found.append(Publication(name, tuple(keys.get(name, ())), schema, *state, rows))
    return found


def parts(engine: Engine, lake: Lake, item: Publication) -> Iterator[pa.Table]:
    """A table's rows, by its date partitions where it has them."""
    columns = ", ".join(quoted(name) for name in item.schema.names)
    select = f"SELECT {columns} FROM {item.name}"
    by = lake.layout(item.name).partition_by
    if len(by) != 1 or not pa.types.is_date(item.schema.field(by[0]).type):
        yield engine.query(select)
        return
    rows: dict[str | None, int] = {}
    for file in lake.files(item.name):
        value = file.partition.get(by[0])
        rows[value] = rows.get(value, 0) + file.records
    days: list[date] = []
    size = 0
    for value in sorted(value for value in rows if value is not None):
        if days and size + rows[value] > PART_ROWS:
            yield engine.query(f"{select} WHERE {dates_condition(by[0], days)}")
            days, size = [], 0
        days.append(date.fromisoformat(value))
        size += rows[value]
    if days:
        yield engine.query(f"{select} WHERE {dates_condition(by[0], days)}")
    if None in rows:
        yield engine.query(f"{select} WHERE {by[0]} IS NULL")
