"""Writes a proposal as a project: `tide.yml` and `sources/*.yml`, with the evidence as comments."""

from __future__ import annotations

import json
import os
import re
import textwrap
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from tidelake.config import PROJECT_FILE, PROJECT_NAME, load_project
from tidelake.contracts.source import load_sources
from tidelake.errors import ProjectError
from tidelake.sources.infer.columns import words
from tidelake.sources.infer.fields import ProposedField
from tidelake.sources.infer.proposal import Proposal, ProposedSource

WIDTH = 118
_KEYS = ("kind", "fact", "path", "format", "delimiter", "header", "columns", "path_fields", "time_format", "timezone",
         "mapping", "measures", "key", "dedup", "history", "complete", "traffic")  # fmt: skip
_LABELS = {
    "fact": {
        "event": "event: an actor did something at an instant",
        "count": "count: an entity had a quantity in a period",
        "dimension": "dimension: one row is a thing that facts refer to",
    }
}


def write_project(proposal: Proposal, folder: Path, *, name: str | None = None, force: bool = False) -> list[Path]:
    """Write the project's files and load them again, so that what stands there is valid.

    Args:
        folder: Made where it does not exist.
        name: The project's name; null = made of the folder's.
        force: Write over an existing project's files.

    Returns:
        The files written, `tide.yml` first.

    Raises:
        ProjectError: There is a project already, the folder cannot be written, or the name is none.
    """
    folder = Path(folder).resolve()
    texts = {folder / PROJECT_FILE: project_text(proposal, project_name(folder, name))}
    for source in proposal.sources:
        texts[folder / "sources" / f"{source.name}.yml"] = source_text(source, folder)
    write_files(texts, folder, force=force)
    load_project(folder / PROJECT_FILE)
    load_sources(folder)
    return list(texts)


def project_name(folder: Path, given: str | None = None) -> str:
    """A project's name: as given, else the folder's in small letters, digits and `_`.

    Raises:
        ProjectError: The name that was given is none.
    """
    if given is None:
        return _as_name(folder.resolve().name)
    if re.fullmatch(PROJECT_NAME, given) is None:
        raise ProjectError(
            f"--name '{given}' cannot be a project's name: that is small letters, digits, _ and -, a letter first.",
            hint=f"Write --name {_as_name(given)}.",
        )
    return given


def _as_name(text: str) -> str:
    word = words(text)
    return word if re.match(r"[a-z]", word) else f"project_{word}".rstrip("_")


def write_files(texts: Mapping[Path, str], folder: Path, *, force: bool) -> list[Path]:
    """Write all of a project's files, or none where one is there already.

    Raises:
        ProjectError: One is there and `force` is not given, or the folder cannot be written.
    """
    there = [path for path in texts if path.exists()]
    if there and not force:
        raise ProjectError(
            f"{there[0]} is there already; nothing was written.",
            hint="Choose another folder, or give --force to write over it.",
        )
    try:
        (folder / "sources").mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ProjectError(f"{folder} cannot be written: {error}.", hint="Choose a folder you may write.") from error
    return list(texts)


def project_text(proposal: Proposal, name: str) -> str:
    """`tide.yml` as text."""
    lines = ["# What holds for the whole project. Written by `tide init`: read it, then change what is wrong.", ""]
    lines += [name_line(name)]
    for key, value in proposal.settings.items():
        lines += ["", *_comment(proposal.reasons.get(key, "")), *_entry(key, value)]
    for key, text in proposal.reasons.items():
        if key.startswith("-"):
            lines += ["", *_comment(text)]
    lines += ["", "lake: lake  # a folder beside this file, or s3://bucket/prefix"]
    if proposal.skipped:
        lines += ["", "# Files that are no source:"]
        lines += [f"#   {item.path.name}: {item.reason}" for item in proposal.skipped[:20]]
        if len(proposal.skipped) > 20:
            lines.append(f"#   ... and {len(proposal.skipped) - 20:,} more")
    return "\n".join(lines) + "\n"


