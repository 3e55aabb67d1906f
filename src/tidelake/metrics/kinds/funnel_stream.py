"""Ordered funnels in one sort: every actor's best attempt, on engines whose windows follow the order of a subquery.

All events are sorted once, by one number that orders by actor and then by time, and go by backwards. What follows an
event is then the last of its kind that went by, without a sort or a partition a step. The numbers of two
actors lie further apart than the window is long, so that no event of one can be within another's window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tidelake.metrics.kinds.funnel import Chain

TIED, BROKEN = 1, 2  # what `fault` says
_RUNNING = "OVER (ROWS UNBOUNDED PRECEDING)"
_BIGINT = 2**63
_BITS_OF_A_BYTE = 8


@dataclass(frozen=True)
class Stream:
    """Where the events of an ordered funnel lie.

    Attributes:
        rows: SELECT of events, with the steps they are of as bits of `mark`.
        codes: Table of `actor_id` and `code`, a number from 1 of each actor that enters.
        actors: The greatest code.
        begin: Microseconds up to which no event lies.
        end: Microseconds from which on no event lies.
        entries_end: Microseconds from which on no entry counts.
        closed_until: Microseconds; an entry whose window ends later is open.
        may_overlap: Whether an event may be of two steps.
    """

    rows: str
    codes: str
    actors: int
    begin: int
    end: int
    entries_end: int
    closed_until: int
    may_overlap: bool


def best_attempts_sql(chain: Chain, stream: Stream) -> str:
    """The best attempt of each actor that enters: the entry that gets deepest, of equals the earliest.

    Grain: one row an actor with an entry. Columns: code, open_entries, depth (null where all entries are open), t
    (microseconds of the entry), `d2`, `d3` ... (microseconds from it to each step; only those up to `depth` mean
    anything), and `fault`: `TIED` where events of different steps share an instant, so that their order is not that of
    time alone, `BROKEN` where rows did not come in order: no number may be taken then.
    """
    stride = stream.end - stream.begin + chain.window + 1
    wide = "BIGINT" if (stream.actors + 1) * stride < _BIGINT else "HUGEINT"
    small = "UTINYINT" if chain.steps <= _BITS_OF_A_BYTE else "INTEGER"
    found = (
        f"SELECT CAST(codes.code AS {wide}) * {stride} + (epoch_micros(event_time) - {stream.begin}) AS k, "
        f"CAST(mark AS {small}) AS mark FROM ({stream.rows}) AS events "
        f"JOIN {stream.codes} AS codes ON codes.actor_id = events.actor_id ORDER BY k DESC, mark DESC"
    )
    found = f"SELECT *, lag(k) OVER () AS k_after, lag(mark) OVER () AS mark_after FROM ({found}) AS in_order"
    before = dict.fromkeys(chain.later, "k")
    kept = ["k", "mark", f"{_fault(stream)} AS fault"]
    for level in chain.later:
        # Of this level `c{step}` is the instant of a step of the chain that begins `level - 2` steps before it.
        steps = range(level, chain.steps + 1)
        values = [f"CASE WHEN {_is_of(stream, step - level + 2)} THEN {before[step]} END" for step in steps]
        made = [f"c{level}_{step}" for step in steps]
        listed = [
            f"last_value({value} IGNORE NULLS) {_RUNNING} AS {name}" for value, name in zip(values, made, strict=True)
        ]
        found = f"SELECT {', '.join([*kept, *listed])} FROM ({found}) AS before_{level}"
        kept = ["k", "mark", "fault", *(f"c{step}_{step}" for step in range(2, level))]
        if stream.may_overlap:  # an event does not follow itself
            listed = [f"lag({name}) OVER () AS {name}" for name in made]
            found = f"SELECT {', '.join([*kept, *listed])} FROM ({found}) AS with_itself_{level}"
        kept.append(made[0])
        needed = " OR ".join(_is_of(stream, step) for step in range(1, chain.steps - level + 2))
        found = f"SELECT * FROM ({found}) AS all_{level} WHERE fault <> 0 OR {needed}"
        before = dict(zip(steps, made, strict=True))
    return _best(chain, stream, found, kept[3:], stride)


def _is_of(stream: Stream, step: int) -> str:
    bit = 1 << (step - 1)
    return f"(mark & {bit}) <> 0" if stream.may_overlap else f"mark = {bit}"


def _fault(stream: Stream) -> str:
    """Of two rows at one instant; those of one and the same single step are alike, and need no order."""
    alike = "mark = mark_after" + (" AND (mark & (mark - 1)) = 0" if stream.may_overlap else "")
    return f"CASE WHEN k > k_after THEN {BROKEN} WHEN k = k_after AND NOT ({alike}) THEN {TIED} ELSE 0 END"


def _best(chain: Chain, stream: Stream, rows: str, ends: list[str], stride: int) -> str:
    """One row an actor, of its entries with the instants at which their chains get to each later step."""
    later = " + ".join(f"CASE WHEN {end} - k <= {chain.window} THEN 1 ELSE 0 END" for end in ends)
    took = ", ".join(f"coalesce({end} - k, 0) AS d{step}" for step, end in enumerate(ends, start=2))
    counts_before = stream.entries_end - stream.begin
    open_from = stream.closed_until - chain.window - stream.begin
    placed = (
        f"SELECT k // {stride} AS code, CAST(k % {stride} AS BIGINT) AS place, {_is_of(stream, 1)} AS is_entry, "
        f"fault, {took}, {later} AS later FROM ({rows}) AS entries"
    )
    # The deepest has the least score, of equals the earliest; what does not count has none, which `arg_min` passes by.
    score = f"CASE WHEN is_entry AND place < {min(counts_before, open_from + 1)} "
    score += f"THEN ({len(ends)} - later) * {stride} + place END"
    waits = f"CASE WHEN is_entry AND place < {counts_before} AND place > {open_from} THEN 1 ELSE 0 END"
    took = ", ".join(f"arg_min(CAST(d{step} AS BIGINT), score) AS d{step}" for step in chain.later)
    best = (
        f"SELECT code, sum(waits) AS open_entries, min(score) AS score, {took}, max(fault) AS fault "
        f"FROM (SELECT *, {score} AS score, {waits} AS waits FROM ({placed}) AS placed) AS scored GROUP BY code"
    )
    return (
        f"SELECT CAST(code AS BIGINT) AS code, open_entries, {chain.steps} - score // {stride} AS depth, "
        f"score % {stride} + {stream.begin} AS t, {', '.join(f'd{step}' for step in chain.later)}, fault "
        f"FROM ({best}) AS best"
    )


def best_counts_sql(chain: Chain, best: str, *, period: str) -> str:
    """What `counts_sql` gives, of the rows of `best_attempts_sql`."""
    columns = ["count(depth) AS n1", "coalesce(CAST(sum(open_entries) AS BIGINT), 0) AS open_entries"]
    for step in chain.later:
        both = _seconds(step, [0.5, 0.9])
        columns += [
            f"count(*) FILTER (WHERE depth >= {step}) AS n{step}",
            f"{both}[1] AS median{step}",
            f"{both}[2] AS p90_{step}",
        ]
    return f"SELECT {period} AS period_start, {', '.join(columns)} FROM ({best}) AS best"


def best_seconds_sql(best: str, shares: Mapping[int, Sequence[float | None]]) -> str | None:
    """Quantiles of the seconds to steps in one row, `q2_0`, `q2_1` ... by step and place in `shares`; None for none."""
    columns = []
    for step, own in shares.items():
        known = [share for share in own if share is not None]
        places = [place for place, share in enumerate(own) if share is not None]
        columns += [f"{_seconds(step, known)}[{at}] AS q{step}_{place}" for at, place in enumerate(places, start=1)]
    return f"SELECT {', '.join(columns)} FROM ({best}) AS best" if columns else None


def _seconds(step: int, shares: Sequence[float]) -> str:
    """Quantiles of the seconds to a step as a list, for which the engine sets them aside once."""
    return f"quantile_linear(CASE WHEN depth >= {step} THEN d{step} / 1000000 END, {list(shares)!r})"


def again_sql(chain: Chain, attempts: str) -> str:
    """`best_attempts_sql`'s rows out of those of `attempts_sql`, for actors whose events need their whole order."""
    closed = "FILTER (WHERE NOT is_open)"
    depth = " + ".join(["1", *(f"CASE WHEN t{step} IS NULL THEN 0 ELSE 1 END" for step in chain.later)])
    took = ", ".join(f"min(greatest(t{step} - t, 0)) {closed} AS d{step}" for step in chain.later)
    return (
        f"SELECT count(*) FILTER (WHERE is_open) AS open_entries, max({depth}) {closed} AS depth, "
        f"min(t) {closed} AS t, {took} FROM ({attempts}) AS attempts GROUP BY actor_id"
    )
