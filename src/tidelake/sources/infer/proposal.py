"""From files to a proposed project: sources, contracts, mapping and settings, each with its evidence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from tidelake.config import Project
from tidelake.contracts.source import Source, source_from
from tidelake.contracts.table import ANSWERED
from tidelake.errors import ProjectError, UnknownNameError
from tidelake.sources.infer.columns import MISSING, ColumnProfile, profile_column, words
from tidelake.sources.infer.fields import ProposedField, propose_field, spare
from tidelake.sources.infer.groups import FileGroup, Skipped, find_files, group_files
from tidelake.sources.infer.privacy import Suspicion, suspect
from tidelake.sources.infer.roles import Roles, assign_roles
from tidelake.sources.infer.sample import FileSample, NotRecordsError, Record, sample_file
from tidelake.sources.infer.settings import project_settings

SAMPLE_ROWS = 100_000
MAX_SAMPLED_FILES = 400
_STAMPED = re.compile(r"\d{4}-?\d{2}-?\d{2}")
_TOTAL_NAMES = ("all", "total", "totals", "sum", "overall")
MAX_SUMMED_BYTES = 64 * 1024 * 1024
_BOTS = ("bot", "crawler", "spider")


@dataclass(frozen=True)
class ProposedSource:
    """One `sources/NAME.yml`.

    Attributes:
        settings: Every key but `name` and `contract`, as plain values; `path` is absolute.
        contract: The contract's keys but `fields`.
        reasons: Comment for each key of `settings` (`mapping.event_time` for parts).
        notes: Sentences for the head of the file.
        rows_looked: Records in the sample.
        whole: The sample holds every record.
    """

    name: str
    settings: Mapping[str, Any]
    contract: Mapping[str, Any]
    fields: tuple[ProposedField, ...]
    reasons: Mapping[str, str]
    notes: tuple[str, ...]
    rows_looked: int
    whole: bool
    files: tuple[Path, ...]
    profiles: tuple[ColumnProfile, ...] = field(default=(), repr=False)

    @property
    def source(self) -> Source:
        """The validated source."""
        rules = {item.name: dict(item.rule) for item in self.fields}
        contract = {**self.contract, "fields": rules}
        return source_from({"name": self.name, **self.settings, "contract": contract})


@dataclass(frozen=True)
class Proposal:
    """A project that was worked out from files; `write_project` writes it.

    Attributes:
        settings: `tide.yml` but `name`, as plain values.
        reasons: Comment for each of its keys.
        skipped: Files that are no source, and why.
        notes: What a person should know before building, by source.
    """

    sources: tuple[ProposedSource, ...]
    settings: Mapping[str, Any]
    reasons: Mapping[str, str]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def project(self) -> Project:
        """The validated settings, under a stand-in name."""
        return Project.model_validate({"name": "proposed", **self.settings})


def propose(
    patterns: str | Sequence[str],
    *,
    timezone: str = "UTC",
    sample_rows: int = SAMPLE_ROWS,
    now: datetime | None = None,
) -> Proposal:
    """Look at files and propose a project that reads them.

    Args:
        patterns: Files, folders, or globs. Files of several kinds become several sources.
        timezone: Zone in which the project's days begin (IANA name).
        sample_rows: Records looked at for each source, spread over its files.
        now: For the remark about events from the future; null = the clock.

    Raises:
        ProjectError: No file matches, or none holds records (says why of each).
        UnknownNameError: There is no such time zone.
    """
    if timezone not in available_timezones():
        raise UnknownNameError("time zone", timezone, available_timezones())
    patterns = [patterns] if isinstance(patterns, str) else list(patterns)
    files = sorted({path for pattern in patterns for path in find_files(pattern)})
    groups, skipped = group_files(patterns, files)
    proposed = []
    for group in groups:
        try:
            proposed.append(_propose_source(group, sample_rows, now or datetime.now(UTC)))
        except NotRecordsError as error:
            skipped += [Skipped(path, str(error)) for path in group.files]
    if not proposed:
        _refuse(patterns, skipped)
    proposed = _with_references(proposed)
    seen = [(item.name, item.source, item.profiles) for item in proposed]
    settings, reasons = project_settings(seen, timezone=timezone)
    notes = tuple(f"{item.name}: {note}" for item in proposed for note in item.notes)
    return Proposal(tuple(proposed), settings, reasons, tuple(skipped), notes)


def _refuse(patterns: Sequence[str], skipped: Sequence[Skipped]) -> None:
    shown = "\n".join(f"  {item.path}: {item.reason}" for item in skipped[:10])
    more = f"\n  ... and {len(skipped) - 10:,} more" if len(skipped) > 10 else ""
    raise ProjectError(
        f"'{', '.join(patterns)}' holds no file that can be a source ({len(skipped):,} looked at):\n{shown}{more}",
        hint="Sources are JSON Lines, JSON lists of objects, CSV, TSV or Parquet; plain, gz, zst or bz2.",
    )


def _propose_source(group: FileGroup, sample_rows: int, now: datetime) -> ProposedSource:
    if group.shape.format == "projectviews":
        return _projectviews(group)
    samples, complete = _samples(group, sample_rows)
    records = [record for sample in samples.values() for record in sample.records]
    if not records:
        raise NotRecordsError("only a header, no records" if group.shape.columns else "empty")
    named = group.shape.header
    profiles = _profiles(group, records, named=named)
    roles = assign_roles(profiles, records, per_file=[s.records for s in samples.values()], named=named)
    profiles, names = _rename(profiles, roles, named=named)
    roles = _renamed(roles, names)
    form, zone_note = _time_format(profiles, roles)
    suspicions = {profile.name: found for profile in profiles if (found := suspect(profile)) is not None}
    suspicions = {name: spare(found, name, roles) for name, found in suspicions.items()}
    settings, reasons = _settings(group, roles, form, zone_note, profiles, samples)
    reasons |= {f"mapping.{part}": why for part, why in roles.reasons.items()}
    reasons["fact"] = roles.reasons.get("fact", "")
    reasons["key"] = roles.reasons.get("key", "")
    if named and (names := _other_names(group.name, profiles, roles)):
        settings["mapping"] = {**settings.get("mapping", {}), "names": names}
        reasons["mapping.names"] = "every answer has columns of these names, so that nothing could be cut by them"
    contract = _contract(group, roles, samples)
    traffic = _traffic(profiles, settings, reasons)
    if traffic and roles.fact == "event":
        settings["traffic"] = traffic
    whole = complete and all(sample.whole for sample in samples.values())
    return ProposedSource(
        name=group.name,
        settings=settings,
        contract=contract,
        fields=_path_field(roles)
        + tuple(
            propose_field(profile, roles, form, suspicion=suspicions.get(profile.name), whole=whole)
            for profile in profiles
        ),
        reasons=reasons,
        notes=tuple(_notes(group, samples, roles, profiles, contract, now)),
        rows_looked=len(records),
        whole=whole,
        files=group.files,
        profiles=tuple(_hide(profile, suspicions.get(profile.name)) for profile in profiles),
    )


def _samples(group: FileGroup, sample_rows: int) -> tuple[dict[Path, FileSample], bool]:
    """Samples of at most 400 files spread over the group; small files leave their share to larger ones."""
    step = -(-len(group.files) // MAX_SAMPLED_FILES)
    files = sorted(group.files[::step], key=lambda path: path.stat().st_size)
    left, samples = sample_rows, {}
    for number, path in enumerate(files):
        if path.stat().st_size == 0:
            continue
        sample = sample_file(path, group.shape, limit=max(1, left // (len(files) - number)))
        left -= len(sample.records)
        samples[path] = sample
    return dict(sorted(samples.items())), step == 1


def _profiles(group: FileGroup, records: Sequence[Record], *, named: bool) -> list[ColumnProfile]:
    textual = group.shape.format in ("csv", "tsv")
    names = dict.fromkeys(group.shape.columns)
    for record in records:
        names.update(dict.fromkeys(record))
    for name in _same_but_for_case(names, records):
        del names[name]
    columns = ((name, [record.get(name, MISSING) for record in records]) for name in names)
    return [profile_column(name, values, textual=textual, unnamed=not named) for name, values in columns]


def _same_but_for_case(names: Iterable[str], records: Sequence[Record]) -> list[str]:
    """Fields whose name differs from a more filled one in case only: a table cannot hold both."""
    names = list(names)
    if len({name.lower() for name in names}) == len(names):
        return []
    filled = {name: sum(record.get(name) not in (None, "") for record in records) for name in names}
    best: dict[str, str] = {}
    for name in sorted(filled, key=lambda name: -filled[name]):
        best.setdefault(name.lower(), name)
    return [name for name in filled if best[name.lower()] != name]


def _rename(
    profiles: Sequence[ColumnProfile], roles: Roles, *, named: bool
) -> tuple[list[ColumnProfile], dict[str, str]]:
    """Columns of a file without header are named after the part they play, where they play one."""
    names = {} if named else {column: part for part, column in roles.parts.items()}
    return [replace(profile, name=names.get(profile.name, profile.name)) for profile in profiles], names


def _other_names(source: str, profiles: Sequence[ColumnProfile], roles: Roles) -> dict[str, str]:
    """Names for text fields of events that are called like a column of every answer: `order_status` for `status`."""
    taken = {profile.name.lower() for profile in profiles}
    found = {}
    for profile in profiles:
        name = f"{source.removesuffix('s')}_{profile.name.lower()}"
        is_free = profile.name not in roles.parts.values() and name not in taken
        if roles.fact == "event" and profile.name in ANSWERED and profile.type == "string" and is_free:
            found[name] = profile.name
    return found


def _renamed(roles: Roles, names: Mapping[str, str]) -> Roles:
    parts = {part: names.get(column, column) for part, column in roles.parts.items()}
    return replace(roles, parts=parts, key=tuple(names.get(column, column) for column in roles.key))


def _time_format(profiles: Sequence[ColumnProfile], roles: Roles) -> tuple[str | None, str]:
    """The one format of the source's times: that of the event time, else the commonest; and what to say of zones."""
    leading = roles.parts.get("event_time")
    timed = [profile for profile in profiles if profile.time is not None]
    first = next((profile for profile in timed if profile.name == leading), None)
    if first is not None and first.time is not None and first.time.ambiguous:
        return None, ""
    forms = Counter(profile.time.format for profile in timed if profile.time is not None and profile.time.format)
    form = first.time.format if first is not None and first.time is not None else None
    form = form or (forms.most_common(1)[0][0] if forms else None)
    if (form or "").startswith("epoch_"):
        return form, ""
    if first is None and all(profile.type == "date" for profile in timed):
        return form, ""
    if first is not None and first.type == "date":
        return form, "a day begins at midnight of this zone; CHECK"
    zones = {profile.time.zone for profile in timed if profile.time is not None and profile.time.format == form}
    if not timed or zones == {"all"}:
        return form, "every timestamp carries its zone; this is not used" if timed else ""
    return form, "the timestamps carry no zone (or not all do); UTC is assumed, CHECK: e.g. Europe/Berlin"


