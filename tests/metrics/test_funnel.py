"""Funnels: vendors' examples, tiny tables worked out by hand, and a naive reference over random histories."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tidelake.engine.result import Result
from tidelake.errors import DefinitionError, QueryError, UnknownNameError
from tidelake.metrics.funnel import funnel, funnel_members
from tidelake.metrics.funnel_definition import funnel_of
from tidelake.metrics.intervals import ratio_of_sums, wilson

COLUMNS = {"region": pa.string(), "seconds": pa.float64()}
FAR = {"event_time": "2025-04-30 12:00", "actor_id": "zed", "event_name": "other"}  # the watermark
MARCH = {"start": date(2025, 3, 1), "end": date(2025, 3, 31)}


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Tiny]:
    with Tiny(tmp_path, columns=COLUMNS) as made:
        yield made


def story(actor: str, *steps: str, day: int = 3, **more: Any) -> list[dict[str, Any]]:
    """Events of an actor from texts such as `A 1:00`."""
    events = []
    for number, step in enumerate(steps):
        name, _, clock = step.partition(" ")
        hour, minute = clock.split(":")
        event = {"event_time": f"2025-03-{day:02d} {int(hour):02d}:{minute}", "actor_id": actor, "event_name": name}
        events.append({**event, "event_id": f"{actor}-{day}-{number:02d}", **more})
    return events


def ask(tiny: Tiny, steps: Sequence[str] = ("A", "B", "C"), **options: Any) -> Result:
    asked = {name: options.pop(name) for name in ("by", "where", "grain", "start", "end") if name in options}
    definition = funnel_of(steps, **{"window": "1h", **options})
    return tiny.ask(funnel, definition, **{**MARCH, **asked})


def reached(result: Result) -> list[float | None]:
    return [row["numerator"] for row in result.to_dicts()]


def numbers(result: Result) -> list[tuple[Any, ...]]:
    names = ("numerator", "denominator", "ci_low", "seconds_median", "seconds_p90", "open_entries")
    return [tuple(row[name] for name in names) for row in result.to_dicts()]


def depths(tiny: Tiny, steps: Sequence[str], **options: Any) -> dict[str, int]:
    """Steps reached by each actor that entered, by the members of the numbers."""
    asked = {name: options.pop(name) for name in ("where",) if name in options}
    definition = funnel_of(steps, **{"window": "1h", **options})
    found = tiny.ask(funnel_members, definition, **{**MARCH, **asked})
    deepest: dict[str, int] = {}
    for row in found.to_dicts():
        deepest[row["actor_id"]] = deepest.get(row["actor_id"], 0) + min(row["in_numerator"], 1)
    return deepest


# --- vendors' example


def test_mixpanel_s_example_is_two_deep_under_first_and_three_under_best(tiny: Tiny) -> None:
    """A 1:00, A 1:30, B 1:45, C 2:15 within an hour: from 1:00 C is late, from 1:30 it is not."""
    tiny.add([*story("ann", "A 1:00", "A 1:30", "B 1:45", "C 2:15"), FAR])
    assert reached(ask(tiny, attempt="first")) == [1, 1, 0]
    best = ask(tiny, attempt="best").to_dicts()
    assert [row["numerator"] for row in best] == [1, 1, 1]
    assert [row["seconds_median"] for row in best] == [None, 15 * 60, 45 * 60]


# --- by hand


def test_the_window_holds_its_last_instant(tiny: Tiny) -> None:
    late = {"event_time": datetime(2025, 3, 3, 2, 0, 0, 1, tzinfo=UTC), "actor_id": "bob", "event_name": "B"}
    tiny.add([*story("ann", "A 1:00", "B 2:00"), *story("bob", "A 1:00"), late, FAR])
    assert depths(tiny, ["A", "B"]) == {"ann": 2, "bob": 1}


def test_rates_intervals_and_times(tiny: Tiny) -> None:
    """Four enter, three do B after 10, 20 and 30 minutes, one C after 40.

    Shares 3/4 and 1/4 of those who entered, 1/3 of those before. The median of 10, 20, 30 is 20, and the 90 % point
    lies .9 * 2 = 1.8 steps up: 28 minutes.
    """
    tiny.add(
        [
            *story("ann", "A 1:00", "B 1:10", "C 1:40"),
            *story("bob", "A 1:00", "B 1:20"),
            *story("cyd", "A 1:00", "B 1:30"),
            *story("dan", "A 1:00"),
            *story("eve", "B 1:00", "C 1:10"),
            FAR,
        ]
    )
    first, second, third = ask(tiny).to_dicts()
    assert (first["value"], first["denominator"], first["n"], first["ci_low"]) == (1, 4, 4, None)
    assert (second["value"], second["step_value"], second["numerator"]) == (0.75, 0.75, 3)
    assert (second["ci_low"], second["ci_high"]) == wilson(3, 4)
    assert (second["seconds_median"], second["seconds_p90"]) == (1200, pytest.approx(28 * 60))
    assert (third["value"], third["step_value"]) == (0.25, pytest.approx(1 / 3))
    assert [first["status"], first["open_entries"]] == ["degraded", 0]  # most days of March have no events


@pytest.mark.parametrize("asked", [{}, {"by": ["region"]}, {"grain": "month"}, {"count": "entry"}])
def test_medians_have_the_rows_that_bound_them(tiny: Tiny, asked: dict[str, Any]) -> None:
    """Nine take 10, 20 ... 90 minutes to B: the sign test's ranks for nine are 2 and 8; three get to C: too few.

    With two entries each, of the same length, rows of an actor are alike: no bound moves.
    """
    for number in range(1, 10):
        then = f"{1 + number // 6}:{number % 6}0"
        tiny.add(story(f"u{number}", "A 1:00", f"B {then}", *(["C 3:00"] if number < 4 else []), region="north"))
        if asked.get("count") == "entry":
            again = f"{11 + number // 6}:{number % 6}0"
            tiny.add(story(f"u{number}", "A 11:00", f"B {again}", region="north"))
    tiny.add([FAR])
    options = {name: asked[name] for name in ("by", "grain") if name in asked}
    definition = funnel_of(["A", "B", "C"], window="4h", count=asked.get("count", "actor"))
    rows = tiny.ask(funnel, definition, **options, **MARCH).to_dicts()
    second, third = (next(row for row in rows if row["step"] == step) for step in (2, 3))
    assert [second[f"seconds_median{end}"] for end in ("_low", "", "_high")] == [1200, 3000, 4800]
    assert (third["seconds_median_low"], third["seconds_median_high"]) == (None, None)


def test_one_event_fills_one_step(tiny: Tiny) -> None:
    tiny.add([*story("ann", "A 1:00"), *story("bob", "A 1:00", "A 1:10"), FAR])
    for order in ("ordered", "strict"):
        assert depths(tiny, ["A", "A"], order=order) == {"ann": 1, "bob": 2}
    with pytest.raises(DefinitionError, match="more than one step"):
        ask(tiny, ["A", "A"], order="any")


def test_equal_times_count_in_the_order_of_seq_then_of_the_id(tiny: Tiny) -> None:
    at = {"event_time": "2025-03-03 01:00"}
    tiny.add(
        [
            {**at, "actor_id": "ann", "event_name": "A", "seq": 1, "event_id": "z"},
            {**at, "actor_id": "ann", "event_name": "B", "seq": 2, "event_id": "a"},
            {**at, "actor_id": "bob", "event_name": "A", "seq": 2, "event_id": "a"},
            {**at, "actor_id": "bob", "event_name": "B", "seq": 1, "event_id": "z"},
            {**at, "actor_id": "cyd", "event_name": "A", "event_id": "c1"},
            {**at, "actor_id": "cyd", "event_name": "B", "event_id": "c2"},
            {**at, "actor_id": "dan", "event_name": "A", "event_id": "d2"},
            {**at, "actor_id": "dan", "event_name": "B", "event_id": "d1"},
            FAR,
        ]
    )
    assert depths(tiny, ["A", "B"]) == {"ann": 2, "bob": 1, "cyd": 2, "dan": 1}
    assert depths(tiny, ["A", "B"], simultaneity="1s") == {"ann": 2, "bob": 2, "cyd": 2, "dan": 2}


def test_simultaneity_lets_a_step_come_a_little_early(tiny: Tiny) -> None:
    """Mixpanel lets 2 seconds pass: B at 59:58 follows A at 60:00, B at 59:57 does not."""
    for actor, second in (("ann", 58), ("bob", 57)):
        early = {"event_time": datetime(2025, 3, 3, 0, 59, second, tzinfo=UTC), "actor_id": actor, "event_name": "B"}
        tiny.add([*story(actor, "A 1:00"), {**early, "event_id": f"b-{actor}"}])
    tiny.add([FAR])
    assert depths(tiny, ["A", "B"], simultaneity="2s") == {"ann": 2, "bob": 1}
    assert ask(tiny, ["A", "B"], simultaneity="2s").to_dicts()[1]["seconds_median"] == 0
    assert depths(tiny, ["A", "B"]) == {"ann": 1, "bob": 1}


def test_strict_knows_no_event_between_and_any_knows_no_order(tiny: Tiny) -> None:
    tiny.add(
        [
            *story("ann", "A 1:00", "B 1:10", "C 1:20"),
            *story("bob", "A 1:00", "scroll 1:05", "B 1:10", "C 1:20"),
            *story("cyd", "C 1:00", "B 1:10", "A 1:20"),
            *story("dan", "C 1:00", "A 2:10"),
            FAR,
        ]
    )
    assert depths(tiny, ["A", "B", "C"], order="strict") == {"ann": 3, "bob": 1, "cyd": 1, "dan": 1}
    assert depths(tiny, ["A", "B", "C"], order="ordered") == {"ann": 3, "bob": 3, "cyd": 1, "dan": 1}
    assert depths(tiny, ["A", "B", "C"], order="any") == {"ann": 3, "bob": 3, "cyd": 3, "dan": 1}
    times = [row["seconds_median"] for row in ask(tiny, order="any", where="actor_id = 'cyd'").to_dicts()]
    assert times == [None, 600, 1200]


def test_of_first_attempts_only_those_that_would_count_are_open(tiny: Tiny) -> None:
    """At 12:00 the windows from 11:30 and 11:40 run. Of ann 9:00 counts, so that her 11:30 is no attempt of `first`;
    bob's 11:30 is one, and his 11:40 none. Under `best` each of the three could have got deepest."""
    end = {"event_time": "2025-03-03 12:00", "actor_id": "zed", "event_name": "other"}
    tiny.add([*story("ann", "A 9:00", "B 9:10", "A 11:30"), *story("bob", "A 11:30", "A 11:40"), end])
    for attempt, waiting in (("first", 1), ("best", 3)):
        rows = ask(tiny, ["A", "B"], attempt=attempt).to_dicts()
        assert [(row["numerator"], row["open_entries"]) for row in rows] == [(1, waiting), (1, waiting)]


