"""Days of which the logs hold only a part although their file is there: the first and the last one may be cut off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from tidelake.gold.context import Gold
from tidelake.metrics.daily import Daily
from tidelake.metrics.status import Status

LEAST = timedelta(minutes=30)
_TIMES = 4  # the longest silence that any other day has at that end
_DAYS = 3  # of others, for that to be known
Ends = Mapping[date, tuple[datetime, datetime]]


def without_cut_off_days(told: Daily) -> Daily:
    """The same metric with the first and the last day open where the logs of a source begin or stop within them.

    A copy of a day's file that was taken before the day was over is a whole file to every other check.
    """
    gold = told.question.gold
    sources = [told.metric.source] if told.metric.fact == "count" else [source.name for source in gold.events.sources]
    statuses: dict[date, Status] = dict(told.statuses)
    notes = []
    for name in sources:
        for day, words in cut_off(_ends(gold, name), gold.project.zone).items() if name else ():
            if statuses.get(day) in ("complete", "provisional"):
                statuses[day] = "open"
                notes.append(f"{day} does not count: {words} ({name}), on the other days they do not.")
    return replace(told, statuses=statuses, notes=(*told.notes, *notes)) if notes else told


def cut_off(ends: Ends, zone: ZoneInfo) -> dict[date, str]:
    """The first and the last day where their logs begin late or stop early, in words.

    A day is cut off where it is silent at its end for half an hour or more, and four times as long as any other day
    (the first and the last one aside).

    Args:
        ends: First and last instant of each local date with rows.
        zone: Of the dates.
    """
    days = sorted(ends)
    inner = days[1:-1]
    if len(inner) < _DAYS:
        return {}
    late = {day: ends[day][0] - _midnight(day, zone) for day in days}
    early = {day: _midnight(day + timedelta(days=1), zone) - ends[day][1] for day in days}
    found = {}
    if late[days[0]] > max(LEAST, _TIMES * max(late[day] for day in inner)):
        found[days[0]] = f"its logs begin at {ends[days[0]][0].astimezone(zone):%H:%M}"
    if early[days[-1]] > max(LEAST, _TIMES * max(early[day] for day in inner)):
        found[days[-1]] = f"its logs stop at {ends[days[-1]][1].astimezone(zone):%H:%M}"
    return found


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, datetime.min.time(), zone)


def _ends(gold: Gold, source: str) -> Ends:
    schema = gold.engine.schema(f"silver.{source}")
    if schema is None or "event_time" not in schema.names or "event_date" not in schema.names:
        return {}
    rows = gold.query(
        f"SELECT event_date AS day, min(event_time) AS first, max(event_time) AS last FROM silver.{source} "
        "WHERE event_date IS NOT NULL GROUP BY event_date"
    )
    return {row["day"]: (row["first"], row["last"]) for row in rows}
