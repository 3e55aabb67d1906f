"""A formula's numbers, worked out from its parts' numbers: a row for every period and segment that a part has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from tidelake.metrics.answer import NUMBERS
from tidelake.metrics.catalogue import parts_of
from tidelake.metrics.numbers import Kept, Numbers
from tidelake.metrics.question import Question
from tidelake.metrics.status import Status, worst

Ask = Callable[[Question, int, Kept | None], Numbers]
Key = tuple[Any, ...]


def formula_numbers(question: Question, limit: int, kept: Kept | None, ask: Ask) -> Numbers:
    """The formula's numbers.

    Args:
        kept: Values of dimensions that have rows of their own; None = the largest of the formula's first part.
        ask: Gives the numbers of one part.

    Returns:
        `value` is null where a part is, or where something is divided by 0. `numerator` and `denominator` are the
        two sides of a formula that is one division. `status` is the worst of the parts'; there is no interval.
    """
    found: dict[str, Numbers] = {}
    for name, part in parts_of(question.metric, question.known).items():
        asked = Question.of(
            question.gold,
            part,
            question.known,
            by=question.by,
            grain=question.grain,
            where=question.where,
            actor=question.actor,
        )
        found[name] = ask(replace(asked, asked=question.asked, until=question.until), limit, kept)
        kept = found[name].kept if kept is None else kept
    rows = _rows(question, {name: _by_key(question, numbers) for name, numbers in found.items()})
    sql = "\n\n".join(f"-- {name}\n{numbers.sql}" for name, numbers in found.items() if numbers.sql)
    notes = dict.fromkeys(note for numbers in found.values() for note in numbers.notes)
    tables = dict.fromkeys(table for numbers in found.values() for table in numbers.tables)
    return Numbers(rows, sql, tuple(notes), tables=tuple(tables), kept=kept or {})


def _by_key(question: Question, numbers: Numbers) -> dict[Key, dict[str, Any]]:
    return {(row["period_start"], *(row[name] for name in question.by)): row for row in numbers.rows}


def _rows(question: Question, found: Mapping[str, Mapping[Key, dict[str, Any]]]) -> list[dict[str, Any]]:
    keys = dict.fromkeys(key for rows in found.values() for key in rows)
    statuses: dict[date, list[Status]] = {}
    for rows in found.values():
        for (first, *_), row in rows.items():
            statuses.setdefault(first, []).append(row["status"])
    formula = question.metric.formula
    made = []
    for key in sorted(keys, key=lambda key: tuple(str(part) for part in key)):
        values = {name: _value(rows, key) for name, rows in found.items()}
        top, bottom = formula.sides(values)
        numbers = dict.fromkeys(NUMBERS) | {"value": formula.value(values), "numerator": top, "denominator": bottom}
        segments = dict(zip(question.by, key[1:], strict=True))
        made.append({"period_start": key[0], "status": worst(statuses[key[0]]), **segments, **numbers})
    return made


def _value(rows: Mapping[Key, dict[str, Any]], key: Key) -> float | None:
    """A part's value; that of a segment which a sum does not have is 0 where the period is known."""
    if key in rows:
        value: float | None = rows[key]["value"]
        return value
    beside = [row for (first, *_), row in rows.items() if first == key[0]]
    has_numbers = any(row["n"] is not None or row["value"] is not None for row in beside)
    return 0.0 if has_numbers and all(row["denominator"] is None for row in beside) else None
