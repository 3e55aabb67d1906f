"""Retention written a second time, from METRICS section 5: every member, every later event, every unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import inf
from statistics import mean
from typing import Any
from zoneinfo import ZoneInfo

from tests.checks.events import (
    Choice,
    Coverage,
    Event,
    by_actor,
    chosen,
    default_active,
    period_first,
    period_index,
    start_of,
    text,
)
from tests.checks.intervals import ratio_of_sums, wilson
from tests.checks.lifecycle import first_kind

NO_COHORT = "(no cohort)"
NEW_OR_EXISTING = "(new_or_existing)"
ELAPSED = {
    "hour": timedelta(hours=1),
    "day": timedelta(hours=24),
    "week": timedelta(hours=7 * 24),
    "month": timedelta(hours=30 * 24),
}


@dataclass(frozen=True)
class Member:
    """One actor in one cohort.

    Attributes:
        cohort: First date of the cohort's period, or a name for those that are in none.
        entered_at: The instant of the entry event, or of the signup.
        returns: The return events after the entry.
        source: `entry`, `signup_date` or `first_seen`.
    """

    actor: str
    cohort: date | str
    entered_at: datetime
    entered_on: date
    returns: tuple[Event, ...]
    source: str
    is_truncated: bool
    segment: str | None


def hour_index(at: datetime, timezone: str) -> int:
    """Calendar hours: the number of the local hour that an instant lies in, counted in hours that truly passed."""
    local = at.astimezone(ZoneInfo(timezone))
    minutes = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    offset = (local.utcoffset() or timedelta()) % timedelta(hours=1)
    return int((at - minutes + offset - datetime(1, 1, 1, tzinfo=UTC)) // timedelta(hours=1))


def unit_of_return(member: Member, item: Event, *, unit: str, anchor: str, coverage: Coverage) -> int:
    """ "calendar → `idx = unit_index(local_date(ret)) − unit_index(local_date(entry))` by **date arithmetic**";
    "elapsed → `floor((return_time − entry_time)/24h)`, week=7×24 h, month=30×24 h"."""
    if anchor == "elapsed":
        return int((item.at - member.entered_at) // ELAPSED[unit])
    if unit == "hour":
        return hour_index(item.at, coverage.timezone) - hour_index(member.entered_at, coverage.timezone)
    return period_index(item.local_date, unit, week_start=coverage.week_start) - period_index(
        member.entered_on, unit, week_start=coverage.week_start
    )


def end_of_unit(member: Member, number: int, *, unit: str, anchor: str, coverage: Coverage) -> datetime:
    """ "calendar: end of unit c+n; elapsed: entry + (n+1) units"."""
    if anchor == "elapsed":
        return member.entered_at + (number + 1) * ELAPSED[unit]
    if unit == "hour":
        local = member.entered_at.astimezone(ZoneInfo(coverage.timezone))
        into = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        return member.entered_at - into + (number + 1) * timedelta(hours=1)
    index = period_index(member.entered_on, unit, week_start=coverage.week_start) + number + 1
    return start_of(period_first(index, unit, week_start=coverage.week_start), coverage.timezone)


def members_of(
    events: Iterable[Event],
    coverage: Coverage,
    *,
    entry: Choice = default_active,
    return_: Choice = default_active,
    cohort: str = "first",
    cohort_by: str = "entry",
    cohort_grain: str = "month",
    signup: Mapping[str, date | datetime] | None = None,
    segment: str | None = None,
    match_on_return: bool = False,
    warmup: int = 28,
    truncated: str = "keep",
) -> list[Member]:
    """Who is in which cohort.

    `first`: "each actor in exactly one cohort (first entry ever; if entry precedes history → rule section 4)".
    `recurring`: "actor may be in many": once in each cohort period, from its first entry there.
    "A return event MUST come after the entry event in `(event_time, seq, event_id)`": it stands later in that order.
    "No signup date: fallback `first_seen`, reported as `cohort_source`; actors neither → row `(no cohort)`": who did
    not sign up enters, as others do, with the first entry event.
    A signup date enters at its local midnight; what is at or after it counts as after.

    Args:
        segment: "Breakdown value frozen at entry": a field of the entry event.
        match_on_return: "Requires the same value on the return event".
        truncated: `keep` leaves actors of section 4's `new_or_existing` in their cohort, flagged; `separate` gives them
            a cohort of their own.
    """
    found = []
    actors = by_actor(events)
    for actor, known in (signup or {}).items() if cohort_by == "signup_date" else ():
        if actor not in actors:  # signed up and was never seen: a member who did not come back
            instant, day = _signup_instant(known, None, coverage)
            name = _cohort_of(day, cohort_grain, coverage)
            value = text(None) if segment else None
            found.append(Member(actor, name, instant, day, (), "signup_date", False, value))
    for actor, own in actors.items():
        entries = [place for place, item in enumerate(own) if chosen(entry, item)]
        known = (signup or {}).get(actor)
        if cohort_by == "signup_date":
            if known is None and not entries:
                found.append(Member(actor, NO_COHORT, own[0].at, own[0].local_date, (), "none", False, None))
                continue
            seen_at = own[entries[0]] if entries else None
            instant, day = _signup_instant(known, seen_at, coverage)
            returns = [item for item in own if item.at >= instant and chosen(return_, item)]
            if known is None:  # first seen: an event, which is no return of itself
                returns = [item for item in own[entries[0] + 1 :] if chosen(return_, item)]
            value = text(own[0].props.get(segment)) if segment else None
            source = "first_seen" if known is None else "signup_date"
            found.append(
                Member(
                    actor,
                    _cohort_of(day, cohort_grain, coverage),
                    instant,
                    day,
                    tuple(returns),
                    source,
                    False,
                    value,
                )
            )
            continue
        if not entries:
            found.append(Member(actor, NO_COHORT, own[0].at, own[0].local_date, (), "none", False, None))
            continue
        kind = first_kind(
            [own[place] for place in entries],
            coverage,
            signup=_day_of(known, coverage),
            warmup=warmup,
            active=lambda _: True,
        )
        is_truncated = kind == "new_or_existing"
        seen: set[date | str] = set()
        for place in entries:
            item = own[place]
            name: date | str = _cohort_of(item.local_date, cohort_grain, coverage)
            if cohort == "first" and truncated == "separate" and is_truncated:
                name = NEW_OR_EXISTING
            if name in seen or (cohort == "first" and seen):
                continue
            seen.add(name)
            value = text(item.props.get(segment)) if segment else None
            returns = [later for later in own[place + 1 :] if chosen(return_, later)]
            if match_on_return:
                returns = [later for later in returns if text(later.props.get(segment)) == value]
            found.append(Member(actor, name, item.at, item.local_date, tuple(returns), "entry", is_truncated, value))
    return found


def _cohort_of(day: date, grain: str, coverage: Coverage) -> date:
    index = period_index(day, grain, week_start=coverage.week_start)
    return period_first(index, grain, week_start=coverage.week_start)


def _day_of(known: date | datetime | None, coverage: Coverage) -> date | None:
    if isinstance(known, datetime):
        return known.astimezone(ZoneInfo(coverage.timezone)).date()
    return known


def _signup_instant(known: date | datetime | None, first: Event | None, coverage: Coverage) -> tuple[datetime, date]:
    if known is None:
        assert first is not None
        return first.at, first.local_date
    day = _day_of(known, coverage)
    assert day is not None
    return (known if isinstance(known, datetime) else start_of(day, coverage.timezone)), day


def has_returned(
    units: set[int], *, criterion: str, number: int, bracket: tuple[int, int], horizon: float, first_unit: int
) -> bool:
    """Whether somebody with returns in these units counts, by criterion."""
    if criterion == "on":
        return number in units
    if criterion == "on_or_after":
        return any(number <= one <= horizon for one in units)
    if criterion == "on_or_before":
        return any(first_unit <= one <= number for one in units)
    if criterion == "bracket":
        return any(bracket[0] <= one <= bracket[1] for one in units)
    if criterion == "streak":
        return all(one in units for one in range(1, number + 1))
    raise ValueError(criterion)


def retention(
    events: Iterable[Event],
    coverage: Coverage,
    *,
    unit: str = "day",
    anchor: str = "calendar",
    criterion: str = "on",
    numbers: Sequence[int] = tuple(range(8)),
    brackets: Sequence[tuple[int, int]] = (),
    within: tuple[timedelta, timedelta] | None = None,
    horizon: float = inf,
    first_unit: int = 0,
    min_n: int = 30,
    **who: Any,
) -> dict[Any, dict[str, Any]]:
    """The share of each cohort that came back, by unit since its entry.

    "A member is *eligible* for unit n iff that unit has ended for it (calendar: end of unit c+n; elapsed: entry + (n+1)
    units; bracket: end of b; within: entry + to; unbounded: end of H). value = returned among eligible / eligible, with
    `eligible` and `size` in the row; `complete` iff eligible = size, `partial_cohort` iff 0 < eligible < size, `open`
    and null iff eligible = 0."

    Args:
        criterion: `on | on_or_after | on_or_before | bracket | streak | within`.
        numbers: The units n; `brackets` are the [a, b] of that criterion, `within` its (from, to].
        horizon: H of `on_or_after`; infinite, a member is eligible when unit n has ended, and the rows are `biased`.
        first_unit: The unit with which `on_or_before` begins.
        who: `members_of`'s arguments.

    Returns:
        By (cohort, n), or (cohort, n, segment) with a segment; n is the bracket or `within` for those criteria. A row
        has `value`, `numerator`, `denominator` = `eligible`, `size`, `returned_not_eligible`, `numerator_so_far` (both
        together), `new_or_existing` (members whose start may have been cut off), `sources`, `status`, `interval`,
        `is_small` (n < min_n). The key `(no cohort)` has `size` only.
    """
    members = members_of(events, coverage, **who)
    rule = {"unit": unit, "anchor": anchor, "coverage": coverage}
    keys: list[Any] = list(numbers)
    if criterion == "bracket":
        keys = list(brackets)
    if criterion == "within":
        keys = [within]
    found: dict[Any, dict[str, Any]] = {}
    groups: dict[tuple[Any, Any], list[Member]] = {}
    for member in members:
        groups.setdefault((member.cohort, member.segment), []).append(member)
    for (cohort, segment), own in groups.items():
        if cohort == NO_COHORT:
            found[NO_COHORT] = {"size": len(own)}
            continue
        units_of = [{unit_of_return(member, item, **rule) for item in member.returns} for member in own]
        for key in keys:
            eligible, returned, early = 0, 0, 0
            pairs: dict[str, list[int]] = {}
            for member, units in zip(own, units_of, strict=True):
                if criterion == "within":
                    low, high = key
                    until = member.entered_at + high
                    is_back = any(low < item.at - member.entered_at <= high for item in member.returns)
                else:
                    last = {"bracket": key[1] if criterion == "bracket" else 0, "on_or_after": horizon}.get(
                        criterion, key
                    )
                    until = end_of_unit(member, key if last == inf else int(last), **rule)
                    is_back = has_returned(
                        units,
                        criterion=criterion,
                        number=key,
                        bracket=key if criterion == "bracket" else (0, 0),
                        horizon=horizon,
                        first_unit=first_unit,
                    )
                if until <= coverage.observed_until:
                    eligible += 1
                    returned += is_back
                    pair = pairs.setdefault(member.actor, [0, 0])
                    pair[0] += is_back
                    pair[1] += 1
                else:
                    early += is_back
            name = (cohort, key) if segment is None else (cohort, key, segment)
            interval = wilson(returned, eligible) if who.get("cohort", "first") == "first" else None
            found[name] = {
                "value": returned / eligible if eligible else None,
                "numerator": returned,
                "denominator": eligible,
                "eligible": eligible,
                "size": len(own),
                "returned_not_eligible": early,
                "numerator_so_far": returned + early,
                "new_or_existing": sum(member.is_truncated for member in own),
                "sources": sorted({member.source for member in own}),
                "status": _status(eligible, len(own)),
                "biased": criterion == "on_or_after" and horizon == inf,
                "is_small": eligible < min_n,
                "interval": interval,
                "pairs": {actor: tuple(pair) for actor, pair in pairs.items()},
            }
    return found


def _status(eligible: int, size: int) -> str:
    if eligible == 0:
        return "open"
    return "complete" if eligible == size else "partial_cohort"


def pooled(rows: Mapping[Any, Mapping[str, Any]], *, cohorts: Iterable[Any] | None = None) -> dict[Any, dict[str, Any]]:
    """ "pooled `Σnum/Σden` over complete cells"; `simple` = "unweighted mean incl. zero cohorts".

    Args:
        cohorts: The common set for a curve; null = all that are complete at n, named in the row's `cohorts`.

    Returns:
        By n: `value`, `numerator`, `denominator`, `simple`, `cohorts`, `interval` (delta method by actor).
    """
    allowed = None if cohorts is None else set(cohorts)
    found: dict[Any, dict[str, Any]] = {}
    for key in {name[1] for name in rows if name != NO_COHORT}:
        cells = {
            name[0]: row
            for name, row in rows.items()
            if name != NO_COHORT and name[1] == key and row["status"] == "complete"
            if allowed is None or name[0] in allowed
        }
        top = sum(row["numerator"] for row in cells.values())
        bottom = sum(row["denominator"] for row in cells.values())
        actors: dict[str, list[int]] = {}
        for row in cells.values():
            for actor, pair in row["pairs"].items():
                own = actors.setdefault(actor, [0, 0])
                own[0] += pair[0]
                own[1] += pair[1]
        found[key] = {
            "value": top / bottom if bottom else None,
            "numerator": top,
            "denominator": bottom,
            "simple": mean(row["value"] for row in cells.values()) if cells else None,
            "cohorts": sorted(cells, key=str),
            "interval": ratio_of_sums([(pair[0], pair[1]) for pair in actors.values()]),
        }
    return found


def common_cohorts(rows: Mapping[Any, Mapping[str, Any]], numbers: Iterable[Any]) -> list[Any]:
    """The cohorts that are complete at every n of a curve."""
    wanted = list(numbers)
    names = {name[0] for name in rows if name != NO_COHORT}
    return sorted(
        (one for one in names if all(rows[one, number]["status"] == "complete" for number in wanted)), key=str
    )
