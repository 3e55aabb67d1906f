"""`tide canary` over simulated logs: a release that fails in two regions, and one that changes nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tidelake import session as tl
from tidelake.analyses.canary.result import CanaryResult
from tidelake.cli.run import run
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.session import Session
from tidelake.sources.simulate import simulate

EXAMPLE = Path(__file__).parents[3] / "examples" / "collapse"
FAILED = {"region=IN-North", "region=IN-South"}
ASKED = ("model_version=v4.2", "v4.1", ["plays_per_user,up,5%"])


def built(root: Path, scenario: str, **options: Any) -> Path:
    """The example over a scenario's logs, of which the release serves four of five users from the second day on."""
    shutil.copytree(EXAMPLE, root)
    days = {"days": 4, "onset": date(2025, 11, 11), "model_version": True}
    simulate(scenario, root / "data", seed=4, truth=root / "truth.json", **{**days, **options})
    (root / "truth.json").unlink()
    with tl.open(root) as session:
        session.build()
    return root


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("canary") / "failing"
    return built(root, "regional_model_failure", users=3200, features_log=True)


@pytest.fixture(scope="module")
def session(failing: Path) -> Iterator[Session]:
    with tl.open(failing) as opened:
        yield opened


@pytest.fixture(scope="module")
def result(session: Session) -> CanaryResult:
    return session.canary(*ASKED, guardrails=["opened_not_play,50%"], by=["region", "device"], share=0.8)


def rows(result: CanaryResult, check: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["metric"], row["segment"]): row for row in result.to_dicts() if row["check"] == check}


def test_the_release_is_worse_in_the_two_regions_where_it_fails(result: CanaryResult) -> None:
    found = rows(result, "metric")
    worse = {segment for (_, segment), row in found.items() if row["verdict"] == "worse"}
    assert result.verdict == "worse"
    assert worse >= FAILED
    assert not {one for one in worse if one.startswith("region=")} - FAILED
    for segment in FAILED:  # .65 of the sessions play, and further plays are .75 of what they were
        assert 0.4 < found["plays_per_user", segment]["ratio"] < 0.75


def test_only_days_on_which_both_run_are_compared(result: CanaryResult) -> None:
    first = result.to_dicts()[0]
    assert (first["first_day"], first["last_day"]) == (date(2025, 11, 11), date(2025, 11, 13))
    assert any("1 complete day" in note for note in result.notes)


def test_values_are_those_of_measure_where_the_mix_is_the_same(session: Session, result: CanaryResult) -> None:
    """Users got the release by chance: the standardised values lie within 3 % of those as they stand."""
    measured = session.sql(
        "SELECT model_version, 1e0 * count(*) FILTER (WHERE event_name = 'video_play') "
        "/ count(DISTINCT actor_id || CAST(event_date AS VARCHAR)) AS value FROM silver.clickstream "
        "WHERE event_date > DATE '2025-11-10' AND actor_id IS NOT NULL GROUP BY model_version"
    )
    plain = {row["model_version"]: row["value"] for row in measured.to_dicts()}
    found = rows(result, "metric")["plays_per_user", "all"]
    assert found["new"] == pytest.approx(plain["v4.2"], rel=0.03)
    assert found["control"] == pytest.approx(plain["v4.1"], rel=0.03)


def test_it_serves_fewer_titles_there_and_is_fed_other_values(result: CanaryResult) -> None:
    served = rows(result, "diversity")
    less = {segment for (_, segment), row in served.items() if row["verdict"] == "worse" and "region" in segment}
    assert less == FAILED
    drifts = {key for key, row in rows(result, "drift").items() if row["verdict"] in ("look", "shifted")}
    assert {feature for feature, _ in drifts} == {"watch_affinity"}
    assert {segment for _, segment in drifts if segment.startswith("region=")} == FAILED


def test_the_sample_ratio_is_that_of_the_rollout(session: Session, result: CanaryResult) -> None:
    assert rows(result, "sample ratio")["actors", "all"]["verdict"] == "as declared"
    wrong = session.canary(*ASKED, by="region", share=0.5)
    assert wrong.verdict == "cannot be told"
    assert "sample ratio mismatch" in wrong.to_dicts()[0]["reason"]


def test_the_same_question_has_the_same_answer(session: Session, result: CanaryResult) -> None:
    again = session.canary(*ASKED, guardrails=["opened_not_play,50%"], by=["region", "device"], share=0.8)
    assert again.table.equals(result.table)


def test_a_release_that_changes_nothing(tmp_path: Path) -> None:
    root = built(tmp_path / "sound", "nothing", users=1200, days=3)
    with tl.open(root) as session:
        found = session.canary(*ASKED, guardrails=["opened_not_play"])
        plan = session.canary_plan(["plays_per_user"], effect=0.5, by="device", most=0.5)
    assert found.verdict in ("no difference", "cannot be told")
    assert {row["verdict"] for row in found.to_dicts()} <= {"no difference", "cannot be told", "even", "not testable"}
    drift = rows(found, "drift")["features", "all"]
    assert drift["reason"].startswith("not testable")
    assert "titles played" in next(iter(rows(found, "diversity")))[0]
    assert "try here" in {row["verdict"] for row in plan.to_dicts()}
    assert any(note.startswith("alert, after each build: tide canary") for note in plan.notes)


def test_what_cannot_be_asked(session: Session) -> None:
    with pytest.raises(DefinitionError, match="no complete day"):
        session.canary("model_version=v5", "v4.1", ["plays_per_user"])
    with pytest.raises(DefinitionError, match="COLUMN=NEW"):
        session.canary("model_version", "v4.1", ["plays_per_user"])
    with pytest.raises(DefinitionError, match="rollout"):
        session.canary("model_version=v4.2", "v4.1", ["dau"])
    with pytest.raises(UnknownNameError):
        session.canary("model_verson=v4.2", "v4.1", ["plays_per_user"])
    with pytest.raises(UnknownNameError):
        session.canary(*ASKED, log="featurs")


def test_the_command(failing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["canary", "--release", "model_version=v4.2", "--control", "v4.1", "--metric", "plays_per_user"]
    where = ["--by", "region", "--project", str(failing)]
    assert run([*asked, *where, "--fail-on", "worse"]) == 4
    shown = capsys.readouterr().out
    assert "verdict: worse: plays_per_user" in shown
    assert "Features that v4.2 was fed with other values than v4.1" in shown
    assert run([*asked, *where, "--format", "json", "--where", "region not in ('IN-North', 'IN-South')"]) == 0
    assert '"check": "sample ratio"' in capsys.readouterr().out
    assert run(["canary", "plan", "--metric", "plays_per_user", "--effect", "30%", *where]) == 0
    assert "Where to try a release" in capsys.readouterr().out
    assert run(["canary", "plan", "--metric", "plays_per_user", "--effect", "3", *where]) == 2
    assert "not a share" in capsys.readouterr().err
