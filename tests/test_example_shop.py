"""The shop: its simulator, its numbers in the lake and inside PostgreSQL, against plain Python over the CSV files."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.servers import PASSWORD
from tests.session.lakes import rows_of
from tidelake.cli import main
from tidelake.errors import ProjectError
from tidelake.sources.simulate import SimulationResult, simulate

POSTGRES = Path(__file__).parents[1] / "examples" / "shop" / "postgres"
Rows = dict[str, list[dict[str, str]]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimulationResult:
    return simulate("shop", tmp_path_factory.mktemp("shop") / "data")


@pytest.fixture(scope="module")
def truth(made: SimulationResult) -> Any:
    return json.loads(made.truth.read_text())


def tables_of(folder: Path) -> Rows:
    found = {}
    for name in ("users", "products", "events"):
        with (folder / f"{name}.csv").open(newline="") as stream:
            found[name] = list(csv.DictReader(stream))
    return found


@pytest.fixture(scope="module")
def tables(made: SimulationResult) -> Rows:
    return tables_of(made.folder)


# --- the same questions in plain Python


def active_by_week(tables: Rows) -> dict[str, int]:
    """Users by ISO week, named by its Monday."""
    users = defaultdict(set)
    for row in tables["events"]:
        day = date.fromisoformat(row["timestamp"][:10])
        users[str(day - timedelta(days=day.weekday()))].add(row["user_id"])
    return {week: len(users[week]) for week in sorted(users)}


def revenue(tables: Rows, *, at_list_price: bool = False) -> dict[str, Decimal]:
    products = {row["product_id"]: row for row in tables["products"]}
    found: dict[str, Decimal] = defaultdict(Decimal)
    for row in tables["events"]:
        if row["event_type"] == "purchased":
            product = products[row["product_id"]]
            amount = None if at_list_price else row.get("amount")
            found[product["category"]] += Decimal(amount or product["price"])
    return dict(found)


def cohorts(tables: Rows) -> dict[tuple[str, int], tuple[int, int, int]]:
    """Users, observed and active by (month of signup, week since signup)."""
    end = max(date.fromisoformat(row["timestamp"][:10]) for row in tables["events"]) + timedelta(days=1)
    signup = {row["user_id"]: date.fromisoformat(row["signup_date"]) for row in tables["users"]}
    weeks = defaultdict(set)
    for row in tables["events"]:
        weeks[row["user_id"]].add((date.fromisoformat(row["timestamp"][:10]) - signup[row["user_id"]]).days // 7)
    counts: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for user, day in signup.items():
        for week in range(8):
            cell = counts[str(day.replace(day=1)), week]
            cell[0] += 1
            if day + timedelta(days=7 * (week + 1)) <= end:
                cell[1] += 1
                cell[2] += week in weeks[user]
    return {key: (a, b, c) for key, (a, b, c) in counts.items()}


# --- the simulator


def test_sizes_and_columns_are_the_documents(tables: Rows) -> None:
    assert {name: len(rows) for name, rows in tables.items()} == {"users": 1_000, "products": 20, "events": 50_000}
    assert Counter(row["category"] for row in tables["products"]).keys() == {
        *("books", "electronics", "fashion", "home", "toys")
    }
    assert set(tables["events"][0]) == {"user_id", "event_type", "product_id", "timestamp", "amount"}
    assert {row["event_type"] for row in tables["events"]} == {"viewed", "add-to-cart", "purchased"}
    assert len(active_by_week(tables)) == 53
    times = [row["timestamp"] for row in tables["events"]]
    assert times == sorted(times)
    signup = {row["user_id"]: row["signup_date"] for row in tables["users"]}
    assert all(row["timestamp"] >= signup[row["user_id"]] for row in tables["events"])
    assert all(bool(row["amount"]) == (row["event_type"] == "purchased") for row in tables["events"])


def test_nothing_is_bought_that_was_not_in_the_cart(tables: Rows) -> None:
    """A visit may be cut at the last of 50,000 rows; nothing comes before what it follows."""
    events = defaultdict(list)
    for row in tables["events"]:
        events[row["user_id"], row["product_id"]].append(row["event_type"])
    for names in events.values():
        for place in range(len(names)):
            seen = Counter(names[: place + 1])
            assert seen["viewed"] >= seen["add-to-cart"] >= seen["purchased"]


def test_the_truth_is_what_the_files_hold(tables: Rows, truth: Any) -> None:
    assert truth["active_users_by_week"] == active_by_week(tables)
    assert truth["events_by_type"] == Counter(row["event_type"] for row in tables["events"])
    for name, at_list_price in (("revenue_paid_cents", False), ("revenue_at_list_price_cents", True)):
        cents = {key: int(value * 100) for key, value in revenue(tables, at_list_price=at_list_price).items()}
        assert truth[name] == cents
    cells = {(row["signup_month"], row["week"]): row for row in truth["cohorts"]}
    assert {key: (row["users"], row["observed"], row["active"]) for key, row in cells.items()} == cohorts(tables)


def test_the_plants_can_be_found(truth: Any) -> None:
    """Later cohorts come back more often; electronics were paid more than today's list price, the others exactly it."""
    share = {
        later: sum(row["active"] for row in rows) / sum(row["observed"] for row in rows)
        for later in (True, False)
        if (rows := [r for r in truth["cohorts"] if r["week"] >= 4 and (r["signup_month"] >= "2025-01") is later])
    }
    assert share[True] > share[False] + 0.1
    paid, listed = truth["revenue_paid_cents"], truth["revenue_at_list_price_cents"]
    assert {name for name in paid if paid[name] != listed[name]} == {"electronics"}
    assert 1 < paid["electronics"] / listed["electronics"] < 1.25


