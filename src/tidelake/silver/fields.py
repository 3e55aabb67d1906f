"""SQL of one field: its typed value, and the conditions under which a value breaks the contract.

Every record reaches silver as JSON text. Text fields are read as text, all others as JSON, so that
`"12"` and `12` stay apart: a string in a number's place is cast only where the contract says `coerce`.
The expressions are written in DuckDB's dialect over a struct `f` that holds the record's fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from tidelake.contracts.source import FieldRule, FieldType, OnBreach, OnMismatch, Source
from tidelake.contracts.table import literal
from tidelake.engine.sql import re2_faults
from tidelake.errors import DefinitionError

# A date with or without a wall clock's reading; and one with a reading and something that may name a zone.
_ISO_LOCAL = r"\s*[0-9]+-[0-9]+-[0-9]+([T ]+[0-9]+(:[0-9]+(:[0-9]+(\.[0-9]*)?)?)?)?\s*"
_ISO_WITH_ZONE = r"(?i)\s*[0-9]+-[0-9]+-[0-9]+[T ]+[0-9:.]*[0-9.]\s*(z|[a-z][a-z]{2}[a-z0-9_/+-]*|[+-][0-9:]{2,})\s*"
_PLAIN_NUMBER = r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\s*"
_NOT_FINITE = r"NaN|-?Infinity"
_SLASHED_DATE = r"^[0-9]{1,2}[/.-][0-9]{1,2}[/.-][0-9]{2,4}( .*)?$"


@dataclass(frozen=True)
class Check:
    """One way in which a row can break its contract.

    Attributes:
        reason: What quarantine and reports call it, such as `wrong_type:value`.
        broken: SQL that is true for a row that breaks it; null counts as false.
        on_breach: What is done with such rows.
        quick: Cheaper SQL that is true for every such row, and perhaps for others; '' where another
            check's covers it. Rows that it finds are looked at again with `broken`.
    """

    reason: str
    broken: str
    on_breach: OnBreach
    quick: str | None = None

    @property
    def suspicious(self) -> str:
        return self.broken if self.quick is None else self.quick


@dataclass(frozen=True)
class FieldSql:
    """A field's part of the silver SELECT.

    Attributes:
        field: Its name in the record.
        column: Its name in silver.
        read_as: How the record's struct reads it: `VARCHAR` or `JSON`.
        value: SQL of the typed value.
        variant: SQL of the text of a value of another type (`evolve`), or None.
    """

    field: str
    column: str
    read_as: str
    value: str
    checks: tuple[Check, ...]
    variant: str | None = None


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def reference_of(text: str) -> tuple[str, str]:
    """Dimension and column of `references: users.user_id`."""
    dimension, _, column = text.partition(".")
    return dimension, column


def kind_of(name: str) -> str:
    """SQL of the JSON type that a record's field has: VARCHAR, BIGINT, OBJECT ..."""
    path = '$."' + name.replace('"', '\\"') + '"'
    return f"json_type(text, {literal(path)})"


