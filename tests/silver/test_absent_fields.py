"""Settings that name a field which no record has: said with what may have been meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tidelake.session as sessions
from tests.silver.conftest import EVENTS, Built
from tidelake.silver import parsing

Declare = Callable[..., Built]
ROWS = [{"at": f"2024-03-0{day}T10:00:00Z", "user": f"u{day}", "name": "play", "device": "tv"} for day in (1, 2, 3)]


def messages(result: Any) -> list[str]:
    [report] = result.sources
    return [text for text in report["messages"] if "no record" in text]


def test_a_mapped_field_that_no_record_has_ends_with_3_until_it_is_mended(events: Declare) -> None:
    fields = {"at": {"type": "timestamp", "required": True}, "devce": {}, "premium": {}}
    mapping = {"event_time": "at", "actor_id": "usr", "event_name": "name", "received_at": "got"}
    contract = {"max_quarantined_share": 1, "fields": fields}
    project = Built(events().root)
    project.source("events", **{**EVENTS, "mapping": mapping, "contract": contract})
    project.lines("events/a.jsonl", *ROWS)
    result = project.build()
    assert result.exit_code == 3
    [fault] = result.faults
    assert "events: mapping: actor_id: no record has a field 'usr'. Did you mean 'user'?" in fault
    assert "sources/events.yml" in fault
    assert messages(result) == [
        "contract: no record has a field 'devce'. Did you mean 'device'?",
        "mapping: received_at: no record has a field 'got'. The records have: at, device, name, user.",
    ]
    assert project.rows("SELECT count(*) AS rows, count(actor_id) AS actors FROM silver.events") == [
        {"rows": 3, "actors": 0}
    ]
    del fields["devce"]
    project.source("events", **{**EVENTS, "mapping": {**EVENTS["mapping"]}, "contract": contract})
    result = project.build()
    assert (result.exit_code, result.faults, messages(result)) == (0, (), [])
    with sessions.open(project.root) as session:
        assert "user" not in session.sql("SELECT * FROM silver.events").table.column_names
        assert [row["value"] for row in session.measure("dau").to_dicts()] == [1.0, 1.0, 1.0]


def test_a_field_that_other_records_had_is_not_absent(events: Declare) -> None:
    project = events({"device": {}}, dedup="key", mapping={**EVENTS["mapping"], "event_id": "id"})
    project.lines("events/a.jsonl", *[{**row, "id": row["user"]} for row in ROWS[:2]])
    assert project.build().exit_code == 0
    project.lines("events/b.jsonl", {"at": "2024-03-04T10:00:00Z", "id": "x", "devices": 2})
    result = project.build()
    assert (result.exit_code, result.faults, messages(result)) == (0, (), [])


def test_a_field_that_one_late_record_has_is_not_absent(events: Declare, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first two records are the sample; of the last two one has no actor, the other waits in quarantine."""
    monkeypatch.setattr(parsing, "_SAMPLE", 2)
    project = events({"id": {}}, mapping={**EVENTS["mapping"], "actor_id": "usr", "received_at": "got", "seq": "nr"})
    late = [{**ROWS[2], "usr": None}, {**ROWS[2], "at": "noon", "got": "2024-03-03T10:00:01Z"}]
    project.lines("events/a.jsonl", *ROWS[:2], *late)
    result = project.build()
    assert project.reasons() == {4: ["wrong_time:at"]}
    assert (result.exit_code, result.faults) == (0, ())
    assert messages(result) == [
        "mapping: seq: no record has a field 'nr'. The records have: at, device, got, name, user, usr."
    ]


def test_an_id_that_no_record_has_is_said(events: Declare) -> None:
    """Rows without their id get one of their text, which is no value of the field."""
    project = events(dedup="key", mapping={**EVENTS["mapping"], "event_id": "idd"})
    project.lines("events/a.jsonl", *[{**row, "id": row["user"]} for row in ROWS])
    result = project.build()
    assert result.exit_code == 0
    assert messages(result) == ["mapping: event_id: no record has a field 'idd'. Did you mean 'id'?"]


def test_a_measure_of_an_event_that_there_is_none_of_is_said(events: Declare) -> None:
    project = events()
    project.settings["measures"] = {"plays": {"event": "plya"}, "all": {"event": ["play", "stop"]}}
    project.lines("events/a.jsonl", *ROWS)
    result = project.build()
    assert result.exit_code == 0
    assert result.notes == (
        "measures: all: no event is named 'stop'. Known: play.",
        "measures: plays: no event is named 'plya'. Did you mean 'play'?",
    )
    project.settings["measures"] = {"plays": {"event": "play"}}
    assert project.build().notes == ()
