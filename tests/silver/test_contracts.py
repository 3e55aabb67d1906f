"""Every type and policy of a contract, on rows whose fate is worked out by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from itertools import islice, permutations
from typing import Any

import pytest

from tests.silver.conftest import EVENTS, Built
from tidelake.errors import ContractError, DefinitionError, ProjectError

Declare = Callable[..., Built]
AT = "2024-03-01T10:00:00Z"


def row(**changes: Any) -> dict[str, Any]:
    return {"at": AT, "user": "u", "name": "play", **changes}


# given JSON value, declared type -> value in silver, or None where the row goes to quarantine
COERCED = [
    ("integer", 12, 12),
    ("integer", "12", 12),
    ("integer", 12.0, 12),
    ("integer", 12.5, None),
    ("integer", "twelve", None),
    ("integer", "0x10", None),
    ("integer", "1_000", None),
    ("integer", " 7 ", 7),
    ("integer", "-3", -3),
    ("integer", 9_223_372_036_854_775_807, 9_223_372_036_854_775_807),
    ("integer", 9_223_372_036_854_775_808, None),
    ("integer", True, None),
    ("integer", 1e-7, None),
    ("integer", "25e-1", None),
    ("integer", "1e3", 1000),
    ("number", 1.5, 1.5),
    ("number", "1.5", 1.5),
    ("number", 3, 3.0),
    ("number", "", None),
    ("number", "1e3", 1000.0),
    ("number", "nan", None),
    ("number", "1_000.5", None),
    ("number", [1], None),
    ("boolean", True, True),
    ("boolean", "false", False),
    ("boolean", "maybe", None),
    ("string", "1.10", "1.10"),
    ("string", 7, "7"),
    ("string", "", ""),
    ("string", "[draft] title", "[draft] title"),
    ("string", {"a": 1}, None),
    ("string", [1, 2], None),
    ("date", "2024-02-29", date(2024, 2, 29)),
    ("date", "2023-02-29", None),
    ("json", {"a": [1, "x"]}, '{"a":[1,"x"]}'),
]


@pytest.mark.parametrize("is_kept", [True, False])
def test_coerce_casts_what_loses_nothing(events: Declare, is_kept: bool) -> None:
    """Each row has a value in the field of one type, which bears the type's name."""
    cases = [(kind, given, kept) for kind, given, kept in COERCED if (kept is not None) == is_kept]
    kinds = dict.fromkeys(kind for kind, _, _ in COERCED)
    project = events({f"a_{kind}": {"type": kind} for kind in kinds})
    project.lines("events/a.jsonl", *[row(**{f"a_{kind}": given}) for kind, given, _ in cases])
    project.build()
    columns = ", ".join(f"a_{kind}" for kind in kinds)
    found = project.rows(f"SELECT {columns} FROM silver.events ORDER BY source_position")
    wanted = [(kind, type(kept), kept) for kind, _, kept in cases if is_kept]
    values = [
        [(name.removeprefix("a_"), type(value), value) for name, value in item.items() if value is not None]
        for item in found
    ]
    assert values == [[one] for one in wanted]
    assert project.reasons() == (
        {} if is_kept else {place: [f"wrong_type:a_{kind}"] for place, (kind, _, _) in enumerate(cases, 1)}
    )


def test_quarantine_takes_the_declared_type_only(events: Declare) -> None:
    kinds = ("integer", "number", "boolean", "string")
    kept = [("integer", 12), ("boolean", False), ("string", "12"), ("string", "true")]
    refused = [("integer", "12"), ("number", "1.5"), ("boolean", "true"), ("string", 12), ("string", True)]
    project = events({f"a_{kind}": {"type": kind, "on_mismatch": "quarantine"} for kind in kinds})
    project.lines("events/a.jsonl", *(row(**{f"a_{kind}": given}) for kind, given in kept + refused))
    project.build()
    first = len(kept) + 1
    assert project.reasons() == {place: [f"wrong_type:a_{kind}"] for place, (kind, _) in enumerate(refused, first)}


