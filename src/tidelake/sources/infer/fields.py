"""One field's proposed rule: type, null, limits, privacy, each with what was seen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tidelake.sources.infer.columns import ColumnProfile, is_label, words
from tidelake.sources.infer.privacy import Suspicion
from tidelake.sources.infer.roles import Roles

WARNED_VALUES = 8  # so few values become a rule that warns; up to LISTED_VALUES, a comment
LISTED_VALUES = 30
_COUNTED = re.compile(
    r"count|quantity|qty|amount|price|cost|duration|seconds|minutes|bytes|size|age|views|visits|total|number|sum"
)
_MEASURED = re.compile(r"value|duration|seconds|amount|price|cost|revenue|score|rate|length|weight|balance")


@dataclass(frozen=True)
class ProposedField:
    """One field's rule as plain values for YAML, and the comments beside it."""

    name: str
    rule: Mapping[str, Any]
    evidence: str
    advice: tuple[str, ...] = ()
    dormant: tuple[str, ...] = ()  # rules proposed as comments, `key: value`


def propose_field(
    profile: ColumnProfile, roles: Roles, form: str | None, *, suspicion: Suspicion | None, whole: bool
) -> ProposedField:
    """The rule of one field.

    Args:
        form: The source's time format; fields that write time otherwise keep their plain type.
        suspicion: Personal data suspected in the field.
        whole: The sample holds every record, so "unique in 300 rows" is the truth.
    """
    kind, advice = _type_under(profile, roles, form)
    if profile.name == roles.parts.get("event_time"):
        kind = "timestamp"  # a date is the instant at which it begins
    rule: dict[str, Any] = {"type": kind}
    dormant: list[str] = []
    if profile.always:
        rule["required"] = True
    if profile.empties:
        rule["empty_is_null"] = True
        advice = (*advice, f"'' in {profile.empties:,} rows is read as null")
    if suspicion is not None:
        text = f"{suspicion.kind} ({suspicion.why})"
        if suspicion.active:
            rule["privacy"] = suspicion.privacy
            if suspicion.privacy != "hash":
                rule.pop("required", None)  # what is dropped or cannot be cut is null by then
            rule["type"] = "string"
            advice = (*advice, f"personal: {text}; it never reaches the lake in the clear")
        else:
            dormant.append(f"privacy: {suspicion.privacy}")
            advice = (*advice, f"may be personal: {text}; decide")
    if suspicion is None or not suspicion.active:
        _limits(profile, kind, roles, rule, dormant)
    return ProposedField(profile.name, rule, _evidence(profile, whole, hidden=suspicion), advice, tuple(dormant))


def _type_under(profile: ColumnProfile, roles: Roles, form: str | None) -> tuple[str, tuple[str, ...]]:
    """The field's type where the source has this one time format."""
    if profile.time is None and profile.type == "integer" and _MEASURED.search(words(profile.name)):
        return "number", (*profile.advice, "whole numbers so far; a measured quantity may have fractions")
    if profile.time is None or profile.time.format == form:
        return profile.type, profile.advice
    if profile.time.format == "iso" and profile.time.type == "date" and (form or "").startswith(("epoch_", "auto")):
        return "date", profile.advice
    if profile.name == roles.parts.get("event_time"):
        return "timestamp", profile.advice  # ambiguous: its rows wait in quarantine until the format is declared
    if profile.time.ambiguous:
        return "string", profile.advice
    plain = "number" if profile.kinds["number"] else "integer" if profile.kinds["integer"] else "string"
    plain = "string" if profile.textual else plain
    return plain, (
        *profile.advice,
        f"a time written as {profile.time.format}, while the source's is {form}: kept as is",
    )


def _limits(profile: ColumnProfile, kind: str, roles: Roles, rule: dict[str, Any], dormant: list[str]) -> None:
    """Allowed values and a minimum: as rules that only warn, because a sample does not know the future."""
    if kind in ("integer", "number") and profile.minimum is not None and profile.minimum >= 0:
        if _COUNTED.search(words(profile.name)) and profile.filled >= 100:
            rule |= {"minimum": 0, "on_breach": "warn"}
        return
    if kind != "string" or profile.name in (roles.parts.get("actor_id"), roles.parts.get("session_id")):
        return
    if is_label(profile.name) or not all(isinstance(value, str) for value in profile.counts):
        return
    often = profile.filled >= 20 * profile.distinct
    values = sorted(profile.counts)
    if 0 < profile.distinct <= WARNED_VALUES and often:
        rule |= {"allowed": values, "on_breach": "warn"}
    elif 0 < profile.distinct <= LISTED_VALUES and often:
        dormant.append(f"allowed: {values}")


def _evidence(profile: ColumnProfile, whole: bool, *, hidden: Suspicion | None) -> str:
    """What was seen, in few words; values of personal fields are not shown."""
    parts = []
    empty = profile.rows - profile.filled
    seen = f"{profile.rows:,} rows" if whole else f"{profile.rows:,} rows looked at"
    if profile.unique:
        parts.append(f"unique in {seen}")
    elif empty:
        share = empty / profile.rows
        parts.append(f"{share:.1%} null" if 0.001 <= share <= 0.999 else f"{empty:,} of {seen} null")
        if profile.missing:
            parts.append(f"absent from {profile.missing:,}")
    if not profile.unique and profile.type != "json":
        parts.append(f"{profile.distinct:,} different")
    if profile.minimum is not None and hidden is None:
        parts.append(f"{profile.minimum:g} to {profile.maximum:g}")
    if profile.time is not None and profile.time.first is not None and profile.time.last is not None:
        parts.append(f"{profile.time.first:%Y-%m-%d} to {profile.time.last:%Y-%m-%d}")
    return ", ".join(parts)


def spare(found: Suspicion, name: str, roles: Roles) -> Suspicion:
    """A field that identifies rows is never dropped: hashed, it still tells one actor from another."""
    if found.privacy == "drop" and (name in roles.parts.values() or name in roles.key):
        return replace(found, privacy="hash", why=f"{found.why}; it identifies rows, so hashed, not dropped")
    return found
