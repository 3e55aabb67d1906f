"""The case study inside PostgreSQL: against paper, against what the simulator counted, and against the lake."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers import PASSWORD
from tidelake import session as tl
from tidelake.cli import main
from tidelake.cli.demo_postgres import beside_postgres
from tidelake.errors import DefinitionError
from tidelake.postgres.scripts import copy_lines, run_script, statements
from tidelake.sources.simulate import simulate

EXAMPLE = Path(__file__).parents[1] / "examples" / "collapse"
SQL = EXAMPLE / "postgres"
METRICS = ("plays", "active_users", "plays_per_user", "plays_per_player", "sessions", "bounce_session")
METRICS += ("opened_not_play", "watch_seconds", "watch_seconds_wall")


@dataclass(frozen=True)
class Made:
    """A built project and its numbers in PostgreSQL."""

    root: Path
    url: str
    truth: Any
    shown: list[dict[str, Any]]
    is_equal: bool
    notes: tuple[str, ...]


def load(url: str, files: dict[str, Path]) -> dict[str, list[dict[str, Any]]]:
    import psycopg

    with psycopg.connect(url) as connection:
        connection.execute((SQL / "schema.sql").read_text())
        copy_lines(connection, files)
        run_script(connection, SQL / "load.sql")
        return {name: rows.to_pylist() for name, rows in run_script(connection, SQL / "sql_queries.sql").items()}


def dump(url: str) -> list[Any]:
    """Everything that a load keeps."""
    import psycopg

    with psycopg.connect(url) as connection:
        tables = ("events", "rejected_lines", "loads")
        return [connection.execute(f"SELECT * FROM collapse.{name} ORDER BY 1, 2").fetchall() for name in tables]


def event(number: int, time: str, kind: str, user: str, content: str | None = None, **more: Any) -> bytes:
    told = {"event_id": f"e{number:04d}", "user_id": user, "event_type": kind, "content_id": content}
    told |= {"device": "ios", "app_version": "1.10", "region": "IN-North", "timestamp": f"2025-11-{time}Z"}
    return json.dumps(told | more).encode()


def write(folder: Path, lines: Iterable[bytes], name: str = "day_2025-11-10.json") -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"".join(line + b"\n" for line in lines))
    return {name: folder / name}


# --- SQL files


def test_a_file_is_a_row_of_steps_and_answers() -> None:
    found = statements("-- what it is\n-- step: one\nSELECT 1;\nSELECT 2;\n-- name: two\n-- why\nSELECT 3;\n")
    assert [(one.name, one.sql) for one in found] == [("", "SELECT 1;\nSELECT 2;"), ("two", "-- why\nSELECT 3;")]


@pytest.mark.parametrize("text", ["SELECT 1", "-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;", "-- name:\nSELECT 1"])
def test_statements_that_cannot_be_told_apart_are_refused(text: str) -> None:
    with pytest.raises(DefinitionError, match="not told apart"):
        statements(text)


# --- on paper


@pytest.mark.server
def test_sessions_and_watch_time_as_worked_out_on_paper(database: str, tmp_path: Path) -> None:
    """One day of four people, by METRICS sections 7 and 12.

    a: two sessions overlap, 09:00 to 09:45 and 09:10 to 09:50 (first opened, first closed). The play of c1 goes to
    the older, that of c2 to the other, for the older has one. c1 plays 09:20 to 09:30 and, after a pause within which a
    buffer begins that ends later, 09:34 to 09:40: 960 s net, 1,200 by the clock. c2 has no end: 300 s.
    b: a close before any open is nobody's; the open has no close, and no play. A title was shown, not played: 0 s.
    c: open, play and close at one instant: the play is inside. c3 is completed after ten minutes, outside of every
    session; the stretch belongs to the play's: 600 s.
    d: played without having opened: a play and an active user, in no session.
    Sessions 4, one without a play. Openers a, b, c, of whom b did not play. Net 1,860 s, by the clock 2,100 s.
    """
    told = [
        ("10T09:00:00", "app_open", "a"),
        ("10T09:10:00", "app_open", "a"),
        ("10T09:20:00", "video_play", "a", "c1"),
        ("10T09:25:00", "video_play", "a", "c2"),
        ("10T09:30:00", "video_pause", "a", "c1"),
        ("10T09:31:00", "buffer_start", "a", "c1"),
        ("10T09:33:00", "video_resume", "a", "c1"),
        ("10T09:34:00", "buffer_end", "a", "c1"),
        ("10T09:40:00", "video_stop", "a", "c1"),
        ("10T09:45:00", "app_close", "a"),
        ("10T09:50:00", "app_close", "a"),
        ("10T09:00:00", "app_close", "b"),
        ("10T10:00:00", "app_open", "b"),
        ("10T10:01:00", "home_impression", "b", "c9"),
        ("10T11:00:00", "app_close", "c"),
        ("10T11:00:00", "video_play", "c", "c3"),
        ("10T11:00:00", "app_open", "c"),
        ("10T11:10:00", "video_complete", "c", "c3"),
        ("10T12:00:00", "video_play", "d", "c4"),
        ("10T12:05:00", "video_stop", "d", "c4"),
    ]
    files = write(tmp_path / "logs", [event(number, *one) for number, one in enumerate(told)])
    found = load(database, files)
    (row,) = [row for row in found["numbers"] if row["dimension"] == "(all)"]
    expected = (4, 4, 1, 4 / 3, 4, 1 / 4, 1 / 3, 1860, 2100)
    assert [row[name] for name in METRICS] == pytest.approx(expected, rel=1e-12)
    contents = {row["segment"]: (row["plays"], row["active_users"]) for row in found["numbers"] if row["plays"]}
    assert contents["c1"] == contents["c2"] == contents["c4"] == (1, 1)
    assert found["ledger"] == [
        {"source_file": name, "lines": 20, "loaded": 20, "duplicates": 0, "rejected": 0} for name in (*files, "(all)")
    ]


@pytest.mark.server
def test_losses_as_worked_out_on_paper(database: str, tmp_path: Path) -> None:
    """Plays 4, 2 on Monday and Tuesday; 1, 3 a week later: expected 6, seen 4, lost 2; the mean falls from 3 to 2.

    The Monday after that has no Tuesday before it to be compared with that is missing, but its own weekday: seen 1 of
    4, so that in all 10 were expected, 5 seen. The days between have no file, and are no zeros.
    """
    files, number = {}, 0
    for day, plays in (("10", 4), ("11", 2), ("17", 1), ("18", 3), ("24", 1)):
        lines = []
        for hour in (0, *range(1, 1 + plays), 23):
            number += 1
            kind = "video_play" if 0 < hour < 23 else "home_impression"
            lines.append(event(number, f"{day}T{hour:02d}:59:00", kind, "a", "c" if kind == "video_play" else None))
        files |= write(tmp_path / "logs", lines, f"day_2025-11-{day}.json")
    found = load(database, files)
    (lost,) = [row for row in found["losses"] if row["dimension"] == "(all)"]
    assert (lost["days"], lost["plays_expected"], lost["plays_seen"], lost["plays_lost"]) == (3, 10, 5, 5)
    averages = {row["number"]: row for row in found["averages"] if row["dimension"] == "(all)"}
    plays = averages["plays"]
    assert (plays["baseline"], plays["post"]) == pytest.approx((3, 5 / 3))
    assert plays["fall_percent"] == pytest.approx(100 * (1 - (5 / 3) / 3))
    assert averages["bounce_session"]["baseline"] is None, "nobody opened anything"
    days = {str(row["day"]): row for row in found["days"]}
    assert len(days) == 15
    assert not days["2025-11-12"]["is_received"]
    assert {row["day"] for row in found["numbers"]} == {row["day"] for row in days.values() if row["is_received"]}


# --- lines


@pytest.mark.server
def test_broken_lines_are_rejected_with_the_lake_s_reasons(database: str, tmp_path: Path) -> None:
    """Every line is loaded, a duplicate or rejected, on both sides alike but for what JSON's standard does not know."""
    fields = [
        {"event_id": value} for value in (12, "", None, {}, True)
    ] + [
        *({"user_id": value} for value in ("", 7, [])),
        *({"event_type": value} for value in ("", 3, "APP_OPEN")),
        *({"content_id": value} for value in ({}, "", 5)),
        *({"device": value} for value in (None, "", 1)),
        *({"app_version": value} for value in (1.1, True, None, "", "x")),
        *({"region": value} for value in (None, 'R\t\\"é', "R\\N")),
        *({"seek_seconds": value} for value in ("10", "ten", True, {}, None, "", "1e3", "0x10")),
        *({"timestamp": value} for value in ("", None, {}, True, "soon", "11/10/2025", "2025-02-30T10:00:00Z")),
        *({"timestamp": value} for value in ("1762768800", 1762768800123, 1762768800.5, "2025-11-10 10:00:00")),
        *({"timestamp": value} for value in ("2025-11-10T10:00:00+05:30", "2025-11-10", "2025-11-10T25:00:00Z")),
        *({"timestamp": value} for value in ("1999-12-31T23:59:59Z", "2099-01-01T00:00:00Z")),
        {"model_version": "v4.2"},
    ]  # fmt: skip
    lines = [event(n, "10T10:00:00", "home_impression", "u1", **one) for n, one in enumerate(fields)]
    sound = event(900, "10T10:00:00", "home_impression", "u1")
    lines += [sound, sound, sound[:60], sound.replace(b"e0900", b"e0901") + b" x"]
    lines += [event(950, "10T10:00:00", "home_impression", "u1", device=device) for device in ("ios", "web")]
    lines += [b"", b" \t", b"[1]", b'"text"', b"12", b"null", b"{", b"{}", b'{"event_id": "\xff"}', b'{"a": "\0"}']
    lines += [sound.replace(b'"event_id"', b'"event_id": "d", "event_id"', 1)]
    odd = [sound.replace(b"e0900", b"e091%d" % n) for n in range(3)]
    # JSON's standard knows neither of two, and PostgreSQL's texts no zero; the lake's reader takes them.
    odd = [odd[0].replace(b'"IN-North"', b"NaN"), odd[1].replace(b"}", b",}"), odd[2].replace(b"ios", b"\\u0000")]
    lines[0] = b"\xef\xbb\xbf" + lines[0] + b"\r"
    root = tmp_path / "project"
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("data", "lake", "target"))
    files = write(root / "data", [*lines, *odd])
    found = load(database, files)
    with tl.open(root) as session:
        session.build()
        quarantined = {row["source_position"]: row["reasons"] for row in session.quarantine().to_dicts()}
        (ledger,) = session.ledger().to_dicts()
    _, rejected, ((_, *counted),) = dump(database)
    ours = {line: ", ".join(reasons) for _, line, reasons, _ in rejected}
    conflict = {line for line, reason in ours.items() if reason == "conflict"}
    assert len(conflict) == 1
    places = {len(lines) + n for n in (1, 2, 3)}
    assert {line: reason for line, reason in ours.items() if line not in places | conflict} == {
        line: reason for line, reason in quarantined.items() if reason != "conflict"
    }
    assert [ours[line] for line in sorted(places)] == ["invalid_json"] * 3
    assert list(quarantined.values()).count("conflict") == 1
    assert counted == [
        ledger["read"] - ledger["filtered"],
        ledger["accepted"] - len(places),
        ledger["duplicate"],
        ledger["quarantined"] + len(places),
    ]
    assert counted[0] == sum(counted[1:]) == len([line for line in [*lines, *odd] if line.strip()])
    assert {row["reason"] for row in found["rejected"]} > {"nul_byte", "invalid_utf8", "duplicate_key"}


