"""Revenue by category: quantity times the price at the time, less refunds, each currency for itself (section 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from tidelake.config import Project, Settings
from tidelake.contracts.source import Source, columns_by_field
from tidelake.contracts.table import quoted
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.engine.sql import check_expression, check_names_in
from tidelake.errors import DefinitionError, GrainError, UnknownNameError, nearest
from tidelake.gold.context import Gold, open_gold
from tidelake.gold.dates import Tables
from tidelake.gold.sqltext import date_literal, exact_sum
from tidelake.metrics.answer import answer_by_period
from tidelake.metrics.choosing import Which, check_event_names, need_events
from tidelake.metrics.dimensions import UNKNOWN, check_by, fact_dimensions
from tidelake.metrics.periods import (
    Grain,
    dates_between,
    days_table,
    grain_named,
    next_period,
    whole_periods,
)
from tidelake.metrics.series import observe_read, span
from tidelake.metrics.status import Observed

DAYS = "temp.revenue_days"
_OWN = ("event_date", "event_time", "event_name", "actor_id", "source")


class Revenue(Settings):
    """Which events sell, and where their price, quantity, currency and product stand.

    Attributes:
        event: Events that sell.
        refund: Events that give money back; a sale with a quantity below 0 is a refund too.
        product: Events' column with what was sold; None = the one whose contract refers to a dimension that has a
            price, or what is asked `by`.
        price: Column of the event, else of the product.
        list_price: Column of the product, where it is called otherwise; None = `price` as given, else `price`.
        quantity: Column of the event; where there is none or it is null, 1.
        currency: Column of the event, else of the product; where neither has one, `(unknown)`.
    """

    event: Which
    refund: Which | None = None
    product: str | None = None
    price: str = "price"
    list_price: str | None = None
    quantity: str = "quantity"
    currency: str = "currency"


@dataclass(frozen=True)
class _Products:
    """The dimension that says what products cost.

    Attributes:
        column: The events' column that holds its key.
        has_history: Whether its rows say from when to when they hold.
        price: Its column with the price; None = it has none.
    """

    name: str
    key: str
    column: str
    columns: tuple[str, ...]
    has_history: bool
    price: str | None

    @property
    def table(self) -> str:
        return f"silver.{self.name}"


def revenue(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    definition: Revenue | str,
    *,
    by: Sequence[str] = (),
    grain: str = "day",
    start: date | None = None,
    end: date | None = None,
    where: str | None = None,
    members: bool = False,
) -> Result:
    """What was sold, by columns of the events or of their products.

    The price of a row is the event's own; else that of the product's history at the time of the event; else the
    product's present one, which is flagged. Rows without an actor count.

    Args:
        by: Columns of the events, else of the product as it was at the time: category, country. A row whose product
            is not known is `(unknown)`.
        grain: day, week or month.
        start: First local date; None = where the data begin.
        end: Last local date; None = where the data end.
        where: SQL over silver's columns of the events.
        members: The actors behind the numbers instead, with their part of `value`; null = rows without an actor.

    Returns:
        One row a period, segment and currency: `value` = `gross_revenue` - `refunds`, `quantity` net of refunds,
        `n` = rows; `unpriced` rows have no price anywhere and are not in the sums (null where all are so), the price
        of `at_present_price` rows is the product's present one. A census: no interval.

    Raises:
        UnknownNameError: A column that neither events nor products have.
        DefinitionError: There is no price anywhere.
        GrainError: The product dimension has several rows for one product and time, so that sales would count twice.
        QueryError: `where` is not one portable condition.
    """
    asked = definition if isinstance(definition, Revenue) else Revenue(event=Which.parse(definition))
    need_events(sources, "Revenue")
    gold = open_gold(engine, lake, project, sources)
    names = (by,) if isinstance(by, str) else tuple(by)
    observed = observe_read(gold, [source.name for source in gold.events.sources], [])
    first, last = span(observed, start, end)
    question = _Question(gold, asked, names, grain_named(grain), where, observed, _products(gold, asked, names))
    if gold.events.sources:
        question.check()
    return question.answer(first, last, members=members)


def _products(gold: Gold, asked: Revenue, by: Sequence[str]) -> _Products | None:
    """The dimension that the events' product column refers to.

    Without a column given it is one that has a price, else the one with most of the columns to cut by.
    """
    known: list[tuple[bool, int, _Products]] = []
    for event_source in gold.events.sources:
        source = gold.sources[event_source.name]
        columns = {field: column for column, field in source.mapping.items()}
        for field, rule in source.contract.fields.items():
            column = columns.get(field, field)
            if rule.references is None or asked.product not in (None, field, column):
                continue
            name, _, key = rule.references.partition(".")
            schema = gold.lake.schema(f"silver.{name}")
            if schema is None:
                continue
            price = _list_price(asked, schema.names)
            told = len(set(by) & set(schema.names))
            if asked.product is None and price is None and not told:
                continue
            dimension = gold.sources[name]
            if len(dimension.key) != 1:
                raise DefinitionError(
                    f"Products are told apart by one column, but `key:` of {name} has {', '.join(dimension.key)}."
                )
            own = {given: part for part, given in dimension.mapping.items()}
            has_history = {"valid_from", "valid_to"} <= set(schema.names)
            products = _Products(name, own.get(key, key), column, tuple(schema.names), has_history, price)
            known.append((price is not None, told, products))
    return max(known, key=lambda one: one[:2])[2] if known else None


def _list_price(asked: Revenue, columns: Sequence[str]) -> str | None:
    """The product's column with its price."""
    wanted = [asked.list_price] if asked.list_price is not None else [asked.price, "price"]
    return next((name for name in wanted if name in columns), None)


