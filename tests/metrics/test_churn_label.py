"""The label of churn, worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tidelake.engine.result import Result
from tidelake.errors import DefinitionError
from tidelake.metrics.churn_label import NO_DATE, churn_label, churn_label_members

# ann is there on 1, 2, 4 and 8 March, ben on 1 and 6, cat on the 3rd alone; the 10th is the last complete day.
DAYS = {"ann": (1, 2, 4, 8), "ben": (1, 6), "cat": (3,)}


def march(day: int) -> date:
    return date(2025, 3, day)


def made(root: Path, *, without: int | None = None) -> Tiny:
    """Ann is in the north, until on the 8th she comes from the south; ben and cat are in the south."""
    rows: list[dict[str, Any]] = [
        {
            "actor_id": actor,
            "event_time": f"2025-03-{day:02d} 09:00",
            "event_id": f"{actor}{day}",
            "region": "north" if actor == "ann" and day < 8 else "south",
        }
        for actor, days in DAYS.items()
        for day in days
    ]
    rows += [{"actor_id": None, "event_time": f"2025-03-{day:02d} 00:00"} for day in range(1, 12) if day != without]
    found = Tiny(root, {"dimensions": ["region"]}, columns={"region": pa.string()})
    found.add({**row, "event_id": row.get("event_id", row["event_time"])} for row in rows)
    found.build()
    return found


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    with made(tmp_path_factory.mktemp("churn")) as found:
        yield found


def ask(tiny: Tiny, **options: Any) -> Result:
    return tiny.ask(churn_label, observation_days=3, prediction_days=3, **options)


def test_a_label_is_of_who_was_there_and_says_who_does_not_come_back(tiny: Tiny) -> None:
    """Both windows are 3 days. On the 3rd all three were there on 1 to 3; on 4 to 6 ann and ben come, cat does not.

    On the 4th: ann and cat (2 to 4), neither is there on 5 to 7. On the 5th the same two; ann comes on the 8th. On the
    6th ann and ben (4 to 6); 7 to 9: ann. On the 7th ben alone, who stays away up to the 10th. On the 8th the days
    after reach to the 11th, which has not ended.
    """
    rows = ask(tiny, start=march(1), end=march(8)).to_dicts()
    found = {row["period_start"].day: (row["numerator"], row["denominator"], row["status"]) for row in rows}
    assert found == {
        1: (1, 2, "partial_left"),
        2: (1, 2, "partial_left"),
        3: (1, 3, "complete"),
        4: (2, 2, "complete"),
        5: (1, 2, "complete"),
        6: (1, 2, "complete"),
        7: (1, 1, "complete"),
        8: (None, None, "open"),
    }


def test_without_dates_it_is_the_last_day_whose_days_after_have_ended(tiny: Tiny) -> None:
    (row,) = ask(tiny).to_dicts()
    assert (row["period_start"], row["value"], row["n"], row["ci_high"]) == (march(7), 1, 1, pytest.approx(1))
    assert [row["period_start"].day for row in ask(tiny, start=march(1), every=3).to_dicts()] == [1, 4, 7]


def test_members_are_the_labels(tiny: Tiny) -> None:
    for row in ask(tiny, start=march(3), end=march(7)).to_dicts():
        members = tiny.ask(churn_label_members, row["period_start"], observation_days=3, prediction_days=3).to_dicts()
        assert len(members) == row["denominator"]
        assert sum(member["is_in_numerator"] for member in members) == row["numerator"]
    with pytest.raises(DefinitionError, match="Nobody has a label at 2025-03-08"):
        tiny.ask(churn_label_members, march(8), observation_days=3, prediction_days=3)


@pytest.mark.parametrize("rule", ["any", "first", "last"])
def test_who_comes_back_elsewhere_came_back_and_nothing_later_moves_her(tiny: Tiny, rule: str) -> None:
    """On the 5th ann (north on the 4th) and cat (south on the 3rd) have labels; ann is back on the 8th, southern."""
    rows = ask(tiny, start=march(5), end=march(5), by=["region"], segment=rule).to_dicts()
    found = [(row["region"], row["numerator"], row["denominator"]) for row in rows]
    assert found == [("north", 0, 1), ("south", 1, 1)]


def test_silence_on_a_day_that_was_not_received_is_no_label(tmp_path: Path) -> None:
    """The 5th was not received: the labels of 2 to 4 hang on it; on 5 to 7 it only narrows who was seen."""
    with made(tmp_path, without=5) as tiny:
        found = {row["period_start"].day: row for row in ask(tiny, start=march(1), end=march(7)).to_dicts()}
    assert {day for day, row in found.items() if row["value"] is None} == {2, 3, 4}
    assert found[3]["status"] == "missing"
    assert (found[7]["value"], found[7]["status"]) == (1, "missing")


def test_no_date_has_a_label_while_the_days_after_all_are_open(tiny: Tiny) -> None:
    result = tiny.ask(churn_label, prediction_days=28)
    assert (result.to_dicts(), result.notes) == ([], (NO_DATE,))
    with pytest.raises(DefinitionError, match="prediction"):
        tiny.ask(churn_label, prediction_days=0)
