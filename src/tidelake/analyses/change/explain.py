"""Why did it move: the steps, one after the other, and what they found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tidelake.analyses.change.cuts import Cut, cuts
from tidelake.analyses.change.days import Days, Lines, weights
from tidelake.analyses.change.faults import Fault
from tidelake.analyses.change.leaves import Floats, column
from tidelake.analyses.change.located import Located, located
from tidelake.analyses.change.loss import Loss, loss, loss_of_ratio
from tidelake.analyses.change.spans import Asked, Found, Spans, found_onset, spans
from tidelake.analyses.change.words import day_text
from tidelake.errors import DefinitionError

Verdict = Literal["data_fault", "no_change", "segments", "mix", "everywhere", "cannot_be_told"]
_CONTROLS = 50  # most segments that serve as controls
_LEAST_DAYS = 3  # before the change, for anything to be told
_LEAST_SEARCHED = 9  # days among which a change can be looked for: seven before and two after
_NEGATIVE = 0.01  # most of what is added up that may lie below 0


@dataclass(frozen=True)
class Subject:
    """The metric that is explained.

    Attributes:
        unit: What it is counted in; `share` is a part of 1.
        counted: What the sum counts that a loss is told in: plays of plays_per_user.
        version: Hash of the definition.
    """

    name: str
    title: str
    unit: str | None = None
    counted: str = ""
    version: str = ""


@dataclass(frozen=True)
class Line:
    """Daily numbers for a chart: what was seen and what was expected.

    Attributes:
        of: The segment, empty = the whole.
        seen: Shape (days,); nan where a day does not count.
        expected: Shape (days,); nan before the change.
    """

    of: dict[str, str]
    seen: Floats
    expected: Floats


@dataclass(frozen=True)
class Explained:
    """What is known of a change.

    Attributes:
        verdict: data_fault: the data are not whole; no_change: there is none; segments: some segments carry it; mix:
            their shares do; everywhere: no single segment does; cannot_be_told: too few days.
        first, last: The days that were looked at.
        onset: When it began, and in what it was found; null where no day was named and no step is there.
        spans: The days that are compared; null where nothing is.
        located: Where it lies; null where nothing is compared.
        loss: What it cost, in what the metric adds up (a ratio: its numerator); null where nothing moved.
        affected: Shape (days,): what the loss is of, as it was seen; null without a loss.
        lines: Daily numbers of the whole and of the segments.
        cuts: Every value of each dimension before and after.
        fault: What is wrong with the data, where that explains the change.
        notes: What a reader must know.
    """

    subject: Subject
    verdict: Verdict
    days: Days
    onset: Found | None = None
    spans: Spans | None = None
    located: Located | None = None
    loss: Loss | None = None
    affected: Floats | None = None
    lines: tuple[Line, ...] = ()
    cuts: tuple[Cut, ...] = ()
    fault: Fault | None = None
    notes: tuple[str, ...] = ()


def explained(days: Days, subject: Subject, asked: Asked, *, depth: int | None = None) -> Explained:
    """A change: since when, where, and what it cost.

    Args:
        depth: Most dimensions in one segment.

    Raises:
        DefinitionError: The days asked for are not there, or what is added up is negative.
    """
    if depth is not None and depth < 1:
        raise DefinitionError(f"A segment of {depth} dimensions is none.", hint="Ask for a depth of 1 or more.")
    calendar = days.calendar
    counted = int(calendar.known.sum())
    if asked.first is None and counted < _LEAST_SEARCHED:
        many = f"{counted} day{'' if counted == 1 else 's'}"
        note = f"{many} can be looked at; to find a change at least {_LEAST_SEARCHED} are needed, or its day (--at)."
        return Explained(subject, "cannot_be_told", days, notes=(note,))
    step = found_onset(days, asked)
    if asked.first is None and step is None:
        return Explained(subject, "no_change", days)
    at = calendar.at(asked.first) if asked.first is not None else step.onset.at if step is not None else 0
    compared = spans(calendar, asked, at)
    check_signs(days, compared, subject.name)
    if (nothing := _nothing_before(days, compared)) is not None:
        return Explained(subject, "cannot_be_told", days, step, compared, notes=(nothing,))
    place = located(
        days,
        compared.baseline,
        compared.window,
        depth=depth,
        is_sure=step is not None and not step.within,
        seen_in=step.within if step is not None else None,
    )
    if place.place == "nowhere":
        return Explained(subject, "no_change", days, step, compared, place, cuts=tuple(cuts(days, compared)))
    hit = with_history(days, place.cells, compared) if place.place == "segments" else []
    inside = days.lines(within=hit) if hit else days.lines()
    return Explained(
        subject,
        place.place,
        days,
        step,
        compared,
        place,
        loss=_loss(days, hit, compared, inside) if place.place != "mix" else None,
        affected=np.where(calendar.known, inside.numerator[0], np.nan),
        lines=tuple(_lines(days, place, compared)),
        cuts=tuple(cuts(days, compared)),
    )


def check_signs(days: Days, compared: Spans, name: str) -> None:
    """Raise where much of what is added up is negative: shares and relative changes of it mean nothing.

    Raises:
        DefinitionError: More than a hundredth of the sums by combination, by size, lies below 0.
    """
    if days.least() >= 0:
        return
    leaves = days.leaves(*weights(days.calendar, compared.baseline, compared.window))
    for part in leaves.column_names[len(days.dims) :]:
        sums = column(leaves, part)
        if float(-sums[sums < 0].sum()) > _NEGATIVE * float(np.abs(sums).sum()):
            many = f"{int((sums < 0).sum())} of {len(sums)} combinations of {', '.join(days.dims)}"
            where = f" in {many}" if days.dims else ""
            raise DefinitionError(
                f"{name} is negative{where}, so that shares and relative changes of it mean nothing.",
                hint="Explain what adds to it and what takes from it as two metrics, such as sales and refunds.",
            )


def _nothing_before(days: Days, compared: Spans) -> str | None:
    """In words, where there is nothing before the change, or nothing at all, that could be compared."""
    lines = days.lines()
    held = lines.numerator if lines.denominator is None else lines.denominator
    before, after = (float(held[0][span].sum()) for span in (compared.baseline, compared.window))
    since = day_text(days.calendar.day(compared.at))
    what = "It" if lines.denominator is None else "Its denominator"
    if before <= 0 and after <= 0:
        return f"{what} is 0 on all days before {since} and on all days from then on."
    if before <= 0:
        return f"{what} is 0 on all days before {since} and not from then on: there is nothing to compare with."
    if after <= 0 and lines.denominator is not None:
        return f"{what} is 0 on all days from {since} on: there is nothing to compare."
    return None


def with_history(days: Days, cells: Sequence[Mapping[str, str]], compared: Spans) -> list[dict[str, str]]:
    """Segments without the values that came with the change: what those who have them now did before stands elsewhere.

    A version that appears with the fall took its users from other versions: the loss is that of all versions in the
    rest of the segment. Empty where nothing is left, so that it is that of the whole.
    """
    found: list[dict[str, str]] = []
    for cell in cells:
        kept = {dim: value for dim, value in cell.items() if _was_there(days, dim, value, compared)}
        if not kept:
            return []
        if kept not in found:
            found.append(kept)
    return found


def _was_there(days: Days, dim: str, value: str, compared: Spans) -> bool:
    lines = days.lines(within=[{dim: value}])
    held = (lines.numerator if lines.denominator is None else lines.denominator)[0]
    return int((held[compared.baseline] > 0).sum()) >= _LEAST_DAYS


def _loss(days: Days, cells: Sequence[Mapping[str, str]], compared: Spans, inside: Lines) -> Loss | None:
    """What was lost in the segments that carry the change, with all others as controls; else in the whole."""
    if not inside.numerator.any() or int((compared.baseline & days.calendar.known).sum()) < _LEAST_DAYS:
        return None
    controls = _controls(days, cells) if cells else None
    calendar = days.calendar
    counted = calendar.known & (compared.baseline | (np.arange(len(calendar)) >= compared.at))
    where = (calendar.weekdays, compared.at, compared.until + 1)
    above = controls.numerator if controls is not None else np.empty((0, len(calendar)))
    if inside.denominator is None:
        return loss(inside.numerator[0], above, *where, known=counted)
    below = controls.denominator if controls is not None and controls.denominator is not None else above
    return loss_of_ratio(inside.numerator[0], inside.denominator[0], above, below, *where, known=counted).numerator


def _controls(days: Days, cells: Sequence[Mapping[str, str]]) -> Lines:
    """The segments outside, by the dimension that cuts them into most, up to 50; one where none does."""
    first = next(iter(cells[0]))
    candidates = [days.lines([dim], outside=cells) for dim in (first, *(dim for dim in days.dims if dim != first))]
    fitting = [lines for lines in candidates if 2 <= len(lines.names) <= _CONTROLS]
    return fitting[0] if fitting else days.lines(outside=cells)


def _lines(days: Days, place: Located, compared: Spans) -> list[Line]:
    """The whole, each segment and the rest, day by day."""
    found: list[tuple[Mapping[str, str], Lines]] = [({}, days.lines())]
    found += [(cell, days.lines(within=[cell])) for cell in place.cells]
    return [_line(dict(name), lines, days, compared) for name, lines in found]


def _line(name: dict[str, str], lines: Lines, days: Days, compared: Spans) -> Line:
    seen = np.where(days.calendar.known, lines.value[0], np.nan)
    hoped = np.full(len(seen), np.nan)
    weekdays = days.calendar.weekdays
    for at in np.flatnonzero(compared.window):
        alike = compared.baseline & (weekdays == weekdays[at])
        chosen = alike if alike.any() else compared.baseline
        if lines.denominator is None:
            hoped[at] = float(lines.numerator[0][chosen].mean())
        else:
            below = float(lines.denominator[0][chosen].sum())
            hoped[at] = float(lines.numerator[0][chosen].sum()) / below if below > 0 else np.nan
    return Line(name, seen, hoped)
