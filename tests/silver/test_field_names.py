"""No field hides: another one, or one twice, is seen beside any value, however few bytes it leaves for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from tests.silver.conftest import Built

PLAIN = {
    "at": '"2024-03-01T10:00:00Z"',
    "user": '"u"',
    "name": '"play"',
    "a": '"x"',
    "b": '"x"',
    "c": '"x"',
    "n": "1.5",
    "j": '{"k":1}',
}
# Values whose bytes in the file are not those that one would count from what is read; ... = not there.
VALUES = (
    {},
    {"a": "1", "b": "22", "c": "333"},
    {"a": "-1", "b": "0.5", "c": "1.0", "user": "17"},
    {"a": "true", "b": "false", "c": "true"},
    {"a": "NaN", "b": "Infinity", "c": "-Infinity"},
    *({field: number} for field in "an" for number in ("1e1", "1e6", "12e5", "1E-3", "2e-5", "1e20", "1e300", "1.50")),
    {"j": '{"k":[1e9,2]}'},
    {"j": '{"k": [1, 2]}'},
    {"j": '{"a":null}', "a": ...},
    {"a": "null"},
    {"a": "null", "b": "1e2", "c": "7"},
    {"a": ...},
    {"a": '"q\\"q\\u0041"'},
    {"a": '",\\"c\\":null"', "c": ...},
)
STYLES = {"compact": (",", ":"), "spaced": (", ", ": "), "colons spaced": (",", ": ")}


def written(values: Mapping[str, object], style: str, *more: str) -> str:
    """A record's text, with further fields as they are given."""
    comma, colon = STYLES[style]
    fields = [f'"{name}"{colon}{value}' for name, value in values.items() if value is not ...]
    return "{" + comma.join([*fields, *more]) + "}"


@pytest.mark.parametrize(("usual", "style"), [("compact", "compact"), ("spaced", "spaced"), ("spaced", "compact")])
@pytest.mark.parametrize("added", ["another", "twice"])
def test_no_field_hides(events: Callable[..., Built], usual: str, style: str, added: str) -> None:
    """Beside each value another field of each length, among records that are mostly written in the usual style."""
    project = events(
        {"a": {}, "b": {}, "c": {}, "n": {"type": "number"}, "j": {"type": "json"}}, {"extra": "quarantine"}
    )
    colon = STYLES[style][1]
    rows = [written(PLAIN, usual) for _ in range(2000)]
    for values in VALUES:
        for length in range(36):
            field = f'"{"z" * length}"{colon}1' if added == "another" else f'"b"{colon}"{"z" * length}"'
            rows.append(written({**PLAIN, **values}, style, field))
    project.lines("events/a.jsonl", *rows)
    project.build()
    assert project.rows(
        "SELECT min(source_position) AS first, max(source_position) AS last, count(*) AS n FROM silver.events"
    ) == [{"first": 1, "last": 2000, "n": 2000}]
    reasons = project.reasons()
    assert sorted(reasons) == [*range(2001, len(rows) + 1)]
    wanted = "undeclared_field" if added == "another" else "duplicate_key"
    assert [place for place, found in reasons.items() if wanted not in found] == []
