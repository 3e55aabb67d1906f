"""Small projects that tests build in many ways, and what must hold of their lakes afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tidelake import session as tl
from tidelake.session.pipeline import BuildResult

TIDE = {
    "name": "steps",
    "timezone": "Europe/Berlin",
    "dimensions": ["country"],
    "measures": {"amount": {"sum": "amount"}, "plays": {"event": "play"}},
}
EVENTS: dict[str, Any] = {
    "kind": "files",
    "fact": "event",
    "path": "data/*",
    "dedup": "key",
    "mapping": {
        "event_time": "ts",
        "event_id": "id",
        "actor_id": "user",
        "event_name": "event",
        "received_at": "received",
    },
    "contract": {
        "fields": {
            "id": {"required": True},
            "ts": {"type": "timestamp", "required": True},
            "received": {"type": "timestamp"},
            "amount": {"type": "number", "minimum": 0},
            "country": {"type": "string"},
        },
        "max_quarantined_share": 1.0,
    },
    "complete": "through:2024-03-31",
}


def make_project(root: Path, sources: Mapping[str, Mapping[str, Any]] | None = None, **settings: Any) -> Path:
    """Write `tide.yml` and `sources/*.yml`; the settings replace those of TIDE."""
    (root / "sources").mkdir(parents=True, exist_ok=True)
    (root / "data").mkdir(exist_ok=True)
    (root / "tide.yml").write_text(yaml.safe_dump({**TIDE, **settings}), encoding="utf-8")
    for name, source in (sources or {"app": EVENTS}).items():
        (root / "sources" / f"{name}.yml").write_text(yaml.safe_dump(dict(source)), encoding="utf-8")
    return root


def events_with(**changes: Any) -> dict[str, Any]:
    """The events source with other settings; `fields` are added to the contract's."""
    source: dict[str, Any] = json.loads(json.dumps(EVENTS))
    source["contract"]["fields"].update(changes.pop("fields", {}))
    source["contract"].update(changes.pop("contract", {}))
    source["mapping"].update(changes.pop("mapping", {}))
    source.update(changes)
    return source


def event(number: int, **changes: Any) -> dict[str, Any]:
    """One event of a day in March 2024, told apart by its number."""
    row = {
        "id": f"e{number}",
        "ts": f"2024-03-{1 + number % 5:02d}T{number % 24:02d}:{number % 60:02d}:00Z",
        "received": f"2024-03-{1 + number % 5:02d}T{number % 24:02d}:{number % 60:02d}:30Z",
        "user": f"u{number % 7}",
        "event": ("play", "open", "pause")[number % 3],
        "content_id": ("a", "b")[number % 2],
        "amount": number / 8,
        "country": ("DE", "FR", None)[number % 3],
    }
    row.update(changes)
    return {name: value for name, value in row.items() if value is not ...}


def lines(rows: Iterable[Mapping[str, Any] | str]) -> str:
    """Rows as JSON Lines; texts as they are."""
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


def build(root: Path, **options: Any) -> BuildResult:
    """One build in this process."""
    with tl.open(root) as session:
        return session.build(**options)


def digests(root: Path, *, deep: bool = False) -> dict[str, str]:
    """Digest by table, once every check has held."""
    with tl.open(root) as session:
        rows = session.check(digest=True, deep=deep).to_dicts()
    wrong = [row for row in rows if row["status"] != "ok"]
    assert not wrong, wrong
    return {row["table"]: row["detail"] for row in rows if row["check"] == "digest"}


def rows_of(root: Path, sql: str) -> list[dict[str, Any]]:
    """Rows of a SELECT over a project's lake."""
    with tl.open(root) as session:
        found: list[dict[str, Any]] = session.engine.query(sql).to_pylist()
        return found
