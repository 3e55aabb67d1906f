"""The rows of a canary: one table of findings, and what people are shown of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tidelake.analyses.canary.compare import Compared
from tidelake.analyses.canary.drift import Drift
from tidelake.analyses.canary.verdict import Judged
from tidelake.engine.result import Result
from tidelake.metrics.answer import Answer

_SHARE = {"unit": "share"}
SCHEMA = pa.schema(
    [
        pa.field("metric", pa.string()),
        pa.field("definition_version", pa.string()),
        pa.field("check", pa.string()),
        pa.field("segment", pa.string()),
        *(pa.field(name, pa.float64()) for name in ("new", "control", "difference", "difference_low")),
        *(pa.field(name, pa.float64()) for name in ("difference_high", "ratio", "ratio_low", "ratio_high")),
        *(pa.field(name, pa.float64()) for name in ("always_low", "always_high", "level", "margin")),
        pa.field("direction", pa.string()),
        *(pa.field(name, pa.int64()) for name in ("new_actors", "control_actors", "strata")),
        pa.field("compared_share", pa.float64(), metadata=_SHARE),
        *(pa.field(name, pa.float64()) for name in ("psi", "psi_by_chance", "psi_limit", "jensen_shannon")),
        pa.field("verdict", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("first_day", pa.date32()),
        pa.field("last_day", pa.date32()),
        pa.field("status", pa.string()),
        pa.field("watermark", pa.timestamp("us", "UTC")),
        pa.field("engine", pa.string()),
    ]
)
_COMPARED = ("metric", "guardrail", "diversity")
_ALL = "all"
_NOTHING = ("no drift", "cannot be told")


@dataclass(frozen=True, repr=False)
class CanaryResult(Answer):
    """What a release is like beside its control.

    Attributes:
        verdict: `better`, `worse`, `no difference` or `cannot be told`, over metrics and guardrails.
        names: The values that are compared: of the release, of its control.
    """

    verdict: str = "cannot be told"
    names: tuple[str, str] = ("new", "control")

    def for_people(self) -> Result:
        """The comparisons without what is the same throughout; `drifts` has the features."""
        every = [row for row in self.to_dicts() if row["check"] in _COMPARED and row["new"] is not None]
        rows = [row for row in every if row["check"] == "metric" or row["segment"] == _ALL or _is_told(row)]
        untold = len(every) - len(rows)
        more = f"not shown: {untold} segments of guardrails and of diversity of which nothing can be told"
        notes = (*self.notes, more) if untold else self.notes
        new, control = self.names
        shown = [
            {
                "check": row["check"],
                "metric": row["metric"],
                "segment": row["segment"],
                new: row["new"],
                control: row["control"],
                "change": _change(row["ratio"]),
                "from": _change(row["always_low"]),
                "to": _change(row["always_high"]),
                "actors": f"{row['new_actors']:,} / {row['control_actors']:,}",
                "verdict": row["verdict"],
            }
            for row in rows
        ]
        share = dict.fromkeys(("change", "from", "to"))
        names = ["check", "metric", "segment", new, control, *share, "actors", "verdict"]
        schema = pa.schema(
            [
                pa.field(name, pa.float64(), metadata=_SHARE if name in share else None)
                if name in (new, control, *share)
                else pa.field(name, pa.string())
                for name in names
            ]
        )
        table = pa.Table.from_pylist(shown, schema=schema)
        return Result(table, self.sql, self.sources, self.title, notes)

    def drifts(self, *, every: bool = False) -> Result | None:
        """The features whose values are others, or all of them; None where there is none to show."""
        rows = [row for row in self.to_dicts() if row["check"] == "drift" and row["psi"] is not None]
        rows = [row for row in rows if every or row["verdict"] not in _NOTHING]
        if not rows:
            return None
        names = ("metric", "segment", "psi", "psi_by_chance", "psi_limit", "jensen_shannon", "verdict")
        fields = [pa.field("feature" if name == "metric" else name, SCHEMA.field(name).type) for name in names]
        table = pa.Table.from_pylist(
            [{("feature" if name == "metric" else name): row[name] for name in names} for row in rows],
            schema=pa.schema(fields),
        )
        new, control = self.names
        return Result(table, title=f"Features that {new} was fed with other values than {control}")


def _is_told(row: Mapping[str, Any]) -> bool:
    return row["verdict"] not in _NOTHING


def _change(ratio: float | None) -> float | None:
    return None if ratio is None else ratio - 1


def compared_row(found: Compared, judged: Judged) -> dict[str, Any]:
    """The columns of a comparison."""
    names = ("new", "control", "difference", "difference_low", "difference_high", "ratio", "ratio_low", "ratio_high")
    names += ("new_actors", "control_actors", "strata", "compared_share")  # type: ignore[assignment]
    row: dict[str, Any] = {name: getattr(found, name) for name in names}
    return row | {
        "always_low": judged.low,
        "always_high": judged.high,
        "verdict": judged.verdict,
        "reason": judged.reason,
    }


def drift_row(found: Drift) -> dict[str, Any]:
    """The columns of a feature's drift."""
    return {
        "psi": found.psi,
        "psi_by_chance": found.by_chance,
        "psi_limit": found.chance_limit,
        "jensen_shannon": found.jensen_shannon,
        "verdict": found.verdict,
        "reason": found.reason,
    }


def result_table(rows: list[Mapping[str, Any]]) -> pa.Table:
    """Rows as the table of findings."""
    return pa.Table.from_pylist([dict(row) for row in rows], schema=SCHEMA)
