"""Bad and odd input of an explanation: a clear answer or a clear error each; expected numbers come from paper."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tidelake.analyses.change.days import TableDays
from tidelake.analyses.change.explanation import Explanation
from tidelake.analyses.change.hypotheses import judge
from tidelake.analyses.change.question import explain_table
from tidelake.config import Hypothesis
from tidelake.errors import DefinitionError

FIRST = date(2025, 1, 6)  # a Monday
REGIONS = ("a", "b", "c")
Number = Callable[[int, str], float | None]


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """numpy warns where a number came from nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def day(at: int) -> date:
    return FIRST + timedelta(days=at)


def table(number: Number, days: int = 63) -> pa.Table:
    """A row a day and region that has a number."""
    rows = [
        {"day": day(at), "region": region, "value": float(value)}
        for at in range(days)
        for region in REGIONS
        if (value := number(at, region)) is not None
    ]
    return pa.Table.from_pylist(rows)


def wavy(at: int, region: str) -> float:
    """About 1000, by a rhythm of five days and one of three."""
    return 1000 + 10 * ((at + REGIONS.index(region)) % 5) - 7 * (at % 3)


def fallen(at: int, region: str, since: int = 49) -> float:
    return wavy(at, region) * (0.6 if at >= since and region == "a" else 1.0)


def asked(given: pa.Table, **options: Any) -> dict[str, Any]:
    return why(given, **options).document()


def why(given: pa.Table, **options: Any) -> Explanation:
    return explain_table(given, ["region"], **options)


def test_days_without_rows_are_missing_not_zero() -> None:
    """Weekly numbers: a Monday had 2,994 to 3,060 before and 2,588 and more after, whatever the days between."""
    weekly = table(lambda at, region: fallen(at, region) if at % 7 == 0 else None)
    said = asked(weekly, at=day(49))
    before = np.mean([sum(wavy(at, region) for region in REGIONS) for at in range(0, 49, 7)])
    after = np.mean([sum(fallen(at, region) for region in REGIONS) for at in (49, 56)])
    assert said["change"]["expected"] == pytest.approx(before)
    assert said["change"]["seen"] == pytest.approx(after)
    assert said["window"]["days"] == 2
    assert day(50) in said["days"]["left_out"]
    assert all(one["kpi"] is None or one["kpi"]["level"] > 500 for one in said["recommendations"])


@pytest.mark.parametrize("days", [1, 2, 8])
def test_few_days_are_too_few_to_search_and_that_is_said(days: int) -> None:
    said = asked(table(fallen, days))
    assert said["verdict"] == "cannot_be_told"
    assert f"{days} day{'s' if days > 1 else ''} can" in said["headline"][0]


def test_less_than_four_weeks_give_an_answer_that_is_not_calibrated() -> None:
    said = asked(table(lambda at, region: fallen(at, region, since=14), 21))
    assert said["verdict"] == "segments"
    assert said["loss"]["is_calibrated"] is False
    assert any("14 days" in note for note in said["notes"])


@pytest.mark.parametrize(
    "options", [{"at": day(49)}, {"start": day(49), "end": day(62), "baseline": (day(0), day(39))}]
)
@pytest.mark.parametrize("factors", [(-1, -1, -1), (1, -0.3, 1), (1, -1, 0.01)])
def test_negative_sums_are_refused(options: dict[str, date], factors: tuple[float, ...]) -> None:
    given = table(lambda at, region: fallen(at, region) * factors[REGIONS.index(region)])
    with pytest.raises(DefinitionError, match=r"negative in \d of 3 combinations of region"):
        asked(given, **options)


def test_a_few_negative_numbers_do_no_harm() -> None:
    said = asked(table(lambda at, region: -3.0 if (at, region) == (20, "c") else fallen(at, region)))
    assert [one["where"] for one in said["segments"]] == [{"region": "a"}]


def test_nothing_before_cannot_be_compared() -> None:
    """No share of nothing, no loss, nothing that must be back."""
    said = asked(table(lambda at, region: wavy(at, region) if at >= 49 else 0.0), at=day(49))
    assert said["verdict"] == "cannot_be_told"
    assert said["loss"] is None
    assert said["recommendations"] == []
    assert "0 on all days before 24 Feb 2025" in said["headline"][0]


def test_a_ratio_without_denominators_cannot_be_told() -> None:
    given = table(wavy).rename_columns(["day", "region", "numerator"])
    below = pa.array([0.0 if one >= day(49) else 10.0 for one in given["day"].to_pylist()])
    said = asked(given.append_column("denominator", below), at=day(49))
    assert said["verdict"] == "cannot_be_told"
    assert "denominator is 0" in said["headline"][0]


