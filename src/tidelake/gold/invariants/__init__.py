"""What must hold of gold's tables: one SELECT a file of the rows or dates that break it, run after every build.

A file's first line says what must hold. Its SELECT gives `day`, `what` (where it is broken), `found` and `expected`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path

from tidelake.contracts.table import literal
from tidelake.gold.context import Gold
from tidelake.gold.model import ModelRun
from tidelake.gold.sqltext import date_literal, dates_condition, instant_micros, real, runs

FOLDER = Path(__file__).parent
ENTITIES = "gold.entity_day"
_FRAGMENT = re.compile(r"\{([a-z_]+)\}")
_FEW = 100_000  # events of the day that is counted again
_MANY = 20  # stretches of dates that sessions are looked at one by one for
Days = Sequence[date] | None


@dataclass(frozen=True)
class Invariant:
    """What must hold.

    Attributes:
        says: The same in words.
        table: The table that breaks it.
        needs: The tables that it reads.
        sql: SELECT of what breaks it, with `{fragments}`.
    """

    name: str
    says: str
    table: str
    needs: tuple[str, ...]
    sql: str


@dataclass(frozen=True)
class Verdict:
    """Whether an invariant holds.

    Attributes:
        broken: Rows of its SELECT.
        first: The first of them in words; empty where there is none.
    """

    invariant: Invariant
    broken: int
    first: str = ""


@lru_cache(maxsize=1)
def invariants() -> tuple[Invariant, ...]:
    """All of them, by name."""
    return tuple(_read(path) for path in sorted(FOLDER.glob("*.sql")))


def _read(path: Path) -> Invariant:
    lines = path.read_text(encoding="utf-8").splitlines()
    said = [line.removeprefix("--").strip() for line in lines if line.startswith("--")]
    keys = dict(line.split(": ", 1) for line in said[1:] if line.startswith(("table: ", "needs: ")))
    needs = (keys["table"], *filter(None, keys.get("needs", "").split(", ")))
    sql = " ".join(line.strip() for line in lines if not line.startswith("--"))
    return Invariant(path.stem, said[0], keys["table"], needs, sql)


def touched(made: Iterable[ModelRun]) -> dict[str, Days]:
    """The dates that a build made anew, of tables of actors and of entities; None = all of them."""
    found: dict[str, set[date] | None] = {"actors": set(), "entities": set()}
    for run in made:
        kind = "entities" if run.name == ENTITIES else "actors"
        known = found[kind]
        if run.is_current or not run.name.startswith("gold.") or known is None:
            continue
        if run.dates is None and run.name in _tables():
            found[kind] = None
        elif run.name in _tables():
            known.update(run.dates or ())
    return {kind: None if days is None else sorted(days) for kind, days in found.items()}


@lru_cache(maxsize=1)
def _tables() -> frozenset[str]:
    return frozenset(table for one in invariants() for table in one.needs)


def verdicts(gold: Gold, days: Mapping[str, Days]) -> list[Verdict]:
    """Whether each invariant of the tables that are there holds on some dates, in one statement.

    Args:
        days: As `touched` gives them.
    """
    fragments = _fragments(gold, days)
    asked = []
    for one in invariants():
        is_there = all(gold.lake.version(table) is not None for table in one.needs)
        wanted = set(_FRAGMENT.findall(one.sql))
        is_touched = days["entities" if one.table == ENTITIES else "actors"] != []
        if is_there and is_touched and wanted <= set(fragments):
            asked.append((one, _FRAGMENT.sub(lambda found: fragments[found[1]], one.sql)))
    if not asked:
        return []
    counts = " UNION ALL ".join(
        f"SELECT {literal(one.name)} AS invariant, count(*) AS broken FROM ({sql}) AS rows_that_break"
        for one, sql in asked
    )
    broken = {row["invariant"]: row["broken"] for row in gold.query(counts)}
    return [Verdict(one, broken[one.name], _first(gold, sql) if broken[one.name] else "") for one, sql in asked]


def _first(gold: Gold, sql: str) -> str:
    (row,) = gold.query(f"SELECT * FROM ({sql}) AS rows_that_break ORDER BY day, what LIMIT 1")
    return f"{row['day']}, {row['what']}: {_number(row['found'])}, expected {_number(row['expected'])}"


def _number(value: object) -> str:
    return f"{float(str(value)):,.6f}".rstrip("0").rstrip(".") if value is not None else "none"


def _fragments(gold: Gold, days: Mapping[str, Days]) -> dict[str, str]:
    actors, entities = days["actors"], days["entities"]
    rule, watch = gold.project.session, gold.project.watch
    longest = max(rule.cap, watch.cap) + watch.cap
    found = {
        "activity_date": dates_condition("activity_date", actors),
        "session_date": dates_condition("session_date", actors),
        "ended_date": dates_condition("ended_date", actors),
        "overlapping": _overlapping(actors, rule.cap),
        "entity_date": dates_condition("activity_date", entities),
        "entity_days_date": dates_condition("entity_days.activity_date", entities),
        "started_micros": instant_micros("started_at"),
        "ended_micros": instant_micros("ended_at"),
        "first_micros": instant_micros("first"),
        "last_micros": instant_micros("last"),
        "dimensions": _dimensions(gold),
        "every_event": "TRUE" if rule.mode == "ignore" else "FALSE",
        "is_from_states": "TRUE" if gold.events.has_states else "FALSE",
        "longest_stretch": real(longest.total_seconds()),
    }
    if (day := _one_day(gold, actors)) is not None:
        found["one_day"] = date_literal(day)
        found["events_of_one_day"] = gold.events.select(days=[day], columns=[])
    return found


def _dimensions(gold: Gold) -> str:
    """SELECT of `dimension`: those that gold's tables were made with, so that their rows must be there."""
    schema = gold.lake.schema("gold.user_day")
    made = [name for name in gold.project.dimensions if schema is not None and f"first_{name}" in schema.names]
    return " UNION ALL ".join(f"SELECT {literal(name)} AS dimension" for name in made) or (
        "SELECT CAST(NULL AS VARCHAR) AS dimension WHERE FALSE"
    )


def _overlapping(days: Days, cap: timedelta) -> str:
    """Condition for sessions that have a moment on one of these dates."""
    if days is None:
        return "TRUE"
    before = timedelta(days=cap.days + 2)
    spans = runs(days)
    if len(spans) > _MANY:
        spans = [(spans[0][0], spans[-1][1])]
    parts = [
        f"(session_date BETWEEN {date_literal(first - before)} AND {date_literal(last)} "
        f"AND ended_date >= {date_literal(first)})"
        for first, last in spans
    ]
    return f"({' OR '.join(parts)})" if parts else "FALSE"


def _one_day(gold: Gold, days: Days) -> date | None:
    """The date that is counted again: the largest with few rows, else the smallest."""
    if not gold.events.sources:
        return None
    rows = gold.rows_by_date([(table, "event_date") for table in gold.events.tables])
    sizes = {day: rows[day] for day in (rows if days is None else days) if rows[day]}
    few = [day for day, size in sizes.items() if size <= _FEW]
    if few:
        return max(few, key=lambda day: (sizes[day], day))
    return min(sizes, key=lambda day: (sizes[day], day), default=None)
