"""Building `gold.sessions` by touched dates: the same rows as one build of everything, in any order.

`ignore` mode. A session lies in the partition of the date on which it starts. A date is made anew as a
whole, from its events, the first events of the next dates (sessions that run on), and the cutoffs: where
sessions of earlier dates, which stay as they are, end inside of it. Made anew are the touched dates, the
dates of sessions that reach a touched date, and the dates after them for as long as a session that
crosses midnight ends elsewhere than before. What is still to do is kept in each commit's note, so that
a build that was killed goes on where it stopped.

`trust` and `verify` mode. What is made anew is every source session with an event on a touched date,
from all its events, wherever they lie; the other rows of a partition are kept.

`bracket` mode. What is made anew are the sessions of the actors with an event on a touched date, from the
chain of overlapping sessions that reaches the first of these dates to the end of the data.

Watch time from play states crosses sessions: an event can change that of sessions which lie up to the cap
before or after it, so these are made anew too, and read the events of that span around them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

import pyarrow as pa

from tidelake.engine.base import Layout
from tidelake.errors import DefinitionError
from tidelake.gold.builtin import sessions_spec
from tidelake.gold.checks import hold_rows
from tidelake.gold.context import Gold
from tidelake.gold.dates import changed_dates, stretches
from tidelake.gold.model import ModelRun, definition_hash
from tidelake.gold.session_sql import SessionSql, give_to_sessions, greedy_starts
from tidelake.gold.session_units import SessionUnits
from tidelake.gold.sqltext import date_literal, dates_condition, day_start, instant_literal

TABLE = "gold.sessions"
CODE_VERSION = 1  # raise it when the SELECTs change the rows of the same inputs
_LAYOUT = Layout(partition_by=("session_date",), sort_by=("actor_id", "started_at"))
_PARTS = ("session_bins", "session_parts", "session_whole")  # `temp` tables that nothing reads after the totals
_STEPS = (  # ... and after the sessions are made
    "bracket_events",
    "bracket_sessions",
    "session_held",
    "session_totals",
    "session_watch",
    "session_instants",
    "session_ties",
    "session_points",
)
_GIVEN = pa.schema(
    [("actor_id", pa.string()), ("place", pa.int64()), ("start_number", pa.int64()), ("is_ambiguous", pa.bool_())]
)
_CUTS = pa.schema(
    [
        ("actor_id", pa.string()),
        ("unit", pa.string()),
        ("started_at", pa.timestamp("us", "UTC")),
        ("ended_at", pa.timestamp("us", "UTC")),
        ("is_resplit", pa.bool_()),
    ]
)


def sessions_definition(gold: Gold) -> str:
    """Hash of all that the sessions depend on besides the events."""
    project, sql = gold.project, SessionSql(gold.events.defining())
    return definition_hash(
        CODE_VERSION,
        [source.is_ordered for source in gold.events.sources],
        project.timezone,
        project.session.model_dump(),
        project.watch.model_dump(),
        sql.bins(sql.unit_events(None)),
        sql.bracket_sessions(),
        sql.totals(),
        sql.instants("", days=None),
        sql.ties(),
        sql.points(""),
        sql.sessions(days=None, has_ties=True),
        sql.watch(sql.watch_events(None)) if gold.events.has_states else None,
        gold.events.kinds(),
    )


def build_sessions(gold: Gold, *, full_refresh: bool, dry_run: bool) -> ModelRun:
    """Bring `gold.sessions` up to date with silver.

    Raises:
        DefinitionError: A dimension and the watched content would share a column.
    """
    started = time.perf_counter()
    content = gold.project.watch.content
    if gold.events.has_watch and "content" in gold.project.dimensions and content != "content":
        raise DefinitionError(
            f"The dimension 'content' and watch.content '{content}' both make the column first_watch_content.",
            hint="Give the dimension's column another name in its source's `mapping:`.",
        )
    definition = sessions_definition(gold)
    note = gold.lake.note(TABLE)
    inputs = gold.versions(gold.events.inputs)
    reason, touched = _what_changed(gold, note, definition, full_refresh=full_refresh)
    if reason == "nothing new":
        return ModelRun(TABLE, reason, (), 0, gold.lake.version(TABLE), time.perf_counter() - started)
    work = _Work(gold, note.get("inputs") or {}, inputs, definition)
    mode = gold.project.session.mode
    if dry_run:
        days = touched if touched is not None else set(work.data)
        return ModelRun(TABLE, reason, tuple(sorted(days)), None, gold.lake.version(TABLE), 0.0)
    if reason == "definition changed":
        held = sum(file.records for file in gold.lake.files(TABLE))
        gold.progress.say(f"{TABLE}: definition changed: all dates with {held:,} rows are made anew.")
    if touched is None:
        days, rows = work.everything()
    elif mode == "ignore":
        days, rows = work.by_date(work.reached(touched))
    else:
        days, rows = work.by_unit(touched)
    return ModelRun(TABLE, reason, tuple(sorted(days)), rows, gold.lake.version(TABLE), time.perf_counter() - started)


def _what_changed(
    gold: Gold, note: dict[str, Any], definition: str, *, full_refresh: bool
) -> tuple[str, set[date] | None]:
    """Why to build, and the touched dates; None = all."""
    if gold.lake.version(TABLE) is None:
        return "new", None
    if full_refresh:
        return "full refresh", None
    if note.get("definition") != definition or "inputs" not in note:
        return "definition changed", None
    touched = {date.fromisoformat(day) for day in note.get("pending", ())}
    if note.get("everything"):
        return "unfinished", None
    for table in gold.events.inputs:
        found = changed_dates(gold.lake, table, "event_date", note["inputs"].get(table))
        if found is None:
            return "inputs changed", None
        touched |= found
    return ("inputs changed", touched) if touched else ("nothing new", set())


class _Work:
    """One run of the builder: which dates are still to do, and how each group of dates is made."""

    def __init__(self, gold: Gold, before: dict[str, int], inputs: dict[str, int | None], definition: str) -> None:
        self.gold = gold
        self.before = before
        self.inputs = inputs
        self.definition = definition
        self.rule = gold.project.session
        self.zone = gold.project.zone
        self.data = gold.rows_by_date([(table, "event_date") for table in gold.events.tables])
        self.has_states = gold.events.has_states
        self.reach = SessionSql(gold.events).reach
        folder = gold.lake.index_folder(TABLE)
        is_by_source = self.rule.mode in ("trust", "verify") and folder is not None
        self.units = SessionUnits(gold, TABLE, folder) if is_by_source and folder is not None else None

    # --- which dates

    def everything(self) -> tuple[set[date], int]:
        """Make all dates anew, also those that only the old table has."""
        known = set(self.gold.rows_by_date([(TABLE, "session_date")]))
        days = set(self.data) | known
        if self.rule.mode == "ignore":
            return self.by_date(days, is_full=True)
        return days, self._write_all(days)

    def reached(self, touched: set[date]) -> set[date]:
        """The touched dates, and others with sessions that they can lengthen, cut, or change in watch time."""
        found = set(touched)
        if self.has_states:
            watched = self._overlapping(self._near(touched))
            found |= self._dates(f"SELECT DISTINCT session_date FROM {TABLE} WHERE {watched}")
        if self.rule.split_at_midnight:
            return found
        conditions = []
        for first, _ in _runs(touched):
            reach = day_start(first, self.zone) - self.rule.timeout
            oldest = (reach - self.rule.cap).astimezone(self.zone).date()
            conditions.append(
                f"(session_date < {date_literal(first)} AND session_date >= {date_literal(oldest)} "
                f"AND ended_at >= {instant_literal(reach)})"
            )
        return found | self._dates(f"SELECT DISTINCT session_date FROM {TABLE} WHERE {' OR '.join(conditions)}")

    def _around(self, days: Iterable[date], *, back: timedelta, ahead: timedelta) -> set[date]:
        """The dates with an instant that lies so long at most before or after one of these dates."""
        found: set[date] = set()
        for first, last in _runs(days):
            begin = (day_start(first, self.zone) - back).astimezone(self.zone).date()
            end = day_start(last + timedelta(days=1), self.zone) + ahead - timedelta(microseconds=1)
            length = (end.astimezone(self.zone).date() - begin).days
            found |= {begin + timedelta(days=offset) for offset in range(length + 1)}
        return found

    def _dates(self, sql: str) -> set[date]:
        return {row["session_date"] for row in self.gold.query(sql)}

    # --- by date

    def by_date(self, days: set[date], *, is_full: bool = False) -> tuple[set[date], int]:
        """Make these dates anew, and those that turn out to depend on them."""
        pending, done, written, rows = set(days), set[date](), set[date](), 0
        total = len(pending)
        while pending or not done:
            group = stretches(sorted(pending), self.data)[0] if pending else []
            self._make(group)
            follow = set() if is_full or not group else self._moved(group)
            pending = (pending - set(group)) | follow
            changed = self._changed(group) if self.has_states and not is_full else group
            rows += self._commit(changed, pending, is_full=is_full, is_first=is_full and not done)
            done |= set(group)
            written |= set(changed)
            total = max(total, len(done) + len(pending))
            self.gold.progress("gold sessions", len(done), total, "dates")
            if not group:
                break
        return written, rows

    def _make(self, group: Sequence[date]) -> None:
        """`temp.session_rows`: the sessions that start on these dates."""
        has_cutoffs = bool(group) and self._cutoffs(group[0])
        sql = SessionSql(self.gold.events, after_cutoff=has_cutoffs)
        self._rows(sql, [*group, *self._ahead(group)], "session_rows", group)

    def _changed(self, group: Sequence[date]) -> list[date]:
        """The dates of the group whose sessions are others than before; `temp.session_rows` keeps those only."""
        columns = ", ".join(self.gold.columns("temp.session_rows"))
        old = f"SELECT {columns} FROM {TABLE} WHERE {dates_condition('session_date', group)}"
        changed = self._differing(columns, old, f"SELECT {columns} FROM temp.session_rows")
        within = dates_condition("session_date", changed)
        self.gold.temp("session_rows", f"SELECT * FROM temp.session_rows WHERE {within}")
        return changed

    def _differing(self, columns: str, old: str, new: str) -> list[date]:
        """Dates on which two SELECTs of sessions, with these columns, give other rows."""
        found = self._dates(
            f"SELECT DISTINCT session_date FROM (SELECT {columns} FROM (SELECT *, 1 AS side FROM ({old}) AS before "
            f"UNION ALL SELECT *, -1 AS side FROM ({new}) AS after) AS both_sides GROUP BY {columns} "
            "HAVING sum(side) <> 0) AS moved"
        )
        return sorted(found)

    def _rows(self, sql: SessionSql, days: Sequence[date] | None, name: str, starting: Sequence[date] | None) -> None:
        """`temp.NAME`: the sessions made from the events of some dates."""
        events = bracketed(self.gold, sql, days) if sql.mode == "bracket" else sql.unit_events(days)
        self._parts(sql, events)
        self.gold.temp("session_totals", sql.totals())
        if self.has_states:
            self.gold.temp("session_watch", sql.watch(sql.watch_events(self._watched(starting or days))))
        self.gold.forget(*_PARTS)
        self.gold.temp("session_instants", sql.instants(events, days=starting))
        (count,) = self.gold.query(
            "SELECT instants.found > counts.wanted AS has_ties FROM (SELECT count(*) AS found "
            f"FROM temp.session_instants) AS instants CROSS JOIN ({sql.instant_count(starting)}) AS counts"
        )
        has_ties = bool(count["has_ties"])
        if has_ties:
            self.gold.temp("session_ties", sql.ties())
            tied = sorted(row["event_date"] for row in self.gold.query(sql.tied_dates()))
            self.gold.temp("session_points", sql.points(events if sql.mode == "bracket" else sql.unit_events(tied)))
        self.gold.temp(name, sql.sessions(days=starting, has_ties=has_ties))
        self.gold.forget(*_STEPS)

    def _watched(self, days: Sequence[date] | None) -> list[date] | None:
        """Dates whose events can have a part in the watch time of sessions that start, or lie, on these dates.

        A state holds up to the cap; a session that starts on these dates can run on for the cap, and an event
        outside of sessions can belong to one for as long; then the content's next event counts.
        """
        if days is None:
            return None
        return sorted(self._around(days, back=self.rule.cap, ahead=self.rule.cap + self.reach) & set(self.data))

    def _parts(self, sql: SessionSql, events: str) -> None:
        gold = self.gold
        gold.temp("session_bins", sql.bins(events))
        if sql.cuts:
            gold.temp("session_parts", sql.parts())
            long = gold.engine.query(sql.long_chains())
            if long.num_rows:
                gold.temp("session_long", long)
                gold.temp("session_cuts", _cuts(gold.engine.query(sql.long_times(events)), self.rule.cap, sql.mode))
                gold.temp("session_whole", "SELECT * FROM temp.session_parts")
                gold.temp("session_parts", sql.cut_parts(events))

    def _cutoffs(self, first: date) -> bool:
        """`temp.session_cutoffs`: where sessions that start before a date, and stay, end in it; whether any do."""
        if self.rule.split_at_midnight or self.gold.lake.version(TABLE) is None:
            return False
        oldest = (day_start(first, self.zone) - self.rule.cap).astimezone(self.zone).date()
        found = self.gold.engine.query(
            f"SELECT actor_id, unit, max(ended_at) AS ended_at FROM {TABLE} "
            f"WHERE session_date < {date_literal(first)} AND session_date >= {date_literal(oldest)} "
            f"AND ended_date >= {date_literal(first)} GROUP BY actor_id, unit"
        )
        if not found.num_rows:
            return False
        self.gold.temp("session_cutoffs", found)
        return True

    def _ahead(self, group: Sequence[date]) -> list[date]:
        """Dates with events after the group into which its sessions can run on."""
        if not group or self.rule.split_at_midnight:
            return []
        end = day_start(group[-1] + timedelta(days=1), self.zone)
        last = (end + self.rule.cap).astimezone(self.zone).date()
        return sorted(day for day in self.data if group[-1] < day <= last)

    def _moved(self, group: Sequence[date]) -> set[date]:
        """Dates after the group on which a session that crosses into them ends elsewhere than before."""
        if self.rule.split_at_midnight:
            return set()
        crossing = (
            "SELECT actor_id, unit, max(ended_at) AS ended_at, max(ended_date) AS ended_date FROM {table} "
            f"WHERE {dates_condition('session_date', group)} AND ended_date > {date_literal(group[-1])} "
            "GROUP BY actor_id, unit"
        )
        old, new = crossing.format(table=TABLE), crossing.format(table="temp.session_rows")
        found = self.gold.query(
            f"SELECT max(ended_date) AS last_date FROM ("
            f"(SELECT * FROM ({old}) AS a EXCEPT SELECT * FROM ({new}) AS b) UNION ALL "
            f"(SELECT * FROM ({new}) AS c EXCEPT SELECT * FROM ({old}) AS d)) AS moved"
        )
        last = found[0]["last_date"]
        if last is None:
            return set()
        return {group[-1] + timedelta(days=offset) for offset in range(1, (last - group[-1]).days + 1)}

    # --- by source session, or by actor

    def by_unit(self, touched: set[date]) -> tuple[set[date], int]:
        """Make the sessions that touched dates can change anew, each from all of its events."""
        gold = self.gold
        sql, days = self._by_actor(touched) if self.rule.mode == "bracket" else self._by_session(touched)
        self._rows(sql, sorted(days & set(self.data)), "session_fresh", None)
        columns = ", ".join(gold.columns("temp.session_fresh"))
        old = (
            f"SELECT {columns} FROM {TABLE} WHERE session_id IN (SELECT session_id FROM temp.session_old) "
            f"AND {dates_condition('session_date', self._old_dates())}"
        )
        dates = self._differing(columns, old, f"SELECT {columns} FROM temp.session_fresh")
        within = dates_condition("session_date", dates)
        gold.temp(
            "session_rows",
            f"SELECT {columns} FROM {TABLE} WHERE {within} "
            "AND session_id NOT IN (SELECT session_id FROM temp.session_old) "
            f"UNION ALL SELECT {columns} FROM temp.session_fresh WHERE {within}",
        )
        rows = self._commit(dates, set(), is_full=False)
        if self.units is not None:
            self.units.took("temp.session_fresh", dates)
        gold.progress("gold sessions", len(dates), len(dates), "dates")
        return set(dates), rows

    def _old_dates(self) -> list[date]:
        found = self.gold.query("SELECT DISTINCT session_date FROM temp.session_old")
        return sorted(row["session_date"] for row in found)

    def _overlapping(self, touched: set[date]) -> str:
        """Condition for sessions that lie on a touched date in part; names only partitions that can hold some."""
        found = []
        for first, last in _runs(touched):
            starts = [day for day, ended in self._ends().items() if day <= last and ended >= first]
            found.append(f"({dates_condition('session_date', starts)} AND ended_date >= {date_literal(first)})")
        return " OR ".join(found)

    def _ends(self) -> dict[date, date]:
        """By starting date, the last date that a session reaches, from the files' statistics."""
        ends: dict[date, date] = {}
        for file in self.gold.lake.files(TABLE):
            day = date.fromisoformat(file.partition["session_date"] or "0001-01-01")
            known = file.maximum.get("ended_date")
            ended = date.fromisoformat(str(known)[:10]) if known is not None else date.max
            ends[day] = max(ended, ends.get(day, day))
        return ends

    def _by_session(self, touched: set[date]) -> tuple[SessionSql, set[date]]:
        """`temp.session_old` and what to read for the source sessions with an event on a touched date."""
        gold, sql = self.gold, SessionSql(self.gold.events)
        units = (
            f"SELECT DISTINCT source_session_id FROM ({sql.unit_events(sorted(touched))}) AS events "
            f"UNION SELECT DISTINCT source_session_id FROM {TABLE} WHERE {self._overlapping(touched)}"
        )
        if self.has_states:
            units += (
                f" UNION SELECT DISTINCT source_session_id FROM {TABLE} "
                f"WHERE ({self._overlapping(self._near(touched))}) AND actor_id IN ({self._actors(touched)})"
            )
        gold.temp("session_units", units)
        chosen = "source_session_id IN (SELECT source_session_id FROM temp.session_units)"
        held = "TRUE" if self.units is None else dates_condition("session_date", self.units.dates("temp.session_units"))
        old = f"SELECT session_id, session_date, ended_date FROM {TABLE} WHERE {held} AND {chosen}"
        gold.temp("session_old", old)
        days = set(touched)
        for span in gold.query("SELECT DISTINCT session_date, ended_date FROM temp.session_old"):
            length = (span["ended_date"] - span["session_date"]).days
            days |= {span["session_date"] + timedelta(days=offset) for offset in range(length + 1)}
        return SessionSql(gold.events, only=chosen), days

    def _by_actor(self, touched: set[date]) -> tuple[SessionSql, set[date]]:
        """`temp.session_old` and what to read for the actors with an event on a touched date."""
        gold, first = self.gold, min(self._near(touched)) if self.has_states else min(touched)
        gold.temp(
            "session_units",
            "SELECT actors.actor_id, chains.chain_started_at, chains.chain_date "
            f"FROM ({self._actors(touched)}) AS actors LEFT JOIN ("
            f"SELECT actor_id, min(chain_started_at) AS chain_started_at, min(chain_date) AS chain_date FROM {TABLE} "
            f"WHERE session_date < {date_literal(first)} AND (ended_date >= {date_literal(first)} OR NOT is_closed) "
            "GROUP BY actor_id) AS chains ON chains.actor_id = actors.actor_id",
        )
        start = instant_literal(day_start(first, self.zone))
        found = gold.query("SELECT min(chain_date) AS first_date FROM temp.session_units")
        oldest = min(first, found[0]["first_date"] or first)
        gold.temp(
            "session_old",
            f"SELECT session_id, session_date, ended_date FROM {TABLE} AS sessions JOIN temp.session_units AS units "
            f"ON units.actor_id = sessions.actor_id WHERE session_date >= {date_literal(oldest)} "
            f"AND started_at >= coalesce(units.chain_started_at, {start})",
        )
        chosen = (
            "EXISTS (SELECT 1 FROM temp.session_units AS units WHERE units.actor_id = rows.actor_id "
            f"AND rows.event_time {{}} coalesce(units.chain_started_at, {start}))"
        )
        earlier = f"event_date < {date_literal(first)} AND {chosen.format('<')}"
        sql = SessionSql(gold.events, only=chosen.format(">="), earlier=earlier)
        return sql, {day for day in self.data if day >= oldest}

    def _actors(self, touched: set[date]) -> str:
        """SELECT of the actors whose sessions the events of touched dates, as they are or were, can change."""
        found = (
            f"SELECT DISTINCT actor_id FROM ({self.gold.events.select(days=sorted(touched))}) AS events "
            f"UNION SELECT DISTINCT actor_id FROM {TABLE} WHERE {self._overlapping(touched)}"
        )
        taken = self._taken(touched) if self.has_states else set()
        if taken:
            # Events that were taken away may have lain outside of every session: whose they were is not known.
            found += f" UNION SELECT DISTINCT actor_id FROM {TABLE} WHERE {self._overlapping(self._near(taken))}"
        return found

    def _near(self, days: Iterable[date]) -> set[date]:
        """Dates with events whose sessions can owe watch time to events of these days."""
        outside = timedelta(0) if self.rule.mode == "ignore" else self.rule.cap
        return self._around(days, back=outside + self.reach, ahead=self.rule.cap)

    def _taken(self, touched: set[date]) -> set[date]:
        """The touched dates from which events were taken away."""
        found: set[date] = set()
        for table in self.gold.events.inputs:
            days = changed_dates(self.gold.lake, table, "event_date", self.before.get(table), taken=True)
            found |= touched if days is None else days
        return found

    def _write_all(self, days: set[date]) -> int:
        self._rows(SessionSql(self.gold.events), None, "session_rows", None)
        rows = self._commit(sorted(days), set(), is_full=False, is_first=True)
        if self.units is not None:
            self.units.took("temp.session_rows", None, is_all=True)
        self.gold.forget("session_rows")
        self.gold.progress("gold sessions", len(days), len(days), "dates")
        return rows

    # --- commit

    def _commit(self, group: Sequence[date], pending: Iterable[date], *, is_full: bool, is_first: bool = False) -> int:
        """Put `temp.session_rows` in the place of these dates, with what is still to do in the note.

        Args:
            is_first: The table begins anew with these rows, also its columns.
        """
        left = sorted(pending)
        note: dict[str, Any] = {"definition": self.definition}
        if left:
            note |= {"inputs": self.before, "pending": [day.isoformat() for day in left]}
            note |= {"everything": True} if is_full else {}
        else:
            note |= {"inputs": self.inputs}
        rows = hold_rows(self.gold, sessions_spec(self.gold.events), "temp.session_rows")
        self.gold.engine.write(
            "SELECT * FROM temp.session_rows",
            TABLE,
            "overwrite" if is_first else "replace",
            replace={"session_date": list(group) or [date.min]},
            layout=_LAYOUT,
            note=note,
        )
        return rows