def test_evolve_keeps_the_text_of_another_type_beside_the_column(events: Declare) -> None:
    project = events({"value": {"type": "integer", "on_mismatch": "evolve"}})
    project.lines("events/a.jsonl", row(value=1), row(value="many"), row(), row(value=2.5))
    project.build()
    found = project.rows("SELECT value, value_text FROM silver.events ORDER BY source_position")
    assert [tuple(item.values()) for item in found] == [(1, None), (None, "many"), (None, None), (None, "2.5")]


@pytest.mark.parametrize("dedup", ["content", "key"])
def test_values_of_another_type_tell_rows_apart(events: Declare, dedup: str) -> None:
    mapping = {**EVENTS["mapping"], "event_id": "id"}
    project = events({"value": {"type": "integer", "on_mismatch": "evolve"}}, dedup=dedup, mapping=mapping)
    project.lines("events/a.jsonl", row(id="a", value="many"), row(id="a", value="few"), row(id="a", value="few"))
    project.build()
    said = project.rows("SELECT count(*) AS n FROM silver.duplicates")
    kept, aside = project.rows("SELECT value_text FROM silver.events"), [*project.reasons().values()]
    if dedup == "content":
        assert (said, len(kept), aside) == ([{"n": 1}], 2, [])
    else:
        assert len(kept) == 1
        assert (said[0]["n"], len(aside)) == ((1, 1) if kept[0]["value_text"] == "few" else (0, 2))


def test_fail_stops_the_build_and_takes_nothing(events: Declare) -> None:
    project = events({"value": {"type": "integer", "on_mismatch": "fail"}})
    project.lines("events/a.jsonl", row(value=1), row(value="many"))
    with pytest.raises(ContractError, match=r"wrong_type:value.*a\.jsonl:2"):
        project.build()
    with pytest.raises(Exception, match="no table"):
        project.rows("SELECT * FROM bronze.events")


def test_a_row_that_breaks_several_rules_carries_every_reason(events: Declare) -> None:
    project = events(
        {
            "user": {"required": True, "pattern": "u[0-9]+"},
            "value": {"type": "integer", "minimum": 0, "maximum": 10},
            "kind": {"allowed": ["a", "b"]},
        }
    )
    project.lines(
        "events/a.jsonl",
        row(user="u1", value=5, kind="a"),
        row(user="x1", value=-1, kind="c"),
        row(user=None, value=11, kind=None),
    )
    project.build()
    reasons = {place: sorted(found) for place, found in project.reasons().items()}
    assert reasons == {
        2: ["not_allowed:kind", "out_of_range:value", "pattern:user"],
        3: ["missing_required:user", "out_of_range:value"],
    }


def test_a_breach_that_only_warns_is_counted_and_taken(events: Declare) -> None:
    project = events(
        {"value": {"type": "integer", "minimum": 0, "on_breach": "warn"}},
        {"rules": [{"name": "named", "where": "event_name IS NOT NULL", "on_breach": "warn"}]},
    )
    project.lines("events/a.jsonl", row(value=-1), row(value=-2, name=None), row(value=3))
    result = project.build()
    assert result.sources[0]["warnings"] == {"out_of_range:value": 2, "rule:named": 1}
    assert project.rows("SELECT count(*) AS n FROM silver.events") == [{"n": 3}]


def test_a_rule_over_the_whole_row(events: Declare) -> None:
    project = events(
        {"first": {"type": "integer"}, "last": {"type": "integer"}},
        {"rules": [{"name": "in_order", "where": "first <= last"}]},
    )
    project.lines("events/a.jsonl", row(first=1, last=2), row(first=3, last=2), row(first=3))
    project.build()
    assert project.reasons() == {2: ["rule:in_order"]}


