"""docs/simulate.md names every scenario and every setting, with its default."""

from __future__ import annotations

import inspect
import re
from datetime import date
from pathlib import Path

import pytest

from tidelake.sources.simulate import SCENARIOS
from tidelake.sources.simulate.app_events import simulate_app_events
from tidelake.sources.simulate.collapse import simulate_collapse
from tidelake.sources.simulate.shop import simulate_shop
from tidelake.sources.simulate.streampro import simulate_streampro

PAGE = (Path(__file__).parents[2] / "docs" / "simulate.md").read_text()
OF_THE_COMMAND = {"plant", "out", "seed", "truth", "progress"}


def test_every_scenario_is_named() -> None:
    assert {name for name in SCENARIOS if f"`{name}`" not in PAGE} == set()


@pytest.mark.parametrize(
    ("heading", "simulator"),
    [
        ("A video app's clickstream", simulate_collapse),
        ("StreamPro", simulate_streampro),
        ("Pings", simulate_app_events),
        ("Shop", simulate_shop),
    ],
)
def test_settings_and_defaults_are_those_of_the_simulator(heading: str, simulator: object) -> None:
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    settings = section.split("| setting | default | meaning |")[1]
    said = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", settings, re.MULTILINE))
    parameters = inspect.signature(simulator).parameters  # type: ignore[arg-type]
    assert set(said) == set(parameters) - OF_THE_COMMAND
    for name, text in said.items():
        default = parameters[name].default
        shown = {True: "true", False: "false"}[default] if isinstance(default, bool) else default
        shown = str(shown) if isinstance(default, date) else shown
        assert text == ("the middle" if default is None else f"{shown:g}" if isinstance(shown, float) else str(shown))
