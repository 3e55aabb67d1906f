"""The metrics that a project can be asked for: built-in ones, one for each measure it declares, and its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from pathlib import Path

from tidelake.config import Project, line_in, load_yaml
from tidelake.contracts.source import Source
from tidelake.engine.sql import check_expression
from tidelake.errors import DefinitionError, QueryError, UnknownNameError
from tidelake.metrics.definition import DISTINCT, GRAINS, Fact, Grain, Metric
from tidelake.metrics.factors import check_factors, factors_of
from tidelake.metrics.not_done import opened_not, with_counted

__all__ = [
    "GRAINS",
    "Fact",
    "Grain",
    "Metric",
    "built_in",
    "catalogue",
    "find_metric",
    "metric_named",
    "parts_of",
    "tree_of",
]
FOLDER = Path(__file__).parent / "definitions"
OWN = "metrics"  # the folder beside tide.yml
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # what a formula can name


@lru_cache(maxsize=1)
def built_in() -> Mapping[str, Metric]:
    """The metrics of `metrics/definitions`, by name."""
    return {path.stem: load_yaml(path, Metric, name=path.stem) for path in sorted(FOLDER.glob("*.yml"))}


def catalogue_with(
    project: Project, sources: Mapping[str, Source], asked: str | None
) -> tuple[Project, dict[str, Metric]]:
    """The metrics with the one that is asked for: `opened_not_EVENT` is there for any event, and listed only then.

    Returns:
        Also the project, which counts that event for the question.
    """
    known = catalogue(project, sources)
    if asked is None or _named(asked, known) is not None:
        return project, known
    project = with_counted(project, asked)
    more = opened_not(asked, project)
    return project, known if more is None else {**known, more.name: more}


def catalogue(project: Project, sources: Mapping[str, Source]) -> dict[str, Metric]:
    """Every metric of a project by name; aliases are not listed.

    Raises:
        ProjectError: A file of `metrics/` is wrong (says its line), or takes a name that is taken.
    """
    found: dict[str, Metric] = {}
    if any(source.fact == "event" for source in sources.values()):
        measures = _measure_metrics(project)
        found |= {name: metric for name, metric in built_in().items() if name not in measures} | measures
    return _with_own(found | _count_metrics(sources), project)


def _measure_metrics(project: Project) -> dict[str, Metric]:
    return {
        name: Metric(
            name=name,
            title=name.replace("_", " ").capitalize(),
            description=_measure_words(name, project),
            kind="sum",
            fact="actor_day" if rule.distinct else "event",
            column=name,
            factors=_measure_tree(name, project),
        )
        for name, rule in project.measures.items()
    }


def _measure_tree(name: str, project: Project) -> tuple[str, ...]:
    """Active days, opens (sessions where no measure is called so) and the measure."""
    if name == "opens" or (project.session.start or "") in project.measures[name].event:
        return ("active_days", name)
    return ("active_days", "opens" if "opens" in project.measures else "sessions", name)


def _measure_words(name: str, project: Project) -> str:
    rule = project.measures[name]
    of = f" of {', '.join(rule.event)}" if rule.event else ""
    if rule.distinct:
        return f"Distinct {rule.distinct} per actor and day{of}, added up."
    return f"Sum of {rule.sum}{of}." if rule.sum else f"Events{of}."


# --- a project's own


def _with_own(known: dict[str, Metric], project: Project) -> dict[str, Metric]:
    """The metrics with those of `metrics/*.yml`, whose names, parts and conditions are checked."""
    files = {path.stem: path for path in sorted((project.root / OWN).glob("*.yml"))}
    own = {name: _titled(load_yaml(path, Metric, name=name)) for name, path in files.items()}
    taken = dict(_names(known.values()))
    found = {**known, **own}
    for name, metric in own.items():
        where = f"{OWN}/{files[name].name}"
        if not _NAME.fullmatch(metric.name):
            raise DefinitionError(
                f"{where}: '{metric.name}' is no name for a metric.", hint="Use letters, digits and _: plays_per_user."
            )
        for called in (name, *metric.aliases):
            if called.lower() in taken:
                raise DefinitionError(
                    f"{where}: there is a metric '{called}' already ({taken[called.lower()]}).",
                    hint="Choose another name; `tide metrics list` has those that are taken.",
                )
            taken[called.lower()] = where
        _check(metric, found, where)
        if metric.factors:
            line = line_in(files[name], "factors")
            check_factors(metric, partial(_named, known=found), found, f"{where}:{line}")
    return found


def _titled(metric: Metric) -> Metric:
    return metric if metric.title else metric.model_copy(update={"title": metric.name.replace("_", " ").capitalize()})


def _names(metrics: Iterable[Metric]) -> Iterable[tuple[str, str]]:
    for metric in metrics:
        what = "built-in" if metric.name in built_in() else "a measure of the project"
        yield metric.name.lower(), what
        for alias in metric.aliases:
            yield alias, what


def _check(metric: Metric, known: Mapping[str, Metric], where: str) -> None:
    """Raise for SQL that is not portable, and for parts that are not there or cannot be put together."""
    texts = {"where": metric.where, "expression": None if metric.kind == "formula" else metric.expression}
    for key, text in texts.items():
        if text is not None:
            try:
                check_expression(text)
            except QueryError as error:
                raise DefinitionError(f"{where}, {key}: {error}", hint=error.hint) from error
    for name in metric.parts:
        if _named(name, known) is None:
            raise UnknownNameError("metric", name, known, where=where)
    _check_parts(metric, known, where, ())


def _check_parts(metric: Metric, known: Mapping[str, Metric], where: str, above: tuple[str, ...]) -> None:
    if metric.name in above:
        circle = " -> ".join([*above, metric.name])
        raise DefinitionError(f"{where}: metrics are made from each other in a circle: {circle}.")
    parts = [part for name in metric.parts if (part := _named(name, known)) is not None]
    for part in parts:
        _check_parts(part, known, where, (*above, metric.name))
    if metric.kind == "formula":
        kinds = {name: part.kind for name in metric.parts if (part := _named(name, known)) is not None}
        try:
            metric.formula.check_sums(lambda name: kinds.get(name) in DISTINCT)
        except DefinitionError as error:
            raise DefinitionError(f"{where}: {error}", hint=error.hint) from error
    elif parts:
        for part in parts:
            _check_part(part, where)


def _check_part(part: Metric, where: str) -> None:
    """A ratio is made of what each actor has: a sum, or the actor itself."""
    rolls = (part.window_days or 1) > 1
    if part.kind not in ("sum", "distinct", "typical") or part.fact == "count" or rolls:
        why = (
            f"{part.name} looks at a rolling window"
            if rolls
            else f"{part.name} is a {part.kind} of {part.fact or 'other metrics'}"
        )
        raise DefinitionError(
            f"{where}: a ratio is made of sums and distinct actors of the same period; {why}.",
            hint=f"Write `kind: formula` and `expression: a / b`, which divides the values of any two metrics, "
            f"or name a sum in the place of {part.name}.",
        )


def parts_of(metric: Metric, known: Mapping[str, Metric]) -> dict[str, Metric]:
    """The metrics that a metric is worked out from, by the names that it uses.

    A built-in metric can name a measure that the project does not declare: that part is left out.
    """
    return {name: part for name in metric.parts if (part := _named(name, known)) is not None}


def tree_of(metric: Metric, known: Mapping[str, Metric]) -> tuple[Metric, ...]:
    """The quantities of a metric's tree (`factors:`), from the widest to itself; empty where it has none."""
    return factors_of(metric, partial(_named, known=known))