@pytest.mark.parametrize(("policy", "reasons"), [("quarantine", {2: ["undeclared_field"]}), ("ignore", {})])
def test_undeclared_fields(events: Declare, policy: str, reasons: dict[int, list[str]]) -> None:
    project = events(contract={"extra": policy})
    project.lines("events/a.jsonl", row(), row(color="red"))
    project.build()
    assert project.reasons() == reasons
    assert "color" not in project.rows("SELECT * FROM silver.events")[0]


def test_undeclared_fields_evolve_over_several_builds(events: Declare) -> None:
    project = events()
    project.lines("events/a.jsonl", row(), row(color="red"))
    first = project.build()
    project.lines("events/b.jsonl", row(size=1.10), row(color="blue", size="L"))
    project.build()
    assert first.sources[0]["new_fields"] == ["color"]
    found = project.rows("SELECT color, size FROM silver.events ORDER BY file_id = 0, batch_id, source_position")
    assert [tuple(item.values()) for item in found] == [(None, None), ("red", None), (None, "1.1"), ("blue", "L")]


INSTANTS = {
    "America/New_York": {
        "2025-11-05": "2025-11-05T05:00",
        "2025-11-05 10:00:00": "2025-11-05T15:00",
        "2025-11-05T10:00": "2025-11-05T15:00",
        "2025-11-05 10:00:00 UTC": "2025-11-05T10:00",
        "2025-11-05T10:00:00.5Z": "2025-11-05T10:00:00.5",
        "2025-11-05 10:00:00-08": "2025-11-05T18:00",
        "2025-11-05 10:00:00+01:00": "2025-11-05T09:00",
        "2025-11-05 10:00:00 PM": None,
        "2025-11-05 10:00:00 xyz": None,
        "2025-11-02 01:30:00": None,  # twice: the clocks go back at 2
        "2025-03-09 02:30:00": None,  # never
    },
    "Australia/Lord_Howe": {
        "2025-04-06 01:45:00": None,  # twice: by half an hour
        "2025-04-06 01:15:00": "2025-04-05T14:15",
    },
}


@pytest.mark.parametrize("zone", INSTANTS)
def test_instants_of_a_zone(events: Declare, zone: str) -> None:
    project = events(timezone=zone)
    project.lines("events/a.jsonl", *(row(at=text) for text in INSTANTS[zone]))
    project.build(select=["events"])
    instants = list(enumerate(INSTANTS[zone].values(), 1))
    found = project.rows("SELECT source_position, event_time FROM silver.events ORDER BY source_position")
    assert [(item["source_position"], item["event_time"]) for item in found] == [
        (place, datetime.fromisoformat(instant).replace(tzinfo=UTC)) for place, instant in instants if instant
    ]
    assert sorted(project.reasons()) == [place for place, instant in instants if instant is None]


def test_without_a_receipt_the_source_s_own_time_holds(events: Declare) -> None:
    fields = {"got": {"type": "timestamp"}, "sent": {"type": "timestamp"}}
    base = {"event_time": "at", "actor_id": "user", "event_name": "name", "received_at": "got", "sent_at": "sent"}
    project = events(fields, mapping=base)
    sent = "2024-03-01T10:00:01Z"
    project.lines("events/a.jsonl", row(sent=sent), row(sent=sent, got="2024-03-01T11:00:02Z"))
    project.build()
    found = project.rows("SELECT event_time FROM silver.events ORDER BY source_position")
    # Received an hour and a second after it was sent, which was a second after it happened.
    assert [item["event_time"] for item in found] == [
        datetime(2024, 3, 1, 10, tzinfo=UTC),
        datetime(2024, 3, 1, 11, 0, 1, tzinfo=UTC),
    ]


def test_a_required_time_that_cannot_be_read_does_not_evolve(events: Declare) -> None:
    project = events(contract={"on_mismatch": "evolve"})
    project.lines("events/a.jsonl", row(at="05/11/2025"), row())
    project.build()
    assert project.reasons() == {1: ["ambiguous_time:at"]}
    assert project.rows("SELECT count(*) AS n FROM silver.events WHERE event_time IS NOT NULL") == [{"n": 1}]


