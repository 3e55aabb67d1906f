"""Saved cohorts worked out: who is in one for a question, as a small `temp` table that the question's rows meet.

A question that names cohorts (`cohort="regulars"`, `by="cohort.regulars"`, `where="cohort.regulars = 'in'"`) sees them
as attributes of actors; its settings carry their definitions' hashes, its numbers their worst status.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any, TypeVar

from tidelake.config import Project, Settings, load_yaml
from tidelake.contracts.source import Source
from tidelake.contracts.table import quoted
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.engine.sql import check_expression
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.attributes import COHORT, IN, OUT, Asked
from tidelake.gold.context import AskedProject, Gold, open_gold
from tidelake.gold.dates import Tables
from tidelake.gold.model import definition_hash
from tidelake.gold.sqltext import date_literal, exact_sum, real
from tidelake.metrics.attributes import attribute_tables, spelled_metric
from tidelake.metrics.catalogue import catalogue, metric_named
from tidelake.metrics.choosing import check_event_names, event_rows
from tidelake.metrics.cohort_definition import Cohort, Condition
from tidelake.metrics.conditions import conjunction
from tidelake.metrics.definition import GRAINS, Metric
from tidelake.metrics.facts import Facts
from tidelake.metrics.knowing import not_known
from tidelake.metrics.periods import next_period, period_start
from tidelake.metrics.session_events import named_in as counts_named
from tidelake.metrics.session_events import write_counts
from tidelake.metrics.status import Observed, Status, observe, worst

FOLDER = "cohorts"  # beside tide.yml
_WARMUP = timedelta(days=28)  # METRICS section 4: a first may have come before the data
_NAMED = re.compile(rf"'(?:[^']|'')*'|\b{COHORT}\.(?:\"([^\"]+)\"|([A-Za-z_]\w*))")
_NOT = "not "
_WINDOW = 28  # days of a window that a question does not give
Answer = TypeVar("Answer", bound=Result)


def load_cohorts(project: Project, sources: Mapping[str, Source]) -> dict[str, Cohort]:
    """The cohorts of `cohorts/*.yml` by name.

    Raises:
        ProjectError: A file is wrong (says its line).
        DefinitionError: A dimension takes their name.
    """
    files = sorted((project.root / FOLDER).glob("*.yml"))
    if files and COHORT in sources:
        raise DefinitionError(
            f"sources/{COHORT}.yml takes the name that saved cohorts have in questions ({COHORT}.NAME).",
            hint="Give the source another name.",
        )
    return {path.stem: load_yaml(path, Cohort, name=path.stem) for path in files}


# --- a question that names some


def answered(
    ask: Callable[..., Answer],
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    *given: Any,
    **options: Any,
) -> Answer:
    """What a question answers among the cohorts that it names.

    Args:
        ask: The question.
        given: What it is asked with.
        options: The same by name; `cohort` = one or several of `NAME`, `not NAME`, all of which must hold.

    Raises:
        UnknownNameError: There is no such cohort.
        DefinitionError: A cohort looks back from a question that has no first date, or at dates without data.
    """
    if asked := _texts(options.pop("cohort", None)):
        taken = inspect.signature(ask).parameters
        if "where" not in taken and all(one.kind is not one.VAR_KEYWORD for one in taken.values()):
            raise DefinitionError(f"{ask.__name__.replace('_', ' ')} has no conditions, so it takes no cohort.")
        options["where"] = among(asked, options.get("where"))
    names = list(dict.fromkeys(_named((given, options))))
    if not names or (COHORT in sources and not (project.root / FOLDER).is_dir()):
        return ask(engine, lake, project, sources, *given, **options)
    known = load_cohorts(project, sources)
    for name in names:
        if name not in known:
            more = "" if known else f"A file {FOLDER}/NAME.yml makes one."
            raise UnknownNameError("cohort", name, known, more=more)
    gold = open_gold(engine, lake, project, sources)
    found = [_of_question(gold, known[name], ask, given, options) for name in names]
    status = worst(one.status for one in found)
    versions = {one.cohort.name: one.version for one in found}
    asked_project = AskedProject.of(project, asked=Asked(versions, status, write_members(found)))
    result = ask(engine, lake, asked_project, sources, *given, **options)
    return _told(result, found, status)


def among(cohorts: Sequence[str], where: str | None) -> str | None:
    """A condition, and that its rows' actors are in all of some cohorts, or with `not NAME` out of them.

    Raises:
        QueryError: `where` is not one portable condition.
    """
    if where:
        check_expression(where)
    return conjunction([where, *(_condition(one) for one in cohorts)])


def _texts(given: object) -> list[str]:
    return [given] if isinstance(given, str) else [str(one) for one in given] if isinstance(given, Iterable) else []


def _condition(asked: str) -> str:
    said = " ".join(asked.split())
    name = said.removeprefix(_NOT)
    return f"{COHORT}.{name if name.isidentifier() else quoted(name)} = '{IN if name == said else OUT}'"


def _named(given: object) -> Iterator[str]:
    """The cohorts that a question's values name, wherever they stand."""
    if isinstance(given, str):
        yield from (found[1] or found[2] for found in _NAMED.finditer(given) if found[1] or found[2])
    elif isinstance(given, Settings):
        yield from _named(given.model_dump())
    elif isinstance(given, Mapping):
        yield from _named(list(given.values()))
    elif isinstance(given, list | tuple | set | frozenset):
        for one in given:
            yield from _named(one)