def test_the_same_seed_gives_the_same_bytes(made: SimulationResult, tmp_path: Path) -> None:
    again, other = simulate("shop", tmp_path / "again"), simulate("shop", tmp_path / "other", seed=2)
    for path, same, changed in zip(made.files, again.files, other.files, strict=True):
        assert path.read_bytes() == same.read_bytes() != changed.read_bytes()


@pytest.mark.parametrize("sizes", [{"users": 0}, {"products": 4}, {"events": 0}, {"days": 13}])
def test_sizes_out_of_range_are_refused(tmp_path: Path, sizes: dict[str, int]) -> None:
    with pytest.raises(ProjectError, match="cannot be simulated"):
        simulate("shop", tmp_path / "data", **sizes)


@pytest.mark.parametrize("sizes", [{"users": 1, "products": 5, "events": 1, "days": 14}, {"users": 3, "events": 7}])
def test_small_sizes_are_met_exactly(tmp_path: Path, sizes: dict[str, int]) -> None:
    found = tables_of(simulate("shop", tmp_path / "data", **sizes).folder)
    assert (len(found["users"]), len(found["events"])) == (sizes["users"], sizes["events"])


# --- in the lake


def lake_revenue(project: Path) -> dict[str, Decimal]:
    rows = rows_of(
        project, "SELECT category, sum(revenue_cents) AS cents FROM mart.category_revenue_day GROUP BY category"
    )
    return {row["category"]: Decimal(int(row["cents"])) / 100 for row in rows}


def lake_wau(project: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    capsys.readouterr()
    assert main(["measure", "wau_cal", "--grain", "week", "--project", str(project), "--format", "csv"]) == 0
    rows = csv.DictReader(capsys.readouterr().out.splitlines())
    return {row["period_start"]: int(float(row["value"])) for row in rows}


def test_the_demo_gives_the_numbers_of_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tables: Rows
) -> None:
    folder = tmp_path / "shop"
    assert main(["demo", "shop", "--dir", str(folder)]) == 0
    assert "✓ balanced" in capsys.readouterr().out
    assert lake_wau(folder, capsys) == active_by_week(tables)
    assert lake_revenue(folder) == revenue(tables)
    words = ["--cohort-by", "signup_date", "--grain", "month", "--anchor", "elapsed", "--unit", "week"]
    assert main(["retention", *words, "--periods", "0:7", "--project", str(folder), "--format", "csv"]) == 0
    cells = cohorts(tables)
    complete = 0
    for row in csv.DictReader(capsys.readouterr().out.splitlines()):
        users, observed, active = cells[row["cohort_start"], int(row["period"])]
        assert int(row["size"]) == users
        # The lake is complete up to the last event, an hour before the day's end: whose week ends then, waits there.
        assert int(row["eligible"]) <= observed
        if row["status"] == "complete":
            assert (int(row["denominator"]), int(row["numerator"])) == (observed, active)
            complete += 1
    assert complete >= 80


def test_the_document_s_form_of_the_tables_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shared_data: Callable[[str], Path]
) -> None:
    """Tables made by others, without `amount`: revenue is at the list price, and said to be."""
    theirs = shared_data("ecommerce_challenge")
    own = next(theirs.rglob("events.csv")).parent
    folder = tmp_path / "shop"
    assert main(["demo", "shop", "--dir", str(folder), "--from", str(own)]) == 0
    found = tables_of(own)
    assert lake_revenue(folder) == revenue(found)
    (row,) = rows_of(folder, "SELECT sum(purchases) AS n, sum(at_list_price) AS listed FROM mart.category_revenue_day")
    assert row["n"] == row["listed"] > 0


