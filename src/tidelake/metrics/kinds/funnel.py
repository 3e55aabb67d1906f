"""Funnels as SQL: what each entry reached by windows over an actor's events, without a self-join.

The events of `rows` carry a flag a step (`f1`, `f2` ...), a flag an exclusion (`x1` ...), the held columns (`h0` ...)
and the values to cut by (`s0` ...). Of an ordered funnel only the earliest chain counts: after an event of step i the
first later event of step i + 1. The instant at which a chain gets somewhere never falls when it starts later, so what
an event reaches is the minimum over the later events of the next step of what they reach: one window a step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Order = Literal["ordered", "strict", "any"]
_NEVER = "9223372036854775807"


@dataclass(frozen=True)
class Chain:
    """How the events of one actor make attempts.

    Attributes:
        steps: Number of steps.
        window: Microseconds from the first step within which the others must come.
        simultaneity: Microseconds that a step may come before the one that it follows.
        gaps: For each exclusion, the steps after which it ends an attempt: 1 = between step 1 and 2.
        held: Columns that are the same in all events of an attempt.
        carried: Columns with the entry's values.
        needs_places: Whether to say which event filled each step.
    """

    steps: int
    window: int
    order: Order = "ordered"
    simultaneity: int = 0
    gaps: Mapping[str, range] | None = None
    held: tuple[str, ...] = ()
    carried: tuple[str, ...] = ()
    needs_places: bool = False

    @property
    def later(self) -> range:
        """The steps after the first."""
        return range(2, self.steps + 1)

    @property
    def flags(self) -> list[str]:
        return [f"f{step}" for step in range(1, self.steps + 1)]

    @property
    def excluding(self) -> dict[int, str]:
        """For each step that exclusions follow, the condition for one."""
        found: dict[int, list[str]] = {}
        for flag, steps in (self.gaps or {}).items():
            for step in steps:
                found.setdefault(step, []).append(flag)
        return {step: f"({' OR '.join(flags)})" for step, flags in found.items() if step < self.steps}

    @property
    def keys(self) -> str:
        """What an attempt's events share."""
        return ", ".join(["actor_id", *self.held])


def places_sql(chain: Chain, rows: str, *, order: str) -> str:
    """The events with their place among the actor's (`place`, from 1) and their microseconds (`t`).

    Args:
        chain: How attempts are made.
        rows: SELECT of events, with the flags.
        order: The total order of an actor's events.
    """
    columns = ["actor_id", *chain.held, *chain.carried, "event_date", *chain.flags, *(chain.gaps or {})]
    known = "".join(f" AND {name} IS NOT NULL" for name in chain.held)
    return (
        f"SELECT {', '.join(columns)}, epoch_micros(event_time) AS t, "
        f"row_number() OVER (PARTITION BY actor_id ORDER BY {order}) AS place "
        f"FROM ({rows}) AS chosen WHERE TRUE{known}"
    )


def entries_sql(chain: Chain, placed: str, *, within: str, closed_until: int) -> str:
    """What each entry reached.

    Grain: one row per event that begins an attempt: of step 1, or for `any` of any step. Columns: actor_id, held and
    carried ones, event_date, place, t, is_open, and for each later step `t2` ... its microseconds (null where it was
    not reached, or the entry is open), with `needs_places` also `place2` ...

    Args:
        chain: How attempts are made.
        placed: A SELECT or a table of `places_sql`'s rows.
        within: Condition for dates on which an entry may lie.
        closed_until: Microseconds; an entry whose window ends later is open.
    """
    entry = f"({' OR '.join(chain.flags) if chain.order == 'any' else 'f1'}) AND {within}"
    if chain.order == "any":
        reached = _any_sql(chain, placed, entry)
    elif chain.order == "strict":
        reached = _strict_sql(chain, placed)
    else:
        reached = _ordered_sql(chain, placed, entry)
    listed = ["actor_id", *chain.held, *chain.carried, "event_date", "place", "t"]
    is_open = f"t > {closed_until - chain.window}"
    columns = [*listed, f"{is_open} AS is_open"]
    alive = f"NOT {is_open}"
    excluding = chain.excluding if chain.order == "ordered" else {}
    for step in chain.later:
        alive += f" AND v{step} - t <= {chain.window}"
        if step - 1 in excluding:
            alive += f" AND coalesce(y{step - 1} >= p{step}, TRUE)"
        columns.append(f"CASE WHEN {alive} THEN v{step} END AS t{step}")
        if chain.needs_places:
            columns.append(f"CASE WHEN {alive} THEN p{step} END AS place{step}")
    return f"SELECT {', '.join(columns)} FROM ({reached}) AS reached WHERE {entry}"


