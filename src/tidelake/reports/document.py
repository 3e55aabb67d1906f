"""A project described in Markdown: its pipeline, its sources with their contracts, its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from tidelake.config import Project
from tidelake.contracts.source import FieldRule, OnMismatch, Source
from tidelake.reports.mermaid import fenced


@dataclass(frozen=True)
class TableInfo:
    """What is known of one table of the lake.

    Attributes:
        version: Its Delta version.
        rows: How many rows it holds.
    """

    name: str
    schema: pa.Schema
    version: int
    rows: int


def document(
    project: Project,
    sources: Mapping[str, Source],
    diagram: str,
    tables: Sequence[TableInfo],
    models: Mapping[str, str],
) -> str:
    """The whole description.

    Args:
        project: Its settings.
        sources: By name.
        diagram: Mermaid text of the pipeline.
        tables: Tables that are in the lake; empty before the first build.
        models: SQL of the project's own tables, by name.
    """
    parts = [
        f"# {project.name}",
        f"Local dates are those of {project.timezone}; weeks start on {project.week_start}.",
        "## Pipeline",
        fenced(diagram),
        "## Sources",
        *(source_section(source) for source in sources.values()),
        "## Tables",
        *([tables_section(tables)] if tables else ["The lake holds none yet: `tide build` makes them."]),
    ]
    if models:
        parts += ["## Models", *(f"### {name}\n\n```sql\n{sql.strip()}\n```" for name, sql in models.items())]
    return "\n\n".join(parts) + "\n"


def source_section(source: Source) -> str:
    """One source: where its rows come from, what makes a row one row, and its fields."""
    facts = [
        f"`{source.path}`" if source.path else source.place,
        {"event": "one row is an event", "count": "one row is a count in a period", "dimension": "a dimension"}[
            source.fact
        ],
        {
            "key": "duplicates by id are left out",
            "content": "identical rows are left out",
            "none": "identical rows stay",
        }[source.dedup],
    ]
    lines = [f"### {source.name}", "", "; ".join(facts) + ".", ""]
    if source.contract.fields:
        roles: dict[str, list[str]] = {}
        for part, name in source.mapping.items():
            roles.setdefault(name, []).append(part)
        lines += ["| field | type | part | must hold | otherwise | another type |", "|---|---|---|---|---|---|"]
        for name, rule in source.contract.fields.items():
            mismatch = rule.on_mismatch or source.contract.on_mismatch
            lines.append(
                f"| `{_cell(name)}` | {rule.type} | {', '.join(roles.get(name, []))} | {_cell(promise(rule))} "
                f"| {otherwise(rule, mismatch)} | {mismatch} |"
            )
    if source.contract.rules:
        lines += ["", "Rules over whole rows:", ""]
        lines += [f"- `{rule.name}`: `{rule.where}`, else {rule.on_breach}" for rule in source.contract.rules]
    return "\n".join(lines)


def promise(rule: FieldRule) -> str:
    """What a field promises, in words."""
    words = ["required"] if rule.required else []
    if rule.allowed:
        words.append("one of " + ", ".join(rule.allowed))
    if rule.minimum is not None:
        words.append(f"at least {rule.minimum:g}")
    if rule.maximum is not None:
        words.append(f"at most {rule.maximum:g}")
    if rule.pattern:
        words.append(f"matches `{rule.pattern}`")
    if rule.references:
        words.append(f"is in {rule.references}")
    if rule.privacy:
        words.append(
            {"drop": "never stored", "hash": "stored as a hash", "truncate_ip": "stored shortened"}[rule.privacy]
        )
    if rule.unit:
        words.append(f"in {rule.unit}")
    return "; ".join(words)


def otherwise(rule: FieldRule, mismatch: OnMismatch) -> str:
    """What becomes of a row whose value does not hold what the field promises.

    Args:
        mismatch: What the contract says of values of another type; it also says what an absent value is.
    """
    absent = ("fail" if mismatch == "fail" else "quarantine") if rule.required else ""
    has_values = rule.allowed or rule.minimum is not None or rule.maximum is not None or rule.pattern or rule.references
    broken = rule.on_breach if has_values else ""
    if absent and broken and absent != broken:
        return f"{broken}; absent: {absent}"
    return broken or absent


def tables_section(tables: Sequence[TableInfo]) -> str:
    """Every table with its rows, version and columns."""
    parts = []
    for table in tables:
        lines = [f"### {table.name}", "", f"{table.rows:,} rows, version {table.version}.", ""]
        lines += ["| column | type |", "|---|---|"]
        lines += [f"| `{_cell(field.name)}` | {_cell(str(field.type))} |" for field in table.schema]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
