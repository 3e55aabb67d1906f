"""Sessions of every mode, their durations, bounces and engaged time: the product against the naive checks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.checks.bounce import sessions_of
from tests.checks.events import Event, as_events, as_mapping
from tests.checks.logs import SEED, agree
from tests.checks.measures import DAYS, MEANS, NAMES, QUANTILES, SUMS, Visit, of_days, of_sessions, table
from tests.checks.rich import ZONES, Rich, rich
from tests.checks.sessions import bracket_sessions
from tests.checks.watch import watch_of_sessions
from tidelake.metrics.measure import measure

CUTS = (("day", None), ("week", "device"), ("month", "version"))
MODES: dict[str, tuple[str, dict[str, Any]]] = {
    "trust": ("America/New_York", {}),
    "verify": ("Australia/Lord_Howe", {"cap": "3h"}),
    "bracket": ("Europe/Berlin", {"start": "open", "end": "close"}),
}


def visits(made: Rich, mode: str) -> list[Visit]:
    if mode == "bracket":
        found = bracket_sessions([as_mapping(item) for item in made.human], start="open", end="close")
        return [Visit(as_events(one["events"]), one["ended_at"]) for one in found]
    cap = {"cap": timedelta(hours=3)} if mode == "verify" else {}
    local = ZoneInfo(made.zone)
    held = sessions_of(made.human, mode=mode, day=lambda at: at.astimezone(local).date(), **cap)
    return [Visit(own, own[-1].at) for own in held]


def first_of(one: Visit) -> Event:
    return one.events[0]


def close(got: dict[Any, Any], want: dict[Any, Any]) -> None:
    """Where sums of squares cancel, a bound is right to seven digits."""
    for key, row in want.items():
        for name in ("ci_low", "ci_high"):
            if row.get(name) is not None and got[key][name] is not None:
                assert got[key][name] == pytest.approx(row[name], rel=1e-7, abs=1e-7), (key, name)
                row[name] = got[key][name]


def compare(made: Rich, metric: str, things: Sequence[Any], grain: str, by: str | None, of: Any, event_of: Any) -> None:
    rows = made.ask(measure, metric, grain=grain, by=[by] if by else []).to_dicts()
    got = {(row[by] if by else "", row["period_start"]): row for row in rows}
    want = table(things, made.coverage, grain, lambda own: of(metric, own), event_of, by)
    want = {key: row for key, row in want.items() if key in got or row["value"]}
    close(got, want)
    names = [name for name in (*NAMES, "status") if name in next(iter(want.values()))]
    agree(got, want, names, (made.zone, metric, grain, by))


def compare_sessions(made: Rich, mode: str) -> None:
    held, shift = visits(made, mode), list(ZONES).index(made.zone)
    for number, metric in enumerate((*MEANS, *QUANTILES, *SUMS)):
        compare(made, metric, held, *CUTS[(number + shift) % 3], of_sessions, first_of)


def test_sessions_cut_by_pauses(rich_log: Rich) -> None:
    compare_sessions(rich_log, "ignore")


@pytest.mark.parametrize("mode", MODES)
def test_sessions_of_other_modes(mode: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    zone, more = MODES[mode]
    made = rich(tmp_path_factory.mktemp(mode), zone, seed=SEED + 3, session={"mode": mode, **more})
    with made.tiny:
        compare_sessions(made, mode)
        compare_watch(made, mode)


def compare_watch(made: Rich, mode: str) -> None:
    """Net and wall time of the sessions, which overlap where they are not cut by pauses."""
    held = visits(made, mode)

    def in_order(event: Any) -> tuple[Any, ...]:
        rank = {"open": 0, "close": 2}.get(event["event_name"], 1) if mode == "bracket" else 1
        return (event["event_time"], rank, event["seq"] is None, event["seq"] or 0, event["event_id"])

    longest = timedelta(hours=3 if mode == "verify" else 24)
    told = watch_of_sessions(
        [as_mapping(item) for item in made.events],
        [[as_mapping(item) for item in own.events] for own in held],
        cap=timedelta(minutes=5),
        longest=longest,
        key=in_order,
    )
    want = sorted(
        (str(own.events[0].actor), own.events[0].at, own.events[0].event_id, round(net, 6), round(wall, 6), ends)
        for own, (net, wall, ends, _) in zip(held, told, strict=True)
    )
    found = made.tiny.query(
        "SELECT actor_id, started_at, first_event_id, watch_seconds, watch_seconds_wall, watch_open_ended_count "
        "FROM gold.sessions"
    )
    assert any(row[3] for row in want)
    assert want == sorted((*row.values(),) for row in ({**row} for row in found))
    by_day: dict[Any, float] = {}
    for own, row in zip(held, told, strict=True):
        by_day[own.events[0].local_date] = by_day.get(own.events[0].local_date, 0) + row[0]
    for row in made.ask(measure, "watch_seconds").to_dicts():
        if row["status"] != "missing":
            assert row["value"] == pytest.approx(by_day.get(row["period_start"], 0)), row


@pytest.mark.parametrize("metric", DAYS)
def test_days_of_actors(rich_log: Rich, metric: str) -> None:
    """Counted once in every value of a dimension that their day has: "any", so that parts overlap."""
    number = DAYS.index(metric) + list(ZONES).index(rich_log.zone)
    compare(rich_log, metric, rich_log.human, *CUTS[number % 3], of_days, lambda item: item)
