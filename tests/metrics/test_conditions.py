"""Conditions of questions: their literals become values of the query, and their columns must be there."""

from __future__ import annotations

from typing import Any

import pytest

from tidelake.errors import QueryError, UnknownNameError
from tidelake.metrics.conditions import condition


@pytest.mark.parametrize(
    ("text", "sql", "values"),
    [
        ("event_name = 'play'", "event_name = $where_0", {"where_0": "play"}),
        ("seconds > 3.5 AND n <> 7", "seconds > $where_0 AND n <> $where_1", {"where_0": 3.5, "where_1": 7}),
        ("region IN ('a', 'it''s')", "region IN ($where_0, $where_1)", {"where_0": "a", "where_1": "it's"}),
        ("n BETWEEN -3 AND 4", "n BETWEEN -$where_0 AND $where_1", {"where_0": 3, "where_1": 4}),
        ("NOT (region = 'ü' OR n = 1e3)", "NOT (region = $where_0 OR n = $where_1)", {"where_0": "ü", "where_1": 1e3}),
        ("day = DATE '2025-03-03'", "day = DATE '2025-03-03'", {}),  # the text is part of the type's grammar
        ("name LIKE 'a%'", "name LIKE 'a%'", {}),
        ("starts_with(name, 'x') AND n = 1", "starts_with(name, 'x') AND n = $where_0", {"where_0": 1}),
        ("region IS NULL", "region IS NULL", {}),
    ],
)
def test_what_columns_are_compared_with_is_bound(text: str, sql: str, values: dict[str, Any]) -> None:
    found = condition(text)
    assert (found.sql, found.values) == (sql, values)


@pytest.mark.parametrize(
    "text", ["region = 'a'; DROP TABLE x", "(SELECT 1) = 1", "count(*) > 1", "region =", "a = 1, b = 2", "region = 'a"]
)
def test_what_is_not_one_condition_is_refused(text: str) -> None:
    with pytest.raises(QueryError):
        condition(text)


def test_unknown_columns_are_answered_with_near_ones() -> None:
    with pytest.raises(UnknownNameError) as caught:
        condition("regoin = 'a'").check_names(["region", "device"], {})
    assert "'region'" in str(caught.value.hint)
    known = ["region", "tier", "users.tier", "users.region"]
    with pytest.raises(UnknownNameError, match=r"Unknown dimension 'usres' in --where") as caught:
        condition("usres.teir = 'a'").check_names(known, {})
    assert str(caught.value.hint).startswith("Did you mean 'users'?")
    with pytest.raises(UnknownNameError, match=r"Unknown column 'users.teir'") as caught:
        condition("region = 'a' AND users.teir = 'a'").check_names(known, {})
    assert caught.value.hint == "Did you mean 'users.tier'?"
    condition("REGION = 'a'").check_names(["region"], {})
    condition("anything = 1").check_names([], {})  # before the first build no column is known
