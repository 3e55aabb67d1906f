"""Mermaid flowcharts of a pipeline, and documents that carry them without going stale.

A document marks a place with `<!-- tide:NAME ARGUMENT -->` and its end with `<!-- /tide:NAME -->`; what stands
between the two is made by the command and checked by it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tidelake.errors import DefinitionError

Kind = Literal["input", "bronze", "silver", "quarantine", "gold", "model"]

_GROUPS: dict[Kind, str] = {
    "input": "sources",
    "bronze": "bronze: as received",
    "silver": "silver: clean",
    "quarantine": "silver: clean",
    "gold": "gold: for analysis",
    "model": "the project's own models",
}
_BLOCK = re.compile(
    r"(?P<open><!-- tide:(?P<name>[a-z]+)(?: +(?P<argument>\S+))? -->\n).*?(?P<close><!-- /tide:(?P=name) -->)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Node:
    """A table, or where rows come from. `name` is unique; `label` is what a reader sees."""

    name: str
    kind: Kind
    label: str


@dataclass(frozen=True)
class Edge:
    """Rows flow from one node to another."""

    start: str
    end: str
    label: str = ""


def flowchart(nodes: Sequence[Node], edges: Sequence[Edge]) -> str:
    """A Mermaid flowchart, left to right, one box a layer; the same input gives the same text.

    Raises:
        DefinitionError: An edge starts or ends at a node that is not there.
    """
    known = {node.name for node in nodes}
    for edge in edges:
        if lost := {edge.start, edge.end} - known:
            raise DefinitionError(f"The pipeline has an edge to {', '.join(sorted(lost))}, which is no table of it.")
    lines = ["flowchart LR"]
    titles = list(dict.fromkeys(_GROUPS.values()))
    for index, title in enumerate(titles):
        members = [node for node in nodes if _GROUPS[node.kind] == title]
        if members:
            lines.append(f'  subgraph layer{index}["{title}"]')
            lines.extend(f"    {_shape(node)}" for node in members)
            lines.append("  end")
    for edge in edges:
        arrow = f'-- "{_escaped(edge.label)}" -->' if edge.label else "-->"
        lines.append(f"  {_identifier(edge.start)} {arrow} {_identifier(edge.end)}")
    return "\n".join(lines)


def _shape(node: Node) -> str:
    name, label = _identifier(node.name), _escaped(node.label)
    match node.kind:
        case "input":
            return f'{name}[/"{label}"/]'
        case "quarantine":
            return f'{name}{{{{"{label}"}}}}'
        case _:
            return f'{name}[("{label}")]'


def _identifier(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def _escaped(text: str) -> str:
    return text.replace('"', "#quot;").replace("<", "&lt;").replace(">", "&gt;")


def fenced(diagram: str) -> str:
    """A diagram as a fenced block, which GitHub and editors draw."""
    return f"```mermaid\n{diagram}\n```"


def refreshed(text: str, makers: dict[str, Callable[[str], str]]) -> str:
    """The document with every marked place made anew.

    Args:
        text: The document.
        makers: By name of the place: what makes its text from the mark's argument ("" where there is none).

    Raises:
        DefinitionError: A place has a name that nobody makes.
    """

    def made(match: re.Match[str]) -> str:
        maker = makers.get(match["name"])
        if maker is None:
            raise DefinitionError(
                f"The document marks a place tide:{match['name']}, which nothing makes.",
                hint=f"Places are: {', '.join('tide:' + name for name in sorted(makers))}.",
            )
        return f"{match['open']}\n{maker(match['argument'] or '').strip()}\n\n{match['close']}"

    return _BLOCK.sub(made, text)


def places(text: str) -> list[str]:
    """Names of the marked places of a document, in order."""
    return [match["name"] for match in _BLOCK.finditer(text)]
