"""A project's pipeline as nodes and edges: from where rows come to the tables that answer questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidelake.contracts.source import Source
from tidelake.reports.mermaid import Edge, Node

QUARANTINE = "silver.quarantine"


def pipeline(
    sources: Mapping[str, Source],
    built_in: Mapping[str, Sequence[str]],
    models: Mapping[str, Sequence[str]],
) -> tuple[list[Node], list[Edge]]:
    """Nodes and edges of a project.

    Args:
        sources: By name.
        built_in: Built-in gold tables (`gold.name`) with the tables that each reads.
        models: The project's own tables with the tables that each reads.
    """
    nodes = [Node(f"input.{name}", "input", source.place) for name, source in sources.items()]
    nodes += [Node(f"bronze.{name}", "bronze", f"bronze.{name}") for name in sources]
    nodes += [Node(f"silver.{name}", "silver", f"silver.{name}") for name in sources]
    nodes.append(Node(QUARANTINE, "quarantine", QUARANTINE))
    nodes += [Node(name, "gold", name) for name in built_in]
    nodes += [Node(name, "model", name) for name in models]
    edges = [edge for name, source in sources.items() for edge in _through(name, source)]
    known = {node.name for node in nodes}
    edges += [
        Edge(needed, name)
        for name, needs in {**built_in, **models}.items()
        for needed in sorted(set(needs))
        if needed in known
    ]
    return nodes, edges


def _through(name: str, source: Source) -> list[Edge]:
    """A source's way to silver, and the dimensions that its rows are checked against."""
    edges = [
        Edge(f"input.{name}", f"bronze.{name}"),
        Edge(f"bronze.{name}", f"silver.{name}"),
        Edge(f"bronze.{name}", QUARANTINE, "breaks a rule"),
    ]
    referred = {rule.references.split(".")[0] for rule in source.contract.fields.values() if rule.references}
    return edges + [Edge(f"silver.{other}", f"silver.{name}", "references") for other in sorted(referred - {name})]
