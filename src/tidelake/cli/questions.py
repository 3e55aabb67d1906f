"""What the verbs that ask for numbers share: their options, and the way from a question to a printed answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
) -> None:
    """Open the project, ask, and print the answer; as a table without what is the same in every row."""
    with opened(project, target=target, engine=engine, as_of=as_of) as session:
        result = ask(session)
        if form is FormatName.table:
            from tidelake.metrics.reading import for_reading

            result = for_reading(result)
        emit(result, form=form, output=output, limit=limit)
        say_unfinished(session)
