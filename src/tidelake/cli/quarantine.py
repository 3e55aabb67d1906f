"""`tide quarantine`: rows that broke a rule, why, and taking them in after the contract is mended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tidelake.cli.meter import meter
from tidelake.cli.opening import opened
from tidelake.cli.options import (
    HERE,
    AsOfOption,
    FormatName,
    FormatOption,
    LimitOption,
    OutputOption,
    ProjectOption,
    TargetOption,
    examples,
)
from tidelake.cli.output import emit, rows_shown
from tidelake.cli.streams import put

if TYPE_CHECKING:
    from tidelake.engine.result import Result

app = typer.Typer(
    help="Rows that broke a rule: how many and why, each with its text and place, and taking them in again.",
    no_args_is_help=True,
    epilog=examples("tide quarantine list", "tide quarantine show --reason invalid_json", "tide quarantine replay"),
)

RAW_SHOWN = 600  # characters of a row's text

SourceOption = Annotated[str | None, typer.Option("--source", metavar="NAME", help="Only this source.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", metavar="NAME", help="Only rows with this reason.")]


@app.command("list", epilog=examples("tide quarantine list", "tide quarantine list --source app --format json"))
def list_reasons(
    *,
    source: SourceOption = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = None,
) -> None:
    """How many rows are in quarantine, by source, reason and state."""
    with opened(project, target=target, as_of=as_of) as session:
        emit(session.quarantine(source=source, summary=True), form=form, output=output, limit=limit)


@app.command(epilog=examples("tide quarantine show", "tide quarantine show --reason invalid_json --limit 5"))
def show(
    *,
    source: SourceOption = None,
    reason: ReasonOption = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = None,
) -> None:
    """The rows themselves: reasons, file, line and text."""
    with opened(project, target=target, as_of=as_of) as session:
        result = session.quarantine(source=source, reason=reason)
    if form is FormatName.table and output is None:
        for line in as_blocks(result, limit=rows_shown(limit)):
            put(line)
        return
    emit(result, form=form, output=output, limit=limit)


def as_blocks(result: Result, *, limit: int) -> list[str]:
    """Two lines a row: where it stands and every reason, then its text."""
    from tidelake.engine.tabletext import cell, number, visible

    shown = result.table.slice(0, limit) if limit else result.table
    lines = []
    for row in shown.to_pylist():
        lines.append(f"{row['source']}  {row['source_path']}:{row['source_position']}  {cell(row['reasons'])}")
        raw = row["raw"]
        text = "(its text was not kept)" if raw is None else visible(raw[:RAW_SHOWN])
        cut = f" … ({number(len(raw))} characters in all)" if raw is not None and len(raw) > RAW_SHOWN else ""
        lines += [f"    {text}{cut}", ""]
    if len(shown) < len(result):
        lines.append(f"{number(len(shown))} of {number(len(result))} rows shown")
    return lines or ["no rows in quarantine"]


@app.command(epilog=examples("tide quarantine replay", "tide quarantine replay --source app"))
def replay(
    *,
    source: SourceOption = None,
    reason: ReasonOption = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
) -> None:
    """Check the rows again under the contract as it is now, and take in those that meet it."""
    from tidelake.cli import built

    with opened(project, target=target) as session:
        before = built.lake_counts(session)
        with meter() as progress:
            result = session.replay(source=source, reason=reason, progress=progress)
        if form is not FormatName.table or output is not None:
            built.tell(result, title=session.project.name, form=form, output=output)
        else:
            lines = built.replay_lines(result, before, built.lake_counts(session))
            built.panel(f"{session.project.name}: quarantine judged again", lines, good=not result.exit_code)
    if result.exit_code:
        raise typer.Exit(result.exit_code)
