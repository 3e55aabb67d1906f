"""Functions for models to write where engines have none in common, with their text for each engine.

DuckDB gets them as native macros when it starts (`duckdb_macros`), so that its hot path never parses;
`translate` expands them for the others. `{timezone}` stands for the project's zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

HASH_ARITIES = range(1, 13)
_CALLED = re.compile(r"\b([A-Za-z_]+)\s*\(")
_WHOLE = r"[+-]?[0-9]{1,18}"
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIMESTAMP = (
    _DATE + r"[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9})?)?(?:Z|[+-][01][0-9](?::?[0-5][0-9])?)?"
)
_UPPER, _LOWER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Macro:
    """A function of the portable subset.

    Attributes:
        name: As models write it.
        parameters: Names that stand for the arguments in the two texts.
        duckdb: The expression in DuckDB's SQL.
        spark: The same in Spark's.
        says: What it gives, its unit and its nulls.
        example: A call and what it gives, `call = literal`, checked on every engine.
        is_aggregate: It stands where sum() may stand.
        literals: Parameters that must be literals, with the values they may have (empty: any).
    """

    name: str
    parameters: tuple[str, ...]
    duckdb: str
    spark: str
    says: str
    example: tuple[str, str]
    is_aggregate: bool = False
    literals: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def text(self, dialect: Literal["duckdb", "spark"], timezone: str) -> str:
        """The expression for one engine."""
        return (self.duckdb if dialect == "duckdb" else self.spark).replace("{timezone}", timezone.replace("'", ""))


def _text_guard(duckdb: bool) -> str:
    """The value as text; an error for kinds whose text differs between engines."""
    kinds = (
        "typeof(x) IN ('DOUBLE', 'FLOAT') OR starts_with(typeof(x), 'TIMESTAMP')"
        if duckdb
        else "typeof(x) IN ('double', 'float', 'timestamp', 'timestamp_ntz')"
    )
    error = "error" if duckdb else "raise_error"
    kind = "VARCHAR" if duckdb else "STRING"
    return (
        f"CASE WHEN {kinds} THEN {error}('text_of: the text of floating numbers and timestamps differs between "
        f"engines; use timestamp_text(), epoch_micros() or a cast to DECIMAL') ELSE CAST(x AS {kind}) END"
    )


def _macro(
    call: str,
    duckdb: str,
    spark: str | None,
    says: str,
    example: str,
    *,
    is_aggregate: bool = False,
    literals: dict[str, tuple[str, ...]] | None = None,
) -> Macro:
    name, _, parameters = call.removesuffix(")").partition("(")
    text, _, result = example.partition(" = ")
    names = tuple(part.strip() for part in parameters.split(","))
    return Macro(
        name, names, duckdb, spark or duckdb, says, (text, result), is_aggregate, tuple((literals or {}).items())
    )


_ALL = (
    # --- dates and instants
    _macro(
        "local_date(ts)",
        "CAST(timezone('{timezone}', CAST(ts AS TIMESTAMPTZ)) AS DATE)",
        "CAST(from_utc_timestamp(CAST(ts AS TIMESTAMP), '{timezone}') AS DATE)",
        "Date of an instant in the project's time zone (the example: Europe/Berlin).",
        "local_date(timestamptz '2025-01-01 23:30:00+00') = date '2025-01-02'",
    ),
    _macro(
        "local_hour(ts)",
        "CAST(extract(hour FROM timezone('{timezone}', CAST(ts AS TIMESTAMPTZ))) AS BIGINT)",
        "CAST(hour(from_utc_timestamp(CAST(ts AS TIMESTAMP), '{timezone}')) AS BIGINT)",
        "Hour of the day, 0 to 23, in the project's time zone (the example: Europe/Berlin).",
        "local_hour(timestamptz '2025-06-01 10:30:00+00') = 12",
    ),
    _macro(
        "hour_start(ts)",
        "date_trunc('hour', CAST(ts AS TIMESTAMPTZ))",
        "date_trunc('HOUR', CAST(ts AS TIMESTAMP))",
        "Start of an instant's hour, UTC.",
        "hour_start(timestamptz '2025-10-26 22:30:00+00') = timestamptz '2025-10-26 22:00:00+00'",
    ),
    _macro(
        "epoch_micros(ts)",
        "epoch_us(CAST(ts AS TIMESTAMPTZ))",
        "unix_micros(CAST(ts AS TIMESTAMP))",
        "Microseconds since 1970-01-01 UTC, BIGINT, exact.",
        "epoch_micros(timestamptz '1969-12-31 23:59:59.999999+00') = -1",
    ),
    _macro(
        "timestamp_from_micros(n)",
        "make_timestamptz(CAST(n AS BIGINT))",
        "timestamp_micros(CAST(n AS BIGINT))",
        "The instant so many microseconds after 1970-01-01 UTC.",
        "timestamp_from_micros(1500000) = timestamptz '1970-01-01 00:00:01.5+00'",
    ),
    _macro(
        "micros_between(a, b)",
        "epoch_us(CAST(b AS TIMESTAMPTZ)) - epoch_us(CAST(a AS TIMESTAMPTZ))",
        "unix_micros(CAST(b AS TIMESTAMP)) - unix_micros(CAST(a AS TIMESTAMP))",
        "Microseconds from a to b, BIGINT, negative where b is earlier.",
        "micros_between(timestamptz '2025-01-01 23:00:00+00', timestamptz '2025-01-02 01:00:00+00') = 7200000000",
    ),
    _macro(
        "add_micros(ts, n)",
        "make_timestamptz(epoch_us(CAST(ts AS TIMESTAMPTZ)) + CAST(n AS BIGINT))",
        "timestamp_micros(unix_micros(CAST(ts AS TIMESTAMP)) + CAST(n AS BIGINT))",
        "The instant n microseconds later.",
        "add_micros(timestamptz '2025-01-01 00:00:00+00', -1) = timestamptz '2024-12-31 23:59:59.999999+00'",
    ),
    _macro(
        "days_between(a, b)",
        "CAST(CAST(b AS DATE) - CAST(a AS DATE) AS BIGINT)",
        "CAST(datediff(CAST(b AS DATE), CAST(a AS DATE)) AS BIGINT)",
        "Days from date a to date b, BIGINT.",
        "days_between(date '2025-02-01', date '2025-03-01') = 28",
    ),
    _macro(
        "add_days(d, n)",
        "CAST(d AS DATE) + CAST(n AS INTEGER)",
        "date_add(CAST(d AS DATE), CAST(n AS INT))",
        "The date n days later.",
        "add_days(date '2025-02-28', 1) = date '2025-03-01'",
    ),
    _macro(
        "add_months(d, n)",
        "CAST(CAST(d AS DATE) + to_months(CAST(n AS INTEGER)) AS DATE)",
        "add_months(CAST(d AS DATE), CAST(n AS INT))",
        "The date n months later; the month's last day where there is no such day.",
        "add_months(date '2025-01-31', 1) = date '2025-02-28'",
    ),
    _macro(
        "weekday_iso(d)",
        "isodow(CAST(d AS DATE))",
        "CAST(weekday(CAST(d AS DATE)) + 1 AS BIGINT)",
        "1 = Monday to 7 = Sunday.",
        "weekday_iso(date '2025-01-05') = 7",
    ),
    _macro(
        "week_start(d, first)",
        "CAST(d AS DATE) - CAST(CASE first WHEN 'sunday' THEN isodow(CAST(d AS DATE)) % 7 "
        "ELSE isodow(CAST(d AS DATE)) - 1 END AS INTEGER)",
        "date_sub(CAST(d AS DATE), CASE first WHEN 'sunday' THEN (weekday(CAST(d AS DATE)) + 1) % 7 "
        "ELSE weekday(CAST(d AS DATE)) END)",
        "First day of the date's week; weeks begin on 'monday' or 'sunday'.",
        "week_start(date '2025-01-04', 'sunday') = date '2024-12-29'",
        literals={"first": ("monday", "sunday")},
    ),
    _macro(
        "month_start(d)",
        "CAST(date_trunc('month', CAST(d AS DATE)) AS DATE)",
        "trunc(CAST(d AS DATE), 'MONTH')",
        "First day of the date's month.",
        "month_start(date '2025-02-28') = date '2025-02-01'",
    ),
    _macro(
        "quarter_start(d)",
        "CAST(date_trunc('quarter', CAST(d AS DATE)) AS DATE)",
        "trunc(CAST(d AS DATE), 'QUARTER')",
        "First day of the date's quarter.",
        "quarter_start(date '2025-05-05') = date '2025-04-01'",
    ),
    _macro(
        "year_start(d)",
        "CAST(date_trunc('year', CAST(d AS DATE)) AS DATE)",
        "trunc(CAST(d AS DATE), 'YEAR')",
        "First day of the date's year.",
        "year_start(date '2025-05-05') = date '2025-01-01'",
    ),
    _macro(
        "date_list(a, b)",
        "CAST(generate_series(CAST(a AS DATE), CAST(b AS DATE), INTERVAL 1 DAY) AS DATE[])",
        "CASE WHEN CAST(a AS DATE) <= CAST(b AS DATE) THEN sequence(CAST(a AS DATE), CAST(b AS DATE), "
        "INTERVAL 1 DAY) ELSE CAST(array() AS ARRAY<DATE>) END",
        "Every date from a to b; `SELECT unnest(date_list(a, b)) AS day` makes a calendar. Empty where b < a.",
        "date_list(date '2025-02-28', date '2025-03-01') = [date '2025-02-28', date '2025-03-01']",
    ),
    _macro(
        "integer_list(a, b)",
        "generate_series(CAST(a AS BIGINT), CAST(b AS BIGINT))",
        "CASE WHEN CAST(a AS BIGINT) <= CAST(b AS BIGINT) THEN sequence(CAST(a AS BIGINT), CAST(b AS BIGINT)) "
        "ELSE CAST(array() AS ARRAY<BIGINT>) END",
        "Every integer from a to b, BIGINT. Empty where b < a.",
        "integer_list(2, 3) = [2, 3]",
    ),
    # --- numbers
    _macro(
        "safe_divide(a, b)",
        "CAST(a AS DOUBLE) / NULLIF(CAST(b AS DOUBLE), 0)",
        None,
        "a / b as DOUBLE; null where b is 0 or null.",
        "safe_divide(1, 4) = 25e-2",
    ),
    _macro(
        "whole_divide(a, b)",
        "CAST(a AS BIGINT) // NULLIF(CAST(b AS BIGINT), 0)",
        "CAST(a AS BIGINT) DIV NULLIF(CAST(b AS BIGINT), 0)",
        "Integer quotient, cut towards zero, BIGINT; null where b is 0.",
        "whole_divide(-7, 2) = -3",
    ),
    _macro(
        "round_to(x, digits)",
        "round(CAST(x AS DOUBLE) * pow(CAST(10 AS DOUBLE), digits)) / pow(CAST(10 AS DOUBLE), digits)",
        None,
        "x rounded to so many digits, DOUBLE; half goes away from zero.",
        "round_to(2675e-3, 2) = 268e-2",
    ),
    _macro(
        "safe_ln(x)",
        "CASE WHEN CAST(x AS DOUBLE) > 0 THEN ln(CAST(x AS DOUBLE)) END",
        None,
        "Natural logarithm; null where x is not above 0.",
        "safe_ln(1) = 0e0",
    ),
    _macro(
        "quantile_linear(x, p)",
        "quantile_cont(CAST(x AS DOUBLE), p)",
        "percentile(CAST(x AS DOUBLE), p)",
        "Exact quantile, linear between the two nearest values (Hyndman and Fan's type 7), DOUBLE.",
        "quantile_linear(v, 0.5) = 45e-1",
        is_aggregate=True,
        literals={"p": ()},
    ),
    _macro(
        "quantile_nearest(x, p)",
        "CAST(quantile_disc(CAST(x AS DOUBLE), p) AS DOUBLE)",
        "CAST(percentile_disc(p) WITHIN GROUP (ORDER BY CAST(x AS DOUBLE)) AS DOUBLE)",
        "The smallest value whose share of values at or below it reaches p (SQL's percentile_disc), DOUBLE.",
        "quantile_nearest(v, 0.5) = 2e0",
        is_aggregate=True,
        literals={"p": ()},
    ),
    # --- text
    _macro(
        "text_of(x)",
        _text_guard(True),
        _text_guard(False),
        "Text of a text, integer, DECIMAL, boolean or date; an error for floating numbers and timestamps.",
        "text_of(date '2025-01-02') = '2025-01-02'",
    ),
    _macro(
        "timestamp_text(ts)",
        "strftime(CAST(ts AS TIMESTAMPTZ), '%Y-%m-%dT%H:%M:%S.%fZ')",
        "date_format(CAST(ts AS TIMESTAMP), 'yyyy-MM-dd\\'T\\'HH:mm:ss.SSSSSS\\'Z\\'')",
        "ISO 8601 text of an instant, UTC, six decimals.",
        "timestamp_text(timestamptz '2025-01-02 03:04:05.678+00') = '2025-01-02T03:04:05.678000Z'",
    ),
    _macro(
        "lower_ascii(t)",
        f"translate(t, '{_UPPER}', '{_LOWER}')",
        None,
        "The text with A to Z in lower case; other letters stay.",
        "lower_ascii('ÀBİ') = 'Àbİ'",
    ),
    _macro(
        "upper_ascii(t)",
        f"translate(t, '{_LOWER}', '{_UPPER}')",
        None,
        "The text with a to z in upper case; other letters stay.",
        "upper_ascii('aß') = 'Aß'",
    ),
    _macro(
        "matches_whole(t, pattern)",
        "regexp_full_match(t, pattern)",
        "rlike(t, concat('(?d)\\\\A(?:', pattern, ')\\\\z'))",
        "Whether the whole text matches the pattern.",
        "matches_whole('abc', 'a.') = false",
        literals={"pattern": ()},
    ),
    _macro(
        "text_to_integer(t)",
        f"CASE WHEN regexp_full_match(t, '{_WHOLE}') THEN TRY_CAST(t AS BIGINT) END",
        f"CASE WHEN t RLIKE r'\\A{_WHOLE}\\z' THEN TRY_CAST(t AS BIGINT) END",
        "BIGINT of a text of up to 18 digits with or without sign, nothing else around them; null otherwise.",
        "text_to_integer('-12') = -12",
    ),
    _macro(
        "text_to_number(t)",
        f"CASE WHEN regexp_full_match(t, '{_NUMBER}') THEN NULLIF(NULLIF(TRY_CAST(t AS DOUBLE), "
        "CAST('inf' AS DOUBLE)), CAST('-inf' AS DOUBLE)) END",
        f"CASE WHEN t RLIKE r'\\A{_NUMBER}\\z' THEN NULLIF(NULLIF(TRY_CAST(t AS DOUBLE), "
        "CAST('inf' AS DOUBLE)), CAST('-inf' AS DOUBLE)) END",
        "DOUBLE of a decimal number such as -1.5e3; null for anything else and for what does not fit.",
        "text_to_number('-1.5e3') = -15e2",
    ),
    _macro(
        "text_to_date(t)",
        f"CASE WHEN regexp_full_match(t, '{_DATE}') THEN TRY_CAST(t AS DATE) END",
        f"CASE WHEN t RLIKE r'\\A{_DATE}\\z' THEN TRY_CAST(t AS DATE) END",
        "Date of YYYY-MM-DD; null for anything else.",
        "text_to_date('2025-02-28') = date '2025-02-28'",
    ),
    _macro(
        "text_to_timestamp(t)",
        f"CASE WHEN regexp_full_match(t, '{_TIMESTAMP}') THEN TRY_CAST(t AS TIMESTAMPTZ) END",
        f"CASE WHEN t RLIKE r'\\A{_TIMESTAMP}\\z' THEN TRY_CAST(t AS TIMESTAMP) END",
        "Instant of an ISO 8601 text (T or a space, seconds optional, Z or an offset, without one UTC); else null.",
        "text_to_timestamp('2025-01-01T10:00:00.25+02:00') = timestamptz '2025-01-01 08:00:00.25+00'",
    ),
    _macro(
        "text_to_boolean(t)",
        f"CASE translate(t, '{_UPPER}', '{_LOWER}') WHEN 'true' THEN true WHEN 'false' THEN false END",
        None,
        "Of true or false in any case; null for anything else.",
        "text_to_boolean('True') = true",
    ),
    # --- lists
    _macro(
        "sorted_list(x)",
        "coalesce(list_sort(list(x) FILTER (WHERE x IS NOT NULL)), [])",
        "sort_array(collect_list(x))",
        "All values that are not null, ascending, with repetitions.",
        "sorted_list(v) = [1, 2, 7, 9]",
        is_aggregate=True,
    ),
    _macro(
        "sorted_set(x)",
        "coalesce(list_sort(list(DISTINCT x) FILTER (WHERE x IS NOT NULL)), [])",
        "sort_array(collect_set(x))",
        "The distinct values that are not null, ascending.",
        "sorted_set(v) = [1, 2, 7, 9]",
        is_aggregate=True,
    ),
)

MACROS: dict[str, Macro] = {macro.name: macro for macro in _ALL}
TEXT_HASH = "text_hash"


def hash_text(count: int) -> str:
    """The text that `text_hash` of so many arguments hashes: each one's length and text, '-' for null.

    The lengths keep ('ab', 'c') and ('a', 'bc') apart, and null apart from every text.
    """
    parts = [
        f"coalesce(CAST(length(text_of(p{n})) AS VARCHAR) || ':' || text_of(p{n}), '-')" for n in range(1, count + 1)
    ]
    return f"md5({' || '.join(parts)})"


def duckdb_macros(timezone: str, names: Iterable[str] | None = None) -> list[str]:
    """Statements that give a DuckDB connection macros, all of them or those named; no parser is needed.

    A macro takes .3 ms to make, `text_hash` with its forms for 1 to 12 values 20 ms.
    """
    wanted = {*MACROS, TEXT_HASH} if names is None else set(names)
    made = [
        f"CREATE OR REPLACE MACRO {macro.name}({', '.join(macro.parameters)}) AS {macro.text('duckdb', timezone)}"
        for macro in _ALL
        if macro.name in wanted or (macro.name == "text_of" and TEXT_HASH in wanted)
    ]
    if TEXT_HASH in wanted:
        forms = ", ".join(f"({', '.join(f'p{n}' for n in range(1, k + 1))}) AS {hash_text(k)}" for k in HASH_ARITIES)
        made.append(f"CREATE OR REPLACE MACRO {TEXT_HASH} {forms}")
    return made


def macros_in(sql: str) -> set[str]:
    """Names of macros that a query calls, by a look at its text."""
    return {name.lower() for name in _CALLED.findall(sql)} & {*MACROS, TEXT_HASH}
