"""`tide revenue`: what was sold, by category and currency."""

from __future__ import annotations

from typing import Annotated

import typer

from tidelake.cli.options import examples
from tidelake.cli.questions import ByOption, GrainOption, MembersOption, narrowed, question

EXAMPLES = examples(
    "tide revenue --event purchased --by category --grain month",
    "tide revenue --event purchased --refund returned --by category --by country",
)


@question(narrowed)
def revenue(
    *,
    event: Annotated[
        str, typer.Option("--event", metavar="EVENTS", help="The events that sell: names, or names where SQL.")
    ] = "purchase",
    refund: Annotated[
        str | None, typer.Option("--refund", metavar="EVENTS", help="The events that give money back.")
    ] = None,
    by: ByOption = None,
    grain: GrainOption = "day",
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
    members: MembersOption = False,
) -> None:
    """Quantity times the price at the time, less refunds, by category; each currency has its own rows."""
