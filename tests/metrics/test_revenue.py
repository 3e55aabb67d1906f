"""Revenue by hand: prices at the time, refunds, currencies, unknown products (METRICS section 9)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import INSTANT, Tiny, at
from tidelake.contracts.source import source_from
from tidelake.engine.result import Result
from tidelake.errors import DefinitionError, GrainError, UnknownNameError
from tidelake.metrics.choosing import Which
from tidelake.metrics.revenue import Revenue, revenue

COLUMNS = {
    "product_id": pa.string(),
    "price": pa.float64(),
    "quantity": pa.int64(),
    "currency": pa.string(),
    "country": pa.string(),
}
MAPPING = {"event_time": "t", "event_id": "i", "actor_id": "a", "event_name": "n", "session_id": "s"}
PRODUCTS = pa.schema([("product_id", pa.string()), ("category", pa.string()), ("price", pa.float64())])
DATED = pa.schema([("valid_from", INSTANT), ("valid_to", INSTANT)])


def sale(time: str, product: str | None, **more: Any) -> dict[str, Any]:
    return {"event_time": f"2025-03-{time}", "event_name": "buy", "product_id": product, "currency": "EUR", **more}


EVENTS = [
    sale("03 09:00", "p1", quantity=2, actor_id=None),  # 2 at 10: toys
    sale("03 10:00", "p2"),  # before its first price: 3, its present one
    sale("05 00:00", "p1"),  # the instant of the new price: 12, games
    sale("05 08:00", "p1", price=8.0, actor_id="bob"),
    sale("05 09:00", "p1", currency="USD"),  # 12
    sale("06 08:00", "p1", quantity=-1),  # 12 back
    sale("06 09:00", "p1", event_name="return", quantity=1, price=8.0, actor_id="bob"),  # 8 back
    sale("06 10:00", "p9", price=4.0),  # a product that nobody knows
    sale("06 11:00", "p9", quantity=5),  # and without a price
    sale("06 12:00", None, price=0.5, country="DE"),
    sale("06 13:00", "p1", event_name="view"),
    sale("06 14:00", "p1", quantity=100, traffic_class="bot"),
    sale("07 14:00", "p2", event_name="view"),
]
HISTORY = [
    {"product_id": "p1", "category": "toys", "price": 10.0, "valid_from": None, "valid_to": at("2025-03-05 00:00")},
    {"product_id": "p1", "category": "games", "price": 12.0, "valid_from": at("2025-03-05 00:00"), "valid_to": None},
    {"product_id": "p2", "category": "toys", "price": 3.0, "valid_from": at("2025-03-04 00:00"), "valid_to": None},
]
SOLD = Revenue(event="buy", refund="return")  # type: ignore[arg-type]


class Shop(Tiny):
    """Events that name products, and a dimension of products."""

    def __init__(self, root: Path, products: Iterable[Mapping[str, Any]], *, has_history: bool = True) -> None:
        super().__init__(root, columns=COLUMNS)
        fields = {"product_id": {"type": "string", "references": "products.product_id"}}
        app = {"name": "app", "path": "x", "mapping": MAPPING, "dedup": "key", "contract": {"fields": fields}}
        dated = {"history": "scd2", "mapping": {"valid_from": "since"}} if has_history else {}
        own = {name: {"type": "string"} for name in ("product_id", "category")} | {"price": {"type": "number"}}
        goods = {"name": "products", "path": "y", "fact": "dimension", "key": ["product_id"], **dated}
        self.sources = {
            "app": source_from(app),
            "products": source_from({**goods, "contract": {"fields": own}}),
        }
        schema = pa.schema([*PRODUCTS, *DATED]) if has_history else PRODUCTS
        rows = pa.Table.from_pylist([dict(row) for row in products], schema=schema)
        self.engine.write(rows, "silver.products", "overwrite")
        self.add(EVENTS)

    def sold(self, definition: Any = SOLD, **options: Any) -> Result:
        return self.ask(revenue, definition, **options)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with Shop(tmp_path_factory.mktemp("shop"), HISTORY) as made:
        yield made


def values(result: Result, *keys: str) -> dict[tuple[Any, ...], Any]:
    return {(row["period_start"].day, *(row[key] for key in keys)): row["value"] for row in result.to_dicts()}


def test_each_sale_has_the_price_and_the_category_of_its_time(shop: Shop) -> None:
    """3 March: 2 * 10 + 3 of toys. 5 March: 12 + 8 of games, 12 in dollars. 6 March: -12 - 8 of games, 4 + .5 of what
    is not known. No event came on the 4th: null.
    """
    result = shop.sold(by=["category"])
    found = values(result, "category", "currency")
    known = {key: value for key, value in found.items() if value}
    assert known == {
        (3, "toys", "EUR"): 23,
        (5, "games", "EUR"): 20,
        (5, "games", "USD"): 12,
        (6, "games", "EUR"): -20,
        (6, "(unknown)", "EUR"): 4.5,
    }
    assert found[3, "games", "USD"] == 0
    assert {value for key, value in found.items() if key[0] == 4} == {None}
    statuses = {row["period_start"].day: row["status"] for row in result.to_dicts()}
    assert statuses == {3: "complete", 4: "missing", 5: "complete", 6: "complete", 7: "open"}


def test_gross_refunds_quantity_and_what_has_no_price(shop: Shop) -> None:
    """The month in euros: gross 20 + 3 + 12 + 8 + 4 + .5, refunds 12 + 8; 2 + 1 + 1 + 1 - 1 - 1 + 1 + 5 + 1 pieces."""
    result = shop.sold(grain="month")
    euros, dollars = result.to_dicts()
    assert (euros["value"], euros["gross_revenue"], euros["refunds"]) == (27.5, 47.5, 20)
    assert (euros["quantity"], euros["n"], euros["unpriced"], euros["at_present_price"]) == (10, 9, 1, 1)
    assert (dollars["currency"], dollars["value"], dollars["n"]) == ("USD", 12, 1)
    assert "10 rows of buy and return" in result.notes[0]
    assert "1 rows are counted at the present price of products" in result.notes[1]
    assert "1 rows have no price" in result.notes[2]


def test_sums_do_not_depend_on_the_cut(shop: Shop) -> None:
    whole = {row["currency"]: row["value"] for row in shop.sold(grain="month").to_dicts()}
    for by in (["category"], ["country"], ["product_id"], ["category", "country"]):
        parts: dict[str, float] = {}
        for row in shop.sold(by=by).to_dicts():
            parts[row["currency"]] = parts.get(row["currency"], 0.0) + (row["value"] or 0.0)
        assert parts == whole


def test_members_are_the_actors_with_their_part(shop: Shop) -> None:
    """ann: 3 + 12 - 12 + 4.5 = 7.5; bob: 8 - 8; nobody: 20."""
    rows = shop.sold(grain="month", members=True).to_dicts()
    parts = {(row["actor_id"], row["currency"]): row["value"] for row in rows}
    assert parts == {("ann", "EUR"): 7.5, ("bob", "EUR"): 0, (None, "EUR"): 20, ("ann", "USD"): 12}


def test_a_condition_narrows_the_events(shop: Shop) -> None:
    asked = Revenue(event=Which.parse("buy where price > 1"))
    assert {row["value"] for row in shop.sold(asked, grain="month").to_dicts()} == {12}  # 8 + 4
    assert [row["value"] for row in shop.sold(where="country = 'DE'", grain="month").to_dicts()] == [0.5]


def test_a_product_that_stands_twice_stops_the_question(tmp_path: Path) -> None:
    with Shop(tmp_path, [*HISTORY, {**HISTORY[1], "price": 99.0}]) as shop, pytest.raises(GrainError, match="products"):
        shop.sold(by=["category"])


def test_without_history_every_price_is_the_present_one(tmp_path: Path) -> None:
    """p1 at 12 always: 3 March 24 + 3, and all six rows without a price of their own are flagged."""
    present = [{"product_id": "p1", "category": "games", "price": 12.0}, {"product_id": "p2", "price": 3.0}]
    with Shop(tmp_path, present, has_history=False) as shop:
        result = shop.sold(by=["category"], grain="month")
    found = {(row["category"], row["currency"]): row["value"] for row in result.to_dicts()}
    assert found == {("games", "EUR"): 24 + 12 + 8 - 12 - 8, ("games", "USD"): 12, ("(unknown)", "EUR"): 3 + 4.5}
    assert sum(row["at_present_price"] for row in result.to_dicts()) == 5
    assert "no history is kept" in result.notes[1]


def test_without_products_the_events_say_it_all(tmp_path: Path) -> None:
    with Tiny(tmp_path, columns=COLUMNS) as tiny:
        tiny.add(EVENTS)
        result = tiny.ask(revenue, SOLD, by=["country"], grain="month")
        found = {(row["country"], row["value"], row["unpriced"]) for row in result.to_dicts() if row["n"]}
        assert found == {("(unknown)", 4.0, 5), ("DE", 0.5, 0), ("(unknown)", None, 1)}
        asked = Revenue(event=Which.parse("buy"), price="amount")
        with pytest.raises(DefinitionError, match="no price"):
            tiny.ask(revenue, asked)
        with pytest.raises(UnknownNameError, match="'quantiti' in revenue, price") as caught:
            tiny.ask(revenue, asked.model_copy(update={"price": "quantiti"}))
        assert caught.value.hint == "Did you mean 'quantity'?"


def test_names_that_are_nowhere(shop: Shop) -> None:
    with pytest.raises(UnknownNameError, match="categroy") as caught:
        shop.sold(by=["categroy"])
    assert "category" in str(caught.value.hint)
    with pytest.raises(UnknownNameError, match="grain"):
        shop.sold(grain="year")
    with pytest.raises(UnknownNameError, match="'prize' in revenue, price"):  # and not the list price, silently
        shop.sold(Revenue(event=Which.parse("buy"), price="prize"))
    with pytest.raises(UnknownNameError, match="'bui'"):  # and not an empty table
        shop.sold(Revenue(event=Which.parse("bui")))
    with pytest.raises(UnknownNameError, match="prod"):
        shop.sold(Revenue(event=Which.parse("buy"), product="prod"))


def test_nothing_yet(tmp_path: Path) -> None:
    with Tiny(tmp_path, columns=COLUMNS) as tiny:
        result = tiny.ask(revenue, "buy")
    assert result.to_dicts() == []


def test_a_project_of_files_is_asked_by_the_session_and_the_command(tmp_path: Path, capsys: Any) -> None:
    """p cost 10 until 3 March and 12 from its noon on; sold before noon, at noon, and once below 0."""
    from tests.session.lakes import build, events_with, lines, make_project
    from tidelake import session as tl
    from tidelake.cli import main

    fields = {"item": {"type": "string", "references": "goods.sku"}, "n": {"type": "integer"}}
    goods = {
        "fact": "dimension",
        "path": "goods.csv",
        "format": "csv",
        "key": ["sku"],
        "history": "scd2",
        "mapping": {"valid_from": "since"},
        "contract": {
            "fields": {
                "sku": {"type": "string", "required": True},
                "family": {"type": "string"},
                "cost": {"type": "number"},
                "since": {"type": "timestamp"},
            }
        },
    }
    root = make_project(tmp_path, {"app": events_with(fields=fields, path="data/*.jsonl"), "goods": goods})
    (root / "goods.csv").write_text("sku,family,cost,since\np,old,10,2024-03-01\np,new,12,2024-03-03T12:00:00Z\n")
    sold = [("03T11:59:59Z", 1), ("03T12:00:00Z", 2), ("04T09:00:00Z", -1)]
    rows = [
        {"id": f"e{n}", "ts": f"2024-03-{time}", "received": f"2024-03-{time}", "user": "u", "event": "buy"}
        | {"item": "p", "n": pieces, "amount": 1, "country": "DE"}
        for n, (time, pieces) in enumerate(sold)
    ]
    (root / "data" / "a.jsonl").write_text(lines(rows))
    build(root)
    with tl.open(root) as session:
        found = session.revenue("buy", price="cost", quantity="n", by=["family"], start="2024-03-03", end="2024-03-04")
        assert values(found, "family") == {(3, "old"): 10, (3, "new"): 24, (4, "old"): 0, (4, "new"): -12}
        with pytest.raises(DefinitionError, match="Unknown setting 'prize' in revenue"):
            session.revenue("buy", prize="cost")
    asked = ["revenue", "--event", "buy", "--price", "cost", "--quantity", "n", "--grain", "month", "--format", "csv"]
    assert main([*asked, "--project", str(root)]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert float(row.split(",")[header.split(",").index("value")]) == 22


def test_the_event_s_price_may_be_called_otherwise_than_the_product_s(shop: Shop) -> None:
    """3 March, the events' `quantity` taken for their price: 2 of p1, and p2, which has none, at its list price 3."""
    asked = Revenue(event="buy", price="quantity", quantity="pieces")  # type: ignore[arg-type]
    result = shop.sold(asked, by=["category"])
    assert values(result, "category", "currency")[3, "toys", "EUR"] == 5
    assert "The events have no column 'pieces': each counts as one piece." in result.notes
    with pytest.raises(DefinitionError, match="no price"):
        shop.sold(Revenue(event="buy", price="paid", list_price="cost"), by=["category"])  # type: ignore[arg-type]


def test_products_are_what_has_a_price_whatever_else_the_events_refer_to(tmp_path: Path) -> None:
    with Shop(tmp_path, HISTORY) as shop:
        expected = values(shop.sold(by=["category", "country"]), "category", "country", "currency")
        fields = {
            "country": {"type": "string", "references": "countries.country"},
            "product_id": {"type": "string", "references": "products.product_id"},
        }
        app = {"name": "app", "path": "x", "mapping": MAPPING, "dedup": "key", "contract": {"fields": fields}}
        land = {"name": "countries", "path": "z", "fact": "dimension", "key": ["country"]}
        text = {"fields": {"country": {"type": "string"}}}
        shop.sources |= {"app": source_from(app), "countries": source_from({**land, "contract": text})}
        shop.engine.write(pa.table({"country": ["DE"]}), "silver.countries", "overwrite")
        assert values(shop.sold(by=["category", "country"]), "category", "country", "currency") == expected
