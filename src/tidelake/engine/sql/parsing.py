"""Reading one SELECT: its syntax tree, its tables, where a fault stands, and that it only reads.

sqlglot takes 0.2 s to import, so it is imported inside functions: paths that never parse never pay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from tidelake.engine.base import LAYERS
from tidelake.errors import QueryError

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.dialects.dialect import Dialect

PAGE = "docs/portable-sql.md"
_SHOWN = 5
_KNOWN_LAYERS = (*LAYERS, "temp")
_TABLE_FUNCTIONS = ("unnest", "range", "generate_series")
# Functions that read files, settings or secrets, or run text as SQL.
_OUTSIDE = re.compile(
    r"^(read_\w+|parquet_\w+|sniff_csv|glob|getenv|getvariable|current_setting|query|query_table|which_secret"
    r"|duckdb_\w+|pragma_\w+|sqlite_\w+|postgres_\w+|mysql_\w+|iceberg_\w+|delta_scan|write_\w+|copy_\w+"
    r"|file_\w+|json_execute_serialized_sql|from_substrait\w*|nextval|setseed|load_\w+|checkpoint|force_checkpoint)$",
    re.IGNORECASE,
)

_MISSING = re.compile(r"Required keyword: '\w+' missing for <class '.*'>")  # the parser's own words


class Problem(NamedTuple):
    """A fault in a query: where it stands (from 1), what is wrong, what to write."""

    line: int
    column: int
    what: str
    instead: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.what} {self.instead}".rstrip()


@lru_cache(maxsize=512)
def statement(sql: str) -> exp.Expr:
    """The syntax tree of the one statement in the text. Shared between callers: copy it before you change it.

    Raises:
        QueryError: A syntax error, no statement, or several.
    """
    import sqlglot
    from sqlglot.errors import ParseError, TokenError

    try:
        found = [tree for tree in sqlglot.parse(sql, read=_dialect()) if tree is not None]
    except ParseError as error:
        detail: dict[str, Any] = dict(error.errors[0]) if error.errors else {}
        said = _MISSING.sub("something is missing", str(detail.get("description") or error).strip().rstrip("."))
        near = str(detail.get("highlight") or "").strip()
        line, column = _place_of_error(sql, detail)
        raise QueryError(
            f"line {line}, column {column}: {said}" + (f", near '{near}'." if near else "."),
            hint="Queries are written in DuckDB's dialect.",
        ) from error
    except TokenError as error:
        raise QueryError(
            f"That is not SQL: {str(error).strip()}", hint="A quote or a bracket may be left open."
        ) from error
    if len(found) != 1:
        raise QueryError(f"One statement is expected, not {len(found)}.", hint="Write one SELECT; WITH is allowed.")
    return found[0]


@lru_cache(maxsize=1)
def _dialect() -> type[Dialect]:
    """DuckDB's dialect, in which the macros are plain functions also where sqlglot knows their names."""
    from sqlglot.dialects.duckdb import DuckDB

    from tidelake.engine.sql.macros import MACROS, TEXT_HASH

    names = {name.upper() for name in (*MACROS, TEXT_HASH)}
    functions = {name: build for name, build in DuckDB.Parser.FUNCTIONS.items() if name not in names}
    parser = type("Parser", (DuckDB.Parser,), {"FUNCTIONS": functions})
    return type("TidelakeSQL", (DuckDB,), {"Parser": parser})


def _place_of_error(sql: str, detail: dict[str, Any]) -> tuple[int, int]:
    line = int(detail.get("line") or 1)
    lines = sql.splitlines() or [""]
    width = len(lines[min(line, len(lines)) - 1])
    return line, max(1, min(int(detail.get("col") or 1), width))


def select(sql: str) -> exp.Expr:
    """The tree of one SELECT (also UNION and the like, with or without WITH).

    Raises:
        QueryError: It is something else.
    """
    from sqlglot import exp

    tree = statement(sql)
    if isinstance(tree, exp.Query):
        return tree
    kind = "VALUES" if isinstance(tree, exp.Values) else (sql.split(None, 1) or ["that"])[0].upper()
    raise QueryError(f"A SELECT is expected, not {kind}.", hint="Write one SELECT; WITH is allowed.")


def place(sql: str, node: exp.Expr) -> tuple[int, int]:
    """Line and column (from 1) at which a node starts, as near as the parser tells."""
    start = _start(node)
    if start is None:
        above = node.parent
        while above is not None and start is None:
            start, above = above.meta.get("start"), above.parent
    before = sql[: start or 0]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _start(node: exp.Expr) -> int | None:
    starts = [part.meta["start"] for part in node.walk() if "start" in part.meta]
    return min(starts) if starts else None


def refuse(problems: Iterable[Problem]) -> None:
    """Raise a QueryError that names every problem; nothing where there is none."""
    found = sorted(set(problems))
    if not found:
        return
    shown = [str(problem) for problem in found[:_SHOWN]]
    if len(found) > _SHOWN:
        shown.append(f"... and {len(found) - _SHOWN} more.")
    raise QueryError("\n".join(shown), hint=f"{PAGE} has the table of what to write instead, and why.")


def common_table_names(tree: exp.Expr) -> set[str]:
    """Lower-case names of the WITH parts of a query."""
    from sqlglot import exp

    return {part.alias.lower() for part in tree.find_all(exp.CTE)}


