"""The notebooks of the examples run from their first cell to their last, over lakes that their demos build."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tidelake import session as tl
from tidelake.sources.simulate import simulate

EXAMPLES = Path(__file__).parents[1] / "examples"
SIZES: dict[str, dict[str, int]] = {
    "streampro": {"users": 200},
    "shop": {"users": 200, "events": 4000},
    "collapse": {"users": 150},
}
NAMES = sorted(path.stem for path in EXAMPLES.glob("*/*.ipynb"))


def test_every_example_has_its_notebook() -> None:
    assert sorted(path.parent.name for path in EXAMPLES.glob("*/demo.yml")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_stored_without_what_it_printed(name: str) -> None:
    book = nbformat.read(EXAMPLES / name / f"{name}.ipynb", as_version=4)
    nbformat.validate(book)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in book.cells)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent / "src"))
    root = tmp_path / name
    shutil.copytree(EXAMPLES / name, root, ignore=shutil.ignore_patterns("lake", "target"))
    if name in SIZES:
        simulate(name, root / "data", **SIZES[name])
    with tl.open(root) as session:
        assert session.build().exit_code == 0
    book = nbformat.read(root / f"{name}.ipynb", as_version=4)
    NotebookClient(book, timeout=120, resources={"metadata": {"path": str(root)}}).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    shown = ["".join(output.get("data", {}).get("text/html", "")) for output in outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)  # a chart, drawn without a network
    assert not any("<script" in text for text in shown)
    assert any("<table>" in text for text in shown)
