"""Templates: complete, commented projects that load."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidelake.config import load_project
from tidelake.contracts.source import load_sources
from tidelake.errors import ProjectError, UnknownNameError
from tidelake.sources.infer import TEMPLATES, write_template


@pytest.mark.parametrize("template", TEMPLATES)
def test_template_loads_and_makes_its_data_folders(tmp_path: Path, template: str) -> None:
    written = write_template(template, tmp_path / "project")
    assert written[0].name == "tide.yml"
    assert load_project(tmp_path / "project").name == template
    for source in load_sources(tmp_path / "project").values():
        assert (tmp_path / "project" / source.path).is_dir()
    assert all("#" in path.read_text() for path in written)


def test_shop_has_the_three_tables_of_a_shop(tmp_path: Path) -> None:
    write_template("shop", tmp_path)
    kinds = {name: source.fact for name, source in load_sources(tmp_path).items()}
    assert kinds == {"events": "event", "products": "dimension", "users": "dimension"}


def test_a_project_that_is_there_stays(tmp_path: Path) -> None:
    write_template("shop", tmp_path)
    with pytest.raises(ProjectError, match="is there already"):
        write_template("app-events", tmp_path)
    assert load_project(tmp_path).name == "shop"


def test_unknown_template_proposes_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError) as caught:
        write_template("app-event", tmp_path)
    assert "app-events" in str(caught.value.hint)
