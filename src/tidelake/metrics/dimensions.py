"""By what a metric can be cut, and what its conditions can ask for: the columns that its facts carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn, get_args

from tidelake.contracts.table import ANSWERED, quoted
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.context import Gold
from tidelake.gold.events import CANONICAL
from tidelake.gold.sqltext import sql_name
from tidelake.metrics.attributes import attributes_of
from tidelake.metrics.definition import Fact, Metric
from tidelake.metrics.session_events import names_of

UNKNOWN = "(unknown)"
OF_DAY = ("event_count", "active_event_count", "is_active")  # of an actor's day, also of one value of a dimension
_NEVER_DIMENSIONS = frozenset(
    ("event_time", "event_id", "received_at", "seq", "content_hash", "file_id", "source_position", "batch_id")
) | {"ingested_at", "event_date", "actor_id", "valid_from", "valid_to"}


_CONTINUOUS = {"DOUBLE": "numbers with fractions", "TIMESTAMP WITH TIME ZONE": "instants", "TIMESTAMPTZ": "instants"}


def segment(name: str) -> str:
    """A dimension's value as text; null has its own name."""
    return f"coalesce(CAST({quoted(name)} AS VARCHAR), '{UNKNOWN}')"


def conditional_columns(gold: Gold, metric: Metric) -> list[str]:
    """The columns that a question's condition can ask for; none before the first build."""
    if metric.fact in ("event", "actor_day"):
        return [*gold.events.types, *CANONICAL, *attributes_of(gold, "event")] if gold.events.types else []
    counts = set(names_of(gold)) if metric.fact == "session" else set()
    return [name for name in defined_columns(gold, metric) if name not in counts]


def defined_columns(gold: Gold, metric: Metric) -> list[str]:
    """The columns that a definition's own condition and expression can name; none before the first build."""
    if metric.fact == "event":
        return conditional_columns(gold, metric)
    if metric.fact == "actor_day":
        schema = gold.lake.schema("gold.user_day")
        return [] if schema is None else [*schema.names, *gold.project.measures]
    table = "gold.sessions" if metric.fact == "session" else f"silver.{metric.source}"
    schema = gold.lake.schema(table)
    named = []
    if metric.fact == "session":
        named = [*gold.project.dimensions, *names_of(gold), *attributes_of(gold, "session")]
    return [] if schema is None else [*schema.names, *named]


def check_dimensions(gold: Gold, metric: Metric, leaves: Iterable[Metric], by: Sequence[str]) -> None:
    """Raise for dimensions that the metric, or one of the metrics it is made from, does not have.

    Raises:
        UnknownNameError: No fact carries it.
        DefinitionError: Another fact does, or the metric's definition leaves it out.
    """
    for leaf in leaves:
        _check_carried(gold, leaf, by)
        check_by(gold, by, by, source=leaf.source)
    for name in by:
        if metric.dimensions is not None and name not in metric.dimensions:
            raise DefinitionError(
                f"The definition of '{metric.name}' does not list '{name}' among its dimensions.",
                hint=f"It can be asked by: {', '.join(metric.dimensions) or 'none'}.",
            )


def check_by(gold: Gold, by: Sequence[str], known: Sequence[str], *, source: str | None = None, more: str = "") -> None:
    """Raise for names by which rows cannot be cut.

    Args:
        known: The names by which they can.
        source: The source of a count metric.
        more: What else to say of a name that is not known.

    Raises:
        UnknownNameError: Nothing has such a name; proposes only what is possible.
        DefinitionError: It is named twice, it is a column of every answer, or it is no category: its values are
            numbers with fractions or instants, whose texts differ between engines.
    """
    kinds = _kinds(gold, source)
    for name in by:
        if name in kinds and name in ANSWERED:
            refuse_column(name)
        kind = _CONTINUOUS.get(kinds.get(name, ""))
        if kind is not None:
            raise DefinitionError(
                f"'{name}' holds {kind}, which are no categories to cut by.",
                hint="Use it in --where, or declare the field as integer, date or string in its source's contract.",
            )
        if name not in known:
            holders = [other for other in known if other.partition(".")[2] == name]
            parts = [part.strip() for part in name.split(",")]
            said = f"Repeat --by: {' '.join(f'--by {part}' for part in parts)}." if len(parts) > 1 else more
            raise UnknownNameError("dimension", name, holders or known, more=said)
    if len(set(by)) != len(by):
        raise DefinitionError(f"A dimension is named twice: {', '.join(by)}.")


