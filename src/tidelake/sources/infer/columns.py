"""What a column of sampled values holds: its type, its nulls, its range, its distinct values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from tidelake.contracts.source import FieldType
from tidelake.sources.infer.times import BAD_SHARE, TimeFinding, detect_time_number, detect_time_text, says_time


class Missing:
    """The record has no such field (which is not the same as null)."""


MISSING: Final = Missing()
NULL_WORDS = frozenset({"NULL", "null", "NA", "N/A", "n/a", "NaN", "nan", "None", "none", "\\N", "-"})
MANY = 200  # from so many values on, a few that do not fit are a fault of the data, not of the type
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,18})")
_NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DIGITS = re.compile(r"-?\d+")
_BOOLEAN = re.compile(r"true|false", re.IGNORECASE)
# Names whose values are labels even where they look like numbers: 007 and 1.10 must stay what they are.
_LABEL_NAME = re.compile(
    r"(^|_)(id|ids|key|uuid|guid|code|no|nr|number|version|ver|release|build|sku|zip|zipcode|postcode|postal_code"
    r"|phone|telephone|mobile|fax|isbn|ean|upc|patent)$|version|userid|sessionid|_id_"
)
_BIGGEST = 2**63 - 1


@dataclass(frozen=True)
class ColumnProfile:
    """One column of a sample.

    Attributes:
        rows: Records looked at.
        missing: Records without the field. nulls: with null in it. empties: with ''.
        distinct: Different values (nulls and empties left out), of those that can be compared.
        counts: Every different value with its number of rows.
        kinds: How many values look like text, integer, number, boolean, json, null_word.
        misfits: Values that do not fit `type`; they would be quarantined.
        minimum, maximum: Of integers and numbers.
        time: What the values say about time, also where the type stayed something else.
        advice: Sentences for the person who reads the YAML.
    """

    name: str
    rows: int
    missing: int
    nulls: int
    empties: int
    type: FieldType
    distinct: int
    counts: Counter[Any]
    kinds: Counter[str]
    misfits: int = 0
    minimum: float | None = None
    maximum: float | None = None
    time: TimeFinding | None = None
    textual: bool = False
    advice: tuple[str, ...] = field(default=())

    @property
    def filled(self) -> int:
        """Records with a value: not missing, not null, not ''."""
        return self.rows - self.missing - self.nulls - self.empties

    @property
    def unique(self) -> bool:
        """Every record has a value and no two have the same."""
        return self.rows > 0 and self.filled == self.rows and self.distinct == self.rows

    @property
    def always(self) -> bool:
        """Every record has a value."""
        return self.rows > 0 and self.filled == self.rows


def words(name: str) -> str:
    """A field's name as lower-case words with `_`: `userAgent` and `User Agent` are `user_agent`."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"[^0-9a-z]+", "_", split.lower()).strip("_")


def is_label(name: str) -> bool:
    """Whether a field's values are labels by its name: an id, a code, a version."""
    return _LABEL_NAME.search(words(name)) is not None


def profile_column(name: str, values: Sequence[Any], *, textual: bool, unnamed: bool = False) -> ColumnProfile:
    """Look at one column.

    Args:
        values: One per record: MISSING, None or the value.
        textual: The format knows text only (CSV), so numbers must be told from their looks.
        unnamed: The column's name is ours (no header), so it says nothing.
    """
    missing = sum(1 for value in values if value is MISSING)
    nulls = sum(1 for value in values if value is None)
    empties = sum(1 for value in values if isinstance(value, str) and value == "")
    nested = sum(1 for value in values if isinstance(value, list | dict))
    counts: Counter[Any] = Counter(
        (value, "bool") if isinstance(value, bool) else value
        for value in values
        if value is not None and value is not MISSING and value != "" and not isinstance(value, list | dict)
    )
    base: dict[str, Any] = {
        "name": name,
        "rows": len(values),
        "missing": missing,
        "nulls": nulls,
        "empties": empties,
        "distinct": len(counts) + nested,
        "counts": counts,
        "textual": textual,
    }
    if nested:
        kinds = Counter(json=nested, text=sum(counts.values()))
        advice = ("objects or lists, kept as JSON text",)
        return ColumnProfile(**base, type="json", kinds=kinds, advice=advice)
    if textual:
        return _from_text(base, name, counts, unnamed=unnamed)
    return _from_values(base, name, counts, unnamed=unnamed)


