"""What `tide check` adds for a reader: the verdict, and faults in full."""

from __future__ import annotations

import pyarrow as pa

from tidelake.cli.check import checks_for_reading
from tidelake.engine.result import Result


def _checks(*rows: tuple[str, str, str, str]) -> Result:
    names = ("check", "table", "status", "detail")
    return Result(pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows]), title="Checks")


def test_faults_and_digests_are_said_in_full() -> None:
    result = checks_for_reading(
        _checks(
            ("row ledger", "bronze.app", "ok", "3 files"),
            ("key", "silver.app", "fail", "2 rows share event_id 'x'"),
            ("digest", "silver.app", "ok", "a" * 64),
        ),
        is_narrow=True,
    )
    assert result.notes == (
        "key silver.app: 2 rows share event_id 'x'",
        "digest silver.app: " + "a" * 64,
        "1 of 3 checks do not hold",
    )


def test_all_holds_is_one_line() -> None:
    checks = _checks(("row ledger", "bronze.app", "ok", "3 files"))
    assert checks_for_reading(checks, is_narrow=True).notes == ("all 1 checks hold",)


def test_warnings_are_counted() -> None:
    checks = _checks(
        ("row ledger", "bronze.app", "ok", "3 files"), ("silver to gold", "gold.user_day", "warn", "behind silver")
    )
    assert checks_for_reading(checks, is_narrow=False).notes == ("1 of 2 checks hold, 1 warn",)
