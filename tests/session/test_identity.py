"""Anonymous ids from files to numbers: files in any order, `kill -9` at each commit, reading the past, the command."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.session.killing import Run
from tests.session.lakes import build, digests, events_with, lines, make_project, rows_of
from tests.session.story import snapshot
from tidelake import session as tl
from tidelake.cli.app import app_for
from tidelake.config import load_project
from tidelake.contracts.source import load_sources
from tidelake.errors import ProjectError
from tidelake.silver.compile import definition_of

SOURCE = events_with(mapping={"anonymous_id": "visitor"}, fields={"visitor": {"type": "string"}})


def visit(day: int, hour: int, visitor: str | None, user: str | None = None, **more: Any) -> dict[str, Any]:
    """A visit in March 2024, told apart by its time and ids."""
    when = f"2024-03-{day:02d}T{hour:02d}:00:00Z"
    row = {"id": f"{when}/{visitor}/{user}", "ts": when, "received": when, "user": user, "visitor": visitor}
    return {**row, "event": "play", "content_id": "a", "amount": 1.5, "country": "DE", **more}


# x is bo's by the 9th, ann's by the late file: she logged in on the 3rd. y is never known.
FILES = {
    "first.jsonl": lines([visit(1, 10, "x"), visit(1, 11, "y"), visit(6, 10, "x"), visit(6, 11, None, "ann")]),
    "second.jsonl": lines([visit(9, 10, "x", "bo"), visit(9, 12, "x"), visit(9, 13, None)]),
    "late.jsonl": lines([visit(3, 10, "x", "ann"), visit(9, 14, "y")]),
}
# dau by day: 1 March ann (x), y; 3 ann; 6 ann (x is she); 9 bo, ann (x at 12:00), y.
DAU = {"2024-03-01": 2, "2024-03-03": 1, "2024-03-06": 1, "2024-03-09": 3}


def put(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (root / "data" / name).write_text(text)


def dau(root: Path, **options: Any) -> dict[str, int]:
    with tl.open(root, **options) as session:
        return {str(row["period_start"]): row["value"] for row in session.measure("dau").to_dicts() if row["value"]}


def numbers(root: Path, **options: Any) -> dict[str, int]:
    with tl.open(root, **options) as session:
        return {f"{row['stitching']} {row['number']}": row["value"] for row in session.identity().to_dicts()}


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_project(tmp_path_factory.mktemp("once"), {"app": SOURCE})
    put(root, FILES)
    build(root)
    return root


@pytest.mark.parametrize("dedup", ["key", "content", "none"])
def test_ids_are_kept_as_sent_and_numbers_count_stitched_actors(tmp_path: Path, dedup: str) -> None:
    root = make_project(tmp_path, {"app": {**SOURCE, "dedup": dedup}})
    put(root, {**FILES, "again.jsonl": FILES["late.jsonl"]})  # a copy of a file
    build(root)
    sent = rows_of(root, "SELECT actor_id, anonymous_id FROM silver.app WHERE event_date = DATE '2024-03-09'")
    pairs = sorted((row["actor_id"] or "", row["anonymous_id"] or "") for row in sent)
    assert pairs == [("", ""), ("", "x"), ("", "y"), ("bo", "x")]
    assert dau(root) == DAU
    digests(root)


def test_files_in_any_order_one_by_one_give_what_all_give_at_once(tmp_path: Path, once: Path) -> None:
    wanted = digests(once)
    assert {"gold.identity", "gold.identity_day"} <= set(wanted)
    orders = [order for order in itertools.permutations(FILES) if order[0] != "first.jsonl"]
    for number, order in enumerate((orders[0], orders[-1])):
        root = make_project(tmp_path / str(number), {"app": SOURCE})
        for name in order:
            put(root, {name: FILES[name]})
            build(root)
        assert digests(root) == wanted, order


def test_a_late_login_restates_the_dates_of_its_visitor_only(tmp_path: Path) -> None:
    """Before the late file x is bo's: on the 6th he (x) and ann are two, after it x is ann's: one."""
    root = make_project(tmp_path, {"app": SOURCE}, lateness="1d")
    late = FILES["late.jsonl"].splitlines(keepends=True)[0]
    put(root, {name: FILES[name] for name in ("first.jsonl", "second.jsonl")})
    build(root)
    assert dau(root) == {"2024-03-01": 2, "2024-03-06": 2, "2024-03-09": 1}
    put(root, {"late.jsonl": late})
    result = build(root)
    dates = {run.name: [day.day for day in run.dates or ()] for run in result.models}
    assert dates["gold.identity_day"] == dates["gold.user_day"] == [1, 3, 6, 9]
    assert "DAU 06 Mar 2024 2 -> 1, anonymous ids belong to other actors" in result.restatements
    assert dates["gold.event_day"] == [3]
    put(root, {"other.jsonl": lines([visit(10, 10, "x")])})
    result = build(root)
    assert {run.name: [day.day for day in run.dates or ()] for run in result.models}["gold.user_day"] == [10]


def test_off_and_on_again_and_the_past(tmp_path: Path, once: Path) -> None:
    """Apart: x and y on the 1st; x and ann on the 6th; bo, x and y on the 9th."""
    root = snapshot(once, tmp_path / "project")
    before, wanted = numbers(root), digests(root)
    make_project(root, {"app": SOURCE}, identity={"stitch": "off"})
    build(root)
    assert dau(root) == {"2024-03-01": 2, "2024-03-03": 1, "2024-03-06": 2, "2024-03-09": 3}
    assert numbers(root)["after actors"] == before["before actors"] == 4
    assert rows_of(root, "SELECT * FROM gold.identity") == []
    with tl.open(root, as_of="1") as session:
        (row,) = session.sql("SELECT anonymous_id, actor_id, known_count FROM gold.identity").to_dicts()
    assert row == {"anonymous_id": "x", "actor_id": "ann", "known_count": 2}
    assert numbers(root, as_of="1") == before
    assert {row["status"] for row in checks(root)} == {"ok"}
    make_project(root, {"app": SOURCE})
    build(root)
    assert digests(root) == wanted
    assert numbers(root) == before


def test_a_mapping_that_goes_leaves_no_actor_and_no_owner(tmp_path: Path, once: Path) -> None:
    """Without `anonymous_id:` the events without a known id have no actor, as ever."""
    root = snapshot(once, tmp_path / "project")
    make_project(root, {"app": events_with(fields={"visitor": {"type": "string"}})})
    build(root)
    assert dau(root) == {"2024-03-03": 1, "2024-03-06": 1, "2024-03-09": 1}
    assert rows_of(root, "SELECT * FROM gold.identity_day") == []
    assert {row["status"] for row in checks(root)} == {"ok"}


def test_a_mapping_that_comes_later_stitches_what_is_there(tmp_path: Path, once: Path) -> None:
    root = make_project(tmp_path, {"app": events_with(fields={"visitor": {"type": "string"}})})
    put(root, FILES)
    build(root)
    make_project(root, {"app": SOURCE})
    build(root)
    assert digests(root) == digests(once)


def test_killed_at_each_commit_of_owners(run: Run, tmp_path: Path) -> None:
    """Before the one is as after the other; after the last, what comes next is begun (test_killed)."""
    root = make_project(tmp_path / "plain", {"app": SOURCE})
    put(root, {name: FILES[name] for name in ("first.jsonl", "second.jsonl")})
    build(root)
    put(root, {"late.jsonl": FILES["late.jsonl"]})
    whole = snapshot(root, tmp_path / "whole")
    points = run(whole, "build").points
    wanted = run(whole, "check").answer
    assert wanted["wrong"] == []
    commits = [name for name in dict.fromkeys(points) if "identity" in name]
    assert commits == [f"gold.{name} {when}" for name in ("identity_day", "identity") for when in ("before", "after")]
    for name in (commits[0], commits[2], commits[3]):
        copy = snapshot(root, tmp_path / name.replace(" ", "_"))
        assert run(copy, "build", until=name).killed
        assert run(copy, "build check").answer == wanted, name


def test_a_wrong_owner_is_found_by_the_check(tmp_path: Path, once: Path) -> None:
    root = snapshot(once, tmp_path / "project")
    with tl.open(root) as session:
        note = session.lake.note("gold.identity")
        session.engine.write(
            "SELECT anonymous_id, 'eve' AS actor_id, identified_at, known_count FROM gold.identity",
            "gold.identity",
            "overwrite",
            note=note,
        )
    (row,) = [row for row in checks(root) if row["check"] == "identity"]
    assert row["status"] == "fail"
    assert "gold.identity: 2 rows are not as silver says" in row["detail"]


def test_the_command_prints_actors_before_and_after(once: Path) -> None:
    """Ann, bo, x and y apart are four; x is ann's: three. Three events of x moved; x was seen with two known ids."""
    done = CliRunner().invoke(app_for(["identity"]), ["identity", "--project", str(once), "--format", "json"])
    assert done.exit_code == 0, done.output
    said = {f"{row['stitching']} {row['number']}": row["value"] for row in json.loads(done.stdout)["rows"]}
    assert said == {
        "before actors": 4,
        "before known ids": 2,
        "before anonymous ids": 2,
        "after actors": 3,
        "after known ids": 2,
        "after anonymous ids": 1,
        "made anonymous ids with an owner": 1,
        "made of them seen with several known ids": 1,
        "made events that moved to an owner": 3,
    }
    (row,) = [row for row in checks(once) if row["check"] == "identity"]
    assert row["detail"].startswith("4 actors before stitching, 3 after; 1 anonymous ids have an owner, 1 of them")


def test_settings_that_cannot_be_are_refused(tmp_path: Path) -> None:
    make_project(tmp_path, identity={"stitch": "last_known"})
    with pytest.raises(ProjectError, match="first_known"):
        load_project(tmp_path)
    sources = {
        "views": {"fact": "count", "path": "x", "mapping": {"event_time": "t", "entity": "e", "anonymous_id": "v"}}
    }
    with pytest.raises(ProjectError, match="anonymous_id"):
        load_sources(make_project(tmp_path / "counts", sources))


def test_silver_of_sources_without_anonymous_ids_is_not_made_anew(tmp_path: Path) -> None:
    """Its definition says nothing of a part that it does not map: a lake made before there was one stays current."""
    root = make_project(tmp_path)
    (source,) = load_sources(root).values()
    said = definition_of(source, load_project(root))
    mapped = source.model_copy(update={"mapping": source.mapping.model_copy(update={"anonymous_id": "visitor"})})
    assert definition_of(mapped, load_project(root)) != said == "06226b7dc6da5dd8"


def checks(root: Path) -> list[dict[str, Any]]:
    with tl.open(root) as session:
        return session.check().to_dicts()
