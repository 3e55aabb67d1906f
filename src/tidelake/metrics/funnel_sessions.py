"""What a funnel holds that sessions have: the session itself, its first device, what was watched first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from tidelake.contracts.table import quoted
from tidelake.gold.context import Gold
from tidelake.gold.sqltext import date_literal
from tidelake.metrics.session_events import KEY, events_of_sessions

SESSION = "session"  # the session that holds the event, whatever the source calls it
_LONGEST = timedelta(days=2)  # local dates that a session may reach over


def session_names(gold: Gold) -> list[str]:
    """Columns of gold.sessions that no event has."""
    schema = gold.lake.schema("gold.sessions")
    return [] if schema is None else [name for name in schema.names if name not in gold.events.types]


def session_values(gold: Gold, names: Sequence[str], first: date, last: date) -> str:
    """SELECT of what the sessions of events are: one row an event, as `_KEYS` tell events apart.

    Events that are alike in all of these may lie in several sessions; they have the least value.
    """
    keys = ", ".join(f"held.{name}" for name in _keys(gold))
    held = events_of_sessions(gold, first - _LONGEST, last)
    values = "".join(
        f", min(sessions.{quoted('session_id' if name == SESSION else name)}) AS {quoted(name)}" for name in names
    )
    same = " AND ".join(f"sessions.{name} = held.{name}" for name in KEY)
    days = f"BETWEEN {date_literal(first - _LONGEST - _LONGEST)} AND {date_literal(last)}"
    return (
        f"SELECT {keys}{values} FROM ({held}) AS held JOIN gold.sessions AS sessions ON {same} "
        f"WHERE sessions.session_date {days} GROUP BY {keys}"
    )


def beside_sessions(gold: Gold, rows: str, names: Sequence[str], table: str) -> str:
    """Events with what their sessions are; null where no session holds them.

    Args:
        rows: SELECT of the events.
        table: What `session_values` gave, put aside.
    """
    same = " AND ".join(f"held.{name} IS NOT DISTINCT FROM events.{name}" for name in _keys(gold))
    values = "".join(f", held.{quoted(name)}" for name in names)
    return f"SELECT events.*{values} FROM ({rows}) AS events LEFT JOIN {table} AS held ON {same}"


def _keys(gold: Gold) -> list[str]:
    return ["actor_id", "event_time", "seq", "event_id", "event_name", *gold.events.tie_names]
