"""The hand-written rivals against each other and against plain Python over the raw files."""

from __future__ import annotations

import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tidelake as tl
from benchmarks.by_hand import HUMAN, QUESTIONS, STEPS, TABLES, Rows, lake_files, mau_bitmaps, mau_blocks
from benchmarks.engagement import make_project
from benchmarks.questions import PRODUCT, agrees
from benchmarks.whole_answers import WHOLE

DAY = timedelta(days=1)
Event = dict[str, Any]
Answers = dict[str, Rows]


def by_actor(events: list[Event]) -> dict[str, list[Event]]:
    """Each actor's events in order of time."""
    found: dict[str, list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event["event_time"]):
        found[event["user_id"]].append(event)
    return found


def active_days(events: list[Event]) -> dict[date, set[str]]:
    found: dict[date, set[str]] = defaultdict(set)
    for event in events:
        found[event["event_time"].date()].add(event["user_id"])
    return found


def dau_by_region(events: list[Event]) -> Rows:
    found = defaultdict(set)
    for event in events:
        found[event["event_time"].date(), event["region"]].add(event["user_id"])
    return sorted((day, region, len(actors)) for (day, region), actors in found.items())


def mau_30(events: list[Event]) -> Rows:
    days = active_days(events)
    first, last = min(days), max(days)
    calendar = [first + at * DAY for at in range((last - first).days + 1)]
    return [(day, len(set().union(*(days.get(day - at * DAY, set()) for at in range(30))))) for day in calendar]


