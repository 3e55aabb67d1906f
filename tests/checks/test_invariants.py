"""What METRICS.md says must always hold between its numbers, asked of the product over random logs of two zones."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.checks.events import default_active
from tests.checks.rich import Rich
from tidelake.errors import DefinitionError
from tidelake.metrics.catalogue import catalogue
from tidelake.metrics.diversity import Diversity, diversity
from tidelake.metrics.funnel import funnel
from tidelake.metrics.funnel_definition import funnel_of
from tidelake.metrics.knowing import grains_of, leaves_of
from tidelake.metrics.lifecycle import lifecycle
from tidelake.metrics.measure import measure
from tidelake.metrics.power_curve import power_curve
from tidelake.metrics.retention import Retention, retention
from tidelake.metrics.stickiness import stickiness

Key = tuple[Any, ...]
TWO = ("America/New_York", "Asia/Kolkata")
pytestmark = pytest.mark.parametrize("rich_log", TWO, indirect=True, scope="session")


def values(made: Rich, metric: str, *, by: str | None = None, grain: str = "day", **options: Any) -> dict[Any, Any]:
    """Values by date, or by (value, date)."""
    rows = made.ask(measure, metric, by=[by] if by else [], grain=grain, **options).to_dicts()
    return {(row[by], row["period_start"]) if by else row["period_start"]: row["value"] for row in rows}


def test_rolling_actives_lie_between_a_day_and_the_sum_of_days(rich_log: Rich) -> None:
    """Section 1: max DAU ≤ WAU_7 ≤ Σ DAU, and DAU ≤ WAU_7 ≤ MAU_28 ≤ MAU_30."""
    daily, weekly, four, monthly = (values(rich_log, name) for name in ("dau", "wau", "mau_28", "mau"))
    for day in daily:
        window = [daily.get(day - timedelta(days=back)) or 0 for back in range(7)]
        assert max(window) <= weekly[day] <= sum(window)
        assert (daily[day] or 0) <= weekly[day] <= four[day] <= monthly[day]


@pytest.mark.parametrize("metric", ["dau", "wau", "active_users", "players"])
def test_segments_of_actors_overlap_and_never_fall_short(rich_log: Rich, metric: str) -> None:
    """Section 0: with `any` Σ ≥ total, and what is told of them adds up; no segment is larger than the total."""
    result = rich_log.ask(measure, metric, by=["device"], grain="day" if metric in ("dau", "wau") else "week")
    totals = {row["period_start"]: row for row in result.totals.to_pylist()}
    plain = values(rich_log, metric, grain="day" if metric in ("dau", "wau") else "week")
    for first, row in totals.items():
        own = [one["value"] for one in result.to_dicts() if one["period_start"] == first]
        assert row["total"] == plain[first]
        if row["total"] is not None:
            assert row["sum_of_segments"] == sum(own) == row["total"] + row["overlap"]
            assert row["overlap"] >= 0
            assert max(own) <= row["total"]


@pytest.mark.parametrize("rule", ["first", "last"])
def test_one_value_an_actor_adds_up(rich_log: Rich, rule: str) -> None:
    """Section 1: Σ over `first` or `last` is the total, of every state of the lifecycle and of stickiness."""
    parts: dict[Key, float] = {}
    for row in rich_log.ask(lifecycle, grain="week", by=["version"], segment=rule).to_dicts():
        if row["state"] not in ("quick_ratio", "churn_rate"):
            key = (row["period_start"], row["state"])
            parts[key] = parts.get(key, 0) + (row["value"] or 0)
    for row in rich_log.ask(lifecycle, grain="week").to_dicts():
        if row["state"] not in ("quick_ratio", "churn_rate"):
            assert parts[row["period_start"], row["state"]] == (row["value"] or 0), row
    actors: dict[date, float] = {}
    for row in rich_log.ask(stickiness, by=["version"], segment=rule).to_dicts():
        actors[row["period_start"]] = actors.get(row["period_start"], 0) + (row["denominator"] or 0)
    plain = rich_log.ask(stickiness).to_dicts()
    assert all(actors[row["period_start"]] == row["denominator"] for row in plain)


def test_both_identities_of_the_lifecycle(rich_log: Rich) -> None:
    """Section 4, by day, week and month, and the active ones are those of `active_users`."""
    for grain in ("day", "week", "month"):
        rows = rich_log.ask(lifecycle, grain=grain).to_dicts()
        states: dict[date, dict[str, Any]] = {}
        for row in rows:
            states.setdefault(row["period_start"], {})[row["state"]] = row["value"]
        active = values(rich_log, "active_users", grain=grain)
        before: dict[str, Any] | None = None
        for first, now in states.items():
            assert now["active"] == active[first]
            if before is not None and now["returning"] is not None:
                fresh = now["new"] + now["new_or_existing"]
                assert now["active"] == fresh + now["returning"] + now["resurrected"]
                assert now["active"] == before["active"] + fresh + now["resurrected"] - now["churned"]
            before = now


def test_the_power_curve_holds_the_actives_and_their_days(rich_log: Rich) -> None:
    """Section 3: Σ n_j = MAU_28, Σ j n_j = Σ DAU, mean(L28) / received days = stickiness, at a month's end too."""
    daily, four = values(rich_log, "dau"), values(rich_log, "mau_28")
    sticky = {row["period_start"]: row["value"] for row in rich_log.ask(stickiness).to_dicts()}
    complete = [day for day in rich_log.coverage.days() if rich_log.coverage.day_status(day) == "complete"]
    ends = [day for day in complete if (day + timedelta(days=1)).day == 1]
    for day in {complete[-1], complete[len(complete) // 2], *ends}:
        rows = rich_log.ask(power_curve, at=day).to_dicts()
        days = sum(row["active_days"] * row["actors"] for row in rows)
        window = [day - timedelta(days=back) for back in range(28)]
        received = [one for one in window if daily.get(one) is not None]
        assert days == sum(daily[one] for one in received)
        assert sum(row["actors"] for row in rows) == four[day]
        assert days / len(received) / four[day] == pytest.approx(sticky[day])


def test_each_actor_is_in_one_first_cohort_and_criteria_nest(rich_log: Rich) -> None:
    """Section 5: sizes add up to the actors; on ≤ on or after; on or before only grows, a streak only shrinks."""
    found = {}
    for name, more in (("on", {}), ("on_or_before", {}), ("streak", {}), ("on_or_after", {"horizon": 7})):
        rule = Retention.make(unit="day", criterion=name, warmup_days=0, **more)
        rows = rich_log.ask(retention, rule, grain="week").to_dicts()
        found[name] = {(row["cohort_start"], row["period"]): row for row in rows if row["cohort_source"] == "entry"}
    sizes = {first: row["size"] for (first, _), row in found["on"].items()}
    actors = {item.actor for item in rich_log.human if item.actor is not None and default_active(item)}
    assert sum(sizes.values()) == len(actors)
    for (first, number), row in found["on"].items():
        assert (row["numerator"] or 0) <= row["denominator"] <= row["size"]
        assert row["size"] == sizes[first]
        later = found["on_or_after"][first, number]
        if later["denominator"] == row["denominator"]:
            assert (row["numerator"] or 0) <= (later["numerator"] or 0)
    for name, sign in (("on_or_before", 1), ("streak", -1)):
        for first in sizes:
            cells = [row for (cohort, _), row in sorted(found[name].items()) if cohort == first]
            for one, two in pairwise(cells):
                if one["denominator"] == two["denominator"] and None not in (one["numerator"], two["numerator"]):
                    assert sign * (two["numerator"] - one["numerator"]) >= 0


@pytest.mark.parametrize("window", [timedelta(hours=1), timedelta(days=3)])
def test_funnels_never_widen_and_their_orders_nest(rich_log: Rich, window: timedelta) -> None:
    """Section 8: counts do not increase; strict ≤ ordered ≤ any at the last step, under the best attempt."""
    for steps in (["open", "play"], ["view", "browse", "play"], ["play", "pause", "resume"]):
        last = {}
        for order in ("strict", "ordered", "any"):
            rows = rich_log.ask(funnel, funnel_of(steps, order=order, window=window, attempt="best")).to_dicts()
            counts = [row["numerator"] for row in rows]
            assert all(one >= two for one, two in pairwise(counts))
            last[order] = counts[-1]
        assert last["strict"] <= last["ordered"] <= last["any"]


SAME = ("engagement_rate", "bounce_not_engaged", "opened_not_play", "bounce_user_day")
WHOLES = ("high_user_days", "low_user_days", "active_days", "high_users", "low_users", "active_users")


def test_two_names_of_one_number_and_numbers_that_make_a_whole(rich_log: Rich) -> None:
    """Sections 7 and 12: engagement = 1 − bounce; high and low days, and users, are all active ones."""
    for grain in ("day", "week"):
        told = {name: values(rich_log, name, grain=grain) for name in (*SAME, *WHOLES)}
        assert told["opened_not_play"] == told["bounce_user_day"]
        for first, days in told["active_days"].items():
            if days is None:
                continue
            assert told["high_user_days"][first] + told["low_user_days"][first] == days
            assert told["high_users"][first] + told["low_users"][first] == told["active_users"][first]
            if told["engagement_rate"][first] is not None:
                assert told["engagement_rate"][first] == pytest.approx(1 - told["bounce_not_engaged"][first])


def test_sums_add_up_over_days_segments_and_actors(rich_log: Rich) -> None:
    """Sections 0 and 12: what is additive adds up over days to months and over values to the total."""
    known = catalogue(rich_log.tiny.project, rich_log.tiny.sources)
    additive = [name for name, metric in known.items() if metric.kind == "sum" and metric.is_additive]
    assert {"events", "sessions", "plays", "watch_seconds", "active_events"} <= set(additive)
    for name in additive[TWO.index(rich_log.zone) :: 2]:  # half of them in each zone
        days = values(rich_log, name)
        for first, value in values(rich_log, name, grain="month").items():
            inside = [number or 0 for day, number in days.items() if day.replace(day=1) == first]
            assert (value or 0) == pytest.approx(sum(inside)), (name, first)
    for name in ("events", "sessions", "plays", "active_events", "amount"):
        total, parts = values(rich_log, name, grain="month"), values(rich_log, name, grain="month", by="device")
        for first, value in total.items():
            assert value == pytest.approx(sum(number for (_, day), number in parts.items() if day == first)), name


def test_bounds_of_diversity(rich_log: Rich) -> None:
    """Section 13: 1 ≤ 1 / hhi ≤ e^shannon ≤ categories; diversity = 1 − hhi; the largest share ≤ top k ≤ 1."""
    for of in ("device", "event_name", "version"):
        for row in rich_log.ask(diversity, Diversity(metric="events", of=of, top_k=2), grain="week").to_dicts():
            if row["value"] is not None:
                assert row["value"] == pytest.approx(1 - row["hhi"])
                assert row["shannon_exponential"] <= row["n"] + 1e-9
                assert 1 - 1e-9 <= row["effective_number"] <= row["shannon_exponential"] + 1e-9
                assert row["hhi"] <= row["top_k_share"] + 1e-9 <= 1 + 2e-9


def test_members_of_every_metric_in_every_grain(rich_log: Rich) -> None:
    """Section 12: members add up to numerators and denominators; of distinct metrics they are as many as the value.

    Within a dimension or under a condition, and of accounts where they are counted; by day, week and month in turn.
    """
    known = catalogue(rich_log.tiny.project, rich_log.tiny.sources)
    refused = []
    more: list[dict[str, Any]] = [{"by": ["device"]}, {"where": "device = 'phone'"}]
    part = TWO.index(rich_log.zone)  # half of the catalogue in each zone
    for place, (name, metric) in list(enumerate(sorted(known.items())))[part::2]:
        grains = grains_of(metric, leaves_of(metric, known))
        asked: list[dict[str, Any]] = [
            {"grain": grains[place % len(grains)], **more[place // 2 % 2]},
            {"grain": grains[0], "actor": "account"},
        ]
        for options in asked:
            try:
                numbers = rich_log.ask(measure, name, **options).to_dicts()
                members = rich_log.ask(measure, name, members=True, **options).to_dicts()
            except DefinitionError:
                refused.append((name, tuple(options)))
                continue
            compare_members(metric, options, numbers, members)
    silent = {"actor"}
    assert len(known) > 40
    assert all(name in WHOLE_DAYS or silent & set(options) for name, options in refused), refused


WHOLE_DAYS = ("sessions_per_user", "watch_seconds_per_user")  # a day's sessions are not cut by its events


def compare_members(metric: Any, options: Any, numbers: list[dict[str, Any]], members: list[dict[str, Any]]) -> None:
    by = options.get("by", ())
    found: dict[Key, list[dict[str, Any]]] = {}
    for row in members:
        found.setdefault((row["period_start"], *(row[one] for one in by)), []).append(row)
    for row in numbers:
        own = found.pop((row["period_start"], *(row[one] for one in by)), [])
        what = (metric.name, options, row)
        assert len({one["actor_id"] for one in own}) == len(own), what
        top = sum(one["numerator"] or 0 for one in own)
        bottom = sum(one["denominator"] or 0 for one in own)
        if metric.kind in ("distinct", "typical"):
            assert len(own) == (row["value"] or 0), what
        elif metric.kind == "quantile":
            assert bottom == (row["n"] or 0), what
        else:
            assert top == pytest.approx(row["numerator"] or 0), what
        if metric.kind == "ratio":
            assert bottom == (row["denominator"] or 0), what
            assert all(one["numerator"] or one["denominator"] for one in own), what
    assert not found, (metric.name, options)
