"""The numbers of one metric of facts: its SELECT, its segments, a row for every period, and the totals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from tidelake.metrics.answer import NUMBERS, within_one
from tidelake.metrics.attributes import attribute_notes, session_notes
from tidelake.metrics.catalogue import parts_of
from tidelake.metrics.facts import Facts
from tidelake.metrics.kinds.distinct import distinct_sql, mean_of_days_sql, rolling_distinct_sql
from tidelake.metrics.kinds.edges import edge_distinct_sql, rolling_edge_sql
from tidelake.metrics.kinds.quantiles import dated, quantile_sql
from tidelake.metrics.kinds.ratios import mean_sql, ratio_sql
from tidelake.metrics.kinds.sums import sum_sql
from tidelake.metrics.kinds.typical import typical_sql
from tidelake.metrics.question import Question

OTHER = "(other)"
Kept = Mapping[int, Sequence[str]]


@dataclass(frozen=True)
class Numbers:
    """What a question was answered with.

    Attributes:
        rows: A row a period and segment: `period_start`, the dimensions, the numbers and `status`.
        notes: What a reader must know.
        overlaps: What a reader must know of segments that do not add up to the whole.
        totals: With dimensions, one row a period.
        tables: The tables that were read.
        kept: The values of each dimension (by its place) that have rows of their own, where there are too many.
    """

    rows: list[dict[str, Any]]
    sql: str = ""
    notes: tuple[str, ...] = ()
    overlaps: tuple[str, ...] = ()
    totals: list[dict[str, Any]] | None = None
    tables: tuple[str, ...] = ()
    kept: Kept = field(default_factory=dict)


def numbers_of(question: Question, limit: int, kept: Kept | None = None) -> Numbers:
    """The numbers of a metric of facts, or of a ratio of two.

    Args:
        limit: Values of a dimension that get rows of their own.
        kept: These values, where they were chosen before.
    """
    if not question.periods:
        return Numbers([], notes=tuple(_notes(question)))
    if question.unknown:
        return Numbers(_unknown(question), notes=tuple(_notes(question)))
    question = question.without_dates_behind()
    question.prepare()
    names = question.facts().segments
    facts, chosen, said = question.facts().rows(), dict[int, list[str]](), list[str]()
    sql = select_of(question, facts, names)
    found = _counted_at_once(question, sql, limit) if kept is None else None
    if found is None:
        facts, chosen, said = limited_rows(question, question.facts(), limit, kept)
        sql = select_of(question, facts, names, is_merged=bool(chosen))
        found = question.rows_of(sql)
    if question.metric.kind == "quantile":
        found = _bounded(question, facts, names, found)
    rows = _filled(question, found, _occurring(question, facts, names, found))
    totals = _totals(question, found) if question.by else None
    overlaps = tuple(_total_notes(question, totals))
    tables = tuple(question.facts().tables)
    return Numbers(rows, sql, (*_notes(question), *said), overlaps, totals, tables, chosen)


def _bounded(question: Question, facts: str, names: Sequence[str], found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The quantiles with the rows that bound them."""
    from tidelake.metrics.quantile_bounds import row_bounds  # with numpy, which most questions do not need

    share = question.metric.quantile or 0.5
    bounds = row_bounds(question.gold, dated(facts, names), names, found, share=share, query=question.rows_of)
    told = [bounds.get(tuple(row[key] for key in ("period_start", *names)), (None, None)) for row in found]
    return [row | dict(zip(("ci_low", "ci_high"), pair, strict=True)) for row, pair in zip(found, told, strict=True)]


def _counted_at_once(question: Question, sql: str, limit: int) -> list[dict[str, Any]] | None:
    """The numbers by one dimension, where rows need only be counted; None where it has too many values for that.

    That saves to look first how many values there are: beyond `limit` of them, no more rows are made than were asked.
    """
    if len(question.by) != 1 or not _is_counted_once(question):
        return None
    most = limit * len(question.periods)
    found = question.rows_of(f"SELECT * FROM ({sql}) AS numbers ORDER BY period_start, s0 LIMIT {most + 1}")
    return found if len(found) <= most and len({row["s0"] for row in found}) <= limit else None


def _is_counted_once(question: Question) -> bool:
    """Whether an actor has one row in each period and segment."""
    metric = question.metric
    is_plain = metric.kind == "distinct" and (metric.window_days or 1) == 1 and question.grain == "day"
    return is_plain and _only(question.facts()).is_distinct


