"""A verb that asks for numbers: it declares its options, and `question` makes the command.

@question(narrowed)
def weekdays(metric: MetricArgument, *, by: EntityOption = None) -> None:
    \"\"\"How far each weekday lies above or below the mean of its week, over complete weeks.\"\"\"
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from enum import EnumType
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

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


ActorOption = Annotated[
    str | None, typer.Option("--actor", metavar="LEVEL", help="Another actor level of tide.yml, such as account.")
]


def leveled(*, actor: ActorOption = None) -> None:
    """Options: whom is counted."""


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


COHORT_HELP = "Only actors in this saved cohort (cohorts/NAME.yml), or with 'not NAME' out of it; may be given again."


def with_cohort(command: Callable[..., None]) -> Callable[..., None]:
    """A question's command with `--cohort` after `--where`: it is one more condition on the rows.

    Where the command has a `--cohort` of its own (`tide retention --cohort recurring`), its words stay what they are.
    """
    asked = signature(command, eval_str=True)
    own = asked.parameters.get("cohort")
    words = {str(word): word for word in _words(own.annotation)} if own is not None else {}
    said = COHORT_HELP + (f" {' or '.join(words)}: how often an actor enters." if words else "")
    option = Annotated[list[str] | None, typer.Option("--cohort", metavar="NAME", help=said)]
    listed = [one for one in asked.parameters.values() if one.name != "cohort"]
    place = [one.name for one in listed].index("where") + 1
    listed.insert(place, Parameter("cohort", Parameter.KEYWORD_ONLY, default=None, annotation=option))

    @wraps(command)
    def asking(*given: Any, cohort: list[str] | None = None, **options: Any) -> None:
        saved = [name for name in cohort or () if name not in words]
        if own is not None:
            options["cohort"] = next((words[name] for name in cohort or () if name in words), own.default)
        if saved:
            from tidelake.metrics.cohorts import among

            options["where"] = among(saved, options.get("where"))
        command(*given, **options)

    asking.__signature__ = asked.replace(parameters=listed)  # type: ignore[attr-defined]
    asking.__annotations__ = {parameter.name: parameter.annotation for parameter in listed}
    return asking


def _words(annotation: Any) -> Iterable[Any]:
    """What an option of a few words can be."""
    kind = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    return kind if isinstance(kind, EnumType) else get_args(kind)


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
