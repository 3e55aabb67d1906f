"""Settings: what is read, and what a mistake is told with (file, line, and what was meant)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tidelake.config import find_project, load_project
from tidelake.contracts.source import load_sources
from tidelake.errors import DefinitionError, ProjectError, UnknownNameError


def project(root: Path, text: str) -> Path:
    (root / "tide.yml").write_text(text)
    return root


def test_durations_presets_and_defaults(tmp_path: Path) -> None:
    found = load_project(project(tmp_path, "name: shop\nactivity: any\nlateness: 36h\nsession: {timeout: 90s}\n"))
    assert found.activity.any
    assert found.lateness == timedelta(hours=36)
    assert (found.session.timeout, found.session.cap) == (timedelta(seconds=90), timedelta(hours=24))
    assert found.lake_address() == str(tmp_path / "lake")


def test_targets_choose_another_lake(tmp_path: Path) -> None:
    found = load_project(project(tmp_path, "name: shop\ntargets:\n  prod: {lake: s3://bucket/lake}\n"))
    assert found.lake_address("prod") == "s3://bucket/lake"
    with pytest.raises(UnknownNameError) as caught:
        found.lake_address("prd")
    assert "prod" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("name: shop\ntimzone: UTC\n", 2, "unknown key 'timzone'"),
        ("name: shop\nsession:\n  mode: trust\n  timeuot: 5m\n", 4, "unknown key 'session.timeuot'"),
        ("name: shop\n\nsession:\n  timeout: soon\n", 4, "'soon' is not a duration"),
        ("name: shop\nsession: {mode: guess}\n", 2, "session.mode"),
        ("name: Shop Nr 1\n", 1, "name"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    with pytest.raises(ProjectError) as caught:
        load_project(project(tmp_path, text))
    assert f"tide.yml:{line}: " in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "guess"),
    [
        ("name: a\ntimzone: UTC\n", "timezone"),
        ("name: a\nsession: {timeuot: 5m}\n", "timeout"),
        ("name: a\ntimezone: Europe/Berln\n", "Europe/Berlin"),
    ],
)
def test_did_you_mean(tmp_path: Path, text: str, guess: str) -> None:
    with pytest.raises(ProjectError) as caught:
        load_project(project(tmp_path, text))
    assert guess in f"{caught.value} {caught.value.hint}"


def test_what_is_wrong_with_a_time_zone_and_a_duration_is_said(tmp_path: Path) -> None:
    text = "name: a\ntimezone: Europe/Berln\nlateness: soon\n"
    with pytest.raises(ProjectError) as caught:
        load_project(project(tmp_path, text))
    first, second = str(caught.value).splitlines()
    assert first.endswith("tide.yml:2: timezone: Unknown time zone 'Europe/Berln'.")
    assert second.endswith("tide.yml:3: lateness: 'soon' is not a duration; write 90s, 30m, 24h or 7d.")
    assert str(caught.value.hint).startswith("Did you mean 'Europe/Berlin'")


def test_secrets_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = project(tmp_path, "name: shop\nlake: ${TIDELAKE_TEST_LAKE}\n")
    with pytest.raises(ProjectError, match="TIDELAKE_TEST_LAKE"):
        load_project(root)
    monkeypatch.setenv("TIDELAKE_TEST_LAKE", "s3://b/lake")
    assert load_project(root).lake == "s3://b/lake"


def test_broken_yaml_says_where(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="line 2"):
        load_project(project(tmp_path, "name: shop\n  lake: [\n"))


def test_the_project_is_found_from_below(tmp_path: Path) -> None:
    project(tmp_path, "name: shop\n")
    (tmp_path / "models" / "deep").mkdir(parents=True)
    assert find_project(tmp_path / "models" / "deep") == tmp_path / "tide.yml"
    with pytest.raises(ProjectError, match=r"no tide\.yml"):
        find_project(tmp_path.parent)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path: x\nmapping: {actor_id: u}\n", "event_time"),
        ("path: x\nfact: count\nmapping: {event_time: t}\n", "entity"),
        ("path: x\nfact: dimension\nhistory: scd2\n", "key"),
        ("path: x\nmapping: {event_time: t}\ndedup: key\n", "event_id"),
    ],
)
def test_a_source_without_a_needed_part_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "app.yml").write_text(text)
    with pytest.raises(ProjectError, match=said):
        load_sources(tmp_path)


@pytest.mark.parametrize(
    ("given", "said"),
    [("isoo", "Did you mean 'iso'?"), ("epoch", "Did you mean 'epoch_s'"), ("d/m/y", "nor strptime codes")],
)
def test_a_time_format_that_is_no_word_and_no_code_is_refused(tmp_path: Path, given: str, said: str) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "app.yml").write_text(f"path: a\nmapping: {{event_time: ts}}\ntime_format: {given}\n")
    with pytest.raises(ProjectError) as caught:
        load_sources(tmp_path)
    assert "app.yml:3: time_format: " in str(caught.value)
    assert said in str(caught.value)
    (tmp_path / "sources" / "app.yml").write_text("path: a\nmapping: {event_time: ts}\ntime_format: '%d/%m/%Y'\n")
    assert load_sources(tmp_path)["app"].time_format == "%d/%m/%Y"


def test_a_project_without_sources_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as caught:
        load_sources(tmp_path)
    assert "tide init" in (caught.value.hint or "")
