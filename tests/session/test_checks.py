"""`tide check` finds what does not hold: tables are spoilt by hand, and each check must say so."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.session.lakes import build, digests, event, events_with, lines, make_project
from tidelake import session as tl

ROWS = 300  # more than 8 kB: the middle of the file is not part of the cheap look


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_project(tmp_path_factory.mktemp("built"), {"app": events_with()})
    rows: list[Any] = [event(number) for number in range(ROWS)]
    (root / "data/a.jsonl").write_text(lines([*rows, "{cut", event(5), event(400, user=None)]))
    build(root)
    return root


@pytest.fixture
def root(built: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "project"
    shutil.copytree(built, copy)
    return copy


def failures(root: Path, *, deep: bool = False) -> set[str]:
    with tl.open(root) as session:
        return {row["check"] for row in session.check(deep=deep).to_dicts() if row["status"] == "fail"}


def spoil(root: Path, table: str, select: str) -> None:
    """Replace a table's rows by others, behind the back of everything that keeps account."""
    with tl.open(root) as session:
        session.engine.write(select, table, "overwrite", note=session.lake.note(table))


def test_a_lake_that_was_built_passes(root: Path) -> None:
    assert failures(root, deep=True) <= {"input files"}


LINE_2 = "source_position = 2"
USERS = {"silver to gold", "events of a day are events of its actors", "a day counted again from silver"}


@pytest.mark.parametrize(
    ("table", "select", "found"),
    [
        ("silver.app", f"SELECT * FROM silver.app WHERE NOT {LINE_2}", {"row ledger"}),
        (
            "silver.app",
            f"SELECT * FROM silver.app UNION ALL SELECT * FROM silver.app WHERE {LINE_2}",
            {"row ledger", "lines once in silver", "one place a line"},
        ),
        (
            "silver.app",
            f"SELECT * REPLACE (if({LINE_2}, 9999, source_position) AS source_position) FROM silver.app",
            {"rows come from bronze"},
        ),
        (
            "silver.duplicates",
            "FROM silver.duplicates UNION ALL SELECT * REPLACE (2 AS source_position) FROM silver.duplicates",
            {"row ledger", "one place a line"},
        ),
        ("silver.quarantine", "SELECT * FROM silver.quarantine WHERE false", {"row ledger"}),
        ("bronze.app", f"SELECT * FROM bronze.app WHERE NOT {LINE_2}", {"row ledger", "rows come from bronze"}),
        (
            "gold.user_day",
            "SELECT * REPLACE (event_count + 1 AS event_count) FROM gold.user_day",
            USERS | {"values of a dimension add up", "events of sessions are events of users"},
        ),
        (
            "gold.user_day",
            "SELECT * FROM gold.user_day UNION ALL SELECT * FROM gold.user_day",
            USERS
            | {
                "one row an actor and date",
                "values of a dimension add up",
                "sessions of a day are sessions",
                "events of sessions are events of users",
            },
        ),
        (
            "gold.sessions",
            "SELECT * FROM gold.sessions WHERE event_count = 2 OR actor_id <> 'u1'",
            {"sessions of a day are sessions", "events of sessions are events of users"},
        ),
    ],
)
def test_what_was_spoilt_is_found(root: Path, table: str, select: str, found: set[str]) -> None:
    spoil(root, table, select)
    if table == "silver.app":  # gold was made from the version before: say that it is of this one
        with tl.open(root) as session:
            version = session.lake.version("silver.app")
            for gold in ("gold.user_day", "gold.event_day", "gold.sessions"):
                note = session.lake.note(gold)
                note["inputs"] = {**note["inputs"], "silver.app": version}
                session.engine.write(f"SELECT * FROM {gold}", gold, "overwrite", note=note)
        found = found | ({"silver to gold"} if found != {"rows come from bronze"} else set())
    assert failures(root) == found


def test_a_build_stops_with_3_where_the_ledger_does_not_balance_and_so_does_the_next(
    root: Path, tide: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    spoil(root, "silver.app", f"SELECT * FROM silver.app WHERE NOT {LINE_2}")
    for _ in range(2):
        ended = tide("build", cwd=root)
        assert ended.returncode == 3
        assert "does not balance" in ended.stderr
    assert tide("check", cwd=root).returncode == 3
    assert tide("build", "--full-refresh", cwd=root).returncode == 0
    assert tide("check", cwd=root).returncode == 0


def test_a_file_changed_behind_the_cheap_look_is_found_by_deep_only(root: Path) -> None:
    path = root / "data/a.jsonl"
    build(root)  # the copy has another inode
    status, content = path.stat(), bytearray(path.read_bytes())
    middle = content.index(b'"u', len(content) // 2)
    content[middle + 1 : middle + 2] = b"x"
    with path.open("r+b") as stream:
        stream.write(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert failures(root) == set()
    assert failures(root, deep=True) == {"input files"}


@pytest.mark.parametrize(("change", "said"), [("grow", "grew"), ("remove", "vanished"), ("add", "new")])
def test_deep_says_what_became_of_the_files(root: Path, change: str, said: str) -> None:
    path = root / "data/a.jsonl"
    if change == "grow":
        path.write_text(path.read_text() + lines([event(900)]))
    elif change == "remove":
        path.unlink()
    else:
        (root / "data/b.jsonl").write_text(lines([event(900)]))
    with tl.open(root) as session:
        rows = [row for row in session.check(deep=True).to_dicts() if row["check"] == "input files"]
    assert [row["status"] for row in rows] == ["warn"]
    assert said in rows[0]["detail"]


def test_compaction_changes_no_row_and_is_no_cut_off_build(root: Path) -> None:
    (root / "data/b.jsonl").write_text(lines(event(number) for number in range(500, 540)))
    build(root)
    before = digests(root)
    with tl.open(root) as session:
        version = session.lake.version("silver.app")
        session.compact()
        assert session.lake.version("silver.app") != version
    assert digests(root) == before
    assert build(root).verdict == "unchanged"


def test_a_file_touched_is_looked_at_once(root: Path) -> None:
    """The copy of the project has other inodes, with the old times."""
    build(root)
    with tl.open(root) as session:
        version = session.lake.version("ops.files")
        assert len(session.engine.query("SELECT * FROM ops.files")) == 1
    build(root)
    with tl.open(root) as session:
        assert session.lake.version("ops.files") == version


def test_an_index_that_lacks_a_row_is_found_and_made_anew(root: Path) -> None:
    import numpy as np

    for path in (root / "lake/_index/app").glob("*.npy"):
        np.save(path, np.load(path)[1:])
    assert failures(root) == {"index of keys"}
    shutil.rmtree(root / "lake/_index/app")
    assert failures(root) == set()


def test_digest_looks_at_rows_only(root: Path, tmp_path: Path) -> None:
    """Neither lineage nor the order of rows and columns nor columns without values count; everything else does."""
    before = digests(root)["silver.app"]
    spoil(
        root,
        "silver.app",
        "SELECT country, * EXCLUDE (country), CAST(NULL AS VARCHAR) AS later FROM silver.app ORDER BY event_id DESC",
    )
    with tl.open(root) as session:
        from tidelake.session.checks import digest_of

        assert digest_of(session.engine, "silver.app") == before
    spoil(root, "silver.app", "SELECT * REPLACE (amount + 1 AS amount) FROM silver.app")
    with tl.open(root) as session:
        assert digest_of(session.engine, "silver.app") != before
