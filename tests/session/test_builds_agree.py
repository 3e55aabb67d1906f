"""Any split into files, in any order and any number of builds: the same silver and gold as one build of the end."""

from __future__ import annotations

import gzip
import random
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.session.lakes import build, digests, event, events_with, lines, make_project, rows_of
from tests.session.story import PRODUCTS, random_rows
from tidelake import session as tl

Files = dict[str, bytes]
CONTRACTS: tuple[dict[str, Any], ...] = (
    {"fields": {"id": {"required": False}}},
    {"fields": {"amount": {"type": "string"}, "user": {"required": True}}},
    {"fields": {"amount": {"type": "integer", "on_mismatch": "evolve"}}, "contract": {"extra": "ignore"}},
)
# Seeds, not hypothesis' own chance: its small choices would make all rows alike.
SEEDS = st.integers(0, 10**9)
long = settings(max_examples=150, database=None, suppress_health_check=list(HealthCheck))


class Folder:
    """A project's input files and what can happen to them between two builds."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.files: Files = {}
        self.whole: Files = {}  # what files that are cut off will hold
        self.built: Files = {}  # what was there when the lake was last built

    def rows(self) -> bytes:
        return lines(random_rows(self.chance, self.chance.randrange(1, 14))).encode()

    def name(self) -> str:
        return f"f{len(self.files)}-{self.chance.randrange(1000)}.jsonl"

    def some(self) -> str:
        plain = [name for name in self.files if name.endswith(".jsonl")]
        return self.chance.choice(plain) if plain else self.new()

    def new(self) -> str:
        name = self.name()
        self.files[name] = self.rows()
        return name

    def grow(self) -> None:
        self.files[self.some()] += self.rows()

    def grow_without_line_end(self) -> None:
        self.files[self.some()] += b'{"id": "half'

    def change(self) -> None:
        self.files[self.some()] = self.rows()

    def copy(self) -> None:
        self.files[self.name()] = self.files[self.some()]

    def swap(self) -> None:
        one, other = self.some(), self.some()
        self.files[one], self.files[other] = self.files[other], self.files[one]

    def rotate(self) -> None:
        """The file goes on under another name, and a new one begins under its own."""
        name = self.some()
        self.files[self.name()] = self.files[name]
        self.files[name] = self.rows()

    def rename_and_grow(self) -> None:
        """A file goes on under another name, longer or not, and nothing or a new one is under its own."""
        name = self.some()
        if self.files[name].startswith(self.built.get(name, b"")):  # else nobody could tell what became of it
            rest = self.chance.choice([b"", self.rows()])
            self.files[self.chance.choice([self.name(), self.name() + ".1"])] = self.files.pop(name) + rest
            if self.chance.random() < 0.5:
                self.files[name] = self.rows()

    def cut_off(self) -> None:
        name = f"z{len(self.files)}.gz"
        packed = gzip.compress(self.rows() * 20, mtime=0)
        self.files[name], self.whole[name] = packed[: len(packed) * 2 // 3], packed

    def made_whole(self) -> None:
        self.files.update(self.whole)
        self.whole.clear()

    def step(self) -> None:
        actions: list[Callable[[], object]] = [self.new, self.new, self.grow, self.change, self.copy, self.swap]
        actions += [self.rotate, self.cut_off, self.made_whole, self.grow_without_line_end]
        for action in self.chance.choices(actions, k=self.chance.randrange(1, 4)):
            action()
        if self.chance.random() < 0.4:
            self.rename_and_grow()


def become(root: Path, files: Mapping[str, bytes]) -> None:
    """Make a project's folder hold these files; those that stay as they are keep their stamps."""
    for path in (root / "data").iterdir():
        if path.name not in files:
            path.unlink()
    put(root, files)


def put(root: Path, files: Mapping[str, bytes], folder: str = "data") -> None:
    for name, content in files.items():
        path = root / folder / name
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)


def agree(chance: random.Random, dedup: str, changes_contract: bool) -> None:
    """Build a folder's life in steps, every step balanced, and hold the end against one build of it."""
    home = Path(tempfile.mkdtemp())
    try:
        folder = Folder(chance)
        folder.new()
        contract = CONTRACTS[0]
        for _ in range(chance.randrange(2, 5)):
            folder.step()
            if changes_contract:
                contract = chance.choice(CONTRACTS)
            source = {"app": events_with(dedup=dedup, **contract)}
            root = make_project(home / "steps", source, measures={})
            become(root, folder.files)
            build(root)
            folder.built = dict(folder.files)
            if chance.random() < 0.3:
                with tl.open(root) as session:
                    session.replay()
            built = digests(root)
        at_once = make_project(home / "once", source, measures={})
        put(at_once, dict(chance.sample(sorted(folder.files.items()), len(folder.files))))
        build(at_once)
        assert built == digests(at_once)
    finally:
        shutil.rmtree(home)


@pytest.mark.parametrize(
    ("seed", "dedup", "changes_contract"),
    [(4, "key", True), (15, "key", False), (12, "content", True), (8, "none", False)],
)
def test_builds_in_steps_equal_one_build(seed: int, dedup: str, changes_contract: bool) -> None:
    """Seeds whose lives have, taken together, every kind of step, and a replay."""
    agree(random.Random(seed), dedup, changes_contract)


