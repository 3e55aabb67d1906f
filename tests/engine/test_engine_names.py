"""Names that an engine would answer by itself: refused where no table in scope has them as a column."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest

from tidelake.engine.sql import check_names, check_names_in
from tidelake.errors import QueryError

TABLES = {
    "silver.logs": pa.schema([("event_time", pa.string()), ("actor_id", pa.string())]),
    "silver.people": pa.schema([("user", pa.string()), ("current_user", pa.string()), ("id", pa.string())]),
    "gold.user_day": pa.schema([("actor_id", pa.string())]),
}
PARTS = {"silver.logs": {"user": "actor_id", "localtime": "event_time"}, "silver.people": {}}
TAKEN = [
    'SELECT user, "user", current_user FROM silver.people',
    "SELECT people.user FROM silver.people",
    "SELECT actor_id AS user, user || '!' AS shown FROM silver.logs WHERE user = 'a' ORDER BY user",
    "WITH a AS (SELECT actor_id AS user FROM silver.logs) SELECT user FROM a",
    "WITH a AS (SELECT * FROM silver.people) SELECT b.x, user FROM (SELECT *, 1 AS x FROM a) AS b",
    "SELECT (SELECT max(user) FROM silver.logs) AS one FROM silver.people",
    "SELECT actor_id AS user FROM silver.logs UNION ALL SELECT id FROM silver.people ORDER BY user",
    "SELECT user FROM (VALUES ('a')) AS given(user)",
    "SELECT 'user' AS word, current_date AS day FROM silver.logs",
    "DESCRIBE SELECT user FROM silver.people",
]
REFUSED = [
    ("SELECT count(DISTINCT user) AS dau FROM silver.logs", 23, "The field 'user' is actor_id in silver.logs."),
    ('SELECT "user" FROM silver.logs', 8, "actor_id in silver.logs"),
    ("SELECT count(*) AS n FROM gold.user_day WHERE user = 'a'", 47, "actor_id in silver.logs"),
    ("WITH a AS (SELECT user FROM silver.logs) SELECT id FROM a, silver.people", 19, "actor_id in silver.logs"),
    ("SELECT user FROM (SELECT id FROM silver.people) AS a", 8, "DESCRIBE layer.table"),
    ("SELECT actor_id, current_user FROM silver.logs", 18, "DESCRIBE layer.table"),
    ("SELECT current_schema FROM silver.logs", 8, "the engine's own schema"),
    ("SELECT localtime FROM silver.logs", 8, "event_time in silver.logs"),
]


@pytest.fixture(scope="module")
def plain() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    for name, schema in TABLES.items():
        columns = ", ".join(f'"{column}" VARCHAR' for column in schema.names)
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {name.split('.')[0]}; CREATE TABLE {name} ({columns})")
    return connection


@pytest.mark.parametrize("sql", TAKEN)
def test_a_column_of_that_name_is_one(sql: str, plain: duckdb.DuckDBPyConnection) -> None:
    check_names(sql, TABLES.get, PARTS)
    plain.execute(sql)


@pytest.mark.parametrize(("sql", "column", "said"), REFUSED)
def test_a_name_that_no_table_has_is_refused(
    sql: str, column: int, said: str, plain: duckdb.DuckDBPyConnection
) -> None:
    with pytest.raises(QueryError) as caught:
        check_names(sql, TABLES.get, PARTS)
    assert str(caught.value).startswith(f"line 1, column {column}: No table here has a column ")
    assert said in str(caught.value)
    plain.execute(sql)  # DuckDB answers it without a word


def test_a_condition_knows_the_columns_of_its_table() -> None:
    check_names_in("user = 'a'", ["user"], PARTS)
    with pytest.raises(QueryError, match=r"line 2, column 5: No table here has a column 'user'.*actor_id"):
        check_names_in("actor_id = 'user'\nAND user = 'a'", ["actor_id"], PARTS)


@pytest.mark.parametrize("call", ["current_date", "now()", "today()", "CURRENT_TIMESTAMP", "random()", "uuid()"])
def test_what_is_kept_does_not_depend_on_when_it_is_asked(call: str) -> None:
    check_names_in(f"day < {call} AND note <> 'now()'", ["day", "note"], PARTS)
    with pytest.raises(QueryError, match=r"^line 2, column 8: .* gives something else at every run"):
        check_names_in(f"note <> 'now()'\nOR d < {call}", ["note", "d"], PARTS, is_kept=True)


def test_a_column_named_like_the_time_is_a_column_where_it_is_there() -> None:
    check_names_in("current_date > 1 AND note <> 'now()'", ["current_date", "note"], PARTS, is_kept=True)
    with pytest.raises(QueryError, match="current_date"):
        check_names_in("current_date() > 1", ["current_date"], PARTS, is_kept=True)
