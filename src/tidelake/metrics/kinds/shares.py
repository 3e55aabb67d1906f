"""How a period's total is spread over categories."""

from __future__ import annotations

from collections.abc import Sequence


def concentration_sql(rows: str, groups: Sequence[str], *, top_k: int) -> str:
    """Indices of the shares s = amount / total of each group's categories, one row a group.

    Columns: `groups`, hhi (sum of s squared), shannon (minus the sum of s ln s), top_amount (of the `top_k` largest),
    total, categories (with an amount above 0), negatives (with one below).

    Args:
        rows: SELECT of the groups, `category` and `amount`: one row a group and category.
        groups: Columns that tell the totals apart, at least one.

    Source:
        C. Shannon, A mathematical theory of communication, 1948; A. Hirschman, The paternity of an index, AER 1964.
    """
    listed = ", ".join(groups)
    parts = f"PARTITION BY {listed}"
    ranked = (
        f"SELECT {listed}, amount, sum(amount) OVER ({parts}) AS total, "
        f"row_number() OVER ({parts} ORDER BY amount DESC, category) AS place FROM ({rows}) AS amounts "
        "WHERE amount <> 0"
    )
    shared = f"SELECT {listed}, amount, total, place, safe_divide(amount, total) AS share FROM ({ranked}) AS ranked"
    return (
        f"SELECT {listed}, sum(share * share) AS hhi, -sum(share * safe_ln(share)) AS shannon, "
        f"sum(CASE WHEN place <= {top_k} THEN amount ELSE 0e0 END) AS top_amount, sum(amount) AS total, "
        "count(*) FILTER (WHERE amount > 0) AS categories, count(*) FILTER (WHERE amount < 0) AS negatives "
        f"FROM ({shared}) AS shared GROUP BY {listed}"
    )
