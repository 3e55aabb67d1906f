"""Whether a number stands at the level that it must have: met, missed, or not yet due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np

from tidelake.analyses.change.days import KNOWN
from tidelake.analyses.change.leaves import Floats
from tidelake.config import Watch

State = Literal["met", "missed", "not yet due"]


@dataclass(frozen=True)
class Standing:
    """How a level stands.

    Attributes:
        state: `not yet due`: no day that counts has come on or after the one that is to be judged.
        day: The day that was judged; where it is not yet due the newest day that counts.
        value: Its number; null where no day counts.
        day_status: Its status: complete or provisional.
    """

    state: State
    day: date | None
    value: float | None
    day_status: str | None


def standing(values: Floats, statuses: Sequence[str], first: date, watch: Watch) -> Standing:
    """How a level stands on the day that it is for.

    The deadline's own day is judged. Where that day is missing, degraded or has no value, the first day after it that
    counts is; before that nothing is said, also where the level was reached earlier: it must be held by then. Without a
    deadline it is the newest day that counts.

    Args:
        values: Shape (days,): the number of each day; nan = it has none.
        statuses: Of each day; only complete and provisional ones count.
        first: The first day.
        watch: One that has a level.
    """
    counted = [at for at, status in enumerate(statuses) if status in KNOWN and np.isfinite(values[at])]
    if not counted:
        return Standing("not yet due", None, None, None)
    at, is_due = counted[-1], True
    if watch.by_day is not None:
        due = (watch.by_day - first).days
        at = next((one for one in counted if one >= due), counted[-1])
        is_due = at >= due
    value = float(values[at])
    holds = value >= watch.at_least if watch.at_least is not None else value <= (watch.at_most or 0.0)
    state: State = ("met" if holds else "missed") if is_due else "not yet due"
    return Standing(state, first + timedelta(days=at), value, statuses[at])
