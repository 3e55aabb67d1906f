"""The project that the benchmark builds, and the check that what was built is right."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SETTINGS = """\
name: benchmark
timezone: UTC
session: {mode: trust}
watch: {column: value, event: watch_time, content: video_id}
measures:
  likes: {event: like}
dimensions: [device_os, app_version]
"""
SOURCE = """\
path: data/*
format: jsonl
mapping:
  event_time: timestamp
  actor_id: user_id
  event_name: event_name
  session_id: session_id
dedup: content
complete: daily_file
contract:
  fields:
    timestamp: {type: timestamp, required: true}
    account_id: {type: string}
    user_id: {type: string, required: true}
    video_id: {type: string}
    session_id: {type: string, required: true}
    event_name:
      type: string
      required: true
      allowed: [first_login, session_start, watch_time, like, heart, session_end]
    value: {type: number, minimum: 0, unit: seconds}
    device: {type: string}
    device_os: {type: string}
    app_version: {type: string}
    network_type: {type: string}
    ip: {type: string}
    country: {type: string}
"""


class WrongNumberError(Exception):
    """A build that was measured gave other numbers than the generator planted."""


def make_project(folder: Path, files: Iterable[Path]) -> Path:
    """A fresh project whose input is links to the files given."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "sources").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "tide.yml").write_text(SETTINGS)
    (folder / "sources" / "events.yml").write_text(SOURCE)
    for path in files:
        add_file(folder, path)
    return folder


def add_file(folder: Path, path: Path) -> None:
    """One more input file, as a hard link where the file system has them."""
    try:
        os.link(path, folder / "data" / path.name)
    except OSError:
        shutil.copyfile(path, folder / "data" / path.name)


def verify(folder: Path, truth: dict[str, Any]) -> None:
    """Compare a whole build with the generator's truth.

    Raises:
        WrongNumberError: Rows, quarantined rows, duplicates or watched seconds differ.
    """
    silver = f"read_parquet({_files(folder / 'lake' / 'silver' / 'events')})"
    built = {
        "good_distinct": _scalar(f"SELECT count(*) FROM {silver}"),
        "watch_seconds": round(float(_scalar(f"SELECT sum(value) FROM {silver}")), 3),
        "bad_total": _rows(folder, "silver", "quarantine"),
        "duplicates": _rows(folder, "silver", "duplicates"),
        "daily_active_users": _scalar(
            f"SELECT sum(n) FROM (SELECT count(DISTINCT actor_id) AS n FROM {silver} GROUP BY event_date)"
        ),
        "user_days": _rows(folder, "gold", "user_day"),
    }
    planted = {
        "good_distinct": truth["good_distinct"],
        "watch_seconds": truth["watch_seconds"],
        "bad_total": truth["bad_total"],
        "duplicates": sum(truth["duplicates"].values()),
        "daily_active_users": sum(truth["daily_active_users"].values()),
        "user_days": sum(truth["daily_active_users"].values()),
    }
    if built != planted:
        wrong = [
            f"{name}: built {built[name]}, planted {planted[name]}" for name in planted if built[name] != planted[name]
        ]
        raise WrongNumberError("The build is wrong, so its time means nothing. " + "; ".join(wrong))


def read_truth(data: Path) -> dict[str, Any]:
    truth: dict[str, Any] = json.loads((data / "truth.json").read_text())
    return truth


def _files(table: Path) -> str:
    from deltalake import DeltaTable

    return "[" + ", ".join(f"'{uri}'" for uri in DeltaTable(str(table)).file_uris()) + "]"


def _rows(folder: Path, layer: str, name: str) -> Any:
    return _scalar(f"SELECT count(*) FROM read_parquet({_files(folder / 'lake' / layer / name)})")


def _scalar(sql: str) -> Any:
    import duckdb

    return duckdb.execute(sql).fetchall()[0][0]
