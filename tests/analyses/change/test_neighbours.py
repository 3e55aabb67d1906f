"""A cause beside its parents and children, worked out on paper."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tidelake.analyses.change.localise import localise_sum
from tidelake.analyses.change.neighbours import Neighbour, neighbours
from tidelake.errors import UnknownNameError

# region, system, expected, actual: eu on tv lost half, nothing else moved; us has no tv
ROWS = [("eu", "tv", 100, 50), ("eu", "web", 300, 300), ("sa", "tv", 200, 200), ("us", "web", 400, 400)]
TABLE = pa.Table.from_pylist(
    [{"region": one, "system": two, "predict": float(was), "real": float(now)} for one, two, was, now in ROWS]
)


def rows(cause: dict[str, str]) -> tuple[Neighbour, ...]:
    return neighbours(localise_sum(TABLE, ["region", "system"]).leaves, cause)


def test_the_parents_of_a_cause_changed_in_it_only() -> None:
    assert rows({"system": "tv", "region": "eu"}) == (
        Neighbour("cause", None, {"region": "eu", "system": "tv"}, 50.0, 100.0, -0.5),
        Neighbour("parent", "region", {"system": "tv"}, 250.0, 300.0, pytest.approx(-50 / 300), 0.0),
        Neighbour("parent", "system", {"region": "eu"}, 350.0, 400.0, -0.125, 0.0),
    )


def test_the_children_of_a_value_and_all_as_its_parent() -> None:
    assert rows({"region": "eu"}) == (
        Neighbour("cause", None, {"region": "eu"}, 350.0, 400.0, -0.125),
        Neighbour("parent", "region", {}, 950.0, 1000.0, pytest.approx(-0.05), 0.0),
        Neighbour("child", "system", {"region": "eu", "system": "web"}, 300.0, 300.0, 0.0),
        Neighbour("child", "system", {"region": "eu", "system": "tv"}, 50.0, 100.0, -0.5),
    )


def test_what_is_all_has_nothing_elsewhere() -> None:
    only = TABLE.filter(pa.array([True, True, False, False]))
    found = neighbours(localise_sum(only, ["region", "system"]).leaves, {"region": "eu"})
    assert found[1] == Neighbour("parent", "region", {}, 350.0, 400.0, -0.125, None)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="'regoin'"):
        rows({"regoin": "eu"})
    with pytest.raises(UnknownNameError, match="'moon'"):
        rows({"region": "moon"})
