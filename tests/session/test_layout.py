"""A gold table that lies in other partitions than its definition says is laid out anew, with the same rows."""

from __future__ import annotations

import json
from pathlib import Path

import tidelake.session as sessions
from tidelake.engine.base import Layout

SOURCE = """\
path: data/*.jsonl
mapping: {event_time: at, actor_id: user, event_name: name}
contract: {fields: {at: {type: timestamp, required: true}, user: {}, name: {}}}
"""


def test_other_partitions_are_laid_out_anew(tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "tide.yml").write_text("name: tiny\n")
    (tmp_path / "sources" / "app.yml").write_text(SOURCE)
    rows = [{"at": f"2024-03-0{day}T10:00:00Z", "user": f"u{day}", "name": "play"} for day in range(1, 4)]
    (tmp_path / "data" / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    by_day = "SELECT * FROM gold.event_day ORDER BY activity_date, dimension, value"
    with sessions.open(tmp_path) as session:
        session.build()
        held = session.engine.query(by_day)
        note = session.lake.note("gold.event_day")
        session.lake.drop("gold.event_day")
        session.engine.write(held, "gold.event_day", layout=Layout(partition_by=("source",)), note=note)
    with sessions.open(tmp_path) as session:
        session.build(full_refresh=True)
        again = session.engine.query(by_day)
        assert (
            again.select(sorted(again.column_names)).to_pylist() == held.select(sorted(held.column_names)).to_pylist()
        )
        assert session.lake.layout("gold.event_day").partition_by != ("source",)
