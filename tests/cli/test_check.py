"""What `tide check` prints for a reader: every detail in full, and the verdict."""

from __future__ import annotations

import pyarrow as pa

from tidelake.cli.check import checks_for_reading
from tidelake.engine.result import Result, plain_lines
from tidelake.reports.table import styled_lines


def _checks(*rows: tuple[str, str, str, str]) -> Result:
    names = ("check", "table", "status", "detail")
    return Result(pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows]), title="Checks")


def test_details_are_wrapped_where_the_terminal_is_narrow() -> None:
    result = _checks(
        ("row ledger", "bronze.app", "ok", "3 files"),
        ("key", "silver.app", "fail", "2 rows share event_id 'x' on two dates"),
        ("digest", "silver.app", "ok", "a" * 25),
    )
    lines = [str(line).rstrip() for line in styled_lines(result, room=54, limit=None, wrap="detail")]
    assert lines[2:] == [
        "check       table       status  detail",
        "──────────  ──────────  ──────  ──────────────────────",
        "row ledger  bronze.app  ✓ ok    3 files",
        "key         silver.app  ✗ fail  2 rows share event_id",
        "                                'x' on two dates",
        "digest      silver.app  ✓ ok    aaaaaaaaaaaaaaaaaaaaaa",
        "                                aaa",
    ]
    wide = styled_lines(result, room=200, limit=None, wrap="detail")
    assert [str(line).rstrip() for line in wide] == plain_lines(result, room=None, limit=None)


def test_the_verdict_counts_what_does_not_hold() -> None:
    checks = _checks(("row ledger", "bronze.app", "ok", "3 files"), ("key", "silver.app", "fail", "2 rows"))
    assert checks_for_reading(checks).notes == ("1 of 2 checks do not hold",)


def test_all_holds_is_one_line() -> None:
    checks = _checks(("row ledger", "bronze.app", "ok", "3 files"))
    assert checks_for_reading(checks).notes == ("all 1 checks hold",)


def test_warnings_are_counted() -> None:
    checks = _checks(
        ("row ledger", "bronze.app", "ok", "3 files"), ("silver to gold", "gold.user_day", "warn", "behind silver")
    )
    assert checks_for_reading(checks).notes == ("1 of 2 checks hold, 1 warn",)
