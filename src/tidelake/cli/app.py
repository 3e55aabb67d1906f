"""Every verb of the command line, by family. The heavy rooms are imported inside of the commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from tidelake.cli import build, check, demo, docs, doctor, init, measure, quarantine, simulate, sql, upkeep
from tidelake.cli.options import examples, flag, help_of

START, USE, TRUST, KEEP = "Start here", "Numbers", "Trust", "Upkeep"

app = typer.Typer(
    name="tide",
    help="Your event logs in, trusted engagement numbers out: with proof that nothing was lost.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    epilog=examples(
        "tide demo", "tide init my-project --from 'logs/*.jsonl'", "tide build", "tide measure dau --by region"
    ),
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"tide {version('tidelake')}")
        except PackageNotFoundError:
            typer.echo("tide source-folder")
        raise typer.Exit


@app.callback()
def tide(
    *,
    version: Annotated[
        bool, flag("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    debug: Annotated[bool, flag("--debug", help="Show where an error came from; may stand anywhere.")] = False,
) -> None:
    """Your event logs in, trusted engagement numbers out: with proof that nothing was lost."""


_VERBS: tuple[tuple[str, Callable[..., None], str], ...] = (
    (START, demo.demo, demo.EXAMPLES),
    (START, init.init, init.EXAMPLES),
    (START, build.build, build.EXAMPLES),
    (START, simulate.simulate, simulate.EXAMPLES),
    (USE, measure.measure, measure.EXAMPLES),
    (USE, sql.sql, sql.EXAMPLES),
    (USE, docs.docs, docs.EXAMPLES),
    (TRUST, check.check, check.CHECK_EXAMPLES),
    (TRUST, check.ledger, check.LEDGER_EXAMPLES),
    (KEEP, doctor.doctor, doctor.EXAMPLES),
    (KEEP, upkeep.compact, upkeep.COMPACT_EXAMPLES),
    (KEEP, upkeep.vacuum, upkeep.VACUUM_EXAMPLES),
    (KEEP, upkeep.migrate, upkeep.MIGRATE_EXAMPLES),
)
for _panel, _verb, _examples in _VERBS:
    app.command(rich_help_panel=_panel, help=help_of(_verb), epilog=_examples)(_verb)
app.add_typer(quarantine.app, name="quarantine", rich_help_panel=TRUST)
