"""Late rows, anonymous ids, count facts, leap years and weeks 53: the product against naive checks.

And intervals against published examples, another method and simulation.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from tests.checks.active import calendar, daily, rolling
from tests.checks.diversity import diversity as naive_diversity
from tests.checks.diversity import sums
from tests.checks.events import Coverage, Event
from tests.checks.lifecycle import lifecycle as naive_lifecycle
from tests.checks.logs import SEED, agree
from tests.checks.rich import Rich, rich, rows_of
from tests.gold.tiny import Tiny
from tests.metrics.counts import Sites
from tidelake.contracts.source import source_from
from tidelake.metrics.activation import activation, activation_of
from tidelake.metrics.adoption import adoption, adoption_of
from tidelake.metrics.catalogue import catalogue
from tidelake.metrics.diversity import Diversity, diversity
from tidelake.metrics.dropoff import Dropoff, dropoff
from tidelake.metrics.funnel import funnel
from tidelake.metrics.funnel_definition import funnel_of
from tidelake.metrics.intervals import ratio_of_sums, wilson
from tidelake.metrics.knowing import grains_of, leaves_of
from tidelake.metrics.lifecycle import lifecycle
from tidelake.metrics.measure import measure
from tidelake.metrics.power_curve import power_curve
from tidelake.metrics.retention import Retention, retention
from tidelake.metrics.revenue import Revenue, revenue
from tidelake.metrics.stickiness import stickiness
from tidelake.metrics.streaks import Streaks, streaks

# --- late rows


def answers(made: Rich) -> dict[str, list[dict[str, Any]]]:
    """Every third metric of the catalogue, as the seed has it, and every other question."""
    known = catalogue(made.tiny.project, made.tiny.sources)
    found = {}
    for name, metric in list(known.items())[SEED % 3 :: 3]:
        grain = grains_of(metric, leaves_of(metric, known))[0]
        found[name] = made.ask(measure, name, grain=grain).to_dicts()
    for by in ((), ("device",)):
        found[f"lifecycle {by}"] = made.ask(lifecycle, grain="week", by=by).to_dicts()
    questions: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "stickiness": (stickiness, ()),
        "power_curve": (power_curve, ()),
        "retention": (retention, (Retention.make(unit="day", cohort="recurring"),)),
        "funnel": (funnel, (funnel_of(["open", "play", "view"]),)),
        "activation": (activation, (activation_of("play", warmup="0d"),)),
        "adoption": (adoption, (adoption_of("buy"),)),
        "dropoff": (dropoff, (Dropoff(),)),
        "revenue": (revenue, (Revenue.model_validate({"event": "buy"}),)),
        "diversity": (diversity, (Diversity(metric="events", of="version"),)),
        "streaks": (streaks, (Streaks(metric="plays"),)),
    }
    for name, (question, given) in questions.items():
        by = {"dropoff": ["device", "version"], "revenue": ["products.category"]}.get(name, ["device"])
        found[name] = made.ask(question, *given, by=by).to_dicts()
    return found


def test_late_rows_leave_every_number_as_if_all_had_come_at_once(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows come in two builds in any order, so that days that were closed are opened again."""
    zone, root = "America/New_York", tmp_path_factory.mktemp("late")
    rows = rows_of(SEED, zone)
    once = rich(root / "once", zone, seed=SEED)
    with once.tiny:
        want = answers(once)
    mixed = random.Random(SEED).sample(rows, len(rows))
    monkeypatch.setattr("tests.checks.rich.rows_of", lambda seed, zone: mixed[::2])
    later = rich(root / "later", zone, seed=SEED)
    with later.tiny:
        later.tiny.add(mixed[1::2])
        later.tiny.build()
        got = answers(later)
    assert got.keys() == want.keys()
    for name in want:
        assert len(got[name]) == len(want[name]), name
        for one, two in zip(got[name], want[name], strict=True):
            assert alike(one, two), (name, one, two)
    assert sum(len(rows) for rows in want.values()) > 500


