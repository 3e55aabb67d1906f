"""A project's own metrics: one file each, checked when they are read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tests.metrics.asking import ask, own, parts_of, row_of
from tidelake.errors import DefinitionError, ProjectError, UnknownNameError
from tidelake.metrics.catalogue import Metric, built_in, catalogue, tree_of
from tidelake.metrics.factors import check_factors
from tidelake.metrics.listing import metrics_of

SETTINGS = {"dimensions": ["region"], "measures": {"plays": {"event": "play"}}}
COLUMNS = {"region": pa.string(), "seconds": pa.float64()}
DAY = {"end": date(2025, 3, 3)}

# 3 March: ann plays 1 s and 3 s in the north, bob plays 5 s in the south and stops (no seconds), cyd opens.
EVENTS = [
    ("ann", "play", 1.0, "n"),
    ("ann", "play", 3.0, "n"),
    ("bob", "play", 5.0, "s"),
    ("bob", "stop", None, "s"),
    ("cyd", "open", None, "n"),
    (None, "play", 7.0, "n"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    with Tiny(tmp_path_factory.mktemp("own"), SETTINGS, columns=COLUMNS) as made:
        made.add(
            {
                "event_time": f"2025-03-03 10:{number:02d}",
                "event_id": f"e{number}",
                "actor_id": actor,
                "event_name": name,
                "seconds": seconds,
                "region": region,
            }
            for number, (actor, name, seconds, region) in enumerate(EVENTS)
        )
        made.add([{"event_time": "2025-03-04 10:00", "event_id": "last"}])
        made.build()
        yield made


@pytest.fixture
def tiny(built: Tiny) -> Iterator[Tiny]:
    yield built
    for path in (built.project.root / "metrics").glob("*"):
        path.unlink()


def listed(tiny: Tiny, name: str | None = None) -> list[dict[str, Any]]:
    return tiny.ask(metrics_of, name).to_dicts()


def test_a_sum_of_chosen_events(tiny: Tiny) -> None:
    """Plays longer than 2 s: 3, 5 and 7 s, one of them without an actor."""
    own(tiny, "long_plays", "kind: sum\nfact: event\nevent: play\nwhere: seconds > 2\n")
    own(tiny, "long_seconds", "kind: sum\nfact: event\nevent: [play]\nwhere: seconds > 2\nexpression: seconds\n")
    assert row_of(tiny, "long_plays", **DAY)["value"] == 3
    assert row_of(tiny, "long_seconds", **DAY)["value"] == 15
    rows = ask(tiny, "long_seconds", by=["region"], **DAY).to_dicts()
    assert {row["region"]: row["value"] for row in rows} == {"n": 10, "s": 5}
    assert row_of(tiny, "long_seconds", where="region = 's'", **DAY)["value"] == 5
    assert row_of(tiny, "long_plays", start=date(2025, 3, 4))["value"] == 0  # received, and none


def test_distinct_actors_of_chosen_events(tiny: Tiny) -> None:
    own(tiny, "players_here", "kind: distinct\nfact: event\nevent: play\nwindow_days: 7\naliases: [viewers]\n")
    assert row_of(tiny, "players_here", **DAY)["value"] == 2
    assert row_of(tiny, "viewers", start=date(2025, 3, 4))["value"] == 2  # the window reaches back


def test_mean_and_median_of_events(tiny: Tiny) -> None:
    """Seconds of events of known actors: 1, 3 and 5; the stop and the open have none."""
    own(tiny, "mean_seconds", "kind: ratio\nfact: event\nexpression: seconds\nunit: s\n")
    own(tiny, "median_seconds", "kind: quantile\nquantile: 0.5\nfact: event\nexpression: seconds\n")
    assert parts_of(tiny, "mean_seconds", **DAY) == (3, 9, 3)
    assert row_of(tiny, "median_seconds", **DAY)["value"] == 3


def test_metrics_over_metrics(tiny: Tiny) -> None:
    """Plays: 4, of which 3 by actors; active users: 3. A formula divides values, a ratio sums over actors."""
    own(tiny, "per_active", "kind: formula\nexpression: plays / active_users\n")
    own(tiny, "per_active_ratio", "kind: ratio\nnumerator: plays\ndenominator: active_users\n")
    own(tiny, "hundredfold", "kind: formula\nexpression: 100 * per_active\n")
    assert parts_of(tiny, "per_active", **DAY) == (4 / 3, 4, 3)
    assert parts_of(tiny, "per_active_ratio", **DAY) == (1, 3, 3)
    assert row_of(tiny, "hundredfold", **DAY)["value"] == pytest.approx(400 / 3)
    assert row_of(tiny, "hundredfold", **DAY)["ci_low"] is None
    rows = ask(tiny, "per_active", by=["region"], **DAY).to_dicts()
    assert {row["region"]: row["value"] for row in rows} == {"n": 3 / 2, "s": 1}
    statuses = [row["status"] for row in ask(tiny, "per_active").to_dicts()]
    assert statuses == ["complete", "open"]


def test_a_formula_over_nothing_is_null(tiny: Tiny) -> None:
    own(tiny, "by_plays", "kind: formula\nexpression: active_users / plays\n")
    row = row_of(tiny, "by_plays", start=date(2025, 3, 4))
    assert (row["value"], row["numerator"], row["denominator"]) == (None, 1, 0)
    missing = row_of(tiny, "by_plays", start=date(2025, 3, 9), end=date(2025, 3, 9))
    assert (missing["value"], missing["status"]) == (None, "open")


def test_rolling_metrics_meet_whole_periods_only_by_day(tiny: Tiny) -> None:
    own(tiny, "stick", "kind: formula\nexpression: dau / mau\n")
    own(tiny, "mixed", "kind: formula\nexpression: plays / dau\n")
    assert {row["name"]: row["grains"] for row in listed(tiny) if row["name"] in ("stick", "mixed")} == {
        "stick": ["day", "week", "month"],
        "mixed": ["day"],
    }
    assert row_of(tiny, "mixed", **DAY)["value"] == 4 / 3
    with pytest.raises(DefinitionError, match="not of a week") as caught:
        ask(tiny, "mixed", grain="week")
    assert "value of its last day" in str(caught.value.hint)


def test_show_tells_the_definition_its_sql_and_what_it_reads(tiny: Tiny) -> None:
    own(tiny, "per_active", "kind: formula\nexpression: plays / active_users\nowner: ann\ntitle: Plays each\n")
    own(tiny, "long_plays", "kind: sum\nfact: event\nwhere: seconds > 2\n")
    (row,) = listed(tiny, "per_active")
    assert (row["title"], row["owner"], row["is_additive"], row["dimensions"]) == (
        "Plays each",
        "ann",
        False,
        listed(tiny, "dau")[0]["dimensions"],
    )
    assert row["sql"] == ask(tiny, "per_active").sql
    assert row["version"] == row_of(tiny, "per_active")["definition_version"]
    assert row["lineage"] == [
        "gold.event_day <- silver.app",
        "gold.user_day <- silver.app, gold.sessions",
        "gold.sessions <- silver.app",
    ]
    (row,) = listed(tiny, "long_plays")
    assert (row["title"], row["lineage"], row["where"]) == ("Long plays", ["silver.app"], "seconds > 2")


def test_the_version_follows_the_parts_but_not_the_owner(tiny: Tiny) -> None:
    def version() -> str:
        return str(row_of(tiny, "rate", **DAY)["definition_version"])

    own(tiny, "long_plays", "kind: sum\nfact: event\nwhere: seconds > 2\n")
    own(tiny, "rate", "kind: formula\nexpression: long_plays / plays\n")
    before = version()
    own(tiny, "rate", "kind: formula\nexpression: long_plays / plays\nowner: bob\n")
    assert version() == before
    own(tiny, "long_plays", "kind: sum\nfact: event\nwhere: seconds > 4\n")
    assert version() != before


def test_a_tree_is_found_without_what_the_project_lacks_and_changes_no_version(tiny: Tiny) -> None:
    own(tiny, "long", "kind: sum\nfact: event\nwhere: seconds > 2\n")
    before = row_of(tiny, "long", **DAY)["definition_version"]
    own(tiny, "long", "kind: sum\nfact: event\nwhere: seconds > 2\nfactors: [active_days, plays, long]\n")
    assert row_of(tiny, "long", **DAY)["definition_version"] == before
    known = catalogue(tiny.project, tiny.sources)

    def tree(name: str) -> list[str]:
        return [one.name for one in tree_of(known[name], known)]

    assert tree("long") == ["active_days", "plays", "long"]
    assert tree("plays_per_user") == ["active_days", "plays"]  # no measure is called opens
    assert tree("plays") == ["active_days", "sessions", "plays"]
    assert tree("searches_per_user") == tree("dau") == []
    assert listed(tiny, "long")[0]["factors"] == ["active_days", "plays", "long"]


def test_trees_of_built_in_metrics_can_be_split() -> None:
    measures = ("opens", "plays", "titles", "searches", "browses", "views")
    declared = {name: Metric(name=name, kind="sum", fact="event", column=name) for name in measures}
    known = {**built_in(), **declared}
    trees = [metric for metric in known.values() if metric.factors]
    assert {"watch_seconds", "plays_per_user"} < {metric.name for metric in trees}
    for metric in trees:
        check_factors(metric, known.get, known, metric.name)


def test_only_listed_dimensions_and_grains_can_be_asked(tiny: Tiny) -> None:
    own(tiny, "plain", "kind: sum\nfact: event\nevent: play\ndimensions: [region]\ngrain: day\n")
    assert listed(tiny, "plain")[0]["dimensions"] == ["region"]
    ask(tiny, "plain", by=["region"])
    with pytest.raises(DefinitionError, match="does not list 'event_name'"):
        ask(tiny, "plain", by=["event_name"])
    with pytest.raises(DefinitionError, match="not of a week"):
        ask(tiny, "plain", grain="week")


BAD: dict[str, tuple[str, str, str]] = {
    "key": ("kind: sum\nfact: event\nevnt: play\n", r"wrong\.yml:3: unknown key 'evnt'", "'event'"),
    "kind": ("kind: summ\nfact: event\n", r"wrong\.yml:1: kind:", ""),
    "fact": ("kind: sum\n", "`fact:` is missing", ""),
    "expression": ("kind: ratio\nfact: session\n", "a ratio needs `expression:`", ""),
    "half": ("kind: ratio\nnumerator: plays\n", "needs `numerator:` and `denominator:`", ""),
    "part": ("kind: ratio\nnumerator: playz\ndenominator: dau\n", "Unknown metric 'playz'", "'plays'"),
    "mean": ("kind: ratio\nnumerator: plays\ndenominator: engaged_time\n", "engaged_time is a ratio", "formula"),
    "rolling": ("kind: ratio\nnumerator: plays\ndenominator: wau\n", "rolling window", "formula"),
    "distinct": ("kind: formula\nexpression: dau + wau\n", "adds dau and wau", "one distinct metric"),
    "grammar": ("kind: formula\nexpression: plays ** 2\n", "was not expected here", ""),
    "own fact": ("kind: formula\nexpression: plays / dau\nfact: event\n", "has no `fact:` of its own", ""),
    "circle": ("kind: formula\nexpression: wrong / 2\n", "in a circle: wrong -> wrong", ""),
    "sql": ("kind: sum\nfact: event\nwhere: count(*) > 1\n", r"metrics/wrong\.yml, where:", ""),
    "query": ("kind: sum\nfact: event\nexpression: (SELECT 1)\n", r"metrics/wrong\.yml, expression:", ""),
    "additive": ("kind: distinct\nfact: event\nadditive: true\n", "distinct is not additive", ""),
    "event": ("kind: sum\nfact: session\nexpression: 1\nevent: play\n", "`event:` is for event facts", ""),
    "number": ("kind: quantile\nfact: session\nexpression: event_count\n", "a quantile needs `quantile:`", ""),
    "count": ("kind: sum\nfact: count\ncolumn: views\n", "count facts need `source:`", ""),
    "one factor": ("kind: sum\nfact: event\nfactors: [wrong]\n", r"wrong\.yml:3: factors: one quantity", ""),
    "twice": ("kind: sum\nfact: event\nfactors: [plays, plays, wrong]\n", r"wrong\.yml:3.*'plays' stands", ""),
    "factor": ("kind: sum\nfact: event\nfactors: [playz, wrong]\n", r"'playz' in metrics/wrong\.yml:3", "'plays'"),
    "users": ("kind: sum\nfact: event\nfactors: [dau, wrong]\n", r"wrong\.yml:3: dau is no sum", "active_days"),
    "end": ("kind: sum\nfact: event\nfactors: [wrong, plays]\n", r"wrong\.yml:3: a sum's tree", "[plays, wrong]"),
    "ratio's ends": (
        "kind: ratio\nnumerator: plays\ndenominator: active_days\n\nfactors: [sessions, plays]\n",
        r"wrong\.yml:5: a ratio's tree begins with its denominator, active_days",
        "[active_days, sessions, plays]",
    ),
    "treeless": ("kind: distinct\nfact: event\nfactors: [plays, wrong]\n", "a distinct has no tree", ""),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_together_is_refused_with_its_place(tiny: Tiny, case: str) -> None:
    text, says, hint = BAD[case]
    own(tiny, "wrong", text)
    with pytest.raises(ProjectError, match=says) as caught:
        ask(tiny, "dau")
    assert hint in str(caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("where: secnds > 2", "Unknown column 'secnds' in metrics/wrong.yml, where"),
        ("expression: secnds", "Unknown column 'secnds' in metrics/wrong.yml, expression"),
        ("column: playz", "Unknown column 'playz' in metrics/wrong.yml, column"),
    ],
)
def test_columns_that_are_not_there_are_named_when_the_metric_is_asked(tiny: Tiny, text: str, says: str) -> None:
    own(tiny, "wrong", f"kind: sum\nfact: event\n{text}\n")
    ask(tiny, "dau")  # other metrics do not need it
    with pytest.raises(UnknownNameError) as caught:
        ask(tiny, "wrong")
    assert says in str(caught.value)


@pytest.mark.parametrize("name", ["dau", "watch_time", "plays", "DAU"])
def test_a_name_that_is_taken_is_refused(tiny: Tiny, name: str) -> None:
    own(tiny, name, "kind: sum\nfact: event\n")
    with pytest.raises(DefinitionError, match="there is a metric"):
        ask(tiny, "wau")


def test_names_are_words_that_a_formula_can_name(tiny: Tiny) -> None:
    own(tiny, "my-plays", "kind: sum\nfact: event\n")
    with pytest.raises(DefinitionError, match="'my-plays' is no name for a metric"):
        ask(tiny, "dau")


def test_the_examples_of_the_page_are_metrics(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics-files.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```yaml\n# metrics/(\w+)\.yml[^\n]*\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(examples) == 4
    names = {"plays": "video_play", "opens": "app_open", "searches": "search"}
    settings = {"measures": {name: {"event": event} for name, event in names.items()}}
    with Tiny(tmp_path, settings, columns=COLUMNS) as made:
        made.add([{"event_time": "2025-03-03 10:00", "event_name": "video_play", "seconds": 60.0}])
        made.build()
        for name, text in examples:
            own(made, name, text)
        found = {name: row_of(made, name)["value"] for name, _ in examples}
    assert found == {"long_plays": 1, "long_play_share": 1, "plays_per_hundred": 100, "opened_not_search": None}


def test_built_in_metrics_have_a_title_a_unit_and_a_description() -> None:
    for name, metric in built_in().items():
        assert metric.title, name
        assert metric.unit, name
        assert metric.description.endswith("."), name


def test_a_project_without_events_has_only_its_own_metrics(tmp_path: Path) -> None:
    with Tiny(tmp_path) as tiny:
        assert catalogue(tiny.project, {}) == {}
        own(tiny, "nothing", "kind: formula\nexpression: 1 + dau\n")
        with pytest.raises(UnknownNameError):
            catalogue(tiny.project, {})
