"""A metric by day and by all dimensions at once: an actor's day stands in one combination, and all add up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.metrics.daily import daily

SETTINGS = {
    "dimensions": ["region", "device"],
    "measures": {"plays": {"event": "play"}},
    "timezone": "UTC",
}
COLUMNS = {"region": pa.string(), "device": pa.string()}


def event(at: str, actor: str | None, region: str | None, device: str, name: str = "play") -> dict[str, Any]:
    return {
        "event_time": f"2025-03-{at}",
        "actor_id": actor,
        "region": region,
        "device": device,
        "event_name": name,
        "event_id": f"{at}-{actor}-{region}-{device}-{name}",
    }


EVENTS = [
    event("03 10:00", "ann", "north", "tv"),
    event("03 11:00", "ann", "south", "web"),  # her last of the day
    event("03 11:30", "ann", "south", "web"),
    event("03 10:00", "bob", "north", "tv", "open"),
    event("03 12:00", None, "north", "tv"),
    event("05 10:00", "bob", None, "tv"),
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    with Tiny(tmp_path_factory.mktemp("daily"), SETTINGS, columns=COLUMNS) as made:
        made.add(EVENTS)
        made.build()
        yield made


def rows(tiny: Tiny, metric: str, **options: Any) -> list[tuple[Any, ...]]:
    found = daily(tiny.engine, tiny.lake, tiny.project, tiny.sources, metric, **options)
    listed = ", ".join(["day", *(f"s{at}" for at in range(len(found.by))), *found.parts])
    table = found.query(f"SELECT {listed} FROM ({found.rows}) AS leaves ORDER BY {listed}")
    return [tuple(row.values()) for row in table.to_pylist()]


def test_sums_stand_where_their_events_do(tiny: Tiny) -> None:
    """Ann plays once in north on tv and twice in south on web; somebody unknown once in north; bob without a region."""
    assert rows(tiny, "plays") == [
        (date(2025, 3, 3), "north", "tv", 2.0),
        (date(2025, 3, 3), "south", "web", 2.0),
        (date(2025, 3, 5), "(unknown)", "tv", 1.0),
    ]


def test_an_actor_stands_where_its_last_event_of_the_day_was(tiny: Tiny) -> None:
    """Ann was in two regions on the 3rd and counts once, in the last; bob opened in north."""
    assert rows(tiny, "dau") == [
        (date(2025, 3, 3), "north", "tv", 1.0),
        (date(2025, 3, 3), "south", "web", 1.0),
        (date(2025, 3, 5), "(unknown)", "tv", 1.0),
    ]


def test_a_ratio_has_both_parts(tiny: Tiny) -> None:
    """Plays of known actors over active days: 3 over 2 on the 3rd (ann's three, bob's none), 1 over 1 on the 5th."""
    assert rows(tiny, "plays_per_user", by=()) == [(date(2025, 3, 3), 3.0, 2.0), (date(2025, 3, 5), 1.0, 1.0)]


def test_a_ratio_over_rows_counts_them(tiny: Tiny) -> None:
    """Sessions without a play: bob's on the 3rd; ann's are two, for an hour lies between; bob's on the 5th has one."""
    assert rows(tiny, "bounce_session", by=("region",)) == [
        (date(2025, 3, 3), "north", 1.0, 2.0),
        (date(2025, 3, 3), "south", 0.0, 1.0),
        (date(2025, 3, 5), "(unknown)", 0.0, 1.0),
    ]


def test_a_condition_narrows(tiny: Tiny) -> None:
    assert rows(tiny, "plays", by=("region",), where="device = 'tv'") == [
        (date(2025, 3, 3), "north", 2.0),
        (date(2025, 3, 5), "(unknown)", 1.0),
    ]


def test_days_between_have_their_status(tiny: Tiny) -> None:
    found = daily(tiny.engine, tiny.lake, tiny.project, tiny.sources, "plays")
    assert list(found.statuses) == [date(2025, 3, 3), date(2025, 3, 4), date(2025, 3, 5)]
    assert found.statuses[date(2025, 3, 4)] == "missing"


@pytest.mark.parametrize("metric", ["session_duration_p90", "mau", "high_users", "stickiness"])
def test_what_does_not_add_up_is_refused(tiny: Tiny, metric: str) -> None:
    with pytest.raises((DefinitionError, UnknownNameError)) as refused:
        rows(tiny, metric)
    assert refused.value.hint or isinstance(refused.value, UnknownNameError)


def test_a_dimension_that_is_not_there(tiny: Tiny) -> None:
    with pytest.raises(UnknownNameError, match="regoin"):
        rows(tiny, "plays", by=("regoin",))
