"""A SELECT that names partitions reads their files only, and says what it would say over all of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidelake.engine.base import Layout
from tidelake.engine.duckdb import DuckEngine
from tidelake.engine.partitions import readings
from tidelake.errors import QueryError
from tidelake.lake import Lake

DAYS = [date(2024, 2, day) for day in range(1, 6)]
KINDS = {"silver.app": {"event_date": "date"}, "bronze.app": {"batch_id": "integer"}}
APP = "FROM silver.app WHERE"


def wanted(sql: str) -> list[list[int]]:
    """Days of February 2024 (of `silver.app`), or batches up to 5, that each reading wants."""
    found = []
    for reading in readings(sql, lambda table: KINDS.get(table, {})):
        values = [(n, {"event_date": f"2024-02-{n:02d}", "batch_id": str(n)}) for n in range(1, 6)]
        found.append([n for n, partition in values if reading.wanted(partition)])
    return found


@pytest.mark.parametrize(
    ("sql", "days"),
    [
        (f"SELECT * {APP} event_date = DATE '2024-02-03'", [[3]]),
        (f"SELECT * {APP} event_date BETWEEN DATE '2024-02-02' AND DATE '2024-02-03' AND n > 1 GROUP BY n", [[2, 3]]),
        (f"SELECT * {APP} n BETWEEN 1 AND 2 AND event_date IN (DATE '2024-02-01', DATE '2024-02-05')", [[1, 5]]),
        (f"SELECT * {APP} (event_date = DATE '2024-02-01' OR event_date = DATE '2024-02-02') AND n = 1", [[1, 2]]),
        ("SELECT a.n FROM silver.app AS a WHERE a.event_date = DATE '2024-02-01'", [[1]]),
        (f"SELECT 1 {APP} FALSE AND n IN (SELECT 1 {APP} event_date = DATE '2024-02-04')", [[], [4]]),
        (
            f"(SELECT 1 {APP} event_date = DATE '2024-02-04') UNION SELECT 1 FROM bronze.app WHERE batch_id = 2",
            [[4], [2]],
        ),
        (f"SELECT 1 {APP} event_date < DATE '2024-02-03' AND event_date >= DATE '2024-02-02'", [[2]]),
        (f"SELECT 1 {APP} (event_date <= DATE '2024-02-01' OR event_date > DATE '2024-02-04')", [[1, 5]]),
        ("SELECT 1 FROM bronze.app WHERE batch_id > 3 ORDER BY 1", [[4, 5]]),
        ("SELECT 1 FROM bronze.app WHERE kind = 'OR' AND batch_id IN (1, 5) ORDER BY 1", [[1, 5]]),
    ],
)
def test_partitions_that_a_where_names(sql: str, days: list[list[int]]) -> None:
    assert wanted(sql) == days


@pytest.mark.parametrize(
    "condition",
    [
        "event_date = DATE '2024-02-03' OR n = 1",
        "NOT event_date = DATE '2024-02-03'",
        "event_date <> DATE '2024-02-03'",
        "event_date NOT IN (DATE '2024-02-03')",
        "event_date = DATE '2024-02-03' + 1",
        "event_date = DATE '2024-02-03' IS NULL",
        "event_date = $day",
        "event_date = (SELECT max(event_date) FROM silver.app)",
        "true BETWEEN false AND event_date = DATE '2024-02-03'",
        "CASE WHEN n = 1 AND event_date = DATE '2024-02-03' THEN true ELSE true END",
        "n = 1 /* AND */ AND event_date = DATE '2024-02-03'",
        "e'\\'' <> '' AND event_date = DATE '2024-02-03'",
    ],
)
def test_whatever_else_stands_there_reads_every_partition(condition: str) -> None:
    assert wanted(f"SELECT * {APP} {condition}") == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'FROM bronze.app WHERE batch_id = 5 AND ' || 'n'",
        "SELECT * FROM silver.app a JOIN silver.app b USING (n) WHERE event_date = DATE '2024-02-03'",
        f"SELECT silver.app.n {APP} event_date = DATE '2024-02-03'",
    ],
)
def test_a_table_of_which_nothing_is_known_is_left_as_it_is(sql: str) -> None:
    assert wanted(sql) == []


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckEngine]:
    """`silver.app` with 5 dates of 3 rows, and one row without a date."""
    rows = [(day, n, f"{day.day}/{n}") for day in DAYS for n in range(3)] + [(None, 9, "none")]
    columns = {name: [row[index] for row in rows] for index, name in enumerate(("event_date", "n", "text"))}
    with DuckEngine(Lake(str(tmp_path_factory.mktemp("lake"))), threads=2) as made:
        table = pa.table(columns, schema=pa.schema({"event_date": pa.date32(), "n": pa.int64(), "text": pa.string()}))
        made.write(table, "silver.app", layout=Layout(("event_date",)))
        yield made


def conditions() -> st.SearchStrategy[str]:
    """Conditions over `silver.app`, many of them on its dates."""
    day = st.sampled_from(DAYS).map(lambda value: f"DATE '{value}'")
    plain = st.one_of(
        day.map(lambda value: f"event_date = {value}"),
        st.lists(day, min_size=1, max_size=3).map(lambda values: f"event_date IN ({', '.join(values)})"),
        st.tuples(day, day).map(lambda pair: f"event_date BETWEEN {pair[0]} AND {pair[1]}"),
        st.tuples(st.sampled_from(["<", "<=", ">", ">="]), day).map(lambda pair: f"event_date {pair[0]} {pair[1]}"),
        st.sampled_from(["n = 1", "n BETWEEN 1 AND 2", "text LIKE '%OR%'", "event_date IS NULL", "FALSE", "TRUE"]),
    )

    def joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        pairs = st.tuples(inner, st.sampled_from([" AND ", " OR "]), inner).map("".join)
        return st.one_of(
            pairs,
            pairs.map("({})".format),
            inner.map("NOT ({})".format),
            pairs.map("CASE WHEN {} THEN n < 2 ELSE TRUE END".format),
        )

    return st.recursive(plain, joined, max_leaves=6)


@given(condition=conditions())
def test_any_condition_finds_the_rows_that_it_finds_in_the_whole_table(engine: DuckEngine, condition: str) -> None:
    engine.write("SELECT * FROM silver.app", "temp.whole")
    sql = f"SELECT event_date, n, text FROM {{}} WHERE {condition} ORDER BY ALL"
    assert engine.query(sql.format("silver.app")).equals(engine.query(sql.format("temp.whole")))


def test_only_the_files_of_the_dates_asked_for_are_opened(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    rows = pa.table({"day": pa.array([*DAYS, None], pa.date32()), "n": list(range(6))})
    with DuckEngine(lake, threads=2) as engine:
        engine.write(rows, "gold.t", layout=Layout(("day",)))
        for file in lake.files("gold.t"):
            if file.partition["day"] != "2024-02-02":
                Path(file.path).unlink()
        assert engine.query("SELECT * FROM gold.t WHERE day = DATE '2024-02-02'").to_pylist() == [
            {"day": DAYS[1], "n": 1}
        ]
        assert engine.query("SELECT count(*) AS n FROM gold.t WHERE FALSE").to_pylist() == [{"n": 0}]
        with pytest.raises(Exception, match="parquet"):
            engine.query("SELECT sum(n) FROM gold.t")


def test_a_column_that_came_later_is_null_on_the_dates_before(tmp_path: Path) -> None:
    with DuckEngine(Lake(str(tmp_path)), threads=2) as engine:
        engine.write(pa.table({"day": pa.array(DAYS[:1]), "n": [1]}), "gold.t", layout=Layout(("day",)))
        engine.write(pa.table({"day": pa.array(DAYS[1:2]), "n": [2], "late": ["x"]}), "gold.t")
        for day, late in ((DAYS[0], None), (DAYS[1], "x")):
            found = engine.query(f"SELECT n, late FROM gold.t WHERE day = DATE '{day}'").to_pylist()
            assert found == [{"n": day.day, "late": late}]


def test_a_mistake_is_told_in_the_words_of_the_select(engine: DuckEngine) -> None:
    with pytest.raises(QueryError) as told:
        engine.query("SELECT n FROM silver.app WHERE event_date = DATE '2024-02-01' ORDER n")
    assert "read_parquet" not in str(told.value)
    assert " n FROM silver.app WHERE" in str(told.value)
