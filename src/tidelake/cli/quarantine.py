"""`tide quarantine`: rows that broke a rule, why, and taking them in after the contract is mended."""

from __future__ import annotations

from typing import Annotated

import typer

from tidelake.cli.meter import meter
from tidelake.cli.opening import opened
from tidelake.cli.options import (
    HERE,
    SHOWN,
    AsOfOption,
    FormatName,
    FormatOption,
    LimitOption,
    OutputOption,
    ProjectOption,
    TargetOption,
    examples,
)
from tidelake.cli.output import emit

app = typer.Typer(
    help="Rows that broke a rule: how many and why, each with its text and place, and taking them in again.",
    no_args_is_help=True,
    epilog=examples("tide quarantine list", "tide quarantine show --reason bad_json", "tide quarantine replay"),
)

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
    limit: LimitOption = SHOWN,
) -> None:
    """How many rows are in quarantine, by source, reason and state."""
    with opened(project, target=target, as_of=as_of) as session:
        emit(session.quarantine(source=source, summary=True), form=form, output=output, limit=limit)


@app.command(epilog=examples("tide quarantine show", "tide quarantine show --reason bad_json --limit 5"))
def show(
    *,
    source: SourceOption = None,
    reason: ReasonOption = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = SHOWN,
) -> None:
    """The rows themselves: reasons, file, line and text."""
    with opened(project, target=target, as_of=as_of) as session:
        emit(session.quarantine(source=source, reason=reason), form=form, output=output, limit=limit)


@app.command(epilog=examples("tide quarantine replay", "tide quarantine replay --source app"))
def replay(
    *,
    source: SourceOption = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
) -> None:
    """Check the rows again under the contract as it is now, and take in those that meet it."""
    from tidelake.cli import built

    with opened(project, target=target) as session:
        with meter() as progress:
            result = session.replay(source=source, progress=progress)
        built.tell(result, title=session.project.name, form=form, output=output)
    if result.exit_code:
        raise typer.Exit(result.exit_code)
