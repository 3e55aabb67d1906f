"""A question about what actors did: which rows, cut how, over which dates; and the way from its rows to an answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Generic, Self, TypeVar

import pyarrow as pa
from pydantic import ValidationError

from tidelake.config import Project, Settings
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.errors import DefinitionError
from tidelake.gold.context import Gold, open_gold
from tidelake.gold.dates import Tables
from tidelake.gold.sqltext import date_literal, day_start, micros
from tidelake.metrics.answer import answer_by_period, check_settings
from tidelake.metrics.choosing import need_events
from tidelake.metrics.periods import Grain, grain_named, next_period, whole_periods
from tidelake.metrics.status import Observed, Status, observe, worst

DAY = timedelta(days=1)
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
NO_EVENTS = "The lake holds no events yet."
_WHOLE = ("step", "in_numerator", "in_denominator")
Key = tuple[Any, ...]


class Named(Settings):
    """A definition with the name that its rows carry, and a title; none = the name."""

    name: str
    title: str = ""


Definition = TypeVar("Definition", bound=Named)


@dataclass(frozen=True)
class EventQuestion(Generic[Definition]):
    """What is asked of the events.

    Attributes:
        definition: What is counted.
        by: Columns to cut by, `s0, s1 ...` in SQL.
        grain: Length of a period; None = the whole range is one.
        start: First date of the first period; None where the lake holds no events.
        end: Last date of the last period.
    """

    gold: Gold
    definition: Definition
    by: tuple[str, ...]
    where: str | None
    grain: Grain | None
    observed: Observed
    start: date | None
    end: date | None

    @classmethod
    def ask(
        cls,
        engine: Engine,
        lake: Tables,
        project: Project,
        sources: Mapping[str, Source],
        definition: Definition,
        *,
        by: Sequence[str] = (),
        start: date | None = None,
        end: date | None = None,
        where: str | None = None,
        grain: str | None = None,
    ) -> Self:
        """The question, over whole periods.

        Raises:
            UnknownNameError: A grain, dimension or column that is not there.
            DefinitionError: A dimension is named twice.
            QueryError: `where` is not one portable condition.
        """
        need_events(sources, type(definition).__name__)
        gold = open_gold(engine, lake, project, sources).at_level()
        by = (by,) if isinstance(by, str) else tuple(by)
        chosen = None if grain is None else grain_named(grain)
        if len(set(by)) != len(by):
            raise DefinitionError(f"A dimension is named twice: {', '.join(by)}.")
        observed = observe(gold, [source.name for source in gold.events.sources])
        first, last = start or observed.first, end or observed.last
        if first is not None and last is not None and chosen is not None:
            first, last = whole_periods(first, last, chosen, gold.project.week_start)
        if observed.first is None:
            first = last = None
        question = cls(gold, definition, by, where, chosen, observed, first, last)
        if gold.events.sources:
            question.check()
        return question

    def check(self) -> None:
        """Raise for what a question names and the lake does not have."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        raise NotImplementedError

    @property
    def called(self) -> str:
        return self.definition.title or self.definition.name.capitalize()

    @property
    def cut_words(self) -> str:
        return f" by {', '.join(self.by)}" if self.by else ""

    # --- SQL

    @property
    def segments(self) -> list[str]:
        return [f"s{index}" for index in range(len(self.by))]

    @property
    def keys(self) -> str:
        """The columns that make a cell, listed."""
        return ", ".join(["period_start", *self.segments])

    def period_of(self, column: str) -> str:
        """The start of the period that holds the date in a column."""
        assert self.start is not None
        if self.grain == "day":
            return column
        if self.grain == "week":
            return f"week_start({column}, '{self.gold.project.week_start}')"
        return f"month_start({column})" if self.grain == "month" else date_literal(self.start)

    def within_dates(self, column: str) -> str:
        """Condition for a date in a column to be one that is asked for."""
        assert self.start is not None
        assert self.end is not None
        return f"{column} BETWEEN {date_literal(self.start)} AND {date_literal(self.end)}"

    @property
    def closed_until(self) -> int:
        """Microseconds up to which all is known; a window that ends later is open."""
        mark = self.observed.watermark
        return micros(mark - self.observed.lateness - EPOCH) if mark is not None else 0

    # --- rows

    def periods(self) -> list[tuple[date, date]]:
        """Every period and the first date after it."""
        assert self.start is not None
        assert self.end is not None
        if self.grain is None:
            return [(self.start, self.end + DAY)]
        found, first = [], self.start
        while first <= self.end:
            found.append((first, next_period(first, self.grain)))
            first = found[-1][1]
        return found

    def keyed(self, found: Iterable[Mapping[str, Any]]) -> dict[Key, Mapping[str, Any]]:
        """Rows by their cell."""
        return {(row["period_start"], *(row[name] for name in self.segments)): row for row in found}

    def cells(self, occurring: Iterable[Key], window: timedelta | None = None) -> Iterator[tuple[Key, dict[str, Any]]]:
        """Every period with every segment that occurs: the cell, and the columns that say which it is and its status.

        Args:
            window: How long after a period its numbers can still change; None = not at all.
        """
        segments = sorted({key[1:] for key in occurring}) if self.by else [()]
        for first, after in self.periods():
            status = status_with_window(self.observed, first, after, window)
            for values in segments:
                named = dict(zip(self.by, values, strict=True))
                yield (
                    (first, *values),
                    {"period_start": first, "grain": self.grain or "range", "status": status, **named},
                )

    # --- answers

    def result(
        self,
        rows: Iterable[Mapping[str, Any]],
        sql: str,
        notes: Sequence[str],
        *,
        before: Sequence[pa.Field] = (),
        after: Sequence[pa.Field] = (),
        tables: Sequence[str] | None = None,
    ) -> Result:
        """An answer whose rows are shares.

        Args:
            before: Columns between the dimensions and the numbers.
            after: Columns after the numbers.
            tables: Tables that were read; None = those of the events.
        """
        return answer_by_period(
            self.gold,
            rows,
            self.by,
            self.definition,
            before=before,
            unit="share",
            after=after,
            name=self.definition.name,
            observed=self.observed,
            sql=sql,
            tables=self.gold.events.inputs if tables is None else tables,
            title=self.title,
            notes=notes,
        )

    def members_result(self, sql: str | None) -> Result:
        """The actors that a SELECT gives by cell; None = the lake holds no events."""
        if sql is None:
            return Result(pa.table({"actor_id": pa.array([], pa.string())}), title="Members")
        table = self.gold.engine.query(sql)
        named = dict(zip(self.segments, self.by, strict=True))
        kinds = [
            pa.field(named.get(column.name, column.name), pa.int64() if column.name in _WHOLE else column.type)
            for column in table.schema
        ]
        schema = pa.schema(kinds)
        return Result(table.rename_columns(schema.names).cast(schema), sql=sql, title=f"Members of {self.title}")


