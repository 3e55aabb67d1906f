"""What a look at watched metrics found, as a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from tidelake.analyses.change.words import amount, day_text, percent
from tidelake.engine.result import Result

_COLUMNS = ("status", "metric", "segment", "what", "day", "interval", "seen", "score", "day_status", "since_build")


def for_people(found: Result) -> Result:
    """The same rows with words in place of what only programs need; what is missed comes first.

    Args:
        found: `analyses.watch.findings.FINDINGS`.
    """
    order = ("missed", "new", "known", "not yet due", "met")
    rows = sorted(found.to_dicts(), key=lambda row: order.index(row["status"]))
    fields = [(name, pa.int64() if name == "since_build" else pa.string()) for name in _COLUMNS]
    told = [{name: row[name] for name in ("status", "metric", "segment")} | _words(row) for row in rows]
    return replace(found, table=pa.Table.from_pylist(told, schema=pa.schema(fields)))


def _words(row: Mapping[str, Any]) -> dict[str, Any]:
    day = day_text(row["day"]) if row["day"] is not None else None
    said: dict[str, Any] = {"day": day, "day_status": row["day_status"]}
    if row["level"] is None:
        low, high = row["low"], row["high"]
        said["what"] = f"{row['kind']} {percent(row['effect'])}"
        said["interval"] = "that day" if low == high else f"{day_text(low)} to {day_text(high)}"
        return said | {"score": f"{row['score']:.1f}", "since_build": row["build"]}
    due = f" by {day_text(row['by_day'])}" if row["by_day"] else ""
    seen = None if row["value"] is None else amount(row["value"])
    since = None if row["status"] == "not yet due" else row["build"]
    what = f"{row['kind'].replace('_', ' ')} {amount(row['level'])}{due}"
    return said | {"what": what, "seen": seen, "since_build": since}