def test_content_is_all_fields_also_those_that_cannot_be_columns(events: Declare) -> None:
    project = events(dedup="content")
    names = ("Product Name", "a=b", "it's \"q", "User")  # the last differs from `user` in case only
    rows = [row(), *(row(**{name: value}) for name in names for value in ("x", '\\ "y"\n'))]
    project.lines("events/a.jsonl", *rows, rows[3], row(**{"a=b": None}))  # null is as not there
    result = project.build()
    assert any("other_fields" in message for message in result.sources[0]["messages"])
    found = project.rows("SELECT other_fields FROM silver.events ORDER BY source_position")
    kept = [json.loads(item["other_fields"] or "null") for item in found]
    assert kept == [None, *({name: value} for name in names for value in ("x", '\\ "y"\n'))]
    same = project.rows("SELECT source_position FROM silver.duplicates")
    assert sorted(item["source_position"] for item in same) == [10, 11]
    project.lines("events/b.jsonl", row(**{"Product Name": "x"}), row(**{"Product Name": "z"}))
    project.build()
    assert project.rows("SELECT count(*) AS n FROM silver.events") == [{"n": 10}]


def test_the_order_of_fields_does_not_tell_rows_without_id_apart(events: Declare) -> None:
    base = {"event_id": "id", "event_time": "at", "actor_id": "user", "event_name": "name"}
    project = events({"id": {}}, mapping=base, dedup="content")
    project.lines("events/a.jsonl", row(id=None), dict(reversed(row(id=None).items())))
    project.build()
    assert project.rows("SELECT count(*) AS n FROM silver.events") == [{"n": 1}]


def test_a_restatement_says_for_what_reasons_rows_wait(events: Declare) -> None:
    project = events()
    project.lines("events/a.jsonl", row(size=1), row(size=2), row(size=3))
    assert project.build().sources[0]["reasons"] == {}
    report = events({"size": {"type": "integer", "maximum": 2}}).build().sources[0]
    assert (report["rows"]["quarantined"], report["reasons"]) == (1, {"out_of_range:size": 1})
    report = events({"size": {"type": "integer", "maximum": 0}}).build().sources[0]
    assert (report["rows"]["quarantined"], report["reasons"]) == (3, {"out_of_range:size": 3})


def test_a_record_may_begin_with_blanks(events: Declare) -> None:
    project = events()
    project.lines("events/a.jsonl", "\t" + json.dumps(row()), " \t [1]")
    project.build()
    assert project.reasons() == {2: ["not_an_object"]}


def test_allowed_numbers_are_compared_as_numbers(events: Declare) -> None:
    fields = {"a": {"type": "number", "allowed": ["1", "2.5"]}, "b": {"type": "integer", "allowed": ["1"]}}
    project = events(fields)
    project.lines("events/a.jsonl", row(a=1, b=1), row(a=2.5, b=1), row(a=2, b=1), row(a=1, b=2))
    project.build()
    assert project.reasons() == {3: ["not_allowed:a"], 4: ["not_allowed:b"]}


def test_counts_have_no_key(events: Declare) -> None:
    project = events(fact="count", dedup="key", mapping={"event_time": "at", "entity": "user"})
    with pytest.raises(ProjectError, match="`dedup: key` is for events"):
        project.build()


def test_instants_in_every_form(events: Declare) -> None:
    project = events()
    forms = [
        "2024-03-01T10:00:00Z",
        "2024-03-01T12:00:00+02:00",
        "2024-03-01 10:00:00",
        1_709_287_200,
        1_709_287_200_000,
        1_709_287_200_000_000,
        "1709287200",
        1_709_287_200.25,
    ]
    project.lines("events/a.jsonl", *(row(at=form) for form in forms))
    project.build()
    found = [
        item["event_time"] for item in project.rows("SELECT event_time FROM silver.events ORDER BY source_position")
    ]
    instant = datetime(2024, 3, 1, 10, tzinfo=UTC)
    assert found == [instant] * 7 + [instant.replace(microsecond=250_000)]


