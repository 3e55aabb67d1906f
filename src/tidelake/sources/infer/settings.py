"""`tide.yml` for proposed sources: dimensions, measures, sessions, watch time, epoch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from tidelake.contracts.source import Source
from tidelake.sources.infer.columns import ColumnProfile, is_label, words

Seen = Sequence[tuple[str, Source, Sequence[ColumnProfile]]]

MAX_DIMENSION_VALUES = 50
MAX_DIMENSIONS = 12
MAX_MEASURES = 12
DEFAULT_EPOCH = date(2000, 1, 1)
_WATCH_EVENT = re.compile(r"watch|play|view|listen|stream|song")
_WATCH_COLUMN = re.compile(r"^(value|duration|duration_sec|seconds|watch\w*|play_seconds|play_time|listened\w*)$")
_LENGTH_COLUMN = re.compile(r"^(length|duration\w*|track_length)$")
_SUMMED = re.compile(r"quantity|qty|amount|price|revenue|total|value|seconds|duration|bytes|views|count|cost|sum")
_PLAY_STATES = frozenset({"play", "video_play", "pause", "video_pause", "resume", "video_resume"})
_CONTENT = ("content_id", "video_id", "title_id", "track_id", "song_id", "item_id", "song", "title")


def project_settings(sources: Seen, *, timezone: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Settings that hold for the whole project, and why.

    Args:
        sources: Name, source and column profiles of each proposed source.
        timezone: Zone in which days begin.
    """
    settings: dict[str, Any] = {"timezone": timezone}
    check = "; CHECK: e.g. Europe/Berlin, Asia/Kolkata" if timezone == "UTC" else ""
    reasons = {"timezone": f"days begin at midnight of this zone{check}"}
    events = [(name, source, profiles) for name, source, profiles in sources if source.fact == "event"]
    _epoch(sources, settings, reasons)
    if not events:
        return settings, reasons
    _sessions(events, settings, reasons)
    _watch(events, settings, reasons)
    dimensions = _dimensions(events)
    if dimensions:
        settings["dimensions"] = list(dimensions)
        reasons["dimensions"] = "; ".join(f"{name} {count}" for name, count in dimensions.items()) + " different values"
    measures = _measures(events)
    if measures:
        settings["measures"] = measures
        reasons["measures"] = "what is counted and added up for each actor and day"
    return settings, reasons


def _epoch(sources: Seen, settings: dict[str, Any], reasons: dict[str, str]) -> None:
    """Data older than the default epoch would all be clock_skew: say since when dates are believed."""
    firsts = []
    for _, source, profiles in sources:
        part = source.mapping.event_time
        times = [profile.time for profile in profiles if profile.name == part and profile.time is not None]
        firsts += [time.first for time in times if time.first is not None]
    oldest = min(firsts, default=datetime.now(UTC))
    if oldest.date() < DEFAULT_EPOCH:
        settings["epoch"] = date(oldest.year, 1, 1)
        reasons["epoch"] = f"the earliest event is of {oldest:%Y-%m-%d}; older ones are clock_skew"


def _sessions(events: Seen, settings: dict[str, Any], reasons: dict[str, str]) -> None:
    mapped = [(name, source.mapping.session_id) for name, source, _ in events if source.mapping.session_id]
    if mapped and len(mapped) == len(events):
        settings["session"] = {"mode": "verify", "timeout": "30m"}
        reasons["session"] = (
            f"{mapped[0][1]} is the source's own session; `verify` keeps it where it has one actor and at most 24 h"
        )
    else:
        settings["session"] = {"mode": "ignore", "timeout": "30m"}
        reasons["session"] = "no session id: a new session after 30 idle minutes"


def _watch(events: Seen, settings: dict[str, Any], reasons: dict[str, str]) -> None:
    """Declared seconds where a numeric column is filled on a watch event; else the content column of play states."""
    for _, source, profiles in events:
        names = _event_names(source, profiles)
        numbers = [item for item in profiles if item.type in ("integer", "number") and item.filled]
        content = next((item.name for wanted in _CONTENT for item in profiles if words(item.name) == wanted), None)
        watch = [name for name in names if _WATCH_EVENT.search(name.lower())]
        column = next((item for item in numbers if _WATCH_COLUMN.match(words(item.name))), None)
        if watch and column is not None and content is not None and column.filled <= 1.02 * names[watch[0]]:
            event = max(watch, key=lambda name: (-abs(names[name] - column.filled), name))
            settings["watch"] = {"column": column.name, "event": event, "content": content}
            reasons["watch"] = (
                f"{column.name} is filled in {column.filled:,} rows, {event} occurs {names[event]:,} times"
            )
            return
        length = next((item for item in numbers if _LENGTH_COLUMN.match(words(item.name))), None)
        if watch and length is not None:
            reasons["-watch"] = (
                f"{length.name} may be the length of what was played, not the seconds that were watched; if it is the "
                f"latter: watch: {{column: {length.name}, event: {watch[0]}, content: {content or 'FIELD'}}}"
            )
        if set(names) & _PLAY_STATES and content is not None:
            settings["watch"] = {"content": content}
            reasons["watch"] = "seconds are worked out from play, pause, resume and stop of this content"
            return


def _event_names(source: Source, profiles: Sequence[ColumnProfile]) -> dict[str, int]:
    """Event names of a source with their rows, most frequent first."""
    for profile in profiles:
        if profile.name == source.mapping.event_name:
            return {str(name): rows for name, rows in profile.counts.most_common()}
    return {}


def _dimensions(events: Seen) -> dict[str, int]:
    """Text columns with few values, which no part is mapped to, with their number of values."""
    found: dict[str, int] = {}
    for _, source, profiles in events:
        renamed = {field: name for name, field in source.mapping.names.items()}
        mapped = {field for _, field in source.mapping.items()} - set(renamed)
        for profile in profiles:
            few = 2 <= profile.distinct <= MAX_DIMENSION_VALUES and profile.filled >= 20 * profile.distinct
            label = is_label(profile.name) and "version" not in words(profile.name)
            if profile.type == "string" and few and not label and profile.name not in mapped:
                found.setdefault(renamed.get(profile.name, profile.name), profile.distinct)
    return dict(list(found.items())[:MAX_DIMENSIONS])


def _measures(events: Seen) -> dict[str, Mapping[str, Any]]:
    """A count for each event name, and a sum of each numeric column whose name says that it adds up."""
    found: dict[str, Mapping[str, Any]] = {}
    for _, source, profiles in events:
        mapped = {field for _, field in source.mapping.items()}
        for name in _event_names(source, profiles):
            word = words(name)
            if re.match(r"[a-z]", word) and len(found) < MAX_MEASURES:
                found.setdefault(f"{word}_count", {"event": name})
        for profile in profiles:
            adds_up = profile.type in ("integer", "number") and _SUMMED.search(words(profile.name))
            price = re.search(r"price|cost", words(profile.name))  # a price adds up only with a quantity
            if adds_up and not price and profile.name not in mapped and not is_label(profile.name):
                found.setdefault(f"{words(profile.name)}_sum", {"sum": profile.name})
    return found
