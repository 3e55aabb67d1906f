"""Drop-off by hand, and its test against simulated sessions that cluster in actors (METRICS section 9)."""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tidelake.engine.result import Result
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.metrics.dropoff import Dropoff, dropoff, judged
from tidelake.metrics.intervals import ratio_of_sums
from tidelake.metrics.kinds.strata import (
    Contrast,
    against_the_rest,
    heterogeneity,
    heterogeneity_contrasts,
    standard_error,
    two_sided,
)

SETTINGS = {"dimensions": ["os", "version"], "watch": {"column": "seconds", "event": "play"}}
COLUMNS = {"os": pa.string(), "version": pa.string(), "seconds": pa.float64()}
Rows = list[tuple[int, str, str, int, int]]  # actor, value, stratum, sessions, dropped


def session(day: int, actor: str, os: str | None, version: str, seconds: float | None) -> dict[str, Any]:
    return {
        "event_time": f"2025-03-{day:02d} 10:00",
        "actor_id": actor,
        "os": os,
        "version": version,
        "event_name": "open" if seconds is None else "play",
        "seconds": seconds,
    }


def ask(tiny: Tiny, **options: Any) -> Result:
    definition = options.pop("definition", None)
    return tiny.ask(dropoff, definition, **options)


# --- the mathematics


def test_a_stratified_difference_weighs_strata_by_both_sides() -> None:
    """Stratum 1: 5/10 and 3/10, weight 10 * 10 / 20 = 5. Stratum 2: 4/20 and 1/10, weight 20 * 10 / 30 = 20/3.

    (5 * .2 + 20/3 * .1) / (35/3) = 1/7. Stratum 3 holds one side only and says nothing.
    """
    cells = {("a", "1"): (10, 5), ("b", "1"): (10, 3), ("a", "2"): (20, 4), ("b", "2"): (10, 1), ("a", "3"): (9, 9)}
    assert against_the_rest(cells, "a").difference == pytest.approx(1 / 7)
    assert against_the_rest(cells, "b").difference == pytest.approx(-1 / 7)
    assert against_the_rest({("a", "1"): (5, 1)}, "a").difference is None


def influences(rows: Rows, contrast: Contrast) -> np.ndarray[Any, Any]:
    """Each actor's sum of w (y - share x), by a plain loop."""
    found: dict[int, float] = {}
    for actor, value, stratum, sessions, dropped in rows:
        weight, share = contrast.weights.get((value, stratum), (0, 0))
        found[actor] = found.get(actor, 0.0) + weight * (dropped - share * sessions)
    return np.array(list(found.values()))


def cells_of(rows: Rows) -> dict[tuple[str, str], tuple[float, float]]:
    cells: dict[tuple[str, str], tuple[float, float]] = {}
    for _, value, stratum, sessions, dropped in rows:
        x, y = cells.get((value, stratum), (0.0, 0.0))
        cells[value, stratum] = x + sessions, y + dropped
    return cells


def compared(rows: Rows, value: str) -> tuple[float, float, float]:
    """Difference, p, and p of the test of all values."""
    cells = cells_of(rows)
    one = against_the_rest(cells, value)
    common = influences(rows, one.common)
    error = standard_error(float((common**2).sum()), len(common))
    values = sorted({value for value, _ in cells})
    scores, contrasts = heterogeneity_contrasts(cells, values)
    matrix = np.array([influences(rows, contrast) for contrast in contrasts])
    whole = heterogeneity(scores, matrix @ matrix.T, matrix.shape[1])
    assert one.difference is not None
    assert error is not None
    assert whole is not None
    p = two_sided(one.difference, error)
    assert p is not None
    return one.difference, p, whole[2]


def test_two_values_of_ten_actors_each() -> None:
    """6/10 and 4/10, together .5, so each residual is ±.5: variance 2 * 10 * .25 / 100 * 20/19, z = .2 / .2294.

    By a table of the normal distribution p = .383. The test of both at once has z squared as its chi-square: one p.
    """
    rows = [(n, "a", "-", 1, int(n < 6)) for n in range(10)] + [(n, "b", "-", 1, int(n < 14)) for n in range(10, 20)]
    difference, p, whole = compared(rows, "a")
    assert difference == pytest.approx(0.2)
    assert p == pytest.approx(0.3834, abs=2e-4)
    assert whole == pytest.approx(p)
    doubled = [(actor, value, stratum, 2 * x, 2 * y) for actor, value, stratum, x, y in rows]
    assert compared(doubled, "a") == pytest.approx((difference, p, whole))  # the same sessions twice tell nothing more