def test_instants_that_cannot_be(events: Declare) -> None:
    reasons = {
        "2024-13-01T00:00:00Z": "wrong_time:at",
        "01/02/2024": "ambiguous_time:at",
        "soon": "wrong_time:at",
        "1970-01-01T00:00:00Z": "clock_skew:event_time",
        "2106-02-07T06:28:15Z": "clock_skew:event_time",
        "infinity": "wrong_time:at",
    }
    project = events()
    project.lines("events/a.jsonl", *(row(at=text) for text in reasons), row())
    project.build()
    assert project.reasons() == {place: [reason] for place, reason in enumerate(reasons.values(), 1)}


def test_a_declared_form_and_zone_of_instants(events: Declare) -> None:
    # Berlin: 31 March 2024 02:30 does not exist, 27 October 2024 02:30 exists twice.
    project = events(time_format="%d/%m/%Y %H:%M", timezone="Europe/Berlin")
    project.lines(
        "events/a.jsonl",
        row(at="01/03/2024 11:00"),
        row(at="01/07/2024 12:00"),
        row(at="31/03/2024 02:30"),
        row(at="27/10/2024 02:30"),
        row(at="27/10/2024 03:00"),
    )
    project.build()
    assert project.reasons() == {3: ["nonexistent_time:at"], 4: ["ambiguous_time:at"]}
    found = [item["event_time"] for item in project.rows("SELECT event_time FROM silver.events ORDER BY event_time")]
    assert [(moment.day, moment.hour) for moment in found] == [(1, 10), (1, 10), (27, 2)]


def test_local_dates_follow_the_project(events: Declare) -> None:
    project = events()
    project.settings["timezone"] = "America/Sao_Paulo"  # UTC-3 in March 2024
    project.lines("events/a.jsonl", row(at="2024-03-01T02:59:59Z"), row(at="2024-03-01T03:00:00Z"))
    project.build()
    found = project.rows("SELECT event_date FROM silver.events ORDER BY event_time")
    assert [item["event_date"] for item in found] == [date(2024, 2, 29), date(2024, 3, 1)]


def test_a_wrong_device_clock_cancels_out(events: Declare) -> None:
    # Segment's rule: event_time = received - (sent - original). The device is one day ahead.
    fields = {"sent": {"type": "timestamp"}, "received": {"type": "timestamp"}}
    project = events(
        fields,
        mapping={
            "event_time": "at",
            "actor_id": "user",
            "event_name": "name",
            "sent_at": "sent",
            "received_at": "received",
        },
    )
    project.lines(
        "events/a.jsonl",
        row(at="2024-03-02T10:00:00Z", sent="2024-03-02T10:00:05Z", received="2024-03-01T10:00:06Z"),
        row(at="2024-03-01T10:00:00Z", sent="2024-03-01T09:00:00Z", received="2024-03-01T10:00:06Z"),
    )
    project.build()
    found = project.rows("SELECT event_time FROM silver.events")
    assert [item["event_time"] for item in found] == [datetime(2024, 3, 1, 10, 0, 1, tzinfo=UTC)]
    assert project.reasons() == {2: ["clock_skew:event_time"]}


