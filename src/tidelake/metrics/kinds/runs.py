"""Runs of days: maximal stretches on which a condition holds, and the median of lengths seen only in part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def runs_sql(rows: str, segments: Sequence[str], condition: str, *, days: str, is_final: bool = False) -> str:
    """Maximal runs of days on which a condition over `value` holds, one row each.

    Columns: `segments`, first_date, last_date, length_days, is_start_known, is_end_known. An end of a run is known
    where the next date's status is `complete`: a missing day, one received in part, one that may still change and
    the edge of the data leave open how long the run really was.

    Args:
        rows: SELECT with `day`, `value` and the segments, without a gap in the days.
        days: Table of `day, status`.
        is_final: A value for which the condition does not hold stays so when more is received: then any value ends
            a run for sure.

    Source:
        Gaps and islands: consecutive dates minus their row number are one date (J. Celko, SQL for Smarties, ch. 32).
    """
    listed = "".join(f"{name}, " for name in segments)
    parts = f"PARTITION BY {', '.join(segments)} " if segments else ""
    kept = "".join(f"runs.{name}, " for name in segments)
    beside = valued = ""
    is_known = {"before": "", "after": ""}
    if is_final:
        beside = (
            f", lag(value) OVER ({parts}ORDER BY day) AS value_before"
            f", lead(value) OVER ({parts}ORDER BY day) AS value_after"
        )
        for side in is_known:
            held = condition.replace("value", f"value_{side}")
            valued += f", count(*) FILTER (WHERE NOT ({held})) AS ends_{side}"  # within the run it holds
            is_known[side] = f" OR ends_{side} > 0"
    return (
        f"SELECT {kept}first_date, last_date, length_days, coalesce(before.status, 'missing') = 'complete'"
        f"{is_known['before']} AS is_start_known, coalesce(after.status, 'missing') = 'complete'"
        f"{is_known['after']} AS is_end_known FROM ("
        f"SELECT {listed}min(day) AS first_date, max(day) AS last_date, count(*) AS length_days{valued} FROM ("
        f"SELECT *, add_days(day, -row_number() OVER ({parts}ORDER BY day)) AS anchor "
        f"FROM (SELECT {listed}day, value{beside} FROM ({rows}) AS series) AS sided WHERE {condition}) AS numbered "
        f"GROUP BY {listed}anchor) AS runs "
        f"LEFT JOIN {days} AS before ON before.day = add_days(runs.first_date, -1) "
        f"LEFT JOIN {days} AS after ON after.day = add_days(runs.last_date, 1)"
    )


def kaplan_meier_median(whole: Mapping[int, int], censored: Mapping[int, int]) -> int | None:
    """The smallest length that no more than half of the runs outlast; None where more than half may.

    At each length t at which whole runs ended, d of the r that had lasted at least t, survival is multiplied by
    1 - d / r; a censored run is among the r up to its own length.

    Args:
        whole: Number of runs by their length in days.
        censored: Number of runs by the length that was seen of them.

    Source:
        E. L. Kaplan, P. Meier: Nonparametric estimation from incomplete observations, JASA 53 (1958), 457-481.
    """
    at_risk = sum(whole.values()) + sum(censored.values())
    numerator = denominator = 1  # survival as a fraction of integers: exactly one half is one half
    for length in sorted({*whole, *censored}):
        ended = whole.get(length, 0)
        numerator, denominator = numerator * (at_risk - ended), denominator * at_risk
        if 2 * numerator <= denominator:
            return length
        at_risk -= ended + censored.get(length, 0)
    return None
