"""`tide compact`, `tide vacuum`, `tide migrate`: keeping a lake small, quick and readable."""

from __future__ import annotations

from typing import Annotated

import typer

from tidelake.cli.meter import meter
from tidelake.cli.opening import opened
from tidelake.cli.options import (
    HERE,
    FormatName,
    FormatOption,
    OutputOption,
    ProjectOption,
    TargetOption,
    examples,
    flag,
)
from tidelake.cli.output import emit

COMPACT_EXAMPLES = examples("tide compact", "tide compact --select silver.app")
VACUUM_EXAMPLES = examples("tide vacuum --dry-run", "tide vacuum --keep-hours 168")
MIGRATE_EXAMPLES = examples("tide migrate", "tide migrate --target prod")

WEEK_HOURS = 168


def compact(
    *,
    select: Annotated[
        list[str] | None,
        typer.Option("--select", "-s", metavar="TABLE", help="Only this table; may be given again."),
    ] = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
) -> None:
    """Put small files together, sorted by the declared columns; no row changes."""
    with opened(project, target=target) as session:
        with meter() as progress:
            result = session.compact(select=tuple(select or ()), progress=progress)
        emit(result, form=form, output=output)


def vacuum(
    *,
    keep_hours: Annotated[
        int,
        typer.Option("--keep-hours", min=0, metavar="HOURS", help="Keep what --as-of needs for so long."),
    ] = WEEK_HOURS,
    dry_run: Annotated[bool, flag("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
) -> None:
    """Remove files that no table needs any more, and say which builds --as-of can no longer read."""
    with opened(project, target=target) as session:
        emit(session.vacuum(keep_hours=keep_hours, dry_run=dry_run), form=form, output=output)


def migrate(
    *,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
) -> None:
    """Bring a lake of an older format version to this one's."""
    with opened(project, target=target) as session:
        emit(session.migrate(), form=form, output=output)
