"""A release beside its control: values worked out on paper, and the interval by another road."""

from __future__ import annotations

from math import exp, log, sqrt

import numpy as np
import pytest

from tidelake.analyses.canary.cells import Cell, common_cells
from tidelake.analyses.canary.compare import Compared, Rows, compare, strata
from tidelake.analyses.canary.shares import check_shares
from tidelake.analyses.canary.verdict import Aim, Judged, judge, overall
from tidelake.errors import DefinitionError
from tidelake.metrics.intervals import ratio_of_sums


def rows(*given: tuple[int, int, int, float, float]) -> Rows:
    """Rows of (actor, is_new, segment, numerator, denominator)."""
    actor, new, segment, y, x = (np.array(column) for column in zip(*given, strict=True))
    return Rows(actor, new.astype(bool), (segment,), y.astype(float), x.astype(float))


def test_both_sides_get_the_mix_of_both() -> None:
    """Segment 0: 3 / 2 and 4 / 4 per day; segment 1: 12 / 4 and 6 / 2.

    Denominators of both: 6 in segment 0 and 6 in segment 1, so each weighs 1/2. New (1.5 + 3) / 2 = 2.25, control
    (1 + 3) / 2 = 2; as they stand it would be 15 / 6 = 2.5 and 10 / 6 = 1.67.
    """
    found = compare(
        rows(
            *((0, 1, 0, 1, 1), (1, 1, 0, 2, 1), (2, 1, 1, 7, 2), (3, 1, 1, 5, 2)),
            *((4, 0, 0, 3, 2), (5, 0, 0, 1, 2), (6, 0, 1, 2, 1), (7, 0, 1, 4, 1)),
        ),
        least=2,
    )
    assert (found.new, found.control, found.difference) == (2.25, 2.0, 0.25)
    assert found.ratio == pytest.approx(1.125)
    assert (found.strata, found.new_actors, found.control_actors, found.compared_share) == (2, 4, 4, 1.0)


def test_another_mix_alone_is_no_effect() -> None:
    """Both have 1 in segment 0 and 3 in segment 1, in parts 3 : 1 and 1 : 3."""
    new = [(at, 1, segment, rate, 1) for at, (segment, rate) in enumerate([(0, 1)] * 3 + [(1, 3)] * 2)]
    old = [(9 + at, 0, segment, rate, 1) for at, (segment, rate) in enumerate([(0, 1)] * 2 + [(1, 3)] * 3)]
    found = compare(rows(*new, *old), least=2)
    assert found.difference == pytest.approx(0)
    assert found.ratio == pytest.approx(1)


def test_the_interval_without_segments_is_that_of_two_ratios_of_sums() -> None:
    """Two independent sides: the variances of the delta method add up, of the difference and of the logarithm."""
    rng = np.random.default_rng(5)
    sides = [(rng.poisson(3, n) + 1.0, rng.integers(1, 5, n).astype(float)) for n in (40, 25)]
    given = [
        (at + 100 * side, 1 - side, 0, y, x)
        for side, part in enumerate(sides)
        for at, (y, x) in enumerate(zip(*part, strict=True))
    ]
    found = compare(rows(*given))
    errors = []
    for y, x in sides:
        value, (low, high) = ratio_of_sums(y, x, z=1.0)
        assert value is not None
        assert low is not None
        assert high is not None
        errors.append((value, (high - low) / 2))
    (new, new_error), (control, control_error) = errors
    assert found.difference == pytest.approx(new - control)
    assert found.difference_high == pytest.approx(new - control + 1.959963985 * sqrt(new_error**2 + control_error**2))
    spread = sqrt((new_error / new) ** 2 + (control_error / control) ** 2)
    assert found.log_error == pytest.approx(spread)
    assert found.ratio_low == pytest.approx(exp(log(new / control) - 1.959963985 * spread))


def test_an_actor_in_two_segments_counts_once_in_the_error() -> None:
    """Each actor has the same rows in both segments: as much is known as from one of them."""
    rng = np.random.default_rng(1)
    one = [(at, at % 2, 0, float(y), 1.0) for at, y in enumerate(rng.poisson(4, 60) + 1)]
    both = [*one, *((actor, new, 1, y, x) for actor, new, _, y, x in one)]
    assert compare(rows(*both)).log_error == pytest.approx(compare(rows(*one)).log_error or 0)


def test_an_actor_on_both_sides_is_its_own_control() -> None:
    """Everybody has 10 % more under the release: no chance is in that, however much actors differ."""
    given = [(at, new, 0, (at + 1) * (1.1 if new else 1.0), 1) for at in range(30) for new in (0, 1)]
    found = compare(rows(*given))
    assert found.ratio == pytest.approx(1.1)
    assert found.log_error == pytest.approx(0, abs=1e-12)
    assert found.both_actors == 30


def test_segments_of_one_side_are_left_out_and_small_ones_put_together() -> None:
    """Two dimensions: (0, 0) has 3 of each side, (0, 1) and (0, 2) one of each, (1, 0) only the release."""
    cells = [(0, 0, 3, 3), (0, 1, 1, 1), (0, 2, 1, 1), (1, 0, 4, 0)]
    listed = [(a, b, side) for a, b, new, old in cells for side, size in ((1, new), (0, old)) for _ in range(size)]
    first, second, side = (np.array(column) for column in zip(*listed, strict=True))
    size = len(listed)
    given = Rows(np.arange(size), side.astype(bool), (first, second), np.ones(size), np.ones(size))
    found = strata(given, least=2)
    assert len({int(one) for one in found[:6]}) == 1
    assert len({int(one) for one in found[6:10]}) == 1
    assert found[0] != found[6]
    assert (found[10:] == -1).all()
    assert strata(given, least=4).tolist() == [0] * 10 + [-1] * 4  # 5 of each side together
    assert (strata(given, least=6) == -1).all()


