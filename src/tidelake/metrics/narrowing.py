"""What narrows a question, whatever it asks: the options that every question takes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TypedDict


class Narrowed(TypedDict, total=False):
    """Which rows are counted, and how they are cut.

    Attributes:
        by: Columns whose values get rows of their own.
        start: First local date; None = where the data begin.
        end: Last local date; None = where the data end.
        where: SQL over the columns of the rows that are counted: only those for which it is true.
    """

    by: Sequence[str]
    start: date | None
    end: date | None
    where: str | None


class Narrowing(Narrowed, total=False):
    """The same by period.

    Attributes:
        grain: day, week or month; None = the whole range in one.
    """

    grain: str | None
