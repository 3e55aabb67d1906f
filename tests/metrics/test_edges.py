"""Edges of metrics worked out by hand: ties in funnels of any order, plays without a title, intervals of shares."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tests.metrics.asking import ask, parts_of, row_of
from tidelake.metrics.funnel import funnel
from tidelake.metrics.funnel_definition import funnel_of
from tidelake.metrics.intervals import ratio_of_sums
from tidelake.metrics.retention import Retention, retention

SETTINGS = {
    "session": {"mode": "bracket", "start": "open", "end": "close"},
    "measures": {"plays": {"event": "play"}, "browses": {"event": "browse"}, "opens": {"event": "open"}},
}
COLUMNS = {"content_id": pa.string(), "interactive": pa.bool_()}


def did(time: str, actor: str, name: str, seq: int | None = None, **more: Any) -> dict[str, Any]:
    key = f"{time} {actor} {name}"
    return {
        "event_time": f"2025-03-{time}",
        "actor_id": actor,
        "event_name": name,
        "seq": seq,
        "event_id": key,
        **more,
    }


# Monday 3 March: ann plays something without a title. bob browses at the very instant at which he opens (his browse has
# the lower number) and searches 10 minutes later. cyd opens and plays a title twice. eve is only seen passively.
# Nobody comes on the 4th, and nothing is received on the 5th.
EVENTS = [
    did("03 10:00", "ann", "open"),
    did("03 10:01", "ann", "play"),
    did("03 10:02", "ann", "close"),
    did("03 11:00", "bob", "browse", seq=1),
    did("03 11:00", "bob", "open", seq=2),
    did("03 11:10", "bob", "search"),
    did("03 12:00", "cyd", "open"),
    did("03 12:01", "cyd", "play", content_id="c1"),
    did("03 12:02", "cyd", "play", content_id="c1"),
    did("03 12:03", "cyd", "close"),
    did("03 13:00", "eve", "ping", interactive=False),
    did("04 13:00", "eve", "ping", interactive=False),
    did("06 10:00", "ann", "open"),
    did("07 10:00", "eve", "ping", interactive=False),
]
MONDAY = {"start": date(2025, 3, 3), "end": date(2025, 3, 3)}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    with Tiny(tmp_path_factory.mktemp("edges"), SETTINGS, columns=COLUMNS) as made:
        made.add(EVENTS)
        made.build()
        yield made


def test_a_play_without_a_title_is_a_play(tiny: Tiny) -> None:
    """Of the sessions of ann, bob and cyd only bob's has none; its interval would end beyond 1, and begin below 0."""
    assert parts_of(tiny, "bounce_session", **MONDAY) == (1 / 3, 1, 3)
    row = row_of(tiny, "bounce_session", **MONDAY)
    low, high = ratio_of_sums([0, 1, 0], [1, 1, 1])[1]
    assert low is not None
    assert low < 0
    assert (row["ci_low"], row["ci_high"]) == (0, pytest.approx(high))


def test_a_bracket_begins_with_its_start_also_for_what_follows(tiny: Tiny) -> None:
    """At 11:00 bob's start comes before his browse, so that ten minutes, of which five count, follow the browse."""
    assert parts_of(tiny, "browsing_seconds", **MONDAY)[0] == 300


def test_an_actor_without_any_part_is_none_of_the_draws(tiny: Tiny) -> None:
    """Plays over active days: ann 1, bob 0, cyd 2 of one day each. eve has neither: three actors, not four."""
    row = row_of(tiny, "plays_per_user", **MONDAY)
    assert (row["value"], row["n"]) == (1, 3)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(ratio_of_sums([1, 0, 2], [1, 1, 1])[1])


def test_nothing_on_a_received_day_is_0_of_0(tiny: Tiny) -> None:
    """On the 4th nobody has a session or an open; of the 5th, on which nothing came, nothing is known."""
    for metric in ("session_duration", "opened_not_play", "plays_per_user"):
        rows = {row["period_start"].day: row for row in ask(tiny, metric).to_dicts()}
        assert [rows[4][name] for name in ("value", "numerator", "denominator")] == [None, 0, 0], metric
        assert [rows[5][name] for name in ("value", "numerator", "denominator")] == [None, None, None], metric


def test_in_any_order_what_stands_before_the_entry_is_no_step_of_it(tiny: Tiny) -> None:
    """bob's browse is followed by his open; his open, second at the same instant, by nothing. ann and cyd open."""
    rule = funnel_of(["open", "browse"], order="any", count="entry", window="1h")
    given = (tiny.engine, tiny.lake, tiny.project, tiny.sources, rule)
    assert [row["numerator"] for row in funnel(*given, **MONDAY).to_dicts()] == [4, 1]


def test_without_a_horizon_later_days_count_where_the_first_was_not_received(tiny: Tiny) -> None:
    """Of Monday's ann, bob and cyd one comes back on the third day; of the second day itself nothing was received."""
    for horizon, expected in (("inf", (1 / 3, 1, 3)), (3, (1 / 3, 1, 3))):
        rule = Retention.make(
            unit="day", criterion="on_or_after", horizon=horizon, periods=(2, 2), warmup_days=0, entry="*"
        )
        rows = retention(tiny.engine, tiny.lake, tiny.project, tiny.sources, rule, grain="day").to_dicts()
        (row,) = [row for row in rows if row["cohort_start"] == date(2025, 3, 3)]
        assert (row["value"], row["numerator"], row["denominator"]) == expected, horizon
        assert row["status"] != "missing"
