"""How diverse the titles are that a release served, beside its control.

The HHI, sum of s squared over titles with share s (METRICS section 13), is the probability that two servings are of one
title. Of a sample, the sum of observed shares squared is too large, the more so the smaller the sample, so that the
smaller side would look less diverse. Here it is counted over pairs of servings of different actors: that has no such
bias, and one actor's repeats do not count. Its inverse is the effective number of titles.

Source:
    E. H. Simpson, Measurement of Diversity, Nature 163 (1949), 688 (the unbiased form, over pairs); M. O. Hill, Ecology
    54 (1973), 427-432 (effective number); B. Efron, C. Stein, Annals of Statistics 9 (1981), 586-596 (the jackknife).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np

from tidelake.analyses.canary.compare import Bools, Compared, Floats, Ints
from tidelake.metrics.intervals import Z_95


@dataclass(frozen=True)
class Servings:
    """One row an actor, side and title.

    Attributes:
        actor: Number of the actor, from 0; shape (rows,), as all of them.
        is_new: Whether the release served it.
        title: Number of the title.
        count: How often it was served.
    """

    actor: Ints
    is_new: Bools
    title: Ints
    count: Floats

    def where(self, kept: Bools) -> Servings:
        """Some of the rows."""
        return Servings(self.actor[kept], self.is_new[kept], self.title[kept], self.count[kept])


def pair_hhi(servings: Servings) -> tuple[float | None, Floats]:
    """The share of pairs of servings of different actors that are of one title, and the same without each actor.

    Returns:
        None where there are fewer than two actors, or no title was served to two of them. The second has shape
        (actors,); it is nan for an actor without whom the share is not known.
    """
    actors = int(servings.actor.max(initial=-1)) + 1
    titles = np.bincount(servings.title, servings.count)
    of_actor = np.bincount(servings.actor, servings.count, minlength=actors)
    own = np.bincount(servings.actor, servings.count**2, minlength=actors)
    met = np.bincount(servings.actor, servings.count * titles[servings.title], minlength=actors)
    same = float((titles**2).sum() - own.sum())
    pairs = float(of_actor.sum() ** 2 - (of_actor**2).sum())
    if same <= 0 or pairs <= 0:
        return None, np.full(actors, np.nan)
    fewer_same = same - 2 * (met - own)
    fewer_pairs = pairs - 2 * of_actor * (of_actor.sum() - of_actor)
    with np.errstate(divide="ignore", invalid="ignore"):
        without = np.where((fewer_pairs > 0) & (fewer_same > 0), fewer_same / fewer_pairs, np.nan)
    return same / pairs, without


def diversity(servings: Servings, *, z: float = Z_95) -> Compared:
    """Effective number of titles of a release beside its control, with intervals by the jackknife over actors.

    Returns:
        `new` and `control` are effective numbers; `difference` has no interval, `ratio` has. Empty where a side has no
        title that two of its actors were served.
    """
    sides = [servings.where(servings.is_new == side) for side in (True, False)]
    numbers = [len(np.unique(side.actor)) for side in sides]
    actors = int(servings.actor.max(initial=-1)) + 1
    found = [pair_hhi(side) for side in sides]
    (new, new_without), (control, control_without) = found
    if new is None or control is None:
        return Compared(new_actors=numbers[0], control_actors=numbers[1])
    parts = np.zeros(actors)
    for hhi, without, size, sign in ((new, new_without, numbers[0], -1), (control, control_without, numbers[1], 1)):
        change = np.zeros(actors)
        change[: len(without)] = np.log(without / hhi)
        if not np.isfinite(change).all():
            return Compared(1 / new, 1 / control, new_actors=numbers[0], control_actors=numbers[1])
        present = np.bincount(sides[0 if sign < 0 else 1].actor, minlength=actors) > 0
        centred = np.where(present, change - change[present].mean(), 0.0)
        parts += sign * centred * sqrt((size - 1) / size)
    error = sqrt(float((parts**2).sum()))
    ratio = control / new
    return Compared(
        new=1 / new,
        control=1 / control,
        difference=1 / new - 1 / control,
        ratio=ratio,
        ratio_low=exp(log(ratio) - z * error),
        ratio_high=exp(log(ratio) + z * error),
        log_error=error,
        new_actors=numbers[0],
        control_actors=numbers[1],
        both_actors=len(np.intersect1d(sides[0].actor, sides[1].actor)),
    )
