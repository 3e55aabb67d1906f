"""The condition of a question (`--where`): parsed, its names checked, its literals bound as values of the query."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tidelake.contracts.source import Source, columns_by_field
from tidelake.engine.sql import check_expression, check_names_in, columns_of
from tidelake.engine.sql.parsing import statement
from tidelake.errors import UnknownNameError

if TYPE_CHECKING:
    from sqlglot import exp


@dataclass(frozen=True)
class Condition:
    """A condition over one row.

    Attributes:
        text: As it was written.
        sql: The same with `$where_0`, `$where_1` ... in the place of the texts and numbers that columns are
            compared with.
        values: What these stand for.
    """

    text: str
    sql: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def check_names(self, known: Collection[str], sources: Mapping[str, Source], *, where: str = "--where") -> None:
        """Refuse columns that are not there.

        Raises:
            QueryError: A name that the engine would answer by itself (`user`).
            UnknownNameError: Another one that no column has, with the nearest that are.
        """
        check_columns(self.text, known, sources, where=where)


def condition(text: str) -> Condition:
    """The condition that a text says.

    Raises:
        QueryError: It is not one portable condition over columns.
    """
    check_expression(text)
    from sqlglot import exp

    (tree,) = statement(f"SELECT {text}").expressions
    literals = [node for node in tree.dfs() if isinstance(node, exp.Literal)]
    tokens = _literals(text)
    if [str(node.this) for node in literals] != [said for _, _, said in tokens]:
        return Condition(text, text)  # the parser wrote it in another order: its literals were checked as they are
    values: dict[str, Any] = {}
    bound, after = [], 0
    for node, (start, end, _) in zip(literals, tokens, strict=True):
        if _is_compared(node):
            name = f"where_{len(values)}"
            values[name] = _value(node)
            bound += [text[after:start], f"${name}"]
            after = end
    return Condition(text, "".join([*bound, text[after:]]), values)


def _literals(text: str) -> list[tuple[int, int, str]]:
    """Texts and numbers of a condition: start, end and what they say."""
    from sqlglot.dialects.duckdb import DuckDB

    tokens = DuckDB().tokenize(text)
    wanted = ("STRING", "NUMBER")
    return [(token.start, token.end + 1, token.text) for token in tokens if token.token_type.name in wanted]


def check_columns(text: str, known: Collection[str], sources: Mapping[str, Source], *, where: str) -> None:
    """Refuse columns of a condition or an expression that are not among `known`; nothing where none is known yet.

    Raises:
        QueryError: A name that the engine would answer by itself (`user`).
        UnknownNameError: Another one that no column has, with the nearest that are.
    """
    check_names_in(text, known, columns_by_field(sources))
    if not known:
        return
    lower = {name.lower() for name in known}
    for name in columns_of(text):
        if name.lower() not in lower:
            raise unknown_column(text, name, known, where=where)


def unknown_column(text: str, name: str, known: Collection[str], *, where: str = "") -> UnknownNameError:
    """The error for a column of a condition that nothing has, by the dimension's name where it has one before it."""
    said = re.search(rf'\b(\w+)\."?{re.escape(name)}\b', text)
    if said is None:
        return UnknownNameError("column", name, known, where=where)
    dimensions = {one.partition(".")[0] for one in known if "." in one}
    if said[1] in dimensions:
        own = [one for one in known if one.startswith(f"{said[1]}.")]
        return UnknownNameError("column", f"{said[1]}.{name}", own, where=where)
    more = f"{said[1]}.{name} would be a column of a source with `fact: dimension`."
    return UnknownNameError("dimension", said[1], dimensions, where=where, more=more)


def conjunction(parts: Sequence[str | None]) -> str | None:
    """The conditions joined by AND; None without any."""
    said = [f"({part})" for part in parts if part]
    return " AND ".join(said) or None


def _is_compared(node: exp.Literal) -> bool:
    """Whether a column is compared with the literal: elsewhere (LIKE, patterns, DATE '...') its text is grammar."""
    from sqlglot import exp

    above = node.parent
    if isinstance(above, exp.Neg):
        above = above.parent
    compared = exp.EQ | exp.NEQ | exp.GT | exp.GTE | exp.LT | exp.LTE | exp.Between | exp.In
    return isinstance(above, compared) and any(isinstance(side, exp.Column) for side in above.args.values())


def _value(node: exp.Literal) -> str | int | float:
    said = str(node.this)
    if node.is_string:
        return said
    return int(said) if said.isdigit() else float(said)
