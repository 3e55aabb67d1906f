"""What the tables by day share: silver's rows grouped once by date, actor and dimension values.

`temp.event_groups` and what is made from it: `temp.actor_days`, the values at the edges of a day, and distinct
counts, which do not add up and are counted by actor day, and by value only where a day has several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from tidelake.contracts.table import literal, quoted
from tidelake.gold.context import Gold
from tidelake.gold.events import Events
from tidelake.gold.model import Days
from tidelake.gold.sqltext import one_of, render, runs, sum_again


@dataclass
class DayGroups:
    """The shared `temp` tables of one build; made again only when other days are asked for."""

    events: Events
    _ready: frozenset[date] | None = field(default=None, init=False)
    _has_any: bool = field(default=False, init=False)

    def prepare(self, gold: Gold, days: Days) -> None:
        """Make the `temp` tables for some days at least.

        The day before is made too: sessions over midnight change its rows, and `gold.user_day` comes last.
        """
        if self._has_any and (self._ready is None or (days is not None and set(days) <= self._ready)):
            return
        if days is not None:
            days = sorted({*days, *(first - timedelta(days=1) for first, _ in runs(days) if first > date.min)})
        gold.temp("event_groups", self.groups(days))
        gold.temp("actor_days", self.actor_days())
        if self.events.project.dimensions:
            gold.temp("edge_values", self.edge_values())
            has_ties = _count(gold, f"({render('edge_ties')}) AS ties") > 0
            if has_ties:
                gold.temp("edge_ties", render("edge_ties"))
                gold.temp("edge_ranks", self.edge_ranks(days))
            gold.temp("day_edges", self.edges(has_ties=has_ties))
        for name in self.distinct:
            gold.temp(f"distinct_{name}", self.distinct_days(name, days))
        if self.distinct and self.events.project.dimensions:
            gold.temp("varied_days", self.varied_days())
            has_varied = _count(gold, "temp.varied_days") > 0
            for name in self.distinct:
                gold.temp(f"varied_{name}", self.varied_events(name, days if has_varied else []))
                gold.temp(f"distinct_{name}_value", self.distinct_values(name))
        self._ready, self._has_any = None if days is None else frozenset(days), True

    def texts(self) -> list[str]:
        """Every SELECT over all days: what the definition of the tables depends on."""
        found = [self.groups(None), self.actor_days(), self.edge_values(), self.edges(), self.varied_days()]
        found += [self.edge_ranks(None)]
        for name in self.distinct:
            found += [self.distinct_days(name, None), self.varied_events(name, None), self.distinct_values(name)]
        return found

    @property
    def dimensions(self) -> tuple[str, ...]:
        return self.events.project.dimensions

    @property
    def distinct(self) -> list[str]:
        """Measures that count distinct values."""
        return [name for name, rule in self.events.project.measures.items() if rule.distinct]

    @property
    def additive(self) -> list[str]:
        """Measures that add up."""
        return [name for name, rule in self.events.project.measures.items() if not rule.distinct]

    def groups(self, days: Days) -> str:
        """SELECT of `temp.event_groups`."""
        return render(
            "event_groups",
            events=self.events.select(days=days, everything=True),
            dimensions="".join(f", {quoted(name)}" for name in self.dimensions),
            measures="".join(
                f",\n       {text} AS {quoted(name)}" for name, text in self.events.measure_parts(self.additive).items()
            ),
        )

    def added_up(self, where: str | None = None) -> str:
        """The additive measures as columns over groups."""
        found = ""
        for name in self.additive:
            total = sum_again(name, self.events.measure_kind(name), where)
            found += f",\n       coalesce({total}, 0) AS {quoted(name)}"
        return found

    def actor_days(self) -> str:
        """SELECT of `temp.actor_days`."""
        return render("actor_days", measures=self.added_up())

    # --- first and last values

    def edge_values(self) -> str:
        """SELECT of `temp.edge_values`."""
        return render("edge_values", values="".join(f", parts.{quoted(name)}" for name in self.dimensions))

    def edge_ranks(self, days: Days) -> str:
        """SELECT of `temp.edge_ranks`."""
        return render(
            "edge_ranks",
            order=self.events.order("event_time"),
            backwards=self.events.order("event_time", backwards=True),
            values="".join(f", events.{quoted(name)}" for name in self.dimensions),
            events=self.events.select(days=days, columns=self.dimensions),
        )

    def edges(self, *, has_ties: bool = True) -> str:
        """SELECT of `temp.day_edges`; where nothing is tied, `temp.edge_ranks` is not read."""

        def columns(first: str, last: str) -> str:
            return "".join(
                f",\n       max(CASE WHEN {condition} THEN {quoted(name)} END) AS {quoted(f'{edge}_{name}')}"
                for name in self.dimensions
                for edge, condition in (("first", first), ("last", last))
            )

        plain = columns("is_first = 1", "is_last = 1")
        if not has_ties:
            return render("edges_untied", plain=plain)
        return render("edges", plain=plain, ranked=columns("place = 1", "back_place = 1"))

    # --- distinct counts

    def distinct_days(self, measure: str, days: Days) -> str:
        """SELECT of distinct values by actor day."""
        return (
            f"SELECT actor_id, event_date, count(*) AS {quoted(measure)} FROM (SELECT DISTINCT actor_id, event_date, "
            f"{self._counted(measure)} AS counted FROM ({self._distinct_events(measure, days)}) AS events "
            f"WHERE {self._chosen(measure)}) AS once GROUP BY actor_id, event_date"
        )

    def varied_events(self, measure: str, days: Days) -> str:
        """SELECT of `temp.varied_MEASURE`: what is counted, with its dimension values, on days that have several."""
        values = "".join(f", events.{quoted(name)}" for name in self.dimensions)
        return (
            f"SELECT DISTINCT events.actor_id, events.event_date{values}, events.{self._counted(measure)} AS counted "
            f"FROM ({self._distinct_events(measure, days)}) AS events "
            "JOIN (SELECT DISTINCT actor_id, event_date FROM temp.varied_days) AS varied "
            "ON varied.actor_id = events.actor_id AND varied.event_date = events.event_date "
            f"WHERE {self._chosen(measure)}"
        )

    def distinct_values(self, measure: str) -> str:
        """SELECT of distinct values by actor day and dimension value, where a day has several."""
        parts = [
            f"SELECT varied.actor_id, varied.event_date, varied.dimension, {value_of(name, 'events.')} AS value, "
            f"count(DISTINCT events.counted) AS {quoted(measure)} FROM temp.varied_days AS varied "
            f"JOIN temp.varied_{measure} AS events "
            "ON events.actor_id = varied.actor_id AND events.event_date = varied.event_date "
            f"WHERE varied.dimension = {literal(name)} "
            f"GROUP BY varied.actor_id, varied.event_date, varied.dimension, {value_of(name, 'events.')}"
            for name in self.dimensions
        ]
        return "\nUNION ALL\n".join(parts) or "SELECT NULL AS actor_id WHERE FALSE"

    def varied_days(self) -> str:
        """SELECT of `temp.varied_days`."""
        parts = [render("varied_days", dimension=name, value=value_of(name)) for name in self.dimensions]
        return "\nUNION ALL\n".join(parts)

    def _counted(self, measure: str) -> str:
        return quoted(self.events.project.measures[measure].distinct or "")

    def _chosen(self, measure: str) -> str:
        rule = self.events.project.measures[measure]
        named = [one_of("event_name", rule.event)] if rule.event else []
        return " AND ".join([*named, f"{self._counted(measure)} IS NOT NULL"])

    def _distinct_events(self, measure: str, days: Days) -> str:
        columns: Sequence[str] = [self.events.project.measures[measure].distinct or "", *self.dimensions]
        return self.events.select(days=days, columns=list(dict.fromkeys(columns)))


def value_of(dimension: str, prefix: str = "") -> str:
    """A dimension's value as text; null has its own name."""
    return f"coalesce(CAST({prefix}{quoted(dimension)} AS VARCHAR), '(unknown)')"


def _count(gold: Gold, rows: str) -> int:
    return int(gold.query(f"SELECT count(*) AS n FROM {rows}")[0]["n"])