# --- against the simulator and the lake


@pytest.fixture(scope="module", params=["regional_model_failure", "global_fall"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres_server: Any) -> Made:
    """A project whose sessions know the model, with sessions that never close, loaded twice."""
    root = tmp_path_factory.mktemp("postgres") / "project"
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("data", "lake", "target"))
    settings = (root / "tide.yml").read_text()
    assert "[region, device, app_version]" in settings
    (root / "tide.yml").write_text(settings.replace("app_version]", "app_version, model_version]"))
    options: dict[str, Any] = {"users": 80, "model_version": True, "missing_closes": 0.05}
    truth = json.loads(simulate(request.param, root / "data", seed=4, **options).truth.read_text())
    url = postgres_server.new_database()
    load(url, {path.name: path for path in (root / "data").iterdir()})
    once = dump(url)
    with tl.open(root) as session:
        assert session.build().exit_code == 0
        shown, is_equal = beside_postgres(session, root / "postgres", url)
    assert dump(url) == once, "a second load changes nothing"
    return Made(root, url, truth, shown.to_dicts(), is_equal, shown.notes)


@pytest.mark.server
def test_every_number_equals_the_lake_s(made: Made) -> None:
    assert made.is_equal, [row for row in made.shown if row["equal"] != "yes"]
    cells = {row["number"]: row["cells"] for row in made.shown}
    assert {f"{metric}, {what}" for metric in METRICS for what in ("by day", "before", "after", "fall in %")} <= {
        *cells
    }
    assert {"lines read", "lines rejected, by reason", "plays_lost", "hours_lost"} <= {*cells}
    # (all), 6 regions, 4 devices, 3 versions, 2 models; by title only what an event tells
    assert cells["bounce_session, by day"] == cells["watch_seconds, by day"] == 14 * (1 + 6 + 4 + 3 + 2)
    assert cells["plays, by day"] > 14 * 300
    assert not any("Not asked" in note for note in made.notes)


