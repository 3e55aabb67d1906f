"""Days of a table and days of the lake give the same numbers; weights, contributions and chance worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tidelake.analyses.change.cuts import Cut, cuts
from tidelake.analyses.change.days import Calendar, Days, LakeDays, TableDays, weights
from tidelake.analyses.change.history import chance_of
from tidelake.analyses.change.located import days_between
from tidelake.analyses.change.spans import Asked, Spans, spans
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.metrics.daily import daily

FIRST = date(2025, 3, 3)  # a Monday
REGIONS, DEVICES = ("north", "south", "west"), ("tv", "web")


def plays(day: int, region: str, device: str) -> int:
    """How many a combination has on a day; none of the west on the web."""
    return 0 if (region, device) == ("west", "web") else 1 + (day + REGIONS.index(region) + DEVICES.index(device)) % 3


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    settings = {"dimensions": ["region", "device"], "measures": {"plays": {"event": "play"}}}
    columns = {"region": pa.string(), "device": pa.string()}
    events = [
        {
            "event_time": f"{FIRST + timedelta(days=day)} 10:{number:02d}",
            "actor_id": f"{region}-{device}",
            "event_name": "play",
            "event_id": f"{day}-{region}-{device}-{number}",
            "region": region,
            "device": device,
        }
        for day in range(10)
        for region in REGIONS
        for device in DEVICES
        for number in range(plays(day, region, device))
    ]
    with Tiny(tmp_path_factory.mktemp("days"), settings, columns=columns) as made:
        made.add(events)
        made.build()
        yield made


def table() -> pa.Table:
    rows = [
        {"day": FIRST + timedelta(days=day), "region": region, "device": device, "value": plays(day, region, device)}
        for day in range(10)
        for region in REGIONS
        for device in DEVICES
    ]
    return pa.Table.from_pylist(rows)


@pytest.fixture(scope="module", params=["table", "lake"])
def days(request: pytest.FixtureRequest, tiny: Tiny) -> Days:
    if request.param == "table":
        return TableDays(table(), ["region", "device"])
    return LakeDays(tiny.ask(daily, "plays"))


def by_name(days: Days, *by: str, **options: Any) -> dict[tuple[str, ...], list[float]]:
    lines = days.lines(by, **options)
    found = {name: row.tolist() for name, row in zip(lines.names, lines.numerator, strict=True)}
    return {name: row for name, row in found.items() if any(row)}


def test_lines_are_sums_of_what_happened(days: Days) -> None:
    whole = [sum(plays(day, region, device) for region in REGIONS for device in DEVICES) for day in range(10)]
    assert by_name(days) == {(): whole}
    regions = {(name,): [plays(day, name, "tv") + plays(day, name, "web") for day in range(10)] for name in REGIONS}
    assert by_name(days, "region") == regions
    tv = {(name, "tv"): [plays(day, name, "tv") for day in range(10)] for name in REGIONS}
    assert by_name(days, "region", "device", within=[{"device": "tv"}]) == tv


def test_cells_that_overlap_count_once(days: Days) -> None:
    cells = [{"region": "north"}, {"device": "tv"}]
    inside, outside = days.lines(within=cells), days.lines(outside=cells)
    assert outside.numerator[0].tolist() == [plays(day, "south", "web") for day in range(10)]
    assert (inside.numerator + outside.numerator).tolist() == days.lines().numerator.tolist()
    assert days.lines(within=[{"region": "nowhere"}]).numerator.tolist() == [[0.0] * 10]


def test_leaves_are_weighted_sums(days: Days) -> None:
    before, after = np.array([2.0] + [0.0] * 9), np.array([0.0] * 8 + [1.0, 1.0])
    found = {
        (row["region"], row["device"]): (row["real"], row["predict"]) for row in days.leaves(before, after).to_pylist()
    }
    for region in REGIONS:
        for device in DEVICES:
            real = plays(8, region, device) + plays(9, region, device)
            if real:
                assert found[region, device] == (real, 2 * plays(0, region, device))


def test_weights_look_at_the_same_weekday() -> None:
    """Monday the 10th looks at Monday the 3rd, Tuesday at Tuesday; without that Tuesday, at the mean of the others."""
    calendar = Calendar(FIRST, np.ones(9, dtype=bool))
    position = np.arange(9)
    before, after = weights(calendar, position < 7, position >= 7)
    assert before.tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert after.tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 1]
    known = np.array([True, False, *([True] * 7)])
    before, _ = weights(Calendar(FIRST, known), position < 7, position >= 7)
    assert before == pytest.approx([1 + 1 / 6, 0, *([1 / 6] * 5), 0, 0])


def ratio_days() -> TableDays:
    """Two groups over two weeks: a goes from 10 of 100 a day to 5 of 100, b from 30 of 100 to 60 of 200."""
    rows = []
    for day in range(14):
        parts = {"a": (10, 100), "b": (30, 100)} if day < 7 else {"a": (5, 100), "b": (60, 200)}
        for name, (above, below) in parts.items():
            rows.append({"day": FIRST + timedelta(days=day), "group": name, "numerator": above, "denominator": below})
    return TableDays(pa.Table.from_pylist(rows), ["group"])


def between(days: Days) -> Spans:
    return spans(days.calendar, Asked(), 7)


def test_rate_and_mix_add_up_to_the_change() -> None:
    """Kitagawa by hand: the ratio goes from 40/200 = .2 to 65/300; a's share from 1/2 to 1/3, its rate .1 to .05.

    Rate of a = 5/12 * -.05, its mix = -1/6 * (.075 - .208333); b's rate does not change.
    """
    days = ratio_days()
    found = {cut.value: cut for cut in cuts(days, between(days))}
    assert found["a"].rate == pytest.approx(-5 / 12 * 0.05)
    assert found["a"].mix == pytest.approx(-1 / 6 * (0.075 - (0.2 + 65 / 300) / 2))
    assert found["b"].rate == pytest.approx(0)
    assert sum(cut.contribution for cut in found.values()) == pytest.approx(65 / 300 - 0.2)


def test_contributions_of_a_sum_are_its_differences() -> None:
    days = TableDays(table(), ["region", "device"])
    found = cuts(days, between(days))
    whole = days.lines().numerator[0]
    for dim in ("region", "device"):
        own: list[Cut] = [cut for cut in found if cut.dim == dim]
        assert sum(cut.contribution for cut in own) == pytest.approx(whole[7:].mean() - whole[:3].mean())


def test_chance_of_counts_is_that_of_poisson() -> None:
    """A week of Poisson counts and one to come: a count strays by its own variance and by that of the week before."""
    chance = np.random.default_rng(5)
    rows = [
        {"day": FIRST + timedelta(days=day), "leaf": f"l{leaf}", "value": int(chance.poisson(200 + 10 * leaf))}
        for day in range(14)
        for leaf in range(50)
    ]
    days = TableDays(pa.Table.from_pylist(rows), ["leaf"])
    baseline, window = days_between(days, 0, 6), days_between(days, 7, 13)
    found = chance_of(days, baseline, *weights(days.calendar, baseline, window))
    assert found is not None
    assert found.dispersion == pytest.approx(2.0, rel=0.2)


def test_days_that_are_not_there() -> None:
    days = ratio_days()
    with pytest.raises(DefinitionError, match="baseline ends"):
        spans(days.calendar, Asked(baseline=(FIRST, FIRST + timedelta(days=8))), 7)
    with pytest.raises(DefinitionError, match="No day from"):
        spans(days.calendar, Asked(end=FIRST), 7)
    with pytest.raises(DefinitionError, match="no rows"):
        TableDays(table().slice(0, 0), ["region"])
    with pytest.raises(UnknownNameError, match="day"):
        TableDays(table().drop_columns(["day"]), ["region"])
