"""Scenarios with a planted cause, from their logs to an explanation, and its judgement against what was planted."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from tidelake import session as tl
from tidelake.analyses.change.explanation import Explanation
from tidelake.sources.simulate import simulate
from tidelake.sources.simulate.planted import DEVICES, MODELS, PLANTS, REGIONS, VERSIONS

EXAMPLE = Path(__file__).parents[3] / "examples" / "collapse"
METRICS = ("watch_seconds", "plays_per_user", "bounce_session")
USERS = 1_000
Cell = dict[str, str]
Names = dict[str, dict[str, str]]
_NAMED = re.compile(r'"(region|device|app_version|model_version)": "([^"]*)"')
_DIMENSIONS = {"region": REGIONS, "device": DEVICES, "app_version": VERSIONS, "model_version": MODELS}


@dataclass(frozen=True)
class Planted:
    """What was planted, under the names that the logs have.

    Attributes:
        cause: As in the truth file.
        cells: The segments that carry the change.
        onset: First day.
        spread: Days until all of it has come: a release reaches its users over four days.
    """

    cause: str
    cells: tuple[Cell, ...]
    onset: date
    spread: int = 0


def permutation(seed: int) -> Names:
    """For each dimension another order of its values; seed 0 leaves them as they are."""
    chance = random.Random(seed)
    names: Names = {}
    for dim, values in _DIMENSIONS.items():
        others = list(values)
        if seed:
            chance.shuffle(others)
        names[dim] = dict(zip(values, others, strict=True))
    return names


def planted(
    root: Path, scenario: str, *, seed: int, users: int = USERS, with_model: bool = False, **options: Any
) -> Planted:
    """A project with the logs of a scenario under permuted names, built; its truth file is read and deleted."""
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("data", "lake", "target"))
    made = simulate(scenario, root / "data", seed=seed, users=users, model_version=with_model, **options)
    told = json.loads(made.truth.read_text())["planted"]
    made.truth.unlink()
    names = permutation(seed)
    for path in sorted((root / "data").glob("*.json")):
        text = path.read_text(encoding="utf-8")
        path.write_text(
            _NAMED.sub(lambda found: f'"{found[1]}": "{names[found[1]].get(found[2], found[2])}"', text),
            encoding="utf-8",
        )
    if with_model:  # sessions know of it only where it is a dimension
        config = root / "tide.yml"
        text = config.read_text(encoding="utf-8")
        config.write_text(text.replace("app_version]", "app_version, model_version]"), encoding="utf-8")
    with tl.open(root) as session:
        assert session.build().exit_code == 0
    cells = [
        {dim: names[dim][value] for dim, value in cell.items() if with_model or dim != "model_version"}
        for cell in told["root_causes"]
    ]
    spread = 3 if told["new_version_share"] else 0
    return Planted(told["cause"], tuple(cells), date.fromisoformat(told["onset"]), spread)


def explained(root: Path, metrics: Sequence[str] = METRICS) -> dict[str, Explanation]:
    """Explanations of a project's metrics."""
    with tl.open(root) as session:
        return {name: session.explain(name) for name in metrics}


def faults_of(metric: str, truth: Planted, why: Explanation) -> list[str]:
    """What is wrong with an explanation; empty = it says what was planted."""
    said = why.document()
    verdict, cells = said["verdict"], [segment["where"] for segment in said["segments"]]
    answer = f"{verdict} {cells}"
    if verdict not in ("no_change", "data_fault") and said["onset"]:
        off = said["onset"]["day"] - truth.onset
        if not timedelta(days=-1) <= off <= timedelta(days=1 + truth.spread):
            return [f"{answer} on {said['onset']['day']}"]
    return [] if _is_right(metric, truth, verdict, cells, said["change"]) else [answer]


def _is_right(
    metric: str, truth: Planted, verdict: str, cells: Sequence[Cell], change: Mapping[str, Any] | None
) -> bool:
    match truth.cause:
        case "none":
            return verdict == "no_change"
        case "data_fault":  # a ratio need not move where whole batches are lost
            return verdict == "data_fault" or (verdict == "no_change" and metric != "watch_seconds")
        case "global":
            return verdict == "everywhere"
        case "mix" if metric != "watch_seconds":
            return verdict == "mix" and _same(cells, truth.cells)
        case _:
            return verdict == "segments" and any(_same(cells, right) for right in _answers(metric, truth))


def _answers(metric: str, truth: Planted) -> list[Sequence[Cell]]:
    """The planted cells; of a sum also without values that came with the change, which it cannot be compared by."""
    new = {"app_version", "model_version"}
    less = [{dim: value for dim, value in cell.items() if dim not in new} for cell in truth.cells]
    return [truth.cells, less] if metric == "watch_seconds" else [truth.cells]


def _same(found: Sequence[Cell], right: Sequence[Cell]) -> bool:
    return sorted(map(str, (sorted(cell.items()) for cell in found))) == sorted(
        map(str, (sorted(cell.items()) for cell in right))
    )


__all__ = ["METRICS", "PLANTS", "USERS", "Planted", "explained", "faults_of", "permutation", "planted"]
