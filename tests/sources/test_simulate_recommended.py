"""The collapse clickstream's log of recommendations: it changes no other file, and holds what the truth says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from tidelake.sources.simulate import simulate


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.glob("features_*")) for line in path.read_text().splitlines()]


def test_the_clickstream_stays_what_it_is(tmp_path: Path) -> None:
    size = {"users": 40, "days": 3, "seed": 6}
    plain = simulate("collapse", tmp_path / "plain", **size)
    logged = simulate("collapse", tmp_path / "logged", features_log=True, **size)
    again = simulate("collapse", tmp_path / "again", features_log=True, **size)
    assert [path.read_bytes() for path in plain.files] == [path.read_bytes() for path in logged.files[:3]]
    assert [path.read_bytes() for path in again.files] == [path.read_bytes() for path in logged.files]
    truths = [json.loads(one.truth.read_text()) for one in (plain, logged)]
    served = truths[1].pop("served")
    assert truths[0] == truths[1]
    assert served["where"] == {"region": ["IN-North", "IN-South"], "model_version": ["v4.2"]}


def test_it_holds_what_was_planted(tmp_path: Path) -> None:
    """Two lines a session, of its user, model and segment; one feature lower, and fewer titles, where it fails."""
    made = simulate("collapse", tmp_path / "logs", users=400, days=6, seed=2, features_log=True, model_version=True)
    truth = json.loads(made.truth.read_text())
    rows = lines(made.folder)
    sessions = truth["happened"]["sessions_by_date"]
    assert Counter(row["timestamp"][:10] for row in rows) == {day: 2 * count for day, count in sessions.items()}
    assert len({row["served_id"] for row in rows}) == len(rows)
    where, feature = truth["served"]["where"], truth["served"]["feature"]
    onset = truth["planted"]["onset"]
    mine = [row for row in rows if row["model_version"] == "v4.2"]
    failing = [row for row in mine if row["region"] in where["region"]]
    sound = [row for row in mine if row["region"] not in where["region"]]
    assert min(row["timestamp"][:10] for row in failing) == onset
    means = [np.mean([row[feature] for row in side]) for side in (failing, sound)]
    assert means[0] / means[1] < truth["served"]["factor"] + 0.1
    for name in ("recency_days", "network_mbps", "sessions_per_week"):
        assert 0.8 < np.mean([r[name] for r in failing]) / np.mean([r[name] for r in sound]) < 1.25
    top = [
        sum(Counter(r["content_id"] for r in side).most_common(10)[k][1] for k in range(10))
        for side in (failing, sound)
    ]
    assert top[0] / len(failing) > 1.3 * top[1] / len(sound)


def test_nothing_is_planted_elsewhere(tmp_path: Path) -> None:
    made = simulate("nothing", tmp_path / "logs", users=20, days=2, features_log=True)
    assert json.loads(made.truth.read_text())["served"] is None
