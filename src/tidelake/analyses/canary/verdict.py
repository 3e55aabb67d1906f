"""What a comparison says: better, worse, no difference beyond a margin, or that it cannot be told; each in numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from tidelake.analyses.canary.compare import Compared
from tidelake.analyses.canary.sequential import SCALE, error_for
from tidelake.errors import DefinitionError

Direction = Literal["up", "down"]
Verdict = Literal["better", "worse", "no difference", "cannot be told"]
MARGIN = 0.02
LEAST_ACTORS = 100  # of each side: below it an estimate is not yet near enough to normal
_FEWER_IS_BETTER = re.compile(r"bounce|opened_not_|^low_|buffer|error|crash")


@dataclass(frozen=True)
class Aim:
    """What is looked at and what would be good. As text `NAME[,up|down][,MARGIN]`: `plays_per_user,up,2%`.

    Attributes:
        metric: Its name.
        direction: Whether more (`up`) or less (`down`) of it is better.
        margin: The least relative change that matters.
        is_guardrail: Whether it must only not get worse.
    """

    metric: str
    direction: Direction
    margin: float = MARGIN
    is_guardrail: bool = False

    @classmethod
    def parse(cls, text: str, *, margin: float = MARGIN, is_guardrail: bool = False) -> Aim:
        """The aim that a text means; by default fewer bounces, errors, crashes and buffers are better, else more.

        Raises:
            DefinitionError: A part is neither a direction nor a share.
        """
        name, *parts = (part.strip() for part in text.split(","))
        direction: Direction = "down" if _FEWER_IS_BETTER.search(name) else "up"
        for part in parts:
            if part in ("up", "down"):
                direction = "down" if part == "down" else "up"
                continue
            margin = share_of(part, f"'{text}'")
        return cls(name, direction, margin, is_guardrail)


def share_of(text: str, where: str) -> float:
    """A share above 0 and below 1, as `0.02` or `2%`.

    Raises:
        DefinitionError: It is none.
    """
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise DefinitionError(
            f"{where}: '{text}' is not a share above 0 and below 1.",
            hint="Write NAME or NAME,down or NAME,up,2%; 2% and 0.02 are the same.",
        )
    return value


@dataclass(frozen=True)
class Judged:
    """A verdict with its reason in numbers; `low` and `high` are the bounds of new / control that it rests on."""

    verdict: Verdict
    reason: str
    low: float | None = None
    high: float | None = None


def judge(
    found: Compared,
    aim: Aim,
    *,
    alpha: float = 0.05,
    scale: float = SCALE,
    least_actors: int = LEAST_ACTORS,
) -> Judged:
    """What the bounds that hold at every look say of a comparison.

    `no difference`: they lie within the margin, whether or not they hold 0. `better`, `worse`: they do not hold 0.
    `cannot be told`: the rest, with how many times the actors would bring them within the margin.

    Args:
        alpha: Over all looks together.
        scale: See `sequential.multiple`.
        least_actors: Of each side, below which nothing is said.
    """
    if found.new is None or found.control is None:
        return Judged("cannot be told", "no segment in which both have enough actors")
    bounds = found.always(scale=scale, alpha=alpha)
    if bounds is None or found.log_error is None or found.ratio is None:
        return Judged("cannot be told", f"no ratio: {found.new:.4g} against {found.control:.4g}")
    low, high = bounds
    fewest = min(found.new_actors, found.control_actors)
    if fewest < least_actors:
        reason = f"{found.new_actors:,} and {found.control_actors:,} actors; at least {least_actors:,} each are needed"
        return Judged("cannot be told", reason, low, high)
    if found.log_error == 0:
        return Judged("cannot be told", "no two actors differ, so that chance cannot be measured", low, high)
    told = f"{percent(found.ratio)} ({percent(low)} to {percent(high)})"
    beyond = f"± {100 * aim.margin:.3g} %"
    if 1 - aim.margin <= low and high <= 1 + aim.margin:
        return Judged("no difference", f"{told}: within {beyond}", low, high)
    if low > 1 or high < 1:
        is_better = (low > 1) == (aim.direction == "up")
        return Judged("better" if is_better else "worse", f"{told}: 0 is outside", low, high)
    times = (found.log_error / error_for(aim.margin, scale=scale, alpha=alpha)) ** 2
    more = f"; about {times:.2g} times the actors would narrow it to {beyond}" if times > 1 else ""
    return Judged("cannot be told", f"{told}: 0 is inside, and more than {beyond}{more}", low, high)


def percent(ratio: float) -> str:
    """A ratio as a change: 0.9 is -10.0 %."""
    return f"{100 * (ratio - 1):+.1f} %"


def overall(judged: list[tuple[Aim, Judged]]) -> Verdict:
    """The verdict over metrics and guardrails: worse if any is; better if a metric is and none cannot be told.

    A guardrail that cannot be told keeps a release from being called better; one that is better does not make it so.
    """
    said = [one.verdict for _, one in judged]
    if "worse" in said:
        return "worse"
    if not said or "cannot be told" in said:
        return "cannot be told"
    return "better" if any(one.verdict == "better" for aim, one in judged if not aim.is_guardrail) else "no difference"
