"""Anonymous ids stitched to known ones: worked out on paper, in any order of builds, killed, off and on again."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny, at, watched
from tidelake.config import Identity, Project
from tidelake.contracts.source import source_from
from tidelake.gold.build import table_names
from tidelake.gold.context import open_gold
from tidelake.gold.identity import identity_faults, identity_report

MAPPING = {
    "event_time": "t",
    "event_id": "i",
    "actor_id": "a",
    "anonymous_id": "v",
    "event_name": "n",
    "session_id": "s",
}
Event = Mapping[str, Any]


def tiny(root: Path, settings: Mapping[str, Any] | None = None, **columns: pa.DataType) -> Tiny:
    """A project whose source `app` maps an anonymous id; by default neither id is known."""
    made = Tiny(root, settings, columns={"anonymous_id": pa.string(), **columns})
    made.sources["app"] = source_from({"name": "app", "path": "x", "mapping": MAPPING, "dedup": "key"})
    return made


def seen(when: str, anonymous: str | None, known: str | None = None, **more: Any) -> Event:
    """An event of a visitor, who may be known; its id is its time and both ids."""
    row = {"event_time": at(f"2025-01-{when}"), "anonymous_id": anonymous, "actor_id": known, **more}
    return {"event_id": f"{when}/{anonymous}/{known}", **row}


def user_days(lake: Tiny) -> list[tuple[str, int, int]]:
    """(actor, day of the month, events) of `gold.user_day`."""
    rows = lake.query("SELECT actor_id, activity_date, event_count FROM gold.user_day ORDER BY actor_id, activity_date")
    return [(row["actor_id"], row["activity_date"].day, row["event_count"]) for row in rows]


def owners(lake: Tiny) -> dict[str, tuple[str, datetime, int]]:
    rows = lake.query("SELECT * FROM gold.identity")
    return {row["anonymous_id"]: (row["actor_id"], row["identified_at"], row["known_count"]) for row in rows}


def report(lake: Tiny) -> dict[tuple[str, str], int]:
    gold = open_gold(lake.engine, lake.lake, lake.project, lake.sources)
    assert identity_faults(gold) == [] if gold.events.is_stitched else True
    return {(row["stitching"], row["number"]): row["value"] for row in identity_report(gold).to_dicts()}


def made_anew(lake: Tiny, table: str = "gold.user_day") -> list[int]:
    """Builds; gives the days of the month that a table got anew."""
    (run,) = [run for run in lake.build() if run.name == table]
    return [day.day for day in run.dates or ()]


# --- by hand


def test_events_before_and_after_a_login_on_another_day_belong_to_who_logged_in(tmp_path: Path) -> None:
    """x: anonymous on 1 and 5 January, logged in as ann on the 3rd; also known on the 4th without an anonymous id."""
    with tiny(tmp_path) as lake:
        lake.add([seen("01 10:00", "x"), seen("01 10:10", "x"), seen("05 09:00", "x")])
        lake.add([seen("03 08:00", "x", "ann"), seen("04 08:00", None, "ann")])
        lake.build()
        assert user_days(lake) == [("ann", 1, 2), ("ann", 3, 1), ("ann", 4, 1), ("ann", 5, 1)]
        assert owners(lake) == {"x": ("ann", at("2025-01-03 08:00"), 1)}
        assert {row["actor_id"] for row in lake.sessions()} == {"ann"}


def test_on_a_shared_device_events_without_a_known_id_belong_to_the_first_and_others_keep_their_own(
    tmp_path: Path,
) -> None:
    """x is ann's on the 2nd, bo's on the 3rd: what x did on the 1st and the 4th is ann's."""
    with tiny(tmp_path) as lake:
        lake.add([seen("01 10:00", "x"), seen("02 10:00", "x", "ann"), seen("03 10:00", "x", "bo")])
        lake.add([seen("04 10:00", "x")])
        lake.build()
        assert user_days(lake) == [("ann", 1, 1), ("ann", 2, 1), ("ann", 4, 1), ("bo", 3, 1)]
        assert owners(lake) == {"x": ("ann", at("2025-01-02 10:00"), 2)}


def test_of_two_known_ids_at_one_instant_the_least_is_the_owner(tmp_path: Path) -> None:
    with tiny(tmp_path) as lake:
        lake.add([seen("02 10:00", "x", "bo"), seen("02 10:00", "x", "ann"), seen("01 10:00", "x")])
        lake.build()
        assert owners(lake) == {"x": ("ann", at("2025-01-02 10:00"), 2)}
        assert ("ann", 1, 1) in user_days(lake)


