"""Data faults before any cause: is the change one of the data and not of what people did?

Looked at, for each source by itself: days that were not received, received in part or are still open; a jump of refused
rows (quarantined, taken for duplicates); fields that vanished or came; and a fall of all event types at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidelake.analyses.change.tracking import tracking
from tidelake.metrics.status import Status

Unfit = Literal["missing", "degraded", "open", "provisional"]
Kind = Unfit | Literal["quarantined", "duplicates", "field_vanished", "field_new", "all_events"]
Floats = NDArray[np.float64]
LEAST_JUMP = 0.01  # of a day's rows, by which the share of refused ones rose
EXPLAINS = 0.5  # of the rows that are missing, refused beyond what was usual: by itself the reason
VANISHED = 0.1  # of the share of rows that had a field before
LEAST_FILLED = 0.001
_UNFIT: Mapping[Unfit, str] = {
    "missing": "was expected and nothing of it came",
    "degraded": "was received in part, or too much of it waits in quarantine",
    "open": "has not ended by what the source has told",
    "provisional": "may still get late rows",
}


@dataclass(frozen=True)
class Fault:
    """Something about the data that befell the days of a change.

    Attributes:
        kind: missing, degraded, open, provisional (days that are not complete), quarantined, duplicates (refused rows),
            field_vanished, field_new, all_events (all event types fell at once).
        source: Whose rows.
        first_day: First day that it befalls.
        last_day: Last day.
        evidence: What was seen, with its numbers.
        number: The one that weighs most: days; rows refused beyond the usual over rows missing; share filled after over
            before; relative fall of all events.
        is_verdict: Whether it explains the change by itself, so that nothing else is to be looked for.
    """

    kind: Kind
    source: str
    first_day: date
    last_day: date
    evidence: str
    number: float
    is_verdict: bool


@dataclass(frozen=True)
class SourceDays:
    """What is known of one source by day; `fault_tables.source_days` reads it from a lake.

    Attributes:
        counts: `day, event_name, events`: rows of silver.
        actors: `day, actors`: distinct actors with any event.
        pairs: `day, first, second, actor_days, alike`: actors' days with one of two event types, and how many of them
            have as many of the one as of the other.
        files: `day, read, quarantined, duplicate`: rows of the files that belong to a day.
        fields: `day, field, rows, filled`: rows of silver, and those with a value.
        statuses: By day, as `metrics.status` tells it.
    """

    source: str
    counts: pa.Table
    actors: pa.Table
    pairs: pa.Table
    files: pa.Table
    fields: pa.Table
    statuses: Mapping[date, Status] = field(default_factory=dict)


def faults(given: SourceDays, *, first: date, onset: date, last: date) -> tuple[Fault, ...]:
    """The faults of a source around a change, verdicts first.

    Args:
        given: Its days.
        first: First day of the time before the change.
        onset: First day of the new level.
        last: Last day that belongs to the change.
    """
    before = [first + timedelta(days=at) for at in range((onset - first).days)]
    after = [onset + timedelta(days=at) for at in range((last - onset).days + 1)]
    found = [
        *_unfit_days(given, before, after),
        *_refused(given, before, after),
        *_fields(given, before, after),
        *_all_events(given, before, after),
    ]
    return tuple(sorted(found, key=lambda one: not one.is_verdict))


def verdict(found: Iterable[Fault]) -> Fault | None:
    """The fault that by itself explains the change; None where there is none."""
    return next((one for one in found if one.is_verdict), None)


# --- days that are not complete


def _unfit_days(given: SourceDays, before: Sequence[date], after: Sequence[date]) -> Iterable[Fault]:
    unfit = {day: status for day in (*before, *after) if (status := given.statuses.get(day)) in _UNFIT}
    nothing_left = bool(after) and all(day in unfit for day in after)
    for status, words in _UNFIT.items():
        days = [day for day, own in unfit.items() if own == status]
        for start, end in _runs(days):
            many = (end - start).days + 1
            is_after = end >= after[0] if after else False
            said = f"{_span(start, end)} {words}"
            if nothing_left and is_after:
                said += "; no complete day is left after the change, so that there is nothing to explain yet"
            elif is_after:
                said += "; such days are left out"
            yield Fault(status, given.source, start, end, said, float(many), nothing_left and is_after)


def _runs(days: Sequence[date]) -> list[tuple[date, date]]:
    found: list[tuple[date, date]] = []
    for day in sorted(days):
        if found and (day - found[-1][1]).days == 1:
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def _span(first: date, last: date) -> str:
    return str(first) if first == last else f"{first} to {last}"


# --- rows that were refused


def _refused(given: SourceDays, before: Sequence[date], after: Sequence[date]) -> Iterable[Fault]:
    rows = {row["day"]: row for row in given.files.to_pylist() if row["read"]}
    old, new = [day for day in before if day in rows], [day for day in after if day in rows]
    if len(old) < 2 or not new:
        return
    events = _by_day(given.counts, "events")
    missing = _missing_rows(events, old, new)
    kinds: tuple[tuple[Kind, str, str], ...] = (
        ("quarantined", "quarantined", "wait in quarantine"),
        ("duplicates", "duplicate", "were taken for duplicates"),
    )
    for kind, name, said in kinds:
        shares = np.array([rows[day][name] / rows[day]["read"] for day in old])
        usual = float(np.median(shares))
        spread = float(np.median(np.abs(shares - usual))) * 1.4826
        limit = usual + max(LEAST_JUMP, 5 * spread, usual)
        high = [day for day in new if rows[day][name] / rows[day]["read"] > limit]
        if not high:
            continue
        refused, read = (sum(rows[day][column] for day in high) for column in (name, "read"))
        extra = refused - usual * read
        part = extra / missing if missing > 0 else float("nan")
        words = (
            f"{refused:,} of {read:,} rows ({100 * refused / read:.1f} %) of {_span(high[0], high[-1])} {said}, "
            f"usual were {100 * usual:.1f} %"
        )
        if missing > 0:
            words += f"; {extra:,.0f} more than usual, where {missing:,.0f} rows are missing"
        yield Fault(kind, given.source, high[0], high[-1], words, part, missing > 0 and part >= EXPLAINS)


def _missing_rows(events: Mapping[date, float], old: Sequence[date], new: Sequence[date]) -> float:
    """Rows that the days after have less than the same weekdays before (where there are none, than all days)."""
    every = [events.get(day, 0.0) for day in old]
    lost = 0.0
    for day in new:
        same = [events.get(one, 0.0) for one in old if one.weekday() == day.weekday()] or every
        lost += float(np.mean(same)) - events.get(day, 0.0)
    return lost


# --- fields


def _fields(given: SourceDays, before: Sequence[date], after: Sequence[date]) -> Iterable[Fault]:
    filled: dict[str, dict[date, tuple[float, float]]] = {}
    for row in given.fields.to_pylist():
        filled.setdefault(row["field"], {})[row["day"]] = (float(row["filled"]), float(row["rows"]))
    for name, days in sorted(filled.items()):
        old, new = _share(days, before), _share(days, after)
        if np.isnan(old) or np.isnan(new):
            continue
        have = [day for day in after if days.get(day, (0.0, 0.0))[0] > 0]
        if old == 0 and new > LEAST_FILLED:
            said = f"field {name} is first filled on {have[0]}: {100 * new:.1f} % of rows since, none before"
            yield Fault("field_new", given.source, have[0], after[-1], said, float("inf"), False)
        elif old > LEAST_FILLED and new < VANISHED * old:
            gone = [day for day in after if days.get(day, (0.0, 0.0))[1] > 0 and day not in have] or list(after)
            said = f"field {name} is filled in {100 * new:.1f} % of rows, {100 * old:.1f} % before"
            yield Fault("field_vanished", given.source, gone[0], gone[-1], said, new / old, False)


def _share(days: Mapping[date, tuple[float, float]], chosen: Sequence[date]) -> float:
    filled, rows = (sum(days[day][at] for day in chosen if day in days) for at in (0, 1))
    return filled / rows if rows else float("nan")


# --- all event types at once


def _all_events(given: SourceDays, before: Sequence[date], after: Sequence[date]) -> Iterable[Fault]:
    fit = [day for day in (*before, *after) if given.statuses.get(day, "complete") not in _UNFIT]
    if not after:
        return
    found = tracking(given.counts, given.actors, given.pairs, days=fit, onset=after[0])
    if found is not None:
        is_verdict = found.reading == "lost"
        yield Fault("all_events", given.source, after[0], after[-1], found.words, found.fall, is_verdict)


def _by_day(table: pa.Table, name: str) -> dict[date, float]:
    found: dict[date, float] = {}
    for row in table.to_pylist():
        found[row["day"]] = found.get(row["day"], 0.0) + float(row[name])
    return found