def _settings(
    group: FileGroup,
    roles: Roles,
    form: str | None,
    zone_note: str,
    profiles: Sequence[ColumnProfile],
    samples: Mapping[Path, FileSample],
) -> tuple[dict[str, Any], dict[str, str]]:
    shape, reasons = group.shape, {}
    settings: dict[str, Any] = {"fact": roles.fact, "path": group.path, "format": shape.format}
    reasons["path"] = f"{len(group.files):,} file{'s' if len(group.files) > 1 else ''}"
    if not group.exact:
        reasons["path"] += "; CHECK: this glob also finds files of other kinds"
    if shape.delimiter not in (None, ","):
        settings["delimiter"] = shape.delimiter
    if not shape.header:
        settings["header"] = "no"
        settings["columns"] = [profile.name for profile in profiles]
        reasons["columns"] = "the file has no header: these names are a proposal"
    if roles.entity_from_path:
        settings["path_fields"] = r"(?P<entity>[^/.]+)(\.[a-z0-9]+)+$"
        reasons["path_fields"] = "the file's name is the entity"
    if form is not None:
        settings["time_format"] = form
    if zone_note:
        settings["timezone"] = "UTC"
        reasons["timezone"] = zone_note
    if roles.parts:
        settings["mapping"] = dict(roles.parts)
    if roles.measures:
        settings["measures"] = list(roles.measures)
    if roles.key:
        settings["key"] = list(roles.key)
    if roles.fact == "event":
        settings["dedup"], reasons["dedup"] = _dedup(roles, samples)
        complete, why = _coverage(roles, form, samples)
        if complete:
            settings["complete"], reasons["complete"] = complete, why
    return settings, reasons


