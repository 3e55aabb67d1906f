"""The command line around the verbs: help, mistakes, exit codes, streams."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tidelake import errors
from tidelake.cli import health, main
from tidelake.config import load_project

VERBS = [
    *("demo", "init", "build", "simulate", "measure", "metrics", "sql", "docs"),
    *("diversity", "streaks", "spikes", "weekdays", "decline", "dropoff", "revenue"),
    *("lifecycle", "power-curve", "stickiness", "inactive", "churn-label", "trend", "retention", "funnel"),
    *("activation", "adoption"),
    *("check", "ledger", "quarantine", "doctor", "compact", "vacuum", "migrate"),
]
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
SOURCE = Path(__file__).resolve().parents[2] / "src"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SOURCE), "COLUMNS": "100"}


def tide(*words: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "tidelake", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=cwd,
        env={**ENVIRONMENT, **environment},
    )


def test_help_names_every_verb() -> None:
    answer = tide("--help")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert [verb for verb in VERBS if f" {verb} " not in answer.stdout] == []


@pytest.mark.parametrize(
    "verb",
    [*VERBS, "metrics list", "metrics show", "quarantine list", "quarantine show", "quarantine replay"],
)
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*verb.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"tide {verb.split(maxsplit=1)[0]}" in shown.split("Examples")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["biuld"], "Did you mean 'build'?"),
        (["build", "--dryrun"], "--dry-run"),
        (["measure"], "metric"),
        (["measure", "dau", "--grain", "fortnight"], "fortnight"),
        (["sql", "nowhere.sql"], "There is no file nowhere.sql"),
        (["sql", "SELECT 1", "--param", "x"], "NAME=VALUE"),
        (["measure", "dau", "--output", "dau.parquet", "--format", "csv"], "dau.parquet is a name for parquet"),
        (["measure", "dau", "--output", "dau.txt", "--format", "json"], "dau.txt is a name for table"),
        (["measure", "dau", "--output", "dau.xlsx"], ".csv, .json, .parquet, .txt"),
        (["measure", "dau", "--output", "dau"], "does not say which format"),
        (["measure", "dau", "--output", "nowhere/dau.csv"], "there is no folder nowhere"),
        (["measure", "dau", "--output", "."], "is a folder"),
        (["docs", "--output", "nowhere/lake.md"], "there is no folder nowhere"),
        (["measure", "dau", "--from", "17.11.2025"], "17.11.2025"),
        (["demo", "colapse"], "collapse"),
        (["init", "x", "--from", "y", "--timezone", "Europe/Belin"], "Europe/Berlin"),
        (["sql", "SELECT", "1"], "in quotes"),
        (["simulate", "collapse", "--out", "x", "--set", "y"], "NAME=VALUE"),
        (["simulate", "collapse", "--out", "x", "--set", "days=abc"], "days of the scenario collapse takes a whole nu"),
        (["simulate", "collapse", "--out", "x", "--set", "seed=2"], "Unknown setting 'seed'"),
        (["simulate", "collapse", "--out", "x", "--seed", "-1"], "--seed"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_next(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert "  next: " in captured.err
    assert "Traceback" not in captured.err


def test_no_project_ends_with_2(tmp_path: Path) -> None:
    answer = tide("build", cwd=tmp_path)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "There is no tide.yml" in answer.stderr
    assert "tide init" in answer.stderr


def test_debug_shows_where_it_came_from(tmp_path: Path) -> None:
    assert "Traceback" in tide("build", "--debug", cwd=tmp_path).stderr


def test_version_is_one_line() -> None:
    answer = tide("--version")
    assert answer.returncode == 0
    assert re.fullmatch(r"tide \S+\n", answer.stdout)


def test_interrupt_ends_with_130_and_says_that_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(words: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("tidelake.cli.run._run", interrupted)
    assert main(["build"]) == 130
    assert "nothing lost, nothing twice" in capsys.readouterr().err


def test_a_full_disk_is_said_without_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def faulty(words: list[str]) -> int:
        raise OSError(28, "No space left on device", "lake/x")

    monkeypatch.setattr("tidelake.cli.run._run", faulty)
    assert main(["build"]) == 1
    assert "lake/x: No space left on device" in capsys.readouterr().err


def test_doctor_prints_data_on_stdout_only(tmp_path: Path) -> None:
    answer = tide("doctor", "--format", "csv", cwd=tmp_path)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.splitlines()[0] == "part,status,found,next"
    assert '"project","warn"' in answer.stdout


def test_doctor_fails_where_a_project_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "tide.yml").write_text("name: x\nlaek: here\n")
    answer = tide("doctor", cwd=tmp_path)
    assert answer.returncode == 1
    assert "unknown key 'laek'" in answer.stdout
    assert "Did you mean 'lake'" in answer.stdout


def test_doctor_puts_a_stop_before_what_to_do() -> None:
    found = [
        health.Finding("rights", "fail", "/lake cannot be written", "Give this user the right to write there."),
        health.Finding("lake", "fail", "Its format is newer.", "Install a newer Tidelake."),
    ]
    assert health.as_result(found, for_people=True).notes == (
        "rights: /lake cannot be written. Give this user the right to write there.",
        "lake: Its format is newer. Install a newer Tidelake.",
        "2 failed, 0 to look at",
    )


def test_doctor_says_an_error_of_the_system_without_its_number() -> None:
    def faulty() -> health.Finding:
        raise PermissionError(13, "Permission denied", "/lake/_tidelake.json")

    assert health._calm(faulty).found == "/lake/_tidelake.json: Permission denied"


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m tidelake doctor --format json | head -c 10; echo ${{PIPESTATUS[0]}}"
    answer = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path, env=ENVIRONMENT
    )
    assert answer.stderr == ""
    assert answer.stdout.endswith("0\n")


def test_no_colour_in_a_pipe_nor_with_no_color() -> None:
    assert COLOUR.search(tide("biuld").stderr) is None
    assert COLOUR.search(tide("--help", NO_COLOR="1").stdout) is None


def on_a_terminal(*words: str, cwd: Path, **environment: str) -> str:
    """What a command prints to a terminal."""
    inner, outer = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tidelake", *words],
        stdout=outer,
        stderr=outer,
        cwd=cwd,
        env={**ENVIRONMENT, "TERM": "xterm-256color", **environment},
    )
    os.close(outer)
    pieces = []
    try:
        while piece := os.read(inner, 65536):
            pieces.append(piece)
    except OSError:  # the terminal's other side was closed: the command has ended
        pass
    process.wait(timeout=60)
    os.close(inner)
    return b"".join(pieces).decode()


def test_no_color_leaves_a_terminal_neither_colour_nor_bold_nor_dim(tmp_path: Path) -> None:
    for words, said in {("doctor",): "Tidelake's health", ("--help",): "Usage", ("biuld",): "Did you mean"}.items():
        assert COLOUR.search(on_a_terminal(*words, cwd=tmp_path, NO_COLOR=""))
        plain = on_a_terminal(*words, cwd=tmp_path, NO_COLOR="1")
        assert said in plain
        assert COLOUR.search(plain) is None


def test_heavy_libraries_stay_unloaded_until_a_command_needs_them() -> None:
    heavy = "{'duckdb', 'deltalake', 'pyarrow', 'sqlglot', 'numpy'}"
    code = f"import sys; from tidelake.cli.app import app_for; app_for([]); print(sorted({heavy} & set(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=ENVIRONMENT
    )
    assert answer.stdout == "[]\n"


def test_a_command_that_opens_a_project_leaves_pandas_unloaded_and_usable(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    (tmp_path / "tide.yml").write_text("name: bare\n")
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "app.yml").write_text("path: x\nmapping: {event_time: t, actor_id: a, event_name: n}\n")
    code = """
