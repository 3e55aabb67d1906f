"""Entities that fell to a part of what they had, worked out by hand."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.metrics.counts import Sites
from tidelake.errors import DefinitionError
from tidelake.metrics.answer import defined
from tidelake.metrics.decline import Decline, decline

FIRST = date(2025, 3, 1)
LENGTH = 14
SERIES: dict[str, list[int | None]] = {
    # base of the 4th = mean(10, 12, 8) = 10; the lowest of the seven days after is 3 = 30 % of it
    "falls": [10, 12, 8, 99, 9, 9, 3, 9, 9, 9, 9, 9, 9, 9],
    "holds": [10, 12, 8, 0, 9, 9, 4, 9, 9, 9, 9, 9, 9, 9],  # 4 is more, and the 0 of the date itself plays no part
    "small": [0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],  # a base of 2/3
    "late": [None, None, 8, 8, 8, 0, 8, 8, 8, 8, 8, 8, 8, 8],  # not there on the 1st and 2nd
}


def day(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Sites(tmp_path_factory.mktemp("decline")) as made:
        for entity, values in SERIES.items():
            made.series(entity, FIRST, values)
        made.build()
        yield made


def ask(sites: Sites, **options: Any) -> dict[int, tuple[Any, ...]]:
    settings = {name: options.pop(name) for name in ("share", "before", "after", "min_base") if name in options}
    definition = defined(Decline, {"metric": "views", **settings})
    rows = sites.ask(decline, definition, by=["entity"], **options).to_dicts()
    names = ("value", "numerator", "denominator", "status")
    return {row["period_start"].day: tuple(row[name] for name in names) for row in rows}


def test_the_share_of_those_that_fell(sites: Sites) -> None:
    """On the 4th `falls` and `holds` have a label. On the 5th the bases are 39.7 and 6.7, and `falls` comes to 3: 8 %,
    `holds` to 4. On the 6th `late` has one too: 8, and never falls again; so do `falls` (38.7, 3) and `holds` (5.7, 4).
    The 14th is open, so that the seven days after the 7th have not ended."""
    found = ask(sites)
    assert [found[number][:2] for number in (1, 2, 3)] == [(None, 0)] * 3
    assert {found[number][3] for number in (1, 2, 3)} == {"partial_left"}
    assert found[4] == (1 / 2, 1, 2, "complete")
    assert found[5] == (1 / 2, 1, 2, "complete")
    assert found[6] == (pytest.approx(1 / 3), 1, 3, "complete")
    assert all(found[number] == (None, None, None, "open") for number in range(7, LENGTH + 1))


def test_each_label_with_what_it_comes_from(sites: Sites) -> None:
    rows = sites.ask(decline, "views", by=["entity"], each=True, start=day(4), end=day(4)).to_dicts()
    names = ("entity", "value", "base", "lowest")
    assert [tuple(row[name] for name in names) for row in rows] == [("falls", 1, 10, 3), ("holds", 0, 10, 4)]


def test_other_lengths_and_bounds(sites: Sites) -> None:
    """With one day on either side: on the 5th `late` has 8 before it and 0 after; `falls` 99 and 9 (9 %).

    On the 6th 9, 9 and 8 are followed by 3, 4 and 8: no one falls to 30 %.
    """
    found = ask(sites, before=1, after=1, start=day(5), end=day(5))
    assert found == {5: (1, 2, 2, "complete")}  # `holds` and `small` have a base of 0
    assert ask(sites, before=1, after=1, start=day(6), end=day(6))[6][:3] == (0, 0, 3)
    assert ask(sites, share=0.45, start=day(4), end=day(4))[4][:3] == (1, 2, 2)
    assert ask(sites, min_base=0.5, start=day(4), end=day(4))[4][:3] == (pytest.approx(2 / 3), 2, 3)
    with pytest.raises(DefinitionError, match="decline, min_base"):
        ask(sites, min_base=0)


def test_a_day_that_was_not_received_leaves_no_label(tmp_path: Path) -> None:
    """Nothing came on the 7th, so that nobody knows what the days 4 to 10 are followed or preceded by."""
    with Sites(tmp_path) as made:
        made.series("one", FIRST, [5, 5, 5, 5, 5, 5, None, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5])
        made.build()
        found = ask(made, after=2)
        assert {number: row[3] for number, row in found.items() if 4 <= number <= 12} == {
            4: "complete",
            **dict.fromkeys((5, 6, 8, 9, 10), "missing"),
            7: "complete",
            **dict.fromkeys((11, 12), "complete"),
        }
        assert found[4][:3] == found[11][:3] == found[7][:3] == (0, 0, 1)
        assert found[9][:3] == (None, None, None)


def test_a_share_is_of_all_values_however_many(tmp_path: Path) -> None:
    """60 sites with 9, 9 and 9 rows that the condition takes, of which one has 9, 9 and 1: of 60 one falls. The smaller
    ones put together would be no site."""
    with Sites(tmp_path) as made:
        made.count((f"{site:02d}", day(at), 9) for site in range(60) for at in range(1, 5) if (site, at) != (7, 3))
        made.count([("07", day(3), 1)])
        made.build()
        asked = Decline(metric="views", before=1, after=1)
        rows = made.ask(decline, asked, by=["entity"], where="views > 0", start=day(2), end=day(2)).to_dicts()
        assert [(row["numerator"], row["denominator"]) for row in rows] == [(1, 60)]