def test_who_is_never_identified_is_an_actor_and_who_has_no_id_is_none(tmp_path: Path) -> None:
    """y never logs in: one actor on two days. Two events have no id at all. One id is both known and anonymous."""
    with tiny(tmp_path) as lake:
        lake.add([seen("01 10:00", "y"), seen("02 10:00", "y"), seen("01 11:00", None), seen("01 12:00", None)])
        lake.add([seen("02 13:00", None, "y")])
        lake.build()
        assert user_days(lake) == [("anonymous:y", 1, 1), ("anonymous:y", 2, 1), ("y", 2, 1)]
        rows = lake.query("SELECT activity_date, events_without_actor AS n FROM gold.event_day ORDER BY activity_date")
        assert [(row["activity_date"].day, row["n"]) for row in rows] == [(1, 2), (2, 0)]
        assert owners(lake) == {}


def test_a_known_id_that_reads_like_an_anonymous_actor_is_not_mistaken_for_one(tmp_path: Path) -> None:
    with tiny(tmp_path) as lake:
        lake.add([seen("01 10:00", "y"), seen("01 11:00", None, "anonymous:y"), seen("02 09:00", "z")])
        lake.add([seen("02 10:00", "z", "anonymous:y")])
        lake.build()
        assert user_days(lake) == [("anonymous:y", 1, 1), ("known:anonymous:y", 1, 1), ("known:anonymous:y", 2, 2)]


def test_the_report_counts_actors_before_and_after(tmp_path: Path) -> None:
    """Before: ann, bo and x, y, z apart = 5. x is ann's (seen with both), y is bo's, z nobody's: after 3.

    Moved: two events of x, one of y. A bot's event does not count.
    """
    with tiny(tmp_path) as lake:
        lake.add([seen("01 10:00", "x"), seen("02 10:00", "x", "ann"), seen("03 10:00", "x", "bo")])
        lake.add([seen("04 10:00", "x"), seen("04 11:00", "y"), seen("04 12:00", "y", "bo"), seen("04 13:00", "z")])
        lake.add([seen("04 14:00", "robot", traffic_class="bot"), seen("04 15:00", None)])
        lake.build()
        assert report(lake) == {
            ("before", "actors"): 5,
            ("before", "known ids"): 2,
            ("before", "anonymous ids"): 3,
            ("after", "actors"): 3,
            ("after", "known ids"): 2,
            ("after", "anonymous ids"): 1,
            ("made", "anonymous ids with an owner"): 2,
            ("made", "of them seen with several known ids"): 1,
            ("made", "events that moved to an owner"): 3,
        }
        days = lake.query("SELECT count(DISTINCT actor_id) AS n FROM gold.user_day")
        assert days[0]["n"] == 3


def test_sessions_run_over_a_login(tmp_path: Path) -> None:
    """10:00 anonymous, 10:10 logged in, 10:20 anonymous again: one session of 20 minutes; apart they are two."""
    with tiny(tmp_path) as lake:
        lake.add([seen("01 10:00", "x"), seen("01 10:10", "x", "ann"), seen("01 10:20", "x")])
        lake.build()
        assert [(row["actor_id"], row["duration_seconds"]) for row in lake.sessions()] == [("ann", 1200.0)]
        lake.project = lake.project.model_copy(update={"identity": Identity(stitch="off")})
        lake.build()
        assert [(row["actor_id"], row["event_count"]) for row in lake.sessions()] == [("ann", 1), ("anonymous:x", 2)]


def test_conditions_see_the_stitched_actor(tmp_path: Path) -> None:
    with tiny(tmp_path) as lake:
        lake.add([seen("01 10:00", "x"), seen("02 10:00", "x", "ann"), seen("02 11:00", "y")])
        lake.build()
        events = open_gold(lake.engine, lake.lake, lake.project, lake.sources).events
        hers = events.select(where="actor_id = 'ann'")
        assert len(lake.query(f"SELECT event_id FROM ({hers}) AS rows")) == 2


# --- by touched dates


def test_a_login_makes_exactly_the_dates_of_its_anonymous_id_anew(tmp_path: Path) -> None:
    """x has events on 1 and 4 January, y on 1 to 9: x's login on the 20th touches 1, 4 and 20."""
    with tiny(tmp_path) as lake:
        lake.add(
            [seen("01 10:00", "x"), seen("04 10:00", "x"), *(seen(f"{day:02d} 12:00", "y") for day in range(1, 10))]
        )
        lake.build()
        lake.add([seen("20 10:00", "x", "ann")])
        assert made_anew(lake) == [1, 4, 20]
        lake.add([seen("21 10:00", "x"), seen("21 11:00", "x", "ann")])
        assert made_anew(lake) == [21]
        assert made_anew(lake) == []


