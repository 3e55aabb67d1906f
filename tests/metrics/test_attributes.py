"""Columns of dimension tables as dimensions of questions: as of the event, never another number of rows."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import INSTANT, Tiny, at
from tests.metrics.asking import ask, own
from tidelake.charts.draw import chart_of
from tidelake.contracts.source import source_from
from tidelake.engine.result import Result
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.context import open_gold
from tidelake.metrics.activation import Activation, activation
from tidelake.metrics.diversity import Diversity, diversity
from tidelake.metrics.dropoff import dropoff
from tidelake.metrics.funnel import Funnel, funnel
from tidelake.metrics.listing import metrics_of
from tidelake.metrics.retention import Retention, retention
from tidelake.metrics.revenue import Revenue, revenue
from tidelake.metrics.stickiness import stickiness

SETTINGS = {
    "dimensions": ["os"],
    "watch": {"column": "seconds", "event": "play", "content": "video"},
    "session": {"timeout": "30m"},
}
COLUMNS = {"video": pa.string(), "os": pa.string(), "seconds": pa.float64()}
USERS = {"name": "users", "path": "x", "fact": "dimension", "key": ["a"], "history": "scd2"}
USERS |= {"mapping": {"valid_from": "since"}}
VIDEOS = {"name": "videos", "path": "x", "fact": "dimension", "key": ["video"]}
SYSTEMS = {"name": "systems", "path": "x", "fact": "dimension", "key": ["os"]}
PEOPLE = {"name": "people", "path": "x", "fact": "dimension", "key": ["a"]}
DATED = {"a": pa.string(), "tier": pa.string(), "valid_from": INSTANT, "valid_to": INSTANT, "is_current": pa.bool_()}
# Ann was free until the second day, 10:00, and plus from that very instant on; of Bob nothing is known before it.
HISTORY = [
    ("ann", "free", None, "2025-03-02 10:00"),
    ("ann", "plus", "2025-03-02 10:00", None),
    ("bob", "free", "2025-03-02 00:00", None),
]
GENRES = {"v1": "drama", "v2": "comedy", "v3": "drama", "v4": None}


def dimension(tiny: Tiny, source: dict[str, Any], rows: list[dict[str, Any]], kinds: dict[str, pa.DataType]) -> None:
    tiny.sources[source["name"]] = source_from(source)
    tiny.engine.write(pa.Table.from_pylist(rows, schema=pa.schema(kinds)), f"silver.{source['name']}", "overwrite")


def dated(rows: Sequence[tuple[str, str, Any, Any]]) -> list[dict[str, Any]]:
    def instant(given: Any) -> datetime | None:
        return at(given) if isinstance(given, str) else given

    return [
        {
            "a": user,
            "tier": tier,
            "valid_from": instant(since),
            "valid_to": instant(until),
            "is_current": until is None,
        }
        for user, tier, since, until in rows
    ]


def play(time: str, actor: str, video: str | None, seconds: float = 60, os: str = "tv") -> dict[str, Any]:
    name = "play" if video else "open"
    row = {"event_time": f"2025-03-{time}", "actor_id": actor, "video": video, "event_name": name, "os": os}
    return {**row, "seconds": seconds if video else None}


EVENTS = [
    play("01 10:00", "ann", "v1"),
    play("01 11:00", "bob", "v1", 5),
    play("02 10:00", "ann", "v2", os="phone"),
    play("02 12:00", "cat", "v2", 5, os="phone"),
    play("03 09:00", "bob", "v9"),
    play("03 10:00", "ann", None),
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    with Tiny(tmp_path_factory.mktemp("attributes"), SETTINGS, columns=COLUMNS) as made:
        dimension(made, USERS, dated(HISTORY), DATED)
        texts = {"video": pa.string(), "genre": pa.string(), "minutes": pa.int64()}
        dimension(made, VIDEOS, [{"video": k, "genre": v, "minutes": 10} for k, v in GENRES.items()], texts)
        systems = [{"os": "tv", "maker": "big"}, {"os": "phone", "maker": "small"}]
        dimension(made, SYSTEMS, systems, {"os": pa.string(), "maker": pa.string()})
        people = [{"a": "ann", "region": "north"}, {"a": "bob", "region": "south"}]
        dimension(made, PEOPLE, people, {"a": pa.string(), "region": pa.string()})
        made.add(EVENTS)
        made.build()
        yield made


def by_day(result: Result, name: str) -> dict[tuple[int, str], float]:
    """Values other than 0 by day of March and segment."""
    rows = result.to_dicts()
    return {(row["period_start"].day, row[name]): row["value"] for row in rows if row["value"]}


def by_segment(result: Result, name: str) -> dict[str, Any]:
    return {row[name]: (row["numerator"], row["denominator"]) for row in result.to_dicts()}


TIERS = {(1, "free"): 1, (1, "(unknown)"): 1, (2, "plus"): 1, (2, "(unknown)"): 1, (3, "plus"): 1, (3, "free"): 1}


@pytest.mark.parametrize("metric", ["dau", "events", "sessions"])
def test_a_row_of_history_holds_from_its_instant_on(tiny: Tiny, metric: str) -> None:
    """The six events stand alone in their sessions: one event, one session, one actor a day and tier."""
    assert by_day(ask(tiny, metric, by="users.tier"), "users.tier") == TIERS


@pytest.mark.parametrize("metric", ["events", "sessions"])
def test_unknown_and_missing_keys_are_unknown(tiny: Tiny, metric: str) -> None:
    """v9 is no video that is known, and the last event has none."""
    found = ask(tiny, metric, by=["videos.genre"])
    assert by_day(found, "videos.genre") == {(1, "drama"): 2, (2, "comedy"): 2, (3, "(unknown)"): 2}
    assert any("videos keeps no history" in note for note in found.notes)
    assert "silver.videos" in [source.table for source in found.sources]
    assert not any("history" in note for note in ask(tiny, metric, by="users.tier").notes)


def test_a_session_has_what_is_told_of_its_first_value(tiny: Tiny) -> None:
    found = ask(tiny, "sessions", by=["systems.maker", "users.tier"], grain="month")
    values = {(row["systems.maker"], row["users.tier"]): row["value"] for row in found.to_dicts()}
    assert values == {
        ("big", "free"): 2,
        ("big", "(unknown)"): 1,
        ("big", "plus"): 1,
        ("small", "plus"): 1,
        ("small", "(unknown)"): 1,
    }


@pytest.mark.parametrize(
    ("metric", "where", "expected"),
    [
        ("events", "videos.genre = 'drama'", 2),
        ("events", "videos.genre in ('drama', 'comedy') AND actor_id = 'bob' AND seconds < 10", 1),
        ("events", '"videos.genre" IS NULL', 2),
        ("events", "video <> 'videos.genre'", 5),
        ("active_users", "users.tier = 'free' AND videos.genre IS NULL", 1),
        ("sessions", "users.tier = 'plus'", 2),
        ("sessions", "videos.genre = 'drama' AND watch_seconds < 10", 1),
        ("events", "videos.minutes * 60 > seconds", 4),
    ],
)
def test_conditions_can_ask_for_attributes(tiny: Tiny, metric: str, where: str, expected: int) -> None:
    """Of the two of `free`: Ann's play of v1 and Bob's of v9, whose genre is unknown."""
    (row,) = ask(tiny, metric, where=where, grain="month").to_dicts()
    assert row["value"] == expected


def test_questions_without_attributes_read_as_before(tiny: Tiny) -> None:
    for options in ({}, {"by": "video"}, {"where": "video = 'v1'"}):
        for metric in ("dau", "events", "sessions"):
            if metric != "sessions" or not options:
                assert "about_" not in ask(tiny, metric, **options).sql
    events = tiny.ask(open_gold).events
    without = open_gold(tiny.engine, tiny.lake, tiny.project, {"app": tiny.sources["app"]}).events
    assert events.select(columns=["video"]) == without.select(columns=["video"])


def test_names_are_listed_and_proposed(tiny: Tiny) -> None:
    listed = tiny.ask(metrics_of).to_dicts()
    dimensions = {row["name"]: row["dimensions"] for row in listed}
    for metric in ("dau", "sessions"):
        assert {"users.tier", "videos.genre", "videos.minutes", "systems.maker"} <= set(dimensions[metric])
        assert not {"users.a", "users.valid_from", "users.is_current"} & set(dimensions[metric])
    for metric in ("dau", "sessions"):
        with pytest.raises(UnknownNameError, match="tire") as error:
            ask(tiny, metric, by="users.tire")
        assert "users.tier" in (error.value.hint or "")
    with pytest.raises(UnknownNameError, match="genres"):
        ask(tiny, "events", where="videos.genres = 'drama'")


@pytest.mark.parametrize("metric", ["dau", "active_days"])
def test_what_actors_are_on_all_days_is_read_from_their_days(tiny: Tiny, metric: str) -> None:
    """Without history an actor's days are whole days of one region: gold has them; silver says the same."""
    found = ask(tiny, metric, by="people.region")
    regions = {(1, "north"): 1, (1, "south"): 1, (2, "north"): 1, (2, "(unknown)"): 1, (3, "north"): 1, (3, "south"): 1}
    assert by_day(found, "people.region") == regions
    assert [source.table for source in found.sources] == ["gold.user_day", "silver.people"]
    for options in ({"where": "event_name IS NOT NULL"}, {}):
        asked = ask(tiny, metric, by=["people.region", "systems.maker"], **options)
        assert "silver.app" in asked.sql
    again = ask(tiny, metric, by="people.region", where="event_name IS NOT NULL")
    assert "silver.app" in again.sql
    assert by_day(again, "people.region") == regions