def bracketed(gold: Gold, sql: SessionSql, days: Sequence[date] | None) -> str:
    """SELECT of the events that sessions between start and end events hold; makes the `temp` tables that it reads."""
    gold.temp("bracket_events", sql.bracket_events(days))
    gold.temp("bracket_sessions", sql.bracket_sessions())
    columns = gold.engine.query(sql.bracket_candidates()).columns
    given = give_to_sessions(zip(*(column.to_pylist() for column in columns), strict=True))
    arrays = [list(column) for column in zip(*given, strict=True)] if given else [[]] * 4
    gold.temp("bracket_given", pa.table(dict(zip(_GIVEN.names, arrays, strict=True)), schema=_GIVEN))
    gold.temp("session_held", sql.bracket_held())
    return "SELECT * FROM temp.session_held WHERE unit IS NOT NULL"


def _cuts(times: pa.Table, cap: timedelta, mode: str) -> pa.Table:
    """Where the long chains are cut: one row per piece."""
    rows = times.set_column(3, "event_time", times.column("event_time").cast(pa.int64())).to_pylist()
    found = []
    for (actor, unit, _), chain in groupby(rows, key=lambda row: (row["actor_id"], row["unit"], row["started_at"])):
        for first, last in greedy_starts([row["event_time"] for row in chain], cap):
            found.append((actor, unit, first, last, mode == "verify"))
    columns: list[Sequence[Any]] = [list(column) for column in zip(*found, strict=True)] if found else [[]] * 5
    arrays = [
        pa.array(values, pa.int64() if pa.types.is_timestamp(field.type) else field.type).cast(field.type)
        for values, field in zip(columns, _CUTS, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=_CUTS)


def _runs(days: Iterable[date]) -> list[tuple[date, date]]:
    from tidelake.gold.sqltext import runs

    return runs(days)


def first_instant(day: date, gold: Gold) -> datetime:
    """The first instant of a local date of the project."""
    return day_start(day, gold.project.zone)
