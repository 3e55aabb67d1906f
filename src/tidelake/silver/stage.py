"""One batch from lines to silver: parsed, checked, deduplicated, and committed.

The order of the commits makes a crash between any two heal: quarantine and duplicates are written as
whole partitions of (source, batch), so writing them again changes nothing, and silver, which comes last,
carries the batch's number as its Delta transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from tidelake.bronze.take import batches_condition
from tidelake.contracts.table import literal
from tidelake.engine.base import Layout, Transaction
from tidelake.lake.ledger import one_of
from tidelake.silver.compile import HAS_ID, SilverPlan, accepted_columns, content_sql, has_warnings, key_hash_sql
from tidelake.silver.fields import quoted
from tidelake.silver.parsing import Parsing

QUARANTINE = "silver.quarantine"
DUPLICATES = "silver.duplicates"
_BY_BATCH = Layout(partition_by=("source", "batch_id"))
BY_DATE = Layout(partition_by=("event_date",))
QUARANTINE_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("batch_id", pa.int64()),
        ("file_id", pa.int64()),
        ("source_path", pa.string()),
        ("source_position", pa.int64()),
        ("reasons", pa.list_(pa.string())),
        ("raw", pa.string()),
        ("state", pa.string()),
        ("kept_file_id", pa.int64()),
        ("kept_position", pa.int64()),
        ("quarantined_at", pa.timestamp("us", "UTC")),
    ]
)
DUPLICATES_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("batch_id", pa.int64()),
        ("file_id", pa.int64()),
        ("source_position", pa.int64()),
        ("kept_file_id", pa.int64()),
        ("kept_position", pa.int64()),
    ]
)
IS_ACCEPTED = "rowid NOT IN (SELECT row FROM temp.excluded)"  # of rows of temp.parsed
PATH = '"path of the line"'  # a name that no field has
_EPOCH = date(1970, 1, 1)
_DAY = "CAST(event_date - DATE '1970-01-01' AS INTEGER)"
_NO_LOSERS = (
    "SELECT CAST(NULL AS BIGINT) AS file_id, CAST(NULL AS BIGINT) AS source_position, "
    "CAST(NULL AS BIGINT) AS kept_file_id, CAST(NULL AS BIGINT) AS kept_position, false AS is_old, "
    "false AS is_same, CAST(NULL AS BIGINT) AS old_batch_id WHERE false"
)


@dataclass
class Stage(Parsing):
    """Deduplicates what was parsed and commits it."""

    def settle(self, batch_id: int, superseded: Sequence[int] = ()) -> None:
        """Deduplicate what was parsed and commit quarantine, duplicates and silver for the batch.

        Args:
            superseded: file_ids whose rows leave silver, because their file was replaced.
        """
        self._count_warnings()
        restated = self._dates_of(superseded)
        suspects = self._suspects()
        old_dates = sorted({*restated, *suspects.days})
        lost = self._resolve(suspects, old_dates, superseded)
        self._write_quarantine(batch_id, superseded, lost)
        self._forget("lines")
        self._write_duplicates(batch_id, lost)
        self._write_silver(batch_id, old_dates, superseded, lost)
        self._forget("parsed")

    def _forget(self, name: str) -> None:
        """Free the memory of a large `temp` table."""
        self.engine.write("SELECT NULL AS nothing", f"temp.{name}")

    def _count_warnings(self) -> None:
        if not has_warnings(self.plan):
            return
        rows = self.engine.query(
            "SELECT reason, count(*) AS records FROM (SELECT unnest(warnings) AS reason FROM temp.parsed "
            "WHERE len(warnings) > 0) GROUP BY reason"
        ).to_pylist()
        for row in rows:
            self.learned.warnings[row["reason"]] = self.learned.warnings.get(row["reason"], 0) + row["records"]

    def _dates_of(self, file_ids: Sequence[int]) -> list[date]:
        if not file_ids or self.engine.schema(self.table) is None:
            return []
        found = self.engine.query(f"SELECT DISTINCT event_date FROM {self.table} WHERE {one_of('file_id', file_ids)}")
        return [value for value in found.column("event_date").to_pylist() if value is not None]

    def _suspects(self) -> _Suspects:
        """Key hashes that stand twice in the batch, or that silver may hold already (and where)."""
        if self.index is None:
            found = self.engine.query("SELECT count(*) - count(DISTINCT key_hash) FROM temp.parsed WHERE is_clean")
            self.learned.identical += int(found.column(0)[0].as_py())
            return _Suspects((), ())
        self.fill_index()
        keyed = self._has_key
        hashes = self.engine.query(
            f"SELECT key_hash FROM temp.parsed WHERE is_clean AND {keyed} UNION ALL SELECT key_hash FROM temp.parsed "
            f"JOIN temp.reasons USING (file_id, source_position) WHERE len(reasons) = 0 AND {keyed}"
        )
        values = np.sort(hashes.column("key_hash").to_numpy())
        is_again = np.zeros(len(values), dtype=bool)
        is_again[1:] = values[1:] == values[:-1]
        twice = values[is_again]
        known, days = self.index.find(values[~is_again])
        every = np.unique(np.concatenate((twice, known)))
        return _Suspects(tuple(every.tolist()), tuple(_EPOCH + timedelta(days=int(d)) for d in np.unique(days)))

    def _resolve(self, suspects: _Suspects, old_dates: Sequence[date], superseded: Sequence[int]) -> _Lost:
        """Make `temp.losers`: rows that give way to another one, and to which; gives what is among them."""
        if not suspects.hashes:
            self.engine.write(_NO_LOSERS, "temp.losers")
            return _Lost()
        self.engine.write(pa.table({"key_hash": pa.array(suspects.hashes, pa.int64())}), "temp.suspects")
        key = "event_id" if self.source.dedup == "key" else "content"
        self.engine.write(self._fresh_contenders(), "temp.contenders")
        contenders = "SELECT * FROM temp.contenders"
        if old_dates and self._known_columns():
            contenders += f" UNION ALL {self._old_contenders(key, old_dates, superseded)}"
        self.engine.write(
            f"""
            SELECT file_id, source_position, kept_file_id, kept_position, is_old, content = kept_content AS is_same,
                batch_id AS old_batch_id
            FROM (
                SELECT *, row_number() OVER ranked AS place, first_value(file_id) OVER ranked AS kept_file_id,
                    first_value(source_position) OVER ranked AS kept_position,
                    first_value(content) OVER ranked AS kept_content
                FROM ({contenders})
                WINDOW ranked AS (PARTITION BY {key} ORDER BY received_at DESC NULLS LAST, content DESC, event_id,
                    is_old DESC, file_id, source_position)
            ) WHERE place > 1""",
            "temp.losers",
        )
        return self._lost()

    def _lost(self) -> _Lost:
        rows = self.engine.query(
            "SELECT DISTINCT is_old, is_same, CASE WHEN is_old AND NOT is_same THEN old_batch_id END AS old_batch_id "
            "FROM temp.losers"
        ).to_pylist()
        return _Lost(
            has_duplicates=any(row["is_same"] for row in rows),
            has_conflicts=not all(row["is_same"] for row in rows),
            has_old=any(row["is_old"] for row in rows),
            old_batches=tuple(sorted(row["old_batch_id"] for row in rows if row["old_batch_id"] is not None)),
        )

    @property
    def _contest_columns(self) -> str:
        own = "event_id, received_at"
        if self.source.fact == "count":
            own = "CAST(NULL AS VARCHAR) AS event_id, CAST(NULL AS TIMESTAMPTZ) AS received_at"
        return f"{own}, file_id, source_position, batch_id"

    @property
    def _has_key(self) -> str:
        return HAS_ID if self.source.dedup == "key" else "true"

    def _fresh_contenders(self) -> str:
        """Rows of the batch that share a key with another row, or may do so."""
        return (
            f"SELECT {self._contest_columns}, {content_sql(self.plan.content)} AS content, false AS is_old "
            "FROM temp.parsed SEMI JOIN temp.suspects USING (key_hash) "
            "ANTI JOIN (SELECT * FROM temp.reasons WHERE len(reasons) > 0) r USING (file_id, source_position) "
            f"WHERE {self._has_key}"
        )

    def _old_contenders(self, key: str, dates: Sequence[date], superseded: Sequence[int]) -> str:
        """Rows of silver whose key a row of the batch has."""
        known = self._known_columns()
        content = content_sql(self.plan.content, known=known)
        is_same_key = "event_id" if key == "event_id" else content
        rows = (
            f"SELECT *, {key_hash_sql(self.plan)} AS key_hash FROM ({_with_all_columns(self.plan, self.table, known)} "
            f"WHERE {one_of('event_date', dates)} AND NOT ({one_of('file_id', superseded)}) AND {self._has_key})"
        )
        return (  # the hash first: few rows have the text of their content made
            f"SELECT {self._contest_columns}, {content} AS content, true AS is_old FROM ({rows}) "
            f"SEMI JOIN temp.suspects USING (key_hash) WHERE {is_same_key} IN (SELECT {key} FROM temp.contenders)"
        )

    def choose(self, identity: str, order: str) -> None:
        """Make `temp.losers` and `temp.excluded` of a dimension: of an identity the first by `order` stays."""
        content = content_sql(self.plan.content)
        self.engine.write(
            f"""
            SELECT file_id, source_position, kept_file_id, kept_position, false AS is_old,
                content = kept_content AS is_same, batch_id AS old_batch_id
            FROM (
                SELECT p.*, {content} AS content, row_number() OVER ranked AS place,
                    first_value(p.file_id) OVER ranked AS kept_file_id,
                    first_value(p.source_position) OVER ranked AS kept_position,
                    first_value({content}) OVER ranked AS kept_content
                FROM temp.parsed p
                JOIN (SELECT file_id, source_position, source_path AS {PATH} FROM temp.lines) l
                USING (file_id, source_position)
                ANTI JOIN (SELECT * FROM temp.reasons WHERE len(reasons) > 0) r USING (file_id, source_position)
                WINDOW ranked AS (PARTITION BY {identity} ORDER BY {order})
            ) WHERE place > 1""",
            "temp.losers",
        )
        self._exclude()

    def write_dimension(self, select: str, batch_id: int) -> None:
        """Replace a dimension's silver, quarantine and duplicates as a whole."""
        for table, schema in ((QUARANTINE, QUARANTINE_SCHEMA), (DUPLICATES, DUPLICATES_SCHEMA)):
            if self.engine.schema(table) is None:
                self.engine.write(schema.empty_table(), table, layout=_BY_BATCH)
        lost = self._lost()
        self._write_quarantine(batch_id, (), lost)
        self._write_duplicates(batch_id, lost)
        if self.lake.layout(self.table).partition_by:  # it was a source of facts
            columns = self.engine.query(f"SELECT * FROM ({select}) LIMIT 0").schema
            self.lake.lay_out(self.table, columns, Layout(), {"definition": ""})
        self.engine.write(
            select,
            self.table,
            "overwrite",
            transaction=Transaction(self.app_id, batch_id),
            note={"definition": self.plan.definition, "batch_id": batch_id, "app_id": self.app_id},
        )

    def _exclude(self) -> None:
        self.engine.write(
            "SELECT parsed.rowid AS row FROM temp.parsed AS parsed JOIN ("
            "SELECT file_id, source_position FROM temp.reasons WHERE len(reasons) > 0 UNION ALL "
            "SELECT file_id, source_position FROM temp.losers WHERE NOT is_old) USING (file_id, source_position)",
            "temp.excluded",
        )

    def _write_quarantine(self, batch_id: int, superseded: Sequence[int], lost: _Lost) -> None:
        """Rows that broke the contract, and rows whose key another content has taken."""
        source = self.source.name
        bad = f"""
            SELECT {literal(source)} AS source, CAST({batch_id} AS BIGINT) AS batch_id, l.file_id, l.source_path,
                l.source_position, r.reasons, l.raw, 'open' AS state, CAST(NULL AS BIGINT) AS kept_file_id,
                CAST(NULL AS BIGINT) AS kept_position, l.ingested_at AS quarantined_at
            FROM temp.lines l JOIN temp.reasons r USING (file_id, source_position) WHERE len(r.reasons) > 0"""
        if lost.has_conflicts:
            bad += f"""
            UNION ALL
            SELECT {literal(source)}, {batch_id}, l.file_id, l.source_path, l.source_position, ['conflict'], l.raw,
                'open', c.kept_file_id, c.kept_position, l.ingested_at
            FROM temp.lines l JOIN temp.losers c USING (file_id, source_position) WHERE NOT c.is_same"""
        if lost.old_batches:
            bad += f"""
            UNION ALL
            SELECT {literal(source)}, {batch_id}, b.file_id, b.source_path, b.source_position, ['conflict'], b.raw,
                'open', c.kept_file_id, c.kept_position, b.ingested_at
            FROM bronze.{source} b JOIN temp.losers c USING (file_id, source_position)
            WHERE c.is_old AND NOT c.is_same
                AND {batches_condition(self.lake, source, lost.old_batches, "b.batch_id")}"""
        self._replace_partition(QUARANTINE, bad, QUARANTINE_SCHEMA, batch_id)
        if superseded:
            self._retire(superseded)

    def _retire(self, superseded: Sequence[int]) -> None:
        """Quarantined rows of files that were replaced stay to be seen, but no longer count as open."""
        is_gone = one_of("file_id", superseded)
        batches = (
            self.engine.query(
                f"SELECT DISTINCT batch_id FROM {QUARANTINE} WHERE source = $source AND state = 'open' AND {is_gone}",
                {"source": self.source.name},
            )
            .column(0)
            .to_pylist()
        )
        for batch in batches:
            self.engine.write(
                f"SELECT * REPLACE (CASE WHEN {is_gone} THEN 'superseded' ELSE state END AS state) "
                f"FROM {QUARANTINE} WHERE source = {literal(self.source.name)} AND batch_id = {int(batch)}",
                QUARANTINE,
                "replace",
                replace={"source": [self.source.name], "batch_id": [batch]},
            )

    def _write_duplicates(self, batch_id: int, lost: _Lost) -> None:
        rows = (
            f"SELECT {literal(self.source.name)} AS source, CAST({batch_id} AS BIGINT) AS batch_id, file_id, "
            "source_position, kept_file_id, kept_position FROM temp.losers WHERE is_same"
        )
        self._replace_partition(DUPLICATES, rows, DUPLICATES_SCHEMA, batch_id, has_rows=lost.has_duplicates)

    def _replace_partition(
        self, table: str, select: str, schema: pa.Schema, batch_id: int, *, has_rows: bool | None = None
    ) -> None:
        """Write the partition of (source, batch) as a whole; nothing is committed where there is nothing to say.

        A dimension is made from all of its batches: all partitions of the source give way, in the same commit.

        Args:
            has_rows: Whether the SELECT has any; None = look.
        """
        self.engine.write(select, "temp.partition")
        if has_rows is None:
            has_rows = self.engine.query("SELECT 1 AS found FROM temp.partition LIMIT 1").num_rows > 0
        is_there = self.engine.schema(table) is not None
        if not is_there:
            self.engine.write(schema.empty_table(), table, layout=_BY_BATCH)
        own: dict[str, list[object]] = {"source": [self.source.name]}
        if self.source.fact != "dimension":
            own["batch_id"] = [batch_id]
        if has_rows or (is_there and self._has_partition(table, own)):
            self.engine.write("SELECT * FROM temp.partition", table, "replace", replace=own, layout=_BY_BATCH)

    def _has_partition(self, table: str, own: Mapping[str, Sequence[object]]) -> bool:
        wanted = {name: {str(value) for value in values} for name, values in own.items()}
        return any(
            all(file.partition.get(name) in values for name, values in wanted.items())
            for file in self.lake.files(table)
        )

    def _write_silver(self, batch_id: int, old_dates: Sequence[date], superseded: Sequence[int], lost: _Lost) -> None:
        columns = ", ".join(quoted(name) for name in accepted_columns(self.plan))
        self._exclude()
        fresh = f"SELECT {columns} FROM temp.parsed WHERE {IS_ACCEPTED}"
        if self.engine.schema(self.table) is None or not (superseded or lost.has_old):
            self.engine.write(
                fresh,
                self.table,
                transaction=Transaction(self.app_id, batch_id),
                layout=BY_DATE,
                note={"definition": self.plan.definition, "batch_id": batch_id, "app_id": self.app_id},
            )
        else:
            self._rewrite(fresh, columns, batch_id, old_dates, superseded)
        self._index_batch()

    def _rewrite(
        self, fresh: str, columns: str, batch_id: int, old_dates: Sequence[date], superseded: Sequence[int]
    ) -> None:
        """Append the batch and take old rows out of their dates, in one commit."""
        known = set(self._known_columns())
        old_columns = ", ".join(
            quoted(name) if name in known else f"NULL AS {quoted(name)}" for name in accepted_columns(self.plan)
        )
        leaves = (
            f"({one_of('file_id', superseded)} OR (file_id, source_position) IN "
            "(SELECT (file_id, source_position) FROM temp.losers WHERE is_old))"
        )
        found = self.engine.query(
            f"SELECT DISTINCT event_date FROM {self.table} WHERE {one_of('event_date', old_dates)} AND {leaves}"
        )
        dates = found.column(0).to_pylist()
        self.engine.write(
            f"{fresh} UNION ALL SELECT {old_columns} FROM {self.table} WHERE {one_of('event_date', dates)} "
            f"AND NOT {leaves}",
            self.table,
            "replace" if dates else "append",
            replace={"event_date": dates},
            transaction=Transaction(self.app_id, batch_id),
            layout=BY_DATE,
            note={"definition": self.plan.definition, "batch_id": batch_id, "app_id": self.app_id},
        )
        moved = self.engine.query("SELECT DISTINCT file_id FROM temp.losers WHERE is_old").column(0).to_pylist()
        self.learned.touched_files |= set(moved)

    def fill_index(self) -> None:
        """Make the index again from silver where it is behind: after a crash, or when columns were added."""
        index, version = self.index, self.lake.version(self.table)
        if index is None or (index.version == version and index.content == self.plan.content):
            return
        index.clear()
        known = self.engine.schema(self.table)
        if known is not None:
            rows = self.engine.query(index_rows_sql(self.plan, self.table, known.names))
            index.add(rows.column("key_hash").to_numpy(), rows.column("day").to_numpy().astype(np.int32))
        index.version, index.content = version, self.plan.content

    def _index_batch(self) -> None:
        if self.index is None:
            return
        rows = self.engine.query(f"SELECT key_hash, {_DAY} AS day FROM temp.parsed WHERE {IS_ACCEPTED}")
        self.index.add(rows.column("key_hash").to_numpy(), rows.column("day").to_numpy().astype(np.int32))
        self.index.version = self.lake.version(self.table)


@dataclass(frozen=True)
class _Suspects:
    hashes: tuple[int, ...]
    days: tuple[date, ...]


@dataclass(frozen=True)
class _Lost:
    """What is among the rows that gave way: copies, rows whose key another content has taken, rows of silver.

    Attributes:
        old_batches: Batches of silver's rows whose key another content has taken.
    """

    has_duplicates: bool = False
    has_conflicts: bool = False
    has_old: bool = False
    old_batches: tuple[int, ...] = ()


def has_reason_sql() -> str:
    """Condition on quarantined rows: a reason is `$reason`, or begins with it and a colon."""
    return "len(list_filter(reasons, lambda item: item = $reason OR starts_with(item, $reason || ':'))) > 0"


def index_rows_sql(made: SilverPlan, table: str, known: Sequence[str]) -> str:
    """(key_hash, day) of every row of a silver table, which may lack columns of the plan."""
    return f"SELECT {key_hash_sql(made)} AS key_hash, {_DAY} AS day FROM ({_with_all_columns(made, table, known)})"


def _with_all_columns(made: SilverPlan, table: str, known: Sequence[str]) -> str:
    absent = "".join(f", NULL AS {quoted(name)}" for name in made.content if name not in known)
    return f"SELECT *{absent} FROM {table}"