def field_sql(
    name: str,
    rule: FieldRule,
    *,
    column: str,
    on_mismatch: OnMismatch,
    timezone: str,
    time_format: str,
    is_required: bool,
) -> FieldSql:
    """The SQL of one declared field.

    Args:
        name: The field's name in the record.
        rule: Its part of the contract.
        column: Its name in silver.
        on_mismatch: What to do with values of another type.
        timezone: Zone of timestamps that carry none.
        time_format: How instants are written.
        is_required: Whether null is a breach.
    """
    kind = rule.type
    read_as = "VARCHAR" if _is_text(kind) else "JSON"
    given = f"f.{quoted(name)}"
    if read_as == "JSON":
        given = f"CAST({given} AS VARCHAR)"
    if rule.empty_is_null:
        empty = literal('""' if read_as == "JSON" else "")
        given = f"NULLIF({given}, {empty})"
    is_lenient = on_mismatch in ("coerce", "evolve")
    value, mistakes = _typed(name, kind, given, is_lenient=is_lenient, timezone=timezone, time_format=time_format)
    breach: OnBreach = "fail" if on_mismatch == "fail" else "quarantine"
    checks: list[Check] = []
    if is_required:
        checks.append(Check(f"missing_required:{name}", f"{given} IS NULL", breach))
    variant = None
    wrong = [(reason, f"({given} IS NOT NULL AND {condition})") for reason, condition in mistakes]
    if on_mismatch == "evolve" and not is_required:  # of a required field the typed value must be there
        is_wrong = " OR ".join(condition for _, condition in wrong) or "false"
        variant = f"CASE WHEN {is_wrong} THEN trim({given}, '\"') END"
        value = f"CASE WHEN NOT ({is_wrong}) THEN {value} END" if wrong else value
    else:
        quick = f"({given} IS NOT NULL AND {value} IS NULL)" if kind == "timestamp" and timezone == "UTC" else None
        if kind == "string" and is_lenient:
            quick = f"{given} LIKE '{{%' OR {given} LIKE '[%'"
        for number, (reason, condition) in enumerate(wrong):
            checks.append(Check(f"{reason}:{name}", condition, breach, quick if quick is None or number == 0 else ""))
    checks += _value_checks(name, rule, value, given)
    if kind == "string" and not is_lenient:
        checks.append(Check(f"wrong_type:{name}", _not_a_string(name, given), breach))
    return FieldSql(name, column, read_as, value, tuple(checks), variant)


def _is_text(kind: FieldType) -> bool:
    return kind in ("string", "timestamp", "date")


def _is_epoch(time_format: str) -> bool:
    return time_format.startswith("epoch_")


def _typed(
    name: str, kind: FieldType, given: str, *, is_lenient: bool, timezone: str, time_format: str
) -> tuple[str, list[tuple[str, str]]]:
    """The typed value of a field and its mistakes as (reason, condition)."""
    bare = f"trim({given}, '\"')" if is_lenient else given
    if kind == "string":
        return given, [
            (
                "wrong_type",
                (
                    f"CASE WHEN is_json AND ({given} LIKE '{{%' OR {given} LIKE '[%') "
                    f"THEN {kind_of(name)} IN ('OBJECT', 'ARRAY') ELSE false END"
                ),
            )
        ]
    if kind == "json":
        return given, []
    if kind == "integer":
        value = _number(given, bare, "BIGINT", is_lenient=is_lenient)
        is_fraction = " OR ".join(f"contains({given}, '{mark}')" for mark in ".eE")
        lossy = f"(({is_fraction}) AND TRY_CAST({bare} AS DOUBLE) <> {value})"
        return value, [("wrong_type", f"({value} IS NULL OR {lossy})")]
    if kind == "number":
        value = _number(given, bare, "DOUBLE", is_lenient=is_lenient)
        return value, [
            ("wrong_type", f"{value} IS NULL"),
            ("not_finite", f"({value} IS NOT NULL AND NOT isfinite({value}))"),
        ]
    if kind == "boolean":
        value = (
            f"TRY_CAST({bare} AS BOOLEAN)"
            if is_lenient
            else f"CASE {given} WHEN 'true' THEN true WHEN 'false' THEN false END"
        )
        return value, [("wrong_type", f"{value} IS NULL")]
    if kind == "date":
        value = (
            f"TRY_CAST({given} AS DATE)"
            if time_format in ("auto", "iso") or _is_epoch(time_format)
            else f"CAST(try_strptime({given}, {literal(time_format)}) AS DATE)"
        )
        return value, [("wrong_type", f"({value} IS NULL OR NOT isfinite({value}))")]
    return _instant(given, timezone=timezone, time_format=time_format)