def refuse_column(name: str) -> NoReturn:
    """Raise for a dimension that has the name of a column of the answer."""
    raise DefinitionError(
        f"'{name}' cannot be a dimension here: the answer has a column of that name.",
        hint=f"Give the field another name in its source and build: `mapping: {{names: {{own_{name}: {name}}}}}`. "
        f'Or ask for its values one by one, --where "{name} = ...".',
    )


def _kinds(gold: Gold, source: str | None) -> dict[str, str]:
    """SQL types of the columns by which rows can be cut."""
    if source is not None:
        schema = gold.lake.schema(f"silver.{source}")
        return {} if schema is None else {field.name: sql_name(field.type) for field in schema}
    told = gold.events.attributes.dimensions.values()
    found = {f"{one.name}.{field.name}": sql_name(field.type) for one in told for field in one.schema}
    return found | dict(gold.events.types)


def _check_carried(gold: Gold, metric: Metric, by: Sequence[str]) -> None:
    carried: Mapping[str, list[str]] = {fact: fact_dimensions(gold, fact, metric.source) for fact in get_args(Fact)}
    own = carried[metric.fact or "event"]
    for name in by:
        if name in own:
            continue
        holders = [fact for fact, names in carried.items() if name in names]
        if holders:
            raise DefinitionError(
                f"'{metric.name}' is made from {metric.fact} facts, which do not carry '{name}'.",
                hint=f"Carried by: {', '.join(holders)} facts. "
                f"Dimensions of {metric.name}: {', '.join(own) or 'none'}."
                + (
                    f" List {_carrier(gold, name)} under `dimensions:` in tide.yml." if metric.fact == "session" else ""
                ),
            )
        check_by(gold, [name], own, source=metric.source)


def _carrier(gold: Gold, name: str) -> str:
    """What sessions would have to carry to have a dimension: itself, or the key of what it is an attribute of."""
    dimension = gold.events.attributes.of(name)
    return "it" if dimension is None else " or ".join(sorted({f"'{key}'" for key in dimension.holders.values()}))


def dimensions_of(gold: Gold, metric: Metric, leaves: Sequence[Metric]) -> list[str]:
    """The names by which a metric can be cut: those that all of the metrics it is made from have.

    None of events before the first build, for their columns are not known.
    """
    found = [fact_dimensions(gold, leaf.fact or "event", leaf.source) for leaf in leaves]
    shared = [name for name in found[0] if all(name in others for others in found[1:])] if found else []
    return [name for name in shared if metric.dimensions is None or name in metric.dimensions]


def fact_dimensions(gold: Gold, fact: Fact, source: str | None = None) -> list[str]:
    """The names by which rows of a fact can be cut; none of events before the first build."""
    kinds = _kinds(gold, source if fact == "count" else None)
    carried = _carried(gold, fact, source)
    return [name for name in carried if kinds.get(name) not in _CONTINUOUS and name not in ANSWERED]


def _carried(gold: Gold, fact: Fact, source: str | None) -> list[str]:
    if fact == "session":
        return [*_session_dimensions(gold), *attributes_of(gold, fact)]
    if fact == "count":
        return _count_dimensions(gold, source)
    events = [name for name in gold.events.types if name not in _NEVER_DIMENSIONS and name != "session_id"]
    return [*events, *(["source"] if len(gold.events.sources) > 1 else []), *attributes_of(gold, fact)]


def _session_dimensions(gold: Gold) -> list[str]:
    schema = gold.lake.schema("gold.sessions")
    own = [] if schema is None else [name for name in schema.names if name.startswith("first_watch_")]
    return [*gold.project.dimensions, *own, "is_single_event"]


def _count_dimensions(gold: Gold, source: str | None) -> list[str]:
    schema = gold.lake.schema(f"silver.{source}") if source else None
    if schema is None:
        return ["entity"]
    measures = set(gold.sources[source or ""].measures)
    return [name for name in schema.names if name not in _NEVER_DIMENSIONS and name not in measures] + (
        [] if "entity" in schema.names else ["entity"]
    )
