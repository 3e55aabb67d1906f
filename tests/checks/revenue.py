"""Revenue written a second time, from METRICS section 9: every sale looks for its own price."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from tests.checks.events import UNKNOWN, Coverage, Event, period_first, period_index, text


@dataclass(frozen=True)
class ProductRow:
    """A row of a product dimension with history: it holds from `valid_from` (null: the beginning) to the next one."""

    product: str
    valid_from: datetime | None
    price: Decimal | None
    category: str | None


@dataclass(frozen=True)
class Sale:
    """One event with what it was worth.

    Attributes:
        price_source: `event`, `history`, `current` (flagged) or `none`.
    """

    event: Event
    quantity: Decimal
    price: Decimal | None
    price_source: str
    category: str


def row_at(rows: Iterable[ProductRow], product: Any, at: datetime) -> ProductRow | None:
    """The row valid at an instant, half-open: the latest with `valid_from ≤ at`."""
    own = [row for row in rows if row.product == product and (row.valid_from is None or row.valid_from <= at)]
    return max(own, key=_begin) if own else None


def current_row(rows: Iterable[ProductRow], product: Any) -> ProductRow | None:
    """The latest row."""
    own = [row for row in rows if row.product == product]
    return max(own, key=_begin) if own else None


def _begin(row: ProductRow) -> tuple[bool, float]:
    return (row.valid_from is not None, row.valid_from.timestamp() if row.valid_from else 0.0)


def priced(
    events: Iterable[Event],
    products: Iterable[ProductRow] = (),
    *,
    product: str = "product_id",
    quantity: str = "quantity",
    price: str = "price",
    category: str | None = None,
) -> list[Sale]:
    """ "quantity (1 where none) × price *at event time*: event.price, else the price valid then in the declared
    dimension history (SCD2), else the current one, flagged"; "join MUST NOT change row count (asserted)".

    Args:
        category: A field of the event that is the category; null = that of the product's row at event time, else the
            current one, "unmatched product → `(unknown)`".
    """
    events, products = list(events), list(products)
    found = []
    for item in events:
        key = item.props.get(product)
        then, now = row_at(products, key, item.at), current_row(products, key)
        if item.props.get(price) is not None:
            worth, source = Decimal(str(item.props[price])), "event"
        elif then is not None and then.price is not None:
            worth, source = then.price, "history"
        elif now is not None and now.price is not None:
            worth, source = now.price, "current"
        else:
            worth, source = None, "none"
        row = then or now
        name = text(item.props.get(category)) if category else text(row.category) if row else UNKNOWN
        count = item.props.get(quantity)
        found.append(Sale(item, Decimal(1) if count is None else Decimal(str(count)), worth, source, name))
    assert len(found) == len(events)
    return found


def revenue(
    sales: Iterable[Sale], coverage: Coverage, *, grain: str = "month", currency: str = "currency"
) -> dict[tuple[date, str, str | None], dict[str, Any]]:
    """Σ(quantity × price) "− refunds (negative quantities), single currency per row".

    Returns:
        By (first date of the period, category, currency): `value`, `gross`, `refunds` (positive), `rows`,
        `current_price` (rows with a flagged price), `unpriced` (rows without any, which add nothing), `status`.
    """
    found: dict[tuple[date, str, str | None], dict[str, Any]] = {}
    for sale in sales:
        index = period_index(sale.event.local_date, grain, week_start=coverage.week_start)
        first = period_first(index, grain, week_start=coverage.week_start)
        row = found.setdefault(
            (first, sale.category, sale.event.props.get(currency)),
            {
                "value": Decimal(0),
                "gross": Decimal(0),
                "refunds": Decimal(0),
                "rows": 0,
                "current_price": 0,
                "unpriced": 0,
                "status": coverage.period_status(first, grain),
            },
        )
        row["rows"] += 1
        row["current_price"] += sale.price_source == "current"
        if sale.price is None:
            row["unpriced"] += 1
            continue
        worth = sale.quantity * sale.price
        row["value"] += worth
        row["refunds" if sale.quantity < 0 else "gross"] += abs(worth) if sale.quantity < 0 else worth
    return found
