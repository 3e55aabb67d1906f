"""What a metric means: the model of `metrics/definitions/*.yml` and of a project's `metrics/*.yml`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tidelake.config import Project, Settings
from tidelake.gold.model import definition_hash
from tidelake.metrics.formulas import Formula, parse_formula

Fact = Literal["event", "session", "actor_day", "count"]
Grain = Literal["day", "week", "month"]
Kind = Literal["sum", "distinct", "mean_of_days", "ratio", "quantile", "typical", "formula"]
GRAINS: tuple[Grain, ...] = ("day", "week", "month")
DISTINCT: tuple[Kind, ...] = ("distinct", "mean_of_days", "typical")
_HASHED_ALWAYS = frozenset(  # what the first definitions had: their hashes stay as they were
    ("name", "title", "description", "unit", "kind", "fact", "column", "expression", "window_days", "quantile")
) | {"grains", "aliases", "source"}


class Metric(Settings):
    """What a metric means: one file a metric."""

    name: str
    title: str = Field("", description="what tables and charts are headed with")
    description: str = Field("", description="one or two sentences for whoever reads the number")
    owner: str | None = Field(None, description="whom to ask about it")
    unit: str | None = Field(None, description="what the value is counted in; share prints as a percentage")
    kind: Kind = Field(
        description="sum: amounts added up; distinct: different actors; mean_of_days: mean of the days' distinct "
        "actors; ratio: mean of `expression` over rows, or of two metrics' sums over actors; quantile: of "
        "`expression` over rows; typical: actors whose median over their rows of the period lies within "
        "`at_least` and `below`; formula: arithmetic over other metrics' values",
    )
    fact: Fact | None = Field(
        None, description="what a row is: an event, a session, an actor's day, or a count of a count source"
    )
    event: tuple[str, ...] = Field((), description="event facts: only events of these names; empty = all")
    where: str | None = Field(
        None, description="SQL condition over the fact's columns: silver's, gold.sessions', gold.user_day's"
    )
    column: str | None = Field(None, description="column that gold has added up already, such as a measure")
    expression: str | None = Field(
        None, description="SQL over the fact's columns; formulas: metrics' names, numbers, + - * / and brackets"
    )
    numerator: str | None = Field(None, description="ratio: the metric above the line, a sum or distinct actors")
    denominator: str | None = Field(None, description="ratio: the metric below the line, a sum or distinct actors")
    window_days: int | None = Field(None, gt=0, description="distinct: window that ends on the day; null = the period")
    quantile: float | None = Field(None, gt=0, lt=1, description="quantile, typical: which one; 0.5 is the median")
    at_least: float | None = Field(None, description="typical: the actor's median is not below this")
    below: float | None = Field(None, description="typical: the actor's median is below this")
    grains: tuple[Grain, ...] = Field(GRAINS, alias="grain", description="lengths of period that it can be asked for")
    dimensions: tuple[str, ...] | None = Field(None, description="by what it can be cut; null = all that its fact has")
    additive: bool | None = Field(
        None, description="whether its values may be added up; null = what the kind says, and it may not say more"
    )
    aliases: tuple[str, ...] = Field((), description="other names for it")
    source: str | None = Field(None, description="count facts: the source whose entities are counted")
    factors: tuple[str, ...] = Field(
        (),
        description="its tree, by which a change of it is explained: sums from the widest to itself (of a ratio from "
        "its denominator to its numerator), such as active_days, opens, plays, watch_seconds",
    )

    @field_validator("factors")
    @classmethod
    def _is_a_chain(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(value) == 1:
            raise ValueError("one quantity is no chain: name two or more, from the widest to the metric itself")
        for name in value:
            if value.count(name) > 1:
                raise ValueError(f"'{name}' stands there twice")
        return value

    @field_validator("event", "grains", "aliases", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("expression", mode="before", json_schema_input_type=str | float)
    @classmethod
    def _number_as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        for fault in _faults(self):
            raise ValueError(fault)
        return self

    @property
    def is_additive(self) -> bool:
        """Whether values of segments and periods may be added up."""
        return self.kind == "sum" and self.fact != "actor_day" and self.additive is not False

    @property
    def is_rolling(self) -> bool:
        return self.window_days is not None

    @property
    def is_of_metrics(self) -> bool:
        """Whether it is worked out from other metrics."""
        return self.kind == "formula" or self.numerator is not None

    @property
    def formula(self) -> Formula:
        """The arithmetic of a formula."""
        return parse_formula(self.expression or "")

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the metrics that it is worked out from."""
        if self.kind == "formula":
            return self.formula.names
        return (self.numerator, self.denominator) if self.numerator and self.denominator else ()

    def version(self, project: Project, parts: Iterable[Metric] = ()) -> str:
        """Hash of the definition, of those of its parts, and of the settings that it depends on."""
        settings = project.model_dump(include={"timezone", "week_start", "activity", "session", "watch", "measures"})
        more = [part._hashed() for part in parts]
        return definition_hash(self._hashed(), settings, *([more] if more else []))[:12]

    def _hashed(self) -> dict[str, Any]:
        fields = type(self).model_fields
        told = {"owner", "factors"}  # of it, without changing its numbers
        return {
            name: value
            for name, value in self.model_dump(exclude=told).items()
            if name in _HASHED_ALWAYS or value != fields[name].default
        }


