"""`kill -9` at every named commit point and at random moments: the same command again gives the same lake."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.session.killing import Outcome, Run, killer
from tests.session.story import Stage, snapshot, story

RANDOM_KILLS = 30
HITS = 24
GROUP_BYTES = 24_000  # two batches in the first build: one is settled while bronze has the next


@dataclass(frozen=True)
class Told:
    """One stage of a story that was told without a kill.

    Attributes:
        before: The project right before the command.
        digests: Of silver and gold after it.
    """

    stage: Stage
    before: Path
    points: list[str]
    seconds: float
    digests: dict[str, str]


@dataclass
class Stories:
    """A story told once, and what is needed to tell its stages again with kills, two at a time."""

    told: list[Told]
    work: Path
    free: SimpleQueue[Run]

    def killed(self, told: Told, **when: float | str) -> Outcome:
        """Kill a stage's command, run it again, and hold the lake against that without a kill."""
        run = self.free.get()
        name = "-".join([told.stage.name, *(f"{key}{value}" for key, value in when.items())]).replace(" ", "_")
        root = snapshot(told.before, self.work / name)
        try:
            outcome = run(root, told.stage.action, group_bytes=GROUP_BYTES, **when)
            healed = run(root, f"{told.stage.action} check").answer
        finally:
            self.free.put(run)
        where = f"{told.stage.name}, {when}, after {outcome.points[-3:]}"
        assert healed["wrong"] == [], where
        assert healed["digests"] == told.digests, where
        return outcome

    def all_killed(self, plan: Sequence[tuple[Told, Mapping[str, float | str]]]) -> list[Outcome]:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda item: self.killed(item[0], **item[1]), plan))


def tell(run: Run, stages: list[Stage], work: Path) -> list[Told]:
    """Run every stage once, keeping a copy of the project before each command."""
    root, told = work / "plain", []
    root.mkdir()
    for number, stage in enumerate(stages):
        stage.change(root)
        before = snapshot(root, work / f"before{number}")
        outcome = run(root, stage.action, group_bytes=GROUP_BYTES)
        found = run(root, "check").answer
        assert found["wrong"] == [], stage.name
        told.append(Told(stage, before, outcome.points, outcome.seconds, found["digests"]))
    return told


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stories]:
    with ExitStack() as stack:
        runs = [stack.enter_context(killer()) for _ in range(2)]
        work = tmp_path_factory.mktemp("stories")
        free: SimpleQueue[Run] = SimpleQueue()
        for run in runs:
            free.put(run)
        yield Stories(tell(runs[0], story(seed=7, size=400, is_small=True), work), work, free)


def apart(points: Sequence[str]) -> set[str]:
    """Names at which a kill leaves another lake than at the point that comes next.

    Between the end of one commit and the beginning of the next, only files are written that no table has: a kill
    before the next commit leaves them too, and all that a kill after the last one leaves.
    """
    pairs = zip(points, [*points[1:], ""], strict=True)
    return {name for name, following in pairs if name.endswith(" before") or not following.endswith(" before")}


def test_killed_at_every_named_commit_point(stories: Stories) -> None:
    """Each name once, in the stages after the first by turns where they have it; in compaction all."""
    plan = []
    for number, name in enumerate(sorted({name for told in stories.told for name in apart(told.points)})):
        holders = [told for told in stories.told[1:] if name in apart(told.points)] or stories.told[:1]
        plan.append((holders[number % len(holders)], {"until": name}))
    compaction = [told for told in stories.told if told.stage.action == "compact"]
    plan += [(told, {"until": name}) for told in compaction for name in sorted(apart(told.points))]
    before = {name for told in stories.told for name in told.points if name.endswith(" before")}
    assert {when["until"] for _, when in plan} >= before
    assert {"index app before", "ops.builds after"} <= {when["until"] for _, when in plan}
    assert {told.stage.name for told, _ in plan} == {told.stage.name for told in stories.told}
    outcomes = stories.all_killed(plan)
    assert all(outcome.killed for outcome in outcomes)
    assert [outcome.points[-1] for outcome in outcomes] == [when["until"] for _, when in plan]


def test_killed_at_random_moments(stories: Stories) -> None:
    """Between the first commit and the last, over all stages by their length."""
    chance = random.Random(11)
    lengths = [told.seconds for told in stories.told]
    hits = kills = 0
    while kills < RANDOM_KILLS or (hits < HITS and kills < 3 * RANDOM_KILLS):
        chosen = chance.choices(stories.told, lengths, k=10)
        plan = [(told, {"after": round(chance.uniform(0, told.seconds), 4)}) for told in chosen]
        outcomes = stories.all_killed(plan)
        kills += len(outcomes)
        hits += sum(
            outcome.killed and len(outcome.points) < len(told.points)
            for (told, _), outcome in zip(plan, outcomes, strict=True)
        )
    assert hits >= HITS, f"{hits} of {kills} kills came between the first commit and the last"


def test_killed_between_the_passes_of_tables_by_day(run: Run, tmp_path: Path) -> None:
    """Gold in small passes, killed between two of each table by day: the digests of a build in one pass."""
    free: SimpleQueue[Run] = SimpleQueue()
    free.put(run)
    (told,) = tell(run, story(seed=7, size=800)[:1], tmp_path)
    passes = {"pass_rows": 100}
    points = run(snapshot(told.before, tmp_path / "passes"), "build", group_bytes=GROUP_BYTES, **passes).points
    stories = Stories([told], tmp_path, free)
    for table in ("gold.user_day", "gold.user_day_value", "gold.event_day"):
        commits = [place for place, point in enumerate(points, 1) if point == f"{table} before"]
        assert len(commits) > 2
        assert stories.killed(told, at=commits[1], **passes).killed


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_campaign_of_every_commit_and_many_moments(seed: int, tmp_path: Path) -> None:
    """Every occurrence of every commit point, and a hundred random moments, in larger projects."""
    with ExitStack() as stack:
        runs = [stack.enter_context(killer()) for _ in range(2)]
        free: SimpleQueue[Run] = SimpleQueue()
        for run in runs:
            free.put(run)
        stories = Stories(tell(runs[0], story(seed, size=20_000), tmp_path), tmp_path, free)
        chance = random.Random(seed)
        plan: list[tuple[Told, dict[str, float]]] = [
            (told, {"at": place}) for told in stories.told for place in range(1, len(told.points) + 1)
        ]
        chosen = chance.choices(stories.told, [told.seconds for told in stories.told], k=100)
        plan += [(told, {"after": round(chance.uniform(0, told.seconds), 4)}) for told in chosen]
        assert all(outcome.killed for outcome in stories.all_killed(plan)[: len(plan) - 100])
