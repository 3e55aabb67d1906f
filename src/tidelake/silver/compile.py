"""From a source's contract to the SELECT that reads, types and checks its records.

The input is a table of lines (`LINE_COLUMNS`); the output has one row per record with silver's columns,
`is_clean`, and what deduplication needs. Reasons are built in a second SELECT, for rows that are not clean.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from tidelake.config import Project
from tidelake.contracts.source import FieldRule, FieldType, Source, columns_by_field
from tidelake.contracts.table import literal
from tidelake.engine.sql import check_names_in
from tidelake.errors import DefinitionError, QueryError
from tidelake.silver.fields import Check, FieldSql, field_sql, quoted, reference_of

LINE_COLUMNS = ("file_id", "source_position", "raw", "record", "problem", "kind")
LINEAGE = ("file_id", "source_position", "batch_id", "ingested_at")
EVENT_COLUMNS = (
    "event_date",
    "event_time",
    "event_id",
    "actor_id",
    "event_name",
    "session_id",
    "received_at",
    "seq",
    "traffic_class",
)
COUNT_COLUMNS = ("event_date", "event_time", "entity", "traffic_class")
_NO_ID = "no-id:"  # with a digest behind it; an id that begins so is carried with one more colon, as no digest does
HAS_ID = f"(NOT starts_with(event_id, '{_NO_ID}') OR starts_with(event_id, '{_NO_ID}:'))"  # of silver's rows
OTHER_FIELDS = "other_fields"  # the undeclared fields that cannot be columns, as one JSON object
_TEXT_PARTS = ("event_id", "actor_id", "anonymous_id", "event_name", "session_id", "entity")
_FUTURE_WITHOUT_RECEIPT = timedelta(days=1)
_DEFINITION_VERSION = 3  # raise when the meaning of the SELECT changes: silver is then restated


@dataclass(frozen=True)
class SilverPlan:
    """The silver SELECT of one source.

    Attributes:
        columns: Silver's columns without lineage, in order.
        content: Columns that make up a row's content (all but those derived from others).
        definition: Hash of all that decides what silver holds.
    """

    source: Source
    project: Project
    fields: tuple[FieldSql, ...]
    columns: tuple[str, ...]
    content: tuple[str, ...]
    definition: str

    @property
    def has_content_hash(self) -> bool:
        """Whether rows may share instant and event_id, so that only their content puts them in order."""
        source = self.source
        return source.fact == "event" and source.mapping.event_id is not None and source.dedup != "key"

    @property
    def known_fields(self) -> tuple[str, ...]:
        return tuple(item.field for item in self.fields if item.field != OTHER_FIELDS)


def plan(source: Source, project: Project, extra: Sequence[str] = (), *, absent: Collection[str] = ()) -> SilverPlan:
    """Work out the SELECT of a source.

    Args:
        extra: Fields that are not declared and that silver carries as text (`extra: evolve`); with OTHER_FIELDS
            those beyond are carried too.
        absent: Dimensions without a table yet: every value that refers to them is an unknown one.

    Raises:
        DefinitionError: Two fields would have the same column, or a mapped field is not declared.
    """
    parts = {field: part for part, field in source.mapping.items()}
    rules = dict(source.contract.fields)
    for field in (*parts, *source.measures, *source.key):
        rules.setdefault(field, FieldRule(type=_default_type(parts.get(field), field in source.measures)))
    for field in extra:
        if field != OTHER_FIELDS:
            rules.setdefault(field, FieldRule())
    fields: list[FieldSql] = []
    taken: dict[str, str] = {}
    _refuse_names_alike(source, rules)
    reserved = {*LINEAGE, "traffic_class", "event_date", "content_hash", OTHER_FIELDS}
    for field, rule in rules.items():
        if rule.privacy == "drop":
            continue
        part = parts.get(field)
        column = part or (f"{field}_field" if field in reserved else field)
        if column.lower() in taken:
            raise DefinitionError(
                f"Source {source.name}: the fields '{taken[column.lower()]}' and '{field}' would both be column "
                f"'{column}'.",
                hint="Map one of them under `mapping:`, or leave it out of the contract.",
            )
        taken[column.lower()] = field
        is_extra = field in extra and field not in source.contract.fields
        refers_to_nothing = rule.references is not None and reference_of(rule.references)[0] in absent
        if refers_to_nothing:
            rule = rule.model_copy(update={"references": None})
        made = field_sql(
            field,
            rule,
            column=column,
            on_mismatch=rule.on_mismatch or source.contract.on_mismatch,
            timezone=source.timezone,
            time_format=source.time_format if rule.type in ("timestamp", "date") else "auto",
            is_required=rule.required or part == "event_time" or part == "entity" or field in source.key,
        )
        if refers_to_nothing:
            unknown = Check(f"unknown_reference:{field}", f"({made.value} IS NOT NULL)", rule.on_breach)
            made = replace(made, checks=(*made.checks, unknown))
        # What nothing declares is taken whatever it is: text as it is, lists and objects as JSON text.
        fields.append(replace(made, checks=()) if is_extra else made)
    if OTHER_FIELDS in extra:
        names = [*(item.field for item in fields), *source.privacy]
        fields.append(FieldSql(OTHER_FIELDS, OTHER_FIELDS, "VARCHAR", _other_fields(names), ()))
    columns = _columns(source, fields)
    _refuse_engine_names(source, (*columns, *LINEAGE))
    return SilverPlan(
        source=source,
        project=project,
        fields=tuple(fields),
        columns=columns,
        content=tuple(name for item in fields for name in _columns_of(item)),
        definition=definition_of(source, project),
    )


def _refuse_names_alike(source: Source, names: Iterable[str]) -> None:
    """DuckDB's structs know no case, so two fields must differ in more."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise DefinitionError(
                f"Source {source.name}: the fields '{other}' and '{name}' differ in case only.",
                hint="Leave one of them out of the contract and write `extra: ignore`, or rename it at its source.",
            )


