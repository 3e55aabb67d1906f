"""Where data goes: stdout or a file, in the format that was asked for."""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tidelake.cli.options import SHOWN, FormatName
from tidelake.cli.streams import console, quiet_stdout, say
from tidelake.errors import ProjectError

if TYPE_CHECKING:
    from tidelake.engine.result import Result


def emit(
    result: Result,
    *,
    form: FormatName = FormatName.table,
    output: Path | None = None,
    limit: int | None = None,
    wrap: str | None = None,
    chart: Path | None = None,
    drawn: Result | None = None,
) -> None:
    """Print a result, or write it to a file; draw it too where a chart is asked for.

    Args:
        limit: Rows that a table shows; 0 = all; None = as many as `rows_shown` says.
        chart: File of the chart; None = none.
        drawn: What the chart is of; None = the result.

    On a terminal the texts of the last column are wrapped instead of cut where it is named by `wrap`.

    A reader that goes away early (`| head`) is no error, and does not hide the command's verdict.

    Raises:
        ProjectError: Parquet for a terminal.
    """
    if form is FormatName.parquet and output is None and sys.stdout.isatty():
        raise ProjectError("Parquet is not for a terminal.", hint="Add --output FILE, or pipe it to another command.")
    if chart is not None:
        _draw(drawn or result, chart)
    limit = rows_shown(limit, output)
    if output is not None:
        _write_file(result, form, output, limit)
        return
    try:
        _print(result, form, limit, wrap)
        sys.stdout.flush()
    except BrokenPipeError:
        quiet_stdout()


def rows_shown(limit: int | None, output: Path | None = None) -> int:
    """Rows that a table shows, 0 = all: what was asked for, else all but on a terminal, where many would run away."""
    if limit is not None:
        return limit
    return SHOWN if output is None and sys.stdout.isatty() else 0


def _print(result: Result, form: FormatName, limit: int, wrap: str | None) -> None:
    if form is FormatName.table and sys.stdout.isatty():
        from tidelake.reports.table import show

        show(result, console(), limit=limit or None, wrap=wrap)
        return
    sys.stdout.flush()
    raw = getattr(sys.stdout, "buffer", None)
    stream = raw if raw is not None else BytesIO()
    _write(result, form, stream, limit)
    stream.flush()
    if raw is None:
        sys.stdout.write(stream.getvalue().decode())


def _draw(result: Result, chart: Path) -> None:
    if not len(result):
        say(f"{chart} was not drawn: there are no rows.")
        return
    table = result.table
    if "value" in table.column_names and table.column("value").null_count == table.num_rows:
        say(f"{chart} was not drawn: no value is known; the column status says why.")
        return
    from tidelake.charts.files import save

    save(result.plot(), chart)
    say(f"chart in {chart}")


def _write_file(result: Result, form: FormatName, output: Path, limit: int) -> None:
    """Write beside the file first, so that a crash leaves the old one."""
    beside = output.with_name(output.name + ".part")
    with beside.open("wb") as stream:
        _write(result, form, stream, limit)
    beside.replace(output)
    say(f"{len(result):,} rows in {output}")


def _write(result: Result, form: FormatName, stream: BinaryIO, limit: int) -> None:
    from tidelake.engine.result import plain_lines
    from tidelake.reports import formats

    match form:
        case FormatName.json:
            formats.write_json(result, stream)
        case FormatName.csv:
            formats.write_csv(result, stream)
        case FormatName.parquet:
            formats.write_parquet(result, stream)
        case FormatName.table:
            lines = plain_lines(result, room=None, limit=limit or None)
            stream.write(("\n".join(lines) + "\n").encode())