def _faults(metric: Metric) -> Iterable[str]:
    """What does not fit together, in words for the file's author."""
    if metric.kind == "formula":
        yield from _formula_faults(metric)
        return
    if (metric.numerator is None) != (metric.denominator is None):
        yield "a ratio of two metrics needs `numerator:` and `denominator:`"
    if metric.numerator is not None:
        yield from _ratio_faults(metric)
        return
    if metric.fact is None:
        yield "`fact:` is missing: event, session, actor_day or count"
    yield from _fact_faults(metric)
    yield from _kind_faults(metric)


def _formula_faults(metric: Metric) -> Iterable[str]:
    if not metric.expression:
        yield "a formula needs `expression:`, such as plays / active_users"
        return
    yield from _not_of_its_own(metric, "a formula")
    if not metric.formula.names:
        yield f"the formula '{metric.expression}' names no metric"


def _ratio_faults(metric: Metric) -> Iterable[str]:
    if metric.kind != "ratio":
        yield f"`numerator:` and `denominator:` make a ratio, not a {metric.kind}"
    if metric.expression:
        yield "a ratio has either `expression:` or `numerator:` and `denominator:`"
    yield from _not_of_its_own(metric, "a ratio of two metrics")


def _not_of_its_own(metric: Metric, what: str) -> Iterable[str]:
    for name in ("fact", "event", "where", "column", "window_days", "quantile", "source"):
        if getattr(metric, name):
            yield f"{what} has no `{name}:` of its own: its parts have"
    if metric.additive:
        yield f"{what} is not additive: its values may not be added up"


def _fact_faults(metric: Metric) -> Iterable[str]:
    if metric.fact == "count" and metric.source is None:
        yield "count facts need `source:`, the count source whose entities are counted"
    if metric.fact == "count" and (metric.kind != "sum" or metric.column is None):
        yield "count facts have sums only: `kind: sum` with `column:`, a measure of the source"
    if metric.fact != "count" and metric.source is not None:
        yield "`source:` is for count facts; metrics of events can be cut by the dimension `source`"
    if metric.event and metric.fact != "event":
        yield "`event:` is for event facts; count those events as a measure in tide.yml and name it in `where:`"


def _kind_faults(metric: Metric) -> Iterable[str]:
    if metric.kind in ("ratio", "quantile", "typical") and not metric.expression:
        more = ", or `numerator:` and `denominator:`" if metric.kind == "ratio" else ""
        yield f"a {metric.kind} needs `expression:`{more}"
    if metric.kind in ("distinct", "mean_of_days") and (metric.expression or metric.column):
        yield f"{metric.kind} counts actors: say which by `event:` or `where:`, not by a column or an expression"
    if metric.kind == "sum" and metric.expression and metric.column:
        yield "a sum has `column:` or `expression:`, not both"
    if metric.kind == "sum" and metric.fact in ("session", "actor_day") and not (metric.expression or metric.column):
        yield f"a sum over {metric.fact} facts needs `expression:` (1 counts them)"
    if metric.window_days is not None and metric.kind != "distinct":
        yield "`window_days:` is for distinct actors"
    if metric.kind == "quantile" and metric.quantile is None:
        yield "a quantile needs `quantile:`; 0.5 is the median"
    if metric.kind == "typical" and metric.fact not in ("actor_day", "session"):
        yield "typical is of actor_day or session facts"
    if metric.kind == "typical" and metric.at_least is None and metric.below is None:
        yield "typical needs `at_least:`, `below:` or both"
    if metric.kind != "typical" and (metric.at_least is not None or metric.below is not None):
        yield "`at_least:` and `below:` are for typical"
    if metric.additive and metric.kind != "sum":
        yield f"{metric.kind} is not additive: one actor may stand in several segments and periods"
