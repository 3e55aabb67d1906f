"""Watching a lake that grows day by day: changes told once, levels through time, exit codes, the receiver."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests import forked
from tests.projects import SOURCE_ROOT
from tests.session.lakes import EVENTS, build, lines, make_project, rows_of
from tidelake import session as tl
from tidelake.errors import BusyError, LakeError, ProjectError, UnknownNameError
from tidelake.session import webhook
from tidelake.session.watching import Watched

FIRST = date(2024, 1, 1)  # a Monday
START = datetime(2024, 1, 1, tzinfo=UTC)
SIZES = {"DE": 60, "FR": 40}
WEEK = (1.0, 1.0, 0.95, 1.0, 1.05, 1.2, 1.15)
FALL, BACK = 35, 44  # France has a third from the one day to the other
FINDINGS = (
    "SELECT build, first_build, segment, kind, status, day, by_day FROM ops.findings ORDER BY build, segment, by_day"
)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def write_days(root: Path, first: int, last: int) -> None:
    """One file: plays of two countries, whose number varies by the weekday and a little from day to day."""
    rows = []
    for number in range(first, last + 1):
        for country, size in SIZES.items():
            share = 1 / 3 if country == "FR" and FALL <= number < BACK else 1.0
            count = round((size * WEEK[number % 7] + number * 7 % 5 - 2) * share)
            for at in range(count):
                time = f"{START + timedelta(days=number, minutes=600 + at):%Y-%m-%dT%H:%M:%SZ}"
                rows.append({"id": f"{country}{number}-{at}", "ts": time, "received": time, "user": f"u{at % 9}"})
                rows[-1] |= {"event": "play", "country": country}
    (root / "data" / f"{first:03d}.jsonl").write_text(lines(rows), encoding="utf-8")


def project(root: Path, **settings: Any) -> Path:
    source = {**EVENTS, "contract": {**EVENTS["contract"]}}
    source.pop("complete")  # the last day goes on
    return make_project(root, {"app": source}, timezone="UTC", **settings)


def tide(root: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE_ROOT), "NO_COLOR": "1", "COLUMNS": "200", **variables}
    done = forked.tide(words, cwd=root, environment=environment)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def copied(project: Path, to: Path) -> Path:
    return shutil.copytree(project, to / "p")


class Receiver:
    """A real HTTP server on loopback that keeps what it is told and answers with the next of `answers`, else 200."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/json"
                receiver.got.append(json.loads(body))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    made.thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def fallen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of the days before the fall. Tests work on copies of it."""
    root = project(tmp_path_factory.mktemp("watched"), watches=[{"metric": "plays", "by": "country"}])
    write_days(root, 0, FALL - 1)
    build(root)
    return root


def statuses(found: Watched) -> list[str]:
    return sorted(found.table.column("status").to_pylist())


def test_a_lake_day_by_day(tmp_path: Path, fallen: Path, receiver: Receiver) -> None:
    root = copied(fallen, tmp_path)
    with tl.open(root) as session:
        assert statuses(session.watch()) == []

        write_days(root, FALL, FALL + 4)  # the last of them goes on
        session.build()
        found = session.watch(webhook=receiver.url)
        assert (found.build, found.is_changed, found.sent) == (2, True, 2)
        assert [tuple(row.values()) for row in rows_of(root, FINDINGS)] == [
            (2, 2, "all", "fall", "new", day(FALL), None),
            (2, 2, "country FR", "fall", "new", day(FALL), None),
        ]
        assert [one["segment"] for one in receiver.got[0]["findings"]] == ["all", "country FR"]
        assert receiver.got[0]["build"] == 2
        assert "plays of country FR fell by" in receiver.got[0]["text"]

        again = session.watch(webhook=receiver.url)
        assert again.table == found.table
        assert len(rows_of(root, FINDINGS)) == 2  # and nothing is told twice
        assert len(receiver.got) == 1

        kept = session.keep_kpis(session.explain("plays"))
        assert [((one.name or "")[:2], one.segment, one.by_day, one.since) for one in kept] == [
            ("P1", {"country": "FR"}, day(FALL + 5), day(FALL)),
            ("P2", {"country": "FR"}, day(FALL + 17), day(FALL)),
        ]
        assert 30 < (kept[0].at_least or 0) < 46  # what France had, less what its days vary by
        before = (root / "kpis.yml").read_bytes()
        assert statuses(session.watch()) == ["new", "new", "not yet due", "not yet due"]

        write_days(root, FALL + 5, FALL + 5)  # the first deadline, which goes on: it is not judged
        session.build()
        found = session.watch()
        assert (statuses(found), found.known) == (["not yet due", "not yet due"], 2)
        assert statuses(session.watch(every=True)) == ["known", "known", "not yet due", "not yet due"]
        assert session.keep_kpis(session.explain("plays")) == []  # a day later the same change
        assert (root / "kpis.yml").read_bytes() == before

        write_days(root, FALL + 6, FALL + 6)
        session.build()
        found = session.watch()
        assert (statuses(found), found.is_unmet) == (["missed", "not yet due"], True)

        write_days(root, FALL + 7, FALL + 18)
        session.build()
        assert statuses(session.watch()) == ["met", "missed"]  # the fall of nine days is over, and left nothing
    judged = [row for row in rows_of(root, FINDINGS) if row["kind"] == "at_least"]
    assert [(row["build"], row["status"], row["day"]) for row in judged] == [
        (4, "missed", day(FALL + 5)),
        (5, "met", day(FALL + 17)),
    ]


def test_the_commands(tmp_path: Path, fallen: Path) -> None:
    root = copied(fallen, tmp_path)
    calm = tide(root, "watch", "--fail-on", "change", "--fail-on", "unmet")
    assert (calm.returncode, calm.stderr) == (0, "build 1: 0 new changes\n")
    write_days(root, FALL, FALL + 4)
    built = tide(root, "build", "--watch")
    assert built.returncode == 0
    assert "build 2: 2 new changes\n  plays fell by" in built.stderr
    answers = [tide(root, "watch", "--fail-on", "change", "--format", "json") for _ in range(2)]
    assert [one.returncode for one in answers] == [4, 4]
    assert answers[0].stdout == answers[1].stdout
    assert [row["status"] for row in json.loads(answers[0].stdout)["rows"]] == ["new", "new"]
    assert "kpis.yml: P1 plays, country FR by" in tide(root, "explain", "plays", "--watch").stderr
    waiting = tide(root, "watch", "--fail-on", "unmet")
    assert (waiting.returncode, "levels: 2 not yet due" in waiting.stderr) == (0, True)


def test_what_the_receiver_did_not_take_is_told_by_the_next_watch(
    tmp_path: Path, fallen: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "_PAUSE", 0.0)
    root = copied(fallen, tmp_path)
    (root / "tide.yml").write_text(
        (root / "tide.yml").read_text().replace("by: country", "at_least: 1000"), encoding="utf-8"
    )
    receiver.answers = [500, 503, 429, 404]
    with tl.open(root) as session:
        for tries, words in ((3, "it answered 429 Too Many Requests, 3 times"), (4, "it answered 404 Not Found;")):
            found = session.watch(webhook=receiver.url)
            assert found.is_unmet
            assert (found.sent, found.undelivered is not None and found.undelivered.startswith(words)) == (0, True)
            assert len(receiver.got) == tries
        write_days(root, FALL, FALL)
        session.build()
        assert session.watch(webhook=receiver.url).sent == 1  # of the build before
        assert session.watch(webhook=receiver.url).sent == 0
    assert {one["findings"][0]["id"] for one in receiver.got} == {rows_of(root, "SELECT id FROM ops.findings")[0]["id"]}
    told = rows_of(root, "SELECT build, status FROM ops.deliveries ORDER BY build")
    assert told == [{"build": 1, "status": "failed"}, {"build": 2, "status": "sent"}]


def test_a_receiver_that_is_not_there_ends_with_1_and_what_was_found_is_kept(tmp_path: Path, fallen: Path) -> None:
    closed = Receiver()
    closed.server.server_close()
    root = copied(fallen, tmp_path)
    (root / "kpis.yml").write_text("watches:\n- {metric: plays, at_least: 1000}\n", encoding="utf-8")
    done = tide(root, "watch", TIDELAKE_WEBHOOK=closed.url)
    assert done.returncode == 1
    assert "The webhook was not told: it cannot be reached" in done.stderr
    assert closed.url not in done.stderr
    assert [row["status"] for row in rows_of(root, FINDINGS)] == ["missed"]
    assert tide(root, "watch", "--fail-on", "unmet", TIDELAKE_WEBHOOK=closed.url).returncode == 4


def test_refusals(tmp_path: Path, fallen: Path) -> None:
    with tl.open(fallen) as session:
        with pytest.raises(ProjectError, match="neither http"):
            session.watch(webhook="file:///etc/passwd")
        with pytest.raises(UnknownNameError, match="playz"):
            session.watch("playz")
        with pytest.raises(ProjectError, match="are of one metric"):
            session.watch(by=["country"])
        with session.lake.lock(), pytest.raises(BusyError):
            session.watch()
    with tl.open(fallen, as_of="1") as session, pytest.raises(LakeError, match="read-only"):
        session.watch()
    with tl.open(project(tmp_path)) as session:
        with pytest.raises(ProjectError, match="Nothing is watched"):
            session.watch()
        (tmp_path / "kpis.yml").write_text("watches: [{metric: plays, segment: {country: XX}, at_least: 1}]\n")
        with pytest.raises(LakeError, match="no build"):
            session.watch()
        write_days(tmp_path, 0, 8)
        session.build()
        with pytest.raises(UnknownNameError, match="value of country 'XX'"):
            session.watch()


def test_a_file_that_people_wrote_otherwise_is_left_as_it_is(tmp_path: Path, fallen: Path) -> None:
    root = copied(fallen, tmp_path)
    (root / "kpis.yml").write_text("watches: []\n", encoding="utf-8")
    write_days(root, FALL, FALL + 4)
    with tl.open(root) as session:
        session.build()
        why = session.explain("plays")
        with pytest.raises(ProjectError, match="cannot be added to"):
            session.keep_kpis(why)
        assert (root / "kpis.yml").read_text() == "watches: []\n"
        ours = "# ours\nwatches:\n  - {metric: plays, at_least: 3}  # keep\n"
        (root / "kpis.yml").write_text(ours, encoding="utf-8")
        assert [one.by_day for one in session.keep_kpis(why)] == [day(FALL + 5), day(FALL + 17)]
    assert (root / "kpis.yml").read_text().startswith(f"{ours}  - ")


@pytest.mark.parametrize(
    ("watch", "said"),
    [
        ("{metric: plays, at_least: 1, at_most: 2}", "either `at_least:` or `at_most:`"),
        ("{metric: plays, by_day: 2024-03-01}", "belong to a level"),
        ("{metric: plays, by: country, at_least: 1}", "write `segment:`"),
    ],
)
def test_what_a_watch_cannot_be(tmp_path: Path, watch: str, said: str) -> None:
    root = project(tmp_path)
    with (root / "tide.yml").open("a", encoding="utf-8") as file:
        file.write(f"watches:\n  - {watch}\n")
    with pytest.raises(ProjectError, match=said):
        tl.open(root)
