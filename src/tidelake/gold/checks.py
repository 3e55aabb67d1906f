"""Holding rows against a table's contract before they are written, and measures against the events there are."""

from __future__ import annotations

import pyarrow as pa

from tidelake.contracts.table import ColumnType, RowCheck, TableSpec, row_checks
from tidelake.errors import ContractError, DefinitionError, UnknownNameError
from tidelake.gold.context import Gold
from tidelake.gold.sqltext import column_type, one_of, sql_name

_MOST_BY_HEARTBEATS = 0.2


def hold_rows(gold: Gold, spec: TableSpec, rows: str, *, file: str = "") -> int:
    """Raise where rows break a contract; gives their number.

    Args:
        rows: The table that holds them.
        file: The SELECT that made them, below the project's folder; empty for Tidelake's own tables.

    Raises:
        ContractError: Says which check, how many rows break it, and one of them.
    """
    checks = row_checks(spec, rows)
    single = " OR ".join(f"({check.broken})" for check in checks if check.broken is not None) or "FALSE"
    columns, tables = "counts.total, counts.broken AS broken", ""
    for index, check in enumerate(checks):
        if check.broken is None:
            columns += f", check_{index}.broken AS c{index}"
            tables += f" CROSS JOIN ({check.sql}) AS check_{index}"
    counts = f"(SELECT count(*) AS total, count(*) FILTER (WHERE {single}) AS broken FROM {rows}) AS counts"
    (found,) = gold.query(f"SELECT {columns} FROM {counts}{tables}")
    total = int(found.pop("total"))
    if any(found.values()):
        _refuse(gold, spec, rows, file)
    return total


def _refuse(gold: Gold, spec: TableSpec, rows: str, file: str) -> None:
    for check, broken in _broken_checks(gold, spec, rows):
        is_there = gold.lake.version(spec.name) is not None
        first = ""
        if check.broken is not None:
            (row,) = gold.query(f"SELECT * FROM {rows} WHERE {check.broken} ORDER BY ALL LIMIT 1")
            first = f" First: {', '.join(f'{name} {value}' for name, value in row.items())}."
        hint = "This is a table of Tidelake's own: please report it."
        if file:
            where = f" (WHERE {check.broken})" if check.broken is not None else ""
            hint = f"`tide sql {file} --as-of newest` shows what it makes{where}. Mend it, or its contract beside it."
        raise ContractError(
            f"{spec.name}: {broken:,} rows break '{check.name}'.{first} "
            f"The table was {'left as it was' if is_there else 'not made'}.",
            hint=hint,
        )


def _broken_checks(gold: Gold, spec: TableSpec, rows: str) -> list[tuple[RowCheck, int]]:
    """The checks of a contract that rows break, with how many do."""
    checks = row_checks(spec, rows)
    single = [check for check in checks if check.broken is not None]
    found: list[tuple[RowCheck, int]] = []
    if single:
        counts = ", ".join(f"count(*) FILTER (WHERE {check.broken}) AS c{i}" for i, check in enumerate(single))
        (counted,) = gold.query(f"SELECT {counts} FROM {rows}")
        found += [(check, counted[f"c{i}"]) for i, check in enumerate(single)]
    found += [(check, gold.query(check.sql)[0]["broken"]) for check in checks if check.broken is None]
    return [(check, broken) for check, broken in found if broken]


def is_retyped(gold: Gold, table: str, rows: str, *, is_full: bool) -> bool:
    """Whether columns of rows to be written have other types than in the table: it then begins anew.

    Args:
        is_full: The whole table is made anew. Where only a part is, a cast could cut numbers.

    Raises:
        DefinitionError: Only a part is made anew; names the column and both types.
    """
    made, known = gold.engine.schema(rows), gold.lake.schema(table)
    kinds = {field.name: kind_of(field.type) for field in made or ()}
    retyped = [field for field in known or () if field.name in kinds and kinds[field.name] != kind_of(field.type)]
    if retyped and not is_full:
        field = retyped[0]
        raise DefinitionError(
            f"{table}: column '{field.name}' was {kind_of(field.type)} and is {kinds[field.name]} now.",
            hint=f"`tide build --full-refresh --select {table}` makes the table anew.",
        )
    return bool(retyped)


def kind_of(kind: pa.DataType) -> ColumnType:
    """A contract's word for an Arrow type."""
    if pa.types.is_decimal(kind):
        return "integer" if kind.scale == 0 else "number"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return "list"
    return column_type(sql_name(kind))


def absent_event_names(gold: Gold) -> list[str]:
    """What to say of measures whose event no row of silver has; nothing where silver has no rows."""
    wanted = {name: rule.event for name, rule in gold.project.measures.items() if rule.event}
    if not wanted or not gold.events.sources:
        return []
    names = " UNION ALL ".join(f"SELECT event_name FROM {table}" for table in gold.events.tables)
    known = {row["event_name"] for row in gold.query(f"SELECT DISTINCT event_name FROM ({names}) AS told")} - {None}
    return [
        f"measures: {measure}: no event is named '{name}'. {UnknownNameError('event', name, known).hint}"
        for measure, events in wanted.items()
        for name in events
        if known and name not in known
    ]


def kept_active_by_heartbeats(gold: Gold) -> list[str]:
    """What to say where more than a fifth of the last day's active actors did nothing but send heartbeats.

    METRICS section 0: a device that nobody uses may send them all night.
    """
    days = gold.rows_by_date([(table, "event_date") for table in gold.events.tables])
    if not days:
        return []
    rule = gold.project.session.heartbeat
    beats = one_of("event_name", {*gold.project.watch.heartbeat, *(rule.event if rule else ())})
    rows = gold.events.select(days=[max(days)], columns=[])
    (found,) = gold.query(
        f"SELECT count(*) AS active, coalesce(sum(is_idle), 0) AS idle FROM (SELECT actor_id, "
        f"min(CASE WHEN {beats} THEN 1 ELSE 0 END) AS is_idle FROM ({rows}) AS events WHERE is_active "
        "GROUP BY actor_id) AS actors"
    )
    if found["idle"] <= _MOST_BY_HEARTBEATS * found["active"]:
        return []
    share, active = found["idle"] / found["active"], found["active"]
    said = f"{share:.0%} of the {active:,} actors that were active on {max(days)} did nothing but send heartbeats"
    return [f"activity: {said}; `activity: {{where: event_name <> 'heartbeat'}}` in tide.yml leaves them out."]
