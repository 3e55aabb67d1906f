"""Ordered funnels in one sort: every actor's best attempt, on engines whose windows follow the order of a subquery.

All events are sorted once, by one number that orders by actor and then by time, and go by backwards. What follows an
event is then a running minimum over the rows that went by, without a sort or a partition a step. The numbers of two
actors lie further apart than the window is long, so that no event of one can be within another's window.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidelake.metrics.kinds.funnel import Chain

TIED, BROKEN = 1, 2  # what `fault` says
_RUNNING = "OVER (ROWS UNBOUNDED PRECEDING)"
_BIGINT = 2**63


@dataclass(frozen=True)
class Stream:
    """Where the events of an ordered funnel lie.

    Attributes:
        rows: SELECT of events with the flags of the chain's steps.
        codes: Table of `actor_id` and `code`, a number from 1 of each actor that enters.
        actors: The greatest code.
        begin: Microseconds before any event.
        length: Microseconds in which all events lie.
        entry: Condition for an event to begin an attempt.
        closed_until: Microseconds; an entry whose window ends later is open.
        is_disjoint: No event is of two steps.
    """

    rows: str
    codes: str
    actors: int
    begin: int
    length: int
    entry: str
    closed_until: int
    is_disjoint: bool


def best_attempts_sql(chain: Chain, stream: Stream) -> str:
    """The best attempt of each actor that enters: the entry that gets deepest, of equals the earliest.

    Grain: one row an actor with an entry. Columns: code, open_entries, depth (null where all entries are open), t
    (microseconds of the entry), `d2`, `d3` ... (microseconds from it to each step; only those up to `depth` mean
    anything), and `fault`: `TIED` where events of different steps share an instant, so that their order is not that of
    time alone, `BROKEN` where rows did not come in order: no number may be taken then.
    """
    stride = stream.length + chain.window + 1
    kind = "BIGINT" if (stream.actors + 1) * stride < _BIGINT else "HUGEINT"
    bits = [f"CASE WHEN {stream.entry} THEN 1 ELSE 0 END"]
    bits += [f"CASE WHEN f{step} THEN {1 << (step - 1)} ELSE 0 END" for step in chain.later]
    rows = (
        f"SELECT CAST(codes.code AS {kind}) * {stride} + (epoch_micros(event_time) - {stream.begin}) AS k, "
        f"CAST({' + '.join(bits)} AS INTEGER) AS bits FROM ({stream.rows}) AS flagged "
        f"JOIN {stream.codes} AS codes ON codes.actor_id = flagged.actor_id"
    )
    found = f"SELECT k, bits FROM ({rows}) AS numbered WHERE bits <> 0 ORDER BY k DESC"
    nexts = {step: "k" for step in chain.later}  # the step that a chain begins with: how far it gets
    ends = list[str]()
    for level in chain.later:
        # `c{step}` of this level: the instant of step `step` of the chain that begins `level - 2` steps before it.
        windows = [
            f"min({nexts[step]}) FILTER (WHERE {_is_of(stream, step - level + 2)}) {_RUNNING} AS c{level}_{step}"
            for step in range(level, chain.steps + 1)
        ]
        fault = "fault" if level > 2 else f"{_fault(stream)} AS fault"
        found = f"SELECT {', '.join(['k', 'bits', fault, *ends, *windows])} FROM ({found}) AS after_{level}"
        made = [f"c{level}_{step}" for step in range(level, chain.steps + 1)]
        if not stream.is_disjoint:  # an event does not follow itself
            before = [f"lag({name}) OVER () AS {name}" for name in made]
            found = f"SELECT {', '.join(['k', 'bits', 'fault', *ends, *before])} FROM ({found}) AS before_{level}"
        ends.append(made[0])
        needed = [_is_of(stream, step) for step in range(1, chain.steps - level + 2)]
        found = f"SELECT * FROM ({found}) AS all_{level} WHERE fault <> 0 OR {' OR '.join(needed)}"
        nexts = {step: f"c{level}_{step}" for step in range(level + 1, chain.steps + 1)}
    return _best(chain, stream, found, ends, stride)


def _is_of(stream: Stream, step: int) -> str:
    bit = 1 << (step - 1)
    return f"bits = {bit}" if stream.is_disjoint else f"(bits & {bit}) <> 0"


def _fault(stream: Stream) -> str:
    """Of two rows at one instant; those of one and the same single step are alike, and need no order."""
    alike = "bits = lag(bits) OVER ()" + ("" if stream.is_disjoint else " AND (bits & (bits - 1)) = 0")
    return (
        f"CASE WHEN k > lag(k) OVER () THEN {BROKEN} "
        f"WHEN k = lag(k) OVER () AND NOT ({alike}) THEN {TIED} ELSE 0 END"
    )


def _best(chain: Chain, stream: Stream, rows: str, ends: list[str], stride: int) -> str:
    """One row an actor, of its entries with the instants at which their chains get to each later step."""
    depth = " + ".join(f"CASE WHEN {end} - k <= {chain.window} THEN 1 ELSE 0 END" for end in ends)
    entries = (
        f"SELECT k // {stride} AS code, CAST(k % {stride} AS BIGINT) AS place, fault, "
        f"{_is_of(stream, 1)} AS is_entry, k % {stride} > {stream.closed_until - chain.window - stream.begin} "
        f"AS is_open, {', '.join(f'coalesce({end} - k, 0) AS d{step}' for step, end in enumerate(ends, start=2))}, "
        f"{depth} AS later FROM ({rows}) AS entries"
    )
    counted = "FILTER (WHERE is_entry AND NOT is_open)"
    score = f"({len(ends)} - later) * {stride} + place"  # the deepest has the least, of equals the earliest
    took = ", ".join(f"arg_min(CAST(d{step} AS BIGINT), {score}) {counted} AS d{step}" for step in chain.later)
    best = (
        f"SELECT code, count(*) FILTER (WHERE is_entry AND is_open) AS open_entries, min({score}) {counted} AS score, "
        f"{took}, max(fault) AS fault FROM ({entries}) AS scored GROUP BY code"
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
        seconds = f"CASE WHEN depth >= {step} THEN d{step} / 1000000 END"
        columns += [
            f"count(*) FILTER (WHERE depth >= {step}) AS n{step}",
            f"quantile_linear({seconds}, 0.5) AS median{step}",
            f"quantile_linear({seconds}, 0.9) AS p90_{step}",
        ]
    return f"SELECT {period} AS period_start, {', '.join(columns)} FROM ({best}) AS best"


def again_sql(chain: Chain, attempts: str) -> str:
    """`best_attempts_sql`'s rows out of those of `attempts_sql`, for actors whose events need their whole order."""
    closed = "FILTER (WHERE NOT is_open)"
    depth = " + ".join(["1", *(f"CASE WHEN t{step} IS NULL THEN 0 ELSE 1 END" for step in chain.later)])
    took = ", ".join(f"min(greatest(t{step} - t, 0)) {closed} AS d{step}" for step in chain.later)
    return (
        f"SELECT count(*) FILTER (WHERE is_open) AS open_entries, max({depth}) {closed} AS depth, min(t) {closed} AS t, "
        f"{took} FROM ({attempts}) AS attempts GROUP BY actor_id"
    )
