"""Seeded simulators: logs with a planted cause, and the truth beside them.

The names of the scenarios are what `tide simulate` takes. `collapse` is R0's story
(`regional_model_failure`); the other five stories of that clickstream go by their own names.
`streampro` is R1's platform, `app_events` are R2's pings.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tidelake.engine.progress import Progress, silent
from tidelake.errors import UnknownNameError
from tidelake.sources.simulate.app_events import simulate_app_events
from tidelake.sources.simulate.collapse import simulate_collapse
from tidelake.sources.simulate.output import SimulationResult
from tidelake.sources.simulate.planted import PLANTS
from tidelake.sources.simulate.streampro import simulate_streampro

__all__ = ["SCENARIOS", "SimulationResult", "simulate"]

Simulator = Callable[..., SimulationResult]


def _collapse(plant: str) -> Simulator:
    def run(out: Path, **options: Any) -> SimulationResult:
        return simulate_collapse(plant, out, **options)

    return run


# Name to simulator; every one takes `out`, and by keyword `seed`, `truth` and `progress`.
SCENARIOS: dict[str, Simulator] = {"collapse": _collapse("regional_model_failure")}
SCENARIOS |= {name: _collapse(name) for name in PLANTS}
SCENARIOS |= {"streampro": simulate_streampro, "app_events": simulate_app_events}


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
        UnknownNameError: There is no such scenario.
        ProjectError: A size is out of range, or the folder holds other files.
    """
    if scenario not in SCENARIOS:
        raise UnknownNameError("scenario", scenario, SCENARIOS)
    return SCENARIOS[scenario](out, seed=seed, truth=truth, progress=progress, **options)