import sys
from pathlib import Path
from tidelake.cli.opening import opened
opened(Path(".")).close()
import pyarrow, tidelake.sources.files
print("pandas" in sys.modules, pyarrow.array([1, None]).to_pandas().isna().tolist())
"""
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=ENVIRONMENT,
        cwd=tmp_path,
    )
    assert answer.stdout == "False [False, True]\n"


def test_init_proposes_and_writes_a_project(tmp_path: Path) -> None:
    line = '{{"ts": "2025-11-17T08:00:0{0}Z", "user_id": "u{1}", "event": "play"}}\n'
    (tmp_path / "events.jsonl").write_text("".join(line.format(second, second % 3) for second in range(9)))
    answer = tide("init", "app", "--from", "events.jsonl", "--format", "csv", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[1].startswith('"events","event",1,9,"ts","user_id","event"')
    assert (tmp_path / "app" / "tide.yml").is_file()
    assert (tmp_path / "app" / "sources" / "events.yml").is_file()
    again = tide("init", "app", "--from", "events.jsonl", cwd=tmp_path)
    assert again.returncode == 2
    assert "nothing was written" in again.stderr
    shown = tide("init", "app", "--from", "events.jsonl", "--force", cwd=tmp_path)
    said = "events: duplicates (dedup: none): no field is an event id; 0 of 9 rows equal an earlier one in every field"
    assert shown.stdout.splitlines().count(said) == 1


def test_init_writes_a_project_that_loads_whatever_its_folder_is_called(tmp_path: Path) -> None:
    """`My Shop` is no project's name: a folder's is put in small letters and said, one that was given is refused."""
    (tmp_path / "events.jsonl").write_text('{"ts": "2025-11-17T08:00:00Z", "user_id": "u1", "event": "play"}\n')
    refused = tide("init", "app", "--from", "events.jsonl", "--name", "My Shop", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--name 'My Shop' cannot be a project's name" in refused.stderr
    assert "Write --name my_shop." in refused.stderr
    assert not (tmp_path / "app").exists()
    answer = tide("init", "My Shop", "--from", "events.jsonl", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert load_project(tmp_path / "My Shop").name == "my_shop"
    assert "The project is called my_shop, after its folder" in answer.stderr
    assert "cd 'My Shop'\n" in answer.stderr
    chosen = tide("init", "other", "--template", "shop", "--name", "null", cwd=tmp_path)
    assert chosen.returncode == 0, chosen.stderr
    assert load_project(tmp_path / "other").name == "null"


def test_simulate_says_what_it_wrote(tmp_path: Path) -> None:
    words = ("simulate", "collapse", "--out", "logs", "--set", "users=5", "--set", "days=4", "--format", "csv")
    answer = tide(*words, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    rows = sum(len(path.read_text().splitlines()) for path in (tmp_path / "logs").iterdir())
    assert answer.stdout.splitlines()[1].split(",")[2:4] == ["4", str(rows)]
    assert (tmp_path / "logs.truth.json").is_file()
    wrong = tide("simulate", "collapse", "--out", "more", "--set", "usrs=5", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "usrs" in wrong.stderr


def test_the_page_of_the_command_names_every_verb_and_exit_code() -> None:
    page = (SOURCE.parent / "docs" / "command.md").read_text(encoding="utf-8")
    assert [verb for verb in VERBS if f"tide {verb}" not in page] == []
    codes = {0, 2, 4, 5, 130, *(error.exit_code for error in _errors())}
    assert [code for code in sorted(codes) if f"\n| {code} |" not in page] == []


def _errors() -> list[type[errors.TidelakeError]]:
    return [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, errors.TidelakeError)]
