"""Watch time written a second time, from METRICS section 12: a player that is told one event after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.checks.sessions import order

Event = Mapping[str, Any]
NONE = timedelta()


@dataclass
class Player:
    """What an actor's player does with one content.

    Attributes:
        runs_from: The last play, resume or buffer_end, until an end; from then on it plays, unless held up.
        opened_at: The last play, until an end.
    """

    runs_from: datetime | None = None
    opened_at: datetime | None = None
    is_paused: bool = False
    is_buffering: bool = False

    def hear(self, event: Event) -> None:
        name, now = event["event_name"], event["event_time"]
        if name == "play":
            self.runs_from = self.opened_at = now
            self.is_paused = self.is_buffering = False
        elif name == "resume":
            self.runs_from, self.is_paused = now, False
        elif name == "buffer_end":
            self.runs_from, self.is_buffering = now, False
        elif name == "pause":
            self.is_paused = True
        elif name == "buffer_start":
            self.is_buffering = True
        elif name in ("stop", "complete"):
            self.runs_from = self.opened_at = None
            self.is_paused = self.is_buffering = False

    @property
    def plays_from(self) -> datetime | None:
        return None if self.is_paused or self.is_buffering else self.runs_from


@dataclass(frozen=True)
class Stretch:
    """From one event of a content to the next one."""

    event: Event
    net: timedelta
    wall: timedelta
    is_open_ended: bool


def stretches(events: Sequence[Event], *, cap: timedelta, longest: timedelta) -> list[Stretch]:
    """The stretches of one actor and content, whose events are in order.

    Args:
        cap: How long something without an end lasts after the last event.
        longest: How long what an event says is remembered.
    """
    found = []
    for index, event in enumerate(events):
        now, player = event["event_time"], Player()
        for earlier in events[: index + 1]:
            if now - earlier["event_time"] <= longest:
                player.hear(earlier)
        following = events[index + 1] if index + 1 < len(events) else None
        gap = None if following is None else following["event_time"] - now

        def has_end(since: datetime, following: Event | None = following) -> bool:
            """Whether the next event can still end, or hold up, what runs since then."""
            if following is None or following["event_name"] == "play":
                return False
            late: timedelta = following["event_time"] - since
            return late <= longest

        def lasts(since: datetime | None, gap: timedelta | None = gap) -> timedelta:
            if since is None:
                return NONE
            if gap is None:
                return cap
            return gap if has_end(since) else min(gap, cap)

        playing = player.plays_from
        is_open_ended = playing is not None and not has_end(playing)
        found.append(Stretch(event, lasts(playing), lasts(player.opened_at), is_open_ended))
    return found


def human_contents(events: Iterable[Event], key: Callable[[Event], Any] = order) -> list[list[Event]]:
    """The events of each actor and content, in order."""
    found: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in sorted((event for event in events if event["actor_id"] is not None), key=key):
        if event.get("traffic_class", "human") in (None, "human") and event["content_id"] is not None:
            found[event["actor_id"], event["content_id"]].append(event)
    return list(found.values())


def watch_of_sessions(
    events: Iterable[Event],
    sessions: Sequence[Sequence[Event]],
    *,
    cap: timedelta,
    longest: timedelta,
    key: Callable[[Event], Any] = order,
) -> list[tuple[float, float, int, int]]:
    """(net seconds, wall seconds, playing states without an end, plays) of every session.

    Args:
        sessions: Their events, told apart by `event_id`.
        key: Orders an actor's events.
    """
    session_of = {event["event_id"]: number for number, session in enumerate(sessions) for event in session}
    sums: list[list[Any]] = [[NONE, NONE, 0, 0] for _ in sessions]
    for content in human_contents(events, key):
        holder = None  # the last event so far that lies in a session
        for stretch in stretches(content, cap=cap, longest=longest):
            if stretch.event["event_id"] in session_of:
                holder = stretch.event
                sums[session_of[holder["event_id"]]][3] += holder["event_name"] == "play"
            if holder is None or stretch.event["event_time"] - holder["event_time"] > longest:
                continue
            own = sums[session_of[holder["event_id"]]]
            own[0] += stretch.net
            own[1] += stretch.wall
            own[2] += stretch.is_open_ended
    return [(net.total_seconds(), wall.total_seconds(), ends, plays) for net, wall, ends, plays in sums]
