"""What is to be done with a file, from its look and what is known of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tidelake.bronze.registry import FileRecord, Planned, file_id_of, plan_files, superseded_ids
from tidelake.sources.base import Group, Look, Take


class Files:
    """A reader of files whose prefixes have the hashes given."""

    def __init__(self, prefixes: dict[int, str]) -> None:
        self.prefixes = prefixes

    def looks(self) -> list[Look]:
        return []

    def groups(self, takes: object, *, group_bytes: int) -> list[Group]:
        raise AssertionError(f"nothing is read here: {takes} {group_bytes}")

    def prefix_hash(self, look: Look, size: int) -> str | None:
        assert look.size >= size
        return self.prefixes.get(size)


KNOWN = FileRecord("app", "a.jsonl", 7, 1, "old", "h100", 100, 0, 10, "whole", True, None, "", 1)


def look(size: int, stamp: str = "new") -> Look:
    return Look("/x/a.jsonl", "a.jsonl", size, 0, stamp)


def planned(known: FileRecord | None, now: Look, prefixes: dict[int, str]) -> tuple[Planned, ...]:
    records = {known.source_path: known} if known else {}
    return plan_files(Files(prefixes), [now], records).planned  # type: ignore[arg-type]


def test_an_unknown_file_is_new() -> None:
    assert planned(None, look(5), {}) == (Planned(Take(look(5)), "new", None),)


def test_the_same_stamp_is_not_looked_at_again() -> None:
    step = plan_files(Files({}), [look(100, "old")], {"a.jsonl": KNOWN})  # type: ignore[arg-type]
    assert (step.planned, step.unchanged, step.vanished) == ((), 1, ())


def test_a_longer_file_that_begins_alike_grew() -> None:
    (found,) = planned(KNOWN, look(150), {100: "h100"})
    assert (found.action, found.take.start_byte, found.take.first_line) == ("grown", 100, 11)


@pytest.mark.parametrize(
    ("known", "now", "prefixes"),
    [
        (KNOWN, look(150), {100: "other"}),  # an earlier part changed
        (KNOWN, look(90), {}),  # shorter
        (KNOWN, look(100), {100: "other"}),  # as long, but other bytes
        (replace(KNOWN, ends_with_newline=False), look(150), {100: "h100"}),  # the last line may have gone on
        (replace(KNOWN, state="truncated"), look(150), {100: "h100"}),  # was cut off
        (replace(KNOWN, state="partial"), look(100, "old"), {100: "h100"}),  # a build died inside of it
    ],
)
def test_what_cannot_be_continued_takes_the_place_of_the_old(
    known: FileRecord, now: Look, prefixes: dict[int, str]
) -> None:
    (found,) = planned(known, now, prefixes)
    assert (found.action, found.take.start_byte) == ("changed", 0)


def test_a_new_stamp_on_the_same_bytes_is_noted() -> None:
    step = plan_files(Files({100: "h100"}), [look(100)], {"a.jsonl": KNOWN})  # type: ignore[arg-type]
    assert (step.planned, [record.stamp for record in step.touched]) == ((), ["new"])


def test_a_vanished_file_is_said() -> None:
    assert plan_files(Files({}), [], {"a.jsonl": KNOWN}).vanished == ("a.jsonl",)  # type: ignore[arg-type]


def test_a_copy_is_taken_when_its_original_is_replaced() -> None:
    copy = replace(KNOWN, source_path="b.jsonl", state="copy", copy_of=999)
    now = Look("/x/b.jsonl", "b.jsonl", 100, 0, "old")
    step = plan_files(Files({}), [now], {"b.jsonl": copy})  # type: ignore[arg-type]
    assert [item.action for item in step.planned] == ["changed"]


def test_every_earlier_generation_is_superseded() -> None:
    third = replace(KNOWN, generation=3)
    assert superseded_ids([third]) == {file_id_of("app", "a.jsonl", 1), file_id_of("app", "a.jsonl", 2)}