def test_a_segment_that_vanishes_carries_the_fall() -> None:
    said = asked(table(lambda at, region: None if at >= 49 and region == "a" else wavy(at, region)))
    assert [one["where"] for one in said["segments"]] == [{"region": "a"}]
    assert said["segments"][0]["effect"] == -1
    assert said["segments"][0]["seen"] == 0


def test_a_dimension_without_values_tells_nothing_and_that_is_said() -> None:
    given = table(fallen)
    for kind in (pa.string(), pa.null()):
        said = asked(given.set_column(1, "region", pa.nulls(given.num_rows, kind)))
        assert said["verdict"] == "everywhere"
        assert "region is empty in all rows, so that nothing can be told by it." in said["notes"]


def test_without_dimensions() -> None:
    said = explain_table(table(fallen), []).document()
    assert said["verdict"] == "everywhere"
    assert said["segments"] == []
    assert "any dimension" in said["recommendations"][0]["recommendation"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"at": date(2030, 1, 1)}, "2030-01-01 cannot be explained: the data are of 2025-01-06 to 2025-03-09"),
        ({"at": FIRST}, "days before it are needed"),
        ({"start": day(50), "end": day(40)}, "end on 2025-02-15, before they begin on 2025-02-25"),
        ({"at": day(50), "end": day(40)}, "end on 2025-02-15, before they begin on 2025-02-25"),
        ({"at": day(50), "baseline": (day(9), day(3))}, "baseline's days end on"),
        ({"at": day(50), "baseline": (date(2020, 1, 1), date(2020, 1, 9))}, "No day before 2025-02-25"),
        ({"at": day(50), "baseline": (day(40), day(55))}, "baseline ends on 2025-03-02"),
        ({"at": day(50), "start": day(52), "baseline": (day(0), day(9))}, "either on 2025-02-27 or on 2025-02-25"),
        ({"depth": 0}, "segment of 0 dimensions"),
        ({"start": date(2030, 1, 1)}, "no rows"),
    ],
)
def test_days_and_depths_that_make_no_sense(options: dict[str, Any], words: str) -> None:
    with pytest.raises(DefinitionError, match=words):
        asked(table(fallen), **options)


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("value", float("nan"), "6 values that are infinite or not a number"),
        ("value", float("inf"), "6 values that are infinite"),
        ("value", "many", "value holds no numbers"),
        ("day", "monday", "day holds no dates"),
        ("day", None, "6 of 6 rows have no day"),
    ],
)
def test_columns_that_hold_no_numbers_or_days(column: str, values: Any, words: str) -> None:
    given = table(wavy, 2)
    at = given.column_names.index(column)
    with pytest.raises(DefinitionError, match=words):
        asked(given.set_column(at, column, pa.array([values] * 6)))


@pytest.mark.parametrize("name", ["day", "value"])
def test_what_is_looked_at_is_no_dimension(name: str) -> None:
    with pytest.raises(DefinitionError, match=f"{name} is no dimension"):
        explain_table(table(wavy), [name])


def test_a_dimension_named_twice_is_one() -> None:
    assert explain_table(table(fallen), ["region", "region"]).document() == asked(table(fallen))


def test_a_segment_that_came_with_the_change_has_no_days_before_in_tables() -> None:
    """Its rate is compared with that of its predecessors: 2 of 10 where those had 4 of 10, the rest as it was."""
    rows = [
        {"day": day(at), "region": region, "version": version, "numerator": float(above), "denominator": 10.0}
        for at in range(14)
        for region, version, above in (
            ("a", "2" if at >= 7 else "1", (2 if at >= 7 else 4) + 0.1 * (at % 2)),
            ("b", "1", 4 + 0.1 * (at % 3)),
        )
    ]
    given = TableDays(pa.Table.from_pylist(rows), ["region", "version"]).table(["region", "version"])
    assert given.num_rows == 28
    (one,) = judge(given, [Hypothesis(name="new", where="region = 'a' AND version = '2'")], onset=day(7))
    assert one.verdict == "kept"
    assert one.effect == pytest.approx(-0.5, abs=0.02)


def test_rises_are_advised_about_as_rises() -> None:
    said = asked(table(lambda at, region: wavy(at, region) * (1.6 if at >= 49 and region == "b" else 1.0)))
    advice = said["recommendations"][0]
    assert "if not wanted" in advice["recommendation"]
    assert advice["kpi"]["is_least"] is False
    assert advice["monitoring_kpi"].startswith("if the rise is not wanted: value of region b at most")