def _from_values(base: dict[str, Any], name: str, counts: Counter[Any], *, unnamed: bool) -> ColumnProfile:
    """JSON and Parquet: values bring their types."""
    kinds: Counter[str] = Counter()
    for value, rows in counts.items():
        kinds[_kind_of(value)] += rows
    total = sum(kinds.values())
    if not total:
        return ColumnProfile(**base, type="string", kinds=kinds, advice=("never filled in the sample; text assumed",))
    if set(kinds) == {"boolean"}:
        return ColumnProfile(**base, type="boolean", kinds=kinds)
    if set(kinds) == {"timestamp"}:
        instants = list(counts)
        time = TimeFinding("timestamp", "iso", zone="all", first=min(instants), last=max(instants))
        return ColumnProfile(**base, type="timestamp", kinds=kinds, time=time)
    if set(kinds) == {"date"}:
        return ColumnProfile(**base, type="date", kinds=kinds, time=TimeFinding("date", "iso"))
    if set(kinds) <= {"integer", "number"}:
        return _numeric(base, name, counts, kinds, unnamed=unnamed)
    if set(kinds) == {"text"}:
        time_found = detect_time_text(counts, named=says_time(name))
        return _text_or_time(base, kinds, time_found)
    both = _mixed_times(name, counts)
    if both is not None:
        advice = ("written as ISO text in some records and as epoch numbers in others: `auto` reads both",)
        return ColumnProfile(**base, type="timestamp", kinds=kinds, time=both, misfits=both.misfits, advice=advice)
    shown = ", ".join(f"{rows:,} {kind}" for kind, rows in kinds.most_common())
    big = " (some pass 64 bits)" if kinds["too_big"] else ""
    return ColumnProfile(**base, type="string", kinds=kinds, advice=(f"mixed types{big}: {shown}; kept as text",))


def _mixed_times(name: str, counts: Counter[Any]) -> TimeFinding | None:
    """ISO texts beside epoch numbers, in a field whose name says time."""
    texts = {value: rows for value, rows in counts.items() if isinstance(value, str)}
    numbers = {value: rows for value, rows in counts.items() if isinstance(value, int | float)}
    if not says_time(name) or len(texts) + len(numbers) < len(counts):
        return None
    written, counted = detect_time_text(texts, named=True), detect_time_number(numbers, named=True)
    if written is None or counted is None or written.format != "iso" or written.type != "timestamp":
        return None
    firsts = [found.first for found in (written, counted) if found.first is not None]
    lasts = [found.last for found in (written, counted) if found.last is not None]
    misfits = written.misfits + counted.misfits
    return TimeFinding("timestamp", "auto", "some", misfits=misfits, first=min(firsts), last=max(lasts))


def _kind_of(value: Any) -> str:
    if isinstance(value, tuple):
        return "boolean"
    if isinstance(value, int):
        return "integer" if -_BIGGEST - 1 <= value <= _BIGGEST else "too_big"
    if isinstance(value, float):
        return "number"
    if isinstance(value, datetime):
        return "timestamp"
    if isinstance(value, date):
        return "date"
    return "text"


def _from_text(base: dict[str, Any], name: str, counts: Counter[str], *, unnamed: bool) -> ColumnProfile:
    """CSV: everything is text, and what it stands for must be told from its looks."""
    kinds: Counter[str] = Counter()
    for text, rows in counts.items():
        kinds[_look_of(text)] += rows
    total = sum(kinds.values())
    if not total:
        return ColumnProfile(**base, type="string", kinds=kinds, advice=("never filled in the sample; text assumed",))
    time = detect_time_text(counts, named=unnamed or says_time(name))
    if time is not None and not (is_label(name) and time.format != "iso"):
        return _text_or_time(base, kinds, time)
    if is_label(name) and kinds["text"] < total:
        return ColumnProfile(**base, type="string", kinds=kinds, advice=("a label by its name: kept as text",))
    if kinds["boolean"] == total:
        return ColumnProfile(**base, type="boolean", kinds=kinds)
    numbers = kinds["integer"] + kinds["number"]
    if numbers and total - numbers <= (BAD_SHARE * total if total >= MANY else 0):
        return _number_from_text(base, name, counts, kinds, unnamed=unnamed)
    return ColumnProfile(**base, type="string", kinds=kinds, advice=_mixture(kinds, numbers))


