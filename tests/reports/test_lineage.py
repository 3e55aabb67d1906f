"""Which gold tables a project has, before it is built."""

from __future__ import annotations

from pathlib import Path

from tidelake.config import Project
from tidelake.contracts.source import source_from
from tidelake.reports.lineage import declared_schema, lineage

EVENTS = source_from(
    {
        "name": "app",
        "path": "in/*.jsonl",
        "mapping": {"event_time": "ts", "actor_id": "user"},
        "contract": {"fields": {"ts": {"type": "timestamp"}, "user": {}, "price": {"type": "number"}}},
    }
)


def test_event_projects_have_sessions_and_user_days() -> None:
    project = Project(name="tiny", dimensions=("region",), root=Path("nowhere"))
    built_in, own = lineage(project, {"app": EVENTS})
    assert built_in["gold.sessions"] == ("silver.app",)
    assert set(built_in["gold.user_day"]) == {"silver.app", "gold.sessions"}
    assert built_in["gold.user_day_value"] == ("silver.app",)
    assert own == {}


def test_columns_go_by_the_names_that_silver_gives_them() -> None:
    schema = declared_schema(EVENTS, Project(name="tiny", dimensions=("region",)))
    assert {"event_time", "actor_id", "price", "region"} <= set(schema.names)
    assert not {"ts", "user"} & set(schema.names)
    assert str(schema.field("price").type) == "double"
