"""What a saved cohort means: the model of `cohorts/*.yml`, in which conditions on behaviour hold conditions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from tidelake.config import Project, Settings
from tidelake.contracts.table import literal, quoted
from tidelake.gold.model import definition_hash
from tidelake.metrics.choosing import Which

_LAST = re.compile(r"last (\d+) days?")
_KINDS = ("all_of", "any_of", "not_", "did", "did_not", "first", "was", "metric")
_SETTINGS = {"timezone", "activity", "session", "watch", "measures", "identity", "actors"}


class Window(Settings):
    """The dates that a condition looks at: `last 28 days` and `before` end with the day before the question begins."""

    days: int | None = Field(None, gt=0, description="`last N days`: so many before the question's first date")
    is_during: bool = Field(False, alias="during", description="`during`: the question's own dates")
    start: date | None = Field(None, alias="from", description="first local date of fixed ones")
    end: date | None = Field(None, alias="to", description="last local date of fixed ones, itself included")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        said = given.strip().lower()
        if found := _LAST.fullmatch(said):
            return {"days": int(found[1])}
        if said not in ("before", "during"):
            raise ValueError(f"'{given}' is no window: write last 28 days, before, during or {{from: DATE, to: DATE}}")
        return {"during": said == "during"}

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.start is None) != (self.end is None):
            raise ValueError("a fixed window needs `from:` and `to:`")
        if self.start is not None and self.end is not None and self.start > self.end:
            raise ValueError(f"the window's first date {self.start} lies after its last {self.end}")
        return self

    @property
    def is_fixed(self) -> bool:
        """Whether its dates are the same for every question."""
        return self.start is not None

    @property
    def is_before(self) -> bool:
        """Whether it ends where the question begins."""
        return not self.is_fixed and not self.is_during

    def dates(self, first: date, last: date, history: date) -> tuple[date, date]:
        """Its first and last date.

        Args:
            first: The question's first date.
            last: The question's last date.
            history: The first date with data.
        """
        if self.start is not None and self.end is not None:
            return self.start, self.end
        if self.is_during:
            return first, last
        before = first - timedelta(days=1)
        return (history if self.days is None else first - timedelta(days=self.days)), before

    def __str__(self) -> str:
        if self.is_fixed:
            return f"from {self.start} to {self.end}"
        if self.is_during:
            return "during the question's dates"
        if self.days is None:
            return "before the question"
        return f"in the {f'{self.days} days' if self.days > 1 else 'day'} before the question"


def _texts(value: object) -> object:
    """One value or several, as the texts that columns are compared by."""
    many = value if isinstance(value, list | tuple) else (value,)
    return tuple(str(one).lower() if isinstance(one, bool) else str(one) for one in many)


Texts = Annotated[tuple[str, ...], BeforeValidator(_texts, json_schema_input_type=str | tuple[str, ...])]
BEFORE = Window()
ENTERING = ("first", "recurring")  # what `cohort` says of retention besides a saved cohort's name


class Condition(Settings):
    """What an actor must have done or been: one of the first eight keys, with those after that belong to it."""

    all_of: tuple[Condition, ...] = Field((), alias="all", description="every one of these")
    any_of: tuple[Condition, ...] = Field((), alias="any", description="at least one of these")
    not_: Condition | None = Field(None, alias="not", description="not this")
    did: Which | None = Field(None, description="these events, as `play`, `play,resume where seconds > 3`, `*`")
    did_not: Which | None = Field(None, description="none of these events in the window")
    first: Which | None = Field(None, description="the first of these events lies in the window")
    was: dict[str, Texts] | None = Field(
        None, description="an event that counts had this value, or one of these, of each dimension"
    )
    metric: str | None = Field(None, description="the actor's part in this metric, a sum, over the window")
    at_least: float | None = Field(None, description="did, was: times (default 1); metric: its value")
    at_most: float | None = Field(None, description="did, was: times, 0 included; metric: its value")
    exactly: int | None = Field(None, ge=0, description="did, was: times")
    below: float | None = Field(None, description="metric: its value is less than this")
    on_days: int | None = Field(None, gt=0, description="did, was: on at least so many local dates")
    window: Window | None = Field(
        None,
        description="last N days, before (default), during, or {from:, to:}; of `all`, `any`, `not`: for those in them",
    )

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        for fault in self._faults():
            raise ValueError(fault)
        return self

    def _faults(self) -> Iterator[str]:
        said = [name for name in _KINDS if getattr(self, name) not in (None, ())]
        if len(said) != 1:
            names = ", ".join(_key(name) for name in _KINDS)
            yield f"a condition has exactly one of {names}" + (f", not {_listed(said)}" if said else "")
        kind = said[0] if said else ""
        counted = [name for name in ("at_least", "at_most", "exactly", "below", "on_days") if self._has(name)]
        allowed = {"metric": {"at_least", "at_most", "below"}, "did": {"at_least", "at_most", "exactly", "on_days"}}
        wrong = [name for name in counted if name not in allowed.get("did" if kind == "was" else kind, ())]
        if wrong:
            yield f"`{wrong[0]}:` does not belong to `{_key(kind)}:`"
        if kind == "metric" and not counted:
            yield "`metric:` needs `at_least:`, `at_most:` or `below:`"
        if self.exactly is not None and (self.at_least is not None or self.at_most is not None):
            yield "`exactly:` leaves no room for `at_least:` and `at_most:`"

    def _has(self, name: str) -> bool:
        return getattr(self, name) is not None

    # --- its parts

    @property
    def parts(self) -> tuple[Condition, ...]:
        """The conditions that it is made from."""
        return (self.not_,) if self.not_ is not None else (*self.all_of, *self.any_of)

    def within(self, window: Window | None) -> Condition:
        """The same with its window written at each of its single conditions."""
        window = self.window or window
        if not self.parts:
            return self.model_copy(update={"window": window or BEFORE})
        inside = {
            "all_of": tuple(part.within(window) for part in self.all_of),
            "any_of": tuple(part.within(window) for part in self.any_of),
            "not_": None if self.not_ is None else self.not_.within(window),
        }
        return self.model_copy(update=inside)

    def leaves(self) -> Iterator[Condition]:
        """Its single conditions, in order."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()

    @property
    def events(self) -> Which | None:
        """The events that a single condition counts; None of a metric."""
        if self.was is not None:
            return Which(where=" AND ".join(_is(name, values) for name, values in self.was.items()))
        return self.did or self.did_not or self.first

    def times(self) -> tuple[float | None, float | None]:
        """How often a single condition asks for its events: at least, at most."""
        if self.did_not is not None:
            return None, 0
        if self.exactly is not None:
            return self.exactly, self.exactly
        return (1 if self.at_least is None and self.at_most is None else self.at_least), self.at_most

    def holds_for_nobody(self) -> bool:
        """Whether it holds for an actor who did nothing: then everyone known must be looked at."""
        if self.not_ is not None:
            return not self.not_.holds_for_nobody()
        if self.all_of:
            return all(part.holds_for_nobody() for part in self.all_of)
        if self.any_of:
            return any(part.holds_for_nobody() for part in self.any_of)
        if self.first is not None or self.on_days is not None:
            return False
        low, high = (self.at_least, self.at_most) if self.metric is not None else self.times()
        return (low is None or low <= 0) and (high is None or high >= 0) and (self.below is None or self.below > 0)

    # --- in words

    def __str__(self) -> str:
        if self.not_ is not None:
            return f"not ({self.not_})"
        if self.parts:
            return (" and " if self.all_of else " or ").join(
                f"({part})" if len(part.parts) > 1 else str(part) for part in self.parts
            )
        return f"{self._what()} {self.window or BEFORE}"

    def _what(self) -> str:
        bounds = {"at least": self.at_least, "at most": self.at_most, "exactly": self.exactly, "below": self.below}
        said = " and ".join(f"{word} {value:g}" for word, value in bounds.items() if value is not None)
        if self.metric is not None:
            return f"{self.metric} {said}"
        if self.did_not is not None:
            return f"did not {self.did_not}"
        if self.first is not None:
            return f"first did {self.first}"
        days = f" on at least {self.on_days} days" if self.on_days is not None else ""
        what = f"did {self.did}" if self.did is not None else f"was {_words(self.was or {})}"
        return f"{what}{f' {said} times' if said else ''}{days}"


