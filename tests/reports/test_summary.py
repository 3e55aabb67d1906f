"""The few lines after a build."""

from __future__ import annotations

import io

from rich.console import Console

from tidelake.reports.summary import Counts, pace_line, plain_panel, row_lines, show_panel, total

APP = Counts(
    source="app",
    files=14,
    bytes=142_300_000,
    read=1010,
    accepted=1000,
    quarantined_rows=3,
    quarantined={"bad_json": 1, "required": 3},
    duplicates=5,
    filtered=2,
)


def test_every_row_has_its_line() -> None:
    assert plain_panel("build", row_lines(APP)) == [
        "build",
        "  files read     14  (142.3 MB)",
        "  rows read      1,010",
        "    accepted     1,000",
        "    quarantined  3",
        "      required   3",
        "      bad_json   1",
        "    duplicates   5",
        "    filtered     2  (blank lines and headers)",
    ]


def test_sources_add_up() -> None:
    both = total(
        [APP, Counts(source="web", files=1, read=10, accepted=9, quarantined_rows=1, quarantined={"bad_json": 1})]
    )
    assert (both.files, both.read, both.accepted, both.quarantined_rows) == (15, 1020, 1009, 4)
    assert both.quarantined == {"bad_json": 2, "required": 3}


def test_pace() -> None:
    assert pace_line(1000, 0.5) == ("time", "500 ms  (2,000 rows/s)")
    assert pace_line(500_000, 2.5) == ("time", "2.5 s  (200,000 rows/s)")
    assert pace_line(0, 0.25) == ("time", "250 ms")


def test_a_narrow_terminal_keeps_every_number() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=60, force_terminal=True, no_color=True)
    show_panel(console, "tide build", [*row_lines(APP), ("ledger", "✓ balanced")])
    shown = stream.getvalue()
    for part in ("1,010", "required", "bad_json", "142.3 MB"):
        assert part in shown
