"""Seeded simulators: logs with a planted cause, and the truth beside them.

The names of the scenarios are what `tide simulate` takes. `collapse` is R0's story
(`regional_model_failure`); the other five stories of that clickstream go by their own names.
`streampro` is R1's platform, `app_events` are R2's pings, `shop` is R3's shop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

from tidelake.engine.progress import Progress, silent
from tidelake.errors import ProjectError, UnknownNameError
from tidelake.sources.simulate.app_events import simulate_app_events
from tidelake.sources.simulate.collapse import simulate_collapse
from tidelake.sources.simulate.output import SimulationResult
from tidelake.sources.simulate.planted import PLANTS
from tidelake.sources.simulate.shop import simulate_shop
from tidelake.sources.simulate.streampro import simulate_streampro

__all__ = ["SCENARIOS", "SimulationResult", "check_settings", "settings_of", "simulate"]

Simulator = Callable[..., SimulationResult]


# Name to simulator; every one takes `out`, and by keyword `seed`, `truth` and `progress`.
SCENARIOS: dict[str, Simulator] = {"collapse": partial(simulate_collapse, "regional_model_failure")}
SCENARIOS |= {name: partial(simulate_collapse, name) for name in PLANTS}
SCENARIOS |= {"streampro": simulate_streampro, "app_events": simulate_app_events, "shop": simulate_shop}
_OF_EVERY_SCENARIO = ("out", "seed", "truth", "progress")
# What a setting takes, by the annotation of the simulator's parameter.
_TAKES: dict[str, tuple[str, tuple[type, ...]]] = {
    "int": ("a whole number", (int,)),
    "float": ("a number", (int, float)),
    "date": ("a date such as 2025-11-17", (date,)),
    "bool": ("true or false", (bool,)),
}


def simulate(
    scenario: str,
    out: Path,
    *,
    seed: int = 1,
    truth: Path | None = None,
    progress: Progress = silent,
    **options: Any,
) -> SimulationResult:
    """Write a scenario's logs into a folder and its truth outside of it.

    The same arguments give the same bytes.

    Args:
        scenario: A name in SCENARIOS.
        out: Folder for the logs; must be empty or hold an earlier run's files.
        truth: Where the planted answer goes; null = `OUT.truth.json` beside the folder.
        options: Sizes and dates of the scenario, such as `users`, `days`, `first_date`.

    Raises:
        UnknownNameError: There is no such scenario, or it has no such setting.
        ProjectError: A setting takes another kind of value or is out of range, or the folder holds other files.
    """
    check_settings(scenario, options)
    return SCENARIOS[scenario](out, seed=seed, truth=truth, progress=progress, **options)


def settings_of(scenario: str) -> dict[str, str]:
    """A scenario's settings by name, each with what it takes: a key of `_TAKES`."""
    parameters = signature(SCENARIOS[scenario]).parameters
    return {
        name: str(parameter.annotation).removesuffix(" | None")
        for name, parameter in parameters.items()
        if name not in _OF_EVERY_SCENARIO
    }


def check_settings(scenario: str, options: Mapping[str, Any]) -> None:
    """Refuse settings that a scenario does not have, and values of another kind than they take.

    Raises:
        UnknownNameError: There is no such scenario, or it has no such setting.
        ProjectError: A setting takes another kind of value.
    """
    if scenario not in SCENARIOS:
        raise UnknownNameError("scenario", scenario, SCENARIOS)
    known = settings_of(scenario)
    for name, value in options.items():
        if name not in known:
            raise UnknownNameError("setting", name, known, where=f"the scenario {scenario}")
        what, kinds = _TAKES[known[name]]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ProjectError(
                f"{name} of the scenario {scenario} takes {what}, not '{value}'.",
                hint="docs/simulate.md lists the settings of each scenario.",
            )
