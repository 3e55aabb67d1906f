"""Attributes of dimensions in questions: beside sessions, in conditions, and what to say of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tidelake.contracts.table import quoted
from tidelake.gold.attributes import COHORT, Dimension
from tidelake.gold.context import Gold
from tidelake.gold.events import known_actor
from tidelake.gold.sqltext import sql_name
from tidelake.metrics.definition import Metric

SESSIONS = "gold.sessions"
_CONTENT = "first_watch_content"


def attributes_of(gold: Gold, fact: str) -> list[str]:
    """The attributes by which rows of a fact can be cut: DIMENSION.COLUMN."""
    told = gold.events.attributes
    if fact == "session":
        carried = [dimension for dimension in told.dimensions.values() if _key(gold, dimension) is not None]
        return [name for dimension in carried for name in dimension.attributes]
    return told.names if fact in ("event", "actor_day") else []


def session_rows(gold: Gold, names: Iterable[str], *conditions: str | None, table: str = SESSIONS) -> str:
    """What to read sessions FROM, called `sessions`: project dimensions under their own names, attributes beside them.

    A session has the attributes of its actor, of the content of its first watch event, or of a project dimension's
    value at its first event: as they were when it started.

    Args:
        names: Dimensions that are asked for; those that are no attributes are passed over.
        conditions: What attributes are named in.
        table: gold.sessions, or a subquery of its rows with more columns.
    """
    named = "".join(f", {quoted('first_' + name)} AS {quoted(name)}" for name in gold.project.dimensions)
    told = gold.events.attributes
    about = told.among([*names, *(name for condition in conditions for name in told.in_text(condition))])
    if not about:
        return f"(SELECT *{named} FROM {table}) AS sessions"
    keys = {}
    schema = gold.lake.schema(SESSIONS)
    for dimension in told.dimensions_of(about):
        key = _key(gold, dimension)
        assert schema is not None
        assert key is not None  # the names of dimensions were checked
        keys[dimension.name] = (quoted(key), sql_name(schema.field(key).type))
    known = known_actor if gold.events.anonymous_tables else None
    rows = f"(SELECT *{named} FROM {table})"
    return f"({told.joined(rows, ['*'], about, keys, at='started_at', known=known)}) AS sessions"


def is_of_actors(gold: Gold, names: Sequence[str]) -> bool:
    """Whether all of some names are attributes that an actor has, whenever and whatever it did.

    Of another level's actors none is: each can be of several that have them.
    """
    if gold.level is not None:
        return False
    dimensions = [gold.events.attributes.of(name) for name in names]
    sources = {source.name for source in gold.events.sources}
    return bool(names) and all(
        one is not None and one.history != "kept" and {one.holders.get(name) for name in sources} == {"actor_id"}
        for one in dimensions
    )


def actor_day_rows(gold: Gold, names: Sequence[str], table: str = "gold.user_day") -> str:
    """What to read actors' days FROM, with attributes that actors have (`is_of_actors`) beside them.

    Args:
        names: The attributes.
        table: gold.user_day, or gold.user_day_value.
    """
    told = gold.events.attributes
    keys = {dimension.name: ("actor_id", "VARCHAR") for dimension in told.dimensions_of(names)}
    known = known_actor if gold.events.anonymous_tables else None
    return f"({told.joined(table, ['*'], names, keys, at='activity_date', known=known)}) AS days"


def _key(gold: Gold, dimension: Dimension) -> str | None:
    """The column of gold.sessions that holds a dimension's key; None where none does."""
    schema = gold.lake.schema(SESSIONS)
    holders = dimension.holders.values()
    places = {"actor_id": "actor_id", gold.project.watch.content: _CONTENT}
    places |= {name: f"first_{name}" for name in gold.project.dimensions if name not in places}
    found = [column for holder, column in places.items() if holder in holders]
    return next((column for column in found if schema is not None and column in schema.names), None)


def spelled_metric(gold: Gold, metric: Metric) -> Metric:
    """The metric with attributes in its condition and expression in double quotes, as they are read."""
    said = {"where": metric.where, "expression": None if metric.kind == "formula" else metric.expression}
    spelled = {key: gold.events.attributes.spelled(text) for key, text in said.items() if text}
    return metric if all(said[key] == text for key, text in spelled.items()) else metric.model_copy(update=spelled)


def attribute_tables(gold: Gold, names: Iterable[str]) -> list[str]:
    """The tables of the dimensions that some names are attributes of."""
    return [one.table for one in gold.events.attributes.dimensions_of(names) if one.name != COHORT]


def attribute_notes(gold: Gold, names: Iterable[str]) -> list[str]:
    """What to say where an attribute is the present one, whenever the event was."""
    return [
        f"{dimension.name} keeps no history: its values are the present ones, also for older events."
        for dimension in gold.events.attributes.dimensions_of(names)
        if dimension.history != "kept" and dimension.name != COHORT
    ]


def session_notes(gold: Gold, names: Iterable[str]) -> list[str]:
    """What to say of sessions that are cut by what was watched."""
    told = gold.events.attributes
    watched = [name for name in told.among(names) if (one := told.of(name)) and _key(gold, one) == _CONTENT]
    return [f"A session's {name} is that of its first watch event." for name in watched]
