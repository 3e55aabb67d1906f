"""What charts are made of tables: read from the Vega-Lite specification, and rendered for real."""

from __future__ import annotations

import base64
import json
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tidelake.charts.draw import chart_of
from tidelake.charts.files import save
from tidelake.charts.shape import shape_of
from tidelake.engine.result import Result
from tidelake.errors import ProjectError, UnsupportedError

SHARE = pa.field("value", pa.float64(), metadata={"unit": "share"})
BOUNDS = [("ci_low", pa.float64()), ("ci_high", pa.float64()), ("status", pa.string())]
DAYS = pa.schema([("period_start", pa.date32()), ("region", pa.string()), ("value", pa.float64()), *BOUNDS])
CELLS = pa.schema([("cohort_start", pa.date32()), ("period", pa.int64()), SHARE, *BOUNDS])
PARTS = pa.schema([("app_version", pa.string()), SHARE, *BOUNDS])
FIRST = date(2025, 11, 1)


def days(*values: tuple[float | None, str], region: str = "EU") -> pa.Table:
    rows = [
        {"period_start": FIRST + timedelta(days=number), "region": region, "value": value, "status": status}
        for number, (value, status) in enumerate(values)
    ]
    return pa.Table.from_pylist(rows, schema=DAYS)


def drawn(table: pa.Table) -> dict[str, Any]:
    spec: dict[str, Any] = json.loads(chart_of(table, title="A title").to_json())
    return spec


def values(spec: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        next(iter(spec["datasets"].values())) if "datasets" in spec else spec["data"]["values"]
    )
    return found


def test_days_become_lines_whose_open_end_is_dashed_and_starts_at_the_last_sure_day() -> None:
    spec = drawn(days((4, "complete"), (5, "complete"), (2, "open")))
    dash = next(layer for layer in spec["layer"] if "strokeDash" in layer["encoding"])["encoding"]["strokeDash"]
    assert dash["scale"]["domain"] == [True, False]
    told = [(row["period_start"], row["value"], row["sure"]) for row in values(spec)]
    assert told == [
        ("2025-11-01", 4.0, True),
        ("2025-11-02", 5.0, True),
        ("2025-11-02", 5.0, False),  # again, so that the dashed line meets the other
        ("2025-11-03", 2.0, False),
    ]


def test_unsure_days_at_both_ends_are_not_joined_across_the_sure_ones() -> None:
    table = days((1, "degraded"), (4, "complete"), (5, "complete"), (2, "open"))
    runs: dict[Any, list[tuple[float, bool]]] = {}
    for row in values(drawn(table)):
        runs.setdefault(row["run"], []).append((row["value"], row["sure"]))
    assert [sorted(run) for run in runs.values()] == [
        [(1.0, False), (4.0, False)],
        [(4.0, True), (5.0, True)],
        [(2.0, False), (5.0, False)],
    ]


def test_dates_are_drawn_as_dates_wherever_the_reader_is() -> None:
    spec = drawn(days((1_100, "complete"), (1_200, "complete")))
    line = next(layer for layer in spec["layer"] if layer["mark"]["type"] == "line")["encoding"]
    assert line["x"]["scale"] == {"type": "utc"}
    assert line["x"]["axis"]["format"] == "%-d %b"
    assert [(tick["month"], tick["date"]) for tick in line["x"]["axis"]["values"]] == [(11, 1), (11, 2)]
    assert line["y"]["axis"]["format"] == ",d"  # not 1.2e+3


def test_a_second_dimension_has_panels_and_more_share_them() -> None:
    rows = [
        {"period_start": FIRST + timedelta(days=day), "region": region, "device": device, "tier": tier, "value": 1.0}
        for day in (0, 1)
        for region in ("EU", "NA")
        for device in ("tv", "web")
        for tier in ("free", "paid")
    ]
    shape = shape_of(pa.Table.from_pylist(rows))
    assert shape is not None
    assert (shape.colour, shape.panels, shape.facets) == ("region", ("device", "tier"), "panel")
    assert {row["panel"] for row in values(drawn(pa.Table.from_pylist(rows)))} == {
        "tv, free",
        "tv, paid",
        "web, free",
        "web, paid",
    }


