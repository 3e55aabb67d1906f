"""The `postgres` kind of source: a table or query of a PostgreSQL database, as if it were one file.

Without `cursor:` the whole is read when its fingerprint changed, and takes the place of what was read before. With
`cursor:`, a column that grows (a key or a time), rows beyond the last value are added. Rows at or before that value
are counted again at every build: where their number changed (a transaction that began earlier committed later, rows
were deleted), the file's earlier part is another one and all is read anew.

All of a build's rows come from one REPEATABLE READ transaction, by COPY, a group at a time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from tidelake.contracts.source import Source
from tidelake.errors import BusyError, ContractError, DefinitionError, UnknownNameError
from tidelake.postgres.records import INTEGERS, TIMES, Field, fields_of, record_sql
from tidelake.postgres.server import Server, find_table, quoted
from tidelake.sources.base import LINES, FileRead, Group, Known, Look, Take
from tidelake.sources.prefetch import prefetch
from tidelake.sources.spans import PAD, kind_column, newlines, text_views

_MARK = 20
"""Characters before each record that hold its cursor: as many as the smallest 64-bit number has."""


@dataclass(frozen=True)
class _Relation:
    """What is read, as found in the database.

    Attributes:
        sql: A table's name or a query in parentheses.
        cursor: SQL of the cursor as a whole number (times: microseconds since 1970), null without one.
    """

    sql: str
    source_path: str
    fields: tuple[Field, ...]
    cursor: str | None

    @property
    def identity(self) -> str:
        return json.dumps([self.sql, self.cursor, [(field.name, field.oid) for field in self.fields]])


@dataclass(frozen=True)
class _State:
    """How far a relation goes now.

    Attributes:
        mark: Greatest cursor, 0 where there is none; without a cursor the number of rows.
        print: What tells this state from others.
    """

    rows: int
    mark: int
    print: str


class PostgresReader:
    """Reads one table or query.

    Args:
        source: Its settings; `dsn` and one of `table` and `query` are set.
    """

    def __init__(self, source: Source) -> None:
        assert source.dsn is not None
        self.source = source
        self.server = Server(source.dsn, what=f"source '{source.name}'")

    def looks(self) -> list[Look]:
        """One look: the table or query as it is now."""
        with self.server.connect(read_only=True, snapshot=True) as connection:
            relation = self._relation(connection)
            return [self._look(relation, self._state(connection, relation))]

    def passed_over(self) -> list[str]:
        """Nothing lies beside a table."""
        return []

    def prefix_hash(self, look: Look, size: int) -> str | None:
        """The hash of the rows up to cursor `size`; without a cursor, of all rows while their number is `size`."""
        with self.server.connect(read_only=True, snapshot=True) as connection:
            relation = self._relation(connection)
            if relation.cursor is None:
                state = self._state(connection, relation)
                return self._hash(relation, state) if state.rows == size else None
            rows = 0
            if self.source.recheck == "count":
                where = f"{self._bound(relation)} AND {relation.cursor} <= {size}"
                rows = connection.execute(f"SELECT count(*) FROM {relation.sql} AS r WHERE {where}").fetchone()[0]
            return self._hash(relation, _State(rows, size, f"{size}:{rows}"))

    def begins_as(self, look: Look, known: Sequence[Known]) -> Known | None:
        """None: a table under another name is another one."""
        return None

    def groups(self, takes: Sequence[Take], *, group_bytes: int) -> Iterator[Group]:
        """Read the rows; with a cursor every group is a finished step, from which the next build can go on."""
        return prefetch(self._groups(takes, group_bytes))

    def _groups(self, takes: Sequence[Take], group_bytes: int) -> Iterator[Group]:
        for take in takes:
            with self.server.connect(read_only=True, snapshot=True) as connection:
                relation = self._relation(connection)
                state = self._state(connection, relation)
                if relation.cursor is None:
                    yield from self._whole(connection, relation, state, group_bytes)
                else:
                    yield from self._beyond(connection, relation, state, take, group_bytes)

    def _whole(self, connection: Any, relation: _Relation, state: _State, group_bytes: int) -> Iterator[Group]:
        look, content_hash = self._look(relation, state), self._hash(relation, state)
        taken = 0
        for text, is_last in _with_last(self._copied(connection, self._sql(relation, ""), group_bytes)):
            start, end = _line_spans(text)
            end_hash, size = (content_hash, state.mark) if is_last else ("", 0)
            read = FileRead(look, end_hash, size, taken + 1, len(start), ends_with_newline=True)
            taken += len(start)
            if is_last and taken != state.rows:  # one snapshot: cannot be, unless the query is not the same twice
                raise DefinitionError(
                    f"source '{self.source.name}': its query gave {state.rows:,} rows and then {taken:,}.",
                    hint="A query must give the same rows when it is asked twice: no random(), no LIMIT without ORDER.",
                )
            yield _group(read, text, start, end, done=is_last)

    def _beyond(
        self, connection: Any, relation: _Relation, state: _State, take: Take, group_bytes: int
    ) -> Iterator[Group]:
        """Rows beyond the cursor's last value, cut into groups between two values."""
        assert relation.cursor is not None
        known = take.first_line - 1
        where = self._bound(relation)
        if take.first_line > 1:
            where += f" AND {relation.cursor} > {take.start_byte}"
        copied = self._copied(connection, self._sql(relation, where), group_bytes)
        taken, mark = known, take.start_byte if known else 0
        for text in _cut_between_marks(copied):
            start, end = _line_spans(text)
            if len(start):
                mark = int(_marks(text, start[-1:])[0])
            first, taken = taken + 1, taken + len(start)
            rows = taken if self.source.recheck == "count" else 0
            step = _State(taken, mark, f"{mark}:{rows}")
            read = FileRead(
                self._look(relation, step),
                self._hash(relation, step),
                mark,
                first,
                len(start),
                ends_with_newline=True,
            )
            if mark == state.mark and self.source.recheck == "count" and taken != state.rows:
                raise BusyError(
                    f"{self._shown(relation)} changed before the rows that were to be read.",
                    hint="Run the command again: all of it is then read anew.",
                )
            yield _group(read, text, start + _MARK, end, done=True)

    # --- what is there

    def _relation(self, connection: Any) -> _Relation:
        where = f"sources/{self.source.name}.yml"
        if self.source.table is not None:
            schema, table = find_table(connection, self.source.table, where=f"{where}, {self.server.shown}")
            sql, path = quoted(schema, table), f"{schema}.{table}"
        else:
            assert self.source.query is not None
            sql, path = f"({self.source.query.strip().rstrip(';')}\n)", f"query {self.source.name}"
        fields = tuple(fields_of(connection, sql))
        cursor = self._cursor(fields, where) if self.source.cursor else None
        return _Relation(sql, f"postgres:///{self.server.database}/{path}", fields, cursor)

    def _cursor(self, fields: Sequence[Field], where: str) -> str:
        """SQL of the cursor as a whole number.

        Raises:
            UnknownNameError: There is no such column.
            DefinitionError: It is neither a number nor a time.
        """
        assert self.source.cursor is not None
        by_name = {field.name: field for field in fields}
        if self.source.cursor not in by_name:
            raise UnknownNameError("column", self.source.cursor, by_name, where=f"{where}, cursor")
        field, column = by_name[self.source.cursor], f"r.{quoted(self.source.cursor)}"
        if field.oid in INTEGERS and self.source.lag is None:
            return f"{column}::bigint"
        if field.oid in TIMES:
            return f"(extract(epoch FROM {column}) * 1000000)::bigint"
        if field.oid in INTEGERS:
            raise DefinitionError(f"{where}: `lag:` needs a cursor that is a time.", hint="Leave it out.")
        raise DefinitionError(
            f"{where}: the cursor '{self.source.cursor}' is neither a whole number nor a time.",
            hint="Take a column that grows with every new row, or leave `cursor:` out to read all.",
        )

    def _bound(self, relation: _Relation) -> str:
        """Condition of rows that are old enough to be taken."""
        if self.source.lag is None:
            return "true"
        now = "(extract(epoch FROM transaction_timestamp()) * 1000000)::bigint"
        return f"{relation.cursor} <= {now} - {round(self.source.lag.total_seconds() * 1e6)}"

    def _state(self, connection: Any, relation: _Relation) -> _State:
        """How far the relation goes, in the connection's snapshot.

        Raises:
            ContractError: Rows have no cursor: nobody would ever read them.
        """
        if relation.cursor is None:
            # The sum of the rows' hashes does not depend on their order; r alone could be a column's name.
            rows, total = connection.execute(
                f"SELECT count(*), coalesce(sum(hashtextextended((r.*)::text, 0)::numeric), 0) FROM {relation.sql} AS r"
            ).fetchone()
            return _State(rows, rows, f"{rows}:{total}")
        if self.source.recheck == "none":
            found = connection.execute(
                f"SELECT coalesce(max({relation.cursor}), 0) FROM {relation.sql} AS r WHERE {self._bound(relation)}"
            ).fetchone()
            return _State(0, found[0], f"{found[0]}:0")
        rows, mark, lost = connection.execute(
            f"SELECT count(*) FILTER (WHERE {self._bound(relation)}), "
            f"coalesce(max({relation.cursor}) FILTER (WHERE {self._bound(relation)}), 0), "
            f"count(*) FILTER (WHERE {relation.cursor} IS NULL) FROM {relation.sql} AS r"
        ).fetchone()
        if lost:
            raise ContractError(
                f"{self._shown(relation)}: {lost:,} rows have no '{self.source.cursor}'; they would never be read.",
                hint="Take another `cursor:`, or leave it out to read all; or leave these rows out with `query:`.",
            )
        return _State(rows, mark, f"{mark}:{rows}")

    def _look(self, relation: _Relation, state: _State) -> Look:
        now = int(datetime.now(UTC).timestamp() * 1_000_000)
        return Look(
            path=self._shown(relation),
            source_path=relation.source_path,
            size=state.mark,
            modified_us=now,
            stamp=f"{hashlib.sha256(relation.identity.encode()).hexdigest()[:16]}:{state.print}",
            counts_bytes=False,
        )

    def _shown(self, relation: _Relation) -> str:
        return f"{self.server.shown}/{relation.source_path.removeprefix(f'postgres:///{self.server.database}/')}"

    def _hash(self, relation: _Relation, state: _State) -> str:
        return hashlib.sha256(f"{relation.identity}|{state.print}".encode()).hexdigest()

    # --- reading

    def _sql(self, relation: _Relation, where: str) -> str:
        record = record_sql(relation.fields)
        if relation.cursor is None:
            return f"SELECT {record} FROM {relation.sql} AS r"
        marked = f"lpad(({relation.cursor})::text, {_MARK}) || {record}"
        return f"SELECT {marked} FROM {relation.sql} AS r WHERE {where} ORDER BY {relation.cursor}"

    def _copied(self, connection: Any, sql: str, group_bytes: int) -> Iterator[bytes]:
        """The records' lines in blocks of about `group_bytes`, each of whole lines; one empty block where none is.

        Neither delimiter nor quote can stand in JSON, so that every record is given as it is.
        """
        connection.execute("SET LOCAL max_parallel_workers_per_gather = 0")  # rows in the table's own order
        block = bytearray()
        given = False
        with (
            connection.cursor() as cursor,
            cursor.copy(f"COPY ({sql}) TO STDOUT (FORMAT csv, DELIMITER E'\\x02', QUOTE E'\\x01')") as copy,
        ):
            for part in copy:
                block += part
                if len(block) >= group_bytes and block.endswith(b"\n"):
                    yield bytes(block)
                    block, given = bytearray(), True
        if block or not given:
            yield bytes(block)


