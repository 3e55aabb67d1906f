"""Ratios of sums over actors, high and low actors, and metrics of sessions, worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tests.metrics.asking import ask, own, parts_of, row_of
from tidelake.errors import DefinitionError
from tidelake.metrics.intervals import ratio_of_sums, wilson

SETTINGS = {
    "dimensions": ["region"],
    "measures": {
        "plays": {"event": "play"},
        "opens": {"event": "open"},
        "views": {"event": "view"},
        "searches": {"event": "search"},
        "browses": {"event": "browse"},
        "key_events": {"event": "buy"},
        "titles": {"event": "play", "distinct": "content_id"},
    },
}
COLUMNS = {"region": pa.string(), "content_id": pa.string(), "seconds": pa.float64()}
WEEK = {"grain": "week", "end": date(2025, 3, 9)}


def at(day: int, clock: str, actor: str | None, name: str, **more: Any) -> dict[str, Any]:
    event = {"event_time": f"2025-03-{day:02d} {clock}", "actor_id": actor, "event_name": name, "region": "n"}
    return {**event, "event_id": f"{day}-{clock}-{actor}-{name}-{len(more)}-{more.get('content_id')}", **more}


def plays(day: int, actor: str, count: int, **more: Any) -> list[dict[str, Any]]:
    return [at(day, f"10:{minute:02d}", actor, "play", content_id=f"c{minute % 2}", **more) for minute in range(count)]


# Week of Monday, 3 March 2025. ann: 6 plays on Monday, 4 on Tuesday, opens without a play on Wednesday.
# bob: opens on Monday without a play; 5 plays on Tuesday. cyd: a bot's play, which does not count.
# Somebody unknown plays once. dan opens on Monday 10 March, so that the week before is complete.
EVENTS = [
    *(at(day, "09:00", "ann", "open") for day in (3, 4, 5)),
    *plays(3, "ann", 6),
    *plays(4, "ann", 4, region="s"),
    at(3, "09:00", "bob", "open"),
    at(4, "09:00", "bob", "open"),
    *plays(4, "bob", 5),
    at(3, "11:00", "cyd", "play", traffic_class="bot"),
    at(3, "11:30", None, "play"),
    at(6, "09:00", "eve", "view"),
    at(10, "09:00", "dan", "open"),
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    with Tiny(tmp_path_factory.mktemp("ratios"), SETTINGS, columns=COLUMNS) as made:
        made.add(EVENTS)
        made.build()
        yield made


def test_those_who_did_not_play_stay_below_the_line_of_plays_per_user(tiny: Tiny) -> None:
    """15 plays by actors over six active actor-days: ann 3, bob 2, eve 1; three of them have a play."""
    assert parts_of(tiny, "plays_per_user", **WEEK) == (15 / 6, 15, 6)
    assert parts_of(tiny, "plays_per_player", **WEEK) == (5, 15, 3)
    assert parts_of(tiny, "players", **WEEK)[0] == 2
    assert parts_of(tiny, "active_days", **WEEK)[0] == 6
    assert row_of(tiny, "plays_per_user", **WEEK)["n"] == 3


def test_the_interval_of_a_ratio_is_clustered_by_actor(tiny: Tiny) -> None:
    """Parts: ann 10 of 3, bob 5 of 2, eve 0 of 1; residuals with R = 2.5 are 2.5, 0 and -2.5.

    Variance 3 / 2 * (6.25 + 6.25) / 36; its root is 0.7217.
    """
    row = row_of(tiny, "plays_per_user", **WEEK)
    assert row["ci_high"] - row["value"] == pytest.approx(1.959963984540054 * (1.5 * 12.5 / 36) ** 0.5)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(ratio_of_sums([10, 5, 0], [3, 2, 1])[1])


def test_depth_by_actor_and_day(tiny: Tiny) -> None:
    """Titles: two each on ann's Monday and Tuesday and on bob's Tuesday. Nobody searched: 0, for it is declared."""
    assert parts_of(tiny, "titles_per_user", **WEEK) == (1, 6, 6)
    assert parts_of(tiny, "searches_per_user", **WEEK) == (0, 0, 6)
    assert parts_of(tiny, "sessions_per_user", **WEEK)[2] == 6


def test_a_ratio_by_a_dimension_divides_what_has_its_value(tiny: Tiny) -> None:
    """South: ann's four plays on Tuesday, one actor-day. North: 11 plays; ann 3 (opens), bob 2, eve 1 actor-days."""
    rows = {row["region"]: row for row in ask(tiny, "plays_per_user", by=["region"], **WEEK).to_dicts()}
    assert {key: (row["numerator"], row["denominator"]) for key, row in rows.items()} == {"n": (11, 6), "s": (4, 1)}
    assert rows["s"]["ci_low"] is None  # one actor tells nothing of the spread
    assert parts_of(tiny, "plays_per_user", where="region = 's'", **WEEK) == (4, 4, 1)