def test_sessions_that_cluster_in_actors_give_few_false_alarms() -> None:
    """Actors with propensities of their own and 1 to 12 sessions, no difference between values: p below .05 in about
    5 % of 300 worlds (standard error 1.3 %); sessions taken as independent would give several times as many.
    """
    rng = np.random.default_rng(7)
    alarms = np.zeros(3)
    for _ in range(300):
        rows: Rows = []
        for actor in range(120):
            sessions = int(rng.integers(1, 13))
            dropped = int(rng.binomial(sessions, rng.beta(0.5, 1.0)))
            rows.append((actor, "abc"[actor % 3], "xy"[int(rng.random() < 0.5)], sessions, dropped))
        _, p, whole = compared(rows, "a")
        x = {value: sum(row[3] for row in rows if (row[1] == "a") == value) for value in (True, False)}
        y = {value: sum(row[4] for row in rows if (row[1] == "a") == value) for value in (True, False)}
        share = sum(y.values()) / sum(x.values())
        naive = abs(y[True] / x[True] - y[False] / x[False]) / sqrt(share * (1 - share) * (1 / x[True] + 1 / x[False]))
        alarms += [p < 0.05, whole < 0.05, naive > 1.96]
    shares = alarms / 300
    assert 0.02 < shares[0] < 0.09
    assert 0.02 < shares[1] < 0.09
    assert shares[2] > 0.2


def test_verdicts() -> None:
    """Error .005: 90 % is ± .0082. Error .02 at .03: -.003 to .063, untold; the interval would lie within .05 at
    (1.645 * .02 / .02)^2 = 2.71 times the sessions, significance comes at (1.96 * .02 / .03)^2 = 1.7073 times.
    """
    rule = Dropoff()

    def verdict(difference: float | None, error: float | None, q: float | None) -> tuple[Any, Any]:
        found = judged(difference, error, q, 1000, tests=1, rule=rule)
        return found["verdict"], found.get("sessions_needed")

    assert verdict(0.03, 0.005, 0.01) == ("abnormal", None)
    assert verdict(-0.03, 0.005, 0.01) == ("lower", None)
    assert verdict(0.015, 0.005, 0.003) == ("no difference", None)  # significant, and below 2 points
    assert verdict(0.03, 0.005, 0.06) == ("no difference", None)
    assert verdict(0.03, 0.02, 0.13) == ("cannot be told", 1708)
    assert verdict(0.06, 0.05, 0.23) == ("cannot be told", 2668)  # (1.96 * .05 / .06)^2 = 2.6676
    assert verdict(0.01, 0.04, 0.8) == ("cannot be told", 2706)  # (1.645 * .04 / .04)^2 = 2.7055
    assert verdict(None, None, None) == ("cannot be told", None)
    assert verdict(1.0, 0.0, None) == ("cannot be told", None)


# --- sessions


def test_sessions_without_watch_count_as_zero_seconds_and_their_share_is_shown(tmp_path: Path) -> None:
    """ios: 5 s dropped, exactly 10 s not, 0 s of a play dropped; unknown: opened only, dropped. 5 March is open."""
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as tiny:
        tiny.add(
            [
                session(3, "ann", "ios", "1", 5),
                session(3, "bob", "ios", "2", 10),
                session(4, "bob", "ios", "1", 0),
                session(4, "cyd", None, "1", None),
                session(5, "dan", "ios", "1", 1),
            ]
        )
        tiny.build()
        rows = {(row["dimension"], row["segment"]): row for row in ask(tiny, by=["os", "version"]).to_dicts()}
        longer = ask(tiny, definition=Dropoff(threshold_seconds=11), by="os").to_dicts()
        where = ask(tiny, by="os", where="is_single_event AND version = '2'").to_dicts()
        members = ask(tiny, by=["os", "version"], members=True).to_dicts()
    ios, unknown = rows["os", "ios"], rows["os", "(unknown)"]
    assert (ios["numerator"], ios["denominator"], ios["n"], ios["no_watch_share"]) == (2, 3, 2, 0)
    share, (low, high) = ratio_of_sums([1, 1], [1, 2])  # ann, bob
    assert low is not None
    assert high is not None
    assert (ios["value"], ios["ci_low"]) == (pytest.approx(share), pytest.approx(max(0.0, low)))
    assert ios["ci_high"] == pytest.approx(min(1.0, high))
    assert (unknown["value"], unknown["no_watch_share"], unknown["ci_low"]) == (1, 1, None)
    assert unknown["verdict"] == "cannot be told"
    assert {segment for name, segment in rows if name == "version"} == {"1", "2"}
    assert [row["numerator"] for row in longer if row["segment"] == "ios"] == [3]
    assert [(row["numerator"], row["denominator"]) for row in where] == [(0, 1)]
    for key, row in rows.items():
        behind = [one for one in members if (one["dimension"], one["segment"]) == key]
        assert len(behind) == row["n"]
        assert sum(one["sessions"] for one in behind) == row["denominator"]
        assert sum(one["dropped_sessions"] for one in behind) == row["numerator"]


