"""Funnels written a second time, from METRICS section 8: for every entry of every actor, every later event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise, permutations
from statistics import median
from typing import Any

from tests.checks.events import Choice, Event, any_event, by_actor, chosen, order, text
from tests.checks.intervals import wilson

NONE = timedelta()


@dataclass(frozen=True)
class Exclusion:
    """ "Exclusions between i and j end the attempt": `with_exclusions` says where; steps are numbered from 1."""

    after: int
    before: int
    event: Choice


@dataclass(frozen=True)
class Attempt:
    """What came of one entry.

    Attributes:
        chain: The events that fill steps 1 to depth.
        is_open: Its window has not ended.
    """

    entry: Event
    depth: int
    chain: tuple[Event, ...]
    is_open: bool


def is_after(own: Sequence[Event], place: int, later: int, simultaneity: timedelta) -> bool:
    """ "Equal timestamps: allowed in order of `seq`"; within a tolerance above 0 s in any order."""
    if later > place:
        return True
    return later != place and simultaneity > NONE and own[place].at - own[later].at <= simultaneity


def chains(
    own: Sequence[Event],
    place: int,
    *,
    steps: Sequence[Choice],
    kind: str,
    window: timedelta,
    simultaneity: timedelta = NONE,
) -> Iterator[tuple[int, ...]]:
    """Every way to fill steps 1, 1..2, 1..3 ... from an entry, as places of events.

    "One event instance fills one step".

    Args:
        own: One actor's events in order.
        place: Of the entry, which fills step 1.
        kind: `ordered`, or `strict`: "no other *tracked* event between".
    """

    def grow(chain: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        yield chain
        if len(chain) == len(steps):
            return
        for later in range(len(own)):
            if later in chain or not chosen(steps[len(chain)], own[later]):
                continue
            if own[later].at - own[place].at > window or not is_after(own, chain[-1], later, simultaneity):
                continue
            if kind == "strict" and later != chain[-1] + 1:
                continue
            yield from grow((*chain, later))

    yield from grow((place,))


def with_exclusions(
    own: Sequence[Event],
    place: int,
    *,
    steps: Sequence[Choice],
    window: timedelta,
    exclusions: Sequence[Exclusion],
) -> tuple[int, ...]:
    """The chain that an entry makes, event by event, until an excluded event ends it "at the step that it has reached".

    The definition of the product's page: "when the excluded event comes after step i and before step j (between
    neighbours: at i; once a step is reached, what comes later does not undo it)". So only the chain that takes each
    next step as early as it comes is an attempt: another one, that would leave a step out until the excluded event is
    past, is none. An event that fills a step ends nothing.
    """
    chain = (place,)
    for later in range(place + 1, len(own)):
        if own[later].at - own[place].at > window or len(chain) == len(steps):
            break
        if chosen(steps[len(chain)], own[later]):
            chain = (*chain, later)
        elif any(rule.after <= len(chain) < rule.before and chosen(rule.event, own[later]) for rule in exclusions):
            break
    return chain


def any_order_depth(own: Sequence[Event], place: int, steps: Sequence[Choice], window: timedelta) -> tuple[int, ...]:
    """ "any = all steps in any order, last − first ≤ window": the most steps that events from this one on fill."""
    near = [one for one in range(place, len(own)) if own[one].at - own[place].at <= window]
    best: tuple[int, ...] = ()
    for arrangement in permutations(range(len(steps))):
        # Take the steps in this order, each filled by the first event left; the entry fills the first.
        if not chosen(steps[arrangement[0]], own[place]):
            continue
        filled = [place]
        for step in arrangement[1:]:
            one = next((one for one in near if one not in filled and chosen(steps[step], own[one])), None)
            if one is not None:
                filled.append(one)
        if (-len(filled), max(filled)) < (-len(best), max(best, default=len(own))):
            best = tuple(filled)
    return tuple(sorted(best))


def attempt_at(
    own: Sequence[Event],
    place: int,
    *,
    steps: Sequence[Choice],
    kind: str,
    window: timedelta,
    simultaneity: timedelta,
    exclusions: Sequence[Exclusion],
    observed_until: datetime,
) -> Attempt:
    """The deepest that an entry gets; of equally deep chains the one that ends earliest.

    "Entries whose window has not ended are `open`".
    """
    is_open = own[place].at + window > observed_until
    if kind == "any":
        best = any_order_depth(own, place, steps, window)
        return Attempt(own[place], len(best), tuple(own[one] for one in best), is_open)
    if exclusions:
        found = [with_exclusions(own, place, steps=steps, window=window, exclusions=exclusions)]
    else:
        found = list(chains(own, place, steps=steps, kind=kind, window=window, simultaneity=simultaneity))
    best = min(found, key=lambda chain: (-len(chain), [own[one].at for one in reversed(chain)], chain))
    return Attempt(own[place], len(best), tuple(own[one] for one in best), is_open)


def attempt_by_reach(
    own: Sequence[Event],
    place: int,
    *,
    steps: Sequence[Choice],
    window: timedelta,
    observed_until: datetime,
) -> Attempt:
    """`attempt_at` for ordered steps without exclusions and tolerance, where taking each next step as early as it comes
    loses nothing; for actors with thousands of events, on whom all chains would take days."""
    chain = [place]
    for later in range(place + 1, len(own)):
        if own[later].at - own[place].at > window or len(chain) == len(steps):
            break
        if chosen(steps[len(chain)], own[later]):
            chain.append(later)
    is_open = own[place].at + window > observed_until
    return Attempt(own[place], len(chain), tuple(own[one] for one in chain), is_open)


def funnel(
    events: Iterable[Event],
    *,
    steps: Sequence[Choice],
    observed_until: datetime,
    order_: str = "ordered",
    window: timedelta = timedelta(days=7),
    attempt: str = "best",
    simultaneity: timedelta = NONE,
    exclusions: Sequence[Exclusion] = (),
    hold_constant: Sequence[str] = (),
    in_range: Callable[[Event], bool] = any_event,
    tracked: Callable[[Event], bool] = any_event,
    breakdown: str | None = None,
    breakdown_by: str | int = 1,
    quick: bool = False,
) -> dict[Any, dict[str, Any]]:
    """How many actors get how deep.

    "`attempt: best` (default; any entry that gets deepest, ties earliest) or `first`". "Entry must lie in the report
    range, later steps may lie outside. Entries whose window has not ended are `open`: the entry, not the actor, is left
    out of rates and shown as count."

    Args:
        hold_constant: Fields whose values all steps of an attempt share; an actor counts once, with its best attempt.
        in_range: Whether an entry lies in the report range.
        tracked: Which events stand between others for `strict`.
        breakdown: A field; `breakdown_by` is the step whose event gives its value (1 = the entry), `first` or `last`
            (the actor's first or last event at all).
        quick: Use `attempt_by_reach`.

    Returns:
        By step 1..k, or (segment, step): `value` (share of step 1), `numerator`, `denominator`, `of_previous`,
        `open_entries`, `seconds` (from s1, of those who got here, sorted), `median_seconds`, `interval`, `actors`.
    """
    all_of = by_actor(events)
    own_of: dict[tuple[Any, ...], list[Event]] = {}
    for actor, own in all_of.items():
        for item in own:
            if tracked(item) or any(chosen(step, item) for step in steps):
                key = (actor, *(item.props.get(name) for name in hold_constant))
                own_of.setdefault(key, []).append(item)
    rule: dict[str, Any] = {"steps": steps, "window": window, "observed_until": observed_until}
    is_quick = quick and order_ == "ordered" and not exclusions and not simultaneity
    attempts: dict[str, list[Attempt]] = {}
    for key, own in own_of.items():
        for place, item in enumerate(own):
            is_entry = any(chosen(step, item) for step in (steps if order_ == "any" else steps[:1]))
            if not is_entry or not in_range(item):
                continue
            if is_quick:
                one = attempt_by_reach(own, place, **rule)
            else:
                one = attempt_at(own, place, kind=order_, simultaneity=simultaneity, exclusions=exclusions, **rule)
            attempts.setdefault(key[0], []).append(one)
    picked, open_entries = _pick(
        attempts, attempt, lambda one, actor: _segment(one, all_of[actor], breakdown, breakdown_by)
    )
    segments = {actor: _segment(one, all_of[actor], breakdown, breakdown_by) for actor, one in picked.items()}
    found: dict[Any, dict[str, Any]] = {}
    for segment in {*segments.values(), *open_entries} if breakdown else {None}:
        own_attempts = {actor: one for actor, one in picked.items() if segments[actor] == segment}
        for number in range(1, len(steps) + 1):
            reached = {actor: one for actor, one in own_attempts.items() if one.depth >= number}
            before = sum(one.depth >= number - 1 for one in own_attempts.values())
            seconds = sorted((one.chain[number - 1].at - one.entry.at).total_seconds() for one in reached.values())
            found[number if breakdown is None else (segment, number)] = {
                "value": len(reached) / len(own_attempts) if own_attempts else None,
                "numerator": len(reached),
                "denominator": len(own_attempts),
                "of_previous": len(reached) / before if before else None,
                "open_entries": open_entries.get(segment, 0),
                "seconds": seconds,
                "median_seconds": median(seconds) if seconds else None,
                "interval": wilson(len(reached), len(own_attempts)),
                "actors": set(reached),
            }
    counts = [row["numerator"] for row in found.values()]
    assert breakdown is not None or all(earlier >= later for earlier, later in pairwise(counts))
    return found


def _pick(
    attempts: dict[str, list[Attempt]], attempt: str, segment_of: Callable[[Attempt, str], str | None]
) -> tuple[dict[str, Attempt], dict[str | None, int]]:
    """Each actor's attempt whose window has ended, and the number of open entries by segment."""
    picked: dict[str, Attempt] = {}
    open_entries: dict[str | None, int] = {}
    for actor, tried in attempts.items():
        tried = sorted(tried, key=lambda one: order(one.entry))
        if attempt == "first":
            tried = tried[:1]
        for one in tried:
            if one.is_open:
                segment = segment_of(one, actor)
                open_entries[segment] = open_entries.get(segment, 0) + 1
        closed = [one for one in tried if not one.is_open]
        if closed:
            picked[actor] = max(closed, key=lambda one: one.depth)  # the first of equals
    return picked, open_entries


def _segment(one: Attempt, own: Sequence[Event], breakdown: str | None, by: str | int) -> str | None:
    if breakdown is None:
        return None
    if by == "first":
        return text(own[0].props.get(breakdown))
    if by == "last":
        return text(own[-1].props.get(breakdown))
    return text(one.chain[int(by) - 1].props.get(breakdown) if len(one.chain) >= int(by) else None)