def test_whole_days_can_be_cut_by_what_actors_are(tiny: Tiny) -> None:
    """Sessions of a day: gold has them for whole days only, which a region leaves whole and a genre does not."""
    own(tiny, "day_sessions", "kind: ratio\nfact: actor_day\nexpression: session_count\n")
    try:
        found = by_day(ask(tiny, "day_sessions", by="people.region", grain="month"), "people.region")
        with pytest.raises(DefinitionError, match="whole days"):
            ask(tiny, "day_sessions", by="videos.genre")
    finally:
        (Path(tiny.project.root) / "metrics" / "day_sessions.yml").unlink()
    assert found == {(1, "north"): 1, (1, "south"): 1, (1, "(unknown)"): 1}


# --- every question


def test_retention_of_sessions_by_what_was_watched_first(tiny: Tiny) -> None:
    """Within 48 h of the first session: Ann at 24 h, and Bob after 46 h; both saw a drama first. Cat: not yet seen."""
    asked = Retention.model_validate(
        {"fact": "session", "criterion": "within", "within": [("0h", "48h")], "warmup_days": 0}
    )
    found = tiny.ask(retention, asked, by="videos.genre", grain="all")
    rows = {row["videos.genre"]: row for row in found.to_dicts()}
    assert {name: (row["size"], row["numerator"], row["eligible"]) for name, row in rows.items()} == {
        "drama": (2, 1, 1),
        "comedy": (1, None, 0),
    }
    assert rows["drama"]["numerator_so_far"] == 1


