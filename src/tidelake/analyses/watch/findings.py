"""Which findings of a look are new: what an earlier build's look has reported is not reported twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pyarrow as pa

from tidelake.analyses.change.words import amount, day_text, percent

APART = timedelta(days=7)
"""Changes one way whose intervals lie this near are one: as more days are seen an onset may be placed elsewhere."""
_SHARE = {"unit": "share"}
LOOKED = pa.schema(
    [
        ("watch", pa.string()),
        ("metric", pa.string()),
        ("version", pa.string()),
        ("condition", pa.string()),
        ("segment", pa.string()),
        ("kind", pa.string()),
        ("status", pa.string()),
        ("day", pa.date32()),
        ("low", pa.date32()),
        ("high", pa.date32()),
        pa.field("effect", pa.float64(), metadata=_SHARE),
        ("score", pa.float64()),
        ("value", pa.float64()),
        ("level", pa.float64()),
        ("by_day", pa.date32()),
        ("day_status", pa.string()),
    ]
)
"""A row a change (`fall`, `rise`: since `day`, 90 % interval `low` to `high`) or level (`at_least`, `at_most`: `day` is
the one that was judged). `day_status`: of the newest day that counts, or of the judged one."""
FINDINGS = pa.schema([("id", pa.string()), ("build", pa.int64()), ("first_build", pa.int64()), *LOOKED])
"""A row of `ops.findings`: `build` is the one whose look reported it, `first_build` the first to report anything of the
same level; `status` is `new` for a change, `met` or `missed` for a level."""

Row = dict[str, Any]
_PLACE = ("metric", "condition", "segment", "kind")


def compared(looked: Iterable[Mapping[str, Any]], earlier: Sequence[Mapping[str, Any]], build: int) -> list[Row]:
    """A look's rows with their history: the same look at the same build gives the same rows.

    Args:
        looked: Rows of LOOKED.
        earlier: Rows of FINDINGS, also those of this build.
        build: The one that is looked at.

    Returns:
        Rows of FINDINGS. A change is `new` where this build's look is the first that saw it, else `known`, with the
        numbers of now and the id and builds of then. A level has its state; its `build` is the one since which.
    """
    held: list[Mapping[str, Any]] = sorted(earlier, key=lambda row: row["build"])
    found: list[Row] = []
    for row in looked:
        is_level = row["level"] is not None
        one = _level(row, held, build) if is_level else _change(row, held, build)
        if any(other["id"] == one["id"] for other in found):
            continue  # two watches saw the same
        found.append(one)
        held.append(one)
    return found


def unwritten(rows: Iterable[Row], earlier: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Those rows that `ops.findings` lacks: new changes, and levels that were judged otherwise before."""
    there = {row["id"] for row in earlier}
    return [row for row in rows if row["status"] in ("new", "met", "missed") and row["id"] not in there]


def _change(row: Mapping[str, Any], held: Sequence[Mapping[str, Any]], build: int) -> Row:
    for other in reversed(held):
        if _is_near(row, other) and all(other[name] == row[name] for name in _PLACE):
            if other["build"] == build:
                return dict(other)
            dated = {name: other[name] for name in ("id", "build", "first_build")}
            return {**row, **dated, "status": "known"}
    return {**row, "id": _named(row, "day", build=build), "build": build, "first_build": build, "status": "new"}


def _is_near(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the intervals of two onsets, widened by a week, meet; a level has none."""
    return other["low"] is not None and row["low"] - APART <= other["high"] and other["low"] - APART <= row["high"]


def _level(row: Mapping[str, Any], held: Sequence[Mapping[str, Any]], build: int) -> Row:
    """A level's row: reported anew where it is judged otherwise than it was last."""
    named = (*_PLACE, "level", "by_day")
    same = [other for other in held if all(other[name] == row[name] for name in named)]
    judged = [other for other in same if other["status"] != "not yet due"]
    first = judged[0]["first_build"] if judged else build
    if judged and judged[-1]["status"] == row["status"]:
        return {**row, "id": judged[-1]["id"], "build": judged[-1]["build"], "first_build": first}
    return {**row, "id": _named(row, "level", "by_day", "status", build=build), "build": build, "first_build": first}


def _named(row: Mapping[str, Any], *more: str, build: int) -> str:
    """A name that the same finding has again when the same build is looked at again."""
    said = "\x1f".join(str(row[name]) for name in (*_PLACE, *more))
    return sha256(f"{said}\x1f{build}".encode()).hexdigest()[:16]


def sentence(row: Mapping[str, Any]) -> str:
    """A finding in words."""
    of = "" if row["segment"] == "all" else f" of {row['segment']}"
    name = f"{row['metric']}{of}"
    if row["level"] is None:
        moved = "fell" if row["kind"] == "fall" else "rose"
        low, high = row["low"], row["high"]
        sure = "that day" if low == high else f"{day_text(low)} to {day_text(high)}"
        return f"{name} {moved} by {percent(abs(row['effect']), signed=False)} on {day_text(row['day'])} ({sure})."
    bound = f"{row['kind'].replace('_', ' ')} {amount(row['level'])}"
    due = f" by {day_text(row['by_day'])}" if row["by_day"] else ""
    seen = f"{amount(row['value'])} on {day_text(row['day'])} ({row['day_status']})" if row["day"] else "no day counts"
    return f"{name} {bound}{due}: {row['status']}, {seen}."