def alike(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    """The same to the last digits, in which sums of squares depend on the order."""
    return one.keys() == two.keys() and all(
        one[key] == (pytest.approx(two[key], rel=1e-9, abs=1e-9) if isinstance(two[key], float) else two[key])
        for key in one
    )


# --- identity


def test_numbers_count_stitched_actors(tmp_path: Path) -> None:
    """ "An event without a known id belongs to the known id of the earliest event (event time, then the least id) that
    carries that anonymous id and a known one"; one never seen with a known id is an actor by itself."""
    rng = random.Random(SEED)
    begin = datetime(2025, 3, 1, tzinfo=UTC)
    rows = []
    for number in range(400):
        visitor = rng.choice([None, *(f"v{one}" for one in range(14))])
        known = f"u{rng.randrange(7)}" if rng.random() < 0.15 else None
        at = begin + timedelta(hours=rng.randrange(24 * 40), minutes=rng.choice((0, 0, 30)))
        rows.append({"event_time": at, "event_id": f"e{number}", "anonymous_id": visitor, "actor_id": known})
    owner: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: (row["event_time"], str(row["actor_id"]))):
        if row["anonymous_id"] and row["actor_id"]:
            owner.setdefault(str(row["anonymous_id"]), str(row["actor_id"]))
    events = []
    for row in rows:
        at, visitor = row["event_time"], row["anonymous_id"]
        actor = row["actor_id"] or (owner.get(str(visitor), f"anonymous:{visitor}") if visitor else None)
        events.append(Event(actor, at, at.date(), "click", None, str(row["event_id"])))
    coverage = Coverage.of(events)
    mapping = {"event_time": "t", "event_id": "i", "actor_id": "a", "anonymous_id": "v", "event_name": "n"}
    with Tiny(tmp_path, columns={"anonymous_id": pa.string()}) as tiny:
        tiny.sources["app"] = source_from({"name": "app", "path": "x", "mapping": mapping, "dedup": "key"})
        for part in range(2):  # logins that come late give earlier days other actors
            tiny.add(rows[part::2])
            tiny.build()

        def ask(question: Any, *given: Any, **options: Any) -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = question(
                tiny.engine, tiny.lake, tiny.project, tiny.sources, *given, **options
            ).to_dicts()
            return found

        for metric, grain, want in (
            ("dau", "day", daily(events, coverage)),
            ("wau", "day", rolling(events, coverage, length=7)),
            ("active_users", "week", calendar(events, coverage, grain="week")),
            ("mau_cal", "month", calendar(events, coverage, grain="month")),
        ):
            got = {row["period_start"]: row for row in ask(measure, metric, grain=grain)}
            agree(got, want, ("value", "status"), metric)
        states = {(row["period_start"], row["state"]): row["value"] for row in ask(lifecycle, grain="week")}
        for first, row in naive_lifecycle(events, coverage, grain="week").items():
            for state in ("new", "new_or_existing", "returning", "resurrected", "churned"):
                if states[first, state] is not None:
                    assert states[first, state] == row[state], (first, state)


# --- count facts


def test_counts_of_sites_by_day_week_month_and_site(tmp_path: Path) -> None:
    """Sums over received days; a site that is absent on a received day had 0, before its first one and on a day that is
    missing nothing is known; ties of equal shares are no trouble."""
    rng = random.Random(SEED)
    first = date(2024, 12, 20)
    days = [first + timedelta(days=number) for number in range(60) if number not in (9, 10, 40)]
    counts = [
        (site, day, rng.choice((0, 3, 3, 50)))
        for number, site in enumerate(("en", "de", "fr", "sw"))
        for day in days
        if day >= first + timedelta(days=5 * number) and rng.random() < 0.8
    ]
    missing = frozenset(day for day in days if day not in {one for _, one, _ in counts}) | {
        first + timedelta(days=number) for number in (9, 10, 40)
    }
    with Sites(tmp_path, {"week_start": "sunday"}) as sites:
        sites.count(counts)
        sites.build()
        last = max(day for _, day, _ in counts)
        mark = datetime(last.year, last.month, last.day, 5, tzinfo=UTC)
        coverage = Coverage(min(day for _, day, _ in counts), mark, week_start="sunday", missing=missing)
        for grain in ("day", "week", "month"):
            told = sums(counts, coverage, grain=grain)
            rows = sites.ask(measure, "views", grain=grain).to_dicts()
            agree({row["period_start"]: row for row in rows}, told, ("value", "status"), grain)
            parts = sites.ask(measure, "views", grain=grain, by=["entity"]).to_dicts()
            for row in parts:
                own = told[row["period_start"]]["by_entity"].get(row["entity"])
                assert (row["value"] or 0) == (own or 0), row
            shares = sites.ask(diversity, Diversity(metric="views", top_k=2), grain=grain).to_dicts()
            for row in shares:
                want = naive_diversity(told[row["period_start"]]["by_entity"].values(), k=2)
                for name in ("hhi", "shannon", "top_k_share", "effective_number"):
                    assert row[name] == (None if want[name] is None else pytest.approx(want[name])), (row, name)
        known = sites.query("SELECT entity, activity_date AS day, is_missing, views FROM gold.entity_day")
        appeared = {site: min(day for one, day, _ in counts if one == site) for site, _, _ in counts}
        for row in known:
            assert row["day"] >= appeared[row["entity"]]
            assert row["is_missing"] == (row["day"] in missing), row
            assert (row["views"] is None) == row["is_missing"], row