def _refuse_engine_names(source: Source, columns: Sequence[str]) -> None:
    """Raise where a rule names what is no column and what an engine would answer by itself (`user`: its own)."""
    rules = [(f"contract: rules: {rule.name}", rule.where) for rule in source.contract.rules]
    rules += [(f"traffic: {rule.traffic}", rule.where) for rule in source.traffic]
    for place, where in rules:
        try:
            check_names_in(where, columns, columns_by_field({source.name: source}), is_kept=True)
        except QueryError as error:
            raise DefinitionError(
                f"sources/{source.name}.yml: {place}: {error}",
                hint="Rules name columns of silver: a mapped field has the name of its part, others are declared under "
                "`contract: fields:`.",
            ) from error


def definition_of(source: Source, project: Project) -> str:
    """Hash of the settings that decide what a source's silver table holds."""
    said = source.model_dump(
        mode="json",
        include={
            "fact",
            "timezone",
            "time_format",
            "mapping",
            "measures",
            "contract",
            "dedup",
            "history",
            "key",
            "traffic",
            "future_tolerance",
        },
    )
    if said["mapping"]["anonymous_id"] is None:
        said["mapping"].pop("anonymous_id")  # tables of sources without one stay as they were before there was any
    if not said["mapping"]["names"]:
        said["mapping"].pop("names")  # likewise
    for tolerance in ("max_quarantined_share", "min_rows"):
        said["contract"].pop(tolerance)
    if any((rule.on_mismatch or source.contract.on_mismatch) == "evolve" for rule in source.contract.fields.values()):
        said["evolve"] = 2  # values of another type count as content, and not as numbers too
    if source.history == "scd2":
        said["undated"] = "first"  # of a key's rows, the one without valid_from
    if source.fact == "event" and source.mapping.event_id is not None and source.dedup != "content":
        said["without_id"] = 2  # an id that begins like the mark of rows without one is told apart from it
    said["project"] = [project.timezone, project.epoch.isoformat(), _DEFINITION_VERSION]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _default_type(part: str | None, is_measure: bool) -> FieldType:
    if part in ("event_time", "received_at", "sent_at", "valid_from"):
        return "timestamp"
    if part == "seq":
        return "integer"
    return "number" if is_measure else "string"


