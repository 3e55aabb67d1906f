"""From which tables a table of gold is made, down to silver."""

from __future__ import annotations

from collections.abc import Iterable

from tidelake.gold.builtin import built_in_models
from tidelake.gold.context import Gold


def down_to_silver(gold: Gold, tables: Iterable[str]) -> list[str]:
    """`gold.user_day <- silver.app, gold.sessions`: a line for each table of gold, those that are read first."""
    made_of = {model.name: [entry.table for entry in model.inputs] for model in built_in_models(gold)}
    made_of["gold.sessions"] = gold.events.tables
    counts = [f"silver.{name}" for name, source in sorted(gold.sources.items()) if source.fact == "count"]
    made_of["gold.entity_day"] = counts
    lines: list[str] = []
    waiting = list(dict.fromkeys(tables))
    seen = set(waiting)
    while waiting:
        table = waiting.pop(0)
        inputs = made_of.get(table, [])
        lines.append(f"{table} <- {', '.join(inputs)}" if inputs else table)
        new = [name for name in inputs if name not in seen and name.startswith("gold.")]
        seen |= set(new)
        waiting += new
    return lines
