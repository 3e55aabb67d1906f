"""Where an actor's signup date is known from: a dimension source with one key, and a column of dates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from tidelake.contracts.source import Source
from tidelake.contracts.table import quoted
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.context import Gold

COLUMN = "signup_date"


@dataclass(frozen=True)
class Signups:
    """A column of a dimension of actors.

    Attributes:
        source: Name of the dimension source, whose key is the actor.
        column: Dates, or instants.
        key: The source's key column.
        is_instant: Whether the column holds instants.
    """

    source: str
    column: str
    key: str
    is_instant: bool

    @property
    def table(self) -> str:
        return f"silver.{self.source}"

    def sql(self) -> str:
        """SELECT of `actor_id`, `signup_date`; one row an actor, its earliest date where there are several."""
        value = f"local_date({quoted(self.column)})" if self.is_instant else quoted(self.column)
        return (
            f"SELECT CAST({quoted(self.key)} AS VARCHAR) AS actor_id, min({value}) AS signup_date FROM {self.table} "
            f"WHERE {quoted(self.key)} IS NOT NULL GROUP BY CAST({quoted(self.key)} AS VARCHAR)"
        )


def find_signups(gold: Gold, sources: Mapping[str, Source], named: str | None) -> Signups | None:
    """The signup dates that `SOURCE.COLUMN` names; without a name the `signup_date` that only one source has.

    Raises:
        UnknownNameError: There is no such dimension, or no such column in it.
        DefinitionError: The source has several keys, or the column holds no dates.
    """
    dimensions = {name: source for name, source in sources.items() if source.fact == "dimension"}
    if named is None:
        found = [name for name in dimensions if _is_usable(gold, dimensions[name])]
        return _signups(gold, dimensions[found[0]], COLUMN) if len(found) == 1 else None
    name, _, column = named.partition(".")
    if name not in dimensions:
        raise UnknownNameError("dimension source", name, dimensions, more="Write SOURCE.COLUMN.")
    return _signups(gold, dimensions[name], column or COLUMN)


def _is_usable(gold: Gold, source: Source) -> bool:
    schema = gold.lake.schema(f"silver.{source.name}")
    if schema is None or len(source.key) != 1 or COLUMN not in schema.names or source.key[0] not in schema.names:
        return False
    kind = schema.field(COLUMN).type
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def _signups(gold: Gold, source: Source, column: str) -> Signups:
    schema = gold.lake.schema(f"silver.{source.name}")
    if schema is None:
        raise DefinitionError(f"The source {source.name} has not been read yet.", hint="Run `tide build` first.")
    if column not in schema.names:
        raise UnknownNameError("column", column, schema.names, where=source.name)
    if len(source.key) != 1:
        raise DefinitionError(
            f"The key of {source.name} is {', '.join(source.key)}: an actor's signup date needs one key, the actor.",
            hint="Name a dimension with one row an actor.",
        )
    kind = schema.field(column).type
    if not pa.types.is_date(kind) and not pa.types.is_timestamp(kind):
        raise DefinitionError(
            f"{source.name}.{column} is {kind}, not a date.",
            hint=f"Declare `{column}: {{type: date}}` in sources/{source.name}.yml.",
        )
    return Signups(source.name, column, source.key[0], bool(pa.types.is_timestamp(kind)))
