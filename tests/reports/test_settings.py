"""Settings of the YAML files: schemas for editors, and the reference."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidelake.cli import main
from tidelake.reports.settings import reference

ROOT = Path(__file__).parents[2]
FILES = sorted(ROOT.glob("examples/*/tide.yml")) + sorted(ROOT.glob("examples/*/sources/*.yml"))
KINDS = {"string": str, "boolean": bool, "integer": int, "number": int | float, "null": type(None)}


def wrong(value: Any, schema: dict[str, Any], whole: dict[str, Any], where: str = "") -> list[str]:
    """Breaches of the few words of JSON Schema that these schemas use, written after its specification."""
    if "$ref" in schema:
        return wrong(value, whole["$defs"][schema["$ref"].rpartition("/")[2]], whole, where)
    if "anyOf" in schema:
        tried = [wrong(value, part, whole, where) for part in schema["anyOf"]]
        return [] if any(not part for part in tried) else min(tried, key=len)
    kind = schema.get("type")
    if kind == "object":
        if not isinstance(value, dict):
            return [f"{where}: no object"]
        known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        found = [f"{where}.{name} is missing" for name in schema.get("required", ()) if name not in value]
        for name, item in value.items():
            if name in known:
                found += wrong(item, known[name], whole, f"{where}.{name}")
            elif others is False:
                found.append(f"{where}.{name} is unknown")
            elif isinstance(others, dict):
                found += wrong(item, others, whole, f"{where}.{name}")
        return found
    if kind == "array":
        if not isinstance(value, list):
            return [f"{where}: no array"]
        return [each for item in value for each in wrong(item, schema.get("items", {}), whole, f"{where}[]")]
    if kind is not None and (not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return [f"{where}: {value!r} is no {kind}"]
    if value not in schema.get("enum", [value]) or ("const" in schema and value != schema["const"]):
        return [f"{where}: {value!r} is not allowed"]
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        return [f"{where}: {value!r} does not match"]
    return []


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("schemas")
    assert main(["docs", "--schema", str(folder)]) == 0
    return {path.name.split(".")[0]: json.loads(path.read_text()) for path in folder.glob("*.schema.json")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(path.parts[-3:]))
def test_the_examples_meet_their_schemas(path: Path, schemas: dict[str, dict[str, Any]]) -> None:
    schema = schemas["tide" if path.name == "tide.yml" else "source"]
    assert wrong(_plain(path), schema, schema) == []


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("name: a\nsesion: {}", "tide", "sesion is unknown"),
        ("name: a\nsession: {timeout: half an hour}", "tide", "does not match"),
        ("name: a\nweek_start: friday", "tide", "is not allowed"),
        ("path: x\ncontract: {fields: {a: {type: text}}}", "source", "is not allowed"),
        ("path: x\ncontract: {rules: [{name: a}]}", "source", "where is missing"),
        ("path: x\nmapping: {event_tim: t}", "source", "event_tim is unknown"),
    ],
)
def test_schemas_find_mistakes(text: str, kind: str, says: str, schemas: dict[str, dict[str, Any]]) -> None:
    found = wrong(yaml.safe_load(text), schemas[kind], schemas[kind])
    assert any(says in each for each in found), found


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("name: a\nactivity: any\nmeasures: {plays: {event: play}, both: {event: [play, stop]}}", "tide"),
        ("path: x\ncomplete: daily_file\nheader: no\nfuture_tolerance: 2h", "source"),
        ("path: x\ntraffic: [{class: bot, where: x = 1}]\ncomplete: {by: through, through: '2025-01-31'}", "source"),
    ],
)
def test_short_forms_are_allowed(text: str, kind: str, schemas: dict[str, dict[str, Any]]) -> None:
    assert wrong(yaml.safe_load(text), schemas[kind], schemas[kind]) == []


def test_reference_names_settings_with_default_and_meaning() -> None:
    text = reference()
    assert "| `timeout` | duration (`90s`, `30m`, `24h`, `7d`) | `30m` | a longer pause begins a new session |" in text
    assert "| `class` | `bot` \\| `internal` \\| `test` | required |" in text
    assert "### `contract.fields`" in text
    assert "class '" not in text


def _plain(path: Path) -> Any:
    """The file's values as JSON has them: dates as text."""
    return json.loads(json.dumps(yaml.safe_load(path.read_text()), default=str))
