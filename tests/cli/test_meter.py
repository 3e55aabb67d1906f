"""Progress that does not flood a log."""

from __future__ import annotations

import io

from tidelake.cli.meter import PlainLines, amount, duration


def test_a_line_only_after_some_seconds_with_rate_and_time_left() -> None:
    ticks = iter([0.0, 0.0, 1.0, 5.0, 6.0])
    stream = io.StringIO()
    lines = PlainLines(stream, clock=lambda: next(ticks))
    for done in (0, 100, 500, 600):
        lines("reading app", done, 1000, "rows")
    assert stream.getvalue() == "reading app: 500 of 1,000 rows, 100 rows/s, 5.0 s left\n"


def test_a_stage_that_speaks_late_began_when_the_last_one_spoke() -> None:
    ticks = iter([0.0, 2.0, 12.0])
    stream = io.StringIO()
    lines = PlainLines(stream, clock=lambda: next(ticks))
    lines("reading app", 1, 1, "files")
    lines("silver app", 100, 200, "rows")
    assert stream.getvalue() == "silver app: 100 of 200 rows, 10 rows/s, 10 s left\n"


def test_quiet_prints_only_what_is_said() -> None:
    ticks = iter([0.0, 100.0])
    stream = io.StringIO()
    lines = PlainLines(stream, quiet=True, clock=lambda: next(ticks))
    lines("reading app", 1, 2)
    lines.say("restated: 17 Nov")
    assert stream.getvalue() == "restated: 17 Nov\n"


def test_amounts_and_times_as_people_say_them() -> None:
    assert amount(574_000_000, "bytes") == "574.0 MB"
    assert amount(1234, "rows") == "1,234 rows"
    assert [duration(seconds) for seconds in (3.25, 42, 125, 3723)] == ["3.2 s", "42 s", "2 min 05 s", "1 h 02 min"]
