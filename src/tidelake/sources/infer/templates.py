"""A commented project to start from where there are no files yet: `tide init DIR --template NAME`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from tidelake.config import PROJECT_FILE, load_project
from tidelake.contracts.source import load_sources
from tidelake.errors import UnknownNameError
from tidelake.sources.infer.write import write_files

TEMPLATES = ("app-events", "projectviews", "shop")


def write_template(template: str, folder: Path, *, force: bool = False) -> list[Path]:
    """Write a template's files, and the empty folders in which it looks for data.

    Returns:
        The files written, `tide.yml` first.

    Raises:
        UnknownNameError: There is no such template.
        ProjectError: There is a project already, or the folder cannot be written.
    """
    if template not in TEMPLATES:
        raise UnknownNameError("template", template, TEMPLATES)
    folder = Path(folder).resolve()
    root = files("tidelake.sources") / "templates" / template
    texts = {folder / PROJECT_FILE: (root / PROJECT_FILE).read_text(encoding="utf-8")}
    for entry in sorted((root / "sources").iterdir(), key=lambda entry: entry.name):
        texts[folder / "sources" / entry.name] = entry.read_text(encoding="utf-8")
    written = write_files(texts, folder, force=force)
    load_project(folder / PROJECT_FILE)
    for source in load_sources(folder).values():
        (folder / source.path).mkdir(parents=True, exist_ok=True)
    return written
