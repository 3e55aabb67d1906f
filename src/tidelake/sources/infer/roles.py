"""Which field plays which part, and therefore what kind of fact a source is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

from tidelake.sources.infer.columns import MANY, MISSING, ColumnProfile, words
from tidelake.sources.infer.sample import Record

Fact = Literal["event", "count", "dimension"]

_TIME = (
    "event_time", "event_timestamp", "timestamp", "occurred_at", "event_date", "ts", "time", "datetime", "date_time",
    "created_at", "logged_at", "client_time", "original_timestamp", "created",
)  # fmt: skip
_TIME_ENDS = re.compile(r"(^|_)(time|timestamp|ts|date|at|day|datetime|hour|dt)$|^date")
# Dates that describe a thing; they do not say when an event happened.
_ATTRIBUTE_TIME = re.compile(
    r"sign_?up|birth|dob|regist|expir|release|publish|valid_|effective|updated|modified|deleted|^start|^end|_start"
    r"|_end|joined|hire|launch|first_seen|last_seen|last_login|due|founded"
)
_RECEIVED = ("received_at", "received_time", "received_ts", "ingested_at", "server_time", "server_received_at",
             "server_timestamp", "arrived_at", "arrival_time", "received")  # fmt: skip
_SENT = ("sent_at", "sent_time", "sent_ts", "client_sent_at")
_ACTOR = (
    "actor_id", "user_id", "userid", "profile_id", "customer_id", "customerid", "member_id", "visitor_id",
    "player_id", "subscriber_id", "client_id", "anonymous_id", "distinct_id", "account_id", "person_id",
    "user_uuid", "uid", "device_id", "user", "customer", "member", "client", "username", "email",
    "user_email", "src", "source_id", "sender",
    "from_id",
)  # fmt: skip
# Beside a user's id: who is not logged in, or not yet.
_ANONYMOUS = (
    "anonymous_id", "anonymousid", "visitor_id", "cookie_id", "client_id", "distinct_id", "browser_id",
    "installation_id", "install_id", "device_id", "amplitude_id", "user_pseudo_id",
)  # fmt: skip
_USERS = ("user_id", "userid", "customer_id", "customerid", "member_id", "profile_id", "account_id", "player_id")
_EVENT_NAME = (
    "event_name", "event_type", "event", "action_name", "action_type", "action", "activity_type", "activity",
    "interaction_type", "interaction", "verb", "type", "page", "page_name",
)  # fmt: skip
_SESSION = ("session_id", "sessionid", "session_key", "visit_id", "session", "sid", "ga_session_id")
_EVENT_ID = ("event_id", "eventid", "event_uuid", "message_id", "messageid", "insert_id", "log_id", "record_id")
_EVENT_ID_WEAK = ("uuid", "guid", "id", "_id", "row_id", "transaction_id", "order_item_id", "hit_id")
_SEQUENCE = ("seq", "sequence", "sequence_number", "seq_no", "event_index", "item_in_session", "iteminsession",
             "event_number", "offset", "hit_number")  # fmt: skip
_ENTITY = re.compile(
    r"^(entity|domain|domain_code|site|project|page|article|station|sensor|metric|host|product|store|shop|region"
    r"|country|channel|title|item|name|key)(_id|_name|_code)?$"
)
_KEY = re.compile(r"(^|_)(id|key|uuid|guid|code|sku|no|number|name|date)$|^id_|userid|_id$|^rownames$")
MAX_EVENT_NAMES = 200
_ID = re.compile(r"(^|_)(id|uuid|guid)$")
_NOTHING = (None, "", MISSING)
_SHARED = 0.1  # of the devices may be of several actors
DUPLICATE_IDS = 0.05  # ids may repeat this often with other content, and still identify events: to be checked


@dataclass(frozen=True)
class Roles:
    """The parts that fields play.

    Attributes:
        fact: What one row is.
        parts: Canonical name to field (`event_time: timestamp`).
        key: Dimensions: what identifies a row.
        measures: Count facts: numeric fields that add up.
        entity_from_path: Count facts whose entity is in the file's name.
        reasons: Part to evidence, for the comments; also `fact`, `key`, `dedup`.
        identical_rows: Rows that equal an earlier one in every field.
    """

    fact: Fact
    parts: Mapping[str, str]
    key: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    entity_from_path: bool = False
    reasons: Mapping[str, str] = field(default_factory=dict)
    identical_rows: int = 0


def assign_roles(
    profiles: Sequence[ColumnProfile], records: Sequence[Record], *, per_file: Sequence[Sequence[Record]], named: bool
) -> Roles:
    """Decide what a row is and which field is its time, actor, name, session, id.

    Args:
        records: The sample.
        per_file: The same records by file: tells whether dates repeat in every file.
        named: The fields have names of their own (a header, or JSON).
    """
    identical = _identical(records)
    if not named:
        return _unnamed(profiles, identical)
    by_name = {words(profile.name): profile for profile in reversed(profiles)}
    time = _event_time(profiles, by_name)
    actor = _actor(by_name)
    name = _event_name(by_name)
    if time is not None and actor is not None and (name is not None or not _identifies(actor, time)):
        return _event(by_name, records, time=time, actor=actor, name=name, identical=identical)
    if time is not None and actor is None and name is None:
        count = _count(profiles, records, per_file, time, identical)
        if count is not None:
            return count
    if time is not None and actor is None and name is not None and not _dated_list(time, name):
        return _event(by_name, records, time=time, actor=None, name=name, identical=identical)
    return _dimension(profiles, records, time, actor, identical)


def _event(
    by_name: Mapping[str, ColumnProfile],
    records: Sequence[Record],
    *,
    time: ColumnProfile,
    actor: ColumnProfile | None,
    name: ColumnProfile | None,
    identical: int,
) -> Roles:
    parts = {"event_time": time.name}
    reasons = {"event_time": _time_evidence(time)}
    others = {profile.name for profile in (time, actor, name) if profile is not None}
    if actor is not None:
        _add_anonymous(parts, reasons, by_name, actor, records)
    event_id = _event_id({word: profile for word, profile in by_name.items() if profile.name not in others}, identical)
    if event_id is not None:
        parts["event_id"] = event_id.name
        reasons["event_id"] = _id_evidence(event_id, identical)
    if actor is not None:
        parts["actor_id"] = actor.name
        reasons["actor_id"] = f"{actor.distinct:,} different in {actor.rows:,} rows{_holes(actor)}"
    if name is not None:
        parts["event_name"] = name.name
        reasons["event_name"] = f"{name.distinct} different: {_some(name)}"
    for part, names in (("session_id", _SESSION), ("received_at", _RECEIVED), ("sent_at", _SENT), ("seq", _SEQUENCE)):
        found = _first(by_name, names)
        if found is None or found.name in parts.values() or found.filled < 0.5 * found.rows:
            continue
        if part in ("received_at", "sent_at") and found.type != "timestamp":
            continue
        if part == "seq" and found.type != "integer":
            continue
        parts[part] = found.name
        reasons[part] = f"{found.distinct:,} different{_holes(found)}"
    who = "an actor" if actor is not None else "no actor"
    reasons["fact"] = f"a time ({time.name}), {who}" + (f" and an event name ({name.name})" if name else "")
    return Roles("event", parts, reasons=reasons, identical_rows=identical)


def _add_anonymous(
    parts: dict[str, str],
    reasons: dict[str, str],
    by_name: Mapping[str, ColumnProfile],
    actor: ColumnProfile,
    records: Sequence[Record],
) -> None:
    """Map the device or visitor of events without a known actor; where that is no use or not sure, only propose it.

    One whose ids stand beside several actors in many cases is a shared device: its events without one are not proven
    to be of the one who came first.
    """
    if words(actor.name) in _ANONYMOUS:
        return
    found = _first(by_name, _ANONYMOUS)
    if found is None or found.type == "json":
        return
    actors: dict[Any, set[Any]] = {}
    gained = 0
    for record in records:
        device, who = record.get(found.name), record.get(actor.name)
        if device in _NOTHING:
            continue
        gained += who in _NOTHING
        if who not in _NOTHING:
            actors.setdefault(device, set()).add(who)
    several = sum(len(known) > 1 for known in actors.values())
    said = f"stands in {gained:,} of {len(records):,} rows without {actor.name}"
    if not gained:
        reasons["-anonymous_id"] = f"{found.name}: a device or visitor; of use once rows without {actor.name} come"
    elif several > _SHARED * len(actors):
        reasons["-anonymous_id"] = f"{found.name}: {said}, but {several:,} of {len(actors):,} have several {actor.name}"
    else:
        parts["anonymous_id"] = found.name
        reasons["anonymous_id"] = f"{said}: `tide identity` says whose they are"


def _event_time(profiles: Sequence[ColumnProfile], by_name: Mapping[str, ColumnProfile]) -> ColumnProfile | None:
    """The best field for the instant: a known name first, then any name that ends in time, date or at."""
    timed = [profile for profile in profiles if profile.time is not None and profile.filled >= 0.9 * profile.rows]
    taken = {*_RECEIVED, *_SENT}
    for name in _TIME:
        if (found := by_name.get(name)) is not None and found in timed:
            return found
    for profile in timed:
        name = words(profile.name)
        if name not in taken and _TIME_ENDS.search(name) and not _ATTRIBUTE_TIME.search(name):
            return profile
    return None


def _actor(by_name: Mapping[str, ColumnProfile]) -> ColumnProfile | None:
    """The first known name that is filled in at least half of the rows; else the most filled one."""
    present = [found for name in _ACTOR if (found := by_name.get(name)) is not None and found.type != "json"]
    known = [profile for profile in present if words(profile.name) not in _ANONYMOUS]
    if known and known[0].filled and len(known) < len(present) and words(known[0].name) in _USERS:
        return known[0]  # who is not logged in is told by the device
    for profile in present:
        if profile.filled >= 0.5 * profile.rows:
            return profile
    return max(present, key=lambda profile: profile.filled, default=None)


def _event_name(by_name: Mapping[str, ColumnProfile]) -> ColumnProfile | None:
    for name in _EVENT_NAME:
        found = by_name.get(name)
        few = found is not None and 0 < found.distinct <= max(2, min(MAX_EVENT_NAMES, found.filled // 5))
        if found is not None and few and found.type == "string" and found.filled >= 0.5 * found.rows:
            return found
    return None


def _event_id(by_name: Mapping[str, ColumnProfile], identical: int) -> ColumnProfile | None:
    """A field that tells events apart, but for few: a known name first, then any name that looks like an id.

    Of a name that only looks like one, many rows must speak: in a short log all things may be different.

    Args:
        identical: Records that equal an earlier one in every field, and so repeat its id.
    """
    for name in _EVENT_ID:
        found = by_name.get(name)
        if found is not None and found.always and _is_repeated_seldom(found):
            return found
    looking = [name for name in by_name if _ID.search(name) and name not in (*_EVENT_ID_WEAK, *_ACTOR, *_SESSION)]
    for name in (*_EVENT_ID_WEAK, *looking):
        found = by_name.get(name)
        if found is None or not found.always or found.type not in ("string", "integer"):
            continue
        if name in looking and found.distinct < MANY:
            continue
        if _is_repeated_seldom(found) or found.rows - found.distinct == identical:
            return found
    return None


def _is_repeated_seldom(profile: ColumnProfile) -> bool:
    return profile.rows - profile.distinct <= DUPLICATE_IDS * profile.rows


def _id_evidence(profile: ColumnProfile, identical: int) -> str:
    repeated = profile.rows - profile.distinct
    if not repeated:
        return f"unique in {profile.rows:,} rows"
    said = f"{repeated:,} of {profile.rows:,} rows repeat an id"
    if repeated == identical:
        return f"{said}, with the same content: `dedup: key` keeps one of each"
    return (
        f"{said}, {repeated - identical:,} of them with other content; CHECK: `dedup: key` keeps one of each, and of "
        "those with other content the rest waits in quarantine"
    )


def _first(by_name: Mapping[str, ColumnProfile], names: Iterable[str]) -> ColumnProfile | None:
    return next((found for name in names if (found := by_name.get(name)) is not None), None)


def _identifies(actor: ColumnProfile, time: ColumnProfile) -> bool:
    """One row an actor: a table of actors, unless the time's name is that of an event."""
    return actor.unique and words(time.name) not in _TIME[:8]