def test_traffic_is_classed_by_the_first_rule_that_matches(events: Declare) -> None:
    project = events(
        {"agent": {}},
        traffic=[
            {"class": "bot", "where": "agent LIKE '%bot%'"},
            {"class": "internal", "where": "actor_id LIKE 'staff%'"},
        ],
    )
    project.lines("events/a.jsonl", row(agent="Googlebot", user="staff1"), row(user="staff1"), row(agent="Mozilla"))
    project.build()
    found = project.rows("SELECT traffic_class FROM silver.events ORDER BY source_position")
    assert [item["traffic_class"] for item in found] == ["bot", "internal", "human"]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("user <> 'duckdb'", "line 1, column 1: No table here has a column 'user'.* The field 'user' is actor_id in"),
        ("name = 'a'\nAND \"user\" = 'u'", "line 2, column 5: .*who runs the query.* The field 'user' is actor_id in"),
        ("session_user = 'u'", "line 1, column 1: No table here has a column 'session_user'"),
        ("event_date < current_date", "line 1, column 14: current_date gives something else at every run"),
        ("event_time < now()", "line 1, column 14: now gives something else at every run"),
    ],
)
@pytest.mark.parametrize("kind", ["rule", "traffic"])
def test_a_rule_that_names_what_the_engine_answers_itself_is_refused(
    events: Declare, kind: str, rule: str, said: str
) -> None:
    """The field `user` is the column actor_id: DuckDB would take `user` for whoever runs the build, in every row."""
    if kind == "rule":
        project, place = events(contract={"rules": [{"name": "known", "where": rule}]}), "contract: rules: known"
    else:
        project, place = events(traffic=[{"class": "bot", "where": rule}]), "traffic: bot"
    project.lines("events/a.jsonl", row())
    with pytest.raises(DefinitionError, match=f"sources/events.yml: {place}: {said}"):
        project.build()


def test_a_rule_may_name_a_column_user_that_the_source_has(events: Declare) -> None:
    rules = [{"name": "not_duck", "where": "user <> 'duckdb'"}]
    project = events(mapping={"event_time": "at", "event_name": "name"}, contract={"rules": rules})
    project.lines("events/a.jsonl", row(user="u"), row(user="duckdb"))
    project.build()
    assert project.reasons() == {2: ["rule:not_duck"]}


def test_identical_rows_stay_where_nothing_is_deduplicated(events: Declare) -> None:
    project = events()
    project.lines("events/a.jsonl", row(), row(), row(user="v"))
    result = project.build()
    assert result.sources[0]["identical_rows"] == 1
    assert project.rows("SELECT count(*) AS n FROM silver.events") == [{"n": 3}]


def test_content_is_compared_field_by_field_not_letter_by_letter(events: Declare) -> None:
    project = events({"value": {"type": "number"}}, dedup="content")
    project.lines(
        "events/a.jsonl",
        row(value=1),
        '{"user": "u", "at": "2024-03-01T11:00:00+01:00", "name": "play", "value": 1.0}',
        row(value=None),
        row(),
        row(value=2),
    )
    result = project.build()
    assert result.sources[0]["rows"]["duplicate"] == 2
    assert sorted(str(item["value"]) for item in project.rows("SELECT value FROM silver.events")) == [
        "1.0",
        "2.0",
        "None",
    ]


def test_of_one_key_the_latest_receipt_wins(events: Declare) -> None:
    fields = {"id": {"required": True}, "received": {"type": "timestamp"}, "value": {"type": "integer"}}
    project = events(
        fields,
        dedup="key",
        mapping={
            "event_time": "at",
            "event_id": "id",
            "actor_id": "user",
            "event_name": "name",
            "received_at": "received",
        },
    )
    late, early = "2024-03-01T10:00:09Z", "2024-03-01T10:00:02Z"
    project.lines("events/a.jsonl", row(id="a", received=late, value=2), row(id="b", received=early, value=1))
    project.build()
    project.lines("events/b.jsonl", row(id="a", received=early, value=1), row(id="b", received=late, value=2))
    result = project.build()
    assert project.rows("SELECT DISTINCT value FROM silver.events") == [{"value": 2}]
    assert project.rows("SELECT count(*) AS n FROM silver.events") == [{"n": 2}]
    assert [item["reasons"] for item in project.rows("SELECT reasons FROM silver.quarantine")] == [["conflict"]] * 2
    assert result.verdict == "balanced"


def test_the_same_key_on_another_day_is_the_same_event(events: Declare) -> None:
    project = events(
        {"id": {"required": True}},
        dedup="key",
        mapping={"event_time": "at", "event_id": "id", "actor_id": "user", "event_name": "name"},
    )
    project.lines("events/a.jsonl", row(id="a", at="2024-03-01T10:00:00Z"))
    project.build()
    project.lines("events/b.jsonl", row(id="a", at="2024-03-09T10:00:00Z"))
    project.build()
    assert project.rows("SELECT count(*) AS n FROM silver.events") == [{"n": 1}]