def test_a_ratio_over_nothing_is_null(tiny: Tiny) -> None:
    row = row_of(tiny, "plays_per_player", start=date(2025, 3, 6), end=date(2025, 3, 6))
    assert (row["value"], row["numerator"], row["denominator"], row["status"]) == (None, 0, 0, "complete")
    assert row_of(tiny, "plays_per_player", start=date(2025, 3, 7))["status"] == "missing"


def test_high_and_low_are_of_days_and_of_actors(tiny: Tiny) -> None:
    """Days: ann's Monday (6) and bob's Tuesday (5) are high. Actors: medians are ann 4 of (6, 4, 0), bob 2.5, eve 0."""
    assert parts_of(tiny, "high_user_days", **WEEK)[0] == 2
    assert parts_of(tiny, "low_user_days", **WEEK)[0] == 4
    assert parts_of(tiny, "high_user_day_share", **WEEK) == (2 / 6, 2, 6)
    assert parts_of(tiny, "high_users", **WEEK)[0] == 0
    assert parts_of(tiny, "low_users", **WEEK)[0] == 3
    tuesday = {"start": date(2025, 3, 4), "end": date(2025, 3, 4)}
    assert (parts_of(tiny, "high_users", **tuesday)[0], parts_of(tiny, "low_users", **tuesday)[0]) == (1, 1)


def test_opened_and_did_not_play_has_two_names(tiny: Tiny) -> None:
    """Actor-days with an open: ann 3, bob 2; without a play: ann's Wednesday and bob's Monday."""
    assert parts_of(tiny, "opened_not_play", **WEEK) == (2 / 5, 2, 5)
    assert parts_of(tiny, "bounce_user_day", **WEEK) == (2 / 5, 2, 5)


def test_a_share_of_actors_has_wilson_s_interval(tiny: Tiny) -> None:
    """Two of three active users play in the week, each counts once."""
    own(tiny, "player_share", "kind: ratio\nunit: share\nnumerator: players\ndenominator: active_users\n")
    row = row_of(tiny, "player_share", **WEEK)
    assert (row["value"], row["numerator"], row["denominator"]) == (2 / 3, 2, 3)
    assert (row["ci_low"], row["ci_high"]) == wilson(2, 3)


def test_what_nothing_declares_is_null_with_a_note_and_never_0(tmp_path: Path) -> None:
    with Tiny(tmp_path) as tiny:
        tiny.add([{"event_time": "2025-03-03 10:00"}, {"event_time": "2025-03-04 10:00"}])
        tiny.build()
        for metric, says in {
            "plays_per_user": "no measure `plays`",
            "plays_per_player": "no measure `plays`",
            "high_users": "no measure `plays`",
            "opened_not_play": "`plays` and `opens`",
            "titles_per_user": "no measure `titles`",
            "bounce_single_view": "no measure `views`",
            "engagement_rate": "no measure `views`",
            "browsing_seconds": "no measure",
            "bounce_session": "no measure `plays`",
            "watch_seconds_per_user": "`watch:`",
        }.items():
            result = ask(tiny, metric)
            assert [row["value"] for row in result.to_dicts()] == [None, None], metric
            assert any(says in note for note in result.notes), (metric, result.notes)
        assert parts_of(tiny, "sessions_per_user") == (1, 1, 1)


# --- sessions

# One actor each, on 3 March: ann views once and leaves; bob views once and buys 5 s later; cyd views twice within 9 s;
# dan views, and a heartbeat follows 11 s later; eve searches once, without a view; flo views and searches at once.
SESSIONS = [
    at(3, "10:00:00", "ann", "view"),
    at(3, "10:00:00", "bob", "view"),
    at(3, "10:00:05", "bob", "buy"),
    at(3, "10:00:00", "cyd", "view"),
    at(3, "10:00:09", "cyd", "view"),
    at(3, "10:00:00", "dan", "view"),
    at(3, "10:00:11", "dan", "heartbeat", interactive=False),
    at(3, "10:00:00", "eve", "search"),
    at(3, "10:00:00", "flo", "view"),
    at(3, "10:00:00", "flo", "search"),
    at(4, "10:00", "ann", "view"),
]


