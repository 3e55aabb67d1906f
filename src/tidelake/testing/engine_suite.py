"""What every engine must do. Subclass `EngineSuite` in a test module and give it an `engine` fixture.

    class TestMyEngine(EngineSuite):
        @pytest.fixture
        def engine(self, tmp_path):
            with MyEngine(Lake(str(tmp_path)), timezone=EngineSuite.timezone) as engine:
                yield engine

Expected values are worked out by hand or come from the calendar, never from an engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tidelake.engine.base import Engine, Layout, Transaction
from tidelake.engine.sql import MACROS
from tidelake.errors import QueryError, TidelakeError
from tidelake.testing.rows import assert_same_rows, row_differences

TIMESTAMP = pa.timestamp("us", "UTC")
INSTANT = datetime(2025, 3, 30, 0, 59, 59, 999999, tzinfo=UTC)
DAYS = (date(2025, 1, 1), date(2025, 1, 2), date(2025, 1, 3))

# Of the subset, not of the macros: SELECT list, type of the column, value. `t` has one row.
PORTABLE: tuple[tuple[str, pa.DataType, Any], ...] = (
    ("7 / 2", pa.float64(), 3.5),
    ("7 % nullif(4, 0)", pa.int32(), 3),
    ("-7 % 3", pa.int32(), -1),
    ("(i | 2) & 7", pa.int64(), 3),  # 2^53 + 1
    ("i / nullif(zero, 0)", pa.float64(), None),
    ("f * 1.5e0", pa.float64(), 3.75),
    ("cast(f as bigint)", pa.int64(), 2),  # 2.5: half to even, as IEEE 754 says
    ("cast(f + 1 as bigint)", pa.int64(), 4),  # 3.5
    ("cast(d as bigint)", pa.int64(), 3),  # DECIMAL 2.50: half away from zero
    ("cast(floor(-f) as bigint)", pa.int64(), -3),
    ("floor(f)", pa.float64(), 2.0),
    ("ceil(f)", pa.float64(), 3.0),
    ("round(f)", pa.float64(), 3.0),
    ("abs(-i)", pa.int64(), 2**53 + 1),
    ("sqrt(16)", pa.float64(), 4.0),
    ("pow(2, 10)", pa.float64(), 1024.0),
    ("greatest(1, null, 3)", pa.int32(), 3),
    ("least(s, null)", pa.string(), "Åb,c"),
    ("coalesce(nothing, 'x')", pa.string(), "x"),
    ("nullif(s, 'Åb,c')", pa.string(), None),
    ("case when nothing is null then 'none' end", pa.string(), "none"),
    ("s || nothing", pa.string(), None),
    ("concat(s, nothing)", pa.string(), "Åb,c"),
    ("concat_ws('-', s, nothing, 'z')", pa.string(), "Åb,c-z"),
    ("length(s)", pa.int64(), 4),
    ("substring(s, 2, 2)", pa.string(), "b,"),
    ("left(s, 2)", pa.string(), "Åb"),
    ("right(s, 1)", pa.string(), "c"),
    ("trim('  a ')", pa.string(), "a"),
    ("lpad('7', 3, '0')", pa.string(), "007"),
    ("replace(s, ',', ';')", pa.string(), "Åb;c"),
    ("split_part(s, ',', 2)", pa.string(), "c"),
    ("split_part(s, ',', 3)", pa.string(), ""),
    ("strpos(s, ',')", pa.int64(), 3),
    ("starts_with(s, 'Å')", pa.bool_(), True),
    ("ends_with(s, 'c')", pa.bool_(), True),
    ("contains(s, ',')", pa.bool_(), True),
    ("s like '_b,%'", pa.bool_(), True),
    ("'a_c' like 'a!_c' escape '!'", pa.bool_(), True),
    ("regexp_matches(s, '^.b,\\w\\z')", pa.bool_(), True),
    ("regexp_matches('a' || chr(13) || 'b', 'a.b')", pa.bool_(), True),
    ("regexp_matches(chr(11), '\\s')", pa.bool_(), False),
    ("regexp_extract('ab12', '([a-z]+)([0-9]+)', 2)", pa.string(), "12"),
    ("regexp_extract('ab', '[0-9]+')", pa.string(), ""),
    ("regexp_replace('a.b.c', '[.]', '-', 'g')", pa.string(), "a-b-c"),
    ("md5('a')", pa.string(), "0cc175b9c0f1b6a831c399e269772661"),  # RFC 1321, A.5
    (
        "sha256('abc')",  # FIPS 180-2, B.1
        pa.string(),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    ),
    ("cast(i as varchar)", pa.string(), "9007199254740993"),
    ("cast(b as varchar)", pa.string(), "true"),
    ("cast(day as varchar)", pa.string(), "2025-03-30"),
    ("cast(d as varchar)", pa.string(), "2.50"),
    ("cast(b as integer)", pa.int32(), 1),
    ("cast(i as double)", pa.float64(), 9007199254740992.0),
    ("cast(day as timestamptz)", TIMESTAMP, datetime(2025, 3, 30, tzinfo=UTC)),
    ("cast(ts as date)", pa.date32(), date(2025, 3, 30)),
    ("extract(year from day)", pa.int64(), 2025),
    ("extract(hour from ts)", pa.int64(), 0),
    ("month(day)", pa.int64(), 3),
    ("last_day(date '2024-02-10')", pa.date32(), date(2024, 2, 29)),
    ("strftime(ts, '%Y-%m-%d %H:%M:%S')", pa.string(), "2025-03-30 00:59:59"),
    ("day + 1", pa.date32(), date(2025, 3, 31)),
    ("ts", TIMESTAMP, INSTANT),
    ("timestamptz '2025-03-30 01:59:59.999999+01:00' = ts", pa.bool_(), True),
    ("day = cast(ts as date)", pa.bool_(), True),
    ("1 is distinct from null", pa.bool_(), True),
    ("1 in (2, null)", pa.bool_(), None),
    ("null and false", pa.bool_(), False),
    ("2 between 1 and 3", pa.bool_(), True),
    ("exists (select 1 as one)", pa.bool_(), True),
)

# Aggregates over v = 1, 2, 7, null in group 'a' and 9 in group 'b'; value for the whole table.
AGGREGATES: tuple[tuple[str, pa.DataType, Any], ...] = (
    ("count(*)", pa.int64(), 5),
    ("count(v)", pa.int64(), 4),
    ("count(distinct k)", pa.int64(), 2),
    ("sum(v)", pa.int64(), 19),
    ("avg(v)", pa.float64(), 4.75),
    ("min(v)", pa.int64(), 1),
    ("max(k)", pa.string(), "b"),
    ("count(*) filter (where k = 'a')", pa.int64(), 4),
    ("sum(case when v > 1 then 1 else 0 end)", pa.int64(), 3),
    ("count_if(v > 1)", pa.int64(), 3),
    ("bool_and(v > 0)", pa.bool_(), True),
    ("bool_or(v > 8)", pa.bool_(), True),
    ("median(v)", pa.float64(), 4.5),
    ("stddev_pop(cast(v as double))", pa.float64(), 3.344772040064913),  # sqrt(44.75 / 4)
    ("var_samp(cast(v as double))", pa.float64(), 44.75 / 3),
    ("string_agg(k, ',' order by k desc)", pa.string(), "b,a,a,a,a"),
    ("quantile_linear(v, 0.25)", pa.float64(), 1.75),
    ("quantile_nearest(v, 0.75)", pa.float64(), 7.0),
    ("sorted_list(v)", pa.list_(pa.int64()), [1, 2, 7, 9]),
    ("sorted_set(k)", pa.list_(pa.string()), ["a", "b"]),
)


def one_row() -> pa.Table:
    """One row with a column of each kind that tables of the lake have."""
    return pa.table(
        {
            "i": pa.array([2**53 + 1], pa.int64()),
            "zero": pa.array([0], pa.int64()),
            "f": pa.array([2.5], pa.float64()),
            "d": pa.array([Decimal("2.50")], pa.decimal128(10, 2)),
            "s": pa.array(["Åb,c"]),
            "nothing": pa.array([None], pa.string()),
            "b": pa.array([True]),
            "day": pa.array([date(2025, 3, 30)]),
            "ts": pa.array([INSTANT], TIMESTAMP),
        }
    )


def five_rows() -> pa.Table:
    """Two groups, repeated keys and a null."""
    return pa.table({"k": ["a", "a", "a", "b", "a"], "v": pa.array([1, 2, 7, 9, None], pa.int64())})


def visits(*rows: tuple[date, str, int]) -> pa.Table:
    """Rows of a small table that is partitioned by day."""
    return pa.table(
        {
            "day": pa.array([row[0] for row in rows], pa.date32()),
            "site": pa.array([row[1] for row in rows], pa.string()),
            "views": pa.array([row[2] for row in rows], pa.int64()),
        }
    )


def rows_of(engine: Engine, sql: str, **params: Any) -> list[tuple[Any, ...]]:
    """A query's rows as tuples."""
    return [tuple(row.values()) for row in engine.query(sql, params or None).to_pylist()]


