"""The events that gold tables are made from: every event source of the project under one set of columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import pyarrow as pa

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.contracts.table import quoted
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.attributes import Attributes, common_kind
from tidelake.gold.sqltext import SumKind, dates_condition, exact_sum, one_of, sql_name, sum_parts

CANONICAL = (
    "event_date",
    "event_time",
    "event_id",
    "actor_id",
    "event_name",
    "session_id",
    "received_at",
    "seq",
    "traffic_class",
)
# What `select` always gives.
_SELECTED = (
    "source",
    "event_date",
    "event_time",
    "seq",
    "event_id",
    "actor_id",
    "event_name",
    "source_session_id",
    "is_active",
    "is_counted",
)
# Equal where the order is tied, or saying where a row was read.
_NO_TIE = {"event_date", "event_time", "event_id", "actor_id", "seq"} | {
    "file_id",
    "source_position",
    "batch_id",
    "ingested_at",
}
IDENTITY_DAY = "gold.identity_day"
ANONYMOUS = "anonymous:"  # before the anonymous id that an actor has who is not known
_KNOWN = "known:"  # before a known id that would read like one of those
_HUMAN = "coalesce(traffic_class, 'human') = 'human'"


@dataclass(frozen=True)
class EventSource:
    """An event source as it lies in silver.

    Attributes:
        is_ordered: Whether (event_time, seq, event_id) tells any two different rows apart.
        has_anonymous: Whether rows carry an `anonymous_id` beside the actor, who is then not always known.
    """

    name: str
    schema: pa.Schema
    is_ordered: bool
    has_anonymous: bool = False

    @property
    def table(self) -> str:
        return f"silver.{self.name}"


@dataclass(frozen=True)
class Events:
    """The project's event sources with what the settings say of them.

    Attributes:
        sum_kinds: How the columns that measures add up are added up, by what silver's files say of their values.
        is_stitched: Events without a known actor belong to whom `gold.identity_day` says.
        attributes: What dimensions tell of the events.
    """

    project: Project
    sources: tuple[EventSource, ...]
    sum_kinds: Mapping[str, SumKind] = field(default_factory=dict)
    is_stitched: bool = False
    attributes: Attributes = field(default_factory=Attributes, compare=False, repr=False)

    @property
    def tables(self) -> list[str]:
        return [source.table for source in self.sources]

    @property
    def inputs(self) -> list[str]:
        """The tables that `select` reads, each with the date partition `event_date`."""
        return [*self.tables, *([IDENTITY_DAY] if self.is_stitched else [])]

    @property
    def anonymous_tables(self) -> list[str]:
        """The tables of the sources whose rows carry an anonymous id."""
        return [source.table for source in self.sources if source.has_anonymous]

    @property
    def has_unique_ids(self) -> bool:
        """Whether every event has an id that no other has: one source, which keeps one row an id."""
        return len(self.sources) == 1 and self.sources[0].is_ordered

    def anonymous(self, column: str) -> str:
        """SQL of an anonymous id; null where it stands for no device."""
        ignored = one_of(column, self.project.identity.ignore)
        return column if ignored == "FALSE" else f"CASE WHEN NOT {ignored} THEN {column} END"

    def stitching(self, *, is_made: bool = True) -> Events:
        """The same events with stitched actors, where a source has anonymous ids and the project does not forbid it.

        Args:
            is_made: Whether `gold.identity_day` is there, or will be before anything is read.
        """
        is_wanted = self.project.identity.stitch != "off" and bool(self.anonymous_tables)
        return replace(self, is_stitched=is_wanted and is_made)

    @property
    def types(self) -> dict[str, str]:
        """SQL type of every silver column; text where sources disagree."""
        found: dict[str, str] = {}
        for source in self.sources:
            for column in source.schema:
                name, kind = column.name, sql_name(column.type)
                found[name] = kind if found.get(name, kind) == kind else _wider(found[name], kind)
        return found

    @property
    def ties(self) -> list[tuple[str, str, str]]:
        """What orders rows that share time, seq and id, by content: (source, column, SQL type) of each `tie_N`.

        Silver's hash of the content where it has one, else the columns by name: one that a source gets later is
        null in all rows before, and leaves their order as it was.
        """
        return [
            (source.name, name, sql_name(source.schema.field(name).type))
            for source in self.sources
            if not source.is_ordered
            for name in _tie_columns(source.schema)
        ]

    @property
    def tie_names(self) -> list[str]:
        """Columns of `select` that come last in the order of events."""
        many = ["source"] if len(self.sources) > 1 else []
        return [*many, *(f"tie_{index}" for index in range(len(self.ties)))]

    def order(self, *first: str, prefix: str = "", backwards: bool = False) -> str:
        """The total order of an actor's events (METRICS section 0), after columns that come first."""
        names = [*first, "seq", "event_id", *self.tie_names]
        down, nulls = (" DESC", "NULLS FIRST") if backwards else ("", "NULLS LAST")
        can_be_null = {"seq", "event_id", *(name for name in names if name.startswith("tie_"))}
        return ", ".join(f"{prefix}{name}{down}{f' {nulls}' if name in can_be_null else ''}" for name in names)

    def defining(self) -> Events:
        """The same events without tie columns, whose SELECTs stay the same when a source gets another column."""
        return replace(self, sources=tuple(replace(source, is_ordered=True) for source in self.sources))

    @property
    def has_states(self) -> bool:
        """Whether watch time comes from play states."""
        return self.project.watch.column is None and self.project.watch.content in self.types

    @property
    def has_watch(self) -> bool:
        return self.project.watch.column is not None or self.has_states

    def check(self) -> None:
        """Raise for settings that name columns which no event source has.

        Raises:
            UnknownNameError: A dimension, measure, split or watch column is nowhere in silver.
        """
        known = self.types
        rule = self.project
        if rule.session.mode == "bracket" and not (rule.session.start and rule.session.end):
            raise DefinitionError(
                "tide.yml: `session: mode: bracket` needs `start:` and `end:`.",
                hint="Name the event that opens a session and the one that closes it.",
            )
        if not self.sources:
            return  # no event has come yet: which columns there will be is not known
        named = [("dimensions", name) for name in rule.dimensions]
        named += [("session.split_by", name) for name in rule.session.split_by]
        named += [("watch.column", rule.watch.column)] if rule.watch.column else []
        for measure, how in rule.measures.items():
            named += [(f"measures.{measure}", name) for name in (how.sum, how.distinct) if name]
        for place, name in named:
            if name not in known:
                is_told = self.attributes.of(name) is not None
                more = f"{name} need not be listed: leave it out and ask --by {name}." if is_told else ""
                raise UnknownNameError("column", name, known, where=f"tide.yml, {place}", more=more)
        for measure, how in rule.measures.items():
            if how.sum and known[how.sum] not in ("BIGINT", "DOUBLE"):
                raise DefinitionError(
                    f"tide.yml, measures.{measure}: column '{how.sum}' is {known[how.sum]}, not a number.",
                    hint="Declare its type in the source's contract (integer or number).",
                )

    def needed(self) -> list[str]:
        """Columns beyond the canonical ones that the gold tables look at."""
        rule = self.project
        names = [*rule.dimensions, *rule.session.split_by]
        for measure in rule.measures.values():
            names += [name for name in (measure.sum, measure.distinct) if name]
        if rule.watch.column:
            names.append(rule.watch.column)
        if rule.watch.content in self.types:
            names.append(rule.watch.content)
        return [name for name in dict.fromkeys(names) if name not in CANONICAL]

    def kinds(self) -> dict[str, str]:
        """The types of the needed columns: where one changes, tables that carry its values are made anew."""
        types = self.types
        return {name: types[name] for name in self.needed() if name in types}

    def select(
        self,
        *,
        days: Sequence[date] | None = None,
        columns: Sequence[str] | None = None,
        everything: bool = False,
        where: str | None = None,
    ) -> str:
        """SELECT of the events that count: active or human ones.

        Grain: one row per row of silver. Columns: source, event_date, event_time, seq, event_id, actor_id,
        event_name, source_session_id, is_active, is_counted, `columns` and those that break ties.

        Args:
            days: Local dates to read; None = all.
            columns: Silver columns beyond those, and attributes of dimensions; None = all that gold needs.
            everything: Also rows that do not count (`is_counted` is false), and those without actor.
            where: A further condition over silver columns and attributes (`"videos.genre"`).
        """
        extra = list(self.needed() if columns is None else columns)
        types = self.types
        where = self.attributes.spelled(where) if where else where
        asked = [name for name in extra if name not in types] + self.attributes.in_text(where)
        if about := self.attributes.among(asked):
            return self._with_attributes(about, days, extra, everything=everything, where=where)
        parts = [self._one(source, days, extra, types, everything=everything, where=where) for source in self.sources]
        return "\nUNION ALL\n".join(parts)

    def _with_attributes(
        self,
        about: Sequence[str],
        days: Sequence[date] | None,
        columns: Sequence[str],
        *,
        everything: bool,
        where: str | None,
    ) -> str:
        """The same events, each with the attributes of its row in their dimensions; a condition on them comes last."""
        types, dimensions = self.types, self.attributes.dimensions_of(about)
        is_last = bool(self.attributes.in_text(where))
        plain = [name for name in columns if name not in about]
        if is_last:
            plain += [name for name in types if name not in (*plain, *_SELECTED) and _names(where or "", name)]
        kinds, keys = {}, {}
        for dimension in dimensions:
            kind = dimension.kind
            for source in self.sources:
                holder = dimension.holders.get(source.name)
                kind = kind if holder is None else common_kind(kind, sql_name(source.schema.field(holder).type))
            kinds[dimension.name] = kind
        for source in self.sources:
            keys[source.name] = "".join(
                f", CAST({quoted(dimension.holders[source.name]) if source.name in dimension.holders else 'NULL'} "
                f"AS {kinds[dimension.name]}) AS {quoted(dimension.key_name)}"
                for dimension in dimensions
            )
        inner = "\nUNION ALL\n".join(
            self._one(
                source,
                days,
                plain,
                types,
                everything=everything,
                where=None if is_last else where,
                more=keys[source.name],
            )
            for source in self.sources
        )
        ties = [name for name in self.tie_names if name != "source"]
        joined = self.attributes.joined(
            f"({inner})",
            [*_SELECTED, *(quoted(name) for name in plain), *ties],
            about,
            {dimension.name: (quoted(dimension.key_name), kinds[dimension.name]) for dimension in dimensions},
            at="event_time",
            known=known_actor if self.anonymous_tables else None,
        )
        return f"SELECT * FROM ({joined}) AS asked WHERE ({where})" if is_last else joined

    def _one(
        self,
        source: EventSource,
        days: Sequence[date] | None,
        extra: Sequence[str],
        types: Mapping[str, str],
        *,
        everything: bool,
        where: str | None,
        more: str = "",
    ) -> str:
        active = self.active_condition(source)
        counted = "TRUE" if self.project.activity.any else f"({_HUMAN} OR {active})"
        listed = "".join(f", {self._column(source, name, types)}" for name in extra)
        for index, (owner, name, kind) in enumerate(self.ties):
            listed += f", {quoted(name) if owner == source.name else f'CAST(NULL AS {kind})'} AS tie_{index}"
        listed += more
        conditions = [dates_condition("event_date", days)]
        if not everything:
            conditions += [counted, "actor_id IS NOT NULL"]
        if where:
            conditions.append(f"({where})")
        wanted = " AND ".join(part for part in conditions if part != "TRUE") or "TRUE"
        selected = (
            f"SELECT '{source.name}' AS source, event_date, event_time, seq, event_id, "
            f"actor_id, event_name, session_id AS source_session_id, {active} AS is_active, "
            f"{counted} AS is_counted{listed}"
        )
        rows = self.rows_of(source, where=where, text=f"{selected} {wanted}", days=days)
        return f"{selected} FROM {rows} WHERE {wanted}"

    def _column(self, source: EventSource, name: str, types: Mapping[str, str]) -> str:
        if name not in types:
            raise UnknownNameError("column", name, types)
        if source.schema.get_field_index(name) < 0:
            return f"CAST(NULL AS {types[name]}) AS {quoted(name)}"
        if sql_name(source.schema.field(name).type) != types[name]:
            return f"CAST({quoted(name)} AS {types[name]}) AS {quoted(name)}"
        return quoted(name)

    def rows_of(
        self, source: EventSource, *, text: str, where: str | None = None, days: Sequence[date] | None = None
    ) -> str:
        """What to read a source's rows FROM: their actor is the stitched one, also in conditions.

        Columns that a condition names and only other sources have are null.

        Args:
            text: What will be said of the rows: of a table with anonymous ids only columns named in it are to be had.
            where: The condition beside the activity rule.
            days: Local dates that will be read at most; None = all.
        """
        conditions = f"{self.project.activity.where or ''} {where or ''}"
        missing = [
            f"CAST(NULL AS {kind}) AS {quoted(name)}"
            for name, kind in self.types.items()
            if source.schema.get_field_index(name) < 0 and _names(conditions, name)
        ]
        if source.has_anonymous:
            return self._stitched(source, text, missing, dates_condition("event_date", days))
        if not missing:
            return source.table
        return f"(SELECT *, {', '.join(missing)} FROM {source.table}) AS {source.name}"

    def _stitched(self, source: EventSource, text: str, more: Sequence[str], within: str) -> str:
        """A source's rows with their actor: the known one, else whose the anonymous id is, else that id itself.

        Columns are listed, so that the SELECT stays the same when the source gets another one.
        """
        kept = [name for name in source.schema.names if name != "actor_id" and _names(text, name)]
        inner = ", ".join(quoted(name) for name in dict.fromkeys([*kept, "event_date", "anonymous_id", "actor_id"]))
        columns = "".join(f"sent.{quoted(name)}, " for name in kept) + "".join(f"{column}, " for column in more)
        known, own = known_actor("sent.actor_id"), f"'{ANONYMOUS}' || {self.anonymous('sent.anonymous_id')}"
        rows = f"(SELECT {inner} FROM {source.table} WHERE {within}) AS sent"
        if not self.is_stitched:
            return f"(SELECT {columns}coalesce({known}, {own}) AS actor_id FROM {rows}) AS {source.name}"
        stitched = (
            f"(SELECT event_date, anonymous_id, actor_id FROM {IDENTITY_DAY} WHERE {within} AND known_id IS NULL "
            "AND actor_id IS NOT NULL) AS stitched"
        )
        return (
            f"(SELECT {columns}coalesce({known}, stitched.actor_id, {own}) AS actor_id FROM {rows} "
            f"LEFT JOIN {stitched} ON stitched.event_date = sent.event_date "
            "AND stitched.anonymous_id = CASE WHEN sent.actor_id IS NULL THEN sent.anonymous_id END) "
            f"AS {source.name}"
        )

    def active_condition(self, source: EventSource) -> str:
        """Condition for an active event (METRICS section 0); never null."""
        rule = self.project.activity
        if rule.any:
            return "TRUE"
        if rule.where is not None:
            return f"coalesce(({rule.where}), FALSE)"
        index = source.schema.get_field_index("interactive")
        if index >= 0 and pa.types.is_boolean(source.schema.field(index).type):
            return f"(coalesce(interactive, TRUE) AND {_HUMAN})"
        return f"({_HUMAN})"

    # --- what is counted per row

    def measure_kind(self, name: str) -> SumKind:
        """How a project measure is added up."""
        column = self.project.measures[name].sum
        return "BIGINT" if column is None else self.sum_kinds.get(column, "WIDE")

    @property
    def watch_kind(self) -> SumKind:
        """How declared watch time is added up: as a number, also where it is declared in whole seconds."""
        return "WIDE" if self.sum_kinds.get(self.project.watch.column or "") == "WIDE" else "DOUBLE"

    def measure_parts(self, names: Iterable[str]) -> dict[str, str]:
        """Additive measures as aggregates over events that can be added up again, by their columns."""
        found = {}
        for name in names:
            rule = self.project.measures[name]
            wanted = one_of("event_name", rule.event) if rule.event else None
            if rule.sum is None:
                found[name] = f"count(*) FILTER (WHERE {wanted})" if wanted else "count(*)"
                continue
            parts = sum_parts(quoted(rule.sum), self.measure_kind(name), wanted)
            found |= {f"{name}{suffix}": text for suffix, text in parts.items()}
        return found

    def measure(self, name: str) -> str:
        """One project measure as an aggregate over events; a sum as a number, 0 where there is none."""
        rule = self.project.measures[name]
        wanted = one_of("event_name", rule.event) if rule.event else None
        if rule.sum:
            return f"coalesce({exact_sum(quoted(rule.sum), 'WIDE', wanted)}, 0)"
        counted = f"DISTINCT {quoted(rule.distinct)}" if rule.distinct else "*"
        return f"count({counted})" + (f" FILTER (WHERE {wanted})" if wanted else "")

    @property
    def watch_event(self) -> str:
        """Condition for a watch event: one that carries declared seconds, or a play or resume."""
        rule = self.project.watch
        if rule.column is not None:
            present = f"{quoted(rule.column)} IS NOT NULL"
            return f"{one_of('event_name', [rule.event])} AND {present}" if rule.event else present
        if self.has_states:
            return one_of("event_name", (*rule.play, *rule.resume))
        return "FALSE"