def _columns(source: Source, fields: Sequence[FieldSql]) -> tuple[str, ...]:
    own = [name for item in fields for name in _columns_of(item)]
    fixed = _fixed_columns(source)
    return (*fixed, *(column for column in own if column not in fixed))


def _fixed_columns(source: Source) -> tuple[str, ...]:
    """The columns that every table of the source's kind has, whatever is mapped, and its anonymous id."""
    if source.mapping.anonymous_id is not None:
        return (*EVENT_COLUMNS, "anonymous_id")
    return {"event": EVENT_COLUMNS, "count": COUNT_COLUMNS, "dimension": ()}[source.fact]


def _columns_of(item: FieldSql) -> tuple[str, ...]:
    return (item.column,) if item.variant is None else (item.column, f"{item.column}_text")


def parsed_sql(plan: SilverPlan, lines: str, key_lists: Sequence[Sequence[str]]) -> str:
    """One row per record of `lines`: silver's columns, `is_clean`, `warnings`, `key_hash`.

    Args:
        lines: Name of the table with LINE_COLUMNS, `batch_id` and `ingested_at`.
        key_lists: The lists of field names, in order, that need no closer look; the usual one first.
    """
    checks, warnings = _split(plan)
    suspicious = " OR ".join(f"({check.suspicious})" for check in checks if check.suspicious)
    broken = f"coalesce({suspicious}, false)" if suspicious else "false"
    warned = ", ".join(f"CASE WHEN {check.broken} THEN {literal(check.reason)} END" for check in warnings)
    late_rules = [rule for rule in plan.source.contract.rules if rule.on_breach != "warn"]
    warn_rules = [rule for rule in plan.source.contract.rules if rule.on_breach == "warn"]
    rules = " AND ".join(f"coalesce({rule.where}, true)" for rule in late_rules)
    rule_warnings = ", ".join(
        f"CASE WHEN NOT coalesce({rule.where}, true) THEN {literal(f'rule:{rule.name}')} END" for rule in warn_rules
    )
    clean = f"is_clean AND {rules}" if rules else "is_clean"
    content = f" {content_sql(plan.content)} AS content_hash," if plan.has_content_hash else ""
    said = ", ".join(filter(None, ("warnings" if warned else "", f"[{rule_warnings}]" if rule_warnings else "")))
    warning_sql = (
        f"list_filter(flatten([{said}]), lambda item: item IS NOT NULL)" if said else "CAST(NULL AS VARCHAR[])"
    )
    return f"""
    SELECT * EXCLUDE (is_clean{", warnings" if warned else ""}, ingested_at),
        {_traffic(plan.source)},
        {clean} AS is_clean, {warning_sql} AS warnings, {key_hash_sql(plan)} AS key_hash,{content} ingested_at
    FROM (
        SELECT {_typed_columns(plan)}, file_id, source_position, batch_id,
            (f IS NOT NULL AND {_keys_known(key_lists)} AND NOT ({broken})) AS is_clean
            {f", [{warned}] AS warnings" if warned else ""}, ingested_at
        FROM ({_read(plan, lines, with_keys=False)})
    )"""


