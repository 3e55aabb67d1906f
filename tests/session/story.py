"""A project's life in stages: each changes files or settings, then runs one command."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.session.lakes import event, events_with, lines, make_project

VIEWS: dict[str, Any] = {
    "kind": "files",
    "fact": "count",
    "path": "views/*",
    "mapping": {"event_time": "hour", "entity": "page"},
    "measures": ["views"],
    "contract": {"fields": {"hour": {"type": "timestamp"}, "views": {"type": "integer"}}},
}
PRODUCTS: dict[str, Any] = {
    "kind": "files",
    "fact": "dimension",
    "path": "products/*",
    "key": ["sku"],
    "contract": {"fields": {"sku": {"required": True}, "price": {"type": "number"}}},
}


@dataclass(frozen=True)
class Stage:
    """One step of the story.

    Attributes:
        change: What happens to the project's folder before the command.
        action: The command (`tests.session.killing.act`).
    """

    name: str
    change: Callable[[Path], None]
    action: str


def random_rows(chance: random.Random, count: int) -> list[dict[str, Any] | str]:
    """Events with ties, repeated ids of equal and of other content, rows that break the contract, and nulls."""
    rows: list[dict[str, Any] | str] = []
    for _ in range(count):
        number = chance.randrange(max(2, count))
        row = event(number)
        kind = chance.random()
        if kind < 0.1:
            row["amount"] = chance.randrange(5)
        elif kind < 0.15:
            row["received"] = f"2024-03-{chance.randrange(6, 9):02d}T00:00:00Z"
        elif kind < 0.2:
            row["user"] = None
        elif kind < 0.24:
            row["amount"] = -1
        elif kind < 0.27:
            rows.append('{"id": "cut')
            continue
        elif kind < 0.29:
            rows.append("")
            continue
        elif kind < 0.32:
            row["later_field"] = chance.choice(["x", "y"])
        rows.append(row)
    return rows


def story(seed: int, size: int, *, is_small: bool = False) -> list[Stage]:
    """First build, files that came, grew, changed and were copied, compaction, replay, restatement.

    Args:
        is_small: One source of events and a dimension only.
    """
    chance = random.Random(seed)
    days = [random_rows(chance, size // 4) for _ in range(4)]
    late, other = random_rows(chance, size // 8), random_rows(chance, size // 8)

    def begin(root: Path) -> None:
        sources = {"app": events_with(), "views": VIEWS, "products": PRODUCTS}
        if is_small:
            del sources["views"]
        make_project(root, sources, **({"dimensions": []} if is_small else {}))
        for folder in ("views", "products"):
            (root / folder).mkdir()
        for number, rows in enumerate(days[:3]):
            (root / f"data/day{number}.jsonl").write_text(lines(rows))
        (root / "data/copy.jsonl").write_text(lines(days[0]))
        write_views(root, 1)
        (root / "products/1.jsonl").write_text(lines({"sku": f"s{i % 5}", "price": i % 3} for i in range(20)))

    def more(root: Path) -> None:
        (root / "data/day3.jsonl").write_text(lines(days[3]))
        renew(root / "data/day1.jsonl", (root / "data/day1.jsonl").read_text() + lines(late))
        renew(root / "data/day0.jsonl", lines(other))  # its copy keeps the old rows
        (root / "data/day2.jsonl").rename(root / "data/day2.old")
        renew(root / "data/day2.old", (root / "data/day2.old").read_text() + lines(late[:5]))
        write_views(root, 2)
        (root / "products/2.jsonl").write_text(lines({"sku": f"s{i % 7}", "price": 2} for i in range(9)))

    def fresh(root: Path) -> None:
        """Ids that nobody had, on dates with rows: a second file for each date, which compaction has to merge."""
        (root / "data/fresh.jsonl").write_text(lines(event(1_000_000 + number) for number in range(30)))

    def stricter(root: Path) -> None:
        changed = events_with(fields={"amount": {"type": "number"}, "user": {"required": True}})
        changed["contract"]["on_mismatch"] = "quarantine"
        (root / "sources/app.yml").write_text(json.dumps(changed))

    def nothing(_: Path) -> None:
        pass

    stages = [
        Stage("first build", begin, "build"),
        Stage("second build", more, "build"),
        Stage("third build", fresh, "build"),
        Stage("compaction", nothing, "compact"),
        Stage("replay", nothing, "replay"),
        Stage("restatement", stricter, "build"),
        Stage("full refresh", nothing, "full"),
    ]
    return stages[:-1] if is_small else stages


def write_views(root: Path, day: int) -> None:
    rows = ({"hour": f"2024-03-{day:02d}T{i % 24:02d}:00:00Z", "page": f"p{i % 3}", "views": i} for i in range(48))
    (root / f"views/{day}.jsonl").write_text(lines(rows))


def renew(path: Path, text: str) -> None:
    """Put a new file in a file's place: copies of the project share the old one."""
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(path)


def snapshot(root: Path, to: Path) -> Path:
    """A copy of a project as it is, in place of what was there; input files are shared, with their inodes.

    So are files of tables, which are written once.
    """

    def copy(source: str, target: str) -> None:
        is_input = Path(source).relative_to(root).parts[0] in ("data", "views", "products")
        is_final = source.endswith(".parquet") or "/_delta_log/0" in source
        (os.link if is_input or is_final else shutil.copy2)(source, target)

    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(root, to, copy_function=copy)
    return to