def test_of_many_values_the_largest_are_drawn_and_the_chart_says_so() -> None:
    many = [days((n, "complete"), (n, "complete"), region=f"r{n:02}") for n in range(1, 41)]
    spec = drawn(pa.concat_tables(many))
    assert {row["region"] for row in values(spec)} == {f"r{n}" for n in range(33, 41)}
    assert spec["title"]["subtitle"] == "the 8 largest of 40 values of region"


def test_one_cohort_and_one_span_are_a_bar_with_its_name() -> None:
    row = {"cohort_start": None, "period": 0, "period_label": "within 72 h", "value": 0.5, "status": "complete"}
    shape = shape_of(pa.Table.from_pylist([row], schema=CELLS.append(pa.field("period_label", pa.string()))))
    assert shape is not None
    assert (shape.kind, shape.x) == ("bars", "period_label")


def test_the_average_curve_is_dashed_where_other_cohorts_stand_behind_it() -> None:
    rows = [
        {"period": 0, "period_label": "0", "pooled": 1.0, "set_changes": False},
        {"period": 1, "period_label": "1", "pooled": 0.5, "set_changes": False},
        {"period": 2, "period_label": "2", "pooled": 0.6, "set_changes": True},
        {"period": 3, "period_label": "3", "pooled": None, "set_changes": True},
    ]
    spec = drawn(pa.Table.from_pylist(rows))
    dashed = [row["value"] for row in values(spec) if not row["sure"]]
    assert dashed == [0.5, 0.6]
    assert "other cohorts" in spec["title"]["subtitle"]


def test_a_missing_day_is_a_gap_in_the_line_that_it_interrupts() -> None:
    told = values(drawn(days((4, "complete"), (None, "missing"), (5, "complete"))))
    assert [(row["value"], row["sure"]) for row in told] == [(4.0, True), (None, True), (5.0, True)]


def test_regions_have_colours_and_one_region_needs_none() -> None:
    both = pa.concat_tables([days((1, "complete"), (2, "complete"), region=name) for name in ("EU", "NA")])
    assert shape_of(both).colour == "region"  # type: ignore[union-attr]
    assert shape_of(days((1, "complete"), (2, "complete"))).colour is None  # type: ignore[union-attr]


def test_an_interval_is_a_band_over_time_and_a_rule_on_bars() -> None:
    table = days((4, "complete"), (5, "complete"))
    known = table.set_column(3, "ci_low", pa.array([3.0, 4.0])).set_column(4, "ci_high", pa.array([5.0, 6.0]))
    assert {layer["mark"]["type"] for layer in drawn(known)["layer"]} == {"area", "line", "point"}
    assert {layer["mark"]["type"] for layer in drawn(table)["layer"]} == {"line", "point"}
    bars = pa.Table.from_pylist(
        [{"app_version": f"1.{n}", "value": 0.1 * n, "ci_low": 0.0, "ci_high": 0.5} for n in (1, 2)], schema=PARTS
    )
    assert {layer["mark"]["type"] for layer in drawn(bars)["layer"]} == {"bar", "rule", "text"}


def test_cohorts_become_a_matrix_in_which_what_is_not_known_is_no_zero() -> None:
    cells = [(0, 0, 1.0, "complete"), (0, 1, 0.0, "complete"), (1, 0, 0.5, "partial_cohort"), (1, 1, None, "open")]
    rows = [
        {"cohort_start": FIRST + timedelta(days=7 * cohort), "period": period, "value": value, "status": status}
        for cohort, period, value, status in cells
    ]
    table = pa.Table.from_pylist(rows, schema=CELLS)
    spec = drawn(table)
    marks = [(layer["mark"]["type"], layer.get("transform", [{}])[0].get("filter")) for layer in spec["layer"]]
    known, unknown = "isValid(datum.value)", "!isValid(datum.value)"
    assert marks == [("rect", unknown), ("rect", known), ("text", known), ("text", unknown)]
    assert [row["value"] for row in values(spec)] == [1.0, 0.0, 0.5, None]
    orders = [layer["encoding"]["x"]["sort"] for layer in spec["layer"]]
    assert orders == [[0, 1]] * 4, "else the layer of empty cells, drawn first, would put its periods before the others"


