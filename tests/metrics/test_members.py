"""The actors behind every number of the catalogue add up to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tests.metrics.asking import ask, own
from tidelake.engine.sql import check_portable
from tidelake.errors import DefinitionError
from tidelake.metrics.catalogue import catalogue
from tidelake.metrics.knowing import grains_of, leaves_of

SETTINGS = {
    "dimensions": ["region"],
    "actors": {"account": "account_id"},
    "measures": {
        "plays": {"event": "play"},
        "opens": {"event": "open"},
        "views": {"event": "view"},
        "browses": {"event": "browse"},
        "searches": {"event": "search"},
        "amount": {"sum": "seconds"},
        "titles": {"event": "play", "distinct": "content_id"},
    },
    "watch": {"column": "seconds", "event": "play"},
}
COLUMNS = {"region": pa.string(), "content_id": pa.string(), "seconds": pa.float64(), "account_id": pa.string()}
NAMES = ("open", "view", "browse", "search", "play", "play", "pause")
OWN = {
    "long_plays": "kind: sum\nfact: event\nevent: play\nwhere: seconds > 2\n",
    "seconds_of_plays": "kind: sum\nfact: event\nevent: play\nexpression: seconds\n",
    "mean_seconds": "kind: ratio\nfact: event\nevent: play\nexpression: seconds\n",
    "players_of_north": "kind: distinct\nfact: event\nevent: play\nwhere: region = 'north'\n",
    "players_7": "kind: distinct\nfact: event\nevent: play\nwindow_days: 7\n",
    "long_play_share": "kind: ratio\nnumerator: long_plays\ndenominator: plays\n",
    "player_share": "kind: ratio\nnumerator: players\ndenominator: active_users\n",
    "usual_sessions": "kind: typical\nfact: session\nexpression: duration_seconds\nat_least: 60\n",
}


def events() -> list[dict[str, Any]]:
    """300 events of seven actors over eleven days without a gap, some without an actor, region or seconds."""
    return [
        {
            "event_time": f"2025-03-{3 + number % 11:02d} {7 + number // 50:02d}:{number * 7 % 60:02d}",
            "event_id": f"e{number}",
            "event_name": NAMES[number * 5 % 7],
            "actor_id": (*"abcdefg", None)[number * 11 % 8],
            "account_id": ("x", "y", None)[number % 3],
            "region": ("north", "south", None)[number * 13 % 3],
            "content_id": f"c{number % 4}",
            "seconds": (number % 9) / 2 if number % 5 else None,
            "traffic_class": "bot" if number % 17 == 0 else "human",
        }
        for number in range(300)
    ]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    with Tiny(tmp_path_factory.mktemp("members"), SETTINGS, columns=COLUMNS) as made:
        made.add(events())
        made.build()
        for name, text in OWN.items():
            own(made, name, text)
        yield made


def check(tiny: Tiny, name: str, **options: Any) -> int:
    """Members' parts add up to the numerators and denominators of the same question; how many numbers were known."""
    by = options.get("by", ())
    numbers = ask(tiny, name, **options)
    members = ask(tiny, name, members=True, **options)
    check_portable(numbers.sql or "SELECT 1 AS one")
    check_portable(members.sql or "SELECT 1 AS one")
    found: dict[Any, list[float]] = defaultdict(lambda: [0.0, 0.0])
    seen = set()
    for row in members.to_dicts():
        key = (row["period_start"], *(row[dimension] for dimension in by))
        assert (key, row["actor_id"]) not in seen, "an actor stands there twice"
        seen.add((key, row["actor_id"]))
        found[key][0] += row["numerator"] or 0
        found[key][1] += row["denominator"] or 0
    known = 0
    for row in numbers.to_dicts():
        top, bottom = found.pop((row["period_start"], *(row[dimension] for dimension in by)), [0.0, 0.0])
        metric = catalogue(tiny.project, tiny.sources)[name]
        if metric.kind == "quantile":
            assert bottom == (row["n"] or 0), (name, row)
        else:
            assert top == pytest.approx(row["numerator"] or 0), (name, row)
            if metric.kind == "ratio":
                assert bottom == pytest.approx(row["denominator"] or 0), (name, row)
        known += row["value"] is not None
    assert not any(top or bottom for top, bottom in found.values()), f"{name}: members of no number"
    return known


