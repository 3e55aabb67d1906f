"""The SELECTs that cut an actor's events into sessions (METRICS section 7) and measure them (section 12).

Steps, each a `temp` table: bins of close events, bins with their session's start (by the project's mode),
chains longer than the cap cut exactly, watch time, then `gold.sessions`. A session is known by
(actor_id, unit, started_at) while it is made; `unit` is what may hold sessions beside each other: the
`split_by` values, the source's session id, or in bracket mode the start event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

from tidelake.contracts.table import literal, quoted
from tidelake.gold.events import Events
from tidelake.gold.sqltext import (
    SumKind,
    dates_condition,
    instant_micros,
    later,
    micros,
    one_of,
    render,
    sum_again,
    sum_parts,
)

_BIN = "actor_id, unit, event_date, bin"
_NEVER = 2**62  # a place after all events
_BRACKET = {
    "session_ended_at": "max(session_ended_at)",
    "session_ended_date": "max(session_ended_date)",
    "closed_flag": "max(closed_flag)",
    "chain_started_at": "min(chain_started_at)",
    "chain_date": "min(chain_date)",
}
_SHIFT = 62_135_596_800_000_000  # microseconds from year 1 to 1970: keeps bins of equal width before 1970


@dataclass(frozen=True)
class SessionSql:
    """The SELECTs of one project's sessions.

    Attributes:
        events: The project's event sources.
        after_cutoff: Leave out events that belong to sessions of dates that stay (`temp.session_cutoffs`).
        only: A further condition over events, which picks the units that are made anew.
        earlier: Bracket mode: condition for the events before those, which play states can still hold from.
    """

    events: Events
    only: str | None = None
    after_cutoff: bool = False
    earlier: str | None = None

    @property
    def mode(self) -> str:
        return self.events.project.session.mode

    @property
    def cuts(self) -> bool:
        """Whether the events of one unit are cut into several sessions."""
        return self.mode in ("ignore", "verify")

    @property
    def is_by_source(self) -> bool:
        """Whether the source's session id is the unit."""
        return self.mode in ("trust", "verify")

    @property
    def unit(self) -> str:
        """What tells sessions of one actor apart that may overlap."""
        rule = self.events.project.session
        if self.is_by_source:
            return "source_session_id"
        if self.mode == "ignore" and rule.split_by:
            parts = ", '|', ".join(f"coalesce(CAST({quoted(name)} AS VARCHAR), '')" for name in rule.split_by)
            return f"concat({parts}, '')"
        return "''"

    @property
    def _bin_width(self) -> int:
        """Microseconds of a bin: gaps inside of one are below the timeout and below the engaged cap."""
        rule = self.events.project.session
        return max(1, min(micros(rule.timeout) // 2, micros(rule.engaged_cap)))

    @property
    def _unit_columns(self) -> str:
        return (
            f"1 AS rank, {self.unit} AS unit, "
            f"whole_divide({instant_micros('event_time')} + {_SHIFT}, {self._bin_width}) AS bin"
        )

    def unit_events(self, days: Sequence[date] | None) -> str:
        """Events with their unit and time bin; those that no session can hold are left out."""
        kept = ["source_session_id IS NOT NULL"] if self.is_by_source else []
        kept += [self.only] if self.only else []
        where = f" WHERE {' AND '.join(kept)}" if kept else ""
        marked = (
            f"SELECT *, {self._unit_columns}, coalesce({self.events.watch_event}, FALSE) AS is_watch "
            f"FROM ({self.events.select(days=days)}) AS rows{where}"
        )
        if not self.after_cutoff:
            return marked
        return (
            f"SELECT marked.* FROM ({marked}) AS marked LEFT JOIN temp.session_cutoffs AS cutoffs "
            "ON cutoffs.actor_id = marked.actor_id AND cutoffs.unit = marked.unit "
            "WHERE cutoffs.ended_at IS NULL OR marked.event_time > cutoffs.ended_at"
        )

    def bins(self, events: str) -> str:
        """SELECT of the time bins."""
        return render("session_bins", events=events, keys=_BIN, measures=self._partial_columns())

    def parts(self) -> str:
        """SELECT of the bins with their session's start."""
        if self.mode in ("trust", "bracket"):
            return render("session_parts_trust")
        if self.mode == "verify":
            return render(
                "session_parts_verify",
                is_break=self._is_break,
                capped=later("unit_started_at", self.events.project.session.cap),
            )
        return render("session_parts_ignore", is_break=self._is_break)

    @property
    def _is_break(self) -> str:
        rule = self.events.project.session
        gap = f"previous_time IS NULL OR first_time > {later('previous_time', rule.timeout)}"
        return f"{gap} OR event_date <> previous_date" if rule.split_at_midnight else gap

    # --- bracket mode: the start and end events say what a session is

    @property
    def _rank(self) -> str:
        """At equal times starts come first and ends last."""
        rule = self.events.project.session
        start, end = literal(rule.start or ""), literal(rule.end or "")
        return f"CASE WHEN event_name = {start} THEN 0 WHEN event_name = {end} THEN 2 ELSE 1 END AS rank"

    def bracket_events(self, days: Sequence[date] | None) -> str:
        """SELECT of `temp.bracket_events`: events in order, with starts and ends numbered."""
        where = f" WHERE {self.only}" if self.only else ""
        return render(
            "bracket_events",
            rank=self._rank,
            events=f"SELECT * FROM ({self.events.select(days=days)}) AS rows{where}",
            order=self.events.order("event_time", "rank"),
        )

    def bracket_sessions(self) -> str:
        """SELECT of `temp.bracket_sessions`: every start with its end."""
        start_id = "coalesce(chained.event_id, '')"
        if not self.events.has_unique_ids:
            start_id = f"concat({start_id}, '@', CAST({instant_micros('chained.started_at')} AS VARCHAR))"
        return render("bracket_sessions", never=str(_NEVER), start_id=start_id)

    def bracket_candidates(self) -> str:
        """SELECT of the events that several sessions may hold."""
        return render("bracket_candidates")

    def bracket_held(self) -> str:
        """SELECT of the events that sessions hold, under their session's unit."""
        names = ("source", "event_date", "event_time", "seq", "event_id", "actor_id", "event_name")
        columns = [*names, "source_session_id", "is_active", "rank", *(quoted(name) for name in self.events.needed())]
        columns += [name for name in self.events.tie_names if name not in names]
        return render(
            "bracket_held",
            columns=", ".join(f"events.{name}" for name in columns),
            choices=render("bracket_choices"),
            micros=instant_micros("events.event_time"),
            shift=str(_SHIFT),
            width=str(self._bin_width),
            is_watch=self.events.watch_event,
        )

    # --- chains longer than the cap

    def long_chains(self) -> str:
        """SELECT of the chains that are longer than the cap."""
        capped = later("started_at", self.events.project.session.cap)
        return (
            "SELECT DISTINCT actor_id, unit, started_at, chain_ended_at FROM temp.session_parts "
            f"WHERE chain_ended_at > {capped}"
        )

    def long_times(self, events: str) -> str:
        """SELECT of the instants inside of the long chains, in order."""
        return (
            "SELECT chains.actor_id, chains.unit, chains.started_at, events.event_time "
            f"FROM temp.session_long AS chains JOIN ({events}) AS events "
            "ON events.actor_id = chains.actor_id AND events.unit = chains.unit "
            "AND events.event_time BETWEEN chains.started_at AND chains.chain_ended_at "
            "GROUP BY chains.actor_id, chains.unit, chains.started_at, events.event_time "
            "ORDER BY chains.actor_id, chains.unit, chains.started_at, events.event_time"
        )

    def cut_parts(self, events: str) -> str:
        """SELECT of all parts, with the long chains cut as `temp.session_cuts` says."""
        columns = (
            "actor_id, unit, event_date, bin, first_time, last_time, event_count, active_event_count, "
            f"first_watch_time, started_at, is_resplit{''.join(f', {quoted(name)}' for name in self._partials())}"
        )
        cut = (
            "SELECT events.*, cuts.started_at, cuts.is_resplit FROM temp.session_cuts AS cuts "
            f"JOIN ({events}) AS events ON events.actor_id = cuts.actor_id AND events.unit = cuts.unit "
            "AND events.event_time BETWEEN cuts.started_at AND cuts.ended_at"
        )
        again = render(
            "session_bins", events=cut, keys=f"{_BIN}, started_at, is_resplit", measures=self._partial_columns()
        )
        return (
            f"SELECT {columns} FROM temp.session_whole AS parts WHERE NOT EXISTS "
            "(SELECT 1 FROM temp.session_long AS chains WHERE chains.actor_id = parts.actor_id "
            "AND chains.unit = parts.unit AND chains.started_at = parts.started_at) "
            f"UNION ALL SELECT {columns} FROM ({again}) AS again"
        )

    # --- watch time: play states by actor and content, whatever the sessions

    @property
    def reach(self) -> timedelta:
        """How long after an event the next one of its content can decide how long its play state lasts."""
        return max(self.events.project.session.cap, self.events.project.watch.cap)

    def watch_events(self, days: Sequence[date] | None) -> str:
        """SELECT of the events that have a content, with their session where it is among those that are made.

        Args:
            days: Local dates of the sessions' events and of those that play states can hold from or end at.
        """
        content = quoted(self.events.project.watch.content)
        if self.mode == "bracket":
            return self._bracket_watch_events(days, content)
        events = self.events.select(days=days, where=f"{content} IS NOT NULL")
        chosen = " WHERE actor_id IN (SELECT actor_id FROM temp.session_totals)" if self.only else ""
        marked = f"SELECT *, {content} AS watched, {self._unit_columns} FROM ({events}) AS rows{chosen}"
        if not self.cuts:
            return marked
        return (
            f"SELECT marked.*, parts.started_at FROM ({marked}) AS marked LEFT JOIN temp.session_parts AS parts "
            "ON parts.actor_id = marked.actor_id AND parts.unit = marked.unit AND parts.event_date = marked.event_date "
            "AND parts.bin = marked.bin AND marked.event_time BETWEEN parts.first_time AND parts.last_time"
        )

    def _bracket_watch_events(self, days: Sequence[date] | None, content: str) -> str:
        order = ", ".join(("event_time", "rank", "seq", "event_id", *self.events.tie_names))
        columns = f"actor_id, event_name, {content} AS watched, {order}"
        held = f"SELECT {columns}, unit FROM temp.session_held WHERE {content} IS NOT NULL"
        if self.earlier is None:
            return held
        ranked = (
            f"SELECT *, {self._rank} FROM ({self.events.select(days=days, where=f'{content} IS NOT NULL')}) AS rows"
        )
        none = "CAST(NULL AS VARCHAR) AS unit"
        return f"{held} UNION ALL SELECT {columns}, {none} FROM ({ranked}) AS rows WHERE {self.earlier}"

    def watch(self, events: str) -> str:
        """SELECT of watch time from play states, by session; `events` is what `watch_events` gives."""
        rule, name = self.events.project.watch, "event_name"

        def holds(on: Sequence[str], off: Sequence[str]) -> str:
            """The instant of the event by which a flag holds; null where none does."""
            is_on = one_of(name, on)
            mark = f"max(CASE WHEN {is_on} THEN place * 2 + 1 WHEN {one_of(name, off)} THEN place * 2 END) OVER so_far"
            since = f"max(CASE WHEN {is_on} THEN at_micros END) OVER so_far"
            return f"CASE WHEN {mark} % 2 = 1 AND at_micros - {since} <= {micros(longest)} THEN {since} END"

        longest = self.events.project.session.cap
        started_at = ", started_at" if self.cuts else ""
        holder, holder_place = f"unit{started_at}, TRUE AS is_held", "0"
        if self.mode != "ignore":
            # An event outside of every session: what it begins belongs to the session that the content was in before.
            group = "OVER (PARTITION BY actor_id, watched, holder_place)"
            holder = f"max(unit) {group} AS unit"
            holder += f", max(started_at) {group} AS started_at" if self.cuts else ""
            holder += f", at_micros - min(at_micros) {group} <= {micros(longest)} AS is_held"
            holder_place = "max(CASE WHEN unit IS NOT NULL THEN place END) OVER so_far"
        return render(
            "session_watch",
            events=events,
            keys=f"actor_id, unit{started_at}",
            started_at=started_at,
            event_micros=instant_micros("event_time"),
            order=self.events.order("event_time", "rank"),
            is_play=f"coalesce({one_of(name, rule.play)}, FALSE)",
            started=holds((*rule.play, *rule.resume, *rule.buffer_end), rule.end),
            paused=holds(rule.pause, (*rule.play, *rule.resume, *rule.end)),
            buffering=holds(rule.buffer_start, (*rule.play, *rule.buffer_end, *rule.end)),
            opened=holds(rule.play, rule.end),
            holder=holder,
            holder_place=holder_place,
            of_made=" AND started_at IS NOT NULL" if self.cuts else "",
            longest=str(micros(longest)),
            cap=str(micros(rule.cap)),
        )

    def totals(self) -> str:
        """SELECT of `temp.session_totals`: the parts of each session added up."""
        is_bracket = self.mode == "bracket"
        # Sessions that are never cut have no start of their own among their keys: bins are enough.
        is_whole = not self.cuts
        return render(
            "session_totals",
            keys="actor_id, unit" if is_whole else "actor_id, unit, started_at",
            started_at="min(first_time)" if is_whole else "started_at",
            is_resplit="0" if is_whole else "max(CASE WHEN is_resplit THEN 1 ELSE 0 END)",
            parts="temp.session_bins" if is_whole else "temp.session_parts",
            ended_at="max(session_ended_at)" if is_bracket else "max(last_time)",
            ended_date="max(session_ended_date)" if is_bracket else "max(event_date)",
            last_micros=instant_micros("last_time"),
            first_micros=instant_micros("first_time"),
            before_micros=instant_micros("part_before"),
            engaged_cap=str(micros(self.events.project.session.engaged_cap)),
            combined=self._combined_columns(),
        )

    def instants(self, events: str, *, days: Sequence[date] | None) -> str:
        """SELECT of `temp.session_instants`: events at the start and the earliest watch event of sessions.

        Args:
            days: Dates on which the sessions start; None = all.
        """
        return render(
            "session_instants",
            events=events,
            columns=", ".join(f"{value} AS {name}" for name, value in self._instant_columns().items()),
            starting=dates_condition("session_date", days),
        )

    def _instant_columns(self) -> dict[str, str]:
        """What sessions take from the events at an instant: columns of `events` by the names that they get."""
        content = self.events.project.watch.content
        names = ["actor_id", "unit", "event_date", "event_time", "is_watch", "event_id"]
        names += [] if self.is_by_source else ["source_session_id"]
        names += [quoted(name) for name in self.events.project.dimensions]
        value = f"events.{quoted(content)}" if content in self.events.types else "NULL"
        return {**{name: f"events.{name}" for name in names}, "watched_content": f"CAST({value} AS VARCHAR)"}

    def instant_count(self, days: Sequence[date] | None) -> str:
        """SELECT of how many rows `temp.session_instants` has where nothing is tied."""
        return (
            "SELECT count(*) + count(*) FILTER (WHERE first_watch_time <> started_at) AS wanted "
            f"FROM temp.session_totals WHERE {dates_condition('session_date', days)}"
        )

    def ties(self) -> str:
        """SELECT of `temp.session_ties`: instants with several events."""
        return render("session_ties")

    def tied_dates(self) -> str:
        """SELECT of the dates on which events of tied instants lie."""
        return (
            "SELECT DISTINCT event_date FROM temp.session_instants "
            "WHERE event_time IN (SELECT at_time FROM temp.session_ties)"
        )

    def points(self, events: str) -> str:
        """SELECT of `temp.session_points`: which of several events at an instant is the first.

        Args:
            events: Those of the dates with ties at least.
        """
        columns = self._instant_columns()
        return render(
            "session_points",
            columns=", ".join(f"events.{name}" for name in columns),
            tied_columns=", ".join(f"{value} AS {name}" for name, value in columns.items()),
            events=events,
            order=self.events.order("rank", prefix="events."),
        )

    def sessions(self, *, days: Sequence[date] | None, has_ties: bool) -> str:
        """SELECT of `gold.sessions` for sessions that start on these dates.

        Args:
            has_ties: Whether several events share an instant: `temp.session_points` says which is first.
        """
        points = "temp.session_points" if has_ties else "temp.session_instants"
        dimensions = self.events.project.dimensions
        outputs = "".join(f", sessions.{quoted(name)}" for name in self._sums() if name != "watch_value")
        outputs += "".join(f", firsts.{quoted(name)} AS {quoted('first_' + name)}" for name in dimensions)
        joins = ""
        if self.mode == "bracket":
            outputs += ", sessions.closed_flag = 1 AS is_closed, sessions.chain_started_at, sessions.chain_date"
        if self.events.has_watch:
            joins += (
                f"\nLEFT JOIN {points} AS watches\n  ON watches.actor_id = sessions.actor_id "
                "AND watches.unit = sessions.unit\n AND watches.event_time = sessions.first_watch_time "
                f"AND watches.is_watch{' AND watches.watch_place = 1' if has_ties else ''}"
            )
            outputs += ", watches.watched_content AS first_watch_content"
            others = [name for name in dimensions if name != "content"]  # that one is the content itself
            outputs += "".join(f", watches.{quoted(name)} AS {quoted('first_watch_' + name)}" for name in others)
        if self.events.has_states:
            joins += _joined("temp.session_watch", "watch")
            joins += "\n AND watch.started_at = sessions.started_at" if self.cuts else ""
        started = instant_micros("sessions.started_at")
        first = "sessions.unit" if self.mode == "bracket" else "coalesce(firsts.event_id, sessions.unit)"
        is_beside = self.is_by_source or bool(self.mode == "ignore" and self.events.project.session.split_by)
        if is_beside and not self.events.has_unique_ids:  # two units may begin at once, with one id
            both = "concat(firsts.event_id, '|', sessions.unit)"
            first = f"CASE WHEN firsts.event_id IS NULL THEN sessions.unit ELSE {both} END"
        return render(
            "sessions",
            session_id=f"md5(concat(sessions.actor_id, '|', CAST({started} AS VARCHAR), '|', {first}))",
            ended_micros=instant_micros("sessions.ended_at"),
            started_micros=started,
            engaged_micros=self._engaged(started),
            points=points,
            is_first=" AND firsts.place = 1" if has_ties else "",
            source_session_id="sessions.unit" if self.is_by_source else "firsts.source_session_id",
            outputs=outputs + self._watch_outputs(),
            joins=joins,
            starting=dates_condition("sessions.session_date", days),
        )

    def _engaged(self, started: str) -> str:
        """Engaged microseconds of a session: its heartbeats times the interval, else its pauses up to the cap."""
        rule = self.events.project.session.heartbeat
        if rule is None:
            return "sessions.engaged_micros"
        first = micros(rule.interval if rule.first is None else rule.first)
        most = f", {micros(rule.cap)}" if rule.cap is not None else ""
        beats = f"{first} + (sessions.heartbeat_count - 1) * {micros(rule.interval)}"
        lasted = f"{instant_micros('sessions.ended_at')} - {started}"
        return f"CASE WHEN sessions.heartbeat_count > 0 THEN least({beats}, {lasted}{most}) ELSE 0 END"

    def _watch_outputs(self) -> str:
        if self.events.has_states:
            return (
                ", CAST(coalesce(watch.watch_micros, 0) AS DOUBLE) / 1000000 AS watch_seconds"
                ", CAST(coalesce(watch.wall_micros, 0) AS DOUBLE) / 1000000 AS watch_seconds_wall"
                ", coalesce(watch.watch_open_ended_count, 0) AS watch_open_ended_count"
                ", coalesce(watch.play_count, 0) AS play_count"
            )
        declared = "sessions.watch_value" if self.events.has_watch else "CAST(NULL AS DOUBLE)"
        return (
            f", {declared} AS watch_seconds, CAST(NULL AS DOUBLE) AS watch_seconds_wall, "
            "CAST(NULL AS BIGINT) AS watch_open_ended_count, CAST(NULL AS BIGINT) AS play_count"
        )

    # --- measures: added up in parts, then by session

    def _sums(self) -> dict[str, SumKind]:
        """What is added up, by its column, with its type."""
        project = self.events.project
        found = {name: self.events.measure_kind(name) for name, rule in project.measures.items() if not rule.distinct}
        if self.mode == "bracket":
            found["ambiguous_event_count"] = "BIGINT"
        if project.session.heartbeat is not None:
            found["heartbeat_count"] = "BIGINT"
        if project.watch.column is not None:
            found["watch_value"] = self.events.watch_kind
        return found

    def _partials(self) -> dict[str, str]:
        """Aggregates over events, by the name that a part carries them under."""
        project = self.events.project
        found = self.events.measure_parts(name for name, rule in project.measures.items() if not rule.distinct)
        if self.mode == "bracket":
            found["ambiguous_event_count"] = "count(*) FILTER (WHERE is_ambiguous)"
        if project.session.heartbeat is not None:
            beats = one_of("event_name", project.session.heartbeat.event)
            found["heartbeat_count"] = f"count(*) FILTER (WHERE {beats})"
        if project.watch.column is not None:
            parts = sum_parts(quoted(project.watch.column), self.events.watch_kind, "is_watch")
            found |= {f"watch_value{suffix}": text for suffix, text in parts.items()}
        return found

    def _partial_columns(self) -> str:
        found = {**self._partials(), **(_BRACKET if self.mode == "bracket" else {})}
        return "".join(f",\n       {text} AS {quoted(name)}" for name, text in found.items())

    def _combined_columns(self) -> str:
        found = ""
        for name, kind in self._sums().items():
            found += f",\n           coalesce({sum_again(name, kind)}, 0) AS {quoted(name)}"
        for name, text in (_BRACKET if self.mode == "bracket" else {}).items():
            if not name.startswith("session_ended"):
                found += f",\n           {text} AS {name}"
        return found


def _joined(table: str, alias: str) -> str:
    return f"\nLEFT JOIN {table} AS {alias}\n  ON {alias}.actor_id = sessions.actor_id AND {alias}.unit = sessions.unit"


def give_to_sessions(candidates: Iterable[tuple[str, int, str | None, int, int]]) -> list[tuple[str, int, int, bool]]:
    """Give events that lie in several open sessions to one of them (METRICS section 7, bracket mode).

    Each goes to the oldest session that has no event of its name yet, else to the latest opened.

    Args:
        candidates: (actor, chain, event name, place, start number of an open session), in this order.

    Returns:
        (actor, place, start number, whether several were open) of every event.
    """
    found = []
    for _, named in groupby(candidates, key=lambda row: row[:3]):
        served: set[int] = set()
        for (actor, place), rows in groupby(named, key=lambda row: (row[0], row[3])):
            opened = [row[4] for row in rows]
            chosen = next((number for number in opened if number not in served), opened[-1])
            served.add(chosen)
            found.append((actor, place, chosen, len(opened) > 1))
    return found


def greedy_starts(times: Sequence[int], cap: timedelta) -> list[tuple[int, int]]:
    """Cut a chain of instants so that no piece is longer than the cap: (first, last) of each piece.

    Args:
        times: Distinct instants in microseconds, ascending.
        cap: Longest length; a piece of exactly this length stays whole.
    """
    limit = micros(cap)
    pieces: list[tuple[int, int]] = []
    first = last = None
    for instant in times:
        if first is None or instant - first > limit:
            if first is not None and last is not None:
                pieces.append((first, last))
            first = instant
        last = instant
    if first is not None and last is not None:
        pieces.append((first, last))
    return pieces
