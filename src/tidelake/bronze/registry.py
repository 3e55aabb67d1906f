"""Which files there are, which were read, and what is to be done with each: `ops.files`.

A file's identity is the hash of its content; the stamp of a cheap look decides whether to look again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import pyarrow as pa

from tidelake.engine.base import Engine, Transaction
from tidelake.sources.base import FileRead, Known, Look, Reader, Take

FILES = "ops.files"
FILES_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("source_path", pa.string()),
        ("file_id", pa.int64()),
        ("generation", pa.int64()),
        ("stamp", pa.string()),
        ("content_hash", pa.string()),
        ("size", pa.int64()),
        ("modified_us", pa.int64()),
        ("lines", pa.int64()),
        ("state", pa.string()),
        ("ends_with_newline", pa.bool_()),
        ("copy_of", pa.int64()),
        ("notes", pa.string()),
        ("batch_id", pa.int64()),
    ]
)
State = Literal["whole", "truncated", "partial", "copy", "moved"]


@dataclass(frozen=True)
class FileRecord:
    """What the lake knows of one file: the newest row of `ops.files` for its path.

    Attributes:
        generation: 1, and one more each time that the file's earlier part had changed.
        lines: Lines read of this generation.
        state: `partial` while a large file is being taken; `copy` when another file has its content; `moved`
            when its content goes on under another name, with its file_id.
        copy_of: file_id of the file that has the same content, or None.
    """

    source: str
    source_path: str
    file_id: int
    generation: int
    stamp: str
    content_hash: str
    size: int
    modified_us: int
    lines: int
    state: State
    ends_with_newline: bool
    copy_of: int | None
    notes: str
    batch_id: int


@dataclass(frozen=True)
class Planned:
    """One file that must be read, and why."""

    take: Take
    action: Literal["new", "grown", "changed"]
    known: FileRecord | None


@dataclass(frozen=True)
class FilePlan:
    """What a build does with a source's files.

    Attributes:
        touched: Files whose stamp changed but whose content did not.
        vanished: Files that were read and are no longer there; their rows stay.
    """

    planned: tuple[Planned, ...]
    touched: tuple[FileRecord, ...]
    unchanged: int
    vanished: tuple[str, ...]


def file_id_of(source: str, source_path: str, generation: int) -> int:
    """A stable number for one generation of a file, from 0 to 2^63 - 1."""
    digest = hashlib.sha256(f"{source}\x1f{source_path}\x1f{generation}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def load_records(engine: Engine, source: str) -> dict[str, FileRecord]:
    """The newest record of each file of a source, by path."""
    if engine.schema(FILES) is None:
        return {}
    rows = engine.query(f"SELECT * FROM {FILES} WHERE source = $source", {"source": source}).to_pylist()
    newest: dict[str, FileRecord] = {}
    for row in sorted(rows, key=lambda row: (row["batch_id"], row["generation"], row["lines"], row["modified_us"])):
        newest[row["source_path"]] = FileRecord(**row)
    return newest


def superseded_ids(records: Collection[FileRecord]) -> set[int]:
    """file_ids of the generations that newer ones took the place of.

    Args:
        records: All records of a source: a generation may live on under another name.
    """
    earlier = {
        file_id_of(record.source, record.source_path, generation)
        for record in records
        for generation in range(1, record.generation)
    }
    return earlier - {record.file_id for record in records}


def plan_files(reader: Reader, looks: Sequence[Look], records: dict[str, FileRecord]) -> FilePlan:
    """Decide for every file whether and from where it must be read."""
    held = {(record.file_id, record.content_hash) for record in records.values() if record.state != "copy"}
    planned: list[Planned] = []
    touched: list[FileRecord] = []
    unchanged = 0
    for look in looks:
        known = records.get(look.source_path)
        if known is None:
            planned.append(Planned(Take(look), "new", None))
        elif known.state == "copy" and (known.copy_of, known.content_hash) not in held:
            planned.append(Planned(Take(look), "changed", known))
        elif known.stamp == look.stamp and known.state != "partial":
            unchanged += 1
        else:
            step = _look_closer(reader, look, known)
            if isinstance(step, FileRecord):
                touched.append(step)
            else:
                planned.append(step)
    seen = {look.source_path for look in looks}
    vanished = tuple(path for path, record in records.items() if path not in seen and record.state != "moved")
    return FilePlan(tuple(planned), tuple(touched), unchanged, vanished)


def _look_closer(reader: Reader, look: Look, known: FileRecord) -> Planned | FileRecord:
    """A file whose stamp changed: the same content, a longer one, or another one."""
    if known.state == "whole" and look.size >= known.size:
        begins_alike = reader.prefix_hash(look, known.size) == known.content_hash
        if begins_alike and look.size == known.size:
            return replace(known, stamp=look.stamp, modified_us=look.modified_us)
        if begins_alike and known.ends_with_newline:
            return Planned(Take(look, known.size, known.lines + 1), "grown", known)
    return Planned(Take(look), "changed", known)


def renamed(reader: Reader, step: FilePlan, records: Mapping[str, FileRecord], *, batch_id: int) -> list[FileRecord]:
    """Records of files that go on under another name, and of the names that they left.

    A file that is to be read anew, and begins with all that a file held which is no longer at its own place (it
    vanished, or something else is there), is that file: its lines are known, and only what was added is to be
    taken. The same holds for the text of a file that was packed since; such a file is read anew as a whole.

    Args:
        batch_id: The batch that says so.
    """
    left = [*step.vanished, *(item.take.look.source_path for item in step.planned if item.action == "changed")]
    known = {path: _content(records[path]) for path in left if records[path].state in ("whole", "truncated")}
    cut_short = {records[path].stamp: path for path in step.vanished if records[path].state == "partial"}
    marks: dict[str, FileRecord] = {}
    taken: dict[str, FileRecord] = {}
    for item in step.planned:
        look = item.take.look
        others = [content for path, content in known.items() if path != look.source_path and content.size]
        begin = reader.begins_as(look, others) if others else None
        before = cut_short.pop(look.stamp, None) if begin is None else begin.source_path
        if before is not None:
            known.pop(before, None)
            marks[before] = _left(records[before], batch_id)
            taken[look.source_path] = _taken_over(records[before], item, batch_id)
    return list({**marks, **taken}.values())


def _content(record: FileRecord) -> Known:
    return Known(record.source_path, record.stamp, record.content_hash, record.size)


def _taken_over(record: FileRecord, planned: Planned, batch_id: int) -> FileRecord:
    """What is known of a file, under its new name."""
    look = planned.take.look
    return replace(
        record,
        source_path=look.source_path,
        generation=1 if planned.known is None else planned.known.generation + 1,
        stamp=look.stamp if look.size == record.size else record.stamp,
        batch_id=batch_id,
    )


def _left(record: FileRecord, batch_id: int) -> FileRecord:
    """The mark that a file has left its name."""
    generation = record.generation + 1
    return replace(
        record,
        file_id=file_id_of(record.source, record.source_path, generation),
        generation=generation,
        stamp="",
        content_hash="",
        size=0,
        lines=0,
        state="moved",
        notes="",
        batch_id=batch_id,
    )


def record_of(
    source: str, read: FileRead, planned: Planned, *, batch_id: int, lines_before: int, done: bool
) -> FileRecord:
    """The record of a file, or of the part of it that was read so far.

    Args:
        lines_before: Lines of this generation that earlier batches hold.
    """
    known = planned.known
    generation = 1 if known is None else known.generation + (planned.action == "changed")
    file_id = file_id_of(source, read.look.source_path, generation)
    if known is not None and planned.action == "grown":
        file_id = known.file_id  # not always that of its path: the file may have had another name
    state: State = "partial" if not done else "truncated" if read.truncated else "whole"
    return FileRecord(
        source=source,
        source_path=read.look.source_path,
        file_id=file_id,
        generation=generation,
        stamp=read.look.stamp,
        content_hash=read.content_hash if done else "",
        size=read.size,
        modified_us=read.look.modified_us,
        lines=lines_before + read.lines,
        state=state,
        ends_with_newline=read.ends_with_newline,
        copy_of=None,
        notes="; ".join(read.notes),
        batch_id=batch_id,
    )


def copy_record(look: Look, owner: FileRecord) -> FileRecord:
    """The record of a file that holds what another one holds; none of its lines are taken."""
    return replace(
        owner,
        source_path=look.source_path,
        file_id=file_id_of(owner.source, look.source_path, 1),
        generation=1,
        stamp=look.stamp,
        modified_us=look.modified_us,
        state="copy",
        copy_of=owner.file_id,
        notes="",
    )


def records_table(records: Sequence[FileRecord]) -> pa.Table:
    """Records as rows of `ops.files`."""
    return pa.Table.from_pylist([asdict(record) for record in records], schema=FILES_SCHEMA)


def save_records(engine: Engine, records: Sequence[FileRecord], source: str, batch_id: int) -> None:
    """Append records to `ops.files`, once for each batch."""
    engine.write(records_table(records), FILES, transaction=Transaction(f"files:{source}", batch_id))


def to_note(records: Sequence[FileRecord]) -> str:
    """Records as text, for the note of the bronze commit that they belong to."""
    return json.dumps([asdict(record) for record in records])


def from_note(text: str) -> list[FileRecord]:
    """The records that `to_note` wrote."""
    return [FileRecord(**row) for row in json.loads(text)]
