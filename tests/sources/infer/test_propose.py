"""Proposals from small files written here: kinds of file, grouping, errors, what is written."""

from __future__ import annotations

import bz2
import gzip
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
import zstandard

from tidelake.config import load_project
from tidelake.contracts.source import load_sources
from tidelake.errors import ProjectError
from tidelake.sources.infer import Proposal, propose, write_project

EVENTS: list[dict[str, Any]] = [
    {
        "event_id": f"e{number}",
        "user_id": f"u{number % 7}",
        "event_name": ["open", "play", "stop"][number % 3],
        "event_time": f"2025-11-{1 + number // 10:02d}T10:{number % 60:02d}:00Z",
        "app_version": "1.10",
        "seconds": number if number % 3 == 1 else None,
    }
    for number in range(200)
]


def lines(records: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def only(proposal: Proposal) -> Any:
    [source] = proposal.sources
    return source


def test_event_log_with_ids(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(lines(EVENTS))
    source = only(propose(str(tmp_path / "log.jsonl"))).source
    assert source.fact == "event"
    assert dict(source.mapping.items()) == {
        "event_time": "event_time",
        "event_id": "event_id",
        "actor_id": "user_id",
        "event_name": "event_name",
    }
    assert source.dedup == "key"
    assert source.contract.fields["app_version"].type == "string"
    assert source.contract.fields["seconds"].required is False
    assert source.contract.fields["event_id"].required is True


def test_a_visitor_before_the_login_is_mapped_beside_the_user(tmp_path: Path) -> None:
    """Of each visitor's events the first half has no user; 200 events of 20 visitors, so 100 without a user."""
    known = [{**row, "cookie_id": f"c{n % 20}", "user_id": f"u{n % 20}"} for n, row in enumerate(EVENTS)]
    early = [row | ({"user_id": None} if n < 100 else {}) for n, row in enumerate(known)]
    mostly = [row | ({"user_id": None} if n < 150 else {}) for n, row in enumerate(known)]
    shared = [row | ({"user_id": f"u{n % 7}"} if n >= 100 else {}) for n, row in enumerate(early)]
    found = {}
    for name, rows in (("early", early), ("mostly", mostly), ("known", known), ("shared", shared)):
        (tmp_path / f"{name}.jsonl").write_text(lines(rows))
        proposal = propose(str(tmp_path / f"{name}.jsonl"))
        write_project(proposal, tmp_path / name)
        mapping = only(proposal).source.mapping
        found[name] = (mapping.actor_id, mapping.anonymous_id)
    assert found["early"] == found["mostly"] == ("user_id", "cookie_id")
    assert found["known"] == found["shared"] == ("user_id", None)
    said = {name: " ".join((tmp_path / name / "sources" / f"{name}.yml").read_text().split()) for name in found}
    assert "in 100 of 200 rows without user_id: `tide identity`" in said["early"].replace("stands ", "")
    assert "# possible: anonymous_id: cookie_id: a device or visitor; of use once" in said["known"]
    assert "but 20 of 20 have several user_id" in said["shared"]


def test_ids_delivered_twice_still_identify_events(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(lines([*EVENTS, *EVENTS[:4]]))
    found = only(propose(str(tmp_path / "log.jsonl")))
    assert found.source.dedup == "key"
    assert "4 of 204 rows repeat an id, with the same content" in found.reasons["dedup"]


BARE = [{name: value for name, value in event.items() if name != "event_id"} for event in EVENTS]
NAMED = [{"id": number, "order_id": f"o{number}", **event} for number, event in enumerate(BARE)]
OTHER = [{**event, "user_id": "u9"} for event in NAMED]


@pytest.mark.parametrize(
    ("name", "records", "said"),
    [
        ("id", NAMED, "id: unique in 200 rows"),
        ("order_id", NAMED, "order_id: unique in 200 rows"),
        ("id", [*NAMED, *NAMED[:30]], "id: 30 of 230 rows repeat an id, with the same content"),
        ("order_id", [*NAMED, *NAMED], "order_id: 200 of 400 rows repeat an id, with the same content"),
        ("id", [*NAMED, *NAMED[:3], *OTHER[:7]], "id: 10 of 210 rows repeat an id, 7 of them with other content"),
        ("id", [*NAMED, *OTHER[:11]], None),  # 200 of 211 are different: less than 95 %
        ("order_id", NAMED[:199], None),  # too few rows to tell an event's id by "_id"
        ("session_id", NAMED, None),
    ],
)
def test_a_field_that_looks_like_an_id_and_repeats_whole_records_only_is_one(
    tmp_path: Path, name: str, records: list[dict[str, Any]], said: str | None
) -> None:
    other = {"id", "order_id"} - {name}
    kept = [{name: row.get(name, row["id"]), **{k: v for k, v in row.items() if k not in other}} for row in records]
    (tmp_path / "log.jsonl").write_text(lines(kept))
    found = only(propose(str(tmp_path / "log.jsonl")))
    assert (found.source.dedup, found.source.mapping.event_id) == (("key", name) if said else ("none", None))
    assert (said or "no field is an event id") in found.reasons["dedup"]


def test_without_an_id_identical_rows_are_counted_and_kept(tmp_path: Path) -> None:
    bare = [{name: value for name, value in event.items() if name != "event_id"} for event in EVENTS]
    (tmp_path / "log.jsonl").write_text(lines([*bare, bare[5], bare[5], bare[9]]))
    found = only(propose(str(tmp_path / "log.jsonl")))
    assert found.source.dedup == "none"
    assert "3 of 203 rows equal an earlier one" in found.reasons["dedup"]


@pytest.mark.parametrize(
    ("form", "suffix"),
    [
        *((form, suffix) for form in ("jsonl", "json", "csv", "tsv") for suffix in ("", ".gz", ".zst", ".bz2")),
        ("parquet", ""),
    ],
)
def test_every_form_and_compression_gives_the_same_mapping(tmp_path: Path, form: str, suffix: str) -> None:
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(EVENTS), tmp_path / "log.parquet")
    else:
        separator = {"csv": ",", "tsv": "\t"}.get(form, "")
        rows = [separator.join("" if value is None else str(value) for value in event.values()) for event in EVENTS]
        text = {
            "jsonl": lines(EVENTS),
            "json": json.dumps(EVENTS, indent=1),
        }.get(form) or "\n".join([separator.join(EVENTS[0]), *rows])
        pack = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress, ".bz2": bz2.compress}[suffix]
        (tmp_path / f"log.{form}{suffix}").write_bytes(pack(text.encode()))
    found = only(propose(str(tmp_path)))
    assert (found.name, found.source.format, found.rows_looked, found.whole) == ("log", form, 200, True)
    assert found.source.mapping.event_time == "event_time"
    assert found.source.mapping.actor_id == "user_id"
    assert found.source.dedup == "key"


def test_a_folder_with_several_kinds_becomes_several_sources(tmp_path: Path) -> None:
    for day in (1, 2):
        (tmp_path / f"day_2025-11-{day:02d}.json").write_text(lines(EVENTS[day * 10 - 10 : day * 10]))
    (tmp_path / "users.csv").write_text(
        "user_id,signup_date,tier\n" + "".join(f"u{n},2025-01-0{n + 1},free\n" for n in range(7))
    )
    (tmp_path / "README.md").write_text("# words")
    proposal = propose(str(tmp_path))
    assert [(item.name, item.source.fact, len(item.files)) for item in proposal.sources] == [
        ("day", "event", 2),
        ("users", "dimension", 1),
    ]
    day, users = (item.source for item in proposal.sources)
    assert users.key == ("user_id",)
    assert day.contract.fields["user_id"].references == "users.user_id"
    assert day.contract.fields["user_id"].on_breach == "warn"
    assert day.path == str(tmp_path / "*.json")
    assert day.complete.by == "daily_file"
    assert [item.path.name for item in proposal.skipped] == ["README.md"]


def test_several_patterns_and_a_zone(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(lines(EVENTS))
    (tmp_path / "things.csv").write_text("sku,weight\n" + "".join(f"s{n},{n}\n" for n in range(30)))
    patterns = [str(tmp_path / "*.jsonl"), str(tmp_path / "things.csv")]
    proposal = propose(patterns, timezone="Asia/Kolkata")
    assert [item.name for item in proposal.sources] == ["log", "things"]
    assert proposal.project.timezone == "Asia/Kolkata"


def test_what_is_dropped_is_not_required(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(lines([{**event, "firstName": "Ada", "ip": "10.0.0.1"} for event in EVENTS]))
    fields = only(propose(str(tmp_path))).source.contract.fields
    assert (fields["firstName"].privacy, fields["firstName"].required) == ("drop", False)
    assert (fields["ip"].privacy, fields["ip"].required) == ("truncate_ip", False)


def test_columns_in_another_order_are_the_same_source(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user_id,ts,action\n" + "u1,2025-01-01T00:00:00Z,go\n" * 30)
    (tmp_path / "b.csv").write_text("action,user_id,ts\n" + "stop,u2,2025-01-02T00:00:00Z\n" * 30)
    found = only(propose(str(tmp_path / "*.csv")))
    actions = next(profile for profile in found.profiles if profile.name == "action")
    assert dict(actions.counts) == {"go": 30, "stop": 30}


@pytest.mark.parametrize(
    ("header", "row", "columns"),
    [
        ("user_id,ts,x,x", "u1,2025-01-01T00:00:00Z,1,2", {"user_id", "ts", "x", "x_2"}),
        ("user_id,ts,,x", "u1,2025-01-01T00:00:00Z,1,2", {"user_id", "ts", "column_3", "x"}),
        ("user_id,ts,x,", "u1,2025-01-01T00:00:00Z,1,", {"user_id", "ts", "x", "column_4"}),
        (",user_id, ts", "0,u1,2025-01-01T00:00:00Z", {"column_1", "user_id", "ts"}),
    ],
)
def test_headers_with_empty_and_repeated_names(tmp_path: Path, header: str, row: str, columns: set[str]) -> None:
    (tmp_path / "log.csv").write_text(f"{header}\n" + f"{row}\n" * 30)
    source = only(propose(str(tmp_path))).source
    assert (source.header, set(source.contract.fields)) == ("yes", columns)
    assert source.mapping.event_time == "ts"


def test_names_that_differ_in_case_only(tmp_path: Path) -> None:
    records = [
        {"userId": "u1", "userid": "u1", "ts": "2025-01-01T00:00:00Z"},
        {"userId": "u2", "ts": "2025-01-02T00:00:00Z"},
    ]
    (tmp_path / "log.jsonl").write_text(lines(records * 20))
    found = only(propose(str(tmp_path)))
    assert set(found.source.contract.fields) == {"userId", "ts"}
    assert found.source.contract.extra == "ignore"
    assert "userid: left out" in " ".join(found.notes)


def test_an_address_that_is_the_actor_is_hashed(tmp_path: Path) -> None:
    rows = "".join(f"a{number % 9}@example.org,2025-01-01T00:00:{number:02d}Z,go\n" for number in range(60))
    (tmp_path / "log.csv").write_text("email,ts,event\n" + rows)
    source = only(propose(str(tmp_path))).source
    assert source.mapping.actor_id == "email"
    assert (source.contract.fields["email"].privacy, source.contract.fields["email"].required) == ("hash", True)


def test_empty_files_join_their_neighbours(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines(EVENTS))
    (tmp_path / "b.jsonl").write_text("")
    found = only(propose(str(tmp_path)))
    assert [path.name for path in found.files] == ["a.jsonl", "b.jsonl"]


def test_ambiguous_dates_stay_undeclared_and_are_said(tmp_path: Path) -> None:
    rows = "".join(f"u{number},0{1 + number % 9}/0{1 + number % 8}/2025,go\n" for number in range(60))
    (tmp_path / "log.csv").write_text("user_id,date,action\n" + rows)
    proposal = propose(str(tmp_path))
    source = only(proposal).source
    assert (source.fact, source.time_format, source.mapping.event_time) == ("event", "auto", "date")
    [path] = write_project(proposal, tmp_path / "project")[1:]
    text = path.read_text()
    assert "time_format:" not in re.sub(r"#.*", "", text)
    assert "%d/%m/%Y" in text
    assert "%m/%d/%Y" in text


def test_mixed_types_become_text_with_a_remark(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(
        lines([{**event, "props": {"a": 1}, "x": 1} for event in EVENTS] + [{**EVENTS[0], "event_id": "z", "x": "one"}])
    )
    found = only(propose(str(tmp_path / "log.jsonl")))
    rules = found.source.contract.fields
    assert (rules["x"].type, rules["props"].type) == ("string", "json")
    [field] = [item for item in found.fields if item.name == "x"]
    assert "mixed types" in " ".join(field.advice)


def test_old_data_move_the_epoch(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(
        "user_id,timestamp\n" + "u1,1997-03-01 10:00:00\nu2,1998-03-01 10:00:00\nu1,1998-03-02 10:00:00\n" * 20
    )
    assert propose(str(tmp_path)).project.epoch.isoformat() == "1997-01-01"


def test_events_from_the_future_are_said(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(lines(EVENTS))
    found = only(propose(str(tmp_path), now=datetime(2025, 11, 5, tzinfo=UTC)))
    assert "in the future" in " ".join(found.notes)


def test_personal_values_never_stand_in_the_written_files(tmp_path: Path) -> None:
    people = [{**event, "email": f"{event['user_id']}@example.org", "ip": "10.1.2.3"} for event in EVENTS]
    (tmp_path / "log.jsonl").write_text(lines(people))
    written = write_project(propose(str(tmp_path / "log.jsonl")), tmp_path / "project")
    text = "".join(path.read_text() for path in written)
    assert "example.org" not in text
    assert "10.1.2.3" not in text
    fields = load_sources(tmp_path / "project")["log"].contract.fields
    assert (fields["email"].privacy, fields["ip"].privacy) == ("hash", "truncate_ip")


def test_a_sample_of_a_large_file_covers_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [
        {"user_id": f"u{n % 9}", "ts": 1_700_000_000 + n, "action": "go", **({"late": 1} if n > 90_000 else {})}
        for n in range(100_000)
    ]
    (tmp_path / "log.jsonl").write_text(lines(records))
    monkeypatch.setattr("tidelake.sources.infer.sample.BUDGET_BYTES", 320_000)
    found = only(propose(str(tmp_path), sample_rows=1_000))
    assert not found.whole
    assert 900 <= found.rows_looked <= 1_000
    assert "late" in found.source.contract.fields
    assert not found.source.contract.fields["late"].required


def test_what_is_written_loads_and_equals_the_proposal(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(lines(EVENTS))
    proposal = propose(str(tmp_path / "log.jsonl"))
    written = write_project(proposal, tmp_path / "project", name="shop")
    assert [path.relative_to(tmp_path / "project").as_posix() for path in written] == ["tide.yml", "sources/log.yml"]
    assert load_project(tmp_path / "project").name == "shop"
    loaded = load_sources(tmp_path / "project")["log"]
    assert loaded.model_copy(update={"path": only(proposal).source.path}) == only(proposal).source
    # Data beside the project are named relative to it, so that both can move.
    assert loaded.path == "../log.jsonl"


def test_strange_names_survive_yaml(tmp_path: Path) -> None:
    record = {
        "user_id": "u",
        "ts": "2025-01-01T00:00:00Z",
        "yes": 1,
        "a: b": 2,
        "#x": 3,
        "größe": 4,
        '"q"': 5,
        "on": True,
        "1": "x",
    }
    (tmp_path / "log.jsonl").write_text(lines([record] * 30))
    write_project(propose(str(tmp_path / "log.jsonl")), tmp_path / "project")
    assert set(load_sources(tmp_path / "project")["log"].contract.fields) == set(record)


def test_an_existing_project_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(lines(EVENTS))
    proposal = propose(str(tmp_path / "log.jsonl"))
    write_project(proposal, tmp_path / "project", name="first")
    with pytest.raises(ProjectError, match="is there already") as caught:
        write_project(proposal, tmp_path / "project", name="second")
    assert "--force" in str(caught.value.hint)
    assert load_project(tmp_path / "project").name == "first"
    write_project(proposal, tmp_path / "project", name="second", force=True)
    assert load_project(tmp_path / "project").name == "second"


@pytest.mark.parametrize("name", ["nothing-*.json", "missing.csv"])
def test_no_file_matches(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProjectError, match="matches no file") as caught:
        propose(str(tmp_path / name))
    assert caught.value.hint


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="holds no file"):
        propose(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.bin", bytes(range(256)) * 20, "binary"),
        ("a.xlsx", b"PK\x03\x04" + b"\x00" * 50, "zip archive"),
        ("a.csv", b"", "empty"),
        ("a.csv", b"user_id,ts\n", "only a header"),
        ("a.txt", b"just some words\nand another sentence here\nend\n", "plain text"),
        ("a.json", b'{\n  "a": {\n  "b": 1\n  }\n}\n', "one JSON document"),
        ("a.json", b"[1, 2, 3]", "JSON list"),
        ("a.parquet", b"PAR1 and nothing more", "damaged Parquet"),
        ("a.jsonl.gz", b"\x1f\x8b\x08\x00broken", "cannot be read"),
        ("a.log", "naïve\x00".encode("utf-16"), "binary"),
    ],
)
def test_files_that_hold_no_records(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ProjectError) as caught:
        propose(str(tmp_path / name))
    assert reason in str(caught.value)
    assert caught.value.hint


def test_a_cut_gz_is_sampled_from_its_beginning(tmp_path: Path) -> None:
    whole = gzip.compress(lines(EVENTS * 50).encode())
    (tmp_path / "log.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    assert only(propose(str(tmp_path))).source.mapping.event_time == "event_time"


def test_an_address_elsewhere_is_refused_with_a_way_out() -> None:
    with pytest.raises(ProjectError, match="not on this machine") as caught:
        propose("s3://bucket/logs/*.json")
    assert "Copy a few" in str(caught.value.hint)


def test_written_yaml_is_plain_yaml_with_comments(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(lines(EVENTS))
    for path in write_project(propose(str(tmp_path / "log.jsonl")), tmp_path / "project"):
        text = path.read_text()
        assert isinstance(yaml.safe_load(text), dict)
        assert max(len(line) for line in text.splitlines() if not line.lstrip().startswith("- ")) <= 200
    assert "unique in 200 rows" in (tmp_path / "project" / "sources" / "log.yml").read_text()