def test_an_exclusion_ends_the_attempt_where_it_is(tiny: Tiny) -> None:
    tiny.add(
        [
            *story("ann", "A 1:00", "X 1:05", "B 1:10", "C 1:20"),
            *story("bob", "A 1:00", "B 1:10", "X 1:15", "C 1:20"),
            *story("cyd", "A 1:00", "B 1:10", "C 1:20", "X 1:25"),
            *story("dan", "A 1:00", "X 1:05", "A 1:07", "B 1:10", "C 1:20"),  # a second attempt
            *story("eve", "A 1:00", "B 1:10", "X 1:15", "B 1:16", "C 1:20"),  # one attempt, at B when X comes
            FAR,
        ]
    )
    steps = ["A", "B", "C"]
    assert depths(tiny, steps, exclude=["X"]) == {"ann": 1, "bob": 2, "cyd": 3, "dan": 3, "eve": 2}
    assert depths(tiny, steps, exclude=["X"], attempt="first")["dan"] == 1
    assert depths(tiny, steps, exclude=["1-2: X"]) == {"ann": 1, "bob": 3, "cyd": 3, "dan": 3, "eve": 3}
    assert depths(tiny, steps, exclude=["2-3: X"]) == {"ann": 3, "bob": 2, "cyd": 3, "dan": 3, "eve": 2}