def test_dropoff_by_attributes(tiny: Tiny) -> None:
    """Complete are the first two days: of two sessions by genre and of two by maker one each has 5 seconds."""
    found = tiny.ask(dropoff, by=["videos.genre", "systems.maker"])
    assert by_segment(found, "segment") == {"drama": (1, 2), "comedy": (1, 2), "big": (1, 2), "small": (1, 2)}
    asked = tiny.ask(dropoff, by=["os"], where="videos.genre = 'drama'")
    assert by_segment(asked, "segment") == {"tv": (1, 2)}


def test_a_funnel_by_the_attribute_at_entry(tiny: Tiny) -> None:
    """From play to play within a day: Ann enters as free; Bob, of whom nothing is known then, needs longer."""
    asked = Funnel.model_validate({"steps": ["play where videos.genre = 'drama'", "play"], "window": "24h"})
    found = tiny.ask(funnel, asked, by="users.tier")
    rows = {(row["users.tier"], row["step"]): row["numerator"] for row in found.to_dicts()}
    assert rows == {("free", 1): 1, ("free", 2): 1, ("(unknown)", 1): 1, ("(unknown)", 2): 0}


@pytest.mark.parametrize(
    "how", [{"session": "videos.genre = 'drama'"}, {"criterion": "* where videos.genre = 'drama'"}]
)
def test_activation_by_the_attribute_at_first(tiny: Tiny, how: dict[str, str]) -> None:
    """First Ann (free) and Bob (unknown) see a drama, Cat (unknown) a comedy; seen for an hour after."""
    asked = Activation.model_validate({**how, "within": "1h", "warmup": "0d", "after_first": False})
    found = tiny.ask(activation, asked, by=["users.tier"])
    assert by_segment(found, "users.tier") == {"free": (1, 1), "(unknown)": (1, 2)}


def test_actors_days_and_shares_by_attributes(tiny: Tiny) -> None:
    found = tiny.ask(stickiness, by=("users.tier",))
    assert {row["users.tier"] for row in found.to_dicts()} == {"free", "plus", "(unknown)"}
    for rule in ("any", "first", "last"):
        regions = [
            tiny.ask(stickiness, by=("people.region",), segment=rule, where=where)
            for where in (None, "event_name IS NOT NULL")
        ]
        values = [[(row["people.region"], row["value"], row["n"]) for row in one.to_dicts()] for one in regions]
        assert values[0] == values[1]
        assert "silver.people" in [source.table for source in regions[0].sources]
    shares = tiny.ask(diversity, Diversity(metric="events", of="videos.genre"), grain="month")
    assert shares.to_dicts()[0]["value"] == pytest.approx(1 - 3 * (1 / 3) ** 2)  # three genres of two events each


