"""Dimension tables: one row a key, history where it is declared, and references to them."""

from __future__ import annotations

from typing import Any

import pytest

import tidelake.session as sessions
from tests.silver.conftest import EVENTS, Built
from tidelake.errors import ContractError, UnknownNameError

USERS: dict[str, Any] = {
    "path": "data/users",
    "format": "csv",
    "fact": "dimension",
    "key": ["user_id"],
    "contract": {"fields": {"user_id": {"required": True}, "plan": {}}, "max_quarantined_share": 1},
}


def test_the_last_file_has_the_last_word(project: Built) -> None:
    project.source("users", **USERS)
    project.lines("users/1.csv", "user_id,plan", "a,free", "b,free", "b,free")
    project.build()
    project.lines("users/2.csv", "user_id,plan", "a,paid")
    result = project.build()
    found = {row["user_id"]: row["plan"] for row in project.rows("SELECT user_id, plan FROM silver.users")}
    assert found == {"a": "paid", "b": "free"}
    assert result.sources[0]["rows"] == {
        "read": 6,
        "accepted": 2,
        "quarantined": 1,  # a,free: another content of the same key
        "duplicate": 1,  # the second b,free
        "filtered": 2,  # two headers
        "superseded": 0,
    }


def test_history_holds_from_each_date_until_the_next(project: Built) -> None:
    fields = {
        "product": {"required": True},
        "price": {"type": "number"},
        "since": {"type": "timestamp", "required": True},
    }
    project.source(
        "products",
        path="data/products",
        format="csv",
        fact="dimension",
        key=["product"],
        history="scd2",
        mapping={"valid_from": "since"},
        contract={"fields": fields},
    )
    project.lines("products/1.csv", "product,price,since", "p,10,2024-01-01", "p,12,2024-03-01", "q,5,2024-02-01")
    project.build()
    rows = project.rows("SELECT * FROM silver.products ORDER BY product, valid_from")
    assert [(row["product"], row["price"], row["valid_from"].month) for row in rows] == [
        ("p", 10, 1),
        ("p", 12, 3),
        ("q", 5, 2),
    ]
    assert [row["valid_to"].month if row["valid_to"] else None for row in rows] == [3, None, None]
    assert [row["is_current"] for row in rows] == [False, True, True]


def test_history_without_a_date_holds_from_the_beginning(project: Built) -> None:
    """Of every key one row is current, and where one row's time ends the next one's begins."""
    project.source(
        "users",
        path="data/users",
        format="jsonl",
        fact="dimension",
        key=["user"],
        history="scd2",
        mapping={"valid_from": "since"},
        contract={"fields": {"user": {"required": True}, "plan": {}, "since": {"type": "timestamp"}}},
    )
    since = (("a", "free", "2025-01-01"), ("a", "old", None), ("a", "pro", "2025-02-01"), ("b", "free", None))
    project.lines("users/1.jsonl", *({"user": user, "plan": plan, "since": at} for user, plan, at in since))
    project.build()
    rows = project.rows("SELECT * FROM silver.users ORDER BY user, valid_from NULLS FIRST")
    months = [tuple(at and at.month for at in (row["valid_from"], row["valid_to"])) for row in rows]
    assert [(row["user"], row["plan"], *span) for row, span in zip(rows, months, strict=True)] == [
        ("a", "old", None, 1),
        ("a", "free", 1, 2),
        ("a", "pro", 2, None),
        ("b", "free", None, None),
    ]
    assert [row["is_current"] for row in rows] == [False, False, True, True]


def test_unknown_references_are_set_aside(project: Built) -> None:
    project.source("users", **USERS)
    project.lines("users/1.csv", "user_id,plan", "a,free")
    contract = {
        **EVENTS["contract"],
        "fields": {**EVENTS["contract"]["fields"], "user": {"references": "users.user_id"}},
    }
    project.source("events", **{**EVENTS, "contract": contract})
    at = "2024-03-01T10:00:00Z"
    project.lines("events/a.jsonl", {"at": at, "user": "a"}, {"at": at, "user": "z"}, {"at": at, "user": None})
    project.build()
    found = project.rows("SELECT source, source_position, reasons FROM silver.quarantine")
    assert found == [{"source": "events", "source_position": 2, "reasons": ["unknown_reference:user"]}]


