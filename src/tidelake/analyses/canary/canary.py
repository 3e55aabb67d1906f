"""`tide canary`: a release beside its control, in the days and segments in which both run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Any

from pydantic import Field

from tidelake.analyses.canary.compare import Rows, codes, compare, rows_of
from tidelake.analyses.canary.drift import drift
from tidelake.analyses.canary.logs import Log, fed, find_log, played, servings_of, values_of
from tidelake.analyses.canary.reading import ActorRows, Release, question_of, read_actors, write_units
from tidelake.analyses.canary.result import CanaryResult, compared_row, drift_row, result_table
from tidelake.analyses.canary.sequential import SCALE
from tidelake.analyses.canary.served import diversity
from tidelake.analyses.canary.shares import ShareCheck, check_shares
from tidelake.analyses.canary.verdict import MARGIN, Aim, Judged, judge, overall
from tidelake.config import Project, Settings
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.errors import DefinitionError
from tidelake.gold.context import Gold, open_gold
from tidelake.gold.dates import Tables
from tidelake.metrics.answer import sources_of, version_of
from tidelake.metrics.catalogue import catalogue

ALPHA = 0.05  # of the overall verdict being wrong, over all looks
DIVERSITY_MARGIN = 0.1
CATEGORY = "category"
_ALL = "all"


class Canary(Settings):
    """What is compared, and what would be good.

    Attributes:
        release: `COLUMN=NEW`.
        control: The column's other value.
        metrics: What should get better: `NAME[,up|down][,MARGIN]`.
        guardrails: What must not get worse, written alike.
        margin: Least relative change that matters, where an aim does not say another.
        share: The release's share of the actors, as it was meant; None = not checked.
        expected: Size of effect for which the bound is tightest; fixed before the first look.
        log: Source with what was served and fed; None = `features`, where there is one.
        served: Its column of what was served; None = `watch: content:` of tide.yml.
        features: Its columns of what the model was fed; none = all that hold numbers.
    """

    release: str
    control: str
    metrics: tuple[str, ...] = Field(min_length=1)
    guardrails: tuple[str, ...] = ()
    margin: float = Field(MARGIN, gt=0, lt=1)
    share: float | None = Field(None, gt=0, lt=1)
    expected: float = Field(SCALE, gt=0, lt=1)
    log: str | None = None
    served: str | None = None
    features: tuple[str, ...] = ()

    @property
    def compared(self) -> Release:
        """The column and the two values.

        Raises:
            DefinitionError: `release` does not say COLUMN=NEW, or the control is the release.
        """
        column, sign, new = (part.strip() for part in self.release.partition("="))
        if not sign or not column or not new:
            hint = "Write --release model_version=v4.2."
            raise DefinitionError(f"The release '{self.release}' does not say COLUMN=NEW.", hint=hint)
        control = self.control.removeprefix(f"{column}=").strip()
        if control == new:
            raise DefinitionError(f"'{new}' is both the release and its control.")
        return Release(column, new, control)

    @property
    def aims(self) -> tuple[Aim, ...]:
        """Metrics, then guardrails."""
        metrics = [Aim.parse(text, margin=self.margin) for text in self.metrics]
        guards = [Aim.parse(text, margin=self.margin, is_guardrail=True) for text in self.guardrails]
        return (*metrics, *guards)


def canary(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    definition: Canary,
    *,
    by: Sequence[str] = (),
    start: date | None = None,
    end: date | None = None,
    where: str | None = None,
) -> CanaryResult:
    """A release beside its control, standardised over segments and days.

    Args:
        by: Dimensions whose mix is made the same, and by whose values is looked too; none = the project's.
        start: First local date; None = where the data begin.
        end: Last local date; None = where the data end. Only complete days are compared.
        where: SQL over silver's columns.

    Returns:
        A row a finding: `check` = metric, guardrail, diversity, drift or sample ratio; `segment` = all, or
        `dimension=value`. `new`, `control`: values with the same mix of segments and days. `difference` and `ratio`
        with the 95 % interval of one look; `always_low` and `always_high`: bounds of the ratio that hold at every look
        together with probability `level`. Verdicts rest on these. Of diversity, `new` and `control` are effective
        numbers of titles; of drift, see `drift.Drift`.

    Raises:
        UnknownNameError: No such metric, dimension, column or source.
        DefinitionError: A metric cannot be compared; nobody had the release, or its control.
        QueryError: `where` is not one portable condition.
    """
    gold = open_gold(engine, lake, project, sources)
    chosen = (by,) if isinstance(by, str) else tuple(by)
    return _Canary(gold, definition, chosen, start, end, where).answer()


@dataclass
class _Canary:
    gold: Gold
    asked: Canary
    by: tuple[str, ...]
    start: date | None
    end: date | None
    where: str | None
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    _watermark: datetime | None = None

    def answer(self) -> CanaryResult:
        release, aims = self.release, self.asked.aims
        judged: list[tuple[Aim, Judged]] = []
        sql, check = "", None
        days: tuple[date, ...] = ()
        write_units(self.gold, release, self.names, self.start, self.end)
        for aim in aims:
            found = self._read(aim)
            if check is None:
                sql, days = found.sql, found.common.days
                check = check_shares(rows_of(found.table, self.names), self.names, declared=self.asked.share)
                self._say_days(found)
            judged.append((aim, self._compare(aim, found, len(aims), check)))
        if check is not None:
            self._shares(check)
        self._logs(days)
        verdict = overall(judged)
        new, control = release.new, release.control
        told = "; ".join(f"{aim.metric} {one.reason}" for aim, one in judged if one.verdict == verdict)
        self.notes.insert(0, f"verdict: {verdict}" + (f": {told}" if told else ""))
        mark = self._watermark
        fixed = {
            "first_day": days[0] if days else None,
            "last_day": days[-1] if days else None,
            "status": "complete" if days else "missing",
            "watermark": mark,
            "engine": self.gold.engine.capabilities.dialect,
        }
        version = version_of(self.gold, self.asked)
        return CanaryResult(
            table=result_table([{"definition_version": version, **row, **fixed} for row in self.rows]),
            sql=sql,
            sources=sources_of(self.gold, self.tables, self.names),
            title=f"{release.column} {new} beside {control}",
            notes=tuple(self.notes),
            verdict=verdict,
            names=(new, control),
        )

    @cached_property
    def release(self) -> Release:
        return self.asked.compared

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The dimensions."""
        own = self.by or self.gold.project.dimensions
        if self.release.column in self.by:
            raise DefinitionError(f"'{self.release.column}' is both the release's column and a dimension.")
        return tuple(name for name in own if name != self.release.column)

    @cached_property
    def _known(self) -> Any:
        return catalogue(self.gold.project, self.gold.sources)

    # --- metrics and guardrails

    def _read(self, aim: Aim) -> ActorRows:
        span = (self.start, self.end)
        question = question_of(self.gold, aim.metric, self._known, (self.release.column,), span=span, where=self.where)
        found = read_actors(question, self.release, self.names)
        self.tables += [name for name in found.tables if name not in self.tables]
        self._watermark = question.observed.watermark
        if not found.table.num_rows:
            self._refuse(question)
        return found

    def _refuse(self, question: Any) -> None:
        """Say why nothing can be compared."""
        column, new, control = self.release.column, self.release.new, self.release.control
        values = ", ".join(self._values(column)) or "none"
        raise DefinitionError(
            f"There is no complete day on which at least ten actors had {column} {new} and ten had {control}.",
            hint=f"Values of {column} in the data: {values}. `tide measure dau --by {column}` shows when each ran.",
        )

    def _values(self, column: str) -> list[str]:
        if column not in self.gold.events.types:
            return []
        rows = self.gold.events.select(columns=[column])
        text = f'CAST("{column}" AS VARCHAR)'
        found = self.gold.query(f"SELECT DISTINCT {text} AS value FROM ({rows}) AS events")
        return sorted(row["value"] for row in found if row["value"] is not None)[:20]

    def _compare(self, aim: Aim, found: ActorRows, aims: int, check: ShareCheck) -> Judged:
        """Add the rows of one metric: over all, and by each value of each dimension."""
        rows = rows_of(found.table, self.names)
        whole = self._row(aim, found, rows, _ALL, ALPHA / aims, check)
        for at, name in enumerate(self.names):
            values = values_of(found.table, name)
            held = rows.segments[at]
            for number, value in enumerate(values):
                alpha = ALPHA / aims / len(values)
                self._row(aim, found, rows.where(held == number), f"{name}={value}", alpha, check)
        return whole

    def _row(self, aim: Aim, found: ActorRows, rows: Rows, segment: str, alpha: float, check: ShareCheck) -> Judged:
        compared = compare(rows)
        judged = judge(compared, aim, alpha=alpha, scale=self.asked.expected)
        if check.blocks:
            judged = Judged("cannot be told", f"sample ratio mismatch: {check.reason}", judged.low, judged.high)
        self.rows.append(
            {
                "metric": found.question.metric.name,
                "check": "guardrail" if aim.is_guardrail else "metric",
                "segment": segment,
                "level": 1 - alpha,
                "margin": aim.margin,
                "direction": aim.direction,
                **compared_row(compared, judged),
            }
        )
        if segment == _ALL and compared.compared_share < 0.95:
            self.notes.append(
                f"{found.question.metric.name}: {100 * compared.compared_share:.0f} % of what both have is in segments "
                "that both have with enough actors; only that is compared."
            )
        return judged

    def _say_days(self, found: ActorRows) -> None:
        common = found.common
        if not common.days:
            return
        told = f"compared: {len(common.days)} days, {common.days[0]} to {common.days[-1]}"
        if common.left_out:
            left = len(common.left_out)
            are = "day is" if left == 1 else "days are"
            told += f"; {left} complete {are} left out, on which hardly any actor had one of the two"
        new, control = (100 * share for share in common.shares)
        told += f"; {new:.0f} % of {self.release.new} and {control:.0f} % of {self.release.control} on these days"
        by = f" by {', '.join(self.names)}" if self.names else ""
        told += f"; both have the same mix{by} and by day"
        self.notes.append(told)
        self.notes.append("from, to: bounds of the change that hold at every look, however often one looks.")

    def _shares(self, check: ShareCheck) -> None:
        self.rows.append(
            {
                "metric": "actors",
                "check": "sample ratio",
                "segment": _ALL,
                "new": check.share,
                "control": check.declared,
                "new_actors": check.new,
                "control_actors": check.control,
                "verdict": check.verdict,
                "reason": check.reason,
            }
        )
        self.notes.append(f"sample ratio: {check.verdict}: {check.reason}")

    # --- what was served and fed

    def _logs(self, days: Sequence[date]) -> None:
        log = (
            find_log(self.gold, self.release, days, self.asked.log, self.where)
            if days
            else "not testable: no day is compared"
        )
        self._diversity(log, days)
        self._drift(log)

    def _diversity(self, log: Log | str, days: Sequence[date]) -> None:
        content = self.asked.served or self.gold.project.watch.content
        what = "titles served"
        if isinstance(log, Log) and content in log.columns:
            names = [name for name in self.names if name in log.columns]
            found: Any = servings_of(log, content, names)
        else:
            what = "titles played"
            names = [name for name in self.names if name in self.gold.events.types]
            found = played(self.gold, self.release, days, names, self.where) if days else log
        if isinstance(found, str):
            self._untestable("diversity", "titles", found)
            return
        servings, segments = found
        self._diverse(what, servings, _ALL, ALPHA)
        for name in names:
            held, values = codes(segments.column(name)), values_of(segments, name)
            for number, value in enumerate(values):
                self._diverse(what, servings.where(held == number), f"{name}={value}", ALPHA / len(values))
        if what == "titles played":
            self.notes.append("diversity is of what was played, for want of a log of what was served.")

    def _diverse(self, what: str, servings: Any, segment: str, alpha: float) -> None:
        aim = Aim(what, "up", DIVERSITY_MARGIN)
        compared = diversity(servings)
        judged = judge(compared, aim, alpha=alpha, scale=self.asked.expected)
        about = {"metric": f"effective number of {what}", "check": "diversity", "segment": segment}
        told = {"level": 1 - alpha, "margin": aim.margin, "direction": aim.direction}
        self.rows.append({**about, **told, **compared_row(compared, judged)})

    def _drift(self, log: Log | str) -> None:
        features = log.numbers(self.asked.features) if isinstance(log, Log) else []
        if isinstance(log, str) or not features:
            why = log if isinstance(log, str) else "not testable: column missing (numbers that a model was fed)"
            self._untestable("drift", "features", why)
            return
        names = [name for name in (*self.names, CATEGORY) if name in log.columns]
        pairs = list(fed(log, features, names))
        found = []
        for feature, name, value, new, control in pairs:
            one = drift(new, control, alpha=0.01 / len(pairs))
            found.append(one)
            segment = f"{name}={value}" if name else _ALL
            self.rows.append({"metric": feature, "check": "drift", "segment": segment, **drift_row(one)})
        self.tables.append(log.table)
        counted = {word: sum(one.verdict == word for one in found) for word in ("shifted", "look", "cannot be told")}
        self.notes.append(
            f"drift: {len(features)} features, {len(found)} looks at {log.table}: {counted['shifted']} shifted "
            f"(PSI of 0.25 and more), {counted['look']} to look at (0.10), {counted['cannot be told']} with too few "
            "actors to tell"
        )

    def _untestable(self, check: str, what: str, why: str) -> None:
        self.rows.append({"metric": what, "check": check, "segment": _ALL, "verdict": "not testable", "reason": why})
        self.notes.append(f"{check}: {why}")