@pytest.mark.slow
@long
@given(seed=SEEDS, dedup=st.sampled_from(["key", "content", "none"]), changes_contract=st.booleans())
def test_campaign_of_builds_in_steps(seed: int, dedup: str, changes_contract: bool) -> None:
    agree(random.Random(seed), dedup, changes_contract)


@pytest.mark.parametrize(("seed", "dedup"), [(1, "key"), (2, "content"), (3, "none")])
def test_any_split_into_files_gives_the_same_rows(seed: int, dedup: str) -> None:
    """The same rows in one file, and dealt out to several in any order."""
    home, chance = Path(tempfile.mkdtemp()), random.Random(seed)
    try:
        rows = random_rows(chance, 40)
        source = {"app": events_with(dedup=dedup)}
        one = make_project(home / "one", source)
        put(one, {"all.jsonl": lines(rows).encode()})
        build(one)
        chance.shuffle(rows)
        count = chance.randrange(2, 6)
        several = make_project(home / "several", source)
        for part in range(count):
            put(several, {f"{chance.randrange(100)}-{part}.jsonl": lines(rows[part::count]).encode()})
            if chance.random() < 0.5 or part == count - 1:
                build(several)
        assert digests(several) == digests(one)
    finally:
        shutil.rmtree(home)


@pytest.mark.parametrize("seed", [1, 2])
def test_dimension_files_in_steps_equal_one_build(seed: int) -> None:
    home, chance = Path(tempfile.mkdtemp()), random.Random(seed)
    try:
        roots = [
            make_project(home / name, {"products": PRODUCTS}, measures={}, dimensions=[]) for name in ("steps", "once")
        ]
        files: Files = {}
        for number in range(chance.randrange(2, 5)):
            rows = [
                {"sku": f"s{chance.randrange(4)}", "price": chance.choice([1, 2, "bad", None])}
                for _ in range(chance.randrange(1, 8))
            ]
            name = chance.choice([f"{number}.jsonl", *files])
            files[name] = (
                lines(rows).encode() if chance.random() < 0.7 or not files else chance.choice([*files.values()])
            )
            put(roots[0], files, "products")
            build(roots[0])
            digests(roots[0])
        put(roots[1], files, "products")
        build(roots[1])
        assert digests(roots[0]) == digests(roots[1])
    finally:
        shutil.rmtree(home)


def test_a_duplicate_is_revived_when_the_file_of_the_kept_row_is_replaced(tmp_path: Path) -> None:
    root = make_project(tmp_path, {"app": events_with()})
    row = {"id": "e1", "ts": "2024-03-01T10:00:00Z", "received": "2024-03-01T10:00:01Z", "user": "u", "event": "play"}
    older = {**row, "received": "2024-03-01T10:00:00Z"}
    put(root, {"a.jsonl": lines([row]).encode()})
    build(root)
    put(root, {"b.jsonl": lines([row, older]).encode()})
    build(root)
    assert rows_of(root, "SELECT count(*) AS n FROM silver.duplicates") == [{"n": 1}]
    put(root, {"a.jsonl": lines([{**row, "id": "e2"}]).encode()})
    build(root)
    kept = rows_of(
        root, "SELECT event_id, CAST(epoch_us(received_at) % 60000000 AS BIGINT) AS received FROM silver.app"
    )
    assert sorted((item["event_id"], item["received"]) for item in kept) == [("e1", 1_000_000), ("e2", 1_000_000)]
    assert rows_of(root, "SELECT reasons FROM silver.quarantine WHERE state = 'open'") == [{"reasons": ["conflict"]}]
    digests(root)


def keeper(root: Path) -> str:
    """The file whose row with the id e1 silver holds."""
    joined = "silver.app JOIN bronze.app USING (file_id, source_position)"
    (found,) = rows_of(root, f"SELECT source_path FROM {joined} WHERE event_id = 'e1'")
    return str(found["source_path"])


def test_a_revived_row_that_gives_way_again_is_kept_aside(tmp_path: Path) -> None:
    """It lies in bronze in another batch than the one that put it into silver."""
    root = make_project(tmp_path, {"app": events_with()})
    put(root, {name: lines([event(1), event(place)]).encode() for name, place in (("a.jsonl", 2), ("b.jsonl", 3))})
    build(root)
    put(root, {keeper(root): lines([event(4)]).encode()})
    build(root)
    revived = keeper(root)
    put(root, {"c.jsonl": lines([event(1, received="2024-03-09T00:00:00Z")]).encode()})
    build(root)
    assert keeper(root) == "c.jsonl"
    waiting = rows_of(root, "SELECT source_path, reasons FROM silver.quarantine WHERE state = 'open'")
    assert waiting == [{"source_path": revived, "reasons": ["conflict"]}]
    digests(root)


def test_a_duplicate_is_revived_also_when_it_was_judged_again_before(tmp_path: Path) -> None:
    root = make_project(tmp_path, {"app": events_with()})
    put(root, {f"{place}.jsonl": lines([event(1), event(place)]).encode() for place in range(2, 6)})
    build(root)
    for place in range(3):
        put(root, {keeper(root): lines([event(10 + place)]).encode()})
        build(root)
        digests(root)
    assert keeper(root)
