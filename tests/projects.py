"""Small projects in a folder, built by the real command, and their tables read by another road (plain Parquet)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from deltalake import DeltaTable

from tests import forked

SOURCE_ROOT = Path(__file__).parent.parent / "src"
APP = """\
fact: event
path: data
format: jsonl
mapping: {event_id: id, event_time: at, actor_id: user, event_name: name}
dedup: key
contract:
  max_quarantined_share: 0.5
  fields:
    id: {type: string, required: true}
    at: {type: timestamp, required: true}
    user: {type: string, required: true}
    name: {type: string, required: true}
    value: {type: integer}
    score: {type: number}
    version: {type: string}
"""


def event(number: int, **changes: Any) -> dict[str, Any]:
    """One good event of the `app` source; `number` makes it unique."""
    return {
        "id": f"e{number}",
        "at": f"2025-11-{1 + number // 3600 % 28:02d}T10:{number // 60 % 60:02d}:{number % 60:02d}Z",
        "user": f"u{number % 7}",
        "name": "play",
        "value": number,
        **changes,
    }


def lines(events: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(item) + "\n" for item in events)


@dataclass(frozen=True)
class TinyProject:
    """A project with one source, `app`, whose files lie in `data/`."""

    root: Path

    @classmethod
    def make(cls, root: Path, source: str = APP, settings: str = "") -> TinyProject:
        (root / "sources").mkdir(parents=True)
        (root / "data").mkdir()
        (root / "tide.yml").write_text(f"name: tiny\n{settings}")
        (root / "sources" / "app.yml").write_text(source)
        return cls(root)

    @property
    def lake(self) -> Path:
        return self.root / "lake"

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.root / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def tide(
        self,
        *arguments: str,
        preexec: Callable[[], None] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run the command in the project's folder; with `preexec` in an interpreter of its own, started after that."""
        variables = {
            **os.environ,
            "PYTHONPATH": str(SOURCE_ROOT),
            "NO_COLOR": "1",
            "COLUMNS": "200",
            **(environment or {}),
        }
        if preexec is None:
            return forked.tide(arguments, cwd=self.root, environment=variables)
        return subprocess.run(
            [sys.executable, "-m", "tidelake.cli", *arguments],
            cwd=self.root,
            env=variables,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            preexec_fn=preexec,
        )

    def build(self, *, expect: int = 0, preexec: Callable[[], None] | None = None) -> str:
        """`tide build`; gives all that it printed, and fails unless it ended with `expect` and without a traceback."""
        done = self.tide("build", preexec=preexec)
        printed = done.stdout + done.stderr
        assert "Traceback" not in printed, printed
        assert done.returncode == expect, f"exit code {done.returncode}, not {expect}:\n{printed}"
        return printed

    def rows(self, table: str) -> list[dict[str, Any]]:
        """A table's rows by reading the Parquet files that its Delta log names; [] where there is no table."""
        place = self.lake / table.replace(".", "/")
        if not (place / "_delta_log").is_dir():
            return []
        found: list[dict[str, Any]] = []
        for path in DeltaTable(str(place)).file_uris():
            found += pq.ParquetFile(path).read().to_pylist()
        return found

    def open_quarantine(self) -> list[dict[str, Any]]:
        return [row for row in self.rows("silver.quarantine") if row["state"] == "open"]

    def reasons(self) -> dict[str, list[str]]:
        """Reasons by the record's text, of rows that wait in quarantine."""
        return {row["raw"]: row["reasons"] for row in self.open_quarantine()}

    def ids(self) -> list[str]:
        return sorted(row["event_id"] for row in self.rows("silver.app"))

    def check_balance(self) -> None:
        """Lines read = accepted + quarantined + duplicates + blank and header lines, from the tables themselves."""
        superseded = self._superseded()
        bronze = [row for row in self.rows("bronze.app") if row["file_id"] not in superseded]
        places = {(row["file_id"], row["source_position"]) for row in bronze}
        assert len(places) == len(bronze), "a line stands twice in bronze"
        accepted = {(row["file_id"], row["source_position"]) for row in self.rows("silver.app")}
        waiting = {(row["file_id"], row["source_position"]) for row in self.open_quarantine()}
        same = {(row["file_id"], row["source_position"]) for row in self.rows("silver.duplicates")}
        filtered = {(row["file_id"], row["source_position"]) for row in bronze if row["kind"] != "record"}
        assert len(places) == len(accepted) + len(waiting) + len(same - superseded_places(same, superseded)) + len(
            filtered
        )
        assert accepted | waiting | same | filtered >= places
        assert not (accepted & waiting)
        assert not (accepted & filtered)
        assert not (waiting & filtered)

    def _superseded(self) -> set[int]:
        newest: dict[str, tuple[int, int]] = {}
        files = self.rows("ops.files")
        for row in files:
            known = newest.get(row["source_path"], (0, 0))
            newest[row["source_path"]] = max(known, (row["generation"], row["file_id"]))
        return {row["file_id"] for row in files} - {file_id for _, file_id in newest.values()}


def superseded_places(places: set[tuple[int, int]], superseded: set[int]) -> set[tuple[int, int]]:
    return {place for place in places if place[0] in superseded}


def without_override() -> None:
    """In a child before exec: root loses the right to pass over file rights, and so is like anybody."""
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    for capability in (1, 2, 3):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
        library.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
