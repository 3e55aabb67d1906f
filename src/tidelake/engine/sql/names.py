"""Names that an engine answers by itself where no column has them: `user` is then whoever runs the query.

A log's field `user` is the column `actor_id` in silver, so `count(DISTINCT user)` would be 1 without a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from tidelake.engine.sql.parsing import Problem, name_in_text, place, refuse, statement, tables_of, written_name

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlglot import exp

Columns = Callable[[str], Collection[str] | None]
Parts = Mapping[str, Mapping[str, str]]

_WHO = {
    "user": "who runs the query",
    "current_user": "who runs the query",
    "session_user": "who runs the query",
    "current_role": "who runs the query",
    "current_schema": "the engine's own schema",
    "current_catalog": "the engine's own catalog",
}
# What a query may well ask for, unless a field of the log has that name.
_WHEN = dict.fromkeys(
    ("current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"), "the time of the query"
)
_ANSWERED = _WHO | _WHEN
_WORD = re.compile(rf"\b({'|'.join(_ANSWERED)})\b", re.IGNORECASE)
# The same in brackets, by the names that the parser gives them; `_WHEN` has the others.
_DRAWN = ("now", "get_current_timestamp", "transaction_timestamp", "current_localtime", "rand", "uuid")
_CALL = re.compile(rf"\b({'|'.join(_DRAWN)}|today|current_localtimestamp|random|gen_random_uuid)\s*\(", re.IGNORECASE)
_ANY = "*"


def check_names(sql: str, schema: Callable[[str], pa.Schema | None], parts: Parts) -> None:
    """Refuse names that no table in scope has as a column and that the engine would answer by itself.

    Args:
        schema: The columns of a table by its name; None where there is no such table.
        parts: What silver tables call the fields of their records: table, field, column.

    Raises:
        QueryError: Says line and column, and what the field is called here.
    """

    def columns(table: str) -> Collection[str] | None:
        found = schema(table)
        return None if found is None else found.names

    if _WORD.search(sql):
        refuse(_problems(sql, columns, _called(parts, tables_of(sql))))


def check_names_in(condition: str, known: Collection[str], parts: Parts, *, is_kept: bool = False) -> None:
    """The same of a condition over the columns of one table.

    Args:
        is_kept: What the condition decides is kept in a table: the time of the query and chance are refused too.

    Raises:
        QueryError: As `check_names`.
    """
    if _WORD.search(condition) or (is_kept and _CALL.search(condition)):
        above = "SELECT 1 AS one FROM gold.facts WHERE\n"
        found = [*_problems(above + condition, lambda _: known, _called(parts, []))]
        if is_kept:
            found += _fleeting(above + condition, known)
        refuse(problem._replace(line=problem.line - 1) for problem in found)


def _fleeting(sql: str, known: Collection[str]) -> Iterator[Problem]:
    """What gives something else at every run: the time of the query, and chance."""
    from sqlglot import exp

    columns = {item.lower() for item in known}
    for node in statement(sql).walk():
        is_call = "start" in node.meta
        name = _name(node)
        if name not in _WHEN or (name in columns and not is_call):
            name = written_name(node) if isinstance(node, exp.Func) and written_name(node) in _DRAWN else None
        if name is not None:
            yield Problem(
                *(place(sql, node) if is_call else _first(sql, name)),
                f"{name_in_text(sql, node) if is_call else name} gives something else at every run, and what it "
                "decides is kept.",
                "Write a fixed value, such as DATE '2025-01-31'.",
            )


def _called(parts: Parts, tables: Collection[str]) -> dict[str, dict[str, str]]:
    """Columns by field and table: of the tables that are read where some of them are silver's, else of all."""
    read = [table for table in tables if table in parts]
    found: dict[str, dict[str, str]] = {}
    for table in read or parts:
        for name, column in parts[table].items():
            found.setdefault(name.lower(), {})[table] = column
    return found


