"""What a table promises: columns with types and units, key, grain, dates, and tests over its rows.

A model is a `NAME.sql` with a `NAME.yml` beside it; the YAML is read into a `TableSpec`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from tidelake.config import Settings, load_yaml

ColumnType = Literal["string", "integer", "number", "boolean", "timestamp", "date", "list"]

# Words that SQL reads as something else than a name, in some place at least (list of DuckDB).
_KEYWORD_LIST = """
    all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create
    default deferrable desc describe distinct do else end except false fetch for foreign from group having in
    initially intersect into lambda lateral leading limit not null offset on only or order pivot pivot_longer
    pivot_wider placing primary qualify references returning select show some summarize symmetric table then to
    trailing true union unique unpivot using variadic when where window with anti asof at authorization binary by
    collation columns concurrently cross freeze full generated glob ilike inner is isnull join left like map natural
    notnull outer overlaps positional right semi similar struct tablesample try_cast tuple unpack verbose between
    bigint bit boolean char character coalesce dec decimal exists extract float grouping grouping_id inout int
    integer interval national nchar none nullif numeric out overlay position precision real row setof smallint
    substring time timestamp treat trim values varchar
"""
_KEYWORDS = frozenset(_KEYWORD_LIST.split())


# What every answer has, so that no dimension of events can be called so.
ANSWERED = frozenset(("metric", "definition_version", "period_start", "grain", "value", "numerator", "denominator"))
ANSWERED |= {"n", "ci_low", "ci_high", "status", "watermark", "engine"}


class ColumnSpec(Settings):
    """One column: what it holds and what its values may be."""

    type: ColumnType = "string"
    unit: str | None = None
    description: str = ""
    required: bool = Field(False, description="whether every row must have a value")
    accepted: tuple[str, ...] = Field((), description="the only values allowed, besides null")
    references: str | None = Field(None, description="layer.table.column that must hold the value")

    @field_validator("accepted", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return tuple(str(item) for item in value) if isinstance(value, list) else value


class RowTest(Settings):
    """A condition that every row must meet; null counts as met."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    expression: str


class TableSpec(Settings):
    """A table's contract.

    Attributes:
        name: `layer.table`.
        date: The date column by which the table is built in parts; null = always as a whole.
        lookback_days: Days of input before a date that its rows depend on.
        lookahead_days: Days of input after a date that its rows depend on.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$")
    description: str = ""
    grain: str = ""
    key: tuple[str, ...] = ()
    date: str | None = None
    partition_by: tuple[str, ...] = ()
    sort_by: tuple[str, ...] = ()
    lookback_days: int = Field(0, ge=0)
    lookahead_days: int = Field(0, ge=0)
    columns: dict[str, ColumnSpec] = Field(default_factory=dict)
    unique: tuple[tuple[str, ...], ...] = Field((), description="further column groups that identify a row")
    tests: tuple[RowTest, ...] = ()

    @field_validator("columns", mode="before")
    @classmethod
    def _bare_columns(cls, value: object) -> object:
        """Take `name:` alone and `name: string` for a column without more to say."""
        if not isinstance(value, dict):
            return value
        return {
            name: {} if rule is None else {"type": rule} if isinstance(rule, str) else rule
            for name, rule in value.items()
        }

    @field_validator("unique", mode="before")
    @classmethod
    def _single_columns(cls, value: object) -> object:
        if isinstance(value, list):
            return tuple((item,) if isinstance(item, str) else tuple(item) for item in value)
        return value

    @model_validator(mode="after")
    def _names_exist(self) -> TableSpec:
        if not self.columns:
            return self
        named = {*self.key, *self.partition_by, *self.sort_by, *(column for group in self.unique for column in group)}
        if self.date is not None:
            named.add(self.date)
        if missing := sorted(named - set(self.columns)):
            raise ValueError(f"no column {', '.join(missing)} is declared under `columns:`")
        return self

    @property
    def partitions(self) -> tuple[str, ...]:
        """The partition columns: as declared, else the date."""
        return self.partition_by or ((self.date,) if self.date else ())


class RowCheck(NamedTuple):
    """A check over a table's rows.

    Attributes:
        name: What holds when it is met.
        broken: Condition of a row that breaks it; None where rows must be looked at together.
        sql: SELECT with one row and the column `broken`, how many rows (or groups) break it.
    """

    name: str
    broken: str | None
    sql: str


def load_table(path: Path, *, name: str) -> TableSpec:
    """The contract in a YAML file; `name` holds unless the file says another."""
    is_named = path.exists() and re.search(r"^name:", path.read_text(encoding="utf-8"), re.MULTILINE)
    return load_yaml(path, TableSpec, **({} if is_named else {"name": name}))


def row_checks(spec: TableSpec, rows: str) -> list[RowCheck]:
    """The checks of a contract as SELECTs, each with one row and the column `broken`.

    Args:
        spec: The contract.
        rows: The table or subquery to look at (`gold.sessions`, `temp.rows`).
    """
    conditions = [
        (f"{column} is not null", f"{quoted(column)} IS NULL") for column, rule in spec.columns.items() if rule.required
    ]
    for column, rule in spec.columns.items():
        if rule.accepted:
            values = ", ".join(literal(value) for value in rule.accepted)
            named = f"{column} is one of {', '.join(rule.accepted)}"
            conditions.append((named, f"CAST({quoted(column)} AS VARCHAR) NOT IN ({values})"))
    conditions += [(test.name, f"NOT ({test.expression})") for test in spec.tests]
    checks = [
        RowCheck(name, broken, f"SELECT count(*) AS broken FROM {rows} WHERE {broken}") for name, broken in conditions
    ]
    for group in (spec.key, *spec.unique):
        if group:
            names, columns = ", ".join(group), ", ".join(quoted(name) for name in group)
            checks.append(
                RowCheck(
                    f"({names}) is unique",
                    None,
                    f"SELECT count(*) AS broken FROM (SELECT {columns} FROM {rows} "
                    f"GROUP BY {columns} HAVING count(*) > 1) AS twice",
                )
            )
    for column, rule in spec.columns.items():
        if rule.references:
            table, _, other = rule.references.rpartition(".")
            checks.append(
                RowCheck(
                    f"{column} is in {rule.references}",
                    None,
                    f"SELECT count(*) AS broken FROM {rows} AS here WHERE here.{quoted(column)} IS NOT NULL "
                    f"AND NOT EXISTS (SELECT 1 FROM {table} AS there "
                    f"WHERE there.{quoted(other)} = here.{quoted(column)})",
                )
            )
    return checks


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A column's name as an SQL identifier."""
    is_plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) and name not in _KEYWORDS
    return name if is_plain else '"' + name.replace('"', '""') + '"'
