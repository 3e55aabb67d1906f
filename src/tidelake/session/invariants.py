"""What must hold of gold after a build: looked at for the dates that it touched, written down, and refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import pyarrow as pa

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.errors import LedgerError
from tidelake.gold.context import open_gold
from tidelake.gold.invariants import Days, touched, verdicts
from tidelake.gold.model import ModelRun
from tidelake.lake import Lake

INVARIANTS = "ops.invariants"
SCHEMA = pa.schema(
    [
        ("run_id", pa.string()),
        ("recorded_at", pa.timestamp("us", "UTC")),
        ("invariant", pa.string()),
        ("table", pa.string()),
        ("says", pa.string()),
        ("status", pa.string()),
        ("broken", pa.int64()),
        ("first", pa.string()),
        ("dates", pa.int64()),
    ]
)
_ALL: Mapping[str, Days] = {"actors": None, "entities": None}


def hold_invariants(
    engine: Engine,
    lake: Lake,
    project: Project,
    sources: Mapping[str, Source],
    made: Iterable[ModelRun],
    *,
    run_id: str,
    now: datetime,
    is_unfinished: bool,
) -> int:
    """Look at the dates that a build touched, write the verdicts to `ops.invariants`, and give how many hold.

    Args:
        made: What was done to gold's tables.
        is_unfinished: A build before this one did not come to its end, or a table was changed by somebody else: all
            dates are looked at.

    Raises:
        LedgerError: One does not hold; says which, where, and by which numbers.
    """
    days = _ALL if is_unfinished else touched(made)
    if all(dates == [] for dates in days.values()):
        return 0
    found = verdicts(open_gold(engine, lake, project, sources), days)
    if not found:
        return 0
    counts = [len(dates) for dates in days.values() if dates is not None]
    rows = [
        {
            "run_id": run_id,
            "recorded_at": now,
            "invariant": one.invariant.name,
            "table": one.invariant.table,
            "says": one.invariant.says,
            "status": "fail" if one.broken else "ok",
            "broken": one.broken,
            "first": one.first or None,
            "dates": sum(counts) if len(counts) == len(days) else None,
        }
        for one in found
    ]
    engine.write(pa.Table.from_pylist(rows, schema=SCHEMA), INVARIANTS)
    failed = [one for one in found if one.broken]
    if failed:
        first = failed[0]
        others = ", ".join(one.invariant.name for one in failed[1:])
        raise LedgerError(
            f"{first.invariant.table}: '{first.invariant.says}' ({first.invariant.name}) does not hold in "
            f"{first.broken:,} places. First: {first.first}." + (f" Neither do: {others}." if others else ""),
            hint="Questions are answered from the last finished build. `tide check` looks at all dates, ops.invariants "
            "holds the verdicts; `tide build --full-refresh` makes silver and gold again from bronze.",
        )
    return len(found)
