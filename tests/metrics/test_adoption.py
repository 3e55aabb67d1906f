"""Feature adoption over tiny tables worked out by hand, and versions in their order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tidelake.engine.result import Result
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.metrics.adoption import adoption, adoption_members, adoption_of
from tidelake.metrics.intervals import wilson
from tidelake.metrics.versions import at_least, version_key
from tidelake.reports.formats import json_pieces

COLUMNS = {"app_version": pa.string(), "region": pa.string()}
MARCH = {"start": date(2025, 3, 1), "end": date(2025, 3, 31)}
OPTIONS = ("by", "where", "grain", "start", "end")


def event(actor: str, at: str, name: str = "open", version: str | None = None, **more: Any) -> dict[str, Any]:
    key = f"{actor} {at} {name}"
    fixed = {"actor_id": actor, "event_time": f"2025-{at}", "event_name": name, "event_id": key}
    return {**fixed, "app_version": version, **more}


EVENTS = [
    event("ann", "03-01 00:00", version="1.9"),
    event("ann", "03-03 00:00", version="1.10"),
    event("ann", "03-04 00:00", "share", "1.10", region="north"),
    event("ann", "03-05 00:00", "share", "1.10", region="south"),
    event("ann", "04-02 00:00", "share", "1.10"),  # 29 days after her first: in the week that begins 28 days later
    event("bob", "03-03 10:00", version="1.10.1"),
    event("cyd", "03-03 10:00", "share", "1.9"),
    event("dan", "03-03 10:00", version="1.2"),
    event("eve", "04-20 10:00", version="2.0"),
    event("fay", "03-31 10:00", version="dev", region="north"),
    event("fay", "03-31 11:00", "share", "dev", region="north"),
    event("bot", "03-03 10:00", "share", "1.10", traffic_class="bot"),
    event("zed", "04-30 12:00", version="1.9"),
]


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Tiny]:
    with Tiny(tmp_path, columns=COLUMNS) as made:
        made.add(EVENTS)
        yield made


def ask(tiny: Tiny, feature: str = "share", **options: Any) -> Result:
    cut = MARCH | {name: given for name, given in options.items() if name in OPTIONS}
    definition = adoption_of(feature, **{name: given for name, given in options.items() if name not in OPTIONS})
    return tiny.ask(adoption, definition, **cut)


def users(tiny: Tiny, **options: Any) -> dict[str, int]:
    cut = MARCH | {name: given for name, given in options.items() if name in OPTIONS}
    definition = adoption_of("share", **{name: given for name, given in options.items() if name not in OPTIONS})
    rows = tiny.ask(adoption_members, definition, **cut).to_dicts()
    return {row["actor_id"]: row["in_numerator"] for row in rows}


@pytest.mark.parametrize("asked", [{}, {"by": ["region"]}])
def test_the_median_time_to_adopt_has_its_bounds(tmp_path: Path, asked: dict[str, Any]) -> None:
    """Nine take 1, 2 ... 9 days from their first activity: the sign test's ranks for nine are 2 and 8."""
    with Tiny(tmp_path, columns=COLUMNS) as tiny:
        tiny.add(event(f"u{number}", "03-01 10:00", region="north") for number in range(1, 10))
        tiny.add(event(f"u{number}", f"03-{number + 1:02d} 10:00", "share", region="north") for number in range(1, 10))
        tiny.add([event("zed", "04-30 12:00")])
        row = ask(tiny, **asked).to_dicts()[0]
    assert [row[f"days_to_adopt_{end}"] for end in ("low", "median", "high")] == [2, 5, 8]


def test_who_is_in_several_regions_counts_once_in_the_total(tiny: Tiny) -> None:
    """Ann is active without a region, in the north and in the south; four others in one each: 7 in 5 actors."""
    result = ask(tiny, by=["region"])
    (row,) = json.loads("".join(json_pieces(result)))["totals"]
    assert (row["period_start"], row["total"], row["sum_of_segments"], row["overlap"]) == ("2025-03-01", 5, 7, 2)
    assert sum(row["denominator"] for row in result.to_dicts()) == 7
    assert getattr(ask(tiny), "totals", None) is None


def test_every_active_actor_is_eligible_by_default_and_that_is_said(tiny: Tiny) -> None:
    """Of ann, bob, cyd, dan and fay, ann uses it twice, cyd and fay once: 3 of 5, 4 uses by 3."""
    result = ask(tiny)
    row = result.to_dicts()[0]
    assert (row["value"], row["numerator"], row["denominator"]) == (0.6, 3, 5)
    assert (row["ci_low"], row["ci_high"]) == wilson(3, 5)
    assert (row["uses"], row["uses_per_adopter"], row["triers"]) == (4, 4 / 3, 3)
    assert "Every active actor" in result.notes[0]
    assert users(tiny) == {"ann": 1, "bob": 0, "cyd": 1, "dan": 0, "fay": 1}


