"""Columns of dimension tables as columns of events and sessions: `users.subscription_tier`, `videos.genre`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa

from tidelake.contracts.source import Source
from tidelake.contracts.table import quoted
from tidelake.gold.sqltext import sql_name

_DATED = frozenset(("valid_from", "valid_to", "is_current"))
_NEVER = _DATED | {"content_hash", "file_id", "source_position", "batch_id", "ingested_at"}
_NAME = re.compile(r'"([a-z][a-z0-9_]*\.[^"]+)"')
# Texts and quoted names are passed over as wholes.
_REFERENCE = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\b([a-z][a-z0-9_]*)\.("[^"]+"|[A-Za-z_][A-Za-z0-9_]*)""")
Key = tuple[str, str]  # SQL of a key and its SQL type
COHORT = "cohort"  # before the name of a saved cohort: cohort.regulars
IN, OUT = "in", "out"


@dataclass(frozen=True)
class Dimension:
    """A dimension with one key field, as it lies in silver: one row a key, with history one a key and period.

    Attributes:
        key: Column of the key.
        holders: Column that holds the key, by event source; sources without one are left out.
        history: `kept`: rows hold from `valid_from` to `valid_to`; `none`: each row is the present one; `left`: the
            table still has the periods of a history that the source does not declare any more.
    """

    name: str
    key: str
    schema: pa.Schema
    holders: Mapping[str, str]
    history: str

    @property
    def table(self) -> str:
        return f"silver.{self.name}"

    @property
    def attributes(self) -> list[str]:
        """Names of its columns as dimensions."""
        return [f"{self.name}.{name}" for name in self.schema.names if name != self.key and name not in _NEVER]

    @property
    def kind(self) -> str:
        """SQL type of the key."""
        return sql_name(self.schema.field(self.key).type)

    @property
    def key_name(self) -> str:
        """What rows that are joined with it call the key."""
        return f"({self.name}.{self.key})"

    def value(self, column: str, key: str) -> str:
        """SQL of one of its columns beside rows with a key."""
        return f"about_{self.name}.{quoted(column)}"

    def join(self, rows: str, key: Key, columns: Iterable[str], *, at: str, known: Callable[[str], str] | None) -> str:
        """LEFT JOIN of rows called `rows` with the one row of their key, called `about_NAME`; never two.

        Args:
            rows: Alias of the rows.
            key: Their key.
            columns: Columns that are wanted.
            at: Their instant, at which the row must hold where history is kept.
            known: What a key is in an actor's place; None = itself.
        """
        kind = common_kind(self.kind, key[1])
        own = quoted(self.key) if self.kind == kind else f"CAST({quoted(self.key)} AS {kind})"
        own = own if known is None else known(own)
        theirs = key[0] if key[1] == kind else f"CAST({key[0]} AS {kind})"
        dates = ["valid_from", "valid_to"] if self.history == "kept" else []
        listed = ", ".join([f"{own} AS about_key", *dates, *(quoted(name) for name in dict.fromkeys(columns))])
        here = f"SELECT {listed} FROM {self.table}{' WHERE is_current' if self.history == 'left' else ''}"
        alias, then = f"about_{self.name}", ""
        if self.history == "kept":
            then = (
                f" AND ({alias}.valid_from IS NULL OR {alias}.valid_from <= {rows}.{at})"
                f" AND ({alias}.valid_to IS NULL OR {rows}.{at} < {alias}.valid_to)"
            )
        return f" LEFT JOIN ({here}) AS {alias} ON {alias}.about_key = {theirs}{then}"


@dataclass(frozen=True)
class Asked:
    """The saved cohorts that a question names, worked out.

    Attributes:
        versions: Hash of each one's definition, by name.
        status: The worst status of their windows.
        table: `temp` table of their members: `actor_id`, and a column a cohort that holds `in` or is null.
    """

    versions: Mapping[str, str]
    status: str
    table: str


@dataclass(frozen=True)
class Cohorts(Dimension):
    """Saved cohorts as what actors are told: `in` or `out`, null where there is no actor."""

    members: str = ""

    @property
    def table(self) -> str:
        return self.members

    def value(self, column: str, key: str) -> str:
        """A cohort's column: who is not in it is out."""
        told = super().value(column, key)
        return f"CASE WHEN {told} IS NOT NULL THEN {told} WHEN {key} IS NOT NULL THEN '{OUT}' END"

    def join(self, rows: str, key: Key, columns: Iterable[str], *, at: str, known: Callable[[str], str] | None) -> str:
        """As of any dimension; members are named as actors are after stitching."""
        return super().join(rows, key, columns, at=at, known=None)