def retention_weekly(events: list[Event]) -> Rows:
    weeks: dict[str, set[date]] = defaultdict(set)
    for event in events:
        day = event["event_time"].date()
        weeks[event["user_id"]].add(day - day.weekday() * DAY)
    found = Counter((min(own), (week - min(own)).days // 7) for own in weeks.values() for week in own)
    return sorted((cohort, index, actors) for (cohort, index), actors in found.items())


def depth(events: list[tuple[datetime, str]]) -> int:
    """How many steps the best entry reaches: from each, every step at its earliest, all within a day of the entry."""
    times = [sorted(at for at, name in events if name == step) for step in STEPS]
    best = 0
    for entry in times[0]:
        now, reached = entry, 1
        for later in times[1:]:
            now = next((at for at in later if at >= now), entry + 2 * DAY)
            if now - entry > DAY:
                break
            reached += 1
        best = max(best, reached)
    return best


def funnel(events: list[Event]) -> Rows:
    depths = [depth([(event["event_time"], event["event_name"]) for event in own]) for own in by_actor(events).values()]
    return [(at, name, sum(reached >= at for reached in depths)) for at, name in enumerate(STEPS, 1)]


def drop_off(events: list[Event]) -> Rows:
    sessions: list[list[Event]] = []
    for own in by_actor(events).values():
        for before, event in zip([None, *own], own, strict=False):
            if before is None or event["event_time"] - before["event_time"] > timedelta(minutes=30):
                sessions.append([])
            sessions[-1].append(event)
    total: Counter[str] = Counter()
    below: Counter[str] = Counter()
    for session in sessions:
        version = session[0]["app_version"]
        total[version] += 1
        below[version] += sum(round(10 * (event["seconds"] or 0)) for event in session) < 100
    return [(version, count, below[version], below[version] / count) for version, count in sorted(total.items())]


def events_and_plays(events: list[Event]) -> Rows:
    total = Counter(event["event_time"].date() for event in events)
    plays = Counter(event["event_time"].date() for event in events if event["event_name"] == "video_play")
    return [(day, total[day], plays[day]) for day in sorted(total)]


PLAIN: dict[str, Callable[[list[Event]], Rows]] = {
    "dau_by_region": dau_by_region,
    "mau_30": mau_30,
    "retention_weekly": retention_weekly,
    "funnel": funnel,
    "drop_off": drop_off,
    "events_and_plays": events_and_plays,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, tide: Callable[..., subprocess.CompletedProcess[str]]) -> Path:
    root = tmp_path_factory.mktemp("engagement")
    make_project(root, 20_000, 500, 40)
    done = tide("build", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    return root


@pytest.fixture(scope="module")
def expected(project: Path) -> Answers:
    events = [row for path in sorted((project / "data").iterdir()) for row in pq.read_table(path).to_pylist()]
    return {question: answer(events) for question, answer in PLAIN.items()}


@pytest.mark.parametrize(
    ("question", "at"), [(question, at) for question, variants in QUESTIONS.items() for at in range(len(variants))]
)
def test_every_variant_gives_what_plain_python_finds_in_the_raw_files(
    project: Path, expected: Answers, question: str, at: int
) -> None:
    with duckdb.connect() as connection:
        assert QUESTIONS[question][at](connection, lake_files(project / "lake")) == expected[question]


def test_the_product_and_every_whole_answer_by_hand_say_the_same(project: Path, expected: Answers) -> None:
    """Its default answer, column by column; the numbers in it are those of plain Python, but for what is still open."""
    files = lake_files(project / "lake")
    with duckdb.connect() as connection, tl.open(project) as session:
        connection.execute("SET TimeZone = 'UTC'")
        for question, own in PRODUCT.items():
            found = own(session)
            for variant in WHOLE.get(question, ()):
                assert agrees(found, variant(connection, files)), variant.__name__
            if question in ("mau_30", "events_and_plays"):
                assert agrees(found, expected[question])
        entered = PRODUCT["funnel"](session)[0]
    assert entered[2] <= expected["funnel"][0][2] < entered[2] + entered[5]


def test_the_data_has_something_to_tell(expected: Answers) -> None:
    funnel = [actors for _, _, actors in expected["funnel"]]
    assert funnel == sorted(funnel, reverse=True)
    assert len(set(funnel)) == len(STEPS)
    assert len(expected["mau_30"]) > 31
    assert max(index for _, index, _ in expected["retention_weekly"]) == 5


def test_pandas_gives_the_same(project: Path, expected: Answers) -> None:
    pytest.importorskip("pandas")
    from benchmarks import pandas_way

    events = pandas_way.read(project / "data")
    in_order = pandas_way.ordered(events)
    for name, (question, is_ordered) in pandas_way.QUESTIONS.items():
        assert question(in_order if is_ordered else events) == expected[name], name


def write(root: Path, table: str, day: date, rows: dict[str, pa.Array]) -> str:
    folder = root / table / f"{TABLES[table]}={day}"
    folder.mkdir(parents=True)
    pq.write_table(pa.table(rows), folder / "part.parquet")
    return str(folder / "part.parquet")


@pytest.mark.parametrize("seed", range(4))
def test_funnel_variants_keep_to_the_window_ties_and_traffic(tmp_path: Path, seed: int) -> None:
    """Few instants and hours a multiple of six: many ties, chains over midnight and windows used to the full."""
    random = Random(seed)
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    rows = [
        (
            begin + timedelta(hours=6 * random.randrange(16)),
            None if random.random() < 0.02 else f"a{random.randrange(400)}",
            random.choice((*STEPS, *STEPS[1:], "purchase")),
            random.choice(("human", "human", None, "bot")),
        )
        for _ in range(2_400)
    ]
    lives: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for at, actor, name, traffic in rows:
        if actor is not None and traffic != "bot":
            lives[actor].append((at, name))
    depths = [depth(life) for life in lives.values()]
    expected = [(at, name, sum(reached >= at for reached in depths)) for at, name in enumerate(STEPS, 1)]

    names = ("event_time", "actor_id", "event_name", "traffic_class")
    paths = []
    for day in sorted({row[0].date() for row in rows}):
        columns = zip(*(row for row in rows if row[0].date() == day), strict=True)
        table = {name: pa.array(values) for name, values in zip(names, columns, strict=True)}
        paths.append(write(tmp_path, "silver.app", day, table))
    assert "traffic_class" in HUMAN
    for variant in QUESTIONS["funnel"]:
        with duckdb.connect() as connection:
            assert variant(connection, {"silver.app": paths}) == expected, variant.__name__


def test_rolling_variants_hold_over_long_and_broken_calendars(tmp_path: Path) -> None:
    """More than two words and four blocks of days, some of which nobody was active."""
    random = Random(3)
    days: dict[date, set[str]] = {}
    for at in sorted({0, 169, *random.sample(range(170), 60)}):
        days[date(2023, 11, 20) + at * DAY] = {f"a{random.randrange(60)}" for _ in range(random.randrange(1, 12))}
    paths = [
        write(
            tmp_path,
            "gold.user_day",
            day,
            {"actor_id": pa.array([*sorted(actors), "idle"]), "is_active": pa.array([True] * len(actors) + [False])},
        )
        for day, actors in days.items()
    ]
    noon = [
        {"event_time": datetime(day.year, day.month, day.day, 12, tzinfo=UTC), "user_id": actor}
        for day, actors in days.items()
        for actor in actors
    ]
    assert {mau_blocks, mau_bitmaps} < set(QUESTIONS["mau_30"])
    for question, plain in (("mau_30", mau_30), ("retention_weekly", retention_weekly)):
        for variant in QUESTIONS[question]:
            with duckdb.connect() as connection:
                assert variant(connection, {"gold.user_day": paths}) == plain(noon), variant.__name__
