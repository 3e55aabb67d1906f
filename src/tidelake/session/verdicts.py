"""What a build's rows break of their contract's limits, and what of it stands when nothing has come since."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidelake.contracts.source import Source
from tidelake.lake import Lake
from tidelake.lake.builds import BUILDS

Report = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """Whether a build ends with 3, and why.

    Attributes:
        faults: One sentence each, also on what an earlier build found where nothing has come since.
        kept: By source what the next build has to know of it; goes into the note of this build.
    """

    faults: tuple[str, ...]
    kept: Mapping[str, Report]


def judge(lake: Lake, sources: Mapping[str, Source], reports: Sequence[Report], changed: Collection[str]) -> Verdict:
    """The verdict on the sources of a build; the limits are those of the contracts as they are now.

    Args:
        lake: As the last finished build left its note.
        reports: One quality report a source that was built.
        changed: Sources whose rows this build changed: what was said of them before is over.
    """
    earlier = lake.note(BUILDS).get("verdicts", {})
    kept = {name: said for name, said in earlier.items() if name in sources and name not in changed}
    faults: list[str] = []
    for report in reports:
        source = sources[report["source"]]
        found = _faults(source, report)
        if found and source.name in changed:
            kept[source.name] = _in_short(report)
        elif not found and source.name in kept:
            found = [f"{text} {_since(kept[source.name])}" for text in _faults(source, kept[source.name])]
        faults += found
    return Verdict(tuple(faults), kept)


def _faults(source: Source, report: Report) -> list[str]:
    """Limits of the contract that a run's data broke."""
    name, rows, limit = source.name, report["rows"], source.contract.max_quarantined_share
    faults = [f"{name}: {text}" for text in report["faults"]]
    if rows["quarantined"] and report["quarantined_share"] > limit:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in list(report["reasons"].items())[:4])
        judged = rows["read"] - rows["filtered"] - rows["superseded"]
        faults.append(
            f"{name}: {rows['quarantined']:,} of {judged:,} rows are in quarantine "
            f"({report['quarantined_share']:.1%}; the contract allows {limit:.1%}): {reasons}. "
            f"`tide quarantine list --source {name}` shows them."
        )
    if report["files"]["truncated"]:
        names = ", ".join(report["files"]["truncated"][:3])
        faults.append(
            f"{name}: truncated_file: {names}: cut off; the complete lines were taken. "
            "Bring the whole file and build again: it takes this one's place."
        )
    if source.contract.min_rows and (report["batches"] and rows["read"] < source.contract.min_rows):
        faults.append(f"{name}: {rows['read']:,} rows came; the contract expects {source.contract.min_rows:,}.")
    return faults


def _in_short(report: Report) -> dict[str, Any]:
    """What `_faults` reads of a report."""
    return {
        "rows": {name: report["rows"][name] for name in ("read", "quarantined", "filtered", "superseded")},
        "quarantined_share": report["quarantined_share"],
        "reasons": dict(list(report["reasons"].items())[:4]),
        "files": {"truncated": report["files"]["truncated"]},
        "batches": report["batches"],
        "faults": report["faults"],
    }


def _since(said: Report) -> str:
    batches = ", ".join(str(number) for number in said["batches"][:3])
    taken = f", batch {batches}" if batches else ""
    return (
        f"This is of build {said['build']} ({said['finished_at']}{taken}) and stands until a build takes mended files "
        "or the contract is mended."
    )
