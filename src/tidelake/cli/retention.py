"""`tide retention`: who comes back, by cohort."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tidelake.cli.options import FormatName, examples, flag
from tidelake.cli.questions import Given, WhereOption, date_option, leveled, question
from tidelake.errors import DefinitionError

if TYPE_CHECKING:
    from tidelake.engine.result import Result

EXAMPLES = examples(
    "tide retention --matrix",
    "tide retention --entry first_login --return '*' --unit day --periods 1:7 --by region",
    "tide retention --cohort-by signup_date --grain month --anchor elapsed --matrix",
    "tide retention --sessions --within 72h --grain all --by videos.genre",
    "tide retention --criterion on-or-after --horizon 8 --cohort recurring",
)
_COHORTS = "Cohorts"
_WAYS = ("as_matrix", "as_curve", "members")


def _definition(given: Given) -> Given:
    """What the session is asked."""
    _together(given)
    asked = {name: value for name, value in given.items() if name not in ("sessions", *_WAYS)}
    asked["fact"] = "session" if given["sessions"] else "event"
    asked["periods"] = _pair(given["periods"], "--periods")
    asked["criterion"] = given["criterion"].replace("-", "_")
    if given.get("horizon", "inf") != "inf":
        asked["horizon"] = _whole(given["horizon"], "--horizon")
    if given.get("brackets"):
        pairs = tuple(_pair(text, "--bracket") for text in given["brackets"])
        asked |= {"criterion": "bracket", "brackets": pairs}
    if given.get("within"):
        asked |= {"criterion": "within", "within": tuple(_span(text) for text in given["within"])}
    return asked


def _together(given: Given) -> None:
    """Refuse options of which one would be ignored.

    Raises:
        DefinitionError: Two criteria, the horizon is missing, or two ways to look at it.
    """
    brackets, within = given.get("brackets"), given.get("within")
    criterion, has_horizon = given["criterion"], "horizon" in given
    if brackets and within:
        raise DefinitionError("--bracket and --within are two criteria.", hint="Give one of them.")
    if (brackets or within) and criterion != "on":
        name = "--bracket" if brackets else "--within"
        raise DefinitionError(
            f"{name} is a criterion of its own, and --criterion {criterion} another.", hint="Give one of them."
        )
    if criterion == "on-or-after" and not has_horizon:
        raise DefinitionError(
            "--criterion on-or-after needs --horizon, the last period in which a return counts: without it recent "
            "cohorts have had less time to come back.",
            hint="--horizon 8; --horizon inf counts as other tools do, and is marked as biased.",
        )
    if has_horizon and criterion != "on-or-after":
        raise DefinitionError("--horizon is for --criterion on-or-after only.", hint="Add that, or leave it out.")
    if given["as_matrix"] + given["as_curve"] + ("members" in given) > 1:
        raise DefinitionError("--matrix, --curve and --members are three ways to look at it: give one of them.")


def _whole(text: str, option: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise DefinitionError(f"{option} {text}: that is not a whole number.") from error


def _pair(text: str, option: str) -> tuple[int, int]:
    first, mark, last = text.partition(":")
    if not mark:
        raise DefinitionError(f"{option} {text}: write the first and the last period.", hint=f"{option} 0:7")
    return _whole(first, option), _whole(last, option)


def _span(text: str) -> tuple[str, str]:
    first, mark, last = text.partition(":")
    return (first, last) if mark else ("0h", text)


def _looked_at(result: Any, given: Given, form: FormatName) -> tuple[Result, Result]:
    from tidelake.metrics import retention_matrix as shapes

    if "members" in given:
        return result.members(given["members"]), result
    if given["as_matrix"]:
        return shapes.matrix(result), result
    if given["as_curve"]:
        curve = shapes.curve(result)
        return shapes.curve_for_reading(result) if form is FormatName.table else curve, curve
    return shapes.reading(result) if form is FormatName.table else result, result


@question(leveled, asked=_definition, read=_looked_at)
def retention(
    *,
    entry: Annotated[
        str, typer.Option("--entry", metavar="EVENT", help="Who enters: names, 'play where seconds > 3', * = any.")
    ] = "*",
    returned: Annotated[
        str, typer.Option("--return", metavar="EVENT", help="What counts as coming back, written like --entry.")
    ] = "*",
    sessions: Annotated[bool, flag("--sessions", help="Entries and returns are sessions, not events.")] = False,
    unit: Annotated[
        Literal["hour", "day", "week", "month"], typer.Option("--unit", help="hour, day, week or month.")
    ] = "week",
    periods: Annotated[str, typer.Option("--periods", metavar="A:B", help="First and last period.")] = "0:7",
    anchor: Annotated[
        Literal["calendar", "elapsed"],
        typer.Option("--anchor", help="calendar units, or elapsed: 24 hours a day since the entry."),
    ] = "calendar",
    criterion: Annotated[
        Literal["on", "on-or-after", "on-or-before", "streak"],
        typer.Option("--criterion", help="on, on-or-after, on-or-before or streak."),
    ] = "on",
    horizon: Annotated[
        str | None, typer.Option("--horizon", metavar="N", help="on-or-after: last period that counts, or inf.")
    ] = None,
    brackets: Annotated[
        list[str] | None, typer.Option("--bracket", metavar="A:B", help="Any period of these; may be given again.")
    ] = None,
    within: Annotated[
        list[str] | None,
        typer.Option("--within", metavar="SPAN", help="Up to 72h after the entry, or from:to; may be given again."),
    ] = None,
    cohort: Annotated[
        Literal["first", "recurring"],
        typer.Option("--cohort", help="first entry ever, or recurring: each period.", rich_help_panel=_COHORTS),
    ] = "first",
    cohort_by: Annotated[
        str,
        typer.Option(
            "--cohort-by", metavar="WHAT", help="entry, or a dimension's date of signup.", rich_help_panel=_COHORTS
        ),
    ] = "entry",
    grain: Annotated[
        Literal["day", "week", "month", "all"] | None,
        typer.Option(
            "--grain",
            help="Cohorts by day, week, month or all in one; default: the unit.",
            show_default=False,
            rich_help_panel=_COHORTS,
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            metavar="DIM",
            help="Cut by a dimension's value at entry; may be given again.",
            rich_help_panel=_COHORTS,
        ),
    ] = None,
    match_on_return: Annotated[
        bool,
        flag("--match", help="Count a return only with the entry's values of --by.", rich_help_panel=_COHORTS),
    ] = False,
    warmup_days: Annotated[
        int,
        typer.Option(
            "--warmup",
            metavar="DAYS",
            help="An entry so soon in history may not be the first.",
            rich_help_panel=_COHORTS,
        ),
    ] = 28,
    start: Annotated[
        datetime | None,
        date_option("--from", "First date of entry; default: all.", rich_help_panel=_COHORTS),
    ] = None,
    end: Annotated[
        datetime | None,
        date_option("--to", "Last date of entry; default: all.", rich_help_panel=_COHORTS),
    ] = None,
    where: WhereOption = None,
    as_matrix: Annotated[bool, flag("--matrix", help="Cohorts as rows, periods as columns.")] = False,
    as_curve: Annotated[bool, flag("--curve", help="The average of complete cohorts.")] = False,
    members: Annotated[
        int | None,
        typer.Option("--members", metavar="N", help="The actors of period N, and whether they came back."),
    ] = None,
) -> None:
    """Who comes back, by cohort: shares of those who could be seen to the end of each period."""
