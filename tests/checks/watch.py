"""Watch time written a second time, from METRICS section 12: one walk over the events of a session and content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any


def watch(events: Iterable[Mapping[str, Any]], cap: timedelta) -> tuple[float, float, int]:
    """(net seconds, wall seconds, playing states without an end) of events that are in order."""
    net = wall = timedelta()
    playing_since = opened_since = last = None
    started = paused = buffering = False
    for event in events:
        name, now = event["event_name"], event["event_time"]
        if name == "play":
            started, paused, buffering = True, False, False
            opened_since = opened_since or now
        elif name == "resume":
            started, paused = True, False
        elif name == "buffer_end":
            started, buffering = True, False
        elif name == "pause":
            paused = True
        elif name == "buffer_start":
            buffering = True
        elif name in ("stop", "complete"):
            started = paused = buffering = False
            if opened_since is not None:
                wall += now - opened_since
                opened_since = None
        is_playing = started and not paused and not buffering
        if playing_since is not None and not is_playing:
            net += now - playing_since
            playing_since = None
        elif playing_since is None and is_playing:
            playing_since = now
        last = now
    if opened_since is not None and last is not None:
        wall += last - opened_since + cap
    if playing_since is not None and last is not None:
        net += last - playing_since + cap
    return net.total_seconds(), wall.total_seconds(), int(playing_since is not None)
