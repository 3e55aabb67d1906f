"""Looks at the watched metrics after a build, writes down what is new, and tells a receiver of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import pyarrow as pa

from tidelake.analyses.watch.findings import FINDINGS, Row, compared, sentence, unwritten
from tidelake.analyses.watch.look import look
from tidelake.config import Project, Watch
from tidelake.engine.base import Engine, TableVersion
from tidelake.engine.result import Result
from tidelake.errors import BusyError, ProjectError
from tidelake.lake import Lake
from tidelake.lake.builds import BUILDS
from tidelake.metrics.catalogue import catalogue_with
from tidelake.reports.formats import plain
from tidelake.session.kpis import FILE, kpis_of
from tidelake.session.webhook import check_address, post

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidelake.contracts.source import Source

TABLE, DELIVERIES = "ops.findings", "ops.deliveries"
DELIVERY = pa.schema(
    [("finding", pa.string()), ("receiver", pa.string()), ("build", pa.int64()), ("status", pa.string())]
)
"""`receiver`: digest of the webhook's address; `status`: sent or failed."""
_TOLD = ("new", "met", "missed")


@dataclass(frozen=True, repr=False)
class Watched(Result):
    """What a look at a build found: one row a change that is new, and one a level (`findings.FINDINGS`).

    Attributes:
        build: Number of the build that was looked at.
        known: How many changes stand that an earlier build's look has reported.
        sentences: Each row in words.
        undelivered: Why the webhook did not take it; null where it did, or was not called.
        sent: How many findings it took.
    """

    build: int = 0
    known: int = 0
    sentences: tuple[str, ...] = ()
    undelivered: str | None = None
    sent: int = 0

    @property
    def is_changed(self) -> bool:
        """Whether a change is new."""
        return "new" in self.table.column("status").to_pylist()

    @property
    def is_unmet(self) -> bool:
        """Whether a level is missed."""
        return "missed" in self.table.column("status").to_pylist()


@dataclass
class Watching:
    """A look at one build of one lake, which nobody else writes to meanwhile.

    Attributes:
        ask: Asks a question of the last finished build.
        engine: Reads and writes the tables of findings.
    """

    ask: Callable[..., Result]
    engine: Engine
    lake: Lake
    project: Project
    sources: Mapping[str, Source]

    def run(self, watches: Sequence[Watch], *, webhook: str | None, every: bool) -> Watched:
        """Look, write down what is new, and tell the receiver what it was not told.

        Args:
            webhook: Address; None = nobody is told.
            every: Also give changes that an earlier build's look has reported.
        """
        number = self.lake.version(BUILDS)
        groups = list(_groups(watches))
        results = [self.ask(look, metric, watches=group, where=where) for metric, where, group in groups]
        build = self._build(number)
        earlier = self._rows(TABLE)
        rows = compared([row for one in results for row in one.to_dicts()], earlier, build)
        fresh = unwritten(rows, earlier)
        if fresh:
            self.engine.write(pa.Table.from_pylist(fresh, schema=FINDINGS), TABLE, note={"build": build})
        sent, undelivered = self._tell(webhook, [*earlier, *fresh], build) if webhook is not None else (0, None)
        known = [row for row in rows if row["status"] == "known"]
        shown = [row for row in rows if every or row["status"] != "known"]
        sources: dict[TableVersion, None] = dict.fromkeys(source for one in results for source in one.sources)
        return Watched(
            pa.Table.from_pylist(shown, schema=FINDINGS),
            sql=";\n\n".join(dict.fromkeys(one.sql for one in results)),
            sources=tuple(sources),
            title=f"Watched after build {build}",
            notes=tuple(dict.fromkeys(note for one in results for note in one.notes)),
            build=build,
            known=len(known),
            sentences=tuple(sentence(row) for row in shown),
            undelivered=undelivered,
            sent=sent,
        )

    def _build(self, number: int | None) -> int:
        """The build that was looked at.

        Raises:
            BusyError: Another one has finished meanwhile, which only a lake without a lock (S3) allows.
        """
        if self.lake.has_moved(BUILDS, number):
            raise BusyError("Another build has finished meanwhile.", hint="Run `tide watch` again.")
        return int(self.lake.note(BUILDS)["build"])

    def _rows(self, table: str) -> list[Row]:
        if self.lake.version(table) is None:
            return []
        rows: list[Row] = self.engine.query(f"SELECT * FROM {table} ORDER BY build").to_pylist()
        return rows

    def _tell(self, webhook: str, held: Sequence[Row], build: int) -> tuple[int, str | None]:
        """Send this build's findings and those that could not be sent before; how many, and why not."""
        receiver = sha256(webhook.encode()).hexdigest()[:16]
        tried = [row for row in self._rows(DELIVERIES) if row["receiver"] == receiver]
        sent = {row["finding"] for row in tried if row["status"] == "sent"}
        failed = {row["finding"] for row in tried} - sent
        due = [row for row in held if row["status"] in _TOLD and (row["build"] == build or row["id"] in failed)]
        due = [row for row in due if row["id"] not in sent]
        if not due:
            return 0, None
        said = [{**row, "text": sentence(row)} for row in due]
        head = f"{self.project.name}, build {build}:"
        text = "\n".join([head, *(one["text"] for one in said)])
        why = post(webhook, {"project": self.project.name, "build": build, "text": text, "findings": plain(said)})
        status = "sent" if why is None else "failed"
        rows = [{"finding": row["id"], "receiver": receiver, "build": build, "status": status} for row in due]
        rows = [row for row in rows if status == "sent" or row["finding"] not in failed]
        if rows:
            self.engine.write(pa.Table.from_pylist(rows, schema=DELIVERY), DELIVERIES)
        return (len(due), None) if why is None else (0, why)


def watches_for(
    project: Project, sources: Mapping[str, Source], metric: str | None, by: Sequence[str], direction: str | None
) -> list[Watch]:
    """The watches of tide.yml and of kpis.yml, or those of one metric; with `by` or where there are none, one made up.

    Raises:
        ProjectError: There are none.
        UnknownNameError: There is no such metric.
    """
    declared = [*project.watches, *kpis_of(project)]
    if metric is None:
        if by or direction:
            raise ProjectError("--by and --direction are of one metric.", hint="Name it: tide watch METRIC --by DIM.")
        if not declared:
            raise ProjectError(
                "Nothing is watched.",
                hint=f"Name a metric (tide watch METRIC), list some under `watches:` in tide.yml, or let "
                f"`tide explain METRIC --watch` write its levels to {FILE}.",
            )
        return declared
    names = _names(project, sources, metric)
    own = [one for one in declared if one.metric in names]
    if own and not by and direction is None:
        return own
    made = Watch.model_validate({"metric": metric, "by": tuple(by), "direction": direction or "both"})
    return [made, *(one for one in own if one.level is not None)]


def _names(project: Project, sources: Mapping[str, Source], metric: str) -> set[str]:
    """All names of a metric."""
    from tidelake.metrics.catalogue import metric_named

    definition = metric_named(metric, catalogue_with(project, sources, metric)[1])
    return {definition.name, *definition.aliases}


def _groups(watches: Sequence[Watch]) -> Iterator[tuple[str, str | None, list[Watch]]]:
    """Watches that one reading of the lake answers."""
    groups: dict[tuple[str, str | None], list[Watch]] = {}
    for one in watches:
        groups.setdefault((one.metric, one.where), []).append(one)
    for (metric, where), group in groups.items():
        yield metric, where, group


__all__ = ["Watched", "Watching", "check_address", "watches_for"]
