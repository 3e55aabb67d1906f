"""`tide inactive`: whom nobody has seen for a while."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from tidelake.cli.lifecycle import ActiveWhereOption
from tidelake.cli.options import examples
from tidelake.cli.questions import ByOption, Given, SegmentOption, date_option, leveled, question
from tidelake.errors import DefinitionError

EXAMPLES = examples(
    "tide inactive",
    "tide inactive --k auto --by region",
    "tide inactive --k 7 --from 2025-11-10 --to 2025-11-23 --chart inactive.png",
    "tide inactive --k 14 --members 2025-11-23 --output silent.csv",
)


def _asked(given: Given) -> Given:
    """The days as a number; the actors of a date have no other dates."""
    k = given["k"]
    if k != "auto" and not k.isdigit():
        raise DefinitionError(f"--k {k} is no number of days.", hint="Write --k 28 or --k auto.")
    left = ("start", "end") if "members" in given else ()
    return {name: value for name, value in given.items() if name not in left} | {"k": k if k == "auto" else int(k)}


@question(leveled, asked=_asked)
def inactive(
    *,
    k: Annotated[
        str, typer.Option("--k", metavar="DAYS", help="Days of silence; auto: by which 95 % of the gaps have ended.")
    ] = "28",
    by: ByOption = None,
    segment: SegmentOption = "any",
    start: Annotated[datetime | None, date_option("--from", "First local date; default: last complete.")] = None,
    end: Annotated[datetime | None, date_option("--to", "Last local date; default: last complete.")] = None,
    where: ActiveWhereOption = None,
    members: Annotated[datetime | None, date_option("--members", "The actors known on a date.")] = None,
) -> None:
    """The share of users without activity for k days; without dates on the last complete one."""