def _of_question(
    gold: Gold, cohort: Cohort, ask: Callable[..., Any], given: Sequence[Any], options: Mapping[str, Any]
) -> Members:
    """A cohort for a question: its windows lie where the question's dates say."""
    asked = {name: one.default for name, one in inspect.signature(ask).parameters.items()} | dict(options)
    windows = [leaf.window for leaf in cohort.condition.leaves() if leaf.window is not None]
    observed = observed_events(gold)
    first, last = _dates(gold, given, asked, last_complete(observed))
    if first is None and any(window.is_before for window in windows):
        raise DefinitionError(
            f"The cohort '{cohort.name}' looks back from the question's first date, and the question has none.",
            hint=f"Say --from DATE (start=), or give {FOLDER}/{cohort.name}.yml a fixed window: {{from:, to:}}.",
        )
    if asked.get("compare") and not all(window.is_fixed for window in windows):
        raise DefinitionError(
            f"The cohort '{cohort.name}' is made of what came before the question, and so of the earlier period that "
            "it would be compared with.",
            hint="Compare among a cohort with fixed windows, {from:, to:}, that end before both periods.",
        )
    first = first or observed.first or date.min
    found = Members(gold, cohort, observed, first, last or observed.last or first)
    if found.status == "missing":
        raise DefinitionError(
            f"The cohort '{cohort.name}' looks at dates without data: {found.span_words()}; the data are of "
            f"{observed.first or 'no date'} to {observed.last or 'no date'}.",
            hint="Ask for later dates (--from), or change its window.",
        )
    return found


def last_complete(observed: Observed) -> date | None:
    """The last date that is complete, else the first one with data; None without any."""
    if observed.first is None or observed.last is None:
        return None
    day = observed.last
    while day > observed.first and observed.of_day(day) != "complete":
        day -= timedelta(days=1)
    return day


def _dates(
    gold: Gold, given: Sequence[Any], asked: Mapping[str, Any], known: date | None
) -> tuple[date | None, date | None]:
    """The first and last date of a question, in whole periods as it reads them; None where it does not say.

    Args:
        known: The last complete date, with which a question of one window ends by itself.
    """
    first, last = ((one if isinstance(one, date) else None) for one in (asked.get("start"), asked.get("end")))
    at = asked.get("at") or (known if "at" in asked and "start" not in asked else None)  # a window's last date
    of_date = next((one for one in given if isinstance(one, date)), None)  # the actors of one date's number
    if first is None and of_date is not None:
        first = last = of_date
    elif first is None and isinstance(at, date):
        length = asked.get("window_days") or asked.get("days")
        first, last = at - timedelta(days=(length if isinstance(length, int) else _WINDOW) - 1), at
    week = gold.project.week_start
    said = [asked.get("grain"), *(getattr(one, "unit", None) for one in given)]
    grains = [grain for grain in GRAINS if grain in said]
    if first is not None:
        first = min([first, *(period_start(first, grain, week) for grain in grains)])
    if last is not None:
        ends = (next_period(period_start(last, grain, week), grain) - timedelta(days=1) for grain in grains)
        last = max([last, *ends])
    return first, last


