"""`tide retention`: who comes back, by cohort."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from tidelake.cli.opening import opened, say_unfinished
from tidelake.cli.options import (
    HERE,
    AsOfOption,
    ChartOption,
    EngineOption,
    FormatName,
    FormatOption,
    LimitOption,
    OutputOption,
    ProjectOption,
    TargetOption,
    examples,
    flag,
)
from tidelake.cli.output import emit
from tidelake.errors import DefinitionError

EXAMPLES = examples(
    "tide retention --matrix",
    "tide retention --entry first_login --return '*' --unit day --periods 1:7 --by region",
    "tide retention --cohort-by signup_date --grain month --anchor elapsed --matrix",
    "tide retention --sessions --within 72h --grain all --by videos.genre",
    "tide retention --criterion on-or-after --horizon 8 --cohort recurring",
)
_ASKED, _COHORTS = "What is asked", "Cohorts"


class UnitName(StrEnum):
    """Length of a period."""

    hour = "hour"
    day = "day"
    week = "week"
    month = "month"


class AnchorName(StrEnum):
    """What periods are cut by."""

    calendar = "calendar"
    elapsed = "elapsed"


class CriterionName(StrEnum):
    """Which returns count in a period."""

    on = "on"
    on_or_after = "on-or-after"
    on_or_before = "on-or-before"
    streak = "streak"


class CohortName(StrEnum):
    """How often an actor enters."""

    first = "first"
    recurring = "recurring"


class CohortGrainName(StrEnum):
    """What cohorts are made by."""

    day = "day"
    week = "week"
    month = "month"
    all = "all"


def retention(
    *,
    entry: Annotated[
        str, typer.Option("--entry", metavar="EVENT", help="Who enters: names, 'play where seconds > 3', * = any.")
    ] = "*",
    returned: Annotated[
        str, typer.Option("--return", metavar="EVENT", help="What counts as coming back, written like --entry.")
    ] = "*",
    sessions: Annotated[bool, flag("--sessions", help="Entries and returns are sessions, not events.")] = False,
    unit: Annotated[UnitName, typer.Option("--unit", help="hour, day, week or month.")] = UnitName.week,
    periods: Annotated[str, typer.Option("--periods", metavar="A:B", help="First and last period.")] = "0:7",
    anchor: Annotated[
        AnchorName, typer.Option("--anchor", help="calendar units, or elapsed: 24 hours a day since the entry.")
    ] = AnchorName.calendar,
    criterion: Annotated[
        CriterionName, typer.Option("--criterion", help="on, on-or-after, on-or-before or streak.")
    ] = CriterionName.on,
    horizon: Annotated[
        str | None, typer.Option("--horizon", metavar="N", help="on-or-after: last period that counts, or inf.")
    ] = None,
    bracket: Annotated[
        list[str] | None, typer.Option("--bracket", metavar="A:B", help="Any period of these; may be given again.")
    ] = None,
    within: Annotated[
        list[str] | None,
        typer.Option("--within", metavar="SPAN", help="Up to 72h after the entry, or from:to; may be given again."),
    ] = None,
    cohort: Annotated[
        CohortName,
        typer.Option("--cohort", help="first entry ever, or recurring: each period.", rich_help_panel=_COHORTS),
    ] = CohortName.first,
    cohort_by: Annotated[
        str,
        typer.Option(
            "--cohort-by", metavar="WHAT", help="entry, or a dimension's date of signup.", rich_help_panel=_COHORTS
        ),
    ] = "entry",
    grain: Annotated[
        CohortGrainName | None,
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
    match: Annotated[
        bool,
        flag("--match", help="Count a return only with the entry's values of --by.", rich_help_panel=_COHORTS),
    ] = False,
    warmup: Annotated[
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
        typer.Option(
            "--from",
            formats=["%Y-%m-%d"],
            metavar="DATE",
            help="First date of entry; default: all.",
            rich_help_panel=_COHORTS,
        ),
    ] = None,
    end: Annotated[
        datetime | None,
        typer.Option(
            "--to",
            formats=["%Y-%m-%d"],
            metavar="DATE",
            help="Last date of entry; default: all.",
            rich_help_panel=_COHORTS,
        ),
    ] = None,
    where: Annotated[
        str | None, typer.Option("--where", metavar="SQL", help="Count only rows for which this is true.")
    ] = None,
    as_matrix: Annotated[bool, flag("--matrix", help="Cohorts as rows, periods as columns.")] = False,
    as_curve: Annotated[bool, flag("--curve", help="The average of complete cohorts.")] = False,
    members: Annotated[
        int | None,
        typer.Option("--members", metavar="N", help="The actors of period N, and whether they came back."),
    ] = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = None,
    chart: ChartOption = None,
) -> None:
    """Who comes back, by cohort: shares of those who could be seen to the end of each period."""
    settings: dict[str, Any] = {
        "entry": entry,
        "return": returned,
        "fact": "session" if sessions else "event",
        "unit": unit.value,
        "periods": _pair(periods, "--periods"),
        "anchor": anchor.value,
        "criterion": criterion.name,
        "horizon": horizon if horizon in (None, "inf") else _whole(str(horizon), "--horizon"),
        "cohort": cohort.value,
        "cohort_by": cohort_by,
        "warmup_days": warmup,
        "match_on_return": match,
    }
    _together(criterion, horizon, bracket, within)
    if bracket:
        settings |= {"criterion": "bracket", "brackets": tuple(_pair(text, "--bracket") for text in bracket)}
    if within:
        settings |= {"criterion": "within", "within": tuple(_span(text) for text in within)}
    if sum([as_matrix, as_curve, members is not None]) > 1:
        raise DefinitionError("--matrix, --curve and --members are three ways to look at it: give one of them.")
    with opened(project, target=target, engine=engine, as_of=as_of) as session:
        result = session.retention(
            by=tuple(by or ()),
            grain=None if grain is None else grain.value,
            start=None if start is None else start.date(),
            end=None if end is None else end.date(),
            where=where,
            **settings,
        )
        from tidelake.metrics import retention_matrix as shapes

        shown: Any = result
        if members is not None:
            shown = result.members(members)
        elif as_matrix:
            shown = shapes.matrix(result)
        elif as_curve:
            shown = shapes.curve_for_reading(result) if form is FormatName.table else shapes.curve(result)
        elif form is FormatName.table:
            shown = shapes.reading(result)
        drawn = shapes.curve(result) if as_curve else result
        emit(shown, form=form, output=output, limit=limit, chart=chart, drawn=drawn)
        say_unfinished(session)


def _together(
    criterion: CriterionName, horizon: str | None, bracket: list[str] | None, within: list[str] | None
) -> None:
    """Refuse options of which one would be ignored.

    Raises:
        DefinitionError: Two criteria, or the horizon is missing.
    """
    if bracket and within:
        raise DefinitionError("--bracket and --within are two criteria.", hint="Give one of them.")
    if (bracket or within) and criterion is not CriterionName.on:
        name = "--bracket" if bracket else "--within"
        raise DefinitionError(
            f"{name} is a criterion of its own, and --criterion {criterion.value} another.", hint="Give one of them."
        )
    if criterion is CriterionName.on_or_after and horizon is None:
        raise DefinitionError(
            "--criterion on-or-after needs --horizon, the last period in which a return counts: without it recent "
            "cohorts have had less time to come back.",
            hint="--horizon 8; --horizon inf counts as other tools do, and is marked as biased.",
        )
    if horizon is not None and criterion is not CriterionName.on_or_after:
        raise DefinitionError("--horizon is for --criterion on-or-after only.", hint="Add that, or leave it out.")


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
