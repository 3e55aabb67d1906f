"""Activation over tiny tables worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tidelake.engine.result import Result
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.metrics.activation import activation, activation_members, activation_of
from tidelake.metrics.intervals import wilson

SETTINGS = {"dimensions": ["region"], "watch": {"column": "seconds", "event": "watch"}}
COLUMNS = {"region": pa.string(), "seconds": pa.float64()}
OPTIONS = ("by", "where", "grain", "start", "end")


def event(actor: str, at: str, name: str = "open", **more: Any) -> dict[str, Any]:
    return {
        "actor_id": actor,
        "event_time": f"2025-{at}",
        "event_name": name,
        "event_id": f"{actor} {at} {name}",
        **more,
    }


# The data begin on 1 January and end on 9 March at noon, so that who came until 28 January may have been there before.
EVENTS = [
    event("old", "01-01 10:00"),
    event("old", "03-03 10:00", "play"),
    event("ann", "03-03 10:00", region="north"),
    event("ann", "03-03 11:00", "play", region="south"),
    event("ann", "03-04 09:00", "play"),
    event("bob", "03-03 10:00", region="north"),
    event("bob", "03-04 10:00", "play"),  # exactly a day later
    event("cyd", "03-04 10:00"),
    {**event("cyd", "03-05 10:00", "play"), "event_time": datetime(2025, 3, 5, 10, 0, 0, 1, tzinfo=UTC)},
    event("dan", "03-04 10:00", "play"),  # new by the very event
    event("eve", "03-08 11:00"),  # a day has ended
    event("fay", "03-08 13:00"),  # has not
    event("fay", "03-08 14:00", "play"),
    event("bot", "03-03 10:00", "play", traffic_class="bot"),
    event("gus", "03-03 09:00", "play", interactive=False),
    event("zed", "03-09 12:00"),
]


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Tiny]:
    with Tiny(tmp_path, SETTINGS, columns={**COLUMNS, "interactive": pa.bool_()}) as made:
        made.add(EVENTS)
        yield made


def asked(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    cut = {"start": date(2025, 3, 3), "end": date(2025, 3, 8)}
    cut |= {name: given for name, given in options.items() if name in OPTIONS}
    return cut, {name: given for name, given in options.items() if name not in OPTIONS}


def ask(tiny: Tiny, criterion: str | None = "play", **options: Any) -> Result:
    cut, rest = asked(options)
    definition = activation_of(criterion, **({"within": "1d"} | rest))
    return tiny.ask(activation, definition, **cut)


def activated(tiny: Tiny, criterion: str | None = "play", **options: Any) -> dict[str, int]:
    cut, rest = asked(options)
    definition = activation_of(criterion, **({"within": "1d"} | rest))
    rows = tiny.ask(activation_members, definition, **cut).to_dicts()
    return {row["actor_id"]: row["in_numerator"] for row in rows}


def test_new_actors_who_play_within_a_day(tiny: Tiny) -> None:
    """Ann after an hour, bob at the last instant, dan at once; cyd a microsecond too late, eve never. 3 of 5."""
    row = ask(tiny).to_dicts()[0]
    assert (row["value"], row["numerator"], row["denominator"]) == (0.6, 3, 5)
    assert (row["ci_low"], row["ci_high"]) == wilson(3, 5)
    assert (row["open_actors"], row["possibly_old"]) == (1, 0)
    assert row["seconds_median"] == 3600  # of 0, 1 h and 24 h
    assert activated(tiny) == {"ann": 1, "bob": 1, "cyd": 0, "dan": 1, "eve": 0}


def test_the_first_event_may_not_count(tiny: Tiny) -> None:
    assert activated(tiny, after_first=True) == {"ann": 1, "bob": 1, "cyd": 0, "dan": 0, "eve": 0}


def test_what_stands_before_the_first_activity_does_not_activate(tmp_path: Path) -> None:
    """Both at 10:00, the play passive. By seq ann's play comes before what makes her new, and bob's after it."""
    with Tiny(tmp_path, SETTINGS, columns={**COLUMNS, "interactive": pa.bool_()}) as tiny:
        for actor, open_, play in (("ann", 2, 1), ("bob", 1, 2)):
            opened = event(actor, "03-03 10:00", seq=open_)
            tiny.add([opened, event(actor, "03-03 10:00", "play", seq=play, interactive=False)])
        tiny.add([event("zed", "01-01 12:00"), event("zed", "03-09 12:00")])
        row = ask(tiny, within="1d").to_dicts()[0]
    assert (row["numerator"], row["denominator"]) == (1, 2)


def test_it_may_take_several_times(tiny: Tiny) -> None:
    """Ann's second play comes 23 hours after her first event."""
    assert activated(tiny, times=2) == {"ann": 1, "bob": 0, "cyd": 0, "dan": 0, "eve": 0}
    assert ask(tiny, times=2).to_dicts()[0]["seconds_median"] == 23 * 3600


