"""`tide demo`: an example project, from its raw logs to its first numbers, offline."""

from __future__ import annotations

import glob
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidelake.cli.case import show_case
from tidelake.cli.meter import meter
from tidelake.cli.opening import opened
from tidelake.cli.options import EngineName, EngineOption, examples, flag
from tidelake.cli.questions import for_people
from tidelake.cli.streams import coloured, put, say
from tidelake.errors import ProjectError

if TYPE_CHECKING:
    from tidelake.cli.examples import Demo
    from tidelake.engine.result import Result
    from tidelake.session import Session

EXAMPLES = examples(
    "tide demo",
    "tide demo wikimedia",
    "tide demo collapse --dir /tmp/collapse",
    "tide demo collapse --scenario mix_shift",
    "tide demo collapse --from my-logs/",
    "tide demo shop --from postgresql://user:password@host/shop",
    "tide demo collapse --postgres postgresql://user:password@host/case",
)
DEFAULT = "collapse"
DATABASE = ("postgresql://", "postgres://")
DATABASE_VARIABLE = "PG_URL"


def demo(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="collapse, wikimedia ...", show_default=DEFAULT)
    ] = DEFAULT,
    *,
    folder: Annotated[
        Path | None,
        typer.Option("--dir", metavar="DIR", help="Where the project goes; default: ./tidelake-demo/NAME."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="DIR|URL|DATABASE", help="Your own data in the example's format, instead of its own."
        ),
    ] = None,
    scenario: Annotated[
        str | None,
        typer.Option("--scenario", metavar="NAME", help="What happens in the simulated data, in a folder of its own."),
    ] = None,
    postgres: Annotated[
        str | None,
        typer.Option(
            "--postgres", metavar="DATABASE", help="Load the logs there too, and compare each number with the lake's."
        ),
    ] = None,
    list_all: Annotated[bool, flag("--list", help="List the examples and stop.")] = False,
    engine: EngineOption = None,
) -> None:
    """Copy an example project, build it, and show what came in, where every row went, and the first numbers.

    Run it again and only what is new is taken.
    """
    from tidelake.cli import examples as shelf

    if list_all:
        for known in shelf.example_names():
            put(f"{known:12} {shelf.load_demo(known)[1].about}")
        return
    example, what = shelf.load_demo(name)
    what, own = shelf.with_scenario(name, what, scenario, data)
    if postgres is not None:
        _check_database(name, what, postgres)
    place = folder or Path("tidelake-demo") / own
    again = shelf.copy_example(example, place)
    say(f"{place} is there already: only what is new is taken" if again else f"The project is in {place}")
    _bring_data(place, what, data)
    _leave_out(place, what.optional)
    _build(place, name, what, engine, postgres)


def _bring_data(place: Path, what: Demo, data: str | None) -> None:
    """Simulate the input where it does not ship, or point the project at the user's own."""
    if data is not None and data.startswith(DATABASE):
        point_to_database(place, what.data)
        os.environ[DATABASE_VARIABLE] = data
        say(f"The sources read ${{{DATABASE_VARIABLE}}}; for further commands: export {DATABASE_VARIABLE}=...")
        return
    if data is not None:
        point_sources(place, what.data, _fetched(data, place) if data.startswith("http") else own_data(data))
        return
    target = place / what.data
    if what.scenario is None or (target.is_dir() and any(target.iterdir())):
        return
    from tidelake.sources.simulate import simulate

    options: dict[str, Any] = dict(what.options)
    with meter() as progress:
        made = simulate(what.scenario, target, progress=progress, **options)
    say(f"{made.rows:,} events simulated (seed {made.seed})")
    say(f"What was planted stands in {made.truth.name}, which no command reads")


def _leave_out(place: Path, optional: Sequence[str]) -> None:
    """Take sources out of the copy for which there are no files."""
    import yaml

    for path in (place / "sources" / f"{name}.yml" for name in optional):
        asked = str(yaml.safe_load(path.read_text(encoding="utf-8")).get("path", "")) if path.is_file() else "://"
        if "://" not in asked and not glob.glob(str(place / asked)):
            path.unlink()


def _fetched(url: str, place: Path) -> str:
    from tidelake.cli.fetch import fetch

    with meter() as progress:
        return str(fetch(url, place / "downloaded", progress).resolve())


def own_data(data: str) -> str:
    """The user's data as an absolute folder or an address.

    Raises:
        ProjectError: There is nothing.
    """
    if "://" in data:
        if data.startswith(("s3://", "file://")):
            return data.removeprefix("file://").rstrip("/")
        raise ProjectError(f"{data}: this kind of address cannot be read.", hint="Give a folder, https:// or s3://.")
    path = Path(data).resolve()
    if not path.exists():
        raise ProjectError(f"There is no {path}.", hint="Give the folder that holds the files.")
    if path.is_file():
        raise ProjectError(f"{path} is a file.", hint="Give the folder that holds it.")
    return str(path)


def point_sources(place: Path, shipped: str, own: str) -> None:
    """Let the copied sources read the user's folder instead of the example's own data.

    Raises:
        ProjectError: No source reads the example's data folder.
    """
    changed = _changed(place, shipped, lambda match: _own_path(own, match["rest"]), own)
    if not changed:
        raise ProjectError(f"No source of {place} reads {shipped}/.", hint="Set `path:` in its sources/*.yml by hand.")


