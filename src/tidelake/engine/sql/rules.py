"""Rules of the portable subset, each a small function over one kind of syntax node.

A rule yields (what differs, what to write instead). `RULES` says which node each looks at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from sqlglot import exp

from tidelake.engine.sql.patterns import pattern_fault

Fault = tuple[str, str]
Rule = Callable[["exp.Expr"], Iterator[Fault]]

_DATE_FORMAT = re.compile(r"^(%[YmdHMS]|[-/:. _])*$")
_DATE_TEXT = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_INSTANT_TEXT = re.compile(r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}(:?\d{2})?)$")
_EXTRACTED = {"year", "quarter", "month", "day", "hour", "minute", "doy", "dayofyear"}
_CASTS = {"INT", "BIGINT", "SMALLINT", "TINYINT", "DOUBLE", "TEXT", "VARCHAR", "BOOLEAN", "DATE", "TIMESTAMPTZ"}
_NEEDS_ORDER = (
    exp.RowNumber,
    exp.Rank,
    exp.DenseRank,
    exp.PercentRank,
    exp.CumeDist,
    exp.Ntile,
    exp.Lag,
    exp.Lead,
    exp.FirstValue,
    exp.LastValue,
    exp.NthValue,
)
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In, exp.Div, exp.Anonymous)
_TEXT_TO = "Write text_to_integer, text_to_number, text_to_date, text_to_timestamp or text_to_boolean."


def _bare(node: exp.Expr | None) -> exp.Expr | None:
    """The node without brackets, casts and signs around it."""
    while isinstance(node, exp.Paren | exp.Cast | exp.Neg):
        node = node.this
    return node


def _named(node: exp.Expr | None, *endings: str) -> bool:
    node = _bare(node)
    return isinstance(node, exp.Column) and node.name.lower().endswith(endings)


def _is_date(node: exp.Expr | None) -> bool:
    plain = node.this if isinstance(node, exp.Paren) else node
    if isinstance(plain, exp.Cast):
        return plain.to.is_type("date")
    if isinstance(plain, exp.Anonymous):
        return str(plain.this).lower() in ("local_date", "week_start", "month_start", "add_days", "text_to_date")
    return _named(plain, "_date")


def _is_instant(node: exp.Expr | None) -> bool:
    plain = node.this if isinstance(node, exp.Paren) else node
    if isinstance(plain, exp.Cast):
        return plain.to.is_type("timestamptz", "timestamp")
    return isinstance(plain, exp.Column) and plain.name.lower().endswith(("_time", "_at"))


def _division(node: exp.Expr) -> Iterator[Fault]:
    divisor = _bare(node.expression)
    if isinstance(divisor, exp.Literal) and divisor.is_number and float(divisor.this) != 0:
        return
    if isinstance(divisor, exp.Nullif):
        return
    if isinstance(divisor, exp.Greatest):
        parts = [divisor.this, *divisor.expressions]
        if any(isinstance(part, exp.Literal) and part.is_number and float(part.this) > 0 for part in parts):
            return
    yield (
        "Division by zero is infinity on DuckDB and an error on Spark.",
        "Write safe_divide(a, b), or nullif(b, 0) below.",
    )


def _literal(node: exp.Expr) -> Iterator[Fault]:
    if node.is_string or "." not in str(node.this) or "e" in str(node.this).lower():
        return
    above = node.parent
    while isinstance(above, exp.Paren | exp.Neg | exp.Tuple):
        above = above.parent
    if isinstance(above, (*_COMPARISONS, exp.Cast, exp.Values)):
        return
    yield (
        f"{node.this} is a DECIMAL, whose arithmetic differs between engines.",
        f"Write {node.this}e0 (a DOUBLE), or leave it out: / always gives a DOUBLE.",
    )


def _cast(node: exp.Expr) -> Iterator[Fault]:
    to = node.args["to"]
    kind = to.this.name if isinstance(to, exp.DataType) and isinstance(to.this, exp.DType) else str(to)
    if kind == "DECIMAL":
        return
    if kind in ("TIMESTAMP", "TIMESTAMPNTZ", "DATETIME"):
        yield (
            "TIMESTAMP is a local time without a zone.",
            "Write TIMESTAMPTZ; a literal with its offset: timestamptz '2025-01-01 00:00:00+00'.",
        )
        return
    if kind not in _CASTS:
        yield (
            f"The type {to.sql('duckdb')} is not in the portable subset.",
            "Types: INTEGER, BIGINT, DOUBLE, DECIMAL(p, s), VARCHAR, BOOLEAN, DATE, TIMESTAMPTZ.",
        )
        return
    yield from _cast_of(node.this, kind)


def _cast_of(value: exp.Expr, kind: str) -> Iterator[Fault]:
    if isinstance(value, exp.Literal) and value.is_string:
        if kind == "TIMESTAMPTZ" and not _INSTANT_TEXT.match(value.this):
            yield f"'{value.this}' is not an instant.", "Write timestamptz '2025-01-01 00:00:00+00'."
        elif kind == "DATE" and not _DATE_TEXT.match(value.this):
            yield f"'{value.this}' is not a date.", "Write date '2025-01-01'."
    if kind in ("TEXT", "VARCHAR"):
        if _is_instant(value):
            yield "The text of a timestamp differs between engines.", "Write timestamp_text(ts) or epoch_micros(ts)."
        elif isinstance(value, exp.Div | exp.Avg | exp.Stddev | exp.Median | exp.Sqrt | exp.Exp) or (
            isinstance(value, exp.Cast) and value.to.is_type("double")
        ):
            yield "The text of a DOUBLE differs between engines.", "Cast it to DECIMAL(p, s) first, or to BIGINT."


def _date_arithmetic(node: exp.Expr) -> Iterator[Fault]:
    left, right = node.this, node.expression
    if isinstance(node, exp.Sub) and _is_date(left) and _is_date(right):
        yield "date - date is an INTERVAL on Spark.", "Write days_between(a, b)."
    elif isinstance(node, exp.Sub) and _is_instant(left) and _is_instant(right):
        yield "timestamp - timestamp is another kind of INTERVAL on Spark.", "Write micros_between(a, b)."


def _interval(node: exp.Expr) -> Iterator[Fault]:
    if isinstance(node.parent, exp.WindowSpec):
        return
    yield (
        "date + INTERVAL is a timestamp on DuckDB and a date on Spark.",
        "Write add_days(d, n), add_months(d, n) or add_micros(ts, n).",
    )


def _extract(node: exp.Expr) -> Iterator[Fault]:
    unit = str(node.this.name).lower()
    if unit in ("dow", "isodow", "dayofweek", "dayofweekiso", "weekday"):
        yield f"{unit} counts weekdays from another day on Spark.", "Write weekday_iso(date): 1 = Monday to 7 = Sunday."
    elif unit not in _EXTRACTED:
        yield (
            f"extract({unit}) differs between engines.",
            "Write epoch_micros(ts), week_start(d, 'monday') or the like.",
        )


def _text_format(node: exp.Expr) -> Iterator[Fault]:
    given = node.args.get("format")
    if not isinstance(given, exp.Literal) or not _DATE_FORMAT.match(given.this):
        yield (
            "Formats other than %Y %m %d %H %M %S with - / : . _ and spaces differ.",
            "Join parts with ||, or write timestamp_text(ts).",
        )


def _counted(node: exp.Expr) -> Iterator[Fault]:
    inside = node.this
    if inside is None:
        yield "count() without * is missing on Spark.", "Write count(*)."
    elif isinstance(inside, exp.Distinct):
        columns = inside.expressions
        if len(columns) > 1 or (columns and isinstance(_bare(columns[0]), exp.Tuple | exp.Struct)):
            yield (
                "count(distinct a, b) is missing on DuckDB and leaves nulls out on Spark.",
                "Count the rows of a SELECT DISTINCT a, b in a subquery.",
            )


def _rounded(node: exp.Expr) -> Iterator[Fault]:
    if node.args.get("decimals") is not None:
        yield "round(1.005, 2) is 1.0 on DuckDB and 1.01 on Spark.", "Write round_to(x, digits)."


def _substring(node: exp.Expr) -> Iterator[Fault]:
    start = node.args.get("start")
    first = int(start.name) if isinstance(start, exp.Literal) and start.is_int else 0
    is_bounded = isinstance(start, exp.Greatest | exp.Add) and any(
        part.name == "1" for part in start.find_all(exp.Literal)
    )
    if not is_bounded and first < 1:
        yield "substring from 0 differs between engines.", "Start at 1 or later: greatest(1, start)."


def _edge(node: exp.Expr) -> Iterator[Fault]:
    count = node.expression
    if not isinstance(count, exp.Literal) or not count.is_number:
        yield "left() and right() of a negative length differ.", "Give the length as a number, or use substring."


def _pattern(node: exp.Expr) -> Iterator[Fault]:
    given = node.expression
    if not (isinstance(given, exp.Literal) and given.is_string):
        yield "A pattern must be a literal, so that it can be checked.", "Write starts_with, contains or strpos."
        return
    if fault := pattern_fault(given.this):
        yield f"In this pattern {fault}", ""
    if node.args.get("flag") or (isinstance(node, exp.RegexpExtract) and node.args.get("parameters")):
        yield "Flags of regular expressions differ.", "Write a class such as [aA]."


def _replaced(node: exp.Expr) -> Iterator[Fault]:
    yield from (fault for fault in _pattern(node) if not fault[0].startswith("Flags"))
    modifiers = node.args.get("modifiers")
    if not (isinstance(modifiers, exp.Literal) and modifiers.name == "g"):
        yield "regexp_replace changes the first match on DuckDB, all on Spark.", "Write regexp_replace(x, p, r, 'g')."
    by = node.args.get("replacement")
    if not (isinstance(by, exp.Literal) and by.is_string) or re.search(r"[\\$]", by.this):
        yield r"\1 and $1 in a replacement differ.", "Replace by plain text; take groups with regexp_extract."


def _like(node: exp.Expr) -> Iterator[Fault]:
    if isinstance(node.parent, exp.Escape):
        return
    given = node.expression
    if not (isinstance(given, exp.Literal) and given.is_string):
        yield "A LIKE pattern must be a literal, so that it can be checked.", "Write starts_with or contains."
    elif "\\" in given.this:
        yield "A backslash in LIKE escapes on Spark only.", "Say it: LIKE '...' ESCAPE '!'."


def _joined_text(node: exp.Expr) -> Iterator[Fault]:
    if not isinstance(node.this, exp.Order) and not node.find(exp.Order):
        yield "string_agg without an order differs from run to run.", "Write string_agg(x, ',' ORDER BY x)."


def _window(node: exp.Expr) -> Iterator[Fault]:
    inside = node.this
    while isinstance(inside, exp.IgnoreNulls | exp.RespectNulls | exp.Filter):
        inside = inside.this
    if isinstance(inside, _NEEDS_ORDER) and not node.args.get("order") and not node.args.get("alias"):
        yield f"{inside.sql_name().lower()}() without ORDER BY depends on the order of reading.", "Write ORDER BY."
    if isinstance(inside, exp.AggFunc) and inside.find(exp.Distinct):
        yield "A DISTINCT window function is missing on Spark.", "Count distinct in a subquery and join."


def _frame(node: exp.Expr) -> Iterator[Fault]:
    if str(node.args.get("kind") or "").upper() == "GROUPS":
        yield "GROUPS frames are missing on Spark.", "Write ROWS or RANGE over a numbered column."
    if node.args.get("exclude"):
        yield "EXCLUDE in a frame is silently left out for Spark.", "Subtract the current row's value."


def _select(node: exp.Expr) -> Iterator[Fault]:
    if node.args.get("qualify") and any(column.is_star for column in node.args["expressions"]):
        yield "SELECT * with QUALIFY gets one more column on Spark.", "Name the columns, or filter in an outer SELECT."
    if any(column.is_star for column in node.args["expressions"]) and any(
        item.args.get("using") for item in node.args.get("joins") or ()
    ):
        yield "The columns of USING come first in * on Spark.", "Name the columns, or join ON a.key = b.key."
    distinct = node.args.get("distinct")
    if isinstance(distinct, exp.Distinct) and distinct.args.get("on"):
        yield "DISTINCT ON takes any of equal rows.", "Keep row_number() = 1 with a total order."
    if node.args.get("sample"):
        yield "A sample is another one on each engine.", "Keep rows by md5(key) instead."


def _limit(node: exp.Expr) -> Iterator[Fault]:
    query = node.parent
    is_zero = isinstance(node.expression, exp.Literal) and node.expression.name == "0"
    if isinstance(query, exp.Query) and not query.args.get("order") and not is_zero:
        yield "LIMIT without ORDER BY takes any rows.", "Write ORDER BY columns that are unique together."
    options = node.args.get("limit_options")
    if options is not None and options.args.get("percent"):
        yield "LIMIT of a percentage is missing on Spark.", "Give a number."


def _join(node: exp.Expr) -> Iterator[Fault]:
    method = str(node.args.get("method") or "").upper()
    if method == "ASOF":
        yield "ASOF JOIN is silently made an ordinary join for Spark.", "Join on <= and keep row_number() = 1."
    elif method == "POSITIONAL" or str(node.args.get("kind") or "").upper() == "POSITIONAL":
        yield "POSITIONAL JOIN depends on the order of reading.", "Join on a key."
    elif method == "NATURAL":
        yield "NATURAL JOIN changes when a table gets a column.", "Write USING (columns)."


def refused(what: str, instead: str) -> Rule:
    """A rule for syntax that is refused wherever it stands."""

    def rule(_: exp.Expr) -> Iterator[Fault]:
        yield what, instead

    return rule


def _star(node: exp.Expr) -> Iterator[Fault]:
    if node.args.get("replace") or node.args.get("rename"):
        yield "* REPLACE and * RENAME are missing on Spark.", "Name the columns; * EXCLUDE (a) is fine."


def _with_parts(node: exp.Expr) -> Iterator[Fault]:
    if node.args.get("recursive"):
        yield "WITH RECURSIVE stops at 100 levels on Spark.", "Write unnest(integer_list(a, b)) or a join."


def _set_operation(node: exp.Expr) -> Iterator[Fault]:
    if node.args.get("by_name"):
        yield "BY NAME is missing on Spark.", "Name the columns in the same order."


def _median(node: exp.Expr) -> Iterator[Fault]:
    if isinstance(node.parent, exp.Window):
        yield "median() OVER differs.", "Aggregate in a subquery and join."


RULES: dict[str, tuple[Rule, ...]] = {
    "Div": (_division,),
    "Mod": (_division,),
    "IntDiv": (refused("// of numbers with decimals differs, and by zero fails.", "Write whole_divide(a, b)."),),
    "Literal": (_literal,),
    "Cast": (_cast,),
    "TryCast": (refused("try_cast takes other texts for numbers, dates and booleans on each engine.", _TEXT_TO),),
    "Sub": (_date_arithmetic,),
    "Interval": (_interval,),
    "Extract": (_extract,),
    "TimeToStr": (_text_format,),
    "Count": (_counted,),
    "Round": (_rounded,),
    "Substring": (_substring,),
    "Left": (_edge,),
    "Right": (_edge,),
    "RegexpLike": (_pattern,),
    "RegexpExtract": (_pattern,),
    "RegexpReplace": (_replaced,),
    "Like": (_like,),
    "ILike": (refused("ILIKE folds letters beyond A to Z differently.", "Write lower_ascii(x) LIKE '...'."),),
    "SimilarTo": (
        refused(
            "SIMILAR TO is missing on Spark.", "Write matches_whole(x, 'pattern') or regexp_matches(x, 'pattern')."
        ),
    ),
    "GroupConcat": (_joined_text,),
    "Window": (_window,),
    "WindowSpec": (_frame,),
    "Select": (_select,),
    "Limit": (_limit,),
    "Join": (_join,),
    "Star": (_star,),
    "With": (_with_parts,),
    "Union": (_set_operation,),
    "Intersect": (_set_operation,),
    "Except": (_set_operation,),
    "Bracket": (
        refused("x[n] fails on Spark beyond the list's end.", "Write split_part(text, ',', n), or unnest the list."),
    ),
    "Slice": (refused("Slices are missing on Spark.", "Write substring or split_part."),),
    "Median": (_median,),
    "Lambda": (refused("Lambdas have another syntax on each engine.", "unnest the list instead."),),
    "Comprehension": (refused("Comprehensions are missing on Spark.", "unnest the list instead."),),
    "Lateral": (refused("LATERAL differs between engines.", "Write unnest(...) in the SELECT, or a join."),),
    "Pivot": (refused("PIVOT differs between engines.", "Write sum(CASE WHEN ... END) columns."),),
    "TableSample": (refused("A sample is another one on each engine.", "Keep rows by md5(key) instead."),),
    "Collate": (refused("Collations have other names on each engine.", "Compare lower_ascii(text)."),),
    "AtTimeZone": (refused("AT TIME ZONE loses the zone on Spark.", "Write local_date(ts) or local_hour(ts)."),),
    "Columns": (refused("COLUMNS() is missing on Spark.", "Name the columns."),),
    "JSONExtract": (refused("-> and ->> give another text on Spark.", "Declare the field in the source's contract."),),
    "JSONExtractScalar": (
        refused("-> and ->> give another text on Spark.", "Declare the field in the source's contract."),
    ),
    "Dot": (refused("x.method() is missing on Spark.", "Write method(x)."),),
    "BitwiseXor": (refused("xor differs between engines.", "Write it with AND, OR and NOT."),),
}
