"""What must hold of gold after each build: rows are spoilt by hand, or a table's SQL is, and the build must say so."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tests.session.lakes import build, event, events_with, lines, make_project
from tidelake import session as tl
from tidelake.errors import LedgerError
from tidelake.gold.context import open_gold
from tidelake.gold.invariants import invariants, touched, verdicts

COUNTS: dict[str, Any] = {
    "fact": "count",
    "path": "counts/*.csv",
    "mapping": {"event_time": "day", "entity": "site"},
    "measures": ["views"],
    "contract": {
        "fields": {
            "day": {"type": "timestamp", "required": True},
            "site": {"type": "string", "required": True},
            "views": {"type": "integer", "required": True},
        }
    },
}
VIEWS = "day,site,views\n" + "".join(
    f"2024-03-0{day}T00:00:00Z,{site},{day}\n" for day in range(1, 6) for site in ("de", "fr")
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_project(tmp_path_factory.mktemp("built"), {"app": events_with(), "views": COUNTS})
    (root / "data/a.jsonl").write_text(lines([event(number) for number in range(60)]))
    (root / "counts").mkdir()
    (root / "counts/a.csv").write_text(VIEWS)
    result = build(root)
    assert result.exit_code == 0
    assert result.invariants == len(invariants())
    return root


@pytest.fixture(scope="module")
def session(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tl.Session]:
    copy = tmp_path_factory.mktemp("spoilt") / "project"
    shutil.copytree(built, copy)
    with tl.open(copy) as opened:
        yield opened


def spoil(session: tl.Session, table: str, select: str | pa.Table) -> None:
    """Replace a table's rows by others, behind the back of everything that keeps account."""
    session.engine.write(select, table, "overwrite", note=session.lake.note(table))


def broken(session: tl.Session) -> set[str]:
    gold = open_gold(session.engine, session.lake, session.project, session.sources)
    return {one.invariant.name for one in verdicts(gold, {"actors": None, "entities": None}) if one.broken}


def doubled(table: str, where: str) -> str:
    return f"SELECT * FROM {table} UNION ALL SELECT * FROM {table} WHERE {where}"


def changed(table: str, column: str, value: str, where: str) -> str:
    return f"SELECT * REPLACE (CASE WHEN {where} THEN {value} ELSE {column} END AS {column}) FROM {table}"


ONE = "actor_id = 'u1' AND activity_date = DATE '2024-03-02'"
OF_ONE = "actor_id = 'u1' AND session_date = DATE '2024-03-02'"
ALL_OF_ONE = "dimension = '(all)' AND activity_date = DATE '2024-03-02'"
SPOILT = {
    "day_from_silver": (
        "gold.user_day",
        changed(
            "gold.user_day",
            "first_event_time",
            "TIMESTAMPTZ '2024-03-05 00:00:00+00'",
            "activity_date = DATE '2024-03-05'",
        ),
    ),
    "entity_day_missing": (
        "gold.entity_day",
        changed("gold.entity_day", "is_missing", "TRUE", "entity = 'de' AND activity_date = DATE '2024-03-02'"),
    ),
    "entity_day_whole": (
        "gold.entity_day",
        "SELECT * FROM gold.entity_day WHERE NOT (entity = 'de' AND activity_date = DATE '2024-03-02')",
    ),
    "event_day_parts": ("gold.event_day", changed("gold.event_day", "filtered_count", "5", ALL_OF_ONE)),
    "event_day_values": ("gold.event_day", changed("gold.event_day", "row_count", "row_count + 1", ALL_OF_ONE)),
    "events_of_sessions": ("gold.sessions", changed("gold.sessions", "event_count", "event_count + 100", OF_ONE)),
    "sessions_apart": (
        "gold.sessions",
        changed("gold.sessions", "ended_at", "TIMESTAMPTZ '2024-03-03 23:59:00+00'", OF_ONE),
    ),
    "sessions_dates": (
        "gold.sessions",
        changed("gold.sessions", "ended_date", "DATE '2024-03-03'", OF_ONE),
    ),
    "sessions_of_days": ("gold.user_day", changed("gold.user_day", "session_count", "session_count + 1", ONE)),
    "sessions_once": ("gold.sessions", doubled("gold.sessions", OF_ONE)),
    "sessions_times": ("gold.sessions", changed("gold.sessions", "duration_seconds", "12.5e0", OF_ONE)),
    "user_day_counts": ("gold.user_day", changed("gold.user_day", "is_active", "FALSE", ONE)),
    "user_day_once": ("gold.user_day", doubled("gold.user_day", ONE)),
    "user_day_values": (
        "gold.user_day_value",
        changed("gold.user_day_value", "actor_id", "'u2'", "activity_date = DATE '2024-03-05'"),
    ),
    "users_and_events": (
        "gold.event_day",
        changed("gold.event_day", "events_without_actor", "1", ALL_OF_ONE),
    ),
    "watch_bounds": ("gold.sessions", changed("gold.sessions", "watch_seconds", "1e9", OF_ONE)),
}


