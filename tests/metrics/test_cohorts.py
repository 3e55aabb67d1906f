"""Saved cohorts on a lake worked out by hand, and on random logs against plain Python."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from tests.gold.tiny import Tiny
from tidelake.config import Project
from tidelake.contracts.source import source_from
from tidelake.engine.result import Result
from tidelake.errors import DefinitionError, ProjectError, QueryError, UnknownNameError
from tidelake.metrics.cohort_definition import Cohort
from tidelake.metrics.cohort_listing import cohort_members, cohorts_of
from tidelake.metrics.cohorts import answered, load_cohorts
from tidelake.metrics.funnel import funnel, funnel_members
from tidelake.metrics.funnel_definition import funnel_of
from tidelake.metrics.lifecycle import lifecycle, lifecycle_members
from tidelake.metrics.measure import measure
from tidelake.metrics.power_curve import power_curve, power_curve_members
from tidelake.metrics.retention import Retention, retention
from tidelake.metrics.stickiness import stickiness, stickiness_members

SETTINGS = {
    "dimensions": ["region"],
    "measures": {"plays": {"event": "play"}},
    "watch": {"column": "seconds", "event": "play"},
}
COLUMNS = {"region": pa.string(), "seconds": pa.float64()}
DAY = date(2025, 3, 10)


def event(day: int, actor: str | None, name: str = "play", hour: int = 10, **more: Any) -> dict[str, Any]:
    return {
        "event_time": f"2025-03-{day:02d} {hour:02d}:00",
        "actor_id": actor,
        "event_name": name,
        "region": "north",
        "seconds": 30.0 if name == "play" else None,
        "event_id": f"{day}-{hour}-{actor}-{name}",
        **more,
    }


# A question from Monday 10 March on. Before it: ann plays on three days, bob twice on one, cyd opens only, dan plays
# before the last seven days. On it and after: eve is there for the first time, and nobody knows who sent an event.
EVENTS = [
    event(1, "dan"),
    event(3, "ann"),
    event(4, "ann", region="south"),
    event(5, "ann"),
    event(4, "bob", hour=8),
    event(4, "bob", hour=9),
    event(5, "cyd", "open"),
    event(6, "ann", "buy"),
    event(7, "cyd", traffic_class="bot"),
    event(8, "cyd", "open"),
    *(event(day, "cyd", "open") for day in (2, 9, 12)),
    *(event(10, actor) for actor in ("ann", "bob", "cyd", "dan", "eve", None)),
    event(10, "ann", hour=11),
    event(11, "eve"),
    event(11, "eve", hour=11),
]
COHORTS: dict[str, Any] = {
    "players": {"did": "play", "window": "last 7 days"},
    "twice": {"did": "play", "at_least": 2, "window": "last 7 days"},
    "two_days": {"did": "play", "on_days": 2, "window": "last 7 days"},
    "once_or_never": {"did": "play", "at_most": 1, "window": "last 7 days"},
    "exactly_two": {"did": {"event": "play"}, "exactly": 2, "window": "last 7 days"},
    "idle": {"did_not": "play", "window": "last 7 days"},
    "ever": {"did": "play"},
    "newcomers": {"first": "play", "window": {"from": "2025-03-04", "to": "2025-03-09"}},
    "southern": {"was": {"region": "south"}},
    "elsewhere": {"was": {"region": ["east", "west"]}},
    "watchers": {"metric": "watch_seconds", "at_least": 60, "window": "last 7 days"},
    "light": {"metric": "watch_seconds", "below": 60, "window": "last 7 days"},
    "buyers_or_pairs": {
        "window": "last 7 days",
        "any": [{"did": "buy"}, {"all": [{"did": "play", "exactly": 2}, {"not": {"did": "open"}}]}],
    },
    "players_now": {"did": "play", "window": "during"},
    "long_plays": {"did": "play where seconds > 60"},
    "active_days": {"metric": "active_days", "at_least": 4},
}
MEMBERS = {
    "players": {"ann", "bob"},  # the bot's play of cyd does not count
    "twice": {"ann", "bob"},
    "two_days": {"ann"},
    "once_or_never": {"cyd", "dan"},
    "exactly_two": {"bob"},
    "idle": {"cyd", "dan"},
    "ever": {"ann", "bob", "dan"},
    "newcomers": {"bob"},  # ann on the 3rd, dan on the 1st
    "southern": {"ann"},
    "elsewhere": set(),
    "watchers": {"ann", "bob"},  # 90 and 60 seconds
    "light": {"cyd", "dan"},
    "buyers_or_pairs": {"ann", "bob"},
    "players_now": {"ann", "bob", "cyd", "dan", "eve"},
    "long_plays": set(),
    "active_days": {"ann", "cyd"},  # 3, 4, 5, 6 and 2, 5, 8, 9
}


def write_cohorts(root: Path, cohorts: Mapping[str, Any]) -> None:
    (root / "cohorts").mkdir(exist_ok=True)
    for name, said in cohorts.items():
        (root / "cohorts" / f"{name}.yml").write_text(yaml.safe_dump(said), encoding="utf-8")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    root = tmp_path_factory.mktemp("cohorts")
    write_cohorts(root, COHORTS)
    with Tiny(root, SETTINGS, columns=COLUMNS) as made:
        made.add(EVENTS)
        made.build()
        yield made


def ask(tiny: Tiny, question: Callable[..., Result], *given: Any, **options: Any) -> Result:
    return answered(question, tiny.engine, tiny.lake, tiny.project, tiny.sources, *given, **options)


def members(result: Result) -> set[str | None]:
    return {row["actor_id"] for row in result.to_dicts()}


def values(result: Result, *names: str) -> dict[Any, Any]:
    return {tuple(row[name] for name in names): row["value"] for row in result.to_dicts()}


@pytest.mark.parametrize("name", COHORTS)
def test_a_cohort_has_the_actors_that_meet_its_conditions(tiny: Tiny, name: str) -> None:
    """By hand, as the comments beside MEMBERS and EVENTS say; actors seen by the last date that it looks at."""
    found = ask(tiny, measure, "dau", start=DAY, end=DAY, cohort=name, members=True)
    assert members(found) == MEMBERS[name]


def test_members_and_size_are_those_of_a_question_that_begins_then(tiny: Tiny) -> None:
    rows = {row["name"]: row for row in ask(tiny, cohorts_of, at=DAY).to_dicts()}
    for name in set(COHORTS) - {"players_now"}:
        assert members(ask(tiny, cohort_members, name, at=DAY)) == MEMBERS[name]
        assert rows[name]["actors"] == len(MEMBERS[name])
        assert rows[name]["share"] == len(MEMBERS[name]) / 4  # ann, bob, cyd and dan were seen before
    one = ask(tiny, cohorts_of, "twice", at=DAY)
    assert "count(*) FILTER" in one.sql
    assert one.to_dicts()[0]["definition"] == "did play at least 2 times in the 7 days before the question"


def test_filter_and_complement_share_the_actors_and_nobody_is_in_neither(tiny: Tiny) -> None:
    within = ask(tiny, measure, "dau", start=DAY, end=DAY, cohort="twice", members=True)
    without = ask(tiny, measure, "dau", start=DAY, end=DAY, cohort="not twice", members=True)
    assert members(within) == {"ann", "bob"}
    assert members(without) == {"cyd", "dan", "eve"}
    both = ask(tiny, measure, "dau", start=DAY, end=DAY, cohort=["twice", "not two_days"], members=True)
    assert members(both) == {"bob"}


def test_values_of_the_dimension_add_up_to_the_total(tiny: Tiny) -> None:
    """10 March has 7 plays: ann two, bob, cyd, dan, eve one each, and one without an actor."""
    found = ask(tiny, measure, "plays", by="cohort.twice", start=DAY, end=DAY)
    assert values(found, "cohort.twice") == {("in",): 3, ("out",): 3, ("(unknown)",): 1}
    assert values(ask(tiny, measure, "plays", start=DAY, end=DAY), "grain") == {("day",): 7}
    by_two = ask(tiny, measure, "dau", by=["cohort.twice", "cohort.southern"], start=DAY, end=DAY)
    assert values(by_two, "cohort.twice", "cohort.southern") == {
        ("in", "in"): 1, ("in", "out"): 1, ("out", "out"): 3
    }  # fmt: skip
    of_sessions = ask(tiny, measure, "sessions", by="cohort.twice", start=DAY, end=DAY)
    assert values(of_sessions, "cohort.twice") == {("in",): 3, ("out",): 3}  # ann at 10 and 11, bob; cyd, dan, eve


def test_a_declared_dimension_and_a_cohort_are_read_from_gold(tiny: Tiny) -> None:
    found = ask(tiny, measure, "dau", by="region", start=DAY, end=DAY, cohort="twice")
    assert values(found, "region") == {("north",): 2}
    assert "gold.user_day_value" in found.sql
    whole = ask(tiny, measure, "dau", start=DAY, end=DAY, cohort="twice", where="region = 'north'")
    assert values(whole, "grain") == {("day",): 2}
    assert "silver.app" in whole.sql
    assert values(ask(tiny, measure, "watch_seconds", start=DAY, end=DAY, cohort="twice"), "grain") == {("day",): 90.0}


def test_lifecycle_retention_and_funnel_ask_among_a_cohort(tiny: Tiny) -> None:
    day = ask(tiny, lifecycle, grain="day", start=DAY, end=DAY, cohort="not idle").to_dicts()
    assert {row["state"]: row["value"] for row in day if row["state"] in ("active", "resurrected")} == {
        "active": 3.0,  # ann, bob, and eve who is new
        "resurrected": 2.0,
    }
    kept = ask(tiny, retention, Retention.make(unit="day"), start=DAY, end=DAY, cohort="not players").to_dicts()
    sizes = {row["cohort_start"]: row["size"] for row in kept if row["period"] == "0" or row["period"] == 0}
    assert sizes == {DAY: 1}  # eve alone first comes then, and is no player
    steps = funnel_of(["play", "play"], window=timedelta(hours=1))
    found = ask(tiny, funnel, steps, start=DAY, end=DAY, by="cohort.twice")
    entered = {row["cohort.twice"]: row["numerator"] for row in found.to_dicts() if row["step"] == 1}
    assert entered == {"in": 2, "out": 3}
    assert members(ask(tiny, funnel_members, steps, start=DAY, end=DAY, cohort="twice")) == {"ann", "bob"}


def test_a_condition_of_a_step_can_name_a_cohort(tiny: Tiny) -> None:
    steps = funnel_of(["play where cohort.twice = 'in'", "open"], window=timedelta(hours=1))
    assert ask(tiny, funnel, steps, start=DAY, end=DAY).to_dicts()[0]["numerator"] == 2


def test_the_definition_is_part_of_the_version_and_of_the_notes(tiny: Tiny) -> None:
    versions = {
        ask(tiny, measure, "dau", start=DAY, end=DAY, **more).to_dicts()[0]["definition_version"]
        for more in ({}, {"cohort": "twice"}, {"cohort": "two_days"})
    }
    assert len(versions) == 3
    found = ask(tiny, measure, "dau", start=DAY, end=DAY, cohort="twice")
    assert any("2025-03-03 to 2025-03-09" in note for note in found.notes)
    assert {source.table for source in found.sources} == {"gold.user_day", "silver.app"}
    one = Cohort.model_validate({"name": "a", "did": "play", "title": "A"})
    same = Cohort.model_validate({"name": "b", "did": "play", "window": "before"})
    assert one.version(tiny.project) == same.version(tiny.project)


# --- what is known


def test_status_is_that_of_the_window(tiny: Tiny) -> None:
    """The data are of 1 to 12 March, the last day open: a window may begin before, or not have ended."""

    def status(name: str, start: int, end: int) -> set[str]:
        found = ask(tiny, measure, "dau", start=date(2025, 3, start), end=date(2025, 3, end), cohort=name)
        return {row["status"] for row in found.to_dicts()}

    assert status("twice", 10, 11) == {"complete"}
    assert status("twice", 5, 6) == {"partial_left"}  # from 26 February on
    assert status("players_now", 10, 11) == {"complete"}
    assert status("players_now", 10, 12) == {"open"}
    assert status("newcomers", 10, 11) == {"partial_left"}  # within 28 days of the first data nobody is surely new
    with pytest.raises(DefinitionError, match="dates without data: 2025-02-22 to 2025-02-28"):
        status("twice", 1, 1)


def test_a_window_with_a_missing_day_is_degraded(tmp_path: Path) -> None:
    write_cohorts(tmp_path, {"players": {"did": "play", "window": "last 3 days"}})
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as tiny:
        tiny.add([event(1, "ann"), event(2, "ann"), event(4, "ann"), event(5, "ann"), event(6, "ann")])
        tiny.build()
        found = ask(tiny, measure, "dau", start=date(2025, 3, 5), end=date(2025, 3, 5), cohort="players").to_dicts()
        assert [(row["value"], row["status"]) for row in found] == [(1, "degraded")]


def test_a_fixed_window_that_reaches_into_the_question_is_said(tiny: Tiny) -> None:
    found = ask(tiny, measure, "dau", start=date(2025, 3, 9), end=DAY, cohort="newcomers")
    assert any("it knows what comes later" in note for note in found.notes)


def test_a_week_begins_with_its_first_day(tiny: Tiny) -> None:
    """Asked from Wednesday 12 March by week, rows of Monday on are read: the window ends on Sunday."""
    found = ask(tiny, measure, "active_users", grain="week", start=date(2025, 3, 12), cohort="twice")
    assert any("2025-03-03 to 2025-03-09" in note for note in found.notes)
    assert found.to_dicts()[0]["value"] == 2


def test_periods_that_a_question_has_by_itself_begin_with_their_first_day(tiny: Tiny) -> None:
    """Lifecycle is by week where it does not say; by week and month the earlier of both first days holds."""
    asked = {"start": date(2025, 3, 12), "cohort": "twice"}
    for found in (ask(tiny, lifecycle, **asked), ask(tiny, lifecycle_members, "active", **asked)):
        assert any("2025-03-03 to 2025-03-09" in note for note in found.notes)
    with pytest.raises(DefinitionError, match="dates without data: 2025-03-25 to 2025-03-31"):  # April begins midweek
        ask(tiny, retention, Retention(unit="week"), start=date(2025, 4, 16), cohort="twice", grain="month")


def test_the_actors_of_a_date_are_those_of_its_number(tiny: Tiny) -> None:
    """Who played twice before Monday 10 March, whatever the length of the window that ends on it."""
    asked: dict[str, Any] = {"cohort": "twice", "window_days": 3}
    number = ask(tiny, stickiness, start=DAY, end=DAY, **asked)
    found = ask(tiny, stickiness_members, DAY, **asked)
    assert number.notes == found.notes
    assert number.to_dicts()[0]["denominator"] == found.table.num_rows


def test_a_window_that_ends_by_itself_begins_where_its_first_day_lies(tiny: Tiny) -> None:
    """Three days to 11 March, the last complete one: the question begins on the 9th, and cyd is idle before it."""
    found = ask(tiny, power_curve, window_days=3, cohort="idle")
    assert any("2025-03-02 to 2025-03-08" in note for note in found.notes)
    assert members(ask(tiny, power_curve_members, window_days=3, cohort="idle")) == {"cyd", "dan"}


# --- what cannot be asked


def test_names_and_windows_that_cannot_be_are_refused(tiny: Tiny) -> None:
    with pytest.raises(UnknownNameError, match="Unknown cohort 'twise'") as near:
        ask(tiny, measure, "dau", start=DAY, cohort="twise")
    assert near.value.hint == "Did you mean 'twice'?"
    with pytest.raises(UnknownNameError, match="Unknown cohort 'nobody'"):
        ask(tiny, measure, "dau", start=DAY, by="cohort.nobody")
    with pytest.raises(DefinitionError, match="looks back from the question's first date"):
        ask(tiny, measure, "dau", cohort="twice")
    with pytest.raises(DefinitionError, match="and so of the earlier period"):
        ask(tiny, measure, "dau", start=DAY, cohort="twice", compare="previous")
    with pytest.raises(QueryError):
        ask(tiny, measure, "dau", start=DAY, cohort="twice", where="region = 'a') OR (region = 'b'")
    assert members(ask(tiny, measure, "dau", end=DAY, cohort="newcomers", members=True)) == {"bob"}


def test_an_event_that_was_never_seen_is_misspelt(tiny: Tiny) -> None:
    write_cohorts(tiny.project.root, {"misspelt": {"any": [{"did": "play"}, {"did_not": "opne"}]}})
    try:
        with pytest.raises(UnknownNameError, match="'opne'") as near:
            ask(tiny, measure, "dau", start=DAY, cohort="misspelt")
    finally:
        (tiny.project.root / "cohorts" / "misspelt.yml").unlink()
    assert near.value.hint == "Did you mean 'open'?"


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"did": "play", "first": "play"}, "exactly one of"),
        ({"at_least": 2}, "exactly one of"),
        ({"did": "play", "below": 2}, "`below:` does not belong to `did:`"),
        ({"metric": "plays"}, "needs `at_least:`"),
        ({"did": "play", "window": "last week"}, "'last week' is no window"),
        ({"did": "play", "window": {"from": "2025-03-01"}}, "needs `from:` and `to:`"),
        ({"did": "play", "exactly": 2, "at_most": 3}, "leaves no room"),
        ({"all": [{"did": "play", "time": 2}]}, "unknown key"),
        ({"did": "play", "at_lest": 2}, "unknown key 'at_lest'"),
    ],
)
def test_a_definition_that_cannot_be_is_refused_with_its_file(tmp_path: Path, said: Any, fault: str) -> None:
    write_cohorts(tmp_path, {"some": said})
    with pytest.raises(ProjectError, match=fault) as refused:
        load_cohorts(Project(name="tiny", root=tmp_path), {})
    assert "cohorts/some.yml:" in str(refused.value)


def test_metrics_without_actors_are_refused(tiny: Tiny) -> None:
    for metric, fault in (("dau", "no part in 'dau'"), ("nothing", "Unknown metric")):
        write_cohorts(Path(tiny.project.root), {"wrong": {"metric": metric, "at_least": 1}})
        with pytest.raises(DefinitionError, match=fault):
            ask(tiny, measure, "dau", start=DAY, cohort="wrong")
    (Path(tiny.project.root) / "cohorts" / "wrong.yml").unlink()


def test_counts_have_no_cohorts(tiny: Tiny) -> None:
    mapping = {"event_time": "day", "entity": "site"}
    said = {"name": "views", "fact": "count", "path": "x", "measures": ["views"], "mapping": mapping}
    counts = {"views": source_from(said)}
    with pytest.raises(DefinitionError, match="no source of events"):
        answered(measure, tiny.engine, tiny.lake, tiny.project, counts, "views", start=DAY, cohort="twice")


# --- against plain Python


def naive_members(log: Sequence[tuple[int, str, str, str]], said: Mapping[str, Any], start: int) -> set[str]:
    """Actors of a condition, by looking at every event of every actor before a day."""
    seen = {actor for day, actor, _, _ in log if day < start}

    def holds(actor: str, one: Mapping[str, Any]) -> bool:
        if "all" in one:
            return all(holds(actor, part) for part in one["all"])
        if "any" in one:
            return any(holds(actor, part) for part in one["any"])
        if "not" in one:
            return not holds(actor, one["not"])
        length = int(one["window"].split()[1]) if "window" in one else 1000
        mine = [(day, name, region) for day, who, name, region in log if who == actor and day < start]
        inside = [row for row in mine if row[0] >= start - length]
        if "first" in one:
            firsts = [day for day, name, _ in mine if name == one["first"]]
            return bool(firsts) and min(firsts) >= start - length
        if "did_not" in one:
            return not [row for row in inside if row[1] == one["did_not"]]
        if "was" in one:
            hits = [row for row in inside if row[2] == one["was"]["region"]]
        else:
            hits = [row for row in inside if row[1] == one["did"]]
        low = one.get("at_least", 0 if "at_most" in one else 1)
        days = len({row[0] for row in hits})
        return low <= len(hits) <= one.get("at_most", 1000) and days >= one.get("on_days", 0)

    return {actor for actor in seen if holds(actor, said)}


def random_condition(chance: random.Random, depth: int = 0) -> dict[str, Any]:
    kind = chance.choice(["did", "did_not", "first", "was", *(["all", "any", "not"] if depth < 2 else [])])
    if kind == "not":
        return {"not": random_condition(chance, depth + 1)}
    if kind in ("all", "any"):
        return {kind: [random_condition(chance, depth + 1) for _ in range(chance.randint(1, 3))]}
    said: dict[str, Any] = {kind: {"region": chance.choice("ns")} if kind == "was" else chance.choice(["a", "b"])}
    if chance.random() < 0.7:
        said["window"] = f"last {chance.randint(1, 9)} days"
    if kind in ("did", "was"):
        if chance.random() < 0.5:
            said["at_least"] = chance.randint(1, 3)
        if chance.random() < 0.3:
            said["at_most"] = chance.randint(said.get("at_least", 0), 4)
        if chance.random() < 0.3:
            said["on_days"] = chance.randint(1, 3)
    return said


def test_members_of_random_cohorts_equal_the_naive_ones(tmp_path: Path) -> None:
    """25 random definitions over a random log of 12 days; in and out together are the plain count."""
    chance = random.Random(7)
    log = [
        (chance.randint(1, 12), f"u{chance.randint(1, 9)}", chance.choice("ab"), chance.choice("ns")) for _ in range(80)
    ] + [(day, "u0", "a", "n") for day in (1, 12)]
    rows = [
        event(day, actor, name, hour=number % 24, event_id=str(number), region=region)
        for number, (day, actor, name, region) in enumerate(log)
    ]
    cohorts = {f"c{number}": random_condition(chance) for number in range(25)}
    write_cohorts(tmp_path, cohorts)
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as tiny:
        tiny.add(rows)
        tiny.build()
        total = sum(day >= 10 for day, *_ in log)
        for name, said in cohorts.items():
            expected = naive_members(log, said, 10)
            assert members(ask(tiny, cohort_members, name, at=DAY)) == expected, said
        for name in list(cohorts)[:4]:
            expected = naive_members(log, cohorts[name], 10)
            cut = ask(tiny, measure, "events", by=f"cohort.{name}", start=DAY, end=date(2025, 3, 12))
            found: dict[str, float] = dict.fromkeys(("in", "out"), 0)
            for row in cut.to_dicts():
                found[row[f"cohort.{name}"]] += row["value"]
            within = sum(day >= 10 and actor in expected for day, actor, *_ in log)
            assert found == {"in": within, "out": total - within}, cohorts[name]
