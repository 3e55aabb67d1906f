"""`tide metrics`: which metrics there are, and what each of them means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidelake.cli.opening import opened, say_unfinished
from tidelake.cli.options import (
    HERE,
    FormatName,
    FormatOption,
    OutputOption,
    ProjectOption,
    TargetOption,
    examples,
)
from tidelake.cli.output import emit
from tidelake.cli.streams import put
from tidelake.errors import ProjectError

if TYPE_CHECKING:
    from tidelake.engine.result import Result

app = typer.Typer(
    help="Which metrics there are, by what they can be asked, and what each of them means.",
    no_args_is_help=True,
    epilog=examples("tide metrics list", "tide metrics show dau"),
)


@app.command("list", epilog=examples("tide metrics list", "tide metrics list --format json"))
def list_metrics(
    *,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
) -> None:
    """Every metric of the project; outside of a project the built-in ones."""
    result = _asked(project, target, None)
    if form is FormatName.table:
        result = list_for_reading(result)
    emit(result, form=form, output=output, limit=0)


@app.command(epilog=examples("tide metrics show dau", "tide metrics show watch_time --format json"))
def show(
    name: Annotated[str, typer.Argument(help="A metric's name or alias.", show_default=False)],
    *,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
) -> None:
    """One metric: its definition, its dimensions, and the SQL that `tide measure` runs for it."""
    from tidelake.cli.built import panel
    from tidelake.engine.sql import pretty

    result = _asked(project, target, name)
    if form is not FormatName.table or output is not None:
        emit(result, form=form, output=output)
        return
    panel(result.title, definition_lines(result))
    (row,) = result.to_dicts()
    for text in filter(None, (row["sql"] and pretty(row["sql"]), *result.notes)):
        put(f"\n{text}")


def _asked(project: Path, target: str | None, name: str | None) -> Result:
    """The project's metrics; the built-in ones where no project is named and none is here or above."""
    from tidelake.config import find_project

    try:
        find_project(project)
    except ProjectError:
        if project != HERE or target is not None:
            raise
        from tidelake.metrics.listing import built_in_metrics

        return built_in_metrics(name)
    with opened(project, target=target) as session:
        result = session.metrics(name)
        say_unfinished(session)
    return result


def list_for_reading(result: Result) -> Result:
    """The list with dimensions below it: those of one fact are the same for all of its metrics."""
    import pyarrow as pa

    from tidelake.metrics.reading import ranked

    shared: dict[str, list[str]] = {}
    for row in result.to_dicts():
        if row["dimensions"]:
            shared.setdefault(", ".join(row["dimensions"]), []).append(row["name"])
    facts = {row["name"]: row["fact"] or "other metrics'" for row in result.to_dicts()}
    most = max(shared.values(), key=len, default=[])
    notes = [
        f"{'the others' if names is most else _named(names, facts)}: by {dimensions}"
        for dimensions, names in sorted(shared.items(), key=lambda pair: len(pair[1]))
    ]
    usual = ["day", "week", "month"]
    others = [row for row in result.to_dicts() if row["grains"] not in (usual, None)]
    rare = [f"{row['name']} by {', '.join(row['grains'])}" for row in others]
    notes += [f"{'; '.join(rare)}; the others by day, week and month"] if rare else []
    also = [f"{alias} = {row['name']}" for row in result.to_dicts() for alias in row["aliases"] or ()]
    notes += [f"also called: {', '.join(also)}"] if also else []
    table = result.table.drop_columns(["dimensions", "grains", "aliases"])
    units = ["seconds" if unit == "s" else unit for unit in table.column("unit").to_pylist()]
    table = table.set_column(table.column_names.index("unit"), "unit", pa.array(units, pa.string()))
    return replace(result, table=ranked(table, {"name": 1}), notes=(*notes, *result.notes))


def _named(names: list[str], facts: dict[str, str]) -> str:
    """Metrics by their facts where these have no other metrics, else by their names."""
    own = dict.fromkeys(facts[name] for name in names)
    all_of_them = [name for name, fact in facts.items() if fact in own]
    return f"metrics of {' and '.join(own)} facts" if all_of_them == names else ", ".join(names)


def definition_lines(result: Result) -> list[tuple[str, str]]:
    """(label, value) of what a definition says."""
    from tidelake.engine.tabletext import cell

    (row,) = result.to_dicts()
    labels = {"window_days": "window", "is_additive": "additive"}
    window = row.get("window_days")
    words = {
        "window_days": f"{window} days, the last of them the day" if window and window > 1 else "the day",
        "lineage": "; ".join(row.get("lineage") or ()),
        "is_additive": "yes: parts may be added up"
        if row.get("is_additive")
        else "no: parts do not add up to the whole",
    }
    left_out = ("title", "sql")
    return [
        (labels.get(key, key), words.get(key, cell(value)))
        for key, value in row.items()
        if key not in left_out and value not in (None, "", [])
    ]
