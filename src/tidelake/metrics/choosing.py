"""Which events a question means: by name, by a condition over silver's columns, or every active event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import combinations
from typing import Any, Self

from pydantic import model_validator

from tidelake.config import Settings
from tidelake.contracts.source import Source, columns_by_field
from tidelake.contracts.table import literal
from tidelake.engine.sql import check_expression, check_names_in, columns_of
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.context import Gold
from tidelake.gold.sqltext import date_literal, one_of
from tidelake.metrics.conditions import unknown_column

ACTIVE = "*"
_WHERE = " where "


class Which(Settings):
    """Some events. As text: `video_play`, `play,resume where seconds > 3`, `where amount > 0`, `*` = active events.

    Attributes:
        event: Names; none = any.
        where: Condition over silver's columns; null counts as false.
        active: Only events that make their actor active (METRICS section 0).
    """

    event: tuple[str, ...] = ()
    where: str | None = None
    active: bool = False

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and isinstance(given.get("event"), str):
            return {**given, "event": (given["event"],)}
        if not isinstance(given, str):
            return given
        names, _, condition = f" {given.strip()} ".partition(_WHERE)
        if names.strip() == ACTIVE:
            return {"active": True, "where": condition.strip() or None}
        events = [name.strip() for name in names.split(",") if name.strip()]
        if not events and not condition.strip():
            raise ValueError("says no event: name one, or write * for every active event")
        return {"event": events, "where": condition.strip() or None}

    @classmethod
    def parse(cls, given: str | Which) -> Self:
        """The events that a text means.

        Raises:
            DefinitionError: It says none.
        """
        if isinstance(given, cls):
            return given
        try:
            return cls.model_validate(given)
        except ValueError as error:
            hint = "Name one, or write * for every active event."
            raise DefinitionError(f"'{given}' says no event.", hint=hint) from error

    def __str__(self) -> str:
        names = ACTIVE if self.active and not self.event else ", ".join(self.event)
        return f"{names}{_WHERE if self.where else ''}{self.where or ''}".strip()

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the condition names."""
        return columns_of(self.where) if self.where else ()

    def condition(self) -> str:
        """SQL over rows of `event_rows` that is true for these events and never null."""
        parts = [one_of("event_name", self.event)] if self.event else []
        parts += ["is_active"] if self.active else []
        parts += [f"({self.where})"] if self.where else []
        return f"coalesce({' AND '.join(parts)}, FALSE)" if parts else "TRUE"

    def spelled(self, gold: Gold) -> Self:
        """The same with attributes of dimensions in the condition written as columns (`"videos.genre"`)."""
        text = gold.events.attributes.spelled(self.where) if self.where else None
        return self if text == self.where else self.model_copy(update={"where": text})

    def check(self, gold: Gold) -> None:
        """Raise for a condition that is not portable or names what no event source has.

        Names of events are not looked up here: `check_event_names` does.

        Raises:
            QueryError: The condition is not one portable condition over silver's columns.
            UnknownNameError: The condition names a column that no event source has.
        """
        if self.where is None:
            return
        check_expression(self.where)
        check_names_in(self.where, list(gold.events.types), columns_by_field(gold.sources))
        events = gold.events
        for name in self.spelled(gold).columns:
            if name not in events.types and name not in _OWN and events.attributes.of(name) is None:
                raise unknown_column(self.where, name, [*events.types, *events.attributes.names])


_OWN = frozenset(("event_date", "event_time", "event_id", "actor_id", "event_name", "seq", "source"))


def need_events(sources: Mapping[str, Source], what: str) -> None:
    """Raise where a project has no source of events, so that a question about them can have no answer.

    Args:
        what: The question's name.

    Raises:
        DefinitionError: It has none.
    """
    if not any(source.fact == "event" for source in sources.values()):
        raise DefinitionError(
            f"{what} needs a source of events: this project counts entities only.",
            hint="`tide metrics list` says what its counts can be asked for.",
        )


