"""Which rows a question about retention reads: members with their entry, and the returns after it.

`temp.retention_members` has one row a member: actor_id, unit_number, anchor and after (microseconds: where its units
begin, and what a return must lie behind), cohort (first date of its period), origin (number in `SOURCES`), entry_date,
and s0, s1 ... for the dimensions' values at entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal

import pyarrow as pa

from tidelake.contracts.table import literal, quoted
from tidelake.gold.context import Gold
from tidelake.gold.dates import dates_behind
from tidelake.gold.events import known_actor
from tidelake.gold.sqltext import date_literal, day_start
from tidelake.metrics.attributes import is_of_actors, session_rows
from tidelake.metrics.choosing import event_rows
from tidelake.metrics.dimensions import UNKNOWN, segment
from tidelake.metrics.kinds.retention import Clock, Plan, in_micros
from tidelake.metrics.periods import next_period, period_start
from tidelake.metrics.retention_definition import EVERY, Retention, cells_of
from tidelake.metrics.retention_kinds import Kinds
from tidelake.metrics.retention_signups import Signup
from tidelake.metrics.status import Observed

OTHER = "(other)"
_ALL_DATE = date(1970, 1, 1)  # stands for the one cohort of grain `all`


@dataclass(frozen=True)
class Members:
    """One question's members and returns.

    Attributes:
        by: Dimensions.
        grain: day, week, month or all: what cohorts are made by.
        where: Condition over the rows.
        start: First local date of the cohorts.
        end: Last local date of the cohorts.
        limit: Values of a dimension that get rows of their own.
        memo: What was worked out already: `groups` and `notes` of the segments.
    """

    gold: Gold
    definition: Retention
    by: tuple[str, ...]
    grain: str
    where: str | None
    observed: Observed
    start: date | None
    end: date | None
    limit: int
    memo: dict[str, Any] = field(default_factory=dict, compare=False)

    # --- rows that are read

    @property
    def clock(self) -> Clock:
        project = self.gold.project
        return Clock(self.definition.unit, project.week_start, project.zone, self.definition.is_elapsed)

    @property
    def _is_short(self) -> bool:
        """Whether actors and their active days, which gold has, say it all."""
        definition = self.definition
        plain = definition.entry == EVERY and definition.returned == EVERY and definition.fact == "event"
        of_days = not definition.is_elapsed and definition.unit != "hour" and definition.cohort_by == "entry"
        if not (plain and of_days) or self.by or self.where is not None or self.gold.level is not None:
            return False
        if "is_behind" not in self.memo:
            is_there = self.gold.lake.version("gold.user_day") is not None
            behind = dates_behind(self.gold.lake, self.gold.sources, "gold.user_day")
            self.memo["is_behind"] = not is_there or behind is None or bool(behind)
        return not self.memo["is_behind"]

    @property
    def tables(self) -> list[str]:
        own = ["gold.user_day"] if self._is_short else self.gold.events.inputs
        own = ["gold.sessions"] if self.definition.fact == "session" else own
        return [*own, *([self.signup.table] if self.signup else [])]

    def _first(self) -> date | None:
        """First date of the cohorts, at the start of its periods."""
        if self.start is None:
            return None
        week_start = self.gold.project.week_start
        names = {self.grain, self.definition.unit} & {"week", "month"}
        starts = [period_start(self.start, "week" if name == "week" else "month", week_start) for name in names]
        return min([self.start, *starts])

    def _last(self) -> date | None:
        if self.end is None or self.grain not in ("week", "month"):
            return self.end
        grain: Literal["week", "month"] = "week" if self.grain == "week" else "month"
        return next_period(period_start(self.end, grain, self.gold.project.week_start), grain) - timedelta(days=1)

    def _events(self, *flags: str, extra: Sequence[str] = (), first: date | None, last: date | None = None) -> str:
        """Rows of events, or of sessions, with flags `is_entry` and `is_return`."""
        known = {"is_entry": self.definition.entry, "is_return": self.definition.returned}
        if self.definition.fact == "event":
            chosen = {flag: known[flag] for flag in flags}
            provided = ("event_name",)
            wanted = [name for name in extra if name not in provided]
            return event_rows(self.gold, chosen, columns=wanted, where=self.where, first=first, last=last)
        told = {flag: known[flag].spelled(self.gold).where or "TRUE" for flag in flags}
        marks = "".join(f", coalesce(({text}), FALSE) AS {flag}" for flag, text in told.items())
        conditions = [f"({self.where})"] if self.where else []
        conditions += [f"session_date >= {date_literal(first)}"] if first else []
        conditions += [f"session_date <= {date_literal(last)}"] if last else []
        columns = "".join(f", {quoted(name)}" for name in extra)
        return (
            "SELECT actor_id, session_date AS event_date, started_at AS event_time, CAST(NULL AS BIGINT) AS seq, "
            f"session_id AS event_id{columns}{marks} FROM {session_rows(self.gold, extra, self.where, *told.values())} "
            f"WHERE {' AND '.join(conditions) or 'TRUE'}"
        )

    @property
    def _ties(self) -> str:
        names = self.gold.events.tie_names if self.definition.fact == "event" else []
        return "".join(f", rows.{name} NULLS LAST" for name in ("seq", "event_id", *names))[2:]

    # --- members

    def write_members(self) -> None:
        """`temp.retention_members`: actor_id, unit_number, anchor, after, cohort, origin, entry_date, s0 ..."""
        gold = self.gold
        if not self._is_short:
            gold.temp("retention_entries", self._entries())
        entered = "SELECT *, 0 AS origin FROM temp.retention_entries"
        if self._is_short:
            entered = self._units()
        elif self.signup:
            self.signup.write()
            entered = self.signup.entries(self.clock)
        values = "".join(f", values.{name}" for name in self._segments)
        join = ""
        if self.by:
            gold.temp("retention_values", self._values_of_signed_up(entered) if self.signup else self._values())
            join = " JOIN temp.retention_values AS values ON values.actor_id = entered.actor_id"
            join += "" if self.signup else " AND values.anchor = entered.anchor"
        gold.temp(
            "retention_members",
            f"SELECT entered.actor_id, entered.unit_number, entered.anchor, entered.after, {self._cohort()} AS cohort, "
            f"{self._origin('entered.origin')} AS origin, entered.entry_date{values} FROM ({entered}) AS entered{join} "
            f"WHERE {self._condition()}",
        )
        self.memo["notes"] = self._limit_segments()
        if self.signup and self.by:
            self.memo["notes"].append(
                "Of cohorts by signup a user's value is that of the first entry; what is said of "
                "users is that of the user."
            )

    def write_kinds(self) -> Kinds | None:
        """`temp.retention_kinds` in the place of `temp.retention_members`, where counts are enough; else None."""
        is_counted = self._is_short and self.definition.cohort == "first"
        kinds = Kinds.of(self.gold, self.clock) if is_counted else None
        if kinds is not None:
            kinds.write(cohort=self._cohort(), origin=self._origin("0"), condition=self._condition())
            self.memo["notes"] = self._limit_segments()
        return kinds

    def _origin(self, given: str) -> str:
        """The number of where an entry's cohort comes from: a first entry in the warm-up may not be the first."""
        definition = self.definition
        if definition.cohort != "first" or not definition.warmup_days:
            return given
        warm = (self.observed.first or date.max) + timedelta(days=definition.warmup_days)
        return f"CASE WHEN {given} = 0 AND entered.entry_date < {date_literal(warm)} THEN 1 ELSE {given} END"

    def _condition(self) -> str:
        """Which entries are asked for."""
        first, last = self._first(), self._last()
        conditions = [f"entered.entry_date >= {date_literal(first)}"] if first else []
        conditions += [f"entered.entry_date <= {date_literal(last)}"] if last else []
        return " AND ".join(conditions) or "TRUE"

    def _units(self) -> str:
        """SELECT of the entries from gold alone; `temp.retention_units` gets each actor's units with active days."""
        number = self.clock.number("activity_date", "0")
        is_first = self.definition.cohort == "first"
        first = None if is_first else self._first()
        since = f" AND activity_date >= {date_literal(first)}" if first else ""
        self.gold.temp(
            "retention_units",
            f"SELECT actor_id, {number} AS unit_number, min(activity_date) AS entry_date, "
            "CAST(sum(active_event_count) AS BIGINT) AS times "
            f"FROM gold.user_day WHERE is_active{since} GROUP BY actor_id, {number}",
        )
        entries = "SELECT actor_id, unit_number, entry_date FROM temp.retention_units"
        if is_first:
            entries = (
                "SELECT actor_id, min(unit_number) AS unit_number, min(entry_date) AS entry_date "
                "FROM temp.retention_units GROUP BY actor_id"
            )
        return (
            "SELECT actor_id, unit_number, entry_date, CAST(NULL AS BIGINT) AS anchor, CAST(NULL AS BIGINT) AS after, "
            f"0 AS origin FROM ({entries}) AS entries"
        )

    def _entries(self) -> str:
        """First entry of each actor, or of each actor and unit."""
        is_first = self.definition.cohort == "first"
        last = None if self.signup else self._last()  # who signed up by then may enter later
        rows = self._events("is_entry", first=None if is_first else self._first(), last=last)
        at = "epoch_micros(event_time)"
        number = self.clock.number("event_date", at)
        if is_first:
            found = (
                f"SELECT actor_id, min({at}) AS anchor, min(event_date) AS entry_date FROM ({rows}) AS rows "
                "WHERE is_entry GROUP BY actor_id"
            )
            return (
                f"SELECT actor_id, {self.clock.number('entry_date', 'anchor')} AS unit_number, entry_date, anchor, "
                f"anchor AS after FROM ({found}) AS found"
            )
        return (
            f"SELECT actor_id, {number} AS unit_number, min(event_date) AS entry_date, min({at}) AS anchor, "
            f"min({at}) AS after FROM ({rows}) AS rows WHERE is_entry GROUP BY actor_id, {number}"
        )

    def _cohort(self) -> str:
        day = "entered.entry_date"
        if self.grain == "week":
            return f"week_start({day}, '{self.gold.project.week_start}')"
        if self.grain == "month":
            return f"month_start({day})"
        return day if self.grain == "day" else date_literal(_ALL_DATE)

    @property
    def signup(self) -> Signup | None:
        """Where the dates of signup are, where cohorts are by them."""
        return Signup.of(self.gold, self.definition.cohort_by)

    # --- segments

    @property
    def _segments(self) -> tuple[str, ...]:
        return tuple(f"s{index}" for index in range(len(self.by)))

    def _listed(self, prefix: str = "") -> str:
        return "".join(f", {segment(name)} AS {prefix}s{index}" for index, name in enumerate(self.by))

    def _values(self) -> str:
        """The dimensions' values at the event of entry: of those at its instant, the first."""
        rows = self._events(
            "is_entry",
            extra=self.by,
            first=None if self.definition.cohort == "first" else self._first(),
            last=None if self.signup else self._last(),
        )
        columns = "".join(f", rows.{quoted(name)}" for name in self.by)
        return (
            f"SELECT actor_id, anchor{self._listed()} FROM (SELECT rows.actor_id, entries.anchor{columns}, "
            f"row_number() OVER (PARTITION BY rows.actor_id, entries.anchor ORDER BY {self._ties}) AS place "
            f"FROM ({rows}) AS rows JOIN temp.retention_entries AS entries ON entries.actor_id = rows.actor_id "
            "AND entries.anchor = epoch_micros(rows.event_time) WHERE rows.is_entry) AS placed WHERE place = 1"
        )

    def _values_of_signed_up(self, entered: str) -> str:
        """The dimensions' values of users by their signup: of what is said of users what is said, else at first entry.

        A user that never entered has no value of an event.
        """
        told = self.gold.events.attributes
        said = [name for name in self.by if is_of_actors(self.gold, [name])]
        people = f"(SELECT DISTINCT actor_id, entry_date FROM ({entered}) AS entered)"
        if said:
            keys = {dimension.name: ("actor_id", "VARCHAR") for dimension in told.dimensions_of(said)}
            known = known_actor if self.gold.events.anonymous_tables else None
            people = f"({told.joined(people, ['actor_id'], said, keys, at='entry_date', known=known)})"
        listed = ""
        for name, column in zip(self.by, self._segments, strict=True):
            entered_with = f"coalesce(values.{column}, '{UNKNOWN}')"
            listed += f", {segment(name) if name in said else entered_with} AS {column}"
        return (
            f"SELECT people.actor_id{listed} FROM {people} AS people LEFT JOIN ({self._values()}) AS values "
            "ON values.actor_id = people.actor_id"
        )

    def _limit_segments(self) -> list[str]:
        """Find the values that get rows of their own; what to say of the others."""
        said, groups = [], []
        for name, column in zip(self.by, self._segments, strict=True):
            ranked = f"SELECT {column} AS segment, count(*) AS size FROM temp.retention_members GROUP BY {column}"
            values = self.gold.query(f"SELECT count(*) AS n FROM ({ranked}) AS ranked")[0]["n"]
            groups.append(column)
            if values > self.limit:
                top = self.gold.query(f"{ranked} ORDER BY size DESC, segment LIMIT {self.limit}")
                listed = ", ".join(literal(row["segment"]) for row in top)
                groups[-1] = f"CASE WHEN {column} IN ({listed}) THEN {column} ELSE '{OTHER}' END"
                said.append(f"{name} has {values} values: the {self.limit} largest are shown, the others are {OTHER}.")
        self.memo["groups"] = tuple(groups)
        return said

    # --- the cells, and who came back

    def plan(self, mark: datetime) -> Plan:
        definition, clock = self.definition, self.clock
        first = self.observed.first
        assert first is not None
        is_duration = definition.criterion == "within"
        limit = clock.begun_by(mark)
        begins = in_micros(day_start(first, self.gold.project.zone))
        begun = begins if clock.is_elapsed else clock.number_of(first, day_start(first, self.gold.project.zone))
        longest = max((limit - begun) // clock.step + 2, 1)
        return Plan(
            clock=clock,
            cells=cells_of(definition, clock, longest),
            segments=self._segments,
            groups=self.memo["groups"],
            is_recurring=definition.cohort == "recurring",
            is_matched=definition.match_on_return and bool(self.by),
            is_streak=definition.criterion == "streak",
            is_by_unit=definition.criterion in ("on", "streak"),
            is_duration=is_duration,
            limit=limit,
            floor=clock.whole_from(first) if self.signup else None,
            history=begins,
        )

    def write_cells(self, plan: Plan) -> None:
        columns = {"cell": "number", "low": "low", "high": "high", "ends": "ends", "starts": "starts"}
        self.gold.temp(
            "retention_cells",
            pa.table(
                {
                    name: pa.array([getattr(cell, own) for cell in plan.cells], pa.int64())
                    for name, own in columns.items()
                }
            ),
        )

    def hits(self, plan: Plan) -> str:
        if self._is_short:
            later = "(returns.unit_number > members.unit_number OR returns.times >= 2)"
            return plan.hits("SELECT actor_id, unit_number, times FROM temp.retention_units", None, is_again=later)
        extra = self.by if plan.is_matched else ()
        since = None if self.signup else self._first()
        rows = self._events("is_return", extra=extra, first=since)
        values = self._listed() if plan.is_matched else ""
        at = "epoch_micros(event_time)"
        number = self.clock.number("event_date", at)
        ties = None if plan.is_duration else self._tied(plan)
        if self.clock.is_elapsed:
            wanted = f"SELECT actor_id, {number} AS unit_number, {at} AS at_micros{values} FROM ({rows}) AS rows"
            return plan.hits(f"{wanted} WHERE is_return", ties, is_again="returns.at_micros > members.after")
        groups = "".join(f", {name}" for name in self._segments) if plan.is_matched else ""
        return plan.hits(
            f"SELECT actor_id, unit_number, max(at_micros) AS last_time{groups} FROM (SELECT actor_id, "
            f"{number} AS unit_number, {at} AS at_micros{values} FROM ({rows}) AS rows WHERE is_return) AS rows "
            f"GROUP BY actor_id, unit_number{groups}",
            ties,
        )

    def _tied(self, plan: Plan) -> str:
        """Members that come back at the very instant of their entry: a return after it by seq and event_id."""
        extra = self.by if plan.is_matched else ()
        rows = self._events("is_entry", "is_return", extra=extra, first=self._first(), last=self._last())
        names = [*dict.fromkeys((*plan.keys, *plan.carried))]
        same = "".join(f" AND {segment(name)} = {column}" for name, column in zip(extra, self._segments, strict=False))
        columns = "".join(f", rows.{quoted(name)}" for name in extra)
        known = ", ".join(f"min({name}) AS {name}" for name in names if name not in plan.keys)
        signed = " AND members.origin <> 2" if self.signup else ""
        return (
            f"SELECT {', '.join(plan.keys)}, {known} FROM (SELECT "
            f"{', '.join(f'members.{name}' for name in names)}, rows.is_entry, rows.is_return{columns}, "
            f"row_number() OVER (PARTITION BY rows.actor_id, members.anchor ORDER BY {self._ties}) AS place "
            f"FROM ({rows}) AS rows JOIN temp.retention_members AS members ON members.actor_id = rows.actor_id "
            f"AND members.anchor = epoch_micros(rows.event_time){signed}) AS placed GROUP BY {', '.join(plan.keys)} "
            f"HAVING max(CASE WHEN is_return{same} THEN place END) > min(CASE WHEN is_entry THEN place END)"
        )