def _problems(sql: str, columns: Columns, called: Mapping[str, Mapping[str, str]]) -> Iterator[Problem]:
    from sqlglot import exp

    tree = statement(sql)
    for node in tree.walk():
        name = _name(node)
        if name is None or (name in _WHEN and name not in called):
            continue
        offered = {item.lower() for item in _offered(node, tree, columns)}
        if name in offered or _ANY in offered:
            continue
        where = place(sql, node) if "start" in node.meta or isinstance(node, exp.Column) else _first(sql, name)
        here = " and ".join(f"{column} in {table}" for table, column in called.get(name, {}).items())
        yield Problem(
            *where,
            f"No table here has a column '{name}', so it would be {_ANSWERED[name]}.",
            f"The field '{name}' is {here}." if here else "DESCRIBE layer.table shows a table's columns.",
        )


def _first(sql: str, name: str) -> tuple[int, int]:
    """Line and column of a word; the parser does not keep those of functions without brackets."""
    start = next((found.start() for found in _WORD.finditer(sql) if found[0].lower() == name), 0)
    return sql.count("\n", 0, start) + 1, start - sql.rfind("\n", 0, start)


def _name(node: exp.Expr) -> str | None:
    """The name, in lower case, that an engine may answer by itself: a bare word, quoted or not."""
    from sqlglot import exp

    if isinstance(node, exp.Column):
        name = "" if node.table else node.name.lower()
        return name if name in _ANSWERED else None
    if isinstance(node, exp.Func) and not isinstance(node, exp.Anonymous) and not any(node.args.values()):
        name = str(node.sql_name()).lower()
        return name if name in _ANSWERED else None
    return None


def _offered(node: exp.Expr, tree: exp.Expr, columns: Columns) -> Iterator[str]:
    """Names that stand for something where the node is: columns of the FROMs around it, and aliases."""
    from sqlglot import exp

    inside, around = node, node.parent
    while around is not None:
        if isinstance(around, exp.Select):
            yield from _aliases(around, inside)
            yield from _from(around, tree, columns)
        elif isinstance(around, exp.SetOperation):
            yield from _outputs(around, tree, columns)
        elif isinstance(around, exp.CTE) or (
            isinstance(around, exp.Subquery) and isinstance(around.parent, exp.From | exp.Join)
        ):
            return
        inside, around = around, around.parent


def _aliases(select: exp.Select, inside: exp.Expr) -> Iterator[str]:
    """Aliases of the SELECT; within one of its columns those of the columns before it."""
    from sqlglot import exp

    for column in select.expressions:
        if column is inside:
            return
        if isinstance(column, exp.Alias):
            yield column.alias


def _from(select: exp.Select, tree: exp.Expr, columns: Columns) -> Iterator[str]:
    first = select.args.get("from_") or select.args.get("from")
    joined = [join.this for join in select.args.get("joins") or ()]
    for part in [first.this, *joined] if first is not None else joined:
        yield from _read(part, tree, columns)


def _read(part: exp.Expr, tree: exp.Expr, columns: Columns) -> Iterator[str]:
    """Names that one part of a FROM offers."""
    from sqlglot import exp

    alias = part.args.get("alias")
    if isinstance(alias, exp.TableAlias):
        yield from (item.name for item in (alias.this, *alias.columns) if item is not None)
    for join in part.args.get("joins") or ():
        yield from _read(join.this, tree, columns)
    if isinstance(part, exp.Subquery):
        inner = part.this
        yield from _outputs(inner, tree, columns) if isinstance(inner, exp.Query) else _read(inner, tree, columns)
    elif isinstance(part, exp.Table) and part.db:
        found = columns(f"{part.db}.{part.name}".lower())
        yield from [_ANY] if found is None else found
    elif isinstance(part, exp.Table):
        yield from _of_common_table(part, tree, columns)


def _of_common_table(part: exp.Table, tree: exp.Expr, columns: Columns) -> Iterator[str]:
    from sqlglot import exp

    named = [item for item in tree.find_all(exp.CTE) if item.alias.lower() == part.name.lower()]
    if not named:
        yield _ANY
    for item in named:
        if part.find_ancestor(exp.CTE) is not item:  # a recursive part offers what its first SELECT does
            yield from item.alias_column_names
            yield from _outputs(item.this, tree, columns)


def _outputs(query: exp.Expr, tree: exp.Expr, columns: Columns) -> Iterator[str]:
    """Names of a query's columns."""
    from sqlglot import exp

    while isinstance(query, exp.SetOperation | exp.Subquery):
        query = query.this
    if isinstance(query, exp.Select):
        for column in query.expressions:
            if column.is_star:
                yield from _from(query, tree, columns)
            else:
                yield column.output_name
