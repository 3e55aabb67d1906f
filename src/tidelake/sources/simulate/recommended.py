"""The collapse clickstream's log of recommendations: what each model served, and the features that it was fed.

`features_YYYY-MM-DD.json`, JSON Lines, one file a UTC day, two lines a session: `served_id, user_id, model_version,
region, device, content_id, category, recency_days, watch_affinity, network_mbps, sessions_per_week, timestamp`. It has
a stream of chance of its own, so that the clickstream beside it stays what it is without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidelake.sources.simulate.clickstream import CONTENTS, DAY_MS, Clickstream, Column, Period, affected
from tidelake.sources.simulate.planted import DEVICES, MODELS, REGIONS, Effect
from tidelake.sources.simulate.text import content, fixed_text, instants, join, numbered, pick

CATEGORIES = ("drama", "comedy", "news", "sport", "kids", "music")
FEATURES = ("recency_days", "watch_affinity", "network_mbps", "sessions_per_week")
A_SESSION = 2
_SKEW, _NARROW_SKEW = 2.2, 3.5  # of titles: the larger, the fewer are served


@dataclass(frozen=True)
class Served:
    """What goes wrong in what a model serves and is fed, from the onset on.

    Attributes:
        where: Dimension to values, as of an effect.
        feature: The feature that is fed too low.
        factor: What its values are multiplied with.
    """

    where: dict[str, tuple[str, ...]]
    feature: str = "watch_affinity"
    factor: float = 0.8

    def described(self) -> dict[str, Any]:
        """For the truth file."""
        return {"where": {name: list(values) for name, values in self.where.items()}, "titles": "less diverse"} | {
            "feature": self.feature,
            "factor": self.factor,
        }


SERVED = {
    "regional_model_failure": Served({"region": ("IN-North", "IN-South"), "model_version": ("v4.2",)}),
}


def recommended(
    plant: str, stream: Clickstream, period: Period, seed: int, title: Any
) -> Iterator[tuple[str, memoryview]]:
    """Name and content of each day's file.

    Args:
        plant: The story's name.
        title: Makes ids of titles' numbers.
    """
    rng = np.random.default_rng([seed, 0xFEA7])
    session = stream.session
    n = len(session["user"])
    owner = np.repeat(np.arange(n), A_SESSION)
    users = int(session["user"].max(initial=-1)) + 1
    taste, speed = rng.normal(0, 0.6, users), rng.normal(2.3, 0.5, users)
    weekly = rng.gamma(6, 1.2, users)
    touched, wrong = np.zeros(len(owner), dtype=bool), SERVED.get(plant)
    if wrong is not None:
        touched = affected(Effect(wrong.where), session, period)[owner]
    user = session["user"][owner]
    fed = {
        "recency_days": rng.gamma(1.2, 4.0, len(owner)),
        "watch_affinity": 1 / (1 + np.exp(-(taste[user] + rng.normal(0.2, 0.8, len(owner))))),
        "network_mbps": np.exp(speed[user] + rng.normal(0, 0.4, len(owner))),
        "sessions_per_week": rng.poisson(weekly[user]).astype(np.float64),
    }
    if wrong is not None:
        fed[wrong.feature] = np.where(touched, fed[wrong.feature] * wrong.factor, fed[wrong.feature])
    chosen = (CONTENTS * rng.random(len(owner)) ** np.where(touched, _NARROW_SKEW, _SKEW)).astype(np.int64)
    time = session["start_ms"][owner] + session["home_ms"][owner] + np.tile(np.arange(A_SESSION), n)
    order = np.lexsort((owner, time))
    number = np.empty(len(owner), dtype=np.int64)
    number[order] = np.arange(len(owner))
    day = (time - period.start_ms) // DAY_MS
    for at in range(period.days):
        rows = order[day[order] == at]
        lines = _lines(rows, number, owner, time, chosen, session, fed, title)
        yield names_of(period)[at], content(lines)


def names_of(period: Period) -> list[str]:
    """The files' names."""
    return [f"features_{period.first + timedelta(days=day)}.json" for day in range(period.days)]


def _lines(
    rows: Column,
    number: Column,
    owner: Column,
    time: Column,
    chosen: Column,
    session: dict[str, Column],
    fed: dict[str, Column],
    title: Any,
) -> pa.Array[Any]:
    of = owner[rows]
    values = [
        part
        for name, column in fed.items()
        for part in (f'"{name}": ', pc.round(pa.array(column[rows]), 4).cast(pa.string()), ", ")
    ]
    return join(
        '{"served_id": "', numbered("r_", number[rows], 9), '", "user_id": "',
        numbered("u_", session["user"][of], 6), '", ',
        pick([f'"model_version": "{name}", ' for name in MODELS], session["model_version"][of]),
        pick([f'"region": "{name}", ' for name in REGIONS], session["region"][of]),
        pick([f'"device": "{name}", ' for name in DEVICES], session["device"][of]),
        '"content_id": "', fixed_text(title(chosen[rows])), '", ',
        pick([f'"category": "{name}", ' for name in CATEGORIES], chosen[rows] % len(CATEGORIES)),
        *values,
        '"timestamp": "', instants(time[rows] * 1_000, fraction=3, zone="Z"), '"}\n',
    )  # fmt: skip