def test_the_engine_and_plain_loops_agree_on_a_planted_cause(tmp_path: Path) -> None:
    """Version 3 drops off with 60 %, others with 30 %; nothing depends on the system, whose shares differ only since
    android runs version 3 more often: the stratified test does not blame it.
    """
    rng = np.random.default_rng(3)
    events, counted = [], {}
    for actor in range(240):
        os = ("ios", "android")[actor % 2]
        version = rng.choice(["1", "2", "3"], p=[0.2, 0.2, 0.6] if os == "android" else [0.45, 0.45, 0.1])
        for day in range(3, 3 + int(rng.integers(1, 7))):
            is_dropped = rng.random() < (0.6 if version == "3" else 0.3)
            events.append(session(day, f"u{actor}", os, str(version), 1.0 if is_dropped else 60.0))
            x, y = counted.get((actor, os, str(version)), (0, 0))
            counted[actor, os, str(version)] = x + 1, y + int(is_dropped)
    events.append(session(20, "late", "ios", "1", 60.0))
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as tiny:
        tiny.add(events)
        tiny.build()
        found = {(row["dimension"], row["segment"]): row for row in ask(tiny, by=["os", "version"]).to_dicts()}
    by_os: Rows = [(actor, os, version, x, y) for (actor, os, version), (x, y) in counted.items()]
    by_version: Rows = [(actor, version, os, x, y) for (actor, os, version), (x, y) in counted.items()]
    for (name, value), row in found.items():
        difference, p, whole = compared(by_os if name == "os" else by_version, value)
        assert (row["difference"], row["p_value"]) == (pytest.approx(difference), pytest.approx(p))
        assert row["heterogeneity_p"] == pytest.approx(whole)
        assert row["difference_low"] < row["difference"] < row["difference_high"]
    assert found["version", "3"]["verdict"] == "abnormal"
    assert found["os", "android"]["value"] > found["os", "ios"]["value"] + 0.05
    assert found["os", "android"]["verdict"] != "abnormal"


def test_actors_with_many_cells_each_are_told_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidelake.metrics.dropoff._FEW_PAIRS", 0)
    test_the_engine_and_plain_loops_agree_on_a_planted_cause(tmp_path)


def test_three_sessions_that_all_dropped_off_are_no_proof(tmp_path: Path) -> None:
    """A value of one actor's three sessions: at the common share its influence is as large as the difference: z < 1."""
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as tiny:
        events = [session(day, f"u{n}", "ios", "1", 1.0 if n % 5 == 0 else 60.0) for n in range(40) for day in (3, 4)]
        events += [session(day, "rare", "tv", "1", 1.0) for day in (3, 4, 5)]
        tiny.add([*events, session(6, "late", "ios", "1", 60.0)])
        tiny.build()
        rows = {row["segment"]: row for row in ask(tiny, by=["os"]).to_dicts()}
    assert rows["tv"]["value"] == 1
    assert rows["tv"]["p_value"] > 0.3
    assert rows["tv"]["verdict"] == "cannot be told"
    assert rows["tv"]["sessions_needed"] > 3


def test_where_most_values_lie_apart_it_is_said(tmp_path: Path) -> None:
    """Shares of 10, 50 and 90 % of 40 actors' sessions: the middle one is the mean of the others, which lie 60 off."""
    shares = {"android": 4, "ios": 20, "tv": 36}
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as tiny:
        tiny.add(
            session(3, f"{os}{actor}", os, "1", 1.0 if actor < dropped else 60.0)
            for os, dropped in shares.items()
            for actor in range(40)
        )
        tiny.add([session(4, "late", "ios", "1", 60.0)])
        tiny.build()
        result = ask(tiny, by=["os"])
        far = ask(tiny, definition=Dropoff(abnormal_difference=0.65), by=["os"])
    verdicts = {row["segment"]: row["verdict"] for row in result.to_dicts()}
    assert verdicts == {"android": "lower", "ios": "cannot be told", "tv": "abnormal"}
    assert any("2 of 3 values lie 2 points or more from the rest, so that is usual here" in one for one in result.notes)
    assert not any("usual here" in one for one in far.notes)


def test_small_values_are_put_together(tmp_path: Path) -> None:
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as tiny:
        events = [session(3, f"u{n}", os, "1", 1) for n, os in enumerate("aaabbcd")]
        tiny.add([*events, session(4, "late", "a", "1", 60.0)])
        tiny.build()
        result = ask(tiny, definition=Dropoff(limit=2), by=["os", "version"])
    shown = [(row["segment"], row["denominator"]) for row in result.to_dicts() if row["dimension"] == "os"]
    assert sorted(shown) == [("(other)", 2), ("a", 3), ("b", 2)]
    assert "os has 4 values" in result.notes[0]


def test_what_is_refused_and_nothing_yet(tmp_path: Path) -> None:
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as tiny:
        with pytest.raises(DefinitionError, match="one or two dimensions, not by none"):
            ask(tiny)
        assert ask(tiny, by=["os"]).to_dicts() == []
        tiny.add([session(3, "ann", "ios", "1", 5)])
        tiny.build()
        with pytest.raises(UnknownNameError, match="oss"):
            ask(tiny, by=["oss"])
        assert ask(tiny, by=["os"]).to_dicts() == []  # its only day is open
    with Tiny(tmp_path / "other", {"dimensions": ["os"], "watch": {"content": "nothing"}}, columns=COLUMNS) as tiny:
        tiny.add([session(3, "ann", "ios", "1", 5)])
        tiny.build()
        with pytest.raises(DefinitionError, match="watched"):
            ask(tiny, by=["os"])
