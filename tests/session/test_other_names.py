"""Fields that are called like a column of every answer get another name in the source's mapping."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.session.lakes import events_with, lines, make_project
from tidelake import session as tl
from tidelake.contracts.source import Mapping, source_from
from tidelake.errors import DefinitionError
from tidelake.sources.infer import propose, write_project

STATUSES = ("paid", "open", "paid", "lost")


def orders(count: int = 4) -> list[dict[str, Any]]:
    """Orders of 1 March 2024, half of them paid, a quarter open and a quarter lost."""
    return [
        {
            "id": f"e{number}",
            "ts": f"2024-03-01T10:{number // 60:02d}:{number % 60:02d}Z",
            "user": f"u{number}",
            "event": "order",
            "received": f"2024-03-01T11:{number // 60:02d}:{number % 60:02d}Z",
            "amount": 1,
            "country": "de",
            "status": STATUSES[number % 4],
        }
        for number in range(count)
    ]


def by_status(session: tl.Session, name: str) -> dict[str, float]:
    rows = session.measure("events", by=[name], start="2024-03-01", end="2024-03-01").to_dicts()
    return {row[name]: row["value"] for row in rows if row["value"]}


def test_a_field_called_status_is_cut_by_under_its_own_name(tmp_path: Path) -> None:
    """Before it is refused, and the error says how; with the name all rows are read anew."""
    plain = events_with(fields={"status": {}})
    root = make_project(tmp_path, {"app": plain})
    (root / "data/a.jsonl").write_text(lines(orders()))
    with tl.open(root) as session:
        session.build()
        with pytest.raises(DefinitionError, match="'status' cannot be a dimension") as caught:
            session.measure("events", by=["status"])
        assert "`mapping: {names: {own_status: status}}`" in str(caught.value.hint)
    mapping = {**plain["mapping"], "names": {"order_status": "status"}}
    make_project(tmp_path, {"app": {**plain, "mapping": mapping}}, dimensions=["country", "order_status"])
    with tl.open(root) as session:
        assert session.build().exit_code == 0
        assert by_status(session, "order_status") == {"paid": 2, "open": 1, "lost": 1}
        assert session.measure("events", where="order_status = 'paid'", start="2024-03-01").to_dicts()[0]["value"] == 2
        assert "status" not in session.sql("SELECT * FROM silver.app").table.column_names
        assert session.check(deep=True).table.num_rows


def test_tables_of_sources_without_other_names_stay_as_they_were(tmp_path: Path) -> None:
    from tidelake.config import Project
    from tidelake.silver.compile import definition_of

    source = source_from({"name": "app", **events_with()})
    project = Project.model_validate({"name": "a", "root": tmp_path})
    named = source.model_copy(update={"mapping": Mapping(**{**dict(source.mapping), "names": {"land": "country"}})})
    assert "names" not in json.dumps(sorted(dict(source.mapping.items())))
    assert definition_of(source, project) != definition_of(named, project)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"value": "status"}, "a column of every answer"),
        ({"actor_id": "status"}, "a part of the mapping"),
        ({"Order": "status"}, "no name"),
        ({"one": "status", "two": "status"}, "has a name already"),
        ({"one": "ts"}, "has a name already"),
    ],
)
def test_names_that_cannot_be(names: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Mapping.model_validate({"event_time": "ts", "names": names})


def test_init_proposes_another_name_and_the_project_builds(tmp_path: Path) -> None:
    """100 orders: 50 paid, 25 open, 25 lost."""
    data = tmp_path / "orders.jsonl"
    data.write_text(lines(orders(100)))
    root = tmp_path / "project"
    write_project(propose(str(data)), root)
    text = (root / "sources/orders.yml").read_text()
    assert "names: {order_status: status}" in text
    assert "order_status" in (root / "tide.yml").read_text()
    with tl.open(root) as session:
        assert session.build().exit_code == 0
        assert by_status(session, "order_status") == {"paid": 50, "open": 25, "lost": 25}
