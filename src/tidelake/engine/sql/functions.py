"""Which functions the portable subset has, and what to write instead of those that it has not."""

from __future__ import annotations

# sqlglot's classes of functions that gave the same on both engines, or are made to by `translate`.
_CLASSES = """
    Count Sum Avg Min Max CountIf LogicalAnd LogicalOr Stddev StddevPop StddevSamp Variance VariancePop Median
    GroupConcat CovarPop CovarSamp Grouping
    RowNumber Rank DenseRank PercentRank CumeDist Ntile Lag Lead FirstValue LastValue NthValue
    Coalesce Nullif If Case Greatest Least And Or Xor Exists Cast Not Any
    Abs Floor Ceil Round Sqrt Exp Pow IsNan Pi Mod Div
    Length Substring Left Right Trim Pad Repeat Reverse Replace Translate StrPosition StartsWith EndsWith Contains
    SplitPart Split Concat ConcatWs DPipe RegexpLike RegexpExtract RegexpReplace MD5 SHA2 Chr Unicode ArrayToString
    Extract Year Month Day DayOfMonth Quarter Hour Minute DayOfYear LastDay DateFromParts TimeToStr
    Array ArrayContains Unnest Explode
"""
ALLOWED = frozenset(_CLASSES.split())
ALLOWED_NAMES = frozenset(("replace", "strpos", "instr", "ends_with", "isnan", "ascii"))
REFUSED_NAMES = frozenset(("len",))  # other spellings of functions above, for lists

_ROW_NUMBER = "Number the rows with row_number() over (partition by ... order by ..., a unique column) and keep 1."
_MICROS = "Write epoch_micros(ts), timestamp_from_micros(n) or micros_between(a, b): integer microseconds."
_APPROXIMATE = "Write count(distinct x) or quantile_linear(x, p): exact on every engine."

# Function (class name of sqlglot in lower case, or name as written): what differs, what to write.
ADVICE: dict[str, tuple[str, str]] = {}


def _advise(names: str, what: str, instead: str) -> None:
    ADVICE.update(dict.fromkeys(names.split(), (what, instead)))


_advise(
    "datediff date_diff datesub date_sub timestampdiff datetimediff age timediff",
    "counts boundaries on DuckDB and whole units on Spark",
    "Write days_between(a, b) or micros_between(a, b).",
)
_advise("epoch_ms epoch_us epoch_ns epoch unixtotime", "is cut to seconds, or missing, on Spark", _MICROS)
_advise("timetounix unixmicros unixmillis unixseconds unixtotimestr strtounix", "is cut to seconds on Spark", _MICROS)
_advise("maketimestamp make_timestamp make_timestamptz timestampfromparts", "gives a local time on DuckDB", _MICROS)
_advise("to_timestamp tstotimestamp", "drops fractions of a second on Spark", _MICROS)
_advise(
    "argmin argmax arg_min arg_max min_by max_by minby maxby arg_min_null arg_max_null",
    "takes any of equal rows, another one on each engine",
    _ROW_NUMBER,
)
_advise(
    "first last anyvalue any_value arbitrary mode",
    "depends on the order in which rows are read",
    _ROW_NUMBER,
)
_advise("hash murmurhash farmfingerprint", "is another hash on each engine", "Write text_hash(a, b, ...) or md5(text).")
_advise(
    "dayofweek dayofweekiso isodow weekday dayofweek_iso dow",
    "counts weekdays from another day on Spark",
    "Write weekday_iso(date): 1 = Monday to 7 = Sunday.",
)
_advise(
    "percentilecont percentiledisc quantile quantile_cont quantile_disc percentile approxquantiles",
    "is not the same quantile on Spark (sqlglot makes it an approximation)",
    "Write quantile_linear(x, p), quantile_nearest(x, p) or median(x).",
)
_advise(
    "approxdistinct approx_count_distinct approxquantile approx_quantile approxtopk approx_top_k reservoir_quantile",
    "estimates, with another algorithm on each engine",
    _APPROXIMATE,
)
_advise(
    "arrayagg list array_agg arrayconcatagg arrayuniqueagg",
    "keeps nulls on DuckDB, drops them and the order on Spark",
    "Write sorted_list(x) or sorted_set(x).",
)
_advise(
    "timestamptrunc datetrunc date_trunc datetime_trunc datetimetrunc time_bucket datebin",
    "gives a timestamp on DuckDB and a date on Spark",
    "Write week_start(d, 'monday'), month_start(d), quarter_start(d), year_start(d) or hour_start(ts).",
)
_advise(
    "currentdate currenttimestamp currenttime now today localtimestamp localtime current_localtimestamp rand random "
    "uuid gen_random_uuid currentuser",
    "gives something else at every run",
    "Bind the value as $name.",
)
_advise("ln log log2 log10", "of 0 is -infinity on DuckDB and null on Spark", "Write safe_ln(x).")
_advise("lower lcase", "treats letters such as İ differently", "Write lower_ascii(text).")
_advise("upper ucase initcap", "treats letters such as ß differently", "Write upper_ascii(text).")
_advise("strptime strtotime strtodate", "gives a local time on DuckDB", "Write text_to_date or text_to_timestamp.")
_advise(
    "monthname dayname week weekofyear yearofweek isoyear yearweek century decade era julian",
    "differs or is missing on Spark",
    "Write month_start(d), week_start(d, 'monday') or extract(month from d).",
)
_advise("skewness kurtosis kurtosis_pop", "has another definition on Spark", "Compute it from sums of powers.")
_advise(
    "corr regr_slope regr_intercept regr_r2 regrslope regrintercept regrr2",
    "fails on Spark where it is NaN on DuckDB",
    "Compute it from sums with safe_divide.",
)
_advise("sign", "has another type on Spark", "Write CASE WHEN x > 0 THEN 1 WHEN x < 0 THEN -1 ELSE 0 END.")
_advise("trunc", "has another type on Spark", "Write CAST(floor(x) AS BIGINT).")
_advise("second seconds millisecond microsecond", "holds fractions on one engine only", "Write epoch_micros(ts) % n.")
_advise("format printf url_encode typeof numbertostr tochar", "gives another text on Spark", "Build the text with ||.")
_advise(
    "generateseries range generate_series",
    "has another type, or no translation, on Spark",
    "Write unnest(date_list(a, b)) or unnest(integer_list(a, b)) in the SELECT.",
)
_advise(
    "jsonextract jsonextractscalar json_extract json_extract_string jsonbextract jsonbextractscalar json_value "
    "json_transform json_valid json",
    "gives another text for numbers, nested values and nulls",
    "Declare the field in the source's contract: silver has it as a typed column.",
)
_advise(
    "trycast try_cast",
    "takes other texts for numbers and dates on each engine",
    "Write text_to_integer, text_to_number, text_to_date, text_to_timestamp or text_to_boolean.",
)
_advise("regexp_full_match regexpfullmatch", "is missing on Spark", "Write matches_whole(text, 'pattern').")
_advise("regexpilike", "folds letters differently", "Write lower_ascii(text) and a pattern of small letters.")
_advise("log1p log1", "is missing on DuckDB", "Write safe_ln(1 + x).")
_advise("list_sum list_aggregate list_aggr len arraysize", "differs for lists on Spark", "Write length(text).")
_advise("struct row struct_pack map mapfromentries tomap", "has another form on each engine", "Write columns.")
_advise("product entropy histogram", "is missing on Spark", "Compute it from sums and counts.")
