"""Writing a portable query for an engine: macros expanded, names and values put in, semantics kept.

For Spark, what sqlglot translates by name only is made to mean what it means on DuckDB: counts and
row numbers are BIGINT, `/` and avg give a DOUBLE, a number with a point is a DOUBLE, a cast to an integer
rounds as DuckDB does, and a cast that would read or write text in Spark's own way stops with an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from tidelake.engine.base import LAYERS
from tidelake.engine.sql import parsing
from tidelake.engine.sql.macros import MACROS, TEXT_HASH, hash_text
from tidelake.engine.sql.patterns import java_pattern
from tidelake.errors import QueryError

if TYPE_CHECKING:
    from sqlglot import exp

Dialect = Literal["duckdb", "spark"]
_INTEGERS = ("INT", "BIGINT", "SMALLINT", "TINYINT")
_TEXT_HINT = "text_to_integer, text_to_number, text_to_date, text_to_timestamp or text_to_boolean"


def translate(
    sql: str,
    dialect: Dialect,
    *,
    timezone: str = "UTC",
    tables: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
) -> str:
    """One SELECT in an engine's own words.

    For DuckDB only macros are expanded. The portable subset is not checked here; `check_portable` does.

    Args:
        sql: The query.
        dialect: The engine's.
        timezone: The project's zone, for `local_date` and its like.
        tables: What to call each `layer.table` (lower case) there; left as it is where not named.
        params: Values for `$name`, written as typed literals through the syntax tree. None leaves them.

    Raises:
        QueryError: A syntax error, or a `$name` without a value or a value without its `$name`.
    """
    if params is None:
        return _translated(sql, dialect, timezone, tuple(sorted((tables or {}).items())))
    return _written(sql, dialect, timezone, tables or {}, params)


@lru_cache(maxsize=256)
def _translated(sql: str, dialect: Dialect, timezone: str, tables: tuple[tuple[str, str], ...]) -> str:
    return _written(sql, dialect, timezone, dict(tables), None)


def _written(
    sql: str, dialect: Dialect, timezone: str, tables: Mapping[str, str], params: Mapping[str, Any] | None
) -> str:
    tree = parsing.select(sql).copy()
    if dialect == "spark":
        tree = each(tree, _for_spark)
    if params is not None:
        tree = bind(tree, params)
    rename(tree, tables)
    tree = each(tree, lambda node: expanded(node, dialect, timezone))
    return str(tree.sql(dialect=dialect))


def each(tree: exp.Expr, change: Callable[[exp.Expr], exp.Expr | None]) -> exp.Expr:
    """The tree with every node changed, the innermost first."""
    for node in reversed(list(tree.walk())):
        new = change(node)
        if new is None:
            continue
        if node is tree:
            tree = new
        else:
            node.replace(new)
    return tree


# --- macros


@lru_cache(maxsize=256)
def _body(name: str, count: int, dialect: Dialect, timezone: str) -> exp.Expr:
    """A macro's expression; `text_hash` is written in terms of another macro."""
    import sqlglot

    if name == TEXT_HASH:
        body = sqlglot.parse_one(hash_text(count), read="duckdb")
        return each(body, lambda node: expanded(node, dialect, timezone))
    return sqlglot.parse_one(MACROS[name].text(dialect, timezone), read=dialect)


def expanded(node: exp.Expr, dialect: Dialect, timezone: str) -> exp.Expr | None:
    """A macro's call as its expression; None for other nodes."""
    from sqlglot import exp

    if not isinstance(node, exp.Anonymous):
        return None
    name = str(node.this).lower()
    given = node.expressions
    if name == TEXT_HASH:
        names: Sequence[str] = [f"p{n}" for n in range(1, len(given) + 1)]
    elif name in MACROS:
        names = MACROS[name].parameters
    else:
        return None
    if len(given) != len(names):
        raise QueryError(f"{name}() takes {len(names)} values, not {len(given)}.")
    values = dict(zip(names, given, strict=True))
    body = _body(name, len(given), dialect, timezone).copy()
    for column in [part for part in body.find_all(exp.Column) if not part.table and part.name in values]:
        value = bracketed(values[column.name].copy())
        if column is body:
            body = value
        else:
            column.replace(value)
    return bracketed(body)


