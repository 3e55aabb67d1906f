"""A small project through every verb: what stands on stdout was worked out on paper."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from pyarrow import parquet

import tidelake
from tidelake.cli import main
from tidelake.errors import TidelakeError

PROJECT = """\
name: tiny
dimensions: [region]
"""
SOURCE = """\
path: in/*.jsonl
mapping: {event_time: ts, actor_id: user, event_name: event, event_id: id}
dedup: key
complete: daily_file
contract:
  max_quarantined_share: 0.5
  fields:
    id: {type: string, required: true}
    ts: {type: timestamp, required: true}
    user: {type: string}
    event: {type: string, allowed: [open, play]}
    region: {type: string}
"""
# Monday 17 November: a twice, b once; Tuesday: a once. One line is broken, one event is unknown, one is sent twice.
DAY_1 = """\
{"id": "1", "ts": "2025-11-17T08:00:00Z", "user": "a", "event": "open", "region": "EU"}
{"id": "2", "ts": "2025-11-17T08:01:00Z", "user": "a", "event": "play", "region": "EU"}
{"id": "2", "ts": "2025-11-17T08:01:00Z", "user": "a", "event": "play", "region": "EU"}

{"id": "3", "ts": "2025-11-17T09:00:00Z", "user": "b", "event": "open", "region": "US"}
{"id": "4", "ts": "2025-11-17T09
{"id": "5", "ts": "2025-11-17T09:05:00Z", "user": "b", "event": "close", "region": "US"}
"""
DAY_2 = """\
{"id": "6", "ts": "2025-11-18T08:00:00Z", "user": "a", "event": "open", "region": "EU"}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was built once."""
    folder = tmp_path_factory.mktemp("tiny")
    for name, text in {
        "tide.yml": PROJECT,
        "sources/app.yml": SOURCE,
        "in/day_2025-11-17.jsonl": DAY_1,
        "in/day_2025-11-18.jsonl": DAY_2,
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    assert main(["build", "--project", str(folder), "--quiet"]) == 0
    return folder


class Printed:
    """Runs a command and gives what stood on stdout."""

    def __init__(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.project, self.capsys = project, capsys

    def __call__(self, *words: str, code: int = 0) -> str:
        self.capsys.readouterr()
        assert main([*words, "--project", str(self.project)]) == code, self.capsys.readouterr().err
        return self.capsys.readouterr().out

    def rows(self, *words: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self(*words, "--format", "csv"))))


@pytest.fixture
def tide(project: Path, capsys: pytest.CaptureFixture[str]) -> Printed:
    return Printed(project, capsys)


def test_ledger_accounts_for_every_line(tide: Printed) -> None:
    rows = tide.rows("ledger")
    parts = ("read", "accepted", "quarantined", "duplicate", "filtered", "superseded", "is_balanced")
    assert [[row[part] for part in parts] for row in rows] == [
        ["7", "3", "2", "1", "1", "0", "true"],
        ["1", "1", "0", "0", "0", "0", "true"],
    ]


def test_measure_counts_people_by_day_and_region(tide: Printed) -> None:
    rows = tide.rows("measure", "dau", "--by", "region")
    assert [(row["period_start"], row["region"], float(row["value"]), row["status"]) for row in rows] == [
        ("2025-11-17", "EU", 1.0, "complete"),
        ("2025-11-17", "US", 1.0, "complete"),
        ("2025-11-18", "EU", 1.0, "complete"),
        ("2025-11-18", "US", 0.0, "complete"),  # the day was received: nobody came is a number, not a gap
    ]


def test_measure_as_a_table_says_its_metric_once(tide: Printed) -> None:
    shown = tide("measure", "events").splitlines()
    body = [line.split() for line in shown if line.startswith("2025")]
    assert [line[:2] for line in body] == [["2025-11-17", "3"], ["2025-11-18", "1"]]
    assert sum("metric events" in line for line in shown) == 1


def test_python_prints_what_the_command_prints(project: Path, tide: Printed) -> None:
    with tidelake.open(project) as session:
        result = session.measure("events")
    assert str(result) + "\n" == tide("measure", "events")
    head = str(result).splitlines()[2].split()
    assert head == ["period_start", "value", "status"]
    assert result._repr_html_().count("<th ") == 3
    assert len(result.table.column_names) == 13


def test_a_closed_session_says_that_it_is_closed(project: Path) -> None:
    session = tidelake.open(project)
    session.close()
    for ask in (
        lambda: session.measure("dau"),
        lambda: session.sql("select 1 as one"),
        session.build,
        session.replay,
        session.check,
        session.ledger,
        session.quarantine,
        session.compact,
        session.vacuum,
        session.migrate,
    ):
        with pytest.raises(TidelakeError, match="This session is closed"):
            ask()


def test_metrics_are_listed_with_what_they_can_be_asked_by(tide: Printed) -> None:
    rows = {row["name"]: row for row in json.loads(tide("metrics", "list", "--format", "json"))["rows"]}
    assert rows["wau_cal"] == {
        "name": "wau_cal",
        "title": "Weekly active users, calendar",
        "unit": "users",
        "kind": "distinct",
        "fact": "event",
        "grains": ["week"],
        "dimensions": ["event_name", "traffic_class", "region"],
        "aliases": [],
    }
    assert rows["watch_seconds"]["aliases"] == ["watch_time"]
    assert rows["sessions"]["dimensions"] == ["region", "is_single_event"]
    shown = tide("metrics", "list").splitlines()
    assert "metrics of session facts: by region, is_single_event" in shown
    assert shown[2].split() == ["name", "title", "unit", "kind", "fact"]
    assert any(line.startswith("the others: by event_name") for line in shown)
    assert any("wau_cal by week" in line and line.endswith("the others by day, week and month") for line in shown)
    assert any("watch_time = watch_seconds" in line for line in shown if line.startswith("also called: "))


def test_a_metric_is_shown_with_its_definition_and_the_sql_that_measures_it(project: Path, tide: Printed) -> None:
    (row,) = json.loads(tide("metrics", "show", "watch_time", "--format", "json"))["rows"]
    assert (row["name"], row["expression"], row["column"], row["is_additive"]) == (
        "watch_seconds",
        "watch_seconds",
        None,
        True,
    )
    with tidelake.open(project) as session:
        for metric in session.metrics().to_dicts():
            (row,) = session.metrics(metric["name"]).to_dicts()
            measured = session.measure(metric["name"], grain=metric["grains"][0])
            assert (row["sql"] or "") == measured.sql  # none of what this project cannot know
            assert row["version"] == measured.to_dicts()[0]["definition_version"]
            for name in metric["dimensions"]:
                assert name in session.measure(metric["name"], by=[name], grain=metric["grains"][0]).table.column_names
    lines = dict(line.strip().split("  ", 1) for line in tide("metrics", "show", "mau").splitlines()[1:10])
    assert all(len(line) < 200 for line in tide("metrics", "show", "mau").splitlines())
    assert lines["window"].strip() == "30 days, the last of them the day"
    assert lines["additive"].strip() == "no: parts do not add up to the whole"


def test_without_a_project_the_built_in_metrics_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["metrics", "list", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert len(rows) == 38
    assert {row["dimensions"] for row in rows} == {None}
    assert main(["metrics", "show", "dua"]) == 2
    assert "Did you mean 'dau'" in capsys.readouterr().err
    assert main(["metrics", "list", "--project", str(tmp_path)]) == 2
    assert "There is no tide.yml" in capsys.readouterr().err


def test_an_unknown_metric_says_where_all_are_listed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", "zzz", "--project", str(project)]) == 2
    assert "... `tide metrics list` lists them all." in capsys.readouterr().err


def test_unknown_metric_ends_with_2(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", "dua", "--project", str(project)]) == 2
    assert "'dau'" in capsys.readouterr().err


def test_quarantine_says_why_and_where(tide: Printed) -> None:
    reasons = {row["reason"]: row["rows"] for row in tide.rows("quarantine", "list")}
    assert reasons == {"invalid_json": "1", "not_allowed:event": "1"}
    shown = tide.rows("quarantine", "show", "--reason", "invalid_json")
    assert [(row["source_path"].rsplit("/", 1)[-1], row["source_position"]) for row in shown] == [
        ("day_2025-11-17.jsonl", "6")
    ]
    assert shown[0]["raw"] == '{"id": "4", "ts": "2025-11-17T09'


def test_a_reason_that_no_row_has_is_not_answered_with_no_rows(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, near in {"bad_json": "Did you mean 'invalid_json'? ", "zzz": ""}.items():
        assert main(["quarantine", "show", "--reason", name, "--project", str(project)]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert f"Unknown reason '{name}' in quarantine." in captured.err
        assert f"  next: {near}Its rows have: invalid_json, not_allowed:event." in captured.err


def test_a_reason_is_also_found_by_its_part_before_the_colon(tide: Printed) -> None:
    assert [row["reasons"] for row in tide.rows("quarantine", "show", "--reason", "not_allowed")] == [
        "not_allowed:event"
    ]


def test_quarantine_shows_each_row_with_its_place_and_text(tide: Printed) -> None:
    assert tide("quarantine", "show", "--reason", "invalid_json").splitlines() == [
        "app  day_2025-11-17.jsonl:6  invalid_json",
        '    {"id": "4", "ts": "2025-11-17T09',
        "",
    ]


def test_sql_in_every_format(tide: Printed, tmp_path: Path) -> None:
    query = "select event_name, count(*) as events from silver.app group by event_name order by event_name"
    assert tide("sql", query, "--format", "csv") == 'event_name,events\n"open",3\n"play",1\n'
    document = json.loads(tide("sql", query, "--format", "json"))
    assert document["rows"] == [{"event_name": "open", "events": 3}, {"event_name": "play", "events": 1}]
    assert [source["table"] for source in document["sources"]] == ["silver.app"]
    target = tmp_path / "out.parquet"
    assert tide("sql", query, "--format", "parquet", "--output", str(target)) == ""
    assert parquet.read_table(target).to_pydict() == {"event_name": ["open", "play"], "events": [3, 1]}


def test_the_ending_of_the_files_name_chooses_the_format(tide: Printed, tmp_path: Path) -> None:
    query = "select 3 as events"
    for name, content in {"x.csv": "events\n3\n", "x.CSV": "events\n3\n", "x.txt": "events\n──────\n     3\n"}.items():
        assert tide("sql", query, "--output", str(tmp_path / name)) == ""
        assert (tmp_path / name).read_text() == content
    tide("sql", query, "--output", str(tmp_path / "x.parquet"))
    assert parquet.read_table(tmp_path / "x.parquet").to_pydict() == {"events": [3]}
    tide("sql", query, "--output", str(tmp_path / "x.rows"), "--format", "json")
    assert json.loads((tmp_path / "x.rows").read_text())["rows"] == [{"events": 3}]


@pytest.mark.parametrize("table", ["SILVER.app", "Silver.App", '"silver"."APP"', "silver . app"])
def test_a_tables_name_may_be_written_in_any_case(table: str, tide: Printed) -> None:
    """As every identifier of SQL. Two of the four accepted rows are `open` of a, one of b; one is a `play`."""
    for sql in (
        f"select count(*) as n from {table}",
        f"select count(*) as n from {table} where event_date >= DATE '2025-11-01'",
    ):
        assert tide("sql", sql, "--format", "csv") == "n\n4\n"
    document = json.loads(tide("sql", f"select actor_id from {table} where event_name = 'play'", "--format", "json"))
    assert document["rows"] == [{"actor_id": "a"}]
    assert [source["table"] for source in document["sources"]] == ["silver.app"]


def test_only_a_terminal_cuts_a_table(tide: Printed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """70 rows below a header of two lines; on a terminal 50, and a line that says so below an empty one."""
    query, target = "select n from range(70) as r(n) order by n", tmp_path / "x.txt"
    rows = [str(number) for number in range(70)]
    assert [line.strip() for line in tide("sql", query).splitlines()[2:]] == rows
    assert tide("sql", query, "--output", str(target)) == ""
    assert [line.strip() for line in target.read_text().splitlines()[2:]] == rows
    assert len(tide("sql", query, "--limit", "60").splitlines()) == 64
    monkeypatch.setattr("tidelake.cli.output.sys.stdout.isatty", lambda: True)
    shown = tide("sql", query).splitlines()
    assert [line.strip() for line in shown[2:-2]] == rows[:50]
    assert "50 of 70 rows shown" in shown[-1]
    assert tide("sql", query, "--output", str(target)) == ""
    assert [line.strip() for line in target.read_text().splitlines()[2:]] == rows


def test_sql_from_a_file_with_a_parameter(tide: Printed, tmp_path: Path) -> None:
    query = tmp_path / "by_region.sql"
    query.write_text("select count(*) as events from silver.app where region = $region")
    assert tide("sql", str(query), "--param", "region=EU", "--format", "csv") == "events\n3\n"


@pytest.mark.parametrize(
    "query", ["drop table silver.app", "select 1 as a; select 2 as b", "selec 1", "select * from silver.no"]
)
def test_sql_that_is_not_one_select_over_known_tables_ends_with_2(
    query: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sql", query, "--project", str(project)]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["measure", "dau", "--where", "contry ="], "error: line 1, column 8: something is missing, near '='.\n"),
        (["measure", "dau", "--where", "region = 'EU"], "Error tokenizing 'region = 'EU"),
        (["measure", "dau", "--by", "region,event_name"], "Repeat --by: --by region --by event_name.\n"),
        (["sql", "select * from silver.ap"], "error: There is no table silver.ap.\n  next: Did you mean 'silver.app'"),
        (["sql", "select * from gold.user_days"], "There is no table gold.user_days."),
        (
            ["sql", "select * from GOLD.User_Days"],
            "There is no table gold.user_days.\n  next: Did you mean 'gold.user_day'",
        ),
    ],
)
def test_a_mistake_in_a_question_is_said_in_its_own_words(
    words: list[str], said: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--project", str(project)]) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert "<class" not in shown


def test_nothing_new_is_said(tide: Printed) -> None:
    assert "nothing new" in tide("build").splitlines()[0]
    assert "2 unchanged" in tide("build", "--dry-run")


def test_check_holds(tide: Printed) -> None:
    assert "fail" not in {row["status"] for row in tide.rows("check", "--digest")}


def test_docs_list_the_tables_that_were_built(tide: Printed) -> None:
    shown = tide("docs")
    assert "### silver.app\n\n4 rows, version" in shown
    assert "gold_sessions" in shown


def test_doctor_finds_the_lake_sound(tide: Printed) -> None:
    found = {row["part"]: row["status"] for row in tide.rows("doctor")}
    assert found["lake format"] == found["lake tables"] == found["project"] == "ok"


def test_too_many_broken_rows_end_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in {
        "tide.yml": PROJECT,
        "sources/app.yml": SOURCE.replace("0.5", "0.01"),
        "in/day_2025-11-17.jsonl": DAY_1,
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert main(["build", "--project", str(tmp_path), "--quiet"]) == 3
    shown = capsys.readouterr().out
    told = "✗ app: 2 of 6 rows are in quarantine (33.3%; the contract allows 1.0%)"  # one of the 7 lines is filtered
    assert told in shown
    assert main(["build", "--project", str(tmp_path), "--quiet"]) == 3  # nothing new, so nothing is mended
    assert told in capsys.readouterr().out


def test_replay_takes_rows_in_once_the_contract_is_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in {"tide.yml": PROJECT, "sources/app.yml": SOURCE, "in/day_2025-11-17.jsonl": DAY_1}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert main(["build", "--project", str(tmp_path), "--quiet"]) == 0
    source = tmp_path / "sources" / "app.yml"
    source.write_text(source.read_text().replace("[open, play]", "[open, play, close]"))
    capsys.readouterr()
    assert main(["quarantine", "replay", "--project", str(tmp_path)]) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["were", "in", "quarantine", "2"] in shown
    assert ["now", "accepted", "1"] in shown
    assert ["still", "there", "1"] in shown
    assert ["invalid_json", "1"] in shown
    assert main(["quarantine", "replay", "--project", str(tmp_path)]) == 0
    assert "no files" not in capsys.readouterr().out
    assert main(["build", "--project", str(tmp_path), "--quiet"]) == 0
    assert "healed" not in capsys.readouterr().out


def test_a_folder_without_files_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in {"tide.yml": PROJECT, "sources/app.yml": SOURCE}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "in").mkdir()

    def said(*words: str) -> list[list[str]]:
        assert main([*words, "--project", str(tmp_path), "--quiet"]) == 0
        return [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]

    assert ["note", "app: no files there yet"] in said("build")
    for name in ("b.json", "a.json", "_SUCCESS"):
        (tmp_path / "in" / name).write_text("{}")
    found = "no files there yet that this source takes (path: in/*.jsonl); 2 others are there, such as a.json"
    assert ["note", f"app: {found}"] in said("build")
    assert ["app", found] in said("build", "--dry-run")


def test_a_dry_run_names_the_tables_that_a_new_file_will_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also before the first build, where none of them is there; `mine` reads one, `fixed` reads another source."""
    fixed = "fact: dimension\npath: fixed\nkey: [id]\ncontract: {fields: {id: {type: string, required: true}}}\n"
    texts = {
        "tide.yml": PROJECT,
        "sources/app.yml": SOURCE,
        "sources/thing.yml": fixed,
        "models/mine.sql": "SELECT activity_date, sum(event_count) AS n FROM gold.user_day GROUP BY activity_date",
        "models/fixed.sql": "SELECT count(*) AS things FROM silver.thing",
        "in/day_2025-11-17.jsonl": DAY_1,
        "fixed/a.jsonl": '{"id": "1"}\n',
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    def planned() -> dict[str, str]:
        capsys.readouterr()
        assert main(["build", "--dry-run", "--project", str(tmp_path)]) == 0
        lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
        return {words[0]: words[1] for words in lines if words[0].startswith("gold.")}

    own = ["gold.event_day", "gold.mine", "gold.sessions", "gold.user_day", "gold.user_day_value"]
    assert planned() == dict.fromkeys([*own, "gold.fixed"], "new, after the sources")
    assert main(["build", "--project", str(tmp_path), "--quiet"]) == 0
    assert planned() == dict.fromkeys([*own, "gold.fixed"], "nothing new")
    (tmp_path / "in/day_2025-11-18.jsonl").write_text(DAY_2)
    assert planned() == dict.fromkeys(own, "brought up to date after the sources") | {"gold.fixed": "nothing new"}


def test_ledger_as_a_table_ends_with_its_sums(tide: Printed) -> None:
    shown = tide("ledger").splitlines()
    assert shown[2].split() == ["source_path", "status", "read", "accepted", "quarantined", "duplicate", "filtered"]
    assert shown[4].split() == ["day_2025-11-17.jsonl", "✓", "ok", "7", "3", "2", "1", "1"]
    assert shown[-1] == (
        "2 files, 8 read = 4 accepted + 2 quarantined + 1 duplicate + 1 filtered + 0 superseded; every file balances"
    )


def test_members_comparisons_and_own_metrics_on_the_command_line(project: Path, tide: Printed) -> None:
    (project / "metrics").mkdir()
    (project / "metrics" / "each.yml").write_text("kind: formula\nexpression: events / active_users\n")
    day = ("--from", "2025-11-17", "--to", "2025-11-17", "--format", "json")
    (value,) = json.loads(tide("measure", "dau", *day))["rows"]
    members = json.loads(tide("measure", "dau", "--members", *day))["rows"]
    assert len({row["actor_id"] for row in members}) == len(members) == value["value"]
    (row,) = json.loads(tide("measure", "each", "--compare", "previous", *day))["rows"]
    assert (row["compared_start"], row["difference"]) == ("2025-11-10", None)
    assert row["value"] == row["numerator"] / row["denominator"]
    (shown,) = json.loads(tide("metrics", "show", "each", "--format", "json"))["rows"]
    assert shown["expression"] == "events / active_users"
