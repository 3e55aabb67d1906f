"""`tide build`: sources to bronze, silver and gold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tidelake.cli.meter import meter
from tidelake.cli.opening import opened
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

if TYPE_CHECKING:
    from tidelake.session import Session

EXAMPLES = examples(
    "tide build",
    "tide build --dry-run",
    "tide build --select app --format json",
    "tide build --target prod",
    "tide build --watch",
)


def build(
    *,
    select: Annotated[
        list[str] | None,
        typer.Option("--select", "-s", metavar="NAME", help="Only this source or gold table; may be given again."),
    ] = None,
    full_refresh: Annotated[bool, flag("--full-refresh", help="Make silver and gold anew from bronze.")] = False,
    dry_run: Annotated[bool, flag("--dry-run", help="Say what would be done, and do nothing.")] = False,
    watch: Annotated[
        bool | None,
        typer.Option("--watch/--no-watch", help="Look at the watched metrics then; default: as tide.yml says."),
    ] = None,
    quiet: Annotated[bool, flag("--quiet", "-q", help="No progress.")] = False,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    engine: EngineOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
) -> None:
    """Take what is new in the sources, exactly once, and bring every table up to date.

    Ends with 3 when rows break their contract beyond its limits, or did and nothing new has mended it, or the ledger
    does not balance; with 75 when another build is at work.
    """
    from tidelake.cli import built

    with opened(project, target=target, engine=engine) as session:
        with meter(quiet=quiet) as progress:
            result = session.build(
                select=tuple(select or ()), full_refresh=full_refresh, dry_run=dry_run, progress=progress
            )
        built.tell(result, title=session.project.name, form=form, output=output)
        if not dry_run and (session.project.watch_after_build if watch is None else watch):
            _look(session)
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def _look(session: Session) -> None:
    """Look at what is watched, and say on stderr what is new or missed: the build's own answer stays as it is."""
    from tidelake.cli.streams import say
    from tidelake.cli.watch import tell

    found = session.watch()
    tell(found)
    for row, said in zip(found.to_dicts(), found.sentences, strict=True):
        if row["status"] in ("new", "missed"):
            say(f"  {said}")