def _told(result: Answer, found: Sequence[Members], status: Status) -> Answer:
    """The answer with what a reader must know of its cohorts; no number is better known than they are."""
    from dataclasses import replace

    table = result.table
    if status != "complete" and "status" in table.column_names:
        place = table.column_names.index("status")
        statuses = [status if one == "complete" else one for one in table.column(place).to_pylist()]
        table = table.set_column(place, table.schema.field(place), [statuses])
    known = {source.table for source in result.sources}
    more = [source for one in found for source in one.sources() if source.table not in known]
    notes = [one.words() for one in found]
    return replace(result, table=table, sources=(*result.sources, *dict.fromkeys(more)), notes=(*result.notes, *notes))


# --- who is in one


def observed_events(gold: Gold) -> Observed:
    """What is known of when the project's events are complete.

    Raises:
        DefinitionError: The project has no events.
    """
    if not any(source.fact == "event" for source in gold.sources.values()):
        raise DefinitionError(
            "This project has no source of events, so nobody is in a cohort.",
            hint="Its counts can be cut by entity: --by entity.",
        )
    names = [source.name for source in gold.events.sources]
    found: Observed = gold.once(("observed", *names), lambda: observe(gold, names))
    return found


@dataclass(frozen=True)
class Members:
    """The actors of a cohort for a question.

    Attributes:
        first: The question's first local date.
        last: The question's last local date.
    """

    gold: Gold
    cohort: Cohort
    observed: Observed
    first: date
    last: date

    @cached_property
    def leaves(self) -> list[tuple[Condition, tuple[date, date]]]:
        """Its single conditions, each with the dates that it looks at."""
        history = self.observed.first or self.first
        found = []
        for leaf in self.cohort.condition.leaves():
            assert leaf.window is not None
            found.append((leaf, leaf.window.dates(self.first, self.last, history)))
        return found

    @property
    def until(self) -> date:
        """The last date that it looks at: who was seen by then can be in it."""
        return max(end for _, (_, end) in self.leaves)

    @cached_property
    def version(self) -> str:
        """Hash of what the cohort means."""
        known = catalogue(self.gold.project, self.gold.sources)
        named = [metric_named(leaf.metric, known) for leaf, _ in self.leaves if leaf.metric]
        return self.cohort.version(self.gold.project, [one.version(self.gold.project) for one in named])

    @cached_property
    def status(self) -> Status:
        """The worst of its windows': open where one has not ended, missing where one has no data at all."""
        return worst(self._status(leaf, start, end) for leaf, (start, end) in self.leaves)

    def _status(self, leaf: Condition, start: date, end: date) -> Status:
        first, last = self.observed.first, self.observed.last
        if first is None or last is None or start > last or end < first or start > end:
            return "missing"
        found = self.observed.of_period(start, end + timedelta(days=1))
        is_cut = leaf.first is not None and start < first + _WARMUP
        return worst([found, "partial_left" if is_cut else found])

    # --- SQL

    def prepare(self) -> None:
        """Make what the SELECT reads besides the lake's tables: what the events of sessions add up to.

        Raises:
            UnknownNameError: A condition names an event that the lake has never seen.
        """
        check_event_names(self.gold, [which for leaf, _ in self.leaves if (which := leaf.events) is not None])
        named = [leaf.metric for leaf, _ in self.leaves if leaf.metric]
        needs = [name for metric in named for name in Facts(self.gold, self._metric(metric), (), None, ()).needs]
        if counted := counts_named(self.gold, needs):
            write_counts(self.gold, counted, [span for leaf, span in self.leaves if leaf.metric])

    @cached_property
    def sql(self) -> str:
        """SELECT of its members: one row an actor, `actor_id`."""
        condition = self.cohort.condition
        is_true = self._true(condition, iter(range(len(self.leaves))))
        if not condition.holds_for_nobody():
            return f"SELECT actor_id FROM ({self._behaved()}) AS behaved WHERE {is_true}"
        return (
            f"SELECT seen.actor_id FROM ({self.seen()}) AS seen LEFT JOIN ({self._behaved()}) AS behaved "
            f"ON behaved.actor_id = seen.actor_id WHERE {is_true}"
        )

    def seen(self) -> str:
        """SELECT of the actors with an event that counts by the last date that it looks at."""
        return f"SELECT DISTINCT actor_id FROM gold.user_day WHERE activity_date <= {date_literal(self.until)}"

    def _behaved(self) -> str:
        """SELECT of what each actor did: a column `n`, `d`, `f` or `m` with its number for each single condition."""
        parts: list[tuple[str, dict[str, str]]] = []
        events = {slot: leaf for slot, (leaf, _) in enumerate(self.leaves) if leaf.metric is None}
        if events:
            columns = {name: text for slot in events for name, text in self._counted(slot).items()}
            parts.append((self._events(events), columns))
        for slot, (leaf, span) in enumerate(self.leaves):
            if leaf.metric is not None:
                parts.append((self._amounts(leaf.metric, span), {f"m{slot}": exact_sum("amount", "WIDE")}))
        selects = [
            f"SELECT actor_id{''.join(f', {text} AS {name}' for name, text in columns.items())} "
            f"FROM ({rows}) AS told GROUP BY actor_id"
            for rows, columns in parts
        ]
        if len(parts) == 1:
            return selects[0]
        names = [name for _, columns in parts for name in columns]
        union = " UNION ALL ".join(
            f"SELECT actor_id{''.join(f', {self._own(name, own)} AS {name}' for name in names)} FROM ({select}) AS part"
            for select, (_, own) in zip(selects, parts, strict=True)
        )
        most = "".join(f", max({name}) AS {name}" for name in names)
        return f"SELECT actor_id{most} FROM ({union}) AS parts GROUP BY actor_id"

    @staticmethod
    def _own(name: str, own: Mapping[str, str]) -> str:
        kinds = {"f": "DATE", "m": "DOUBLE"}
        return name if name in own else f"CAST(NULL AS {kinds.get(name[0], 'BIGINT')})"

    def _events(self, leaves: Mapping[int, Condition]) -> str:
        flags = {f"e{slot}": which for slot, leaf in leaves.items() if (which := leaf.events) is not None}
        spans = [self.leaves[slot][1] for slot in leaves]
        has_first = any(leaf.first is not None for leaf in leaves.values())
        first = None if has_first else min(start for start, _ in spans)
        return event_rows(self.gold, flags, first=first, last=max(end for _, end in spans))

    def _counted(self, slot: int) -> dict[str, str]:
        leaf, (start, end) = self.leaves[slot]
        if leaf.first is not None:
            return {f"f{slot}": f"min(CASE WHEN e{slot} THEN event_date END)"}
        wanted = f"e{slot} AND event_date BETWEEN {date_literal(start)} AND {date_literal(end)}"
        counts = {f"n{slot}": f"count(*) FILTER (WHERE {wanted})"}
        if leaf.on_days is not None:
            counts[f"d{slot}"] = f"count(DISTINCT CASE WHEN {wanted} THEN event_date END)"
        return counts

    def _amounts(self, name: str, span: tuple[date, date]) -> str:
        metric = spelled_metric(self.gold, self._metric(name))
        return Facts(self.gold, metric, (), None, (span,), attributed="known").rows()

    def _metric(self, name: str) -> Metric:
        known = catalogue(self.gold.project, self.gold.sources)
        metric = metric_named(name, known)
        place = f"{FOLDER}/{self.cohort.name}.yml"
        if metric.kind != "sum" or metric.fact == "count":
            raise DefinitionError(
                f"{place}: an actor has no part in '{name}', a {metric.kind} of {metric.fact or 'metrics'} facts.",
                hint="Name a sum over events, sessions or actors' days: watch_time, plays, sessions, active_days.",
            )
        if unknown := not_known(self.gold, metric, known):
            raise DefinitionError(f"{place}, metric: {unknown}")
        return metric

    def _true(self, condition: Condition, slots: Iterator[int]) -> str:
        """SQL over what an actor did that is true where a condition holds, and never null."""
        if condition.not_ is not None:
            return f"NOT ({self._true(condition.not_, slots)})"
        if condition.parts:
            word = " AND " if condition.all_of else " OR "
            return word.join(f"({self._true(part, slots)})" for part in condition.parts)
        slot = next(slots)
        start, end = self.leaves[slot][1]
        if condition.first is not None:
            return f"coalesce(f{slot} BETWEEN {date_literal(start)} AND {date_literal(end)}, FALSE)"
        value = f"coalesce({'m' if condition.metric else 'n'}{slot}, 0)"
        low, high = (condition.at_least, condition.at_most) if condition.metric else condition.times()
        bounds = [f"{value} >= {real(low)}"] if low is not None else []
        bounds += [f"{value} <= {real(high)}"] if high is not None else []
        bounds += [f"{value} < {real(condition.below)}"] if condition.below is not None else []
        bounds += [f"coalesce(d{slot}, 0) >= {condition.on_days}"] if condition.on_days is not None else []
        return " AND ".join(bounds)

    # --- in words

    def span_words(self) -> str:
        """The dates that it looks at."""
        spans = sorted({span for _, span in self.leaves})
        return ", ".join(f"{start} to {end}" for start, end in spans)

    def words(self) -> str:
        """One sentence for a reader of numbers."""
        known = f" ({self.status})" if self.status != "complete" else ""
        late = [end for leaf, (_, end) in self.leaves if leaf.window is not None and leaf.window.is_fixed]
        ahead = ""
        if late and max(late) >= self.first:
            ahead = f" Its window ends on {max(late)}, after the question's first date: it knows what comes later."
        return f"Cohort {self.cohort.name}{known}: {self.cohort.condition}; it looks at {self.span_words()}.{ahead}"

    def sources(self) -> list[Any]:
        """The versions of the tables that it is made from."""
        from tidelake.engine.base import TableVersion

        texts = [which.where for leaf, _ in self.leaves if (which := leaf.events) is not None and which.where]
        named = self.gold.events.attributes.among(
            name for text in texts for name in self.gold.events.attributes.in_text(text)
        )
        tables = [*self.gold.events.inputs, *attribute_tables(self.gold, named)]
        tables += ["gold.user_day"] if "gold.user_day" in self.sql else []
        tables += ["gold.sessions"] if "gold.sessions" in self.sql else []
        versions = [(table, self.gold.lake.version(table)) for table in dict.fromkeys(tables)]
        return [TableVersion(table, version) for table, version in versions if version is not None]


