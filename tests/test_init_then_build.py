"""`tide init` on real sets that were not made for this product, then `tide build`: all rows are there.

Expected numbers are worked out from the files themselves with `json`, `csv` and pyarrow, without Tidelake.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from tidelake import session as sessions
from tidelake.sources.infer import TEMPLATES, propose, write_project, write_template

Shared = Callable[[str], Path]


class Built:
    """A project made by init and built once."""

    def __init__(self, root: Path, pattern: Path) -> None:
        self.root = root
        write_project(propose(str(pattern)), root)
        with sessions.open(root) as session:
            self.result = session.build()
        self.sources = {item["source"]: item for item in self.result.sources}

    def table(self, name: str) -> pa.Table:
        """A table by the Parquet files that its Delta log names (without partition columns)."""
        place = DeltaTable(str(self.root / "lake" / name.replace(".", "/")))
        parts = [pq.ParquetFile(path).read() for path in place.file_uris()]
        return pa.concat_tables(parts, promote_options="permissive")

    def check(self, **rows: int) -> None:
        """Exit code 0, every source balanced, nothing in quarantine, and these numbers of accepted rows."""
        assert self.result.exit_code == 0
        assert {name: item["ledger"] for name, item in self.sources.items()} == dict.fromkeys(rows, "balanced")
        assert {name: item["rows"]["quarantined"] for name, item in self.sources.items()} == dict.fromkeys(rows, 0)
        assert {name: item["rows"]["accepted"] for name, item in self.sources.items()} == rows
        assert {name: self.table(f"silver.{name}").num_rows for name in rows} == rows

    def actor_days(self) -> int:
        return self.table("gold.user_day").num_rows

    def nothing_new(self) -> None:
        with sessions.open(self.root) as session:
            again = session.build()
        assert again.exit_code == 0
        assert all(not item["batches"] for item in again.sources)


def find(folder: Path, name: str) -> Path:
    [path] = list(folder.rglob(name))
    return path


def json_lines(*paths: Path) -> Iterator[dict[str, Any]]:
    for path in paths:
        with path.open(encoding="utf-8") as stream:
            yield from (json.loads(line) for line in stream if line.strip())


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_streampro(shared_data: Shared, tmp_path: Path) -> None:
    folder = find(shared_data("streampro_events"), "events.jsonl").parent
    built = Built(tmp_path / "p", folder)
    events = list(json_lines(folder / "events.jsonl"))
    counts = {name: len(csv_rows(folder / f"{name}.csv")) for name in ("users", "videos", "devices")}
    built.check(events=len(events), **counts)
    assert built.actor_days() == len({(item["user_id"], item["timestamp"][:10]) for item in events})
    silver = built.table("silver.events")
    assert pc.sum(silver.column("value")).as_py() == sum(item["value"] or 0 for item in events)
    # Addresses were cut before anything was written: no full address is in bronze or silver.
    full = {item["ip"] for item in events if not item["ip"].endswith(".0")}
    assert not full & set(silver.column("ip").to_pylist())
    text = "\n".join(built.table("bronze.events").column("raw").to_pylist())
    assert not any(address in text for address in list(full)[:50])
    built.nothing_new()


def test_sparkify(shared_data: Shared, tmp_path: Path) -> None:
    folder = find(shared_data("sparkify_log_2018_11"), "log_data").parent
    built = Built(tmp_path / "p", folder)
    events = list(json_lines(*sorted((folder / "log_data").rglob("*.json"))))
    songs = list(json_lines(*sorted((folder / "song_data").rglob("*.json"))))
    built.check(events=len(events), song_data=len(songs))
    silver = built.table("silver.events")
    assert silver.column("actor_id").null_count == sum(item["userId"] == "" for item in events)
    days = {
        (item["userId"], datetime.fromtimestamp(item["ts"] / 1000, UTC).date()) for item in events if item["userId"]
    }
    assert built.actor_days() == len(days)
    assert not {"firstName", "lastName"} & set(silver.column_names)
    assert "Kaylee" not in "\n".join(built.table("bronze.events").column("raw").to_pylist())
    built.nothing_new()


def test_collegemsg(shared_data: Shared, tmp_path: Path) -> None:
    path = find(shared_data("collegemsg"), "CollegeMsg.txt")
    built = Built(tmp_path / "p", path)
    rows = [line.split() for line in path.read_text().splitlines()]
    built.check(college_msg=len(rows))
    days = {(source, datetime.fromtimestamp(int(instant), UTC).date()) for source, _, instant in rows}
    assert built.actor_days() == len(days)


def test_online_retail(shared_data: Shared, tmp_path: Path) -> None:
    """Its first 40,000 lines; checks/test_real builds all of it."""
    [path] = list(shared_data("online_retail_uci").rglob("*.parquet"))
    given = pq.read_table(path).slice(0, 40_000)
    (tmp_path / "given").mkdir()
    pq.write_table(given, tmp_path / "given" / path.name)
    built = Built(tmp_path / "p", tmp_path / "given")
    built.check(online_retail=given.num_rows)
    assert pc.sum(built.table("silver.online_retail").column("Quantity")) == pc.sum(given.column("Quantity"))
    customers, dates = given.column("CustomerID").to_pylist(), given.column("InvoiceDate").to_pylist()
    days = {
        (customer, day.split(" ")[0]) for customer, day in zip(customers, dates, strict=True) if customer is not None
    }
    assert built.actor_days() == len(days)
    # Lines that equal another one are reported, and kept: two of one thing in one basket.
    different = given.group_by(given.column_names).aggregate([]).num_rows
    assert built.sources["online_retail"]["identical_rows"] == given.num_rows - different


def test_ecommerce(shared_data: Shared, tmp_path: Path) -> None:
    folder = find(shared_data("ecommerce_challenge"), "events.csv").parent
    built = Built(tmp_path / "p", folder)
    counts = {name: len(csv_rows(folder / f"{name}.csv")) for name in ("users", "products", "events")}
    searches = json.loads((folder / "mock_data.json").read_text())
    built.check(mock_data=len(searches), **counts)
    days = {(row["user_id"], row["timestamp"][:10]) for row in csv_rows(folder / "events.csv")}
    days |= {(item["user_id"], item["timestamp"][:10]) for item in searches}
    assert built.actor_days() == len(days)
    prices = sum(float(row["price"]) for row in csv_rows(folder / "products.csv"))
    assert pc.sum(built.table("silver.products").column("price")).as_py() == pytest.approx(prices, abs=1e-9)


def test_wikimedia_daily_files(shared_data: Shared, tmp_path: Path) -> None:
    daily = find(shared_data("wikimedia_projectview_daily"), "daily")
    some = ["all.csv", *sorted(path.name for path in daily.glob("*.csv"))[10:30]]
    folder = tmp_path / "views"
    folder.mkdir()
    for name in some[1:]:
        shutil.copy(daily / name, folder)
    built = Built(tmp_path / "p", folder)
    rows = {name: csv_rows(folder / name) for name in some[1:]}
    built.check(views=sum(map(len, rows.values())))
    silver = built.table("silver.views")
    totals = silver.group_by("entity").aggregate([("Total", "sum")]).to_pydict()
    given = {name.removesuffix(".csv"): sum(int(row["Total"]) for row in table) for name, table in rows.items()}
    assert dict(zip(totals["entity"], totals["Total_sum"], strict=True)) == given


def test_a_file_that_is_the_sum_of_the_others_is_set_aside(tmp_path: Path) -> None:
    folder = tmp_path / "views"
    folder.mkdir()
    days = [f"2025-01-{day:02d}" for day in range(1, 29)]
    for number, name in ((1, "dewiki"), (2, "enwiki"), (3, "frwiki"), (6, "all")):
        body = "".join(f"{day},{number * index}\n" for index, day in enumerate(days))
        (folder / f"{name}.csv").write_text(f"Date,Total\n{body}")
    built = Built(tmp_path / "p", folder)
    assert built.result.sources[0]["reasons"] == {"rule:is_no_total": 28}
    assert pc.sum(built.table("silver.views").column("Total")).as_py() == 6 * sum(range(28))


def test_wikimedia_hourly_files(shared_data: Shared, tmp_path: Path) -> None:
    folder = find(shared_data("wikimedia_hourly_fixtures"), "2014-11-3projects-for-aggregation")
    built = Built(tmp_path / "p", folder)
    lines = [line.split(" ") for path in folder.rglob("project*-*") for line in path.read_text().splitlines()]
    built.check(projectcounts=len(lines))
    assert pc.sum(built.table("silver.projectcounts").column("count_views")).as_py() == sum(
        int(row[2]) for row in lines
    )


def test_cookie_cats(shared_data: Shared, tmp_path: Path) -> None:
    path = find(shared_data("cookie_cats"), "cookie_cats.csv")
    built = Built(tmp_path / "p", path)
    rows = csv_rows(path)
    built.check(cookie_cats=len(rows))
    silver = built.table("silver.cookie_cats")
    assert pc.sum(silver.column("retention_7")).as_py() == sum(row["retention_7"] == "TRUE" for row in rows)
    assert pc.sum(silver.column("sum_gamerounds")).as_py() == sum(int(row["sum_gamerounds"]) for row in rows)


def test_opensearch_bulk_file(shared_data: Shared, tmp_path: Path) -> None:
    path = find(shared_data("opensearch_ubi_esci"), "ubi_queries_events.ndjson")
    built = Built(tmp_path / "p", path)
    records = [item for item in json_lines(path) if "index" not in item]
    lines = sum(1 for _ in json_lines(path))
    assert built.result.exit_code == 0
    rows = built.sources["ubi_queries_events"]["rows"]
    assert (rows["accepted"], rows["quarantined"]) == (len(records), lines - len(records))
    silver = built.table("silver.ubi_queries_events")
    assert set(silver.column("actor_id").to_pylist()) == {item["client_id"] for item in records}
    assert silver.column("event_name").null_count == sum("action_name" not in item for item in records)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_builds_before_its_data_have_come(tmp_path: Path, template: str) -> None:
    write_template(template, tmp_path / "p")
    with sessions.open(tmp_path / "p") as session:
        result = session.build()
    assert result.exit_code == 0
    assert all(item["rows"]["read"] == 0 for item in result.sources)


def test_shop_template_takes_the_files_of_a_shop(shared_data: Shared, tmp_path: Path) -> None:
    folder = find(shared_data("ecommerce_challenge"), "events.csv").parent
    write_template("shop", tmp_path / "p")
    for name in ("users", "products", "events"):
        shutil.copy(folder / f"{name}.csv", tmp_path / "p" / "data" / name)
    with sessions.open(tmp_path / "p") as session:
        result = session.build()
    accepted = {item["source"]: item["rows"]["accepted"] for item in result.sources}
    assert result.exit_code == 0
    assert accepted == {name: len(csv_rows(folder / f"{name}.csv")) for name in ("users", "products", "events")}
