"""Personal data never reaches the lake, in no table and no file of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.silver.conftest import Built

Declare = Callable[..., Built]
SECRETS = ("alice@example.org", "203.0.113.77", "2001:db8:85a3:8d3:1319:8a2e:370:7348", "Alice Example")
FIELDS: dict[str, Any] = {
    "email": {"privacy": "hash"},
    "ip": {"privacy": "truncate_ip"},
    "full_name": {"privacy": "drop"},
}


def _in_lake(root: Path, text: str) -> list[str]:
    """Tables that hold a text in any column, as plain Parquet says."""
    found = [
        path.relative_to(root).parts[1]
        for path in (root / "lake").rglob("*.parquet")
        if text in str(pq.ParquetFile(path).read().to_pylist())
    ]
    found += [str(path) for path in (root / "lake").rglob("*.json") if text in path.read_text()]
    return found


def test_nothing_personal_is_written(events: Declare) -> None:
    project = events(FIELDS)
    person = {"email": SECRETS[0], "ip": SECRETS[1], "full_name": SECRETS[3]}
    at = "2024-03-01T10:00:00Z"
    project.lines(
        "events/a.jsonl",
        {"at": at, "user": "u", "name": "play", **person},
        {"at": at, "user": "v", "name": "play", **person, "ip": SECRETS[2]},
        {"at": "never", "user": "w", "name": "play", **person},
        '{"at": "2024-03-01", "email": "alice@example.org", "full_name": "Alice Example", broken',
    )
    project.build()
    assert {secret: _in_lake(project.root, secret) for secret in SECRETS} == {secret: [] for secret in SECRETS}
    rows = project.rows("SELECT email, ip FROM silver.events ORDER BY source_position")
    assert [row["ip"] for row in rows] == ["203.0.113.0", "2001:db8:85a3::"]
    assert rows[0]["email"] == rows[1]["email"]
    assert len(rows[0]["email"]) == 32
    assert project.reasons() == {3: ["wrong_time:at"], 4: ["invalid_json"]}


def test_hashes_differ_between_projects(events: Declare, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    for key in ("one", "two"):
        monkeypatch.setenv("TIDELAKE_HASH_KEY", key)
        project = events(FIELDS, path=f"data/{key}")
        project.lines(f"{key}/{key}.jsonl", {"at": "2024-03-01", "user": key, "name": "n", "email": SECRETS[0]})
        project.build()
        seen |= {row["email"] for row in project.rows("SELECT email FROM silver.events")}
    assert len(seen) == 2


def test_text_that_cannot_be_read_is_kept_where_the_contract_says_so(events: Declare) -> None:
    project = events(FIELDS, {"keep_unparsable": True})
    project.lines("events/a.jsonl", "not json at all")
    project.build()
    assert project.rows("SELECT raw FROM silver.quarantine") == [{"raw": "not json at all"}]


def test_csv_keeps_no_personal_text_either(events: Declare) -> None:
    project = events(FIELDS, format="csv")
    project.lines(
        "events/a.csv", "at,user,name,email,ip,full_name", f"2024-03-01,u,play,{SECRETS[0]},{SECRETS[1]},{SECRETS[3]}"
    )
    project.build()
    assert {secret: _in_lake(project.root, secret) for secret in SECRETS} == {secret: [] for secret in SECRETS}


SPELLINGS = ("email", "Email", "EMAIL", "eMail")
PERSON = {"email": SECRETS[0], "ip": SECRETS[1], "full_name": SECRETS[3]}


def _spelt(name: str, how: str) -> str:
    return {"Email": name.title(), "EMAIL": name.upper(), "eMail": name[0] + name[1:].capitalize()}.get(how, name)


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_rule_protects_its_field_in_upper_and_lower_case(events: Declare, form: str) -> None:
    project = events(FIELDS, format=form)
    at = "2024-03-01T10:00:00Z"
    for how in SPELLINGS:
        row = {"at": at, "user": "u", "name": "play", **{_spelt(name, how): text for name, text in PERSON.items()}}
        if form == "jsonl":
            project.lines(f"events/{how}.jsonl", row, {**row, "at": "never"}, {**PERSON, **row})
        elif form == "csv":
            project.lines(f"events/{how}.csv", ",".join(row), ",".join(row.values()))
        else:
            (project.root / "data/events").mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist([row]), project.root / f"data/events/{how}.parquet")
    project.build()
    assert {secret: _in_lake(project.root, secret) for secret in SECRETS} == {secret: [] for secret in SECRETS}
    kept = {
        name: value
        for row in project.rows("SELECT raw FROM bronze.events WHERE kind = 'record'")
        for name, value in json.loads(row["raw"]).items()
        if name.lower() in FIELDS
    }
    assert set(kept) == {_spelt(name, how) for name in ("email", "ip") for how in SPELLINGS}
    assert {value for name, value in kept.items() if name.lower() == "ip"} == {"203.0.113.0"}
    (hashed,) = {value for name, value in kept.items() if name.lower() == "email"}
    assert len(hashed) == 32


def test_a_name_written_with_escapes_is_protected(events: Declare) -> None:
    project = events({**FIELDS, 'na"me': {"privacy": "hash"}})
    texts = (r'"\u0065mail"', r'"\u0045mail"', r'"na\"me"', r'"Na\"Me"', r'"N\u0041\"me"')
    for number, name in enumerate(texts):
        project.lines(f"events/{number}.jsonl", '{"at": "2024-03-01", ' + f'{name}: "{SECRETS[0]}"}}')
    project.build()
    assert _in_lake(project.root, SECRETS[0]) == []
    assert project.rows("SELECT count(*) AS n FROM bronze.events") == [{"n": len(texts)}]