def reasons_sql(plan: SilverPlan, lines: str, unclean: str, wanted: Collection[str] = ()) -> str:
    """One row per record that is not clean: its place, `reasons`, `undeclared`, `of_wanted` and `is_of_table`.

    No reasons = accepted after all. `undeclared`: names of fields that nothing declares, where they become columns
    (null elsewhere). `of_wanted`: the wanted fields that the record has (null where none is wanted).
    `is_of_table`: the record comes from a table file (CSV, Parquet), whose rows have the same fields.

    Args:
        unclean: Name of a table of (file_id, source_position).
        wanted: Names of fields that no record was seen to have yet.
    """
    checks, _ = _split(plan)
    subset = f"(SELECT given.* FROM {lines} given SEMI JOIN {unclean} USING (file_id, source_position))"
    inner = ", ".join(
        f"CASE WHEN f IS NOT NULL AND {check.broken} THEN {literal(check.reason)} END" for check in checks
    )
    rules = ", ".join(
        f"CASE WHEN f_read AND NOT coalesce({rule.where}, true) THEN {literal(f'rule:{rule.name}')} END"
        for rule in plan.source.contract.rules
        if rule.on_breach != "warn"
    )
    known = ", ".join(literal(name) for name in _declared(plan))
    named = ", ".join(literal(name) for name in dict.fromkeys([*plan.known_fields, *plan.source.privacy])) or "''"
    undeclared = f"list_filter(keys, lambda name: name NOT IN ({named}))"
    if plan.source.contract.extra != "evolve":
        undeclared = "CAST(NULL AS VARCHAR[])"
    looked_for = ", ".join(literal(name) for name in sorted(wanted))
    of_wanted = f"list_filter(keys, lambda name: name IN ({looked_for}))" if wanted else "CAST(NULL AS VARCHAR[])"
    extra_policy = plan.source.contract.extra
    extra = (
        f"CASE WHEN keys IS NOT NULL AND len(list_filter(keys, lambda name: name NOT IN ({known}))) > 0 "
        "THEN 'undeclared_field' END"
        if extra_policy in ("quarantine", "fail") and known
        else "NULL"
    )
    shape = f"""
            CASE WHEN problem IS NOT NULL THEN problem
                WHEN NOT is_valid THEN 'invalid_json'
                WHEN NOT is_json THEN 'not_an_object'
                WHEN len(keys) <> len(list_distinct(keys)) THEN 'duplicate_key' END,
            {extra}"""
    return f"""
    SELECT file_id, source_position, undeclared, of_wanted, is_of_table,
        list_filter(list_concat(found{f", [{rules}]" if rules else ""}), lambda item: item IS NOT NULL) AS reasons
    FROM (
        SELECT {_typed_columns(plan)}, file_id, source_position, f IS NOT NULL AS f_read, ingested_at,
            {undeclared} AS undeclared, {of_wanted} AS of_wanted,
            record IS NOT NULL AS is_of_table,
            [{shape}{"," + inner if inner else ""}] AS found
        FROM ({_read(plan, subset)})
    )"""


def key_lists_sql(lines: str, limit: int) -> str:
    """The lists of field names that the first records have, most common first."""
    return f"""
    SELECT keys, count(*) AS records FROM (
        SELECT CASE WHEN problem IS NULL AND json_valid(coalesce(record, raw))
            THEN json_keys(coalesce(record, raw)) END AS keys
        FROM (SELECT * FROM {lines} WHERE kind = 'record' LIMIT {limit})
    ) WHERE keys IS NOT NULL GROUP BY keys ORDER BY records DESC, keys"""


def has_warnings(plan: SilverPlan) -> bool:
    """Whether a field or a rule only warns."""
    return bool(_split(plan)[1]) or any(rule.on_breach == "warn" for rule in plan.source.contract.rules)


def accepted_columns(plan: SilverPlan) -> tuple[str, ...]:
    """Silver's columns with lineage, in the table's order."""
    return (*plan.columns, *(("content_hash",) if plan.has_content_hash else ()), *LINEAGE)


def content_sql(columns: Sequence[str], known: Sequence[str] | None = None) -> str:
    """A portable hash of a row's content: md5 over name, length and text of the columns that are not null.

    A column that a table does not have yet, and one that is null, count alike: rows compare in the same
    way before and after a field was added.

    Args:
        known: The columns that the table has; others count as null. None = all.
    """
    parts = []
    for column in sorted(columns):
        if known is None or column in known:
            text = f"CAST({quoted(column)} AS VARCHAR)"
            parts.append(f"{literal(column + '=')} || length({text}) || ':' || {text}")
    return f"md5(concat_ws(';', {', '.join(parts)}))" if parts else "md5('')"


