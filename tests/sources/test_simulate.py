"""The simulator against a reader of its files that shares nothing with it: plain Python over JSON lines."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from tidelake.errors import ProjectError, UnknownNameError
from tidelake.sources.simulate import SCENARIOS, SimulationResult, settings_of, simulate

EVENT_TYPES = {
    "app_open", "home_impression", "app_close", "video_play", "video_pause", "video_resume", "video_seek",
    "buffer_start", "buffer_end", "video_complete", "video_stop",
}  # fmt: skip
FIELDS = ["event_id", "user_id", "event_type", "content_id", "device", "app_version", "region", "timestamp"]
Event = dict[str, Any]


def damage_of(line: str) -> str | None:
    """Why a line is not R0's form, in the truth file's words; None where it is."""
    try:
        event = json.loads(line)
    except json.JSONDecodeError:
        return "cut_off"
    if "user_id" not in event:
        return "user_id_missing"
    if event["event_type"] not in EVENT_TYPES:
        return "event_type_unknown"
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["timestamp"]):
        return "timestamp_unreadable"
    if event["timestamp"] < "2000":
        return "timestamp_1970"
    if not isinstance(event["app_version"], str):
        return "app_version_a_number"
    if not isinstance(event.get("seek_seconds", 0), int):
        return "seek_seconds_a_word"
    return None


def read(result: SimulationResult) -> tuple[list[Event], Counter[str], int]:
    """Sound events by id, damaged lines by kind, and how many lines repeat an id."""
    events: dict[str, Event] = {}
    damage: Counter[str] = Counter()
    repeated = 0
    for path in result.files:
        for line in path.read_text().splitlines():
            kind = damage_of(line)
            if kind is not None:
                damage[kind] += 1
                continue
            event = json.loads(line)
            if event["event_id"] in events:
                assert events[event["event_id"]] == event
                repeated += 1
            events[event["event_id"]] = event
    return sorted(events.values(), key=lambda event: event["timestamp"]), damage, repeated


def milliseconds(event: Event) -> int:
    instant = datetime.fromisoformat(event["timestamp"])
    return round(instant.timestamp() * 1000)


def watch(events: Iterable[Event]) -> tuple[int, int, int]:
    """Net milliseconds of ended plays, their wall milliseconds, and plays without an end."""
    by_title: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in events:
        if event["content_id"] is not None:
            by_title[event["user_id"], event["content_id"]].append(event)
    net = wall = unended = 0
    for title in by_title.values():
        started = since = None
        played = 0
        for event in title:
            now, kind = milliseconds(event), event["event_type"]
            if kind == "video_play":
                unended += started is not None
                started, since, played = now, now, 0
            elif started is None:
                continue  # the play began before the events given
            elif kind in ("video_pause", "buffer_start"):
                assert since is not None
                played, since = played + now - since, None
            elif kind in ("video_resume", "buffer_end"):
                since = now
            elif kind != "video_seek":
                assert since is not None
                net, wall, started = net + played + now - since, wall + now - started, None
        unended += started is not None
    return net, wall, unended


def truth_of(result: SimulationResult) -> Any:
    return json.loads(result.truth.read_text())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SimulationResult:
    return simulate("collapse", tmp_path_factory.mktemp("small") / "logs", users=150, days=6, seed=3)


def test_lines_have_the_fields_of_the_clickstream_and_nothing_else(small: SimulationResult) -> None:
    events, _, _ = read(small)
    for event in events:
        wanted = FIELDS + (["seek_seconds"] if event["event_type"] == "video_seek" else [])
        assert list(event) == wanted
        about_content = event["event_type"] not in ("app_open", "home_impression", "app_close")
        assert (event["content_id"] is not None) == about_content
    assert {event["event_type"] for event in events} == EVENT_TYPES
    assert "1.10" in {event["app_version"] for event in events}
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", event["event_id"]) for event in events)


def test_one_file_a_day_and_late_lines_one_file_later(small: SimulationResult) -> None:
    assert [path.name for path in small.files] == [f"day_2025-11-{day}.json" for day in range(10, 16)]
    lags: Counter[int] = Counter()
    for path in small.files:
        for line in path.read_text().splitlines():
            if damage_of(line) is None:
                lags[
                    (date.fromisoformat(path.stem[4:]) - date.fromisoformat(json.loads(line)["timestamp"][:10])).days
                ] += 1
    assert set(lags) == {0, 1}
    assert lags[1] < 0.005 * lags[0]


def test_truth_counts_lines_duplicates_and_damage(small: SimulationResult) -> None:
    events, damage, repeated = read(small)
    lines = truth_of(small)["lines"]
    assert lines["events"] == len(events)
    assert lines["duplicates"] == repeated > 0
    assert lines["damaged"] == dict(damage)
    assert lines["total"] == len(events) + repeated + damage.total() == small.rows
    assert lines["by_file"] == {path.name: len(path.read_text().splitlines()) for path in small.files}


def test_truth_equals_what_a_plain_reader_counts(small: SimulationResult) -> None:
    events, _, _ = read(small)
    logged = truth_of(small)["logged"]
    assert logged["events_by_type"] == dict(Counter(event["event_type"] for event in events))
    assert logged["events_by_date"] == dict(Counter(event["timestamp"][:10] for event in events))
    by_type_and_date = Counter((event["event_type"], event["timestamp"][:10]) for event in events)
    assert by_type_and_date == Counter(
        {(kind, day): n for kind, days in logged["events_by_type_and_date"].items() for day, n in days.items()}
    )
    for day, users in logged["users_by_date"].items():
        today = [event for event in events if event["timestamp"].startswith(day)]
        opened = {event["user_id"] for event in today if event["event_type"] == "app_open"}
        played = {event["user_id"] for event in today if event["event_type"] == "video_play"}
        assert users == len({event["user_id"] for event in today})
        assert logged["users_opened_by_date"][day] == len(opened)
        assert logged["users_opened_not_played_by_date"][day] == len(opened - played)
        for region, plays in logged["plays_by_region_and_date"].items():
            assert plays[day] == sum(
                event["event_type"] == "video_play" and event["region"] == region for event in today
            )


def test_truth_of_sessions_and_watch_time_equals_the_state_machine(small: SimulationResult) -> None:
    events, _, _ = read(small)
    happened = truth_of(small)["happened"]
    count = Counter(event["event_type"] for event in events)
    opens = Counter(event["timestamp"][:10] for event in events if event["event_type"] == "app_open")
    assert happened["sessions_by_date"] == dict(opens)
    assert happened["sessions_without_close"] == count["app_open"] - count["app_close"] == 0
    assert happened["plays"] == count["video_play"]
    net, wall, unended = watch(events)
    assert sum(happened["watch_milliseconds_by_session_date"].values()) == net
    assert sum(happened["wall_milliseconds_by_session_date"].values()) == wall
    assert sum(happened["unended_plays_by_session_date"].values()) == unended > 0
    assert 0.05 < sum(happened["sessions_without_play_by_date"].values()) / count["app_open"] < 0.5


def test_sessions_of_one_user_can_overlap(small: SimulationResult) -> None:
    events, _, _ = read(small)
    deepest: Counter[str] = Counter()
    open_now: Counter[str] = Counter()
    for event in events:
        open_now[event["user_id"]] += {"app_open": 1, "app_close": -1}.get(event["event_type"], 0)
        deepest[event["user_id"]] = max(deepest[event["user_id"]], open_now[event["user_id"]])
    assert max(deepest.values()) >= 2


def test_same_seed_same_bytes(small: SimulationResult, tmp_path: Path) -> None:
    again = simulate("collapse", tmp_path / "logs", users=150, days=6, seed=3)
    assert [path.read_bytes() for path in again.files] == [path.read_bytes() for path in small.files]
    assert again.truth.read_bytes() == small.truth.read_bytes()
    other = simulate("collapse", tmp_path / "other", users=150, days=6, seed=4)
    assert other.files[0].read_bytes() != small.files[0].read_bytes()


def test_truth_lies_outside_of_the_logs(small: SimulationResult, tmp_path: Path) -> None:
    assert small.truth.parent == small.folder.parent
    assert sorted(small.folder.iterdir()) == sorted(small.files)
    with pytest.raises(ProjectError, match="inside of the log folder"):
        simulate("collapse", tmp_path / "logs", users=10, truth=tmp_path / "logs" / "truth.json")


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "day_2024-01-01.json").touch()
    with pytest.raises(ProjectError, match="already holds 1 other file"):
        simulate("collapse", tmp_path / "logs", users=10)


def test_unknown_scenario_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError) as caught:
        simulate("colapse", tmp_path)
    assert "collapse" in str(caught.value.hint)


@pytest.mark.parametrize(
    "wrong", [{"days": 1}, {"last_day_hours": 0}, {"users": 0}, {"missing_closes": 2}, {"onset": date(2025, 11, 10)}]
)
def test_sizes_out_of_range_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ProjectError):
        simulate("collapse", tmp_path / "logs", **wrong)


@pytest.mark.parametrize("scenario", ["collapse", "streampro", "app_events"])
def test_a_setting_of_another_kind_is_refused_and_says_what_it_takes(tmp_path: Path, scenario: str) -> None:
    for name in settings_of(scenario):
        with pytest.raises(ProjectError, match=f"{name} of the scenario {scenario} takes .*, not 'abc'"):
            simulate(scenario, tmp_path / "logs", **{name: "abc"})
    assert not (tmp_path / "logs").exists()


def test_true_is_no_size_and_a_part_is_no_whole_number(tmp_path: Path) -> None:
    for wrong in (True, 1.5):
        with pytest.raises(ProjectError, match="days of the scenario collapse takes a whole number"):
            simulate("collapse", tmp_path / "logs", days=wrong)


def test_a_partial_last_day_ends_where_it_should(tmp_path: Path) -> None:
    result = simulate("collapse", tmp_path / "logs", users=400, days=3, last_day_hours=9.5)
    events, _, _ = read(result)
    assert "2025-11-12T08:30" < events[-1]["timestamp"] < "2025-11-12T09:30:00.000Z"


def test_closes_are_missing_when_asked(tmp_path: Path) -> None:
    result = simulate("collapse", tmp_path / "logs", users=150, days=4, missing_closes=0.1)
    events, _, _ = read(result)
    count = Counter(event["event_type"] for event in events)
    missing = count["app_open"] - count["app_close"]
    assert 0.05 < missing / count["app_open"] < 0.15
    happened = truth_of(result)["happened"]
    assert happened["sessions_without_close"] == missing
    assert sum(happened["watch_milliseconds_by_session_date"].values()) == watch(events)[0]


def test_the_model_is_written_when_asked(tmp_path: Path) -> None:
    result = simulate("collapse", tmp_path / "logs", users=60, days=4, model_version=True)
    events, _, _ = read(result)
    before = {event["model_version"] for event in events if event["timestamp"] < "2025-11-12"}
    after = {event["model_version"] for event in events if event["timestamp"] >= "2025-11-13"}
    assert (before, after) == ({"v4.1"}, {"v4.1", "v4.2"})


def share(events: list[Event], kind: str, per: str, *, after: bool, **where: str) -> float:
    """Events of a kind per event of another, before or after the onset, within a segment."""
    count = Counter(
        event["event_type"]
        for event in events
        if (event["timestamp"] >= "2025-11-17") == after and all(event[name] == value for name, value in where.items())
    )
    return count[kind] / count[per] if count[per] else float("nan")


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Event]]:
    folder = tmp_path_factory.mktemp("stories")
    names = ("regional_model_failure", "global_fall", "broken_release", "mix_shift", "tracking_loss", "nothing")
    return {name: read(simulate(name, folder / name, users=500, seed=11))[0] for name in names}


def change(events: list[Event], **where: str) -> float:
    """Relative change of plays per open at the onset."""
    before = share(events, "video_play", "app_open", after=False, **where)
    return share(events, "video_play", "app_open", after=True, **where) / before - 1


def test_model_failure_hits_two_regions_only(stories: dict[str, list[Event]]) -> None:
    events = stories["regional_model_failure"]
    fell = {region: change(events, region=region) for region in {event["region"] for event in events}}
    assert {region for region, value in fell.items() if value < -0.2} == {"IN-North", "IN-South"}
    assert all(abs(fell[region]) < 0.12 for region in ("IN-West", "US-East", "EU-West"))


def test_global_fall_halves_the_minutes_of_a_play(stories: dict[str, list[Event]]) -> None:
    events = stories["global_fall"]
    parts = [[event for event in events if (event["timestamp"] >= "2025-11-17") == after] for after in (False, True)]
    per_play = [watch(part)[0] / sum(event["event_type"] == "video_play" for event in part) for part in parts]
    assert per_play[1] / per_play[0] == pytest.approx(0.5, abs=0.04)
    assert change(events) < -0.08


def test_release_breaks_one_version_on_one_device(stories: dict[str, list[Event]]) -> None:
    events = stories["broken_release"]
    rate = {
        device: share(events, "video_play", "app_open", after=True, app_version="1.11", device=device)
        for device in ("android", "ios", "web", "smart_tv")
    }
    assert rate["android"] < 0.5 * min(rate["ios"], rate["web"], rate["smart_tv"])
    assert not any(event["app_version"] == "1.11" and event["timestamp"] < "2025-11-17" for event in events)


def test_mix_shift_lowers_the_whole_but_no_part(stories: dict[str, list[Event]]) -> None:
    events = stories["mix_shift"]
    assert change(events) < -0.06
    assert all(change(events, region=region) > -0.1 for region in {event["region"] for event in events})


def test_tracking_loss_lowers_every_type_alike(stories: dict[str, list[Event]]) -> None:
    events = stories["tracking_loss"]
    before = Counter(event["event_type"] for event in events if event["timestamp"] < "2025-11-17")
    after = Counter(event["event_type"] for event in events if event["timestamp"] >= "2025-11-17")
    assert all(-0.38 < after[kind] / before[kind] - 1 < -0.22 for kind in EVENT_TYPES)


def test_nothing_stays_as_it_was(stories: dict[str, list[Event]]) -> None:
    assert abs(change(stories["nothing"])) < 0.05


def test_every_scenario_names_its_answer(tmp_path: Path) -> None:
    for name in SCENARIOS:
        size: dict[str, Any] = {"profiles" if name == "app_events" else "users": 100}
        size |= {"days": 14, "events": 500} if name == "shop" else {"days": 4}
        result = simulate(name, tmp_path / name / "logs", **size)
        assert truth_of(result)["scenario"] in SCENARIOS
        assert result.rows > 0


def test_the_default_has_half_a_million_events_in_fourteen_days(tmp_path: Path) -> None:
    result = simulate("collapse", tmp_path / "logs")
    truth = truth_of(result)
    assert truth["lines"]["events"] >= 500_000
    assert len(result.files) == len(truth["logged"]["events_by_date"]) == 14
