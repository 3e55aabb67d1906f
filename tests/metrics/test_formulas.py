"""The grammar of formulas over metrics: precedence, brackets, nulls, refusals."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidelake.errors import DefinitionError
from tidelake.metrics.formulas import parse_formula

VALUES = {"plays": 12.0, "active_users": 4.0, "sessions": 0.0, "web.views": 3.0, "lost": None}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plays / active_users", 3),
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("8 / 4 / 2", 1),  # from left to right
        ("8 - 4 - 2", 2),
        ("-plays + 20", 8),
        ("2 * -3", -6),
        ("100*(plays-active_users)/plays", 100 * 8 / 12),
        (".5 * plays", 6),
        ("web.views + 0", 3),
        ("plays / sessions", None),  # nothing to divide by
        ("plays / (active_users - 4)", None),
        ("lost + 1", None),
        ("0 * lost", None),  # missing is never 0
        ("sessions / plays", 0),
    ],
)
def test_formulas_are_worked_out_as_on_paper(text: str, value: float | None) -> None:
    assert parse_formula(text).value({**VALUES, "plays": 12.0}) == value


def test_the_sides_of_one_division_are_known() -> None:
    assert parse_formula("(plays + 1) / active_users").sides(VALUES) == (13, 4)
    assert parse_formula("plays / active_users + 1").sides(VALUES) == (None, None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("plays /", "missing at the end"),
        ("(plays", "left open"),
        ("plays active_users", "column 7: 'active_users' was not expected"),
        ("plays; import os", "';' is no part of a formula"),
        ("plays ** 2", r"'\*' was not expected"),
        ("__import__('os')", r"'''|'\('"),
        ("", "missing at the end"),
        ("1..2", "'.2' was not expected|was not expected"),
        ("(" * 99 + "1" + ")" * 99, "too many brackets"),
    ],
)
def test_what_is_no_formula_is_refused_with_its_place(text: str, says: str) -> None:
    with pytest.raises(DefinitionError, match=says):
        parse_formula(text)


@pytest.mark.parametrize("text", ["dau + wau", "2 * dau + wau / 3", "1 + (dau + (plays * 0 + wau))", "-dau + wau"])
def test_sums_of_distinct_actors_are_refused_with_the_reason(text: str) -> None:
    with pytest.raises(DefinitionError, match="would count twice"):
        parse_formula(text).check_sums(lambda name: name in ("dau", "wau"))


@pytest.mark.parametrize("text", ["dau / wau", "dau / wau + wau / dau", "plays / dau + plays / wau", "dau + 1"])
def test_ratios_of_distinct_actors_may_be_added(text: str) -> None:
    parse_formula(text).check_sums(lambda name: name in ("dau", "wau"))


NUMBERS = st.integers(0, 9).map(str)
TEXTS = st.recursive(
    NUMBERS | st.sampled_from(["plays", "active_users"]),
    lambda inner: (
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(" ".join)
        | inner.map(lambda text: f"({text})")
        | inner.map(lambda text: f"-({text})")
    ),
    max_leaves=12,
)
SIGNS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def reference(node: Any) -> float:
    """The value by Python's own grammar."""
    if isinstance(node, ast.BinOp):
        return float(SIGNS[type(node.op)](reference(node.left), reference(node.right)))
    if isinstance(node, ast.UnaryOp):
        return -reference(node.operand)
    return float(VALUES[node.id] or 0) if isinstance(node, ast.Name) else float(node.value)


@settings(max_examples=200)
@given(TEXTS)
def test_formulas_agree_with_another_reader_of_arithmetic(text: str) -> None:
    found = parse_formula(text).value(VALUES)
    try:
        expected: float | None = reference(ast.parse(text, mode="eval").body)
    except ZeroDivisionError:
        expected = None
    assert found == (pytest.approx(expected) if expected is not None else None)
