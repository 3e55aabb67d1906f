"""What the verbs that ask for numbers share: their options, and the way from a question to a printed answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from datetime import datetime
from enum import EnumType
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import typer

from tidelake.cli.opening import opened, say_unfinished
from tidelake.cli.options import EngineName, FormatName
from tidelake.cli.output import emit

if TYPE_CHECKING:
    from tidelake.engine.result import Result
    from tidelake.session import Session

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
FromOption = Annotated[
    datetime | None,
    typer.Option("--from", formats=["%Y-%m-%d"], metavar="DATE", help="First local date; default: all."),
]
ToOption = Annotated[
    datetime | None,
    typer.Option("--to", formats=["%Y-%m-%d"], metavar="DATE", help="Last local date; default: all."),
]
WhereOption = Annotated[
    str | None, typer.Option("--where", metavar="SQL", help="Count only rows for which this is true.")
]


COHORT_HELP = "Only actors in this saved cohort (cohorts/NAME.yml), or with 'not NAME' out of it; may be given again."


def with_cohort(command: Callable[..., None]) -> Callable[..., None]:
    """A question's command with `--cohort` after `--where`: it is one more condition on the rows.

    Where the command has a `--cohort` of its own (`tide retention --cohort recurring`), its words stay what they are.
    """
    asked = inspect.signature(command, eval_str=True)
    own = asked.parameters.get("cohort")
    words = {str(word): word for word in _words(own.annotation)} if own is not None else {}
    said = COHORT_HELP + (f" {' or '.join(words)}: how often an actor enters." if words else "")
    option = Annotated[list[str] | None, typer.Option("--cohort", metavar="NAME", help=said)]
    listed = [one for one in asked.parameters.values() if one.name != "cohort"]
    place = [one.name for one in listed].index("where") + 1
    listed.insert(place, inspect.Parameter("cohort", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option))

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
) -> None:
    """Open the project, ask, and print the answer; as a table without what is the same in every row."""
    with opened(project, target=target, engine=engine, as_of=as_of) as session:
        show(session, ask(session), form=form, output=output, limit=limit, chart=chart)


def show(
    session: Session,
    result: Result,
    *,
    form: FormatName,
    output: Path | None,
    limit: int | None,
    chart: Path | None,
    read: Callable[[Any], Result] | None = None,
) -> None:
    """Print an answer, and draw it where a chart is asked for.

    Args:
        read: Makes of it the table for people; None = without what is the same in every row.
    """
    shown = result
    if form is FormatName.table:
        from tidelake.metrics.reading import for_reading

        shown = (read or for_reading)(result)
    emit(shown, form=form, output=output, limit=limit, chart=chart, drawn=result)
    say_unfinished(session)
