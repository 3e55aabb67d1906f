"""A table of a real PostgreSQL as a source: its rows as records, taken once, whatever happens in between.

Expected records are written by hand from PostgreSQL's documentation of its types and from what the Parquet reader
gives for the same values; expected ledgers from the number of rows that the test inserted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.servers import PASSWORD, Postgres
from tests.session.killing import killer
from tests.session.lakes import build, digests, make_project, rows_of
from tests.sources.conftest import Reading
from tidelake.contracts.source import load_sources, source_from
from tidelake.errors import ContractError, DefinitionError, ProjectError, SourceError, TidelakeError, UnknownNameError
from tidelake.sources import make_reader
from tidelake.sources.base import Take
from tidelake.sources.parquet_rows import row_texts

pytestmark = pytest.mark.server
EVENTS: dict[str, Any] = {
    "kind": "postgres",
    "dsn": "${TEST_PG_URL}",
    "table": "events",
    "cursor": "event_id",
    "dedup": "key",
    "mapping": {"event_time": "ts", "event_id": "event_id", "actor_id": "user_id", "event_name": "event"},
    "complete": "through:2024-03-31",
    "contract": {
        "max_quarantined_share": 1.0,
        "fields": {
            "event_id": {"type": "string", "required": True, "on_mismatch": "coerce"},
            "ts": {"type": "timestamp", "required": True},
            "amount": {"type": "number", "minimum": 0},
        },
    },
}
TABLE = """
    CREATE TABLE events (
        event_id bigint PRIMARY KEY, ts timestamptz NOT NULL, user_id int, event text, amount numeric(10, 2)
    )
"""


def reader(url: str, **settings: Any) -> Any:
    given = {"name": "some", "kind": "postgres", "dsn": url, "fact": "dimension", "key": ["id"], **settings}
    return make_reader(source_from(given), Path("/"))


@contextmanager
def at(url: str) -> Iterator[Any]:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def insert(connection: Any, first: int, last: int) -> None:
    """Events first to last: one each hour from 1 March 2024 on, seven people, one amount in ten below zero."""
    connection.execute(
        "INSERT INTO events SELECT n, timestamptz '2024-03-01 00:00+00' + n * interval '1 hour', n %% 7, 'play', "
        "CASE WHEN n %% 10 = 0 THEN -1 ELSE n / 8.0 END FROM generate_series(%s::int, %s::int) AS n",
        (first, last),
    )


@pytest.fixture
def events(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A connection to a database with an empty table of events; TEST_PG_URL is its address."""
    monkeypatch.setenv("TEST_PG_URL", database)
    with at(database) as connection:
        connection.execute(TABLE)
        yield connection


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return project(tmp_path / "project", {"app": EVENTS})


def project(root: Path, sources: dict[str, Any]) -> Path:
    return make_project(root, sources, dimensions=[])


def ledger(root: Path) -> dict[str, int]:
    (row,) = rows_of(
        root,
        "SELECT sum(read) AS read, sum(accepted) AS accepted, sum(quarantined) AS quarantined, "
        "sum(duplicate) AS duplicate, sum(superseded) AS superseded FROM ops.ledger WHERE source = 'app'",
    )
    return {name: int(value) for name, value in row.items()}


# --- values