def select_of(question: Question, rows: str, segments: Sequence[str], *, is_merged: bool = False) -> str:
    """The SELECT of the values by period and segment.

    Args:
        is_merged: Several values of a dimension were given one name, so that rows may stand twice.
    """
    metric, edge = question.metric, question.edge if segments else None
    if edge is not None and metric.kind == "distinct":
        if (metric.window_days or 0) > 1:
            return rolling_edge_sql(rows, segments, window_days=metric.window_days or 1, edge=edge)
        if question.grain != "day":
            return edge_distinct_sql(rows, segments, edge=edge)
    if metric.kind == "distinct" and (metric.window_days or 0) > 1:
        spans = _only(question.facts()).spans
        return rolling_distinct_sql(rows, segments, window_days=metric.window_days or 1, spans=spans)
    if metric.kind == "distinct":
        return distinct_sql(rows, segments, is_counted_once=not is_merged and _is_counted_once(question))
    if metric.kind == "mean_of_days":
        return mean_of_days_sql(rows, segments)
    if metric.numerator is not None:
        return ratio_sql(rows, segments, actor_counts_once=counts_once(question))
    if metric.kind == "ratio":
        return mean_sql(rows, segments)
    if metric.kind == "quantile":
        return quantile_sql(dated(rows, segments), segments, quantile=metric.quantile or 0.5)
    if metric.kind == "typical":
        bounds = {"at_least": metric.at_least, "below": metric.below}
        return typical_sql(rows, segments, quantile=metric.quantile or 0.5, **bounds)
    return sum_sql(rows, segments)


def counts_once(question: Question) -> tuple[bool, bool]:
    """Whether an actor counts once in a period above, and below, the line of a ratio of two metrics."""
    above, below = (part.kind == "distinct" for part in parts_of(question.metric, question.known).values())
    return above, below


def limited_rows(
    question: Question, facts: Any, limit: int, kept: Kept | None = None
) -> tuple[str, dict[int, list[str]], list[str]]:
    """The facts with the smallest values of each dimension put together, those that are kept, and what to say."""
    rows, said = facts.rows(), []
    chosen: dict[int, list[str]] = {}
    for index, name in enumerate(question.by):
        column = facts.segments[index]
        if kept is None:
            values, top = _largest(question, rows, column, limit)
            if values <= limit:
                continue
            said.append(f"{name} has {values} values: the {limit} largest are shown, the others are {OTHER}.")
        elif index in kept:
            top = list(kept[index])
        else:
            continue
        chosen[index] = top
        question.gold.temp(f"metric_top_{index}", _values_table(top))
        others = [f"facts.{other}" for other in facts.segments if other != column]
        columns = ["facts.day", *others, *(f"facts.{more}" for more in facts.carried)]
        rows = (
            f"SELECT {', '.join(columns)}, coalesce(top.segment, '{OTHER}') AS {column} FROM ({rows}) AS facts "
            f"LEFT JOIN temp.metric_top_{index} AS top ON top.segment = facts.{column}"
        )
    return rows, chosen, said


def _largest(question: Question, rows: str, column: str, limit: int) -> tuple[int, list[str]]:
    """How many values a segment has, and its largest by what the metric adds up, else by rows."""
    is_pair = question.metric.numerator is not None
    weight = "sum(x)" if is_pair else "sum(amount)" if question.metric.kind == "sum" else "count(*)"
    grouped = f"SELECT {column} AS segment, {weight} AS weight FROM ({rows}) AS facts GROUP BY {column}"
    values = question.rows_of(f"SELECT count(*) AS n FROM ({grouped}) AS counted")[0]["n"]
    if values <= limit:
        return values, []
    found = question.rows_of(f"{grouped} ORDER BY weight DESC NULLS LAST, segment LIMIT {limit}")
    return values, [row["segment"] for row in found]


def _values_table(values: Sequence[str]) -> Any:
    import pyarrow as pa

    return pa.table({"segment": pa.array(values, pa.string())})


# --- rows


def _unknown(question: Question) -> list[dict[str, Any]]:
    """A null a period."""
    none = dict.fromkeys((*NUMBERS, *question.by))
    return [{"period_start": first, "status": question.status(first), **none} for first in question.periods]


def _occurring(
    question: Question, facts: str, names: Sequence[str], found: list[dict[str, Any]]
) -> list[tuple[Any, ...]]:
    """The segments that occur, also on dates that do not stand for their period, or with nobody who counts."""
    is_represented = question.metric.is_rolling and question.grain != "day"
    if names and (is_represented or question.metric.kind == "typical"):
        found = question.rows_of(f"SELECT DISTINCT {', '.join(names)} FROM ({facts}) AS facts")
    return sorted({tuple(row[name] for name in names) for row in found}) if names else [()]


def _filled(
    question: Question, found: list[dict[str, Any]], segments: Sequence[tuple[Any, ...]]
) -> list[dict[str, Any]]:
    """A row for every period and every segment that occurs: 0 where received, null where not."""
    names = question.facts().segments
    by_key = {(row["period_start"], *(row[name] for name in names)): row for row in found}
    shares = question.metric.numerator is not None and all(counts_once(question))
    rows = []
    for first, span in question.periods.items():
        status, received = question.status(first), question.is_received(span)
        for values in segments:
            row = by_key.get((first, *values))
            numbers = {name: row[name] for name in NUMBERS} if row else _empty(question, span, received=received)
            if not received:
                numbers = dict.fromkeys(NUMBERS)
            if shares and received:
                numbers |= _share_bounds(numbers)
            if question.metric.unit == "share" and 0 <= (numbers["value"] or 0) <= 1:
                low, high = within_one((numbers["ci_low"], numbers["ci_high"]))
                numbers |= {"ci_low": low, "ci_high": high}
            rows.append(
                {"period_start": first, "status": status, **dict(zip(question.by, values, strict=True)), **numbers}
            )
    return rows


