"""Events, calendars and statuses written a second time, from METRICS section 0: what the other checks stand on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

UNKNOWN = "(unknown)"
WORST_FIRST = ("missing", "degraded", "open", "provisional", "partial_left", "complete")


@dataclass(frozen=True)
class Event:
    """Somebody did something.

    Attributes:
        actor: Null where nobody is named; such events are in no distinct metric.
        at: UTC.
        local_date: Date of `at` in the project's time zone.
        props: All other fields of the record.
    """

    actor: str | None
    at: datetime
    local_date: date
    name: str
    seq: int | None = None
    event_id: str | None = None
    props: Mapping[str, Any] = field(default_factory=dict, hash=False)


Choice = str | Callable[[Event], bool]


def event(
    actor: str | None,
    at: str,
    name: str = "open",
    *,
    seq: int | None = None,
    event_id: str | None = None,
    zone: str = "UTC",
    **props: Any,
) -> Event:
    """An event of a table worked by hand; `at` is local time in the zone unless it says otherwise."""
    instant = datetime.fromisoformat(at)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=ZoneInfo(zone))
    instant = instant.astimezone(UTC)
    return Event(actor, instant, instant.astimezone(ZoneInfo(zone)).date(), name, seq, event_id, props)


def chosen(choice: Choice, item: Event) -> bool:
    """Whether an event is of a name, or fulfils a predicate."""
    return item.name == choice if isinstance(choice, str) else choice(item)


def order(item: Event) -> tuple[Any, ...]:
    """`(event_time, seq, event_id)`; a missing seq or id comes last."""
    return (item.at, item.seq is None, item.seq or 0, item.event_id is None, item.event_id or "")


def by_actor(events: Iterable[Event]) -> dict[str, list[Event]]:
    """Each actor's events in order. "Null actor: excluded from distinct metrics"."""
    found: dict[str, list[Event]] = defaultdict(list)
    for item in sorted(events, key=order):
        if item.actor is not None:
            found[item.actor].append(item)
    return dict(found)


def default_active(item: Event) -> bool:
    """`coalesce(interactive, true)` and `coalesce(traffic_class, 'human') = 'human'`."""
    interactive = item.props.get("interactive")
    traffic = item.props.get("traffic_class")
    return (interactive is None or bool(interactive)) and (traffic is None or traffic == "human")


def any_event(item: Event) -> bool:
    """The preset `activity: any`."""
    return True


def text(value: Any) -> str:
    """A segment's value: "unknown or missing value → explicit `(unknown)`"."""
    return UNKNOWN if value is None or value == "" else str(value)


def period_index(day: date, grain: str, *, week_start: str = "monday") -> int:
    """Number of a day's period, so that following periods have following numbers: date arithmetic alone."""
    if grain == "day":
        return day.toordinal()
    if grain == "week":  # 1 January of year 1, ordinal 1, was a Monday
        return (day.toordinal() - (1 if week_start == "monday" else 0)) // 7
    if grain == "month":
        return day.year * 12 + day.month - 1
    raise ValueError(grain)


def period_first(index: int, grain: str, *, week_start: str = "monday") -> date:
    """First date of a period, which names it."""
    if grain == "day":
        return date.fromordinal(index)
    if grain == "week":
        return date.fromordinal(index * 7 + (1 if week_start == "monday" else 0))
    if grain == "month":
        return date(index // 12, index % 12 + 1, 1)
    raise ValueError(grain)


def period_days(first: date, grain: str, *, week_start: str = "monday") -> list[date]:
    """The dates of the period that begins on a date."""
    end = period_first(period_index(first, grain, week_start=week_start) + 1, grain, week_start=week_start)
    return days_between(first, end - timedelta(days=1))


def days_between(first: date, last: date) -> list[date]:
    """All dates from the first to the last."""
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]


def start_of(day: date, timezone: str) -> datetime:
    """The instant, in UTC, at which a local date begins; days of 23 and 25 hours come out by themselves."""
    return datetime.combine(day, time(), ZoneInfo(timezone)).astimezone(UTC)


@dataclass(frozen=True)
class Coverage:
    """What is known of how complete the data are.

    Attributes:
        first: First local date of history.
        watermark: `W`.
        lateness: A period is complete iff it ended by `W − lateness`, which is `observed_until`.
        missing: Local dates expected of which no row came.
        degraded: Local dates that failed a gate.
    """

    first: date
    watermark: datetime
    lateness: timedelta = timedelta()
    timezone: str = "UTC"
    week_start: str = "monday"
    missing: frozenset[date] = frozenset()
    degraded: frozenset[date] = frozenset()

    @classmethod
    def of(cls, events: Iterable[Event], **changes: Any) -> Coverage:
        """The default `complete: event_time`: W is the largest event time, so the last day is open.

        A date inside of history without a row is `missing`: "expected, zero rows received".
        """
        events = list(events)
        seen = {item.local_date for item in events}
        absent = frozenset(day for day in days_between(min(seen), max(seen)) if day not in seen)
        return cls(**{"first": min(seen), "watermark": max(item.at for item in events), "missing": absent, **changes})

    @property
    def observed_until(self) -> datetime:
        return self.watermark - self.lateness

    @property
    def last(self) -> date:
        """The local date that the watermark lies in, or ends."""
        return (self.watermark - timedelta(microseconds=1)).astimezone(ZoneInfo(self.timezone)).date()

    def days(self) -> list[date]:
        return days_between(self.first, self.last)

    def day_status(self, day: date) -> str:
        """Of one date; where several apply, the first of `WORST_FIRST` wins."""
        end = start_of(day + timedelta(days=1), self.timezone)
        if day in self.missing:
            return "missing"
        if day in self.degraded:
            return "degraded"
        if end > self.watermark:
            return "open"
        if end > self.observed_until:
            return "provisional"
        return "partial_left" if day < self.first else "complete"

    def window_status(self, days: Iterable[date]) -> str:
        """ "A rolling window has the worst status of its days"."""
        return min((self.day_status(day) for day in days), key=WORST_FIRST.index)

    def period_status(self, first: date, grain: str) -> str:
        """A calendar period: missing where all of its days are; degraded, as a sum is, where some are."""
        days = period_days(first, grain, week_start=self.week_start)
        statuses = [self.day_status(day) for day in days]
        if all(status == "missing" for status in statuses):
            return "missing"
        statuses = ["degraded" if status == "missing" else status for status in statuses]
        return min(statuses, key=WORST_FIRST.index)

    def periods(self, grain: str) -> list[date]:
        """The first dates of all periods of history, without gaps."""
        numbers = [period_index(day, grain, week_start=self.week_start) for day in (self.first, self.last)]
        return [period_first(number, grain, week_start=self.week_start) for number in range(numbers[0], numbers[1] + 1)]


def as_mapping(item: Event) -> dict[str, Any]:
    """An event in the form that `tests.checks.sessions` and `tests.checks.watch` take."""
    return {
        **item.props,
        "actor_id": item.actor,
        "event_time": item.at,
        "event_name": item.name,
        "seq": item.seq,
        "event_id": item.event_id,
        "event": item,
    }


def as_events(session: Iterable[Mapping[str, Any]]) -> list[Event]:
    """The events of one session that `tests.checks.sessions` made of `as_mapping`."""
    return [item["event"] for item in session]