def test_an_id_that_looks_like_the_mark_of_rows_without_one_is_an_id(events: Declare) -> None:
    """Two rows without id stay; of each id, also of one that is the mark of those rows, one stays."""
    project = events(
        {"id": {}},
        dedup="key",
        mapping={"event_time": "at", "event_id": "id", "actor_id": "user", "event_name": "name"},
    )
    mark = "no-id:" + hashlib.md5(json.dumps(row()).encode()).hexdigest()[:16]
    ids = (mark, "no-id:1", "no-id::1", "no-id:", "no-id")
    project.lines("events/a.jsonl", row(), row(), *[row(id=name) for name in ids], row(id="no-id:1"))
    report = project.build().sources[0]
    assert (report["rows"]["accepted"], report["rows"]["duplicate"]) == (7, 1)
    found = project.rows("SELECT event_id FROM silver.events ORDER BY source_position")
    kept = ["no-id::" + mark.removeprefix("no-id:"), "no-id::1", "no-id:::1", "no-id::", "no-id"]
    assert [item["event_id"] for item in found] == [mark, mark, *kept]
    project.lines("events/b.jsonl", row(), *[row(id=name) for name in ids])
    report = project.build().sources[0]
    assert (report["rows"]["accepted"], report["rows"]["duplicate"]) == (1, 5)


def test_undeclared_lists_and_objects_are_kept_as_json(events: Declare) -> None:
    project = events()
    project.lines("events/a.jsonl", row(clicked=["p1", "p2"], where={"x": 1}), row(clicked="p3"))
    project.build()
    found = project.rows('SELECT clicked, "where" FROM silver.events ORDER BY source_position')
    assert [tuple(item.values()) for item in found] == [('["p1","p2"]', '{"x":1}'), ("p3", None)]
    assert project.reasons() == {}


def test_a_copy_larger_than_a_group_is_taken_once(events: Declare, monkeypatch: pytest.MonkeyPatch) -> None:
    from tidelake.silver import ingest

    monkeypatch.setattr(ingest, "GROUP_BYTES", 2_000)
    project = events()
    rows = [row(user=f"u{number}", value=number) for number in range(300)]
    project.lines("events/a.jsonl", *rows)
    project.lines("events/b.jsonl", *rows)
    first = project.build()
    project.lines("events/c.jsonl", *rows)
    second = project.build()
    third = project.build()
    assert project.rows("SELECT count(*) AS n, count(DISTINCT actor_id) AS users FROM silver.events") == [
        {"n": 300, "users": 300}
    ]
    assert len(first.sources[0]["batches"]) > 3
    assert [len(result.sources[0]["files"]["copies"]) for result in (first, second, third)] == [1, 2, 0]


FORMS = {
    "compact": lambda fields: "{" + ",".join(f'"{name}":{value}' for name, value in fields) + "}",
    "spaced": lambda fields: "{" + ", ".join(f'"{name}": {value}' for name, value in fields) + "}",
}
GOOD = [("at", '"2024-03-01"'), ("user", '"u1"'), ("name", '"play"'), ("country", '"DE"'), ("size", "12")]


# What changes in a record, the field that is new, and the forms of records that it is tried in.
BOTH = tuple(FORMS)
CHANGES: list[tuple[dict[str, str | None], str | None, tuple[str, ...]]] = [
    ({"country": "null"}, None, ("compact",)),
    ({"country": '"Zürich"', "size": "null"}, None, ("spaced",)),
    ({"country": r'"a\"b"'}, None, BOTH),
    ({"country": None}, None, BOTH),  # the field is not there
    ({"size": "1.5e3"}, None, ("compact",)),
    ({"user": "17"}, None, ("spaced",)),
    ({"countri": '"DE"', "country": None}, "countri", BOTH),  # as long as the field that it stands for
    ({"countri": "null", "country": None}, "countri", ("compact",)),
    ({"more": "1"}, "more", BOTH),
    ({"user ": '"u2"'}, None, BOTH),  # the name without its space: twice the same
]