def _dated_list(time: ColumnProfile, name: ColumnProfile) -> bool:
    """One row a date and hardly any rows: a list of dates, not a log."""
    return time.unique and time.type == "date" and name.rows < 2000


def _count(
    profiles: Sequence[ColumnProfile],
    records: Sequence[Record],
    per_file: Sequence[Sequence[Record]],
    time: ColumnProfile,
    identical: int,
) -> Roles | None:
    """An entity had quantities in periods: (entity, time) occurs once, and there are numbers to add up."""
    measures = [
        profile.name
        for profile in profiles
        if profile.type in ("integer", "number") and profile is not time and not _KEY.search(words(profile.name))
    ]
    texts = [profile for profile in profiles if profile.type == "string" and profile is not time and profile.always]
    if not measures:
        return None
    named = sorted(texts, key=lambda profile: not _ENTITY.match(words(profile.name)))
    for profile in named:
        if 1 < profile.distinct <= 0.5 * profile.rows and _once(records, (time.name, profile.name)) >= 0.99:
            reasons = {
                "fact": f"one row for each ({profile.name}, {time.name}), with numbers and no actor",
                "entity": f"{profile.distinct:,} different",
                "event_time": _time_evidence(time),
            }
            parts = {"event_time": time.name, "entity": profile.name}
            return Roles("count", parts, measures=tuple(measures), reasons=reasons, identical_rows=identical)
    filled = [rows for rows in per_file if rows]
    if not texts and len(filled) > 1 and all(_once(rows, (time.name,)) == 1 for rows in filled):
        reasons = {
            "fact": f"one row a {time.name} in each of {len(filled):,} files, with numbers and no actor",
            "entity": "the file's name: no field says what was counted",
            "event_time": _time_evidence(time),
        }
        parts = {"event_time": time.name, "entity": "entity"}
        return Roles(
            "count", parts, measures=tuple(measures), entity_from_path=True, reasons=reasons, identical_rows=identical
        )
    return None


