"""The example projects: where they are, and a copy of one to work with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from tidelake.config import PROJECT_FILE, Settings, load_yaml
from tidelake.errors import ProjectError, UnknownNameError

DEMO_FILE = "demo.yml"
Question = Literal["measure", "activation", "retention", "lifecycle", "funnel", "dropoff", "revenue", "diversity"]
_NOT_COPIED = ("lake", "target", "__pycache__")


class FirstNumbers(Settings):
    """One table of numbers that the demo shows when it is built: a metric, or the answer to another question."""

    metric: str | None = None
    by: tuple[str, ...] = ()
    grain: str = "week"
    title: str = ""
    ask: Question = Field("measure", description="a question of the session; its options stand in `options`")
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if (self.ask == "measure") != (self.metric is not None):
            raise ValueError("`metric:` belongs to `ask: measure`; other questions have `options:`")
        return self


class Demo(Settings):
    """`demo.yml`: what the demo of an example does beyond building it."""

    about: str
    scenario: str | None = Field(None, description="what `tide simulate` makes first; null = the data ship")
    scenarios: tuple[str, ...] = Field((), description="others that --scenario takes in its place")
    options: dict[str, int | float | str] = Field(default_factory=dict, description="options of the scenario")
    data: str = Field("data", description="folder of the input inside of the project; --from replaces it")
    optional: tuple[str, ...] = Field((), description="sources that are left out where there are no files for them")
    postgres: str | None = Field(
        None, description="folder of schema.sql, load.sql and sql_queries.sql; null = no --postgres"
    )
    first: tuple[FirstNumbers, ...] = ()
    case: bool = Field(False, description="whether the tables of the engagement case study follow")
    next: tuple[str, ...] = Field((), description="commands to try")


def examples_folder() -> Path:
    """Where the example projects are: inside the installed package, or beside `src` in a checkout.

    Raises:
        ProjectError: They are nowhere.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "examples", package.parents[1] / "examples"):
        if folder.is_dir():
            return folder
    raise ProjectError(
        "The example projects are not installed.", hint="Reinstall: pip install --force-reinstall tidelake."
    )


def example_names() -> list[str]:
    """Examples that have a demo."""
    return sorted(path.parent.name for path in examples_folder().glob(f"*/{DEMO_FILE}"))


def load_demo(name: str) -> tuple[Path, Demo]:
    """An example's folder and what its demo does.

    Raises:
        UnknownNameError: There is no such example.
    """
    names = example_names()
    if name not in names:
        raise UnknownNameError("example", name, names)
    folder = examples_folder() / name
    return folder, load_yaml(folder / DEMO_FILE, Demo)


def with_scenario(name: str, what: Demo, scenario: str | None, data: str | None) -> tuple[Demo, str]:
    """What the demo does in another scenario, and the folder's name: every scenario, and one's own data, has its own.

    Raises:
        ProjectError: The example has no scenarios, or takes the user's own data.
        UnknownNameError: It has no such scenario.
    """
    if scenario is None:
        return what, name if data is None else f"{name}-own"
    if data is not None:
        raise ProjectError("--scenario simulates data, and --from names your own.", hint="Leave one of the two out.")
    known = [one for one in (what.scenario, *what.scenarios) if one is not None]
    if not what.scenarios:
        raise ProjectError(f"The example {name} has no scenarios to choose from.", hint="collapse has.")
    if scenario not in known:
        raise UnknownNameError("scenario", scenario, known)
    return what.model_copy(update={"scenario": scenario}), name if scenario == what.scenario else f"{name}-{scenario}"


def copy_example(example: Path, folder: Path) -> bool:
    """Copy what is not there yet, so that a user's changes to an earlier copy stay.

    Returns:
        Whether there was an earlier copy.

    Raises:
        ProjectError: The folder holds something else.
    """
    again = (folder / PROJECT_FILE).is_file()
    if folder.exists() and not again and any(folder.iterdir()):
        raise ProjectError(f"{folder} holds other files.", hint="Choose an empty or a new folder with --dir.")
    for path in sorted(example.rglob("*")):
        relative = path.relative_to(example)
        copied = folder / relative
        if path.is_file() and not copied.exists() and not set(relative.parts) & set(_NOT_COPIED):
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copied)
    return again
