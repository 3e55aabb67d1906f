"""The catalogue's metrics of sessions and of actors' days written a second time, from METRICS sections 7 and 12."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from statistics import median, quantiles
from typing import Any

from tests.checks.events import Coverage, Event, default_active, period_days, text
from tests.checks.intervals import ratio_of_sums

Parts = Mapping[str, tuple[float, float]]  # by actor: numerator, denominator


def named(own: Iterable[Event], name: str) -> int:
    return sum(item.name == name for item in own)


@dataclass(frozen=True)
class Visit:
    """A session: its events in order, and when it ends (a bracket without an end may end with another one's event)."""

    events: Sequence[Event]
    ended_at: datetime


def single_view(own: Visit) -> bool:
    """ "One of the events of the measure `views`, and no other active event; beside a view that is not interactive
    itself, one passes"."""
    return named(own.events, "view") == 1 and sum(default_active(item) for item in own.events) <= 1


def not_engaged(own: Visit) -> bool:
    """ "not [>10 s or key event or ≥2 views]"."""
    return not (duration(own) > 10 or named(own.events, "buy") or named(own.events, "view") >= 2)


def engaged(own: Visit) -> float:
    """ "Σmin(gap, cap 5 min)"."""
    return sum(min((b.at - a.at).total_seconds(), 300) for a, b in pairwise(own.events))


def browsing(own: Visit) -> float:
    """ "Σ min(gap to the actor's next event, 5 min) after `browse` events within a session"."""
    return sum(min((b.at - a.at).total_seconds(), 300) for a, b in pairwise(own.events) if a.name == "browse")


def duration(own: Visit) -> float:
    return (own.ended_at - own.events[0].at).total_seconds()


MEANS: Mapping[str, Callable[[Visit], float]] = {
    "session_duration": duration,
    "engaged_time": engaged,
    "bounce_single_view": single_view,
    "bounce_not_engaged": not_engaged,
    "engagement_rate": lambda own: not not_engaged(own),
    "bounce_session": lambda own: not named(own.events, "play"),
}
QUANTILES: Mapping[str, tuple[Callable[[Visit], float], float]] = {
    "session_duration_median": (duration, 0.5),
    "session_duration_p90": (duration, 0.9),
    "engaged_time_median": (engaged, 0.5),
}
SUMS: Mapping[str, Callable[[Visit], float]] = {"sessions": lambda _: 1, "browsing_seconds": browsing}


def quantile(values: Sequence[float], share: float) -> float | None:
    """Between the values in order, linearly."""
    values = sorted(values)
    if share == 0.5:
        return median(values) if values else None
    if len(values) < 2:
        return values[0] if values else None
    return quantiles(values, n=10, method="inclusive")[round(share * 10) - 1]


def ratio(parts: Iterable[tuple[str, float, float]], *, is_share: bool = False) -> dict[str, Any]:
    """A ratio of sums with the interval of actors; (actor, numerator, denominator) a row."""
    actors: dict[str, list[float]] = {}
    for actor, top, bottom in parts:
        own = actors.setdefault(actor, [0.0, 0.0])
        own[0] += top
        own[1] += bottom
    told = ratio_of_sums([(pair[0], pair[1]) for pair in actors.values() if any(pair)])
    low, high = told[1:] if told else (None, None)
    if is_share and low is not None and high is not None:
        low, high = max(0.0, low), min(1.0, high)
    top, bottom = sum(pair[0] for pair in actors.values()), sum(pair[1] for pair in actors.values())
    value = top / bottom if bottom else None
    return {"value": value, "numerator": top, "denominator": bottom, "ci_low": low, "ci_high": high}


def of_sessions(metric: str, sessions: Sequence[Visit]) -> dict[str, Any]:
    """A metric of some sessions."""
    if metric in MEANS:
        is_share = metric.startswith(("bounce", "engagement"))
        return ratio(((str(own.events[0].actor), MEANS[metric](own), 1) for own in sessions), is_share=is_share)
    if metric in QUANTILES:
        what, share = QUANTILES[metric]
        return {"value": quantile([what(own) for own in sessions], share), "n": len(sessions)}
    return {"value": sum(SUMS[metric](own) for own in sessions)}


def of_days(metric: str, events: Iterable[Event]) -> dict[str, Any]:
    """A metric of some actors' days: of the human events of a period (and of a segment)."""
    days: dict[tuple[str, date], list[Event]] = {}
    for item in events:
        if item.actor is not None:
            days.setdefault((item.actor, item.local_date), []).append(item)
    active = {key for key, own in days.items() if any(default_active(item) for item in own)}
    plays = {key: named(own, "play") for key, own in days.items()}
    titles = {
        key: len({item.props["content_id"] for item in own if item.name == "play"} - {None})
        for key, own in days.items()
    }
    counts = {
        "plays_per_user": plays,
        "searches_per_user": {key: named(own, "search") for key, own in days.items()},
        "titles_per_user": titles,
    }
    if metric in counts:
        return ratio((key[0], counts[metric][key], key in active) for key in days)
    if metric == "plays_per_player":
        return ratio((key[0], plays[key], plays[key] > 0) for key in days)
    if metric == "high_user_day_share":
        return ratio(((key[0], plays[key] >= 5, 1) for key in active), is_share=True)
    if metric == "opened_not_play":
        opened = [key for key, own in days.items() if named(own, "open")]
        return ratio(((key[0], plays[key] == 0, 1) for key in opened), is_share=True)
    if metric in ("high_users", "low_users"):
        of_actor: dict[str, list[int]] = {}
        for key in active:
            of_actor.setdefault(key[0], []).append(plays[key])
        return {"value": sum((median(own) >= 5) == (metric == "high_users") for own in of_actor.values())}
    return {
        "value": {
            "active_days": len(active),
            "player_days": sum(number > 0 for number in plays.values()),
            "players": len({key[0] for key, number in plays.items() if number}),
            "high_user_days": sum(plays[key] >= 5 for key in active),
            "low_user_days": sum(plays[key] < 5 for key in active),
            "titles": sum(titles.values()),
        }[metric]
    }


DAYS = ("plays_per_user", "searches_per_user", "titles_per_user", "plays_per_player", "high_user_day_share")
DAYS += ("opened_not_play", "high_users", "low_users", "active_days", "player_days", "players", "high_user_days")
DAYS += ("low_user_days", "titles")
NAMES = ("value", "numerator", "denominator", "ci_low", "ci_high")


def table(
    things: Sequence[Any],
    coverage: Coverage,
    grain: str,
    of: Callable[[Sequence[Any]], dict[str, Any]],
    event_of: Callable[[Any], Event],
    by: str | None = None,
) -> dict[Any, dict[str, Any]]:
    """The rows of a metric by (value of the dimension, first date), null where the period is missing."""
    values = sorted({text(event_of(one).props[by]) for one in things}) if by else [""]
    found = {}
    for value in values:
        for first in coverage.periods(grain):
            days = set(period_days(first, grain, week_start=coverage.week_start))
            status = coverage.period_status(first, grain)
            own = [one for one in things if event_of(one).local_date in days]
            own = [one for one in own if not by or text(event_of(one).props[by]) == value]
            row = of(own)
            found[value, first] = {**row, "status": status}
            if status == "missing":
                found[value, first] = {**dict.fromkeys(row), "status": status}
    return found