def test_held_columns_are_the_same_in_all_steps(tiny: Tiny) -> None:
    def in_session(actor: str, session: str | None, *steps: str) -> list[dict[str, Any]]:
        return [{**row, "event_id": f"{session}-{row['event_id']}"} for row in story(actor, *steps, session_id=session)]

    tiny.add(
        [
            *in_session("ann", "s1", "A 1:00"),
            *in_session("ann", "s2", "B 1:10"),
            *in_session("bob", "s1", "A 1:00", "B 1:10"),
            *in_session("bob", "s2", "A 1:05"),
            *in_session("bob", "s3", "A 1:05"),
            *in_session("cyd", None, "A 1:00", "B 1:10"),
            FAR,
        ]
    )
    assert depths(tiny, ["A", "B"]) == {"ann": 2, "bob": 2, "cyd": 2}
    assert depths(tiny, ["A", "B"], hold="session_id") == {"ann": 1, "bob": 2}
    # By session: ann 0 of 1, bob 1 of 3; the sessions of an actor belong together.
    row = ask(tiny, ["A", "B"], hold="session_id", count="held").to_dicts()[1]
    value, bounds = ratio_of_sums([0, 1], [1, 3])
    assert (row["value"], row["n"], (row["ci_low"], row["ci_high"])) == (value, 4, pytest.approx(bounds))


