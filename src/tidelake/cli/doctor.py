"""`tide doctor`: is everything there, and can the lake be used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tidelake.cli.options import FormatName, FormatOption, OutputOption, ProjectOption, TargetOption, examples, flag
from tidelake.cli.output import emit

EXAMPLES = examples("tide doctor", "tide doctor --project examples/collapse --format json")


def doctor(
    *,
    project: ProjectOption = Path("."),
    target: TargetOption = None,
    all_parts: Annotated[bool, flag("--all", help="Also list optional parts that are not installed.")] = False,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
) -> None:
    """Look at versions, optional parts, the project and its lake; say what to do about each fault.

    Ends with 1 when something fails that a build needs.
    """
    from tidelake.cli import health

    findings = health.examine(project, target=target, all_parts=all_parts)
    emit(health.as_result(findings, for_people=form is FormatName.table), form=form, output=output, limit=0)
    if any(finding.status == "fail" for finding in findings):
        raise typer.Exit(1)