def _share_bounds(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Wilson's interval where each actor counts once above and below."""
    top, bottom = numbers["numerator"], numbers["denominator"]
    if not bottom or top is None or top > bottom:
        return {}
    from tidelake.metrics.intervals import wilson  # with numpy, which most questions do not need

    low, high = wilson(top, bottom)
    return {"ci_low": low, "ci_high": high}


def _empty(question: Question, span: tuple[date, date], *, received: bool) -> dict[str, Any]:
    numbers: dict[str, Any] = dict.fromkeys(NUMBERS)
    metric = question.metric
    counted = len(question.counted_days(span)) if received and metric.kind == "mean_of_days" else 0
    if counted:
        numbers |= {"value": 0.0, "numerator": 0.0, "denominator": float(counted), "n": counted}
    if received and metric.kind in ("sum", "distinct", "typical") and not _has_every_zero(question):
        numbers |= {"value": 0.0, "numerator": 0.0, "n": 0}
    if received and metric.kind == "ratio":
        numbers |= {"numerator": 0.0, "denominator": 0.0, "n": 0}
    return numbers


def _has_every_zero(question: Question) -> bool:
    """Whether gold has a row for every zero: where it has none, the number is null, not 0."""
    return bool(question.by) and question.facts().tables == ["gold.entity_day"]


# --- totals


def _totals(question: Question, found: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    if question.metric.kind not in ("sum", "distinct", "typical"):
        return None
    whole_of = replace(question, by=()).without_dates_behind()  # it may be read from another table
    total = _told_by_files(whole_of)
    if total is None:
        plain = question.rows_of(select_of(whole_of, _only(whole_of.facts()).rows(), []))
        total = {row["period_start"]: row["value"] for row in plain}
    parts: dict[date, float] = {}
    for row in found:
        parts[row["period_start"]] = parts.get(row["period_start"], 0.0) + (row["value"] or 0.0)
    rows = []
    for first, span in question.periods.items():
        whole = total.get(first, 0.0) if whole_of.is_received(span) else None
        summed = parts.get(first, 0.0) if whole is not None else None
        rows.append(
            {
                "period_start": first,
                "total": whole,
                "sum_of_segments": summed,
                "overlap": None if whole is None or summed is None else summed - whole,
                "status": whole_of.status(first),
            }
        )
    return rows


def _told_by_files(question: Question) -> dict[date, float | None] | None:
    """Active actors of each date, where the table's list of files says so: gold.user_day has a row an actor and date.

    None where rows must be looked at: where some file does not say that each of its rows was active.
    """
    if not _is_counted_once(question) or question.facts().tables != ["gold.user_day"]:
        return None
    found: dict[date, float | None] = {}
    for file in question.gold.lake.files("gold.user_day"):
        day = date.fromisoformat(file.partition["activity_date"] or "")
        if day in question.periods:
            if (file.minimum.get("active_event_count") or 0) < 1:
                return None
            found[day] = (found.get(day) or 0.0) + file.records
    return found


def _only(facts: Any) -> Facts:
    assert isinstance(facts, Facts)
    return facts


def _total_notes(question: Question, totals: list[dict[str, Any]] | None) -> list[str]:
    if totals is None or question.metric.is_additive or question.edge is not None:
        return []
    known = [row for row in totals if row["total"] is not None]
    complete = [row for row in known if row["status"] == "complete"] or known
    if not complete:
        return []
    row = complete[-1]
    numbers = f"total {row['total']:,.0f}, sum of segments {row['sum_of_segments']:,.0f}"
    return [f"{row['period_start']}: {numbers}, overlap {row['overlap']:,.0f} (an actor may count in several)."]


def _notes(question: Question) -> list[str]:
    notes, metric = [], question.metric
    if question.observed.first is None:
        notes.append("The lake holds no rows for this metric yet.")
    if metric.is_rolling and question.grain != "day":
        notes.append(
            f"{metric.name} of a {question.grain} is the value of its last complete day; "
            f"average_dau is the mean of the days, active_users counts everybody of the {question.grain} once."
        )
    if question.unknown:
        notes.append(question.unknown)
    named = question.gold.events.attributes.in_text(question.where.sql) if question.where is not None else []
    notes += attribute_notes(question.gold, [*question.by, *named])
    facts = {part.fact for part in (metric, *parts_of(metric, question.known).values())}
    if "session" in facts and any(name in question.gold.project.dimensions for name in question.by):
        notes.append("A session counts for the value at its first event.")
    if "session" in facts:
        notes += session_notes(question.gold, question.by)
    return notes
