"""An explanation as a report: HTML or Markdown, with charts that need no network."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tidelake.analyses.change.explain import Explained
from tidelake.analyses.change.explanation import Explanation
from tidelake.analyses.change.words import where_text
from tidelake.engine.result import Result
from tidelake.engine.tabletext import columns_of
from tidelake.errors import ProjectError

_PANELS = 6


@dataclass(frozen=True)
class Figure:
    """One chart of a report.

    Attributes:
        name: For its file.
        title: What it shows.
        svg: The picture.
    """

    name: str
    title: str
    svg: str


def write_report(why: Explanation, path: Path) -> None:
    """Write an explanation; the file's name says the format. Markdown's charts lie in a folder beside it.

    Raises:
        ProjectError: The name says no format.
    """
    figures = figures_of(why)
    match path.suffix.lower():
        case ".html":
            content = html_report(why, figures)
        case ".md":
            folder = path.with_name(f"{path.stem}_files")
            if figures:
                folder.mkdir(exist_ok=True)
            for figure in figures:
                (folder / f"{figure.name}.svg").write_text(figure.svg, encoding="utf-8")
            content = markdown_report(why, figures, folder.name)
        case _:
            raise ProjectError(
                f"--report {path}: its name does not say which format to write.", hint="End it in .html or .md."
            )
    beside = path.with_name(path.name + ".part")
    beside.write_text(content, encoding="utf-8")
    beside.replace(path)


# --- charts


def figures_of(why: Explanation) -> list[Figure]:
    """The charts of an explanation; none where nothing moved."""
    found = why.found
    if found is None or found.located is None or found.spans is None:
        return []
    from tidelake.charts import change as charts

    at, form, unit = found.days.calendar.day(found.spans.at), _form(found), _unit(found)
    made: list[tuple[str, str, Any]] = []
    if found.lines:
        made.append(
            (
                "days",
                "Day by day; dashed: what was expected",
                charts.daily_panels(_days(found), at=at, form=form, unit=unit),
            )
        )
    if found.cuts:
        title = f"contribution to the change{f', {unit}' if unit else ''}"
        made.append(
            (
                "contributions",
                "What each value of each dimension contributes",
                charts.contributions(_cuts(found), form=form, title=title),
            )
        )
    steps = _steps(found)
    if len(steps) > 2:
        made.append(
            ("waterfall", "From what was expected to what was seen", charts.waterfall(steps, form=form, unit=unit))
        )
    if found.loss is not None:
        made.append(
            (
                "loss",
                "What was seen and what would have been, with its 90 % band",
                charts.loss_band(_band(found), at=at, form=_sum_form(), unit=found.subject.counted),
            )
        )
    return [Figure(name, title, _svg(chart)) for name, title, chart in made]


def _svg(chart: Any) -> str:
    import vl_convert as vlc

    return str(vlc.vegalite_to_svg(chart.to_json()))


def _form(found: Explained) -> str:
    return ".1%" if found.subject.unit == "share" else ",.4~r"


def _sum_form() -> str:
    return ",.4~r"


def _unit(found: Explained) -> str | None:
    return {"share": None, "s": "seconds"}.get(found.subject.unit or "", found.subject.unit or found.subject.counted)


def _days(found: Explained) -> list[dict[str, Any]]:
    rows = []
    for line in found.lines[:_PANELS]:
        for at, (seen, hoped) in enumerate(zip(line.seen, line.expected, strict=True)):
            values = {"seen": _known(seen), "expected": _known(hoped)}
            rows.append({"day": found.days.calendar.day(at), "segment": where_text(line.of), **values})
    return rows


def _cuts(found: Explained) -> list[dict[str, Any]]:
    rows = []
    for cut in found.cuts:
        about = {"dimension": cut.dim, "value": cut.value}
        if found.days.is_ratio:
            rows += [
                {**about, "part": name, "contribution": part} for name, part in (("rate", cut.rate), ("mix", cut.mix))
            ]
        else:
            rows.append({**about, "part": "change", "contribution": cut.contribution})
    return rows


def _steps(found: Explained) -> list[dict[str, Any]]:
    """Expected, each segment's part (of a ratio its share of the change), all others, seen."""
    place = found.located
    assert place is not None
    if place.whole.before is None or place.whole.after is None:
        return []
    start, end = place.whole.before, place.whole.after
    rows = [{"label": "expected", "start": 0.0, "end": start, "is_whole": True}]
    level = start
    for segment in place.segments[:_PANELS]:
        if segment.share is None:
            continue
        part = segment.share * (end - start)
        rows.append({"label": where_text(segment.cause.values), "start": level, "end": level + part, "is_whole": False})
        level += part
    if place.segments and abs(end - level) > 1e-9 * max(abs(end), 1.0):
        rows.append({"label": "all others", "start": level, "end": end, "is_whole": False})
    return [*rows, {"label": "seen", "start": 0.0, "end": end, "is_whole": True}]