def point_to_database(place: Path, shipped: str) -> None:
    """Let the copied sources read tables in place of the files of the same names; the address stays outside.

    Raises:
        ProjectError: No source reads a single file of the example's data folder.
    """
    dsn = f"dsn: ${{{DATABASE_VARIABLE}}}"

    def table(match: re.Match[str]) -> str:
        name = Path(match["rest"]).stem
        return f"kind: postgres\n{dsn}\ntable: {name}" if name.isidentifier() else match[0]

    if not _changed(place, shipped, table, dsn):
        raise ProjectError(
            f"No source of {place} reads a table.",
            hint="Set `kind: postgres`, `dsn:` and `table:` in its sources/*.yml.",
        )


def _changed(place: Path, shipped: str, replaced: Callable[[re.Match[str]], str], own: str) -> int:
    """How many sources read something else than the example's own data, once their `path:` is replaced."""
    pattern = re.compile(
        rf"^path: *['\"]?{re.escape(shipped)}/?(?P<rest>[^'\"\n#]*?)['\"]? *(?P<note>#.*)?$", re.MULTILINE
    )
    changed = 0
    for path in sorted((place / "sources").glob("*.yml")):
        text = path.read_text(encoding="utf-8")
        made = pattern.sub(replaced, text)
        changed += own in made
        path.write_text(made, encoding="utf-8")
    return changed


def _own_path(own: str, rest: str) -> str:
    return f'path: "{own}/{rest}"' if rest else f'path: "{own}"'


def _build(place: Path, name: str, what: Demo, engine: EngineName | None, postgres: str | None) -> None:
    from tidelake.cli import built
    from tidelake.reports.summary import row_lines

    started = time.monotonic()
    with opened(place, engine=engine) as session:
        with meter() as progress:
            result = session.build(progress=progress)
        seconds = time.monotonic() - started
        lines = built.build_lines(result, seconds=seconds)
        if result.verdict == "unchanged":
            counts = built.lake_counts(session)
            lines = [*lines, ("in the lake", "of this build and earlier ones"), *row_lines(counts)]
        lines.append(("lake", near(session.lake.location.address)))
        put(what.about)
        built.panel(f"tide demo {name}", lines, good=not result.exit_code)
        _first_numbers(session, what)
        if what.case:
            show_case(session)
        is_equal = postgres is None or _is_equal_in_postgres(session, place / str(what.postgres), postgres)
    _next(place, what)
    if result.exit_code or not is_equal:
        raise typer.Exit(result.exit_code or 3)


def _check_database(name: str, what: Demo, url: str) -> None:
    """Raise before anything is built where there is nothing to compare, or nobody answers."""
    from tidelake.postgres.server import Server

    if what.postgres is None:
        raise ProjectError(f"The example {name} has no numbers of PostgreSQL to compare.", hint="collapse has.")
    with Server(url, what="--postgres").connect():
        pass


def _is_equal_in_postgres(session: Session, folder: Path, url: str) -> bool:
    """Load and ask there too, and show every number beside the lake's."""
    from tidelake.cli.demo_postgres import beside_postgres
    from tidelake.cli.output import emit

    compared, is_equal = beside_postgres(session, folder, url)
    put("")
    emit(compared, limit=0)
    return is_equal


def near(address: str) -> str:
    """A path as it is written from here, where it lies below."""
    path, here = Path(address), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else address


def _first_numbers(session: Session, what: Demo) -> None:
    """The tables that the example wants seen first."""
    from dataclasses import replace

    from tidelake.cli.output import emit
    from tidelake.metrics.reading import both_ends

    for table in what.first:
        if table.metric is not None:
            result = session.measure(table.metric, by=table.by, grain=table.grain)
        else:
            result = getattr(session, table.ask)(**table.options)
        put("")
        shown = both_ends(_for_people(table.ask, result))
        emit(replace(shown, title=table.title or shown.title), limit=0)


def _for_people(ask: str, result: Any) -> Result:
    """The table that the command of a question shows."""
    from tidelake.metrics.retention_matrix import matrix, reading

    if ask == "retention":
        cohorts = len(set(result.table.column("cohort_start").to_pylist()))
        return matrix(result) if cohorts > 1 else reading(result)
    return for_people(result)


def _next(place: Path, what: Demo) -> None:
    bold, off = ("\033[1m", "\033[0m") if coloured(sys.stdout) else ("", "")
    put(f"\n{bold}Next{off}")
    tide = tide_in(place)
    put(f"  cd {shlex.quote(str(place))}")
    for command in what.next:
        put(f"  {re.sub('^tide ', lambda _: f'{tide} ', command)}")


def tide_in(folder: Path) -> str:
    """The `tide` that runs, as a shell in this folder calls it: by name where PATH finds it, else by its path."""
    called, beside = Path(sys.argv[0]), Path(sys.executable).with_name("tide")
    program = called if called.name == "tide" and called.is_file() else beside
    known = shutil.which("tide")
    if not program.is_file() or (known is not None and program.samefile(known)):
        return "tide"
    near_by, whole = os.path.relpath(program.absolute(), folder.resolve()), str(program.absolute())
    return shlex.quote(min(near_by, whole, key=len))
