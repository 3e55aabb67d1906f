"""A portable condition over the dimensions of a leaf table, worked out on Arrow columns: no engine is needed.

Comparisons, IN, BETWEEN, LIKE, IS NULL, AND, OR and NOT over columns, texts and numbers. A missing value is
`(unknown)`, a value like others, which IS NULL finds too; so nothing here is neither true nor false.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tidelake.analyses.change.leaves import UNKNOWN
from tidelake.engine.sql import check_expression, columns_of
from tidelake.engine.sql.parsing import statement
from tidelake.errors import QueryError, UnknownNameError

if TYPE_CHECKING:
    from sqlglot import exp

Bools = NDArray[np.bool_]
_COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "EQ": pc.equal,
    "NEQ": pc.not_equal,
    "GT": pc.greater,
    "GTE": pc.greater_equal,
    "LT": pc.less,
    "LTE": pc.less_equal,
}
_TURNED = {"EQ": "EQ", "NEQ": "NEQ", "GT": "LT", "GTE": "LTE", "LT": "GT", "LTE": "GTE"}


def missing_columns(text: str, table: pa.Table) -> tuple[str, ...]:
    """Columns that a condition names and the table lacks.

    Raises:
        QueryError: It is no portable condition.
    """
    check_expression(text)
    return tuple(name for name in columns_of(text) if name not in table.column_names)


def held(text: str, table: pa.Table) -> Bools:
    """Which rows a condition holds for; shape (rows,).

    Raises:
        QueryError: It is no portable condition, or says what cannot be worked out here.
        UnknownNameError: A column is not there.
    """
    missing = missing_columns(text, table)
    if missing:
        raise UnknownNameError("column", missing[0], table.column_names)
    (tree,) = statement(f"SELECT {text}").expressions
    return _Rows(text, table).of(tree)


class _Rows:
    def __init__(self, text: str, table: pa.Table) -> None:
        self._text, self._table = text, table

    def of(self, node: exp.Expr) -> Bools:
        kind = type(node).__name__
        if kind == "Paren":
            return self.of(node.this)
        if kind == "And":
            return self.of(node.this) & self.of(node.expression)
        if kind == "Or":
            return self.of(node.this) | self.of(node.expression)
        if kind == "Not":
            return ~self.of(node.this)
        if kind in _COMPARED:
            return self._compared(kind, node)
        if kind == "In":
            return self._any_of(node)
        if kind == "Between":
            column = self._column(node.this)
            low, high = (self._literal(node.args[side], column) for side in ("low", "high"))
            return _bools(pc.and_(pc.greater_equal(column, low), pc.less_equal(column, high)))
        if kind == "Like":
            column = self._column(node.this)
            return _bools(pc.match_like(column, self._literal(node.expression, column).as_py()))
        if kind == "Is" and type(node.expression).__name__ == "Null":
            return _bools(pc.equal(self._column(node.this), UNKNOWN))
        if kind == "Boolean":
            return np.full(self._table.num_rows, bool(node.this))
        raise self._refused(node)

    def _compared(self, kind: str, node: exp.Expr) -> Bools:
        left, right = node.this, node.expression
        if type(left).__name__ != "Column":
            left, right, kind = right, left, _TURNED[kind]
        if type(right).__name__ == "Column":
            return _bools(_COMPARED[kind](self._column(left), self._column(right)))
        column = self._column(left)
        return _bools(_COMPARED[kind](column, self._literal(right, column)))

    def _any_of(self, node: exp.Expr) -> Bools:
        column = self._column(node.this)
        if not node.expressions:
            raise self._refused(node)
        values = [self._literal(one, column).as_py() for one in node.expressions]
        return _bools(pc.is_in(column, value_set=pa.array(values, column.type)))

    def _column(self, node: exp.Expr) -> Any:
        if type(node).__name__ != "Column":
            raise self._refused(node)
        column = self._table[str(node.name)]
        if pa.types.is_dictionary(column.type) or pa.types.is_null(column.type):
            column = column.cast(pa.string())
        return pc.fill_null(column, UNKNOWN) if pa.types.is_string(column.type) else column

    def _literal(self, node: exp.Expr, column: Any) -> Any:
        sign = ""
        if type(node).__name__ == "Neg":
            sign, node = "-", node.this
        if type(node).__name__ != "Literal":
            raise self._refused(node)
        said = f"{sign}{node.this}"
        if pa.types.is_string(column.type) and not node.is_string:
            raise QueryError(
                f"'{self._text}' compares a text with the number {said}.", hint=f"Put it into quotes: '{said}'."
            )
        try:
            return pa.scalar(said).cast(column.type)
        except pa.ArrowInvalid as error:
            raise QueryError(f"'{self._text}': {said} is no {column.type}.") from error

    def _refused(self, node: exp.Expr) -> QueryError:
        return QueryError(
            f"'{self._text}': {node.sql()} cannot be worked out over dimensions.",
            hint="Compare columns with values: = <> < <= > >= IN BETWEEN LIKE, IS NULL; join them by AND, OR, NOT.",
        )


def _bools(values: Any) -> Bools:
    flat = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return np.asarray(pc.fill_null(flat, False).to_numpy(zero_copy_only=False), dtype=bool)
