"""A model: a table of the lake that one SELECT makes from other tables, by date where it can."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from tidelake.contracts.table import TableSpec

if TYPE_CHECKING:
    from tidelake.gold.context import Gold

Days = Sequence[date] | None


@dataclass(frozen=True)
class Input:
    """A table that a model reads.

    Attributes:
        date: Its date partition, by which changes are followed; None = any change touches everything.
    """

    table: str
    date: str | None = None


@dataclass(frozen=True)
class Model:
    """A table and how it is made.

    Attributes:
        spec: Its contract; `spec.date` makes it incremental.
        inputs: The tables that it reads.
        select: Gives the SELECT over the input rows of some dates; None = of all.
        definition: Hash of everything that its rows depend on besides its inputs.
        is_built_in: Part of Tidelake, not of the project.
        prepare: Makes the `temp` tables that the SELECT reads.
        file: Where the project has the SELECT, below its folder; empty for a built-in one.
    """

    spec: TableSpec
    inputs: tuple[Input, ...]
    select: Callable[[Days], str] = field(compare=False)
    definition: str
    is_built_in: bool = True
    prepare: Callable[[Gold, Days], None] | None = field(default=None, compare=False)
    file: str = ""

    @property
    def name(self) -> str:
        return self.spec.name

    def outputs_of(self, days: Sequence[date]) -> set[date]:
        """Dates of the table that a change of its inputs on these dates touches."""
        spread = range(-self.spec.lookahead_days, self.spec.lookback_days + 1)
        return {day + timedelta(days=offset) for day in days for offset in spread}

    def inputs_for(self, days: Sequence[date]) -> list[date]:
        """Input dates that the table's rows of these dates need."""
        spread = range(-self.spec.lookback_days, self.spec.lookahead_days + 1)
        return sorted({day + timedelta(days=offset) for day in days for offset in spread})


@dataclass(frozen=True)
class Restatement:
    """A number of a day that was closed, and changed."""

    date: date
    metric: str
    before: float | None
    after: float | None
    reason: str

    def __str__(self) -> str:
        name = "DAU" if self.metric == "dau" else self.metric
        return f"{name} {self.date:%d %b %Y} {_shown(self.before)} -> {_shown(self.after)}, {self.reason}"


@dataclass(frozen=True)
class ModelRun:
    """What a build did, or would do, to one table.

    Attributes:
        reason: Why: `new`, `definition changed`, `full refresh`, `inputs changed`, `nothing new`.
        dates: The dates made anew; None = the whole table.
        rows: Rows written; in a dry run None.
        version: The table's version afterwards.
        waits: In a dry run: sources from which the table is made have something to take first.
    """

    name: str
    reason: str
    dates: tuple[date, ...] | None
    rows: int | None
    version: int | None
    seconds: float
    restatements: tuple[Restatement, ...] = ()
    notes: tuple[str, ...] = ()
    waits: bool = False

    @property
    def is_current(self) -> bool:
        """Whether there was nothing to do."""
        return self.reason == "nothing new" and not self.waits


def definition_hash(*parts: Any) -> str:
    """A short hash of texts and settings."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _shown(value: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3f}"