def _dedup(roles: Roles, samples: Mapping[Path, FileSample]) -> tuple[str, str]:
    rows = sum(len(sample.records) for sample in samples.values())
    if "event_id" in roles.parts:
        return "key", f"{roles.parts['event_id']}: {roles.reasons['event_id']}"
    why = f"no field is an event id; {roles.identical_rows:,} of {rows:,} rows equal an earlier one in every field"
    if roles.identical_rows:
        why += " (`content` would drop them: are they the same event twice, or two events?)"
    return "none", why


def _coverage(roles: Roles, form: str | None, samples: Mapping[Path, FileSample]) -> tuple[str | None, str]:
    """`daily_file` where files are named by a day and hold that day's events (UTC) only."""
    dated = {path: found.group(0).replace("-", "") for path in samples if (found := _STAMPED.search(path.name))}
    if len(samples) < 2 or len(dated) < len(samples) or form is None:
        return None, ""
    from tidelake.sources.infer.times import parse_instant

    inside = total = 0
    for path, sample in samples.items():
        for record in sample.records:
            value = record.get(roles.parts["event_time"])
            instant = parse_instant(str(value), form) if value not in (None, "") else None
            if instant is not None:
                total += 1
                inside += f"{instant:%Y%m%d}" == dated[path]
    if not total or inside < 0.98 * total:
        return None, ""
    return "daily_file", f"one file a day: {inside:,} of {total:,} events lie on the day in their file's name"


