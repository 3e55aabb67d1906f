"""What readers see while a build is at work, and after one was cut off: what the last finished build left."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from tests.projects import TinyProject, event, lines
from tests.session.killing import Run
from tests.session.story import snapshot
from tidelake import session as tl
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.errors import QueryError, TidelakeError
from tidelake.lake import Lake

COUNTED = """
SELECT (SELECT count(*) FROM silver.app) AS silver, (SELECT sum(event_count) FROM gold.user_day) AS user_day,
    (SELECT sum(event_count) FROM gold.event_day WHERE dimension = '(all)') AS event_day,
    (SELECT sum(event_count) FROM gold.sessions) AS sessions, (SELECT sum(events) FROM gold.mine) AS mine"""
MINE = "SELECT activity_date, sum(event_count) AS events FROM gold.user_day GROUP BY activity_date"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """A project of 10 events that is built; an own model counts them too."""
    made = TinyProject.make(tmp_path_factory.mktemp("built") / "p")
    (made.root / "models").mkdir()
    (made.root / "models/mine.sql").write_text(MINE)
    made.write("a.jsonl", lines([event(number * 1000) for number in range(10)]))
    made.build()
    return made


@pytest.fixture
def project(built: TinyProject, tmp_path: Path) -> TinyProject:
    """A copy of the project that is built, with 20 more events at hand."""
    made = TinyProject(snapshot(built.root, tmp_path / "p"))
    made.write("b.jsonl", lines([event(number * 1000 + 1) for number in range(20)]))
    return made


def counted(project: TinyProject, as_of: str | None = None) -> set[Any]:
    with tl.open(project.root, as_of=as_of) as session:
        (row,) = session.sql(COUNTED).to_dicts()
        return set(row.values())


def test_a_mapped_field_is_refused_by_the_log_s_name(built: TinyProject) -> None:
    """10 events of 7 users; `user` would be whoever runs the query, always one."""
    done = built.tide("sql", "SELECT count(DISTINCT user) AS dau FROM silver.app")
    assert (done.returncode, done.stdout) == (2, "")
    assert "The field 'user' is actor_id in silver.app." in done.stderr
    with tl.open(built.root) as session:
        assert session.sql("SELECT count(DISTINCT actor_id) AS users FROM silver.app").to_dicts() == [{"users": 7}]


@pytest.mark.parametrize("until", ["silver.app after", "gold.user_day after", "ops.builds before"])
def test_tables_agree_after_a_build_was_cut_off(project: TinyProject, run: Run, until: str) -> None:
    assert run(project.root, "build", until=until).killed
    assert counted(project) == {10}
    done = project.tide("measure", "events", "--format", "json")
    assert sum(row["value"] or 0 for row in json.loads(done.stdout)["rows"]) == 10
    assert done.stderr.count("\n") == 1
    assert "as build 1 (" in done.stderr
    assert 30 in counted(project, "newest")
    project.build()
    assert counted(project) == {30}
    assert project.tide("measure", "events").stderr == ""


def dau(project: TinyProject, *words: str) -> list[tuple[Any, ...]]:
    return values(project, "dau", *words)


def values(project: TinyProject, *words: str) -> list[tuple[Any, ...]]:
    """Day of the month, value and status of a metric."""
    done = project.tide("measure", "--format", "json", *words)
    return [(row["period_start"][-2:], row["value"], row["status"]) for row in json.loads(done.stdout)["rows"]]


def test_days_that_gold_does_not_have_yet_have_no_value(project: TinyProject, run: Run) -> None:
    """Silver got an event of 2 November, of an actor not seen that day, and one of the 5th; gold was not built."""
    (project.root / "data/b.jsonl").unlink()
    project.write("c.jsonl", lines([event(4001, user="x"), event(4 * 3600)]))
    assert run(project.root, "build", until="silver.app after").killed
    first = [("01", 4, "complete"), ("02", 4, "complete"), ("03", 2, "open")]
    assert dau(project) == first
    newest = [("01", 4, "complete"), ("02", None, "open"), ("03", 2, "open"), ("04", None, "missing")]
    assert dau(project, "--as-of", "newest") == [*newest, ("05", None, "open")]
    assert values(project, "events", "--as-of", "newest", "--grain", "month") == [("01", None, "degraded")]
    said = "{} has not been built since silver changed: `tide build` does it.\n"
    for words, table in (
        (["measure", "dau"], "gold.user_day"),
        (["measure", "events"], "gold.event_day"),
        (["sql", "SELECT count(*) AS n FROM gold.mine"], "gold.mine"),
    ):
        assert project.tide(*words, "--as-of", "newest").stderr == said.format(table)
    assert project.tide("sql", "SELECT count(*) AS n FROM silver.app", "--as-of", "newest").stderr == ""
    assert project.tide("check").stdout.splitlines()[-1] == "6 of 9 checks hold, 3 warn"
    told = project.tide("doctor").stdout
    assert "bronze.app, silver.app were written after build 1: a build was cut off." in told
    assert "`tide build` ends it; until then metrics and SQL read build 1." in told
    with Lake(str(project.lake)).lock():  # as a build holds it that goes on from there
        told = project.tide("doctor").stdout
        assert f"a build is at work (process {os.getpid()}); until it has ended metrics and SQL read build 1" in told
        assert "cut off" not in told
        assert "All is well." in told
    project.build()
    for words in ([], ["--as-of", "newest"], ["--as-of", "2"]):
        assert dau(project, *words)[1] == ("02", 5, "complete")
        assert dau(project, *words)[4] == ("05", 1, "open")
    assert dau(project, "--as-of", "1") == first
    assert project.tide("measure", "dau", "--as-of", "newest").stderr == ""
    assert "All is well." in project.tide("doctor").stdout


def test_a_question_that_is_asked_while_a_build_ends_reads_one_build(project: TinyProject) -> None:
    """It read a table before: it reads the others as they were then. The session's next question reads the build."""

    def ask(engine: Engine, *_: Any) -> Result:
        before = engine.query("SELECT sum(event_count) AS n FROM gold.user_day").to_pylist()
        project.build()
        assert set(engine.query(COUNTED).to_pylist()[0].values()) == {before[0]["n"]} == {10}
        return Result(engine.query(COUNTED))

    with tl.open(project.root) as reader:
        assert set(reader._answered(ask).to_dicts()[0].values()) == {10}
        assert set(reader.sql(COUNTED).to_dicts()[0].values()) == {30}


