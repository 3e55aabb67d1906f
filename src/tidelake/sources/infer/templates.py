"""A commented project to start from where there are no files yet: `tide init DIR --template NAME`."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from tidelake.config import PROJECT_FILE, load_project
from tidelake.contracts.source import load_sources
from tidelake.errors import UnknownNameError
from tidelake.sources.infer.write import name_line, project_name, write_files

TEMPLATES = ("app-events", "projectviews", "shop")


def write_template(template: str, folder: Path, *, name: str | None = None, force: bool = False) -> list[Path]:
    """Write a template's files, and the empty folders in which it looks for data.

    Args:
        folder: Made where it does not exist.
        name: The project's name; null = the template's.
        force: Write over an existing project's files.

    Returns:
        The files written, `tide.yml` first.

    Raises:
        UnknownNameError: There is no such template.
        ProjectError: There is a project already, the folder cannot be written, or the name is none.
    """
    if template not in TEMPLATES:
        raise UnknownNameError("template", template, TEMPLATES)
    folder = Path(folder).resolve()
    root = files("tidelake.sources") / "templates" / template
    settings = (root / PROJECT_FILE).read_text(encoding="utf-8")
    if name is not None:
        settings = re.sub(r"^name:.*$", name_line(project_name(folder, name)), settings, count=1, flags=re.MULTILINE)
    texts = {folder / PROJECT_FILE: settings}
    for entry in sorted((root / "sources").iterdir(), key=lambda entry: entry.name):
        texts[folder / "sources" / entry.name] = entry.read_text(encoding="utf-8")
    written = write_files(texts, folder, force=force)
    load_project(folder / PROJECT_FILE)
    for source in load_sources(folder).values():
        (folder / source.path).mkdir(parents=True, exist_ok=True)
    return written
