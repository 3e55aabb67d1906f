"""Silver's own SELECTs on Spark: the functions by which DuckDB reads JSON and text, written for Spark.

Silver parses on DuckDB's hot path with functions that are outside of the portable subset. Each is put here in
Spark's words with DuckDB's meaning, for what JSON can hold; what has no such words is refused.

A record's field (`json_transform(text, '{"name": "VARCHAR"}')`, read as `f.name`) is on both engines:
null where the key is missing or its value is null; with `VARCHAR` a string without its quotes, and the JSON text
of every other value; with `JSON` always the JSON text, so that `"12"` and `12` stay apart. Numbers come as their
value is written by the engine (`1e3` as `1000.0`), booleans as `true` and `false`, nested values as compact JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from tidelake.engine.sql import parsing
from tidelake.engine.sql.translate import bind, bracketed, each, expanded, plain_cast, rename
from tidelake.errors import UnsupportedError

if TYPE_CHECKING:
    from sqlglot import exp

_WHOLE = r"r'\A\s*[+-]?[0-9]+\s*\z'"
_NUMBER = r"r'\A\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\s*\z'"
_DATE = r"r'\A\s*[0-9]{4,5}-[0-9]{1,2}-[0-9]{1,2}'"

# DuckDB's cast of a text that may be wrong, by type. `x` stands for the text.
_TRY_CAST = {
    "BIGINT": f"CASE WHEN x RLIKE {_WHOLE} THEN TRY_CAST(TRIM(x) AS BIGINT) WHEN x RLIKE {_NUMBER} "
    "THEN TRY_CAST(round(TRY_CAST(TRY_CAST(TRIM(x) AS DOUBLE) AS DECIMAL(38, 10))) AS BIGINT) END",
    "DOUBLE": f"CASE WHEN x RLIKE {_NUMBER} OR lower(trim(x)) IN ('inf', '-inf', 'infinity', '-infinity', 'nan') "
    "THEN TRY_CAST(TRIM(x) AS DOUBLE) END",
    "BOOLEAN": "CASE WHEN lower(x) IN ('true', 't', 'yes', 'y', '1') THEN true "
    "WHEN lower(x) IN ('false', 'f', 'no', 'n', '0') THEN false END",
    "DATE": f"CASE WHEN x RLIKE {_DATE} THEN TRY_CAST(TRIM(x) AS DATE) END",
    "TIMESTAMPTZ": f"CASE WHEN x RLIKE {_DATE} THEN TRY_CAST(x AS TIMESTAMP) END",
    "TIMESTAMP": f"CASE WHEN x RLIKE {_DATE} THEN TRY_CAST(x AS TIMESTAMP_NTZ) END",
}
_CALLS = {
    # Spark's parser stops after the first value: what may follow it cannot close both a list and an object.
    "json_valid": "(try_parse_json('[' || x || ']') IS NOT NULL AND try_parse_json('{\"v\":' || x || '}') IS NOT NULL)",
    "strlen": "CAST(octet_length(x) AS BIGINT)",
    "make_timestamptz": "timestamp_micros(x)",
    "epoch_us": "unix_micros(x)",
    "isfinite": "(x IS NOT NULL AND CAST(x AS STRING) NOT IN ('NaN', 'Infinity', '-Infinity'))",
}
_KINDS = (
    "CASE WHEN x LIKE 'OBJECT%' THEN 'OBJECT' WHEN x LIKE 'ARRAY%' THEN 'ARRAY' WHEN x = 'STRING' THEN 'VARCHAR' "
    "WHEN x = 'VOID' THEN 'NULL' ELSE x END"
)


def translate_ingest(
    sql: str,
    *,
    timezone: str = "UTC",
    tables: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
) -> str:
    """One of silver's SELECTs in Spark's words; arguments as for `translate`.

    Raises:
        QueryError: A syntax error.
        UnsupportedError: A function that has no equal on Spark.
    """
    from sqlglot import exp

    tree = parsing.select(sql).copy()
    fields = _fields(tree)
    tree = each(tree, partial(_for_spark, fields=fields))
    tree = bind(tree, params or {})
    rename(tree, tables or {})
    tree = each(tree, lambda node: expanded(node, "spark", timezone))
    for node in tree.find_all(exp.Anonymous):
        if str(node.this).lower() in ("try_strptime", "timezone", "strptime", "json_transform"):
            raise UnsupportedError(
                f"{node.this}() of a source's contract is not made on Spark yet.",
                hint="Build this source with `engine: duckdb`; Spark reads the tables that DuckDB makes.",
            )
    return str(tree.sql(dialect="spark"))


def _fields(tree: exp.Expr) -> dict[str, str]:
    """How each field of the record's struct is read: `VARCHAR` or `JSON`."""
    from sqlglot import exp

    found: dict[str, str] = {}
    for node in tree.find_all(exp.Anonymous):
        if str(node.this).lower() == "json_transform":
            found |= json.loads(node.expressions[1].name)
    return found


def _filled(template: str, value: exp.Expr) -> exp.Expr:
    import sqlglot
    from sqlglot import exp

    body = sqlglot.parse_one(template, read="spark")
    for column in [part for part in body.find_all(exp.Column) if part.name == "x" and not part.table]:
        column.replace(bracketed(value.copy()))
    return body


