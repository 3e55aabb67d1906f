"""The gold tables that every project has: their SELECTs and contracts, made from the project's settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tidelake.contracts.table import ColumnSpec, ColumnType, TableSpec, load_table
from tidelake.gold.context import Gold
from tidelake.gold.events import Events
from tidelake.gold.model import Days, Input, Model, definition_hash
from tidelake.gold.sqltext import EXACT, dates_condition, quoted, render

FOLDER = Path(__file__).parent / "tables"
CODE_VERSION = 1  # raise it when a SELECT changes the rows of the same inputs in a way its text does not show
ALL = "(all)"  # event_day: the dimension and value of a day's totals


def built_in_models(gold: Gold) -> list[Model]:
    """The gold tables made from events, in no special order; sessions are built by `gold.sessions`."""
    if not gold.events.sources:
        return []
    events = gold.events
    silver = tuple(Input(table, "event_date") for table in events.tables)
    sessions = Input("gold.sessions", "session_date")
    found = [
        _model("user_day", (*silver, sessions), events, _UserDay(events), _measures(events) | _edges(events)),
        _model("event_day", silver, events, _EventDay(events), _measures(events)),
    ]
    if events.project.dimensions:
        found.append(_model("user_day_value", silver, events, _UserDayValue(events), _measures(events)))
    return found


def sessions_spec(events: Events) -> TableSpec:
    """The contract of `gold.sessions`."""
    added = _measures(events, distinct=False)
    types = events.types
    for name in events.project.dimensions:
        added[f"first_{name}"] = ColumnSpec(type=column_type(types[name]), description=f"{name} at the first event")
        if events.has_watch:
            added[f"first_watch_{name}"] = ColumnSpec(
                type=column_type(types[name]), description=f"{name} at the earliest watch event"
            )
    if events.project.session.mode == "bracket":
        added["ambiguous_event_count"] = ColumnSpec(
            type="integer", unit="events", description="events that lay in several open sessions and were given to this"
        )
        added["is_closed"] = ColumnSpec(type="boolean", required=True, description="an end event closed it")
        added["chain_started_at"] = ColumnSpec(type="timestamp", description="start of the run of overlapping sessions")
        added["chain_date"] = ColumnSpec(type="date", description="local date of chain_started_at")
    if events.has_watch:
        added["first_watch_content"] = ColumnSpec(description="content of the earliest watch event")
    return _spec("sessions", added)


def _model(
    name: str, inputs: tuple[Input, ...], events: Events, select: _Select, added: Mapping[str, ColumnSpec]
) -> Model:
    return Model(
        spec=_spec(name, added),
        inputs=inputs,
        select=select,
        definition=definition_hash(CODE_VERSION, events.project.timezone, select(None)),
    )


def _spec(name: str, added: Mapping[str, ColumnSpec]) -> TableSpec:
    declared = load_table(FOLDER / f"{name}.yml", name=f"gold.{name}")
    return declared.model_copy(update={"columns": {**declared.columns, **added}})


def _measures(events: Events, *, distinct: bool = True) -> dict[str, ColumnSpec]:
    found = {}
    for name, rule in events.project.measures.items():
        if rule.distinct and not distinct:
            continue
        is_number = rule.sum is not None and events.types[rule.sum] != "BIGINT"
        what = f"sum of {rule.sum}" if rule.sum else f"distinct {rule.distinct}" if rule.distinct else "events"
        of = f" of {', '.join(rule.event)}" if rule.event else ""
        found[name] = ColumnSpec(type="number" if is_number else "integer", required=True, description=f"{what}{of}")
    return found


def _edges(events: Events) -> dict[str, ColumnSpec]:
    types = events.types
    return {
        f"{edge}_{name}": ColumnSpec(type=column_type(types[name]), description=f"{name} at the day's {edge} event")
        for name in events.project.dimensions
        for edge in ("first", "last")
    }


def column_type(sql: str) -> ColumnType:
    """A contract's word for a portable SQL type."""
    names: dict[str, ColumnType] = {
        "BIGINT": "integer",
        "DOUBLE": "number",
        "BOOLEAN": "boolean",
        "TIMESTAMPTZ": "timestamp",
        "DATE": "date",
    }
    return names.get(sql, "string")


class _Select:
    """The SELECT of one table over the input rows of some dates."""

    def __init__(self, events: Events) -> None:
        self.events = events

    def __call__(self, days: Days) -> str:
        raise NotImplementedError


class _UserDay(_Select):
    def __call__(self, days: Days) -> str:
        events, dimensions = self.events, self.events.project.dimensions
        edges = joins = ""
        outputs = "".join(f",\n       days.{quoted(name)}" for name in events.project.measures)
        if dimensions:
            edges = ",\n" + render("user_day_edges", columns=", ".join(quoted(name) for name in dimensions))
            for edge, place in (("first", "place"), ("last", "back_place")):
                joins += (
                    f"\nJOIN edges AS {edge}_edge ON {edge}_edge.actor_id = days.actor_id "
                    f"AND {edge}_edge.event_date = days.event_date AND {edge}_edge.{place} = 1"
                )
                outputs += "".join(
                    f",\n       {edge}_edge.{quoted(name)} AS {quoted(f'{edge}_{name}')}" for name in dimensions
                )
        return render(
            "user_day",
            events=events.select(days=days),
            measures=_listed(events.measure_columns()),
            edges=edges,
            exact=EXACT,
            session_days=dates_condition("session_date", days),
            outputs=outputs,
            watch_seconds=_known("watch_seconds", events.has_watch),
            watch_seconds_wall=_known("watch_seconds_wall", events.has_states),
            watch_open_ended_count=_known("watch_open_ended_count", events.has_states, "BIGINT"),
            joins=joins,
        )


class _UserDayValue(_Select):
    def __call__(self, days: Days) -> str:
        return _by_value(self.events, "user_day_value", self.events.select(days=days), None)


class _EventDay(_Select):
    def __call__(self, days: Days) -> str:
        events = self.events
        rows = events.select(days=days, everything=True)
        total = render(
            "event_day", dimension=ALL, value=f"'{ALL}'", measures=_listed(events.measure_columns("is_counted"))
        )
        parts = [total] + [
            render(
                "event_day",
                dimension=name,
                value=f"coalesce(CAST({quoted(name)} AS VARCHAR), '(unknown)')",
                measures=_listed(events.measure_columns("is_counted")),
            )
            for name in events.project.dimensions
        ]
        return f"WITH events AS (\n{rows}\n)\n" + "\nUNION ALL\n".join(parts)


def _by_value(events: Events, template: str, rows: str, where: str | None) -> str:
    parts = [
        render(template, dimension=name, column=quoted(name), measures=_listed(events.measure_columns(where)))
        for name in events.project.dimensions
    ]
    return f"WITH events AS (\n{rows}\n)\n" + "\nUNION ALL\n".join(parts)


def _listed(columns: Sequence[str]) -> str:
    return "".join(f",\n       {column}" for column in columns)


def _known(column: str, is_known: bool, kind: str = "DOUBLE") -> str:
    """A watch column of the day's sessions: 0 without one; null where the sources cannot tell."""
    return f"coalesce(visits.{column}, 0)" if is_known else f"CAST(NULL AS {kind})"
