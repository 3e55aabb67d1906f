"""What to say of a cast that met a value which it cannot cast."""

from __future__ import annotations

import re

from tidelake.contracts.table import quoted
from tidelake.errors import QueryError

_COLUMN = r"(?: when casting from source column (?P<column>.+))?"
_NOT_CONVERTED = (
    re.compile(rf"Could not convert string (?P<value>.*) to (?P<type>[A-Z]\w*(?:\([\d,]+\))?){_COLUMN}"),
    re.compile(
        r"(?:invalid )?(?P<type>\w+) field (?:format|value out of range): (?P<value>\".*?\")"
        rf"(?:, expected format is .*?)?{_COLUMN}"
    ),
)
_SHOWN = 200
_TEXT_TO = (
    (r"DATE", "text_to_date"),
    (r"TIMESTAMP", "text_to_timestamp"),
    (r"U?INT\d+|HUGEINT", "text_to_integer"),
    (r"BOOL", "text_to_boolean"),
    (r"DOUBLE|FLOAT|DECIMAL", "text_to_number"),
)


def not_converted(text: str) -> QueryError:
    """DuckDB's words for a failed cast as an error that names the value, its column and the portable way."""
    said = text.splitlines()[0].removeprefix("Conversion Error: ")
    found = next((match for pattern in _NOT_CONVERTED if (match := pattern.fullmatch(said))), None)
    kind = found["type"].upper() if found is not None else ""
    macro = next((name for start, name in _TEXT_TO if re.match(start, kind)), None)
    if found is None or macro is None:
        return QueryError(f"A value cannot be cast: {said[:_SHOWN]}", hint="Leave such values out with WHERE or CASE.")
    column = quoted(found["column"]) if found["column"] and " " in found["column"] else found["column"]
    where = f" of the column {column}" if column else ""
    return QueryError(
        f"{found['value'][:_SHOWN]}{where} cannot be cast to {kind}.",
        hint=f"Write {macro}({column or 'text'}), which is null for such a text (docs/portable-sql.md).",
    )