def test_each_invariant_is_broken_below() -> None:
    assert set(SPOILT) == {one.name for one in invariants()}


def test_the_documentation_says_them_all() -> None:
    page = (Path(__file__).parents[2] / "docs" / "invariants.md").read_text(encoding="utf-8")
    for one in invariants():
        assert f"| `{one.name}` | `{one.table}` | {one.says}" in page


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_table_breaks_it(session: tl.Session, name: str) -> None:
    table, select = SPOILT[name]
    whole = session.engine.query(f"SELECT * FROM {table}")
    spoil(session, table, select)
    assert name in broken(session)
    spoil(session, table, whole)
    if name in ("day_from_silver", "watch_bounds"):
        assert not broken(session)


WITHOUT_ROWS = "WHERE NOT (dimension = 'country' AND activity_date = DATE '2024-03-02')"
ALSO_SPOILT = {
    "event_day_values": ("gold.event_day", f"SELECT * FROM gold.event_day {WITHOUT_ROWS}"),
    "user_day_values": ("gold.user_day_value", f"SELECT * FROM gold.user_day_value {WITHOUT_ROWS}"),
    "sessions_dates": (
        "gold.sessions",
        changed("gold.sessions", "session_date", "DATE '2024-03-01'", OF_ONE),
    ),
}


@pytest.mark.parametrize("name", ALSO_SPOILT)
def test_rows_that_are_not_there_break_it_too(session: tl.Session, name: str) -> None:
    """Of a dimension on a date no row is left; or the other one of a session's two dates is wrong."""
    table, select = ALSO_SPOILT[name]
    whole = session.engine.query(f"SELECT * FROM {table}")
    spoil(session, table, select)
    assert session.engine.query(f"SELECT * FROM {table}") != whole
    assert name in broken(session)
    spoil(session, table, whole)
    assert not broken(session)


def test_the_build_ends_with_3_until_the_table_is_made_anew(built: Path, tmp_path: Path) -> None:
    """The table was changed by somebody: all dates are looked at, by the next build and by the one after it."""
    root = shutil.copytree(built, tmp_path / "project")
    with tl.open(root) as session:
        before = session.engine.query("SELECT count(*) AS n FROM ops.invariants").to_pylist()
        assert session.build().invariants == 0  # nothing is new: nothing is looked at
        assert session.engine.query("SELECT count(*) AS n FROM ops.invariants").to_pylist() == before
        spoil(session, *SPOILT["sessions_of_days"])
        for _ in range(2):
            said = r"'sessions of a day are sessions' \(sessions_of_days\) .* First: 2024-03-02, .*: \d+, expected \d+"
            with pytest.raises(LedgerError, match=said) as refused:
                session.build()
            assert refused.value.exit_code == 3
        kept = session.engine.query("SELECT invariant FROM ops.invariants WHERE status = 'fail'").to_pylist()
        assert [row["invariant"] for row in kept] == ["sessions_of_days", "sessions_of_days"]
        assert session.build(full_refresh=True).invariants == len(invariants())
        for name, spoilt in ALSO_SPOILT.items():
            spoil(session, *spoilt)
            with pytest.raises(LedgerError, match=name) as refused:
                session.build()
            assert refused.value.exit_code == 3


