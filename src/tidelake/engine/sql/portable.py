"""The walk that refuses SQL which engines answer differently.

Every rule here stands for a difference that was measured between DuckDB and Spark; `docs/portable-sql.md`
lists them, and each has a test that shows the refusal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from tidelake.engine.sql import parsing
from tidelake.engine.sql.functions import ADVICE, ALLOWED, ALLOWED_NAMES, REFUSED_NAMES
from tidelake.engine.sql.macros import HASH_ARITIES, MACROS, TEXT_HASH
from tidelake.engine.sql.parsing import Problem
from tidelake.engine.sql.patterns import pattern_fault
from tidelake.errors import QueryError

if TYPE_CHECKING:
    from sqlglot import exp

Fault = tuple[str, str]
Rule = Callable[["exp.Expr"], Iterator[Fault]]


def check_portable(sql: str) -> None:
    """Refuse a query that engines would answer differently, or that does more than read the lake.

    Raises:
        QueryError: Says line, column, what differs and what to write, for up to five places.
    """
    parsing.refuse(problems(sql))


def problems(sql: str) -> list[Problem]:
    """Everything in one SELECT that is not portable, in the order of the text.

    Raises:
        QueryError: A syntax error, or not one SELECT.
    """
    return list(_problems(sql))


@lru_cache(maxsize=512)
def _problems(sql: str) -> tuple[Problem, ...]:
    tree = parsing.select(sql)
    found = {*parsing.misplaced_tables(sql, tree), *parsing.outside_functions(sql, tree), *_walk(sql, tree)}
    found.update(_unnamed_columns(sql, tree))
    return tuple(sorted(found))


def check_expression(text: str) -> None:
    """Refuse text that is not one portable expression over columns (a rule's or a filter's `where:`).

    Raises:
        QueryError: It is a query, several expressions, or not portable.
    """
    from sqlglot import exp

    prefix = "SELECT "
    try:
        tree = parsing.select(f"{prefix}{text}\n")
    except QueryError as error:
        said = str(error).replace(f"'{prefix}", "'")
        moved = re.sub(r"(?<=^line 1, column )\d+", lambda place: str(max(1, int(place[0]) - len(prefix))), said)
        raise QueryError(moved, hint=f"{error.hint or ''} Such as: country = 'DE'.".lstrip()) from error
    one = isinstance(tree, exp.Select) and len(tree.expressions) == 1
    if not one or set(_parts(tree)) - {"expressions", "kind", "hint"} or tree.find(exp.Subquery, exp.Star, exp.Alias):
        raise QueryError(f"'{text}' is not one expression.", hint="Write a condition over columns: country = 'DE'.")
    if list(tree.find_all(exp.Select)) != [tree] or tree.find(exp.AggFunc, exp.Window):
        raise QueryError(f"'{text}' is not a condition over one row.", hint="Leave out subqueries and aggregates.")
    found = [*parsing.outside_functions(text, tree), *_walk(prefix + text, tree)]
    parsing.refuse(_shifted(problem, len(prefix)) for problem in found)


def _shifted(problem: Problem, by: int) -> Problem:
    column = problem.column - by if problem.line == 1 else problem.column
    return problem._replace(column=max(1, column))


def _parts(tree: exp.Expr) -> list[str]:
    return [name for name, value in tree.args.items() if value]


def _walk(sql: str, tree: exp.Expr) -> Iterator[Problem]:
    for node in tree.walk():
        for rule in _rules().get(type(node).__name__, ()):
            for what, instead in rule(node):
                yield Problem(*parsing.place(sql, node), what, instead)
        for what, instead in _function(sql, node):
            yield Problem(*parsing.place(sql, node), what, instead)


def _unnamed_columns(sql: str, tree: exp.Expr) -> Iterator[Problem]:
    """Columns of the result whose name the engine would make up."""
    from sqlglot import exp

    if isinstance(tree, exp.Query):
        for column in tree.selects:
            if not column.output_name and not column.is_star:
                yield Problem(
                    *parsing.place(sql, column), "A column without a name gets another one on Spark.", "Write AS name."
                )


def _function(sql: str, node: exp.Expr) -> Iterator[Fault]:
    """Functions that are outside of the subset, and misused macros."""
    from sqlglot import exp

    if not isinstance(node, exp.Func):
        return
    name = parsing.written_name(node)
    if isinstance(node, exp.Anonymous) and (name in MACROS or name == TEXT_HASH):
        yield from _macro_call(node, name)
        return
    kind = type(node).__name__
    said = parsing.name_in_text(sql, node)
    advice = ADVICE.get(said) or ADVICE.get(name) or ADVICE.get(kind.lower())
    if (kind in ALLOWED and said not in REFUSED_NAMES) or (isinstance(node, exp.Anonymous) and name in ALLOWED_NAMES):
        return
    if isinstance(node, exp.Table | exp.Query | exp.Subquery) or kind in _REFUSED_BY_RULE:
        return
    if advice:
        yield f"{said}() {advice[0]}.", advice[1]
    else:
        yield f"{said}() is not in the portable subset.", f"See {parsing.PAGE} for the functions that are."


_REFUSED_BY_RULE = {"IntDiv", "ILike", "SimilarTo", "TryCast", "JSONExtract", "JSONExtractScalar", "RegexpILike"}


def _macro_call(node: exp.Anonymous, name: str) -> Iterator[Fault]:
    from sqlglot import exp

    given = node.expressions
    if name == TEXT_HASH:
        if len(given) not in HASH_ARITIES:
            yield f"{name}() takes 1 to {HASH_ARITIES[-1]} values, not {len(given)}.", ""
        return
    macro = MACROS[name]
    if len(given) != len(macro.parameters):
        yield f"{name}({', '.join(macro.parameters)}) takes {len(macro.parameters)} values, not {len(given)}.", ""
        return
    if macro.is_aggregate and isinstance(node.parent, (exp.Filter, exp.Window)):
        yield f"{name}() takes neither FILTER nor OVER.", "Aggregate CASE WHEN ... THEN x END in a subquery."
    literals = dict(macro.literals)
    for parameter, value in zip(macro.parameters, given, strict=True):
        if parameter not in literals:
            continue
        if not isinstance(value, exp.Literal):
            yield f"{name}() needs a literal for {parameter}.", ""
        elif literals[parameter] and value.name not in literals[parameter]:
            yield f"{name}() takes {' or '.join(map(repr, literals[parameter]))}, not '{value.name}'.", ""
        elif parameter == "pattern" and (fault := pattern_fault(value.name)):
            yield f"In this pattern {fault}", ""


@lru_cache(maxsize=1)
def _rules() -> dict[str, tuple[Rule, ...]]:
    """Rules by the class of node that they look at."""
    from tidelake.engine.sql import rules

    return rules.RULES