def test_days_get_the_same_part_of_both_sides() -> None:
    """The release has 30 and 10 below the line on two days, its control 30 and 30: both have 60 % on the first.

    Together 60 and 40 of 100. The release's rows of day 1 count .6 / (30 / 40) = .8, of day 2 .4 / .25 = 1.6; the
    control's .6 / .5 = 1.2 and .8. On the third day only the control runs.
    """
    from datetime import date

    days = [date(2025, 11, day) for day in (1, 2, 3)]
    below = {(0, True): 30, (1, True): 10, (0, False): 30, (1, False): 30, (2, False): 50}
    cells = [Cell(days[day], new, ("a",), value, value) for (day, new), value in below.items()]
    found = common_cells(cells)
    assert found.days == tuple(days[:2])
    assert found.left_out == (days[2],)
    assert {(key[0].day, key[1]): round(value, 9) for key, value in found.factors.items()} == {
        (1, True): 0.8, (2, True): 1.6, (1, False): 1.2, (2, False): 0.8
    }  # fmt: skip


def test_a_segment_that_only_one_side_serves_is_not_compared_that_day_but_chance_is_no_reason() -> None:
    """Segment b starts a day later: 40 of the control stay alone. In c the release lacks 2 actors by chance."""
    from datetime import date

    days = [date(2025, 11, day) for day in (1, 2)]
    sizes = {
        ("a", 0, True): 50, ("a", 0, False): 50, ("a", 1, True): 50, ("a", 1, False): 50,
        ("b", 0, False): 40, ("b", 1, True): 40, ("b", 1, False): 40,
        ("c", 0, False): 2, ("c", 1, True): 2, ("c", 1, False): 2,
    }  # fmt: skip
    cells = [Cell(days[day], new, (name,), size, size) for (name, day, new), size in sizes.items()]
    kept = {(name, day.day, new) for day, new, (name,) in common_cells(cells).factors}
    assert ("b", 1, False) not in kept
    assert {("b", 2, True), ("b", 2, False), ("c", 1, False), ("c", 2, True)} <= kept


@pytest.mark.parametrize(
    ("ratio", "error", "direction", "verdict"),
    [
        (0.8, 0.01, "up", "worse"),
        (0.8, 0.01, "down", "better"),
        (1.2, 0.01, "up", "better"),
        (1.001, 0.001, "up", "no difference"),
        (1.01, 0.02, "up", "cannot be told"),
        (1.01, 0.001, "up", "no difference"),  # 0 is outside, but so is anything that matters
    ],
)
def test_verdicts(ratio: float, error: float, direction: str, verdict: str) -> None:
    found = Compared(new=ratio, control=1.0, ratio=ratio, log_error=error, new_actors=500, control_actors=500)
    aim = Aim.parse(f"plays,{direction},2%")
    assert judge(found, aim).verdict == verdict
    few = Compared(new=ratio, control=1.0, ratio=ratio, log_error=error, new_actors=500, control_actors=99)
    assert judge(few, aim).verdict == "cannot be told"


def test_what_cannot_be_divided_cannot_be_told() -> None:
    aim = Aim.parse("bounce_session")
    assert judge(Compared(new=0.1, control=0.0, new_actors=900, control_actors=900), aim).verdict == "cannot be told"
    assert judge(Compared(), aim).verdict == "cannot be told"
    assert compare(rows((0, 1, 0, 1, 1))) == Compared()


def test_aims_as_text() -> None:
    assert Aim.parse("bounce_session").direction == "down"
    assert Aim.parse("plays_per_user, down, 0.05") == Aim("plays_per_user", "down", 0.05)
    for wrong in ("plays,sideways", "plays,0%", "plays,150%"):
        with pytest.raises(DefinitionError):
            Aim.parse(wrong)


def test_the_overall_verdict() -> None:
    good, guard = Aim.parse("plays"), Aim.parse("bounce_session", is_guardrail=True)

    def over(first: str, second: str) -> str:
        return overall([(good, Judged(first, "")), (guard, Judged(second, ""))])  # type: ignore[arg-type]

    assert over("better", "worse") == "worse"
    assert over("better", "no difference") == "better"
    assert over("better", "cannot be told") == "cannot be told"
    assert over("no difference", "better") == "no difference"


def test_a_sample_ratio_on_paper() -> None:
    """60 of 100 actors where half were meant: chi-square 4, p = .0455; 70 of 100: 16, p = 6e-5."""

    def check(new: int) -> object:
        given = rows(*((at, at < new, 0, 1, 1) for at in range(100)), (200, 1, 0, 1, 1), (200, 0, 0, 1, 1))
        return check_shares(given, ["region"], declared=0.5)

    fair, wrong = check(60), check(70)
    assert fair.p_value == pytest.approx(0.0455, abs=5e-5)  # type: ignore[attr-defined]
    assert (fair.verdict, fair.both, fair.share) == ("as declared", 1, 0.6)  # type: ignore[attr-defined]
    assert wrong.p_value == pytest.approx(6.33e-5, rel=1e-2)  # type: ignore[attr-defined]
    assert wrong.blocks  # type: ignore[attr-defined]


def test_an_uneven_share_is_said() -> None:
    given = [(at, at < 80 if at < 100 else at < 120, int(at >= 100), 1, 1) for at in range(200)]
    found = check_shares(rows(*given), ["region"])
    assert found.verdict == "uneven"
    assert "region" in found.reason
