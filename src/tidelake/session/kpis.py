"""The file of levels that explanations recommend: made by a program, read and edited by people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml

from tidelake.analyses.change.explanation import Explanation
from tidelake.analyses.change.recommend import Kpi
from tidelake.analyses.change.words import where_text
from tidelake.config import Project, Settings, Watch, load_yaml
from tidelake.errors import ProjectError

FILE = "kpis.yml"  # beside tide.yml
_HEAD = """\
# Levels that must be back, as `tide explain METRIC --watch` recommends them. `tide watch` says of each whether it is
# met, missed or not yet due. Edit or delete them as you like: what is here is not written again.
watches:
"""
_SAME = timedelta(days=7)  # of two explanations of one change the onsets may differ by so much


class Kpis(Settings):
    """`kpis.yml`: levels with their deadlines."""

    watches: tuple[Watch, ...] = ()


def kpis_of(project: Project) -> tuple[Watch, ...]:
    """The levels that are kept in the project's file.

    Raises:
        ProjectError: It is wrong (says the line).
    """
    path = project.root / FILE
    return load_yaml(path, Kpis).watches if path.is_file() else ()


def keep_kpis(project: Project, why: Explanation, *, where: str | None = None) -> list[Watch]:
    """Write down the levels that an explanation recommends; those of the same change that are there stay as they are.

    Args:
        where: The condition under which the explanation was asked for.

    Returns:
        The levels that were added.

    Raises:
        ProjectError: The file is wrong, or cannot be written.
    """
    there = list(kpis_of(project))
    added: list[Watch] = []
    for one in why.recommendations:
        if one.kpi is None:
            continue
        watch = _watch(one.priority, one.kpi, _since(why), where)
        if not any(_is_same(watch, other) for other in (*there, *added)):
            added.append(watch)
    if added:
        _append(project.root / FILE, added)
    return added


def _since(why: Explanation) -> date | None:
    found = why.found
    return found.days.calendar.day(found.spans.at) if found is not None and found.spans is not None else None


def _watch(priority: str, kpi: Kpi, since: date | None, where: str | None) -> Watch:
    level = float(f"{kpi.level:.6g}")
    there = f", {where_text(kpi.where)}" if kpi.where else ""
    return Watch(
        name=f"{priority} {kpi.metric}{there}",
        metric=kpi.metric,
        segment=dict(kpi.where),
        where=where,
        at_least=level if kpi.is_least else None,
        at_most=None if kpi.is_least else level,
        by_day=kpi.by,
        since=since,
    )


def _is_same(one: Watch, other: Watch) -> bool:
    """Whether two levels are of one change, whatever the day on which it was explained."""
    named = ("name", "metric", "segment", "where")
    if any(getattr(one, name) != getattr(other, name) for name in named):
        return False
    if (one.at_least is None) != (other.at_least is None) or one.since is None or other.since is None:
        return False
    return abs(one.since - other.since) <= _SAME


def _append(path: Path, added: Sequence[Watch]) -> None:
    """Add to the end of the file, so that what people wrote stays; it is put in place only if it can be read."""
    entries = yaml.safe_dump(
        [_plain(one) for one in added], sort_keys=False, allow_unicode=True, default_flow_style=False, width=110
    )
    text = path.read_text(encoding="utf-8").rstrip() + "\n" if path.is_file() else _HEAD
    indented = "".join(f"  {line}\n" for line in entries.splitlines())
    beside = path.with_name(f"{path.name}.part")
    try:
        beside.write_text(text + indented, encoding="utf-8")
        load_yaml(beside, Kpis)
    except OSError as error:
        raise ProjectError(f"{path} cannot be written: {error.strerror}.") from error
    except ProjectError as error:
        beside.unlink(missing_ok=True)
        raise ProjectError(
            f"{path} cannot be added to: its list `watches:` does not end the file, or is not written as lines that "
            "begin with two spaces and `- `.",
            hint="Write it so, or delete the file: it is made again.",
        ) from error
    beside.replace(path)


def _plain(watch: Watch) -> Mapping[str, Any]:
    """What is written of a watch: only what is set."""
    return watch.model_dump(exclude_defaults=True)
