"""The lake: Delta tables at `<lake>/{bronze,silver,gold,ops}/<name>`, each commit made once.

A commit is made with the handle that was checked and without retries: when somebody else has
committed since, it fails with `BusyError` instead of writing rows a second time.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema
from deltalake import Transaction as DeltaTransaction
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from tidelake.engine.base import LAYERS, DataFile, Layout, NewFile, Transaction
from tidelake.errors import BusyError, LakeError
from tidelake.lake.claims import Claim
from tidelake.lake.commit_points import reached
from tidelake.lake.faults import explained, is_folder, overtaken, read_error
from tidelake.lake.location import Location
from tidelake.lake.tables import (
    Edges,
    State,
    add_action,
    added,
    data_file,
    layout_of,
    note_in,
    note_of,
    paths,
    plain,
    refuse_unreadable,
)

FORMAT_VERSION = 1
FORMAT_FILE = "_tidelake.json"
LOCK_FILE = "_lock"
_TABLE_SETTINGS = {"delta.checkpointInterval": "50", "delta.logRetentionDuration": "interval 3650 days"}
_BESIDE_BUILDS = ("ops.builds", "ops.files", "ops.findings", "ops.deliveries")  # true without a finished build too
_ADDED = {"tidelake.added": "true"}  # metadata of a column that older files do not have


_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")


def _one_at_a_time(
    look: Callable[Concatenate[Lake, str, _Given], _Answer],
) -> Callable[Concatenate[Lake, str, _Given], _Answer]:
    """Let one thread at a time look at a table or change it; other tables are free meanwhile."""

    @wraps(look)
    def locked(lake: Lake, table: str, /, *given: _Given.args, **named: _Given.kwargs) -> _Answer:
        with lake.locks.setdefault(table, threading.RLock()):
            return look(lake, table, *given, **named)

    return locked


class Lake:
    """The tables of one lake, at their newest versions or at a state in the past.

    Args:
        address: Folder or `s3://` address.
        storage: S3 settings beyond the environment.
        versions: Table versions to read instead of the newest (`--as-of`); such a lake is read-only.
    """

    def __init__(
        self,
        address: str,
        *,
        storage: Mapping[str, str] | None = None,
        versions: Mapping[str, int] | None = None,
    ) -> None:
        self.location = Location(address.rstrip("/"), dict(storage or {}))
        self._versions = versions
        self._handles: dict[str, DeltaTable | None] = {}
        self._behind: set[str] = set()  # tables whose handle does not know yet what was committed here last
        self._states: dict[str, State] = {}
        self.locks: dict[str, threading.RLock] = {}
        self._settled: Mapping[str, int] | None = None
        self.held_back: set[str] = set()  # tables that are read older than they are (`settle_on`)
        self._claim: Claim | None = None  # while this process may write, where there is no lock

    @property
    def is_local(self) -> bool:
        return self.location.is_local

    @property
    def is_past(self) -> bool:
        return self._versions is not None

    def uri(self, table: str) -> str:
        """Where `layer.name` lies."""
        return self.location.uri(*table.split(".", 1))

    def index_folder(self, name: str) -> Path | None:
        """Where an index of keys is kept beside the tables; None where it cannot be (on S3)."""
        return Path(self.location.uri("_index", name)) if self.is_local else None

    def filesystem(self) -> Any:
        return self.location.filesystem()

    def move_in(self, local: str, uri: str) -> None:
        self.location.move_in(local, uri)

    def refresh(self) -> None:
        """Forget what was read of the tables; the next look reads their logs again."""
        self._handles.clear()
        self._behind.clear()
        self._states.clear()
        self.held_back.clear()

    @property
    def is_settled(self) -> bool:
        return self._settled is not None

    def settle_on(self, versions: Mapping[str, int] | None) -> None:
        """Read tables as the last finished build left them; with None as they are, as writing needs it.

        A table whose rows are still the same is read as it is now (it may have been compacted since).
        """
        if versions != self._settled:
            self._settled = versions
            self.refresh()

    def has_moved(self, table: str, since: int | None) -> bool:
        """Whether there is a commit after a version (None: any at all); one look for its file, nothing is opened."""
        following = 0 if since is None else since + 1
        return self.location.exists(*table.split(".", 1), "_delta_log", f"{following:020d}.json")

    @_one_at_a_time
    def delta(self, table: str) -> DeltaTable | None:
        """The open Delta table, or None where there is none."""
        if table not in self._handles:
            self._handles[table] = self._open(table)
        opened = self._handles[table]
        if opened is not None and table in self._behind:
            opened.update_incremental()
            self._behind.discard(table)
        return opened

    @_one_at_a_time
    def _state(self, table: str) -> State | None:
        """What is known of the table, also of commits that were made here since it was opened."""
        if table not in self._states:
            opened = self.delta(table)
            if opened is None:
                return None
            schema = plain(pa.schema(opened.schema().to_arrow()))
            self._states[table] = State(str(opened.metadata().id), opened.version(), schema, layout_of(opened))
        return self._states[table]

    def _open(self, table: str) -> DeltaTable | None:
        if self._versions is not None:
            return self._open_at(table, self._versions[table]) if table in self._versions else None
        opened = self._open_at(table, None)
        if opened is None or self._settled is None or table in _BESIDE_BUILDS:
            return opened
        left = self._settled.get(table)
        if left is None:
            is_begun = (opened.metadata().description or "").startswith('{"sort_by"')  # else somebody else made it
        elif left > opened.version():  # it was dropped and made anew
            is_begun = True
        else:
            is_begun = left < opened.version() and self._changed(table, "", left, opened.version()) != []
        if not is_begun:
            return opened
        self.held_back.add(table)
        return None if left is None or left > opened.version() else self._open_at(table, left)

    def _open_at(self, table: str, version: int | None) -> DeltaTable | None:
        if version is None and self.is_local and not is_folder(os.path.join(self.uri(table), "_delta_log")):
            return None
        try:
            opened = DeltaTable(self.uri(table), version=version, storage_options=self.location.delta_options)
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as error:
            raise read_error(error, f"Table {table} at {self.uri(table)}") from error
        refuse_unreadable(table, opened)
        return opened

    def tables(self) -> list[str]:
        """Every table of the lake, `layer.name`, in order."""
        if self._versions is not None:
            return sorted(self._versions)
        if self.is_local:
            return sorted(
                f"{layer}.{entry.name}"
                for layer in LAYERS
                if is_folder(self.location.uri(layer))
                for entry in os.scandir(self.location.uri(layer))
                if is_folder(os.path.join(entry.path, "_delta_log"))
            )
        from pyarrow.fs import FileSelector, FileType

        system, found = self.filesystem(), []
        for layer in LAYERS:
            selector = FileSelector(self.location.bare(self.location.uri(layer)), allow_not_found=True)
            found += [
                f"{layer}.{info.base_name}"
                for info in system.get_file_info(selector)
                if info.type == FileType.Directory
            ]
        return sorted(found)

    def version(self, table: str) -> int | None:
        state = self._state(table)
        return None if state is None else state.version

    def schema(self, table: str) -> pa.Schema | None:
        """The table's columns, partition columns included."""
        state = self._state(table)
        return None if state is None else state.schema

    def layout(self, table: str) -> Layout:
        state = self._state(table)
        return Layout() if state is None else state.layout

    def state(self, table: str) -> tuple[str, int] | None:
        """What tells two states of a table apart, also of one that was dropped and made anew: its id and version."""
        state = self._state(table)
        return None if state is None else (state.id, state.version)

    @_one_at_a_time
    def files(self, table: str) -> list[DataFile]:
        """The Parquet files that make up the table now, in a stable order."""
        state = self._state(table)
        if state is None:
            return []
        if state.files is None:
            state.files = [
                data_file(self.uri(table), path, partition, size, records, self._edges(table, path))
                for path, partition, size, records in added(self._actions(table))
            ]
            state.files.sort(key=lambda file: file.relative)
        return list(state.files)

    def _edges(self, table: str, relative: str) -> tuple[Edges, Edges]:
        """Least and greatest values of a file, looked up when they are asked for."""

        def known(edge: str, column: str) -> Any:
            return self._edge(table, edge, column).get(relative)

        return Edges(partial(known, "min")), Edges(partial(known, "max"))

    @_one_at_a_time
    def _edge(self, table: str, edge: str, column: str) -> dict[str, Any]:
        """Least or greatest values of a column by file."""
        state = self._state(table)
        if state is None:
            return {}
        if (edge, column) not in state.edges:
            rows = self._actions(table)
            held = rows.column(edge).combine_chunks() if edge in rows.column_names else None
            is_known = held is not None and held.type.get_field_index(column) >= 0
            values = held.field(column).to_pylist() if held is not None and is_known else []
            state.edges[edge, column] = dict(zip(paths(rows), values, strict=False))
        return state.edges[edge, column]

    def _actions(self, table: str) -> pa.Table:
        opened = self.delta(table)
        assert opened is not None
        return pa.table(opened.get_add_actions(flatten=False))

    @_one_at_a_time
    def transaction_version(self, table: str, app_id: str) -> int | None:
        """The last version that an application has committed to the table."""
        state = self._state(table)
        if state is None:
            return None
        if app_id not in state.transactions:
            opened = self.delta(table)
            state.transactions[app_id] = None if opened is None else opened.transaction_version(app_id)
        return state.transactions[app_id]

    @_one_at_a_time
    def note(self, table: str) -> dict[str, Any]:
        """What the newest commit with a note says of itself; empty where there is none."""
        state = self._state(table)
        if state is None:
            return {}
        if state.note is None:
            opened = self.delta(table)
            is_past = self.is_past or table in self.held_back
            state.note = self._note_at(table, state.version) if is_past or opened is None else note_of(opened)
        return dict(json.loads(state.note))

    def _note_at(self, table: str, version: int) -> str:
        """The note of the last commit up to a version that carries one."""
        for number in range(version, -1, -1):
            for action in self.actions_of(table, number) or ():
                if (note := note_in(action.get("commitInfo", {}))) is not None:
                    return note
        return "{}"

    notes = note

    def changed_partitions(
        self, table: str, column: str, since_version: int, *, taken: bool = False
    ) -> list[str] | None:
        """Values of a partition column whose rows changed after a version.

        Args:
            taken: Only those from which rows were taken away, not those that only got more.

        Returns:
            The values as text, in order; None when the log does not say (then take all of them).
        """
        now = self.version(table)
        return [] if now is None else self._changed(table, column, since_version, now, taken=taken)

    def _changed(
        self, table: str, column: str, since_version: int, now: int, *, taken: bool = False
    ) -> list[str] | None:
        changed: set[str] = set()
        for version in range(since_version + 1, now + 1):
            actions = self.actions_of(table, version)
            if actions is None:
                return None
            for action in actions:
                entry = action.get("remove") or (None if taken else action.get("add"))
                if entry and entry.get("dataChange", True):
                    value = (entry.get("partitionValues") or {}).get(column)
                    if value is None:
                        return None
                    changed.add(value)
        return sorted(changed)

    def actions_of(self, table: str, version: int) -> list[dict[str, Any]] | None:
        """What one commit says; None where the log does not have it any more."""
        text = self.location.read_text(*table.split(".", 1), "_delta_log", f"{version:020d}.json")
        return None if text is None else [json.loads(line) for line in text.splitlines()]

    def stored(self, table: str) -> set[str]:
        """Where all files lie below a table's folder, also those of earlier versions."""
        from pyarrow.fs import FileSelector, FileType

        root = self.location.bare(self.uri(table))
        found = self.filesystem().get_file_info(FileSelector(root, recursive=True, allow_not_found=True))
        return {info.path[len(root) :].lstrip("/") for info in found if info.type == FileType.File}

    @_one_at_a_time
    def commit(
        self,
        table: str,
        added: Sequence[NewFile],
        removed: Sequence[DataFile],
        *,
        schema: pa.Schema,
        layout: Layout,
        transaction: Transaction | None,
        note: Mapping[str, Any] | None,
        is_change: bool = True,
        is_whole: bool = False,
    ) -> int:
        """Add and remove files in one commit; make the table where there is none.

        Args:
            is_whole: `added` is all that the table holds from now on, and `schema` all its columns.

        Returns:
            The version that holds the change; the present one when the transaction was done before.

        Raises:
            BusyError: Somebody else committed to the table since it was opened.
            LakeError: The lake cannot be written.
        """
        if self.is_past:
            raise LakeError("A lake opened with --as-of is read-only.", hint="Leave --as-of out to write.")
        if self._claim is not None:
            self._claim.make()
        opened = self.delta(table)
        if opened is None:
            opened = self._create(table, schema, layout)
        state = self._state(table)
        assert state is not None
        if opened.version() != state.version:
            raise overtaken(table)
        if transaction is not None:
            done = self.transaction_version(table, transaction.app_id)
            if done is not None and done >= transaction.version:
                return state.version
        actions: list[AddAction | RemoveAction] = [add_action(file, is_change) for file in added]
        now = time.time_ns() // 1_000_000
        actions += [
            RemoveAction(
                path=file.relative,
                data_change=is_change,
                deletion_timestamp=now,
                partition_values=dict(file.partition),
                size=file.size,
            )
            for file in removed
        ]
        told = None if note is None else json.dumps(note, default=str)
        properties = CommitProperties(
            custom_metadata={"tidelake": told} if told is not None else None,
            max_commit_retries=0,
            app_transactions=[DeltaTransaction(*transaction)] if transaction is not None else None,
        )
        is_remade = is_whole and not plain(schema).equals(state.schema)
        if is_remade:  # removes every file by itself
            actions = [action for action in actions if isinstance(action, AddAction)]
        with explained(table, self.uri(table)):
            is_grown = not is_remade and self._grow(opened, table, schema)
            reached(table, "before")
            opened.create_write_transaction(
                actions,
                "overwrite" if is_remade else "append",
                Schema.from_arrow(plain(schema)) if is_remade else opened.schema(),
                list(layout.partition_by),
                commit_properties=properties,
                post_commithook_properties=PostCommitHookProperties(True, False),
            )
            reached(table, "after")
            self._behind.add(table)
            if is_remade:
                self._handles.pop(table)
                self._behind.discard(table)
            if is_remade or is_grown:
                self._states.pop(table)
                return self.version(table) or 0
        files = None
        if state.files is not None:
            gone = {file.relative for file in removed}
            files = [file for file in state.files if file.relative not in gone]
            files += [self._data_file_of(table, file) for file in added]
            files.sort(key=lambda file: file.relative)
        self._states[table] = state.after(files, transaction, told)
        return state.version + 1

    def _data_file_of(self, table: str, file: NewFile) -> DataFile:
        records = json.loads(file.stats)["numRecords"]
        edges = self._edges(table, file.relative)
        return data_file(self.uri(table), file.relative, file.partition, file.size, records, edges)

    @_one_at_a_time
    def drop(self, table: str) -> None:
        """Delete a table with its history; nothing happens where there is none."""
        if self.is_past:
            raise LakeError("A lake opened with --as-of is read-only.", hint="Leave --as-of out to write.")
        self._handles.pop(table, None)
        self._behind.discard(table)
        self._states.pop(table, None)
        with explained(table, self.uri(table)):
            self.location.remove_folder(self.uri(table))

    @_one_at_a_time
    def lay_out(self, table: str, schema: pa.Schema, layout: Layout, note: Mapping[str, Any]) -> None:
        """Empty a table and give it other columns and partitions, as its next version: its history stays."""
        if self.is_past:
            raise LakeError("A lake opened with --as-of is read-only.", hint="Leave --as-of out to write.")
        self._create(table, schema, layout, note)
        self._states.pop(table, None)
        self._behind.discard(table)

    def _create(
        self, table: str, schema: pa.Schema, layout: Layout, replaced_by: Mapping[str, Any] | None = None
    ) -> DeltaTable:
        """Make a table, or with a note make it anew."""
        properties = CommitProperties(custom_metadata={"tidelake": json.dumps(replaced_by)}, max_commit_retries=0)
        with explained(table, self.uri(table)):
            self.location.make_folder(self.uri(table))
            reached(f"{table} (new)", "before")
            DeltaTable.create(
                self.uri(table),
                Schema.from_arrow(plain(schema)),
                mode="error" if replaced_by is None else "overwrite",
                partition_by=list(layout.partition_by),
                description=json.dumps({"sort_by": layout.sort_by}),
                configuration=dict(_TABLE_SETTINGS),
                storage_options=self.location.delta_options,
                commit_properties=None if replaced_by is None else properties,
            )
            reached(f"{table} (new)", "after")
            created = DeltaTable(self.uri(table), storage_options=self.location.delta_options)
        self._handles[table] = created
        return created

    def _grow(self, opened: DeltaTable, table: str, schema: pa.Schema) -> bool:
        """Add the columns that the table does not have yet; whether there were any."""
        known = {field.name for field in opened.schema().fields}
        added = [field for field in plain(schema) if field.name not in known]
        if added:
            fields = Schema.from_arrow(pa.schema([field.with_metadata(_ADDED) for field in added])).fields
            reached(f"{table} (columns)", "before")
            opened.alter.add_columns(fields)
            reached(f"{table} (columns)", "after")
            opened.update_incremental()
        return bool(added)

    def prepare(self) -> None:
        """Make the lake's folder and format file, or check that this program may use them.

        Raises:
            LakeError: The lake cannot be written, or was made by a newer or older Tidelake.
        """
        self.location.check_writable()
        version = self.check_format()
        if version is not None and version < FORMAT_VERSION:
            raise LakeError(
                f"The lake {self.location.address} has the older format {version}.",
                hint="`tide migrate` brings it to the present one; its rows stay as they are.",
            )
        if version is None:
            self.location.write_text(json.dumps({"format": FORMAT_VERSION}) + "\n", FORMAT_FILE)

    def check_format(self) -> int | None:
        """The lake's format version; None for a lake that does not exist yet.

        Raises:
            LakeError: It is newer than this program's.
        """
        text = self.location.read_text(FORMAT_FILE)
        if text is None:
            return None
        try:
            version = int(json.loads(text)["format"])
        except (ValueError, KeyError, TypeError) as error:
            raise LakeError(
                f"{self.location.uri(FORMAT_FILE)} does not hold a format version.",
                hint='It should read {"format": 1}. Restore it from a backup.',
            ) from error
        if version > FORMAT_VERSION:
            raise LakeError(
                f"The lake {self.location.address} has format {version}; this Tidelake knows formats up to "
                f"{FORMAT_VERSION}.",
                hint="Install a newer Tidelake: pip install --upgrade tidelake.",
            )
        return version

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lake for writing. The lock of a process that died is free at once.

        Raises:
            BusyError: Another build holds it.
        """
        if not self.is_local:
            # On S3 every commit is a conditional put: of two writers one fails where they meet.
            self._claim = Claim(self.location)
            try:
                yield
            finally:
                with suppress(OSError):  # it may stay: see there
                    self._claim.drop()
                self._claim = None
            return
        path = self.location.uri(LOCK_FILE)
        with explained("lock", path):
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                _take(handle)
            except BlockingIOError as error:
                holder = os.pread(handle, 200, 0).decode(errors="replace").strip()
                raise BusyError(
                    f"Another build is at work on {self.location.address}" + (f" ({holder})." if holder else "."),
                    hint="Wait until it has ended, then run the same command again.",
                ) from error
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(handle)

    @property
    def goes_on(self) -> bool:
        """Whether this writer is the one that need not give up where it was overtaken; see `Claim`."""
        return self._claim is not None and self._claim.is_last

    def writer(self) -> str | None:
        """Who holds the lake for writing (`process 4711`); None where nobody does, or on S3, which has no lock."""
        if not self.is_local:
            return None
        import fcntl

        path = self.location.uri(LOCK_FILE)
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise read_error(error, path) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.pread(handle, 200, 0).decode(errors="replace").strip() or "an unknown process"
        finally:
            os.close(handle)
        return None


def _take(handle: int) -> None:
    """Lock an open file, or raise BlockingIOError; one who only looks whether it is locked (`writer`) is waited for."""
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(0.05)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
