"""The gold tables that every project has: their SELECTs and contracts, made from the project's settings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tidelake.contracts.table import ColumnSpec, TableSpec, load_table, quoted
from tidelake.gold.context import Gold
from tidelake.gold.day_groups import DayGroups, value_of
from tidelake.gold.events import Events
from tidelake.gold.model import Days, Input, Model, definition_hash
from tidelake.gold.sqltext import column_type, dates_condition, exact_sum, render, sql_kind

FOLDER = Path(__file__).parent / "tables"
CODE_VERSION = 1  # raise it when a SELECT changes the rows of the same inputs in a way its text does not show
_SECONDS = ("duration_seconds", "engaged_seconds", "watch_seconds", "watch_seconds_wall")
ALL = "(all)"  # event_day: the dimension and value of a day's totals


def built_in_models(gold: Gold) -> list[Model]:
    """The gold tables made from events, in no special order; sessions are built by `gold.sessions`."""
    if not gold.events.sources:
        return []
    events, groups = gold.events, DayGroups(gold.events)
    silver = tuple(Input(table, "event_date") for table in events.inputs)
    plain = tuple(Input(table, "event_date") for table in events.tables)  # what does not depend on who it was
    sessions = Input("gold.sessions", "session_date")
    found = [_model("user_day", (*silver, sessions), _UserDay(groups), _measures(events) | _edges(events))]
    if events.project.dimensions:
        found.append(_model("user_day_value", silver, _UserDayValue(groups), _measures(events)))
    return [*found, _model("event_day", plain, _EventDay(groups), _measures(events, distinct=False))]


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
    if events.project.session.heartbeat is not None:
        added["heartbeat_count"] = ColumnSpec(type="integer", unit="events", description="heartbeats of the session")
    if events.has_watch:
        added["first_watch_content"] = ColumnSpec(description="content of the earliest watch event")
    return _spec("sessions", added)


def _model(name: str, inputs: tuple[Input, ...], select: _Select, added: Mapping[str, ColumnSpec]) -> Model:
    events = select.groups.events
    plain = DayGroups(events.defining())
    texts = [type(select)(plain)(None), *plain.texts(), *(str(source.is_ordered) for source in events.sources)]
    return Model(
        spec=_spec(name, added),
        inputs=inputs,
        select=select,
        definition=definition_hash(CODE_VERSION, events.project.timezone, texts, events.kinds()),
        prepare=select.groups.prepare,
    )


@cache
def _declared(name: str) -> TableSpec:
    return load_table(FOLDER / f"{name}.yml", name=f"gold.{name}")


def _spec(name: str, added: Mapping[str, ColumnSpec]) -> TableSpec:
    declared = _declared(name)
    return declared.model_copy(update={"columns": {**declared.columns, **added}})


def _measures(events: Events, *, distinct: bool = True) -> dict[str, ColumnSpec]:
    found = {}
    for name, rule in events.project.measures.items():
        if rule.distinct and not distinct:
            continue
        what = f"sum of {rule.sum}" if rule.sum else f"distinct {rule.distinct}" if rule.distinct else "events"
        of = f" of {', '.join(rule.event)}" if rule.event else ""
        found[name] = ColumnSpec(
            type=column_type(sql_kind(events.measure_kind(name))), required=True, description=f"{what}{of}"
        )
    return found


def _edges(events: Events) -> dict[str, ColumnSpec]:
    types = events.types
    return {
        f"{edge}_{name}": ColumnSpec(type=column_type(types[name]), description=f"{name} at the day's {edge} event")
        for name in events.project.dimensions
        for edge in ("first", "last")
    }


class _Select:
    """The SELECT of one table over `temp.event_groups`, which hold the rows of some dates."""

    def __init__(self, groups: DayGroups) -> None:
        self.groups = groups

    def __call__(self, days: Days) -> str:
        raise NotImplementedError


class _UserDay(_Select):
    def __call__(self, days: Days) -> str:
        groups, events = self.groups, self.groups.events
        outputs = "".join(f",\n       days.{quoted(name)}" for name in groups.additive)
        joins = ""
        if groups.dimensions:
            joins += _joined("day_edges", "days")
            outputs += "".join(
                f",\n       day_edges.{quoted(f'{edge}_{name}')}"
                for name in groups.dimensions
                for edge in ("first", "last")
            )
        for name in groups.distinct:
            joins += _joined(f"distinct_{name}", "days", kind="LEFT JOIN")
            outputs += f",\n       coalesce(distinct_{name}.{quoted(name)}, 0) AS {quoted(name)}"
        return render(
            "user_day",
            **{f"sum_of_{name}": exact_sum(name, "WIDE") for name in _SECONDS},
            session_days=dates_condition("session_date", days),
            outputs=outputs,
            watch_seconds=_known("watch_seconds", events.has_watch),
            watch_seconds_wall=_known("watch_seconds_wall", events.has_states),
            watch_open_ended_count=_known("watch_open_ended_count", events.has_states, "BIGINT"),
            joins=joins,
        )


class _UserDayValue(_Select):
    def __call__(self, days: Days) -> str:
        groups = self.groups
        outputs = "".join(f", parts.{quoted(name)}" for name in groups.additive)
        joins = ""
        for name in groups.distinct:
            whole, part = f"distinct_{name}", f"distinct_{name}_value"
            joins += _joined(whole, "parts", kind="LEFT JOIN")
            joins += (
                _joined(part, "parts", kind="LEFT JOIN")
                + f" AND {part}.dimension = '{{dimension}}' AND {part}.value = parts.value"
            )
            outputs += (
                f",\n       CASE WHEN varied.actor_id IS NULL THEN coalesce({whole}.{quoted(name)}, 0)\n"
                f"            ELSE coalesce({part}.{quoted(name)}, 0) END AS {quoted(name)}"
            )
        if groups.distinct:
            joins += (
                "\nLEFT JOIN temp.varied_days AS varied ON varied.actor_id = parts.actor_id"
                " AND varied.event_date = parts.event_date AND varied.dimension = '{dimension}'"
            )
        parts = [
            render(
                "user_day_value",
                dimension=name,
                value=value_of(name),
                measures=groups.added_up(),
                outputs=outputs,
                joins=joins.replace("{dimension}", name),
            )
            for name in groups.dimensions
        ]
        return "\nUNION ALL\n".join(parts)


class _EventDay(_Select):
    def __call__(self, days: Days) -> str:
        measures = self.groups.added_up("is_counted")
        values = [(ALL, f"'{ALL}'"), *((name, value_of(name)) for name in self.groups.dimensions)]
        parts = [render("event_day", dimension=name, value=value, measures=measures) for name, value in values]
        return "\nUNION ALL\n".join(parts)


def _joined(table: str, to: str, *, kind: str = "JOIN") -> str:
    return (
        f"\n{kind} temp.{table} AS {table} ON {table}.actor_id = {to}.actor_id AND {table}.event_date = {to}.event_date"
    )


def _known(column: str, is_known: bool, kind: str = "DOUBLE") -> str:
    """A watch column of the day's sessions: 0 without one; null where the sources cannot tell."""
    return f"coalesce(visits.{column}, 0)" if is_known else f"CAST(NULL AS {kind})"
