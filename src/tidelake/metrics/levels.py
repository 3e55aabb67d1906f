"""Actor levels: questions about accounts, whose profiles are the actors, or about any other level of tide.yml."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.context import AskedProject, Gold, open_gold
from tidelake.gold.dates import Tables

Ask = TypeVar("Ask", bound=Callable[..., Any])
_BY_LEVEL: set[str] = set()


def by_level(ask: Ask) -> Ask:
    """Mark a question as one that can be asked of every actor level: it reads what `Gold.at_level` gives."""
    _BY_LEVEL.add(f"{ask.__module__}.{ask.__name__}")
    return ask


def project_at(
    level: str,
    ask: Callable[..., Any],
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
) -> Project:
    """The settings that a question sees which counts another level in the place of actors.

    Raises:
        UnknownNameError: The project declares no such level, or no event source has its column.
        DefinitionError: The question is about actors only.
    """
    gold = open_gold(engine, lake, project, sources)
    column = level_column(gold, level)
    if f"{ask.__module__}.{ask.__name__}" not in _BY_LEVEL:
        raise DefinitionError(
            f"{ask.__name__.replace('_', ' ')} is about actors only, so it has no --actor.",
            hint="`tide measure METRIC --actor LEVEL` has the numbers of metrics.",
        )
    return AskedProject.of(project, level=column)


def takes_level(ask: Callable[..., Any]) -> bool:
    """Whether a question has a parameter `actor` of its own."""
    return "actor" in inspect.signature(ask).parameters


def level_column(gold: Gold, level: str) -> str:
    """The column of an actor level.

    Raises:
        UnknownNameError: The project declares no such level, or no event source has its column.
    """
    levels = gold.project.actors
    if level not in levels:
        more = "Levels are declared in tide.yml: actors: {account: account_id}."
        raise UnknownNameError("actor", level, levels, more=more)
    if gold.events.types and levels[level] not in gold.events.types:
        raise UnknownNameError("column", levels[level], gold.events.types, where=f"tide.yml, actors.{level}")
    return levels[level]


def level_named(gold: Gold) -> str | None:
    """The name of the level that the question asks for; None = the actor itself."""
    return next((name for name, column in gold.project.actors.items() if column == gold.level), None)


def refuse_level(gold: Gold, what: str, *, when: bool = True) -> None:
    """Raise where another level is asked for and only the actor itself has what the answer needs.

    Raises:
        DefinitionError: It is.
    """
    if when and gold.level is not None:
        raise DefinitionError(
            f"{what} and --actor do not go together: sessions, signups and gold's days are of the actor itself, not "
            f"of its {gold.level}.",
            hint="Leave one of them out.",
        )