def test_a_mistake_in_a_tables_sql_is_found_by_the_build_that_makes_it(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody adds a session to users' days; questions are still answered from the last good build."""
    from tidelake.gold import builtin

    root = shutil.copytree(built, tmp_path / "project")
    monkeypatch.setattr(builtin, "render", _broken(builtin.render))
    (root / "data/b.jsonl").write_text(lines([event(number) for number in range(60, 90)]))
    with tl.open(root) as session:
        with pytest.raises(LedgerError, match=r"sessions of a day are sessions.*First: 2024-03-0\d"):
            session.build()
        assert sum(row["value"] for row in session.measure("events").to_dicts()) == 60


def _broken(render: Callable[..., str]) -> Callable[..., str]:
    def spoiling(name: str, **fragments: str) -> str:
        text = render(name, **fragments)
        return text.replace("session_count, 0)", "session_count, 0) + 1") if name == "user_day" else text

    return spoiling


COLUMNS = {"content_id": pa.string(), "country": pa.string(), "device": pa.string()}
NAMES = ["play", "pause", "resume", "stop", "buffer_start", "buffer_end", "open"]
RULES: list[dict[str, Any]] = [
    {},
    {"mode": "trust"},
    {"split_at_midnight": True, "split_by": ["device"]},
    {"mode": "bracket", "start": "open", "end": "stop"},
]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_none_fails_on_random_logs_built_in_steps(tmp_path: Path, rule: dict[str, Any]) -> None:
    """Late, tied, passive and actorless events, sessions over midnight, plays that overlap; in two steps."""
    chance = random.Random(str(rule))
    settings = {"session": rule, "dimensions": ["country"], "timezone": "America/New_York"}
    with Tiny(tmp_path, settings, columns={**COLUMNS, "interactive": pa.bool_()}) as tiny:
        for step in range(2):
            rows = []
            for number in range(200):
                hour, minute = chance.choice([0, 3, 4, 5, 22, 23]), chance.choice([0, 10, 20, 21, 22, 59])
                rows.append(
                    {
                        "event_id": f"{step}-{number}",
                        "event_time": f"2025-03-{chance.randint(7, 11):02d} {hour:02d}:{minute:02d}",
                        "actor_id": chance.choice(["a", "b", "c", None]),
                        "event_name": chance.choice(NAMES),
                        "session_id": chance.choice(["v1", "v2", "v3", None]),
                        "content_id": chance.choice(["x", "y", None]),
                        "country": chance.choice(["DE", "FR", None]),
                        "device": chance.choice(["tv", None]),
                        "interactive": chance.choice([True, True, False, None]),
                        "traffic_class": chance.choice(["human", "human", "bot", None]),
                    }
                )
            tiny.add(rows)
            made = tiny.build()
            gold = open_gold(tiny.engine, tiny.lake, tiny.project, tiny.sources)
            found = verdicts(gold, touched(made))
            assert len(found) >= 12
            assert [(one.invariant.name, one.first) for one in found if one.broken] == []


@pytest.mark.parametrize(
    "seconds",
    [[-1.0], [-1e6, 3e6], [0.1, 1e17, -1e17, 0.7, -0.8, 33.3], [1e308, 1e308, 1e308, 1e308]],
    ids=str,
)
def test_declared_seconds_are_taken_as_the_log_says_them(tmp_path: Path, seconds: list[float]) -> None:
    """A player that writes -1 for what it does not know, or nonsense, is no mistake of the build."""
    settings = {"watch": {"column": "value", "event": "play"}}
    with Tiny(tmp_path, settings, columns={**COLUMNS, "value": pa.float64()}) as tiny:
        tiny.add(
            {"event_time": f"2025-03-07 {number:02d}:00", "actor_id": "abc"[number % 3], "value": value}
            | {"event_name": "play", "content_id": "x"}
            for number, value in enumerate(seconds)
        )
        found = verdicts(open_gold(tiny.engine, tiny.lake, tiny.project, tiny.sources), touched(tiny.build()))
        assert {one.invariant.name for one in found} >= {"watch_bounds", "sessions_of_days"}
        assert [(one.invariant.name, one.first) for one in found if one.broken] == []