@dataclass(frozen=True)
class Attributes:
    """What the project's dimensions tell of its events; nothing is looked up before it is asked.

    Attributes:
        sources: The project's sources by name.
        schema: A table's columns by its name; None where there is no such table.
        asked: The saved cohorts that the question names.
    """

    sources: Mapping[str, Source] = field(default_factory=dict)
    schema: Callable[[str], pa.Schema | None] = lambda _: None
    asked: Asked | None = None

    @property
    def status(self) -> str:
        """That of the cohorts; complete without any."""
        return "complete" if self.asked is None else self.asked.status

    @cached_property
    def dimensions(self) -> dict[str, Dimension]:
        """Dimensions that have a table, one key field, and an event source with a column that holds the key."""
        found = {}
        for name, source in sorted(self.sources.items()):
            if source.fact != "dimension" or len(source.key) != 1:
                continue
            schema = self.schema(f"silver.{name}")
            columns = {given: part for part, given in source.mapping.items()}
            key = columns.get(source.key[0], source.key[0])
            if schema is None or key not in schema.names:
                continue
            holders = {
                other.name: holder
                for other in self.sources.values()
                if other.fact == "event" and (holder := self._holder(other, source, key)) is not None
            }
            if holders:
                found[name] = Dimension(name, key, schema, holders, _history(source, schema))
        if self.asked is not None:
            columns = pa.schema([(name, pa.string()) for name in ("actor_id", *self.asked.versions)])
            events = {name: "actor_id" for name, source in self.sources.items() if source.fact == "event"}
            found[COHORT] = Cohorts(COHORT, "actor_id", columns, events, "none", self.asked.table)
        return found

    def _holder(self, events: Source, dimension: Source, key: str) -> str | None:
        """The events' column that holds a dimension's key.

        That of the field which says `references:`, else of the one with the key's name. Of several that refer to it
        the one with the key's name, else the actor; else none is told apart, and there is none.
        """
        (own,) = dimension.key
        known = {f"{dimension.name}.{name}" for name in (own, key)}
        fields = [name for name, rule in events.contract.fields.items() if rule.references in known] or [own]
        if len(fields) > 1:
            fields = [name for name in (own, events.mapping.actor_id) if name in fields]
        columns = {given: part for part, given in events.mapping.items()}
        column = columns.get(fields[0], fields[0]) if fields else None
        schema = self.schema(f"silver.{events.name}")
        return column if schema is not None and column in schema.names else None

    @property
    def names(self) -> list[str]:
        """All of them: DIMENSION.COLUMN."""
        return [name for dimension in self.dimensions.values() for name in dimension.attributes]

    def of(self, name: str) -> Dimension | None:
        """The dimension that a name is a column of; None where it is none."""
        dimension = self.dimensions.get(name.partition(".")[0]) if "." in name else None
        return dimension if dimension is not None and name in dimension.attributes else None

    def among(self, names: Iterable[str]) -> list[str]:
        """Those of some names that are attributes, each once."""
        return [name for name in dict.fromkeys(names) if self.of(name) is not None]

    def spelled(self, text: str) -> str:
        """A condition with its attributes in double quotes: videos.genre as "videos.genre"."""

        def one(found: re.Match[str]) -> str:
            name = f"{found[1]}.{(found[2] or '').strip(chr(34))}"
            return quoted(name) if found[1] and self.of(name) is not None else found[0]

        return _REFERENCE.sub(one, text) if "." in text and self.dimensions else text

    def in_text(self, text: str | None) -> list[str]:
        """The attributes that a condition names."""
        return self.among(_NAME.findall(self.spelled(text))) if text and "." in text else []

    def dimensions_of(self, names: Iterable[str]) -> list[Dimension]:
        """The dimensions of some attributes, each once."""
        return list({found.name: found for name in names if (found := self.of(name)) is not None}.values())

    def joined(
        self,
        rows: str,
        kept: Sequence[str],
        names: Sequence[str],
        keys: Mapping[str, Key],
        *,
        at: str,
        known: Callable[[str], str] | None = None,
    ) -> str:
        """SELECT of rows with attributes beside their columns.

        Grain: that of `rows`, for keys are unique. An attribute is null where the key is unknown or missing, or no
        row of it held at the time.

        Args:
            rows: What to read FROM.
            kept: Their columns.
            names: Attributes.
            keys: Key of each dimension in `rows`.
            at: Their instant.
            known: What an actor's key is among stitched actors.
        """
        columns = [f"told.{name}" for name in kept]
        joins = ""
        for dimension in self.dimensions_of(names):
            own = [name for name in names if self.of(name) == dimension]
            wanted = {name: name.partition(".")[2] for name in own}
            text, kind = keys[dimension.name]
            columns += [
                f"{dimension.value(column, f'told.{text}')} AS {quoted(name)}" for name, column in wanted.items()
            ]
            stitched = known if "actor_id" in dimension.holders.values() else None
            joins += dimension.join("told", (f"told.{text}", kind), wanted.values(), at=at, known=stitched)
        return f"SELECT {', '.join(columns)} FROM {rows} AS told{joins}"


def common_kind(one: str, other: str) -> str:
    """The SQL type by which two columns are compared: their own, a number for numbers, else text."""
    if one == other:
        return one
    return "DOUBLE" if {one, other} == {"BIGINT", "DOUBLE"} else "VARCHAR"


def _history(source: Source, schema: pa.Schema) -> str:
    has_periods = set(schema.names) >= _DATED
    is_declared = source.history == "scd2" and source.mapping.valid_from is not None
    return "none" if not has_periods else "kept" if is_declared else "left"
