"""Planted steps are told once, build by build; where nothing was planted nothing is told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tidelake.analyses.change.days import TableDays
from tidelake.analyses.watch.changes import SEGMENTS, Change, Changes, changes
from tidelake.analyses.watch.findings import LOOKED, compared, sentence, unwritten

FIRST = date(2025, 1, 6)  # a Monday
WEEK = (1.0, 0.97, 0.96, 0.98, 1.05, 1.2, 1.15)
SIZES = {"east": 400, "north": 900, "south": 1600, "west": 3000}


def counts(factors: Mapping[str, Mapping[int, float]] | None = None, *, days: int = 50, seed: int = 0) -> pa.Table:
    """Poisson counts of four regions with a weekday pattern; a region's factors hold from their day on."""
    chance = np.random.default_rng([20, seed])
    rows = []
    for region, size in SIZES.items():
        factor = 1.0
        for day in range(days):
            factor = (factors or {}).get(region, {}).get(day, factor)
            value = int(chance.poisson(size * WEEK[day % 7] * factor * float(np.exp(chance.normal(0, 0.01)))))
            rows.append({"day": FIRST + timedelta(days=day), "region": region, "value": value})
    return pa.Table.from_pylist(rows)


def until(table: pa.Table, days: int) -> TableDays:
    return TableDays(table.filter(pc.less(table["day"], FIRST + timedelta(days=days))), ["region"])


def edges(one: Change) -> tuple[int, int, int]:
    return one.onset.at, one.onset.low, one.onset.high


def rows_of(found: Changes, days: TableDays) -> list[dict[str, Any]]:
    empty: dict[str, Any] = dict.fromkeys(LOOKED.names)
    return [
        empty
        | {"metric": "plays", "segment": one.segment.get("region", "all"), "kind": one.kind, "effect": one.onset.effect}
        | {name: days.calendar.day(at) for name, at in zip(("day", "low", "high"), edges(one), strict=True)}
        for one in found.found
    ]


def told(table: pa.Table, first: int, last: int) -> list[dict[str, Any]]:
    """What is written down when every day is a build, each looked at twice."""
    kept: list[dict[str, Any]] = []
    for build in range(first, last + 1):
        days = until(table, build)
        looked = rows_of(changes(days, by=["region"]), days)
        rows = compared(looked, kept, build)
        kept += unwritten(rows, kept)
        again = compared(looked, kept, build)
        assert again == rows
        assert unwritten(again, kept) == []
    return kept


def test_a_planted_fall_is_told_once_though_every_later_build_sees_it() -> None:
    found = told(counts({"south": {35: 0.7}}), 35, 45)
    own = [row for row in found if row["segment"] == "south"]
    assert [(row["kind"], row["status"], row["day"]) for row in own] == [("fall", "new", FIRST + timedelta(days=35))]
    assert own[0]["effect"] == pytest.approx(-0.3, abs=0.06)
    assert own[0]["build"] == own[0]["first_build"] in (37, 38)  # a step needs two days after it
    assert {row["segment"] for row in found} <= {"south", "all"}  # a fall of 8 % of the whole may be seen or not


def test_the_return_is_told_as_another_change() -> None:
    found = told(counts({"west": {30: 0.6, 46: 1.0}}, days=52), 44, 52)
    own = [(row["kind"], row["day"]) for row in found if row["segment"] == "west"]
    assert own == [("fall", FIRST + timedelta(days=30)), ("rise", FIRST + timedelta(days=46))]


@pytest.mark.parametrize("seed", range(20))
def test_where_nothing_was_planted_nothing_is_found(seed: int) -> None:
    assert changes(until(counts(seed=seed), 50), by=["region"]).found == ()


def test_only_the_direction_that_is_asked_for_is_given() -> None:
    days = until(counts({"west": {35: 0.7}, "north": {36: 1.4}}), 45)
    both = {one.segment["region"]: one.kind for one in changes(days, by=["region"]).found if one.segment}
    assert both == {"west": "fall", "north": "rise"}
    assert {one.kind for one in changes(days, by=["region"], direction="rise").found} == {"rise"}


def test_a_look_at_one_segment_leaves_the_others_out() -> None:
    days = until(counts({"west": {35: 0.7}, "north": {36: 1.4}}), 45)
    found = changes(days, segment={"region": "north"})
    assert [(one.segment, one.kind) for one in found.found] == [({"region": "north"}, "rise")]
    assert found.series == 1


def test_a_segment_that_is_new_has_no_level_before_and_did_not_rise() -> None:
    table = counts()
    started = pc.or_(pc.not_equal(table["region"], "east"), pc.greater_equal(table["day"], FIRST + timedelta(days=30)))
    found = changes(until(table.filter(started), 45), by=["region"])
    assert not [one for one in found.found if one.segment.get("region") == "east"]


def test_a_segment_that_is_gone_fell() -> None:
    table = counts()
    held = pc.or_(pc.not_equal(table["region"], "east"), pc.less(table["day"], FIRST + timedelta(days=40)))
    found = changes(until(table.filter(held), 45), by=["region"])
    own = [one for one in found.found if one.segment.get("region") == "east"]
    assert [(one.kind, one.onset.at) for one in own] == [("fall", 40)]


def test_of_many_values_the_largest_are_looked_at_and_that_is_said() -> None:
    many = SEGMENTS + 5
    rows = [
        {"day": FIRST + timedelta(days=day), "region": f"r{number:03d}", "value": many - number}
        for day in range(14)
        for number in range(many)
    ]
    found = changes(TableDays(pa.Table.from_pylist(rows), ["region"]), by=["region"])
    assert found.series == SEGMENTS + 1
    assert found.notes == (f"Of {many} values of region the {SEGMENTS} with most were looked at.",)


def change(day: int, *, spread: int = 0, kind: str = "fall", segment: str = "all") -> dict[str, Any]:
    at = FIRST + timedelta(days=day)
    around = {"day": at, "low": at - timedelta(days=spread), "high": at + timedelta(days=spread)}
    return dict.fromkeys(LOOKED.names) | {"metric": "plays", "segment": segment, "kind": kind, "effect": -0.2} | around


@pytest.mark.parametrize(
    ("later", "status"),
    [
        (change(40), "known"),
        (change(47), "known"),  # a week apart
        (change(48), "new"),
        (change(48, spread=1), "known"),  # its interval begins a week after
        (change(40, kind="rise"), "new"),
        (change(40, segment="region DE"), "new"),
        (change(40) | {"metric": "opens"}, "new"),
        (change(40) | {"condition": "platform = 'tv'"}, "new"),
    ],
)
def test_what_is_the_same_change(later: dict[str, Any], status: str) -> None:
    kept = compared([change(40)], [], 7)
    found = compared([later], kept, 8)
    assert [row["status"] for row in found] == [status]
    assert found[0]["first_build"] == (7 if status == "known" else 8)
    assert len(unwritten(found, kept)) == (status == "new")


def test_two_watches_of_the_same_segment_tell_it_once() -> None:
    assert len(compared([change(40), change(41)], [], 7)) == 1


def test_words() -> None:
    row = compared([change(40, spread=1)], [], 7)[0]
    assert sentence(row) == "plays fell by 20.0 % on 15 Feb 2025 (14 Feb 2025 to 16 Feb 2025)."
