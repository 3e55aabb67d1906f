"""Funnels whose steps lie in one session, worked out by hand."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tests.metrics.asking import row_of
from tidelake.errors import UnknownNameError
from tidelake.metrics.funnel import funnel, funnel_members
from tidelake.metrics.funnel_definition import funnel_of


def events(rows: Iterable[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """Events of a morning, and a row two days later, so that all windows have ended."""
    found: list[dict[str, Any]] = [
        {"actor_id": actor, "event_time": f"2025-03-03 {time}", "event_name": name, "event_id": f"{actor}{time}{name}"}
        for actor, time, name in rows
    ]
    return [*found, {"actor_id": None, "event_time": "2025-03-05 12:00", "event_name": "tick", "event_id": "tick"}]


def ask(tiny: Tiny, *, hold: str, **options: Any) -> list[tuple[float, float]]:
    """(reached, entered) of each step from an open to a play within a day."""
    definition = funnel_of(["open", "play"], window="1d", hold=hold, **options)
    rows = tiny.ask(funnel, definition).to_dicts()
    members = tiny.ask(funnel_members, definition).to_dicts()
    for row in rows:
        own = [member for member in members if member["step"] == row["step"]]
        assert sum(member["in_numerator"] for member in own) == row["numerator"]
    return [(row["numerator"], row["denominator"]) for row in rows]


def test_steps_of_one_session(tmp_path: Path) -> None:
    """ann opens at 10:00 and plays 50 minutes after her search, in another session; ben opens and plays in one.

    cat opens, and in her second session opens and plays. By region, which both of ann's sessions began in, she is in.
    """
    rows = [
        *[("ann", "10:00", "open"), ("ann", "10:10", "search"), ("ann", "11:00", "play")],
        *[("ben", "10:00", "open"), ("ben", "10:10", "play")],
        *[("cat", "10:00", "open"), ("cat", "12:00", "open"), ("cat", "12:01", "play")],
    ]
    with Tiny(tmp_path, {"dimensions": ["region"]}, columns={"region": pa.string()}) as tiny:
        tiny.add({**row, "region": "north"} for row in events(rows))
        tiny.build()
        assert ask(tiny, hold="region") == [(3, 3), (3, 3)]
        assert ask(tiny, hold="first_region") == [(3, 3), (3, 3)]
        assert ask(tiny, hold="session") == [(3, 3), (2, 3)]
        assert ask(tiny, hold="session", attempt="first") == [(3, 3), (1, 3)]
        assert ask(tiny, hold="session", count="held") == [(4, 4), (2, 4)]
        with pytest.raises(UnknownNameError, match="Unknown column 'sesion'"):
            ask(tiny, hold="sesion")


def test_steps_of_one_of_several_open_sessions(tmp_path: Path) -> None:
    """ann opens at 10:00 and at 10:05; of her plays at 10:06 and 10:07 the first is the older session's, the second
    the younger's. ben's two opens have one play, the older's: so 3 of 4 sessions play, as 1 - bounce_session says."""
    rows = [
        *[("ann", "10:00", "open"), ("ann", "10:05", "open"), ("ann", "10:06", "play"), ("ann", "10:07", "play")],
        *[("ann", "10:10", "close"), ("ann", "10:20", "close")],
        *[("ben", "10:00", "open"), ("ben", "10:05", "open"), ("ben", "10:06", "play"), ("ben", "10:20", "close")],
    ]
    settings = {
        "session": {"mode": "bracket", "start": "open", "end": "close"},
        "watch": {"content": "title"},
        "measures": {"plays": {"event": "play"}},
    }
    with Tiny(tmp_path, settings, columns={"title": pa.string()}) as tiny:
        tiny.add({**row, "title": "t" if row["event_name"] == "play" else None} for row in events(rows))
        tiny.build()
        assert ask(tiny, hold="session", count="held") == [(4, 4), (3, 4)]
        assert ask(tiny, hold="session") == [(2, 2), (2, 2)]
        assert row_of(tiny, "bounce_session")["value"] == pytest.approx(1 / 4)
