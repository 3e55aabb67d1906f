"""Questions about accounts, whose profiles are the actors, worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tidelake.engine.result import Result
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.metrics.activation import activation, activation_members, activation_of
from tidelake.metrics.adoption import adoption, adoption_members, adoption_of
from tidelake.metrics.churn_label import churn_label, churn_label_members
from tidelake.metrics.funnel import funnel, funnel_members
from tidelake.metrics.funnel_definition import funnel_of
from tidelake.metrics.inactive import inactive, inactive_members
from tidelake.metrics.levels import project_at
from tidelake.metrics.lifecycle import lifecycle, lifecycle_members
from tidelake.metrics.power_curve import power_curve, power_curve_members
from tidelake.metrics.retention import Retention, retention
from tidelake.metrics.revenue import Revenue, revenue
from tidelake.metrics.stickiness import stickiness, stickiness_members
from tidelake.metrics.streaks import Streaks, streaks
from tidelake.reports.formats import json_pieces

SETTINGS = {"actors": {"account": "account_id"}, "dimensions": ["region"]}
COLUMNS = {"account_id": pa.string(), "region": pa.string()}
# Account A has the profiles p1 and p2, account B has p3, and p4 has none.
ACCOUNTS = {"p1": "A", "p2": "A", "p3": "B", "p4": None}
EVENTS = [
    ("p1", 3, "open", "north"),
    ("p2", 4, "play", "south"),
    ("p3", 3, "open", "south"),
    ("p3", 5, "play", "south"),
    ("p4", 3, "open", "south"),
    ("p4", 4, "play", "south"),
]
DAY = date(2025, 3, 5)
FUNNEL = funnel_of(["open", "play"])
ACTIVATION = activation_of("play", warmup="0d")
ADOPTION = adoption_of("play")
LABEL = {"observation_days": 3, "prediction_days": 2}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    rows = [
        {
            "actor_id": actor,
            "account_id": ACCOUNTS[actor],
            "event_time": f"2025-03-{day:02d} 10:00",
            "event_id": f"{actor}{day}",
            "event_name": name,
            "region": region,
        }
        for actor, day, name, region in EVENTS
    ]
    rows += [
        {"actor_id": None, "event_time": f"2025-03-{day:02d} 00:00", "event_id": f"t{day}", "event_name": "tick"}
        for day in range(1, 21)
    ]
    with Tiny(tmp_path_factory.mktemp("levels"), SETTINGS, columns=COLUMNS) as made:
        made.add(rows)
        made.build()
        yield made


def of_accounts(tiny: Tiny, ask: Callable[..., Result], *given: Any, level: str = "account", **options: Any) -> Result:
    project = project_at(level, ask, tiny.engine, tiny.lake, tiny.project, tiny.sources)
    return ask(tiny.engine, tiny.lake, project, tiny.sources, *given, **options)


def last(result: Result) -> tuple[float, float]:
    row = result.to_dicts()[-1]
    return row["numerator"], row["denominator"]


@pytest.mark.parametrize(
    ("ask", "of_profiles", "of_level"),
    [
        # p1 opens and does not play, but p2 of the same account does; p2 has no entry of its own.
        (partial(funnel, definition=FUNNEL), (2, 3), (2, 2)),
        # Each account plays within 7 days of its first activity; of the profiles p1 does not.
        (partial(activation, definition=ACTIVATION), (3, 4), (2, 2)),
        (partial(adoption, definition=ADOPTION), (3, 4), (2, 2)),
        # Seen until the 5th, and not on the 5th itself: p1, p2 and p4; A.
        (partial(inactive, k=1, start=DAY, end=DAY), (3, 4), (1, 2)),
        # There on the 3rd: p1, p3 and p4; A and B. Not on the 4th or 5th: p1.
        (partial(churn_label, **LABEL, start=date(2025, 3, 3), end=date(2025, 3, 3)), (1, 3), (0, 2)),
        # On the 5th p3 of all four of three days; B of A and B.
        (partial(stickiness, method="day", window_days=3, start=DAY, end=DAY), (1, 4), (1, 2)),
    ],
)
def test_shares_of_profiles_and_of_accounts(
    tiny: Tiny, ask: partial[Result], of_profiles: tuple[float, float], of_level: tuple[float, float]
) -> None:
    plain, found = tiny.ask(ask.func, **ask.keywords), of_accounts(tiny, ask.func, **ask.keywords)
    assert (last(plain), last(found)) == (of_profiles, of_level)
    assert "account_id" in (found.title or "")
    assert plain.to_dicts()[0]["definition_version"] != found.to_dicts()[0]["definition_version"]


def test_members_are_accounts(tiny: Tiny) -> None:
    def who(ask: Callable[..., Result], *given: Any, **options: Any) -> set[str]:
        return {row["actor_id"] for row in of_accounts(tiny, ask, *given, **options).to_dicts()}

    assert who(funnel_members, FUNNEL) == who(activation_members, ACTIVATION) == who(adoption_members, ADOPTION)
    assert who(funnel_members, FUNNEL) == {"A", "B"} == who(inactive_members, DAY, k=1)
    assert who(churn_label_members, date(2025, 3, 3), **LABEL) == {"A", "B"} == who(stickiness_members, DAY)
    assert who(lifecycle_members, "churned", grain="day", start=DAY, end=DAY) == {"A"}
    assert who(power_curve_members, at=DAY) == {"A", "B"}


def test_accounts_come_back_by_any_profile(tiny: Tiny) -> None:
    """Both accounts enter on the 3rd; A is back a day later by p2, B two days later."""
    asked = Retention.make(unit="day", periods=(0, 2), warmup_days=0)
    rows = of_accounts(tiny, retention, asked, start=date(2025, 3, 3), end=date(2025, 3, 3)).to_dicts()
    assert [(row["period"], row["numerator"], row["denominator"]) for row in rows] == [(0, 0, 2), (1, 1, 2), (2, 1, 2)]


def test_states_of_accounts(tiny: Tiny) -> None:
    """On the 4th A is returning and B gone; on the 5th B is resurrected and A gone."""
    rows = of_accounts(tiny, lifecycle, grain="day", start=date(2025, 3, 4), end=DAY, warmup_days=0).to_dicts()
    found = {(row["period_start"].day, row["state"]): row["value"] for row in rows}
    assert [found[4, state] for state in ("active", "new", "returning", "resurrected", "churned")] == [1, 0, 1, 0, 1]
    assert [found[5, state] for state in ("active", "new", "returning", "resurrected", "churned")] == [1, 0, 0, 1, 1]


def test_active_days_of_accounts(tiny: Tiny) -> None:
    """A on 3 and 4 March, B on 3 and 5; by the first value A is of the north. Of profiles p3 and p4 have two."""

    def with_two(result: Result) -> dict[str, float]:
        return {row.get("region", ""): row["numerator"] for row in result.to_dicts() if row["active_days"] == 2}

    assert with_two(tiny.ask(power_curve, window_days=7, at=DAY)) == {"": 2}
    assert with_two(of_accounts(tiny, power_curve, window_days=7, at=DAY)) == {"": 2}
    by = {"by": ["region"], "segment": "first"}
    assert with_two(of_accounts(tiny, power_curve, window_days=7, at=DAY, **by)) == {"north": 1, "south": 1}
    assert with_two(tiny.ask(power_curve, window_days=7, at=DAY, **by)) == {"south": 2, "north": 0}


def test_an_account_in_two_regions_counts_once_in_the_total(tiny: Tiny) -> None:
    """A is of the north by p1 and of the south by p2; B of the south alone. Each has two active days of seven."""
    result = of_accounts(tiny, power_curve, window_days=7, at=DAY, power_days=2, by=["region"])
    told = json.loads("".join(json_pieces(result)))
    (row,) = told["totals"]
    assert (row["total"], row["sum_of_segments"], row["overlap"]) == (2, 3, 1)
    power = [(row["region"], row["actors"], row["power_users"]) for row in told["power"]]
    assert power == [("north", 1, 0), ("south", 2, 1)]  # A is in each region on one day only


def test_streaks_of_accounts(tiny: Tiny) -> None:
    """Accounts a day: 2, 1, 1; profiles: 3, 2, 1. Days with more than one: one, and two in a row."""
    asked = Streaks(metric="dau", threshold=1)
    assert [row["value"] for row in tiny.ask(streaks, asked, each=True).to_dicts()] == [2]
    assert [row["value"] for row in of_accounts(tiny, streaks, asked, each=True).to_dicts()] == [1]


def test_what_only_actors_have_is_refused(tiny: Tiny) -> None:
    with pytest.raises(UnknownNameError, match="acount"):
        of_accounts(tiny, lifecycle, level="acount")
    with pytest.raises(DefinitionError, match="revenue is about actors only"):
        of_accounts(tiny, revenue, Revenue(event="play"))
    with pytest.raises(DefinitionError, match="sessions and --actor do not go together"):
        of_accounts(tiny, retention, Retention.make(fact="session"))
    with pytest.raises(DefinitionError, match="do not go together"):
        of_accounts(tiny, activation, activation_of(None, session="play_count > 0"))
    with pytest.raises(DefinitionError, match="do not go together"):
        of_accounts(tiny, lifecycle, new_by="first_any_event")
    with pytest.raises(DefinitionError, match="do not go together"):
        of_accounts(tiny, funnel, funnel_of(["open", "play"], hold=["session"]))