def _ordered_sql(chain: Chain, placed: str, entry: str) -> str:
    """Per event of step 1 the earliest instants `v2` ... (places `p2` ..., next exclusions `y1` ...) of its chain."""
    by_place = f"PARTITION BY {chain.keys} ORDER BY place"
    after = f"{by_place} ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING"
    before = f"{by_place} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
    if chain.simultaneity:
        by_time = f"PARTITION BY {chain.keys} ORDER BY t RANGE BETWEEN"
        following = f"{by_time} {chain.simultaneity} PRECEDING AND UNBOUNDED FOLLOWING"
        before = f"{by_time} UNBOUNDED PRECEDING AND {chain.simultaneity * chain.steps} FOLLOWING"
    else:
        following = after
    excluding = chain.excluding
    with_places = chain.needs_places or bool(excluding)
    kept = ["actor_id", *chain.held, *chain.carried, "event_date", "place", "t", *(chain.gaps or {})]
    started = f"max(CASE WHEN {entry} THEN t END) OVER ({before}) AS started"
    rows, condition, values = placed, "TRUE", list[str]()
    for step in range(chain.steps - 1, 0, -1):
        made = {f"v{step + 1}": "t"} | ({f"p{step + 1}": "place"} if with_places else {})
        made |= {name: name for name in values}
        windows = [
            f"min(CASE WHEN f{step + 1} THEN {of} END) OVER ({following}) AS {name}" for name, of in made.items()
        ]
        if step in excluding:
            windows.append(f"min(CASE WHEN {excluding[step]} THEN place END) OVER ({after}) AS y{step}")
        columns = [*kept, *chain.flags[: step + 1]]
        is_first = step == chain.steps - 1
        rows = (
            f"SELECT {', '.join([*columns, *([started] if is_first else []), *windows])} "
            f"FROM ({rows}) AS of_step_{step + 1} WHERE {condition}"
        )
        needed = [*chain.flags[:step], *(chain.gaps or {})]
        condition = f"({' OR '.join(needed)})" + (f" AND t - started <= {chain.window}" if is_first else "")
        values = [*made, *([f"y{step}"] if step in excluding else [])]
    return rows if chain.steps > 1 else placed


def _strict_sql(chain: Chain, placed: str) -> str:
    """Per event the instants `v2` ... where the events right after it are of steps 2, 3 ..."""
    window = f"PARTITION BY {chain.keys} ORDER BY place"
    columns, alive = ["*"], []
    for step in chain.later:
        alive.append(f"coalesce(lead(f{step}, {step - 1}) OVER ({window}), FALSE)")
        condition = " AND ".join(alive)
        columns.append(f"CASE WHEN {condition} THEN lead(t, {step - 1}) OVER ({window}) END AS v{step}")
        columns.append(f"CASE WHEN {condition} THEN lead(place, {step - 1}) OVER ({window}) END AS p{step}")
    return f"SELECT {', '.join(columns)} FROM ({placed}) AS tracked"


