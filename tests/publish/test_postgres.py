"""Publication to a real PostgreSQL: the lake's rows and types, all at once, once a version.

Expected rows are those of the lake, read by plain Parquet; expected counts those that the test inserted.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.projects import TinyProject, event, lines
from tidelake import session as tl
from tidelake.errors import LedgerError, ProjectError, SourceError, UnknownNameError
from tidelake.publish.postgres import as_csv, sql_type
from tidelake.publish.tables import Publication, parts

pytestmark = pytest.mark.server
SETTINGS = "measures: {plays: {event: play}, value: {sum: value}}\ndimensions: [version]\n"
MODEL = "SELECT actor_id, count(*) AS events, max(event_time) AS last_at FROM silver.app GROUP BY actor_id"
CONTRACT = "grain: one row per actor\nkey: [actor_id]\n"


@pytest.fixture
def project(tmp_path: Path) -> TinyProject:
    made = TinyProject.make(tmp_path / "project", settings=SETTINGS)
    (made.root / "models/mart").mkdir(parents=True)
    (made.root / "models/mart/actors.sql").write_text(MODEL)
    (made.root / "models/mart/actors.yml").write_text(CONTRACT)
    made.write("a.jsonl", lines(event(n, version=f"1.{n % 3}0") for n in range(200)))
    build(made)
    return made


def build(project: TinyProject) -> None:
    with tl.open(project.root) as session:
        session.build()


def publish(project: TinyProject, to: str, **options: Any) -> dict[str, str]:
    """Status by table."""
    with tl.open(project.root) as session:
        return {row["table"]: row["status"] for row in session.publish(to, **options).to_dicts()}


@pytest.fixture
def connection(database: str) -> Iterator[Any]:
    import psycopg

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        yield connection


def rows_in(connection: Any, table: str) -> list[dict[str, Any]]:
    from psycopg.rows import dict_row

    with connection.cursor(row_factory=dict_row) as cursor:
        found: list[dict[str, Any]] = cursor.execute(f"SELECT * FROM {table}").fetchall()
        return found


def plain(rows: list[dict[str, Any]]) -> list[str]:
    """Rows in an order and with instants that do not depend on the library that made them."""
    shown = [
        {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
        for row in rows
    ]
    return sorted(repr(sorted(row.items())) for row in shown)


def test_every_table_arrives_with_its_rows_key_and_version(
    project: TinyProject, database: str, connection: Any
) -> None:
    done = publish(project, database)
    assert set(done) == {*("gold.sessions", "gold.user_day", "gold.user_day_value", "gold.event_day", "mart.actors")}
    assert set(done.values()) == {"published"}
    for name in done:
        here = project.rows(name)
        # Partition columns stand in the lake's folders and not in its files.
        there = [
            {column: value for column, value in row.items() if column in here[0]}
            for row in rows_in(connection, f"tidelake.{name.replace('.', '_')}")
        ]
        assert plain(there) == plain(here), name
    (key,) = connection.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'tidelake.mart_actors'::regclass"
    ).fetchone()
    assert key == "PRIMARY KEY (actor_id)"
    (comment,) = connection.execute("SELECT obj_description('tidelake.mart_actors'::regclass, 'pg_class')").fetchone()
    assert comment.startswith('tidelake: {"table": "mart.actors", "version": ')
    types = dict(
        connection.execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'mart_actors'"
        ).fetchall()
    )
    assert types == {"actor_id": "text", "events": "bigint", "last_at": "timestamp with time zone"}


def test_an_unchanged_version_is_not_written_again(project: TinyProject, database: str, connection: Any) -> None:
    publish(project, database)
    where = "SELECT relname, oid, pg_relation_filenode(oid) FROM pg_class WHERE relnamespace = 'tidelake'::regnamespace"
    before = sorted(connection.execute(where).fetchall())
    assert set(publish(project, database).values()) == {"unchanged"}
    assert sorted(connection.execute(where).fetchall()) == before
    project.write("b.jsonl", lines(event(n) for n in range(200, 210)))
    build(project)
    assert publish(project, database, tables=["mart.actors"]) == {"mart.actors": "published"}
    assert sum(row["events"] for row in rows_in(connection, "tidelake.mart_actors")) == 210
    left = [row[0] for row in connection.execute(where).fetchall()]
    assert not [name for name in left if "__new" in name]


def test_rights_of_others_stay(project: TinyProject, database: str, connection: Any) -> None:
    publish(project, database, tables=["mart.actors"])
    connection.execute('DROP ROLE IF EXISTS "An alyst"')
    connection.execute('CREATE ROLE "An alyst"')
    try:
        connection.execute('GRANT SELECT ON tidelake.mart_actors TO "An alyst"')
        project.write("b.jsonl", lines([event(500)]))
        build(project)
        publish(project, database, tables=["mart.actors"])
        allowed = "SELECT has_table_privilege('An alyst', 'tidelake.mart_actors', 'SELECT')"
        assert connection.execute(allowed).fetchone() == (True,)
    finally:
        connection.execute('DROP OWNED BY "An alyst"')
        connection.execute('DROP ROLE "An alyst"')


def test_somebody_elses_table_is_left_alone(project: TinyProject, database: str, connection: Any) -> None:
    connection.execute("CREATE SCHEMA mine; CREATE TABLE mine.mart_actors AS SELECT 1 AS a")
    with pytest.raises(ProjectError, match=r"mine\.mart_actors is there and was not published"):
        publish(project, database, schema="mine")
    assert rows_in(connection, "mine.mart_actors") == [{"a": 1}]


def test_what_depends_on_a_table_stops_all_of_it(project: TinyProject, database: str, connection: Any) -> None:
    """A view on one table: nothing is replaced, not even the tables before it; and the view is named."""
    publish(project, database)
    connection.execute("CREATE VIEW tidelake.top AS SELECT * FROM tidelake.mart_actors")
    before = rows_in(connection, "tidelake.gold_event_day")
    project.write("b.jsonl", lines(event(n) for n in range(200, 210)))
    build(project)
    with pytest.raises(SourceError, match="mart_actors"):
        publish(project, database)
    assert rows_in(connection, "tidelake.gold_event_day") == before


def test_lost_rows_are_noticed_and_nothing_is_replaced(
    project: TinyProject, database: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(project, database)
    before = rows_in(connection, "tidelake.mart_actors")
    project.write("b.jsonl", lines(event(n) for n in range(200, 210)))
    build(project)
    monkeypatch.setattr("tidelake.publish.postgres.parts", lambda *given: (part.slice(1) for part in parts(*given)))
    with pytest.raises(LedgerError, match="nothing is replaced"):
        publish(project, database)
    assert rows_in(connection, "tidelake.mart_actors") == before


def test_values_survive_the_way(database: str, connection: Any) -> None:
    """Null and empty text, quotes, line ends, backslashes, lists, decimals, extremes of numbers and times."""
    from datetime import UTC, date, datetime

    at = datetime(2024, 2, 29, 1, 2, 3, 456789, UTC)
    values: dict[str, tuple[pa.DataType, list[Any]]] = {
        "text": (pa.string(), ["", None, 'a"b', "x\ny\r\n", "\\N", "\\.", "NULL", " é€😀,"]),
        "whole": (pa.int64(), [0, None, -(2**63), 2**63 - 1, 1, 2, 3, 4]),
        "real": (pa.float64(), [0.1, None, float("inf"), float("-inf"), 1e-300, 1e300, -0.0, 2.5]),
        "yes": (pa.bool_(), [True, None, False, True, True, True, True, True]),
        "day": (pa.date32(), [date(2024, 2, 29), None, *[date(1970, 1, 1)] * 6]),
        "at": (pa.timestamp("us", "UTC"), [at, None, *[datetime(1999, 1, 1, tzinfo=UTC)] * 6]),
        "money": (pa.decimal128(12, 2), [Decimal("1.10"), None, Decimal("-0.01"), *[Decimal("7.00")] * 5]),
        "list": (pa.list_(pa.string()), [["a", None, 'b"\\', "", "{,}"], None, [], ["NULL"], *[["x"]] * 4]),
        "numbers": (pa.list_(pa.int64()), [[1, None, -3], None, [], *[[7]] * 5]),
    }
    table = pa.table({name: pa.array(given, kind) for name, (kind, given) in values.items()})
    item = Publication("gold.some", (), table.schema, "id", 1, len(table))
    columns = ", ".join(f'"{field.name}" {sql_type(field.type, item)}' for field in table.schema)
    connection.execute(f"CREATE TABLE arrived ({columns})")
    with connection.cursor() as cursor, cursor.copy("COPY arrived FROM STDIN (FORMAT csv)") as copy:
        copy.write(as_csv(table))
    assert plain(rows_in(connection, "arrived")) == plain(table.to_pylist())


def test_what_is_wrong_is_said_without_the_password(project: TinyProject, database: str) -> None:
    with pytest.raises(UnknownNameError, match=r"gold\.user_dya"):
        publish(project, database, tables=["gold.user_dya"])
    with pytest.raises(ProjectError) as caught:
        publish(project, "mysql://me:secret@host/db")
    assert "secret" not in f"{caught.value} {caught.value.hint}"
    done = project.tide("publish", "--to", "postgresql://me:secret@127.0.0.1:1/db")
    assert done.returncode == 1
    assert "postgres://127.0.0.1:1/db" in done.stderr
    assert "secret" not in done.stdout + done.stderr


def test_the_command_says_what_it_did(project: TinyProject, database: str) -> None:
    words = ("publish", "--to", "${WAREHOUSE}", "--table", "mart.actors", "--schema", "marts", "--format", "csv")
    done = project.tide(*words)
    assert done.returncode == 2
    assert "${WAREHOUSE}, which is not set" in done.stderr
    done = project.tide(*words, environment={"WAREHOUSE": database})
    assert done.returncode == 0, done.stderr
    header, row = done.stdout.replace('"', "").splitlines()[:2]
    assert header == "table,target,version,rows,status"
    assert row.startswith("mart.actors,marts.mart_actors,")
    assert row.endswith(",7,published")
