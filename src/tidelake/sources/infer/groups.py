"""Which files belong together: same format, same fields; and the glob and the name of each such group."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tidelake.errors import ProjectError
from tidelake.sources.infer.columns import words
from tidelake.sources.infer.sample import NotRecordsError, Shape, shape_of

MAX_LOOKED = 5_000
SAME_SHARE = 0.8  # of the smaller one's fields that two files of one source must share
_WORDS_OF_PEOPLE = re.compile(r"^(readme|license|licence|notice|source|changelog|attribution|copying)\b", re.IGNORECASE)
_DATED = re.compile(r"\d{4}-?\d{2}-?\d{2}(-?\d{2,6})?")
_SUFFIXES = re.compile(r"(\.(gz|zst|bz2))?$")


@dataclass(frozen=True)
class Skipped:
    """A file that is no source, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class FileGroup:
    """Files of one source.

    Attributes:
        name: A word for it, from the files' names.
        path: A file or a glob that finds exactly these files (absolute).
        exact: False where no glob finds these and no others.
        shape: How the first of them is written.
        files: In order of their paths.
    """

    name: str
    path: str
    exact: bool
    shape: Shape
    files: tuple[Path, ...]


def find_files(pattern: str) -> list[Path]:
    """Files that a file name, a folder or a glob stands for, by path; hidden ones left out.

    Raises:
        ProjectError: There is none.
    """
    if "://" in pattern and not pattern.startswith("file://"):
        raise ProjectError(
            f"'{pattern}' is not on this machine; what it holds cannot be looked at from here.",
            hint="Copy a few of its files to a folder, run `tide init` on them, then change `path:` in sources/*.yml.",
        )
    start = Path(pattern.removeprefix("file://")).expanduser()
    if start.is_file():
        return [start.resolve()]
    if start.is_dir():
        found: Iterable[str] = glob.iglob(str(glob.escape(str(start.resolve()))) + "/**/*", recursive=True)
    else:
        found = glob.iglob(os.path.abspath(start), recursive=True)
    files = sorted({Path(name) for name in found if Path(name).is_file()})
    if not files:
        kind = "holds no file" if start.is_dir() else "matches no file"
        raise ProjectError(
            f"'{pattern}' {kind} (looked from {Path.cwd()}).",
            hint="Give a file, a folder, or a glob in quotes, such as 'logs/**/*.json'.",
        )
    return files


def group_files(patterns: Sequence[str], files: Sequence[Path]) -> tuple[list[FileGroup], list[Skipped]]:
    """Put files of the same format and fields together; name what is no source, and why.

    At most 5,000 files are opened, spread over all; the others join the group of their folder and suffix.
    """
    looked, skipped, empty = _look(files)
    clusters: list[tuple[Shape, list[Path]]] = []
    for path, shape in looked:
        for index, (other, members) in enumerate(clusters):
            if _same(shape, other):
                members.append(path)
                clusters[index] = (_wider(other, shape), members)
                break
        else:
            clusters.append((shape, [path]))
    _adopt(clusters, empty, skipped)
    known = {path for path, _ in looked} | {item.path for item in skipped} | set(empty)
    _adopt(clusters, [path for path in files if path not in known], skipped)
    taken: set[str] = set()
    groups = []
    for shape, members in clusters:
        address, exact = _glob_for(patterns, members)
        name = _free(_name_for(members), taken)
        groups.append(FileGroup(name, address, exact, shape, tuple(sorted(members))))
    return groups, skipped