def bracketed(node: exp.Expr) -> exp.Expr:
    """The node in brackets where it would fall apart beside an operator."""
    from sqlglot import exp

    loose = isinstance(node, (exp.Binary, exp.Unary, exp.Between, exp.In, exp.Condition)) and not isinstance(
        node, (exp.Func, exp.Column, exp.Literal, exp.Paren, exp.Cast, exp.Dot, exp.Placeholder, exp.Window)
    )
    return exp.Paren(this=node) if loose or isinstance(node, exp.Connector | exp.DPipe) else node


# --- names and values


def rename(tree: exp.Expr, tables: Mapping[str, str]) -> None:
    """Put the engine's names in the place of `layer.table`, keeping the names that columns are qualified with."""
    from sqlglot import exp

    if not tables:
        return
    for table in list(parsing.real_tables(tree)):
        new = tables.get(f"{table.db}.{table.name}".lower())
        if new is None:
            continue
        if not table.alias:
            table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name)))
        table.set("this", exp.to_identifier(new))
        table.set("db", None)
    for column in tree.find_all(exp.Column):
        if column.db.lower() in (*LAYERS, "temp"):
            column.set("db", None)


def bind(tree: exp.Expr, params: Mapping[str, Any]) -> exp.Expr:
    """The tree with `$name` replaced by values.

    Raises:
        QueryError: A name without a value, or a value without its name.
    """
    from sqlglot import exp

    used: set[str] = set()

    def bound(node: exp.Expr) -> exp.Expr | None:
        if not isinstance(node, exp.Placeholder | exp.Parameter):
            return None
        name = node.name
        used.add(name)
        if name not in params:
            raise QueryError(f"${name} has no value.", hint="Bind each $name of the query once.")
        return literal(params[name])

    tree = each(tree, bound)
    if spare := sorted(set(params) - used):
        raise QueryError(f"The query has no ${spare[0]}.", hint="Bind only the names that the query has.")
    return tree