class Cohort(Condition):
    """`cohorts/NAME.yml`: the actors who meet a condition."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str = Field("", description="what it is headed with")
    description: str = Field("", description="one or two sentences for whoever uses it")
    owner: str | None = Field(None, description="whom to ask about it")

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if name in ENTERING:
            raise ValueError(f"'{name}' is a word of `tide retention --cohort`: give the file another name")
        return name

    @property
    def condition(self) -> Condition:
        """Its condition, each single one with its window."""
        return self.within(None)

    def version(self, project: Project, metrics: Iterable[str] = ()) -> str:
        """Hash of the definition, of those of the metrics it names, and of the settings that it depends on."""
        said = self.condition.model_dump(mode="json", exclude={"name", "title", "description", "owner"})
        return definition_hash(said, project.model_dump(mode="json", include=_SETTINGS), list(metrics))[:12]


def _key(name: str) -> str:
    return {"all_of": "all", "any_of": "any", "not_": "not"}.get(name, name)


def _listed(names: Iterable[str]) -> str:
    return " and ".join(f"`{_key(name)}:`" for name in names)


def _is(name: str, values: Iterable[str]) -> str:
    """SQL that is true where a dimension has one of some values, as texts."""
    told = f"coalesce(CAST({quoted(name)} AS VARCHAR), '(unknown)')"
    return f"{told} IN ({', '.join(literal(value) for value in values)})"


def _words(was: Mapping[str, tuple[str, ...]]) -> str:
    return " and ".join(f"{name} {' or '.join(values)}" for name, values in was.items())