def test_every_type_becomes_the_json_that_the_other_readers_give(database: str) -> None:
    values = {
        "id": ("bigint", "9007199254740993", 9007199254740993),
        "small": ("smallint", "-3", -3),
        "yes": ("boolean", "true", True),
        "exact": ("numeric(40, 20)", "12345678901234567890.12345678901234567890", None),
        "price": ("numeric(10, 2)", "1.10", None),
        "nan": ("numeric", "'NaN'", "NaN"),
        "real": ("real", "0.1", 0.1),
        "double": ("double precision", "1e-7", 1e-07),
        "minus": ("double precision", "'-Infinity'", "-Infinity"),
        "text": ("text", "E'a\"b\\\\c\\n\\t\\x01é€😀'", 'a"b\\c\n\t\x01é€😀'),
        "empty": ("varchar(9)", "''", ""),
        "fixed": ("char(3)", "'ab'", "ab "),
        "none": ("text", "NULL", None),
        "zoned": ("timestamptz", "'2024-03-31 02:30:00.123456+02'", "2024-03-31T00:30:00.123456Z"),
        "bare": ("timestamp", "'2024-03-31 02:30:00'", "2024-03-31T02:30:00"),
        "day": ("date", "'2024-02-29'", "2024-02-29"),
        "clock": ("time", "'13:14:15'", "13:14:15"),
        "bytes": ("bytea", "'\\xdeadbeef'::bytea", "deadbeef"),
        "uuid": ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        "net": ("inet", "'10.0.0.1'", "10.0.0.1"),
        "list": ("int[]", "'{1,2,NULL}'", [1, 2, None]),
        "words": ("text[]", "ARRAY['a', E'b\\n\"c']", ["a", 'b\n"c']),
        "json": ("json", 'E\'{"a":\\n 1.10, "a": 2}\'', {"a": 2}),
        "jsonb": ("jsonb", "'{\"b\": [1]}'", {"b": [1]}),
        "span": ("interval", "'1 day 2 hours'", "P1DT2H"),
        'odd "name\\': ("int", "1", 1),
    }
    columns = ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}" {kind}' for name, (kind, _, _) in values.items())
    with at(database) as connection:
        connection.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')")
        connection.execute("CREATE DOMAIN positive AS int CHECK (VALUE > 0)")
        connection.execute(f"CREATE TABLE things ({columns}, mood mood, domain positive)".replace("%", "%%"))
        given = ", ".join(text for _, text, _ in values.values())
        connection.execute(f"INSERT INTO things VALUES ({given}, 'ok', 7)")
    reading = Reading(reader(database, table="things"))
    (raw,) = reading.column("raw")
    assert reading.column("record") == [None]
    found = json.loads(raw)
    expected = {name: value for name, (_, _, value) in values.items()} | {"mood": "ok", "domain": 7}
    for name in ("exact", "price"):  # to the last digit: as text
        assert f'"{name}":{values[name][1]},' in raw
        found.pop(name), expected.pop(name)
    assert found == expected
    assert '"a":  1.10, "a": 2' in raw, "JSON columns keep their text, but for line ends"


def test_records_equal_those_of_the_parquet_reader(database: str) -> None:
    table = pa.table(
        {
            "id": pa.array([1, None], pa.int64()),
            "name": ["a", 'b"\\'],
            "price": pa.array([1.5, float("nan")]),
            "yes": [True, None],
            "day": pa.array([19783, None], pa.date32()),
        }
    )
    with at(database) as connection:
        connection.execute("CREATE TABLE things (id bigint, name text, price double precision, yes boolean, day date)")
        connection.execute(
            "INSERT INTO things VALUES (1, 'a', 1.5, true, '2024-03-01'), (NULL, E'b\"\\\\', 'NaN', NULL, NULL)"
        )
    expected = row_texts(table.to_batches()[0]).to_pylist()
    assert Reading(reader(database, table="things")).column("raw") == expected


def test_a_query_gives_its_own_columns_and_an_empty_table_gives_none(database: str) -> None:
    with at(database) as connection:
        connection.execute("CREATE TABLE things (id int, price numeric)")
        empty = Reading(reader(database, table="things"))
        connection.execute("INSERT INTO things VALUES (1, 2.50), (2, 3)")
    assert empty.rows == []
    assert empty.only.lines == 0
    reading = Reading(reader(database, query="SELECT id, price * 2 AS twice FROM things WHERE id = 1; "))
    assert reading.column("raw") == ['{"id":1,"twice":5.00}']
    assert reading.only.look.source_path.endswith("/query some")


def test_columns_of_any_name_are_seen_to_change(database: str) -> None:
    """`r` is what the reader calls a row: a column of that name must not stand for the whole row."""
    with at(database) as connection:
        connection.execute('CREATE TABLE things (r int, things int, "r.*" int)')
        connection.execute("INSERT INTO things VALUES (1, 1, 1)")
        stamps = [reader(database, table="things").looks()[0].stamp]
        for column in ("r", "things", '"r.*"'):
            connection.execute(f"UPDATE things SET {column} = 2")
            stamps.append(reader(database, table="things").looks()[0].stamp)
    assert len(set(stamps)) == 4
    assert Reading(reader(database, table="things")).column("raw") == ['{"r":2,"things":2,"r.*":2}']


