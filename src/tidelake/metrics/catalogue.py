"""The metrics that a project can be asked for: built-in ones, and one for each measure it declares."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from tidelake.config import Project, Settings, load_yaml
from tidelake.contracts.source import Source
from tidelake.errors import UnknownNameError
from tidelake.gold.model import definition_hash

Fact = Literal["event", "session", "actor_day", "count"]
Grain = Literal["day", "week", "month"]
GRAINS: tuple[Grain, ...] = ("day", "week", "month")
FOLDER = Path(__file__).parent / "definitions"


class Metric(Settings):
    """What a metric means.

    Attributes:
        kind: The mathematics (`metrics/kinds`).
        fact: What is counted: `event` rows, `session` rows, `actor_day` rows, or `count` facts of entities.
        column: Column of the gold table that is added up.
        expression: SQL over the session whose values are added up, averaged or ranked.
        window_days: Rolling window that ends on the day; null = the calendar period.
        source: Count facts: the source whose entities are counted.
    """

    name: str
    title: str = ""
    description: str = ""
    unit: str | None = None
    kind: Literal["sum", "distinct", "mean_of_days", "ratio", "quantile"]
    fact: Fact
    column: str | None = None
    expression: str | None = None
    window_days: int | None = Field(None, gt=0)
    quantile: float | None = Field(None, gt=0, lt=1)
    grains: tuple[Grain, ...] = GRAINS
    aliases: tuple[str, ...] = ()
    source: str | None = None

    @property
    def is_additive(self) -> bool:
        """Whether values of segments and periods may be added up."""
        return self.kind == "sum" and self.fact != "actor_day"

    @property
    def is_rolling(self) -> bool:
        return self.window_days is not None

    def version(self, project: Project) -> str:
        """Hash of the definition and of the settings that it depends on."""
        settings = project.model_dump(include={"timezone", "week_start", "activity", "session", "watch", "measures"})
        return definition_hash(self.model_dump(), settings)[:12]


@lru_cache(maxsize=1)
def built_in() -> Mapping[str, Metric]:
    """The metrics of `metrics/definitions`, by name."""
    return {path.stem: load_yaml(path, Metric, name=path.stem) for path in sorted(FOLDER.glob("*.yml"))}


def catalogue(project: Project, sources: Mapping[str, Source]) -> dict[str, Metric]:
    """Every metric of a project by name; aliases are not listed."""
    found: dict[str, Metric] = {}
    if any(source.fact == "event" for source in sources.values()):
        found |= built_in()
        for name, rule in project.measures.items():
            found[name] = Metric(
                name=name,
                title=name.replace("_", " ").capitalize(),
                description=_measure_words(name, project),
                kind="sum",
                fact="actor_day" if rule.distinct else "event",
                column=name,
            )
    return found | _count_metrics(sources)


def _measure_words(name: str, project: Project) -> str:
    rule = project.measures[name]
    of = f" of {', '.join(rule.event)}" if rule.event else ""
    if rule.distinct:
        return f"Distinct {rule.distinct} per actor and day{of}, added up."
    return f"Sum of {rule.sum}{of}." if rule.sum else f"Events{of}."


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
    if name in known:
        return known[name]
    wanted = name.lower()
    for metric in known.values():
        if wanted in metric.aliases or wanted == metric.name:
            return metric
    names = [*known, *(alias for metric in known.values() for alias in metric.aliases)]
    raise UnknownNameError("metric", name, names, more="`tide metrics list` lists them all.")