def test_dates_on_which_an_owner_is_known_already_stay(tmp_path: Path) -> None:
    """Days on which x carries a known id have no event to move."""
    with tiny(tmp_path) as lake:
        lake.add([seen("01 10:00", "x"), seen("02 10:00", "x", "ann"), seen("03 10:00", "x", "bo")])
        lake.build()
        lake.add([seen("01 09:00", "x", "cy")])
        assert made_anew(lake) == [1]


def test_a_late_earlier_login_changes_the_owner_and_is_a_restatement(tmp_path: Path) -> None:
    """x was ann's; a late file says that cy logged in before. On closed days DAU goes from 2 to 1 where cy was active.

    5 January: x (ann's) and cy are two actors; after it, x is cy's: one.
    """
    with tiny(tmp_path) as lake:
        lake.add([seen("05 10:00", "x"), seen("05 11:00", None, "cy"), seen("03 10:00", "x", "ann")])
        lake.add([seen("20 10:00", None, "dee")])
        lake.build()
        assert ("ann", 5, 1) in user_days(lake)
        lake.add([seen("02 10:00", "x", "cy")])
        (run,) = [run for run in lake.build() if run.name == "gold.user_day"]
        assert [day.day for day in run.dates or ()] == [2, 5]
        assert user_days(lake) == [("ann", 3, 1), ("cy", 2, 1), ("cy", 5, 2), ("dee", 20, 1)]
        said = [str(item) for item in run.restatements if item.date == date(2025, 1, 5) and item.metric == "dau"]
        assert said == ["DAU 05 Jan 2025 2 -> 1, anonymous ids belong to other actors"]


def test_a_login_that_is_taken_back_frees_its_anonymous_id(tmp_path: Path) -> None:
    with tiny(tmp_path) as lake:
        lake.add([seen("01 10:00", "x"), seen("03 10:00", "x", "ann"), seen("03 11:00", "y")])
        lake.build()
        lake.replace([date(2025, 1, 3)], [seen("03 11:00", "y")])
        assert made_anew(lake) == [1, 3]
        assert user_days(lake) == [("anonymous:x", 1, 1), ("anonymous:y", 3, 1)]
        assert owners(lake) == {}


def test_off_is_apart_and_on_again_is_as_before(tmp_path: Path) -> None:
    with tiny(tmp_path) as lake:
        lake.add([seen("01 10:00", "x"), seen("02 10:00", "x", "ann"), seen("02 11:00", "y"), seen("02 12:00", None)])
        lake.build()
        on, version = lake.everything(), lake.lake.version("gold.identity")
        stitched, project = report(lake), lake.project
        lake.project = project.model_copy(update={"identity": Identity(stitch="off")})
        lake.build()
        assert user_days(lake) == [("ann", 2, 1), ("anonymous:x", 1, 1), ("anonymous:y", 2, 1)]
        assert owners(lake) == {}
        assert report(lake)["after", "actors"] == report(lake)["before", "actors"] == stitched["before", "actors"] == 3
        assert [run.reason for run in lake.build()] == ["nothing new"] * 3
        lake.project = project
        lake.build()
        assert lake.everything() == on
        assert report(lake) == stitched
        held = lake.lake.delta("gold.identity")
        assert held is not None
        held.load_as_version(version)
        assert held.to_pyarrow_table().num_rows == 1


def test_a_build_of_one_table_makes_the_owners_too(tmp_path: Path) -> None:
    with tiny(tmp_path) as lake:
        lake.add([seen("01 10:00", "x")])
        lake.build()
        lake.add([seen("02 10:00", "x", "ann")])
        lake.build(select=["gold.sessions"])
        assert {row["actor_id"] for row in lake.sessions()} == {"ann"}
        lake.build()
        assert user_days(lake) == [("ann", 1, 1), ("ann", 2, 1)]


def test_several_sources_share_anonymous_ids_and_one_without_them_is_as_ever(tmp_path: Path) -> None:
    with tiny(tmp_path) as lake:
        lake.sources["web"] = source_from({"name": "web", "path": "x", "mapping": MAPPING, "dedup": "key"})
        plain = {name: field for name, field in MAPPING.items() if name != "anonymous_id"}
        lake.sources["shop"] = source_from({"name": "shop", "path": "x", "mapping": plain, "dedup": "key"})
        lake.add([seen("01 10:00", "x")])
        lake.add([seen("02 10:00", "x", "ann")], table="silver.web")
        lake.add([seen("03 10:00", "x"), seen("03 11:00", None, "ann")], table="silver.shop")
        lake.build()
        assert user_days(lake) == [("ann", 1, 1), ("ann", 2, 1), ("ann", 3, 1)]
        events = open_gold(lake.engine, lake.lake, lake.project, lake.sources).events
        assert "identity" not in events.select().split("UNION ALL")[1]


