"""A verb that asks for numbers: it declares its options, and `question` makes the command.

@question(narrowed)
def weekdays(metric: MetricArgument, *, by: EntityOption = None) -> None:
    \"\"\"How far each weekday lies above or below the mean of its week, over complete weeks.\"\"\"
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from inspect import Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tidelake.cli.opening import opened, say_unfinished
from tidelake.cli.options import (
    HERE,
    AsOfOption,
    ChartOption,
    EngineName,
    EngineOption,
    FormatName,
    FormatOption,
    LimitOption,
    OutputOption,
    ProjectOption,
    TargetOption,
    flag,
)
from tidelake.cli.output import emit

if TYPE_CHECKING:
    from tidelake.engine.result import Result
    from tidelake.session import Session

Grain = Literal["day", "week", "month"]
Given = dict[str, Any]


def date_option(name: str, text: str, **more: Any) -> Any:
    """An option that is a date."""
    return typer.Option(name, formats=["%Y-%m-%d"], metavar="DATE", help=text, **more)


MetricArgument = Annotated[
    str, typer.Argument(help="views, events, dau ...: `tide metrics list` has them all.", show_default=False)
]
ByOption = Annotated[
    list[str] | None, typer.Option("--by", metavar="DIM", help="Cut by a dimension; may be given again.")
]
EntityOption = Annotated[
    list[str] | None,
    typer.Option("--by", metavar="DIM", help="entity (of count facts), or a dimension; may be given again."),
]
GrainOption = Annotated[Grain, typer.Option("--grain", help="day, week or month.")]
FromOption = Annotated[datetime | None, date_option("--from", "First local date; default: all.")]
ToOption = Annotated[datetime | None, date_option("--to", "Last local date; default: all.")]
AtOption = Annotated[datetime | None, date_option("--at", "Last day looked at; default: last complete.")]
WhereOption = Annotated[
    str | None, typer.Option("--where", metavar="SQL", help="Count only rows for which this is true.")
]
SegmentOption = Annotated[
    Literal["any", "first", "last"],
    typer.Option("--segment", metavar="NAME", help="any value of the period, or the actor's first or last one."),
]
MembersOption = Annotated[bool, flag("--members", help="The actors behind the numbers instead.")]


def narrowed(*, start: FromOption = None, end: ToOption = None, where: WhereOption = None) -> None:
    """Options: what is counted."""


def where_and_how(
    *,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = None,
    chart: ChartOption = None,
) -> None:
    """Options: where the project is, and how the answer is given."""


def for_people(result: Any) -> Result:
    """An answer's table for people; of any other result without what is the same in every row."""
    from tidelake.metrics.answer import Answer
    from tidelake.metrics.reading import for_reading

    return result.for_people() if isinstance(result, Answer) else for_reading(result)


def _shown(result: Any, form: FormatName) -> tuple[Result, Result]:
    return (for_people(result) if form is FormatName.table else result), result


def tell(
    ask: Callable[[Session], Result],
    *,
    project: Path,
    target: str | None,
    as_of: str | None,
    engine: EngineName | None,
    form: FormatName,
    output: Path | None,
    limit: int | None,
    chart: Path | None,
    read: Callable[[Any, FormatName], tuple[Result, Result]] = _shown,
) -> None:
    """Open the project, ask, and print and draw the answer.

    Args:
        read: Makes of the answer what is shown in a format, and what is drawn; else `for_people`'s table, and itself.
    """
    with opened(project, target=target, engine=engine, as_of=as_of) as session:
        answer, drawn = read(ask(session), form)
        emit(answer, form=form, output=output, limit=limit, chart=chart, drawn=drawn)
        say_unfinished(session)


def question(
    *groups: Callable[..., None],
    asked: Callable[[Given], Given] = dict,
    read: Callable[[Any, Given, FormatName], tuple[Result, Result]] = lambda result, _, form: _shown(result, form),
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command of a function without a body, whose parameters are options of the session's method of its name.

    The command opens the project, asks, and prints and draws the answer. Dates and lists are passed on as `date` and
    tuple; what was not given and has no default is left out, so that the method's own default holds.

    Args:
        groups: Functions whose parameters are more options, after the function's own.
        asked: Makes of the options what the method is asked, before the project is opened.
        read: Makes of the answer what is shown in a format, and what is drawn; else `for_people`'s table, and itself.
    """

    def made(declared: Callable[..., None]) -> Callable[..., None]:
        parts = [signature(part, eval_str=True) for part in (declared, *groups, where_and_how)]
        parameters = [parameter for part in parts for parameter in part.parameters.values()]

        @wraps(declared)
        def command(**options: Any) -> None:
            place = {name: options.pop(name) for name in signature(where_and_how).parameters}
            given = {name: _plain(value) for name, value in options.items() if value is not None}
            wanted = asked(given)
            tell(
                lambda session: getattr(session, declared.__name__)(**wanted),
                read=lambda result, form: read(result, given, form),
                **place,
            )

        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        vars(command)["__signature__"] = Signature(parameters)
        return command

    return made


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.date()
    return tuple(value) if isinstance(value, list) else value
