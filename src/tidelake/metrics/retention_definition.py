"""What a question about retention means: who enters, what counts as a return, and how time is cut (METRICS 5)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from tidelake.config import Duration, Settings
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.sqltext import micros
from tidelake.metrics.choosing import Which
from tidelake.metrics.funnel_definition import words
from tidelake.metrics.kinds.retention import Cell, Clock, Unit

Criterion = Literal["on", "on_or_after", "on_or_before", "bracket", "streak", "within"]
CohortGrain = Literal["day", "week", "month", "all"]
ALL = "all"
EVERY = Which(active=True)


class Retention(Settings):
    """What comes back after what, and how it is counted (METRICS section 5).

    Attributes:
        entry: Events that make an actor a member.
        returned: Events that bring a member back (`return` in YAML).
        fact: `session`: an entry and a return are sessions, so that a return is another session than the entry.
        unit: Length of a period.
        anchor: `calendar`: units of the project's calendar; `elapsed`: exact durations since the entry, a day of 24
            hours, a week of 7 and a month of 30 days.
        criterion: `on` unit n; `on_or_after` n up to `horizon`; `on_or_before` n, from 0; any unit of a `bracket`;
            `streak`: all units 1 to n; `within` exact durations after the entry.
        periods: First and last n.
        horizon: For `on_or_after`: the last unit that counts; `inf` as other tools have it, which is biased: cohorts
            that were watched longer had longer to come back.
        brackets: First and last unit of each.
        within: (from, to] of each.
        cohort: `first`: an actor is in one cohort, by its first entry ever; `recurring`: in one for each unit in
            which it enters.
        cohort_by: `entry`, or the column of a dimension with the date of signup: `users.signup_date`, or
            `signup_date` where one dimension has it. Units then count from the signup.
        warmup_days: A first entry within so many days of the start of history may not be the first: `new_or_existing`.
        match_on_return: With dimensions: a return counts only with the value of the entry.
        min_n: Cells with fewer eligible members are marked.
    """

    name: str = "retention"
    entry: Which = EVERY
    returned: Which = Field(EVERY, alias="return")
    fact: Literal["event", "session"] = "event"
    unit: Unit = "week"
    anchor: Literal["calendar", "elapsed"] = "calendar"
    criterion: Criterion = "on"
    periods: tuple[int, int] = (0, 7)
    horizon: int | Literal["inf"] | None = None
    brackets: tuple[tuple[int, int], ...] = ()
    within: tuple[tuple[Duration, Duration], ...] = ()
    cohort: Literal["first", "recurring"] = "first"
    cohort_by: str = "entry"
    warmup_days: int = Field(28, ge=0)
    match_on_return: bool = False
    min_n: int = Field(30, ge=0)

    @classmethod
    def make(cls, **settings: Any) -> Self:
        """A definition from settings as a caller gives them.

        Raises:
            UnknownNameError: There is no such setting.
            DefinitionError: A value is wrong, or two do not go together.
        """
        known = [info.alias or name for name, info in cls.model_fields.items()]
        for name in settings:
            if name not in known and name not in cls.model_fields:
                raise UnknownNameError("setting", name, known, where="retention")
        if isinstance(settings.get("within"), str):  # as the command has it: 72h, 24h:72h
            low, mark, high = settings["within"].partition(":")
            settings |= {"within": ((low, high) if mark else ("0h", low),), "criterion": "within"}
        for name in ("entry", "return", "returned"):
            if isinstance(settings.get(name), str):
                settings[name] = Which.parse(settings[name])
        try:
            return cls(**settings)
        except ValidationError as error:
            fault = error.errors()[0]
            own = fault.get("ctx", {}).get("error")
            place = ".".join(str(part) for part in fault["loc"])
            said = str(own) if isinstance(own, Exception) else f"{place}: {fault['msg']}."
            said = said.replace("Input should be a valid tuple", "write (first, last), or several of these")
            raise DefinitionError(f"Retention: {said}") from error

    @model_validator(mode="after")
    def _together(self) -> Retention:
        first, last = self.periods
        if not 0 <= first <= last:
            raise ValueError(f"periods {first}:{last} must begin at 0 or later and not end before they begin.")
        for name, criterion in (("brackets", "bracket"), ("within", "within")):
            if bool(getattr(self, name)) != (self.criterion == criterion):
                raise ValueError(f"`{name}` and the criterion `{criterion}` go together: give both or neither.")
        if (self.horizon is not None) != (self.criterion == "on_or_after"):
            raise ValueError(
                "`on_or_after` needs a horizon, the last unit in which a return counts; no other criterion has one. "
                "Without it recent cohorts have had less time to come back; `inf` counts so all the same."
            )
        if isinstance(self.horizon, int) and self.horizon < last:
            raise ValueError(f"the horizon {self.horizon} lies before the last period {last}.")
        if any(not 0 <= low <= high for low, high in self.brackets):
            raise ValueError("a bracket is its first and last unit, from 0 on: 1:3.")
        if any(not timedelta() <= low < high for low, high in self.within):
            raise ValueError("a duration after entry is from:to with from below to: 0h:72h.")
        if self.criterion == "streak" and last < 1:
            raise ValueError("a streak begins in period 1.")
        if self.cohort == "recurring" and self.cohort_by != "entry":
            raise ValueError("nobody signs up again and again: recurring cohorts are by `entry`.")
        if self.fact == "session" and (self.entry.event or self.returned.event):
            raise ValueError("a session has no event name: choose sessions by a condition over their columns.")
        if self.match_on_return and self.cohort_by != "entry":
            raise ValueError("`match_on_return` needs an entry event, whose value a return must have.")
        return self

    @property
    def is_elapsed(self) -> bool:
        return self.anchor == "elapsed" or self.criterion == "within"

    @property
    def counts_same_visit(self) -> bool:
        """Whether a span after an event begins at once, and what follows in the same visit is a return."""
        is_any = self.returned.active or self.returned == self.entry
        return self.fact == "event" and is_any and any(not low for low, _ in self.within)

    def words(self) -> str:
        """The question in one line."""
        named = ["any active event" if which == EVERY else str(which) for which in (self.entry, self.returned)]
        what = "sessions" if self.fact == "session" else " then ".join(dict.fromkeys(named))
        times = f"{self.criterion.replace('_', ' ')} {self.unit}"
        if self.criterion == "within":
            times = " and ".join(span_words(low, high) for low, high in self.within)
        more = [f"up to {self.horizon}"] if self.horizon is not None else []
        more += ["elapsed" if self.is_elapsed else "calendar"]
        more += ["recurring: an actor may be in many cohorts"] if self.cohort == "recurring" else []
        more += [f"by {self.cohort_by}"] if self.cohort_by != "entry" else []
        return f"Retention, {what}: {times}, {', '.join(more)}"


def span_words(low: timedelta, high: timedelta) -> str:
    """A span after entry, whose end belongs to it: within 72h; where it begins later, 24h to 72h."""
    return f"{_exact(low)} to {_exact(high)}" if low else f"within {_exact(high)}"


def _exact(span: timedelta) -> str:
    """72h and not 3d up to a week: a date of the calendar may have 23 or 25 hours."""
    hours, rest = divmod(span, timedelta(hours=1))
    return words(span) if rest or not 24 <= hours <= 168 else f"{hours}h"


def cells_of(definition: Retention, clock: Clock, longest: int) -> tuple[Cell, ...]:
    """The cells that a definition asks for; `longest` stands for units without end."""
    step = clock.step
    if definition.criterion == "within":
        spans = [(micros(low), micros(high), span_words(low, high)) for low, high in definition.within]
        return tuple(Cell(place, text, low, high, high, low) for place, (low, high, text) in enumerate(spans))
    if definition.criterion == "bracket":
        return tuple(
            Cell(place, f"{low}-{high}", low, high, (high + 1) * step, low * step)
            for place, (low, high) in enumerate(definition.brackets)
        )
    first, last = definition.periods
    found = []
    for number in range(max(first, 1) if definition.criterion == "streak" else first, last + 1):
        low, high, end = number, number, number
        if definition.criterion == "on_or_before":
            low = 0
        elif definition.criterion == "streak":
            low = 1
        elif isinstance(definition.horizon, int):
            high = end = definition.horizon
        elif definition.horizon == "inf":
            high = max(longest, number)
        found.append(Cell(number, str(number), low, high, (end + 1) * step, low * step))
    return tuple(found)
