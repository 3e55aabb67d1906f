"""A session opens a project and wires its rooms: build, measure, SQL, checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidelake.config import Project, find_project, load_project
from tidelake.contracts.source import Source, columns_by_field, load_sources
from tidelake.engine.base import MODEL_LAYERS, Engine, TableVersion
from tidelake.engine.progress import Progress, silent
from tidelake.engine.result import Result
from tidelake.errors import EngineError, LakeError, QueryError, UnknownNameError
from tidelake.lake import Lake
from tidelake.session.questions import Answer, Questions, local_date
from tidelake.silver.fields import check_patterns

if TYPE_CHECKING:
    from tidelake.analyses.change.explanation import Explanation
    from tidelake.config import Watch
    from tidelake.session.pipeline import BuildResult, Pipeline
    from tidelake.session.watching import Watched


NEWEST = "newest"


def open(  # noqa: A001
    path: str | Path = "tide.yml",
    *,
    target: str | None = None,
    engine: str | None = None,
    as_of: str | None = None,
) -> Session:
    """Open a project.

    Args:
        path: `tide.yml`, or a folder in or below which it lies.
        target: Another lake of the project (`targets:` in tide.yml).
        engine: `duckdb` or `spark`; None = what tide.yml says.
        as_of: A build's number or a time: read the lake as it was then. `newest`: as it is, also where a build is at
            work or was cut off. None: each question reads what the last finished build left when it is asked.

    Raises:
        ProjectError: The project is missing or wrong.
        LakeError: The lake was made by a newer Tidelake.
        QueryError: There is no build as of then.
    """
    project = load_project(find_project(Path(path)))
    sources = load_sources(project.root)
    check_patterns(sources)
    address = project.lake_address(target)
    lake = Lake(address)
    lake.check_format()
    if as_of not in (None, NEWEST):
        from tidelake.lake.builds import versions_at

        with _engine("duckdb", lake, project) as reader:
            lake = Lake(address, versions=versions_at(reader, str(as_of)))
    return Session(project, sources, lake, _engine(engine or project.engine, lake, project), target, as_of)


def _engine(kind: str, lake: Lake, project: Project) -> Any:
    if kind == "spark":
        from tidelake.engine.spark import SparkEngine

        return SparkEngine(lake, timezone=project.timezone)
    if kind != "duckdb":
        raise UnknownNameError("engine", kind, ["duckdb", "spark"])
    from tidelake.engine.duckdb import DuckEngine

    return DuckEngine(lake, timezone=project.timezone)


@dataclass(repr=False)
class Session(Questions):
    """One project, its lake and its engine. Made by `open`; a context manager."""

    project: Project
    sources: dict[str, Source]
    lake: Lake
    engine: Engine
    target: str | None = None
    as_of: str | None = None
    _closed: bool = field(default=False, repr=False)
    _intake: Engine | None = field(default=None, repr=False)
    _read: list[str] = field(default_factory=list, repr=False)  # by the last question
    _finished: int | None = field(default=None, repr=False)  # version of ops.builds whose state questions read

    def __repr__(self) -> str:
        named = ", ".join(self.sources) or "none"
        return f"Session({self.project.name}, sources {named}, lake {self.lake.location.address})"

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the engine; a second call does nothing."""
        if not self._closed:
            self._closed = True
            if self._intake is not None:
                self._intake.close()
            self.engine.close()

    @property
    def intake(self) -> Engine:
        """What takes files into bronze and silver and counts their rows: the engine, or DuckDB where that cannot."""
        if self.engine.capabilities.intake:
            return self.engine
        if self._intake is None:
            self._intake = _engine("duckdb", self.lake, self.project)
        return self._intake

    def build(
        self,
        *,
        select: Sequence[str] = (),
        full_refresh: bool = False,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> BuildResult:
        """Take what is new in the sources, exactly once, and bring silver and gold up to date.

        Args:
            select: Sources (`app`, `silver.app`): only these are read, then all gold tables are brought up to date.
                Gold tables (`sessions`, `gold.sessions`): only these are made; without a source, no file is read.
                None = all.
            full_refresh: Make silver and gold again from bronze.
            dry_run: Say what would be done; write nothing.

        Raises:
            BusyError: Another build is at work on the lake.
            UnknownNameError: `select` names neither a source nor a gold table.
            ContractError: Rows or files break a rule whose policy is `fail`.
            LakeError: The lake cannot be written, or has another format.
            LedgerError: Rows in and rows out do not add up.
        """
        pipeline = self._pipeline(progress, writes=not dry_run)
        if dry_run:
            return pipeline.preview(select=select, full_refresh=full_refresh)
        return pipeline.run(select=select, full_refresh=full_refresh)

    def watch(
        self,
        metric: str | None = None,
        *,
        by: Sequence[str] = (),
        direction: str | None = None,
        webhook: str | None = None,
        every: bool = False,
    ) -> Watched:
        """Look at watched metrics as the last finished build left them, and keep what is new (docs/watch.md).

        Args:
            metric: Name or alias; None = all that tide.yml (`watches:`) and kpis.yml list.
            by: Dimensions, each of whose values is looked at; with them tide.yml's list of changes is not.
            direction: `fall`, `rise` or `both`.
            webhook: Address that is told of what is new.
            every: Also give changes that an earlier build's look has reported.

        Raises:
            ProjectError: Nothing is watched, or the address is neither http nor https.
            LakeError: There is no build yet, or the session reads the past.
            BusyError: A build is at work.
        """
        from tidelake.session.watching import Watching, check_address, watches_for

        self._writable()
        if self.as_of is not None:
            raise LakeError("Only what the last build left is watched.", hint="Leave --as-of out.")
        watches = watches_for(self.project, self.sources, metric, by, direction)
        address = None if webhook is None else check_address(webhook)
        if self.lake.version("ops.builds") is None:
            raise LakeError("There is no build to look at.", hint="Run `tide build` first.")
        with self.lake.lock():
            self._read_finished()
            watching = Watching(self._answered, self.intake, self.lake, self.project, self.sources)
            return watching.run(watches, webhook=address, every=every)

    def keep_kpis(self, why: Explanation, *, where: str | None = None) -> list[Watch]:
        """Write the levels that an explanation recommends to kpis.yml; gives those that were not there.

        Args:
            where: The condition under which the explanation was asked for.
        """
        from tidelake.session.kpis import keep_kpis

        return keep_kpis(self.project, why, where=where)

    def replay(
        self, *, source: str | None = None, reason: str | None = None, progress: Progress | None = None
    ) -> BuildResult:
        """Judge quarantined rows again, after the contract or the dimensions were mended."""
        return self._pipeline(progress, writes=True).replay(source=source, reason=reason)

    def _answered(self, ask: Callable[..., Answer], *given: Any, **options: Any) -> Answer:
        from tidelake.metrics.asked import told_of_dates
        from tidelake.metrics.cohorts import answered
        from tidelake.metrics.levels import project_at, takes_level

        options |= {name: local_date(options[name]) for name in ("start", "end", "at") if name in options}
        self._read_finished()
        project, level = self.project, None if takes_level(ask) else options.pop("actor", None)
        with self._past_explained():
            if level is not None:
                project = project_at(level, ask, self.engine, self.lake, project, self.sources)
            among = partial(answered, ask)
            result = told_of_dates(among, self.engine, self.lake, project, self.sources, *given, **options)
        self._read = [source.table for source in result.sources]
        return result

    def sql(self, text: str, params: Mapping[str, Any] | None = None) -> Result:
        """Rows of one SELECT over all tables of the lake by name (`silver.app`, `gold.user_day`).

        Raises:
            QueryError: Not one SELECT, or an unknown table or column.
        """
        from tidelake.engine.sql import check_names, check_read_only, tables_of

        check_read_only(text)
        self._read_finished()
        check_names(text, self.engine.schema, columns_by_field(self.sources))
        try:
            with self._past_explained():
                table = self.engine.query(text, params)
        except QueryError as error:
            if self.unfinished is None:
                raise
            raise QueryError(str(error), hint=self.unfinished) from error
        self._read = tables_of(text)
        versions = [(name, self.lake.version(name)) for name in self._read]
        return Result(
            table,
            sql=text,
            sources=tuple(TableVersion(name, version) for name, version in versions if version is not None),
        )

    def check(self, *, deep: bool = False, digest: bool = False) -> Result:
        """Count everything again from the tables, and say of each check whether it holds.

        Args:
            deep: Read every input file and compare it with what was taken.
            digest: Add a digest of each silver and gold table: equal digests, equal rows.
        """
        from tidelake.session.checks import check

        self._read_newest()
        return check(self.intake, self.lake, self.project, self.sources, deep=deep, digest=digest)

    def identity(self) -> Result:
        """How many actors there are before and after anonymous ids are stitched to known ones, and what was moved."""
        from tidelake.gold.context import open_gold
        from tidelake.gold.identity import identity_report

        self._read_finished()
        with self._past_explained():
            return identity_report(open_gold(self.engine, self.lake, self.project, self.sources))

    def ledger(self) -> Result:
        """The row ledger as it is, also where a build was cut off: one row a file."""
        self._read_newest()
        return self._table("ops.ledger", "Row ledger", "source, source_path")

    def quarantine(self, *, source: str | None = None, reason: str | None = None, summary: bool = False) -> Result:
        """Rows that broke their contract, or with `summary` their number by source and reason."""
        from tidelake.silver.quarantine import list_rows

        self._read_newest()
        with self._past_explained():
            return list_rows(
                self.intake, self.lake, source=source, reason=reason, summary=summary, known=list(self.sources)
            )

    def compact(self, *, select: Sequence[str] = (), progress: Progress | None = None) -> Result:
        """Write many small files as few large ones, sorted by the columns that the sources declare (`sort:`).

        Args:
            select: Tables (`silver.app`); none = silver and gold.

        Raises:
            UnknownNameError: There is no such table.
        """
        from tidelake.lake.upkeep import compact

        self._writable()
        known = [name for name in self.lake.tables() if name.split(".")[0] in ("silver", *MODEL_LAYERS)]
        for name in select:
            if name not in known:
                raise UnknownNameError("table", name, known)
        sort = {f"silver.{name}": source.sort for name, source in self.sources.items()}
        tables = {name: sort.get(name, ()) for name in (select or known)}
        with self.lake.lock():
            return compact(self.intake, self.lake, tables, progress or silent)

    def publish(
        self,
        to: str,
        *,
        tables: Sequence[str] = (),
        schema: str = "tidelake",
        stage: str | None = None,
        iam_role: str | None = None,
        sql_file: Path | None = None,
        execute: bool = True,
        progress: Progress | None = None,
    ) -> Result:
        """Bring tables of a warehouse to the state that the last finished build left (docs/publish.md).

        Args:
            to: `postgresql://...` or `redshift://...`.
            tables: `layer.table`; none = gold and the project's own tables.
            stage: Redshift: `s3://bucket/prefix` for Parquet files.
            iam_role: Redshift: the role that reads them.
            sql_file: Redshift: where the SQL goes; None = `target/publish_redshift.sql`.
            execute: Redshift: run the SQL, and do not only write it.

        Raises:
            ProjectError: The address is of a kind that is not known, or a setting is missing.
            SourceError: No server, or no right.
            LedgerError: The warehouse holds other numbers of rows than the lake.
        """
        from tidelake.publish.choosing import publish

        self._read_finished()
        with self._past_explained():
            return publish(
                self.engine,
                self.lake,
                self.project.root,
                to,
                tables=tables,
                schema=schema,
                stage=stage,
                iam_role=iam_role,
                sql_file=sql_file,
                execute=execute,
                progress=progress or silent,
            )

    def vacuum(self, *, keep_hours: int = 168, dry_run: bool = False) -> Result:
        """Delete files that nothing has referred to for a while; a note says which builds can no longer be read."""
        from tidelake.lake.upkeep import vacuum

        self._writable()
        with self.lake.lock():
            return vacuum(self.intake, self.lake, keep_hours=keep_hours, dry_run=dry_run)

    def migrate(self) -> Result:
        """Bring the lake to the format that this Tidelake writes."""
        from tidelake.lake.upkeep import migrate

        self._writable()
        with self.lake.lock():
            return migrate(self.lake)

    def _table(self, table: str, title: str, order: str) -> Result:
        version = self.lake.version(table)
        if version is None:
            raise LakeError(f"The lake has no {table} yet.", hint="Run `tide build` first.")
        sql = f"SELECT * FROM {table} ORDER BY {order}"
        with self._past_explained():
            rows = self.intake.query(sql)
        return Result(rows, sql=sql, sources=(TableVersion(table, version),), title=title)

    @contextmanager
    def _past_explained(self) -> Iterator[None]:
        """Say it where a state in the past cannot be read since files of it were removed, and which builds can."""
        try:
            yield
        except (EngineError, LakeError) as error:
            if not self.lake.is_past:
                raise
            from tidelake.lake.builds import build_at, lost_tables, readable_note

            newest = Lake(self.lake.location.address)
            with _engine("duckdb", newest, self.project) as reader:
                number = build_at(reader, str(self.as_of))["build"]
                lost = lost_tables(reader, newest)
            if not lost[number]:
                raise
            named = ", ".join(lost[number][:3]) + (" ..." if len(lost[number]) > 3 else "")
            raise QueryError(
                f"Build {number} can no longer be read: files of {named} as it left them were removed, "
                "as `tide vacuum` does.",
                hint=f"{readable_note(lost)} Without --as-of the newest state is read.",
            ) from error

    def _pipeline(self, progress: Progress | None, *, writes: bool) -> Pipeline:
        from tidelake.session.pipeline import Pipeline

        if writes:
            self._writable()
        self._read_newest()
        return Pipeline(self.engine, self.intake, self.lake, self.project, self.sources, progress or silent)

    def _writable(self) -> None:
        if self.lake.is_past:
            raise LakeError("A lake opened with --as-of is read-only.", hint="Leave --as-of out.")
        self._read_newest()

    def _read_newest(self) -> None:
        """From now on read the tables as they are."""
        self._check_open()
        self.lake.settle_on(None)

    def _check_open(self) -> None:
        if self._closed:
            raise LakeError("This session is closed.", hint="Ask inside of its `with`, or open the project again.")

    def _read_finished(self) -> None:
        """Read what the last finished build left until the next question, so that tables agree with each other."""
        self._check_open()
        if self.as_of is not None:
            return
        from tidelake.lake.builds import BUILDS

        if not self.lake.is_settled or self.lake.has_moved(BUILDS, self._finished):
            self.lake.refresh()
            self._finished = self.lake.version(BUILDS)
            self.lake.settle_on({} if self._finished is None else self.lake.note(BUILDS).get("versions"))

    @property
    def unfinished(self) -> str | None:
        """What to tell a reader where tables were read older than they are, since a build has not come to its end."""
        from tidelake.lake.builds import unfinished_note

        return unfinished_note(self.lake)

    @property
    def behind(self) -> str | None:
        """What to tell whoever asked of the newest state, where a table of gold was read that is behind silver."""
        from tidelake.gold.dates import is_behind

        if self.as_of != NEWEST:
            return None
        names = [name for name in self._read if is_behind(self.lake, self.sources, name)]
        if not names:
            return None
        have = "has" if len(names) == 1 else "have"
        return f"{', '.join(names)} {have} not been built since silver changed: `tide build` does it."