def test_an_open_session_reads_each_newly_finished_build(project: TinyProject, run: Run) -> None:
    def events(reader: tl.Session) -> int:
        return sum(row["value"] or 0 for row in reader.measure("events").to_dicts())

    with tl.open(project.root) as reader, tl.open(project.root, as_of="1") as past:
        cohorts = reader.retention(warmup_days=0)
        assert (events(reader), events(past)) == (10, 10)
        assert run(project.root, "build", until="gold.user_day after").killed
        assert events(reader) == 10
        assert cohorts.members().table.num_rows > 0
        project.build()
        assert (events(reader), events(past)) == (30, 10)
        with pytest.raises(QueryError, match="A build has ended since this was asked"):
            cohorts.members()


def test_a_model_that_a_killed_build_had_made_is_there_after_the_next_build(project: TinyProject, run: Run) -> None:
    project.build()
    (project.root / "models/mine.sql").write_text(MINE.replace("sum(event_count)", "sum(event_count) + 1"))
    (project.root / "models/other.sql").write_text(MINE)
    assert run(project.root, "build", until="gold.other after").killed
    assert counted(project) == {30}
    with tl.open(project.root) as session, pytest.raises(QueryError, match="other"):
        session.sql("SELECT * FROM gold.other")
    project.build()
    with tl.open(project.root) as session:
        assert session.sql("SELECT sum(events) AS n FROM gold.other").to_dicts() == [{"n": 30}]
        assert session.sql("SELECT sum(events) - count(*) AS n FROM gold.mine").to_dicts() == [{"n": 30}]


