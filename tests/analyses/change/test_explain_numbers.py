"""Every number of an explanation of a lake, worked out again in plain Python from the events that were written."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tests.metrics.counts import Sites
from tidelake.analyses.change.explanation import Explanation
from tidelake.analyses.change.question import explain
from tidelake.reports.formats import plain

ZONE = ZoneInfo("America/New_York")  # daylight saving begins on 9 March 2025, within the baseline
FIRST, DAYS = date(2025, 2, 17), 35
ONSET = FIRST + timedelta(days=28)
DIMS = ("region", "device")
SETTINGS = {
    "dimensions": list(DIMS),
    "measures": {"plays": {"event": "play"}, "opens": {"event": "open"}},
    "timezone": "America/New_York",
}
Numbers = Mapping[tuple[date, tuple[str, str]], float]


def events() -> list[dict[str, Any]]:
    """Two thousand events: some without a region or an actor, actors with several regions a day; from the onset on
    plays in the south are rarer.
    """
    chance = np.random.default_rng(4)
    found = []
    for at in range(DAYS):
        for user in range(40):
            for _ in range(int(chance.poisson(2.4))):
                region = ["north", "south"][user % 2]
                if chance.random() < 0.3:
                    region = ["north", "south", None][int(chance.choice(3, p=[0.5, 0.4, 0.1]))]
                likely = 0.3 if at >= 28 and region == "south" else 0.8
                day = FIRST + timedelta(days=at)
                hour, minute, second = (int(chance.integers(0, most)) for most in (24, 60, 60))
                local = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=ZONE)
                found.append(
                    {
                        "event_time": local.astimezone(UTC),
                        "actor_id": None if chance.random() < 0.03 else f"u{user}",
                        "event_name": "play" if chance.random() < likely else "open",
                        "region": region,
                        "device": ["tv", "web"][user % 3 == 0],
                    }
                )
    return found


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    with Tiny(tmp_path_factory.mktemp("numbers"), SETTINGS, columns=dict.fromkeys(DIMS, pa.string())) as made:
        made.add(events())
        made.build()
        yield made


@pytest.fixture(scope="module")
def of_plays(tiny: Tiny) -> Explanation:
    return tiny.ask(explain, "plays", at=ONSET)


@pytest.fixture(scope="module")
def rows(tiny: Tiny) -> list[dict[str, Any]]:
    named = tiny.query("SELECT event_time, actor_id, event_name, region, device, event_id FROM silver.app")
    return [
        row | {"day": row["event_time"].astimezone(ZONE).date(), "cell": tuple(row[dim] or "(unknown)" for dim in DIMS)}
        for row in named
    ]


def plays(rows: list[dict[str, Any]], *, of_actors: bool) -> Numbers:
    found: dict[Any, float] = defaultdict(float)
    for row in rows:
        if row["event_name"] == "play" and (row["actor_id"] or not of_actors):
            found[row["day"], row["cell"]] += 1
    return found


def actors(rows: list[dict[str, Any]]) -> Numbers:
    """An actor's day counts where its last event is."""
    last: dict[Any, Any] = {}
    for row in sorted(rows, key=lambda row: (row["event_time"], row["event_id"])):
        if row["actor_id"]:
            last[row["day"], row["actor_id"]] = row["cell"]
    found: dict[Any, float] = defaultdict(float)
    for (day, _), cell in last.items():
        found[day, cell] += 1
    return found


def sessions(tiny: Tiny) -> tuple[Numbers, Numbers]:
    """Sessions without a play, and all, by their first event's values."""
    above: dict[Any, float] = defaultdict(float)
    below: dict[Any, float] = defaultdict(float)
    for row in tiny.query("SELECT session_date, first_region, first_device, plays FROM gold.sessions"):
        key = row["session_date"], (row["first_region"] or "(unknown)", row["first_device"] or "(unknown)")
        above[key] += row["plays"] == 0
        below[key] += 1
    return above, below


