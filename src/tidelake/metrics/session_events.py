"""What events a session held: measures of tide.yml by session, and the time that went by after some events.

gold.sessions has no measures. A metric of sessions that names one gets it from silver: every event is put into the
session that holds it, and the events of each session are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from tidelake.contracts.table import quoted
from tidelake.gold.context import Gold
from tidelake.gold.sqltext import date_literal, instant_micros, micros, one_of
from tidelake.metrics.periods import dates_between

TABLE = "temp.session_counts"
KEY = ("actor_id", "unit", "started_at")
OPTIONAL = ("key_events",)  # a project without them has none
_AFTER = "_seconds"
_LONGEST = timedelta(minutes=5)  # METRICS section 12: browsing_seconds


def names_of(gold: Gold) -> list[str]:
    """What a metric of sessions can name besides the columns of gold.sessions.

    Measures that count or add up events, and `MEASURE_seconds` for those that count: the time from each of the
    events to the session's next, at most five minutes each.
    """
    rules = gold.project.measures
    counted = [name for name, rule in rules.items() if not rule.distinct]
    return [*counted, *(f"{name}{_AFTER}" for name in counted if rules[name].sum is None), *OPTIONAL]


def named_in(gold: Gold, names: Iterable[str]) -> list[str]:
    """Those of the names that gold.sessions does not have."""
    schema = gold.lake.schema("gold.sessions")
    own = set(schema.names) if schema is not None else set()
    known = set(names_of(gold))
    return [name for name in dict.fromkeys(names) if name in known and name not in own]


def write_counts(gold: Gold, names: Sequence[str], spans: Sequence[tuple[date, date]]) -> None:
    """Make `temp.session_counts`: one row per session with an event that counts; those that start in the spans."""
    held = _held(gold, min(first for first, _ in spans), max(last for _, last in spans))
    following = f"lead({instant_micros('event_time')}) OVER (PARTITION BY {', '.join(KEY)} ORDER BY {_order(gold)})"
    waited = f"{following} - {instant_micros('event_time')}"
    gap = f"CASE WHEN {waited} > {micros(_LONGEST)} THEN {micros(_LONGEST)} ELSE {waited} END"  # null after the last
    columns = "".join(f", {_count(gold, name)} AS {quoted(name)}" for name in names)
    gold.temp(
        TABLE.removeprefix("temp."),
        f"SELECT {', '.join(KEY)}{columns} FROM (SELECT *, {gap} AS gap_micros FROM ({held}) AS held "
        f"WHERE started_at IS NOT NULL) AS gaps GROUP BY {', '.join(KEY)}",
    )


def _order(gold: Gold) -> str:
    return gold.events.order("event_time", "rank")  # as the session has them: at equal times starts first, ends last


def _count(gold: Gold, name: str) -> str:
    rules = gold.project.measures
    if name in rules:
        return gold.events.measure(name)
    if name in OPTIONAL:
        return "0"
    rule = rules[name.removesuffix(_AFTER)]
    wanted = f" FILTER (WHERE {one_of('event_name', rule.event)})" if rule.event else ""
    return f"CAST(coalesce(sum(gap_micros){wanted}, 0) AS DOUBLE) / 1000000"


def _held(gold: Gold, first: date, last: date) -> str:
    """SELECT of the events with their session's unit and start; null where none of these sessions holds them."""
    from tidelake.gold.session_sql import SessionSql
    from tidelake.gold.sessions import bracketed  # builds import numpy, which most questions do not need

    is_bracket = gold.project.session.mode == "bracket"
    begins = "min(chain_date)" if is_bracket else "min(session_date)"
    (edges,) = gold.query(
        f"SELECT {begins} AS first_date, max(ended_date) AS last_date FROM gold.sessions "
        f"WHERE session_date BETWEEN {date_literal(first)} AND {date_literal(last)}"
    )
    first, last = edges["first_date"] or first, edges["last_date"] or last
    sql, days = SessionSql(gold.events), list(dates_between(first, last))
    starts = (
        "SELECT actor_id, unit, started_at FROM gold.sessions "
        f"WHERE session_date BETWEEN {date_literal(first)} AND {date_literal(last)}"
    )
    if is_bracket:
        events = bracketed(gold, sql, days)
        return (
            f"SELECT events.*, starts.started_at FROM ({events}) AS events "
            f"JOIN ({starts}) AS starts ON starts.actor_id = events.actor_id AND starts.unit = events.unit"
        )
    return _since_start(sql.unit_events(days), starts)


def _since_start(events: str, starts: str) -> str:
    """Events with the start of their session: the latest start of their unit that is not after them."""
    marks = "SELECT actor_id, unit, started_at AS at_time, started_at AS mark, 0 AS side"
    since = (
        "SELECT actor_id, unit, at_time, side, max(mark) OVER (PARTITION BY actor_id, unit ORDER BY at_time, side "
        "ROWS UNBOUNDED PRECEDING) AS started_at"
    )
    times = "SELECT DISTINCT actor_id, unit, event_time AS at_time, CAST(NULL AS TIMESTAMPTZ) AS mark, 1 AS side"
    found = (
        f"{since} FROM ({marks} FROM ({starts}) AS starts UNION ALL {times} FROM ({events}) AS instants) AS timeline"
    )
    return (
        f"SELECT events.*, found.started_at FROM ({events}) AS events JOIN ({found}) AS found "
        "ON found.side = 1 AND found.actor_id = events.actor_id AND found.unit = events.unit "
        "AND found.at_time = events.event_time"
    )