# --- a year before


def test_a_year_before_over_leap_days_and_weeks_53(tmp_path: Path) -> None:
    """Days 364 days before, weeks 52 weeks, months twelve: 2020 has a 29 February and a week 53."""
    spans = [(date(2019, 12, 23), 20), (date(2020, 2, 20), 25), (date(2020, 12, 21), 21), (date(2021, 2, 18), 25)]
    rng = random.Random(SEED)
    rows = [
        {
            "event_time": f"{first + timedelta(days=offset)} {rng.randrange(24):02d}:00",
            "actor_id": f"a{rng.randrange(9)}",
            "event_id": f"{first}{offset}{number}",
        }
        for first, length in spans
        for offset in range(length)
        for number in range(rng.randrange(1, 6))
    ]
    count = Counter(date.fromisoformat(row["event_time"][:10]) for row in rows)

    def back(day: date, grain: str) -> date:
        return date(day.year - 1, day.month, 1) if grain == "month" else day - timedelta(days=364)

    with Tiny(tmp_path) as tiny:
        tiny.add(rows)
        tiny.build()
        for grain, length in (("day", 1), ("week", 7), ("month", None)):
            given = (tiny.engine, tiny.lake, tiny.project, tiny.sources, "events")
            found = measure(*given, grain=grain, compare="year").to_dicts()
            plain = {row["period_start"]: row for row in measure(*given, grain=grain).to_dicts()}
            compared = 0
            for row in found:
                first, before = row["period_start"], back(row["period_start"], grain)
                assert row["compared_start"] == before
                if length and row["value"] is not None:
                    assert row["value"] == sum(count[first + timedelta(days=day)] for day in range(length))
                both = before in plain and plain[before]["status"] == row["status"] == "complete"
                want = row["value"] - plain[before]["value"] if both else None
                assert row["difference"] == want, row
                compared += both
            assert compared or grain == "month"


# --- intervals


@pytest.mark.parametrize(
    ("share", "low", "high"),
    [((81, 263), 0.2553, 0.3662), ((15, 148), 0.0624, 0.1605), ((0, 20), 0.0, 0.1611), ((1, 29), 0.0061, 0.1718)],
)
def test_wilson_as_published(share: tuple[int, int], low: float, high: float) -> None:
    """R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3; and as scipy has it."""
    assert wilson(*share) == pytest.approx((low, high), abs=5e-5)
    told = stats.binomtest(*share).proportion_ci(method="wilson")
    assert wilson(*share) == pytest.approx((told.low, told.high), abs=1e-12)


def clustered(rng: np.random.Generator, actors: int) -> tuple[Any, Any]:
    """Sessions and bounces by actor: who comes often bounces by its own habit. The true share is .3."""
    sessions = 1 + rng.geometric(0.1, actors)
    habit = rng.beta(0.6, 1.4, actors)
    return rng.binomial(sessions, habit), sessions


def test_the_delta_method_covers_and_wilson_over_sessions_does_not() -> None:
    """2000 times 200 actors; 95 % are 1900, of which four standard deviations are 39."""
    rng = np.random.default_rng(SEED)
    delta = rows = 0
    for _ in range(2000):
        ys, xs = clustered(rng, 200)
        low, high = ratio_of_sums(ys, xs)[1]
        assert low is not None
        assert high is not None
        delta += low <= 0.3 <= high
        low, high = wilson(float(ys.sum()), float(xs.sum()))
        rows += bool(low is not None and high is not None and low <= 0.3 <= high)
    assert 0.92 < delta / 2000 < 0.97
    assert rows / 2000 < 0.75


def test_the_delta_method_is_the_jackknife_s_for_many_actors() -> None:
    """The jackknife leaves out one actor after the other: another way to the same variance."""
    ys, xs = clustered(np.random.default_rng(SEED), 4000)
    ratio, (low, _) = ratio_of_sums(ys, xs)
    assert ratio is not None
    assert low is not None
    without = (ys.sum() - ys) / (xs.sum() - xs)
    error = np.sqrt(len(xs) * np.var(without) * (len(xs) - 1) / len(xs))
    assert (ratio - low) / 1.959963984540054 == pytest.approx(error, rel=2e-3)
