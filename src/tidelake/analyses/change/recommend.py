"""What to do about a change, and by which number it will be seen to have helped: drawn from what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from tidelake.analyses.change.days import Days
from tidelake.analyses.change.explain import Explained, with_history
from tidelake.analyses.change.faults import Fault
from tidelake.analyses.change.located import Segment
from tidelake.analyses.change.words import amount, day_text, percent, where_text

_SOON, _LATER, _LONG = 2, 14, 90  # days until a number must be back
_SURE = 1.6448536269514722  # one-sided 95 % point of the normal distribution
_NEW = 0.02  # most of a value's rows that lie before the change, for it to be new


@dataclass(frozen=True)
class Kpi:
    """A number that must be back.

    Attributes:
        metric: Which.
        where: In which segment; empty = the whole.
        level: What a day must have.
        is_least: Whether it must be at least, or at most, the level.
        by: On which day.
    """

    metric: str
    where: Mapping[str, str]
    level: float
    is_least: bool
    by: date


@dataclass(frozen=True)
class Recommendation:
    """What to do.

    Attributes:
        priority: P1 is first.
        stakeholder: Whose task it is.
        text: What, because of which finding.
        kpi: By which number it is judged; null where none can be.
        kpi_text: The same in words.
    """

    priority: str
    stakeholder: str
    text: str
    kpi: Kpi | None
    kpi_text: str


def recommendations(found: Explained, factors: Sequence[str] = (), missing: Sequence[str] = ()) -> list[Recommendation]:
    """What to do about what was found; nothing where nothing moved.

    Args:
        factors: In words, which factors of the metric moved, the largest first.
        missing: Columns that a declared hypothesis needs and the data lack.
    """
    if found.fault is not None:
        return [_repair(found.fault)]
    if found.located is None or found.spans is None or found.verdict in ("no_change", "cannot_be_told", "data_fault"):
        return []
    moved = found.located.whole.effect or 0.0
    since = day_text(found.days.calendar.day(found.spans.at))
    is_everywhere = found.verdict == "everywhere"
    listed = [] if is_everywhere else [_act(found, segment, since) for segment in found.located.segments[:3]]
    if not listed:
        text = (
            f"Look for what reached everybody at once about {since}: no value of "
            f"{' or '.join(found.days.dims) or 'any dimension'} carries it by itself."
        )
        listed = [_with_kpi(found, "P1", "Engineering", text, {}, _SOON)]
    listed.append(_look_into(found, factors, missing, moved))
    by = " ".join(f"--by {dim}" for dim in (_first(found) or dict.fromkeys(found.days.dims[:1])))
    listed.append(_prevention(found, by))
    return listed


def _look_into(found: Explained, factors: Sequence[str], missing: Sequence[str], moved: float) -> Recommendation:
    """What is to be understood: the factor that moved, or why a segment grew."""
    more = f" Log {', '.join(missing)}: what needs it could not be tested." if missing else ""
    if found.verdict == "mix":
        text = f"Find out why the weight of {where_text(_first(found))} changed, and whether that is wanted.{more}"
        return Recommendation("P2", "Data Science", text, None, "Its share of all, week by week.")
    there = "" if found.verdict == "everywhere" else " there"
    why = f": {factors[0]}" if factors else ""
    text = f"Find out why {found.subject.name} {'fell' if moved < 0 else 'rose'}{there}{why}.{more}"
    return _with_kpi(found, "P2", "Data Science", text, {} if not there else _first(found), _LATER)


def _repair(fault: Fault) -> Recommendation:
    span = f"{day_text(fault.first_day)} to {day_text(fault.last_day)}"
    text = f"Repair the data of {fault.source} from {span} before anything is read from them: {fault.evidence}."
    said = f"every day from {span} complete, and the number explained again"
    return Recommendation("P1", "Data Engineering", text, None, said)


def _first(found: Explained) -> Mapping[str, str]:
    segments = found.located.segments if found.located is not None else ()
    return segments[0].cause.values if segments else {}


def _act(found: Explained, segment: Segment, since: str) -> Recommendation:
    values = segment.cause.values
    effect = percent(segment.part.effect)
    fresh = _new_value(found, values)
    if segment.cause.kind == "mix":
        text = f"{where_text(values)} has another share of all since {since}: judge the segments by themselves."
        return Recommendation("P1", "Product", text, None, "Every segment's own number; the whole moves with its mix.")
    if fresh is not None:
        dim, before = fresh
        rest = {name: value for name, value in values.items() if name != dim}
        there = f" in {where_text(rest)}" if rest else ""
        back = f" to {before}" if before else ""
        moved = f", {effect} there" if segment.part.effect is not None else ""
        text = f"Roll {dim} {values[dim]} back{back}{there}: it came with the change{moved}."
    elif (segment.part.effect or 0.0) > 0:
        text = f"Find what changed for {where_text(values)} about {since}, and undo it if not wanted: {effect} there."
    else:
        text = f"Find and undo what changed for {where_text(values)} about {since}: {effect} there."
    return _with_kpi(found, "P1", "Engineering", text, values, _SOON)


def _new_value(found: Explained, values: Mapping[str, str]) -> tuple[str, str | None] | None:
    """The dimension whose value in a segment appeared with the change, and the value that most had before."""
    assert found.spans is not None
    for dim, value in values.items():
        lines = found.days.lines([dim])
        held = lines.denominator if lines.denominator is not None else lines.numerator
        totals = {name[0]: row for name, row in zip(lines.names, held, strict=True)}
        own = totals.get(value)
        if own is None or own.sum() <= 0:
            continue
        earlier = float(own[: found.spans.at].sum())
        if earlier <= _NEW * float(own.sum()):
            others = {name: float(row[: found.spans.at].sum()) for name, row in totals.items() if name != value}
            return dim, max(others, key=lambda name: others[name]) if others else None
    return None


def _with_kpi(
    found: Explained, priority: str, who: str, text: str, where: Mapping[str, str], days: int
) -> Recommendation:
    kpi = _kpi(found.days, found, where, days)
    if kpi is None:
        return Recommendation(priority, who, text, None, "")
    there = f" of {where_text(kpi.where)}" if kpi.where else ""
    unit = found.subject.unit
    least = "at least" if kpi.is_least else "at most"
    a_day = "" if found.days.is_ratio else " a day"
    unless = "" if kpi.is_least else "if the rise is not wanted: "
    said = f"{unless}{kpi.metric}{there} {least} {amount(kpi.level, unit)}{a_day} by {day_text(kpi.by)}"
    return Recommendation(priority, who, text, kpi, said)


def _kpi(days: Days, found: Explained, where: Mapping[str, str], after: int) -> Kpi | None:
    """The level that nineteen of twenty days before the change would have reached.

    Where the segment came with the change, that of the segment that it was taken from.
    """
    assert found.spans is not None
    assert found.located is not None
    known = with_history(days, [where], found.spans) if where else []
    where = known[0] if known else {}
    value = days.lines(within=known or None).value[0]
    before = value[found.spans.baseline]
    before = before[np.isfinite(before)]
    if not len(before):
        return None
    middle, spread = float(before.mean()), float(before.std(ddof=1)) if len(before) > 1 else 0.0
    since = value[found.spans.window]
    is_least = float(since[np.isfinite(since)].mean()) < middle if np.isfinite(since).any() else True
    level = middle - _SURE * spread if is_least else middle + _SURE * spread
    due = days.calendar.day(found.spans.until) + timedelta(days=after)
    return Kpi(found.subject.name, dict(where), max(level, 0.0) if middle >= 0 else level, is_least, due)


def _prevention(found: Explained, by: str) -> Recommendation:
    assert found.spans is not None
    assert found.located is not None
    effect = abs(found.located.whole.effect or 0.0)
    due = found.days.calendar.day(found.spans.until) + timedelta(days=_LONG)
    text = f"Watch {found.subject.name} after every build: tide watch {found.subject.name} {by}".strip() + "."
    said = f"no unexplained change of {percent(effect, signed=False)} or more until {day_text(due)}"
    return Recommendation("P3", "Product/Ops", text, None, said)
