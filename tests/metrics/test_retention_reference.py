"""Retention against a naive reference: for every question, member by member and unit by unit, in plain Python."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gold.tiny import Tiny
from tidelake.engine.sql import check_portable
from tidelake.metrics.periods import Grain, period_start
from tidelake.metrics.retention import Retention, retention

ZONE = ZoneInfo("Europe/Berlin")
FIRST = datetime(2025, 3, 17, 23, tzinfo=UTC)  # midnight of Tuesday 18 March in Berlin
MARK = datetime(2025, 4, 22, 13, 30, tzinfo=UTC)
HOURS = {"hour": 1, "day": 24, "week": 168, "month": 720}


def events() -> list[dict[str, Any]]:
    """Eight actors with logins and plays at hours that often coincide, over the change of the clock on 30 March."""
    rng = random.Random(5)
    rows: list[dict[str, Any]] = []
    for actor in range(8):
        begin = rng.randrange(0, 25 * 24)
        for number in range(rng.randrange(1, 14)):
            hours = begin + (number and rng.choice((0, 1, 2, 23, 24, 25, 47, 72, 168, 169, 336, 700)))
            moment = FIRST + timedelta(hours=hours, minutes=rng.choice((0, 0, 0, 30)))
            if moment < MARK:
                name = rng.choice(("login", "play"))
                seq = rng.choice((None, 1, 2))
                rows.append({"actor_id": f"u{actor}", "event_time": moment, "event_name": name, "seq": seq})
    days = [FIRST + timedelta(hours=1, days=offset) for offset in range((MARK - FIRST).days + 1)]
    rows += [{"actor_id": None, "event_time": moment} for moment in [FIRST, *days, MARK]]
    return [{**row, "event_id": f"e{number * 7919 % 1000:03d}"} for number, row in enumerate(rows)]


EVENTS = events()


class Portable:
    """An engine that refuses what Spark would answer differently."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.capabilities = engine.capabilities

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def query(self, sql: str, *arguments: Any) -> Any:
        check_portable(sql)
        return self._engine.query(sql, *arguments)

    def write(self, rows: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(rows, str):
            check_portable(rows)
        return self._engine.write(rows, *arguments, **options)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    with Tiny(tmp_path_factory.mktemp("reference"), {"timezone": "Europe/Berlin"}) as made:
        made.add(EVENTS)
        made.build()
        yield made


def local(moment: datetime) -> date:
    return moment.astimezone(ZONE).date()


def unit_of(moment: datetime, unit: str) -> int:
    """Calendar units since some beginning, counted by walking the calendar."""
    if unit == "hour":
        return int(moment.timestamp()) // 3600
    day = local(moment)
    if unit == "month":
        return day.year * 12 + day.month
    return (day - date(2024, 1, 1)).days // (7 if unit == "week" else 1)  # 1 January 2024 was a Monday


def order(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["event_time"], row["seq"] is None, row["seq"] or 0, row["event_id"]


def members(asked: Retention) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each entry with the returns after it."""
    found = []
    for actor in sorted({row["actor_id"] for row in EVENTS if row["actor_id"]}):
        own = sorted((row for row in EVENTS if row["actor_id"] == actor), key=order)
        entries = [row for row in own if not asked.entry.event or row["event_name"] in asked.entry.event]
        seen: set[int] = set()
        for entry in entries:
            unit = unit_of(entry["event_time"], asked.unit)
            if unit in seen or (asked.cohort == "first" and seen):
                continue
            seen.add(unit)
            later = [row for row in own if order(row) > order(entry)]
            found.append(
                (entry, [row for row in later if not asked.returned.event or row["event_name"] in asked.returned.event])
            )
    return found


def naive(asked: Retention, grain: str) -> dict[tuple[Any, ...], tuple[int, int, int, int]]:
    """(returned among eligible, eligible, size, returned among the others) by cohort and cell."""
    counts: dict[tuple[Any, ...], list[int]] = {}
    for entry, returns in members(asked):
        cohort = None
        if grain != "all":
            known: Grain = "day" if grain == "day" else "week" if grain == "week" else "month"
            cohort = period_start(local(entry["event_time"]), known)
        for number, hit, is_eligible in judged(asked, entry["event_time"], [row["event_time"] for row in returns]):
            held = counts.setdefault((cohort, number), [0, 0, 0, 0])
            held[0] += hit and is_eligible
            held[1] += is_eligible
            held[2] += 1
            held[3] += hit and not is_eligible
    return {key: (held[0], held[1], held[2], held[3]) for key, held in counts.items()}


def judged(asked: Retention, start: datetime, returns: list[datetime]) -> Iterator[tuple[int, bool, bool]]:
    """Each cell of one member: its number, whether it came back in it, whether it has ended."""
    length = timedelta(hours=HOURS[asked.unit])
    begun = unit_of(start, asked.unit)
    if asked.anchor == "elapsed":
        places = {(moment - start) // length for moment in returns}
    else:
        places = {unit_of(moment, asked.unit) - begun for moment in returns}

    def ended(n: int) -> bool:
        if asked.anchor == "elapsed":
            return start + (n + 1) * length <= MARK
        return begun + n + 1 <= unit_of(MARK, asked.unit)

    for number, (low, high) in enumerate(asked.within):
        yield number, any(low < moment - start <= high for moment in returns), start + high <= MARK
    for number, (least, most) in enumerate(asked.brackets):
        yield number, any(least <= n <= most for n in places), ended(most)
    for n in range(asked.periods[0], asked.periods[1] + 1):
        match asked.criterion, asked.horizon:
            case "on", _:
                yield n, n in places, ended(n)
            case "on_or_before", _:
                yield n, any(one <= n for one in places), ended(n)
            case "streak", _ if n:
                yield n, all(one in places for one in range(1, n + 1)), ended(n)
            case "on_or_after", "inf":
                yield n, any(one >= n for one in places), ended(n)
            case "on_or_after", int(horizon):
                yield n, any(n <= one <= horizon for one in places), ended(horizon)


@st.composite
def questions(draw: st.DrawFn) -> tuple[Retention, str | None]:
    unit = draw(st.sampled_from(["hour", "day", "week", "month"]))
    first = draw(st.integers(0, 2))
    last = first + draw(st.integers(1, 3))
    asked: dict[str, Any] = {
        "entry": draw(st.sampled_from(["*", "login"])),
        "return": draw(st.sampled_from(["*", "play", "login"])),
        "unit": unit,
        "anchor": draw(st.sampled_from(["calendar", "elapsed"])),
        "cohort": draw(st.sampled_from(["first", "recurring"])),
        "criterion": draw(st.sampled_from(["on", "on_or_after", "on_or_before", "bracket", "streak", "within"])),
        "periods": (first, last),
        "warmup_days": 0,
    }
    if asked["criterion"] == "on_or_after":
        asked["horizon"] = draw(st.sampled_from([last, last + 2, "inf"]))
    if asked["criterion"] == "bracket":
        asked["brackets"] = ((0, 1), (1, 3), (2, 2))
    if asked["criterion"] == "within":
        asked["within"] = (("0h", "24h"), ("24h", "25h"), ("1h", "168h"))
    return Retention.make(**asked), draw(st.sampled_from([None, "day", "month", "all"]))


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(question=questions())
def test_every_question_gives_what_counting_one_by_one_gives(
    tiny: Tiny, question: tuple[Retention, str | None]
) -> None:
    asked, grain = question
    engine: Any = Portable(tiny.engine)
    result = retention(engine, tiny.lake, tiny.project, tiny.sources, asked, grain=grain)
    found = {
        (row["cohort_start"], row["period"]): (row["numerator"], row["eligible"], row["size"], row["numerator_so_far"])
        for row in result.to_dicts()
    }
    expected = naive(asked, grain or ("day" if asked.unit == "hour" else asked.unit))
    assert {key: (held[0] or 0, *held[1:]) for key, held in found.items()} == expected
    for row in result.to_dicts():
        assert (row["value"] is None) == (row["eligible"] == 0)
        if row["ci_low"] is not None:
            assert row["ci_low"] - 1e-9 <= row["value"] <= row["ci_high"] + 1e-9