def _split(plan: SilverPlan) -> tuple[list[Check], list[Check]]:
    every = [check for item in plan.fields for check in item.checks] + _time_checks(plan)
    return [c for c in every if c.on_breach != "warn"], [c for c in every if c.on_breach == "warn"]


def _declared(plan: SilverPlan) -> list[str]:
    dropped = [name for name, privacy in plan.source.privacy.items() if privacy == "drop"]
    return [*plan.known_fields, *dropped]


def _keys_known(key_lists: Sequence[Sequence[str]]) -> str:
    """SQL that is true where a record has one of the lists of field names, and false or null elsewhere."""
    if not key_lists:
        return "false"
    usual, *others = ("[" + ", ".join(literal(name) for name in names) + "]" for names in key_lists)
    # The last of the list is no constant: of six constants DuckDB makes a join, for which it would list the names
    # of every line a second time.
    other = f"json_keys(text) IN ({', '.join(others)}, CASE WHEN is_json THEN CAST(NULL AS VARCHAR[]) END)"
    return f"CASE WHEN json_keys(text) = {usual} THEN true ELSE {other if others else 'false'} END"


def _read(plan: SilverPlan, lines: str, *, with_keys: bool = True) -> str:
    """The lines with their JSON object as `text` (null where there is none), its fields as a struct `f`, and `keys`.

    What is no object is left out of `text`, not of what is made of it: a CASE around a struct copies all its fields.

    Args:
        with_keys: Whether the field names are wanted.
    """
    wanted = json.dumps({item.field: item.read_as for item in plan.fields if item.field != OTHER_FIELDS})
    keys = ",\n                json_keys(text) AS keys" if with_keys else ""
    return f"""
            SELECT *, json_transform(text, {literal(wanted)}) AS f{keys}
            FROM (
                SELECT * EXCLUDE (given), CASE WHEN is_json THEN given END AS text
                FROM (
                    SELECT *, coalesce(record, raw) AS given,
                        problem IS NULL AND json_valid(coalesce(record, raw)) AS is_valid,
                        is_valid AND (starts_with(coalesce(record, raw), '{{')
                            OR regexp_matches(coalesce(record, raw), '^\\s*\\{{')) AS is_json
                    FROM {lines} WHERE kind = 'record'
                )
            )"""


def _other_fields(names: Sequence[str]) -> str:
    """SQL of a JSON object of a record's fields that are none of these, each as text; null where there is none."""
    known = ", ".join(literal(name) for name in names)
    others = f"list_sort(list_filter(json_keys(text), lambda name: name NOT IN ({known})))"
    path = "'$.\"' || replace(name, '\"', '\\\"') || '\"'"
    value = _json_text(f"json_extract_string(text, {path})")
    pair = f"{_json_text('name')} || ':' || {value}"  # null where the value is, as in a column: then it is left out
    listed = f"array_to_string(list_transform({others}, lambda name: {pair}), ',')"
    return f"CASE WHEN is_json THEN '{{' || NULLIF({listed}, '') || '}}' END"


def _json_text(text: str) -> str:
    """SQL of a text as JSON writes it; other control characters stay as they are."""
    for mark, written in (
        ("'\\'", "'\\\\'"),
        ("'\"'", "'\\\"'"),
        ("chr(10)", "'\\n'"),
        ("chr(13)", "'\\r'"),
        ("chr(9)", "'\\t'"),
    ):
        text = f"replace({text}, {mark}, {written})"
    return f"'\"' || {text} || '\"'"


