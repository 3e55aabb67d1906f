"""Fields that a source's settings name and that none of its records has: most often a name that is misspelt."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.errors import UnknownNameError
from tidelake.silver.compile import HAS_ID, SilverPlan
from tidelake.silver.fields import FieldSql, quoted

# Parts without which numbers are 0 or null on every day; the others make numbers finer.
_NEEDED = ("event_time", "actor_id", "anonymous_id", "event_name", "session_id", "entity")


@dataclass
class Absent:
    """What to say of absent fields.

    Attributes:
        faults: Of mapped fields that numbers need: the run ends with 3.
        notes: Of all others.
    """

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def absent_fields(engine: Engine, table: str, made: SilverPlan, names: Collection[str]) -> Absent:
    """Fields of a source's mapping and contract that neither the records at hand nor silver have.

    A field that is declared and not mapped may well be absent: it is said where a like one is undeclared.

    Args:
        table: The source's silver table, with the rows of every build.
        names: The fields that the records of this run have, all of them that are declared; none where none was read.
    """
    source, found = made.source, Absent()
    declared = _declared(source)
    parts: dict[str, str] = {name: part for part, name in source.mapping.items()}
    for item in made.fields:
        name, part = item.field, parts.get(item.field)
        if not names or name not in declared or name in names or _has_values(engine, table, item):
            continue
        hint = UnknownNameError("field", name, set(names) - (set(parts) if part else declared)).hint or ""
        if not hint.startswith("Did you mean"):
            hint = f"The records have: {', '.join(sorted(names)[:12])}."
        if part in _NEEDED:
            mend = f"Mend sources/{source.name}.yml and build again: all rows are then read anew."
            found.faults.append(f"mapping: {part}: no record has a field '{name}'. {hint} {mend}")
        elif part is not None or name in source.measures:
            found.notes.append(f"{f'mapping: {part}' if part else 'measures'}: no record has a field '{name}'. {hint}")
        elif hint.startswith("Did you mean") and not _is_required(source, name):
            found.notes.append(f"contract: no record has a field '{name}'. {hint}")
    return found


def _has_values(engine: Engine, table: str, item: FieldSql) -> bool:
    schema = engine.schema(table)
    if schema is None:
        return False
    some = [f"{quoted(name)} IS NOT NULL" for name in (item.column, f"{item.column}_text") if name in schema.names]
    if item.column == "event_id":
        some = [HAS_ID]
    return bool(some) and engine.query(f"SELECT 1 AS one FROM {table} WHERE {' OR '.join(some)} LIMIT 1").num_rows > 0


def _declared(source: Source) -> set[str]:
    mapped = {name for _, name in source.mapping.items()}
    return {*mapped, *source.contract.fields, *source.measures, *source.key}


def _is_required(source: Source, name: str) -> bool:
    rule = source.contract.fields.get(name)
    return name in source.key or (rule is not None and rule.required)
