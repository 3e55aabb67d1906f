"""`tide watch`: what moved since the last look, and which levels are met."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidelake.cli.opening import opened, say_unfinished
from tidelake.cli.options import (
    HERE,
    EngineOption,
    FormatName,
    FormatOption,
    OutputOption,
    ProjectOption,
    TargetOption,
    examples,
    flag,
)
from tidelake.cli.questions import ByOption

if TYPE_CHECKING:
    from tidelake.session.watching import Watched

EXAMPLES = examples(
    "tide watch",
    "tide watch plays --by region --by device",
    "tide watch --fail-on change --fail-on unmet",
    "tide watch --webhook https://example.com/hooks/1",
)
FOUND = 4  # exit code where something is found that --fail-on names


class Failing(StrEnum):
    """What ends with another exit code than 0."""

    change = "change"
    unmet = "unmet"


class Direction(StrEnum):
    """Which changes are told."""

    fall = "fall"
    rise = "rise"
    both = "both"


def watch(
    metric: Annotated[
        str | None, typer.Argument(help="Default: all that tide.yml and kpis.yml list.", show_default=False)
    ] = None,
    *,
    by: ByOption = None,
    direction: Annotated[
        Direction | None, typer.Option("--direction", metavar="NAME", help="fall, rise or both (the default).")
    ] = None,
    fail_on: Annotated[
        list[Failing] | None,
        typer.Option("--fail-on", metavar="NAME", help="change, unmet: end with 4 on it; may be given again."),
    ] = None,
    webhook: Annotated[
        str | None,
        typer.Option("--webhook", metavar="URL", envvar="TIDELAKE_WEBHOOK", help="POST what is new there, as JSON."),
    ] = None,
    every: Annotated[bool, flag("--all", help="Show changes that were reported before too.")] = False,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    engine: EngineOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
) -> None:
    """After a build: which metrics moved, each change told once, and which levels are met, missed or not yet due.

    Ends with 4 when --fail-on names what was found; with 1 when the webhook did not take it; with 75 while a build is
    at work. What was found is in ops.findings; the same build looked at again gives the same answer.
    """
    with opened(project, target=target, engine=engine) as session:
        found = session.watch(
            metric, by=tuple(by or ()), direction=direction and direction.value, webhook=webhook, every=every
        )
        _show(found, form, output)
        say_unfinished(session)
    failing = fail_on or []
    if (Failing.change in failing and found.is_changed) or (Failing.unmet in failing and found.is_unmet):
        raise typer.Exit(FOUND)
    if found.undelivered is not None:
        raise typer.Exit(1)


def _show(found: Watched, form: FormatName, output: Path | None) -> None:
    from tidelake.cli.output import emit
    from tidelake.cli.streams import say

    if form is FormatName.table:
        from tidelake.reports.watched import for_people

        emit(for_people(found), output=output, limit=0)
    else:
        emit(found, form=form, output=output)
    tell(found)
    if found.sent:
        say(f"The webhook took {found.sent} {'finding' if found.sent == 1 else 'findings'}.")
    if found.undelivered is not None:
        say(f"The webhook was not told: {found.undelivered}. The next `tide watch` tries again.")


def tell(found: Watched) -> None:
    """One line on what a look found."""
    from tidelake.cli.streams import say

    statuses = found.table.column("status").to_pylist()
    counts = [f"{statuses.count('new')} new {'change' if statuses.count('new') == 1 else 'changes'}"]
    counts += [f"{found.known} known"] if found.known else []
    levels = [f"{statuses.count(name)} {name}" for name in ("met", "missed", "not yet due") if name in statuses]
    said = f"; levels: {', '.join(levels)}" if levels else ""
    say(f"build {found.build}: {', '.join(counts)}{said}")