def _look_of(text: str) -> str:
    if _INTEGER.fullmatch(text):
        return "integer" if abs(int(text)) <= _BIGGEST else "too_big"
    if _DIGITS.fullmatch(text):
        return "leading_zero" if len(text.lstrip("-")) < 19 else "too_big"
    if _NUMBER.fullmatch(text):
        return "number"
    if _BOOLEAN.fullmatch(text):
        return "boolean"
    return "null_word" if text in NULL_WORDS else "text"


def _mixture(kinds: Counter[str], numbers: int) -> tuple[str, ...]:
    if kinds["leading_zero"]:
        return (f"{kinds['leading_zero']:,} values begin with 0: kept as text so that no digit is lost",)
    if kinds["too_big"]:
        return (f"{kinds['too_big']:,} values pass 64 bits: kept as text",)
    if numbers and kinds["null_word"]:
        return (f"numbers, and {kinds['null_word']:,} words such as NA: kept as text so that no row is lost",)
    if numbers:
        shown = ", ".join(f"{rows:,} {kind}" for kind, rows in kinds.most_common())
        return (f"mixed: {shown}; kept as text",)
    return ()


def _number_from_text(
    base: dict[str, Any], name: str, counts: Counter[str], kinds: Counter[str], *, unnamed: bool
) -> ColumnProfile:
    good = {text: rows for text, rows in counts.items() if _look_of(text) in ("integer", "number")}
    misfits = sum(counts.values()) - sum(good.values())
    if kinds["number"] and _looks_like_versions(good):
        return ColumnProfile(
            **base, type="string", kinds=kinds, advice=("1.1 and 1.10 are different here: kept as text",)
        )
    values: Counter[Any] = Counter()
    for text, rows in good.items():
        values[float(text) if kinds["number"] else int(text)] += rows
    found = _numeric(base, name, values, kinds, unnamed=unnamed)
    if not misfits:
        return found
    advice = (*found.advice, f"{misfits:,} values are no number: their rows would be quarantined")
    return ColumnProfile(**{**vars(found), "misfits": misfits, "advice": advice})


def _looks_like_versions(texts: dict[str, int]) -> bool:
    """Few different values, and two of them differ in writing only (1.1 and 1.10)."""
    dotted = [text for text in texts if re.fullmatch(r"\d{1,3}\.\d{1,3}", text)]
    return len(texts) <= 100 and len(dotted) == len(texts) and len({float(text) for text in dotted}) < len(dotted)


def _numeric(
    base: dict[str, Any], name: str, values: Counter[Any], kinds: Counter[str], *, unnamed: bool
) -> ColumnProfile:
    time = detect_time_number(values, named=unnamed or says_time(name)) if not is_label(name) else None
    if time is not None:
        advice = (f"{time.misfits:,} values are no {time.format}",) if time.misfits else ()
        return ColumnProfile(**base, type="timestamp", kinds=kinds, time=time, misfits=time.misfits, advice=advice)
    kind: FieldType = "number" if kinds["number"] else "integer"
    return ColumnProfile(**base, type=kind, kinds=kinds, minimum=min(values), maximum=max(values))


def _text_or_time(base: dict[str, Any], kinds: Counter[str], time: TimeFinding | None) -> ColumnProfile:
    if time is None:
        return ColumnProfile(**base, type="string", kinds=kinds)
    if time.ambiguous:
        shown = " or ".join(time.candidates)
        doubt = f"a date whose day and month cannot be told apart ({shown}): declare which"
        return ColumnProfile(**base, type="string", kinds=kinds, time=time, advice=(doubt,))
    advice = (f"{time.misfits:,} values are no such {time.type}",) if time.misfits else ()
    return ColumnProfile(**base, type=time.type, kinds=kinds, time=time, misfits=time.misfits, advice=advice)