def name_line(name: str) -> str:
    """The line of `tide.yml` that names the project."""
    return f"name: {_scalar(name)}"


def source_text(source: ProposedSource, folder: Path) -> str:
    """One `sources/NAME.yml` as text; a path near the project is written relative to it."""
    looked = f"{source.rows_looked:,} records" + ("" if source.whole else ", a sample spread over the files")
    lines = [f"# Source {source.name}: proposed by `tide init` from {len(source.files):,} file(s), {looked}."]
    for note in source.notes:
        lines += ["#", *_comment(note)]
    lines.append("")
    settings = {**source.settings, "path": _near(str(source.settings["path"]), folder)}
    for key in _KEYS:
        if key not in settings:
            continue
        label = _LABELS.get(key, {}).get(settings[key]) if isinstance(settings[key], str) else None
        reason = source.reasons.get(key, "")
        lines += _comment(f"{label}. Here: {reason}" if label and reason else label or reason)
        if key == "mapping":
            lines += _mapping(settings[key], source.reasons)
        else:
            lines += _entry(key, settings[key])
    if source.fields or source.contract:
        lines += ["", "contract:"]
        lines += [line for key, value in source.contract.items() for line in _entry(key, value, indent=2)]
        if source.fields:
            lines.append("  fields:")
        for item in source.fields:
            lines += _field(item)
    return "\n".join(lines) + "\n"


def _mapping(parts: Mapping[str, Any], reasons: Mapping[str, str]) -> list[str]:
    lines = ["mapping:"]
    for part, name in parts.items():
        lines += _aside(f"  {part}: {_flow(name)}", reasons.get(f"mapping.{part}", ""), indent=2)
    dormant = {key.removeprefix("mapping.-"): why for key, why in reasons.items() if key.startswith("mapping.-")}
    lines += [line for part, why in dormant.items() for line in _comment(f"possible: {part}: {why}", indent=2)]
    return lines


def _field(item: ProposedField) -> list[str]:
    """One field: a line, with its evidence behind it and advice above."""
    lines = [line for text in item.advice for line in _comment(text, indent=4)]
    inner = ", ".join(f"{key}: {_flow(value)}" for key, value in item.rule.items())
    lines += _aside(f"    {_scalar(item.name)}: {{{inner}}}", item.evidence, indent=4)
    for text in item.dormant:
        lines += [f"    # possible: {text}"]
    return lines


def _entry(key: str, value: Any, *, indent: int = 0) -> list[str]:
    """`key: value` in block form; mappings within mappings in flow form."""
    space = " " * indent
    if isinstance(value, Mapping):
        return [f"{space}{key}:", *(f"{space}  {_scalar(name)}: {_flow(item)}" for name, item in value.items())]
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return [f"{space}{key}:", *(f"{space}  - {_flow(item)}" for item in value)]
    return [f"{space}{key}: {_flow(value)}"]


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    """A YAML scalar that reads back as the same value: plain where that is safe, else quoted."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return json.dumps(value)
    if isinstance(value, date):
        return value.isoformat()
    text = str(value)
    plain = re.fullmatch(r"[A-Za-z_./][\w./*\-]*", text, re.ASCII) is not None
    return text if plain and yaml.safe_load(text) == text else json.dumps(text, ensure_ascii=False)


def _comment(text: str, *, indent: int = 0) -> list[str]:
    space = " " * indent
    return [f"{space}# {line}" for line in textwrap.wrap(" ".join(text.split()), WIDTH - indent - 2)]


def _aside(line: str, text: str, *, indent: int) -> list[str]:
    """The line with a remark behind it, or above where that would be too long."""
    if not text:
        return [line]
    if len(line) + len(text) + 4 <= WIDTH:
        return [f"{line}  # {text}"]
    return [*_comment(text, indent=indent), line]


def _near(path: str, folder: Path) -> str:
    """Relative to the project where the files lie in it or beside it, so that both can move together."""
    beside = folder.parent
    if beside != Path(beside.anchor) and Path(path).is_relative_to(beside):
        return os.path.relpath(path, folder)
    return path
