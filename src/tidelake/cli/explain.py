"""`tide explain`: why a metric moved, since when, and what it cost."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidelake.cli.opening import opened, say_unfinished
from tidelake.cli.options import (
    HERE,
    AsOfOption,
    EngineOption,
    FormatName,
    FormatOption,
    OutputOption,
    ProjectOption,
    TargetOption,
    examples,
    flag,
)
from tidelake.cli.questions import ByOption, MetricArgument, WhereOption, date_option
from tidelake.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidelake.analyses.change.explanation import Explanation
    from tidelake.config import Watch

EXAMPLES = examples(
    "tide explain plays",
    "tide explain plays_per_user --at 2025-11-17 --by region --by device",
    "tide explain watch_seconds --from 2025-11-17 --to 2025-11-23 --baseline 2025-11-10:2025-11-16",
    "tide explain plays --report why.html",
    "tide explain plays --watch",
    "tide explain plays --format json | jq .verdict",
)


def explain(
    metric: MetricArgument,
    *,
    at: Annotated[datetime | None, date_option("--at", "First day of the change; default: it is looked for.")] = None,
    start: Annotated[
        datetime | None, date_option("--from", "First day looked at; with --baseline the first explained.")
    ] = None,
    end: Annotated[datetime | None, date_option("--to", "Last of them.")] = None,
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", metavar="DATE:DATE", help="Days looked back at; default: up to 56 before."),
    ] = None,
    by: ByOption = None,
    where: WhereOption = None,
    depth: Annotated[
        int | None, typer.Option("--max-depth", min=1, max=6, metavar="N", help="Most dimensions in one segment.")
    ] = None,
    beside: Annotated[
        list[str] | None,
        typer.Option("--beside", metavar="METRIC", help="Show another metric over the same days and segments."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Also write a report: .html or .md.")
    ] = None,
    watch: Annotated[bool, flag("--watch", help="Keep the levels to be reached in kpis.yml, for tide watch.")] = False,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
) -> None:
    """Why a metric moved: since when, which segments carry it, what is ruled out, and what it cost."""
    if report is not None and report.suffix.lower() not in (".html", ".md"):
        raise ProjectError(
            f"--report {report}: its name does not say which format to write.", hint="End it in .html or .md."
        )
    given: dict[str, Any] = {"by": tuple(by) if by else None, "where": where, "depth": depth}
    given["others"] = tuple(beside or ())
    given |= {name: day.date() for name, day in (("at", at), ("start", start), ("end", end)) if day is not None}
    with opened(project, target=target, engine=engine, as_of=as_of) as session:
        why = session.explain(metric, baseline=baseline, **given)
        _show(why, form, output)
        if report is not None:
            from tidelake.reports.explanation import write_report

            write_report(why, report)
        if watch:
            _tell_kept(session.keep_kpis(why, where=where))
        say_unfinished(session)


def _tell_kept(kept: Sequence[Watch]) -> None:
    from tidelake.cli.streams import say

    if not kept:
        say("kpis.yml: no level was added; what this explanation recommends is there, or it recommends none.")
    for one in kept:
        say(f"kpis.yml: {one.name} by {one.by_day}")


def _show(why: Explanation, form: FormatName, output: Path | None) -> None:
    from tidelake.cli.output import emit
    from tidelake.cli.streams import put

    if form is not FormatName.table or output is not None:
        emit(why, form=form, output=output)
        return
    for line in why.headline:
        put(line)
    for table in why.tables():
        put("")
        emit(table, limit=0)
    if not len(why) and why.notes:
        put("")
        for note in why.notes:
            put(note)
