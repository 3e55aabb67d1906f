"""`tide simulate`: logs with a planted cause, and the truth beside them."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidelake.cli.meter import meter
from tidelake.cli.options import FormatName, FormatOption, OutputOption, examples
from tidelake.errors import ProjectError

if TYPE_CHECKING:
    from tidelake.engine.result import Result
    from tidelake.sources.simulate import SimulationResult

EXAMPLES = examples(
    "tide simulate collapse --out logs/collapse",
    "tide simulate collapse --out logs/small --seed 7 --set users=200 --set days=14",
)


def simulate(
    scenario: Annotated[str, typer.Argument(help="What happens in the logs: collapse ...", show_default=False)],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the logs.", show_default=False)],
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same bytes.")] = 1,
    truth: Annotated[
        Path | None,
        typer.Option("--truth", metavar="FILE", help="Where the planted answer goes; default: DIR.truth.json."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A size or date of the scenario; may be given again."),
    ] = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
) -> None:
    """Write the logs of a scenario into a folder, and its planted cause beside the folder."""
    from tidelake.cli.output import emit
    from tidelake.sources.simulate import check_settings
    from tidelake.sources.simulate import simulate as write_logs

    options = scenario_options(settings)
    check_settings(scenario, options)
    with meter() as progress:
        made = write_logs(scenario, out, seed=seed, truth=truth, progress=progress, **options)
    emit(simulated(made), form=form, output=output)


def simulated(made: SimulationResult) -> Result:
    """What a simulation wrote, as a table: one row."""
    import pyarrow as pa

    from tidelake.engine.result import Result

    table = pa.table(
        {
            "scenario": [made.scenario],
            "seed": [str(made.seed)],
            "files": [len(made.files)],
            "rows": [made.rows],
            "folder": [str(made.folder)],
            "truth": [str(made.truth)],
        }
    )
    return Result(table, title="Simulated logs")


def scenario_options(given: list[str] | None) -> dict[str, Any]:
    """`NAME=VALUE` words as values: whole numbers, numbers, dates, true and false, else text.

    Raises:
        ProjectError: A word without `=`.
    """
    found: dict[str, Any] = {}
    for word in given or []:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise ProjectError(f"--set {word}: there is no NAME=VALUE in it.", hint="Write --set users=200.")
        found[name.replace("-", "_")] = _value(value)
    return found


def _value(text: str) -> Any:
    for kind in (int, float, date.fromisoformat):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text, text)