def test_every_entry_can_count(tiny: Tiny) -> None:
    """Ann enters at 1:00, 1:30, 3:00 and reaches B at 1:45 from the first two; bob enters once and does not."""
    tiny.add([*story("ann", "A 1:00", "A 1:30", "B 1:45", "A 3:00"), *story("bob", "A 1:00"), FAR])
    row = ask(tiny, ["A", "B"], count="entry").to_dicts()[1]
    _, bounds = ratio_of_sums([2, 0], [3, 1])
    assert (row["numerator"], row["denominator"]) == (2, 4)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(bounds)


def test_entries_lie_in_the_range_and_later_steps_may_not(tiny: Tiny) -> None:
    tiny.add([*story("ann", "A 23:50", day=3), *story("ann", "B 0:10", day=4), *story("bob", "A 0:05", day=4), FAR])
    day = {"start": date(2025, 3, 3), "end": date(2025, 3, 3)}
    assert reached(ask(tiny, ["A", "B"], **day)) == [1, 1]
    assert reached(ask(tiny, ["A", "B"], start=date(2025, 3, 4), end=date(2025, 3, 4))) == [1, 0]


def test_open_entries_are_shown_and_left_out(tiny: Tiny) -> None:
    """Data end at 5:00. Within 2 hours ann's entry of 1:00 has ended, hers of 4:00 and bob's of 3:01 have not;
    that of 3:00 has just."""
    tiny.add(
        [
            *story("ann", "A 1:00", "A 4:00", "B 4:10"),
            *story("bob", "A 3:01", "B 3:30"),
            *story("cyd", "A 3:00", "B 4:59", "other 5:00"),
        ]
    )
    result = ask(tiny, ["A", "B"], window="2h", start=date(2025, 3, 3), end=date(2025, 3, 3))
    rows = result.to_dicts()
    assert [(row["numerator"], row["denominator"], row["open_entries"]) for row in rows] == [(2, 2, 2), (1, 2, 2)]
    assert rows[0]["status"] == "open"
    assert "2 entries are open" in result.notes[0]


def test_a_period_is_complete_once_all_windows_have_ended(tiny: Tiny) -> None:
    days = [row for day in range(3, 9) for row in story("ann", "A 1:00", "B 1:05", day=day)]
    tiny.add([*days, *story("ann", "other 13:00", day=9)])
    found = ask(tiny, ["A", "B"], window="2d", grain="day", start=date(2025, 3, 6), end=date(2025, 3, 8)).to_dicts()
    assert [(row["period_start"].day, row["status"], row["denominator"]) for row in found if row["step"] == 1] == [
        (6, "complete", 1),
        (7, "open", 1),  # ended at 1:00 on the 9th, but an entry at 23:59 would not have
        (8, "open", 0),
    ]
    assert found[4]["value"] is None
    assert found[4]["open_entries"] == 1