def test_a_project_without_anonymous_ids_has_none_of_the_tables(tmp_path: Path) -> None:
    with Tiny(tmp_path) as lake:
        lake.add([{"event_time": "2025-01-01 10:00"}])
        lake.build()
        assert not [table for table in lake.lake.tables() if "identity" in table]
        assert not [name for name in table_names(lake.project, lake.sources) if "identity" in name]
        assert report(lake)["after", "actors"] == 1


def test_off_may_be_written_as_yaml_reads_it() -> None:
    assert Project.model_validate({"name": "a", "identity": {"stitch": False}}).identity.stitch == "off"


# --- any order, any cut


SESSIONS: dict[str, dict[str, Any]] = {
    "ignore": {},
    "verify": {"session": {"mode": "verify"}},
    "bracket": {"session": {"mode": "bracket", "start": "open", "end": "close"}},
}


def random_events(seed: int) -> list[Event]:
    """Visits over ten days: few anonymous and known ids, so that devices are shared and logins come early and late."""
    chance = random.Random(seed)
    found = []
    for number in range(60):
        when = at("2025-01-01 00:00") + timedelta(minutes=chance.randrange(10 * 24 * 6) * 10)
        known = chance.choice(["ann", "bo", "cy"]) if chance.random() < 0.25 else None
        anonymous = chance.choice(["v", "w", "x", "y", "z", None])
        row = {"event_time": when, "event_id": f"e{number}", "anonymous_id": anonymous, "actor_id": known}
        row |= {"event_name": chance.choice(["open", "play", "pause", "close"]), "session_id": f"s{number % 17}"}
        found.append(row | {"content_id": chance.choice("ab"), "country": chance.choice(["DE", "FR"])})
    return found


def actors_by_hand(events: Sequence[Event]) -> list[str | None]:
    """The actor of each event, by the definition: two passes over plain rows."""
    first: dict[str, tuple[datetime, str]] = {}
    for event in events:
        both = event["anonymous_id"], event["actor_id"]
        if None not in both:
            said = (event["event_time"], event["actor_id"])
            first[both[0]] = min(first.get(both[0], said), said)
    found = []
    for event in events:
        anonymous = event["anonymous_id"]
        own = f"anonymous:{anonymous}" if anonymous else None
        found.append(event["actor_id"] or (first[anonymous][1] if anonymous in first else own))
    return found


@pytest.mark.parametrize("mode", SESSIONS)
def test_any_order_of_builds_gives_what_one_build_gives(tmp_path: Path, mode: str) -> None:
    events = random_events(seed=len(mode))
    settings = {"dimensions": ["country"], "measures": {"contents": {"distinct": "content_id"}}, **SESSIONS[mode]}
    columns = {"content_id": pa.string(), "country": pa.string()}
    (tmp_path / "once").mkdir()
    with tiny(tmp_path / "once", settings, **columns) as lake:
        lake.add(events)
        lake.build()
        once = lake.everything()
        counted = Counter(
            (actor, event["event_time"].day)
            for actor, event in zip(actors_by_hand(events), events, strict=True)
            if actor
        )
        assert {(actor, day): count for actor, day, count in user_days(lake)} == counted
    shuffled = random.Random(7).sample(events, len(events))
    (tmp_path / "steps").mkdir()
    with tiny(tmp_path / "steps", settings, **columns) as lake:
        for start in range(0, len(shuffled), 20):
            lake.add(shuffled[start : start + 20])
            lake.build()
        assert lake.everything() == once
        report(lake)


def test_a_build_that_is_cut_off_before_any_write_heals(tmp_path: Path) -> None:
    """The login touches two dates; the build ends before each table's first write in turn, then runs through."""
    first = [seen("01 10:00", "x"), seen("01 23:50", "x"), seen("02 00:10", "x"), seen("05 10:00", "y")]
    second = [seen("04 10:00", "x", "ann"), seen("05 11:00", "y")]
    (tmp_path / "before").mkdir()
    with tiny(tmp_path / "before") as lake:
        lake.add(first)
        lake.build()
        lake.add(second)
    written: list[str] = []
    with tiny(shutil.copytree(tmp_path / "before", tmp_path / "whole")) as lake:
        with watched(lake, lambda table: None if table.startswith("temp.") else written.append(table)):
            lake.build()
        whole = lake.everything()
    assert {"gold.identity_day", "gold.identity", "gold.sessions", "gold.user_day"} <= set(written)

    class CutOffError(Exception):
        pass

    for name in dict.fromkeys(written):

        def end(table: str, name: str = name) -> None:
            if table == name:
                raise CutOffError

        with tiny(shutil.copytree(tmp_path / "before", tmp_path / name)) as lake:
            with watched(lake, end), pytest.raises(CutOffError):
                lake.build()
            lake.build()
            assert lake.everything() == whole, name
