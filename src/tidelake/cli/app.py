"""Every verb of the command line, by family.

Only the verb that was asked for is imported, and the heavy rooms inside of its command.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from inspect import signature
from typing import Annotated

import typer

from tidelake.cli.options import examples, flag, help_of
from tidelake.cli.questions import with_cohort

START, USE, TRUST, KEEP = "Start here", "Numbers", "Trust", "Upkeep"
_VERBS = {  # its family, its module in this room, and where that has several its prefix there
    "demo": (START, "demo", ""),
    "init": (START, "init", ""),
    "build": (START, "build", ""),
    "simulate": (START, "simulate", ""),
    "measure": (USE, "measure", ""),
    **{
        verb: (USE, verb, "")
        for verb in ("diversity", "streaks", "spikes", "weekdays", "decline", "dropoff", "revenue")
    },
    "lifecycle": (USE, "lifecycle", "LIFECYCLE_"),
    "power-curve": (USE, "lifecycle", "POWER_CURVE_"),
    "stickiness": (USE, "lifecycle", "STICKINESS_"),
    "inactive": (USE, "inactive", ""),
    "churn-label": (USE, "churn_label", ""),
    "trend": (USE, "trend", ""),
    "explain": (USE, "explain", ""),
    "watch": (USE, "watch", ""),
    "retention": (USE, "retention", ""),
    "funnel": (USE, "funnel", ""),
    "activation": (USE, "funnel", "ACTIVATION_"),
    "adoption": (USE, "funnel", "ADOPTION_"),
    "sql": (USE, "sql", ""),
    "docs": (USE, "docs", ""),
    "publish": (USE, "publish", ""),
    "check": (TRUST, "check", "CHECK_"),
    "identity": (TRUST, "identity", ""),
    "ledger": (TRUST, "check", "LEDGER_"),
    "doctor": (KEEP, "doctor", ""),
    "compact": (KEEP, "upkeep", "COMPACT_"),
    "vacuum": (KEEP, "upkeep", "VACUUM_"),
    "migrate": (KEEP, "upkeep", "MIGRATE_"),
}
# Groups of commands, each a module in this room.
_GROUPS = {"metrics": USE, "cohorts": USE, "canary": USE, "quarantine": TRUST}


def app_for(words: Sequence[str]) -> typer.Typer:
    """The command line that understands these words: with one verb where they begin with one, else with all."""
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
    app.callback()(_tide)
    asked = words[0] if words else ""
    for verb in [asked] if asked in _VERBS else _VERBS:
        family, name, prefix = _VERBS[verb]
        module = import_module(f"tidelake.cli.{name}")
        command = getattr(module, verb.replace("-", "_"))
        command = with_cohort(command) if "where" in signature(command).parameters else command
        app.command(rich_help_panel=family, help=help_of(command), epilog=getattr(module, f"{prefix}EXAMPLES"))(command)
    if asked not in _VERBS:
        for group, family in _GROUPS.items():
            app.add_typer(import_module(f"tidelake.cli.{group}").app, name=group, rich_help_panel=family)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"tide {version('tidelake')}")
        except PackageNotFoundError:
            typer.echo("tide source-folder")
        raise typer.Exit


def _tide(
    *,
    version: Annotated[
        bool, flag("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    debug: Annotated[bool, flag("--debug", help="Show where an error came from; may stand anywhere.")] = False,
) -> None:
    """Your event logs in, trusted engagement numbers out: with proof that nothing was lost."""