def test_each_period_counts_an_actor_once(tiny: Tiny) -> None:
    """Week of Monday 3 March: ann's best attempt is that of Wednesday; week of the 10th: she enters only."""
    tiny.add(
        [
            *story("ann", "A 1:00", day=3),
            *story("ann", "A 1:00", "B 1:05", day=5),
            *story("ann", "A 1:00", day=10),
            FAR,
        ]
    )
    found = ask(tiny, ["A", "B"], grain="week", start=date(2025, 3, 5), end=date(2025, 3, 11)).to_dicts()
    assert [(row["period_start"].day, row["numerator"]) for row in found] == [(3, 1), (3, 1), (10, 1), (10, 0)]


def test_rows_are_cut_by_the_value_at_the_entry_that_counts(tiny: Tiny) -> None:
    tiny.add(
        [
            *story("ann", "A 1:00", region="north"),
            *[{**row, "event_id": f"2{row['event_id']}"} for row in story("ann", "A 3:00", "B 3:10", region="south")],
            *story("bob", "A 1:00", region=None),
            FAR,
        ]
    )
    found = ask(tiny, ["A", "B"], by=["region"]).to_dicts()
    assert [(row["region"], row["step"], row["numerator"]) for row in found] == [
        ("(unknown)", 1, 1),
        ("(unknown)", 2, 0),
        ("south", 1, 1),
        ("south", 2, 1),
    ]


@pytest.mark.parametrize(
    ("touch", "expected"),
    [
        ("entry", {"(unknown)": [1, 1, 0], "north": [1, 0, 0]}),
        ("first", {"east": [1, 1, 0], "north": [1, 0, 0]}),
        ("last", {"east": [1, 1, 0], "north": [1, 0, 0]}),
        (2, {"east": [1, 1, 0], "(not reached)": [1, 0, 0]}),
    ],
)
def test_rows_are_cut_by_another_touch(tiny: Tiny, touch: str | int, expected: dict[str, list[int]]) -> None:
    """Ann: A without region, B in the east. Bob: A in the north."""
    tiny.add(
        [
            {**story("ann", "A 1:00")[0], "region": None},
            {**story("ann", "B 1:10")[0], "region": "east", "event_id": "later"},
            *story("bob", "A 1:00", region="north"),
            {**FAR, "event_name": "C"},
        ]
    )
    found: dict[str, list[float]] = {}
    for row in ask(tiny, by=["region"], touch=touch).to_dicts():
        found.setdefault(row["region"], []).append(row["numerator"])
    assert found == expected


def test_open_entries_are_not_said_to_have_missed_a_step(tiny: Tiny) -> None:
    tiny.add([*story("ann", "A 1:00", "B 1:10", region="north"), *story("bob", "A 4:50", "other 5:00", region="south")])
    day = {"start": date(2025, 3, 3), "end": date(2025, 3, 3)}
    rows = ask(tiny, ["A", "B"], by=["region"], touch=2, **day).to_dicts()
    assert [(row["region"], row["numerator"], row["open_entries"]) for row in rows] == [
        ("(open)", 0, 1),
        ("(open)", 0, 1),
        ("north", 1, 0),
        ("north", 1, 0),
    ]


def test_steps_have_conditions(tiny: Tiny) -> None:
    tiny.add([{**story("ann", "A 1:00")[0]}, {**story("ann", "B 1:10")[0], "seconds": 5.0, "event_id": "b"}, FAR])
    assert reached(ask(tiny, ["A", "B where seconds > 3"])) == [1, 1]
    assert reached(ask(tiny, ["A", "B where seconds > 9"])) == [1, 0]
    assert reached(ask(tiny, ["A", "where seconds > 3"])) == [1, 1]


def test_bots_and_events_without_actor_do_not_count(tiny: Tiny) -> None:
    bot = story("ann", "A 1:00", "B 1:10", traffic_class="bot")
    tiny.add([*bot, {**story("x", "A 1:00")[0], "actor_id": None}, FAR])
    rows = ask(tiny, ["A", "B"]).to_dicts()
    assert [(row["value"], row["denominator"]) for row in rows] == [(None, 0), (None, 0)]


def test_small_values_become_other(tiny: Tiny) -> None:
    tiny.add([row for index in range(5) for row in story(f"u{index}", "A 1:00", region=f"r{min(index, 3)}")] + [FAR])
    definition = funnel_of(["A", "A"], window="1h")
    result = tiny.ask(funnel, definition, by=["region"], segment_limit=1, **MARCH)
    assert [(row["region"], row["numerator"]) for row in result.to_dicts()][::2] == [("(other)", 3), ("r3", 2)]


