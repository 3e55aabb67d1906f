"""`opened_not_EVENT` of any event: actors' days with an open and without the event (METRICS section 7)."""

from __future__ import annotations

import re

from tidelake.config import Measure, Project
from tidelake.errors import DefinitionError
from tidelake.metrics.definition import Metric

_ASKED = re.compile(r"opened_not_(.+)")
_COUNTED = "event:"  # before an event's name: a measure that no tide.yml can declare


def with_counted(project: Project, asked: str) -> Project:
    """The project with the event counted that `opened_not_EVENT` names, where no measure of its own is called so."""
    found = _ASKED.fullmatch(asked)
    if found is None or found[1] in project.measures:
        return project
    return project.model_copy(
        update={"measures": {**project.measures, f"{_COUNTED}{found[1]}": Measure(event=(found[1],))}}
    )


def opened_not(asked: str, project: Project) -> Metric | None:
    """The metric of this name; None where it is no such name.

    Args:
        project: As `with_counted` gives it.

    Raises:
        DefinitionError: No measure says what an open is.
    """
    found = _ASKED.fullmatch(asked)
    if found is None:
        return None
    if "opens" not in project.measures:
        raise DefinitionError(
            f"{asked}: tide.yml declares no measure `opens`, so what an open is is not known.",
            hint="measures: {opens: {event: app_open}}",
        )
    what = found[1]
    measure = what if what in project.measures else f"{_COUNTED}{what}"
    return Metric(
        name=asked,
        title=f"Opened without {what}, by actor and day",
        description=f"Actor-days with an open and without {what} over actor-days with an open.",
        unit="share",
        kind="ratio",
        fact="actor_day",
        expression=f'CASE WHEN "{measure}" = 0 THEN 1 ELSE 0 END',
        where="opens > 0",
    )


def event_of(asked: str, project: Project) -> str | None:
    """The event that was counted for the question alone."""
    found = _ASKED.fullmatch(asked)
    return found[1] if found is not None and f"{_COUNTED}{found[1]}" in project.measures else None
