"""One source from its files to silver: read in groups, bronze, silver; what a crash left is finished first."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tidelake.bronze.privacy import guarded_sql, project_key
from tidelake.bronze.registry import (
    FILES,
    FilePlan,
    FileRecord,
    Planned,
    copy_record,
    file_id_of,
    from_note,
    load_records,
    plan_files,
    record_of,
    records_table,
    renamed,
    save_records,
    superseded_ids,
    to_note,
)
from tidelake.bronze.take import BRONZE_SCHEMA, append, append_marker, batches_condition, lines_again, lines_of
from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.engine.progress import Progress, silent
from tidelake.lake import Lake
from tidelake.lake.keys import KeyIndex
from tidelake.silver.absent import absent_fields
from tidelake.silver.compile import COUNT_COLUMNS, EVENT_COLUMNS, accepted_columns, definition_of, parsed_sql, plan
from tidelake.silver.dimensions import rebuild_dimension
from tidelake.silver.fields import quoted
from tidelake.silver.lanes import Lanes
from tidelake.silver.parsing import absent_dimensions
from tidelake.silver.stage import BY_DATE, DUPLICATES, QUARANTINE, Stage, has_reason_sql
from tidelake.sources.base import Group, Look, Reader

GROUP_BYTES = 96 * 1024 * 1024


@dataclass
class SourceRun:
    """What a build did with one source.

    Attributes:
        seconds: Wall time of reading, bronze and silver.
        messages: What a person should be told.
        faults: Why the run ends with 3, besides what the counts say.
    """

    source: str
    files_new: int = 0
    files_grown: int = 0
    files_changed: int = 0
    files_unchanged: int = 0
    files_copied: list[str] = field(default_factory=list)
    files_renamed: list[str] = field(default_factory=list)
    files_vanished: list[str] = field(default_factory=list)
    files_truncated: list[str] = field(default_factory=list)
    bytes_read: int = 0
    lines_read: int = 0
    batches: list[int] = field(default_factory=list)
    restated: bool = False
    healed: list[str] = field(default_factory=list)
    touched_files: set[int] = field(default_factory=set)
    warnings: dict[str, int] = field(default_factory=dict)
    evolved: list[str] = field(default_factory=list)
    identical: int = 0
    messages: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def is_changed(self) -> bool:
        return bool(self.batches or self.restated or self.healed)


@dataclass
class Ingest:
    """The way of one source's files into the lake.

    Args:
        now: When the build runs; what bronze records as `ingested_at`.
        root: The project's folder (for its hashing key).
    """

    engine: Engine
    lake: Lake
    project: Project
    source: Source
    reader: Reader
    now: datetime
    root: Path
    progress: Progress = silent
    group_bytes: int = field(default_factory=lambda: GROUP_BYTES)

    def __post_init__(self) -> None:
        self.run_report = SourceRun(self.source.name)
        self.bronze = f"bronze.{self.source.name}"
        self.silver = f"silver.{self.source.name}"
        self.definition = definition_of(self.source, self.project)
        self.records: dict[str, FileRecord] = {}

    @property
    def app_id(self) -> str:
        """The transaction's application: it changes with the contract and with every restatement."""
        note = self.lake.note(self.silver)
        return str(note["app_id"]) if "app_id" in note else f"{self.source.name}@{self.definition}@0"

    # --- what would be done

    def preview(self, *, full_refresh: bool = False) -> dict[str, Any]:
        """What a build would do, without doing it."""
        self.records = load_records(self.engine, self.source.name)
        looks = self.reader.looks()
        step = self._known_by_name(plan_files(self.reader, looks, self.records), looks, None)
        counts = {action: sum(item.action == action for item in step.planned) for action in ("new", "grown", "changed")}
        restates = full_refresh or self._must_restate()
        return {
            "source": self.source.name,
            **{f"files_{name}": number for name, number in counts.items()},
            "files_unchanged": step.unchanged + len(step.touched),
            "bytes": sum(item.take.bytes for item in step.planned),
            "restates": restates,
            "is_pending": restates or bool(step.planned) or self._is_behind(),
            "messages": [] if looks or step.vanished else [self._without_files()],
        }

    # --- doing it

    def run(self, *, full_refresh: bool = False) -> SourceRun:
        """Bring the source's files into bronze and silver; see the module's docstring."""
        started = time.perf_counter()
        self._heal_registry()
        self.records = load_records(self.engine, self.source.name)
        if self.source.fact == "dimension":
            self._run_files(None)
            self._run_dimension(full_refresh)
        else:
            self._run_facts(full_refresh)
        self.run_report.seconds = time.perf_counter() - started
        return self.run_report

    def _run_dimension(self, full_refresh: bool) -> None:
        taken = self.lake.transaction_version(self.bronze, self.source.name)
        note = self.lake.note(self.silver)
        is_current = note.get("batch_id") == taken and note.get("definition") == self.definition
        if taken is None or (is_current and not full_refresh):
            return
        app_id = f"{self.source.name}@{self.definition}@{self.lake.version(self.silver)}"
        stage = rebuild_dimension(
            self.engine, self.lake, self.project, self.source, self.records, batch_id=taken, app_id=app_id
        )
        self.run_report.restated = not self.run_report.batches
        self.run_report.warnings = stage.learned.warnings
        self.run_report.evolved = stage.learned.evolved
        self._say_absent(stage)
        self.run_report.touched_files |= {r.file_id for r in self.records.values()} | self._gone()

    def _run_facts(self, full_refresh: bool) -> None:
        if self.engine.schema(self.silver) is not None and (full_refresh or self._must_restate()):
            self._empty_silver()
        stage = Stage(self.engine, self.lake, self.project, self.source, self.app_id, self._open_index())
        self._heal_silver(stage)
        with Lanes(stage) as lanes:
            self._run_files(lanes)
        self._retake_orphans(stage)
        self._finish(stage)

    def _open_index(self) -> KeyIndex | None:
        if self.source.dedup == "none":
            return None
        folder = Path(self.lake.location.uri("_index", self.source.name)) if self.lake.is_local else None
        return KeyIndex.open(folder, algorithm=self._algorithm)

    @property
    def _algorithm(self) -> str:
        return index_algorithm(self.engine, self.app_id)

    def _must_restate(self) -> bool:
        """Whether silver holds what another contract made of bronze."""
        if self.engine.schema(self.silver) is None:
            return False
        return bool(self.lake.note(self.silver).get("definition") != self.definition)

    def _heal_registry(self) -> None:
        """After a crash between bronze and `ops.files`: the bronze commit's note knows the files."""
        taken = self.lake.transaction_version(self.bronze, self.source.name)
        noted = self.lake.transaction_version("ops.files", f"files:{self.source.name}")
        if taken is None or (noted is not None and noted >= taken):
            return
        records = from_note(self.lake.note(self.bronze)["files"])
        if records:  # a batch of rows that were taken again lists no file
            save_records(self.engine, records, self.source.name, taken)
            self.run_report.healed.append(f"batch {taken}: list of files")

    def _heal_silver(self, stage: Stage) -> None:
        """Settle the batches that bronze has and silver has not: after a crash, or for a restatement."""
        taken = self.lake.transaction_version(self.bronze, self.source.name)
        done = self.lake.transaction_version(self.silver, self.app_id) or 0
        if taken is None:
            return
        if "retake" in self.lake.note(self.bronze) and done >= taken:
            self._drop_retaken(taken)
        if done >= taken:
            return
        for batch_id in range(done + 1, taken + 1):
            self._settle_from_bronze(stage, batch_id)
            self.progress(f"silver {self.source.name}", batch_id - done, taken - done, "batches")
        if not self.run_report.restated:
            self.run_report.healed.append(f"batches {done + 1} to {taken}: silver")
            self.progress.say(f"{self.source.name}: what was cut off earlier is finished from bronze.")

    def _settle_from_bronze(self, stage: Stage, batch_id: int) -> None:
        condition = self._lines_of_batch(batch_id)
        stage.parse()
        superseded = [] if self.run_report.restated else sorted(self._gone())  # restated silver has no such rows
        stage.settle(batch_id, superseded)
        files = self.engine.query(f"SELECT DISTINCT file_id FROM {self.bronze} WHERE {condition}").column(0).to_pylist()
        stage.learned.touched_files |= {*files, *superseded}

    def _lines_of_batch(self, batch_id: int) -> str:
        """Make `temp.lines` of a batch's lines in bronze, without those of files that were replaced; the condition."""
        gone = self._gone()
        condition = f"batch_id = {batch_id}"
        if gone:
            condition += f" AND file_id NOT IN ({', '.join(str(item) for item in sorted(gone))})"
        self.engine.write(lines_again(self.source.name, condition), "temp.lines")
        return condition

    # --- files

    def _run_files(self, lanes: Lanes | None) -> None:
        looks = self.reader.looks()
        step = self._known_by_name(plan_files(self.reader, looks, self.records), looks, lanes)
        report = self.run_report
        report.files_unchanged = step.unchanged + len(step.touched)
        report.files_vanished = list(step.vanished)
        if not looks and not step.vanished:
            report.messages.append(self._without_files())
        if step.touched:
            self._renew_stamps(step.touched)
        self._take_files(lanes, step)
        if step.planned and any(record.state == "copy" for record in self.records.values()):
            # Where the file that they were copies of has changed now, they are all there is of its rows.
            self._take_files(lanes, plan_files(self.reader, looks, self.records))

    def _is_behind(self) -> bool:
        """Whether bronze has batches that silver has not: a build was cut off."""
        taken = self.lake.transaction_version(self.bronze, self.source.name) or 0
        if self.source.fact == "dimension":
            return int(self.lake.note(self.silver).get("batch_id", 0)) < taken
        return (self.lake.transaction_version(self.silver, self.app_id) or 0) < taken

    def _without_files(self) -> str:
        """What to say where the source has no file."""
        others = self.reader.passed_over()
        if not others:
            return "no files there yet"
        are_there = "1 other is there:" if len(others) == 1 else f"{len(others):,} others are there, such as"
        return f"no files there yet that this source takes (path: {self.source.path}); {are_there} {others[0]}"

    def _known_by_name(self, step: FilePlan, looks: Sequence[Look], lanes: Lanes | None) -> FilePlan:
        """What to do once files that go on under another name are known by it: a batch without lines says so.

        Not for dimensions: of two rows with one key the one in the later file holds, so names matter.

        Args:
            lanes: None where nothing is to be written.
        """
        if self.source.fact == "dimension" or not step.planned:
            return step
        batch_id = (self.lake.transaction_version(self.bronze, self.source.name) or 0) + 1
        moved = renamed(self.reader, step, self.records, batch_id=batch_id)
        if not moved:
            return step
        was = {record.file_id: path for path, record in self.records.items()}
        here = [record for record in moved if record.state != "moved"]
        self.run_report.files_renamed = [f"{record.source_path} (was {was[record.file_id]})" for record in here]
        gone = self._gone()
        self.records.update({record.source_path: record for record in moved})
        superseded = sorted(self._gone() - gone)
        if lanes is not None:
            stage = lanes.next()
            stage.engine.write(BRONZE_SCHEMA.empty_table(), "temp.lines")
            stage.parse()
            append_marker(stage.engine, self.source.name, batch_id=batch_id, note={"files": to_note(moved)})
            save_records(stage.engine, moved, self.source.name, batch_id)
            lanes.settle(stage, batch_id, superseded)
            lanes.wait()  # what follows writes to the list of files with the engine that settles
            stage.learned.touched_files |= {record.file_id for record in here} | set(superseded)
            self.run_report.batches.append(batch_id)
        return plan_files(self.reader, looks, self.records)

    def _renew_stamps(self, touched: Sequence[FileRecord]) -> None:
        """Keep the new stamps of files with the same content in place of the old ones: only one can be the newest."""
        self.engine.write(records_table(touched), "temp.touched")
        self.engine.write(
            f"SELECT * FROM {FILES} ANTI JOIN temp.touched USING (source, source_path, file_id, batch_id, lines) "
            "UNION ALL SELECT * FROM temp.touched",
            FILES,
            "overwrite",
        )

    def _take_files(self, lanes: Lanes | None, step: FilePlan) -> None:
        if not step.planned:
            return
        planned = self._without_large_copies(lanes, step.planned)
        by_path = {item.take.look.source_path: item for item in planned}
        lines_before: dict[str, int] = {}
        # How many bytes a table's rows make, nobody knows before.
        total = sum(item.take.bytes for item in planned) or None
        done = 0
        for group in self.reader.groups([item.take for item in planned], group_bytes=self.group_bytes):
            self._take_group(lanes, group, by_path, lines_before)
            done += group.bytes_read
            self.progress(f"reading {self.source.name}", min(done, total or done), total, "bytes")
            del group  # the next one is read meanwhile
        self.progress(f"reading {self.source.name}", total or done, total or done, "bytes")

    def _without_large_copies(self, lanes: Lanes | None, planned: Sequence[Planned]) -> list[Planned]:
        """What to read, without files larger than a group whose content is known or planned already.

        The hash of a smaller file is known before its lines are taken; that of a large one only after most of
        them are, so files of equal size are hashed first.
        """
        if self.source.fact == "dimension":
            return list(planned)
        sizes = Counter(item.take.look.size for item in planned)
        sizes.update(record.size for record in self.records.values() if record.state == "whole")
        owners = {record.content_hash: record for record in self.records.values() if record.state == "whole"}
        first: dict[str, Planned] = {}
        kept: list[Planned] = []
        copies: list[FileRecord] = []
        for item in planned:
            look = item.take.look
            if item.action != "new" or look.size <= self.group_bytes or sizes[look.size] < 2:
                kept.append(item)
                continue
            content = self.reader.prefix_hash(look, look.size)
            owner = owners.get(content) if content is not None else None
            if owner is None and content in first:
                twin = first[content].take.look.source_path
                self.run_report.files_copied.append(f"{look.source_path} (same content as {twin})")
                continue  # recorded by the next build, when its original is
            if owner is None:
                if content is not None:
                    first[content] = item
                kept.append(item)
                continue
            self.run_report.files_copied.append(f"{look.source_path} (same content as {owner.source_path})")
            copies.append(copy_record(look, owner))
        if copies:
            if lanes is not None:
                lanes.wait()
            self.engine.write(records_table(copies), FILES)
            self.records.update({record.source_path: record for record in copies})
        return kept

    def _take_group(
        self, lanes: Lanes | None, group: Group, by_path: dict[str, Planned], lines_before: dict[str, int]
    ) -> None:
        batch_id = (self.lake.transaction_version(self.bronze, self.source.name) or 0) + 1
        kept = self._records_of(group, by_path, lines_before, batch_id)
        taken = [record if record.batch_id == batch_id and record.state != "copy" else None for record in kept]
        stage = lanes.next() if lanes is not None else None
        engine = stage.engine if stage is not None else self.engine
        lines = lines_of(group, taken, batch_id=batch_id, now=self.now)
        engine.write(lines, "temp.lines")
        if self.source.privacy:
            guard = guarded_sql(self.source, "temp.lines")
            secret = {"privacy_key": project_key(self.root)} if "$privacy_key" in guard else None
            engine.write(guard, "temp.lines", params=secret)
        if stage is not None:
            stage.parse()
        note = {"files": to_note(kept)}
        append(engine, self.source.name, batch_id=batch_id, note=note)
        save_records(engine, kept, self.source.name, batch_id)
        gone = self._gone()
        self.records.update({record.source_path: record for record in kept})
        superseded = sorted(self._gone() - gone)
        if lanes is not None and stage is not None:
            lanes.settle(stage, batch_id, superseded)
            stage.learned.touched_files |= {record.file_id for record in kept} | set(superseded)
        self.run_report.batches.append(batch_id)
        self.run_report.bytes_read += group.bytes_read
        self.run_report.lines_read += lines.num_rows

    def _gone(self) -> set[int]:
        return superseded_ids(list(self.records.values()))

    def _records_of(
        self, group: Group, by_path: dict[str, Planned], lines_before: dict[str, int], batch_id: int
    ) -> list[FileRecord]:
        """The record of each file in a group; files whose content is there already are not taken again."""
        report = self.run_report
        owners = {
            r.content_hash: r for r in self.records.values() if r.content_hash and r.state in ("whole", "truncated")
        }
        records: list[FileRecord] = []
        for read, is_done in zip(group.files, group.done, strict=True):
            path = read.look.source_path
            planned = by_path[path]
            if path not in lines_before:
                lines_before[path] = planned.known.lines if planned.action == "grown" and planned.known else 0
                self._count(planned)
            record = record_of(
                self.source.name, read, planned, batch_id=batch_id, lines_before=lines_before[path], done=is_done
            )
            lines_here = lines_before[path]
            lines_before[path] += read.lines
            owner = owners.get(read.content_hash) if is_done and read.size > 0 else None
            if owner is not None and owner.source_path == path:
                if lines_here == 0 and planned.action != "grown":
                    # Written anew with the same bytes: it keeps the batch that took it.
                    records.append(replace(owner, stamp=read.look.stamp, modified_us=read.look.modified_us))
                    continue
                owner = None
            if self.source.fact == "dimension":
                owner = None  # the last file says what holds, also when it says what an earlier one said
            if owner is not None:
                if lines_here:  # its rows that are there already give way to those of the other file
                    later = record.generation + 1
                    record = replace(record, generation=later, file_id=file_id_of(self.source.name, path, later))
                record = replace(record, state="copy", copy_of=owner.file_id)
                report.files_copied.append(f"{path} (same content as {owner.source_path})")
            elif record.content_hash:
                owners[record.content_hash] = record
            if record.state == "truncated":
                report.files_truncated.append(path)
            report.messages += [f"{path}: {note}" for note in read.notes]
            records.append(record)
        return records

    def _count(self, planned: Planned) -> None:
        if planned.action == "new":
            self.run_report.files_new += 1
        elif planned.action == "grown":
            self.run_report.files_grown += 1
        else:
            self.run_report.files_changed += 1

    # --- rows that are taken again

    def replay(self, *, reason: str | None = None) -> SourceRun:
        """Judge quarantined rows again under the contract as it is now.

        Rows in silver stay as they are, unless the contract has changed since they were taken: then all rows
        are judged again, as a build would do.
        """
        started = time.perf_counter()
        self._heal_registry()
        self.records = load_records(self.engine, self.source.name)
        if self.source.fact == "dimension":
            self._run_dimension(full_refresh=True)
        elif self.engine.schema(self.silver) is not None and self.engine.schema(QUARANTINE) is not None:
            is_mended = self._must_restate()
            if is_mended:
                self._empty_silver()
            stage = Stage(self.engine, self.lake, self.project, self.source, self.app_id, self._open_index())
            self._heal_silver(stage)
            if is_mended:
                self._retake_orphans(stage)
            params: dict[str, Any] = {"source": self.source.name}
            where = "source = $source AND state = 'open'"
            if reason is not None:
                where += f" AND {has_reason_sql()}"
                params["reason"] = reason
            if not is_mended:
                again = f"SELECT file_id, source_position, batch_id FROM {QUARANTINE} WHERE {where}"
                self.retake(stage, again, params, "replay")
            self._finish(stage)
        self.run_report.seconds = time.perf_counter() - started
        return self.run_report

    def _retake_orphans(self, stage: Stage) -> None:
        """Rows that gave way to a row whose file is gone come back."""
        gone = self._gone()
        if not gone or self.engine.schema(DUPLICATES) is None:
            return
        ids = sorted(gone)
        where = "source = $source AND list_contains($gone, kept_file_id) AND NOT list_contains($gone, file_id)"
        self.retake(
            stage,
            f"SELECT file_id, source_position, batch_id FROM {DUPLICATES} WHERE {where} UNION ALL "
            f"SELECT file_id, source_position, batch_id FROM {QUARANTINE} WHERE {where} AND state = 'open'",
            {"source": self.source.name, "gone": ids},
            "rows whose better copy was replaced",
        )

    def retake(self, stage: Stage, selection: str, params: dict[str, Any], why: str) -> int:
        """Take rows again that quarantine or duplicates hold; returns how many.

        Args:
            selection: SELECT of (file_id, source_position, batch_id).
        """
        self.engine.write(selection, "temp.again", params=params)
        batches = self.engine.query("SELECT DISTINCT batch_id FROM temp.again").column(0).to_pylist()
        if not batches:
            return 0
        count = int(self.engine.query("SELECT count(*) FROM temp.again").column(0)[0].as_py())
        batch_id = (self.lake.transaction_version(self.bronze, self.source.name) or 0) + 1
        again = lines_again(self.source.name, batches_condition(self.lake, self.source.name, batches))
        self.engine.write(
            f"SELECT * REPLACE (CAST({batch_id} AS BIGINT) AS batch_id) FROM ({again}) "
            "SEMI JOIN temp.again USING (file_id, source_position)",
            "temp.lines",
        )
        stage.parse()
        append_marker(self.engine, self.source.name, batch_id=batch_id, note={"files": "[]", "retake": why})
        stage.settle(batch_id)
        files = self.engine.query("SELECT DISTINCT file_id FROM temp.again").column(0).to_pylist()
        stage.learned.touched_files |= set(files)
        self._drop_retaken(batch_id)
        self.run_report.batches.append(batch_id)
        return count

    def _drop_retaken(self, batch_id: int) -> None:
        """Old quarantine and duplicate rows that a later batch has judged again go away.

        The new batch holds each of them, in silver, quarantine or duplicates: whatever a crash left, the same
        rows are dropped when this runs again.
        """
        of_batch = f"batch_id = {batch_id}"
        judged = f"SELECT file_id, source_position FROM {self.silver} WHERE {of_batch}"
        for table in (QUARANTINE, DUPLICATES):
            judged += f" UNION ALL SELECT file_id, source_position FROM {table} WHERE source = $source AND {of_batch}"
        source = {"source": self.source.name}
        self.engine.write(judged, "temp.judged", params=source)
        for table in (QUARANTINE, DUPLICATES):
            old = self.engine.query(
                f"SELECT DISTINCT batch_id FROM {table} SEMI JOIN temp.judged USING (file_id, source_position) "
                f"WHERE source = $source AND batch_id < {batch_id}",
                source,
            )
            for earlier in old.column(0).to_pylist():
                self.engine.write(
                    f"SELECT * FROM {table} ANTI JOIN temp.judged USING (file_id, source_position) "
                    f"WHERE source = $source AND batch_id = {earlier}",
                    table,
                    "replace",
                    replace={"source": [self.source.name], "batch_id": [earlier]},
                    params=source,
                )

    def _empty_silver(self) -> None:
        """Begin a restatement: silver empty, under an application id of its own.

        Raises:
            ContractError: Lines would stop it, so that silver stays as it is.
        """
        rows = sum(record.lines for record in self.records.values())
        self._rehearse()
        self.progress.say(f"{self.source.name}: silver is restated from bronze ({rows:,} lines).")
        app_id = f"{self.source.name}@{self.definition}@{self.lake.version(self.silver)}"
        fresh = self._fresh_schema()
        if self.lake.layout(self.silver).partition_by != BY_DATE.partition_by:  # it was a dimension
            self.lake.lay_out(self.silver, fresh, BY_DATE, {"definition": ""})
        self.engine.write(
            fresh.empty_table(),
            self.silver,
            "overwrite",
            note={"definition": self.definition, "batch_id": 0, "app_id": app_id},
        )
        self.run_report.restated = True

    def _rehearse(self) -> None:
        """Judge all lines before silver is emptied, where one could stop the build.

        That is by a rule that says `fail`, or as a row of a table file (CSV, Parquet) without a required column.
        """
        stage = Stage(self.engine, self.lake, self.project, self.source, self.app_id, None)
        of_tables = f"SELECT 1 FROM {self.bronze} WHERE record IS NOT NULL LIMIT 1"
        taken = self.lake.transaction_version(self.bronze, self.source.name)
        if taken is None or not (stage.failing or self.engine.query(of_tables).num_rows):
            return
        for batch_id in range(1, taken + 1):
            self._lines_of_batch(batch_id)
            stage.parse()
            self.progress(f"looking through {self.source.name}", batch_id, taken, "batches")

    def _fresh_schema(self) -> Any:
        """Silver's columns as the contract has them now, with the text columns that were taken up undeclared."""
        made = plan(self.source, self.project, absent=absent_dimensions(self.engine, self.source))
        names = accepted_columns(made)
        self.engine.write(BRONZE_SCHEMA.empty_table(), "temp.lines")
        columns = ", ".join(quoted(name) for name in names)
        schema = self.engine.query(f"SELECT {columns} FROM ({parsed_sql(made, 'temp.lines', [])})").schema
        known = self.engine.schema(self.silver)
        if known is not None and self.source.contract.extra == "evolve" and self.lake.layout(self.silver).partition_by:
            mapped = {name for _, name in self.source.mapping.items()}
            own = {*names, *EVENT_COLUMNS, *COUNT_COLUMNS, *self.source.contract.fields, *mapped}
            for item in known:
                if item.name not in own and str(item.type) == "string":
                    schema = schema.append(item)
        return schema

    def _finish(self, stage: Stage) -> None:
        if stage.index is not None and self.run_report.is_changed:
            stage.fill_index()
            stage.index.save(algorithm=self._algorithm)
        report = self.run_report
        report.touched_files |= stage.learned.touched_files
        report.warnings = stage.learned.warnings
        report.evolved = stage.learned.evolved
        report.identical = stage.learned.identical
        report.messages += stage.learned.messages
        if stage.learned.evolved:
            report.messages.append("new fields taken as text: " + ", ".join(sorted(set(stage.learned.evolved))))
        self._say_absent(stage)

    def _say_absent(self, stage: Stage) -> None:
        absent = absent_fields(self.engine, self.silver, stage.plan, stage.learned.names)
        self.run_report.faults += absent.faults
        self.run_report.messages += absent.notes


def index_algorithm(engine: Engine, app_id: str) -> str:
    """What the hashes of a key index depend on: the contract, and the engine's hash, which a version may change."""
    probe = engine.query("SELECT CAST(hash('tide', 1.5) >> 1 AS BIGINT) AS probe").column(0)[0].as_py()
    return f"{app_id}/{probe}"