def _once(records: Sequence[Record], names: tuple[str, ...]) -> float:
    """Share of records whose values in these fields no other record has."""
    different = {tuple(str(record.get(name)) for name in names) for record in records}
    return len(different) / len(records) if records else 0.0


def _dimension(
    profiles: Sequence[ColumnProfile],
    records: Sequence[Record],
    time: ColumnProfile | None,
    actor: ColumnProfile | None,
    identical: int,
) -> Roles:
    key, why = _key(profiles, records, actor)
    lacking = "no field says when something happened" if time is None else "no field says who did what"
    if actor is not None and actor.unique:
        lacking = f"one row for each {actor.name}"
    return Roles("dimension", {}, key=key, reasons={"fact": lacking, "key": why}, identical_rows=identical)


def _key(
    profiles: Sequence[ColumnProfile], records: Sequence[Record], actor: ColumnProfile | None
) -> tuple[tuple[str, ...], str]:
    """The smallest set of fields that identifies a row: one that is named like a key, else two or three, else all."""
    usable = [profile for profile in profiles if profile.always and profile.type not in ("json", "number")]
    rows = len(records)
    unique = [profile for profile in usable if profile.unique]
    for profile in sorted(unique, key=lambda item: (item is not actor, not _KEY.search(words(item.name)))):
        if profile is actor or _KEY.search(words(profile.name)) or profile is profiles[0]:
            return (profile.name,), f"unique in {rows:,} rows"
    texts = [profile.name for profile in usable if profile.type != "timestamp"][:10]
    for size in (2, 3, 4):
        for names in combinations(texts, size):
            if _once(records, names) == 1:
                return names, f"together unique in {rows:,} rows; no single field is"
    names = tuple(profile.name for profile in profiles if profile.type != "json")
    repeated = rows - round(_once(records, names) * rows)
    return names, f"no few fields identify a row; all of them do, but for {repeated:,} rows. Name the right ones"