def test_what_is_wrong_is_said(tiny: Tiny) -> None:
    tiny.add([*story("ann", "video_play 1:00"), FAR])
    with pytest.raises(UnknownNameError, match="video_pley") as caught:
        ask(tiny, ["video_play", "video_pley"])
    assert "video_play" in str(caught.value.hint)
    with pytest.raises(UnknownNameError, match="regoin"):
        ask(tiny, ["video_play", "other"], by=["regoin"])
    with pytest.raises(UnknownNameError, match="sesion_id"):
        ask(tiny, ["video_play", "other"], hold=["sesion_id"])
    with pytest.raises(UnknownNameError, match="grain"):
        ask(tiny, ["video_play", "other"], grain="hour")
    with pytest.raises(QueryError):
        ask(tiny, ["video_play where now() > event_time", "other"])
    for wrong in (
        {"window": "0s"},
        {"window": "soon"},
        {"order": "any", "exclude": ["X"]},
        {"order": "strict", "simultaneity": "1s"},
        {"count": "held"},
        {"touch": 4},
        {"exclude": ["2-2: X"]},
    ):
        with pytest.raises(DefinitionError):
            funnel_of(["A", "B"], **wrong)
    for few in (["A"], "A", []):
        with pytest.raises(DefinitionError, match="at least two steps"):
            funnel_of(few)


def test_a_project_of_counts_alone_has_no_funnels(tiny: Tiny) -> None:
    with pytest.raises(DefinitionError, match="Funnel needs a source of events: this project counts entities only"):
        funnel(tiny.engine, tiny.lake, tiny.project, {}, funnel_of(["A", "B"]))


def test_an_empty_lake_has_no_rows(tiny: Tiny) -> None:
    result = ask(tiny, ["A", "B"], start=None, end=None, where="region = 'north'")
    assert len(result) == 0
    assert "no events" in result.notes[0]


@pytest.mark.parametrize(
    "asked",
    [
        {"by": ["region"]},
        {"by": ["region"], "grain": "week", "attempt": "first"},
        {"count": "entry"},
        {"count": "held", "hold": "session_id"},
        {"by": ["region"], "touch": "last"},
    ],
)
def test_members_add_up_to_the_numbers(tiny: Tiny, asked: dict[str, Any]) -> None:
    ann = story("ann", "A 1:00", "A 1:10", "B 1:30", "A 3:00", region="north", session_id="s1")
    bob = [*story("bob", "A 1:00", region="south"), *story("bob", "A 5:00", "B 5:10", day=12, session_id="s2")]
    tiny.add([*ann, *bob, *story("cyd", "A 1:00", "B 2:01", session_id="s3"), FAR])
    cut = {name: asked[name] for name in ("by", "grain") if name in asked}
    definition = funnel_of(["A", "B"], window="1h", **{name: asked[name] for name in asked if name not in cut})
    counted: dict[tuple[Any, ...], list[int]] = {}
    for row in tiny.ask(funnel_members, definition, **MARCH, **cut).to_dicts():
        cell = counted.setdefault((row["period_start"], row.get("region"), row["step"]), [0, 0])
        cell[0] += row["in_numerator"]
        cell[1] += row["in_denominator"]
    shown = {
        (row["period_start"], row.get("region"), row["step"]): [row["numerator"], row["denominator"]]
        for row in tiny.ask(funnel, definition, **MARCH, **cut).to_dicts()
        if row["denominator"]
    }
    assert counted == shown


# --- against a naive reference


Row = tuple[int, int, str, str]  # minute, seq, id, name


def naive_depth(
    events: Sequence[Row], entry: int, steps: Sequence[str], order: str, window: int, excluded: Iterable[int]
) -> int:
    """How far the attempt gets that begins with event number `entry`; events are in order."""
    start = events[entry][0]
    if order == "strict":
        depth = 0
        for event, step in zip(events[entry:], steps, strict=False):
            if event[3] != step or event[0] - start > window:
                break
            depth += 1
        return depth
    if order == "any":
        return len({event[3] for event in events if start <= event[0] <= start + window} & set(steps))
    depth, gaps = 1, set(excluded)
    for event in events[entry + 1 :]:
        if event[0] - start > window or depth == len(steps):
            break
        if event[3] == steps[depth]:
            depth += 1
        elif event[3] == "X" and depth in gaps:
            break
    return depth