def _typed_columns(plan: SilverPlan) -> str:
    by_column = {item.column: item for item in plan.fields}
    columns: list[str] = []
    if plan.source.fact != "dimension":
        time = _event_time(plan)
        zone = plan.project.timezone
        local = time if zone == "UTC" else f"timezone({literal(zone)}, {time})"
        date = f"CAST({local} AS DATE)"
        if zone == "UTC":  # an instant's date asks the calendar of time zones, but for an infinite one in vain
            date = f"coalesce(CAST(make_timestamp(epoch_us({time})) AS DATE), {date})"
        columns += [f"{date} AS event_date", f"{time} AS event_time"]
    fixed = _fixed_columns(plan.source)
    for column in fixed:
        if column in ("event_date", "event_time", "traffic_class"):
            continue
        if column in by_column:
            value = _canonical(column, by_column[column].value)
            if column == "event_id" and plan.source.dedup != "content":
                # A row without its id is known by its text, and is nobody's duplicate.
                value = (
                    f"CASE WHEN starts_with({value}, '{_NO_ID}') THEN '{_NO_ID}:' || substring({value}, "
                    f"{len(_NO_ID) + 1}) ELSE coalesce({value}, '{_NO_ID}' || left(md5(text), 16)) END"
                )
            columns.append(f"{value} AS {column}")
        else:
            kind = {"received_at": "TIMESTAMPTZ", "seq": "BIGINT"}.get(column, "VARCHAR")
            columns.append(f"CAST(NULL AS {kind}) AS {column}")
    for item in plan.fields:
        if item.column not in fixed:
            columns.append(f"{item.value} AS {quoted(item.column)}")
        if item.variant is not None:
            columns.append(f"{item.variant} AS {quoted(item.column + '_text')}")
    return ", ".join(columns)


def _canonical(column: str, value: str) -> str:
    return f"CAST({value} AS VARCHAR)" if column in _TEXT_PARTS else value


def _event_time(plan: SilverPlan) -> str:
    """The source's own time; with receipt and sending times the device clock's error cancels out."""
    values = {item.column: item.value for item in plan.fields}
    own = values["event_time"]
    if "received_at" in values and "sent_at" in values:
        received, sent = values["received_at"], values["sent_at"]
        return (
            f"CASE WHEN {received} IS NOT NULL AND {sent} - {own} BETWEEN INTERVAL 0 SECOND AND INTERVAL 7 DAY "
            f"THEN {received} - ({sent} - {own}) ELSE {own} END"
        )
    return own


def _time_checks(plan: SilverPlan) -> list[Check]:
    if plan.source.fact == "dimension":
        return []
    values = {item.column: item.value for item in plan.fields}
    time = _event_time(plan)
    tolerance = plan.source.future_tolerance
    receipt = values.get("received_at")
    margin = tolerance or (timedelta(minutes=10) if receipt else _FUTURE_WITHOUT_RECEIPT)
    latest = f"coalesce({receipt}, ingested_at)" if receipt else "ingested_at"
    # Whole microseconds: adding an INTERVAL to an instant goes through the calendar and is ten times slower.
    broken = (
        f"{time} < TIMESTAMPTZ '{plan.project.epoch.isoformat()} 00:00:00+00' "
        f"OR epoch_us({time}) > epoch_us({latest}) + {margin // timedelta(microseconds=1)}"
    )
    if receipt and "sent_at" in values:
        own, sent = values["event_time"], values["sent_at"]
        broken += f" OR ({receipt} IS NOT NULL AND NOT ({sent} - {own} BETWEEN INTERVAL 0 SECOND AND INTERVAL 7 DAY))"
    return [Check("clock_skew:event_time", f"({broken})", "quarantine")]


def _traffic(source: Source) -> str:
    if not source.traffic:
        return "'human' AS traffic_class"
    cases = " ".join(f"WHEN {rule.where} THEN {literal(rule.traffic)}" for rule in source.traffic)
    return f"CASE {cases} ELSE 'human' END AS traffic_class"


def key_hash_sql(plan: SilverPlan) -> str:
    """A fast hash that finds rows which may be the same; what it finds is verified by content."""
    if plan.source.dedup == "key" and plan.source.fact == "event":
        return "CAST(hash(event_id) >> 1 AS BIGINT)"
    columns = ", ".join(quoted(column) for column in plan.content)
    return f"CAST(hash({columns}) >> 1 AS BIGINT)"
