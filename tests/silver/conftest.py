"""A project of one source in a folder, built in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

import tidelake.session as sessions

SETTINGS: dict[str, Any] = {"name": "tiny"}
EVENTS: dict[str, Any] = {
    "path": "data/events",
    "format": "jsonl",
    "mapping": {"event_time": "at", "actor_id": "user", "event_name": "name"},
    "contract": {
        "max_quarantined_share": 1,
        "fields": {"at": {"type": "timestamp", "required": True}, "user": {}, "name": {}},
    },
}


@dataclass
class Built:
    """A project that is built again and again; rows come back as dictionaries, quarantine by line."""

    root: Path
    settings: dict[str, Any] = field(default_factory=lambda: dict(SETTINGS))

    def source(self, name: str, **said: Any) -> None:
        (self.root / "sources").mkdir(parents=True, exist_ok=True)
        (self.root / "sources" / f"{name}.yml").write_text(yaml.safe_dump(said))

    def lines(self, path: str, *rows: Any) -> None:
        target = self.root / "data" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        texts = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        target.write_text("".join(text + "\n" for text in texts))

    def build(self, **said: Any) -> Any:
        (self.root / "tide.yml").write_text(yaml.safe_dump(self.settings))
        with sessions.open(self.root) as session:
            return session.build(**said)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        with sessions.open(self.root) as session:
            found: list[dict[str, Any]] = session.engine.query(sql).to_pylist()
            return found

    def reasons(self) -> dict[int, list[str]]:
        found = self.rows("SELECT source_position, reasons FROM silver.quarantine WHERE state = 'open'")
        return {row["source_position"]: row["reasons"] for row in found}


@pytest.fixture
def project(tmp_path: Path) -> Built:
    return Built(tmp_path)


@pytest.fixture
def events(project: Built) -> Callable[..., Built]:
    """Declares the event source with fields and settings beyond EVENTS, and gives the project."""

    def declare(fields: dict[str, Any] | None = None, contract: dict[str, Any] | None = None, **said: Any) -> Built:
        base = EVENTS["contract"]
        merged = {**base, **(contract or {}), "fields": {**base["fields"], **(fields or {})}}
        project.source("events", **{**EVENTS, **said, "contract": merged})
        return project

    return declare