def test_reference_to_a_dimension_without_rows_says_what_to_build(project: Built) -> None:
    project.source("users", **USERS)
    (project.root / "data" / "users").mkdir(parents=True)
    contract = {
        **EVENTS["contract"],
        "fields": {**EVENTS["contract"]["fields"], "user": {"references": "users.user_id"}},
    }
    project.source("events", **{**EVENTS, "contract": contract})
    project.lines("events/a.jsonl", {"at": "2024-03-01T10:00:00Z", "user": "a"})
    with pytest.raises(ContractError, match="no rows yet"):
        project.build()


def test_a_reference_that_only_warns_warns_also_where_the_dimension_is_empty(project: Built) -> None:
    """Also when the contract changes, so that silver is restated, and once the dimension has come."""
    project.source("users", **USERS)
    (project.root / "data" / "users").mkdir(parents=True)
    fields = {**EVENTS["contract"]["fields"], "user": {"references": "users.user_id", "on_breach": "warn"}}
    project.source("events", **{**EVENTS, "contract": {**EVENTS["contract"], "fields": fields}})
    at = "2024-03-01T10:00:00Z"
    project.lines("events/a.jsonl", {"at": at, "user": "a"}, {"at": at, "user": "z"}, {"at": at, "user": None})
    first = project.build()
    fields["name"] = {"allowed": ["play"]}
    project.source("events", **{**EVENTS, "contract": {**EVENTS["contract"], "fields": fields}})
    restated = project.build()
    project.lines("users/1.csv", "user_id,plan", "a,free")
    known = project.build(full_refresh=True)
    warned = [next(s for s in run.sources if s["source"] == "events")["warnings"] for run in (first, restated, known)]
    assert warned == [{"unknown_reference:user": number} for number in (2, 2, 1)]
    assert project.rows("SELECT count(*) AS n FROM silver.events") == [{"n": 3}]


@pytest.mark.parametrize(("reference", "guess"), [("usres.user_id", "users"), ("users.user", "user_id")])
def test_a_wrong_reference_is_said_when_the_project_is_opened(project: Built, reference: str, guess: str) -> None:
    project.source("users", **USERS)
    contract = {"fields": {**EVENTS["contract"]["fields"], "user": {"references": reference}}}
    project.source("events", **{**EVENTS, "contract": contract})
    with pytest.raises(UnknownNameError) as caught:
        project.build()
    assert guess in (caught.value.hint or "")


def test_quarantined_rows_can_be_replayed_more_than_once(project: Built) -> None:
    project.source("users", **USERS)
    contract = {
        **EVENTS["contract"],
        "fields": {**EVENTS["contract"]["fields"], "user": {"references": "users.user_id"}},
    }
    project.source("events", **{**EVENTS, "contract": contract})
    at = "2024-03-01T10:00:00Z"
    project.lines("events/a.jsonl", {"at": at, "user": "a"}, {"at": at, "user": "b"}, {"at": at, "user": "c"})
    for number, known in enumerate("abc", start=1):
        project.lines(f"users/{number}.csv", "user_id,plan", f"{known},free")
        project.build()
        with sessions.open(project.root) as session:
            session.replay(source="events")
        assert project.rows("SELECT count(*) AS n FROM silver.events") == [{"n": number}]


def test_a_dimension_without_a_key_keeps_every_row(project: Built) -> None:
    project.source("devices", path="data/devices", format="csv", fact="dimension", contract={"fields": {"model": {}}})
    project.lines("devices/1.csv", "device,model", "phone,A", "phone,A", "phone,B")
    assert project.build().sources[0]["rows"]["accepted"] == 3
    rows = project.rows("SELECT device, model FROM silver.devices ORDER BY model")
    assert [(row["device"], row["model"]) for row in rows] == [("phone", "A"), ("phone", "A"), ("phone", "B")]


def test_fields_called_like_bronze_s_own_columns_are_fields_like_others(project: Built) -> None:
    names = ("kind", "raw", "record", "problem", "batch_id", "source_path", "file_id")
    fields = {"id": {"required": True}, **{name: {} for name in names}}
    project.source(
        "things", path="data/things", format="csv", fact="dimension", key=["id"], contract={"fields": fields}
    )
    project.lines("things/1.csv", ",".join(["id", *names]), ",".join(["a", *names]), ",".join(["a", *names]))
    rows = project.build().sources[0]["rows"]
    assert (rows["accepted"], rows["duplicate"]) == (1, 1)
    [row] = project.rows("SELECT * FROM silver.things")
    assert {name: row[f"{name}_field" if name in ("batch_id", "file_id") else name] for name in names} == {
        name: name for name in names
    }
