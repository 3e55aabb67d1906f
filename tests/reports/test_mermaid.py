"""Pictures of the pipeline, and documents that carry them."""

from __future__ import annotations

import pytest

from tidelake.contracts.source import source_from
from tidelake.errors import DefinitionError
from tidelake.reports.mermaid import Edge, Node, flowchart, places, refreshed
from tidelake.reports.pipeline import pipeline

EVENTS = {"name": "app", "path": "data/day_*.json", "mapping": {"event_time": "ts"}}


def test_flowchart_has_a_box_a_layer_and_an_arrow_an_edge() -> None:
    nodes = [Node("input.app", "input", 'a "b"'), Node("bronze.app", "bronze", "bronze.app")]
    assert flowchart(nodes, [Edge("input.app", "bronze.app", "x")]).splitlines() == [
        "flowchart LR",
        '  subgraph layer0["sources"]',
        '    input_app[/"a #quot;b#quot;"/]',
        "  end",
        '  subgraph layer1["bronze: as received"]',
        '    bronze_app[("bronze.app")]',
        "  end",
        '  input_app -- "x" --> bronze_app',
    ]


def test_an_edge_to_nowhere_is_refused() -> None:
    with pytest.raises(DefinitionError, match=r"gold\.lost"):
        flowchart([Node("a", "gold", "a")], [Edge("a", "gold.lost")])


def test_pipeline_leads_from_input_to_model_and_names_references() -> None:
    users = source_from({"name": "users", "path": "u.csv", "fact": "dimension", "key": ["id"]})
    events = source_from({**EVENTS, "contract": {"fields": {"user": {"references": "users.id"}}}})
    nodes, edges = pipeline(
        {"app": events, "users": users},
        {"gold.user_day": ("silver.app",)},
        {"gold.mine": ("gold.user_day", "silver.app", "elsewhere.table")},
    )
    assert [node.kind for node in nodes] == [
        "input",
        "input",
        "bronze",
        "bronze",
        "silver",
        "silver",
        "quarantine",
        "gold",
        "model",
    ]
    assert Edge("silver.users", "silver.app", "references") in edges
    assert Edge("bronze.app", "silver.quarantine", "breaks a rule") in edges
    assert [edge for edge in edges if edge.end == "gold.mine"] == [
        Edge("gold.user_day", "gold.mine"),
        Edge("silver.app", "gold.mine"),
    ]


def test_only_marked_places_are_made_anew() -> None:
    text = "a\n<!-- tide:diagram examples/x -->\nold\n<!-- /tide:diagram -->\nb\n"
    new = refreshed(text, {"diagram": lambda argument: f"made from {argument}"})
    assert new == "a\n<!-- tide:diagram examples/x -->\n\nmade from examples/x\n\n<!-- /tide:diagram -->\nb\n"
    assert refreshed(new, {"diagram": lambda argument: f"made from {argument}"}) == new
    assert places(new) == ["diagram"]


def test_a_place_that_nothing_makes_is_an_error() -> None:
    with pytest.raises(DefinitionError, match="tide:picture"):
        refreshed("<!-- tide:picture -->\n<!-- /tide:picture -->", {"diagram": str})