def literal(value: Any) -> exp.Expr:
    """A value as a typed literal of the syntax tree.

    Raises:
        QueryError: Queries take no values of this type.
    """
    from sqlglot import exp

    if value is None:
        return exp.Null()
    if isinstance(value, bool):
        return exp.Boolean(this=value)
    if isinstance(value, int):
        return exp.cast(_number(str(value)), "BIGINT") if abs(value) > 2**31 - 1 else _number(str(value))
    if isinstance(value, float):
        return exp.cast(exp.Literal.string(repr(value)), "DOUBLE")
    if isinstance(value, Decimal):
        _, digits, exponent = value.as_tuple()
        scale = -exponent if isinstance(exponent, int) and exponent < 0 else 0
        return exp.cast(exp.Literal.string(f"{value:f}"), f"DECIMAL({max(len(digits), scale + 1)}, {scale})")
    if isinstance(value, str):
        return exp.Literal.string(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise QueryError(f"The time {value} has no zone.", hint="Give it one: datetime(..., tzinfo=UTC).")
        text = value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00:00")
        return exp.cast(exp.Literal.string(text), "TIMESTAMPTZ", dialect="duckdb")
    if isinstance(value, date):
        return exp.cast(exp.Literal.string(value.isoformat()), "DATE")
    if isinstance(value, list | tuple | set | frozenset):
        return exp.Array(expressions=[literal(item) for item in value])
    raise QueryError(f"A query takes no {type(value).__name__}.", hint="Numbers, text, dates, times and lists.")


def _number(text: str) -> exp.Expr:
    from sqlglot import exp

    return exp.Neg(this=exp.Literal.number(text[1:])) if text.startswith("-") else exp.Literal.number(text)


# --- Spark


def _for_spark(node: exp.Expr) -> exp.Expr | None:
    """What means something else on Spark, so that it means what it does on DuckDB; None where nothing differs."""
    from sqlglot import exp

    text = (exp.Length, exp.StrPosition, exp.Unicode)
    times = (
        exp.Extract,
        exp.Year,
        exp.Quarter,
        exp.Month,
        exp.Day,
        exp.DayOfMonth,
        exp.Hour,
        exp.Minute,
        exp.DayOfYear,
    )
    numbering = (exp.RowNumber, exp.Rank, exp.DenseRank, exp.Ntile)
    if isinstance(node, (*text, *times)) or (isinstance(node, exp.Window) and isinstance(node.this, numbering)):
        return plain_cast(node, "BIGINT")
    if isinstance(node, exp.Floor | exp.Ceil):
        return plain_cast(node, "DOUBLE")
    if isinstance(node, exp.Literal):
        digits = str(node.this)
        inside = isinstance(node.parent, exp.Cast) and node.parent.to.is_type("decimal")
        is_decimal = not node.is_string and "." in digits and "e" not in digits.lower() and not inside
        return exp.Literal.number(f"{digits}e0") if is_decimal else None
    if isinstance(node, exp.Div):
        node.set("this", plain_cast(bracketed(node.this), "DOUBLE"))
    elif isinstance(node, exp.Avg) and not isinstance(node.this, exp.Distinct):
        node.set("this", plain_cast(node.this, "DOUBLE"))
    elif isinstance(node, exp.CTE):
        node.set("materialized", None)
    elif isinstance(node, exp.RegexpLike | exp.RegexpExtract | exp.RegexpReplace):
        if isinstance(node.expression, exp.Literal):
            node.set("expression", exp.Literal.string(java_pattern(node.expression.this)))
    elif isinstance(node, exp.Cast) and not isinstance(node, exp.TryCast):
        return _cast_for_spark(node)
    return None


def plain_cast(node: exp.Expr, kind: str) -> exp.Expr:
    """A cast without a look at the value's type."""
    from sqlglot import exp

    return exp.Cast(this=node.copy(), to=exp.DataType.build(kind))


def _cast_for_spark(node: exp.Cast) -> exp.Expr | None:
    """A cast that looks at the type of its value, which Spark knows when it plans: the rest folds away."""
    from sqlglot import exp

    value, kind = node.this, node.to.this.name
    if isinstance(value, exp.Literal | exp.Null | exp.Cast | exp.Boolean | exp.Count):
        return None
    if kind in _INTEGERS:
        template = (
            "CASE WHEN typeof(x) = 'string' THEN raise_error('{text}') "
            "WHEN typeof(x) IN ('double', 'float') THEN CAST(rint(CAST(CAST(x AS STRING) AS DOUBLE)) AS {kind}) "
            "WHEN typeof(x) LIKE 'decimal%' THEN CAST(round(CAST(CAST(x AS STRING) AS DECIMAL(38, 18))) AS {kind}) "
            "ELSE CAST(x AS {kind}) END"
        )
    elif kind in ("TEXT", "VARCHAR"):
        template = (
            "CASE WHEN typeof(x) IN ('double', 'float', 'timestamp', 'timestamp_ntz') THEN raise_error('The text of "
            "floating numbers and timestamps differs between engines: write timestamp_text(ts), or cast to DECIMAL "
            "first') ELSE CAST(x AS STRING) END"
        )
    elif kind in ("DOUBLE", "BOOLEAN", "DATE", "TIMESTAMPTZ"):
        template = "CASE WHEN typeof(x) = 'string' THEN raise_error('{text}') ELSE CAST(x AS {kind}) END"
    else:
        return None
    spark_kind = {"TIMESTAMPTZ": "TIMESTAMP"}.get(kind, kind)
    text = f"Casts of text differ between engines: write {_TEXT_HINT}"
    return _filled(template.format(text=text, kind=spark_kind), value)


@lru_cache(maxsize=64)
def _template(text: str) -> exp.Expr:
    import sqlglot

    return sqlglot.parse_one(text, read="spark")


def _filled(template: str, value: exp.Expr) -> exp.Expr:
    from sqlglot import exp

    body = _template(template).copy()
    for column in [part for part in body.find_all(exp.Column) if part.name == "x"]:
        column.replace(bracketed(value.copy()))
    return body
