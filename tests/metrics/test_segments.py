"""Distinct actors under the value of their first or last event, against each window worked out in plain Python."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tests.metrics.asking import ask
from tidelake.errors import DefinitionError, UnknownNameError

FIRST, DAYS = date(2025, 2, 24), 26  # a Monday; the weeks cross the end of a month
SETTINGS = {"dimensions": ["region", "device"], "measures": {"plays": {"event": "play"}}}
COLUMNS = {"region": pa.string(), "device": pa.string(), "place": pa.string(), "interactive": pa.bool_()}


def events() -> list[dict[str, Any]]:
    """Six actors that change their values at random, seldom there; a row a day of nobody, so that no day is missing."""
    rng = random.Random(11)
    rows: list[dict[str, Any]] = [
        {"actor_id": None, "event_time": f"{FIRST + timedelta(days=day)} 00:00", "event_id": f"tick{day}"}
        for day in range(DAYS + 1)
    ]
    for number in range(120):
        day = FIRST + timedelta(days=rng.randrange(DAYS))
        rows.append(
            {
                "actor_id": f"a{rng.randrange(6)}",
                "event_time": f"{day} {rng.randrange(8, 20):02d}:{number % 60:02d}",
                "event_id": f"e{number}",
                "event_name": rng.choice(("play", "click")),
                "region": rng.choice(("north", "south", None)),
                "device": rng.choice(("tv", "phone")),
                "place": rng.choice(("home", "away")),
                "interactive": rng.random() > 0.2,
            }
        )
    return rows


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    with Tiny(tmp_path_factory.mktemp("segments"), SETTINGS, columns=COLUMNS) as made:
        made.add(events())
        made.build()
        yield made


def expected(days: set[date], by: tuple[str, ...], edge: str, *, play: bool = False, tv: bool = False) -> Counter[Any]:
    """Actors by the value at the first, or last, event of their first, or last, active day of some dates.

    Args:
        play: Only days with a play count.
        tv: Only events of the device tv.
    """
    own: dict[str, dict[date, list[dict[str, Any]]]] = {}
    for row in sorted(events(), key=lambda row: row["event_time"]):
        day = date.fromisoformat(row["event_time"][:10])
        if row["actor_id"] is not None and day in days and (not tv or row["device"] == "tv"):
            own.setdefault(row["actor_id"], {}).setdefault(day, []).append(row)
    found: Counter[Any] = Counter()
    for held in own.values():
        wanted = [
            day
            for day, rows in held.items()
            if any(row["event_name"] == "play" if play else row["interactive"] for row in rows)
        ]
        if wanted:
            day = min(wanted) if edge == "first" else max(wanted)
            row = held[day][0 if edge == "first" else -1]
            found[tuple(row[name] or "(unknown)" for name in by)] += 1
    return found


def window(metric: str, start: date) -> set[date]:
    """The dates of the window or period that a row is about."""
    if metric in ("wau", "mau_28"):
        return {start - timedelta(days=back) for back in range(7 if metric == "wau" else 28)}
    if metric == "dau":
        return {start}
    return {start + timedelta(days=number) for number in range(7)}


@pytest.mark.parametrize("edge", ["first", "last"])
@pytest.mark.parametrize(
    ("metric", "grain", "by", "where"),
    [
        ("dau", "day", ("region",), None),
        ("wau", "day", ("region",), None),
        ("mau_28", "day", ("region", "device"), None),
        ("wau_cal", "week", ("region",), None),
        ("active_users", "week", ("place",), None),
        ("wau", "day", ("region",), "device = 'tv'"),
        ("players", "week", ("region",), None),
        ("players", "week", ("region",), "device = 'tv'"),
    ],
)
def test_each_actor_counts_once(
    tiny: Tiny, metric: str, grain: str, by: tuple[str, ...], where: str | None, edge: str
) -> None:
    asked: dict[str, Any] = {"by": by, "grain": grain, "segment": edge, "where": where}
    asked |= {"end": FIRST + timedelta(days=DAYS - 1)}
    result = ask(tiny, metric, **asked)
    found: dict[date, Counter[Any]] = {}
    for row in result.to_dicts():
        found.setdefault(row["period_start"], Counter())[tuple(row[name] for name in by)] += int(row["value"])
    options = {"play": metric == "players", "tv": where is not None}
    want = {start: expected(window(metric, start), by, edge, **options) for start in found}
    assert {start: +counter for start, counter in found.items()} == want
    assert result.totals is not None
    for total in result.totals.to_pylist():
        assert total["total"] == total["sum_of_segments"] == want[total["period_start"]].total()
        assert total["overlap"] == 0
    members = Counter(
        (row["period_start"], *(row[name] for name in by))
        for row in ask(tiny, metric, members=True, **asked).to_dicts()
    )
    assert members == Counter({(start, *key): n for start, counter in want.items() for key, n in counter.items()})


def test_the_smaller_values_are_put_together(tiny: Tiny) -> None:
    """Whatever is put together, each actor counts once: the rows add up to the total."""
    for metric, grain in (("wau", "day"), ("wau_cal", "week")):
        result = ask(tiny, metric, by=["region"], grain=grain, segment="last", segment_limit=1)
        assert len({row["region"] for row in result.to_dicts()} - {"(other)"}) == 1
        assert result.totals is not None
        assert all(row["total"] == row["sum_of_segments"] for row in result.totals.to_pylist())


def test_a_mean_of_days_has_one_value_an_actor_and_day(tiny: Tiny) -> None:
    """The parts of average_dau add up to it, and each is the mean of the days' first values."""
    rows = ask(tiny, "average_dau", grain="week", by=["region"], segment="first").to_dicts()
    start = FIRST + timedelta(days=7)
    daily = [expected({start + timedelta(days=number)}, ("region",), "first") for number in range(7)]
    want = {key[0]: pytest.approx(sum(day[key] for day in daily) / 7) for key in set().union(*daily)}
    assert {row["region"]: row["value"] for row in rows if row["period_start"] == start and row["value"]} == want


def test_what_is_no_question_about_actors_is_refused(tiny: Tiny) -> None:
    with pytest.raises(DefinitionError, match="chooses among"):
        ask(tiny, "dau", segment="first")
    for metric in ("events", "sessions", "plays_per_user", "session_duration_median"):
        with pytest.raises(DefinitionError, match="does not count different actors"):
            ask(tiny, metric, by=["region"], segment="last")
    with pytest.raises(UnknownNameError, match="Unknown segment 'frist'"):
        ask(tiny, "dau", by=["region"], segment="frist")
