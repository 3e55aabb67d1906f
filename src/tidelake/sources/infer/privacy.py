"""Fields that look like personal data, by their name and by their values."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tidelake.contracts.source import Privacy
from tidelake.sources.infer.columns import ColumnProfile, words

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")
_OCTET = r"(25[0-5]|2[0-4]\d|1?\d?\d)"
_IP = re.compile(rf"({_OCTET}\.){{3}}{_OCTET}|(?=.*:.*:)[0-9a-fA-F:]{{3,39}}(%\w+)?")
_PHONE = re.compile(r"\+\d[\d ()\-/.]{6,18}")
_AGENT = re.compile(r'"?(Mozilla|Opera|Dalvik|okhttp|curl)/')
_SHARE = 0.8


@dataclass(frozen=True)
class Suspicion:
    """Personal data suspected in a field.

    Attributes:
        kind: What it seems to be.
        privacy: The rule proposed.
        active: Written as a rule; else as a comment for a person to decide.
        why: Evidence, for the comment.
    """

    kind: str
    privacy: Privacy
    active: bool
    why: str


_BY_NAME: tuple[tuple[str, str, Privacy, bool], ...] = (
    (r"(^|_)e?mail(_address)?$", "e-mail address", "hash", True),
    (r"(^|_)(ip|ip_address|ip_addr|remote_addr|client_ip|ipv4|ipv6)$", "IP address", "truncate_ip", True),
    (r"(^|_)(phone|phone_number|telephone|mobile_number|msisdn)$", "telephone number", "hash", True),
    (r"^(first|last|full|given|family|middle|sur|maiden)_?name$", "a person's name", "drop", True),
    (r"^(user|customer|member|client|contact|person)_(full_)?name$", "a person's name", "drop", True),
    (r"^(username|login_name|nick|nickname|display_name|screen_name)$", "a name a person chose", "hash", True),
    (r"(^|_)(ssn|passport|national_id|tax_id|iban|credit_card|card_number)$", "an official number", "drop", True),
    (r"(^|_)(street|street_address|address_line_?\d?|postal_address)$", "a postal address", "drop", True),
    (r"(^|_)(birth_date|date_of_birth|dob|birthday)$", "date of birth", "drop", False),
    (r"(^|_)user_?agent$", "user agent", "hash", False),
    (r"(^|_)(user|device|gps|home)_(lat|lon|latitude|longitude)$", "a person's place", "drop", False),
)
_BY_VALUE: tuple[tuple[re.Pattern[str], str, Privacy, bool], ...] = (
    (_EMAIL, "e-mail address", "hash", True),
    (_IP, "IP address", "truncate_ip", True),
    (_PHONE, "telephone number", "hash", True),
    (_AGENT, "user agent", "hash", False),
)


def suspect(profile: ColumnProfile) -> Suspicion | None:
    """Whether the field looks like personal data.

    What names a person or reaches one is protected at once, because it cannot be taken back from bronze; a user
    agent or a date of birth is only pointed at, because rules and analyses often need it.
    """
    if profile.type in ("json", "boolean") or not profile.filled:
        return None
    name = words(profile.name)
    for pattern, kind, privacy, active in _BY_NAME:
        if re.search(pattern, name) and (privacy != "truncate_ip" or _share(profile, _IP) > 0):
            return Suspicion(kind, privacy, active, "by its name")
    if profile.type != "string" or "version" in name:  # four numbers with dots are a version as well
        return None
    for form, kind, privacy, active in _BY_VALUE:
        share = _share(profile, form)
        if share >= _SHARE:
            return Suspicion(kind, privacy, active, f"{share:.0%} of its values look like one")
    return None


def _share(profile: ColumnProfile, form: re.Pattern[str]) -> float:
    """Rows whose value has this form, of those that have a value (over 2,000 different values at most)."""
    seen = matched = 0
    for value, rows in list(profile.counts.items())[:2000]:
        if isinstance(value, str):
            seen += rows
            matched += rows * _fits(form, value)
    return matched / seen if seen else 0.0


def _fits(form: re.Pattern[str], value: str) -> bool:
    return (form.match(value) if form is _AGENT else form.fullmatch(value)) is not None
