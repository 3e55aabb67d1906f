"""A source that becomes another kind of fact: the lake is as if it had been built so at once."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest

from tests.projects import TinyProject, event, lines
from tests.session.killing import Run

FIELDS = "{id: {}, at: {type: timestamp}, user: {}, name: {}, value: {type: integer, minimum: 1}}"
COMMON = f"path: data\nformat: jsonl\ncontract: {{max_quarantined_share: 1, fields: {FIELDS}}}\n"
FACTS = {
    "event": "fact: event\nmapping: {event_id: id, event_time: at, actor_id: user, event_name: name}\ndedup: key\n",
    "count": "fact: count\nmapping: {event_time: at, entity: user}\nmeasures: [value]\n",
    "dimension": "fact: dimension\nkey: [id]\n",
}
# 12 events of three days; one of them breaks the contract (value 0), one is there twice. Two more come later.
FIRST = lines([event(number * 3600) for number in range(12)] + [event(7200)])
LATER = lines([event(number, extra="x") for number in (90_000, 95_000)])


def become(project: TinyProject, fact: str) -> None:
    (project.root / "sources/app.yml").write_text(COMMON + FACTS[fact])


def digests(project: TinyProject) -> dict[str, str]:
    """Digest by table that has rows, once every check has held."""
    done = project.tide("check", "--deep", "--digest", "--format", "json")
    rows = json.loads(done.stdout)["rows"]
    assert [row for row in rows if row["status"] != "ok"] == []
    return {row["table"]: row["detail"] for row in rows if row["check"] == "digest" and project.rows(row["table"])}


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Digests by kind of fact, each of one build of all files."""
    found = {}
    for fact, settings in FACTS.items():
        project = TinyProject.make(tmp_path_factory.mktemp("once") / fact, COMMON + settings)
        for name, text in (("a.jsonl", FIRST), ("b.jsonl", LATER)):
            project.write(name, text)
        project.build()
        found[fact] = digests(project)
    return found


@pytest.mark.parametrize(("before", "after"), [*combinations(FACTS, 2)])
def test_another_kind_of_fact_restates(
    tmp_path: Path, at_once: dict[str, dict[str, str]], before: str, after: str
) -> None:
    project = TinyProject.make(tmp_path / "steps", COMMON + FACTS[before])
    project.write("a.jsonl", FIRST)
    project.build()
    project.write("b.jsonl", LATER)
    for fact in (after, before):
        become(project, fact)
        project.build()
        assert digests(project) == at_once[fact]
    past = project.tide("sql", "SELECT count(*) AS n FROM silver.app", "--as-of", "1", "--format", "json")
    assert json.loads(past.stdout)["rows"] == [{"n": 12 if before == "count" else 11}]


def test_a_build_that_is_killed_while_it_lays_silver_out_anew_heals(tmp_path: Path, run: Run) -> None:
    before, after = "event", "dimension"
    project = TinyProject.make(tmp_path / "killed", COMMON + FACTS[before])
    project.write("a.jsonl", FIRST)
    project.build()
    was = digests(project)
    for fact in (after, before):
        become(project, after)
        assert run(project.root, "build", until="silver.app (new) after").killed
        become(project, fact)
        project.build()
        if fact == before:
            assert digests(project) == was
        else:
            assert len(project.rows("silver.app")) == 11
            become(project, before)
            project.build()
