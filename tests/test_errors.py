"""Which names an error proposes: those that somebody may have meant, and no others."""

from __future__ import annotations

import pytest

from tidelake.errors import UnknownNameError, nearest

KEYS = ["not", "window", "at_most", "at_least", "exactly", "on_days", "metric", "did", "did_not"]


@pytest.mark.parametrize(
    ("name", "known", "near"),
    [
        ("amout", ["amount", "account", "about_us"], ["amount"]),  # 1 letter, and 3 of 7
        ("tims", KEYS, []),  # three letters of at_most, in their order, but five others
        ("event", KEYS, []),
        ("within", KEYS, []),  # four letters from window
        ("wndow", KEYS, ["window"]),
        ("did_nto", KEYS, ["did_not", "did"]),  # two letters swapped; holds did
        ("tier", ["subscription_tier", "region"], ["subscription_tier"]),
        ("city", ["users.city", "users.country"], ["users.city"]),
        ("bad_json", ["invalid_json", "late"], ["invalid_json"]),
        ("dau", [], []),
    ],
)
def test_only_near_names_are_proposed(name: str, known: list[str], near: list[str]) -> None:
    assert nearest(name, known) == near


def test_without_a_near_name_all_are_told() -> None:
    assert UnknownNameError("key", "tims", ["window", "at_most"]).hint == "Known: at_most, window."