def event_sources(sources: Mapping[str, Source], schemas: Mapping[str, pa.Schema | None]) -> tuple[EventSource, ...]:
    """The event sources that have a silver table, by name."""
    found = []
    for name, source in sorted(sources.items()):
        schema = schemas.get(name)
        if source.fact == "event" and schema is not None:
            has_anonymous = source.mapping.anonymous_id is not None and "anonymous_id" in schema.names
            is_ordered = source.dedup == "key"
            found.append(EventSource(name, schema, is_ordered=is_ordered, has_anonymous=has_anonymous))
    return tuple(found)


def known_actor(column: str) -> str:
    """SQL of the actor that a known id is: the id itself, unless it reads like an anonymous actor's."""
    return f"CASE WHEN starts_with({column}, '{ANONYMOUS}') THEN '{_KNOWN}' || {column} ELSE {column} END"


def _names(text: str, column: str) -> bool:
    """Whether SQL names a column, or may."""
    return re.search(rf"\b{re.escape(column)}\b", text) is not None


def _tie_columns(schema: pa.Schema) -> list[str]:
    if "content_hash" in schema.names:
        return ["content_hash"]
    return [name for name in sorted(schema.names) if name not in _NO_TIE]


def _wider(one: str, other: str) -> str:
    return "DOUBLE" if {one, other} == {"BIGINT", "DOUBLE"} else "VARCHAR"