def test_a_version_makes_eligible_and_1_10_comes_after_1_9(tiny: Tiny) -> None:
    """From 1.10 on: ann and bob. Ann could use it on the 3rd and did on the 4th."""
    result = ask(tiny, introduced_in="1.10")
    row = result.to_dicts()[0]
    assert (row["value"], row["numerator"], row["denominator"]) == (0.5, 1, 2)
    assert row["days_to_adopt_median"] == 1
    assert any("dev" in note for note in result.notes)
    assert users(tiny, introduced_in="1.10") == {"ann": 1, "bob": 0}
    assert users(tiny, introduced_in="3.0") == {}


def test_an_exposure_makes_eligible_from_then_on(tiny: Tiny) -> None:
    tiny.add([event("ann", "03-02 00:00", "shown"), event("dan", "03-10 10:00", "shown")])
    assert users(tiny, exposure="shown") == {"ann": 1, "dan": 0}
    row = ask(tiny, exposure="shown").to_dicts()[0]
    assert row["days_to_adopt_median"] == 2  # ann: shown on the 2nd, used on the 4th
    until_9 = {"start": date(2025, 3, 1), "end": date(2025, 3, 9)}
    assert users(tiny, exposure="shown", **until_9) == {"ann": 1}


def test_of_first_uses_at_one_instant_the_order_of_events_tells_the_segment(tmp_path: Path) -> None:
    """Twice at one instant, by seq the one in the south first, though north comes first in the alphabet."""
    with Tiny(tmp_path, columns=COLUMNS) as tiny:
        north = event("ann", "03-04 00:00", "share", region="north", seq=2)
        tiny.add([north, {**north, "region": "south", "seq": 1, "event_id": "z"}, event("zed", "04-30 12:00")])
        rows = ask(tiny, by=["region"]).to_dicts()
    assert {row["region"]: row["triers"] for row in rows} == {"north": 0, "south": 1}


def test_retained_adoption_counts_those_whose_week_has_ended(tiny: Tiny) -> None:
    """Five weeks after the first use end on 7 April for cyd, 8 April for ann, 5 May for fay: 1 of 2."""
    row = ask(tiny).to_dicts()[0]
    assert (row["triers"], row["triers_observed"], row["retained_share"]) == (3, 2, 0.5)
    assert (row["retained_ci_low"], row["retained_ci_high"]) == wilson(1, 2)
    assert ask(tiny, weeks=1).to_dicts()[0]["retained_share"] == 0


def test_periods_and_segments(tiny: Tiny) -> None:
    monthly = ask(tiny, grain="month", end=date(2025, 4, 30)).to_dicts()
    # April: ann uses it, eve and zed do not; her first use was in March.
    assert [(row["numerator"], row["denominator"], row["triers"]) for row in monthly] == [(3, 5, 3), (1, 3, 0)]
    cut = ask(tiny, by=["region"]).to_dicts()
    assert {row["region"]: (row["numerator"], row["denominator"]) for row in cut} == {
        "(unknown)": (1, 4),  # ann, bob, cyd and dan; cyd uses it there
        "north": (2, 2),
        "south": (1, 1),
    }
    assert {row["region"]: row["triers"] for row in cut} == {"(unknown)": 1, "north": 2, "south": 0}


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("1.9", "1.10"),
        ("1.9.9", "1.10"),
        ("v1.2", "1.3"),
        ("2.0-beta", "2.0"),
        ("2.0-beta.2", "2.0-beta.10"),
        ("9", "10"),
    ],
)
def test_versions_are_compared_number_for_number(earlier: str, later: str) -> None:
    one, two = version_key(earlier), version_key(later)
    assert one is not None
    assert two is not None
    assert one < two


def test_equal_and_strange_versions() -> None:
    assert version_key("1.9") == version_key("1.9.0") == version_key("v1.9")
    assert version_key("dev") is None
    assert at_least(["1.2", "1.10", "1.9", "dev", "2"], "1.9") == ["1.9", "1.10", "2"]


def test_what_is_wrong_is_said(tiny: Tiny) -> None:
    with pytest.raises(DefinitionError, match="no version"):
        adoption_of("share", introduced_in="new")
    with pytest.raises(DefinitionError, match="one of introduced_in and exposure"):
        adoption_of("share", introduced_in="1.0", exposure="shown")
    with pytest.raises(UnknownNameError, match="shaer"):
        ask(tiny, "shaer")
    with pytest.raises(UnknownNameError, match="app_versoin"):
        ask(tiny, introduced_in="1.0", version="app_versoin")
    with pytest.raises(UnknownNameError, match="regoin"):
        ask(tiny, by=["regoin"])


def test_an_empty_lake_has_no_rows(tmp_path: Path) -> None:
    with Tiny(tmp_path, columns=COLUMNS) as tiny:
        assert len(ask(tiny, start=None, end=None)) == 0