@dataclass(frozen=True)
class _Question:
    gold: Gold
    asked: Revenue
    by: tuple[str, ...]
    grain: Grain
    where: str | None
    observed: Observed
    products: _Products | None

    @property
    def event_columns(self) -> list[str]:
        return list(dict.fromkeys([*_OWN, *self.gold.events.types, *self.gold.events.attributes.among(self.by)]))

    @property
    def product_columns(self) -> tuple[str, ...]:
        return self.products.columns if self.products else ()

    @property
    def segments(self) -> list[str]:
        return [f"s{index}" for index in range(len(self.by))]

    def check(self) -> None:
        """Raise for names that are nowhere."""
        asked, events = self.asked, self.event_columns
        for which in (asked.event, asked.refund):
            if which is not None:
                which.check(self.gold)
        known = [*fact_dimensions(self.gold, "event"), *self.product_columns]
        check_by(self.gold, self.by, [*known, *(name for name in self.by if name in events)])
        if asked.product is not None and asked.product not in events and self.products is None:
            raise UnknownNameError("column", asked.product, events, where="the events")
        if asked.price not in events and (self.products is None or self.products.price is None):
            if nearest(asked.price, [*events, *self.product_columns]):
                self._check_named()
            raise DefinitionError(
                f"There is no price: neither the events nor a product dimension have a column '{asked.price}'.",
                hint="Name it with --price. A field of the events that holds the product says "
                "`references: products.product_id` in its contract.",
            )
        self._check_named()
        check_event_names(self.gold, [which for which in (asked.event, asked.refund) if which is not None])
        if self.where is not None:
            check_expression(self.where)
            check_names_in(self.where, list(self.gold.events.types), columns_by_field(self.gold.sources))

    def _check_named(self) -> None:
        """Raise for a column that was named and is nowhere: by its default name it may be missing."""
        asked, products = self.asked, self.product_columns
        known = (*self.event_columns, *products)
        for option in ("price", "currency"):
            name = getattr(asked, option)
            if name != Revenue.model_fields[option].default and name not in known:
                raise UnknownNameError("column", name, known, where=f"revenue, {option}")
        if asked.list_price is not None and asked.list_price not in products:
            raise UnknownNameError("column", asked.list_price, products, where="revenue, list_price")

    # --- SQL

    def sales(self, first: date, last: date) -> str:
        """SELECT of the events that sell or give back: what stands in them."""
        asked, events = self.asked, self.event_columns
        which = [one for one in (asked.event, asked.refund) if one is not None]
        used = [asked.price, asked.quantity, asked.currency, *self.by, *(name for one in which for name in one.columns)]
        used += [self.products.column] if self.products else []
        columns = [name for name in dict.fromkeys(used) if name in events and name not in _OWN]
        refund = "FALSE" if asked.refund is None else asked.refund.condition()
        rows = self.gold.events.select(columns=columns, everything=True, where=self.where)

        def column(name: str | None, kind: str) -> str:
            return f"CAST({quoted(name)} AS {kind})" if name in events and name is not None else f"CAST(NULL AS {kind})"

        quantity = f"coalesce({column(asked.quantity, 'DOUBLE')}, 1e0)"
        listed = "".join(
            f", {column(name, 'VARCHAR')} AS s{index}" for index, name in enumerate(self.by) if name in events
        )
        return (
            f"SELECT event_date AS day, event_time, actor_id, {column(asked.price, 'DOUBLE')} AS own_price, "
            f"{column(asked.currency, 'VARCHAR')} AS own_currency, "
            f"CASE WHEN {refund} THEN -abs({quantity}) ELSE {quantity} END AS quantity, "
            f"{column(self.products.column if self.products else None, 'VARCHAR')} AS product{listed} "
            f"FROM ({rows}) AS chosen WHERE is_counted AND "
            f"({' OR '.join(one.condition() for one in which)}) "
            f"AND event_date BETWEEN {date_literal(first)} AND {date_literal(last)}"
        )

    def priced(self, first: date, last: date) -> str:
        """SELECT of the sales with price, currency and segments; as many rows as `sales`, unless a product is twice."""
        sales, products = self.sales(first, last), self.products
        own = [f"s{index}" for index, name in enumerate(self.by) if name in self.event_columns]
        kept = "".join(f", coalesce(sales.{name}, '{UNKNOWN}') AS {name}" for name in own)
        if products is None:
            return (
                f"SELECT day, actor_id, quantity, own_price AS price, FALSE AS is_present, "
                f"coalesce(own_currency, '{UNKNOWN}') AS currency{kept} FROM ({sales}) AS sales"
            )
        wanted: dict[str, tuple[str | None, str]] = {
            "price": (products.price, "DOUBLE"),
            "currency": (self.asked.currency, "VARCHAR"),
        }
        wanted |= {f"s{index}": (name, "VARCHAR") for index, name in enumerate(self.by) if f"s{index}" not in own}
        found = ", ".join(
            f"CAST({quoted(name) if name is not None and name in products.columns else 'NULL'} AS {kind}) AS {given}"
            for given, (name, kind) in wanted.items()
        )
        key = f"CAST({quoted(products.key)} AS VARCHAR) AS product"
        dates = "valid_from, valid_to, " if products.has_history else ""
        held = f"SELECT {dates}{key}, {found} FROM {products.table}"
        at_time = (
            f"LEFT JOIN ({held}) AS held ON held.product = sales.product "
            "AND (held.valid_from IS NULL OR held.valid_from <= sales.event_time) "
            "AND (held.valid_to IS NULL OR sales.event_time < held.valid_to)"
        )
        present = f"{held} WHERE valid_to IS NULL" if products.has_history else held
        joins = f"{at_time if products.has_history else ''} LEFT JOIN ({present}) AS present "
        joins += "ON present.product = sales.product"
        then = "held.price" if products.has_history else "CAST(NULL AS DOUBLE)"

        def of_product(given: str) -> str:
            if not products.has_history:
                return f"present.{given}"
            return f"CASE WHEN held.product IS NULL THEN present.{given} ELSE held.{given} END"

        money = of_product("currency")
        kept += "".join(
            f", coalesce({of_product(name)}, '{UNKNOWN}') AS {name}" for name in self.segments if name not in own
        )
        return (
            f"SELECT day, actor_id, quantity, coalesce(own_price, {then}, present.price) AS price, "
            f"own_price IS NULL AND {then} IS NULL AND present.price IS NOT NULL AS is_present, "
            f"coalesce(CASE WHEN own_price IS NULL THEN {money} END, own_currency, {money}, '{UNKNOWN}') AS currency"
            f"{kept} FROM ({sales}) AS sales {joins}"
        )

    def sql(self, first: date, last: date) -> str:
        """SELECT of the sums by period, segment and currency."""
        groups = ", ".join(["days.period_start", *self.segments, "currency"])
        amount = "quantity * price"
        return (
            f"SELECT {groups}, {exact_sum(amount, 'WIDE')} AS value, "
            f"{exact_sum(amount, 'WIDE', 'quantity >= 0')} AS gross_revenue, "
            f"{exact_sum('-' + amount, 'WIDE', 'quantity < 0')} AS refunds, "
            f"{exact_sum('quantity', 'WIDE')} AS quantity, count(*) AS n, "
            "count(*) FILTER (WHERE price IS NULL) AS unpriced, count(*) FILTER (WHERE is_present) AS at_present_price "
            f"FROM ({self.priced(first, last)}) AS priced JOIN {DAYS} AS days ON days.day = priced.day "
            f"GROUP BY {groups}"
        )

    def _members_sql(self, first: date, last: date) -> str:
        groups = ", ".join(["days.period_start", *self.segments, "currency", "actor_id"])
        return (
            f"SELECT {groups}, {exact_sum('quantity * price', 'WIDE')} AS value, count(*) AS n "
            f"FROM ({self.priced(first, last)}) AS priced JOIN {DAYS} AS days ON days.day = priced.day "
            f"GROUP BY {groups} ORDER BY {groups}"
        )

    # --- rows

    def answer(self, start: date | None, end: date | None, *, members: bool) -> Result:
        notes: list[str] = []
        rows: list[dict[str, Any]] = []
        sql = ""
        if start is None or end is None:
            notes.append("The lake holds no events yet.")
        else:
            week_start = self.gold.project.week_start
            first, last = whole_periods(start, end, self.grain, week_start)
            self.gold.temp("revenue_days", days_table(list(dates_between(first, last)), self.grain, week_start))
            sql = self.sql(first, last)
            found = self.gold.query(sql)
            self._check_rows(found, first, last)
            rows = self._filled(found, first, last)
            notes = self._notes(found)
            if members:
                sql = self._members_sql(first, last)
                status = {row["period_start"]: row["status"] for row in rows}
                rows = [
                    {**row, **self._named(row), "status": status[row["period_start"]]} for row in self.gold.query(sql)
                ]
        before = [pa.field(name, pa.string()) for name in ("currency", *(("actor_id",) if members else ()))]
        sums = [pa.field(name, pa.float64()) for name in ("gross_revenue", "refunds", "quantity")]
        sums += [pa.field(name, pa.int64()) for name in ("unpriced", "at_present_price")]
        return answer_by_period(
            self.gold,
            [{**row, "grain": self.grain} for row in rows],
            self.by,
            self.asked,
            before=before,
            after=[] if members else sums,
            name="revenue",
            observed=self.observed,
            sql=sql,
            tables=[*self.gold.events.inputs, *([self.products.table] if self.products else [])],
            title=f"Revenue{' by ' + ', '.join(self.by) if self.by else ''}",
            notes=notes,
        )

    def _check_rows(self, found: Sequence[Mapping[str, Any]], first: date, last: date) -> None:
        """Raise unless every sale stands in the sums exactly once."""
        sold = self.gold.query(f"SELECT count(*) AS n FROM ({self.sales(first, last)}) AS sales")[0]["n"]
        counted = sum(row["n"] for row in found)
        if sold != counted:
            table = self.products.table if self.products else "the events"
            raise GrainError(
                f"{sold:,} sales became {counted:,} rows when their products were looked up: {table} has several rows "
                "for one product and time.",
                hint="Its `key:` must tell products apart; with `history: scd2` each row needs a `valid_from`.",
            )

    def _named(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {name: row[segment] for name, segment in zip(self.by, self.segments, strict=True)}

    def _filled(self, found: Sequence[Mapping[str, Any]], first: date, last: date) -> list[dict[str, Any]]:
        """A row for every period, segment and currency that occur: 0 where received, null where not."""
        keys = [*self.segments, "currency"]
        by_key = {(row["period_start"], *(row[name] for name in keys)): row for row in found}
        occurring = sorted({tuple(row[name] for name in keys) for row in found})
        rows = []
        while first <= last:
            following = next_period(first, self.grain)
            days = list(dates_between(first, following - timedelta(days=1)))
            is_received = any(self.observed.is_received(day) for day in days)
            status = self.observed.of_period(first, following)
            for values in occurring:
                row: Mapping[str, Any] = by_key.get((first, *values), _NOTHING if is_received else {})
                known = dict(zip(keys, values, strict=True))
                numbers = {name: row.get(name) for name in _NOTHING}
                if row and row["n"] > row["unpriced"]:
                    numbers |= {name: row[name] or 0.0 for name in ("value", "gross_revenue", "refunds")}
                numbers["numerator"] = numbers["value"]
                rows.append(
                    {
                        "period_start": first,
                        "currency": known["currency"],
                        **self._named(known),
                        **numbers,
                        "status": status,
                    }
                )
            first = following
        return rows

    def _notes(self, found: Sequence[Mapping[str, Any]]) -> list[str]:
        sold = sum(row["n"] for row in found)
        notes = [f"{sold:,} rows of {self.asked.event}" + (f" and {self.asked.refund}" if self.asked.refund else "")]
        present = sum(row["at_present_price"] for row in found)
        if present and self.products:
            why = "it has no older one" if self.products.has_history else "no history is kept"
            notes.append(f"{present:,} rows are counted at the present price of {self.products.name}: {why}.")
        unpriced = sum(row["unpriced"] for row in found)
        quantity = self.asked.quantity
        if quantity != Revenue.model_fields["quantity"].default and quantity not in self.event_columns:
            notes.append(f"The events have no column '{quantity}': each counts as one piece.")
        if unpriced:
            notes.append(f"{unpriced:,} rows have no price anywhere and are not in the sums.")
        return notes


_NOTHING = {
    "value": 0.0,
    "gross_revenue": 0.0,
    "refunds": 0.0,
    "quantity": 0.0,
    "n": 0,
    "unpriced": 0,
    "at_present_price": 0,
}
