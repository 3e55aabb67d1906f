"""`tide check` and `tide ledger`: is everything that came in still accounted for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

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
    flag,
)
from tidelake.cli.output import emit

if TYPE_CHECKING:
    from tidelake.engine.result import Result

LEDGER_PARTS = ("read", "accepted", "quarantined", "duplicate", "filtered", "superseded")
CHECK_EXAMPLES = examples("tide check", "tide check --deep", "tide check --digest --format json")
LEDGER_EXAMPLES = examples("tide ledger", "tide ledger --output ledger.csv")


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
) -> None:
    """Compare the tables with the ledger, with each other and (--deep) with the input files.

    Ends with 3 when something does not hold.
    """
    with opened(project, target=target) as session:
        result = session.check(deep=deep, digest=digest)
    is_broken = "fail" in result.table.column("status").to_pylist()
    if form is FormatName.table:
        result = checks_for_reading(result)
    emit(result, form=form, output=output, limit=0, wrap="detail")
    if is_broken:
        raise typer.Exit(3)


def checks_for_reading(result: Result) -> Result:
    """The checks with a verdict below them."""
    states = result.table.column("status").to_pylist()
    faults, warned = states.count("fail"), states.count("warn")
    verdict = f"all {len(states)} checks hold"
    if faults:
        verdict = f"{faults} of {len(states)} checks do not hold" + (f", {warned} warn" if warned else "")
    elif warned:
        verdict = f"{len(states) - warned} of {len(states)} checks hold, {warned} warn"
    return replace(result, notes=(*result.notes, verdict))


def ledger(
    *,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = None,
) -> None:
    """Every file: rows read = accepted + quarantined + duplicate + filtered + superseded."""
    with opened(project, target=target, as_of=as_of) as session:
        result = session.ledger()
    if form is FormatName.table:
        result = ledger_for_reading(result)
    emit(result, form=form, output=output, limit=limit)


def ledger_for_reading(result: Result) -> Result:
    """The ledger without what is the same in every row, its sums below it."""
    import pyarrow as pa

    files = result.to_dicts()
    if not files:
        return result
    sums = {name: sum(row[name] for row in files) for name in LEDGER_PARTS}
    parts = " + ".join(f"{sums[name]:,} {name}" for name in LEDGER_PARTS[1:])
    wrong = sum(not row["is_balanced"] for row in files)
    verdict = f"{wrong:,} of them do not balance" if wrong else "every file balances"
    note = f"{len(files):,} files, {sums['read']:,} read = {parts}; {verdict}"
    usual = {"source": {files[0]["source"]}, "state": {"whole"}, "filtered": {0}, "superseded": {0}}
    left = [name for name, values in usual.items() if {row[name] for row in files} <= values]
    status = pa.array(["ok" if row["is_balanced"] else "fail" for row in files])
    shown = [name for name in ("source", "source_path", "state", *LEDGER_PARTS) if name not in left]
    table = result.table.select(shown).add_column(shown.index("source_path") + 1, "status", status)
    return replace(result, table=table, notes=(*result.notes, note))
