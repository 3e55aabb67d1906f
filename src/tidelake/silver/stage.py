"""One batch from lines to silver: parse, check, deduplicate, and commit silver, quarantine and duplicates.

The order of the commits makes a crash between any two heal: quarantine and duplicates are written as
whole partitions of (source, batch), so writing them again changes nothing, and silver, which comes last,
carries the batch's number as its Delta transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine, Layout, Transaction
from tidelake.errors import ContractError
from tidelake.lake import Lake
from tidelake.lake.keys import KeyIndex
from tidelake.silver.compile import (
    LINEAGE,
    SilverPlan,
    accepted_columns,
    content_sql,
    key_hash_sql,
    key_lists_sql,
    parsed_sql,
    plan,
    reasons_sql,
    undeclared_sql,
)
from tidelake.silver.fields import quoted

QUARANTINE = "silver.quarantine"
DUPLICATES = "silver.duplicates"
_BY_BATCH = Layout(partition_by=("source", "batch_id"))
_BY_DATE = Layout(partition_by=("event_date",))
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
_SAMPLE = 20_000
_MOST_EXTRA = 200
_EPOCH = date(1970, 1, 1)
_DAY = "CAST(event_date - DATE '1970-01-01' AS INTEGER)"


@dataclass
class Stage:
    """What is kept between the batches of one source in one build.

    Attributes:
        app_id: Application id of silver's transactions; the version is the batch.
        identical: Rows of a batch that equal an earlier one of it, where nothing is deduplicated.
        extra: Undeclared fields that silver carries as text.
        key_lists: Lists of field names that need no closer look.
        touched_files: Files whose rows moved, so that the ledger counts them again.
        warnings: Number of rows by reason that broke a rule which only warns.
        messages: What a person should be told.
    """

    engine: Engine
    lake: Lake
    project: Project
    source: Source
    app_id: str
    index: KeyIndex | None
    identical: int = 0
    extra: list[str] = field(default_factory=list)
    key_lists: list[list[str]] = field(default_factory=list)
    touched_files: set[int] = field(default_factory=set)
    warnings: dict[str, int] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    evolved: list[str] = field(default_factory=list)
    plan: SilverPlan = field(init=False)

    def __post_init__(self) -> None:
        self.plan = plan(self.source, self.project, self.extra)
        known = self.engine.schema(f"silver.{self.source.name}")
        if known is not None and self.source.contract.extra == "evolve":
            own = {*accepted_columns(self.plan), *(f"{name}_field" for name in LINEAGE)}
            self.extra = [name for name in known.names if name not in own]
            self.plan = plan(self.source, self.project, self.extra)

    @property
    def table(self) -> str:
        return f"silver.{self.source.name}"

    # --- reading

    def parse(self) -> None:
        """Make `temp.parsed`, `temp.unclean` and `temp.reasons` from `temp.lines`.

        Raises:
            ContractError: A field or rule whose policy is `fail` was broken, or a file lacks a required column.
        """
        if not self.key_lists:
            self._learn_key_lists()
        self._parse_once()
        if self.source.contract.extra == "evolve" and self._evolve():
            self._parse_once()
        self.engine.write(reasons_sql(self.plan, "temp.lines", "temp.unclean"), "temp.reasons")
        self._refuse_missing_columns()
        self._refuse_failures()

    def _learn_key_lists(self) -> None:
        rows = self.engine.query(key_lists_sql("temp.lines", _SAMPLE)).to_pylist()
        lists = [row["keys"] for row in rows if len(set(row["keys"])) == len(row["keys"])]
        dropped = {name for name, rule in self.source.privacy.items() if rule == "drop"}
        known = {*self.plan.known_fields, *dropped}
        if self.source.contract.extra != "ignore":
            if self.source.contract.extra == "evolve":
                self._add_extra(sorted({name for names in lists for name in names} - known))
                known = {*self.plan.known_fields, *dropped}
            lists = [names for names in lists if set(names) <= known]
        self.key_lists = lists

    def _parse_once(self) -> None:
        self.engine.write(parsed_sql(self.plan, "temp.lines", self.key_lists), "temp.parsed")
        self.engine.write("SELECT file_id, source_position FROM temp.parsed WHERE is_clean IS NOT TRUE", "temp.unclean")

    def _evolve(self) -> bool:
        """Take up fields that nothing declares; true when there are new ones."""
        rows = self.engine.query(
            undeclared_sql("temp.lines", "temp.unclean", [*self.plan.known_fields, *self.source.privacy])
        ).to_pylist()
        return self._add_extra([row["name"] for row in rows])

    def _add_extra(self, names: Sequence[str]) -> bool:
        taken = {column.lower() for column in accepted_columns(self.plan)}
        new = [name for name in names if name and name.lower() not in taken and _is_column_name(name)]
        new = new[: max(0, _MOST_EXTRA - len(self.extra))]
        if not new:
            return False
        self.extra += new
        self.evolved += new
        self.plan = plan(self.source, self.project, self.extra)
        self.key_lists = []
        rows = self.engine.query(key_lists_sql("temp.lines", _SAMPLE)).to_pylist()
        known = {*self.plan.known_fields, *(n for n, rule in self.source.privacy.items() if rule == "drop")}
        self.key_lists = [
            row["keys"] for row in rows if len(set(row["keys"])) == len(row["keys"]) and set(row["keys"]) <= known
        ]
        return True

    def _refuse_missing_columns(self) -> None:
        """A table file (CSV, Parquet) without a required column is refused as a whole."""
        required = [
            item.field for item in self.plan.fields if any(c.reason.startswith("missing_required") for c in item.checks)
        ]
        if not required:
            return
        names = self.engine.query(
            "SELECT DISTINCT l.source_path, json_keys(l.record) AS keys FROM temp.lines l JOIN temp.reasons r "
            "USING (file_id, source_position) WHERE l.record IS NOT NULL AND l.problem IS NULL AND l.kind = 'record' "
            "AND len(list_filter(r.reasons, lambda reason: starts_with(reason, 'missing_required'))) > 0 "
            "ORDER BY l.source_path LIMIT 1000"
        ).to_pylist()
        for row in names:
            missing = [name for name in required if name not in row["keys"]]
            if missing:
                raise ContractError(
                    f"{row['source_path']}: the required column {missing[0]!r} is missing "
                    f"(the file has {', '.join(row['keys'][:12])}). Nothing of this file was taken.",
                    hint=f"Mend the file, or declare the column as not required in sources/{self.source.name}.yml.",
                )

    def _refuse_failures(self) -> None:
        failing = [c.reason for item in self.plan.fields for c in item.checks if c.on_breach == "fail"]
        failing += [f"rule:{rule.name}" for rule in self.source.contract.rules if rule.on_breach == "fail"]
        if self.source.contract.extra == "fail":
            failing.append("undeclared_field")
        if not failing:
            return
        found = self.engine.query(
            "SELECT reason, count(*) AS records, min(source_path || ':' || source_position) AS example FROM ("
            "SELECT unnest(reasons) AS reason, file_id, source_position FROM temp.reasons) "
            "JOIN temp.lines USING (file_id, source_position) WHERE list_contains($failing, reason) "
            "GROUP BY reason ORDER BY records DESC",
            {"failing": failing},
        ).to_pylist()
        if found:
            row = found[0]
            raise ContractError(
                f"Source {self.source.name}: {row['records']:,} rows break '{row['reason']}', which stops the build "
                f"(first: {row['example']}).",
                hint="Mend the data, or set the rule to `quarantine` or `warn` in the contract.",
            )

    # --- writing

    def settle(self, batch_id: int, superseded: Sequence[int] = ()) -> None:
        """Deduplicate what was parsed and commit quarantine, duplicates and silver for the batch.

        Args:
            superseded: file_ids whose rows leave silver, because their file was replaced.
        """
        self._count_warnings()
        restated = self._dates_of(superseded)
        suspects = self._suspects()
        old_dates = sorted({*restated, *suspects.days})
        self._resolve(suspects, old_dates, superseded)
        self._write_quarantine(batch_id, superseded)
        self._write_duplicates(batch_id)
        self._write_silver(batch_id, old_dates, superseded)
        for name in ("lines", "parsed", "unclean", "reasons", "losers", "excluded"):
            self.engine.write("SELECT NULL AS nothing", f"temp.{name}")

    def _count_warnings(self) -> None:
        rows = self.engine.query(
            "SELECT reason, count(*) AS records FROM (SELECT unnest(warnings) AS reason FROM temp.parsed "
            "WHERE len(warnings) > 0) GROUP BY reason"
        ).to_pylist()
        for row in rows:
            self.warnings[row["reason"]] = self.warnings.get(row["reason"], 0) + row["records"]

    def _dates_of(self, file_ids: Sequence[int]) -> list[date]:
        if not file_ids or self.engine.schema(self.table) is None:
            return []
        found = self.engine.query(
            f"SELECT DISTINCT event_date FROM {self.table} WHERE list_contains($ids, file_id)", {"ids": list(file_ids)}
        )
        return [value for value in found.column("event_date").to_pylist() if value is not None]

    def _suspects(self) -> _Suspects:
        """Key hashes that stand twice in the batch, or that silver may hold already (and where)."""
        if self.index is None:
            found = self.engine.query("SELECT count(*) - count(DISTINCT key_hash) FROM temp.parsed WHERE is_clean")
            self.identical += int(found.column(0)[0].as_py())
            return _Suspects((), ())
        self.fill_index()
        keyed = "event_id IS NOT NULL" if self.source.dedup == "key" else "true"
        hashes = self.engine.query(
            f"SELECT key_hash FROM temp.parsed WHERE is_clean AND {keyed} UNION ALL SELECT key_hash FROM temp.parsed "
            f"JOIN temp.reasons USING (file_id, source_position) WHERE len(reasons) = 0 AND {keyed}"
        )
        values = np.sort(hashes.column("key_hash").to_numpy())
        twice = values[:-1][values[1:] == values[:-1]] if len(values) > 1 else values[:0]
        known, days = self.index.find(np.unique(values) if len(twice) else values)
        every = np.unique(np.concatenate((twice, known)))
        return _Suspects(tuple(every.tolist()), tuple(_EPOCH + timedelta(days=int(d)) for d in np.unique(days)))

    def _resolve(self, suspects: _Suspects, old_dates: Sequence[date], superseded: Sequence[int]) -> None:
        """Make `temp.losers`: rows that give way to another one, and to which."""
        if not suspects.hashes:
            self.engine.write(
                "SELECT CAST(NULL AS BIGINT) AS file_id, CAST(NULL AS BIGINT) AS source_position, "
                "CAST(NULL AS BIGINT) AS kept_file_id, CAST(NULL AS BIGINT) AS kept_position, false AS is_old, "
                "false AS is_same, CAST(NULL AS BIGINT) AS old_batch_id WHERE false",
                "temp.losers",
            )
            return
        content = content_sql(self.plan.content)
        key = "event_id" if self.source.dedup == "key" else "content"
        self.engine.write(pa.table({"key_hash": pa.array(suspects.hashes, pa.int64())}), "temp.suspects")
        columns = ", ".join(["event_id", "received_at", "file_id", "source_position", "batch_id"])
        if self.source.fact == "count":
            columns = "CAST(NULL AS VARCHAR) AS event_id, CAST(NULL AS TIMESTAMPTZ) AS received_at, file_id, source_position, batch_id"
        wanted = "event_id IS NOT NULL" if self.source.dedup == "key" else "true"
        fresh = (
            f"SELECT {columns}, {content} AS content, false AS is_old FROM temp.parsed p SEMI JOIN temp.suspects USING (key_hash) "
            f"ANTI JOIN (SELECT * FROM temp.reasons WHERE len(reasons) > 0) r USING (file_id, source_position) WHERE {wanted}"
        )
        contenders = fresh
        if old_dates and self.engine.schema(self.table) is not None:
            known = set(self.engine.schema(self.table).names)
            old_content = content_sql([name for name in self.plan.content if name in known])
            missing = [name for name in self.plan.content if name not in known]
            if missing:
                old_content = content_sql_with_nulls(self.plan.content, known)
            contenders += (
                f" UNION ALL SELECT {columns}, {old_content} AS content, true AS is_old FROM {self.table} "
                f"WHERE list_contains($dates, event_date) AND NOT list_contains($superseded, file_id) AND {wanted} "
                f"AND {key if key == 'event_id' else old_content} IN (SELECT {key} FROM ({fresh}))"
            )
        self.engine.write(
            f"""
            SELECT file_id, source_position, kept_file_id, kept_position, is_old, content = kept_content AS is_same,
                batch_id AS old_batch_id
            FROM (
                SELECT *, row_number() OVER ranked AS place, first_value(file_id) OVER ranked AS kept_file_id,
                    first_value(source_position) OVER ranked AS kept_position,
                    first_value(content) OVER ranked AS kept_content
                FROM ({contenders})
                WINDOW ranked AS (PARTITION BY {key} ORDER BY received_at DESC NULLS LAST, content DESC, is_old DESC,
                    file_id, source_position)
            ) WHERE place > 1""",
            "temp.losers",
            params={"dates": list(old_dates), "superseded": list(superseded)} if "$dates" in contenders else None,
        )

    def choose(self, identity: str, order: str) -> None:
        """Make `temp.losers` and `temp.excluded` of a dimension: one row an identity stays, first by `order`."""
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
                FROM temp.parsed p JOIN temp.lines l USING (file_id, source_position)
                ANTI JOIN (SELECT * FROM temp.reasons WHERE len(reasons) > 0) r USING (file_id, source_position)
                WINDOW ranked AS (PARTITION BY {identity} ORDER BY {order})
            ) WHERE place > 1""",
            "temp.losers",
        )
        self._exclude()

    def write_dimension(self, select: str, batch_id: int) -> None:
        """Replace a dimension's silver, quarantine and duplicates as a whole."""
        source = self.source.name
        for table, schema in ((QUARANTINE, QUARANTINE_SCHEMA), (DUPLICATES, DUPLICATES_SCHEMA)):
            if self.engine.schema(table) is None:
                self.engine.write(schema.empty_table(), table, layout=_BY_BATCH)
            self.engine.write(schema.empty_table(), table, "replace", replace={"source": [source]})
        self._write_quarantine(batch_id, ())
        self._write_duplicates(batch_id)
        self.engine.write(
            select,
            self.table,
            "overwrite",
            transaction=Transaction(self.app_id, batch_id),
            note={"definition": self.plan.definition, "batch_id": batch_id, "app_id": self.app_id},
        )

    def _exclude(self) -> None:
        self.engine.write(
            "SELECT file_id, source_position FROM temp.reasons WHERE len(reasons) > 0 UNION ALL "
            "SELECT file_id, source_position FROM temp.losers WHERE NOT is_old",
            "temp.excluded",
        )

    def _write_quarantine(self, batch_id: int, superseded: Sequence[int]) -> None:
        """Rows that broke the contract, and rows whose key another content has taken."""
        source = self.source.name
        bad = f"""
            SELECT {_text(source)} AS source, CAST({batch_id} AS BIGINT) AS batch_id, l.file_id, l.source_path,
                l.source_position, r.reasons, l.raw, 'open' AS state, CAST(NULL AS BIGINT) AS kept_file_id,
                CAST(NULL AS BIGINT) AS kept_position, l.ingested_at AS quarantined_at
            FROM temp.lines l JOIN temp.reasons r USING (file_id, source_position) WHERE len(r.reasons) > 0
            UNION ALL
            SELECT {_text(source)}, {batch_id}, l.file_id, l.source_path, l.source_position, ['conflict'], l.raw, 'open',
                c.kept_file_id, c.kept_position, l.ingested_at
            FROM temp.lines l JOIN temp.losers c USING (file_id, source_position) WHERE NOT c.is_same"""
        old = (
            self.engine.query("SELECT DISTINCT old_batch_id FROM temp.losers WHERE is_old AND NOT is_same")
            .column(0)
            .to_pylist()
        )
        params = None
        if old:
            params = {"old": old}
            bad += f"""
            UNION ALL
            SELECT {_text(source)}, {batch_id}, b.file_id, b.source_path, b.source_position, ['conflict'], b.raw, 'open',
                c.kept_file_id, c.kept_position, b.ingested_at
            FROM bronze.{source} b JOIN temp.losers c USING (file_id, source_position)
            WHERE c.is_old AND NOT c.is_same AND list_contains($old, b.batch_id)"""
        self._replace_partition(QUARANTINE, bad, QUARANTINE_SCHEMA, batch_id, params)
        if superseded:
            self._retire(superseded)

    def _retire(self, superseded: Sequence[int]) -> None:
        """Quarantined rows of files that were replaced stay to be seen, but no longer count as open."""
        params = {"ids": list(superseded), "source": self.source.name}
        batches = (
            self.engine.query(
                f"SELECT DISTINCT batch_id FROM {QUARANTINE} WHERE source = $source AND state = 'open' "
                "AND list_contains($ids, file_id)",
                params,
            )
            .column(0)
            .to_pylist()
        )
        for batch in batches:
            self.engine.write(
                f"SELECT * REPLACE (CASE WHEN list_contains($ids, file_id) THEN 'superseded' ELSE state END AS state) "
                f"FROM {QUARANTINE} WHERE source = $source AND batch_id = {int(batch)}",
                QUARANTINE,
                "replace",
                replace={"source": [self.source.name], "batch_id": [batch]},
                params=params,
            )

    def _write_duplicates(self, batch_id: int) -> None:
        rows = (
            f"SELECT {_text(self.source.name)} AS source, CAST({batch_id} AS BIGINT) AS batch_id, file_id, source_position, "
            "kept_file_id, kept_position FROM temp.losers WHERE is_same"
        )
        self._replace_partition(DUPLICATES, rows, DUPLICATES_SCHEMA, batch_id, None)

    def _replace_partition(
        self, table: str, select: str, schema: pa.Schema, batch_id: int, params: dict[str, object] | None
    ) -> None:
        """Write the partition of (source, batch) as a whole; nothing is committed where there is nothing to say."""
        self.engine.write(select, "temp.partition", params=params)
        count = self.engine.query("SELECT count(*) FROM temp.partition").column(0)[0].as_py()
        is_there = self.engine.schema(table) is not None
        if not is_there:
            self.engine.write(schema.empty_table(), table, layout=_BY_BATCH)
        if count or (is_there and self._has_partition(table, batch_id)):
            self.engine.write(
                "SELECT * FROM temp.partition",
                table,
                "replace",
                replace={"source": [self.source.name], "batch_id": [batch_id]},
                layout=_BY_BATCH,
            )

    def _has_partition(self, table: str, batch_id: int) -> bool:
        found = self.engine.query(
            f"SELECT count(*) FROM {table} WHERE source = $source AND batch_id = $batch",
            {"source": self.source.name, "batch": batch_id},
        )
        return bool(found.column(0)[0].as_py())

    def _write_silver(self, batch_id: int, old_dates: Sequence[date], superseded: Sequence[int]) -> None:
        columns = ", ".join(quoted(name) for name in accepted_columns(self.plan))
        self._exclude()
        fresh = (
            f"SELECT {columns} FROM temp.parsed "
            "WHERE (file_id, source_position) NOT IN (SELECT (file_id, source_position) FROM temp.excluded)"
        )
        lost = self.engine.query("SELECT file_id, source_position FROM temp.losers WHERE is_old")
        if self.engine.schema(self.table) is None or not (superseded or lost.num_rows):
            self.engine.write(
                fresh,
                self.table,
                transaction=Transaction(self.app_id, batch_id),
                layout=_BY_DATE,
                note={"definition": self.plan.definition, "batch_id": batch_id, "app_id": self.app_id},
            )
        else:
            self._rewrite(fresh, columns, batch_id, old_dates, superseded)
        self._index_batch()

    def _rewrite(
        self, fresh: str, columns: str, batch_id: int, old_dates: Sequence[date], superseded: Sequence[int]
    ) -> None:
        """Append the batch and take old rows out of their dates, in one commit."""
        known = set(self.engine.schema(self.table).names)
        old_columns = ", ".join(
            quoted(name) if name in known else f"NULL AS {quoted(name)}" for name in accepted_columns(self.plan)
        )
        dates = (
            self.engine.query(
                f"SELECT DISTINCT event_date FROM {self.table} WHERE list_contains($dates, event_date) AND ("
                "list_contains($superseded, file_id) OR (file_id, source_position) IN "
                "(SELECT (file_id, source_position) FROM temp.losers WHERE is_old))",
                {"dates": list(old_dates), "superseded": list(superseded)},
            )
            .column(0)
            .to_pylist()
        )
        self.engine.write(
            f"{fresh} UNION ALL SELECT {old_columns} FROM {self.table} WHERE list_contains($dates, event_date) "
            "AND NOT list_contains($superseded, file_id) AND (file_id, source_position) NOT IN "
            "(SELECT (file_id, source_position) FROM temp.losers WHERE is_old)",
            self.table,
            "replace" if dates else "append",
            replace={"event_date": dates},
            transaction=Transaction(self.app_id, batch_id),
            layout=_BY_DATE,
            params={"dates": dates, "superseded": list(superseded)},
            note={"definition": self.plan.definition, "batch_id": batch_id, "app_id": self.app_id},
        )
        moved = self.engine.query("SELECT DISTINCT file_id FROM temp.losers WHERE is_old").column(0).to_pylist()
        self.touched_files |= set(moved)

    def fill_index(self) -> None:
        """Make the index again from silver where it is behind: after a crash, or when columns were added."""
        index, version = self.index, self.lake.version(self.table)
        if index is None or (index.version == version and index.content == self.plan.content):
            return
        index.clear()
        known = self.engine.schema(self.table)
        if known is not None:
            absent = "".join(f", NULL AS {quoted(name)}" for name in self.plan.content if name not in known.names)
            rows = self.engine.query(
                f"SELECT {key_hash_sql(self.plan)} AS key_hash, {_DAY} AS day FROM (SELECT *{absent} FROM {self.table})"
            )
            index.add(rows.column("key_hash").to_numpy(), rows.column("day").to_numpy().astype(np.int32))
        index.version, index.content = version, self.plan.content

    def _index_batch(self) -> None:
        if self.index is None:
            return
        rows = self.engine.query(
            f"SELECT key_hash, {_DAY} AS day FROM temp.parsed "
            "WHERE (file_id, source_position) NOT IN (SELECT (file_id, source_position) FROM temp.excluded)"
        )
        self.index.add(rows.column("key_hash").to_numpy(), rows.column("day").to_numpy().astype(np.int32))
        self.index.version = self.lake.version(self.table)


@dataclass(frozen=True)
class _Suspects:
    hashes: tuple[int, ...]
    days: tuple[date, ...]


def content_sql_with_nulls(columns: Sequence[str], known: set[str]) -> str:
    """`content_sql` over a table that lacks some columns: they count as null."""
    parts = ", ".join(
        f"coalesce('v' || CAST({quoted(column)} AS VARCHAR), 'n')" if column in known else "'n'"
        for column in sorted(columns)
    )
    return f"md5(concat_ws(chr(31), {parts}))"


def _is_column_name(name: str) -> bool:
    return 0 < len(name) <= 128 and name.isprintable() and not any(c in name for c in " ,;{}()\n\t=")


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
