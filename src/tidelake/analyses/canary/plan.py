"""Where to try a release first: segments that matter little and behave like the rest, how long, and what would be seen.

The detectable change of a ratio metric R with standard deviation s by actor (delta method), n actors and a share p of
them on the release is (z_{1 - alpha/2} + z_power) * s / R * sqrt(1 / (n p) + 1 / (n (1 - p))). Over longer periods an
actor has more rows and s is smaller; it is measured over periods of each length, not extrapolated by a square root.

Source:
    S.-C. Chow, J. Shao, H. Wang, Sample Size Calculations in Clinical Research (2003), 3.2.1 (two means, equality);
    A. Deng, U. Knoblich, J. Lu, KDD 2018, section 3 (s of a ratio); for looks at every day see `sequential`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np

from tidelake.analyses.canary.compare import Floats
from tidelake.analyses.canary.sequential import SCALE, multiple
from tidelake.analyses.canary.verdict import LEAST_ACTORS

WINDOWS = (1, 2, 3, 5, 7, 10, 14, 21, 28)  # days


@dataclass(frozen=True)
class Moments:
    """Sums over the actors of a segment within a period: of y, x, y*y, x*y, x*x."""

    actors: int
    y: float
    x: float
    yy: float
    xy: float
    xx: float

    @property
    def ratio(self) -> float | None:
        """Y / x; None where x is 0."""
        return self.y / self.x if self.x else None

    @property
    def relative_deviation(self) -> float | None:
        """Standard deviation by actor of the linearised ratio, relative to it; None where it is not above 0."""
        if self.actors < 2 or not self.x or self.y <= 0:
            return None
        ratio = self.y / self.x
        square = max(0.0, self.yy - 2 * ratio * self.xy + ratio * ratio * self.xx) / (self.actors - 1)
        return sqrt(square) / (self.x / self.actors) / ratio


def normal_quantile(share: float) -> float:
    """The point below which a standard normal variable lies with this probability."""
    from scipy.special import ndtri  # type: ignore[import-untyped, unused-ignore]

    return float(ndtri(share))


def actors_each(deviation: float, effect: float, *, power: float = 0.8, alpha: float = 0.05) -> int:
    """Actors that each of two equal sides needs to see a difference at one look.

    Args:
        deviation: Standard deviation by actor, in the unit of `effect`.
    """
    reach = normal_quantile(1 - alpha / 2) + normal_quantile(power)
    return ceil(2 * (reach * deviation / effect) ** 2)


def detectable(
    deviation: float, actors: float, *, share: float = 0.5, power: float = 0.8, alpha: float = 0.05
) -> float | None:
    """The difference that would be seen at one look with this power; None without actors on a side."""
    error = _error(deviation, actors, share)
    return None if error is None else (normal_quantile(1 - alpha / 2) + normal_quantile(power)) * error


def detectable_always(
    deviation: float,
    actors: float,
    *,
    share: float = 0.5,
    power: float = 0.8,
    alpha: float = 0.05,
    scale: float = SCALE,
) -> float | None:
    """The same where every look counts: what would be seen by the last one, and often before."""
    error = _error(deviation, actors, share)
    return None if error is None else (multiple(error, scale=scale, alpha=alpha) + normal_quantile(power)) * error


def _error(deviation: float, actors: float, share: float) -> float | None:
    new, control = actors * share, actors * (1 - share)
    return deviation * sqrt(1 / new + 1 / control) if new >= 1 and control >= 1 and deviation > 0 else None


@dataclass(frozen=True)
class Segment:
    """What is known of a candidate: its moments by length of period in days, and its daily values beside the rest's.

    Attributes:
        values: Dimensions with their values.
        windows: Moments of the last days, by their number.
        days: Daily numerator and denominator; shape (days, 2).
        rest: The same of all other actors' rows.
    """

    values: tuple[tuple[str, str], ...]
    windows: Mapping[int, Moments]
    days: Floats
    rest: Floats

    @property
    def name(self) -> str:
        """`region=IN-East`, or several with a comma."""
        return ", ".join(f"{name}={value}" for name, value in self.values)


@dataclass(frozen=True)
class Proposal:
    """A segment to try a release in.

    Attributes:
        name: The segment's.
        values: Its dimensions with their values.
        share: Of the metric's numerator over the longest period.
        level: Its value relative to the rest's: 1 = the same.
        unsteadiness: Standard deviation over days of ln(segment / rest): what moves both alike is not counted.
        actors: Over the period of `days`.
        days: The shortest period measured in which `effect` would be seen; None where none is long enough.
        effect: Relative change detectable in `days` (the longest measured where None), at every look.
        effect_once: The same at one look at the end.
        verdict: `try here`, or what speaks against it.
    """

    name: str
    values: tuple[tuple[str, str], ...]
    share: float
    level: float | None
    unsteadiness: float | None
    actors: int
    days: int | None
    effect: float | None
    effect_once: float | None
    verdict: str


def propose(
    segments: Sequence[Segment],
    *,
    effect: float,
    share: float = 0.5,
    power: float = 0.8,
    alpha: float = 0.05,
    scale: float = SCALE,
    most: float = 0.2,
    unlike: float = 0.1,
) -> list[Proposal]:
    """The candidates, those to try first: small share of the metric, steady, like the rest, and large enough.

    Args:
        effect: Relative change that must be seen.
        share: Of the segment's actors that get the release.
        most: Share of the metric above which a segment is not of low impact.
        unlike: Level or unsteadiness beyond which a segment does not behave like the rest: 0.1 = 10 %.

    Returns:
        By verdict, then by share of the metric.
    """
    found = [_proposal(one, effect, share, power, alpha, scale, most, unlike) for one in segments]
    return sorted(found, key=lambda one: (one.verdict != "try here", one.days is None, one.share, one.name))


def _proposal(
    segment: Segment,
    effect: float,
    share: float,
    power: float,
    alpha: float,
    scale: float,
    most: float,
    unlike: float,
) -> Proposal:
    chances = {"share": share, "power": power, "alpha": alpha}
    days, always, once, actors = None, None, None, 0
    for length in sorted(segment.windows):
        moments = segment.windows[length]
        actors, deviation = moments.actors, moments.relative_deviation
        if deviation is None:
            continue
        always = detectable_always(deviation, actors, scale=scale, **chances)
        once = detectable(deviation, actors, **chances)
        if always is not None and always <= effect and actors * min(share, 1 - share) >= LEAST_ACTORS:
            days = length
            break
    whole = segment.days[:, 0].sum() + segment.rest[:, 0].sum()
    part = float(segment.days[:, 0].sum() / whole) if whole else 0.0
    level, unsteadiness = _beside(segment.days, segment.rest)
    against = []
    if part > most:
        against.append(f"carries {100 * part:.0f} % of the metric")
    if level is not None and abs(level - 1) > unlike:
        against.append(f"its level is {100 * (level - 1):+.0f} % off the rest")
    if unsteadiness is not None and unsteadiness > unlike:
        against.append(f"it moves apart from the rest by {100 * unsteadiness:.0f} % a day")
    if days is None:
        longest = max(segment.windows, default=0)
        few = actors * min(share, 1 - share) < LEAST_ACTORS
        seen = "too few actors" if few or always is None else f"only {100 * always:.1f} %"
        against.append(f"{longest} days would show {seen}")
    verdict = "; ".join(against) or "try here"
    return Proposal(segment.name, segment.values, part, level, unsteadiness, actors, days, always, once, verdict)


def _beside(days: Floats, rest: Floats) -> tuple[float | None, float | None]:
    """Level relative to the rest, and how much that strays from day to day; None where nothing can be divided."""
    used = (days > 0).all(axis=1) & (rest > 0).all(axis=1)
    if not used.any():
        return None, None
    totals, others = days[used].sum(axis=0), rest[used].sum(axis=0)
    level = float(totals[0] / totals[1] / (others[0] / others[1]))
    if used.sum() < 3:
        return level, None
    ratio = np.log(days[used, 0] / days[used, 1]) - np.log(rest[used, 0] / rest[used, 1])
    return level, float(ratio.std(ddof=1))
