"""Numbers of accounts whose profiles share them, and of opens without something, worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tests.metrics.asking import ask, own, parts_of, row_of
from tidelake.errors import DefinitionError, UnknownNameError

SETTINGS = {
    "actors": {"account": "account_id"},
    "measures": {
        "plays": {"event": "play"},
        "opens": {"event": "open"},
        "titles": {"event": "play", "distinct": "content_id"},
    },
}
COLUMNS = {"account_id": pa.string(), "content_id": pa.string()}
# Account A has the profiles p1 and p2, account B has p3, and p4 has none.
ACCOUNTS = {"p1": "A", "p2": "A", "p3": "B", "p4": None}
EVENTS = [
    ("p1", "08:00", "open", None),
    ("p1", "08:02", "play", "c1"),
    ("p1", "08:04", "play", "c2"),
    ("p2", "09:00", "open", None),
    ("p2", "09:08", "play", "c1"),
    ("p3", "10:00", "open", None),
    ("p3", "10:06", "search", None),
    ("p4", "11:00", "play", "c3"),
    ("p4", "12:00", "open", None),
]
DAY = {"start": None}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    rows = [
        {
            "actor_id": actor,
            "account_id": ACCOUNTS[actor],
            "event_time": f"2025-03-03 {time}",
            "event_id": f"{actor}{time}",
            "event_name": name,
            "content_id": content,
        }
        for actor, time, name, content in EVENTS
    ]
    rows.append({"actor_id": None, "event_time": "2025-03-04 00:00", "event_id": "tick", "event_name": "tick"})
    with Tiny(tmp_path_factory.mktemp("levels"), SETTINGS, columns=COLUMNS) as made:
        made.add(rows)
        made.build()
        yield made


@pytest.mark.parametrize(
    ("metric", "of_profiles", "of_accounts"),
    [
        ("dau", (4, 4, None), (2, 2, None)),
        ("plays", (4, 4, None), (4, 4, None)),  # a sum: the same whoever they are of
        ("sessions", (5, 5, None), (5, 5, None)),
        ("active_days", (4, 4, None), (2, 2, None)),
        ("plays_per_user", (1, 4, 4), (3 / 2, 3, 2)),  # p4's play has no account
        ("sessions_per_user", (5 / 4, 5, 4), (3 / 2, 3, 2)),
        ("titles", (4, 4, None), (2, 2, None)),  # A saw c1 twice, by two profiles: c1 and c2
        ("titles_per_user", (1, 4, 4), (1, 2, 2)),
        ("plays_per_player", (4 / 3, 4, 3), (3, 3, 1)),
        ("high_users", (0, 0, None), (0, 0, None)),
        ("low_users", (4, 4, None), (2, 2, None)),
        ("opened_not_play", (2 / 4, 2, 4), (1 / 2, 1, 2)),
    ],
)
def test_numbers_of_profiles_and_of_accounts(
    tiny: Tiny, metric: str, of_profiles: tuple[float, ...], of_accounts: tuple[float, ...]
) -> None:
    """p4 opens at 12:00 and has played at 11:00, so of profiles only p3 opened and did not play."""
    if metric == "opened_not_play":
        of_profiles = (1 / 4, 1, 4)
    assert parts_of(tiny, metric) == pytest.approx(of_profiles)
    assert parts_of(tiny, metric, actor="account") == pytest.approx(of_accounts)


def test_sessions_cluster_in_their_account(tiny: Tiny) -> None:
    """Durations of 4, 8 (A), 6 (B) minutes, and of p4 twice 0 without an account: their mean is 6 minutes.

    By accounts y = 12, 6 and x = 2, 1: y - 6 x = 0, so the interval has no width; by profiles 4, 8, 6 and 0 differ.
    """
    row = row_of(tiny, "session_duration", actor="account")
    assert (row["value"], row["numerator"], row["denominator"]) == (360, 1080, 3)
    assert (row["ci_low"], row["ci_high"]) == (360, 360)
    assert row_of(tiny, "session_duration")["value"] == 216


def test_answers_of_another_level_say_so(tiny: Tiny) -> None:
    plain, other = ask(tiny, "dau"), ask(tiny, "dau", actor="account")
    assert "account_id" in (other.title or "")
    versions = {table.to_dicts()[0]["definition_version"] for table in (plain, other)}
    assert len(versions) == 2


# --- opened and did not ...


def test_opened_and_did_not_do_anything(tiny: Tiny) -> None:
    """Four profiles open; p3 searches, p1, p2 and p4 do not. p1, p2, p4 play. Accounts: A and B open, B searches."""
    assert parts_of(tiny, "opened_not_search") == (3 / 4, 3, 4)
    assert parts_of(tiny, "opened_not_plays") == (1 / 4, 1, 4)  # a measure
    assert parts_of(tiny, "opened_not_play") == parts_of(tiny, "opened_not_plays")
    assert parts_of(tiny, "opened_not_search", actor="account") == (1 / 2, 1, 2)
    silent = ask(tiny, "opened_not_search", members=True).to_dicts()
    assert {row["actor_id"] for row in silent if row["numerator"]} == {"p1", "p2", "p4"}


def test_what_nobody_ever_does_is_a_wrong_name(tiny: Tiny) -> None:
    with pytest.raises(UnknownNameError, match="Unknown event 'serch'") as caught:
        ask(tiny, "opened_not_serch")
    assert "search" in str(caught.value.hint)


def test_a_metric_of_the_projects_own_comes_first(tiny: Tiny) -> None:
    own(tiny, "opened_not_search", "kind: sum\nfact: event\nevent: open\n")
    try:
        assert parts_of(tiny, "opened_not_search")[0] == 4
    finally:
        for path in (tiny.project.root / "metrics").glob("*.yml"):
            path.unlink()


def test_without_opens_there_is_nothing_to_ask(tiny: Tiny) -> None:
    project = tiny.project
    tiny.project = project.model_copy(update={"measures": {"plays": project.measures["plays"]}})
    try:
        with pytest.raises(DefinitionError, match="declares no measure `opens`"):
            ask(tiny, "opened_not_search")
    finally:
        tiny.project = project
