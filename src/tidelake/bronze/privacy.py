"""Personal data: dropped, hashed or cut before anything is written to the lake."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from tidelake.contracts.source import Privacy, Source
from tidelake.contracts.table import literal
from tidelake.errors import ProjectError

KEY_VARIABLE = "TIDELAKE_HASH_KEY"
KEY_FILE = ".tide-key"


def project_key(root: Path) -> str:
    """The project's secret for hashing: from the environment, else from a file made once.

    Raises:
        ProjectError: The file cannot be read or made.
    """
    given = os.environ.get(KEY_VARIABLE)
    if given:
        return given
    path = root / KEY_FILE
    try:
        if not path.is_file():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(secrets.token_hex(32) + "\n")
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ProjectError(
            f"The key for hashing personal data cannot be kept in {path}: {error.strerror}.",
            hint=f"Set it in the environment instead: export {KEY_VARIABLE}=...",
        ) from error


def guarded_sql(source: Source, lines: str) -> str:
    """Lines with personal fields dropped, hashed or cut; the key is bound as `$privacy_key`.

    A record's text becomes JSON again without these fields; a rule holds for its field's name in upper and lower
    case. A line that cannot be read as a record keeps only its sha256 and length, unless the contract says
    `keep_unparsable`.
    """
    kept = [
        f"{literal(name)}, {_protected(rule, f'json_extract_string(text, {literal(_path(name))})')}"
        for name, rule in source.privacy.items()
        if rule != "drop"
    ]
    dropped = json.dumps({name: None for name, rule in source.privacy.items() if rule == "drop"})

    changed = f"CASE WHEN len(other_names) > 0 THEN json_merge_patch(text, {_other_patch(source)}) ELSE text END"
    if kept:
        changed = f"json_merge_patch({changed}, json_object({', '.join(kept)}))"
    if dropped != "{}":
        changed = f"json_merge_patch({changed}, {literal(dropped)})"
    unreadable = (
        "raw"
        if source.contract.keep_unparsable
        else "CAST(json_object('sha256', sha256(raw), 'length', strlen(raw)) AS VARCHAR)"
    )
    columns = "* EXCLUDE (raw, record, problem, text, is_record, other_names)"
    return f"""
    SELECT {columns},
        CASE WHEN is_record THEN CAST({changed} AS VARCHAR) WHEN kind = 'record' THEN {unreadable} ELSE raw END AS raw,
        CAST(NULL AS VARCHAR) AS record,
        CASE WHEN kind = 'record' AND NOT is_record THEN coalesce(problem, 'invalid_json') ELSE problem END AS problem
    FROM (
        SELECT *, CASE WHEN is_record THEN {_other_names(source)} END AS other_names
        FROM (
            SELECT *, coalesce(record, raw) AS text,
                kind = 'record' AND problem IS NULL AND json_valid(coalesce(record, raw))
                    AND regexp_matches(coalesce(record, raw), '^\\s*\\{{') AS is_record
            FROM {lines}
        )
    )"""


def _other_names(source: Source) -> str:
    """SQL of a record's names that differ from those with a rule in upper and lower case only."""
    names = ", ".join(literal(name) for name in source.privacy)
    folded = ", ".join(literal(name.lower()) for name in source.privacy)
    return f"list_filter(json_keys(text), lambda name: lower(name) IN ({folded}) AND name NOT IN ({names}))"


def _other_patch(source: Source) -> str:
    """SQL of the JSON that protects these names."""
    value = "json_extract_string(text, '$.\"' || replace(name, '\"', '\\\"') || '\"')"
    rules = " ".join(
        f"WHEN {literal(name.lower())} THEN {_protected(rule, value)}" for name, rule in source.privacy.items()
    )
    protected = f"coalesce(CAST(to_json(CASE lower(name) {rules} END) AS VARCHAR), 'null')"
    pairs = f"list_transform(other_names, lambda name: CAST(to_json(name) AS VARCHAR) || ':' || {protected})"
    return f"'{{' || array_to_string({pairs}, ',') || '}}'"


def _protected(rule: Privacy, value: str) -> str:
    """SQL of what is kept of a value."""
    if rule == "drop":
        return "NULL"
    if rule == "hash":
        return f"CASE WHEN {value} IS NOT NULL THEN left(sha256($privacy_key || {value}), 32) END"
    return _cut_address(value)


def _path(name: str) -> str:
    return '$."' + name.replace('"', '\\"') + '"'


def _cut_address(value: str) -> str:
    """IPv4 without its last number, IPv6 without all but its first three groups; else null."""
    return (
        f"CASE WHEN regexp_full_match({value}, '[0-9]{{1,3}}(\\.[0-9]{{1,3}}){{3}}') "
        f"THEN regexp_replace({value}, '[0-9]+$', '0') "
        f"WHEN contains({value}, ':') "
        f"THEN regexp_extract({value}, '^([0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f]*)', 1) || '::' END"
    )