@pytest.mark.parametrize(
    ("form", "change", "extra"), [(form, change, extra) for change, extra, forms in CHANGES for form in forms]
)
def test_every_undeclared_or_doubled_field_is_seen(
    events: Declare, form: str, change: dict[str, str | None], extra: str | None
) -> None:
    project = events({"country": {}, "size": {"type": "number"}})
    changed = [(name.strip(), value) for name, value in {**dict(GOOD), **change}.items() if value is not None]
    project.lines("events/a.jsonl", *[FORMS[form](GOOD)] * 3, FORMS[form](changed))
    result = project.build()
    assert project.reasons() == ({4: ["duplicate_key"]} if "user " in change else {})
    assert result.sources[0]["new_fields"] == ([extra] if extra else [])


def test_lines_that_are_no_json_are_judged_beside_records_of_many_shapes(events: Declare) -> None:
    # Ten orders of names: DuckDB turns an IN over more than five constants into a join, which it works out first.
    shapes = [dict(islice(permutation, 3)) for permutation in permutations(row().items())]
    shapes += [row(value=1), {"value": 1, **row()}, {"at": AT}, {"at": AT, "user": "u"}]
    project = events({"value": {"type": "number"}})
    project.lines("events/a.jsonl", *shapes, "{", "soon", *shapes)
    project.build()
    assert project.reasons() == {11: ["invalid_json"], 12: ["invalid_json"]}
    assert len(project.rows("SELECT * FROM silver.events")) == 20


RESTATED_INTO_A_STOP = {
    "a field's rule": ({"value": {"type": "integer", "minimum": 3, "on_breach": "fail"}}, {}),
    "another type": ({"value": {"type": "boolean", "on_mismatch": "fail"}}, {}),
    "a rule over the row": ({}, {"rules": [{"name": "named", "where": "event_name = 'play'", "on_breach": "fail"}]}),
    "undeclared fields": ({}, {"extra": "fail"}),
}


@pytest.mark.parametrize("change", RESTATED_INTO_A_STOP)
def test_a_restatement_that_a_row_would_stop_leaves_silver_as_it_is(events: Declare, change: str) -> None:
    fields, contract = RESTATED_INTO_A_STOP[change]
    project = events({"value": {"type": "integer"}})
    project.lines("events/a.jsonl", *(row(value=number) for number in range(5)))
    project.build()
    project.lines("events/b.jsonl", row(value=2, name="stop", odd="x"))
    project.build()
    held = project.rows("SELECT * FROM silver.events ORDER BY batch_id, source_position")
    gold = project.rows("SELECT * FROM gold.user_day")
    events({"value": {"type": "integer"}} | fields, contract)
    for _ in range(2):
        with pytest.raises(ContractError, match="which stops the build"):
            project.build()
        assert project.rows("SELECT * FROM silver.events ORDER BY batch_id, source_position") == held
    events({"value": {"type": "integer", "maximum": 2}})
    project.build()
    assert project.rows("SELECT count(*) AS n FROM silver.events") == [{"n": 4}]
    assert project.rows("SELECT event_count FROM gold.user_day") == [{"event_count": 4}]
    assert gold[0]["event_count"] == 6


def test_a_restatement_that_needs_a_column_which_an_old_file_lacks_leaves_silver_as_it_is(events: Declare) -> None:
    project = events(format="csv")
    project.lines("events/a.csv", "at,user,name", f"{AT},u,play")
    project.lines("events/b.csv", "at,user,name,value", f"{AT},u,play,1")
    project.build()
    events({"value": {"required": True}}, format="csv")
    with pytest.raises(ContractError, match="required column 'value' is missing"):
        project.build()
    assert project.rows("SELECT count(*) AS n FROM silver.events") == [{"n": 2}]
