"""Says what a build did: a panel on a terminal, the same lines elsewhere, a table in the other formats."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidelake.cli.options import FormatName
from tidelake.cli.output import emit
from tidelake.cli.streams import console, put
from tidelake.reports.summary import Counts, Lines, pace_line, plain_panel, reason_lines, row_lines, show_panel, total

if TYPE_CHECKING:
    from tidelake.engine.result import Result
    from tidelake.gold.model import ModelRun
    from tidelake.session import Session
    from tidelake.session.pipeline import BuildResult

SHOWN_SENTENCES = 8
_ROWS = ("read", "accepted", "quarantined", "duplicate", "filtered", "superseded")
_FILES = ("new", "grown", "changed", "unchanged")


def tell(result: BuildResult, *, title: str, form: FormatName, output: Path | None) -> None:
    """Print what a build did, or would do."""
    if form is not FormatName.table or output is not None:
        emit(as_result(result, title=title), form=form, output=output)
        return
    if result.dry_run:
        panel(f"{title}: what a build would do", plan_lines(result))
        return
    is_idle = result.verdict == "unchanged" and all(run.is_current for run in result.models)
    verb = "nothing new" if is_idle else "built"
    panel(f"{title}: {verb}", build_lines(result), good=not result.exit_code)


def panel(title: str, lines: Lines, *, good: bool = True) -> None:
    """Print labels and values: in a box on a terminal, as plain lines elsewhere."""
    if sys.stdout.isatty():
        show_panel(console(), title, lines, good=good)
        return
    for line in plain_panel(title, lines):
        put(line)


def build_lines(result: BuildResult, *, seconds: float | None = None) -> list[tuple[str, str]]:
    """What came in, where it went, the ledger's verdict, tables made, the pace, and what a person should know."""
    counts = total([counts_of(report) for report in result.sources])
    lines: list[tuple[str, str]] = []
    known = sum(int(report["files"]["unchanged"]) for report in result.sources)
    if result.verdict == "unchanged":
        lines.append(("files", f"{known:,} known, none new"))
    else:
        lines += row_lines(counts)
        if len(result.sources) > 1:
            lines.insert(2, ("  of", _each(report for report in result.sources)))
        lines.append(("ledger", ledger_line(result.verdict)))
    if made := [run for run in result.models if not run.is_current and run.rows]:
        lines.append(("gold", ", ".join(_made(run) for run in made)))
    if result.invariants:
        lines.append(("invariants", f"✓ {result.invariants} hold of the dates that were made"))
    lines.append(pace_line(counts.read, result.seconds if seconds is None else seconds))
    return lines + _sentences(result)


def _each(reports: Any) -> str:
    return ", ".join(f"{report['source']} {int(report['rows']['read']):,}" for report in reports)


def _made(run: ModelRun) -> str:
    rows = "" if run.rows is None else f" {run.rows:,} rows"
    why = f" ({run.reason})" if run.reason in ("definition changed", "full refresh") else ""
    return f"{run.name.removeprefix('gold.')}{rows}{why}"


def ledger_line(verdict: str) -> str:
    """The ledger's verdict in words."""
    if verdict == "unbalanced":
        return "✗ does not balance: `tide ledger` shows which files"
    return "✓ balanced: every row read is accounted for, once"


def _sentences(result: BuildResult) -> list[tuple[str, str]]:
    """Faults, restatements, what was healed and what sources said; the longest lists shortened."""
    lines = [("fault", f"✗ {text}") for text in result.faults]
    lines += _some("restated", result.restatements)
    lines += _some("note", result.notes)
    for report in result.sources:
        name = report["source"]
        lines += _some("healed", [f"{name}: {text}" for text in report["healed"]])
        lines += _some("vanished", [f"{name}: {path} (its rows stay)" for path in report["files"]["vanished"]])
        lines += _some("copy", [f"{name}: {text}: not taken again" for text in report["files"]["copies"]])
        lines += _some("renamed", [f"{name}: {text}: what it had is known" for text in report["files"]["renamed"]])
        lines += _some("truncated", [f"{name}: {path}" for path in report["files"]["truncated"]])
        lines += _some("warned", [f"{name}: {rule} {rows:,} rows" for rule, rows in report["warnings"].items()])
        lines += _some("note", [f"{name}: {text}" for text in report["messages"]])
    return lines


def _some(label: str, texts: Sequence[str]) -> list[tuple[str, str]]:
    shown = [(label if index == 0 else "", text) for index, text in enumerate(texts[:SHOWN_SENTENCES])]
    more = len(texts) - SHOWN_SENTENCES
    return [*shown, ("", f"... and {more:,} more (--format json has all)")] if more > 0 else shown