def test_text_that_is_no_utf_8_is_refused(postgres_server: Postgres) -> None:
    """A database without an encoding holds any bytes; the server says which of them are no text."""
    with postgres_server.connect() as connection:
        connection.execute("CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    url = postgres_server.url("ascii")
    with at(url) as connection:
        connection.execute("CREATE TABLE things AS SELECT convert_from('\\xe9'::bytea, 'SQL_ASCII') AS name")
    with pytest.raises(SourceError, match="invalid byte sequence"):
        Reading(reader(url, table="things"))


# --- reading in steps


def test_groups_are_cut_between_two_values_of_the_cursor(database: str) -> None:
    """Rows with one time stay together, so that every group is a step from which a later build can go on."""
    with at(database) as connection:
        connection.execute("CREATE TABLE things (id int, at timestamp)")
        # Ten rows a second: a group of 500 bytes ends inside of a second.
        connection.execute(
            "INSERT INTO things SELECT n, timestamp '2024-01-01' + (n / 10) * interval '1 second' "
            "FROM generate_series(0, 199) AS n"
        )
    read = reader(database, table="things", cursor="at")
    (look,) = read.looks()
    position, steps = 1, []
    for group in read.groups([Take(look)], group_bytes=500):
        group.lines.validate(full=True)
        rows = [json.loads(text) for text in group.lines.column("raw").to_pylist()]
        assert len({row["at"] for row in rows}) * 10 == len(rows)
        (file,) = group.files
        assert (file.first_line, file.lines, group.done) == (position, len(rows), (True,))
        position += len(rows)
        steps.append((file, file.look.stamp))
    assert position == 201
    assert len(steps) > 5
    assert steps[-1][1] == look.stamp
    # From the end of a step, the rest and nothing else.
    step = steps[2][0]
    assert read.prefix_hash(look, step.size) == step.content_hash
    again = [
        row
        for group in read.groups([Take(look, step.size, step.first_line + step.lines)], group_bytes=500)
        for row in group.lines.column("source_position").to_pylist()
    ]
    assert again == list(range(step.first_line + step.lines, 201))


def test_all_rows_of_a_build_are_of_one_moment(database: str) -> None:
    """Rows that are committed while the reader is at work wait for the next build."""
    with at(database) as connection:
        connection.execute("CREATE TABLE things (id int)")
        connection.execute("INSERT INTO things SELECT generate_series(1, 100)")
        read = reader(database, table="things", cursor="id")
        (look,) = read.looks()
        groups = read.groups([Take(look)], group_bytes=300)
        first = next(groups)
        connection.execute("INSERT INTO things SELECT generate_series(101, 200)")
        ids = [json.loads(text)["id"] for group in (first, *groups) for text in group.lines.column("raw").to_pylist()]
    assert ids == list(range(1, 101))


# --- builds


def test_new_rows_are_taken_once_and_the_ledger_balances(events: Any, root: Path) -> None:
    insert(events, 1, 100)
    build(root)
    assert ledger(root) == {"read": 100, "accepted": 90, "quarantined": 10, "duplicate": 0, "superseded": 0}
    assert build(root).verdict == "unchanged"
    insert(events, 101, 150)
    build(root)
    assert ledger(root) == {"read": 150, "accepted": 135, "quarantined": 15, "duplicate": 0, "superseded": 0}
    places = rows_of(root, "SELECT DISTINCT source_path FROM bronze.app")
    assert [row["source_path"].split("/")[-1] for row in places] == ["public.events"]
    assert [row["source_path"].split("/")[:3] for row in places] == [["postgres:", "", ""]]
    digests(root, deep=True)


def test_a_row_that_was_committed_late_is_not_lost(events: Any, root: Path) -> None:
    """Event 50 is inserted first and committed after event 100 was read: its id is below the cursor's last value."""
    import os

    with at(os.environ["TEST_PG_URL"]) as slow:
        slow.execute("BEGIN")
        insert(slow, 50, 50)
        insert(events, 1, 49)
        insert(events, 51, 100)
        build(root)
        assert ledger(root)["read"] == 99
        slow.execute("COMMIT")
    build(root)
    made = ledger(root)
    assert made["read"] - made["superseded"] == 100
    assert rows_of(root, "SELECT count(DISTINCT event_id) AS n, count(*) AS rows FROM silver.app") == [
        {"n": 90, "rows": 90}
    ]
    digests(root)


def test_rows_without_a_cursor_are_refused_and_not_forgotten(events: Any, tmp_path: Path) -> None:
    events.execute("ALTER TABLE events DROP CONSTRAINT events_pkey, ALTER COLUMN event_id DROP NOT NULL")
    events.execute("INSERT INTO events VALUES (NULL, now(), 1, 'play', 1)")
    with pytest.raises(ContractError, match="1 rows have no 'event_id'"):
        build(project(tmp_path / "project", {"app": EVENTS}))


def test_rows_younger_than_the_lag_wait(events: Any, tmp_path: Path) -> None:
    insert(events, 1, 5)
    events.execute("INSERT INTO events VALUES (6, now() - interval '10 minutes', 1, 'play', 1), (7, now(), 1, 'x', 1)")
    root = project(tmp_path / "project", {"app": {**EVENTS, "cursor": "ts", "lag": "5m"}})
    build(root)
    assert ledger(root)["read"] == 6


def test_a_table_without_cursor_is_read_anew_when_a_row_changed(events: Any, tmp_path: Path) -> None:
    insert(events, 1, 30)
    whole = {name: value for name, value in EVENTS.items() if name != "cursor"}
    root = project(tmp_path / "project", {"app": whole})
    build(root)
    assert build(root).verdict == "unchanged"
    events.execute("UPDATE events SET user_id = 100 WHERE event_id = 1")
    events.execute("DELETE FROM events WHERE event_id = 2")
    build(root)
    assert ledger(root) == {"read": 59, "accepted": 26, "quarantined": 3, "duplicate": 0, "superseded": 30}
    actors = rows_of(root, "SELECT event_id, actor_id FROM silver.app WHERE event_id IN ('1', '2')")
    assert actors == [{"event_id": "1", "actor_id": "100"}]
    digests(root, deep=True)


def test_a_dimension_follows_its_table(events: Any, tmp_path: Path) -> None:
    events.execute("CREATE TABLE people (id int PRIMARY KEY, country text)")
    events.execute("INSERT INTO people VALUES (1, 'DE'), (2, 'FR')")
    people = {"kind": "postgres", "dsn": "${TEST_PG_URL}", "table": "people", "fact": "dimension", "key": ["id"]}
    root = project(tmp_path / "project", {"app": EVENTS, "people": people})
    insert(events, 1, 9)
    build(root)
    events.execute("UPDATE people SET country = 'AT' WHERE id = 1")
    build(root)
    found = rows_of(root, "SELECT id, country FROM silver.people ORDER BY id")
    assert [(str(row["id"]), row["country"]) for row in found] == [("1", "AT"), ("2", "FR")]


def test_killed_anywhere_the_same_command_ends_with_the_same_rows(database: str, tmp_path: Path) -> None:
    """A build of four groups, killed before and after each group's commits, then run to its end."""
    import os

    os.environ["TEST_PG_URL"] = database  # before the process that runs the commands starts
    try:
        with at(database) as connection, killer() as run:
            connection.execute(TABLE)
            insert(connection, 1, 400)
            plain = project(tmp_path / "plain", {"app": EVENTS})
            points = run(plain, "build", group_bytes=9_000).points
            expected = content(plain)
            assert len(expected) == 360
            bronze = [place for place, name in enumerate(points, start=1) if name.startswith("bronze.app")]
            assert len(bronze) >= 8, points
            for at_point in (bronze[1], bronze[4], len(points) - 3):
                root = project(tmp_path / f"killed{at_point}", {"app": EVENTS})
                assert run(root, "build", group_bytes=9_000, at=at_point).killed
                run(root, "build", group_bytes=9_000)
                assert content(root) == expected
                made = ledger(root)
                assert (made["read"], made["superseded"]) == (400, 0), "finished groups are not read twice"
                digests(root)
    finally:
        del os.environ["TEST_PG_URL"]


def test_a_table_without_cursor_that_was_half_read_is_read_anew(database: str, tmp_path: Path) -> None:
    """Killed after the second of several groups: these rows give way to the whole table, nothing stands twice."""
    import os

    os.environ["TEST_PG_URL"] = database
    try:
        with at(database) as connection, killer() as run:
            connection.execute(TABLE)
            insert(connection, 1, 400)
            whole = {name: value for name, value in EVENTS.items() if name != "cursor"}
            root = project(tmp_path / "killed", {"app": {**whole, "dedup": "none"}})
            done = run(root, "build", group_bytes=9_000, until="bronze.app after")
            assert done.killed
            run(root, "build", group_bytes=9_000)
            assert len({row[0] for row in content(root)}) == len(content(root)) == 360
            made = ledger(root)
            assert made["read"] - made["superseded"] == 400
            digests(root)
    finally:
        del os.environ["TEST_PG_URL"]


def content(root: Path) -> list[tuple[Any, ...]]:
    """Silver without what tells batches apart."""
    rows = rows_of(root, "SELECT event_id, actor_id, event_time, amount, source_position FROM silver.app")
    return sorted(tuple(row.values()) for row in rows)


# --- what goes wrong


def test_a_wrong_password_is_told_without_it(postgres_server: Postgres) -> None:
    wrong = "not/the:pass word"
    with pytest.raises(SourceError) as caught:
        reader(postgres_server.url(password=wrong), table="things").looks()
    told = f"{caught.value} {caught.value.hint}"
    assert "source 'some'" in told
    assert f":{postgres_server.port}/postgres" in told
    assert "password authentication failed" in told
    assert wrong not in told


@pytest.mark.parametrize(
    ("change", "kind", "told"),
    [
        ({"table": "evnts"}, UnknownNameError, "Unknown table 'evnts'"),
        ({"query": "SELECT nothing FROM events", "table": None}, SourceError, "nothing"),
        ({"table": "events", "cursor": "evnt_id"}, UnknownNameError, "Unknown column 'evnt_id'"),
        ({"table": "events", "cursor": "event"}, DefinitionError, "neither a whole number nor a time"),
        ({"table": "events", "cursor": "event_id", "lag": "5m"}, DefinitionError, "needs a cursor that is a time"),
    ],
)
def test_what_is_wrong_is_said(
    events: Any, database: str, change: dict[str, Any], kind: type[TidelakeError], told: str
) -> None:
    with pytest.raises(kind, match=told) as caught:
        reader(database, **change).looks()
    assert caught.value.hint
    if kind is UnknownNameError:
        assert "Did you mean 'event" in caught.value.hint


def test_no_server_and_no_database(postgres_server: Postgres) -> None:
    gone = f"postgresql://tide:{PASSWORD.replace('@', '%40').replace('/', '%2F')}@127.0.0.1:1/shop"
    with pytest.raises(SourceError, match=r"postgres://127\.0\.0\.1:1/shop") as caught:
        reader(gone, table="things").looks()
    assert "running and reachable" in (caught.value.hint or "")
    assert PASSWORD not in str(caught.value)
    with pytest.raises(SourceError, match="shop") as caught:
        reader(postgres_server.url("shop"), table="things").looks()
    assert "no database 'shop'" in (caught.value.hint or "")


def test_an_address_that_is_none_is_not_repeated() -> None:
    with pytest.raises(ProjectError) as caught:
        reader("postgresql://tide:secret@host/db?sslmod=secret", table="things")
    assert "secret" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("dsn", ["postgresql://me:secret@host/db", "'host=h password=secret'", '"postgres://u:p@h/d"'])
def test_a_password_in_a_project_file_is_refused(tmp_path: Path, dsn: str) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/app.yml").write_text(f"kind: postgres\ndsn: {dsn}\ntable: t\nmapping: {{event_time: ts}}\n")
    with pytest.raises(DefinitionError, match=r"app\.yml:2: dsn: a password") as caught:
        load_sources(tmp_path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "dsn", ["${TEST_PG_URL}", "postgresql://me@host/db", "postgresql://me:${TEST_PG_URL}@h/d", "host=h dbname=d"]
)
def test_an_address_without_a_written_password_is_taken(
    tmp_path: Path, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_PG_URL", "postgresql://me:secret@host/db")
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/app.yml").write_text(f"kind: postgres\ndsn: {dsn}\ntable: t\nmapping: {{event_time: ts}}\n")
    source = load_sources(tmp_path)["app"]
    assert "secret" not in repr(source)
    assert source.place == "PostgreSQL: t"