class Naive:
    """Before and after of any part of daily numbers, each day beside the mean of the same weekdays before."""

    def __init__(self, numbers: Numbers, missing: list[date]) -> None:
        known = [day for at in range(DAYS) if (day := FIRST + timedelta(days=at)) not in missing]
        self.numbers = numbers
        self.before = [day for day in known if day < ONSET]
        self.after = [day for day in known if day >= ONSET]

    def sums(self, where: Mapping[str, str], *, outside: bool = False) -> tuple[float, float]:
        daily: dict[date, float] = defaultdict(float)
        for (day, cell), number in self.numbers.items():
            named = dict(zip(DIMS, cell, strict=True))
            if all(named[dim] == value for dim, value in where.items()) is not outside:
                daily[day] += number
        expected = 0.0
        for day in self.after:
            alike = [daily[one] for one in self.before if one.weekday() == day.weekday()]
            expected += sum(alike) / len(alike)
        return expected, sum(daily[day] for day in self.after)


def near(told: Mapping[str, Any] | None, expected: float, seen: float) -> None:
    assert told is not None
    assert told["expected"] == pytest.approx(expected)
    assert told["seen"] == pytest.approx(seen)
    assert told["effect"] == pytest.approx(seen / expected - 1)


def check_sum(why: Explanation, numbers: Numbers) -> None:
    said = why.document()
    naive = Naive(numbers, said["days"]["left_out"])
    many = len(naive.after)
    expected, seen = naive.sums({})
    near(said["change"], expected / many, seen / many)
    explained = 0.0
    for segment in said["segments"]:
        before, after = naive.sums(segment["where"])
        near(segment, before / many, after / many)
        assert segment["share_of_change"] == pytest.approx((after - before) / (seen - expected))
        explained += (after - before) / (seen - expected)
    if len(said["segments"]) == 1:
        near(said["rest"], *(part / many for part in naive.sums(said["segments"][0]["where"], outside=True)))
        assert said["explained"] == pytest.approx(explained)
    assert why.found is not None
    for cut in why.found.cuts:
        before, after = naive.sums({cut.dim: cut.value})
        assert cut.contribution == pytest.approx((after - before) / many)


def check_ratio(why: Explanation, above: Numbers, below: Numbers) -> None:
    said = why.document()
    top, bottom = (Naive(numbers, said["days"]["left_out"]) for numbers in (above, below))
    (old, new), (size, size_after) = top.sums({}), bottom.sums({})
    expected, seen = old / size, new / size_after
    near(said["change"], expected, seen)
    assert said["rate"] + said["mix"] == pytest.approx(seen - expected)
    for segment in said["segments"]:
        (part, part_after), (own, own_after) = top.sums(segment["where"]), bottom.sums(segment["where"])
        near(segment, part / own, part_after / own_after)
        without = (new - part_after + own_after * part / own) / size_after
        assert segment["share_of_change"] == pytest.approx((seen - without) / (seen - expected))
    if len(said["segments"]) == 1:
        sides = [one.sums(said["segments"][0]["where"], outside=True) for one in (top, bottom)]
        near(said["rest"], sides[0][0] / sides[1][0], sides[0][1] / sides[1][1])
    assert why.found is not None
    for dim in DIMS:
        mine = [cut for cut in why.found.cuts if cut.dim == dim]
        assert sum(cut.contribution for cut in mine) == pytest.approx(seen - expected)
        for cut in mine:
            (part, part_after), (own, own_after) = top.sums({dim: cut.value}), bottom.sums({dim: cut.value})
            share, share_after = own / size, own_after / size_after
            rate, rate_after = part / own, part_after / own_after
            assert cut.rate == pytest.approx((share + share_after) / 2 * (rate_after - rate))
            level = (rate + rate_after) / 2 - (expected + seen) / 2
            assert cut.mix == pytest.approx((share_after - share) * level)


def test_a_sum(of_plays: Explanation, rows: list[dict[str, Any]]) -> None:
    check_sum(of_plays, plays(rows, of_actors=False))
    assert [one["where"] for one in of_plays.document()["segments"]] == [{"region": "south"}]


def test_actors_of_a_day(tiny: Tiny, rows: list[dict[str, Any]]) -> None:
    """They did not move by more than chance, and then no factors are told."""
    why = tiny.ask(explain, "dau", at=ONSET)
    assert why.document()["verdict"] == "no_change"
    assert why.document()["tables"] == {}
    check_sum(why, actors(rows))


def test_a_ratio_of_two_metrics(tiny: Tiny, rows: list[dict[str, Any]]) -> None:
    why = tiny.ask(explain, "plays_per_user", at=ONSET)
    check_ratio(why, plays(rows, of_actors=True), actors(rows))