def test_revenue_by_attributes(tiny: Tiny) -> None:
    """As if seconds were prices: on the first day Ann's 60 are of the free, Bob's 5 of nobody known."""
    asked = Revenue.model_validate({"event": "play", "price": "seconds"})
    found = tiny.ask(revenue, asked, by=["users.tier"], grain="day")
    values = {(row["period_start"].day, row["users.tier"]): row["value"] for row in found.to_dicts() if row["value"]}
    assert values == {(1, "free"): 60, (1, "(unknown)"): 5, (2, "plus"): 60, (2, "(unknown)"): 5, (3, "free"): 60}


def test_members_and_charts_by_attributes(tiny: Tiny) -> None:
    found = ask(tiny, "dau", by="users.tier", members=True).to_dicts()
    assert [(row["actor_id"], row["users.tier"]) for row in found if row["period_start"].day == 1] == [
        ("bob", "(unknown)"),
        ("ann", "free"),
    ]
    drawn = chart_of(ask(tiny, "dau", by="users.tier").table).to_dict()
    assert "'field': 'users tier'" in str(drawn)
    assert "'field': 'users.tier'" not in str(drawn)  # a dot would be looked for within a value `users`
    assert "'title': 'users.tier'" in str(drawn)


WATCHED = """
kind: ratio
fact: event
expression: safe_divide(seconds, videos.minutes * 60)
where: videos.genre = 'drama' AND seconds > 10
"""


def test_a_metric_of_ones_own_can_name_them(tiny: Tiny) -> None:
    """Ann watched 60 of 600 seconds; the other dramas were watched for less than ten."""
    own(tiny, "share_watched", WATCHED)
    try:
        found = {row["period_start"].day: row["value"] for row in ask(tiny, "share_watched").to_dicts()}
    finally:
        (Path(tiny.project.root) / "metrics" / "share_watched.yml").unlink()
    assert found == {1: pytest.approx(0.1), 2: None, 3: None}


# --- which column holds the key


def holders(tmp_path: Path, fields: dict[str, Any], columns: Sequence[str], **source: Any) -> dict[str, str]:
    """Where the key of `users` stands in the events."""
    with Tiny(tmp_path, columns={name: pa.string() for name in columns}) as made:
        given = {"name": "app", "path": "x", "mapping": {"event_time": "t", "actor_id": "who"}}
        made.sources["app"] = source_from({**given, "contract": {"fields": fields}, **source})
        dimension(made, {**USERS, "key": ["user_id"]}, [], {"user_id": pa.string(), "tier": pa.string()})
        made.add([{"event_time": "2025-03-01 10:00"}])
        found = made.ask(open_gold).events.attributes.dimensions
        return dict(found["users"].holders) if "users" in found else {}


REFERS = {"references": "users.user_id"}


@pytest.mark.parametrize(
    ("fields", "columns", "expected"),
    [
        ({}, ["user_id"], {"app": "user_id"}),
        ({}, ["other"], {}),
        ({"who": REFERS}, ["user_id"], {"app": "actor_id"}),  # a mapped field has its part's name
        ({"giver": REFERS}, ["giver", "user_id"], {"app": "giver"}),
        ({"giver": REFERS, "user_id": REFERS}, ["giver", "user_id"], {"app": "user_id"}),
        ({"giver": REFERS, "who": REFERS}, ["giver"], {"app": "actor_id"}),
        ({"giver": REFERS, "taker": REFERS}, ["giver", "taker"], {}),
    ],
)
def test_the_key_is_the_field_that_refers_to_it_or_has_its_name(
    tmp_path: Path, fields: dict[str, Any], columns: Sequence[str], expected: dict[str, str]
) -> None:
    assert holders(tmp_path, fields, columns) == expected