def _number(given: str, bare: str, kind: str, *, is_lenient: bool) -> str:
    """A number; a text counts as one only where it is written in plain digits (`0x10` and `1_000` are not).

    "NaN", "Infinity" and "-Infinity", spelt so, are read as such, and quarantine calls them `not_finite`: this is how
    readers write floats that JSON cannot hold.
    """
    if not is_lenient:
        return f"TRY_CAST({bare} AS {kind})"
    written = _PLAIN_NUMBER if kind != "DOUBLE" else f"{_PLAIN_NUMBER}|{_NOT_FINITE}"
    return (
        f"CASE WHEN {given} LIKE '\"%' AND NOT regexp_full_match({bare}, {literal(written)}) "
        f"THEN NULL ELSE TRY_CAST({bare} AS {kind}) END"
    )


def _instant(text: str, *, timezone: str, time_format: str) -> tuple[str, list[tuple[str, str]]]:
    """An instant in UTC, and what can be wrong with it."""
    if time_format not in ("auto", "iso") and not _is_epoch(time_format):
        local = f"try_strptime({text}, {literal(time_format)})"
        if "%z" in time_format or "%Z" in time_format:
            return f"CAST({local} AS TIMESTAMPTZ)", [("wrong_time", f"{local} IS NULL")]
        value, doubts = _from_local(local, timezone)
        return value, [("wrong_time", f"{local} IS NULL"), *doubts]
    micros = _epoch_micros(f"TRY_CAST({text} AS DECIMAL(38,6))", time_format)
    if _is_epoch(time_format):
        value = f"make_timestamptz({micros})"
        return value, [("wrong_time", f"{value} IS NULL")]
    stamp = f"TRY_CAST({text} AS TIMESTAMPTZ)"
    doubts = []
    if timezone != "UTC":
        naive = f"TRY_CAST({text} AS TIMESTAMP)"
        is_local, has_zone = (f"regexp_full_match({text}, {literal(form)})" for form in (_ISO_LOCAL, _ISO_WITH_ZONE))
        local_value, local_doubts = _from_local(naive, timezone)
        stamp = f"CASE WHEN {is_local} THEN {local_value} WHEN {has_zone} THEN {stamp} END"
        doubts = [(reason, f"({is_local} AND {condition})") for reason, condition in local_doubts]
    is_written = f"{text} LIKE '____-%'"
    value = (
        stamp if time_format == "iso" else f"CASE WHEN {is_written} THEN {stamp} ELSE make_timestamptz({micros}) END"
    )
    if time_format == "auto":
        doubts = [(reason, f"({is_written} AND {condition})") for reason, condition in doubts]
    slashed = f"regexp_matches({text}, {literal(_SLASHED_DATE)})"
    return value, [
        ("ambiguous_time", f"({value} IS NULL AND {slashed})"),
        ("wrong_time", f"({value} IS NULL AND NOT {slashed})"),
        *doubts,
    ]


def _epoch_micros(numeric: str, time_format: str) -> str:
    """Microseconds since 1970 of a number of seconds, milliseconds or microseconds.

    Without a declared unit the size tells: below 1e11 seconds (until the year 5138), below 1e14
    milliseconds, else microseconds. Numbers too large for an instant give null.
    """
    factors = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
    if time_format in factors:
        scaled = f"CAST({numeric} AS DECIMAL(30,6)) * {factors[time_format]}"
    else:
        scaled = (
            f"CAST({numeric} AS DECIMAL(30,6)) * CASE WHEN abs({numeric}) < 100000000000 THEN 1000000 "
            f"WHEN abs({numeric}) < 100000000000000 THEN 1000 ELSE 1 END"
        )
    return f"CASE WHEN abs({numeric}) < 100000000000000000 THEN TRY_CAST(round({scaled}) AS BIGINT) END"


def _from_local(local: str, timezone: str) -> tuple[str, list[tuple[str, str]]]:
    """A wall clock's reading as an instant; readings that never or twice existed are mistakes."""
    if timezone == "UTC":
        return f"CAST({local} AS TIMESTAMPTZ)", []
    zone = literal(timezone)
    instant = f"timezone({zone}, {local})"
    again = " OR ".join(
        f"timezone({zone}, {instant} {sign} INTERVAL {minutes} MINUTE) = {local}"
        for minutes in _clocks_set_back(timezone)
        for sign in "-+"
    )
    return instant, [
        ("nonexistent_time", f"timezone({zone}, {instant}) <> {local}"),
        ("ambiguous_time", f"(timezone({zone}, {instant}) = {local} AND ({again or 'false'}))"),
    ]