def _for_spark(node: exp.Expr, *, fields: Mapping[str, str]) -> exp.Expr | None:
    """A node of silver's SQL in Spark's words; None where they are the same."""
    from sqlglot import exp

    change = _CHANGES.get(type(node).__name__)
    if change is not None:
        return change(node)
    if isinstance(node, exp.Column) and node.table == "f" and node.name in fields:
        return _field(node, fields[node.name])
    if isinstance(node, exp.Anonymous):
        name = str(node.this).lower()
        if name == "json_transform":
            schema = ", ".join(f"`{field.replace('`', '``')}` VARIANT" for field in fields)
            return exp.Anonymous(this="from_json", expressions=[node.expressions[0].copy(), exp.Literal.string(schema)])
        if name == "hash":
            return exp.Anonymous(this="xxhash64", expressions=[part.copy() for part in node.expressions])
        if name in _CALLS and len(node.expressions) == 1:
            return _filled(_CALLS[name], node.expressions[0])
        if name == "timezone" and isinstance(node.parent, exp.Cast) and node.parent.to.is_type("date"):
            zone, instant = node.expressions
            return exp.Anonymous(this="from_utc_timestamp", expressions=[instant.copy(), zone.copy()])
    return None


def _field(node: exp.Column, read_as: str) -> exp.Expr:
    """A field's text. A variant sorts the keys of nested values, so those are taken from the record itself."""
    import sqlglot
    from sqlglot import exp

    plain = "CAST(x AS STRING)" if read_as == "VARCHAR" else "to_json(x)"
    template = sqlglot.parse_one(
        f"CASE WHEN schema_of_variant(x) = 'VOID' THEN NULL WHEN schema_of_variant(x) RLIKE '^(OBJECT|ARRAY)' "
        f"THEN get_json_object(text, p) ELSE {plain} END",
        read="spark",
    )
    for column in list(template.find_all(exp.Column)):
        if column.name == "x":
            column.replace(node.copy())
        elif column.name == "p":
            column.replace(_path(node.name))
    return template


def _path(name: str) -> exp.Expr:
    """A field's JSON path as a literal."""
    from sqlglot import exp

    return exp.Literal.string("$['" + name.replace("\\", "\\\\").replace("'", "\\'") + "']")


def _named(node: exp.Expr) -> exp.Expr | None:
    """A field whose name a lambda's `name` holds: Spark writes the path `$['name']`."""
    from sqlglot import exp

    if not isinstance(node.expression, exp.DPipe):
        return None
    path: exp.Expr = exp.column("name")
    for mark, written in (("\\", "\\\\"), ("'", "\\'")):
        path = exp.Replace(this=path, expression=exp.Literal.string(mark), replacement=exp.Literal.string(written))
    for part, is_first in ((exp.Literal.string("$['"), True), (exp.Literal.string("']"), False)):
        path = exp.DPipe(this=part, expression=path) if is_first else exp.DPipe(this=path, expression=part)
    return exp.Anonymous(this="get_json_object", expressions=[node.this.copy(), path])


def _try_cast(node: exp.Expr) -> exp.Expr | None:
    from sqlglot import exp

    kind = node.args["to"].this.name
    if isinstance(node.this, exp.Round) or kind not in _TRY_CAST:
        return None
    return _filled(_TRY_CAST[kind], node.this)


def _json_type(node: exp.Expr) -> exp.Expr:
    import sqlglot
    from sqlglot import exp

    name = node.args["expression"].name.removeprefix('$."').removesuffix('"').replace('\\"', '"')
    inner = sqlglot.parse_one("schema_of_variant(variant_get(try_parse_json(x), p))", read="spark")
    for column in list(inner.find_all(exp.Column)):
        column.replace(bracketed(node.this.copy()) if column.name == "x" else _path(name))
    return _filled(_KINDS, inner)


def _whole_match(node: exp.Expr) -> exp.Expr:
    from sqlglot import exp

    text = exp.Literal.string(f"(?d)\\A(?:{node.expression.name})\\z")
    return exp.RegexpLike(this=node.this.copy(), expression=text)


def _match(node: exp.Expr) -> exp.Expr:
    from sqlglot import exp

    pattern = str(node.expression.name)
    flags = "(?id)" if pattern.startswith("(?i)") else "(?d)"
    pattern = pattern.removeprefix("(?i)")
    if pattern.endswith("$") and not pattern.endswith("\\$"):
        pattern = pattern[:-1] + "\\z"
    return exp.RegexpLike(this=node.this.copy(), expression=exp.Literal.string(flags + pattern))


def _length(node: exp.Expr) -> exp.Expr:
    """The length of a list of names; silver's SQL asks for no other."""
    from sqlglot import exp

    return plain_cast(exp.Anonymous(this="size", expressions=[node.this.copy()]), "BIGINT")


def _item(node: exp.Expr) -> exp.Expr:
    """One item of a list, null beyond its end. The parser counts from 0."""
    from sqlglot import exp

    return exp.Anonymous(this="get", expressions=[node.this.copy(), node.expressions[0].copy()])


def _decimal(node: exp.Expr) -> exp.Expr | None:
    from sqlglot import exp

    text = str(node.this)
    return exp.Literal.number(f"{text}e0") if not node.args.get("is_string") and "." in text else None


_CHANGES: dict[str, Callable[[Any], exp.Expr | None]] = {
    "TryCast": _try_cast,
    "JSONType": _json_type,
    "JSONExtractScalar": _named,
    "RegexpFullMatch": _whole_match,
    "RegexpLike": _match,
    "Length": _length,
    "Bracket": _item,
    "Literal": _decimal,
}
