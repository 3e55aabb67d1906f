"""A change everywhere, rises, and input that is out of the ordinary: what comes out is planted, or worked out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pyarrow as pa
import pytest

from tidelake.analyses.change.localise import Localised, localise_sum
from tidelake.analyses.change.ratio import RatioChange, localise_ratio
from tidelake.errors import DefinitionError

REGIONS, VERSIONS, SYSTEMS = ("ap", "eu", "sa", "us"), ("1.0", "1.1", "1.2"), ("android", "ios", "tv", "web", "win")
DIMS = ["region", "version", "system"]
LEAVES = list(product(REGIONS, VERSIONS, SYSTEMS))
Leaf = tuple[str, ...]


def table(factor: Callable[[Leaf], float], *, noise: float = 0.02, seed: int = 1, base: float = 1_000.0) -> pa.Table:
    """Sixty leaves of 1,000 to 1,590 each, and what became of them."""
    chance = np.random.default_rng(seed)
    rows = []
    for number, leaf in enumerate(LEAVES):
        expected = base + 10 * number
        counted = round(expected * factor(leaf) * float(np.exp(chance.normal(0, noise))))
        rows.append({**dict(zip(DIMS, leaf, strict=True)), "real": float(counted), "predict": expected})
    return pa.Table.from_pylist(rows)


def named(found: Localised | RatioChange) -> list[dict[str, str]]:
    return [cause.values for cause in found.causes]


def with_columns(asked: pa.Table, **columns: list[float | None]) -> pa.Table:
    for name, values in columns.items():
        asked = asked.set_column(asked.column_names.index(name), name, pa.array(values, pa.float64()))
    return asked


def where(is_meant: Callable[[Leaf], bool], asked: pa.Table, name: str, factor: float) -> list[float | None]:
    """A column in which some leaves are multiplied."""
    values = zip(LEAVES, asked[name].to_pylist(), strict=True)
    return [value * factor if is_meant(leaf) else value for leaf, value in values]


# --- everywhere


@pytest.mark.parametrize("factor", [0.8, 1.3])
def test_a_change_everywhere_is_no_segment(factor: float) -> None:
    found = localise_sum(table(lambda _: factor), DIMS)
    assert found.causes == ()
    assert found.is_global
    assert found.level == pytest.approx(factor - 1, abs=0.02)
    assert found.by_level == pytest.approx(found.actual - found.expected, rel=0.1)


def test_a_graded_fall_everywhere_names_no_cause() -> None:
    share = {"ap": 0.20, "eu": 0.25, "sa": 0.30, "us": 0.35}
    found = localise_sum(table(lambda leaf: 1 - share[leaf[0]]), DIMS)
    assert found.causes == ()
    assert found.is_global
    assert -0.36 < found.level < -0.19


def test_one_segment_stands_out_of_a_fall_everywhere() -> None:
    found = localise_sum(table(lambda leaf: 0.9 * (0.4 if leaf[:2] == ("eu", "1.1") else 1)), DIMS)
    assert named(found) == [{"region": "eu", "version": "1.1"}]
    assert found.causes[0].effect == pytest.approx(-0.6, abs=0.04)  # beyond what fell everywhere
    assert found.level == pytest.approx(-0.1, abs=0.02)


def test_the_parts_add_up_to_the_change() -> None:
    asked = table(lambda leaf: 0.9 * (0.4 if leaf[1] == "1.1" else 1))
    found = localise_sum(asked, DIMS)
    change = sum(asked["real"].to_pylist()) - sum(asked["predict"].to_pylist())
    assert found.actual - found.expected == pytest.approx(change)
    assert found.by_causes + found.by_level + found.rest == pytest.approx(change)
    assert abs(found.rest) < 0.05 * abs(change)


def test_growth_of_most_is_not_taken_for_a_fall_of_the_rest() -> None:
    """One region of four grew by 15 %, and nothing else moved."""
    found = localise_sum(table(lambda leaf: 1.15 if leaf[0] == "us" else 1.0), DIMS, direction="down")
    assert found.causes == ()
    assert found.level == pytest.approx(0, abs=0.02)


def test_of_two_causes_that_meet_one_may_replace_the_other() -> None:
    """The region lost all; the version lost 40 % where it is not in that region."""

    def factor(leaf: Leaf) -> float:
        return 0.0 if leaf[0] == "eu" else 0.6 if leaf[1] == "1.1" else 1.0

    assert named(localise_sum(table(factor), DIMS)) == [{"region": "eu"}, {"version": "1.1"}]


# --- unusual input


def test_a_few_negative_numbers_are_left_out_and_said() -> None:
    asked = table(lambda leaf: 0.6 if leaf[0] == "eu" else 1.0)
    real = asked["real"].to_pylist()
    refunds = with_columns(asked, real=[-30.0, *real[1:]])
    found = localise_sum(refunds, DIMS)
    assert named(found) == [{"region": "eu"}]
    assert found.actual == pytest.approx(sum(real[1:]) - 30)
    assert found.by_causes + found.by_level + found.rest == pytest.approx(found.actual - found.expected)
    assert any("1 combinations with negative numbers" in note for note in found.notes)
    with pytest.raises(DefinitionError, match="20 of 60 combinations are negative"):
        localise_sum(with_columns(asked, real=[*(-value for value in real[:20]), *real[20:]]), DIMS)


def test_infinite_numbers_are_refused_and_null_is_nothing() -> None:
    asked = table(lambda leaf: 0.0 if leaf[0] == "eu" else 1.0)
    real = asked["real"].to_pylist()
    with pytest.raises(DefinitionError, match="'real' has 1 values"):
        localise_sum(with_columns(asked, real=[float("inf"), *real[1:]]), DIMS)
    found = localise_sum(with_columns(asked, real=[value or None for value in real]), DIMS)
    assert named(found) == [{"region": "eu"}]
    assert found.causes[0].effect == pytest.approx(-1, abs=0.01)  # it vanished
    assert any("15 combinations vanished, with 18300 expected" in note for note in found.notes)  # 15 of 1,150 to 1,290


def test_what_appeared_is_the_cause_of_a_rise() -> None:
    asked = table(lambda _: 1.0)
    before = where(lambda leaf: leaf[1] == "1.2", asked, "predict", 0.0)
    found = localise_sum(with_columns(asked, predict=before), DIMS)
    assert named(found) == [{"version": "1.2"}]
    assert found.causes[0].effect is None  # nothing was expected there
    assert any("20 combinations are new" in note for note in found.notes)
    nothing = localise_sum(with_columns(asked, predict=[0.0] * 60), DIMS, direction="down")
    assert nothing.causes == ()
    assert nothing.notes[-1] == "There is nothing that could have fallen."


def test_a_dimension_of_one_value_is_no_cause() -> None:
    asked = table(lambda leaf: 0.6 if leaf[0] == "eu" else 1.0)
    asked = asked.append_column("plan", pa.nulls(60, pa.string()))
    found = localise_sum(asked, [*DIMS, "plan"])
    assert named(found) == [{"region": "eu"}]
    assert "Of one value only, so no cause: plan." in found.notes
    assert localise_sum(asked, ["plan"]).causes == ()


def test_of_very_many_values_the_lightest_go_together() -> None:
    """100,000 pages, of which page 7 is one of the 999 heaviest and lost 80 %."""
    chance = np.random.default_rng(5)
    pages = np.arange(100_000)
    expected = np.where(pages < 500, 5_000.0, 10.0)
    real = chance.poisson(np.where(pages == 7, 0.2, 1.0) * expected).astype(float)
    asked = pa.table(
        {
            "page": pa.array([f"p{page}" for page in pages]),
            "system": pa.array([SYSTEMS[page % 5] for page in pages]),
            "real": real,
            "predict": expected,
        }
    )
    found = localise_sum(asked, ["page", "system"])
    assert named(found) == [{"page": "p7"}]
    assert found.leaves.sizes == (1_000, 5)
    assert any("'(other)' in page" in note for note in found.notes)


# --- ratios


def ratios(rate: Callable[[Leaf], float], usual: float, *, grown: Callable[[Leaf], float] = lambda _: 1.0) -> pa.Table:
    rows = []
    for number, leaf in enumerate(LEAVES):
        before = 1_000.0 + 10 * number
        after = before * grown(leaf)
        part = {"den_predict": before, "den_real": after, "num_predict": before * usual}
        rows.append({**dict(zip(DIMS, leaf, strict=True)), **part, "num_real": after * usual * rate(leaf)})
    return pa.Table.from_pylist(rows)


@pytest.mark.parametrize("usual", [20.0, 0.3])
@pytest.mark.parametrize("factor", [0.6, 1.5])
def test_a_rate_that_fell_or_rose_is_found(usual: float, factor: float) -> None:
    """Minutes a session, and the share of sessions that bought: 20 and .3 before."""
    change = localise_ratio(ratios(lambda leaf: factor if leaf[:2] == ("sa", "1.0") else 1.0, usual), DIMS)
    assert [(cause.kind, cause.values) for cause in change.causes] == [("rate", {"region": "sa", "version": "1.0"})]
    assert change.causes[0].effect == pytest.approx(factor - 1, rel=0.1)
    # sa and 1.0 are leaves 30 to 34: 5 of 1,000 + 10 i, 6,600 of 77,700
    assert change.causes[0].share == pytest.approx((factor - 1) * 6_600 / 77_700, rel=0.1)
    located = change.located
    assert located is not None
    parts = located.by_causes + located.by_level + located.rest
    assert parts == pytest.approx(located.actual - located.expected, abs=1e-6 * located.expected)


@pytest.mark.parametrize("usual", [20.0, 0.3])
@pytest.mark.parametrize("factor", [0.8, 1.3])
def test_a_rate_that_moved_everywhere_is_no_segment(usual: float, factor: float) -> None:
    change = localise_ratio(ratios(lambda _: factor, usual), DIMS)
    assert change.causes == ()
    assert change.is_global
    assert change.located is not None
    assert change.located.level == pytest.approx(factor - 1, rel=0.1)


def test_a_ratio_rises_where_its_weak_segment_shrinks() -> None:
    asked = ratios(lambda _: 1.0, 20.0, grown=lambda leaf: 0.3 if leaf[0] == "sa" else 1.0)
    weak = where(lambda leaf: leaf[0] == "sa", asked, "num_predict", 0.5)
    now = where(lambda leaf: leaf[0] == "sa", asked, "num_real", 0.5)
    change = localise_ratio(with_columns(asked, num_predict=weak, num_real=now), DIMS)
    assert change.mix > 0
    assert change.rate == pytest.approx(0)
    assert [(cause.kind, cause.values) for cause in change.causes] == [("mix", {"region": "sa"})]


def test_a_ratio_below_zero_is_refused() -> None:
    asked = ratios(lambda _: 1.0, 20.0)
    with pytest.raises(DefinitionError, match="'den_real' of a ratio has 60 negative values"):
        localise_ratio(with_columns(asked, den_real=[-1.0] * 60), DIMS)
