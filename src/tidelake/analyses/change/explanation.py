"""What an explanation is handed over as: tables for people, one document for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from tidelake.analyses.change.explain import Explained
from tidelake.analyses.change.located import Located, Part, Segment
from tidelake.analyses.change.recommend import Recommendation
from tidelake.analyses.change.words import amount, day_text, percent, where_text
from tidelake.engine.result import Result

_SHARE = {"unit": "share"}


@dataclass(frozen=True, repr=False)
class Explanation(Result):
    """Why a metric moved; as a table the segments that carry the change, the largest first.

    Attributes:
        found: Every finding, with its numbers.
        headline: The answer in one or two sentences.
        recommendations: What to do.
        parts: More tables, in the order in which they are read.
    """

    found: Explained | None = field(default=None, repr=False)
    headline: tuple[str, ...] = ()
    recommendations: tuple[Recommendation, ...] = ()
    parts: tuple[Result, ...] = ()

    def document(self) -> dict[str, Any]:
        """The explanation as one JSON object; docs/explain.md says what stands in it."""
        return document(self)

    def tables(self) -> list[Result]:
        """All tables with rows, in the order in which they are read."""
        own = [self.for_people()] if len(self) else []
        return [*own, *(part for part in self.parts if len(part)), *self._advice()]

    def for_people(self) -> Result:
        """The segments, each under one name."""
        dims = self.found.days.dims if self.found is not None else ()
        table = self.table.drop_columns([dim for dim in dims if dim in self.table.column_names])
        table = table.drop_columns(["gain"])
        return Result(table, title="Where it moved", notes=self.notes)

    def _advice(self) -> list[Result]:
        if not self.recommendations:
            return []
        columns = {
            "Priority": [one.priority for one in self.recommendations],
            "Stakeholder": [one.stakeholder for one in self.recommendations],
            "Recommendation": [one.text for one in self.recommendations],
            "Monitoring KPI": [one.kpi_text or None for one in self.recommendations],
        }
        return [Result(pa.table(columns), title="What to do")]


def headline(found: Explained) -> tuple[str, ...]:
    """The answer in a few sentences."""
    name, unit = found.subject.name, found.subject.unit
    first, last = found.days.calendar.day(0), found.days.calendar.day(len(found.days.calendar) - 1)
    if found.verdict == "data_fault":
        why = found.fault.evidence if found.fault is not None else "rows are missing"
        return (f"{name}: the data are not whole, so that no change is shown: {why}.",)
    if found.verdict == "cannot_be_told":
        return (f"{name}: it cannot be told why it moved, or whether. {' '.join(found.notes)}".strip(),)
    if found.verdict == "no_change" or found.located is None or found.spans is None:
        about = f"from {day_text(first)} to {day_text(last)}"
        if found.spans is not None and found.located is not None:
            about = f"on {day_text(found.days.calendar.day(found.spans.at))}"
            said = f" ({_moved(found.located.whole, found)})" if found.located.whole.effect is not None else ""
            return (f"{name}: no change {about} beyond what it does by chance{said}.",)
        return (f"{name}: no lasting change {about} beyond what it does by chance.",)
    place, compared, calendar = found.located, found.spans, found.days.calendar
    span = f"from {day_text(calendar.day(compared.at))} to {day_text(calendar.day(compared.until))}"
    lines = [f"{name} {span}: {_moved(place.whole, found)}."]
    if found.onset is not None:
        low, high = (day_text(calendar.day(at)) for at in (found.onset.onset.low, found.onset.onset.high))
        begun = day_text(calendar.day(found.onset.onset.at))
        where = f", seen in {where_text(found.onset.within)} against all others" if found.onset.within else ""
        between = f"90 % interval {low} to {high}" if low != high else "90 % interval: that day"
        lines.append(f"It began on {begun} ({between}){where}.")
    if found.verdict == "everywhere":
        most = "; ".join(_graded(segment) for segment in place.segments[:4])
        lines.append(f"No single segment carries it: it moved everywhere{f', most of all {most}' if most else ''}.")
    elif place.segments:
        listed = "; ".join(where_text(segment.cause.values) for segment in place.segments[:4])
        more = f" and {len(place.segments) - 4} more" if len(place.segments) > 4 else ""
        part = f", {percent(place.explained, signed=False)} of the change" if place.explained is not None else ""
        rest = f"; all others {percent(place.rest.effect)}" if place.rest and place.rest.effect is not None else ""
        if found.verdict == "mix":
            share = f", {percent(place.explained, signed=False)} of the change" if place.explained is not None else ""
            lines.append(f"It is the mix{share}: {listed}{more} changed in weight.")
        else:
            lines.append(f"Carried by {listed}{more}{part}{rest}.")
    if found.loss is not None:
        lost, least, greatest = found.loss.lost, found.loss.low, found.loss.high
        word = "fewer" if lost >= 0 else "more"
        if lost < 0:
            least, greatest = -greatest, -least
        unit = _sum_unit(unit)
        of = f" {found.subject.counted}" if found.subject.counted else ""
        sure = "calibrated" if found.loss.is_calibrated else "not calibrated"
        between = f"90 % interval {amount(least, unit)} to {amount(greatest, unit)}, {sure}"
        word = {"fewer": "less", "more": "more"}[word] if unit == "s" else word
        lines.append(f"In all {amount(abs(lost), unit)}{of} {word} than expected ({between}).")
    return tuple(lines)


def _graded(segment: Segment) -> str:
    return f"{where_text(segment.cause.values)} ({percent(segment.part.effect)})"


def _sum_unit(unit: str | None) -> str | None:
    return None if unit == "share" else unit


def _moved(part: Part, found: Explained) -> str:
    unit, a_day = found.subject.unit, "" if found.days.is_ratio else " a day"
    return f"{amount(part.after, unit)}{a_day} where {amount(part.before, unit)} was expected ({percent(part.effect)})"


def segments_table(place: Located | None, found: Explained) -> pa.Table:
    """One row a segment that carries the change."""
    dims = found.days.dims
    segments = place.segments if place is not None else ()
    columns: dict[str, Any] = {
        "segment": pa.array([where_text(one.cause.values) for one in segments], pa.string()),
        "what": pa.array([one.cause.kind for one in segments], pa.string()),
        "expected": pa.array([one.part.before for one in segments], pa.float64()),
        "seen": pa.array([one.part.after for one in segments], pa.float64()),
        "effect": pa.array([one.part.effect for one in segments], pa.float64()),
        "share_of_change": pa.array([one.share for one in segments], pa.float64()),
        "gain": pa.array([one.cause.gain for one in segments], pa.float64()),
    }
    columns |= {dim: pa.array([one.cause.values.get(dim) for one in segments], pa.string()) for dim in dims}
    unit = {"unit": found.subject.unit} if found.subject.unit else None
    units = {"expected": unit, "seen": unit, "effect": _SHARE, "share_of_change": _SHARE}
    fields = [pa.field(name, values.type, metadata=units.get(name)) for name, values in columns.items()]
    return pa.table(list(columns.values()), schema=pa.schema(fields))


def document(one: Explanation) -> dict[str, Any]:
    """An explanation as one object of texts, numbers and lists."""
    found = one.found
    assert found is not None
    calendar, place, compared = found.days.calendar, found.located, found.spans
    said: dict[str, Any] = {
        "metric": found.subject.name,
        "title": found.subject.title,
        "unit": found.subject.unit,
        "definition_version": found.subject.version,
        "verdict": found.verdict,
        "headline": list(one.headline),
        "days": {
            "first": calendar.day(0),
            "last": calendar.day(len(calendar) - 1),
            "left_out": [calendar.day(at) for at in np.flatnonzero(~calendar.known)],
        },
        "fault": None if found.fault is None else vars(found.fault),
        "baseline": None,
        "window": None,
        "onset": None,
        "change": None,
        "segments": [],
        "rest": None,
        "rate": place.rate if place is not None else None,
        "mix": place.mix if place is not None else None,
        "explained": place.explained if place is not None else None,
        "loss": None,
    }
    if compared is not None:
        said["baseline"] = _span(compared.baseline, found)
        said["window"] = _span(compared.window, found)
    if found.onset is not None:
        step = found.onset.onset
        named = {"day": calendar.day(step.at), "low": calendar.day(step.low), "high": calendar.day(step.high)}
        said["onset"] = {**named, "effect": step.effect, "score": step.score, "within": found.onset.within}
    if place is not None:
        said["change"] = _part(place.whole)
        said["rest"] = _part(place.rest) if place.rest is not None else None
        said["segments"] = [
            {
                "where": dict(segment.cause.values),
                "kind": segment.cause.kind,
                **_part(segment.part),
                "share_of_change": segment.share,
                "gain": segment.cause.gain,
            }
            for segment in place.segments
        ]
    if found.loss is not None:
        loss = found.loss
        said["loss"] = {
            "lost": loss.lost,
            "low": loss.low,
            "high": loss.high,
            "level": 0.9,
            "method": loss.method,
            "is_calibrated": loss.is_calibrated,
            "coverage": loss.coverage,
            "note": loss.note,
        }
    said["tables"] = {part.title: part.to_dicts() for part in one.parts}
    said["recommendations"] = [
        {
            "priority": advice.priority,
            "stakeholder": advice.stakeholder,
            "recommendation": advice.text,
            "monitoring_kpi": advice.kpi_text,
            "kpi": None if advice.kpi is None else vars(advice.kpi) | {"where": dict(advice.kpi.where)},
        }
        for advice in one.recommendations
    ]
    said["sources"] = [{"table": source.table, "version": source.version} for source in one.sources]
    said["notes"] = list(one.notes)
    said["sql"] = one.sql
    return said


def _part(part: Part) -> dict[str, Any]:
    return {"expected": part.before, "seen": part.after, "effect": part.effect}


def _span(mask: Sequence[bool] | Any, found: Explained) -> dict[str, Any]:
    held = np.flatnonzero(mask)
    calendar = found.days.calendar
    return {"first": calendar.day(held[0]), "last": calendar.day(held[-1]), "days": len(held)}