def test_a_share_of_sessions_that_rises(tiny: Tiny) -> None:
    why = tiny.ask(explain, "bounce_session", at=ONSET)
    check_ratio(why, *sessions(tiny))
    said = why.document()
    assert said["loss"]["lost"] < 0
    assert "sessions" in said["headline"][-1]


def test_only_rows_that_are_asked_for(tiny: Tiny, rows: list[dict[str, Any]]) -> None:
    why = tiny.ask(explain, "plays", at=ONSET, where="device = 'tv'")
    check_sum(why, plays([row for row in rows if row["device"] == "tv"], of_actors=False))


def test_parts_of_the_tree_add_up(of_plays: Explanation) -> None:
    """Active days, opens a day, plays an open: in shares they are the whole change."""
    said = of_plays.document()
    factors = said["tables"]["Which factor of plays moved"]
    assert [one["factor"] for one in factors] == ["active days", "opens per active day", "plays per open"]
    assert sum(one["share_of_change"] for one in factors) == pytest.approx(1)
    whole = said["change"]["seen"] - said["change"]["expected"]
    for one in factors:
        assert float(one["contribution"]) == pytest.approx(one["share_of_change"] * whole, abs=0.06)


def test_weekly_counts_are_not_zero_between(tmp_path: Path) -> None:
    """Two sites with counts on Mondays; from the tenth on one has three fifths: 1,000 + 500 becomes 600 + 500."""
    with Sites(tmp_path) as made:
        first = date(2025, 1, 6)
        for site, level, after in (("a", 1000, 600), ("b", 500, 500)):
            values = [(level if at < 70 else after) + at % 2 if at % 7 == 0 else None for at in range(120)]
            made.series(site, first, values)
        made.build()
        said = made.ask(explain, "views", at=first + timedelta(days=70)).document()
    assert said["change"]["expected"] == pytest.approx(1501, abs=0.1)
    assert said["change"]["seen"] == pytest.approx(1101, abs=0.1)
    assert said["window"]["days"] == 4
    assert any("7 Jan 2025" in note for note in said["notes"])


def test_many_values_of_one_dimension_are_bounded_and_that_is_said(tmp_path: Path) -> None:
    """1,200 sites: the 500 largest stay apart, and the sums are those of all. 10^5 take the same way."""
    with Sites(tmp_path) as made:
        first = date(2025, 1, 6)
        made.count((f"s{site}", first + timedelta(days=at), site) for at in range(15) for site in range(1, 1201))
        made.build()
        said = made.ask(explain, "views", at=first + timedelta(days=7)).document()
        held = made.query("SELECT count(DISTINCT s0) AS many, count(DISTINCT day) AS days FROM temp.daily_leaves")
    assert held == [{"many": 501, "days": 15}]
    assert any("1200 values" in note and "(other)" in note for note in said["notes"])
    assert said["change"]["seen"] == 1200 * 1201 / 2
    assert said["verdict"] == "no_change"


KEYS = {
    "": "metric title unit definition_version verdict headline days fault baseline window onset change segments rest "
    "rate mix explained loss tables recommendations sources notes sql",
    "days": "first last left_out",
    "baseline": "first last days",
    "window": "first last days",
    "onset": "day low high effect score within",
    "change": "expected seen effect",
    "segments": "where kind expected seen effect share_of_change gain",
    "rest": "expected seen effect",
    "loss": "lost low high level method is_calibrated coverage note",
    "recommendations": "priority stakeholder recommendation monitoring_kpi kpi",
    "sources": "table version",
}


def test_the_document_has_the_keys_that_are_written_down(of_plays: Explanation) -> None:
    """docs/explain.md lists them; a program may rely on each of them, in this order."""
    said = of_plays.document()
    text = (Path(__file__).parents[3] / "docs" / "explain.md").read_text(encoding="utf-8")
    documented = text.partition("## The document")[2].partition("\n## ")[0]
    for place, names in KEYS.items():
        part = said[place] if place else said
        part = part[0] if isinstance(part, list) else part
        assert " ".join(part) == names
        for name in part:
            assert name in documented, f"docs/explain.md does not tell of {place}.{name}"
    assert json.loads(json.dumps(plain(said)))["days"]["first"] == "2025-02-17"


def test_what_it_was_read_from_is_told_whole(of_plays: Explanation) -> None:
    """The SELECT of the rows that all others add up stands first."""
    first, *others = of_plays.sql.split(";\n\n")
    assert "silver.app" in first
    assert all("temp.daily_leaves" in other for other in others)
