"""Suspicions, one-dimensional stories and known events: worked out by hand on days without chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tidelake.analyses.change.conditions import held
from tidelake.analyses.change.daily import step
from tidelake.analyses.change.hypotheses import Judged, judge
from tidelake.analyses.change.known_events import beside, known_events
from tidelake.analyses.change.one_dimension import stories
from tidelake.config import Hypothesis, KnownEvent, Project, load_project
from tidelake.errors import ProjectError, QueryError

FIRST = date(2025, 11, 10)  # a Monday
ONSET = FIRST + timedelta(days=7)
REGIONS, DEVICES = ("north", "south"), ("tv", "web")
WEEK = (1.0, 1.0, 1.0, 1.0, 1.2, 1.5, 1.5)
Number = Callable[[str, str, bool], Mapping[str, float]]


def table(number: Number, *, days: int = 14, noise: float = 0.0, seed: int = 1) -> pa.Table:
    """A row a day, region and device; `number(region, device, is_after)` says what it holds, the weekday how much."""
    chance = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for at, region, device in product(range(days), REGIONS, DEVICES):
        found = number(region, device, at >= 7)
        factor = WEEK[at % 7] * float(np.exp(chance.normal(0, noise))) if noise else WEEK[at % 7]
        scaled = {name: value * (1 if name == "denominator" else factor) for name, value in found.items()}
        rows.append({"day": FIRST + timedelta(days=at), "region": region, "device": device, **scaled})
    return pa.Table.from_pylist(rows).cast(
        pa.schema(
            [("day", pa.date32()), ("region", pa.string()), ("device", pa.string())]
            + [(name, pa.float64()) for name in number("north", "tv", False)]
        )
    )


def north_falls(region: str, device: str, is_after: bool) -> Mapping[str, float]:
    """100 in each of four leaves; in the north half of them after."""
    return {"value": 50.0 if region == "north" and is_after else 100.0}


def one(where: str, asked: pa.Table, **options: Any) -> Judged:
    (found,) = judge(
        asked, [Hypothesis(name="it", where=where, start=options.pop("start", None))], onset=ONSET, **options
    )
    return found


def test_the_segment_that_fell_is_kept_with_its_whole_share() -> None:
    """The north 200 -> 100 a day, the rest stays: effect -50 %, and 100 of 100 lost, whatever the weekday."""
    found = one("region = 'north'", table(north_falls))
    assert (found.verdict, found.missing) == ("kept", ())
    assert (found.effect, found.share) == (pytest.approx(-0.5), pytest.approx(1))
    assert found.low == pytest.approx(-0.5, abs=1e-4)
    assert found.words == "kept: effect -50.0 % against the rest [-50.0 %, -50.0 %], 100 % of the change [100, 100]"


def test_a_segment_that_fell_like_the_rest_is_ruled_out() -> None:
    """tv and web both fell by a quarter."""
    found = one("device = 'tv'", table(north_falls))
    assert found.verdict == "ruled out"
    assert (found.effect, found.share) == (pytest.approx(0, abs=1e-6), pytest.approx(0, abs=1e-6))


def test_half_of_the_cause_carries_what_it_lost_beyond_the_rest() -> None:
    """tv in the north 100 -> 50; the rest 300 -> 250: .5 / (5/6) - 1 = -40 %; 50 x -.4 / .6 = -33 1/3 of -100."""
    found = one("region = 'north' AND device = 'tv'", table(north_falls))
    assert (found.effect, found.share) == (pytest.approx(-0.4), pytest.approx(1 / 3))
    assert found.verdict == "kept"


def test_noise_that_hides_an_effect_cannot_be_told() -> None:
    """Days that vary by 60 % say nothing of a fall by 15 % of one leaf."""

    def fell(region: str, device: str, is_after: bool) -> Mapping[str, float]:
        return {"value": 85.0 if is_after else 100.0}

    assert one("device = 'tv'", table(fell, noise=0.6)).verdict == "cannot be told"


def test_what_begins_after_the_onset_is_ruled_out_by_its_date() -> None:
    found = one("region = 'north'", table(north_falls), start=ONSET + timedelta(days=3), high=ONSET + timedelta(days=1))
    assert found.verdict == "ruled out"
    assert found.words == "ruled out: it begins 2025-11-20, 2 days after the latest day of the onset"


def test_a_missing_column_is_said() -> None:
    found = one("model_version = 'v4.2' AND region = 'north'", table(north_falls))
    assert (found.verdict, found.missing) == ("untestable", ("model_version",))
    assert found.words == "untestable: column is missing: model_version (not among those that are looked at)"


def test_nothing_to_compare_with() -> None:
    assert one("region = 'west'", table(north_falls)).words.startswith("untestable: no row")
    assert one("region <> 'west'", table(north_falls)).words.startswith(
        "cannot be told: its condition holds everything"
    )
    few = [ONSET + timedelta(days=at) for at in range(-2, 7)]
    assert one("region = 'north'", table(north_falls), days=few).verdict == "cannot be told"


def test_a_release_without_days_before_is_judged_by_its_rate() -> None:
    """Plays per open .8; v2 comes with the onset, and has .4 in the north and .8 elsewhere."""
    rows = []
    for at, region in product(range(14), REGIONS):
        for version, opens in (("v1", 100.0 if at < 7 else 20.0), ("v2", 0.0 if at < 7 else 80.0)):
            rate = 0.4 if (version, region) == ("v2", "north") else 0.8
            if opens:
                rows.append(
                    {
                        "day": FIRST + timedelta(days=at),
                        "region": region,
                        "version": version,
                        "numerator": opens * rate,
                        "denominator": opens,
                    }
                )
    rates = pa.Table.from_pylist(rows)
    found = one("version = 'v2' AND region = 'north'", rates)
    assert (found.verdict, found.effect) == ("kept", pytest.approx(-0.5))
    assert found.share == pytest.approx(1)  # 32 of the 32 plays that 80 opens lost
    amounts = rates.rename_columns(["day", "region", "version", "value", "opens"])
    assert one("version = 'v2' AND region = 'north'", amounts).words.startswith(
        "cannot be told: the segment is first seen"
    )


def test_one_dimension_is_ruled_out_and_the_other_kept() -> None:
    region, device = stories(table(north_falls), ["region", "device"], onset=ONSET)
    assert (region.verdict, device.verdict) == ("kept", "ruled out")
    assert (region.smallest, region.largest) == (pytest.approx(-0.5), pytest.approx(0, abs=1e-6))
    assert region.value is not None
    assert (region.value.name, region.value.against, region.value.share) == (
        "north",
        pytest.approx(-0.5),
        pytest.approx(1),
    )
    assert region.p < 0.001
    assert (device.smallest, device.largest) == (pytest.approx(-0.25), pytest.approx(-0.25))
    assert device.words.startswith("ruled out: its values moved by -25.0 % to -25.0 % (that all moved alike: p = 1)")


def test_a_dimension_of_one_value_tells_nothing() -> None:
    only = table(north_falls).filter(pa.compute.equal(table(north_falls)["device"], "tv"))
    (found,) = stories(only, ["device"], onset=ONSET)
    assert found.words == "cannot be told: it has one value"


def test_many_values_are_bounded() -> None:
    rows = [
        {"day": FIRST + timedelta(days=at), "title": f"t{number:03d}", "value": 1000.0 if number < 3 else 10.0}
        for at, number in product(range(14), range(90))
    ]
    (found,) = stories(pa.Table.from_pylist(rows), ["title"], onset=ONSET)
    assert {value.name for value in found.values} == {"t000", "t001", "t002", "(other)"}  # the others: below .5 %


def test_intervals_and_homogeneity_hold_their_level() -> None:
    """Nothing differs between segments: at most 5 % of intervals may leave 0 out, at most 1 % of p lie below .01."""

    def fell(region: str, device: str, is_after: bool) -> Mapping[str, float]:
        return {"value": 80.0 if is_after else 100.0}

    outside = unlike = 0
    for seed in range(100):
        asked = table(fell, noise=0.05, seed=seed)
        found = one("region = 'north'", asked)
        outside += not found.low <= 0 <= found.high
        unlike += stories(asked, ["region"], onset=ONSET)[0].p < 0.01
    assert outside <= 11  # 5 expected; 12 or more in less than 1 of 100 tries
    assert unlike <= 4


def test_step_with_weekdays() -> None:
    """A series of weekday terms and a step of ln 2 is fitted without remainder, on 7 + 7 days."""
    after = np.arange(14) >= 7
    found = step(np.log(np.tile(WEEK, 2)) + after * np.log(2), after, np.arange(14) % 7)
    assert found is not None
    assert (found.log, found.freedom) == (pytest.approx(np.log(2)), 6)
    assert step(np.zeros(4), np.arange(4) >= 2, np.arange(4)) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 'x'", [1, 0, 0, 0]),
        ("'x' <> a", [0, 1, 1, 1]),
        ("a IN ('x', 'y') AND NOT b = 2", [1, 0, 0, 0]),
        ("a NOT IN ('x')", [0, 1, 1, 1]),
        ("a IS NULL OR b > 3", [0, 0, 1, 1]),
        ("a IS NOT NULL", [1, 1, 0, 1]),
        ("b BETWEEN 2 AND 3", [0, 1, 1, 0]),
        ("a LIKE 'z%'", [0, 0, 0, 1]),
        ("2 <= b", [0, 1, 1, 1]),
        ("a = '(unknown)'", [0, 0, 1, 0]),
    ],
)
def test_conditions(text: str, expected: list[int]) -> None:
    rows = pa.table({"a": ["x", "y", None, "zed"], "b": [1, 2, 3, 4]})
    assert held(text, rows).astype(int).tolist() == expected


@pytest.mark.parametrize("text", ["a = 5", "length(a) > 2", "a = (SELECT 1)", "a + 1 = 2", "b = 'one'"])
def test_conditions_that_cannot_be_worked_out(text: str) -> None:
    with pytest.raises(QueryError):
        held(text, pa.table({"a": ["x"], "b": [1]}))


def test_events_beside_an_onset() -> None:
    events = [
        KnownEvent(name="app 2", day=ONSET, kind="release"),
        KnownEvent(name="model", day=ONSET - timedelta(days=2), kind="release"),
        KnownEvent(name="later", day=ONSET + timedelta(days=1), kind="incident"),
        KnownEvent(name="long ago", day=ONSET - timedelta(days=9), kind="release"),
        KnownEvent(name="holidays", start=ONSET - timedelta(days=20), end=ONSET, kind="holiday"),
        KnownEvent(name="over", start=ONSET - timedelta(days=20), end=ONSET - timedelta(days=9), kind="holiday"),
    ]
    found = beside(events, ONSET, ONSET, ONSET + timedelta(days=1))
    assert [(near.event.name, near.days_before, near.is_within) for near in found] == [
        ("app 2", 0, True),
        ("later", -1, True),
        ("model", 2, False),
        ("holidays", 20, False),
    ]
    assert found[0].words == "release 'app 2' on the same day: a coincidence in time, which alone is no cause"
    assert found[1].words.startswith("incident 'later' 1 day after the onset, within its interval")


def project(root: Path, more: str) -> Project:
    (root / "tide.yml").write_text(f"name: some\n{more}", encoding="utf-8")
    return load_project(root)


def test_events_and_hypotheses_of_a_project(tmp_path: Path) -> None:
    (tmp_path / "known.csv").write_text(
        "name,kind,date,from,to\nsale,campaign,,2025-11-20,2025-11-22\nv4.2,release,2025-11-17,,\n", encoding="utf-8"
    )
    found = project(
        tmp_path,
        "events_file: known.csv\nevents:\n  - {name: outage, kind: incident, date: 2025-11-18}\n"
        "hypotheses:\n  - {name: north, where: region = 'north', from: 2025-11-17, words: A new model.}\n",
    )
    assert [(event.name, event.first, event.last) for event in known_events(found)] == [
        ("v4.2", date(2025, 11, 17), date(2025, 11, 17)),
        ("outage", date(2025, 11, 18), date(2025, 11, 18)),
        ("sale", date(2025, 11, 20), date(2025, 11, 22)),
    ]
    assert found.hypotheses[0].start == date(2025, 11, 17)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("events:\n  - {name: a, kind: release}\n", r"tide\.yml:3: events\.0: an event has either"),
        ("events:\n  - {name: a, kind: relese, date: 2025-11-17}\n", r"tide\.yml:3: events\.0\.kind"),
        ("events:\n  - {name: a, kind: holiday, from: 2025-11-17, to: 2025-11-16}\n", "on or after"),
        ("hypotheses:\n  - {name: a}\n", r"tide\.yml:3: hypotheses\.0\.where"),
        ("hypotheses:\n  - {name: a, where: x}\n  - {name: a, where: y}\n", "two hypotheses 'a'"),
    ],
)
def test_settings_that_are_wrong(tmp_path: Path, more: str, says: str) -> None:
    with pytest.raises(ProjectError, match=says):
        project(tmp_path, more)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "There is no"),
        ("name,date\n", r"known\.csv:1: there is no column 'kind'"),
        ("name,kind,date\na,release,2025-11-17\nb,release,17.11.2025\n", r"known\.csv:3: date"),
        ("name,kind,from,to\na,release,,\n", r"known\.csv:2: .*either"),
    ],
)
def test_files_of_events_that_are_wrong(tmp_path: Path, text: str | None, says: str) -> None:
    if text is not None:
        (tmp_path / "known.csv").write_text(text, encoding="utf-8")
    found = project(tmp_path, "events_file: known.csv\n")
    with pytest.raises(ProjectError, match=says):
        known_events(found)
