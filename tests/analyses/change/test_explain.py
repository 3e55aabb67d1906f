"""Explanations of planted changes: what was planted is found, what was not is not claimed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tidelake.analyses.change.explanation import Explanation
from tidelake.analyses.change.question import explain_table
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.reports.formats import plain

FIRST = date(2025, 1, 6)  # a Monday
REGIONS, DEVICES = ("east", "north", "south", "west"), ("phone", "tv", "web")
WEEK = (1.0, 0.97, 0.96, 0.98, 1.05, 1.2, 1.15)
DAYS, AT = 63, 49
Leaf = tuple[str, str]


def rates(region: str, device: str) -> float:
    return 300.0 * (1 + REGIONS.index(region)) * (1 + DEVICES.index(device))


def sums(factor: Callable[[Leaf], float], *, seed: int = 1, days: int = DAYS, at: int = AT) -> pa.Table:
    """Poisson counts of twelve leaves with a weekday pattern; from `at` on each leaf's mean has a factor."""
    chance = np.random.default_rng(seed)
    rows = []
    for day in range(days):
        shock = float(np.exp(chance.normal(0, 0.01)))
        for leaf in product(REGIONS, DEVICES):
            mean = rates(*leaf) * WEEK[day % 7] * shock * (factor(leaf) if day >= at else 1.0)
            named = dict(zip(("region", "device"), leaf, strict=True))
            rows.append({"day": FIRST + timedelta(days=day), **named, "value": int(chance.poisson(mean))})
    return pa.Table.from_pylist(rows)


def ratios(factor: Callable[[Leaf], float], grown: Callable[[Leaf], float] = lambda _: 1.0, seed: int = 1) -> pa.Table:
    """Shares of about 40 %, in the east 15 %; from the onset on each leaf's share and size have factors."""
    chance = np.random.default_rng(seed)
    rows = []
    for day in range(DAYS):
        for leaf in product(REGIONS, DEVICES):
            is_after = day >= AT
            size = int(chance.poisson(rates(*leaf) * WEEK[day % 7] * (grown(leaf) if is_after else 1.0)))
            share = (0.15 if leaf[0] == "east" else 0.4) * (factor(leaf) if is_after else 1.0)
            named = dict(zip(("region", "device"), leaf, strict=True))
            above = int(chance.binomial(size, share))
            rows.append({"day": FIRST + timedelta(days=day), **named, "numerator": above, "denominator": size})
    return pa.Table.from_pylist(rows)


def explained(table: pa.Table, **options: Any) -> dict[str, Any]:
    return explain_table(table, ["region", "device"], **options).document()


def where(said: dict[str, Any]) -> list[dict[str, str]]:
    return [segment["where"] for segment in said["segments"]]


@pytest.mark.parametrize(
    ("cause", "fall"),
    [({"region": "north"}, 0.3), ({"device": "tv"}, 0.2), ({"region": "west", "device": "web"}, 0.35)],
)
def test_a_fall_of_one_segment(cause: dict[str, str], fall: float) -> None:
    """Onset, segment, effect and loss of a planted fall: the loss is the segment's own mean times the fall."""
    hit = [
        leaf for leaf in product(REGIONS, DEVICES) if cause.items() <= {"region": leaf[0], "device": leaf[1]}.items()
    ]
    said = explained(sums(lambda leaf: 1 - fall if leaf in hit else 1.0))
    assert said["verdict"] == "segments"
    assert where(said) == [cause]
    assert abs(said["onset"]["day"] - (FIRST + timedelta(days=AT))) <= timedelta(days=1)
    assert said["segments"][0]["effect"] == pytest.approx(-fall, abs=0.02)
    planted = fall * sum(rates(*leaf) for leaf in hit) * sum(WEEK) * 2
    assert said["loss"]["lost"] == pytest.approx(planted, rel=0.1)
    width = said["loss"]["high"] - said["loss"]["low"]  # nine in ten intervals hold it: a campaign counts them
    assert said["loss"]["low"] - width < planted < said["loss"]["high"] + width
    assert said["loss"]["method"] == "controls"
    assert said["explained"] == pytest.approx(1, abs=0.15)


def test_a_rise_is_found_like_a_fall() -> None:
    said = explained(sums(lambda leaf: 1.4 if leaf[0] == "south" else 1.0))
    assert where(said) == [{"region": "south"}]
    assert said["segments"][0]["effect"] == pytest.approx(0.4, abs=0.03)
    assert said["loss"]["lost"] < 0


def test_a_fall_everywhere_has_no_segment() -> None:
    said = explained(sums(lambda _: 0.75))
    assert said["verdict"] == "everywhere"
    assert said["segments"] == []
    assert said["change"]["effect"] == pytest.approx(-0.25, abs=0.02)
    assert "No single segment" in " ".join(said["headline"])


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_made_of_nothing(seed: int) -> None:
    said = explained(sums(lambda _: 1.0, seed=seed))
    assert said["verdict"] == "no_change"
    assert said["segments"] == []
    assert said["loss"] is None
    assert said["recommendations"] == []


def test_a_rate_that_falls_in_one_segment() -> None:
    said = explained(ratios(lambda leaf: 0.7 if leaf[1] == "tv" else 1.0))
    assert said["verdict"] == "segments"
    assert where(said) == [{"device": "tv"}]
    assert said["segments"][0]["kind"] == "rate"
    assert said["rate"] + said["mix"] == pytest.approx(said["change"]["seen"] - said["change"]["expected"])