def test_members_of_every_metric_add_up_to_it(tiny: Tiny) -> None:
    known = catalogue(tiny.project, tiny.sources)
    for name, metric in known.items():
        grain = "week" if "week" in grains_of(metric, leaves_of(metric, known)) else "month"
        for by in ((), ("region",)):
            count = check(tiny, name, grain=grain, by=by)
            assert count, name


def test_members_with_a_condition_and_several_dimensions(tiny: Tiny) -> None:
    for name in ("dau", "wau", "active_users", "plays", "plays_per_user", "high_users", "long_plays"):
        check(tiny, name, by=("region", "event_name"), where="seconds > 1")
    check(tiny, "sessions", where="event_count > 1", by=("region",))
    check(tiny, "dau", by=("content_id",), segment_limit=2)


def test_members_tell_each_actor_s_part(tmp_path_factory: pytest.TempPathFactory) -> None:
    """ann plays twice and bob not at all on 3 March; somebody without a name plays once."""
    rows = [
        {"event_time": "2025-03-03 10:00", "actor_id": actor, "event_name": name, "event_id": f"{number}"}
        for number, (actor, name) in enumerate([("ann", "play"), ("ann", "play"), ("bob", "open"), (None, "play")])
    ]
    settings = {"measures": {"plays": {"event": "play"}}}
    with Tiny(tmp_path_factory.mktemp("part"), settings) as tiny:
        tiny.add([*rows, {"event_time": "2025-03-04 10:00"}])
        tiny.build()

        def members(name: str) -> set[Any]:
            found = ask(tiny, name, members=True, end=date(2025, 3, 3)).to_dicts()
            return {(row["actor_id"], row["numerator"], row["denominator"], row["status"]) for row in found}

        assert members("plays") == {("ann", 2, None, "complete"), (None, 1, None, "complete")}
        assert members("plays_per_user") == {("ann", 2, 1, "complete"), ("bob", 0, 1, "complete")}
        assert members("dau") == {("ann", 1, None, "complete"), ("bob", 1, None, "complete")}
        assert members("sessions") == {("ann", 1, None, "complete"), ("bob", 1, None, "complete")}
        assert members("titles_per_user") == set()  # not known here


def test_formulas_and_counts_have_no_members(tiny: Tiny) -> None:
    own(tiny, "per_user", "kind: formula\nexpression: plays / active_users\n")
    with pytest.raises(DefinitionError, match="no members of its own") as caught:
        ask(tiny, "per_user", members=True)
    assert "plays, active_users" in str(caught.value.hint)
    (tiny.project.root / "metrics" / "per_user.yml").unlink()
    with pytest.raises(DefinitionError, match="one period each"):
        ask(tiny, "dau", members=True, compare="year")


# --- actor levels


def test_distinct_metrics_count_other_actor_levels(tiny: Tiny) -> None:
    """Against a count in Python: accounts of active events, whoever the actor is, also without one."""
    for metric, window in (("dau", 1), ("wau", 7), ("active_users", 1)):
        expected = {}
        for day in range(3, 14):
            days = {date(2025, 3, day) - timedelta(days=back) for back in range(window)}
            expected[day] = {
                event["account_id"]
                for event in events()
                if date.fromisoformat(event["event_time"][:10]) in days
                and event["account_id"]
                and event["traffic_class"] == "human"
            }
        rows = ask(tiny, metric, actor="account").to_dicts()
        assert {row["period_start"].day: row["value"] for row in rows} == {k: len(v) for k, v in expected.items()}
        found = ask(tiny, metric, actor="account", members=True, by=["region"]).to_dicts()
        assert {row["actor_id"] for row in found} == {"x", "y"}


def test_sums_and_sessions_have_one_actor_level(tiny: Tiny) -> None:
    with pytest.raises(DefinitionError, match="has no --actor"):
        ask(tiny, "sessions", actor="account")
    with pytest.raises(DefinitionError, match="Unknown actor 'acount'") as caught:
        ask(tiny, "dau", actor="acount")
    assert "'account'" in str(caught.value.hint)
