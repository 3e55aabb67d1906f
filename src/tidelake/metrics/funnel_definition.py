"""What a funnel is: its steps, and which attempts count (METRICS section 8)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from tidelake.config import Duration, Settings
from tidelake.errors import DefinitionError
from tidelake.metrics.answer import check_settings
from tidelake.metrics.choosing import Which

_BETWEEN = re.compile(r"^\s*(\d+)\s*-\s*(\d+)\s*:\s*(.+)$", re.DOTALL)


class Exclusion(Settings):
    """Events that end an attempt. As text: `app_crash`, or `2-3: app_crash` = only between steps 2 and 3.

    Attributes:
        which: The events.
        after: The step from which on they end an attempt.
        before: The step up to which they do; null = the last.
    """

    which: Which
    after: int = Field(1, ge=1)
    before: int | None = Field(None, ge=2)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        between = _BETWEEN.match(given)
        if between is None:
            return {"which": given}
        return {"which": between[3], "after": int(between[1]), "before": int(between[2])}


class Funnel(Settings):
    """A funnel.

    Attributes:
        steps: The events of each step.
        order: `ordered` = one after the other, whatever else happens between; `strict` = no other event of the actor
            between; `any` = in any order, the entry being the first of any step.
        window: How long after the entry a step still counts, itself included.
        attempt: Which entry of an actor counts: the one that got deepest (of equals the earliest), or the first.
        simultaneity: How much earlier than the step before a step may be and still follow it.
        exclude: Events that end an attempt where it is.
        hold: Columns that must be the same in all events of an attempt; events without a value make none.
        count: What counts once: an actor, each held value of an actor, or every entry.
        touch: Which event's values rows are cut by: that of the entry, the first or last known one among the steps
            reached, or that of one step by its number.
    """

    name: str = "funnel"
    title: str = ""
    steps: tuple[Which, ...] = Field(min_length=2, max_length=20)
    order: Literal["ordered", "strict", "any"] = "ordered"
    window: Duration = timedelta(days=7)
    attempt: Literal["best", "first"] = "best"
    simultaneity: Duration = timedelta(0)
    exclude: tuple[Exclusion, ...] = ()
    hold: tuple[str, ...] = ()
    count: Literal["actor", "held", "entry"] = "actor"
    touch: Literal["entry", "first", "last"] | int = "entry"

    @field_validator("hold", mode="before")
    @classmethod
    def _one_or_many(cls, given: object) -> object:
        return (given,) if isinstance(given, str) else given

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        steps = len(self.steps)
        if self.window <= timedelta(0):
            raise ValueError("window must be longer than nothing: write 1h or 7d")
        if self.simultaneity and self.order != "ordered":
            raise ValueError(f"simultaneity has no meaning where the order is {self.order}: leave one of them out")
        if self.exclude and self.order == "any":
            raise ValueError("exclude needs an order of the steps: leave out order any")
        if self.count == "held" and not self.hold:
            raise ValueError("count held needs hold: name the columns that are held")
        if isinstance(self.touch, int) and not 1 <= self.touch <= steps:
            raise ValueError(f"touch {self.touch}: there are the steps 1 to {steps}")
        for one in self.exclude:
            if not one.after < (one.before or steps) <= steps:
                raise ValueError(f"exclude {one.which}: between steps 1 and {steps}, the first before the second")
        return self


def funnel_of(steps: Sequence[str | Which], **options: Any) -> Funnel:
    """A funnel from texts.

    Raises:
        DefinitionError: A step says no event, or options do not go together.
    """
    if isinstance(steps, str) or len(steps) < 2:
        given = steps if isinstance(steps, str) else ", ".join(str(step) for step in steps)
        raise DefinitionError(
            f"A funnel has at least two steps, and this one has '{given}' only.",
            hint="Give a list of steps; of the command: --step app_open --step video_play.",
        )
    try:
        return Funnel.model_validate({"steps": [Which.parse(step) for step in steps], **options})
    except ValidationError as error:
        raise definition_error(Funnel, error) from error


def definition_error(kind: type[Settings], error: ValidationError) -> DefinitionError:
    """What is wrong with a definition, in its own words.

    Raises:
        UnknownNameError: There is no such setting.
    """
    check_settings(kind, error)
    told = []
    for fault in error.errors():
        place = ".".join(str(part) for part in fault["loc"] if "[" not in str(part))
        message = str(fault.get("ctx", {}).get("error", fault["msg"]))
        told.append(f"{place}: {message}" if place else message)
    return DefinitionError(f"This {kind.__name__.lower()} is not possible: {'; '.join(dict.fromkeys(told))}.")


def words(span: timedelta) -> str:
    """A duration as settings write it: 90s, 30m, 24h, 7d."""
    seconds = int(span.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