def _contract(group: FileGroup, roles: Roles, samples: Mapping[Path, FileSample]) -> dict[str, Any]:
    bulk = sum(sample.bulk_lines for sample in samples.values())
    records = sum(len(sample.records) for sample in samples.values())
    contract: dict[str, Any] = {}
    some = [record for sample in samples.values() for record in sample.records]
    if bulk or _same_but_for_case({name for record in some for name in record}, some):
        contract["extra"] = "ignore"  # else instructions, and names that differ in case only, would become columns
    total = _sum_of_the_others(group, roles)
    if total is not None:
        contract["rules"] = [{"name": "is_no_total", "where": f"entity <> '{total}'"}]
    if bulk:
        share = bulk / (bulk + records)
        contract["max_quarantined_share"] = round(min(1.0, share + 0.05), 2)
    return contract


def _path_field(roles: Roles) -> tuple[ProposedField, ...]:
    if not roles.entity_from_path:
        return ()
    return (ProposedField("entity", {"type": "string", "required": True}, "the file's name"),)


def _sum_of_the_others(group: FileGroup, roles: Roles) -> str | None:
    """The file (`all.csv`) whose numbers are, on every date, the sums of all other files; it would count twice."""
    suspects = [path for path in group.files if path.name.split(".")[0].lower() in _TOTAL_NAMES]
    small = sum(path.stat().st_size for path in group.files) <= MAX_SUMMED_BYTES
    if len(suspects) != 1 or len(group.files) < 3 or not small or not roles.entity_from_path:
        return None
    time, measure = roles.parts["event_time"], roles.measures[0]
    total: dict[str, float] = {}
    rest: dict[str, float] = {}
    for path in group.files:
        into = total if path == suspects[0] else rest
        for record in sample_file(path, group.shape, limit=10**9).records if path.stat().st_size else ():
            day = str(record[time])
            into[day] = into.get(day, 0) + _amount(record.get(measure))
    return suspects[0].name.split(".")[0] if total and total == rest else None