def columns_of(expression: str) -> tuple[str, ...]:
    """Names of the columns that an expression reads, as written, each once.

    Raises:
        QueryError: It is not one expression.
    """
    from sqlglot import exp

    return tuple(dict.fromkeys(column.name for column in statement(f"SELECT {expression}").find_all(exp.Column)))


def tables_of(sql: str) -> list[str]:
    """The tables a query reads, `layer.name` in lower case, each once, in the order of the text.

    Raises:
        QueryError: A syntax error, or a table without a layer.
    """
    return list(_tables_of(sql))


@lru_cache(maxsize=512)
def _tables_of(sql: str) -> tuple[str, ...]:
    from sqlglot import exp

    tree = statement(sql)
    if not isinstance(tree, exp.Describe | exp.Summarize):
        tree = select(sql)
    refuse(misplaced_tables(sql, tree))
    names = dict.fromkeys(f"{table.db}.{table.name}".lower() for table in real_tables(tree))
    return tuple(names)


def real_tables(tree: exp.Expr) -> Iterator[exp.Table]:
    """Tables in FROMs that are neither WITH parts nor table functions, in the order of the text."""
    from sqlglot import exp

    parts = common_table_names(tree)
    found = [
        table
        for table in tree.find_all(exp.Table)
        if isinstance(table.this, exp.Identifier) and (table.db or table.name.lower() not in parts)
    ]
    yield from sorted(found, key=lambda table: _start(table) or 0)


def misplaced_tables(sql: str, tree: exp.Expr) -> Iterator[Problem]:
    """Tables that are not `layer.name`: files, system tables, names without a layer."""
    for table in real_tables(tree):
        if table.catalog or table.db.lower() not in _KNOWN_LAYERS:
            written = ".".join(part for part in (table.catalog, table.db, table.name) if part)
            yield Problem(
                *place(sql, table),
                f"'{written}' is no table of the lake.",
                f"Tables are layer.name, a source's rows are silver.SOURCE; layers: {', '.join(_KNOWN_LAYERS)}.",
            )


def outside_functions(sql: str, tree: exp.Expr) -> Iterator[Problem]:
    """Functions that reach outside of the lake: files, environment, settings, SQL made from text."""
    from sqlglot import exp

    for node in tree.find_all(exp.Func):
        name = written_name(node)
        if _OUTSIDE.match(name):
            yield Problem(
                *place(sql, node),
                f"{name}() reaches outside of the lake.",
                "Queries read tables of the lake only.",
            )
    for table in tree.find_all(exp.Table):
        if isinstance(table.this, exp.Func) and written_name(table.this) not in _TABLE_FUNCTIONS:
            name = written_name(table.this)
            if not _OUTSIDE.match(name) and not isinstance(table.this, (exp.Unnest, exp.GenerateSeries)):
                yield Problem(*place(sql, table), f"{name}() cannot stand in a FROM.", "Read tables of the lake.")


def written_name(node: exp.Expr) -> str:
    """A function's name in lower case, as DuckDB calls it where the parser has kept that."""
    from sqlglot import exp

    if isinstance(node, exp.Anonymous):
        return str(node.this).lower()
    if isinstance(node, exp.ParameterizedAgg | exp.AnonymousAggFunc):
        return str(node.this).lower()
    if isinstance(node, exp.Func):
        return str(node.sql_name()).lower()
    return type(node).__name__.lower()


def name_in_text(sql: str, node: exp.Expr) -> str:
    """A function's name as the text has it, in lower case."""
    start, end = node.meta.get("start"), node.meta.get("end")
    text = sql[start : end + 1].lower() if start is not None and end is not None else ""
    return text if re.fullmatch(r"[a-z_][a-z0-9_]*", text) else written_name(node)


def check_read_only(sql: str) -> None:
    """Refuse everything but one statement that reads tables of the lake (`tide sql`).

    SELECT, and DESCRIBE or SUMMARIZE of a table or of a SELECT, are taken. The portable subset is
    not asked for; `check_portable` does that.

    Raises:
        QueryError: It would write, attach, read files or settings; or a syntax error.
    """
    from sqlglot import exp

    tree = statement(sql)
    if isinstance(tree, (exp.Describe, exp.Summarize)):
        inner = tree.this
        if not isinstance(inner, (exp.Table, exp.Query)):
            raise QueryError("DESCRIBE and SUMMARIZE take a table or a SELECT.", hint="DESCRIBE silver.events")
    else:
        select(sql)
    writers = (exp.DDL, exp.DML, exp.Command, exp.Into, exp.Create, exp.Drop, exp.Attach, exp.Copy, exp.Set)
    for node in tree.find_all(*writers):
        if isinstance(node, exp.Query):
            continue
        raise QueryError(f"{type(node).__name__.upper()} is not allowed here: this command only reads.")
    refuse([*misplaced_tables(sql, tree), *outside_functions(sql, tree)])


def pretty(sql: str) -> str:
    """SELECTs with a clause a line, for a reader; a blank line between two of them, and comments stay."""
    import sqlglot

    found = []
    for part in filter(str.strip, sql.split("\n\n")):
        lines = part.strip().splitlines()
        said = [line for line in lines if line.startswith("--")]  # sqlglot would write /* */
        tree = sqlglot.parse_one("\n".join(line for line in lines if line not in said), dialect="duckdb")
        found.append("\n".join([*said, tree.sql(dialect="duckdb", pretty=True)]))
    return "\n\n".join(found)
