"""The moments at which a lake changes: a crash before or after any of them must heal.

The kill tests register an observer here and end the process at each moment in turn; nothing else uses it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Moment = Literal["before", "after"]
observers: list[Callable[[str, str], None]] = []


def reached(what: str, moment: Moment) -> None:
    """Tell the observers.

    Args:
        what: The table that is committed, or `index <source>`.
    """
    for observer in observers:
        observer(what, moment)
