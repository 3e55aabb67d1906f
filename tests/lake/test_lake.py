"""Commits happen once, the past can be read, and what would be misread is refused."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from tidelake.engine.base import Layout, Transaction
from tidelake.engine.duckdb import DuckEngine
from tidelake.engine.progress import silent
from tidelake.errors import BusyError, LakeError, UnsupportedError
from tidelake.lake import Lake
from tidelake.lake.builds import listed, lost_tables, record_build, versions_at
from tidelake.lake.upkeep import UPGRADES, compact, migrate, skipped_share, vacuum

BY_DAY = Layout(partition_by=("day",))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(str(tmp_path / "lake"))
    made.prepare()
    return made


@pytest.fixture
def engine(lake: Lake) -> Iterator[DuckEngine]:
    with DuckEngine(lake) as made:
        yield made


def rows(day: str, *values: int) -> pa.Table:
    return pa.table({"day": pa.array([day] * len(values)), "value": pa.array(values, pa.int64())})


def total(engine: DuckEngine) -> int:
    return int(engine.query("SELECT coalesce(sum(value), 0) AS s FROM gold.t").column(0)[0].as_py())


def test_a_transaction_is_written_once(engine: DuckEngine, lake: Lake) -> None:
    for _ in range(2):
        engine.write(rows("a", 1), "gold.t", transaction=Transaction("app", 1), layout=BY_DAY)
    engine.write(rows("a", 2), "gold.t", transaction=Transaction("app", 2))
    assert total(engine) == 3
    assert lake.transaction_version("gold.t", "app") == 2
    assert lake.transaction_version("gold.t", "other") is None


def test_a_stale_writer_fails_instead_of_doubling(engine: DuckEngine, lake: Lake) -> None:
    engine.write(rows("a", 1), "gold.t", layout=BY_DAY)
    other = Lake(lake.location.address)
    with DuckEngine(other) as second:
        assert total(second) == 1
        engine.write(rows("a", 10), "gold.t")
        with pytest.raises(BusyError, match=r"gold\.t"):
            second.write(rows("a", 5), "gold.t", "replace", replace={"day": ["a"]})
    assert total(engine) == 11


def test_a_commit_of_somebody_else_between_two_of_ours_is_noticed(engine: DuckEngine, lake: Lake) -> None:
    engine.write(rows("a", 1), "gold.t", layout=BY_DAY)
    with DuckEngine(Lake(lake.location.address)) as second:
        second.write(rows("a", 10), "gold.t")
    with pytest.raises(BusyError, match=r"gold\.t"):
        engine.write(rows("a", 5), "gold.t", "replace", replace={"day": ["a"]})
    lake.refresh()
    assert total(engine) == 11


def test_what_is_known_of_a_table_after_a_commit_is_what_its_log_says(engine: DuckEngine, lake: Lake) -> None:
    engine.write(rows("a", 1, 2), "gold.t", layout=BY_DAY, transaction=Transaction("app", 1), note={"n": 1})
    assert lake.note("gold.t") == {"n": 1}
    assert len(lake.files("gold.t")) == 1
    engine.write(pa.concat_tables([rows("b c", 3), rows("a", 7)]), "gold.t", "replace", replace={"day": ["a"]})
    engine.write(rows("d", 4), "gold.t", transaction=Transaction("app", 2))
    for known in (lake, Lake(lake.location.address)):
        assert known.version("gold.t") == DeltaTable(lake.uri("gold.t")).version()
        assert (known.transaction_version("gold.t", "app"), known.note("gold.t")) == (2, {"n": 1})
        files = {file.partition["day"]: file for file in known.files("gold.t")}
        said = {day: (file.records, file.minimum["value"], file.maximum["value"]) for day, file in files.items()}
        assert said == {"a": (1, 7, 7), "b c": (1, 3, 3), "d": (1, 4, 4)}
        assert all(Path(file.path).stat().st_size == file.size for file in files.values())
    # Another reader, which goes by the Delta log alone.
    assert sorted(DeltaTable(lake.uri("gold.t")).to_pyarrow_table().column("value").to_pylist()) == [3, 4, 7]
    assert [file.relative for file in lake.files("gold.t")] == sorted(
        file.relative for file in Lake(lake.location.address).files("gold.t")
    )


def test_replacing_takes_empty_partitions_too(engine: DuckEngine) -> None:
    engine.write(pa.concat_tables([rows("a", 1), rows("b", 2), rows("c", 4)]), "gold.t", layout=BY_DAY)
    engine.write(rows("a", 8), "gold.t", "replace", replace={"day": ["a", "b"]})
    assert total(engine) == 12


def test_changed_partitions_come_from_the_log_and_compaction_is_no_change(engine: DuckEngine, lake: Lake) -> None:
    engine.write(rows("a", 1), "gold.t", layout=BY_DAY)
    first = lake.version("gold.t")
    assert first is not None
    engine.write(rows("b", 2), "gold.t")
    engine.write(rows("b", 3), "gold.t")
    before = lake.version("gold.t")
    assert before is not None
    said = compact(engine, lake, {"gold.t": ("value",)}, silent).to_dicts()[0]
    assert (said["files_before"], said["files_after"]) == (3, 2)
    assert total(engine) == 6
    assert lake.changed_partitions("gold.t", "day", first) == ["b"]
    assert lake.changed_partitions("gold.t", "day", before) == []


def test_what_was_only_added_to_was_not_taken_from(engine: DuckEngine, lake: Lake) -> None:
    layout = Layout(("day",))
    engine.write("SELECT 'a' AS day, 1 AS n UNION ALL SELECT 'b', 2", "gold.t", "append", layout=layout)
    first = lake.version("gold.t") or 0
    engine.write("SELECT 'a' AS day, 3 AS n", "gold.t", "append", layout=layout)
    engine.write("SELECT 'b' AS day, 4 AS n", "gold.t", "replace", replace={"day": ["b"]}, layout=layout)
    assert lake.changed_partitions("gold.t", "day", first) == ["a", "b"]
    assert lake.changed_partitions("gold.t", "day", first, taken=True) == ["b"]


def test_sorted_files_let_a_query_skip(engine: DuckEngine, lake: Lake) -> None:
    # Four files of one partition, each with values from all over, then one sorted file a partition.
    for offset in range(4):
        engine.write(rows("a", *range(offset, 40, 4)), "gold.t", layout=BY_DAY)
    assert skipped_share(lake.files("gold.t"), "value") == pytest.approx(1 - 10 / 16)
    compact(engine, lake, {"gold.t": ("value",)}, silent)
    (file,) = lake.files("gold.t")
    values = [row["value"] for row in engine.query(f"SELECT value FROM read_parquet('{file.path}')").to_pylist()]
    assert values == sorted(values)


def test_columns_that_come_later_are_null_before(engine: DuckEngine) -> None:
    engine.write(rows("a", 1), "gold.t", layout=BY_DAY)
    engine.write("SELECT 'a' AS day, 2 AS value, 'red' AS color", "gold.t")
    engine.write(rows("b", 3), "gold.t")
    found = engine.query("SELECT value, color FROM gold.t ORDER BY value").to_pylist()
    assert [row["color"] for row in found] == [None, "red", None]


def test_a_build_in_the_past_is_read_as_it_was(engine: DuckEngine, lake: Lake) -> None:
    engine.write(rows("a", 1), "gold.t", layout=BY_DAY)
    record_build(engine, lake, "one", datetime(2025, 11, 1, 12, tzinfo=UTC))
    engine.write(rows("a", 2), "gold.t", "overwrite")
    engine.write(rows("a", 2), "gold.later")
    record_build(engine, lake, "two", datetime(2025, 11, 2, 12, tzinfo=UTC))
    for as_of, expected in (("1", 1), ("2", 2), ("2025-11-01", 1), ("2025-11-02T11:59:59Z", 1), ("2025-11-02", 2)):
        past = Lake(lake.location.address, versions=versions_at(engine, as_of))
        with DuckEngine(past) as reader:
            assert total(reader) == expected, as_of
            with pytest.raises(LakeError, match="read-only"):
                reader.write(rows("a", 1), "gold.t")
    assert "gold.later" not in Lake(lake.location.address, versions=versions_at(engine, "1")).tables()
    for wrong in ("3", "2025-10-31", "yesterday"):
        with pytest.raises(ValueError, match="build"):
            versions_at(engine, wrong)


def test_vacuum_deletes_what_nothing_refers_to(engine: DuckEngine, lake: Lake, tmp_path: Path) -> None:
    engine.write(rows("a", 1), "gold.t", layout=BY_DAY)
    engine.write(rows("a", 2), "gold.t", "overwrite")
    orphan = tmp_path / "lake" / "gold" / "t" / "day=a" / "orphan.parquet"
    orphan.write_bytes(b"never committed")
    assert vacuum(engine, lake, keep_hours=0, dry_run=True).to_dicts() == [{"table": "gold.t", "files": 2}]
    vacuum(engine, lake, keep_hours=0, dry_run=False)
    assert not orphan.exists()
    assert len(list((tmp_path / "lake").rglob("*.parquet"))) == 1
    assert total(engine) == 2


def test_vacuum_says_which_builds_it_makes_unreadable(engine: DuckEngine, lake: Lake) -> None:
    """Build 1 has file A, 2 and 3 have A and B, 4 has A and C: B goes."""
    now = datetime(2025, 11, 1, 12, tzinfo=UTC)
    engine.write(rows("a", 1), "gold.t", layout=BY_DAY)
    record_build(engine, lake, "one", now)
    engine.write(rows("b", 2), "gold.t")
    record_build(engine, lake, "two", now)
    record_build(engine, lake, "three", now)
    engine.write(rows("b", 3), "gold.t", "replace", replace={"day": ["b"]})
    record_build(engine, lake, "four", now)
    assert lost_tables(engine, lake) == {1: [], 2: [], 3: [], 4: []}
    said = "Builds 2, 3 {} no longer be read with --as-of; 1, 4 still {}."
    assert vacuum(engine, lake, keep_hours=0, dry_run=True).notes == (said.format("could", "could"),)
    assert vacuum(engine, lake, keep_hours=24, dry_run=True).notes == ("Every build could still be read with --as-of.",)
    assert vacuum(engine, lake, keep_hours=0, dry_run=False).notes == (said.format("can", "can"),)
    assert lost_tables(engine, lake) == {1: [], 2: ["gold.t"], 3: ["gold.t"], 4: []}
    assert listed([9, 1, 2, 3, 5, 6]) == "1 to 3, 5, 6, 9"


def test_deletion_vectors_are_refused(tmp_path: Path, lake: Lake) -> None:
    path = tmp_path / "lake" / "gold" / "t"
    write_deltalake(str(path), rows("a", 1), configuration={"delta.enableDeletionVectors": "true"})
    assert "deletionVectors" in (DeltaTable(str(path)).protocol().reader_features or [])
    with pytest.raises(UnsupportedError, match="deletionVectors"):
        Lake(lake.location.address).version("gold.t")


def test_lakes_of_other_formats(tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    said = tmp_path / "lake" / "_tidelake.json"
    said.write_text(json.dumps({"format": 99}))
    with pytest.raises(LakeError, match="format 99") as caught:
        lake.prepare()
    assert "newer Tidelake" in (caught.value.hint or "")
    said.write_text(json.dumps({"format": 0}))
    with pytest.raises(LakeError, match="older format 0"):
        lake.prepare()
    with pytest.raises(LakeError, match="format 0"):
        migrate(lake)
    seen: list[str] = []
    monkeypatch.setitem(UPGRADES, 0, lambda old: seen.append(old.location.address))
    assert migrate(lake).to_dicts() == [{"format": 1, "state": "migrated"}]
    assert migrate(lake).to_dicts() == [{"format": 1, "state": "newest"}]
    assert seen == [lake.location.address]


def test_statistics_keep_full_microseconds(engine: DuckEngine, lake: Lake) -> None:
    engine.write("SELECT TIMESTAMPTZ '2024-01-01 00:00:00.123456+00' AS moment, 'x' AS text, 1.5 AS share", "gold.t")
    log = (Path(lake.uri("gold.t")) / "_delta_log").glob("*1.json")
    (added,) = [json.loads(line)["add"] for path in log for line in path.read_text().splitlines() if '"add"' in line]
    assert json.loads(added["stats"])["maxValues"]["moment"] == "2024-01-01T00:00:00.123456Z"


def test_a_lake_knows_who_holds_it_for_writing(lake: Lake) -> None:
    assert lake.writer() is None
    with lake.lock():
        assert lake.writer() == f"process {os.getpid()}"
    assert lake.writer() is None


def test_a_build_waits_for_one_who_only_looks_who_holds_the_lake(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = os.open(lake.location.uri("_lock"), os.O_RDONLY | os.O_CREAT)
    fcntl.flock(looks, fcntl.LOCK_SH)
    monkeypatch.setattr("tidelake.lake.lake.time.sleep", lambda _: os.close(looks))
    with lake.lock():
        assert lake.writer() == f"process {os.getpid()}"
