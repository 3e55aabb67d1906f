"""Feature adoption: the share of actors who could use a feature and did (METRICS section 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, Self, Unpack

import pyarrow as pa
from pydantic import Field, model_validator

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.contracts.table import quoted
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.errors import UnknownNameError
from tidelake.gold.dates import Tables
from tidelake.gold.sqltext import date_literal, day_start, micros, one_of
from tidelake.metrics.answer import NUMBERS, Answer, totals_table
from tidelake.metrics.choosing import Which, check_event_names, event_rows
from tidelake.metrics.dimensions import check_by, fact_dimensions, segment
from tidelake.metrics.event_question import DAY, EPOCH, NO_EVENTS, EventQuestion, Named, definition_from
from tidelake.metrics.intervals import wilson
from tidelake.metrics.levels import by_level
from tidelake.metrics.narrowing import Narrowing
from tidelake.metrics.quantile_bounds import median_bounds
from tidelake.metrics.versions import at_least, version_key

_WEEK = timedelta(days=7)


class Adoption(Named):
    """An adoption.

    Attributes:
        feature: The events that are uses of the feature.
        introduced_in: The version from which on there is the feature: eligible in a period is who was active in it
            with this or a later version.
        version: The column with the version.
        exposure: Events that show or open the feature to an actor: eligible is who has had one by the period's end.
        weeks: Retained adoption: of those who used it first, the share who use it again in the week that begins so
            many weeks later.
    """

    name: str = "adoption"
    feature: Which
    introduced_in: str | None = None
    version: str = "app_version"
    exposure: Which | None = None
    weeks: int = Field(4, ge=1)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.introduced_in is not None and self.exposure is not None:
            raise ValueError("name one of introduced_in and exposure: both say who is eligible")
        if self.introduced_in is not None and version_key(self.introduced_in) is None:
            raise ValueError(f"introduced_in '{self.introduced_in}' is no version: write 1.10 or 2.0.3")
        return self


def adoption_of(feature: str | Which, **options: Any) -> Adoption:
    """An adoption from texts.

    Raises:
        DefinitionError: The feature says no event, or options do not go together.
    """
    return definition_from(Adoption, feature=Which.parse(feature), **options)


@dataclass(frozen=True)
class AdoptionResult(Answer):
    """One row a period and segment.

    Attributes:
        totals: With dimensions, one row a period: `total` and `sum_of_segments` of the eligible actives, and their
            `overlap`.
    """

    totals: pa.Table | None = field(default=None)


@by_level
def adoption(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    definition: Adoption,
    **narrowed: Unpack[Narrowing],
) -> Result:
    """The share of eligible active actors who used a feature, by period.

    Args:
        narrowed: `by` the values at the time of an event: an actor with several counts in each of their rows.

    Returns:
        One row a period and segment. `numerator`: eligible actives who used the feature, `denominator`: eligible
        actives, `value`: their ratio with Wilson's interval; `uses`: by those in the numerator,
        `uses_per_adopter`: their depth; `triers`: actors whose first use ever lies in the period,
        `days_to_adopt_median`: from a trier's first eligible activity to the first use, with its 95 % bounds
        `days_to_adopt_low` and `_high` (null where few rows cannot give them); `triers_observed`: triers
        whose week for retained adoption has ended, `retained_share`: those of them who used it in that week.
    """
    return _Question.ask(engine, lake, project, sources, definition, **narrowed).answer()


@by_level
def adoption_members(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    definition: Adoption,
    **narrowed: Unpack[Narrowing],
) -> Result:
    """The eligible actives behind the numbers: one row per cell and actor, `in_numerator`, `in_denominator`, `uses`."""
    return _Question.ask(engine, lake, project, sources, definition, **narrowed).members()


class _Question(EventQuestion[Adoption]):
    def check(self) -> None:
        if self.where is not None:
            Which(where=self.where).check(self.gold)
        check_by(self.gold, self.by, fact_dimensions(self.gold, "event"))
        asked, known = self.definition, self.gold.events.types
        if asked.introduced_in is not None and asked.version not in known:
            raise UnknownNameError("column", asked.version, known, where="version")

    # --- who is eligible

    def _versions(self) -> list[str]:
        """Every version of the events."""
        name = self.definition.version
        rows = self.gold.events.select(columns=[name])
        found = self.gold.query(
            f"SELECT DISTINCT CAST({quoted(name)} AS VARCHAR) AS version FROM ({rows}) AS events "
            f"WHERE {quoted(name)} IS NOT NULL"
        )
        return [row["version"] for row in found]

    def _events(self, eligible: Sequence[str] | None) -> str:
        """SELECT of the events: actor_id, period_start (null outside of the range), t, used, is_eligible, s0 ..."""
        assert self.end is not None
        asked = self.definition
        flags = {"active_one": Which(active=True), "used": asked.feature}
        flags |= {"exposed": asked.exposure} if asked.exposure else {}
        version = [asked.version] if asked.introduced_in is not None else []
        rows = event_rows(
            self.gold,
            flags,
            columns=list(dict.fromkeys([*self.by, *version])),
            where=self.where,
            last=self.end + _WEEK * (asked.weeks + 1) + DAY,
        )
        fits = "active_one"
        if asked.introduced_in is not None:
            fits += f" AND coalesce({one_of(f'CAST({quoted(asked.version)} AS VARCHAR)', eligible or ())}, FALSE)"
        exposed = "CAST(NULL AS BIGINT)"
        if asked.exposure is not None:
            exposed = "min(CASE WHEN exposed THEN epoch_micros(event_time) END) OVER (PARTITION BY actor_id)"
        values = "".join(f", {segment(name)} AS s{index}" for index, name in enumerate(self.by))
        return (
            f"SELECT actor_id, CASE WHEN {self.within_dates('event_date')} THEN {self.period_of('event_date')} END "
            "AS period_start, event_time, "
            f"epoch_micros(event_time) AS t, active_one, used, {fits} AS is_eligible, {exposed} AS exposed_t{values}, "
            f"{', '.join(['seq', 'event_id', *self.gold.events.tie_names])} FROM ({rows}) AS events"
        )

    def _actors(self, events: str) -> str:
        """One row per period, segment and eligible active actor: `uses`."""
        kept = "max(CASE WHEN is_eligible THEN 1 ELSE 0 END) = 1"
        if self.definition.exposure is not None:
            ends = " ".join(
                f"WHEN period_start = {date_literal(first)} THEN {self._instant(after)}"
                for first, after in self.periods()
            )
            kept += f" AND min(exposed_t) < max(CASE {ends} END)"
        return (
            f"SELECT {self.keys}, actor_id, sum(CASE WHEN used THEN 1 ELSE 0 END) AS uses FROM ({events}) AS events "
            f"WHERE period_start IS NOT NULL GROUP BY {self.keys}, actor_id HAVING {kept}"
        )

    def _instant(self, day: date) -> int:
        return micros(day_start(day, self.gold.project.zone) - EPOCH)

    def _triers(self, events: str) -> str:
        """One row per actor whose first use lies in the range, with its cell, time to adopt and later use."""
        week = micros(_WEEK)
        after, before = week * self.definition.weeks, week * (self.definition.weeks + 1)
        could = "CASE WHEN is_eligible THEN t END"
        if self.definition.exposure is not None:
            could = "exposed_t"
        cell = "".join(f", max(CASE WHEN used AND place = 1 THEN {name} END) AS {name}" for name in self.segments)
        return (
            f"SELECT actor_id, max(CASE WHEN used AND place = 1 THEN period_start END) AS period_start{cell}, "
            f"min(first_use) AS first_use, min({could}) AS eligible_from, "
            f"max(CASE WHEN used AND t - first_use >= {after} AND t - first_use < {before} THEN 1 ELSE 0 END) AS again "
            "FROM (SELECT *, min(CASE WHEN used THEN t END) OVER (PARTITION BY actor_id) AS first_use, "
            f"row_number() OVER (PARTITION BY actor_id, used ORDER BY {self.gold.events.order('t')}) AS place "
            f"FROM ({events}) AS events) AS placed "
            "WHERE first_use IS NOT NULL GROUP BY actor_id"
        )

    # --- answers

    def answer(self) -> Result:
        if self.start is None or self.end is None:
            return self.result([], "", [NO_EVENTS], after=_AFTER)
        asked, notes = self.definition, list[str]()
        eligible = None
        if asked.introduced_in is not None:
            versions = self._versions()
            eligible = at_least(versions, asked.introduced_in)
            strange = [text for text in versions if version_key(text) is None]
            if strange:
                notes.append(f"No version numbers, so not eligible: {', '.join(sorted(strange)[:5])}.")
            if not eligible:
                notes.append(f"No event has {asked.version} {asked.introduced_in} or later.")
        elif asked.exposure is None:
            notes.append("Every active actor counts as eligible: nothing says who could use the feature.")
        events = self._events(eligible)
        sql = (
            f"SELECT {self.keys}, count(*) AS eligible_actives, count(*) FILTER (WHERE uses > 0) AS adopters, "
            f"sum(uses) AS uses FROM ({self._actors(events)}) AS actors GROUP BY {self.keys}"
        )
        found = self.gold.query(sql)
        is_observed = f"first_use + {micros(_WEEK) * (asked.weeks + 1)} <= {self.closed_until}"
        self.gold.temp(
            "adoption_triers", f"SELECT * FROM ({self._triers(events)}) AS triers WHERE period_start IS NOT NULL"
        )
        days = "(first_use - eligible_from) / 86400000000"
        triers = self.gold.query(
            f"SELECT {self.keys}, count(*) AS triers, "
            f"median(CASE WHEN eligible_from <= first_use THEN {days} END) AS days, "
            f"count(*) FILTER (WHERE {is_observed}) AS seen, "
            f"count(*) FILTER (WHERE {is_observed} AND again = 1) AS retained "
            f"FROM temp.adoption_triers AS triers GROUP BY {self.keys}"
        )
        bounds = median_bounds(
            self.gold,
            f"SELECT {self.keys}, actor_id, {days} AS amount FROM temp.adoption_triers AS triers "
            "WHERE eligible_from <= first_use",
            self.segments,
        )
        triers = [
            row | {"bounds": bounds.get(tuple(row[name] for name in ("period_start", *self.segments)))}
            for row in triers
        ]
        self.gold.forget("adoption_triers")
        named = [asked.feature, *([asked.exposure] if asked.exposure else [])]
        check_event_names(self.gold, named, is_met=any(row["uses"] for row in found))
        plain = self.result(self._rows(found, triers), sql, notes, after=_AFTER)
        totals = self._totals(eligible, found) if self.by else None
        return AdoptionResult(plain.table, plain.sql, plain.sources, plain.title, plain.notes, totals)

    def _totals(self, eligible: Sequence[str] | None, found: Sequence[Mapping[str, Any]]) -> pa.Table:
        """Eligible actives of each period against the sum of the segments: an actor may be in several."""
        whole = replace(self, by=())
        counted = whole.gold.query(
            f"SELECT period_start, count(*) AS n FROM ({whole._actors(whole._events(eligible))}) AS actors "
            "GROUP BY period_start"
        )
        total = {row["period_start"]: int(row["n"]) for row in counted}
        summed: dict[date, int] = {}
        for row in found:
            first = row["period_start"]
            summed[first] = summed.get(first, 0) + int(row["eligible_actives"])
        known = {key[0] for key, cell in whole.cells([()]) if cell["status"] != "missing"}
        return totals_table(
            (first, total.get(first, 0), summed.get(first, 0)) if first in known else (first, None, None)
            for first, _ in self.periods()
        )

    def members(self) -> Result:
        """One row per cell and eligible active actor."""
        if self.start is None:
            return self.members_result(None)
        asked = self.definition
        eligible = at_least(self._versions(), asked.introduced_in) if asked.introduced_in is not None else None
        sql = (
            f"SELECT {self.keys}, actor_id, CASE WHEN uses > 0 THEN 1 ELSE 0 END AS in_numerator, 1 AS in_denominator, "
            f"CAST(uses AS BIGINT) AS uses FROM ({self._actors(self._events(eligible))}) AS actors "
            f"ORDER BY {self.keys}, actor_id"
        )
        return self.members_result(sql)

    def _rows(self, found: Sequence[Mapping[str, Any]], tried: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        cells, triers = self.keyed(found), self.keyed(tried)
        rows = []
        for key, cell in self.cells([*cells, *triers]):
            numbers = self._numbers(cells.get(key, {}), triers.get(key, {}))
            rows.append(cell | (numbers if cell["status"] != "missing" else dict.fromkeys(_NUMBERS)))
        return rows

    def _numbers(self, cell: Mapping[str, Any], tries: Mapping[str, Any]) -> dict[str, Any]:
        adopters, actives = int(cell.get("adopters", 0)), int(cell.get("eligible_actives", 0))
        uses, seen, retained = int(cell.get("uses", 0)), int(tries.get("seen", 0)), int(tries.get("retained", 0))
        low, high = wilson(adopters, actives)
        retained_low, retained_high = wilson(retained, seen)
        numbers = [adopters / actives if actives else None, float(adopters), float(actives), actives, low, high]
        numbers += [uses, uses / adopters if adopters else None, int(tries.get("triers", 0)), tries.get("days")]
        numbers += tries.get("bounds") or (None, None)
        numbers += [seen, retained / seen if seen else None, retained_low, retained_high]
        return dict(zip(_NUMBERS, numbers, strict=True))

    @property
    def title(self) -> str:
        return f"{self.called} of {self.definition.feature}{self.cut_words}"


_AFTER = (
    pa.field("uses", pa.int64()),
    pa.field("uses_per_adopter", pa.float64()),
    pa.field("triers", pa.int64()),
    pa.field("days_to_adopt_median", pa.float64()),
    pa.field("days_to_adopt_low", pa.float64()),
    pa.field("days_to_adopt_high", pa.float64()),
    pa.field("triers_observed", pa.int64()),
    pa.field("retained_share", pa.float64(), metadata={"unit": "share"}),
    pa.field("retained_ci_low", pa.float64()),
    pa.field("retained_ci_high", pa.float64()),
)
_NUMBERS = (*NUMBERS, *(field.name for field in _AFTER))