@lru_cache
def _clocks_set_back(timezone: str) -> tuple[int, ...]:
    """By how many minutes a zone's clocks were set back from 1970 to 2037, each once: 60 nearly everywhere."""
    zone, day, before = ZoneInfo(timezone), datetime(1970, 1, 1, tzinfo=UTC), None
    found: set[int] = set()
    while day.year < 2038:
        offset = day.astimezone(zone).utcoffset()
        assert offset is not None
        if before is not None and offset < before:
            found.add(round((before - offset).total_seconds() / 60))
        day, before = day + timedelta(days=1), offset
    return tuple(sorted(found))


def _value_checks(name: str, rule: FieldRule, value: str, given: str) -> list[Check]:
    checks: list[Check] = []
    if rule.allowed:
        is_number = rule.type in ("integer", "number")
        allowed = ", ".join(f"CAST({literal(item)} AS DOUBLE)" if is_number else literal(item) for item in rule.allowed)
        text = given if rule.type == "string" else value if is_number else f"CAST({value} AS VARCHAR)"
        checks.append(
            Check(f"not_allowed:{name}", f"({value} IS NOT NULL AND {text} NOT IN ({allowed}))", rule.on_breach)
        )
    if rule.minimum is not None:
        checks.append(Check(f"out_of_range:{name}", f"{value} < {rule.minimum!r}", rule.on_breach))
    if rule.maximum is not None:
        checks.append(Check(f"out_of_range:{name}", f"{value} > {rule.maximum!r}", rule.on_breach))
    if rule.references is not None:
        dimension, column = reference_of(rule.references)
        known = f"SELECT CAST({quoted(column)} AS VARCHAR) FROM silver.{dimension} WHERE {quoted(column)} IS NOT NULL"
        checks.append(
            Check(
                f"unknown_reference:{name}",
                f"({value} IS NOT NULL AND CAST({value} AS VARCHAR) NOT IN ({known}))",
                rule.on_breach,
            )
        )
    if rule.pattern is not None:
        checks.append(
            Check(
                f"pattern:{name}",
                f"({value} IS NOT NULL AND NOT regexp_full_match(CAST({value} AS VARCHAR), {literal(rule.pattern)}))",
                rule.on_breach,
            )
        )
    return checks


def check_patterns(sources: Mapping[str, Source]) -> None:
    """Refuse contracts whose patterns cannot be run, before a build has begun.

    Raises:
        DefinitionError: Names the file, the field and the pattern of each, and what is wrong.
    """
    given = [
        (f"sources/{name}.yml, {field}", rule.pattern)
        for name, source in sources.items()
        for field, rule in source.contract.fields.items()
        if rule.pattern is not None
    ]
    faults = re2_faults({pattern for _, pattern in given}) if given else {}
    wrong = [
        f"{where}: pattern '{pattern}' is no regular expression: {faults[pattern]}."
        for where, pattern in given
        if pattern in faults
    ]
    if wrong:
        raise DefinitionError(
            "\n".join(wrong),
            hint="Patterns are RE2's, without look-around and back-references: github.com/google/re2/wiki/Syntax.",
        )


def _not_a_string(name: str, given: str) -> str:
    """Text that a number, a boolean or a nested value may have given, and did."""
    suspicious = (
        f"(TRY_CAST({given} AS DOUBLE) IS NOT NULL OR {given} IN ('true', 'false') "
        f"OR {given} LIKE '{{%' OR {given} LIKE '[%')"
    )
    return f"CASE WHEN is_json AND {suspicious} THEN {kind_of(name)} <> 'VARCHAR' ELSE false END"
