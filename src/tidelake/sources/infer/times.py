"""How a column of values writes its instants: ISO, epoch numbers or strptime codes, and whether that is certain.

Nothing is guessed here: where day and month cannot be told apart, both readings come back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Zone = Literal["all", "none", "some"]
BAD_SHARE = 0.01  # up to this share of values may not fit the form; they are said and would be quarantined

_ISO = re.compile(
    r"\d{4}-\d{2}-\d{2}(?P<time>[T ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?(?P<zone>\s?Z|\s?[+-]\d{2}(:?\d{2})?)?)?"
)
_NUMERIC = re.compile(
    r"(?P<a>\d{1,4})(?P<sep>[/.\-])(?P<b>\d{1,2})(?P=sep)(?P<c>\d{1,4})"
    r"(?P<time>(?P<gap>[ T])\d{1,2}:\d{2}(?P<second>:\d{2}(?P<fraction>\.\d{1,6})?)?(?P<half>\s?[AaPp][Mm])?)?"
)
_NAMED = (
    "%d/%b/%Y:%H:%M:%S %z",
    "%a, %d %b %Y %H:%M:%S %z",
    "%a %b %d %H:%M:%S %Y",
    "%d %b %Y %H:%M:%S",
    "%d %b %Y %H:%M",
    "%d %b %Y",
    "%d-%b-%Y %H:%M:%S",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%b %d, %Y %H:%M:%S",
    "%b %d, %Y",
    "%B %d, %Y",
    "%d %B %Y",
)
_ORDERS = ("ymd", "dmy", "mdy")
_TIME_NAME = re.compile(
    r"(^|_)(ts|time|timestamp|date|datetime|day|dt|when|at|month)$|^(time|date)(_|$)|timestamp|datetime|(date|time)$"
)
_EPOCHS: tuple[tuple[str, float], ...] = (("epoch_s", 1.0), ("epoch_ms", 1e3), ("epoch_us", 1e6))
_FIRST = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
_LAST = datetime(2040, 1, 1, tzinfo=UTC).timestamp()
_OLDEST = datetime(1990, 1, 1, tzinfo=UTC).timestamp()
_NEWEST = datetime(2107, 1, 1, tzinfo=UTC).timestamp()


@dataclass(frozen=True)
class TimeFinding:
    """What a column's values say about time.

    Attributes:
        type: `timestamp`, or `date` where no value carries a time of day.
        format: `iso`, `epoch_s`, `epoch_ms`, `epoch_us` or strptime codes; None while ambiguous.
        zone: Whether the values carry their zone.
        candidates: The readings that fit every value, where there is more than one.
        misfits: Values (rows, not distinct ones) that do not fit.
        first: Earliest instant, naive values read as UTC; None while ambiguous.
        last: Latest instant.
    """

    type: Literal["timestamp", "date"]
    format: str | None
    zone: Zone = "none"
    candidates: tuple[str, ...] = ()
    misfits: int = 0
    first: datetime | None = None
    last: datetime | None = None

    @property
    def ambiguous(self) -> bool:
        """Day and month cannot be told apart."""
        return self.format is None


def says_time(name: str) -> bool:
    """Whether a field's name speaks of time: `ts`, `event_time`, `createdAt`, `InvoiceDate` ...

    Examples:
        >>> says_time("InvoiceDate"), says_time("createdAt"), says_time("watch_time"), says_time("format")
        (True, True, True, False)
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace(" ", "_").replace("-", "_").lower()
    return _TIME_NAME.search(words) is not None


def detect_time_text(counts: Mapping[str, int], *, named: bool) -> TimeFinding | None:
    """How texts write time, or None where they do not.

    Args:
        counts: Distinct texts (no nulls, no empty ones) with the number of rows of each.
        named: The field's name speaks of time, so bare digits (`20250715`, `1541105830796`) may be read as such.
    """
    if not counts:
        return None
    return _iso(counts) or _numeric(counts) or _named(counts) or (_digits(counts) if named else None)


def detect_time_number(counts: Mapping[float, int], *, named: bool) -> TimeFinding | None:
    """Epoch seconds, milliseconds or microseconds, by size; None where the numbers are not instants.

    A name that says time allows 1990 to 2106. Without it only milliseconds and microseconds between 2000 and
    2040 count: thirteen digits are no accident, ten may be a telephone number.
    """
    if not counts:
        return None
    total = sum(counts.values())
    oldest, newest = (_OLDEST, _NEWEST) if named else (_FIRST, _LAST)
    for unit, scale in _EPOCHS if named else _EPOCHS[1:]:
        fitting = [value for value in counts if oldest * scale <= value < newest * scale]
        misfits = total - sum(counts[value] for value in fitting)
        if fitting and misfits <= BAD_SHARE * total:
            return TimeFinding(
                "timestamp",
                unit,
                zone="all",
                misfits=misfits,
                first=datetime.fromtimestamp(min(fitting) / scale, UTC),
                last=datetime.fromtimestamp(max(fitting) / scale, UTC),
            )
    return None


