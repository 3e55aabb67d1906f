"""Actors that fell silent, worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tidelake.engine.result import Result
from tidelake.errors import DefinitionError
from tidelake.metrics.actor_days import OfActorDays, open_actor_days
from tidelake.metrics.inactive import Gap, gap_quantile, gaps, inactive, inactive_members

# ann is there on 1, 2, 4 and 8 March, ben on 1 and 6, cat on the 3rd alone; the 10th is the last complete day.
DAYS = {"ann": (1, 2, 4, 8), "ben": (1, 6), "cat": (3,)}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    rows: list[dict[str, Any]] = [
        {"actor_id": actor, "event_time": f"2025-03-{day:02d} 09:00", "event_id": f"{actor}{day}"}
        for actor, days in DAYS.items()
        for day in days
    ]
    rows += [
        {"actor_id": None, "event_time": f"2025-03-{day:02d} 00:00", "event_id": f"tick{day}"} for day in range(1, 12)
    ]
    rows += [{"actor_id": "bot", "event_time": "2025-03-05 01:00", "event_id": "bot", "traffic_class": "bot"}]
    with Tiny(tmp_path_factory.mktemp("inactive")) as made:
        made.add(rows)
        made.build()
        yield made


def ask(tiny: Tiny, k: Any = 28, **options: Any) -> Result:
    return tiny.ask(inactive, k=k, **options)


def members(tiny: Tiny, at: date, k: Any = 28, **options: Any) -> list[dict[str, Any]]:
    return tiny.ask(inactive_members, at, k=k, **options).to_dicts()


def test_the_silent_are_those_without_activity_in_the_last_k_days(tiny: Tiny) -> None:
    """k = 3. On the 5th only (2, 5]: ann (4th) and cat (3rd) are there, ben (1st) is silent; on the 6th ben is back
    and cat silent; on the 10th (7, 10] has ann alone."""
    result = ask(tiny, 3, start=date(2025, 3, 1), end=date(2025, 3, 10))
    found = {row["period_start"].day: (row["numerator"], row["denominator"]) for row in result.to_dicts()}
    assert found == {
        1: (0, 2),
        2: (0, 2),
        3: (0, 3),
        4: (1, 3),
        5: (1, 3),
        6: (1, 3),
        7: (2, 3),
        8: (1, 3),
        9: (2, 3),
        10: (2, 3),
    }
    statuses = {row["period_start"].day: row["status"] for row in result.to_dicts()}
    assert statuses[2] == "partial_left"
    assert statuses[3] == statuses[10] == "complete"
    for row in result.to_dicts()[3:7]:
        found = members(tiny, row["period_start"], 3)
        assert len(found) == row["denominator"]
        assert sum(member["is_in_numerator"] for member in found) == row["numerator"]


def test_without_dates_it_is_the_last_complete_day(tiny: Tiny) -> None:
    row = ask(tiny, 7).to_dicts()[0]
    assert (row["period_start"], row["metric"]) == (date(2025, 3, 10), "inactive_7")
    assert (row["value"], row["numerator"], row["n"]) == (pytest.approx(1 / 3), 1, 3)  # cat, on the 3rd


def test_gaps_weigh_one_an_actor_and_the_last_is_censored(tiny: Tiny) -> None:
    """ann: 1, 2, 4 and 2 censored, a quarter each; ben: 5 and 4 censored, a half each; cat: 7 censored."""
    days = tiny.ask(open_actor_days, OfActorDays())
    found = {(gap.days, gap.is_censored): gap.weight for gap in gaps(days, date(2025, 3, 10))}
    assert found == {
        (1, False): 0.25,
        (2, False): 0.25,
        (4, False): 0.25,
        (2, True): 0.25,
        (5, False): 0.5,
        (4, True): 0.5,
        (7, True): 1,
    }


def test_the_curve_of_gaps_by_hand() -> None:
    """At risk 3: S(1) = 1 - .25/3 = 11/12; at risk 11/4: S(2) = 11/12 * 10/11 = 10/12.

    Two quarters leave at 2: at risk 9/4: S(4) = 10/12 * 8/9 = 20/27; three quarters leave: at risk 3/2: S(5) = 20/27 *
    2/3 = 40/81; the last is censored at 7.
    """
    steps = [(1, 0.25, False), (2, 0.25, False), (2, 0.25, True), (4, 0.25, False), (4, 0.5, True)]
    held = [Gap(*step) for step in [*steps, (5, 0.5, False), (7, 1.0, True)]]
    survival = {1: Fraction(11, 12), 2: Fraction(10, 12), 4: Fraction(20, 27), 5: Fraction(40, 81)}
    for days, left in survival.items():
        assert gap_quantile(held, float(1 - left) - 1e-6) == days
        following = [one for one in survival if one > days]
        assert gap_quantile(held, float(1 - left) + 1e-6) == (following[0] if following else None)


def test_one_busy_actor_does_not_set_the_pace() -> None:
    """99 gaps of a day of one actor and two actors that come every 30 days: pooled, 95 % of gaps are 1 day long."""
    weighted = [Gap(1, 1.0, False), Gap(30, 2.0, False)]
    assert gap_quantile(weighted) == 30
    assert gap_quantile([Gap(1, 99.0, False), Gap(30, 2.0, False)]) == 1


def test_nothing_is_reached_where_nobody_comes_back() -> None:
    assert gap_quantile([]) is None
    assert gap_quantile([Gap(9, 5.0, True)]) is None
    assert gap_quantile([Gap(3, 1.0, False)]) == 3


def test_auto_says_what_it_found(tmp_path: Path) -> None:
    """Both come every other day to the last: gaps 2, 2, 2, ... and 0 censored, so k = 2."""
    first = date(2025, 3, 1)
    rows = [
        {"actor_id": actor, "event_time": f"{first + timedelta(days=offset)} 09:00", "event_id": f"{actor}{offset}"}
        for actor in ("ann", "ben")
        for offset in range(0, 41, 2)
    ]
    rows.append({"actor_id": None, "event_time": "2025-04-11 00:00", "event_id": "tick"})
    with Tiny(tmp_path) as tiny:
        tiny.add(rows)
        tiny.build()
        result = ask(tiny, "auto")
        assert result.to_dicts()[0]["k"] == 2
        assert "k = 2 days" in result.notes[0]
        assert result.to_dicts()[0]["metric"] == "inactive_2"


def test_shares_have_an_interval(tiny: Tiny) -> None:
    """1 of 3 by Wilson, z = 1.96: centre (1/3 + .6402) / 2.2805 = .4269, half .3653 (Brown, Cai, DasGupta 2001)."""
    row = ask(tiny, 7).to_dicts()[0]
    assert (row["ci_low"], row["ci_high"]) == (pytest.approx(0.0615, abs=1e-3), pytest.approx(0.7923, abs=1e-3))


def test_by_a_value_it_asks_who_was_active_there(tmp_path: Path) -> None:
    """ann is in the north on 1 March and in the south from the 3rd on, ben in the north on the 3rd; asked on the 4th.

    k = 2, (2, 4]: of the north's two (ann, ben) ann is silent; of the south's one nobody. By the first value both are
    of the north and active, by the last ann is the south's.
    """
    rows = [
        {"actor_id": "ann", "event_time": "2025-03-01 09:00", "region": "north"},
        {"actor_id": "ann", "event_time": "2025-03-03 09:00", "region": "south"},
        {"actor_id": "ben", "event_time": "2025-03-03 09:00", "region": "north"},
        {"actor_id": None, "event_time": "2025-03-05 00:00"},
    ]
    with Tiny(tmp_path, {"dimensions": ["region"]}, columns={"region": pa.string()}) as tiny:
        tiny.add(rows)
        tiny.build()
        expected = {
            "any": {"north": (1, 2), "south": (0, 1)},
            "first": {"north": (0, 2)},
            "last": {"north": (0, 1), "south": (0, 1)},
        }
        for rule, parts in expected.items():
            found = ask(tiny, 2, by="region", segment=rule).to_dicts()
            assert {row["region"]: (row["numerator"], row["denominator"]) for row in found} == parts
            (silent,) = [row["actor_id"] for row in members(tiny, date(2025, 3, 4), 2, by="region", segment=rule)
                         if row["is_in_numerator"]] or [None]  # fmt: skip
            assert silent == ("ann" if rule == "any" else None)
        found = ask(tiny, 2, where="region = 'north'").to_dicts()
        assert (found[0]["numerator"], found[0]["denominator"]) == (1, 2)


def test_wrong_questions_and_no_rows(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="not a number of days"):
        ask(tiny, 0)
    with pytest.raises(DefinitionError, match="lies after"):
        ask(tiny, 3, start=date(2025, 3, 2), end=date(2025, 3, 1))
    with pytest.raises(DefinitionError, match="never reaches 95 %"):
        ask(tiny, "auto")
    with Tiny(tmp_path) as empty:
        result = ask(empty)
        assert len(result) == 0
        with pytest.raises(DefinitionError, match="no members"):
            members(empty, date(2025, 3, 1))
