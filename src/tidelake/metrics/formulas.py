"""Arithmetic over metrics: `plays / active_users`, read by a small grammar and worked out without `eval`.

    sum     = product, {("+" | "-"), product}
    product = factor, {("*" | "/"), factor}
    factor  = number | name | "-", factor | "(", sum, ")"

A name is a metric's; a number is written with digits and at most one point.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from tidelake.errors import DefinitionError

Sign = Literal["+", "-", "*", "/"]
_TOKEN = re.compile(r"\s*(?:(?P<number>\d+(?:\.\d*)?|\.\d+)|(?P<name>[A-Za-z_][\w.]*)|(?P<sign>[-+*/()]))")
_DEEPEST = 50


@dataclass(frozen=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True)
class Name:
    """A metric's value."""

    name: str


@dataclass(frozen=True)
class Operation:
    """Two formulas and what is done with them."""

    sign: Sign
    left: Node
    right: Node


Node = Number | Name | Operation


@dataclass(frozen=True)
class Formula:
    """A formula as it was written, and as a tree."""

    text: str
    root: Node

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics that it names, each once, in the order of the text."""
        return tuple(dict.fromkeys(_names(self.root)))

    def value(self, values: Mapping[str, float | None]) -> float | None:
        """The formula's value; None where a part is None or a denominator is 0."""
        return _value(self.root, values)

    def sides(self, values: Mapping[str, float | None]) -> tuple[float | None, float | None]:
        """Numerator and denominator where the formula is a division as a whole, else (None, None)."""
        if isinstance(self.root, Operation) and self.root.sign == "/":
            return _value(self.root.left, values), _value(self.root.right, values)
        return None, None

    def check_sums(self, is_distinct: Callable[[str], bool]) -> None:
        """Refuse a sum of two numbers of distinct actors.

        Raises:
            DefinitionError: Some actors would count twice in it, and nobody could say how many.
        """
        _counted(self.root, is_distinct, self.text)


@lru_cache(maxsize=256)
def parse_formula(text: str) -> Formula:
    """The formula that a text says.

    Raises:
        DefinitionError: It is none; says what is wrong and at which column.
    """
    reader = _Reader(text)
    root = reader.sum(0)
    reader.end()
    return Formula(text, root)


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[int, str, str]] = []
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                rest = text[at:].lstrip()
                raise self._fault(f"'{rest[0]}' is no part of a formula", len(text) - len(rest))
            kind = found.lastgroup or ""
            self._tokens.append((found.start(kind), kind, found[kind]))
            at = found.end()
        self._next = 0

    def sum(self, depth: int) -> Node:
        if depth > _DEEPEST:
            raise self._fault("too many brackets", 0)
        left = self._product(depth)
        while (sign := self._sign("+", "-")) is not None:
            left = Operation(sign, left, self._product(depth))
        return left

    def end(self) -> None:
        if self._next < len(self._tokens):
            at, _, said = self._tokens[self._next]
            raise self._fault(f"'{said}' was not expected here", at)

    def _product(self, depth: int) -> Node:
        left = self._factor(depth)
        while (sign := self._sign("*", "/")) is not None:
            left = Operation(sign, left, self._factor(depth))
        return left

    def _factor(self, depth: int) -> Node:
        if self._next >= len(self._tokens):
            raise self._fault("a number or a metric's name is missing at the end", len(self._text))
        at, kind, said = self._tokens[self._next]
        self._next += 1
        if kind == "number":
            return Number(float(said))
        if kind == "name":
            return Name(said)
        if said == "-" and depth <= _DEEPEST:
            return Operation("-", Number(0.0), self._factor(depth + 1))
        if said == "(":
            inner = self.sum(depth + 1)
            if self._next >= len(self._tokens) or self._tokens[self._next][2] != ")":
                raise self._fault("a bracket is left open", at)
            self._next += 1
            return inner
        raise self._fault(f"'{said}' was not expected here", at)

    def _sign(self, *signs: Sign) -> Sign | None:
        if self._next < len(self._tokens):
            said = self._tokens[self._next][2]
            for sign in signs:
                if said == sign:
                    self._next += 1
                    return sign
        return None

    def _fault(self, what: str, at: int) -> DefinitionError:
        return DefinitionError(
            f"The formula '{self._text}', column {at + 1}: {what}.",
            hint="Write metrics' names, numbers, + - * / and brackets: plays / active_users.",
        )


def _names(node: Node) -> list[str]:
    if isinstance(node, Name):
        return [node.name]
    return [*_names(node.left), *_names(node.right)] if isinstance(node, Operation) else []


def _value(node: Node, values: Mapping[str, float | None]) -> float | None:
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Name):
        return values[node.name]
    left, right = _value(node.left, values), _value(node.right, values)
    if left is None or right is None:
        return None
    if node.sign == "/":
        return left / right if right else None
    return left + right if node.sign == "+" else left - right if node.sign == "-" else left * right


def _counted(node: Node, is_distinct: Callable[[str], bool], text: str) -> str | None:
    """The metric whose distinct actors a part of the formula still counts; None where it counts none."""
    if isinstance(node, Name):
        return node.name if is_distinct(node.name) else None
    if isinstance(node, Number):
        return None
    left, right = _counted(node.left, is_distinct, text), _counted(node.right, is_distinct, text)
    if node.sign == "+" and left and right:
        raise DefinitionError(
            f"The formula '{text}' adds {left} and {right}: both count different actors, and one who is in both "
            "would count twice.",
            hint="Define one distinct metric whose `event:` or `where:` takes both in.",
        )
    if node.sign in ("*", "/"):
        return None if left and right else left if node.sign == "/" else left or right
    return left or right
