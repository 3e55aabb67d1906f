"""All event types fell at once: were logs lost, or did people do less?

When a part of a source's logs is lost (batches that never arrive), four things hold together. The events fell. Every
type fell by about the same factor, for a batch does not look at what it carries; what people do less of differs by
type. The actors hardly fell, for who is active sends many batches a day. And event types that go together, such as an
open and its close, no longer do: one of the two is lost without the other.

Where actors fell as the events did, people stayed away or all that some of them sent is lost: events cannot tell. Where
pairs are as whole as before, people did less of everything or whole sessions are lost. Where no two types go together
there is nothing to see it by. Where pairs broke and all types fell, but by different factors, logs were lost and
something else happened as well. None of these is a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import pyarrow as pa

from tidelake.analyses.change.daily import Bools, Daily, Floats, logs_of, step
from tidelake.analyses.change.hypotheses import excess, percent
from tidelake.analyses.change.one_dimension import homogeneity

Reading = Literal["lost", "lost in part", "people", "less of everything", "nothing to see it by"]
LEAST_FALL = 0.08
LEAST_EVENTS = 100  # of a type on all days before, for it to be looked at
LEAST_TYPES = 3
LARGE = 0.05  # of all events: types that must be near the others by their estimate
NEAR = 1 / 3  # of the fall (logarithms), within which a type's own is about the same, beside its standard error
SHARED = 0.5  # of the fall (logarithms), that every large type has at least
UNLIKE = 0.001
ALIKE = 0.6  # of actors' days that have as many of one type as of the other: a pair
BROKEN = 0.2  # of the fall, by which fewer days do
STAYED = 0.5  # of the fall (logarithms): actors that fell less have stayed


@dataclass(frozen=True)
class Tracking:
    """What a fall of all event types looks like.

    Attributes:
        reading: lost: logs were lost; lost in part: and types fell differently besides; people: actors fell as well;
            less of everything: pairs are whole; or nothing to see it by.
        fall: Relative change of all events.
        smallest: Relative change of the type that fell least, among the large ones.
        largest: Of the one that fell most.
        actors: Relative change of the daily actors.
        pair: The two types of the pair that broke most; None without any.
        alike_before: Share of actors' days on which the pair was whole before.
        alike_after: After.
        words: All of that.
    """

    reading: Reading
    fall: float
    smallest: float
    largest: float
    actors: float
    pair: tuple[str, str] | None
    alike_before: float
    alike_after: float
    words: str


@dataclass(frozen=True)
class _Spread:
    least: float
    most: float
    is_alike: bool


@dataclass(frozen=True)
class _Pair:
    names: tuple[str, str]
    before: float
    after: float
    is_sure: bool


def tracking(
    counts: pa.Table, actors: pa.Table, pairs: pa.Table, *, days: Sequence[date], onset: date
) -> Tracking | None:
    """How all event types of a source fell; None where they did not, or not alike.

    Args:
        counts: `day, event_name, events`.
        actors: `day, actors`.
        pairs: `day, first, second, actor_days, alike`.
        days: The days that count, before and after.
        onset: First day of the new level.
    """
    table = counts.rename_columns(["value" if name == "events" else name for name in counts.column_names])
    daily = Daily.of(table, days)
    after = daily.after(onset)
    whole = step(logs_of(daily.parts()[0]), after, daily.weekdays)
    if whole is None or whole.bounds()[1] >= 0 or np.expm1(whole.log) > -LEAST_FALL:
        return None
    spread = _spread(daily, onset, whole.log)
    if spread is None:
        return None
    people = _actors(actors, daily, after)
    pair = _most_broken(pairs, daily, after)
    fall = float(np.expm1(whole.log))
    is_broken = pair is not None and pair.is_sure and pair.before - pair.after >= BROKEN * -fall
    if not spread.is_alike and not is_broken:
        return None
    reading: Reading = (
        "people"
        if people < STAYED * whole.log
        else "nothing to see it by"
        if pair is None
        else ("lost" if spread.is_alike else "lost in part")
        if is_broken
        else "less of everything"
    )
    return _told(reading, fall, spread, float(np.expm1(people)), pair)


def _spread(daily: Daily, onset: date, fall: float) -> _Spread | None:
    """How differently the types fell; None where a type did not fall, or there are too few."""
    _, above, below = daily.by("event_name")
    after = daily.after(onset)
    old = above[:, ~after].sum(axis=1)
    looked = np.flatnonzero(old >= LEAST_EVENTS)
    if len(looked) < LEAST_TYPES:
        return None
    total = above.sum(axis=0)
    weights = old / old.sum()
    effects, scores, is_alike = [], [], True
    for at in looked:
        own = step(logs_of(above[at]), after, daily.weekdays)
        against = excess(daily, (above[at], below[at]), (total - above[at], below[at]), onset)
        if own is None or against is None:
            return None
        scores.append(against.step.z)
        if weights[at] >= LARGE:
            if own.log > SHARED * fall:
                return None
            is_alike &= abs(own.log - fall) <= NEAR * abs(fall) + against.step.error
            effects.append(float(np.expm1(own.log)))
    if not effects:
        return None
    is_alike &= homogeneity(np.array(scores), weights[looked]) >= UNLIKE
    return _Spread(max(effects), min(effects), is_alike)


def _actors(table: pa.Table, daily: Daily, after: Bools) -> float:
    """Step of the logarithm of daily actors; -inf where it cannot be estimated."""
    known = {row["day"]: float(row["actors"]) for row in table.to_pylist()}
    found = step(logs_of(np.array([known.get(day, 0.0) for day in daily.days])), after, daily.weekdays)
    return -float("inf") if found is None else found.log


def _most_broken(pairs: pa.Table, daily: Daily, after: Bools) -> _Pair | None:
    """The pair of event types that goes together least of what it did."""
    place = {day: at for at, day in enumerate(daily.days)}
    known: dict[tuple[str, str], tuple[Floats, Floats]] = {}
    for row in pairs.to_pylist():
        if row["day"] in place:
            size = len(daily.days)
            every, alike = known.setdefault((row["first"], row["second"]), (np.zeros(size), np.zeros(size)))
            every[place[row["day"]]], alike[place[row["day"]]] = row["actor_days"], row["alike"]
    found = []
    for names, (every, alike) in sorted(known.items()):
        if min(every[~after].sum(), every[after].sum()) < LEAST_EVENTS:
            continue
        before, later = (float(alike[side].sum() / every[side].sum()) for side in (~after, after))
        if before >= ALIKE:
            moved = step(np.where(every > 0, alike / np.maximum(every, 1), np.nan), after, daily.weekdays)
            is_sure = moved is not None and moved.bounds(1 - UNLIKE)[1] < 0
            found.append(_Pair(names, before, later, is_sure))
    return max(found, key=lambda one: (one.is_sure, one.before - one.after), default=None)


def _told(reading: Reading, fall: float, spread: _Spread, people: float, pair: _Pair | None) -> Tracking:
    alike = "every type alike" if spread.is_alike else "types differently"
    said = f"all events changed by {percent(fall)}, {alike} ({percent(spread.least)} to {percent(spread.most)})"
    said += f", daily actors by {percent(people)}" if people > -1 else ""
    if pair is not None:
        one, other = pair.names
        said += (
            f"; {one} and {other} are as many on {100 * pair.after:.0f} % of actors' days, "
            f"{100 * pair.before:.0f} % before"
        )
    said += {
        "lost": ": a part of the logs is lost, and nothing can be said of what people did",
        "lost in part": ": a part of the logs is lost, and something else happened as well",
        "people": ": people stayed away, or all that some of them sent is lost; these data cannot tell",
        "less of everything": ": people did less of everything, or whole sessions are lost; these data cannot tell",
        "nothing to see it by": ": logs may be lost, but no two event types go together here by which it could be seen",
    }[reading]
    return Tracking(
        reading=reading,
        fall=fall,
        smallest=spread.least,
        largest=spread.most,
        actors=people,
        pair=pair.names if pair else None,
        alike_before=pair.before if pair else float("nan"),
        alike_after=pair.after if pair else float("nan"),
        words=said,
    )