def check_together(engine: Engine, cases: Sequence[tuple[str, pa.DataType, Any]], source: str) -> None:
    """Ask for all expressions in one query; name each that fails or is not what it should be."""
    columns = ", ".join(f"{expression} AS r{number}" for number, (expression, _, _) in enumerate(cases))
    try:
        found = engine.query(f"SELECT {columns}{source}")
        singles = [pa.table({"r": found.column(f"r{number}")}) for number in range(len(cases))]
    except TidelakeError:  # ask one by one, to name the one that failed
        singles = [engine.query(f"SELECT {expression} AS r{source}") for expression, _, _ in cases]
    wrong = {
        expression: problems
        for (expression, kind, value), single in zip(cases, singles, strict=True)
        if (problems := row_differences(single, pa.table({"r": pa.array([value], kind)})))
    }
    assert not wrong, wrong


class EngineSuite:
    """Tests that every engine passes; see the module's page."""

    timezone = "Europe/Berlin"

    @pytest.fixture
    def engine(self) -> Engine:
        """The engine under test, over an empty lake, in `timezone`."""
        raise NotImplementedError

    # --- queries

    def test_one_value_of_every_type_comes_back_as_it_went_in(self, engine: Engine) -> None:
        engine.write(one_row(), "temp.t")
        assert_same_rows(engine.query("SELECT * FROM temp.t"), one_row(), tolerance=0)

    def test_an_empty_result_has_its_types(self, engine: Engine) -> None:
        engine.write(one_row(), "temp.t")
        found = engine.query("SELECT * FROM temp.t WHERE i = 0")
        assert (found.num_rows, found.schema.types) == (0, one_row().schema.types)

    def test_portable_expressions(self, engine: Engine) -> None:
        engine.write(one_row(), "temp.t")
        check_together(engine, PORTABLE, " FROM temp.t")

    def test_portable_aggregates(self, engine: Engine) -> None:
        engine.write(five_rows(), "temp.t")
        check_together(engine, AGGREGATES, " FROM temp.t")

    def test_macros_give_what_their_examples_say(self, engine: Engine) -> None:
        engine.write(pa.table({"v": pa.array([1, 2, 7, 9], pa.int64())}), "temp.t")
        for is_aggregate, source in ((False, ""), (True, " FROM temp.t")):
            macros = [macro for macro in MACROS.values() if macro.is_aggregate is is_aggregate]
            calls = ", ".join(f"{macro.example[0]} AS {macro.name}" for macro in macros)
            values = ", ".join(f"{macro.example[1]} AS {macro.name}" for macro in macros)
            assert engine.query(f"SELECT {calls}{source}").to_pylist() == engine.query(f"SELECT {values}").to_pylist()

    def test_macros_of_null_are_null(self, engine: Engine) -> None:
        plain = [macro for macro in MACROS.values() if not macro.is_aggregate and not macro.name.endswith("_list")]
        kinds = {"date": ("d", "a", "b"), "timestamptz": ("ts",), "varchar": ("t",), "bigint": ("n", "x")}
        columns = []
        for macro in plain:
            if macro.literals:
                continue
            kind_of = {name: kind for kind, names in kinds.items() for name in names}
            if macro.name.startswith(("micros_", "safe_", "whole_")):
                kind_of |= dict.fromkeys("ab", "timestamptz" if macro.name.startswith("micros") else "bigint")
            nulls = ", ".join(
                "1" if name == "digits" else f"cast(null as {kind_of[name]})" for name in macro.parameters
            )
            columns.append(f"{macro.name}({nulls}) AS {macro.name}")
        (row,) = engine.query(f"SELECT {', '.join(columns)}").to_pylist()
        assert {name: value for name, value in row.items() if value is not None} == {}

    def test_local_days_follow_the_zone(self, engine: Engine) -> None:
        # Europe/Berlin: winter time is UTC+1, summer time UTC+2; in 2025 from 30 March to 26 October, 01:00 UTC.
        cases = {
            datetime(2025, 3, 29, 22, 59, 59, 999999, tzinfo=UTC): (date(2025, 3, 29), 23),
            datetime(2025, 3, 29, 23, tzinfo=UTC): (date(2025, 3, 30), 0),
            datetime(2025, 3, 30, 0, 59, 59, 999999, tzinfo=UTC): (date(2025, 3, 30), 1),
            datetime(2025, 3, 30, 1, tzinfo=UTC): (date(2025, 3, 30), 3),
            datetime(2025, 10, 26, 0, 30, tzinfo=UTC): (date(2025, 10, 26), 2),
            datetime(2025, 10, 26, 1, 30, tzinfo=UTC): (date(2025, 10, 26), 2),
            datetime(2025, 6, 30, 22, tzinfo=UTC): (date(2025, 7, 1), 0),
            datetime(1969, 12, 31, 23, 30, tzinfo=UTC): (date(1970, 1, 1), 0),
        }
        engine.write(pa.table({"n": list(range(len(cases))), "ts": pa.array(list(cases), TIMESTAMP)}), "temp.t")
        sql = "SELECT local_date(ts) AS d, local_hour(ts) AS h FROM temp.t ORDER BY n"
        assert rows_of(engine, sql) == list(cases.values())

    def test_text_becomes_a_value_only_where_it_is_one(self, engine: Engine) -> None:
        texts = ["12", " 12", "1.5", "1e3", "0x10", "1_000", "1d", "NaN", "", None, "9" * 19, "-.5", "1e400"]
        numbers = [12.0, None, 1.5, 1000.0, None, None, None, None, None, None, 1e19, -0.5, None]
        integers = [12] + [None] * 12
        engine.write(pa.table({"n": list(range(len(texts))), "t": pa.array(texts, pa.string())}), "temp.t")
        found = engine.query("SELECT text_to_integer(t) AS i, text_to_number(t) AS f FROM temp.t ORDER BY n")
        assert found.column("i").to_pylist() == integers
        assert found.column("f").to_pylist() == numbers

    def test_text_becomes_a_time_only_where_it_is_one(self, engine: Engine) -> None:
        given = {
            "2025-01-01": (date(2025, 1, 1), None),
            "2025-1-1": (None, None),
            "2025-02-30": (None, None),
            "2025": (None, None),
            "2025/01/01": (None, None),
            "T10:00": (None, None),
            "2025-01-01T10:00:00Z": (None, datetime(2025, 1, 1, 10, tzinfo=UTC)),
            "2025-01-01 10:00": (None, datetime(2025, 1, 1, 10, tzinfo=UTC)),
            "2025-01-01T10:00:00.123456789+02": (None, datetime(2025, 1, 1, 8, 0, 0, 123456, tzinfo=UTC)),
            "2025-01-01T10:00:00-0530": (None, datetime(2025, 1, 1, 15, 30, tzinfo=UTC)),
            "2025-01-01 24:00:00": (None, None),
            "2025-01-01 10:00:00 Europe/Berlin": (None, None),
            " 2025-01-01 10:00:00": (None, None),
        }
        engine.write(pa.table({"n": list(range(len(given))), "t": list(given)}), "temp.t")
        sql = "SELECT text_to_date(t) AS d, text_to_timestamp(t) AS ts FROM temp.t ORDER BY n"
        assert rows_of(engine, sql) == list(given.values())

    def test_text_hash_tells_nulls_and_boundaries_apart(self, engine: Engine) -> None:
        (row,) = rows_of(
            engine,
            "SELECT text_hash('ab', 'c') AS a, text_hash('a', 'bc') AS b, text_hash(null, 'x') AS c, "
            "text_hash('', 'x') AS d, text_hash('-', 'x') AS e, text_hash('é😀') AS f",
        )
        from hashlib import md5

        texts = ["2:ab1:c", "1:a2:bc", "-1:x", "0:1:x", "1:-1:x", "2:é😀"]
        assert list(row) == [md5(text.encode(), usedforsecurity=False).hexdigest() for text in texts]

    def test_text_of_a_floating_number_stops(self, engine: Engine) -> None:
        engine.write(one_row(), "temp.t")
        with pytest.raises(Exception, match="text_of"):
            engine.query("SELECT text_of(f) AS r FROM temp.t")

    def test_nulls_come_last_in_any_order(self, engine: Engine) -> None:
        engine.write(pa.table({"v": pa.array([2, None, 1], pa.int64())}), "temp.t")
        assert rows_of(engine, "SELECT v FROM temp.t ORDER BY v") == [(1,), (2,), (None,)]
        assert rows_of(engine, "SELECT v FROM temp.t ORDER BY v DESC") == [(2,), (1,), (None,)]
        assert rows_of(engine, "SELECT v FROM temp.t ORDER BY v NULLS FIRST") == [(None,), (1,), (2,)]
        numbered = "SELECT v, row_number() OVER (ORDER BY v DESC) AS n FROM temp.t ORDER BY n"
        assert rows_of(engine, numbered) == [(2, 1), (1, 2), (None, 3)]

    def test_windows(self, engine: Engine) -> None:
        engine.write(five_rows(), "temp.t")
        sql = """
            SELECT k, v,
                rank() OVER (PARTITION BY k ORDER BY v) AS r,
                sum(v) OVER (PARTITION BY k ORDER BY v ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS s,
                lag(v) OVER (ORDER BY v, k) AS p,
                count(*) OVER (ORDER BY v RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) AS near
            FROM temp.t ORDER BY k, v
        """
        found = engine.query(sql)
        assert [tuple(row.values()) for row in found.to_pylist()] == [
            ("a", 1, 1, 1, None, 1),
            ("a", 2, 2, 3, 1, 2),
            ("a", 7, 3, 10, 2, 1),
            ("a", None, 4, 10, 9, 1),
            ("b", 9, 1, 9, 7, 1),
        ]
        assert found.schema.field("r").type == pa.int64()

    def test_date_range_frame(self, engine: Engine) -> None:
        days = [date(2025, 1, 1), date(2025, 1, 7), date(2025, 1, 8)]
        engine.write(pa.table({"day": days, "n": [1, 1, 1]}), "temp.t")
        sql = """
            SELECT day, sum(n) OVER (ORDER BY day RANGE BETWEEN INTERVAL 6 DAYS PRECEDING AND CURRENT ROW) AS week
            FROM temp.t ORDER BY day
        """
        assert rows_of(engine, sql) == [(days[0], 1), (days[1], 2), (days[2], 2)]

    def test_qualify_group_by_all_having_and_set_operations(self, engine: Engine) -> None:
        engine.write(five_rows(), "temp.t")
        last = "SELECT k, v FROM temp.t QUALIFY row_number() OVER (PARTITION BY k ORDER BY v DESC) = 1 ORDER BY k"
        assert rows_of(engine, last) == [("a", 7), ("b", 9)]
        grouped = "SELECT k, count(*) AS n FROM temp.t GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL"
        assert rows_of(engine, grouped) == [("a", 4)]
        both = "SELECT k FROM temp.t UNION SELECT 'c' AS k ORDER BY k"
        assert rows_of(engine, both) == [("a",), ("b",), ("c",)]
        rest = "SELECT * EXCLUDE (v) FROM temp.t EXCEPT SELECT 'b' AS k"
        assert rows_of(engine, rest) == [("a",)]

    def test_with_parts_and_joins(self, engine: Engine) -> None:
        engine.write(five_rows(), "temp.t")
        sql = """
            WITH totals AS MATERIALIZED (SELECT k, sum(v) AS total FROM temp.t GROUP BY k),
                wanted AS (SELECT * FROM (VALUES ('a', 1), ('c', 2)) AS w(k, rank))
            SELECT k, total, rank FROM totals FULL JOIN wanted USING (k) ORDER BY k
        """
        assert rows_of(engine, sql) == [("a", 10, 1), ("b", 9, None), ("c", None, 2)]
        anti = "SELECT t.v FROM temp.t AS t ANTI JOIN (SELECT 'a' AS k) AS x ON t.k = x.k"
        assert rows_of(engine, anti) == [(9,)]

    def test_a_calendar(self, engine: Engine) -> None:
        sql = "SELECT unnest(date_list(date '2024-02-28', date '2024-03-01')) AS day ORDER BY day"
        assert rows_of(engine, sql) == [(date(2024, 2, 28),), (date(2024, 2, 29),), (date(2024, 3, 1),)]
        assert rows_of(engine, "SELECT unnest(date_list(date '2024-03-01', date '2024-02-28')) AS day") == []

    # --- parameters and faults

    def test_values_are_bound(self, engine: Engine) -> None:
        values = {
            "small": 7,
            "large": 2**40,
            "share": 1.5,
            "text": "it's \\ $name :x",
            "yes": True,
            "day": date(2025, 1, 2),
            "moment": INSTANT,
            "nothing": None,
        }
        found = engine.query(f"SELECT {', '.join(f'${name} AS {name}' for name in values)}", values)
        assert found.to_pylist() == [values]
        assert [found.schema.field(name).type for name in ("share", "text", "yes", "day", "moment")] == [
            pa.float64(),
            pa.string(),
            pa.bool_(),
            pa.date32(),
            TIMESTAMP,
        ]

    def test_lists_are_bound(self, engine: Engine) -> None:
        engine.write(visits((DAYS[0], "a", 1), (DAYS[1], "b", 2), (DAYS[2], "c", 3)), "temp.t")
        sql = "SELECT site FROM temp.t WHERE list_contains($days, day) ORDER BY site"
        assert rows_of(engine, sql, days=[DAYS[0], DAYS[2]]) == [("a",), ("c",)]

    def test_a_missing_value_is_a_query_error(self, engine: Engine) -> None:
        with pytest.raises(QueryError):
            engine.query("SELECT $value AS r", {"other": 1})

    def test_unknown_table_says_what_was_meant(self, engine: Engine) -> None:
        engine.write(five_rows(), "silver.events")
        with pytest.raises(QueryError, match="evnts") as caught:
            engine.query("SELECT * FROM silver.evnts")
        assert "silver.events" in str(caught.value.hint)

    def test_unknown_column_is_a_query_error(self, engine: Engine) -> None:
        engine.write(five_rows(), "temp.t")
        with pytest.raises(QueryError):
            engine.query("SELECT nope FROM temp.t")

    def test_wrong_syntax_is_a_query_error(self, engine: Engine) -> None:
        with pytest.raises(QueryError):
            engine.query("SELECT FROM WHERE")

    # --- temp tables

    def test_temp_table_is_replaced_as_a_whole(self, engine: Engine) -> None:
        assert engine.write(five_rows(), "temp.t") == 0
        engine.write("SELECT k, count(*) AS n FROM temp.t GROUP BY k", "temp.t")
        assert rows_of(engine, "SELECT * FROM temp.t ORDER BY k") == [("a", 4), ("b", 1)]
        schema = engine.schema("temp.t")
        assert schema is not None
        assert schema.types == [pa.string(), pa.int64()]
        assert engine.schema("temp.other") is None

    def test_temp_table_keeps_the_rows_it_was_made_from(self, engine: Engine) -> None:
        engine.write(visits((DAYS[0], "a", 1)), "silver.visits")
        engine.write("SELECT * FROM silver.visits", "temp.t")
        engine.write(visits((DAYS[1], "b", 2)), "silver.visits", "overwrite")
        assert rows_of(engine, "SELECT site FROM temp.t") == [("a",)]

    # --- writing

    def test_a_table_of_every_type(self, engine: Engine) -> None:
        engine.write(one_row(), "silver.t")
        assert_same_rows(engine.query("SELECT * FROM silver.t"), one_row(), tolerance=0)
        schema = engine.schema("silver.t")
        assert schema is not None
        assert schema.types == one_row().schema.types
        assert engine.schema("silver.nothing") is None

    def test_append_adds(self, engine: Engine) -> None:
        engine.write(visits((DAYS[0], "a", 1)), "silver.visits")
        engine.write("SELECT date '2025-01-02' AS day, 'ü😀' AS site, cast(2 as bigint) AS views", "silver.visits")
        found = rows_of(engine, "SELECT * FROM silver.visits ORDER BY day")
        assert found == [(DAYS[0], "a", 1), (DAYS[1], "ü😀", 2)]

    def test_overwrite_replaces_everything(self, engine: Engine) -> None:
        layout = Layout(partition_by=("day",))
        engine.write(visits((DAYS[0], "a", 1), (DAYS[1], "b", 2)), "silver.visits", layout=layout)
        engine.write(visits((DAYS[2], "c", 3)), "silver.visits", "overwrite", layout=layout)
        assert rows_of(engine, "SELECT * FROM silver.visits") == [(DAYS[2], "c", 3)]

    def test_replace_takes_the_place_of_the_named_partitions_only(self, engine: Engine) -> None:
        layout = Layout(partition_by=("day",), sort_by=("site",))
        first = visits((DAYS[0], "a", 1), (DAYS[1], "b", 2), (DAYS[2], "c", 3))
        engine.write(first, "silver.visits", layout=layout)
        version = engine.write(
            visits((DAYS[1], "x", 20)), "silver.visits", "replace", replace={"day": [DAYS[0], DAYS[1]]}
        )
        found = rows_of(engine, "SELECT * FROM silver.visits ORDER BY day")
        assert found == [(DAYS[1], "x", 20), (DAYS[2], "c", 3)], "2025-01-01 has become empty"
        assert version == engine.write(visits(), "silver.visits", "replace", replace={"day": [DAYS[1]]}) - 1
        assert rows_of(engine, "SELECT * FROM silver.visits") == [(DAYS[2], "c", 3)]

    def test_partitions_of_values_that_names_of_files_cannot_hold(self, engine: Engine) -> None:
        values = ["b c", "d/é", "50%", "x%20y", "a=b:c?d&e+f", '"q"', "it's"]
        table = pa.table({"site": values, "views": pa.array(range(len(values)), pa.int64())})
        engine.write(table, "silver.visits", layout=Layout(("site",)))
        engine.write(table.slice(0, 3), "silver.visits", "replace", replace={"site": values[:4]})
        found = engine.query("SELECT site, views FROM silver.visits ORDER BY views").to_pylist()
        assert found == [row for row in table.to_pylist() if row["site"] != values[3]]

    def test_a_partition_of_null_is_replaced(self, engine: Engine) -> None:
        table = pa.table({"site": pa.array(["a", None]), "views": pa.array([1, 2], pa.int64())})
        engine.write(table, "silver.visits", layout=Layout(partition_by=("site",)))
        engine.write(table.slice(0, 0), "silver.visits", "replace", replace={"site": [None]})
        assert rows_of(engine, "SELECT * FROM silver.visits") == [("a", 1)]

    def test_a_table_without_rows_has_its_columns(self, engine: Engine) -> None:
        engine.write(visits(), "silver.visits", layout=Layout(partition_by=("day",)))
        found = engine.query("SELECT * FROM silver.visits")
        assert (found.num_rows, found.schema.types) == (0, visits().schema.types)

    def test_a_transaction_is_done_once(self, engine: Engine) -> None:
        first = engine.write(visits((DAYS[0], "a", 1)), "silver.visits", transaction=Transaction("app", 1))
        again = engine.write(visits((DAYS[0], "a", 1)), "silver.visits", transaction=Transaction("app", 1))
        assert first == again
        engine.write(visits((DAYS[1], "b", 2)), "silver.visits", transaction=Transaction("app", 2))
        engine.write(visits((DAYS[0], "a", 1)), "silver.visits", transaction=Transaction("app", 1))
        engine.write(visits((DAYS[2], "c", 3)), "silver.visits", transaction=Transaction("other", 1))
        assert rows_of(engine, "SELECT site FROM silver.visits ORDER BY site") == [("a",), ("b",), ("c",)]

    def test_versions_grow(self, engine: Engine) -> None:
        one = engine.write(visits((DAYS[0], "a", 1)), "silver.visits")
        two = engine.write(visits((DAYS[1], "b", 2)), "silver.visits")
        assert two == one + 1

    def test_a_new_column_is_null_in_older_rows(self, engine: Engine) -> None:
        engine.write(visits((DAYS[0], "a", 1)), "silver.visits")
        wider = visits((DAYS[1], "b", 2)).append_column("country", pa.array(["DE"]))
        engine.write(wider, "silver.visits")
        engine.write(visits((DAYS[2], "c", 3)), "silver.visits")
        found = rows_of(engine, "SELECT site, country FROM silver.visits ORDER BY site")
        assert found == [("a", None), ("b", "DE"), ("c", None)]

    def test_a_query_sees_what_was_just_written(self, engine: Engine) -> None:
        engine.write(visits((DAYS[0], "a", 1)), "silver.visits")
        assert rows_of(engine, "SELECT count(*) AS n FROM silver.visits") == [(1,)]
        engine.write(visits((DAYS[1], "b", 2)), "silver.visits")
        assert rows_of(engine, "SELECT count(*) AS n FROM silver.visits") == [(2,)]

    def test_replacing_needs_partitions(self, engine: Engine) -> None:
        engine.write(visits((DAYS[0], "a", 1)), "silver.visits", layout=Layout(partition_by=("day",)))
        with pytest.raises(Exception, match="needs the partitions"):
            engine.write(visits(), "silver.visits", "replace")