def definition_from(kind: type[Definition], **values: Any) -> Definition:
    """A question's definition from what a caller gave.

    Raises:
        UnknownNameError: There is no such setting.
        DefinitionError: Settings that cannot be, or do not go together; says which in its own words.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        check_settings(kind, error)
        told = []
        for fault in error.errors():
            place = ".".join(str(part) for part in fault["loc"] if "[" not in str(part))
            message = str(fault.get("ctx", {}).get("error", fault["msg"]))
            told.append(f"{place}: {message}" if place else message)
        said = "; ".join(dict.fromkeys(told))
        raise DefinitionError(f"This {kind.__name__.lower()} is not possible: {said}.") from error


def status_with_window(observed: Observed, first: date, after: date, window: timedelta | None) -> Status:
    """The status of entries from `first` up to, not including, `after`, whose windows must have ended."""
    own = observed.of_period(first, after)
    if own == "missing" or window is None:
        return own
    end = day_start(after, observed.zone) + window
    found = [own]
    if observed.watermark is None or end > observed.watermark:
        found.append("open")
    elif end > observed.watermark - observed.lateness:
        found.append("provisional")
    day = after
    while day_start(day, observed.zone) < end:
        if observed.days.get(day) in ("missing", "degraded"):
            found.append("degraded")
        day += DAY
    return worst(found)
