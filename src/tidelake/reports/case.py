"""The case study of an engagement collapse: its tables, filled in from explanations and measured numbers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from tidelake.analyses.change.explain import Explained
from tidelake.analyses.change.explanation import Explanation
from tidelake.analyses.change.words import amount, day_text, percent, where_text
from tidelake.engine.result import Result

EXPLAINED = ("watch_seconds", "plays_per_user", "bounce_session")
"""The metrics that the case explains, in the order of its summary."""
BESIDE = ("plays_per_user", "plays", "bounce_session", "opened_not_play", "watch_seconds", "watch_seconds_wall", "dau")
"""The numbers that are laid beside the leading one, over its days and segments."""

_LEADING = ("plays_per_user", "watch_seconds", "bounce_session")
_CALLED = {
    "watch_seconds": "Watch time",
    "watch_seconds_wall": "Watch time, wall (watch_seconds_wall)",
    "plays_per_user": "Plays per user",
    "bounce_session": "Bounce by session",
    "opened_not_play": "Bounce by user-day (opened_not_play)",
    "plays": "Plays",
    "dau": "Daily active users",
}
_LONG = {
    **_CALLED,
    "watch_seconds": "Watch time, net (watch_seconds)",
    "bounce_session": "Bounce by session (bounce_session)",
    "plays_per_user": "Plays per user (plays_per_user)",
}
_MOVED = ("segments", "mix", "everywhere")


def leading(told: Mapping[str, Explanation]) -> str:
    """The metric whose explanation the case follows: the first that says that the data are not whole, else that moved.

    Plays per user comes first: a fall in it is one of behaviour, not of the number of people. Where nothing moved it is
    that one, too.
    """
    for verdicts in (("data_fault",), _MOVED):
        for name in _LEADING:
            if name in told and _found(told[name]).verdict in verdicts:
                return name
    return next(name for name in _LEADING if name in told)


def case(told: Mapping[str, Explanation], measured: Mapping[str, Result]) -> list[Result]:
    """The tables of the case study, in the order in which they are read.

    Args:
        told: Explanations by metric, of those in `EXPLAINED`; the leading one with the metrics of `BESIDE` beside it.
        measured: Daily measures by metric (`numerator` and `denominator`, or `value`), for what did not move.

    Returns:
        Executive summary, recommendations, quantification, hypothesis tree, known events, other numbers over the same
        days; without those that have no rows.
    """
    name = leading(told)
    lead = told[name]
    tables = [
        summary(told),
        recommended(lead),
        quantified(told, name),
        hypothesis_tree(lead),
        *_events(lead),
        other_numbers(lead, measured),
    ]
    shown = [table for table in tables if len(table)]
    left_out = tuple(note for note in lead.notes if "does not count" in note)
    return [replace(shown[0], notes=(*shown[0].notes, *left_out)), *shown[1:]]


def markdown(tables: Sequence[Result]) -> str:
    """The tables for a README, each under its title."""
    return "\n\n".join(_markdown(table) for table in tables)


def _markdown(table: Result) -> str:
    names = table.table.column_names
    lines = [f"### {table.title}", "", f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    lines += [
        "| " + " | ".join(str(row[name]).strip().replace("|", "\\|") for name in names) + " |"
        for row in table.to_dicts()
    ]
    return "\n".join([*lines, *(f"\n{note}" for note in table.notes)])


# --- the executive summary


def summary(told: Mapping[str, Explanation]) -> Result:
    """`Metric | Impact | Root Cause | Business Impact`: one row a metric that moved; one row where none did."""
    title = "Executive summary"
    faulty = [one for one in told.values() if _found(one).verdict == "data_fault"]
    if faulty:
        return _texts([_of_fault(_found(faulty[0]), told)], title)
    moved = [name for name in EXPLAINED if name in told and _found(told[name]).verdict in _MOVED]
    if not moved:
        return _texts([_of_nothing(told)], title)
    still = [_title(name) for name in EXPLAINED if name in told and name not in moved]
    notes = [f"Did not move beyond what it does by chance: {', '.join(still)}."] if still else []
    return _texts([_row(told[name]) for name in moved], title, notes)


def _row(one: Explanation) -> dict[str, str]:
    found = _found(one)
    return {
        "Metric": _title(found.subject.name),
        "Impact": _impact(found),
        "Root Cause": _cause(one),
        "Business Impact": _business(found),
    }


def _impact(found: Explained) -> str:
    assert found.located is not None
    whole, unit = found.located.whole, found.subject.unit
    a_day = "" if found.days.is_ratio else " a day"
    return f"{percent(whole.effect)}: {amount(whole.before, unit)} to {amount(whole.after, unit)}{a_day}"


def _cause(one: Explanation) -> str:
    found = _found(one)
    place = found.located
    assert place is not None
    listed = "; ".join(where_text(segment.cause.values) for segment in place.segments)
    part = f" ({percent(place.explained, signed=False)} of the change)" if place.explained is not None else ""
    match found.verdict:
        case "segments":
            said = f"{listed}{part}"
        case "mix":
            said = f"The mix, not behaviour: {listed} changed in weight{part}"
        case _:
            said = "No single segment: it moved everywhere"
    factors = _factors(one)
    return f"{said}. {factors}" if factors else said


def _factors(one: Explanation) -> str:
    """The factors that carry a quarter of the change or more."""
    rows = _part(one, "factor")
    carrying = [row for row in rows if (row["share_of_change"] or 0.0) >= 0.25]
    carrying.sort(key=lambda row: -row["share_of_change"])
    said = [f"{row['factor']} {percent(row['effect'])}" for row in carrying]
    return f"By factor: {', '.join(said)}" if said else ""


def _business(found: Explained) -> str:
    if found.verdict == "mix":
        return "None by itself: no segment has less than before"
    loss = found.loss
    if loss is None:
        return "Not known"
    lost, low, high = (loss.lost, loss.low, loss.high) if loss.lost >= 0 else (-loss.lost, -loss.high, -loss.low)
    return (
        f"{_sum(lost, found)} {'lost' if loss.lost >= 0 else 'more'} {_days_of(found)} ({_interval(low, high, found)})"
    )


def _of_fault(found: Explained, told: Mapping[str, Explanation]) -> dict[str, str]:
    evidence = found.fault.evidence if found.fault is not None else "rows are missing"
    return {
        "Metric": ", ".join(_title(name) for name in EXPLAINED if name in told),
        "Impact": "No change is shown",
        "Root Cause": f"The data are not whole: {evidence}",
        "Business Impact": "Cannot be told before the data are repaired",
    }


def _of_nothing(told: Mapping[str, Explanation]) -> dict[str, str]:
    names = ", ".join(_title(name) for name in EXPLAINED if name in told)
    unsure = [one for one in told.values() if _found(one).verdict == "cannot_be_told"]
    if unsure:
        why = " ".join(_found(unsure[0]).notes) or "too few days"
        return {"Metric": names, "Impact": "Cannot be told", "Root Cause": why, "Business Impact": "Cannot be told"}
    found = _found(next(iter(told.values())))
    first, last = found.days.calendar.day(0), found.days.calendar.day(len(found.days.calendar) - 1)
    said = f"Nothing moved beyond chance from {day_text(first)} to {day_text(last)}"
    return {"Metric": names, "Impact": said, "Root Cause": "None", "Business Impact": "None"}


# --- what to do


def recommended(lead: Explanation) -> Result:
    """`Priority | Stakeholder | Recommendation | Monitoring KPI`, as the leading explanation has them."""
    rows = [
        {
            "Priority": one.priority,
            "Stakeholder": one.stakeholder,
            "Recommendation": one.text,
            "Monitoring KPI": one.kpi_text or "none: nothing to compare with from before",
        }
        for one in lead.recommendations
    ]
    return _texts(rows, "Recommendations")


# --- what it cost


def quantified(told: Mapping[str, Explanation], name: str) -> Result:
    """`Metric | Value`: plays per user of the affected segments, plays and hours lost, and how that is known."""
    lead = told[name]
    found = _found(lead)
    if found.verdict not in _MOVED:
        return _texts([], "What it cost")
    assert found.located is not None
    listed = "; ".join(where_text(cell) for cell in found.located.cells)
    affected = {"segments": listed, "mix": f"nobody; {listed} changed in weight"}.get(found.verdict, "everybody")
    rows = [("Affected", affected)]
    inside = [row for row in _part(lead, "metric") if row["metric"] == "plays_per_user"]
    inside = [row for row in inside if row["of"] == ("the segments" if found.verdict == "segments" else "all")]
    if any(
        row["expected"] == "unknown" for row in inside
    ):  # they came with the change: against what they took over from
        inside = [
            {
                "of": where_text(segment.cause.values),
                "expected": amount(segment.part.before),
                "seen": amount(segment.part.after),
                "effect": segment.part.effect,
            }
            for segment in found.located.segments
            if found.subject.name == "plays_per_user"
        ]
    for row in inside:
        rows.append((f"Baseline average plays per user ({row['of']})", str(row["expected"])))
        rows.append((f"Post-drop average plays per user ({row['of']})", f"{row['seen']} ({percent(row['effect'])})"))
    for metric, what in (("plays_per_user", "Plays"), ("watch_seconds", "Watch time")):
        if metric in told:
            rows += _lost(_found(told[metric]), what)
    return _texts([{"Metric": metric, "Value": value} for metric, value in rows], "What it cost")


def _lost(found: Explained, what: str) -> list[tuple[str, str]]:
    loss = found.loss
    if loss is None or found.verdict not in _MOVED:
        return []
    cells = found.located.cells if found.located is not None and found.verdict == "segments" else []
    where = f" in {'; '.join(where_text(cell) for cell in cells)}" if cells else ""
    word = "lost" if loss.lost >= 0 else "gained"
    value, low, high = (loss.lost, loss.low, loss.high) if loss.lost >= 0 else (-loss.lost, -loss.high, -loss.low)
    state = "calibrated on these data" if loss.is_calibrated else "not calibrated on these data: too few days before"
    held = "unknown" if loss.coverage is None else f"{100 * loss.coverage:.0f} %"
    if loss.method == "own history":
        held += ", and near none where something else befell all segments at once"
    return [
        (f"{what} {word} {_days_of(found)}", f"{_sum(value, found)} ({_interval(low, high, found)}){where}"),
        ("  by", f"{loss.method}; {state}"),
        ("  coverage of such intervals, simulated", held),
    ]


# --- what was ruled out


def hypothesis_tree(lead: Explanation) -> Result:
    """Every dimension and declared hypothesis: kept, ruled out or untestable, and by which number."""
    rows = [
        {"Hypothesis": f"it is the {row['it is the ...']}", "Verdict": row["verdict"], "Because": row["because"]}
        for row in _part(lead, "it is the ...")
    ]
    rows += [
        {"Hypothesis": row["hypothesis"], "Verdict": row["verdict"], "Because": row["because"]}
        for row in _part(lead, "hypothesis")
    ]
    return _texts(rows, f"Hypothesis tree of {_title(_found(lead).subject.name).lower()}")


def _events(lead: Explanation) -> list[Result]:
    return [part for part in lead.parts if "coincidence" in part.table.column_names]


# --- the same days in other numbers


def other_numbers(lead: Explanation, measured: Mapping[str, Result]) -> Result:
    """Bounce by its two names, watch time net and wall: before and after; averages where nothing moved."""
    title = "Bounce under its two names, watch time net and wall"
    rows = _part(lead, "metric")
    if _found(lead).verdict == "data_fault":
        return _texts([], title)
    if rows:
        told = [
            {
                "Metric": _LONG.get(row["metric"], row["metric"]),
                "Of": row["of"],
                "Before": row["expected"],
                "After": row["seen"],
                "Change": percent(row["effect"]),
            }
            for row in rows
        ]
        return _texts(told, title)
    calendar = _found(lead).days.calendar
    counted = {calendar.day(at) for at in np.flatnonzero(calendar.known)}
    return _texts([row for name, one in measured.items() if (row := _average(name, one.table, counted))], title)


def _average(name: str, table: pa.Table, counted: Collection[date]) -> dict[str, str] | None:
    """One number over all days that count: a ratio of sums, or the mean of the days."""
    rows = [row for row in table.to_pylist() if row["period_start"] in counted and row["value"] is not None]
    if not rows:
        return None
    unit = (table.schema.field("value").metadata or {}).get(b"unit", b"").decode() or None
    below = [row["denominator"] for row in rows]
    is_ratio = all(part is not None for part in below)
    above = sum(row["numerator"] if is_ratio else row["value"] for row in rows)
    whole = sum(below) if is_ratio else len(rows)
    if not whole:
        return None
    said = amount(above / whole, unit)
    return {"Metric": _LONG.get(name, name), "Days": str(len(rows)), "Average": said if is_ratio else f"{said} a day"}


# --- parts


def _found(one: Explanation) -> Explained:
    assert one.found is not None
    return one.found


def _part(one: Explanation, column: str) -> list[dict[str, Any]]:
    """Rows of the part of an explanation whose first column has a name."""
    for part in one.parts:
        if part.table.column_names[:1] == [column]:
            return part.to_dicts()
    return []


def _title(name: str) -> str:
    return _CALLED.get(name, name)


def _sum(value: float, found: Explained) -> str:
    unit = None if found.subject.unit == "share" else found.subject.unit
    if found.subject.name == "bounce_session":
        return f"{amount(value)} sessions without a play"
    counted = f" {found.subject.counted}" if found.subject.counted else ""
    return f"{amount(value, unit if unit == 's' else None)}{counted}"


def _interval(low: float, high: float, found: Explained) -> str:
    unit = "s" if found.subject.unit == "s" else None
    return f"90 % interval {amount(low, unit)} to {amount(high, unit)}"


def _days_of(found: Explained) -> str:
    assert found.spans is not None
    first, last = (found.days.calendar.day(at) for at in (found.spans.at, found.spans.until))
    return f"from {day_text(first)} to {day_text(last)}"


def _texts(rows: Iterable[Mapping[str, str]], title: str, notes: Sequence[str] = ()) -> Result:
    listed = [dict(row) for row in rows]
    names = list(listed[0]) if listed else ["Metric"]
    table = pa.Table.from_pylist(listed, schema=pa.schema([pa.field(name, pa.string()) for name in names]))
    return Result(table, title=title, notes=tuple(notes))


__all__ = ["BESIDE", "EXPLAINED", "case", "leading", "markdown"]
