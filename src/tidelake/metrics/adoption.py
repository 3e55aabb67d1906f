"""Feature adoption: the share of actors who could use a feature and did (METRICS section 9)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Self

import pyarrow as pa
from pydantic import Field, ValidationError, model_validator

from tidelake.config import Project, Settings
from tidelake.contracts.source import Source
from tidelake.contracts.table import quoted
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.context import Gold, open_gold
from tidelake.gold.dates import Tables
from tidelake.gold.sqltext import date_literal, day_start, micros, one_of
from tidelake.metrics.answer import answer, number_fields, version_of
from tidelake.metrics.choosing import Which, check_event_names, event_rows
from tidelake.metrics.dimensions import check_by, fact_dimensions, segment
from tidelake.metrics.funnel import checked_grain
from tidelake.metrics.funnel_definition import definition_error
from tidelake.metrics.intervals import wilson
from tidelake.metrics.periods import Grain, next_period, period_start
from tidelake.metrics.status import Observed, observe

_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_VERSION = re.compile(r"^\s*v?(\d+(?:\.\d+)*)\s*(?:[-_ ]?\s*([a-z][0-9a-z.-]*))?(?:\+.*)?\s*$", re.IGNORECASE)
VersionKey = tuple[tuple[int, ...], int, tuple[tuple[int, int, str], ...]]


def version_key(text: str) -> VersionKey | None:
    """What versions are ordered by: number for number, 1.10 after 1.9, 1.9 = 1.9.0, 2.0-beta before 2.0.

    Returns:
        None for a text that does not begin with a number (a `v` before it is fine).
    """
    found = _VERSION.match(text)
    if found is None:
        return None
    numbers = [int(part) for part in found[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    parts = re.findall(r"\d+|[a-z]+", (found[2] or "").lower())
    suffix = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)
    return tuple(numbers), 0 if suffix else 1, suffix


def at_least(versions: Iterable[str], introduced_in: str) -> list[str]:
    """The versions that are not before one.

    Raises:
        DefinitionError: `introduced_in` is no version.
    """
    limit = version_key(introduced_in)
    if limit is None:
        raise DefinitionError(f"'{introduced_in}' is no version.", hint="Write it as 1.10 or 2.0.3.")
    keyed = [(key, text) for text in versions if (key := version_key(text)) is not None]
    return [text for key, text in sorted(keyed) if key >= limit]


class Adoption(Settings):
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
    title: str = ""
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
    try:
        return Adoption.model_validate({"feature": Which.parse(feature), **options})
    except ValidationError as error:
        raise definition_error(Adoption, error) from error


def adoption(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    definition: Adoption,
    *,
    by: Sequence[str] = (),
    start: date | None = None,
    end: date | None = None,
    where: str | None = None,
    grain: str | None = None,
) -> Result:
    """The share of eligible active actors who used a feature, by period.

    Args:
        by: Columns at the time of an event: an actor with several values counts in each of their rows.
        start: First local date.
        end: Last local date.
        where: SQL over silver's columns: only events for which it is true.
        grain: day, week or month; None = the whole range.

    Returns:
        One row a period and segment. `numerator`: eligible actives who used the feature, `denominator`: eligible
        actives, `value`: their ratio with Wilson's interval; `uses`: by those in the numerator,
        `uses_per_adopter`: their depth; `triers`: actors whose first use ever lies in the period,
        `days_to_adopt_median`: from a trier's first eligible activity to the first use; `triers_observed`: triers
        whose week for retained adoption has ended, `retained_share`: those of them who used it in that week.
    """
    gold = open_gold(engine, lake, project, sources)
    return _Question.ask(gold, definition, by, start, end, where, grain).answer()


def adoption_members(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    definition: Adoption,
    *,
    by: Sequence[str] = (),
    start: date | None = None,
    end: date | None = None,
    where: str | None = None,
    grain: str | None = None,
) -> Result:
    """The eligible actives behind the numbers: one row per cell and actor, `in_numerator`, `in_denominator`, `uses`."""
    gold = open_gold(engine, lake, project, sources)
    return _Question.ask(gold, definition, by, start, end, where, grain).members()


@dataclass(frozen=True)
class _Question:
    gold: Gold
    definition: Adoption
    by: tuple[str, ...]
    where: str | None
    grain: Grain | None
    observed: Observed
    start: date | None
    end: date | None

    @classmethod
    def ask(
        cls,
        gold: Gold,
        definition: Adoption,
        by: Sequence[str],
        start: date | None,
        end: date | None,
        where: str | None,
        grain: str | None,
    ) -> _Question:
        by = (by,) if isinstance(by, str) else tuple(by)
        chosen = checked_grain(grain)
        observed = observe(gold, [source.name for source in gold.events.sources])
        first, last = start or observed.first, end or observed.last
        if first is not None and last is not None and chosen is not None:
            week = gold.project.week_start
            first = period_start(first, chosen, week)
            last = next_period(period_start(last, chosen, week), chosen) - _DAY
        if observed.first is None:
            first = last = None
        else:
            if where is not None:
                Which(where=where).check(gold)
            check_by(gold, by, fact_dimensions(gold, "event"))
            if definition.introduced_in is not None and definition.version not in gold.events.types:
                raise UnknownNameError("column", definition.version, gold.events.types, where="version")
        return cls(gold, definition, by, where, chosen, observed, first, last)

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
        assert self.start is not None
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
            last=self.end + _WEEK * (asked.weeks + 1) + _DAY,
        )
        fits = "active_one"
        if asked.introduced_in is not None:
            fits += f" AND coalesce({one_of(f'CAST({quoted(asked.version)} AS VARCHAR)', eligible or ())}, FALSE)"
        exposed = "CAST(NULL AS BIGINT)"
        if asked.exposure is not None:
            exposed = "min(CASE WHEN exposed THEN epoch_micros(event_time) END) OVER (PARTITION BY actor_id)"
        values = "".join(f", {segment(name)} AS s{index}" for index, name in enumerate(self.by))
        within = f"event_date BETWEEN {date_literal(self.start)} AND {date_literal(self.end)}"
        return (
            f"SELECT actor_id, CASE WHEN {within} THEN {self._period} END AS period_start, event_time, "
            f"epoch_micros(event_time) AS t, active_one, used, {fits} AS is_eligible, {exposed} AS exposed_t{values}, "
            f"{', '.join(['seq', 'event_id', *self.gold.events.tie_names])} FROM ({rows}) AS events"
        )

    @property
    def segments(self) -> list[str]:
        return [f"s{index}" for index in range(len(self.by))]

    @property
    def _period(self) -> str:
        assert self.start is not None
        if self.grain == "day":
            return "event_date"
        if self.grain == "week":
            return f"week_start(event_date, '{self.gold.project.week_start}')"
        return "month_start(event_date)" if self.grain == "month" else date_literal(self.start)

    def _actors(self, events: str) -> str:
        """One row per period, segment and eligible active actor: `uses`."""
        keys = ", ".join(["period_start", *self.segments])
        kept = "max(CASE WHEN is_eligible THEN 1 ELSE 0 END) = 1"
        if self.definition.exposure is not None:
            ends = " ".join(
                f"WHEN period_start = {date_literal(first)} THEN {self._instant(after)}"
                for first, after in self._periods()
            )
            kept += f" AND min(exposed_t) < max(CASE {ends} END)"
        return (
            f"SELECT {keys}, actor_id, sum(CASE WHEN used THEN 1 ELSE 0 END) AS uses FROM ({events}) AS events "
            f"WHERE period_start IS NOT NULL GROUP BY {keys}, actor_id HAVING {kept}"
        )

    def _instant(self, day: date) -> int:
        return micros(day_start(day, self.gold.project.zone) - _EPOCH)

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
            return self._result([], "", ["The lake holds no events yet."])
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
        keys = ", ".join(["period_start", *self.segments])
        sql = (
            f"SELECT {keys}, count(*) AS eligible_actives, count(*) FILTER (WHERE uses > 0) AS adopters, "
            f"sum(uses) AS uses FROM ({self._actors(events)}) AS actors GROUP BY {keys}"
        )
        found = self.gold.query(sql)
        closed = self.observed.watermark
        until = micros(closed - self.observed.lateness - _EPOCH) if closed is not None else 0
        is_observed = f"first_use + {micros(_WEEK) * (asked.weeks + 1)} <= {until}"
        triers = self.gold.query(
            f"SELECT {keys}, count(*) AS triers, "
            f"median(CASE WHEN eligible_from <= first_use THEN (first_use - eligible_from) / 86400000000 END) AS days, "
            f"count(*) FILTER (WHERE {is_observed}) AS seen, "
            f"count(*) FILTER (WHERE {is_observed} AND again = 1) AS retained "
            f"FROM ({self._triers(events)}) AS triers WHERE period_start IS NOT NULL GROUP BY {keys}"
        )
        named = [asked.feature, *([asked.exposure] if asked.exposure else [])]
        check_event_names(self.gold, named, is_met=any(row["uses"] for row in found))
        return self._result(self._rows(found, triers), sql, notes)

    def members(self) -> Result:
        """One row per cell and eligible active actor."""
        if self.start is None:
            return Result(pa.table({"actor_id": pa.array([], pa.string())}), title="Members")
        asked = self.definition
        eligible = at_least(self._versions(), asked.introduced_in) if asked.introduced_in is not None else None
        keys = ", ".join(["period_start", *self.segments])
        sql = (
            f"SELECT {keys}, actor_id, CASE WHEN uses > 0 THEN 1 ELSE 0 END AS in_numerator, 1 AS in_denominator, "
            f"CAST(uses AS BIGINT) AS uses FROM ({self._actors(self._events(eligible))}) AS actors "
            f"ORDER BY {keys}, actor_id"
        )
        table = self.gold.engine.query(sql)
        named = dict(zip(self.segments, self.by, strict=True))
        return Result(
            table.rename_columns([named.get(name, name) for name in table.column_names]),
            sql=sql,
            title=f"Members of {self._title}",
        )

    def _rows(self, found: Sequence[Mapping[str, Any]], tried: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        cells = {(row["period_start"], *(row[name] for name in self.segments)): row for row in found}
        triers = {(row["period_start"], *(row[name] for name in self.segments)): row for row in tried}
        segments = sorted({key[1:] for key in [*cells, *triers]}) if self.by else [()]
        rows = []
        for first, after in self._periods():
            status = self.observed.of_period(first, after)
            for values in segments:
                cell, tries = cells.get((first, *values), {}), triers.get((first, *values), {})
                row = {"period_start": first, "grain": self.grain or "range", "status": status}
                row |= dict(zip(self.by, values, strict=True))
                rows.append(row | (self._numbers(cell, tries) if status != "missing" else dict.fromkeys(_NUMBERS)))
        return rows

    def _numbers(self, cell: Mapping[str, Any], tries: Mapping[str, Any]) -> dict[str, Any]:
        adopters, actives = int(cell.get("adopters", 0)), int(cell.get("eligible_actives", 0))
        uses, seen, retained = int(cell.get("uses", 0)), int(tries.get("seen", 0)), int(tries.get("retained", 0))
        low, high = wilson(adopters, actives)
        retained_low, retained_high = wilson(retained, seen)
        numbers = [adopters / actives if actives else None, float(adopters), float(actives), actives, low, high]
        numbers += [uses, uses / adopters if adopters else None, int(tries.get("triers", 0)), tries.get("days")]
        numbers += [seen, retained / seen if seen else None, retained_low, retained_high]
        return dict(zip(_NUMBERS, numbers, strict=True))

    def _periods(self) -> list[tuple[date, date]]:
        assert self.start is not None
        assert self.end is not None
        if self.grain is None:
            return [(self.start, self.end + _DAY)]
        found, first = [], self.start
        while first <= self.end:
            found.append((first, next_period(first, self.grain)))
            first = found[-1][1]
        return found

    @property
    def _title(self) -> str:
        asked = self.definition
        by = f" by {', '.join(self.by)}" if self.by else ""
        return f"{asked.title or asked.name.capitalize()} of {asked.feature}{by}"

    def _result(self, rows: Sequence[Mapping[str, Any]], sql: str, notes: Sequence[str]) -> Result:
        share = {"unit": "share"}
        fields = [
            pa.field("period_start", pa.date32()),
            pa.field("grain", pa.string()),
            *(pa.field(name, pa.string()) for name in self.by),
            *number_fields("share"),
            pa.field("uses", pa.int64()),
            pa.field("uses_per_adopter", pa.float64()),
            pa.field("triers", pa.int64()),
            pa.field("days_to_adopt_median", pa.float64()),
            pa.field("triers_observed", pa.int64()),
            pa.field("retained_share", pa.float64(), metadata=share),
            pa.field("retained_ci_low", pa.float64()),
            pa.field("retained_ci_high", pa.float64()),
        ]
        return answer(
            self.gold,
            rows,
            fields,
            name=self.definition.name,
            version=version_of(self.gold, self.definition),
            observed=self.observed,
            sql=sql,
            tables=self.gold.events.inputs,
            title=self._title,
            notes=notes,
        )


_NUMBERS = (
    *("value", "numerator", "denominator", "n", "ci_low", "ci_high", "uses", "uses_per_adopter", "triers"),
    *("days_to_adopt_median", "triers_observed", "retained_share", "retained_ci_low", "retained_ci_high"),
)