def _look(files: Sequence[Path]) -> tuple[list[tuple[Path, Shape]], list[Skipped], list[Path]]:
    looked, skipped, empty = [], [], []
    step = max(1, len(files) // MAX_LOOKED)
    alone = len(files) == 1
    for path in files[::step]:
        if not alone and (_WORDS_OF_PEOPLE.match(path.name) or path.suffix.lower() in (".md", ".sql", ".py", ".yml")):
            skipped.append(Skipped(path, "words, not records, by its name"))
            continue
        try:
            shape = shape_of(path)
        except PermissionError:
            skipped.append(Skipped(path, "may not be read (rights)"))
        except NotRecordsError as error:
            skipped.append(Skipped(path, str(error)))
        else:
            if shape is None:
                empty.append(path)
            else:
                looked.append((path, shape))
    return looked, skipped, empty


def _adopt(clusters: list[tuple[Shape, list[Path]]], orphans: Sequence[Path], skipped: list[Skipped]) -> None:
    """Empty (or unopened) files join the group whose files lie beside them with the same suffix."""
    for path in orphans:
        for _, members in clusters:
            if any(member.parent == path.parent and member.suffix == path.suffix for member in members):
                members.append(path)
                break
        else:
            skipped.append(Skipped(path, "empty"))


def _same(one: Shape, other: Shape) -> bool:
    if one.format != other.format or one.header != other.header:
        return False
    if not one.header or not one.columns or not other.columns:
        return len(one.columns) == len(other.columns) and one.delimiter == other.delimiter
    shared = len(set(one.columns) & set(other.columns))
    return shared >= SAME_SHARE * min(len(set(one.columns)), len(set(other.columns)))


def _wider(one: Shape, other: Shape) -> Shape:
    """The first file's shape with the other's further fields behind it."""
    columns = tuple(dict.fromkeys((*one.columns, *other.columns))) if one.header else one.columns
    return Shape(one.format, columns, one.header, one.delimiter, one.bom or other.bom)


def _glob_for(patterns: Sequence[str], members: Sequence[Path]) -> tuple[str, bool]:
    """The shortest glob that finds exactly these files among all that are there."""
    if len(members) == 1:
        return str(members[0]), True
    wanted = {str(path) for path in members}
    base = os.path.commonpath([path.parent for path in members])
    names = [path.name for path in members]
    suffix = _common_suffix(names)
    prefix = _common_prefix(names)
    given = [os.path.abspath(Path(pattern).expanduser()) for pattern in patterns]
    candidates = [pattern for pattern in given if glob.has_magic(pattern)]
    for folder in (path for path in given if Path(path).is_dir()):
        # As high as the glob stays exact, so that next month's folder is found too.
        above = [parent for parent in Path(base).parents if parent.is_relative_to(folder)]
        candidates += [f"{glob.escape(str(parent))}/**/*{members[0].suffix}" for parent in reversed(above)]
    for middle in ("", "**/"):
        for tail in (f"*{members[0].suffix}", f"*{suffix}", f"{prefix}*{members[0].suffix}", f"{prefix}*", "*"):
            candidates.append(f"{glob.escape(base)}/{middle}{tail}")
    best, fewest = candidates[-1], None
    for candidate in candidates:
        found = {name for name in glob.iglob(candidate, recursive=True) if Path(name).is_file()}
        if found == wanted:
            return candidate, True
        if wanted <= found and (fewest is None or len(found) < fewest):
            best, fewest = candidate, len(found)
    return best, False


def _common_suffix(names: Sequence[str]) -> str:
    return _common_prefix([name[::-1] for name in names])[::-1]


def _common_prefix(names: Sequence[str]) -> str:
    first, last = min(names), max(names)
    return next((first[:index] for index, letter in enumerate(first) if letter != last[index : index + 1]), first)


def _name_for(members: Sequence[Path]) -> str:
    """What the files' names share without dates and suffixes; else the nearest folder's name that says something."""
    stems = Counter(_word(path.name) for path in members)
    word, count = stems.most_common(1)[0]
    if word and (count == len(members) or len(members) == 1):
        return word
    folder = Path(os.path.commonpath([path.parent for path in members]))
    for candidate in (folder, *folder.parents):
        word = _word(candidate.name)
        if len(word) >= 3:
            return word
    return "records"


def _word(name: str) -> str:
    stem = _SUFFIXES.sub("", name)
    stem = re.sub(r"\.(jsonl|ndjson|json|csv|tsv|txt|log|parquet)$", "", stem, flags=re.IGNORECASE)
    word = words(re.sub(r"(?<![^\W_])\d+(?![^\W_])", " ", _DATED.sub(" ", stem)))
    return word if re.match(r"[a-z]", word) else f"source_{word}" if word else ""


def _free(name: str, taken: set[str]) -> str:
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    taken.add(candidate)
    return candidate
