"""What was served and what a model was fed: read from a log of served recommendations, where the project has one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidelake.analyses.canary.compare import codes
from tidelake.analyses.canary.drift import Counts
from tidelake.analyses.canary.reading import Release
from tidelake.analyses.canary.served import Servings
from tidelake.contracts.table import literal, quoted
from tidelake.engine.sql import columns_of
from tidelake.errors import UnknownNameError
from tidelake.gold.context import Gold
from tidelake.gold.sqltext import dates_condition, one_of, real
from tidelake.metrics.dimensions import segment

DEFAULT_LOG = "features"
FED = "temp.canary_fed"
BINS, VALUES = 10, 20  # deciles of the control's numbers; the most frequent texts
_ACTORS = ("actor_id", "user_id")
_TIMES = ("event_time", "timestamp")
_BESIDE = ("event_date", "source_position", "batch_id", "file_id")


@dataclass(frozen=True)
class Log:
    """A table with one row a served recommendation.

    Attributes:
        table: `silver.NAME`.
        actor: Its column of the actor.
        time: Its column of the instant.
        columns: All of its columns with their types.
        where: SQL: the rows of both sides, on the days that are compared.
    """

    gold: Gold
    table: str
    actor: str
    time: str
    columns: dict[str, pa.DataType]
    release: Release
    where: str

    def numbers(self, names: Sequence[str]) -> list[str]:
        """The features: those that are named, else every column of numbers."""
        for name in names:
            if name not in self.columns:
                raise UnknownNameError("column", name, self.columns, where=self.table)
        kinds = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean)
        found = [name for name, kind in self.columns.items() if name not in _BESIDE and any(one(kind) for one in kinds)]
        return list(names) or found


def find_log(
    gold: Gold, release: Release, days: Sequence[date], named: str | None, asked: str | None = None
) -> Log | str:
    """The log, or why there is none to test with.

    Args:
        asked: The question's condition, which must be over columns that the log has too.
        named: A source; None = `features`, where the project has it.

    Raises:
        UnknownNameError: There is no such source.
    """
    if named is not None and named not in gold.sources:
        raise UnknownNameError("source", named, gold.sources)
    name = named or DEFAULT_LOG
    schema = gold.lake.schema(f"silver.{name}") if name in gold.sources else None
    if schema is None:
        return f"not testable: no log of what was served and fed (a source `{name}` with rows)"
    columns = {field.name: field.type for field in schema}
    actor = next((one for one in _ACTORS if one in columns), None)
    time = next((one for one in _TIMES if one in columns), None)
    missing = [release.column] if release.column not in columns else []
    missing += ["user_id"] if actor is None else []
    missing += ["timestamp"] if time is None else []
    missing += [column for column in (columns_of(asked) if asked else ()) if column not in columns]
    if actor is None or time is None or missing:
        return f"not testable: column missing ({', '.join(missing)} in {name})"
    where = (
        f"{one_of(quoted(release.column), (release.new, release.control))} AND {quoted(actor)} IS NOT NULL "
        f"AND {dates_condition(f'local_date({quoted(time)})', list(days))}{f' AND ({asked})' if asked else ''}"
    )
    return Log(gold, f"silver.{name}", actor, time, columns, release, where)


# --- what was served


def servings_of(log: Log, title: str, names: Sequence[str]) -> tuple[Servings, pa.Table]:
    """What each actor was served by each side: the servings, and the segment of each row by name."""
    segments = "".join(f", {segment(name)} AS s{at}" for at, name in enumerate(names))
    grouped = "".join(f", {segment(name)}" for name in names)
    who = f"CAST({quoted(log.actor)} AS VARCHAR)"
    sql = (
        f"SELECT {quoted(log.release.column)} = {literal(log.release.new)} AS is_new, {who} AS actor_id, "
        f"CAST({quoted(title)} AS VARCHAR) AS title{segments}, count(*) AS served FROM {log.table} "
        f"WHERE {log.where} AND {quoted(title)} IS NOT NULL "
        f"GROUP BY {quoted(log.release.column)} = {literal(log.release.new)}, {who}, "
        f"CAST({quoted(title)} AS VARCHAR){grouped}"
    )
    order = ", ".join(["actor_id", "title", "is_new", *(f"s{at}" for at in range(len(names)))])
    return servings_from(log.gold.engine.query(f"SELECT * FROM ({sql}) AS served ORDER BY {order}"), names)


def played(
    gold: Gold, release: Release, days: Sequence[date], names: Sequence[str], asked: str | None = None
) -> tuple[Servings, pa.Table] | str:
    """What was played under each side, for want of a log of what was served; or why that is not known."""
    watch, events = gold.project.watch, gold.events
    if watch.content not in events.types or release.column not in events.types:
        return "not testable: column missing (a log of what was served, or the content of plays)"
    columns = list(dict.fromkeys([release.column, watch.content, *names]))
    chosen = f"{one_of('event_name', watch.play)} AND {one_of(quoted(release.column), (release.new, release.control))}"
    rows = events.select(columns=columns, where=f"{chosen} AND ({asked})" if asked else chosen)
    side = f"{quoted(release.column)} = {literal(release.new)}"
    segments = "".join(f", {segment(name)} AS s{at}" for at, name in enumerate(names))
    grouped = "".join(f", {segment(name)}" for name in names)
    title = f"CAST({quoted(watch.content)} AS VARCHAR)"
    sql = (
        f"SELECT {side} AS is_new, actor_id, {title} AS title{segments}, count(*) AS served FROM ({rows}) AS events "
        f"WHERE {quoted(watch.content)} IS NOT NULL AND {dates_condition('event_date', list(days))} "
        f"GROUP BY {side}, actor_id, {title}{grouped}"
    )
    order = ", ".join(["actor_id", "title", "is_new", *(f"s{at}" for at in range(len(names)))])
    return servings_from(gold.engine.query(f"SELECT * FROM ({sql}) AS served ORDER BY {order}"), names)


def servings_from(found: pa.Table, names: Sequence[str]) -> tuple[Servings, pa.Table]:
    """Servings and their segments from rows of `is_new, actor_id, title, s0 ..., served`."""
    servings = Servings(
        codes(found.column("actor_id")),
        np.asarray(found.column("is_new").to_numpy(zero_copy_only=False), dtype=bool),
        codes(found.column("title")),
        np.asarray(found.column("served").cast(pa.float64()).to_numpy(zero_copy_only=False)),
    )
    columns = [found.column(f"s{at}") for at in range(len(names))]
    return servings, pa.table(columns, names=list(names)) if names else pa.table({"all": found.column("title")})


# --- what it was fed


def fed(log: Log, features: Sequence[str], names: Sequence[str]) -> Iterator[tuple[str, str, str, Counts, Counts]]:
    """Of each feature, over all and by each value of each name: what the release and its control were fed.

    Yields:
        Feature, dimension (empty = over all), its value, the release's counts and its control's.
    """
    bins = {name: _bin(log, name) for name in features}
    listed = "".join(f", {segment(name)} AS s{at}" for at, name in enumerate(names))
    listed += "".join(f", {text} AS b{at}" for at, text in enumerate(bins.values()))
    log.gold.temp(
        FED.removeprefix("temp."),
        f"SELECT {quoted(log.release.column)} = {literal(log.release.new)} AS is_new, "
        f"CAST({quoted(log.actor)} AS VARCHAR) AS actor_id{listed} FROM {log.table} WHERE {log.where}",
    )
    for at, feature in enumerate(bins):
        for place, name in [(-1, ""), *enumerate(names)]:
            if name != feature:
                yield from _counted(log, feature, f"b{at}", name, f"s{place}" if name else "'all'")


def _counted(
    log: Log, feature: str, column: str, name: str, value: str
) -> Iterator[tuple[str, str, str, Counts, Counts]]:
    rows = (
        f"SELECT is_new, {value} AS value, actor_id, {column} AS bin, count(*) AS own FROM {FED} "
        f"GROUP BY is_new, actor_id, {column}{f', {value}' if name else ''}"
    )
    actor = "PARTITION BY is_new, value, actor_id"
    whole = (
        f"SELECT is_new, value, bin, own, sum(own) OVER ({actor}) AS whole, "
        f"row_number() OVER ({actor} ORDER BY bin) AS place FROM ({rows}) AS by_actor"
    )
    found = log.gold.query(
        "SELECT is_new, value, bin, CAST(sum(own) AS DOUBLE) AS fed, CAST(sum(own * own) AS DOUBLE) AS squares, "
        "CAST(sum(own * whole) AS DOUBLE) AS products, sum(CASE WHEN place = 1 THEN 1 ELSE 0 END) AS actors "
        f"FROM ({whole}) AS counted GROUP BY is_new, value, bin ORDER BY value, bin, is_new"
    )
    for one in sorted({row["value"] for row in found}):
        mine = [row for row in found if row["value"] == one]
        bins = sorted({row["bin"] for row in mine})
        yield (feature, name, one, *(_counts([row for row in mine if row["is_new"] == side], bins) for side in (1, 0)))


def _counts(rows: Sequence[dict[str, float]], bins: Sequence[object]) -> Counts:
    held = {row["bin"]: row for row in rows}
    parts = [
        np.array([held[one][part] if one in held else 0.0 for one in bins], dtype=np.float64)
        for part in ("fed", "squares", "products")
    ]
    own, squares, products = parts
    return Counts(own, squares, products, float(products.sum()), int(sum(row["actors"] for row in rows)))


def _bin(log: Log, name: str) -> str:
    """SQL of the bin of a value: deciles of the control's numbers, its most frequent texts; nulls have their own."""
    column, kind = quoted(name), log.columns[name]
    own = f"{log.where} AND {quoted(log.release.column)} = {literal(log.release.control)} AND {column} IS NOT NULL"
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        tiles = f"SELECT {column} AS v, ntile({BINS}) OVER (ORDER BY {column}) AS tile FROM {log.table} WHERE {own}"
        found = log.gold.query(f"SELECT CAST(max(v) AS DOUBLE) AS edge FROM ({tiles}) AS tiled GROUP BY tile")
        edges = sorted({row["edge"] for row in found})[:-1]
        cases = " ".join(f"WHEN {column} <= {real(edge)} THEN {at}" for at, edge in enumerate(edges))
        return f"CASE WHEN {column} IS NULL THEN -1 {cases} ELSE {len(edges)} END"
    text = f"CAST({column} AS VARCHAR)"
    rows = log.gold.query(
        f"SELECT {text} AS v, count(*) AS n FROM {log.table} WHERE {own} GROUP BY {text} "
        f"ORDER BY n DESC, v LIMIT {VALUES}"
    )
    cases = " ".join(f"WHEN {text} = {literal(row['v'])} THEN {at}" for at, row in enumerate(rows))
    return f"CASE WHEN {column} IS NULL THEN -1 {cases} ELSE {len(rows)} END"


def values_of(segments: pa.Table, name: str) -> list[str]:
    """The values of a segment in order."""
    return sorted(value for value in pc.unique(segments.column(name)).to_pylist() if value is not None)
