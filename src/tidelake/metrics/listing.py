"""The metrics themselves as tables: which there are, and what one of them means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import pyarrow as pa

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.gold.context import Gold, open_gold
from tidelake.gold.dates import Tables
from tidelake.gold.lineage import down_to_silver
from tidelake.metrics.catalogue import Metric, all_parts, built_in, catalogue_with, metric_named
from tidelake.metrics.dimensions import dimensions_of
from tidelake.metrics.knowing import grains_of, leaves_of, not_known
from tidelake.metrics.measure import metric_sql, tables_of_metric
from tidelake.metrics.session_events import TABLE

_TEXTS = pa.list_(pa.string())
_LISTED = pa.schema(
    [
        ("name", pa.string()),
        ("title", pa.string()),
        ("unit", pa.string()),
        ("kind", pa.string()),
        ("fact", pa.string()),
        ("grains", _TEXTS),
        ("dimensions", _TEXTS),
        ("aliases", _TEXTS),
    ]
)
_SHOWN = pa.schema(
    [
        *_LISTED,
        ("description", pa.string()),
        ("owner", pa.string()),
        ("event", _TEXTS),
        ("where", pa.string()),
        ("expression", pa.string()),
        ("numerator", pa.string()),
        ("denominator", pa.string()),
        ("column", pa.string()),
        ("window_days", pa.int64()),
        ("quantile", pa.float64()),
        ("at_least", pa.float64()),
        ("below", pa.float64()),
        ("source", pa.string()),
        ("factors", _TEXTS),
        ("is_additive", pa.bool_()),
        ("version", pa.string()),
        ("lineage", _TEXTS),
        ("sql", pa.string()),
    ]
)
DAYS = "In the SQL, temp.metric_days says which dates make which period."
COUNTS = "temp.session_counts holds, by session, the measures that the definition names: they are counted from silver."
NOT_BUILT = "Dimensions and SQL are known once a build has made the tables."
NO_PROJECT = "Without a project: only the built-in metrics, whose dimensions are columns of a project's sources."


def metrics_of(
    engine: Engine, lake: Tables, project: Project, sources: Mapping[str, Source], name: str | None = None
) -> Result:
    """A project's metrics, or the whole definition of one.

    Args:
        name: Name or alias; None = all.

    Returns:
        One row a metric; `dimensions` are what it can be asked by. The definition of one also says its
        `version` and its `sql`, null before the first build.

    Raises:
        UnknownNameError: There is no such metric.
    """
    project, known = catalogue_with(project, sources, name)
    gold = open_gold(engine, lake, project, sources)
    notes = () if any(lake.version(f"silver.{source}") is not None for source in sources) else (NOT_BUILT,)
    if name is None:
        return _table(known.values(), _LISTED, partial(_told, gold, known), notes)
    metric = metric_named(name, known)
    sql = metric_sql(gold, metric, known) or None
    version = metric.version(project, all_parts(metric, known))
    lineage = down_to_silver(gold, tables_of_metric(gold, metric, known))
    notes = notes if sql is None else (*notes, DAYS)
    notes = notes if sql is None or TABLE not in sql else (*notes, COUNTS)
    unknown = not_known(gold, metric, known)
    notes = notes if unknown is None else (*notes, unknown)
    return _table([metric], _SHOWN, partial(_told, gold, known), notes, version=version, sql=sql, lineage=lineage)


def built_in_metrics(name: str | None = None) -> Result:
    """The metrics that every project with events has, or the definition of one; `dimensions` are null.

    Raises:
        UnknownNameError: There is no such metric.
    """
    known = built_in()
    if name is None:
        return _table(known.values(), _LISTED, lambda _: {}, (NO_PROJECT,))
    return _table([metric_named(name, known)], _SHOWN, lambda _: {}, (NO_PROJECT,))


def _told(gold: Gold, known: Mapping[str, Metric], metric: Metric) -> dict[str, Any]:
    """What only the project knows of a metric: by what, and for which periods, it can be asked."""
    leaves = leaves_of(metric, known)
    return {"dimensions": dimensions_of(gold, metric, leaves), "grains": grains_of(metric, leaves)}


def _table(
    metrics: Iterable[Metric],
    schema: pa.Schema,
    told: Callable[[Metric], dict[str, Any]],
    notes: tuple[str, ...],
    **more: Any,
) -> Result:
    rows = [{**metric.model_dump(), "is_additive": metric.is_additive, **told(metric), **more} for metric in metrics]
    title = "Metrics" if schema is _LISTED else rows[0]["title"]
    return Result(pa.Table.from_pylist(rows, schema=schema), title=title, notes=notes)
