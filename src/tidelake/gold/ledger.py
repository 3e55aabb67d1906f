"""The row ledger from silver to gold: every row of a source is in somebody's day, without an actor, or filtered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from tidelake.errors import LedgerError
from tidelake.gold.context import Gold
from tidelake.gold.sqltext import dates_condition


def gold_ledger(gold: Gold, days: Sequence[date] | None = None) -> list[dict[str, Any]]:
    """One row a local date of the event sources, from the tables themselves.

    Columns: activity_date, silver_rows, user_day_events, events_without_actor, filtered, is_balanced:
    silver rows = events in user_day + events without actor + filtered.

    Args:
        days: Dates to look at; None = all.
    """
    if not gold.events.sources or gold.lake.version("gold.user_day") is None:
        return []
    silver = " UNION ALL ".join(
        f"SELECT event_date AS day, count(*) AS silver_rows, 0 AS user_day_events, 0 AS events_without_actor, "
        f"0 AS filtered FROM {table} WHERE {dates_condition('event_date', days)} GROUP BY event_date"
        for table in gold.events.tables
    )
    within = dates_condition("activity_date", days)
    rows = gold.query(
        "SELECT day AS activity_date, CAST(sum(silver_rows) AS BIGINT) AS silver_rows, "
        "CAST(sum(user_day_events) AS BIGINT) AS user_day_events, "
        "CAST(sum(events_without_actor) AS BIGINT) AS events_without_actor, CAST(sum(filtered) AS BIGINT) AS filtered "
        f"FROM ({silver} "
        "UNION ALL SELECT activity_date AS day, 0 AS silver_rows, event_count AS user_day_events, "
        f"0 AS events_without_actor, 0 AS filtered FROM gold.user_day WHERE {within} "
        "UNION ALL SELECT activity_date AS day, 0 AS silver_rows, 0 AS user_day_events, events_without_actor, "
        f"filtered_count AS filtered FROM gold.event_day WHERE dimension = '(all)' AND {within}) AS parts "
        "GROUP BY day ORDER BY day"
    )
    for row in rows:
        parts = row["user_day_events"] + row["events_without_actor"] + row["filtered"]
        row["is_balanced"] = row["silver_rows"] == parts
    return rows


def hold_ledger(gold: Gold, days: Sequence[date]) -> None:
    """Raise where rows of silver and gold do not add up on some dates.

    Raises:
        LedgerError: Says the first date and its numbers.
    """
    broken = [row for row in gold_ledger(gold, days) if not row["is_balanced"]]
    if broken:
        row = broken[0]
        raise LedgerError(
            f"{row['activity_date']}: silver has {row['silver_rows']:,} rows, gold {row['user_day_events']:,} in "
            f"user_day, {row['events_without_actor']:,} without actor and {row['filtered']:,} filtered "
            f"({len(broken)} dates do not balance).",
            hint="`tide build --full-refresh` makes gold anew; please report it, with the ledger.",
        )