def check_event_names(gold: Gold, asked: Sequence[Which], *, is_met: bool = False) -> None:
    """Raise for names that no event of the lake has.

    Args:
        is_met: Each of them was met in what was asked for, so that only one of several names can be misspelt.

    Raises:
        UnknownNameError: There is no such event.
    """
    named = {name for which in asked for name in which.event}
    if not named or not gold.events.sources or (is_met and all(len(which.event) < 2 for which in asked)):
        return
    rows = gold.events.select(columns=[], everything=True)
    known = {row["event_name"] for row in gold.query(f"SELECT DISTINCT event_name FROM ({rows}) AS events")}
    if known == {None}:
        raise DefinitionError(
            f"'{min(named)}' is no event here: the source maps no event_name, so that its events have no names.",
            hint="Choose them by a condition: '*' for all of them, '* where SQL' for some.",
        )
    for name in sorted(named):
        if name not in known:
            raise UnknownNameError("event", name, [one for one in known if one])


def event_rows(
    gold: Gold,
    flags: Mapping[str, Which],
    *,
    columns: Sequence[str] = (),
    where: str | None = None,
    first: date | None = None,
    last: date | None = None,
    mark: str | None = None,
) -> str:
    """SELECT of the events that any of `flags` means, in one reading of silver.

    Grain: one row per row of silver that counts (active or human) and has an actor. Columns: actor_id, event_date,
    event_time, seq, event_id, event_name, what breaks ties (`gold.events.tie_names`), `columns`, and one boolean
    column a flag, or `mark`.

    Args:
        flags: Events by the name of the column that marks them.
        columns: More of silver's columns, and attributes of dimensions.
        where: Condition over silver's columns for all of the rows.
        first: First local date to read; None = the first there is.
        last: Last local date to read; None = the last there is.
        mark: A column with the flags as bits of one number, 1 for the first, 2, 4 ...; quicker to make than flags.
    """
    for which in flags.values():
        which.check(gold)
    flags = {name: which.spelled(gold) for name, which in flags.items()}
    own = [*_OWN, "is_active", *gold.events.tie_names]
    asked = [name for which in flags.values() for name in which.columns if name not in _OWN]
    extra = [name for name in dict.fromkeys([*columns, *asked]) if name not in own]
    rows = gold.events.select(columns=extra, where=where)
    days = [f"event_date >= {date_literal(first)}"] if first else []
    days += [f"event_date <= {date_literal(last)}"] if last else []
    kept = ["actor_id", "event_date", "event_time", "seq", "event_id", "event_name", *gold.events.tie_names]
    kept += [f'"{name}"' for name in dict.fromkeys(columns) if name not in kept]
    chosen = f"FROM ({rows}) AS chosen WHERE {' AND '.join(days) or 'TRUE'}"
    if mark is not None:
        marked = f"SELECT {', '.join(kept)}, {_bits(list(flags.values()))} AS {mark} {chosen}"
        return f"SELECT * FROM ({marked}) AS marked WHERE {mark} <> 0"
    marks = "".join(f", {which.condition()} AS {name}" for name, which in flags.items())
    any_flag = " OR ".join(which.condition() for which in flags.values())
    return f"SELECT {', '.join(kept)}{marks} {chosen} AND ({any_flag})"


def may_overlap(some: Sequence[Which]) -> bool:
    """Whether one event could be of two of them, by the names of their events."""
    pairs = combinations(some, 2)
    return any(not one.event or not two.event or set(one.event) & set(two.event) for one, two in pairs)


def _bits(some: Sequence[Which]) -> str:
    """SQL of a number with one bit for each of them that an event is of."""
    if any(which.active or which.where for which in some) or may_overlap(some):
        return " + ".join(f"CASE WHEN {which.condition()} THEN {1 << at} ELSE 0 END" for at, which in enumerate(some))
    names = ((literal(name), 1 << at) for at, which in enumerate(some) for name in which.event)
    return f"CASE event_name {' '.join(f'WHEN {name} THEN {bit}' for name, bit in names)} ELSE 0 END"