def _any_sql(chain: Chain, placed: str, entry: str) -> str:
    """Per event the instants `v2` ... by which 2, 3 ... different steps were done, that of the event counted."""
    window = f"PARTITION BY {chain.keys} ORDER BY place ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING"
    kept = ["actor_id", *chain.held, *chain.carried, "event_date", "place", "t", *chain.flags]
    kinds = {"v": "t"} | ({"p": "place"} if chain.needs_places else {})
    firsts = [
        f"coalesce(min(CASE WHEN f{step} THEN {of} END) OVER ({window}), {_NEVER}) AS {kind}{step}"
        for kind, of in kinds.items()
        for step in range(1, chain.steps + 1)
    ]
    rows = f"SELECT {', '.join([*kept, *firsts])} FROM ({placed}) AS of_any"
    for layer in range(chain.steps):  # a sorting network: neighbours change places where they stand the wrong way round
        swapped = []
        for kind in kinds:
            step = 1
            if layer % 2:
                swapped.append(f"{kind}1")
                step = 2
            while step <= chain.steps:
                one, two = f"{kind}{step}", f"{kind}{step + 1}"
                if step == chain.steps:
                    swapped.append(one)
                else:
                    swapped += [f"least({one}, {two}) AS {one}", f"greatest({one}, {two}) AS {two}"]
                step += 2
        rows = f"SELECT {', '.join([*kept, *swapped])} FROM ({rows}) AS layer_{layer} WHERE {entry}"
    sorted_out = [f"nullif({kind}{step}, {_NEVER}) AS {kind}{step}" for kind in kinds for step in chain.later]
    return f"SELECT {', '.join([*kept, *sorted_out])} FROM ({rows}) AS in_order"


def attempts_sql(
    chain: Chain, entries: str, *, period: str, per: Sequence[str], attempt: Literal["best", "first"]
) -> str:
    """The entry that counts for each unit and period, and open entries: every one, of `first` those that would count.

    Columns: those of `entries_sql` and period_start.

    Args:
        chain: How attempts are made.
        entries: SELECT of `entries_sql`.
        period: The period of an entry, SQL over event_date.
        per: Columns of a unit, which counts once; none = every entry counts.
        attempt: `best` = the entry that got deepest, of equals the earliest; `first` = the earliest.
    """
    columns = ["actor_id", *chain.carried, "place", "t", "is_open", *(f"t{step}" for step in chain.later)]
    columns += [f"place{step}" for step in chain.later] if chain.needs_places else []
    listed = ", ".join([f"{period} AS period_start", *columns])
    if not per:
        return f"SELECT {listed} FROM ({entries}) AS entries"
    depth = " + ".join(["1", *(f"CASE WHEN t{step} IS NULL THEN 0 ELSE 1 END" for step in chain.later)])
    is_best = attempt == "best"
    parts = ", ".join([*per, period, *(["is_open"] if is_best else [])])
    return (
        f"SELECT {', '.join(['period_start', *columns])} FROM (SELECT {listed}, row_number() OVER ("
        f"PARTITION BY {parts} ORDER BY {f'{depth} DESC, place' if is_best else 'place'}) AS choice "
        f"FROM ({entries}) AS entries) AS ranked WHERE choice = 1{' OR is_open' if is_best else ''}"
    )


def touched_sql(
    chain: Chain,
    attempts: str,
    placed: str,
    columns: Sequence[str],
    touch: str | int,
    *,
    never: str,
    waiting: str,
) -> str:
    """The attempts with values of another step than the first as `s0` ...

    Args:
        chain: How attempts are made.
        attempts: Table of `attempts_sql`'s rows.
        placed: Table of `places_sql`'s rows, with `columns`.
        columns: Columns `s0` ... of the events.
        touch: `first` or `last` value that is known among the steps reached, or that of one step.
        never: What stands where that step was not reached.
        waiting: What stands for open entries, of which it is not known.
    """
    steps = range(1, chain.steps + 1)
    parts = " UNION ALL ".join(
        f"SELECT actor_id, place AS entry_place, {step} AS step, place{'' if step == 1 else step} AS place "
        f"FROM {attempts}"
        for step in steps
    )
    order = list(steps) if touch == "first" else list(reversed(steps)) if touch == "last" else [int(touch)]
    values = ", ".join(
        f"coalesce({', '.join(f'max(CASE WHEN step = {step} THEN {name} END)' for step in order)}, NULL) AS {name}"
        for name in columns
    )
    found = (
        f"SELECT parts.actor_id, parts.entry_place, {values} FROM ({parts}) AS parts JOIN {placed} AS events "
        "ON events.actor_id = parts.actor_id AND events.place = parts.place "
        "GROUP BY parts.actor_id, parts.entry_place"
    )
    reached = "TRUE" if touch in ("first", "last", 1) else f"attempts.t{touch} IS NOT NULL"
    waits = "" if touch in ("first", "last", 1) else f"WHEN attempts.is_open THEN '{waiting}' "
    shown = ", ".join(f"CASE {waits}WHEN {reached} THEN found.{name} ELSE '{never}' END AS {name}" for name in columns)
    own = ["period_start", "actor_id", "place", "t", "is_open", *(f"t{step}" for step in chain.later)]
    return (
        f"SELECT {', '.join(f'attempts.{name}' for name in own)}, {shown} FROM {attempts} AS attempts "
        f"JOIN ({found}) AS found ON found.actor_id = attempts.actor_id AND found.entry_place = attempts.place"
    )


