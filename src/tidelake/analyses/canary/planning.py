"""`tide canary plan`: candidates for a trial, read from what actors did on the last complete days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from tidelake.analyses.canary.plan import WINDOWS, Moments, Proposal, Segment, propose
from tidelake.analyses.canary.reading import complete_days, member_rows, question_of
from tidelake.analyses.canary.sequential import SCALE
from tidelake.analyses.canary.verdict import MARGIN, Aim
from tidelake.config import Project, Settings
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.errors import DefinitionError
from tidelake.gold.context import Gold, open_gold
from tidelake.gold.dates import Tables
from tidelake.gold.sqltext import date_literal, exact_sum
from tidelake.metrics.answer import Answer, sources_of, version_of
from tidelake.metrics.catalogue import catalogue
from tidelake.metrics.dimensions import UNKNOWN
from tidelake.metrics.question import Question

ALPHA = 0.05
MOST_SEGMENTS = 200
_SHARE = {"unit": "share"}
SCHEMA = pa.schema(
    [
        pa.field("metric", pa.string()),
        pa.field("definition_version", pa.string()),
        pa.field("segment", pa.string()),
        pa.field("verdict", pa.string()),
        pa.field("days", pa.int64()),
        pa.field("actors", pa.int64()),
        pa.field("detectable", pa.float64(), metadata=_SHARE),
        pa.field("detectable_once", pa.float64(), metadata=_SHARE),
        pa.field("share_of_metric", pa.float64(), metadata=_SHARE),
        pa.field("level", pa.float64()),
        pa.field("unsteadiness", pa.float64(), metadata=_SHARE),
        pa.field("status", pa.string()),
        pa.field("watermark", pa.timestamp("us", "UTC")),
        pa.field("engine", pa.string()),
    ]
)


_SHOWN = 12
_FOR_PEOPLE = ("metric", "segment", "days", "actors", "detectable", "share_of_metric", "level", "unsteadiness")


@dataclass(frozen=True, repr=False)
class PlanResult(Answer):
    """Segments to try a release in."""

    def for_people(self) -> Result:
        """What is proposed, and what is nearest to it."""
        rows = self.to_dicts()
        proposed = {row["segment"] for row in rows if row["verdict"] == "try here"}
        named = {*proposed, *[row["segment"] for row in rows if row["segment"] not in proposed][:_SHOWN]}
        kept = [row for row in rows if row["segment"] in named]
        several = len({row["metric"] for row in rows}) > 1
        names = [name for name in (*_FOR_PEOPLE, "verdict") if several or name != "metric"]
        schema = pa.schema([SCHEMA.field(name) for name in names])
        table = pa.Table.from_pylist([{name: row[name] for name in names} for row in kept], schema=schema)
        fewer = len(rows) - len(kept)
        more = (f"{fewer} further rows have less to say for them: --format json has them all",) if fewer else ()
        return Result(table, self.sql, self.sources, self.title, (*self.notes, *more))


class CanaryPlan(Settings):
    """What a trial should be able to show.

    Attributes:
        metrics: `NAME[,up|down][,MARGIN]`; the first decides which segments are proposed.
        guardrails: Written alike.
        effect: Relative change that must be seen, where a metric does not say another margin.
        share: Of the segment's actors that get the release.
        power: Probability with which the effect is seen.
        most: Share of the metric above which a segment is not of low impact.
        depth: Dimensions that a segment may name.
        expected: As of `Canary`.
    """

    metrics: tuple[str, ...] = Field(min_length=1)
    guardrails: tuple[str, ...] = ()
    effect: float = Field(MARGIN, gt=0, lt=1)
    share: float = Field(0.5, gt=0, lt=1)
    power: float = Field(0.8, gt=0, lt=1)
    most: float = Field(0.2, gt=0, le=1)
    depth: int = Field(2, ge=1, le=3)
    expected: float = Field(SCALE, gt=0, lt=1)


def canary_plan(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    definition: CanaryPlan,
    *,
    by: Sequence[str] = (),
    start: date | None = None,
    end: date | None = None,
    where: str | None = None,
) -> Result:
    """Segments to try a release in, those of low impact first.

    Args:
        by: Dimensions that segments are made of; none = the project's.
        start: First local date looked at; None = where the data begin.
        end: Last local date; None = where the data end. Only complete days count.
        where: SQL over silver's columns.

    Returns:
        A row a metric and segment: `days` = the shortest length measured in which the effect would be seen at one of
        the daily looks (null = none is long enough), `actors` in it, `detectable` = relative change seen in these
        days with daily looks, `detectable_once` with a single look at the end, `share_of_metric`, `level` beside the
        rest (1 = the same), `unsteadiness` = how far it strays from the rest from day to day. Further metrics and
        guardrails have rows for the segments that the first proposes.

    Raises:
        UnknownNameError: No such metric or dimension.
        DefinitionError: A metric cannot be compared, or no day is complete.
    """
    gold = open_gold(engine, lake, project, sources)
    names = (by,) if isinstance(by, str) else tuple(by) or tuple(project.dimensions)
    if not names:
        raise DefinitionError("A segment needs a dimension.", hint="Add --by region, or `dimensions:` in tide.yml.")
    return _Plan(gold, definition, names, start, end, where).answer()


@dataclass
class _Plan:
    gold: Gold
    asked: CanaryPlan
    names: tuple[str, ...]
    start: date | None
    end: date | None
    where: str | None

    def answer(self) -> Result:
        aims = [Aim.parse(text, margin=self.asked.effect) for text in self.asked.metrics]
        aims += [Aim.parse(text, margin=self.asked.effect, is_guardrail=True) for text in self.asked.guardrails]
        rows: list[dict[str, Any]] = []
        notes: list[str] = []
        chosen: list[str] | None = None
        tables: list[str] = []
        sql = ""
        for aim in aims:
            question = self._question(aim, ())
            proposals, found, days = self._proposals(aim, len(aims), chosen)
            tables += [name for name in found[1] if name not in tables]
            if chosen is None:
                sql = found[0]
                chosen = [one.name for one in proposals if one.verdict == "try here"]
                notes += self._notes(aims, proposals, days)
            rows += [self._row(question, one) for one in proposals]
        mark = question.observed.watermark
        fixed = {
            "definition_version": version_of(self.gold, self.asked),
            "status": "complete",
            "watermark": mark,
            "engine": self.gold.engine.capabilities.dialect,
        }
        return PlanResult(
            table=pa.Table.from_pylist([{**row, **fixed} for row in rows], schema=SCHEMA),
            sql=sql,
            sources=sources_of(self.gold, tables, self.names),
            title="Where to try a release",
            notes=tuple(notes),
        )

    @cached_property
    def _known(self) -> Any:
        return catalogue(self.gold.project, self.gold.sources)

    def _question(self, aim: Aim, by: Sequence[str]) -> Question:
        span = (self.start, self.end)
        return question_of(self.gold, aim.metric, self._known, by, span=span, where=self.where)

    def _proposals(
        self, aim: Aim, aims: int, chosen: Sequence[str] | None
    ) -> tuple[list[Proposal], tuple[str, tuple[str, ...]], list[date]]:
        segments: list[Segment] = []
        sql, tables, days = "", tuple[str, ...](), list[date]()
        for depth in range(1, min(self.asked.depth, len(self.names)) + 1):
            for names in combinations(self.names, depth):
                found, sql, tables, days = self._segments(aim, names)
                segments += [one for one in found if chosen is None or one.name in chosen]
        segments = sorted(segments, key=lambda one: -one.days[:, 1].sum())[:MOST_SEGMENTS]
        asked = self.asked
        chances = {"share": asked.share, "power": asked.power, "alpha": ALPHA / aims}
        return (
            propose(segments, effect=aim.margin, scale=asked.expected, most=asked.most, **chances),
            (sql, tables),
            days,
        )

    def _segments(self, aim: Aim, names: Sequence[str]) -> tuple[list[Segment], str, tuple[str, ...], list[date]]:
        """The combinations of values of some dimensions, with their moments and days."""
        question = self._question(aim, names)
        days = complete_days(question)
        if not days:
            raise DefinitionError("No day of these is complete.", hint="`tide measure dau` shows the days' status.")
        members, columns, tables = member_rows(question)
        lengths = sorted({*(one for one in WINDOWS if one <= len(days)), min(len(days), WINDOWS[-1])})
        cut = ", ".join(columns)
        known = " AND ".join(f"{name} <> '{UNKNOWN}'" for name in columns)
        span = f"period_start BETWEEN {date_literal(days[0])} AND {date_literal(days[-1])}"
        rows = f"SELECT * FROM ({members}) AS members WHERE actor_id IS NOT NULL AND {span} AND {known}"
        listed = {date_literal(days[-length]): length for length in lengths}
        parts = ", ".join(
            f"{exact_sum(f'CASE WHEN period_start >= {first} THEN coalesce({part}, 0) END', 'WIDE')} AS {name}{length}"
            for first, length in listed.items()
            for part, name in (("numerator", "y"), ("denominator", "x"))
        )
        by_actor = f"SELECT {cut}, actor_id, {parts} FROM ({rows}) AS members GROUP BY {cut}, actor_id"
        sums = ", ".join(
            f"{exact_sum(f'{left}{length} * {right}{length}' if right else f'{left}{length}', 'WIDE')} "
            f"AS {left}{right}_{length}"
            for length in lengths
            for left, right in (("y", ""), ("x", ""), ("y", "y"), ("x", "y"), ("x", "x"))
        )
        counts = ", ".join(f"count(*) FILTER (WHERE x{length} > 0) AS n_{length}" for length in lengths)
        moments = f"SELECT {cut}, {counts}, {sums} FROM ({by_actor}) AS by_actor GROUP BY {cut} ORDER BY {cut}"
        daily = (
            f"SELECT {cut}, period_start, {exact_sum('coalesce(numerator, 0)', 'WIDE')} AS y, "
            f"{exact_sum('coalesce(denominator, 0)', 'WIDE')} AS x FROM ({rows}) AS members "
            f"GROUP BY {cut}, period_start"
        )
        found = question.rows_of(moments)
        series = _series(question.rows_of(daily), columns, days)
        whole = sum(series.values(), np.zeros((len(days), 2)))
        segments = []
        for row in found:
            key = tuple(row[name] for name in columns)
            windows = {length: _moments(row, length) for length in lengths}
            values = tuple(zip(names, key, strict=True))
            segments.append(Segment(values, windows, series[key], whole - series[key]))
        return segments, moments, tables, days

    def _row(self, question: Question, one: Proposal) -> dict[str, Any]:
        return {
            "metric": question.metric.name,
            "segment": one.name,
            "verdict": one.verdict,
            "days": one.days,
            "actors": one.actors,
            "detectable": one.effect,
            "detectable_once": one.effect_once,
            "share_of_metric": one.share,
            "level": one.level,
            "unsteadiness": one.unsteadiness,
        }

    def _notes(self, aims: Sequence[Aim], proposals: Sequence[Proposal], days: Sequence[date]) -> list[str]:
        """What was looked at, and the alerts to set."""
        asked, best = self.asked, next((one for one in proposals if one.verdict == "try here"), None)
        told = (
            f"from {len(days)} complete days, {days[0]} to {days[-1]}; {100 * asked.share:.3g} % of a segment's actors "
            f"get the release; power {100 * asked.power:.3g} %; looks at every day, 5 % false alarms over all of them"
        )
        said = [told]
        if best is None:
            seen = [one for one in proposals if one.effect is not None]
            nearest = min(seen, key=lambda one: one.effect or 0, default=None)
            told = f"; nearest: {nearest.name}, which would show {100 * (nearest.effect or 0):.1f} %" if nearest else ""
            return [*said, f"no segment is small, steady, like the rest and large enough{told}"]
        where = " AND ".join(f"{name} = '{value}'" for name, value in best.values)
        options = " ".join(
            f"--{'guardrail' if aim.is_guardrail else 'metric'} {aim.metric},{aim.direction},{100 * aim.margin:g}%"
            for aim in aims
        )
        length = max(best.days or 0, 7)
        said.append(
            f"try {best.name} for {length} days"
            + (" (a whole week, so that each weekday is in it)" if length > (best.days or 0) else "")
            + f": {best.actors:,} actors, {100 * best.share:.1f} % of the metric at risk"
        )
        said.append(
            f"alert, after each build: tide canary --release COLUMN=NEW --control OLD {options} "
            f'--share {asked.share:g} --where "{where}" --fail-on worse; exit 4 = stop'
        )
        said.append("alert: sample ratio `mismatch` (p < .001) = assignment or logging is broken: no verdict holds")
        said.append("alert: drift `shifted` (PSI of 0.25 and more, above chance) = the model is fed something else")
        return said


def _moments(row: Mapping[str, Any], length: int) -> Moments:
    parts = (float(row[f"{name}_{length}"] or 0) for name in ("y", "x", "yy", "xy", "xx"))
    return Moments(int(row[f"n_{length}"]), *parts)


def _series(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], days: Sequence[date]) -> dict[Any, Any]:
    """Numerator and denominator of each day by segment; shape (days, 2)."""
    place = {day: at for at, day in enumerate(days)}
    found: dict[Any, Any] = {}
    for row in rows:
        if row["period_start"] in place:
            series = found.setdefault(tuple(row[name] for name in columns), np.zeros((len(days), 2)))
            series[place[row["period_start"]]] = (row["y"] or 0, row["x"] or 0)
    return found
