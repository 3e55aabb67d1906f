"""The portable subset: what it refuses and why, how macros and names are written for each engine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from tests.engine.portable_traps import TRAPS
from tidelake.engine.sql import (
    MACROS,
    check_expression,
    check_portable,
    check_read_only,
    problems,
    tables_of,
    translate,
)
from tidelake.engine.sql.functions import ADVICE
from tidelake.engine.sql.patterns import java_pattern, pattern_fault
from tidelake.errors import QueryError
from tidelake.testing.engine_suite import AGGREGATES, PORTABLE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PAGE = Path(__file__).parents[2] / "docs" / "portable-sql.md"
SQL_BLOCK = re.compile(r"```sql\n(.*?)```", re.DOTALL)


# --- refusals


@pytest.mark.parametrize("name", TRAPS)
def test_trap_is_refused_with_what_to_write(name: str) -> None:
    trap = TRAPS[name]
    with pytest.raises(QueryError) as caught:
        check_portable(trap.sql)
    said = f"{caught.value} {caught.value.hint}"
    assert re.match(r"line 1, column \d+: ", said)
    assert trap.says in said
    assert trap.write in said


def test_the_traps_of_the_design_are_all_here() -> None:
    named = "datediff epoch_ms epoch_us arg_min arg_max hash dayofweek isodow quantile_cont approx_count_distinct"
    assert set(named.split()) | {"list with order", "select star qualify", "asof join", "division"} <= set(TRAPS)


def test_a_refusal_names_line_and_column_of_each_place() -> None:
    sql = "WITH x AS (\n    SELECT a, isodow(d) AS w\n    FROM silver.t\n)\nSELECT hash(a) AS h, w FROM x"
    assert [(found.line, found.column) for found in problems(sql)] == [(2, 15), (5, 8)]
    with pytest.raises(QueryError, match=r"(?s)line 2, column 15: .*line 5, column 8: "):
        check_portable(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a / nullif(b, 0) AS r FROM silver.t",
        "SELECT a / cast(nullif(b, 0) AS double) AS r FROM silver.t",
        "SELECT a / 1000000 AS r, a % 7 AS m, a / greatest(b, 1) AS g, v / 2.5 AS h FROM silver.t",
        "SELECT a FROM silver.t WHERE share > 0.5 AND share BETWEEN 0.1 AND 0.9",
        "SELECT quantile_linear(v, 0.5) AS median FROM silver.t",
        "SELECT cast(1.50 AS decimal(5, 2)) AS price FROM silver.t",
        "SELECT 1.5e0 * v AS r FROM silver.t",
        "SELECT a FROM silver.t ORDER BY a LIMIT 3",
        "SELECT a, b FROM silver.t QUALIFY row_number() OVER (PARTITION BY a ORDER BY b) = 1",
        "SELECT sum(v) OVER w AS r FROM silver.t WINDOW w AS (PARTITION BY a ORDER BY b ROWS UNBOUNDED PRECEDING)",
        "SELECT s.*, e.event_name FROM silver.s AS s JOIN silver.events AS e ON e.actor_id = s.actor_id",
        "SELECT s.a, e.event_name FROM silver.s AS s JOIN silver.events AS e USING (actor_id)",
        "SELECT * EXCLUDE (a) FROM silver.t",
        "SELECT event_date + 1 AS next_date FROM silver.t",
        "SELECT count(DISTINCT a) AS n, week_start(event_date, 'sunday') AS w FROM silver.t GROUP BY ALL",
        "SELECT string_agg(a, ',' ORDER BY a) AS names FROM silver.t",
        "SELECT a FROM silver.t WHERE b IN (SELECT b FROM gold.u) AND NOT EXISTS (SELECT 1 AS one FROM gold.v)",
        "SELECT text_hash(a, b, c) AS key FROM silver.t",
        "SELECT a FROM silver.t WHERE event_date >= $start AND list_contains($sites, site)",
        "SELECT sum(x) AS r FROM (VALUES (1), (2)) AS t(x)",
        "SELECT unnest(date_list($a, $b)) AS day",
        "SELECT coalesce(a, 'none') AS a FROM silver.t UNION ALL SELECT 'x' AS a",
    ],
)
def test_ordinary_queries_are_portable(sql: str) -> None:
    check_portable(sql)


def test_the_suite_asks_only_for_portable_sql() -> None:
    for expression, _, _ in (*PORTABLE, *AGGREGATES):
        check_portable(f"SELECT {expression} AS r FROM temp.t")


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT week_start(d, 'friday') AS r FROM silver.t", "'monday' or 'sunday'"),
        ("SELECT week_start(d, a) AS r FROM silver.t", "a literal"),
        ("SELECT local_date(a, b) AS r FROM silver.t", "takes 1 values, not 2"),
        ("SELECT matches_whole(a, 'x$') AS r FROM silver.t", "final newline"),
        ("SELECT quantile_linear(v, 0.5) FILTER (WHERE a) AS r FROM silver.t", "neither FILTER nor OVER"),
    ],
)
def test_macros_are_called_as_they_must_be(sql: str, says: str) -> None:
    with pytest.raises(QueryError, match=says):
        check_portable(sql)


def test_translation_counts_a_macros_values_too() -> None:
    with pytest.raises(QueryError, match="takes 1 values, not 2"):
        translate("SELECT local_date(a, b) AS r", "duckdb")


# --- one statement that only reads


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO silver.t VALUES (1)",
        "CREATE TABLE silver.t AS SELECT 1 AS a",
        "DROP TABLE silver.t",
        "UPDATE silver.t SET a = 1",
        "DELETE FROM silver.t",
        "ATTACH 'x.db'",
        "COPY silver.t TO 'x.csv'",
        "COPY (SELECT 1) TO '/tmp/x'",
        "PRAGMA version",
        "SET memory_limit = '1GB'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "CALL pragma_version()",
        "EXPORT DATABASE 'x'",
        "SELECT 1 AS a; SELECT 2 AS a",
        "SELECT 1 AS a; DROP TABLE silver.t",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_parquet('x')",
        "SELECT * FROM read_json('x')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('/etc/passwd')",
        "SELECT content FROM glob('/etc/*')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM 'x.parquet'",
        'SELECT * FROM "x.csv"',
        "SELECT * FROM duckdb_secrets()",
        "SELECT * FROM duckdb_settings()",
        "SELECT * FROM query('SELECT 1')",
        "SELECT * FROM query_table('silver.t')",
        "SELECT getenv('HOME') AS r",
        "SELECT current_setting('access_mode') AS r",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM other.silver.t",
        "SELECT * FROM events",
        "WITH x AS (SELECT * FROM read_csv('a')) SELECT * FROM x",
        "SELECT a FROM silver.t WHERE b IN (SELECT c FROM read_csv('x'))",
        "VACUUM",
        "",
        "-- nothing",
        "SELECT 'open",
    ],
)
@pytest.mark.parametrize("check", [check_read_only, check_portable])
def test_only_one_reading_statement_passes(sql: str, check: Any) -> None:
    with pytest.raises(QueryError):
        check(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM silver.events LIMIT 5",
        "FROM silver.events",
        "WITH x AS (SELECT * FROM silver.events) SELECT isodow(d) FROM x",
        "DESCRIBE silver.events",
        "DESCRIBE SELECT * FROM silver.events",
        "SUMMARIZE silver.events",
        "SELECT * FROM temp.x;",
        "SELECT range FROM range(3)",
    ],
)
def test_reading_needs_no_portable_sql(sql: str) -> None:
    check_read_only(sql)


@pytest.mark.parametrize(
    "text", ["country = 'DE'", "a > 0.5 AND b IN ('x', 'y')", "seq IS NULL OR starts_with(a, 'b')"]
)
def test_a_condition_is_one_expression(text: str) -> None:
    check_expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "1 = 1 FROM silver.t",
        "a, b",
        "a = 1; DROP TABLE silver.t",
        "a IN (SELECT a FROM silver.t)",
        "count(*) > 1",
        "a = 1) OR (1 = 1",
        "a = 1 -- b\n, c",
        "a AS b",
        "*",
        "isodow(d) = 1",
        "row_number() OVER (ORDER BY a) = 1",
        "a ORDER BY 1",
        "",
        "read_text('/etc/passwd') = ''",
    ],
)
def test_a_condition_is_nothing_else(text: str) -> None:
    with pytest.raises(QueryError):
        check_expression(text)


def test_a_condition_says_where_in_the_condition() -> None:
    with pytest.raises(QueryError, match="line 1, column 10: "):
        check_expression("a = 1 OR isodow(d) = 1")


# --- tables


def test_tables_of_a_query() -> None:
    sql = """
        WITH events AS (SELECT * FROM silver.events), silver AS (SELECT 1 AS one)
        SELECT * FROM events JOIN Gold.User_Day AS u USING (actor_id) JOIN silver ON true
        WHERE a IN (SELECT a FROM temp.keys) AND b NOT IN (SELECT b FROM silver.events) AND c = 'bronze.text'
    """
    assert tables_of(sql) == ["silver.events", "gold.user_day", "temp.keys"]
    assert tables_of("SELECT 1 AS one") == []
    assert tables_of("DESCRIBE silver.events") == tables_of("SUMMARIZE silver.events") == ["silver.events"]


def test_a_table_without_a_layer_is_refused() -> None:
    with pytest.raises(QueryError, match=r"line 1, column 16: 'events' is no table of the lake"):
        tables_of("SELECT a FROM  events")


# --- translation


def test_duckdb_gets_macros_expanded_and_nothing_else() -> None:
    sql = "SELECT local_date(ts) AS day, a - micros_between(x, y) AS m FROM silver.t"
    written = translate(sql, "duckdb", timezone="Europe/Berlin")
    assert "TIMEZONE('Europe/Berlin', CAST(ts AS TIMESTAMPTZ))" in written
    assert "a - (EPOCH_US" in written, "the macro's difference stays together"


def test_tables_get_the_engines_names_and_keep_their_own() -> None:
    sql = "SELECT events.a, silver.events.b FROM silver.events JOIN gold.x AS y USING (a)"
    written = translate(sql, "spark", tables={"silver.events": "v1", "gold.x": "v2"})
    assert written == "SELECT events.a, events.b FROM v1 AS events JOIN v2 AS y USING (a)"


def test_values_are_written_as_typed_literals() -> None:
    written = translate("SELECT $a AS a, $b AS b", "spark", params={"a": "it's \\ $b", "b": [1, 2]})
    assert written == "SELECT 'it\\'s \\\\ $b' AS a, ARRAY(1, 2) AS b"


@pytest.mark.parametrize("params", [{}, {"a": 1, "b": 2}, {"a": object()}])
def test_values_and_names_must_fit(params: dict[str, Any]) -> None:
    with pytest.raises(QueryError):
        translate("SELECT $a AS a", "spark", params=params)


def test_what_spark_would_read_otherwise_is_made_to_mean_the_same() -> None:
    written = translate(
        "SELECT a / 2 AS q, avg(a) AS m, length(s) AS n, row_number() OVER (ORDER BY a) AS r, v > 0.5 AS h, "
        "regexp_matches(s, '\\s.') AS p FROM silver.t ORDER BY a",
        "spark",
    )
    for part in (
        "CAST(a AS DOUBLE) / 2",
        "AVG(CAST(a AS DOUBLE))",
        "CAST(LENGTH(s) AS BIGINT)",
        "CAST(ROW_NUMBER() OVER (ORDER BY a NULLS LAST) AS BIGINT)",
        "0.5e0",
        "(?d)[ \\\\t\\\\n\\\\f\\\\r].",
        "ORDER BY a NULLS LAST",
    ):
        assert part in written


@pytest.mark.parametrize(
    "pattern", ["a$", "(?i)a", "(?<n>a)", "(?=a)", "[[:alpha:]]", "[a&&b]", "\\b", "\\p{L}", "\\1", "[]a]"]
)
def test_patterns_that_engines_read_differently(pattern: str) -> None:
    assert pattern_fault(pattern) is not None


@pytest.mark.parametrize("pattern", ["^a.*\\z", "(?:ab|c)+[^,;]{2,3}", "\\d+\\.\\d", "[\\]a-z-]", "\\$\\^", "a|b"])
def test_patterns_that_engines_read_alike(pattern: str) -> None:
    assert pattern_fault(pattern) is None


def test_a_pattern_for_java_keeps_what_is_escaped() -> None:
    assert java_pattern("\\\\s\\s[\\s]") == "(?d)\\\\s[ \\t\\n\\f\\r][[ \\t\\n\\f\\r]]"


# --- the page


def test_the_page_names_every_macro_and_every_trap_word() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in MACROS if f"`{name}(" not in text] == []
    common = {"datediff", "epoch_ms", "arg_min", "hash", "isodow", "quantile_cont", "date_trunc", "lower", "ln"}
    assert [name for name in common if name not in text] == []
    assert common - {"datediff", "date_trunc"} <= set(ADVICE)


def test_examples_of_the_page_run_on_duckdb() -> None:
    blocks = SQL_BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) >= 4
    for block in blocks:
        check_portable(block)
        translate(block, "spark", timezone="Europe/Berlin")


def test_importing_the_engine_does_not_import_the_parser() -> None:
    code = "import sys, tidelake.engine.sql, tidelake.engine.duckdb; sys.exit('sqlglot' in sys.modules)"
    source = Path(__file__).parents[2] / "src"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(source)}, check=False).returncode == 0


# --- why


@pytest.mark.spark
def test_each_trap_is_real(spark_session: SparkSession) -> None:
    """A naive translation gives something else, or fails on one of the two engines."""
    import sqlglot
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from sqlglot.errors import ErrorLevel

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")

    def on_duckdb(sql: str) -> Any:
        try:
            table = connection.sql(sql).to_arrow_table()
        except duckdb.Error:
            return "fails"
        return [tuple(row) for row in zip(*table.to_pydict().values(), strict=True)], table.column_names

    def on_spark(sql: str) -> Any:
        try:
            text = sqlglot.transpile(sql, read="duckdb", write="spark", unsupported_level=ErrorLevel.IGNORE)[0]
            table = spark_session.sql(text).toArrow()
        except (PySparkException, Py4JError, ValueError):
            return "fails"
        return [tuple(row) for row in zip(*table.to_pydict().values(), strict=True)], table.column_names

    proofs = {name: trap.proof for name, trap in TRAPS.items() if trap.proof is not None}
    assert len(proofs) > 50
    same = {name: on_duckdb(proof) for name, proof in proofs.items() if repr(on_duckdb(proof)) == repr(on_spark(proof))}
    assert same == {}