def _unnamed(profiles: Sequence[ColumnProfile], identical: int) -> Roles:
    """A file without a header: only the values speak."""
    time = next((profile for profile in profiles if profile.time is not None and profile.always), None)
    labels = [profile for profile in profiles if profile.type in ("integer", "string") and profile is not time]
    actor = next((profile for profile in labels if 1 < profile.distinct < profile.rows and profile.always), None)
    if time is None or actor is None:
        key, why = _key(profiles, [], None) if not profiles else ((profiles[0].name,), "the first column, by position")
        reasons = {"fact": "no header, and no column that looks like a time", "key": why}
        return Roles("dimension", {}, key=key, reasons=reasons, identical_rows=identical)
    reasons = {
        "fact": "no header; a column of instants and a column of repeated labels",
        "event_time": _time_evidence(time),
        "actor_id": f"the first column whose values repeat ({actor.distinct:,} different): check",
    }
    parts = {"event_time": time.name, "actor_id": actor.name}
    return Roles("event", parts, reasons=reasons, identical_rows=identical)


def _identical(records: Sequence[Record]) -> int:
    different = {
        hash(tuple(sorted((name, repr(value)) for name, value in record.items() if value is not MISSING)))
        for record in records
    }
    return len(records) - len(different)


def _time_evidence(time: ColumnProfile) -> str:
    found = time.time
    if found is None:
        return ""
    if found.ambiguous:
        return "day and month cannot be told apart: declare time_format"
    span = f"{_day(found.first)} to {_day(found.last)}"
    return f"{found.format}, {span}{_holes(time)}"


def _day(instant: Any) -> str:
    return f"{instant:%Y-%m-%d}" if instant is not None else "?"


def _holes(profile: ColumnProfile) -> str:
    empty = profile.rows - profile.filled
    if not empty:
        return ", never null"
    share = empty / profile.rows
    return f", {share:.1%} null" if share >= 0.001 else f", {empty:,} null"


def _some(profile: ColumnProfile, limit: int = 6) -> str:
    shown = ", ".join(str(value) for value, _ in profile.counts.most_common(limit))
    return shown + (" ..." if profile.distinct > limit else "")