def test_who_came_when_the_data_began_is_not_new(tiny: Tiny) -> None:
    january = {"start": date(2025, 1, 1), "end": date(2025, 1, 31)}
    row = ask(tiny, **january).to_dicts()[0]
    assert (row["value"], row["denominator"], row["possibly_old"]) == (None, 0, 1)
    assert ask(tiny, warmup="0d", **january).to_dicts()[0]["denominator"] == 1


def test_periods_and_segments_are_those_of_the_first_activity(tiny: Tiny) -> None:
    daily = {
        row["period_start"].day: (row["numerator"], row["denominator"]) for row in ask(tiny, grain="day").to_dicts()
    }
    assert daily == {3: (2, 2), 4: (1, 2), 5: (0, 0), 6: (None, None), 7: (None, None), 8: (0, 1)}
    north = ask(tiny, by=["region"]).to_dicts()
    assert {row["region"]: (row["numerator"], row["denominator"]) for row in north} == {
        "north": (2, 2),
        "(unknown)": (1, 3),
    }
    assert activated(tiny, where="region = 'north'") == {"ann": 1, "bob": 1}


def test_the_first_session_activates(tmp_path: Path) -> None:
    """Ann watches 20 + 10 seconds in her first session, bob 29 and later 60, cyd nothing: 1 of 3.

    Cyd's session has no watch event: its seconds are none, which is not enough.
    """
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as tiny:
        tiny.add(
            [
                event("ann", "03-03 10:00", "watch", seconds=20.0, region="north"),
                event("ann", "03-03 10:10", "watch", seconds=10.0),
                event("bob", "03-03 10:00", "watch", seconds=29.0, region="south"),
                event("bob", "03-03 15:00", "watch", seconds=60.0),
                event("cyd", "03-03 10:00", region="south"),
                event("dan", "03-07 10:00"),
            ]
        )
        tiny.build()
        first = {"session": "watch_seconds >= 30", "warmup": "0d", "within": None}
        assert activated(tiny, None, **first) == {"ann": 1, "bob": 0, "cyd": 0}
        cut = ask(tiny, None, by=["region"], **first).to_dicts()
        found = {row["region"]: row["value"] for row in cut}
        assert found == {"north": 1, "south": 0, "(unknown)": None}  # dan is open
        with pytest.raises(UnknownNameError, match="in --session"):
            ask(tiny, None, session="watch_secnds >= 30")


def test_what_is_wrong_is_said(tiny: Tiny) -> None:
    with pytest.raises(DefinitionError, match="name what activates"):
        activation_of(None)
    with pytest.raises(DefinitionError, match="name what activates"):
        activation_of("play", session="watch_seconds > 3")
    with pytest.raises(UnknownNameError, match="pley"):
        ask(tiny, "pley")
    with pytest.raises(UnknownNameError, match="regoin"):
        ask(tiny, by=["regoin"])
    with pytest.raises(DefinitionError, match=r"gold\.sessions"):
        ask(tiny, None, session="watch_seconds >= 30")


def test_an_empty_lake_has_no_rows(tmp_path: Path) -> None:
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as tiny:
        assert len(ask(tiny, start=None, end=None)) == 0
