"""Causes of a change: planted ones in small tables worked out by hand, and what must not be taken for one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pyarrow as pa
import pytest

from tidelake.analyses.change.localise import Cause, localise_sum
from tidelake.analyses.change.ratio import localise_ratio
from tidelake.errors import UnknownNameError

REGIONS, VERSIONS, SYSTEMS = ("ap", "eu", "sa", "us"), ("1.0", "1.1", "1.2"), ("android", "ios", "tv", "web", "win")
DIMS = ["region", "version", "system"]
Leaf = tuple[str, ...]


def table(actual: Callable[[Leaf, float], float], *, noise: float = 0.0, seed: int = 1) -> pa.Table:
    """Sixty leaves of 1,000 to 1,590 each, and what became of them."""
    chance = np.random.default_rng(seed)
    rows = []
    for number, leaf in enumerate(product(REGIONS, VERSIONS, SYSTEMS)):
        expected = 1_000.0 + 10 * number
        counted = actual(leaf, expected) * float(np.exp(chance.normal(0, noise)))
        rows.append({**dict(zip(DIMS, leaf, strict=True)), "real": float(round(counted)), "predict": expected})
    return pa.Table.from_pylist(rows)


def found(causes: Sequence[Cause]) -> list[dict[str, str]]:
    return [cause.values for cause in causes]


def falls(where: dict[str, str], share: float) -> Callable[[Leaf, float], float]:
    """What is counted where one combination loses a share."""

    def counted(leaf: Leaf, expected: float) -> float:
        is_hit = all(leaf[DIMS.index(name)] == value for name, value in where.items())
        return expected * (1 - share) if is_hit else expected

    return counted


@pytest.mark.parametrize(
    "where",
    [
        {"region": "eu"},
        {"version": "1.1"},
        {"region": "eu", "version": "1.2"},
        {"region": "us", "system": "tv"},
        {"region": "ap", "version": "1.0", "system": "ios"},
    ],
)
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_a_planted_fall_is_found_at_its_own_level(where: dict[str, str], noise: float) -> None:
    asked = table(falls(where, 0.4), noise=noise)
    (cause,) = localise_sum(asked, DIMS).causes
    assert cause.values == where
    assert cause.effect == pytest.approx(-0.4, abs=0.05)
    rows = asked.to_pylist()
    held = sum(row["predict"] for row in rows if all(row[name] == value for name, value in where.items()))
    assert cause.share == pytest.approx(-0.4 * held / sum(row["predict"] for row in rows), rel=0.15)


def test_a_rise_is_found_as_one() -> None:
    (cause,) = localise_sum(table(falls({"region": "sa"}, -0.5), noise=0.02), DIMS).causes
    assert cause.values == {"region": "sa"}
    assert cause.effect == pytest.approx(0.5, abs=0.05)
    # of 60 leaves of 1,000 + 10 i, sa has those from 30 to 44: 20,550 of 77,700
    assert cause.share == pytest.approx(0.5 * 20_550 / 77_700, rel=0.1)
    assert localise_sum(table(falls({"region": "sa"}, -0.5), noise=0.02), DIMS, direction="down").causes == ()


def test_two_causes_are_told_apart() -> None:
    first, second = falls({"region": "eu", "version": "1.2"}, 0.5), falls({"system": "tv"}, 0.3)
    causes = localise_sum(table(lambda leaf, expected: second(leaf, first(leaf, expected)), noise=0.01), DIMS).causes
    assert found(causes) == [{"system": "tv"}, {"region": "eu", "version": "1.2"}]  # the larger loss first


@pytest.mark.parametrize("share", [0.0, 0.15])
@pytest.mark.parametrize("seed", range(5))
def test_no_change_and_a_fall_everywhere_have_no_segment(share: float, seed: int) -> None:
    assert localise_sum(table(falls({}, share), noise=0.03, seed=seed), DIMS).causes == ()


def test_order_and_names_do_not_matter() -> None:
    asked = table(falls({"region": "eu", "system": "web"}, 0.4), noise=0.02)
    shuffled = asked.take(np.random.default_rng(3).permutation(asked.num_rows))
    (cause,), (same,) = localise_sum(asked, DIMS).causes, localise_sum(shuffled, DIMS).causes
    assert (same.values, same.effect) == (cause.values, pytest.approx(cause.effect))
    assert localise_sum(asked, DIMS).causes == (cause,)  # and the same again, to the last digit
    renamed = asked.set_column(0, "region", [[f"r{REGIONS.index(value)}" for value in asked["region"].to_pylist()]])
    assert found(localise_sum(renamed, DIMS).causes) == [{"region": "r1", "system": "web"}]


def test_null_is_a_value_and_nothing_is_no_cause() -> None:
    asked = table(falls({"region": "eu"}, 0.6), noise=0.01)
    names = [None if value == "eu" else value for value in asked["region"].to_pylist()]
    assert found(localise_sum(asked.set_column(0, "region", pa.array(names, pa.string())), DIMS).causes) == [
        {"region": "(unknown)"}
    ]
    assert localise_sum(asked.slice(0, 0), DIMS).causes == ()
    assert localise_sum(asked.slice(0, 1), DIMS).causes == ()
    with pytest.raises(UnknownNameError, match="'regoin'"):
        localise_sum(asked, ["regoin"])


# --- ratios


def ratio_table(rate: Callable[[Leaf], float], grown: Callable[[Leaf], float]) -> pa.Table:
    """Sessions and minutes: 20 a session, 10 in the region sa, before; with new rates and numbers after."""
    rows = []
    for number, leaf in enumerate(product(REGIONS, VERSIONS, SYSTEMS)):
        before, usual = 1_000.0 + 10 * number, 10.0 if leaf[0] == "sa" else 20.0
        after = before * grown(leaf)
        part = {"den_predict": before, "den_real": after, "num_predict": before * usual}
        rows.append({**dict(zip(DIMS, leaf, strict=True)), **part, "num_real": after * usual * rate(leaf)})
    return pa.Table.from_pylist(rows)


def test_rate_and_mix_add_up_to_the_change() -> None:
    asked = ratio_table(lambda leaf: 0.8 if leaf[0] == "eu" else 1.0, lambda leaf: 1.4 if leaf[0] == "sa" else 1.0)
    change = localise_ratio(asked, DIMS)
    sums = {name: sum(asked[name].to_pylist()) for name in ("num_real", "num_predict", "den_real", "den_predict")}
    assert change.before == pytest.approx(sums["num_predict"] / sums["den_predict"])
    assert change.after == pytest.approx(sums["num_real"] / sums["den_real"])
    assert change.before is not None
    assert change.after is not None
    assert change.rate + change.mix == pytest.approx(change.after - change.before)
    assert change.rate < 0
    assert change.mix < 0


def test_a_fallen_rate_and_a_grown_weak_segment_are_told_apart() -> None:
    fallen = localise_ratio(ratio_table(lambda leaf: 0.7 if leaf[:2] == ("eu", "1.1") else 1.0, lambda leaf: 1.0), DIMS)
    assert [(cause.kind, cause.values) for cause in fallen.causes] == [("rate", {"region": "eu", "version": "1.1"})]
    assert fallen.mix == pytest.approx(0)
    grown = localise_ratio(ratio_table(lambda _: 1.0, lambda leaf: 2.5 if leaf[0] == "sa" else 1.0), DIMS)
    assert [(cause.kind, cause.values) for cause in grown.causes] == [("mix", {"region": "sa"})]
    assert grown.rate == pytest.approx(0)


def test_a_ratio_of_nothing_is_null() -> None:
    empty = ratio_table(lambda _: 1.0, lambda _: 0.0)
    change = localise_ratio(empty, DIMS)
    assert (change.before, change.after, change.causes) == (None, None, ())
