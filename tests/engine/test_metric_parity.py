"""Every question of a session on both engines: one lake, the same definitions, the same rows in the same order.

DuckDB builds a small streampro project with daily counts beside it, and answers all questions in SQL that is portable.
Spark answers one question of each kind and trap: each of its queries costs a third of a second.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import tidelake.session as tidelake_session
from tests.engine.test_parity import Listening
from tidelake.engine.base import Capabilities, Engine
from tidelake.engine.result import Result
from tidelake.engine.spark import SparkEngine
from tidelake.lake import Lake
from tidelake.metrics.catalogue import catalogue
from tidelake.reports.formats import plain
from tidelake.session import Session
from tidelake.sources.simulate import simulate
from tidelake.testing import assert_same_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

EXAMPLE = Path(__file__).parents[2] / "examples" / "streampro"
COUNTRIES = ["O'B\\r", "ß", "😀", "", "İ x", "(unknown)", None, "a%_b", "1.10"]
VIEWS = """\
fact: count
path: data/views.csv
mapping: {event_time: day, entity: site}
measures: [views]
contract:
  fields:
    day: {type: timestamp, required: true}
    site: {type: string, required: true}
    views: {type: integer, required: true}
"""
OS = "device_os"
STEPS = ["session_start", "watch_time where value > 30", "like"]
COHORTS = {
    "likers": "all: [{did: like, on_days: 2}, {first: 'watch_time where value > 3'}, {metric: events, below: 9e9}]",
    "idle": "{window: last 2 days, any: [{did_not: like}, {was: {users.gender: [male, 'x''y']}, at_most: 3}]}",
}
Ask = Callable[[Session], Result]


@dataclass(frozen=True)
class Question:
    """A question, and whether Spark is asked it too."""

    name: str
    ask: Ask
    on_spark: bool = False


def question(method: str, /, *given: Any, spark: bool = False, then: str = "", **options: Any) -> Question:
    """`session.method(*given, **options)`; with `then` what a method of the answer gives: `members`."""

    def ask(session: Session) -> Result:
        answer = getattr(session, method)(*given, **options)
        return getattr(answer, then)(1) if then else answer

    said = ", ".join([*(str(one) for one in given), *(f"{name}={value}" for name, value in options.items())])
    return Question(f"{method}({said}){f'.{then}' if then else ''}", ask, spark)


def on_both(method: str, /, *given: Any, **options: Any) -> Question:
    return question(method, *given, spark=True, **options)


NEW: dict[str, Any] = {"warmup_days": 0}
DAYS: dict[str, Any] = {"unit": "day", "warmup_days": 0}
SOLD: dict[str, Any] = {"price": "duration_seconds", "quantity": "value", "by": ["genre"]}
QUESTIONS = (
    # values that are null, empty, quoted, not Latin; the smallest put together; two dimensions read silver
    on_both("measure", "events", by=[OS, "country"], segment_limit=4, where="value > 10.5 or value is null"),
    on_both("measure", "dau", where="country like 'a!%!_b' escape '!' or country = 'O''B\\r' or value / 3 > 9.5"),
    question("measure", "watch_seconds", by=["country"], segment_limit=2),
    question("measure", "session_duration_p90", by=["country"], segment_limit=2, grain="week"),
    question("measure", "dau", start="2020-01-01", end="2020-01-03"),
    on_both("retention", by=["country"], match_on_return=True, grain="all", periods=(0, 3), **DAYS),
    on_both("retention", fact="session", criterion="within", within=[("0h", "72h"), ("72h", "168h")], **NEW),
    question("retention", **NEW),
    question("retention", unit="hour", periods=(0, 30), grain="all", **NEW),
    question("retention", unit="month", periods=(0, 1), **NEW),
    question("retention", anchor="elapsed", periods=(0, 5), grain="week", **DAYS),
    question("retention", criterion="on_or_after", horizon=7, periods=(0, 5), entry="first_login", **DAYS),
    question("retention", criterion="on_or_before", periods=(0, 5), where="country <> 'DE'", **DAYS),
    question("retention", criterion="bracket", brackets=((1, 3), (4, 7)), cohort="recurring", grain="week", **DAYS),
    question("retention", criterion="streak", periods=(1, 3), cohort="recurring", **DAYS),
    on_both("retention", unit="day", periods=(0, 3), cohort_by="users.signup_date", grain="week", then="members"),
    on_both("lifecycle", by=[OS], segment="last", **NEW),
    on_both("measure", "wau_cal", by=[OS], segment="last", grain="week"),
    on_both("measure", "session_duration_p90", grain="week", where="country <> 'DE'"),
    on_both("retention", unit="day", periods=(0, 1), cohort_by="users.signup_date", by=["users.age_group", OS]),
    question("measure", "wau", by=[OS, "country"], segment="first", where="event_name <> 'heart'"),
    on_both("decline", "views", by=["entity"], share=0.8, after=2),
    on_both("inactive", k=7, by=[OS], segment="first"),
    question("inactive", k=2, where="event_name = 'like'"),
    question("inactive", members="2025-09-20", k=3),
    question("churn_label", observation_days=7, prediction_days=3, by=[OS], segment="last"),
    question("lifecycle", grain="day", where="event_name = 'like'", **NEW),
    question("lifecycle", new_by="signup_date", signup="users.signup_date"),
    question("lifecycle", new_by="first_any_event", **NEW),
    question("lifecycle", members="churned", by=[OS], **NEW),
    on_both("power_curve", window_days=14, by=[OS], segment="first"),
    question("power_curve", window_days=14, where="country = 'DE'", members=True),
    on_both("stickiness", window_days=7, by=[OS], grain="week"),
    question("stickiness", method="day", where="event_name = 'like'"),
    on_both("stickiness", members="2025-09-20", window_days=7),
    on_both("trend", "views", by=["entity"]),
    on_both("funnel", STEPS, by=["video_id"], touch="last", simultaneity="5m", exclude=["2-3: session_end"]),
    on_both("funnel", STEPS, order="any", window="1d", grain="week"),
    question("funnel", STEPS[:2], order="strict", count="entry"),
    question("funnel", STEPS, hold="session_id", count="held", exclude=["heart"]),
    on_both("funnel", STEPS[:2], hold="session", count="held"),
    question("funnel", STEPS, touch=2, by=[OS]),
    on_both("funnel", STEPS, by=[OS], members=True, attempt="first"),
    question("funnel", STEPS, members=True, order="any"),
    question("activation", "like", times=2, within="3d", warmup="0d", by=["country"], after_first=True),
    on_both("activation", session="first_country is not null and duration_seconds / 60 >= 0.5", warmup="0d"),
    question("activation", "like", warmup="0d", members=True),
    on_both("adoption", "like", introduced_in="2.0", by=[OS], weeks=1),
    question("adoption", "like", exposure="watch_time", grain="week", weeks=1),
    question("adoption", "like", members=True),
    on_both("dropoff", by=["country", "app_version"], limit=3, threshold_seconds=0.1),
    question("dropoff", by=[OS], members=True),
    on_both("revenue", "watch_time", refund="heart", grain="week", **SOLD),
    question("revenue", "watch_time where value > 10", price="value", currency="country"),
    question("revenue", "watch_time", members=True, **SOLD),
    on_both("diversity", "views", grain="week"),
    on_both("diversity", "watch_seconds", of="video_id", top_k=3, by=["country"], grain="month"),
    question("diversity", "events", of="event_name", members=True),
    on_both("streaks", "views", by=["entity"], threshold=100.5),
    question("streaks", "dau", by=[OS], threshold=2, each=True),
    on_both("spikes", "views", by=["entity"], z=2.5),
    on_both("weekdays", "views", by=["entity"]),
    question("weekdays", "dau", by=[OS]),
    on_both("measure", "dau", by=["cohort.likers", OS], start="2025-09-15", cohort="not idle"),
    question("funnel", STEPS, cohort="likers", start="2025-09-15"),
    on_both("cohorts", "idle", at="2025-09-15", members=True),
    question("cohorts", at="2025-09-15"),
    question("metrics", "dau"),
    question("identity"),
)
# A metric of each kind and fact that the questions above do not measure.
MEASURED_ON_SPARK = ("mau_28", "average_dau", "session_duration", "session_duration_median", "watch_seconds")


def with_odd_countries(path: Path) -> None:
    """Every ninth event comes from a country that is hard to write."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if number % 9 == 0 and line.startswith("{"):
            country = COUNTRIES[number // 9 % len(COUNTRIES)]
            lines[number] = json.dumps({**json.loads(line), "country": country})
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def views() -> str:
    """Ten weeks of daily counts of three sites: one has a peak in the ninth, one days without a row."""
    lines = ["day,site,views"]
    for day in range(70):
        at = datetime(2025, 7, 21, tzinfo=UTC) + timedelta(days=day)
        for number, site in enumerate(("de", "en", "fr")):
            count = 100 * (number + 1) + day * 37 % 50 - (60 if (day + number) % 5 == 0 else 0)
            if (site, day) == ("en", 66):
                count += 900
            if site != "fr" or day not in (20, 21, 30):
                lines.append(f"{at:%Y-%m-%dT00:00:00Z},{site},{count}")
    return "\n".join(lines) + "\n"


def copied(root: Path, *, users: int, days: int) -> Path:
    """The example with simulated data, not built yet."""
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("data", "lake", "target"))
    simulate("streampro", root / "data", users=users, days=days, first_date=date(2025, 9, 8))
    return root


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """60 people and 14 days, with products that events refer to, and counts beside them; built by DuckDB."""
    root = copied(tmp_path_factory.mktemp("questions") / "streampro", users=60, days=14)
    with_odd_countries(root / "data" / "events.jsonl")
    (root / "data" / "views.csv").write_text(views(), encoding="utf-8")
    (root / "sources" / "views.yml").write_text(VIEWS, encoding="utf-8")
    (root / "cohorts").mkdir()
    for name, said in COHORTS.items():
        (root / "cohorts" / f"{name}.yml").write_text(said, encoding="utf-8")
    events = root / "sources" / "events.yml"
    said = events.read_text(encoding="utf-8")
    product = "video_id: {type: string}"
    assert product in said
    events.write_text(said.replace(product, "video_id: {type: string, references: videos.video_id}"), encoding="utf-8")
    with tidelake_session.open(root) as session:
        assert session.build().exit_code == 0
        yield session


def every_question(session: Session) -> list[Question]:
    """The questions above, and each metric of the catalogue plain, by a dimension and under a condition."""
    found = list(QUESTIONS)
    for name, metric in catalogue(session.project, session.sources).items():
        by = "entity" if metric.fact == "count" else OS
        condition = "entity <> 'fr'" if metric.fact == "count" else "country <> 'DE'"
        first, last = metric.grains[0], metric.grains[-1]
        found += [
            question("measure", name, grain=first),
            question("measure", name, by=[by], grain=last, spark=name in MEASURED_ON_SPARK),
            question("measure", name, grain=last, where=condition),
        ]
    return found


class Remembering:
    """An engine that answers a SELECT over the lake's own tables once: every question asks first what is complete."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.capabilities = engine.capabilities
        self.known: dict[str, pa.Table] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> pa.Table:
        if params or "temp." in sql:
            return self.engine.query(sql, params)
        if sql not in self.known:
            self.known[sql] = self.engine.query(sql)
        return self.known[sql]


def test_every_question_is_asked_in_portable_sql(built: Session) -> None:
    """What Spark is spared to say, of all questions. Needs no Spark.

    What rests on an ability that an engine declares is said to that engine only (decision 0013).
    """
    listening = Listening(built.engine)
    listening.capabilities = replace(built.engine.capabilities, ordered_windows=False)
    session = replace(built, engine=Remembering(listening))
    questions = every_question(built)
    for asked in questions:
        assert asked.ask(session).table.num_rows > 0, asked.name
    assert listening.heard > len(questions)


def test_a_build_asks_an_engine_without_intake_for_portable_sql_only(tmp_path: Path) -> None:
    """DuckDB takes the files in for it: silver's SQL is beyond the subset. Needs no Spark."""
    with tidelake_session.open(copied(tmp_path / "streampro", users=10, days=4)) as duck:
        listening = Listening(duck.engine)
        listening.capabilities = Capabilities(dialect="spark", distributed=True)
        with replace(duck, engine=listening) as session:
            assert session.build().verdict == "balanced"
            assert listening.heard > 0
            assert session.sql("SELECT count(*) AS n FROM mart.fact_user_session").to_dicts()[0]["n"] > 0
            assert {row["status"] for row in session.check().to_dicts()} == {"ok"}


@pytest.mark.spark
def test_every_kind_of_question_has_the_same_rows_on_both_engines(built: Session, spark_session: SparkSession) -> None:
    lake = Lake(built.lake.location.address)
    with SparkEngine(lake, timezone=built.project.timezone, session=spark_session) as engine:
        spark = Session(built.project, built.sources, lake, Remembering(engine))
        for asked in every_question(built):
            if asked.on_spark:
                one, two = without_engine(asked.ask(built).table), without_engine(asked.ask(spark).table)
                assert_same_rows(one, two, ordered=True, names=(f"{asked.name} by DuckDB", "by Spark"))


EXPLAINED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("views", {"at": date(2025, 9, 15)}),
    ("events", {"at": date(2025, 9, 15), "by": [OS, "country"]}),
    ("dau", {"at": date(2025, 9, 15), "by": [OS], "where": "country <> 'DE'"}),
    ("session_duration", {"at": date(2025, 9, 15), "by": [OS]}),
)


def explained(session: Session) -> str:
    found = [session.explain(metric, **options).document() | {"sql": None} for metric, options in EXPLAINED]
    return json.dumps(plain(found), indent=1)


def test_explanations_are_asked_for_in_portable_sql(built: Session) -> None:
    """Needs no Spark."""
    listening = Listening(built.engine)
    listening.capabilities = replace(built.engine.capabilities, ordered_windows=False)
    assert '"seen":' in explained(replace(built, engine=Remembering(listening)))
    assert listening.heard > len(EXPLAINED)


@pytest.mark.spark
def test_an_explanation_is_the_same_document_on_both_engines(built: Session, spark_session: SparkSession) -> None:
    lake = Lake(built.lake.location.address)
    with SparkEngine(lake, timezone=built.project.timezone, session=spark_session) as engine:
        spark = Session(built.project, built.sources, lake, Remembering(engine))
        assert explained(spark).splitlines() == explained(built).splitlines()


def without_engine(table: pa.Table) -> pa.Table:
    return table.drop_columns([name for name in ("engine",) if name in table.column_names])
