"""Known events beside an onset: releases, holidays, incidents, campaigns. A coincidence, never a cause."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from pydantic import ValidationError

from tidelake.config import PROJECT_FILE, KnownEvent, Project
from tidelake.errors import ProjectError

BEFORE = 7  # days before an onset on which an event is still worth a line
_COLUMNS = ("name", "kind", "date", "from", "to")


@dataclass(frozen=True)
class Coincidence:
    """A known event that lies near an onset.

    Attributes:
        event: As it was declared.
        days_before: Days from the event's first day to the onset; negative where it began after.
        is_within: Whether it began within the onset's interval.
        words: `release 'app 1.11' on the same day: a coincidence in time, not a cause by itself`.
    """

    event: KnownEvent
    days_before: int
    is_within: bool
    words: str


def known_events(project: Project) -> tuple[KnownEvent, ...]:
    """The events of `tide.yml` and of its `events_file`, by their first day.

    Raises:
        ProjectError: The file is not there, lacks a column, or a line of it says no event (names the line).
    """
    found = [*project.events, *(_from_file(project) if project.events_file else ())]
    return tuple(sorted(found, key=lambda event: (event.first, event.name)))


def beside(events: Iterable[KnownEvent], onset: date, low: date, high: date) -> tuple[Coincidence, ...]:
    """The events near an onset, the nearest first.

    Args:
        onset: First day of the new level.
        low: First day of the onset's interval.
        high: Last day of it.

    Returns:
        Events that begin within the interval or at most a week before it, and those that last into it (holidays).
    """
    found = []
    for event in events:
        days = (onset - event.first).days
        is_within = low <= event.first <= high
        lasts = event.day is None and event.first <= high and (event.last or date.max) >= low
        if is_within or 0 <= (low - event.first).days <= BEFORE or (lasts and event.kind in ("holiday", "incident")):
            found.append(Coincidence(event, days, is_within, _words(event, days, is_within=is_within)))
    return tuple(sorted(found, key=lambda one: (abs(one.days_before), one.event.first, one.event.name)))


def _words(event: KnownEvent, days: int, *, is_within: bool) -> str:
    many = f"{abs(days)} day{'s' if abs(days) != 1 else ''}"
    when = "on the same day" if days == 0 else f"{many} {'before' if days > 0 else 'after'} the onset"
    sure = ", within its interval" if is_within and days else ""
    return f"{event.kind} '{event.name}' {when}{sure}: a coincidence in time, which alone is no cause"


def _from_file(project: Project) -> list[KnownEvent]:
    name = project.events_file or ""
    path = project.root / name
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            header = [column.strip() for column in reader.fieldnames or ()]
            _check_header(header, name)
            reader.fieldnames = header
            return [_event(row, f"{name}:{reader.line_num}") for row in reader]
    except FileNotFoundError as error:
        raise ProjectError(
            f"There is no {path}.", hint=f"{PROJECT_FILE} names it as `events_file:`; make it, or leave that line out."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ProjectError(f"{name} is no CSV file: {error}.") from error


def _check_header(header: list[str], name: str) -> None:
    missing = [column for column in ("name", "kind") if column not in header]
    if "date" not in header and "from" not in header:
        missing.append("date")
    if missing:
        hint = "Its first line names the columns: name,kind,date or name,kind,from,to."
        raise ProjectError(f"{name}:1: there is no column '{missing[0]}'.", hint=hint)


def _event(row: dict[str, str | None], where: str) -> KnownEvent:
    said = {column: (row.get(column) or "").strip() for column in _COLUMNS}
    try:
        return KnownEvent.model_validate({column: value for column, value in said.items() if value})
    except ValidationError as error:
        fault = error.errors()[0]
        own = fault.get("ctx", {}).get("error")
        place = "".join(f"{part}: " for part in fault["loc"])
        raise ProjectError(f"{where}: {place}{own or fault['msg']}.", hint="Dates are written 2025-11-17.") from error
