"""Dimension tables: made from bronze as a whole, one row a key, or one a key and period where history is kept."""

from __future__ import annotations

from collections.abc import Mapping

from tidelake.bronze.registry import FileRecord, superseded_ids
from tidelake.bronze.take import lines_again
from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.lake import Lake
from tidelake.silver.compile import accepted_columns
from tidelake.silver.fields import quoted
from tidelake.silver.stage import IS_ACCEPTED, PATH, Stage


def rebuild_dimension(
    engine: Engine,
    lake: Lake,
    project: Project,
    source: Source,
    records: Mapping[str, FileRecord],
    *,
    batch_id: int,
    app_id: str,
) -> Stage:
    """Write `silver.<dimension>` from all that bronze holds of it.

    Without a `key:` every row stays. Of several rows with one key (and, with history, one `valid_from`) the one with
    the greatest `valid_from`, then of the last file, then the last line, stays; the others are duplicates when they
    say the same, else quarantined as `conflict`. With history a row holds from its `valid_from` until the
    next one of its key (`valid_to`, null for the present one); one without `valid_from` from the beginning.
    """
    gone = superseded_ids(list(records.values()))
    condition = "true" if not gone else f"file_id NOT IN ({', '.join(str(item) for item in sorted(gone))})"
    engine.write(lines_again(source.name, condition), "temp.lines")
    stage = Stage(engine, lake, project, source, app_id, None)
    stage.parse()
    keys = [item.column for item in stage.plan.fields if item.field in source.key]
    by_time = "valid_from DESC NULLS LAST, " if source.mapping.valid_from else ""
    identity = ", ".join(quoted(key) for key in keys) or "file_id, source_position"
    if source.history == "scd2" and source.mapping.valid_from:
        identity += ", valid_from"
    stage.choose(f"{identity}", f"{by_time}{PATH} DESC, source_position DESC")
    columns = ", ".join(quoted(name) for name in accepted_columns(stage.plan))
    select = f"""
        SELECT {columns} FROM temp.parsed WHERE {IS_ACCEPTED}"""
    if source.history == "scd2" and source.mapping.valid_from:
        partition = ", ".join(quoted(key) for key in keys)
        select = f"""
        SELECT *, valid_to IS NULL AS is_current FROM (
            SELECT *, lead(valid_from) OVER (PARTITION BY {partition} ORDER BY valid_from NULLS FIRST) AS valid_to
            FROM ({select})
        )"""
    stage.write_dimension(select, batch_id)
    engine.write("SELECT NULL AS nothing", "temp.parsed")
    return stage
