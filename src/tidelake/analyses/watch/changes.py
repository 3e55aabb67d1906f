"""Which of a metric's daily series stand at another level than before: the whole, and every value of its dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tidelake.analyses.change.days import Days, Lines
from tidelake.analyses.change.leaves import Floats
from tidelake.analyses.change.onset import Onset, onsets

SEGMENTS = 100
"""Values of one dimension that are looked at: those with most; a note says of the others."""
Kind = Literal["fall", "rise"]


@dataclass(frozen=True)
class Change:
    """A series at a new level.

    Attributes:
        segment: Which, by dimension; empty = the whole.
        onset: Since when, by how much, how sure.
    """

    segment: Mapping[str, str]
    onset: Onset

    @property
    def kind(self) -> Kind:
        """Whether it fell or rose."""
        return "fall" if self.onset.effect < 0 else "rise"


@dataclass(frozen=True)
class Changes:
    """What one look at a metric found.

    Attributes:
        found: The whole first, then segments by dimension in the order of their weight.
        series: How many were looked at.
        notes: Which segments were left out.
    """

    found: tuple[Change, ...]
    series: int
    notes: tuple[str, ...] = ()


def changes(
    days: Days,
    *,
    by: Sequence[str] = (),
    segment: Mapping[str, str] | None = None,
    direction: Kind | Literal["both"] = "both",
    error: float = 0.005,
) -> Changes:
    """Series that stand at a new level, with false alarms bounded over all of them together.

    Each series is judged by its own numbers, so where everything falls each segment is told too. Days before the first
    row of a segment do not count: what is new has no level before.

    Args:
        by: Dimensions, each of whose values is looked at.
        segment: Only rows that have these values.
        direction: Which changes are given; all are looked for, so that the bound holds.
        error: Most expected share of false ones among those found by one look (`onset.onsets`).
    """
    own = dict(segment or {})
    within = [own] if own else None
    calendar = days.calendar
    names: list[dict[str, str]] = [own]
    values: list[Floats] = [_since_first(days.lines(within=within), 0)]
    notes: list[str] = []
    for dim in by:
        lines = days.lines([dim], within=within)
        weight = lines.numerator if lines.denominator is None else lines.denominator
        order = np.argsort(-weight.sum(axis=1), kind="stable")
        if len(order) > SEGMENTS:
            notes.append(f"Of {len(order):,} values of {dim} the {SEGMENTS} with most were looked at.")
        for at in order[:SEGMENTS]:
            names.append({**own, dim: lines.names[at][0]})
            values.append(_since_first(lines, int(at)))
    steps = onsets(np.array(values), calendar.weekdays, known=calendar.known, error=error)
    found = [Change(name, step) for name, step in zip(names, steps, strict=True) if step is not None]
    told = tuple(one for one in found if direction in ("both", one.kind))
    return Changes(told, len(names), tuple(notes))


def _since_first(lines: Lines, at: int) -> Floats:
    """A segment's number day by day; nan before its first row."""
    value = np.array(lines.value[at], dtype=np.float64)
    held = np.flatnonzero(lines.numerator[at] if lines.denominator is None else lines.denominator[at])
    value[: held[0] if len(held) else len(value)] = np.nan
    return value
