"""The order of a build: sources to bronze and silver, then gold, then what is said of it all."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pyarrow as pa

from tidelake.bronze.registry import load_records
from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import MODEL_LAYERS, Engine, Transaction
from tidelake.engine.progress import Progress
from tidelake.errors import ContractError, LedgerError, TidelakeError, UnknownNameError
from tidelake.gold.build import build_gold, full_name, table_names
from tidelake.gold.checks import absent_event_names, kept_active_by_heartbeats
from tidelake.gold.context import open_gold
from tidelake.gold.model import ModelRun, Restatement
from tidelake.gold.restate import RESTATED, from_note
from tidelake.lake import Lake
from tidelake.lake.builds import BUILDS, is_same, record_build
from tidelake.lake.faults import OvertakenError, overtaken, storage_error
from tidelake.session.checks import refuse_imbalance
from tidelake.session.invariants import INVARIANTS, hold_invariants
from tidelake.session.verdicts import judge
from tidelake.silver.completeness import keep_coverage
from tidelake.silver.ingest import Ingest, SourceRun
from tidelake.silver.quality import keep_reports, quality_report, reconcile
from tidelake.sources import make_reader

RESTATEMENTS = "ops.restatements"
RESTATEMENT_SCHEMA = pa.schema(
    [
        ("run_id", pa.string()),
        ("recorded_at", pa.timestamp("us", "UTC")),
        ("date", pa.date32()),
        ("metric", pa.string()),
        ("before", pa.float64()),
        ("after", pa.float64()),
        ("reason", pa.string()),
    ]
)
_MANY_FILES = 64
_MEETINGS = 5
_ANEW = ("new", "definition changed", "full refresh")
GOLD = ("gold.sessions", "gold.user_day", "gold.event_day")


@dataclass(frozen=True)
class BuildResult:
    """What a build did, or with `dry_run` would do.

    Attributes:
        run_id: Name of the run in `ops.dq_reports` and `target/run_results.json`.
        build: Number of the state that the build left (`--as-of`), None where nothing changed.
        sources: The quality report of each source (`silver.quality.quality_report`); in a dry run what
            would be read.
        models: What was done to each gold table.
        restatements: Numbers of closed days that changed, one sentence each.
        notes: What a person should know of the project's settings, one sentence each.
        faults: Why the exit code is not 0, one sentence each.
        verdict: `balanced`, or `unchanged` where nothing was new.
        invariants: How many were looked at and hold; 0 where no gold table was touched.
        seconds: Wall time.
    """

    run_id: str
    build: int | None = None
    sources: tuple[Mapping[str, Any], ...] = ()
    models: tuple[ModelRun, ...] = ()
    restatements: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    verdict: str = "unchanged"
    invariants: int = 0
    seconds: float = 0.0
    dry_run: bool = False
    exit_code: int = 0


@dataclass
class Pipeline:
    """One build of one project.

    Attributes:
        engine: Makes gold and the project's models.
        intake: Reads files, makes bronze and silver, and writes down what was done.
    """

    engine: Engine
    intake: Engine
    lake: Lake
    project: Project
    sources: Mapping[str, Source]
    progress: Progress
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.run_id = f"{self.now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"

    def preview(self, *, select: Sequence[str] = (), full_refresh: bool = False) -> BuildResult:
        """What a build would read and make; nothing is written."""
        reports = [self._ingest(source).preview(full_refresh=full_refresh) for source in self._ordered(select)]
        models = build_gold(
            self.engine,
            self.lake,
            self.project,
            self.sources,
            select=self._models(select),
            full_refresh=full_refresh,
            dry_run=True,
            pending=[report["source"] for report in reports if report["is_pending"]],
        )
        return BuildResult(self.run_id, sources=tuple(reports), models=tuple(models), dry_run=True)

    def run(self, *, select: Sequence[str] = (), full_refresh: bool = False) -> BuildResult:
        """Build; the lake is locked meanwhile."""
        started = time.perf_counter()
        with _storage_explained(self.lake):
            self.lake.prepare()
            with self.lake.lock():
                result = self._unless_overtaken(partial(self._run, select, full_refresh, started))
        self._keep_results(result)
        return result

    def replay(self, *, source: str | None = None, reason: str | None = None) -> BuildResult:
        """Judge quarantined rows again under the contract as it is now.

        Raises:
            UnknownNameError: There is no such source.
        """
        started = time.perf_counter()
        with _storage_explained(self.lake), self.lake.lock():
            self.lake.refresh()
            unfinished = self._unfinished()
            runs: list[tuple[Source, SourceRun, int | None]] = []
            for item in self._ordered([source] if source else ()):
                since = self.lake.version(f"silver.{item.name}")
                run = self._ingest(item).replay(reason=reason)
                runs.append((item, run, since))
            result = self._after(runs, (), False, started, unfinished)
        self._keep_results(result)
        return result

    def _unless_overtaken(self, build: Callable[[], BuildResult]) -> BuildResult:
        """Build, and anew where a writer was met that gives up as well: of two first builds on S3 one shall end."""
        for is_last in [False] * _MEETINGS + [True]:
            self.lake.refresh()  # somebody may have built since this session last looked
            builds = self.lake.version(BUILDS)
            try:
                try:
                    return build()
                except LedgerError as error:
                    raise self._seen_in_between(error) from error
            except OvertakenError:
                if is_last or self.lake.has_moved(BUILDS, builds) or not self.lake.goes_on:
                    raise
                self.progress.say("Another build was met that does not go on: this one begins anew.")
        raise AssertionError("the last try returns or raises")

    def _seen_in_between(self, error: LedgerError) -> LedgerError | OvertakenError:
        """What does not add up, or, where a writer without a lock (S3) has moved tables meanwhile, that it did."""
        if self.lake.is_local:
            return error
        moved = [table for table in self.lake.tables() if self.lake.has_moved(table, self.lake.version(table))]
        return overtaken(moved[0]) if moved else error

    def _run(self, select: Sequence[str], full_refresh: bool, started: float) -> BuildResult:
        unfinished = self._unfinished()
        runs: list[tuple[Source, SourceRun, int | None]] = []
        for source in self._ordered(select):
            since = self.lake.version(f"silver.{source.name}")
            runs.append((source, self._ingest(source).run(full_refresh=full_refresh), since))
        return self._after(runs, self._models(select), full_refresh, started, unfinished)

    def _unfinished(self) -> set[str]:
        """Tables that are not as the last finished build left them: a later one was cut off."""
        left = self.lake.note(BUILDS).get("versions", {})
        tables = {*(f"silver.{name}" for name in self.sources), *GOLD}
        tables |= {table for table in self.lake.tables() if table.split(".")[0] in ("silver", *MODEL_LAYERS)}
        return {table for table in tables if not is_same(self.lake, table, left.get(table))}

    def _after(
        self,
        runs: list[tuple[Source, SourceRun, int | None]],
        models: Sequence[str],
        full_refresh: bool,
        started: float,
        unfinished: set[str],
    ) -> BuildResult:
        """Ledger, coverage, gold and reports, once silver is up to date."""
        for source in [self.sources[name] for name in self.sources if f"silver.{name}" in unfinished]:
            if all(item.name != source.name for item, _, _ in runs):
                runs.append((source, SourceRun(source.name), None))
        for source, run, _ in runs:
            if f"silver.{source.name}" in unfinished:
                run.healed.append("everything was counted again, since the last build did not come to its end")
        changed = {source.name for source, run, _ in runs if run.is_changed}
        records = {name: load_records(self.intake, name) for name in self.sources} if changed else {}
        ledgers = [
            reconcile(self.intake, self.lake, source, run, records[source.name], since=since) if run.is_changed else []
            for source, run, since in runs
        ]
        if changed:
            keep_coverage(self.intake, self.lake, self.project, self.sources, records)
        reports = [
            quality_report(self.intake, self.lake, source, run, rows)
            for (source, run, _), rows in zip(runs, ledgers, strict=True)
        ]
        restated = self._keep_restatements(unfinished & set(RESTATED))
        made = build_gold(
            self.engine,
            self.lake,
            self.project,
            self.sources,
            select=models,
            full_refresh=full_refresh,
            progress=self.progress,
        )
        if unfinished and not models:  # build_gold has looked at the dates that it made, this looks at all
            refuse_imbalance(self.intake, self.lake, self.project, self.sources)
        held = self._hold(made, unfinished) if not models else 0
        restated += self._keep_restatements(model.name for model in made if model.restatements)
        verdict = judge(self.lake, self.sources, reports, changed)
        build = None
        if changed or unfinished or any(not model.is_current for model in made):
            keep_reports(
                self.intake,
                self.run_id,
                self.now,
                [r for r, (_, run, _) in zip(reports, runs, strict=True) if run.is_changed],
            )
            self._tidy()
            if unfinished and models:  # other tables may be behind silver: readers stay with the last finished build
                self.progress.say("Some tables are still as a build that was cut off left them: `tide build` ends it.")
            else:
                build = record_build(self.intake, self.lake, self.run_id, self.now, verdict.kept)
        return BuildResult(
            run_id=self.run_id,
            build=build,
            sources=tuple(reports),
            models=tuple(made),
            restatements=tuple(str(item) for item in restated),
            notes=tuple(self._notes(made)),
            faults=verdict.faults,
            verdict="balanced" if changed else "unchanged",
            invariants=held,
            seconds=time.perf_counter() - started,
            exit_code=ContractError.exit_code if verdict.faults else 0,
        )

    def _hold(self, made: Sequence[ModelRun], unfinished: set[str]) -> int:
        return hold_invariants(
            self.intake,
            self.lake,
            self.project,
            self.sources,
            made,
            run_id=self.run_id,
            now=self.now,
            is_unfinished=bool(unfinished),
        )

    def _notes(self, made: Sequence[ModelRun]) -> list[str]:
        """Measures of events that there are none of, and who is active by heartbeats alone.

        Looked at where their table is made for the first time or anew.
        """
        if not any(run.name == "gold.event_day" and run.rows and run.reason in _ANEW for run in made):
            return []
        gold = open_gold(self.intake, self.lake, self.project, self.sources)
        return [*absent_event_names(gold), *kept_active_by_heartbeats(gold)]

    def _ordered(self, select: Sequence[str]) -> list[Source]:
        """The sources to build: dimensions first, since facts refer to them.

        Raises:
            UnknownNameError: `select` names neither a source nor a gold table.
        """
        tables = table_names(self.project, self.sources) if select else []
        for name in self._models(select):
            if full_name(name, tables) not in tables:
                raise UnknownNameError("source or table", name, [*self.sources, *tables])
        chosen = {name.removeprefix("silver.") for name in select} & set(self.sources)
        names = [name for name in self.sources if not select or name in chosen]
        return sorted((self.sources[name] for name in names), key=lambda item: (item.fact != "dimension", item.name))

    def _models(self, select: Sequence[str]) -> list[str]:
        return [name for name in select if name.removeprefix("silver.") not in self.sources]

    def _ingest(self, source: Source) -> Ingest:
        reader = make_reader(source, self.project.root, storage=self.lake.location.storage)
        return Ingest(
            self.intake, self.lake, self.project, source, reader, self.now, self.project.root, progress=self.progress
        )

    def _keep_restatements(self, tables: Iterable[str]) -> list[Restatement]:
        """Write down, once, what the newest commits to gold tables say of numbers that they changed."""
        kept: list[Restatement] = []
        for table in tables:
            said = self.lake.note(table).get("restated")
            if said is None or (self.lake.transaction_version(RESTATEMENTS, table) or 0) >= said["number"]:
                continue
            found = from_note(said)
            rows = [{"run_id": self.run_id, "recorded_at": self.now, **asdict(item)} for item in found]
            self.intake.write(
                pa.Table.from_pylist(rows, schema=RESTATEMENT_SCHEMA),
                RESTATEMENTS,
                transaction=Transaction(table, said["number"]),
            )
            kept += found
        return kept

    def _tidy(self) -> None:
        """Small tables that grow by a file a build are written as one file now and then."""
        for table in ("ops.files", "ops.dq_reports", "ops.restatements", "ops.builds", INVARIANTS):
            if len(self.lake.files(table)) > _MANY_FILES:
                self.intake.write(f"SELECT * FROM {table}", table, "overwrite")

    def _keep_results(self, result: BuildResult) -> None:
        """Write `target/run_results.json`, for whatever comes after a build."""
        folder = self.project.root / "target"
        said = {
            "run_id": result.run_id,
            "project": self.project.name,
            "started_at": self.now.isoformat(),
            "seconds": round(result.seconds, 3),
            "exit_code": result.exit_code,
            "build": result.build,
            "verdict": result.verdict,
            "sources": list(result.sources),
            "models": [
                {
                    "name": m.name,
                    "reason": m.reason,
                    "rows": m.rows,
                    "version": m.version,
                    "seconds": round(m.seconds, 3),
                }
                for m in result.models
            ],
            "restatements": list(result.restatements),
            "notes": list(result.notes),
            "faults": list(result.faults),
        }
        try:
            folder.mkdir(exist_ok=True)
            (folder / "run_results.json").write_text(json.dumps(said, indent=2, default=str) + "\n", encoding="utf-8")
        except OSError as error:
            self.progress.say(f"{folder / 'run_results.json'} could not be written: {error.strerror}.")


@contextmanager
def _storage_explained(lake: Lake) -> Iterator[None]:
    try:
        yield
    except TidelakeError:
        raise
    except OSError as error:
        raise storage_error(error, str(error.filename or lake.location.address)) from error


__all__ = ["BuildResult", "LedgerError", "Pipeline"]