@pytest.mark.server
def test_the_numbers_are_those_that_the_simulator_counted(made: Made) -> None:
    import psycopg
    from psycopg.rows import dict_row

    with psycopg.connect(made.url, row_factory=dict_row) as connection:
        connection.execute((SQL / "sql_queries.sql").read_text())  # as a whole, as psql does
        asked = [one for one in statements((SQL / "sql_queries.sql").read_text()) if one.name]
        found = {one.name: connection.execute(one.sql).fetchall() for one in asked}
    lines, logged, happened = (made.truth[name] for name in ("lines", "logged", "happened"))
    (ledger,) = [row for row in found["ledger"] if row["source_file"] == "(all)"]
    assert list(ledger.values())[1:] == [
        lines["total"],
        lines["events"],
        lines["duplicates"],
        sum(lines["damaged"].values()),
    ]
    overall = {str(row["day"]): row for row in found["numbers"] if row["dimension"] == "(all)"}
    opened, idle = logged["users_opened_by_date"], logged["users_opened_not_played_by_date"]
    assert {day: row["active_users"] for day, row in overall.items()} == logged["users_by_date"]
    assert {day: row["plays"] for day, row in overall.items()} == logged["events_by_type_and_date"]["video_play"]
    assert {day: row["sessions"] for day, row in overall.items()} == happened["sessions_by_date"]
    for day, row in overall.items():
        assert row["opened_not_play"] == pytest.approx(idle[day] / opened[day])
    assert happened["sessions_without_close"] > 40
    regions: dict[str, dict[str, float]] = {}
    for row in found["numbers"]:
        if row["dimension"] == "region":
            regions.setdefault(row["segment"], {})[str(row["day"])] = row["plays"]
    assert regions == logged["plays_by_region_and_date"]
    assert {row["is_comparable"] for row in found["days"]} == {True}


