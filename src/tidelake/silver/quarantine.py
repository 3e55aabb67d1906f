"""Rows that broke their contract: what there is of them, and each with its text, reasons and place."""

from __future__ import annotations

from collections.abc import Sequence

from tidelake.engine.base import Engine, TableVersion
from tidelake.engine.result import Result
from tidelake.errors import UnknownNameError
from tidelake.lake import Lake
from tidelake.silver.stage import QUARANTINE, QUARANTINE_SCHEMA, has_reason_sql


def list_rows(
    engine: Engine, lake: Lake, *, source: str | None, reason: str | None, summary: bool, known: Sequence[str]
) -> Result:
    """Quarantined rows that are open, or their number by source and reason.

    Args:
        reason: Whole (`wrong_type:value`), or the part before the colon.

    Raises:
        UnknownNameError: There is no such source, or rows are in quarantine but none for this reason.
    """
    if source is not None and source not in known:
        raise UnknownNameError("source", source, known)
    version = lake.version(QUARANTINE)
    if version is None:
        return Result(QUARANTINE_SCHEMA.empty_table().select(["source", "reasons"]), title="Quarantine (empty)")
    where = ["state = 'open'"]
    params: dict[str, str] = {}
    if source is not None:
        where.append("source = $source")
        params["source"] = source
    if reason is not None:
        where.append(has_reason_sql())
        params["reason"] = reason
    condition = " AND ".join(where)
    if summary:
        sql = (
            f"SELECT source, reason, count(*) AS rows, min(source_path || ':' || source_position) AS first_place "
            f"FROM (SELECT *, unnest(reasons) AS reason FROM {QUARANTINE} WHERE {condition}) "
            "GROUP BY source, reason ORDER BY source, rows DESC, reason"
        )
    else:
        sql = (
            f"SELECT source, source_path, source_position, array_to_string(reasons, ', ') AS reasons, raw "
            f"FROM {QUARANTINE} WHERE {condition} ORDER BY source, source_path, source_position"
        )
    table = engine.query(sql, params or None)
    if reason is not None and not table.num_rows:
        _check_reason(engine, source, reason)
    return Result(table, sql=sql, sources=(TableVersion(QUARANTINE, version),), title="Quarantine")


def _check_reason(engine: Engine, source: str | None, reason: str) -> None:
    """Raise where rows are in quarantine, none of which has this reason."""
    of_source = "" if source is None else " AND source = $source"
    sql = (
        f"SELECT DISTINCT reason FROM (SELECT unnest(reasons) AS reason FROM {QUARANTINE} "
        f"WHERE state = 'open'{of_source}) ORDER BY reason"
    )
    known = engine.query(sql, None if source is None else {"source": source}).column("reason").to_pylist()
    if known:
        unknown = UnknownNameError("reason", reason, known, where="quarantine")
        near = (unknown.hint or "").partition("Known:")[0]
        unknown.hint = f"{near} Its rows have: {', '.join(known)}.".strip()
        raise unknown