@pytest.mark.parametrize(("ending", "start"), [(".png", b"\x89PNG"), (".svg", b"<svg"), (".html", b"<!DOCTYPE html>")])
def test_a_chart_is_written_as_its_name_says(tmp_path: Path, ending: str, start: bytes) -> None:
    path = tmp_path / f"dau{ending}"
    save(chart_of(days((4, "complete"), (5, "open"))), path)
    content = path.read_bytes()
    assert content.lstrip().startswith(start)
    assert not list(tmp_path.glob("*.part"))
    if ending == ".html":  # it works without a network
        assert not re.search(rb"<(script|link)[^>]+(src|href)=", content)


def test_a_name_without_a_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="does not say which format"):
        save(chart_of(days((4, "complete"), (5, "complete"))), tmp_path / "dau.doc")


def test_a_result_without_values_says_that_there_is_nothing_to_draw() -> None:
    with pytest.raises(UnsupportedError, match="no `value` to draw"):
        Result(pa.table({"rows": [1]})).plot()


def test_nothing_known_and_no_rows_are_said_instead_of_drawn() -> None:
    with pytest.raises(UnsupportedError, match="No value is known"):
        chart_of(days((None, "missing"), (None, "missing")))
    with pytest.raises(UnsupportedError, match="no rows"):
        chart_of(days())


def test_a_period_that_the_data_begin_in_is_not_whole() -> None:
    told = values(drawn(days((4, "partial_left"), (5, "complete"), (6, "complete"))))
    assert {row["value"]: row["sure"] for row in told if "is_again" not in row} == {4.0: False, 5.0: True, 6.0: True}


def test_spikes_are_points_beside_what_was_expected_and_no_line() -> None:
    row = {"period_start": FIRST, "value": 9.0, "expected": 4.0, "direction": "up", "status": "complete"}
    later = {**row, "period_start": FIRST + timedelta(days=40), "value": 1.0, "direction": "down"}
    spec = drawn(pa.Table.from_pylist([row, later]))
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["rule", "tick", "point"]
    assert [(one["value"], one["expected"]) for one in values(spec)] == [(9.0, 4.0), (1.0, 4.0)]


def test_a_streak_lies_from_its_first_day_to_the_end_of_its_last() -> None:
    """Two streaks of one entity stand beside each other: as bars of lengths they would have been one bar of 5."""
    ends = {name: FIRST + timedelta(days=int(name[-1]) - 1) for name in ("de3", "de2", "fr1")}
    rows = [
        {"entity": name[:2], "first_date": FIRST, "last_date": end, "value": 1, "is_censored": name == "de3"}
        for name, end in ends.items()
    ]
    spec = drawn(pa.Table.from_pylist(rows))
    assert [row["after"] for row in values(spec)] == ["2025-11-04", "2025-11-03", "2025-11-02"]
    assert spec["encoding"]["x2"] == {"field": "after"}
    assert spec["title"]["subtitle"] == "paler: it may have been longer"


def test_who_is_late_is_not_drawn_as_gone() -> None:
    texts = [("state", pa.string()), ("status", pa.string())]
    schema = pa.schema([("period_start", pa.date32()), ("value", pa.float64()), *texts])
    rows = [
        {"period_start": day, "state": state, "value": 1.0, "status": status}
        for day, status in ((FIRST, "complete"), (date(2025, 12, 1), "open"))
        for state in ("returning", "churned")
    ]
    spec = drawn(pa.Table.from_pylist(rows, schema=schema))
    assert {"filter": "datum.state != 'churned' || datum.status != 'open'"} in spec["transform"]
    assert "%b %Y" in spec["encoding"]["x"]["axis"]["labelExpr"]


def test_all_charts_have_the_same_look() -> None:
    config = drawn(days((1, "complete"), (2, "complete")))["config"]
    assert config["view"]["stroke"] is None
    assert config["axis"]["titleFontWeight"] == "normal"
    assert config["padding"] == 16


def test_a_chart_shows_itself_without_a_network_and_leaves_altair_as_it_was() -> None:
    """The picture is in the bundle; Altair's own bundle is a page that loads Vega from a server."""
    import altair as alt

    before = alt.renderers.active
    chart = chart_of(days((1, "complete"), (2, "complete")))
    for shown in (chart, chart.properties(width=200)):
        data, sizes = shown._repr_mimebundle_()
        assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
        assert sizes["image/png"]["width"] > 200
        assert "text/html" not in data
        assert any("vegalite" in name for name in data)
    assert alt.renderers.active == before