def write_members(found: Sequence[Members]) -> str:
    """Make the `temp` table of some cohorts' members, one row an actor; gives its name.

    The name says what it holds, so that an answer that is asked for its members later finds its own.
    """
    said = [(one.cohort.name, one.version, one.sql, [str(source) for source in one.sources()]) for one in found]
    name = f"cohort_{definition_hash(said)}"
    gold, names = found[0].gold, [one.cohort.name for one in found]
    if gold.engine.schema(f"temp.{name}") is not None:
        return f"temp.{name}"
    for index, one in enumerate(found):
        one.prepare()
        gold.temp(f"{name}_{index}", one.sql)
    parts = " UNION ALL ".join(
        f"SELECT actor_id{''.join(f', {_flag(name, own)}' for name in names)} FROM temp.{name}_{index}"
        for index, own in enumerate(names)
    )
    most = "".join(f", max({quoted(name)}) AS {quoted(name)}" for name in names)
    gold.temp(name, f"SELECT actor_id{most} FROM ({parts}) AS cohorts GROUP BY actor_id")
    gold.forget(*(f"{name}_{index}" for index in range(len(found))))
    return f"temp.{name}"


def _flag(name: str, own: str) -> str:
    said = f"'{IN}'" if name == own else "CAST(NULL AS VARCHAR)"
    return f"{said} AS {quoted(name)}"