def counts_of(report: Mapping[str, Any]) -> Counts:
    """A source's quality report as counts."""
    files, rows = report["files"], report["rows"]
    return Counts(
        source=str(report["source"]),
        files=sum(int(files[name]) for name in ("new", "grown", "changed")),
        bytes=int(report["bytes"]),
        read=int(rows["read"]),
        accepted=int(rows["accepted"]),
        quarantined_rows=int(rows["quarantined"]),
        quarantined=dict(report["reasons"]),
        duplicates=int(rows["duplicate"]),
        filtered=int(rows["filtered"]),
        superseded=int(rows["superseded"]),
    )


def replay_lines(result: BuildResult, before: Counts, after: Counts) -> list[tuple[str, str]]:
    """What judging the quarantine again changed, by the ledger before and after."""
    lines = [
        ("were in quarantine", f"{before.quarantined_rows:,}"),
        ("  now accepted", f"{after.accepted - before.accepted:,}"),
        ("  now duplicates", f"{after.duplicates - before.duplicates:,}"),
        ("  still there", f"{after.quarantined_rows:,}"),
        *reason_lines(after.quarantined),
        ("ledger", ledger_line(result.verdict)),
    ]
    if made := [run for run in result.models if not run.is_current and run.rows]:
        lines.append(("gold", ", ".join(_made(run) for run in made)))
    return [*lines, pace_line(0, result.seconds), *_sentences(result)]


def plan_lines(result: BuildResult) -> list[tuple[str, str]]:
    """What a dry run found, one line a source and a table."""
    lines = []
    for plan in result.sources:
        parts = [f"{int(plan[f'files_{name}']):,} {name}" for name in _FILES if int(plan[f"files_{name}"])]
        text = ", ".join([*parts, *plan.get("messages", ())]) or "no files"
        if plan["bytes"]:
            text += f"; {int(plan['bytes']) / 1e6:,.1f} MB to read"
        if plan.get("restates"):
            text += "; silver would be restated from bronze"
        lines.append((str(plan["source"]), text))
    lines += [(run.name, _planned(run)) for run in result.models]
    return [*lines, *_some("restated", result.restatements), ("", "nothing was written")]


def _planned(run: ModelRun) -> str:
    """Why a table would be made anew, and which dates of it, as far as that is known before the sources are read."""
    if run.waits and run.reason == "nothing new":
        return "brought up to date after the sources"
    dates = f", {len(run.dates):,} dates ({min(run.dates)} to {max(run.dates)})" if run.dates else ""
    later = " and more after the sources" if dates and run.reason == "inputs changed" else ", after the sources"
    return f"{run.reason}{dates}{later if run.waits else ''}"


def as_result(result: BuildResult, *, title: str) -> Result:
    """One row a source: files, rows, reasons; for programs."""
    import pyarrow as pa

    from tidelake.engine.result import Result

    sources = result.sources
    columns: dict[str, Any] = {"source": pa.array([str(one["source"]) for one in sources], pa.string())}
    for name in _FILES:
        found = [one[f"files_{name}"] if result.dry_run else one["files"][name] for one in sources]
        columns[f"files_{name}"] = pa.array([int(value) for value in found], pa.int64())
    columns["bytes"] = pa.array([int(one["bytes"]) for one in sources], pa.int64())
    if not result.dry_run:
        for name in _ROWS:
            columns[name] = pa.array([int(one["rows"][name]) for one in sources], pa.int64())
        reasons = [
            [{"reason": reason, "rows": rows} for reason, rows in dict(one["reasons"]).items()] for one in sources
        ]
        kind = pa.list_(pa.struct([("reason", pa.string()), ("rows", pa.int64())]))
        columns["reasons"] = pa.array(reasons, kind)
        columns["ledger"] = pa.array([str(one["ledger"]) for one in sources], pa.string())
    if result.dry_run:
        columns["restates"] = pa.array([bool(one.get("restates")) for one in sources])
        said = [f"{run.name}: {_planned(run)}" for run in result.models]
    else:
        said = [f"{label}: {text}".removeprefix(": ") for label, text in _sentences(result)]
    notes = (f"run {result.run_id}", f"verdict: {result.verdict}", f"seconds: {result.seconds:.3f}", *said)
    return Result(pa.table(columns), title=title, notes=notes)


def lake_counts(session: Session) -> Counts:
    """Rows of everything that is in the lake now, from its ledger and its quarantine."""
    files = session.ledger().to_dicts()
    row = {name: sum(file[name] for file in files) for name in _ROWS}
    reasons = session.quarantine(summary=True).to_dicts()
    return Counts(
        source="all",
        files=len(files),
        read=row["read"],
        accepted=row["accepted"],
        quarantined_rows=row["quarantined"],
        quarantined={item["reason"]: item["rows"] for item in reasons},
        duplicates=row["duplicate"],
        filtered=row["filtered"],
        superseded=row["superseded"],
    )