def _band(found: Explained) -> list[dict[str, Any]]:
    loss, calendar = found.loss, found.days.calendar
    assert loss is not None
    assert found.affected is not None
    return [
        {
            "day": calendar.day(at),
            "seen": _known(found.affected[at]),
            "expected": _known(loss.expected[at]),
            "low": _known(loss.band_low[at]),
            "high": _known(loss.band_high[at]),
        }
        for at in range(len(calendar))
    ]


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


# --- documents

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 Inter, "Helvetica Neue", Arial, sans-serif; color: #1F2430; margin: 2rem auto;
  max-width: 60rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .3rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
.answer { border-left: 4px solid #0072B2; padding: .2rem 1rem; background: #F5F8FB; } .answer p { margin: .4rem 0; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th { text-align: left; border-bottom: 2px solid #B9BEC7; }
td, th { padding: .3rem .7rem .3rem 0; vertical-align: top; } td { border-bottom: 1px solid #E6E8EB; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 1.4rem 0; overflow-x: auto; } figcaption { color: #5F6570; font-size: 13px; }
footer { color: #5F6570; font-size: 12.5px; margin-top: 3rem; }
pre { background: #F1F2F4; padding: .8rem; overflow-x: auto; font-size: 12px; }
"""


def html_report(why: Explanation, figures: Sequence[Figure]) -> str:
    """One page that stands by itself."""
    parts = [f"<h1>{html.escape(why.title)}</h1>"]
    parts.append('<div class="answer">' + "".join(f"<p>{html.escape(line)}</p>" for line in why.headline) + "</div>")
    tables, charts = list(why.tables()), list(figures)
    parts += [f"<h2>{html.escape(table.title)}</h2>" + _html_table(table) for table in tables]
    if charts:
        parts.append("<h2>In pictures</h2>")
    parts += [f"<figure>{one.svg}<figcaption>{html.escape(one.title)}</figcaption></figure>" for one in charts]
    parts.append("<footer>" + "".join(f"<p>{html.escape(line)}</p>" for line in _ends(why)))
    if why.sql:
        parts.append(f"<details><summary>SQL</summary><pre>{html.escape(why.sql)}</pre></details>")
    parts.append("</footer>")
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(why.title)}</title>'
        f"<style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _html_table(table: Result) -> str:
    columns = columns_of(_shown(table))
    kinds = [' class="number"' if column.numeric else "" for column in columns]
    head = "".join(
        f"<th{kind}>{html.escape(column.name.replace('_', ' '))}</th>"
        for column, kind in zip(columns, kinds, strict=True)
    )
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td{kind}>{html.escape(column.cells[at])}</td>" for column, kind in zip(columns, kinds, strict=True)
        )
        + "</tr>"
        for at in range(len(table))
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" + "".join(
        f"<p><small>{html.escape(note)}</small></p>" for note in (() if isinstance(table, Explanation) else table.notes)
    )


def markdown_report(why: Explanation, figures: Sequence[Figure], folder: str) -> str:
    """The same as Markdown."""
    parts = [f"# {why.title}", *why.headline]
    for table in why.tables():
        parts += [f"## {table.title}", _markdown_table(table)]
    if figures:
        parts.append("## In pictures")
    parts += [f"![{one.title}]({folder}/{one.name}.svg)\n\n*{one.title}*" for one in figures]
    parts += ["---", *_ends(why)]
    if why.sql:
        parts.append(f"```sql\n{why.sql}\n```")
    return "\n\n".join(parts) + "\n"


def _markdown_table(table: Result) -> str:
    columns = columns_of(_shown(table))
    lines = ["| " + " | ".join(column.name.replace("_", " ") for column in columns) + " |"]
    lines.append("|" + "|".join("---:" if column.numeric else "---" for column in columns) + "|")
    lines += [
        "| " + " | ".join(column.cells[at].strip().replace("|", "\\|") for column in columns) + " |"
        for at in range(len(table))
    ]
    return "\n".join(lines)


def _shown(table: Result) -> Any:
    """A table without columns that hold nothing; of segments not once more by dimension."""
    found = table.table
    if isinstance(table, Explanation) and table.found is not None:
        found = found.drop_columns([dim for dim in table.found.days.dims if dim in found.column_names])
    empty = [name for name in found.column_names if found.column(name).null_count == found.num_rows]
    return found.drop_columns(empty)


def _ends(why: Explanation) -> list[str]:
    """Notes, and what the numbers were read from."""
    said = list(why.notes)
    if why.found is not None:
        said.append(f"Definition {why.found.subject.version or 'of the caller'} of {why.found.subject.name}.")
    if why.sources:
        said.append("Read from " + ", ".join(f"{one.table} (version {one.version})" for one in why.sources) + ".")
    return said


__all__ = ["Figure", "figures_of", "html_report", "markdown_report", "write_report"]
