"""Every trap of the portable subset: a query, words of the refusal, and a proof that engines differ.

`proof` is a query that a naive translation answers differently, or that fails on one engine; None where
the difference is not between answers (an order of reading, a clock) or needs more than one row.
"""

from __future__ import annotations

from typing import NamedTuple

T = "FROM silver.t"
NUMBERS = "FROM (VALUES (1), (2), (null)) AS t(v)"


class Trap(NamedTuple):
    sql: str
    says: str
    write: str
    proof: str | None = None


TRAPS: dict[str, Trap] = {
    # --- docs/portable-sql.md
    "datediff": Trap(
        f"SELECT datediff('day', a, b) AS r {T}",
        "counts boundaries",
        "days_between",
        "SELECT datediff('hour', timestamptz '2025-01-01 00:59:00+00', timestamptz '2025-01-01 02:00:00+00') AS r",
    ),
    "date_diff of months": Trap(
        f"SELECT date_diff('month', a, b) AS r {T}",
        "counts boundaries",
        "days_between",
        "SELECT date_diff('month', date '2025-01-31', date '2025-02-01') AS r",
    ),
    "epoch_ms": Trap(
        f"SELECT epoch_ms(ts) AS r {T}",
        "missing, on Spark",
        "epoch_micros",
        "SELECT epoch_ms(timestamptz '2025-01-01 00:00:00.9+00') AS r",
    ),
    "epoch_us": Trap(
        f"SELECT epoch_us(ts) AS r {T}",
        "missing, on Spark",
        "epoch_micros",
        "SELECT epoch_us(timestamptz '2025-01-01 00:00:00.9+00') AS r",
    ),
    "epoch": Trap(
        f"SELECT epoch(ts) AS r {T}",
        "cut to seconds",
        "epoch_micros",
        "SELECT epoch(timestamptz '2025-01-01 00:00:00.9+00') AS r",
    ),
    "list with order": Trap(
        f"SELECT list(x ORDER BY y) AS r {T}",
        "keeps nulls on DuckDB",
        "sorted_list",
        f"SELECT list(v ORDER BY v DESC) AS r {NUMBERS}",
    ),
    "array_agg": Trap(
        f"SELECT array_agg(x) AS r {T}", "keeps nulls on DuckDB", "sorted_list", f"SELECT array_agg(v) AS r {NUMBERS}"
    ),
    "arg_min": Trap(f"SELECT arg_min(a, b) AS r {T}", "any of equal rows", "row_number"),
    "arg_max": Trap(
        f"SELECT arg_max(a, b) AS r {T}",
        "any of equal rows",
        "row_number",
        "SELECT max_by(a, b) AS r FROM (VALUES ('x', 1), ('y', 1)) AS t(a, b)",
    ),
    "min_by": Trap(f"SELECT min_by(a, b) AS r {T}", "any of equal rows", "row_number"),
    "max_by": Trap(f"SELECT max_by(a, b) AS r {T}", "any of equal rows", "row_number"),
    "first": Trap(f"SELECT first(a) AS r {T}", "order in which rows are read", "row_number"),
    "last": Trap(f"SELECT last(a) AS r {T}", "order in which rows are read", "row_number"),
    "any_value": Trap(f"SELECT any_value(a) AS r {T}", "order in which rows are read", "row_number"),
    "hash": Trap(f"SELECT hash(a) AS r {T}", "another hash", "text_hash", "SELECT hash('a') AS r"),
    "dayofweek": Trap(
        f"SELECT dayofweek(d) AS r {T}",
        "weekdays from another day",
        "weekday_iso",
        "SELECT dayofweek(date '2025-01-05') AS r",
    ),
    "isodow": Trap(
        f"SELECT isodow(d) AS r {T}",
        "weekdays from another day",
        "weekday_iso",
        "SELECT isodow(date '2025-01-05') AS r",
    ),
    "extract dow": Trap(
        f"SELECT extract(dow FROM d) AS r {T}",
        "weekdays from another day",
        "weekday_iso",
        "SELECT extract(dow FROM date '2025-01-05') AS r",
    ),
    "quantile_cont": Trap(
        f"SELECT quantile_cont(v, 0.5) AS r {T}",
        "not the same quantile",
        "quantile_linear",
        f"SELECT quantile_cont(v, 0.3) AS r {NUMBERS}",
    ),
    "percentile_cont": Trap(
        f"SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY v) AS r {T}",
        "not the same quantile",
        "quantile_linear",
        f"SELECT percentile_cont(0.3) WITHIN GROUP (ORDER BY v) AS r {NUMBERS}",
    ),
    "select star qualify": Trap(
        f"SELECT * {T} QUALIFY row_number() OVER (PARTITION BY a ORDER BY b) = 1",
        "one more column",
        "Name the columns",
        f"SELECT * {NUMBERS} QUALIFY row_number() OVER (PARTITION BY v ORDER BY v) = 1",
    ),
    "asof join": Trap(
        "SELECT a.x FROM silver.a AS a ASOF JOIN silver.b AS b ON a.ts >= b.ts",
        "ordinary join",
        "row_number",
        "SELECT b.v FROM (VALUES (3)) AS a(v) ASOF JOIN (VALUES (1), (2)) AS b(v) ON a.v >= b.v",
    ),
    "division": Trap(f"SELECT a / b AS r {T}", "Division by zero", "safe_divide", "SELECT 1 / 0 AS r"),
    "modulo": Trap(f"SELECT a % b AS r {T}", "Division by zero", "nullif"),
    "approx_count_distinct": Trap(f"SELECT approx_count_distinct(a) AS r {T}", "estimates", "count(distinct x)"),
    # --- found by running both
    "//": Trap(f"SELECT a // 2 AS r {T}", "decimals differs", "whole_divide", "SELECT 7.5 // 2 AS r"),
    "decimal literal": Trap(
        f"SELECT sum(v) * 1.0 AS r {T}", "DECIMAL", "1.0e0", "SELECT cast(1 AS decimal(10, 2)) / 3 AS r"
    ),
    "round to digits": Trap(
        f"SELECT round(v, 2) AS r {T}", "1.01 on Spark", "round_to", "SELECT round(1.005::double, 2) AS r"
    ),
    "cast of float to integer, naively": Trap(
        f"SELECT try_cast(v AS bigint) AS r {T}", "other texts", "text_to_integer", "SELECT cast(1.5e0 AS bigint) AS r"
    ),
    "try_cast of text": Trap(
        f"SELECT try_cast(v AS integer) AS r {T}",
        "other texts",
        "text_to_integer",
        "SELECT try_cast('1.5' AS int) AS r",
    ),
    "try_cast to date": Trap(
        f"SELECT try_cast(v AS date) AS r {T}", "other texts", "text_to_date", "SELECT try_cast('2025' AS date) AS r"
    ),
    "try_cast to double": Trap(
        f"SELECT try_cast(v AS double) AS r {T}",
        "other texts",
        "text_to_number",
        "SELECT try_cast('1d' AS double) AS r",
    ),
    "timestamp as text": Trap(
        f"SELECT cast(event_time AS varchar) AS r {T}",
        "text of a timestamp",
        "timestamp_text",
        "SELECT cast(timestamptz '2025-01-01 00:00:00+00' AS varchar) AS r",
    ),
    "double as text": Trap(
        f"SELECT cast(a / 2 AS varchar) AS r {T}",
        "text of a DOUBLE",
        "DECIMAL",
        "SELECT cast(12345678.0::double AS varchar) AS r",
    ),
    "timestamp without zone": Trap(
        f"SELECT timestamp '2025-01-01 00:00:00' AS r {T}",
        "local time",
        "timestamptz",
        "SELECT make_timestamp(0) AS r",
    ),
    "float": Trap(f"SELECT cast(a AS float) AS r {T}", "not in the portable subset", "DOUBLE"),
    "hugeint": Trap(f"SELECT cast(a AS hugeint) AS r {T}", "not in the portable subset", "BIGINT"),
    "literal instant without offset": Trap(
        f"SELECT timestamptz '2025-01-01' AS r {T}", "not an instant", "timestamptz '2025-01-01 00:00:00+00'"
    ),
    "date_trunc": Trap(
        f"SELECT date_trunc('week', d) AS r {T}",
        "a timestamp on DuckDB",
        "week_start",
        "SELECT date_trunc('week', date '2025-01-01') AS r",
    ),
    "interval": Trap(
        f"SELECT d + INTERVAL 1 DAY AS r {T}",
        "a timestamp on DuckDB",
        "add_days",
        "SELECT date '2025-01-31' + INTERVAL 1 DAY AS r",
    ),
    "date minus date": Trap(
        f"SELECT first_date - last_date AS r {T}",
        "INTERVAL on Spark",
        "days_between",
        "SELECT date '2025-01-31' - date '2025-01-01' AS r",
    ),
    "timestamp minus timestamp": Trap(
        f"SELECT received_at - event_time AS r {T}",
        "another kind of INTERVAL",
        "micros_between",
        "SELECT timestamptz '2025-01-02 00:00:00+00' - timestamptz '2025-01-01 00:00:00+00' AS r",
    ),
    "extract second": Trap(
        f"SELECT extract(second FROM ts) AS r {T}",
        "differs",
        "epoch_micros",
        "SELECT extract(second FROM timestamptz '2025-01-01 00:00:59.9+00') AS r",
    ),
    "extract epoch": Trap(
        f"SELECT extract(epoch FROM ts) AS r {T}",
        "differs",
        "epoch_micros",
        "SELECT extract(epoch FROM timestamptz '2025-01-01 00:00:59.9+00') AS r",
    ),
    "at time zone": Trap(
        f"SELECT cast(ts AT TIME ZONE 'Europe/Berlin' AS date) AS r {T}",
        "loses the zone",
        "local_date",
        "SELECT timestamptz '2025-07-01 22:30:00+00' AT TIME ZONE 'Europe/Berlin' AS r",
    ),
    "to_timestamp": Trap(
        f"SELECT to_timestamp(v) AS r {T}", "on Spark", "timestamp_from_micros", "SELECT to_timestamp(1.9) AS r"
    ),
    "strptime": Trap(
        f"SELECT strptime(v, '%Y') AS r {T}", "local time", "text_to_date", "SELECT strptime('2025', '%Y') AS r"
    ),
    "strftime with names": Trap(
        f"SELECT strftime(d, '%a') AS r {T}",
        "Formats other than",
        "||",
        "SELECT strftime(date '2025-01-02', '%j') AS r",
    ),
    "monthname": Trap(
        f"SELECT monthname(d) AS r {T}", "differs", "month_start", "SELECT monthname(date '2025-01-02') AS r"
    ),
    "week": Trap(f"SELECT week(d) AS r {T}", "differs", "week_start"),
    "clock": Trap(f"SELECT now() AS r {T}", "at every run", "Bind the value"),
    "current_date": Trap(f"SELECT current_date AS r {T}", "at every run", "Bind the value"),
    "random": Trap(f"SELECT random() AS r {T}", "at every run", "Bind the value"),
    "logarithm": Trap(f"SELECT ln(v) AS r {T}", "null on Spark", "safe_ln", "SELECT ln(0) AS r"),
    "sign": Trap(f"SELECT sign(v) AS r {T}", "another type", "CASE"),
    "corr": Trap(
        f"SELECT corr(a, b) AS r {T}", "fails on Spark", "safe_divide", "SELECT corr(v, 1) AS r FROM range(2) AS t(v)"
    ),
    "skewness": Trap(
        f"SELECT skewness(v) AS r {T}",
        "another definition",
        "powers",
        "SELECT skewness(v) AS r FROM (VALUES (1), (2), (9)) AS t(v)",
    ),
    "mode": Trap(f"SELECT mode(v) AS r {T}", "order in which rows are read", "row_number"),
    "count distinct of two": Trap(
        f"SELECT count(DISTINCT a, b) AS r {T}",
        "missing on DuckDB",
        "SELECT DISTINCT",
        "SELECT count(DISTINCT a, b) AS r FROM (VALUES (1, null)) AS t(a, b)",
    ),
    "count distinct of a row": Trap(f"SELECT count(DISTINCT (a, b)) AS r {T}", "leaves nulls out", "SELECT DISTINCT"),
    "count of nothing": Trap(f"SELECT count() AS r {T}", "count()", "count(*)", f"SELECT count() AS r {NUMBERS}"),
    "string_agg without order": Trap(f"SELECT string_agg(a, ',') AS r {T}", "without an order", "ORDER BY"),
    "lower": Trap(f"SELECT lower(a) AS r {T}", "letters such as", "lower_ascii", "SELECT lower('İ') AS r"),
    "upper": Trap(f"SELECT upper(a) AS r {T}", "letters such as", "upper_ascii", "SELECT upper('straße') AS r"),
    "ilike": Trap(f"SELECT a ILIKE 'x%' AS r {T}", "folds letters", "lower_ascii"),
    "like with backslash": Trap(
        f"SELECT a LIKE 'x\\_' AS r {T}", "escapes on Spark only", "ESCAPE", "SELECT 'x_' LIKE 'x\\_' AS r"
    ),
    "like of a column": Trap(f"SELECT a LIKE b AS r {T}", "must be a literal", "starts_with"),
    "similar to": Trap(f"SELECT a SIMILAR TO 'x.*' AS r {T}", "Spark", "matches_whole"),
    "regexp $": Trap(
        f"SELECT regexp_matches(a, 'x$') AS r {T}",
        "before a final newline",
        "\\z",
        "SELECT regexp_matches('x' || chr(10), 'x$') AS r",
    ),
    "regexp flag": Trap(f"SELECT regexp_matches(a, '(?i)x') AS r {T}", "groups are alike", "[aA]"),
    "regexp class": Trap(f"SELECT regexp_matches(a, '[[:alpha:]]') AS r {T}", "set operation", ""),
    "regexp of a column": Trap(f"SELECT regexp_matches(a, b) AS r {T}", "must be a literal", "starts_with"),
    "regexp_replace once": Trap(
        f"SELECT regexp_replace(a, 'x', 'y') AS r {T}",
        "first match on DuckDB",
        "'g'",
        "SELECT regexp_replace('aab', 'a', 'x') AS r",
    ),
    "regexp_replace with a group": Trap(
        f"SELECT regexp_replace(a, '(x)', '\\1', 'g') AS r {T}",
        "in a replacement",
        "regexp_extract",
        "SELECT regexp_replace('ab', '(a)', '\\1\\1', 'g') AS r",
    ),
    "substring from 0": Trap(
        f"SELECT substring(a, 0, 2) AS r {T}", "from 0", "greatest(1", "SELECT substr('hello', 0, 2) AS r"
    ),
    "left of a negative length": Trap(
        f"SELECT left(a, -2) AS r {T}", "negative length", "substring", "SELECT left('hello', -2) AS r"
    ),
    "format": Trap(f"SELECT format('{{}}', a) AS r {T}", "another text", "||", "SELECT format('{}', 1) AS r"),
    "list index": Trap(f"SELECT a[1] AS r {T}", "beyond the list's end", "split_part", "SELECT [1, 2][5] AS r"),
    "slice": Trap(f"SELECT a[1:2] AS r {T}", "Spark", "", "SELECT [1, 2][1:1] AS r"),
    "length of a list": Trap(
        f"SELECT len(a) AS r {T}", "len() differs for lists", "length(text)", "SELECT len([1, 2]) AS r"
    ),
    "struct": Trap(f"SELECT {{'a': 1}} AS r {T}", "another form", "columns"),
    "json arrow": Trap(f"SELECT a -> 'x' AS r {T}", "another text", "contract", "SELECT '{\"a\":\"x\"}' -> 'a' AS r"),
    "lambda": Trap(f"SELECT list_transform(a, lambda x: x + 1) AS r {T}", "", ""),
    "comprehension": Trap(
        f"SELECT [x + 1 FOR x IN a] AS r {T}", "missing on Spark", "unnest", "SELECT [x * 2 FOR x IN [1]] AS r"
    ),
    "method": Trap(f"SELECT a.trim() AS r {T}", "missing on Spark", "method(x)"),
    "series in FROM": Trap(
        "SELECT x FROM generate_series(1, 3) AS g(x)",
        "Spark",
        "integer_list",
        "SELECT x FROM generate_series(1, 3) AS g(x)",
    ),
    "distinct on": Trap(f"SELECT DISTINCT ON (a) a, b {T} ORDER BY a", "any of equal rows", "row_number"),
    "limit without order": Trap(f"SELECT a {T} LIMIT 3", "takes any rows", "ORDER BY"),
    "limit of a percentage": Trap(
        f"SELECT a {T} ORDER BY a LIMIT 50%", "percentage", "number", f"SELECT v {NUMBERS} ORDER BY v LIMIT 50%"
    ),
    "sample": Trap(f"SELECT a {T} USING SAMPLE 10", "sample", "md5"),
    "pivot": Trap("SELECT * FROM silver.t PIVOT (count(*) FOR a IN ('x'))", "PIVOT differs", "CASE"),
    "columns()": Trap(f"SELECT COLUMNS('a') {T}", "missing on Spark", "Name the columns"),
    "star replace": Trap(
        f"SELECT * REPLACE (a + 1 AS a) {T}",
        "missing on Spark",
        "Name the columns",
        f"SELECT * REPLACE (v + 1 AS v) {NUMBERS}",
    ),
    "union by name": Trap(
        f"SELECT a {T} UNION ALL BY NAME SELECT a {T}",
        "missing on Spark",
        "same order",
        "SELECT 1 AS a UNION ALL BY NAME SELECT 2 AS a",
    ),
    "recursion": Trap(
        "WITH RECURSIVE c(n) AS (SELECT 1 AS n UNION ALL SELECT n + 1 AS n FROM c) SELECT max(n) AS r FROM c",
        "100 levels",
        "integer_list",
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 200) SELECT max(n) AS r FROM c",
    ),
    "star over using": Trap(
        "SELECT a.*, b.y FROM silver.a AS a JOIN silver.b AS b USING (k)",
        "come first in *",
        "join ON",
        "SELECT * FROM (VALUES (1, 2)) AS a(x, k) JOIN (VALUES (2, 3)) AS b(k, y) USING (k)",
    ),
    "natural join": Trap("SELECT a FROM silver.t NATURAL JOIN silver.u", "gets a column", "USING"),
    "positional join": Trap("SELECT a FROM silver.t POSITIONAL JOIN silver.u", "order of reading", "key"),
    "lateral": Trap("SELECT a, x FROM silver.t, LATERAL (SELECT a + 1 AS x) AS q", "LATERAL", "join"),
    "row_number without order": Trap(f"SELECT row_number() OVER () AS r {T}", "order of reading", "ORDER BY"),
    "distinct window": Trap(
        f"SELECT count(DISTINCT a) OVER (PARTITION BY b) AS r {T}",
        "missing on Spark",
        "subquery",
        f"SELECT count(DISTINCT v) OVER (PARTITION BY v) AS r {NUMBERS}",
    ),
    "groups frame": Trap(
        f"SELECT count(*) OVER (ORDER BY a GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW) AS r {T}",
        "missing on Spark",
        "ROWS",
        f"SELECT count(*) OVER (ORDER BY v GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW) AS r {NUMBERS}",
    ),
    "exclude in a frame": Trap(
        f"SELECT sum(a) OVER (ORDER BY b ROWS UNBOUNDED PRECEDING EXCLUDE CURRENT ROW) AS r {T}",
        "silently left out",
        "Subtract",
        f"SELECT sum(v) OVER (ORDER BY v ROWS UNBOUNDED PRECEDING EXCLUDE CURRENT ROW) AS r {NUMBERS}",
    ),
    "collation": Trap(
        f"SELECT a COLLATE nocase AS r {T}", "Collations", "lower_ascii", "SELECT 'a' COLLATE nocase = 'A' AS r"
    ),
    "unnamed column": Trap(f"SELECT a + 1 {T}", "without a name", "AS name", "SELECT cast(1 AS varchar)"),
    "unknown function": Trap(f"SELECT frobnicate(a) AS r {T}", "not in the portable subset", "docs/portable-sql.md"),
    "typeof": Trap(f"SELECT typeof(a) AS r {T}", "another text", "", "SELECT typeof(1) AS r"),
}