# --- the command


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """The document's own form: no model version, 14 days, of which the last ends at noon; in disorder.

    Clocks that show every tenth minute only give ties without end, and a sixth of the lines never came, so that opens,
    closes, pauses and ends are missing everywhere.
    """
    made = simulate("global_fall", tmp_path / "engagement_logs", users=40, seed=2, last_day_hours=12.0)
    for path in made.files:
        lines = re.sub(r"(T\d\d:\d)\d:\d\d\.\d{3}Z", r"\g<1>0:00Z", path.read_text()).splitlines(keepends=True)
        path.write_text("".join(line for number, line in enumerate(lines) if number % 6))
    return made.folder


@pytest.mark.server
def test_the_demo_compares_with_a_database_and_says_what_differs(
    database: str, logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import psycopg

    words = ["demo", "collapse", "--dir", str(tmp_path / "own"), "--from", str(logs), "--postgres", database]
    assert main(words) == 0
    told = capsys.readouterr()
    assert "all are equal" in told.out
    assert PASSWORD not in told.out + told.err
    # Neither Sunday counts: the second one is a part of a day.
    assert any(line.split()[-4:] == ["12", "12", "12", "yes"] for line in told.out.splitlines() if "compared" in line)
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE collapse.events SET region = 'Mars' WHERE event_id = (SELECT min(event_id) FROM "
                           "collapse.events WHERE event_type = 'video_play')")  # fmt: skip
    load(database, write(tmp_path / "other", [event(1, "09T10:00:00", "app_open", "u")], "day_2025-11-09.json"))
    assert main(words) == 3
    shown = capsys.readouterr().out
    assert "NOT all are equal" in shown
    assert "lines of other files too (day_2025-11-09.json" in shown
    (line,) = [line for line in shown.splitlines() if line.startswith("plays, by day")]
    assert "NO, 2 cells differ" in line, "a play less in its region on that day, and one on Mars"


def test_an_example_without_queries_for_it_refuses_a_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "shop", "--dir", str(tmp_path / "shop"), "--postgres", "postgresql://nowhere/x"]) == 2
    assert "collapse has" in capsys.readouterr().err
    assert not (tmp_path / "shop").exists()


def test_a_server_that_does_not_answer_is_said_before_anything_is_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("psycopg")
    address = "postgresql://tide:secret@127.0.0.1:1/x"
    assert main(["demo", "collapse", "--dir", str(tmp_path / "own"), "--postgres", address]) == 1
    told = capsys.readouterr().err
    assert "--postgres: postgres://127.0.0.1:1/x" in told
    assert "secret" not in told
    assert not (tmp_path / "own").exists()