def test_compacted_and_foreign_tables_are_read_as_they_are(project: TinyProject) -> None:
    project.build()
    with tl.open(project.root) as session:
        session.compact()
        session.vacuum(keep_hours=0)
    write_deltalake(str(project.lake / "gold/foreign"), pa.table({"a": [1, 2]}))
    assert counted(project) == {30}
    done = project.tide("sql", "SELECT count(*) AS n FROM gold.foreign", "--format", "csv")
    assert (done.stdout.splitlines()[1], done.stderr) == ("2", "")


def test_what_vacuum_removed_is_said_of_the_build_that_is_asked_for(project: TinyProject) -> None:
    """The second build's events fall on the days of the first: its tables by day took the place of the first's."""
    project.build()
    done = project.tide("vacuum", "--keep-hours", "0")
    assert done.stdout.splitlines()[-1] == "Build 1 can no longer be read with --as-of; 2 still can."
    for words in (["measure", "events"], ["sql", COUNTED], ["ledger"]):
        done = project.tide(*words, "--as-of", "1")
        assert done.returncode == 2, done.stderr
        assert "error: Build 1 can no longer be read: files of " in done.stderr
        assert "Build 1 can no longer be read with --as-of; 2 still can." in done.stderr
        assert project.tide(*words, "--as-of", "2").returncode == 0
    assert counted(project) == {30}


def test_vacuum_keeps_what_readers_have_while_a_build_is_cut_off(project: TinyProject, run: Run) -> None:
    assert run(project.root, "build", until="ops.builds before").killed
    with tl.open(project.root) as session:
        session.vacuum(keep_hours=0)
    assert counted(project) == counted(project, "1") == {10}
    assert sum(row["value"] or 0 for row in json.loads(project.tide("measure", "events", "-f", "json").stdout)["rows"])
    project.build()
    assert counted(project) == {30}


def test_nothing_is_read_of_a_first_build_that_was_cut_off(run: Run, tmp_path: Path) -> None:
    project = TinyProject.make(tmp_path / "p")
    project.write("a.jsonl", lines([event(number * 1000) for number in range(10)]))
    assert run(project.root, "build", until="gold.user_day after").killed
    said = "The first build is at work, or was cut off"
    done = project.tide("measure", "dau", "--format", "json")
    assert json.loads(done.stdout)["rows"] == []
    assert said in done.stderr
    with tl.open(project.root) as session, pytest.raises(QueryError) as caught:
        session.sql("SELECT * FROM gold.user_day")
    assert said in str(caught.value.hint)
    with tl.open(project.root, as_of="newest") as session:
        assert session.sql("SELECT sum(event_count) AS n FROM gold.user_day").to_dicts() == [{"n": 10}]
    project.build()
    assert project.tide("measure", "dau").returncode == 0


@pytest.mark.parametrize("selected", ["sessions", "event_day"])
def test_a_part_built_after_a_build_was_cut_off_is_no_finished_build(
    project: TinyProject, run: Run, selected: str
) -> None:
    assert run(project.root, "build", until="silver.app after").killed
    with tl.open(project.root) as session:
        assert session.build(select=[selected]).build is None
    assert counted(project) == {10}
    project.build()
    assert counted(project) == {30}


def test_a_table_that_a_failed_build_began_is_not_read_in_its_session(project: TinyProject) -> None:
    (project.root / "models/late.sql").write_text("SELECT events, 1 AS one FROM gold.mine")
    (project.root / "models/later.sql").write_text("SELECT one FROM gold.late")
    (project.root / "models/later.yml").write_text("columns: {one: {type: integer}, two: {type: integer}}\n")
    with tl.open(project.root) as session:
        with pytest.raises(TidelakeError, match="two"):
            session.build()
        with pytest.raises(QueryError, match=r"no table gold\.late"):
            session.sql("SELECT * FROM gold.late")