def _amount(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def _traffic(
    profiles: Sequence[ColumnProfile], settings: Mapping[str, Any], reasons: dict[str, str]
) -> list[dict[str, str]]:
    """Robots by their user agent, where some are in the sample."""
    mapped = {field for field in dict(settings.get("mapping", {})).values() if isinstance(field, str)}
    for profile in profiles:
        if not re.search(r"(^|_)user_?agent$|^ua$", words(profile.name)) or profile.name in mapped:
            continue
        named = f'"{profile.name}"'
        rows = sum(count for text, count in profile.counts.items() if any(bot in str(text).lower() for bot in _BOTS))
        if rows:
            reasons["traffic"] = f"{rows:,} rows whose {profile.name} names a robot"
            return [{"class": "bot", "where": " or ".join(f"lower({named}) like '%{bot}%'" for bot in _BOTS)}]
    return []


def _notes(
    group: FileGroup,
    samples: Mapping[Path, FileSample],
    roles: Roles,
    profiles: Sequence[ColumnProfile],
    contract: Mapping[str, Any],
    now: datetime,
) -> list[str]:
    notes = []
    unreadable = sum(sample.unreadable for sample in samples.values())
    bulk = sum(sample.bulk_lines for sample in samples.values())
    if group.shape.bom:
        notes.append("The file begins with a byte-order mark; it is left out.")
    if unreadable:
        notes.append(f"{unreadable:,} lines of the sample are no record; a build puts them into quarantine.")
    if bulk:
        notes.append(
            f"{bulk:,} lines are instructions to a search engine (a bulk file), not records. A build puts them into "
            "quarantine, so the limit below is raised. Better: leave them out, e.g. grep -v '^{\"index\"'."
        )
    records = [record for sample in samples.values() for record in sample.records]
    if alike := _same_but_for_case({name for record in records for name in record}, records):
        notes.append(f"{', '.join(sorted(alike))}: left out, because another field's name differs in case only.")
    if contract.get("rules"):
        notes.append(
            "One file is, on every date, the sum of all the others. The rule `is_no_total` puts its rows into "
            "quarantine, so that nothing counts twice; better still, move that file out of the folder."
        )
    notes += _kinds_of_record(profiles)
    time = next((profile for profile in profiles if profile.name == roles.parts.get("event_time")), None)
    if time is not None and time.time is not None:
        notes += _notes_on_time(time, now)
    if roles.fact == "dimension" and not any(profile.time for profile in profiles):
        notes.append(
            "No field holds a time, so this cannot be a log of events: it is taken as a table of things, one row each. "
            "For events, add a field with the instant and map it as event_time."
        )
    return notes


def _notes_on_time(time: ColumnProfile, now: datetime) -> list[str]:
    found = time.time
    assert found is not None
    if found.ambiguous:
        first, second = found.candidates[0], found.candidates[1]
        said = f"{time.name}: day and month cannot be told apart in the sample. Every row waits in quarantine "
        return [said + f'until you declare time_format: "{first}" or "{second}" below.']
    if found.last is not None and found.last > now + timedelta(minutes=10):
        said = f"{time.name} reaches {found.last:%Y-%m-%d}, which is in the future: such rows go to quarantine "
        return [said + "(clock_skew) unless future_tolerance allows them."]
    return []


def _kinds_of_record(profiles: Sequence[ColumnProfile]) -> list[str]:
    """Fields that many records lack point at records of several kinds in one file."""
    lacking = [profile.name for profile in profiles if profile.missing >= 0.05 * max(1, profile.rows)]
    if not lacking:
        return []
    said = f"Records of more than one kind: {', '.join(lacking[:8])}{' ...' if len(lacking) > 8 else ''} "
    return [said + "are absent from many. They are one source here; their absent fields are null."]


def _hide(profile: ColumnProfile, suspicion: Suspicion | None) -> ColumnProfile:
    """A personal field never becomes a dimension or a measure of the project."""
    return replace(profile, type="json", counts=Counter()) if suspicion is not None else profile


def _with_references(proposed: Sequence[ProposedSource]) -> list[ProposedSource]:
    """A field of facts named like a dimension's only key, with values found there, refers to it (and only warns)."""
    keys = {}
    for item in proposed:
        if item.settings["fact"] == "dimension" and len(item.settings["key"]) == 1:
            keys[words(item.settings["key"][0])] = item
    return [_refer(item, keys) if item.settings["fact"] != "dimension" else item for item in proposed]


def _refer(item: ProposedSource, keys: Mapping[str, ProposedSource]) -> ProposedSource:
    profiles = {profile.name: profile for profile in item.profiles}
    fields = []
    for entry in item.fields:
        other, profile = keys.get(words(entry.name)), profiles.get(entry.name)
        if other is None or profile is None or "privacy" in entry.rule or not profile.counts:
            fields.append(entry)
            continue
        column = other.settings["key"][0]
        known = next(known for known in other.profiles if known.name == column)
        unknown = sum(rows for value, rows in profile.counts.items() if value not in known.counts)
        same = next(rule for rule in other.fields if rule.name == column).rule["type"] == entry.rule["type"]
        if not same or unknown > 0.1 * profile.filled:
            fields.append(entry)
            continue
        target = f"{other.name}.{column}"
        rule = {**entry.rule, "references": target, "on_breach": "warn"}
        said = f"{unknown:,} rows name none of {other.name}" if unknown else f"every value is in {target}"
        fields.append(replace(entry, rule=rule, advice=(*entry.advice, said)))
    return replace(item, fields=tuple(fields))


def _projectviews(group: FileGroup) -> ProposedSource:
    """Hourly files of Wikimedia: their form is known, so nothing needs to be inferred."""
    folder = Path(group.path).parent if "*" in group.path else Path(group.path)
    while "*" in str(folder):
        folder = folder.parent
    reasons = {"kind": "the files' names are those of Wikimedia's hourly counts", "path": f"{len(group.files):,} files"}
    settings = {"kind": "projectviews", "fact": "count", "path": str(folder), "complete": "hourly_file"}
    return ProposedSource(group.name, settings, {}, (), reasons, (), 0, False, group.files)
