"""Six stories with a planted cause: each is simulated, built, explained without its truth file, and judged against it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.analyses.change.planted import METRICS, PLANTS, USERS, explained, faults_of, permutation, planted
from tidelake.analyses.change.cut_off import cut_off
from tidelake.analyses.change.question import explain_table
from tidelake.config import UTC_ZONE
from tidelake.sources.simulate.planted import REGIONS

WITH_MODEL = "regional_model_failure+model"
STORIES = (*PLANTS, WITH_MODEL)


def told(root: Path, story: str, *, seed: int, users: int = USERS) -> dict[str, list[str]]:
    """What is wrong with the explanation of each metric."""
    truth = planted(root, story.partition("+")[0], seed=seed, users=users, with_model=story == WITH_MODEL)
    return {metric: faults_of(metric, truth, why) for metric, why in explained(root).items()}


@pytest.mark.parametrize("story", PLANTS)
def test_a_story_is_explained_by_what_was_planted(story: str, tmp_path: Path) -> None:
    """Under permuted names, so that no name can be known."""
    assert {metric: wrong for metric, wrong in told(tmp_path / "p", story, seed=1).items() if wrong} == {}


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
