"""`tide dropoff`: sessions that end early, and for whom."""

from __future__ import annotations

from typing import Annotated

import typer

from tidelake.cli.options import examples
from tidelake.cli.questions import ByOption, MembersOption, narrowed, question

EXAMPLES = examples(
    "tide dropoff --by device_os --by app_version",
    "tide dropoff --by device --by region --below 30 --from 2025-11-01",
)


@question(narrowed)
def dropoff(
    *,
    by: ByOption = None,
    threshold_seconds: Annotated[
        float, typer.Option("--below", metavar="SECONDS", help="A session drops off with fewer seconds watched.")
    ] = 10.0,
    abnormal_difference: Annotated[
        float, typer.Option("--abnormal", metavar="SHARE", help="The least difference that is called abnormal.")
    ] = 0.02,
    same_margin: Annotated[
        float, typer.Option("--same", metavar="SHARE", help="Differences within this are none.")
    ] = 0.05,
    members: MembersOption = False,
) -> None:
    """Sessions with little watched, by two dimensions, each value tested against the rest."""
