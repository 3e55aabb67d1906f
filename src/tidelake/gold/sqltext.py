"""Small pieces of portable SQL text that the gold tables are put together from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import pyarrow as pa

from tidelake.contracts.table import ColumnType, literal, quoted
from tidelake.errors import DefinitionError

FOLDER = Path(__file__).parent / "tables"
_FRAGMENT = re.compile(r"\{([a-z_]+)\}")


def render(name: str, **fragments: str) -> str:
    """The SELECT in `tables/NAME.sql` with its `{fragments}` put in; comments are left out.

    Raises:
        DefinitionError: The file asks for a fragment that is not given, or does not use one that is.
    """
    text = (FOLDER / f"{name}.sql").read_text(encoding="utf-8")
    text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
    asked = set(_FRAGMENT.findall(text))
    if asked != set(fragments):
        raise DefinitionError(f"{name}.sql and its caller disagree on {sorted(asked ^ set(fragments))}.")
    return _FRAGMENT.sub(lambda match: fragments[match.group(1)], text).strip()


def one_of(column: str, values: Iterable[str]) -> str:
    """Condition: the column holds one of these texts; never true for none."""
    listed = ", ".join(literal(value) for value in values)
    return f"{column} IN ({listed})" if listed else "FALSE"


def real(value: float) -> str:
    """A number as SQL, not a decimal."""
    return f"{float(value):.17g}e0" if "e" not in f"{float(value):.17g}" else f"{float(value):.17g}"


def date_literal(day: date) -> str:
    """A date as SQL."""
    return f"DATE '{day.isoformat()}'"


def dates_condition(column: str, days: Sequence[date] | None) -> str:
    """Condition that the column holds one of these days; ranges where they touch. None = every day."""
    if days is None:
        return "TRUE"
    if not days:
        return "FALSE"
    parts = []
    for first, last in runs(days):
        if first == last:
            parts.append(f"{column} = {date_literal(first)}")
        else:
            parts.append(f"{column} BETWEEN {date_literal(first)} AND {date_literal(last)}")
    return parts[0] if len(parts) == 1 else "(" + " OR ".join(parts) + ")"


def runs(days: Iterable[date]) -> list[tuple[date, date]]:
    """The days as maximal stretches without a gap: (first, last) of each, in order."""
    found: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if found and day - found[-1][1] == timedelta(days=1):
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def instant_literal(instant: datetime) -> str:
    """An instant as SQL, to the microsecond."""
    utc = instant.astimezone(UTC)
    return f"CAST('{utc.strftime('%Y-%m-%d %H:%M:%S.%f')}+00' AS TIMESTAMPTZ)"


@lru_cache(maxsize=4096)
def day_start(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a local date, also where midnight does not exist."""
    naive = datetime(day.year, day.month, day.day, tzinfo=zone)
    start = naive.astimezone(UTC)
    # Where the clock jumps over midnight the day begins at the jump: look for the first instant of the date.
    while start.astimezone(zone).date() < day:
        start += timedelta(minutes=15)
    while (start - timedelta(minutes=15)).astimezone(zone).date() >= day:
        start -= timedelta(minutes=15)
    return start


def later(column: str, span: timedelta) -> str:
    """The instant so long after another."""
    return f"add_micros({column}, {micros(span)})"


def micros(span: timedelta) -> int:
    """A duration in whole microseconds."""
    return span // timedelta(microseconds=1)


def instant_micros(column: str) -> str:
    """Microseconds since 1970 of an instant."""
    return f"epoch_micros({column})"


SumKind = Literal["BIGINT", "DOUBLE", "WIDE"]  # WIDE: a DOUBLE of values that may pass 1e19


def sql_kind(kind: SumKind) -> str:
    """SQL type of a sum."""
    return "BIGINT" if kind == "BIGINT" else "DOUBLE"


def sum_parts(value: str, kind: SumKind, where: str | None = None) -> dict[str, str]:
    """Aggregates that hold the sum of a number, by what is put to its name; `sum_again` adds them up.

    Fractions are added as decimals, so that the sum is the same in any order of the rows: nine digits after the
    point below 1e19, where a decimal of 38 digits has room for 1e10 rows; none below 1e28, where no DOUBLE has any.
    Only the few beyond are added as they are (METRICS section 0). Kind WIDE has the parts for values beyond 1e19.
    """
    chosen = f" FILTER (WHERE {where})" if where else ""
    if kind == "BIGINT":
        return {"": f"sum(CAST({value} AS BIGINT)){chosen}"}
    if kind == "DOUBLE":
        return {"": f"sum(CAST({value} AS DECIMAL(28, 9))){chosen}"}
    fits = f"{value} > -1e19 AND {value} < 1e19"
    is_whole = f"{value} > -1e28 AND {value} < 1e28"
    return {
        "": f"sum(CAST(CASE WHEN {fits} THEN {value} END AS DECIMAL(28, 9))){chosen}",
        "__1e19": f"sum(CAST(CASE WHEN {is_whole} AND NOT ({fits}) THEN {value} END AS DECIMAL(38, 0))){chosen}",
        "__1e28": f"sum(CASE WHEN NOT ({is_whole}) THEN CAST({value} AS DOUBLE) END){chosen}",
    }


def exact_sum(value: str, kind: SumKind, where: str | None = None) -> str:
    """The sum of a number, null where there is none; the same in any order of the rows."""
    return _added(sum_parts(value, kind, where), kind)


def sum_again(name: str, kind: SumKind, where: str | None = None) -> str:
    """The sum over rows that hold the parts of sums; null where there is none."""
    parts = {}
    for suffix in sum_parts(name, kind):
        column = quoted(f"{name}{suffix}")
        parts[suffix] = f"sum({column if where is None else f'CASE WHEN {where} THEN {column} END'})"
    return _added(parts, kind)


def _added(parts: Mapping[str, str], kind: SumKind) -> str:
    numbers = [f"CAST({part} AS {sql_kind(kind)})" for part in parts.values()]
    if len(numbers) == 1:
        return numbers[0]
    total = " + ".join(f"coalesce({number}, 0e0)" for number in numbers)
    return f"CASE WHEN coalesce({', '.join(numbers)}) IS NOT NULL THEN {total} END"


_SQL_NAMES: tuple[tuple[object, str], ...] = (
    (pa.types.is_boolean, "BOOLEAN"),
    (pa.types.is_integer, "BIGINT"),
    (pa.types.is_floating, "DOUBLE"),
    (pa.types.is_timestamp, "TIMESTAMPTZ"),
    (pa.types.is_date, "DATE"),
)


def sql_name(kind: pa.DataType) -> str:
    """The portable SQL type that holds an Arrow type of silver."""
    for matches, name in _SQL_NAMES:
        if matches(kind):  # type: ignore[operator]
            return name
    return "VARCHAR"


def column_type(sql: str) -> ColumnType:
    """A contract's word for a portable SQL type."""
    names: dict[str, ColumnType] = {
        "BIGINT": "integer",
        "DOUBLE": "number",
        "BOOLEAN": "boolean",
        "TIMESTAMPTZ": "timestamp",
        "DATE": "date",
    }
    return names.get(sql, "string")
