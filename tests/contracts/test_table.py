"""Contracts of tables: what YAML may say, and the checks that come of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidelake.contracts.table import TableSpec, load_table, row_checks
from tidelake.engine.duckdb import DuckEngine
from tidelake.errors import ProjectError

CONTRACT = """
description: Plays by day.
key: [day, region]
date: day
unique: [code]
columns:
  day: {type: date, required: true}
  region: {accepted: [north, south]}
  code: string
  plays: {type: integer, references: silver.known.plays}
  note:
tests:
  - {name: not_negative, expression: plays >= 0}
"""


def load(folder: Path, text: str) -> TableSpec:
    path = folder / "plays.yml"
    path.write_text(text, encoding="utf-8")
    return load_table(path, name="gold.plays")


def test_a_contract_is_read_with_its_short_forms(tmp_path: Path) -> None:
    spec = load(tmp_path, CONTRACT)
    assert spec.name == "gold.plays"
    assert spec.partitions == ("day",)
    assert spec.unique == (("code",),)
    assert spec.columns["code"].type == spec.columns["note"].type == "string"
    assert load(tmp_path, "name: gold.other\n").name == "gold.other"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colums: {}\n", r"plays.yml:1: unknown key 'colums'"),
        ("columns: {a: {typ: string}}\n", r"unknown key 'columns.a.typ'"),
        ("key: [b]\ncolumns: {a: string}\n", r"no column b is declared"),
        ("columns: {a: text}\n", r"columns.a.type"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ProjectError, match=said):
        load(tmp_path, text)


def test_checks_count_the_rows_that_break_them(tmp_path: Path) -> None:
    spec = load(tmp_path, CONTRACT).model_copy(update={"name": "temp.plays"})
    with DuckEngine() as engine:
        engine.write("SELECT 1 AS plays", "temp.known")
        engine.write(
            "SELECT * FROM (VALUES (DATE '2025-03-01', 'north', 'a', 1), (DATE '2025-03-01', 'north', 'b', -2), "
            "(NULL, 'east', 'b', NULL)) AS rows(day, region, code, plays)",
            "temp.plays",
        )
        found = {
            check.name: engine.query(check.sql.replace("silver.known", "temp.known")).column("broken")[0].as_py()
            for check in row_checks(spec, "temp.plays")
        }
    assert found == {
        "day is not null": 1,
        "region is one of north, south": 1,
        "not_negative": 1,
        "(day, region) is unique": 1,
        "(code) is unique": 1,
        "plays is in silver.known.plays": 1,
    }
