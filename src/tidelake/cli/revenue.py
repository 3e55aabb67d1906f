"""`tide revenue`: what was sold, by category and currency."""

from __future__ import annotations

from typing import Annotated

import typer

from tidelake.cli.measure import Grain
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
from tidelake.cli.questions import ByOption, FromOption, ToOption, WhereOption, tell

EXAMPLES = examples(
    "tide revenue --event purchased --by category --grain month",
    "tide revenue --event purchased --refund returned --by category --by country",
)


def revenue(
    *,
    event: Annotated[
        str, typer.Option("--event", metavar="EVENTS", help="The events that sell: names, or names where SQL.")
    ] = "purchase",
    refund: Annotated[
        str | None, typer.Option("--refund", metavar="EVENTS", help="The events that give money back.")
    ] = None,
    by: ByOption = None,
    grain: Annotated[Grain, typer.Option("--grain", help="day, week or month.")] = Grain.day,
    product: Annotated[
        str | None, typer.Option("--product", metavar="COLUMN", help="What was sold; default: what refers to prices.")
    ] = None,
    price: Annotated[
        str, typer.Option("--price", metavar="COLUMN", help="The price, of the event or else of the product.")
    ] = "price",
    list_price: Annotated[
        str | None, typer.Option("--list-price", metavar="COLUMN", help="The product's, where it is called otherwise.")
    ] = None,
    quantity: Annotated[
        str, typer.Option("--quantity", metavar="COLUMN", help="Events: how many; below 0: a refund; none: 1.")
    ] = "quantity",
    currency: Annotated[
        str, typer.Option("--currency", metavar="COLUMN", help="Of the event or else of the product.")
    ] = "currency",
    members: Annotated[bool, flag("--members", help="The actors behind the numbers instead.")] = False,
    start: FromOption = None,
    end: ToOption = None,
    where: WhereOption = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = None,
    chart: ChartOption = None,
) -> None:
    """Quantity times the price at the time, less refunds, by category; each currency has its own rows."""
    tell(
        lambda session: session.revenue(
            event,
            refund=refund,
            product=product,
            price=price,
            list_price=list_price,
            quantity=quantity,
            currency=currency,
            by=tuple(by or ()),
            grain=grain.value,
            members=members,
            start=start,
            end=end,
            where=where,
        ),
        project=project,
        target=target,
        as_of=as_of,
        engine=engine,
        form=form,
        output=output,
        limit=limit,
        chart=chart,
    )
