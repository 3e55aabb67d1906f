"""Holding rows against a table's contract before they are written."""

from __future__ import annotations

from tidelake.contracts.table import TableSpec, row_checks
from tidelake.errors import ContractError
from tidelake.gold.context import Gold


def hold_rows(gold: Gold, spec: TableSpec, rows: str) -> None:
    """Raise where rows break a contract.

    Args:
        rows: The table that holds them.

    Raises:
        ContractError: Says which check, and how many rows break it.
    """
    for name, broken in broken_checks(gold, spec, rows):
        raise ContractError(
            f"{spec.name}: {broken:,} rows break '{name}'. The table was left as it was.",
            hint=f"SELECT the rows of {spec.name} that break it, and mend the model or its contract.",
        )


def broken_checks(gold: Gold, spec: TableSpec, rows: str) -> list[tuple[str, int]]:
    """The checks of a contract that rows break, with how many do."""
    checks = row_checks(spec, rows)
    single = [check for check in checks if check.broken is not None]
    found: list[tuple[str, int]] = []
    if single:
        counts = ", ".join(f"count(*) FILTER (WHERE {check.broken}) AS c{i}" for i, check in enumerate(single))
        (counted,) = gold.query(f"SELECT {counts} FROM {rows}")
        found += [(check.name, counted[f"c{i}"]) for i, check in enumerate(single)]
    found += [(check.name, gold.query(check.sql)[0]["broken"]) for check in checks if check.broken is None]
    return [(name, broken) for name, broken in found if broken]