def parse_instant(text: str, form: str) -> datetime | None:
    """One text by one form, as UTC where it carries no zone; None where it does not fit."""
    try:
        if form == "iso":
            found = datetime.fromisoformat(text.replace(",", ".").replace(" Z", "Z"))
        elif form.startswith("epoch_"):
            return datetime.fromtimestamp(float(text) / dict(_EPOCHS)[form], UTC)
        else:
            found = datetime.strptime(text, form)  # noqa: DTZ007 - the zone is set below
    except (ValueError, OverflowError, OSError):
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _iso(counts: Mapping[str, int]) -> TimeFinding | None:
    total = sum(counts.values())
    instants, misfits, timed, zoned = [], 0, 0, 0
    for text, rows in counts.items():
        match = _ISO.fullmatch(text)
        instant = parse_instant(text, "iso") if match else None
        if match is None or instant is None:
            misfits += rows
            if misfits > BAD_SHARE * total:
                return None
            continue
        instants.append(instant)
        timed += match["time"] is not None
        zoned += match["zone"] is not None
    if not instants:
        return None
    zone: Zone = "all" if zoned == len(instants) else "none" if zoned == 0 else "some"
    return TimeFinding(
        "timestamp" if timed else "date", "iso", zone, misfits=misfits, first=min(instants), last=max(instants)
    )


def _numeric(counts: Mapping[str, int]) -> TimeFinding | None:
    """`15/07/2025 08:26`, `12/1/10`, `15.07.2025` ...: which orders of day, month and year fit every value."""
    total = sum(counts.values())
    matches = {text: match for text in counts if (match := _NUMERIC.fullmatch(text)) is not None}
    misfits = total - sum(counts[text] for text in matches)
    if not matches or misfits > BAD_SHARE * total:
        return None
    weights: dict[tuple[str, str, bool], int] = {}
    for text, match in matches.items():
        key = (match["sep"], _clock_codes(match), max(len(match["a"]), len(match["c"])) == 4)
        weights[key] = weights.get(key, 0) + counts[text]
    separator, clock, long_year = max(weights, key=lambda key: weights[key])
    if weights[separator, clock, long_year] < (1 - BAD_SHARE) * total:
        return None
    forms = {}
    for order in _ORDERS:
        form = separator.join(_code(letter, long_year=long_year) for letter in order) + clock
        fits = [parsed for text in matches if (parsed := _fit(matches[text], order, form)) is not None]
        if len(fits) >= (1 - BAD_SHARE) * len(matches):
            rows = sum(counts[text] for text in matches if _fit(matches[text], order, form) is not None)
            forms[form] = (total - rows, min(fits), max(fits))
    if not forms:
        return None
    kind: Literal["timestamp", "date"] = "timestamp" if clock else "date"
    zero = [form for form, (bad, _, _) in forms.items() if bad == min(bad for bad, _, _ in forms.values())]
    if len(zero) > 1:
        return TimeFinding(kind, None, candidates=tuple(zero))
    bad, first, last = forms[zero[0]]
    return TimeFinding(kind, zero[0], misfits=bad, first=first, last=last)


def _clock_codes(match: re.Match[str]) -> str:
    if match["time"] is None:
        return ""
    half = match["half"]
    hour = "%I" if half else "%H"
    tail = ":%S" if match["second"] else ""
    tail += ".%f" if match["fraction"] else ""
    tail += " %p" if half and half[0].isspace() else "%p" if half else ""
    return f"{match['gap']}{hour}:%M{tail}"


def _code(letter: str, *, long_year: bool) -> str:
    return {"d": "%d", "m": "%m", "y": "%Y" if long_year else "%y"}[letter]


def _fit(match: re.Match[str], order: str, form: str) -> datetime | None:
    """The value's instant where its year has as many digits as the form asks for."""
    year = match["abc"[order.index("y")]]
    if len(year) != (4 if "%Y" in form else 2):
        return None
    return parse_instant(match.group(0), form)


def _named(counts: Mapping[str, int]) -> TimeFinding | None:
    """Months by name, as in web servers' logs and mail."""
    some = next(iter(counts))
    if not any(letter.isalpha() for letter in some):
        return None
    total = sum(counts.values())
    for form in _NAMED:
        if parse_instant(some, form) is None:
            continue
        parsed = {text: instant for text in counts if (instant := parse_instant(text, form)) is not None}
        misfits = total - sum(counts[text] for text in parsed)
        if parsed and misfits <= BAD_SHARE * total:
            kind: Literal["timestamp", "date"] = "timestamp" if "%H" in form else "date"
            zone: Zone = "all" if "%z" in form else "none"
            return TimeFinding(kind, form, zone, misfits=misfits, first=min(parsed.values()), last=max(parsed.values()))
    return None


def _digits(counts: Mapping[str, int]) -> TimeFinding | None:
    """`20250715`, `20250715082600`, or epoch numbers written as text."""
    total = sum(counts.values())
    for length, form in ((8, "%Y%m%d"), (14, "%Y%m%d%H%M%S")):
        parsed = {text: _calendar(text, form) for text in counts if len(text) == length and text.isascii()}
        fitting = {text: instant for text, instant in parsed.items() if instant is not None}
        misfits = total - sum(counts[text] for text in fitting)
        if fitting and misfits <= BAD_SHARE * total:
            kind: Literal["timestamp", "date"] = "date" if length == 8 else "timestamp"
            return TimeFinding(kind, form, misfits=misfits, first=min(fitting.values()), last=max(fitting.values()))
    numbers = dict(_numbers(counts))
    if sum(numbers.values()) < total:
        return None
    return detect_time_number(numbers, named=True)


def _calendar(text: str, form: str) -> datetime | None:
    found = parse_instant(text, form) if text.isdigit() else None
    return found if found is not None and 1900 <= found.year <= 2106 else None


def _numbers(counts: Mapping[str, int]) -> Iterable[tuple[float, int]]:
    for text, rows in counts.items():
        if re.fullmatch(r"\d{10}(\d{3}|\d{6})?(\.\d+)?", text):
            yield float(text), rows
