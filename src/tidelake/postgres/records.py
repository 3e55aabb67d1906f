"""Rows of a table or query as JSON records: SQL that lets the server write them.

Numbers and decimals stay exact, times are in ISO form (with `Z` where they have a zone), bytes in hexadecimal,
NaN and infinity, which JSON lacks, as texts: as the other readers give them. JSON columns keep their text.
Types without a form of their own in JSON (uuid, inet, enumerations, intervals, ranges) are their text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidelake.postgres.server import literal, quoted

_BARE = {16, 20, 21, 23, 26}  # boolean and integers
_NUMBERS = {700, 701, 1700}  # real, double precision, numeric
_JSON = {114, 3802}
_TIMESTAMP, _TIMESTAMPTZ, _DATE, _BYTEA = 1114, 1184, 1082, 17
INTEGERS = {20, 21, 23, 26}
TIMES = {_TIMESTAMP, _TIMESTAMPTZ, _DATE}


@dataclass(frozen=True)
class Field:
    """One column of a table or query.

    Attributes:
        oid: Its type, by PostgreSQL's number.
        category: `A` for arrays, `C` for composite types (pg_type.typcategory).
    """

    name: str
    oid: int
    category: str

    @property
    def text(self) -> str:
        """SQL of its JSON value; null where the value is null."""
        column = f"r.{quoted(self.name)}"
        if self.oid in _BARE:
            return f"{column}::text"
        if self.oid in _NUMBERS:
            strange = "('NaN', 'Infinity', '-Infinity')"
            return f"CASE WHEN {column}::text IN {strange} THEN '\"' || {column}::text || '\"' ELSE {column}::text END"
        if self.oid in _JSON:
            return _on_one_line(f"{column}::text")
        if self.oid == _TIMESTAMPTZ:
            zone = f"CASE WHEN isfinite({column}) THEN 'Z' ELSE '' END"
            return f"'\"' || replace(({column} AT TIME ZONE 'UTC')::text, ' ', 'T') || {zone} || '\"'"
        if self.oid == _TIMESTAMP:
            return f"'\"' || replace({column}::text, ' ', 'T') || '\"'"
        if self.oid == _DATE:
            return f"'\"' || {column}::text || '\"'"
        if self.oid == _BYTEA:
            return f"'\"' || encode({column}, 'hex') || '\"'"
        if self.category in "AC":
            return _on_one_line(f"to_json({column})::text")
        # concat takes the type's own output; a cast to text strips char(n) and adds a mask to inet.
        return f"CASE WHEN {column} IS NOT NULL THEN to_json(concat({column}))::text END"


def _on_one_line(text: str) -> str:
    """JSON text without line ends, which stand between its words only: within texts they are escaped."""
    return f"replace(replace({text}, E'\\n', ' '), E'\\r', ' ')"


def fields_of(connection: Any, relation: str) -> list[Field]:
    """The columns of `relation`, a table or a query in parentheses."""
    described = connection.execute(f"SELECT * FROM {relation} AS r LIMIT 0").description
    oids = [column.type_code for column in described]
    known = dict(
        connection.execute(
            "SELECT oid::bigint, typcategory::text FROM pg_type WHERE oid = ANY(%s::oid[])", (oids,)
        ).fetchall()
    )
    return [Field(column.name, column.type_code, known.get(column.type_code, "U")) for column in described]


def record_sql(fields: Sequence[Field]) -> str:
    """SQL of the whole row as one JSON object on one line."""
    if not fields:
        return "'{}'"
    pieces, lead = [], "{"
    for field in fields:
        name = json.dumps(field.name, ensure_ascii=False)
        pieces.append(f"{literal(f'{lead}{name}:')} || coalesce({field.text}, 'null')")
        lead = ","
    return " || ".join(pieces) + " || '}'"
