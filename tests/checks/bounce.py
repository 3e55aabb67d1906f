"""Bounce written a second time, from METRICS section 7, over the sessions of `tests.checks.sessions`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from tests.checks.events import Choice, Event, any_event, as_events, as_mapping, by_actor, chosen
from tests.checks.intervals import ratio_of_sums
from tests.checks.sessions import bracket_sessions, naive_sessions


def sessions_of(events: Iterable[Event], **rules: Any) -> list[list[Event]]:
    """The sessions, each a list of its events in order; rules as of `naive_sessions`."""
    return [as_events(session) for session in naive_sessions([as_mapping(item) for item in events], **rules)]


def bracketed_of(events: Iterable[Event], *, start: str, end: str) -> list[list[Event]]:
    """The sessions of bracket mode, each a list of its events."""
    found = bracket_sessions([as_mapping(item) for item in events], start=start, end=end)
    return [as_events(session["events"]) for session in found]


def _rate(bounced: Sequence[tuple[str, bool]]) -> dict[str, Any]:
    """A rate whose rows cluster in actors, with the interval that section 0 asks for."""
    actors: dict[str, list[int]] = {}
    for actor, is_bounce in bounced:
        own = actors.setdefault(actor, [0, 0])
        own[0] += is_bounce
        own[1] += 1
    numerator = sum(is_bounce for _, is_bounce in bounced)
    return {
        "value": numerator / len(bounced) if bounced else None,
        "numerator": numerator,
        "denominator": len(bounced),
        "interval": ratio_of_sums([(pair[0], pair[1]) for pair in actors.values()]),
    }


def bounce(
    sessions: Iterable[Sequence[Event]], is_bounce: Callable[[Sequence[Event]], bool]
) -> dict[date | str, dict[str, Any]]:
    """Bounced sessions / sessions, by `session_date` ("local date of start") and under `all`."""
    judged: dict[date | str, list[tuple[str, bool]]] = {"all": []}
    for session in sessions:
        row = (str(session[0].actor), is_bounce(session))
        judged["all"].append(row)
        judged.setdefault(session[0].local_date, []).append(row)
    return {key: _rate(rows) for key, rows in judged.items()}


def single_view(
    *,
    view: Choice,
    interactive: Callable[[Event], bool] = any_event,
    shorter_than: timedelta | None = None,
) -> Callable[[Sequence[Event]], bool]:
    """ "`single_view` (Plausible: one page view and no interactive custom event; PostHog: also shorter than 10 s)".

    Args:
        interactive: Which events other than views count as interactive.
        shorter_than: 10 s for PostHog's.
    """

    def judge(session: Sequence[Event]) -> bool:
        views = sum(chosen(view, item) for item in session)
        others = sum(not chosen(view, item) and interactive(item) for item in session)
        is_short = shorter_than is None or session[-1].at - session[0].at < shorter_than
        return views == 1 and others == 0 and is_short

    return judge


def not_engaged(
    *,
    view: Choice,
    key_event: Callable[[Event], bool] = lambda _: False,
    longer_than: timedelta = timedelta(seconds=10),
) -> Callable[[Sequence[Event]], bool]:
    """ "`not_engaged` (GA4: not [>10 s or key event or ≥2 views])"; the session's duration is last − first."""

    def judge(session: Sequence[Event]) -> bool:
        views = sum(chosen(view, item) for item in session)
        return not (
            session[-1].at - session[0].at > longer_than or any(key_event(item) for item in session) or views >= 2
        )

    return judge


def not_engaged_snowplow(
    *, view: Choice, heartbeat: Choice, conversion: Callable[[Event], bool] = lambda _: False
) -> Callable[[Sequence[Event]], bool]:
    """ "Snowplow engaged: ≥2 views or ≥2 heartbeats or conversion"."""

    def judge(session: Sequence[Event]) -> bool:
        views = sum(chosen(view, item) for item in session)
        beats = sum(chosen(heartbeat, item) for item in session)
        return not (views >= 2 or beats >= 2 or any(conversion(item) for item in session))

    return judge


def bounce_session(sessions: Iterable[Sequence[Event]], *, event: Choice) -> dict[date | str, dict[str, Any]]:
    """ "`bounce_session` = sessions without a play / sessions"."""
    return bounce(sessions, lambda session: not any(chosen(event, item) for item in session))


def opened_not(events: Iterable[Event], *, opened: Choice, event: Choice) -> dict[date | str, dict[str, Any]]:
    """ "`opened_not_<event>`: actor-days with app_open and no play / actor-days with app_open", by date and `all`."""
    judged: dict[date | str, list[tuple[str, bool]]] = {"all": []}
    for actor, own in by_actor(events).items():
        for day in {item.local_date for item in own}:
            today = [item for item in own if item.local_date == day]
            if not any(chosen(opened, item) for item in today):
                continue
            row = (actor, not any(chosen(event, item) for item in today))
            judged["all"].append(row)
            judged.setdefault(day, []).append(row)
    return {key: _rate(rows) for key, rows in judged.items()}


def engagement_rate(row: dict[str, Any]) -> float | None:
    """ "`engagement_rate = 1 − bounce(not_engaged)`"."""
    return None if row["value"] is None else 1 - row["value"]
