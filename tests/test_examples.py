"""The example projects load, and say what their data are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidelake.config import load_project
from tidelake.contracts.source import load_sources

EXAMPLES = Path(__file__).parents[1] / "examples"
PROJECTS = sorted(path.parent.name for path in EXAMPLES.glob("*/tide.yml"))


def test_there_are_examples() -> None:
    assert {"collapse", "shop", "wikimedia"} <= set(PROJECTS)


@pytest.mark.parametrize("name", PROJECTS)
def test_an_example_is_a_sound_project(name: str) -> None:
    assert load_project(EXAMPLES / name).name == name
    assert load_sources(EXAMPLES / name)


def test_collapse_takes_the_event_types_of_its_document() -> None:
    fields = load_sources(EXAMPLES / "collapse")["clickstream"].contract.fields
    assert fields["event_type"].allowed == (
        "app_open", "home_impression", "app_close", "video_play", "video_pause", "video_resume", "video_seek",
        "buffer_start", "buffer_end", "video_complete", "video_stop",
    )  # fmt: skip
    assert fields["app_version"].type == "string"
    assert fields["app_version"].on_mismatch == "quarantine"


def test_wikimedia_has_daily_and_hourly_counts() -> None:
    sources = load_sources(EXAMPLES / "wikimedia")
    assert (sources["daily"].fact, sources["hourly"].kind) == ("count", "projectviews")
    assert sources["daily"].measures == ("total", "desktop", "mobile", "zero")