def naive_search(events: Sequence[Row], entry: int, steps: Sequence[str], window: int) -> int:
    """The deepest of all ways through the steps from an entry, by trying each."""
    start, reachable, depth = events[entry][0], [entry], 1
    for step in steps[1:]:
        reachable = [
            index
            for index in range(min(reachable) + 1, len(events))
            if events[index][3] == step and events[index][0] - start <= window
        ]
        if not reachable:
            break
        depth += 1
    return depth


def naive_depths(histories: dict[str, list[Row]], steps: Sequence[str], asked: dict[str, Any]) -> dict[str, int]:
    """Steps that each actor's best or first attempt reaches."""
    order, window = asked["order"], int(asked["window"].removesuffix("m"))
    first_gap = 2 if any(":" in text for text in asked["exclude"]) else 1
    gaps = range(first_gap, len(steps)) if asked["exclude"] else ()
    expected = {}
    for name, events in histories.items():
        begins = set(steps) if order == "any" else {steps[0]}
        entries = [index for index, event in enumerate(events) if event[3] in begins]
        found = [naive_depth(events, entry, steps, order, window, gaps) for entry in entries]
        if order == "ordered" and not gaps:
            assert found == [naive_search(events, entry, steps, window) for entry in entries]
        if found:
            expected[name] = max(found) if asked["attempt"] == "best" else found[0]
    return expected


def questions() -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Funnels of every order, with one event in two steps where that is possible, windows, attempts and exclusions."""
    lists = (["A", "B"], ["A", "B", "C", "D"], ["A", "B", "A", "C"])
    for order, steps, window, attempt in product(("strict", "ordered", "any"), lists, (5, 15), ("best", "first")):
        if order == "any" and steps.count("A") > 1:
            continue
        yield steps, {"order": order, "window": f"{window}m", "attempt": attempt, "exclude": []}
        if order == "ordered":
            yield steps, {"order": order, "window": f"{window}m", "attempt": attempt, "exclude": ["X"]}
        if order == "ordered" and len(steps) > 2:
            late = [f"2-{len(steps)}: X"]
            yield steps, {"order": order, "window": f"{window}m", "attempt": attempt, "exclude": late}


def histories_of(chance: random.Random) -> dict[str, list[Row]]:
    """400 actors with up to 12 events in 25 minutes, many at the same time."""
    return {
        f"u{actor:03d}": sorted(
            (chance.randrange(25), chance.randrange(2), f"{actor}-{number:02d}", chance.choice("AABBCCDXY"))
            for number in range(chance.randint(1, 12))
        )
        for actor in range(400)
    }


def test_random_histories_agree_with_a_naive_reference(tiny: Tiny) -> None:
    """Every actor's depth, by the members; counts never rise, and strict <= ordered <= any at the last step."""
    chance = random.Random(20250303)
    histories = histories_of(chance)
    base = datetime(2025, 3, 3, 9, tzinfo=UTC)
    rows = [
        {"event_time": base + timedelta(minutes=at), "seq": seq, "event_id": key, "actor_id": actor, "event_name": name}
        for actor, events in histories.items()
        for at, seq, key, name in events
    ]
    chance.shuffle(rows)
    tiny.add([*rows, FAR])
    last: dict[tuple[Any, ...], list[int]] = {}
    for steps, asked in questions():
        expected = naive_depths(histories, steps, asked)
        assert depths(tiny, steps, **asked) == expected, asked
        counts = [sum(depth >= step for depth in expected.values()) for step in range(1, len(steps) + 1)]
        assert counts == sorted(counts, reverse=True)
        if asked["attempt"] == "best" and not asked["exclude"]:
            result = ask(tiny, steps, **asked)
            assert reached(result) == counts
            assert numbers(ask(tiny, steps, grain="month", **asked)) == numbers(result)  # by another road
            last.setdefault((*steps, asked["window"]), []).append(counts[-1])
    for found in last.values():
        assert found == sorted(found)  # strict, ordered, any
