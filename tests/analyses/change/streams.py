"""The simulator's stories as the daily tables that data faults are seen by, counted by bare DuckDB."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import combinations

import duckdb
import numpy as np
import pyarrow as pa

from tidelake.analyses.change.faults import SourceDays
from tidelake.sources.simulate.clickstream import DAY_MS, EVENT_TYPES, Period, clickstream
from tidelake.sources.simulate.planted import PLANTS, Plant

FIRST = date(2025, 11, 10)
ONSET = FIRST + timedelta(days=7)
LAST = FIRST + timedelta(days=13)


def events_of(plant: str, *, users: int, seed: int, lost: float | None = None) -> pa.Table:
    """Events of a story that reach the logs: event_date, actor_id, event_name, event_ms.

    Args:
        lost: Share of (user, minute) batches that are lost from the onset on; None = what the story says.
    """
    story: Plant = PLANTS[plant] if lost is None else replace(PLANTS[plant], lost_batches=lost)
    stream = clickstream(story, Period(FIRST, 14, ONSET), users, seed)
    time = stream.event["time_ms"]
    user = stream.session["user"][stream.event["session"]]
    day = (time - Period(FIRST, 14, ONSET).start_ms) // DAY_MS
    _, batch = np.unique(user * 100_000_000 + time // 60_000, return_inverse=True)
    gone = np.random.default_rng([seed, 7]).random(int(batch.max()) + 1) < story.lost_batches
    kept = ~(gone[batch] & (day >= 7))
    names = np.array(EVENT_TYPES)[stream.event["type"]]
    table = pa.table({"offset": day[kept], "actor_id": user[kept], "event_name": names[kept], "event_ms": time[kept]})
    days = pa.array([FIRST + timedelta(days=int(at)) for at in day[kept]], pa.date32())
    return table.append_column("event_date", days)


def people_away(events: pa.Table, share: float, *, seed: int) -> pa.Table:
    """The events without those of some actors' days from the onset on."""
    day = events["offset"].to_numpy()
    _, place = np.unique(events["actor_id"].to_numpy() * 100 + day, return_inverse=True)
    gone = np.random.default_rng([seed, 3]).random(int(place.max()) + 1) < share
    return events.filter(pa.array(~(gone[place] & (day >= 7))))


def days_of(events: pa.Table) -> SourceDays:
    """The daily tables of some events; nothing is known of files and fields, and every day is complete."""
    with duckdb.connect() as db:
        db.register("events", events)

        def rows(sql: str) -> pa.Table:
            return db.sql(sql).to_arrow_table()

        counts = rows("SELECT event_date AS day, event_name, count(*) AS events FROM events GROUP BY ALL ORDER BY ALL")
        actors = rows("SELECT event_date AS day, count(DISTINCT actor_id) AS actors FROM events GROUP BY 1 ORDER BY 1")
        db.execute(
            "CREATE TABLE n AS SELECT event_date AS day, actor_id, event_name AS name, count(*) AS n FROM events "
            "GROUP BY ALL"
        )
        top = db.execute("SELECT name FROM n GROUP BY 1 ORDER BY sum(n) DESC, 1 LIMIT 10").fetchall()
        both = ", ".join(f"('{one}', '{two}')" for one, two in combinations(sorted(name for (name,) in top), 2))
        pairs = rows(
            f"""
            SELECT day, first, second, count(*) AS actor_days, count(*) FILTER (one = two) AS alike FROM (
                SELECT day, first, second, actor_id, coalesce(sum(n) FILTER (name = first), 0) AS one,
                    coalesce(sum(n) FILTER (name = second), 0) AS two
                FROM n JOIN (VALUES {both}) AS p(first, second) ON name IN (first, second) GROUP BY ALL)
            GROUP BY ALL ORDER BY ALL"""
        )
    none = pa.table({"day": pa.array([], pa.date32())})
    return SourceDays("app", counts, actors, pairs, none, none, {})