def _with_last(blocks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each block, and whether it is the last one."""
    before = next(blocks)
    for block in blocks:
        yield before, False
        before = block
    yield before, True


def _cut_between_marks(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same lines; those with one mark are never in two blocks."""
    rest = b""
    for block, is_last in _with_last(blocks):
        text = rest + block
        if is_last:
            yield text
            return
        start, _ = _line_spans(text)
        marks = _marks(text, start)
        cut = int(np.searchsorted(marks, marks[-1]))
        if cut == 0:  # all of it has one mark
            rest = text
            continue
        yield text[: int(start[cut])]
        rest = text[int(start[cut]) :]


def _line_spans(text: bytes) -> tuple[Any, Any]:
    """Start and end of every line."""
    buffer = np.frombuffer(text, np.uint8)
    end = newlines(buffer, 0, len(buffer))
    start = np.concatenate([np.zeros(1, np.int64), end[:-1] + 1]) if len(end) else end
    return start, end


def _marks(text: bytes, start: Any) -> Any:
    """The cursors before the records that begin at `start`."""
    buffer = np.frombuffer(text, np.uint8)
    wide = np.ascontiguousarray(buffer[start[:, None] + np.arange(_MARK)])
    return wide.view(f"S{_MARK}").ravel().astype(np.int64)


def _group(read: FileRead, text: bytes, start: Any, end: Any, *, done: bool) -> Group:
    count = len(start)
    buffer = np.frombuffer(text + bytes(PAD), np.uint8)
    raw = text_views(buffer, start, end, {}) if count else pa.array([], pa.string_view())
    columns = [
        pa.array(np.zeros(count, np.int32)),
        pa.array(np.arange(read.first_line, read.first_line + count, dtype=np.int64)),
        raw,
        pa.nulls(count, pa.string_view()),
        pa.nulls(count, pa.string()),
        kind_column(np.zeros(count, np.int8)),
    ]
    return Group((read,), pa.Table.from_arrays(columns, schema=LINES), (done,), len(text))