def counts_sql(chain: Chain, attempts: str, segments: Sequence[str]) -> str:
    """Units at each step by period and segment: `n1` ..., `open_entries`, seconds to each: `median2`, `p90_2` ..."""
    keys = ", ".join(["period_start", *segments])
    columns = ["count(*) FILTER (WHERE NOT is_open) AS n1", "count(*) FILTER (WHERE is_open) AS open_entries"]
    for step in chain.later:
        seconds = f"CASE WHEN t{step} >= t THEN t{step} - t WHEN t{step} < t THEN 0 END / 1000000"
        columns += [
            f"count(t{step}) AS n{step}",
            f"quantile_linear({seconds}, 0.5) AS median{step}",
            f"quantile_linear({seconds}, 0.9) AS p90_{step}",
        ]
    return f"SELECT {keys}, {', '.join(columns)} FROM ({attempts}) AS attempts GROUP BY {keys}"


def seconds_sql(chain: Chain, attempts: str, segments: Sequence[str]) -> str:
    """Seconds to each later step that was reached: one row a unit and step, `amount`, with `step` as text."""
    keys = ", ".join(["period_start", *segments])
    return " UNION ALL ".join(
        f"SELECT {keys}, '{step}' AS step, actor_id, CASE WHEN t{step} >= t THEN t{step} - t ELSE 0 END / 1000000 "
        f"AS amount FROM {attempts} AS attempts WHERE t{step} IS NOT NULL"
        for step in chain.later
    )


def moments_sql(chain: Chain, attempts: str, segments: Sequence[str]) -> str:
    """Sums over actors of what the delta method needs: `actors`, `xx`, and for each later step `yy2`, `xy2` ..."""
    keys = ", ".join(["period_start", *segments])
    parts = ", ".join(f"count(t{step}) AS y{step}" for step in chain.later)
    sums = ", ".join(f"sum(y{step} * y{step}) AS yy{step}, sum(x * y{step}) AS xy{step}" for step in chain.later)
    return (
        f"SELECT {keys}, count(*) AS actors, sum(x * x) AS xx, {sums} FROM ("
        f"SELECT {keys}, actor_id, count(*) AS x, {parts} FROM ({attempts}) AS attempts WHERE NOT is_open "
        f"GROUP BY {keys}, actor_id) AS by_actor GROUP BY {keys}"
    )


def members_sql(chain: Chain, attempts: str, segments: Sequence[str]) -> str:
    """The actors behind each step's number: one row per period, segment, step and actor who entered.

    `in_numerator` and `in_denominator` count units: 1 each, more where an actor counts more than once.
    """
    keys = ", ".join(["period_start", *segments])
    parts = " UNION ALL ".join(
        f"SELECT {keys}, {step} AS step, actor_id, CASE WHEN {'TRUE' if step == 1 else f't{step} IS NOT NULL'} "
        "THEN 1 ELSE 0 END AS reached FROM attempts"
        for step in range(1, chain.steps + 1)
    )
    return (
        f"WITH attempts AS (SELECT * FROM ({attempts}) AS chosen WHERE NOT is_open) "
        f"SELECT {keys}, step, actor_id, sum(reached) AS in_numerator, count(*) AS in_denominator "
        f"FROM ({parts}) AS parts GROUP BY {keys}, step, actor_id ORDER BY {keys}, step, actor_id"
    )