# --- in PostgreSQL


@pytest.fixture(scope="module")
def shop() -> Any:
    spec = importlib.util.spec_from_file_location("shop_in_postgres", POSTGRES / "shop_in_postgres.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def loaded(postgres_server: Any, shop: Any, made: SimulationResult) -> Any:
    """The address of a database with the shop's tables, loaded twice."""
    import psycopg

    url = postgres_server.new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(2):
            assert shop.load(connection, made.folder) == {"users": 1_000, "products": 20, "events": 50_000}
    return url


@pytest.mark.server
def test_postgres_gives_the_numbers_of_the_files(loaded: str, shop: Any, tables: Rows) -> None:
    import psycopg

    with psycopg.connect(loaded, autocommit=True) as connection:
        wau = shop.ask(connection, "wau")
        assert {str(row["week"]): row["weekly_active_users"] for row in wau} == active_by_week(tables)
        assert [row["days"] for row in wau[1:-1]] == [7] * 51
        first = min(datetime.fromisoformat(row["timestamp"]) for row in tables["events"]).date()
        assert (wau[0]["days"], wau[-1]["days"]) == (7 - first.weekday(), 1)
        rewritten = connection.execute((POSTGRES / "wau_rewritten.sql").read_text()).fetchall()
        assert rewritten == [(row["week"], row["weekly_active_users"]) for row in wau]
        rows = shop.ask(connection, "revenue")
        assert {row["category"]: row["revenue"] for row in rows} == revenue(tables)
        assert {row["category"]: row["revenue_at_list_price"] for row in rows} == revenue(tables, at_list_price=True)
        matrix = shop.ask(connection, "cohorts")
    found = {(str(row["signup_month"]), row["week"]): (row["users"], row["observed"], row["active"]) for row in matrix}
    assert found == cohorts(tables)
    for row in matrix:
        assert (row["retention"] is None) == (row["observed"] == 0)
    assert any(row["retention"] is None for row in matrix), "June's users have not been seen for eight weeks"


@pytest.mark.server
def test_the_document_s_own_database_is_read(
    database: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    shared_data: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tables made by others' script (varchar, decimal, no `amount`, no key of events), straight from PostgreSQL."""
    import psycopg

    theirs = shared_data("ecommerce_challenge")
    (script,) = theirs.rglob("*.sql")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(script.read_text())
    monkeypatch.setenv("PG_URL", "")
    folder = tmp_path / "shop"
    assert main(["demo", "shop", "--dir", str(folder), "--from", database]) == 0
    found = tables_of(next(theirs.rglob("events.csv")).parent)
    assert lake_revenue(folder) == revenue(found)
    assert lake_wau(folder, capsys) == active_by_week(found)


@pytest.mark.server
def test_every_index_is_measured_before_and_after(loaded: str, shop: Any) -> None:
    import psycopg

    with psycopg.connect(loaded, autocommit=True) as connection:
        rows = shop.measure_indexes(connection, runs=3)
        left = connection.execute("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'").fetchall()
    assert {name for (name,) in left} == {"users_pkey", "products_pkey"}
    sets = {row["indexes"] for row in rows}
    assert sets > {"none", "idx_events_user_time", "idx_events_product_type", "idx_products_category"}
    assert all(row["milliseconds"] > 0 and row["buffers"] > 0 for row in rows)
    used = {(row["indexes"], row["query"]) for row in rows if row["used"]}
    # An index on 20 products, or one that does not begin with what is asked for, cannot help a reading of all events.
    assert ("idx_products_category", "revenue") not in used
    assert ("events_purchased", "revenue") in used
    buffers = {(row["indexes"], row["query"]): row["buffers"] for row in rows}
    assert buffers["events_purchased", "revenue"] < buffers["none", "revenue"] / 5
    assert "| idx_products_category |" in shop.as_table(rows)


@pytest.mark.server
def test_the_demo_reads_the_tables_of_a_database(
    loaded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], tables: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_URL", "")  # and put back afterwards: the demo sets it
    folder = tmp_path / "shop"
    assert main(["demo", "shop", "--dir", str(folder), "--from", loaded]) == 0
    told = capsys.readouterr()
    assert PASSWORD not in told.out + told.err
    assert loaded not in told.out + told.err
    assert os.environ["PG_URL"] == loaded
    assert lake_revenue(folder) == revenue(tables)
    assert lake_wau(folder, capsys) == active_by_week(tables)
    for path in folder.rglob("*"):
        if path.is_file():
            assert loaded.encode() not in path.read_bytes(), f"{path} holds the password"
    assert main(["demo", "shop", "--dir", str(folder), "--from", loaded]) == 0
    assert "only what is new is taken" in capsys.readouterr().err
