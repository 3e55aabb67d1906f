"""What stands around a change, as tables for people: factors, what is ruled out, suspicions, events, other metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from tidelake.analyses.change.beside import Beside
from tidelake.analyses.change.explain import Explained
from tidelake.analyses.change.faults import Fault
from tidelake.analyses.change.hypotheses import Judged
from tidelake.analyses.change.known_events import Coincidence
from tidelake.analyses.change.one_dimension import Story
from tidelake.analyses.change.tree import Moved
from tidelake.analyses.change.words import amount, percent, where_text
from tidelake.engine.result import Result

_SHARE = {"unit": "share"}
_SHARES = ("effect", "share_of_change")


def _rows(rows: Iterable[Mapping[str, Any]], names: Sequence[str], title: str, notes: Sequence[str] = ()) -> Result:
    fields = [
        pa.field(name, pa.float64(), metadata=_SHARE) if name in _SHARES else pa.field(name, pa.string())
        for name in names
    ]
    return Result(
        pa.Table.from_pylist([dict(row) for row in rows], schema=pa.schema(fields)), title=title, notes=tuple(notes)
    )


def faults_table(faults: Sequence[Fault]) -> Result:
    """What is unusual about the data around the change."""
    rows = [
        {
            "fault": one.kind.replace("_", " "),
            "source": one.source,
            "first_day": str(one.first_day),
            "last_day": str(one.last_day),
            "evidence": one.evidence,
        }
        for one in faults
    ]
    return _rows(rows, ("fault", "source", "first_day", "last_day", "evidence"), "The data around the change")


def factors_table(moved: Sequence[Moved], found: Explained) -> Result:
    """Each factor before and after, its part of the change, and where it moved."""
    rows = [
        {
            "factor": _called(one.factor.name),
            "expected": amount(one.factor.before),
            "seen": amount(one.factor.after),
            "effect": _known(one.factor.ratio - 1),
            "contribution": amount(one.factor.contribution, found.subject.unit),
            "share_of_change": _known(one.factor.share),
            "where": _where(one),
        }
        for one in moved
    ]
    names = ("factor", "expected", "seen", "effect", "contribution", "share_of_change", "where")
    notes = () if found.days.is_ratio else ("Amounts are those of a mean day.",)
    return _rows(rows, names, f"Which factor of {found.subject.name} moved", notes)


def factor_words(moved: Sequence[Moved], found: Explained) -> list[str]:
    """The factors that carry the change, the largest first."""
    carrying = [one for one in moved if one.factor.share >= 0.25]
    carrying.sort(key=lambda one: -one.factor.share)
    return [
        f"{_called(one.factor.name)} went from {amount(one.factor.before)} to {amount(one.factor.after)} "
        f"({percent(one.factor.share, signed=False)} of the change of {found.subject.name})"
        for one in carrying
    ]


def _called(name: str) -> str:
    """`plays_per_opens` as `plays per open`."""
    above, per, below = name.replace("_", " ").partition(" per ")
    return f"{above}{per}{below.removesuffix('s')}" if per else above


def _known(value: float) -> float | None:
    return None if value != value else value


def _where(one: Moved) -> str | None:
    if one.located is None:
        return None
    if one.located.place == "everywhere":
        return "everywhere"
    return "; ".join(where_text(segment.cause.values) for segment in one.located.segments)


def stories_table(told: Sequence[Story]) -> Result:
    """What each dimension alone would say, with the number that keeps it or rules it out."""
    rows = [{"it is the ...": one.dimension, "verdict": one.verdict, "because": _because(one.words)} for one in told]
    return _rows(rows, ("it is the ...", "verdict", "because"), "Each dimension by itself")


def _because(words: str) -> str:
    return words.partition(": ")[2] or words


def hypotheses_table(judged: Sequence[Judged]) -> Result:
    """Declared hypotheses and their verdicts."""
    rows = [{"hypothesis": one.name, "verdict": one.verdict, "because": _because(one.words)} for one in judged]
    return _rows(rows, ("hypothesis", "verdict", "because"), "Declared hypotheses")


def events_table(events: Sequence[Coincidence]) -> Result:
    """Known events near the onset."""
    rows = [{"event": one.event.name, "coincidence": one.words} for one in events]
    return _rows(rows, ("event", "coincidence"), "Known events (a coincidence is no cause)")


def beside_table(seen: Sequence[Beside], *, notes: Sequence[str] = ()) -> Result:
    """Other metrics before and after, as one row a metric and part of it."""
    rows: list[dict[str, Any]] = []
    for one in seen:
        unit = one.subject.unit
        parts = [("all", one.whole)]
        if one.inside is not None and one.outside is not None:
            within = "; ".join(where_text(cell) for cell in one.cells)
            parts += [(within, one.inside), ("all others", one.outside)]
        for at, (name, part) in enumerate(parts):
            lost = one.lost if at == min(1, len(parts) - 1) else None
            rows.append(
                {
                    "metric": one.subject.name,
                    "of": name,
                    "expected": amount(part.before, unit),
                    "seen": amount(part.after, unit),
                    "effect": part.effect,
                    "lost": None if lost is None else f"{amount(lost, unit)} {one.subject.counted}".strip(),
                }
            )
    names = ("metric", "of", "expected", "seen", "effect", "lost")
    return _rows(rows, names, "Other metrics over the same days", notes)
