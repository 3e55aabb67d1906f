"""`tide check` and `tide ledger`: is everything that came in still accounted for."""

from __future__ import annotations

from typing import Annotated

import typer

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
    flag,
)
from tidelake.cli.output import emit

CHECK_EXAMPLES = examples("tide check", "tide check --deep", "tide check --digest --format json")
LEDGER_EXAMPLES = examples("tide ledger", "tide ledger --format csv --output ledger.csv")


def check(
    *,
    deep: Annotated[bool, flag("--deep", help="Read every input file again and compare it.")] = False,
    digest: Annotated[
        bool, flag("--digest", help="Print a digest of each table that does not depend on how it was built.")
    ] = False,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = SHOWN,
) -> None:
    """Compare the tables with the ledger, with each other and (--deep) with the input files.

    Ends with 3 when something does not hold.
    """
    with opened(project, target=target) as session:
        result = session.check(deep=deep, digest=digest)
    emit(result, form=form, output=output, limit=limit)
    if "status" in result.table.column_names and "fail" in result.table.column("status").to_pylist():
        raise typer.Exit(3)


def ledger(
    *,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = SHOWN,
) -> None:
    """Every file: rows read = accepted + quarantined + duplicate + filtered + superseded."""
    with opened(project, target=target, as_of=as_of) as session:
        emit(session.ledger(), form=form, output=output, limit=limit)
