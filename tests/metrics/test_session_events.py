"""Events put into sessions again agree with sessions written a second time, by plain loops."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.checks.sessions import Event, naive_sessions
from tests.gold.tiny import Tiny
from tests.metrics.asking import parts_of, row_of

MEASURES = {"views": {"event": "view"}, "browses": {"event": "browse"}, "key_events": {"event": "buy"}}
START = datetime(2025, 3, 3, 21, tzinfo=UTC)
NAMES = st.sampled_from(["view", "browse", "buy", "other"])
# Minutes between events: ties, gaps within and beyond the timeout, a night.
GAPS = st.sampled_from([0, 0, 1, 4, 6, 29, 30, 31, 90, 500])
RULES = (
    {"mode": "ignore"},
    {"mode": "ignore", "split_at_midnight": True},
    {"mode": "ignore", "split_by": ["device"]},
    {"mode": "verify", "cap": "4h"},
    {"mode": "trust"},
)


@st.composite
def logs(draw: st.DrawFn) -> list[dict[str, Any]]:
    found = []
    for actor in ("ann", "bob"):
        at = START
        for number, (name, gap) in enumerate(draw(st.lists(st.tuples(NAMES, GAPS), min_size=1, max_size=14))):
            at += timedelta(minutes=gap)
            found.append(
                {
                    "event_time": at,
                    "actor_id": actor,
                    "event_name": name,
                    "event_id": f"{actor}{number:02d}",
                    "device": draw(st.sampled_from(["tv", "phone"])),
                    "session_id": draw(st.sampled_from([f"{actor}1", f"{actor}2", None])),
                    "interactive": name != "other",
                }
            )
    return found


def browsed(session: list[Event]) -> float:
    """Seconds from each browse event to the next event of the session, at most five minutes each."""
    waits = [(one, (other["event_time"] - one["event_time"]).total_seconds()) for one, other in pairwise(session)]
    return sum(min(wait, 300) for one, wait in waits if one["event_name"] == "browse")


def is_engaged(session: list[Event]) -> bool:
    names = [event["event_name"] for event in session]
    long = session[-1]["event_time"] - session[0]["event_time"] > timedelta(seconds=10)
    return long or names.count("view") >= 2 or "buy" in names


def is_single_view(session: list[Event]) -> bool:
    names = [event["event_name"] for event in session]
    return names.count("view") == 1 and set(names) <= {"view", "other"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: "-".join(map(str, rule.values())))
@settings(max_examples=5, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(log=logs())
def test_events_are_counted_in_the_sessions_that_hold_them(rule: dict[str, Any], log: list[dict[str, Any]]) -> None:
    options: dict[str, Any] = {"mode": rule["mode"], "split_by": tuple(rule.get("split_by", ()))}
    options |= {"midnight": rule.get("split_at_midnight", False)}
    options |= {"cap": timedelta(hours=4)} if "cap" in rule else {}
    expected = naive_sessions(log, **options)
    columns = {"device": pa.string(), "interactive": pa.bool_()}
    with (
        TemporaryDirectory() as folder,
        Tiny(Path(folder), {"session": rule, "measures": MEASURES}, columns=columns) as tiny,
    ):
        tiny.add([*log, {"event_time": "2025-03-31 00:00", "event_id": "end", "actor_id": "end"}])
        tiny.build()
        month: dict[str, Any] = {"grain": "month", "where": "actor_id <> 'end'"}
        total = len(expected)
        assert row_of(tiny, "sessions", **month)["value"] == total
        assert row_of(tiny, "browsing_seconds", **month)["value"] == sum(map(browsed, expected))
        if total:
            assert parts_of(tiny, "engagement_rate", **month)[1:] == (sum(map(is_engaged, expected)), total)
            assert parts_of(tiny, "bounce_single_view", **month)[1:] == (sum(map(is_single_view, expected)), total)
