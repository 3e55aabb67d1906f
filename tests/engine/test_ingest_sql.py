"""Silver's own SELECTs in Spark's words: every function has one. Needs no Spark; the parity test runs them there."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from tidelake.config import load_project
from tidelake.contracts.source import Source, load_sources, source_from
from tidelake.engine.sql.ingest import translate_ingest
from tidelake.errors import UnsupportedError
from tidelake.silver.compile import key_lists_sql, parsed_sql, plan, reasons_sql

EXAMPLES = Path(__file__).parents[2] / "examples"
SOURCES = [(name, source) for name in ("collapse", "wikimedia") for source in load_sources(EXAMPLES / name)]
SPARKS_OWN = {
    "from_json",
    "get",
    "get_json_object",
    "json_object_keys",
    "octet_length",
    "raise_error",
    "rint",
    "schema_of_variant",
    "size",
    "timestamp_micros",
    "to_json",
    "try_parse_json",
    "typeof",
    "unix_micros",
    "variant_get",
    "xxhash64",
}


def selects(source: Source, project: str = "collapse") -> list[str]:
    planned = plan(source, load_project(EXAMPLES / project))
    names = [[item.field for item in planned.fields]]
    return [
        parsed_sql(planned, "temp.lines", names),
        reasons_sql(planned, "temp.lines", "temp.unclean"),
        key_lists_sql("temp.lines", 100),
    ]


@pytest.mark.parametrize(("project", "name"), SOURCES)
def test_every_function_of_silver_has_its_equal_on_spark(project: str, name: str) -> None:
    for sql in selects(load_sources(EXAMPLES / project)[name], project):
        tree = sqlglot.parse_one(translate_ingest(sql), read="spark")
        unknown = {str(node.this).lower() for node in tree.find_all(exp.Anonymous)} - SPARKS_OWN
        assert unknown == set()


@pytest.mark.parametrize("said", [{"time_format": "%d/%m/%Y"}, {"timezone": "Europe/Berlin"}])
def test_what_has_no_equal_is_refused_with_what_to_do(said: dict[str, str]) -> None:
    source = source_from({"name": "app", "path": "x", "mapping": {"event_time": "at"}, **said})
    with pytest.raises(UnsupportedError) as caught:
        translate_ingest(selects(source)[0])
    assert "engine: duckdb" in str(caught.value.hint)