def all_parts(metric: Metric, known: Mapping[str, Metric]) -> list[Metric]:
    """Its parts, theirs, and so on, each once."""
    found: dict[str, Metric] = {}
    for part in parts_of(metric, known).values():
        found |= {part.name: part} | {inner.name: inner for inner in all_parts(part, known)}
    return list(found.values())


# --- count facts


def count_measures(source: Source) -> tuple[str, ...]:
    """The measures of a count source."""
    return source.measures or (("views",) if source.kind == "projectviews" else ())


def _count_metrics(sources: Mapping[str, Source]) -> dict[str, Metric]:
    """`SOURCE.MEASURE` for each count source, the bare measure where one source has it, and `views`."""
    counts = {name: source for name, source in sorted(sources.items()) if source.fact == "count"}
    found: dict[str, Metric] = {}
    bare: dict[str, list[Metric]] = {}
    for name, source in counts.items():
        for measure in count_measures(source):
            metric = Metric(
                name=f"{name}.{measure}",
                title=f"{measure.replace('_', ' ').capitalize()} of {name}",
                description=f"Sum of {measure} over received hours or days of {name}.",
                kind="sum",
                fact="count",
                column=measure,
                source=name,
            )
            found[metric.name] = metric
            bare.setdefault(measure, []).append(metric)
    for measure, holders in bare.items():
        if len(holders) == 1 and measure not in found:
            found[measure] = holders[0].model_copy(update={"name": measure})
    primary = next((metric for metric in found.values() if metric.source is not None), None)
    if primary is not None:
        first = count_measures(counts[primary.source or ""])
        column = "views" if "views" in first else first[0]
        views = found.get("views") or found[f"{primary.source}.{column}"]
        aliases = ("dau_views", "wau_views", "mau_views")
        found["views"] = views.model_copy(update={"name": "views", "aliases": aliases})
    return found


# --- by name


def find_metric(name: str, project: Project, sources: Mapping[str, Source]) -> Metric:
    """The metric of this name or alias.

    Raises:
        UnknownNameError: There is none.
    """
    return metric_named(name, catalogue(project, sources))


def metric_named(name: str, known: Mapping[str, Metric]) -> Metric:
    """One of these metrics by its name or alias.

    Raises:
        UnknownNameError: None has it.
    """
    found = _named(name, known)
    if found is not None:
        return found
    names = [*known, *(alias for metric in known.values() for alias in metric.aliases)]
    more = "`tide metrics list` lists them all."
    if _named(name, built_in()) is not None:
        raise DefinitionError(
            f"'{name}' is of events, and this project has sources of counts only.",
            hint=f"Known: {', '.join(known)}. {more}",
        )
    if _NAME.fullmatch(name) and any(metric.kind == "distinct" for metric in known.values()):
        more += f" A count of your own is a measure of tide.yml: measures: {{{name}: {{event: NAME}}}}."
    raise UnknownNameError("metric", name, names, more=more)


def _named(name: str, known: Mapping[str, Metric]) -> Metric | None:
    if name in known:
        return known[name]
    wanted = name.lower()
    return next((metric for metric in known.values() if wanted in metric.aliases or wanted == metric.name), None)
