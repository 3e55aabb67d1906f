"""What a project's events cannot tell: a metric that needs it is null with a note, never 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.context import Gold
from tidelake.metrics.attributes import spelled_metric
from tidelake.metrics.catalogue import OWN, all_parts, built_in
from tidelake.metrics.conditions import check_columns
from tidelake.metrics.definition import GRAINS, Grain, Metric
from tidelake.metrics.dimensions import OF_DAY, defined_columns
from tidelake.metrics.facts import Facts

_WATCHED = ("watch_seconds",)
_STATES = ("watch_seconds_wall", "watch_open_ended_count", "play_count")
NO_WATCH = "No event tells what was watched, so this is not known: see `watch:` in docs/settings.md."


def leaves_of(metric: Metric, known: Mapping[str, Metric]) -> list[Metric]:
    """The metrics of facts that a metric is made from: itself, or those of its parts."""
    if not metric.is_of_metrics:
        return [metric]
    return [part for part in all_parts(metric, known) if not part.is_of_metrics]


def grains_of(metric: Metric, leaves: Sequence[Metric]) -> tuple[Grain, ...]:
    """The lengths of period that a metric can be asked for.

    A rolling metric of a week is the value of its last complete day: beside a number of the whole week it would be
    another thing, so such a ratio or formula is of days.
    """
    rolling = [leaf.is_rolling for leaf in leaves]
    is_ratio = metric.numerator is not None
    days_only = metric.is_of_metrics and any(rolling) and (is_ratio or not all(rolling))
    shared = [grain for grain in GRAINS if grain in metric.grains and all(grain in leaf.grains for leaf in leaves)]
    return tuple(grain for grain in shared if grain == "day" or not days_only)


def missing_parts(metric: Metric, known: Mapping[str, Metric]) -> list[str]:
    """Names of parts that no metric of the project has."""
    found = {name: known.get(name) for name in metric.parts}
    return [name for name, part in found.items() if part is None and not _has_alias(name, known)]


def _has_alias(name: str, known: Mapping[str, Metric]) -> bool:
    return any(name.lower() in (metric.name.lower(), *metric.aliases) for metric in known.values())


def not_known(gold: Gold, metric: Metric, known: Mapping[str, Metric]) -> str | None:
    """Why a metric cannot be known in this project; None where it can.

    Raises:
        UnknownNameError: A definition of the project's own names a column that is not there.
    """
    if missing := missing_parts(metric, known):
        return _undeclared(missing)
    if metric.is_of_metrics:
        reasons = [not_known(gold, part, known) for part in all_parts(metric, known)]
        return next((reason for reason in reasons if reason), None)
    named = _columns(gold, metric)
    if any(name in _WATCHED for name in named) and not gold.events.has_watch:
        return NO_WATCH
    if any(name in _STATES for name in named) and not _has_plays(gold):
        return "No event begins to play, so this is not known: see `watch: play:` in docs/settings.md."
    if metric.name in built_in() and metric.fact in ("actor_day", "session"):
        there = {name.lower() for name in defined_columns(gold, metric)}
        missing = [name for name in named if there and name.lower() not in there]
        return _undeclared(missing) if missing else None
    _check_own(gold, metric)
    return None


def check_whole_days(facts: Facts) -> None:
    """Refuse an actor's day cut into parts where the definition names what only whole days have.

    Raises:
        DefinitionError: Such as sessions of a day, by a value of its events.
    """
    if facts.metric.fact != "actor_day" or facts.tables == ["gold.user_day"]:
        return
    of_parts = {*OF_DAY, *facts.gold.project.measures}
    whole = [name for name in facts.needs if name not in of_parts]
    if whole:
        raise DefinitionError(
            f"'{facts.metric.name}' names {', '.join(whole)}, which gold.user_day has for whole days only: "
            "it has no dimensions, no --where and no --actor.",
            hint="A metric of session facts can be cut by the values at a session's first event; this one by what a "
            "dimension without history says of actors (users.age_group).",
        )


def _columns(gold: Gold, metric: Metric) -> tuple[str, ...]:
    return Facts(gold, spelled_metric(gold, metric), (), None, ()).needs


def _undeclared(names: Sequence[str]) -> str:
    said = " and ".join(f"`{name}`" for name in names)
    return f"tide.yml declares no measure {said}, so this is not known: measures: {{{names[0]}: {{event: ...}}}}."


def _check_own(gold: Gold, metric: Metric) -> None:
    if metric.name in built_in() or metric.fact is None:
        return
    known = defined_columns(gold, metric)
    metric = spelled_metric(gold, metric)
    for key, text in (("where", metric.where), ("expression", metric.expression)):
        if text is not None:
            check_columns(text, known, gold.sources, where=f"{OWN}/{metric.name}.yml, {key}")
    if metric.fact == "event" and metric.column and known and metric.column not in _added_up(gold):
        raise UnknownNameError(
            "column",
            metric.column,
            _added_up(gold),
            where=f"{OWN}/{metric.name}.yml, column",
            more="`column:` is one that gold adds up; for a column of silver write `expression:`.",
        )


def _added_up(gold: Gold) -> list[str]:
    own = [name for name, rule in gold.project.measures.items() if not rule.distinct]
    return ["event_count", "active_event_count", *own]


def _has_plays(gold: Gold) -> bool:
    """Whether some session has a play: without any, the events that begin to play have other names here."""
    if not gold.events.has_states or gold.lake.version("gold.sessions") is None:
        return False
    key = ("has plays", gold.lake.version("gold.sessions"))
    found: bool = gold.once(
        key, lambda: bool(gold.query("SELECT max(play_count) AS most FROM gold.sessions")[0]["most"])
    )
    return found