@pytest.mark.parametrize("mode", ["ignore", "verify"])
def test_bounces_by_their_two_definitions(tmp_path: Path, mode: str) -> None:
    """Single view: ann and dan (a heartbeat is not interactive) of six. Not engaged: ann, eve and flo of six."""
    settings = {**SETTINGS, "session": {"mode": mode}}
    with Tiny(tmp_path, settings, columns={**COLUMNS, "interactive": pa.bool_()}) as tiny:
        tiny.add([{**event, "session_id": f"s-{event['actor_id']}-{event['event_time'][:10]}"} for event in SESSIONS])
        tiny.build()
        assert parts_of(tiny, "bounce_single_view") == (2 / 6, 2, 6)
        assert parts_of(tiny, "bounce_not_engaged") == (3 / 6, 3, 6)
        assert parts_of(tiny, "engagement_rate") == (3 / 6, 3, 6)
        assert parts_of(tiny, "engagement_rate", where="duration_seconds > 0") == (1, 3, 3)


def test_browsing_is_the_time_up_to_the_session_s_next_event_at_most_five_minutes(tmp_path: Path) -> None:
    """ann: browse, 2 min to the next browse, then 20 min to a play: 120 + 300. The browse at the end has no next event.

    Her next session begins after 40 minutes with a browse and 30 s later a play, past midnight.
    """
    events = [
        at(3, "22:00", "ann", "browse"),
        at(3, "22:02", "ann", "browse"),
        at(3, "22:22", "ann", "play"),
        at(3, "22:30", "ann", "browse"),
        at(3, "23:59:50", "ann", "browse"),
        at(4, "00:00:20", "ann", "play"),
        at(3, "22:05", "bob", "browse"),
        at(5, "10:00", "bob", "play"),
    ]
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as tiny:
        tiny.add(events)
        tiny.build()
        result = ask(tiny, "browsing_seconds", end=date(2025, 3, 4))
        assert [row["value"] for row in result.to_dicts()] == [120 + 300 + 30, 0]
        assert [row["value"] for row in ask(tiny, "browsing_seconds", start=date(2025, 3, 4)).to_dicts()] == [0, 0]
        own(tiny, "plays_in_session", "kind: quantile\nfact: session\nexpression: plays\nquantile: 0.5\n")
        assert row_of(tiny, "plays_in_session")["value"] == 1  # sessions of 1, 1 and 0 plays


def test_bracket_sessions_hold_their_own_events(tmp_path: Path) -> None:
    """Two sessions of ann overlap: the first play goes to the older, the second to the latest opened; bob bounces."""
    events = [
        at(3, "10:00", "ann", "open"),
        at(3, "10:01", "ann", "open", content_id="2"),
        at(3, "10:02", "ann", "play", content_id="a"),
        at(3, "10:03", "ann", "play", content_id="b"),
        at(3, "10:04", "ann", "play", content_id="b2"),
        at(3, "10:05", "ann", "close"),
        at(3, "10:06", "ann", "close", content_id="2"),
        at(3, "10:00", "bob", "open"),
        at(3, "10:02", "bob", "close"),
        at(4, "10:00", "bob", "open"),
    ]
    settings = {**SETTINGS, "session": {"mode": "bracket", "start": "open", "end": "close"}}
    with Tiny(tmp_path, settings, columns=COLUMNS) as tiny:
        tiny.add(events)
        tiny.build()
        own(tiny, "most_plays", "kind: quantile\nfact: session\nexpression: plays\nquantile: 0.999999\n")
        own(tiny, "played", "kind: ratio\nfact: session\nexpression: CASE WHEN plays > 0 THEN 1 ELSE 0 END\n")
        first = {"end": date(2025, 3, 3)}
        assert parts_of(tiny, "played", **first) == (2 / 3, 2, 3)
        assert row_of(tiny, "most_plays", **first)["value"] == pytest.approx(2, abs=1e-4)
        assert parts_of(tiny, "bounce_session", **first) == (1 / 3, 1, 3)


# --- refusals


def test_a_rolling_denominator_is_of_days(tiny: Tiny) -> None:
    own(tiny, "plays_by_dau", "kind: ratio\nnumerator: plays\ndenominator: dau\n")
    monday = {"start": date(2025, 3, 3), "end": date(2025, 3, 3)}
    assert parts_of(tiny, "plays_by_dau", **monday) == (3, 6, 2)
    with pytest.raises(DefinitionError, match="not of a week"):
        ask(tiny, "plays_by_dau", grain="week")


def test_a_day_s_sessions_cannot_be_cut_by_its_events(tiny: Tiny) -> None:
    own(tiny, "visits", "kind: sum\nfact: actor_day\nexpression: session_count\n")
    assert row_of(tiny, "visits", **WEEK)["value"] == row_of(tiny, "sessions", **WEEK)["value"]
    with pytest.raises(DefinitionError, match="for whole days only"):
        ask(tiny, "visits", by=["region"])