def test_keys_of_other_types_and_of_two_sources(tmp_path: Path) -> None:
    """`app` says the number 7, `web` the text '7' under another name, and the dimension has numbers."""
    with Tiny(tmp_path, {"session": {"timeout": "30m"}}, columns={"video": pa.int64()}) as made:
        field = {"fields": {"clip": {"references": "videos.video"}}}
        mapping = {"event_time": "t", "event_id": "i", "actor_id": "a", "event_name": "n"}
        web = {"name": "web", "path": "x", "mapping": mapping, "dedup": "key", "contract": field}
        made.sources["web"] = source_from(web)
        rows = [{"video": 7, "genre": "drama"}, {"video": 8, "genre": "comedy"}]
        dimension(made, VIDEOS, rows, {"video": pa.int64(), "genre": pa.string()})
        made.add([{"event_time": "2025-03-01 10:00", "video": 7}, {"event_time": "2025-03-01 10:05", "video": None}])
        made.columns = {**made.columns, "clip": pa.string()}
        del made.columns["video"]
        made.add(
            [{"event_time": "2025-03-01 11:00", "clip": text, "event_id": text} for text in "789"], table="silver.web"
        )
        made.build()
        found = by_day(ask(made, "events", by="videos.genre"), "videos.genre")
        assert found == {(1, "drama"): 2, (1, "comedy"): 1, (1, "(unknown)"): 2}
        with pytest.raises(DefinitionError, match="do not carry") as error:
            ask(made, "sessions", by="videos.genre")
        assert "List 'clip' or 'video' under `dimensions:`" in (error.value.hint or "")


def test_a_history_that_is_not_declared_any_more_gives_the_present(tmp_path: Path) -> None:
    """The table still has two rows of Ann: one of them counts."""
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as made:
        dimension(made, {**USERS, "history": "none"}, dated(HISTORY), DATED)
        made.add(EVENTS)
        made.build()
        found = ask(made, "events", by="users.tier", grain="month").to_dicts()
        assert {row["users.tier"]: row["value"] for row in found} == {"plus": 3, "free": 2, "(unknown)": 1}


def test_actors_who_become_known_have_their_attributes(tmp_path: Path) -> None:
    """The device d1 is Ann's, also before she says so; d2 is nobody's."""
    with Tiny(tmp_path, {"session": {"timeout": "30m"}}, columns={"anonymous_id": pa.string()}) as made:
        mapping = {"event_time": "t", "event_id": "i", "actor_id": "a", "event_name": "n", "anonymous_id": "d"}
        made.sources["app"] = source_from({"name": "app", "path": "x", "mapping": mapping, "dedup": "key"})
        dimension(made, USERS, dated(HISTORY), DATED)
        sent = [
            (None, "d1", "01 09:00"),
            ("ann", "d1", "01 10:00"),
            (None, "d2", "01 11:00"),
            ("bob", None, "02 09:00"),
        ]
        made.add(
            [{"event_time": f"2025-03-{time}", "actor_id": who, "anonymous_id": device} for who, device, time in sent]
        )
        made.build()
        found = by_day(ask(made, "events", by="users.tier"), "users.tier")
        assert found == {(1, "free"): 2, (1, "(unknown)"): 1, (2, "free"): 1}
        assert by_day(ask(made, "dau", by="users.tier"), "users.tier") == {
            (1, "free"): 1,
            (1, "(unknown)"): 1,
            (2, "free"): 1,
        }


# --- any history, against a plain loop


def test_random_histories_as_a_plain_loop_finds_them(tmp_path: Path) -> None:
    """Every event counts once, by the row with the latest `valid_from` that is not after it."""
    draw = random.Random(5)
    begin = datetime(2025, 3, 1, tzinfo=UTC)
    hours = [begin + timedelta(hours=hour) for hour in range(96)]
    rows, changes = [], {}
    for user in "abcdefgh":
        since: list[datetime | None] = [None, *hours] if draw.random() < 0.5 else [*hours]
        picked = sorted(draw.sample(since, draw.randint(1, 4)), key=lambda one: one or datetime.min.replace(tzinfo=UTC))
        tiers = [draw.choice(["free", "plus", None]) for _ in picked]
        changes[user] = list(zip(picked, tiers, strict=True))
        rows += [
            (user, tier, one, after) for (one, tier), after in zip(changes[user], [*picked[1:], None], strict=True)
        ]
    events = [
        {**play("01 00:00", draw.choice("abcdefghij"), "v1"), "event_time": draw.choice(hours)} for _ in range(400)
    ]

    def tier(actor: str, time: datetime) -> str:
        held = [name for since, name in changes.get(actor, []) if since is None or since <= time]
        return (held[-1] if held else None) or "(unknown)"

    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as made:
        dimension(made, USERS, dated(rows), DATED)
        made.add(events)
        made.build()
        found = by_day(ask(made, "events", by="users.tier"), "users.tier")
        assert found == Counter(
            (event["event_time"].day, tier(event["actor_id"], event["event_time"])) for event in events
        )
        assert sum(found.values()) == len(events)
        sessions = made.sessions()
        wanted = Counter((row["session_date"].day, tier(row["actor_id"], row["started_at"])) for row in sessions)
        found = by_day(ask(made, "sessions", by="users.tier"), "users.tier")
        assert found == wanted
        assert sum(found.values()) == len(sessions)