def test_a_changed_mix_is_no_fall_of_any_segment() -> None:
    """The east, where the share is low, grows fourfold."""
    said = explained(ratios(lambda _: 1.0, lambda leaf: 4.0 if leaf[0] == "east" else 1.0))
    assert said["verdict"] == "mix"
    assert where(said) == [{"region": "east"}]
    assert said["segments"][0]["kind"] == "mix"
    assert abs(said["mix"]) > 5 * abs(said["rate"])
    assert said["loss"] is None


def test_a_version_that_took_its_users_from_others_is_no_fall_of_theirs() -> None:
    """A sum by a dimension in which a new value appears cannot be compared by it: it is left out, and that is said."""
    chance = np.random.default_rng(2)
    rows = []
    for day in range(DAYS):
        for device in DEVICES:
            mean = 2_000 * WEEK[day % 7] * (0.6 if day >= AT and device == "tv" else 1.0)
            shares = {"1": 0.3, "2": 0.7} if day < AT else {"1": 0.1, "2": 0.3, "3": 0.6}
            rows += [
                {
                    "day": FIRST + timedelta(days=day),
                    "device": device,
                    "version": name,
                    "value": int(chance.poisson(mean * part)),
                }
                for name, part in shares.items()
            ]
    said = explain_table(pa.Table.from_pylist(rows), ["device", "version"]).document()
    assert where(said) == [{"device": "tv"}]
    assert any("version" in note for note in said["notes"])


def test_a_fortnight_is_enough_and_says_how_sure_it_is() -> None:
    """Seven days before and seven after: no calibration is possible, and the interval says so."""
    said = explained(sums(lambda leaf: 0.6 if leaf[0] == "west" else 1.0, days=14, at=7))
    assert where(said) == [{"region": "west"}]
    assert said["loss"]["is_calibrated"] is False
    assert said["loss"]["low"] < said["loss"]["lost"] < said["loss"]["high"]


def test_days_that_a_user_names() -> None:
    table = sums(lambda leaf: 0.7 if leaf[0] == "north" else 1.0)
    named = explained(table, at=FIRST + timedelta(days=AT))
    spanned = explained(
        table,
        start=FIRST + timedelta(days=AT),
        end=FIRST + timedelta(days=AT + 6),
        baseline=(FIRST + timedelta(days=AT - 14), FIRST + timedelta(days=AT - 1)),
    )
    assert where(named) == where(spanned) == [{"region": "north"}]
    assert named["baseline"]["days"] == 49
    assert spanned["baseline"]["days"] == 14
    assert spanned["window"]["days"] == 7


def test_the_same_input_gives_the_same_bytes() -> None:
    table = sums(lambda leaf: 0.7 if leaf[0] == "north" else 1.0)
    first, again = (json.dumps(plain(explained(one)), sort_keys=False) for one in (table, table.take(_turned(table))))
    assert first == again


def _turned(table: pa.Table) -> list[int]:
    return list(reversed(range(table.num_rows)))


def test_what_cannot_be_asked() -> None:
    table = sums(lambda _: 1.0)
    with pytest.raises(DefinitionError, match="2030-01-01"):
        explained(table, at=date(2030, 1, 1))
    with pytest.raises(UnknownNameError, match="regoin"):
        explain_table(table, ["regoin"])
    few = table.filter(pa.compute.less(table["day"], pa.scalar(FIRST + timedelta(days=3), pa.date32())))
    assert explained(few)["verdict"] == "cannot_be_told"


def test_it_prints_as_tables() -> None:
    why = explain_table(sums(lambda leaf: 0.7 if leaf[0] == "north" else 1.0), ["region", "device"], name="plays")
    assert isinstance(why, Explanation)
    text = "\n".join([*why.headline, *map(str, why.tables())])
    assert "region north" in text
    assert "P1" in text


def test_releases_that_take_turns_move_nothing() -> None:
    """Version 2 replaces version 1 within ten days, and as many play as before: no version fell or rose."""
    chance = np.random.default_rng(8)
    rows = []
    for day in range(DAYS):
        new = min(max((day - 30) / 10, 0.0), 1.0)
        for name, part in (("1", 1 - new), ("2", new)):
            mean = 5_000 * WEEK[day % 7] * part
            rows.append({"day": FIRST + timedelta(days=day), "version": name, "value": int(chance.poisson(mean))})
    said = explain_table(pa.Table.from_pylist(rows), ["version"]).document()
    assert said["verdict"] == "no_change"


def test_a_market_that_opens_is_where_it_rose() -> None:
    """What comes with a new value is added where no other loses it."""
    rows = [
        {"day": FIRST + timedelta(days=day), "region": name, "value": mean + 7 * (day % 3)}
        for day in range(DAYS)
        for name, mean in (("north", 4_000), ("south", 3_000), *([("west", 2_000)] if day >= AT else []))
    ]
    said = explain_table(pa.Table.from_pylist(rows), ["region"]).document()
    assert said["verdict"] == "segments"
    assert where(said) == [{"region": "west"}]


def test_many_tiny_segments_hide_no_large_one() -> None:
    """Nine that have 60,000 a day, of which one falls to a third, beside 491 that are seen once in four weeks."""
    rows = [
        {
            "day": FIRST + timedelta(days=day),
            "entity": f"s{number}",
            "value": 20_000 if number == 0 and day >= 21 else 60_000,
        }
        for day in range(28)
        for number in range(9)
    ]
    rows += [{"day": FIRST + timedelta(days=at % 28), "entity": f"t{at}", "value": 1} for at in range(491)]
    said = explain_table(pa.Table.from_pylist(rows), ["entity"]).document()
    assert where(said) == [{"entity": "s0"}]
    assert said["explained"] == pytest.approx(1, abs=0.01)
