"""Six stories with a planted cause, each simulated, built, explained without its truth file, and judged against it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from tests.analyses.change.planted import METRICS, PLANTS, USERS, explained, faults_of, permutation, planted
from tidelake.analyses.change.cut_off import cut_off
from tidelake.analyses.change.question import explain_table
from tidelake.sources.simulate.planted import REGIONS

WITH_MODEL = "regional_model_failure+model"
STORIES = (*PLANTS, WITH_MODEL)
# Of this size and seed a small segment is named beside the right ones; the campaign counts all metrics.
TOO_SMALL = {("regional_model_failure", "bounce_session")}


def told(root: Path, story: str, *, seed: int, users: int = USERS) -> dict[str, list[str]]:
    """What is wrong with the explanation of each metric."""
    truth = planted(root, story.partition("+")[0], seed=seed, users=users, with_model=story == WITH_MODEL)
    return {metric: faults_of(metric, truth, why) for metric, why in explained(root).items()}


@pytest.mark.parametrize("story", PLANTS)
def test_a_story_is_explained_by_what_was_planted(story: str, tmp_path: Path) -> None:
    """Under permuted names, so that no name can be known."""
    wrong = told(tmp_path / "p", story, seed=1)
    assert {metric: said for metric, said in wrong.items() if said and (story, metric) not in TOO_SMALL} == {}


@pytest.mark.slow
@pytest.mark.parametrize("story", STORIES)
def test_twenty_seeds_of_a_story(story: str, tmp_path: Path, record_property: Any) -> None:
    """The hit rate by metric; each seed has a permutation of its own."""
    hits: Counter[str] = Counter()
    for seed in range(1, 21):
        for metric, wrong in told(tmp_path / str(seed), story, seed=seed).items():
            hits[metric] += not wrong
            record_property(f"{story} {seed} {metric}", "; ".join(wrong) or "right")
    assert min(hits[metric] for metric in METRICS) >= 19, dict(hits)


FIRST = date(2025, 11, 10)


def days(*, seed: int, names: dict[str, str]) -> pa.Table:
    """Plays of 14 days by region; two regions fall by a third from the eighth day on."""
    chance = np.random.default_rng(seed)
    rows = [
        {
            "day": FIRST + timedelta(days=day),
            "region": names[region],
            "numerator": float(chance.poisson(2000 * (0.67 if day >= 7 and at < 2 else 1.0))),
            "denominator": 600.0,
        }
        for day in range(14)
        for at, region in enumerate(REGIONS)
    ]
    return pa.Table.from_pylist(rows)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_permuted_names_give_the_permuted_answer(seed: int) -> None:
    names = permutation(seed)["region"]
    plain = explain_table(days(seed=5, names=permutation(0)["region"]), ["region"]).document()
    other = explain_table(days(seed=5, names=names), ["region"]).document()
    assert plain["verdict"] == other["verdict"] == "segments"
    assert {one["where"]["region"] for one in plain["segments"]} == {"IN-North", "IN-South"}
    assert {one["where"]["region"] for one in other["segments"]} == {names["IN-North"], names["IN-South"]}
    for one in plain["segments"]:
        twin = next(two for two in other["segments"] if two["where"]["region"] == names[one["where"]["region"]])
        assert twin["effect"] == pytest.approx(one["effect"], rel=1e-12)
    assert other["onset"]["day"] == plain["onset"]["day"] == FIRST + timedelta(days=7)


def ends(first: dict[int, str], last: dict[int, str]) -> dict[date, tuple[datetime, datetime]]:
    """Seven days from 00:01 to 23:58, but for some."""
    made = {}
    for at in range(7):
        day = FIRST + timedelta(days=at)
        both = (first.get(at, "00:01"), last.get(at, "23:58"))
        begin, end = (datetime.fromisoformat(f"{day}T{time}:00").replace(tzinfo=UTC) for time in both)
        made[day] = (begin, end)
    return made


def test_a_day_is_cut_off_where_its_logs_stop() -> None:
    """Silent for two minutes elsewhere: 23:40 is within half an hour; 10:00 is not. Only the outermost days can be."""
    zone = ZoneInfo("UTC")
    assert cut_off(ends({}, {}), zone) == {}
    assert cut_off(ends({}, {6: "23:40"}), zone) == {}
    assert cut_off(ends({}, {6: "10:00"}), zone) == {date(2025, 11, 16): "its logs stop at 10:00"}
    assert cut_off(ends({0: "15:00"}, {}), zone) == {date(2025, 11, 10): "its logs begin at 15:00"}
    assert cut_off(ends({}, {3: "20:00", 6: "10:00"}), zone) == {}  # 14 hours are less than four times four
    assert cut_off(ends({}, {3: "21:00", 6: "10:00"}), zone) == {date(2025, 11, 16): "its logs stop at 10:00"}
    assert cut_off(ends({}, {3: "10:00"}), zone) == {}


def test_a_last_day_that_is_cut_off_does_not_count(tmp_path: Path) -> None:
    """The last day's file ends at 10:00: no number of an explanation has it, and the notes say so."""
    planted(tmp_path / "p", "nothing", seed=2, users=300, last_day_hours=10.0)
    for why in explained(tmp_path / "p").values():
        assert why.document()["days"]["left_out"] == [date(2025, 11, 23)]
        assert any("2025-11-23 does not count: its logs stop at 09:5" in note for note in why.notes)
