"""Files and contracts that change between builds: the lake ends as if it had been built at once."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.session.lakes import build, digests, event, events_with, lines, make_project, rows_of
from tidelake import session as tl
from tidelake.errors import UnknownNameError

FIRST = lines(event(number) for number in range(20))
TAIL = lines(event(number) for number in range(20, 25))
Files = Mapping[str, str | bytes]
Same = Callable[..., None]


def put(root: Path, files: Files) -> None:
    for name, text in files.items():
        (root / "data" / name).write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.fixture
def same_as_at_once(tmp_path: Path) -> Same:
    """Hold a project in `tmp_path/steps` against one with the same files and contract that was built once."""

    def compare(sources: Mapping[str, Mapping[str, Any]], files: Files, **settings: Any) -> None:
        once = make_project(tmp_path / "once", sources, **settings)
        put(once, files)
        build(once)
        assert digests(tmp_path / "steps") == digests(once)

    return compare


def in_steps(root: Path, sources: Mapping[str, Mapping[str, Any]], *steps: Files, **settings: Any) -> None:
    make_project(root, sources, **settings)
    for files in steps:
        put(root, files)
        build(root)


def test_rows_of_a_copy_stay_in_the_same_build_in_which_their_owner_changes(tmp_path: Path) -> None:
    in_steps(tmp_path / "steps", {"app": events_with(dedup="none")}, {"a": FIRST, "b": FIRST}, {"a": TAIL})
    assert rows_of(tmp_path / "steps", "SELECT count(*) AS n FROM silver.app") == [{"n": 25}]


def test_a_cut_off_gz_is_replaced_by_the_whole_one(tmp_path: Path, same_as_at_once: Same) -> None:
    sources = {"app": events_with(dedup="key")}
    whole = gzip.compress(lines(event(number) for number in range(400)).encode())
    root = make_project(tmp_path / "steps", sources)
    put(root, {"a.gz": whole[: len(whole) // 2], "b": FIRST})
    cut = build(root)
    assert (cut.exit_code, len(cut.faults)) == (3, 1)
    assert "truncated_file" in cut.faults[0]
    put(root, {"a.gz": whole})
    assert build(root).exit_code == 0
    same_as_at_once(sources, {"a.gz": whole, "b": FIRST})


def test_a_large_file_renamed_is_not_taken_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that comes in several groups is known to be a copy only at its end."""
    from tidelake.silver import ingest

    monkeypatch.setattr(ingest, "GROUP_BYTES", 2_000)
    root = make_project(tmp_path / "steps", {"app": events_with(dedup="none")})
    put(root, {"a": FIRST + TAIL})
    assert len(build(root).sources[0]["batches"]) > 1
    (root / "data/a").rename(root / "data/b")
    build(root)
    assert rows_of(root, "SELECT count(*) AS n FROM silver.app") == [{"n": 25}]


def become(folder: Path, files: Files) -> None:
    """The folder holds these files and no others."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, text in files.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())


def lives(first_number: int) -> dict[str, list[Files]]:
    """What a folder holds at each build; the events are numbered from the first number on."""

    def part(start: int, end: int) -> str:
        return lines(event(first_number + number) for number in range(start, end))

    head, tail, more, new = part(0, 20), part(20, 25), part(30, 37), part(40, 49)
    return {
        "owner_of_a_copy_grows": [{"a": head, "b": head}, {"a": head + tail, "b": head}],
        "owner_of_a_copy_changes": [{"a": head, "b": head}, {"a": tail, "b": head}],
        "file_grows_into_a_copy": [{"a": head, "b": head + tail}, {"a": head + tail, "b": head + tail}],
        "two_files_swap_their_contents": [{"a": head, "b": tail}, {"a": tail, "b": head}],
        "renamed_nothing_under_the_old_name": [{"log": head}, {"log.1": head + tail}],
        "renamed_a_new_file_under_the_old_name": [{"log": head}, {"log.1": head + tail, "log": new}],
        "renamed_first_and_grown_later": [{"log": head}, {"log.1": head}, {"log.1": head + tail}],
        "renamed_beside_a_new_file": [{"log": head}, {"log.1": head, "other": new}],
        "renamed_and_a_new_file_much_later": [{"log": head}, {"log.1": head}, {"log.1": head, "log": new}],
        "renamed_then_replaced": [{"log": head}, {"log.1": head + tail}, {"log.1": new}],
        "renamed_there_and_back": [{"log": head}, {"log.1": head + tail}, {"log": head + tail + new}],
        "all_move_up_by_one": [{"log": head, "log.1": more}, {"log": new, "log.1": head + tail, "log.2": more}],
        "all_move_up_and_grow": [{"log": head, "log.1": more}, {"log.1": head + tail, "log.2": more + new}],
        "two_files_begin_alike": [{"log": head}, {"log.1": head + tail, "log.2": head + new}],
        "one_of_two_copies_goes_on": [{"a": head, "b": head}, {"b": head, "c": head + tail}],
        "last_line_had_not_been_finished": [{"log": head + tail[:40]}, {"log.1": head + tail}],
        "renamed_and_packed": [{"log": head}, {"log.1.gz": gzip.compress((head + tail).encode())}],
        "packed_as_it_was": [{"log": head}, {"log.1.gz": gzip.compress(head.encode()), "log": new}],
    }


LIVES = {name: lives(1000 * place)[name] for place, name in enumerate(lives(0))}
SHARES = 3  # sources that the lives are dealt out to


def test_files_are_known_by_what_they_hold(tmp_path: Path) -> None:
    """Copies are counted once and never lost, renamed files go on; every life is a folder with events of its own."""
    sources = {f"app{share}": events_with(dedup="none", path=f"data/{share}") for share in range(SHARES)}
    folders = {name: f"data/{place % SHARES}/{name}" for place, name in enumerate(LIVES)}
    roots = [make_project(tmp_path / name, sources) for name in ("steps", "once")]
    for step in range(3):
        for name, life in LIVES.items():
            if step < len(life):
                become(roots[0] / folders[name], life[step])
        build(roots[0])
        built = digests(roots[0], deep=True)
    for name, life in LIVES.items():
        become(roots[1] / folders[name], life[-1])
    build(roots[1])
    assert built == digests(roots[1])
    assert build(roots[0]).verdict == "unchanged"


def test_of_a_renamed_file_only_what_was_added_is_read(tmp_path: Path) -> None:
    root = make_project(tmp_path, {"app": events_with(dedup="none")})
    before, after = lives(0)["all_move_up_by_one"]
    become(root / "data", before)
    build(root)
    become(root / "data", after)
    (report,) = build(root).sources
    assert report["files"]["renamed"] == ["log.1 (was log)", "log.2 (was log.1)"]
    assert report["files"]["vanished"] == []
    assert rows_of(root, "SELECT count(*) AS n FROM bronze.app") == [{"n": 20 + 7 + 9 + 5}]
    with tl.open(root) as session:
        kept = {row["source_path"]: (row["read"], row["accepted"]) for row in session.ledger().to_dicts()}
    assert kept == {"log": (9, 9), "log.1": (25, 25), "log.2": (7, 7)}


def test_a_contract_that_changes_and_changes_back_restates(tmp_path: Path, same_as_at_once: Same) -> None:
    files = {"a": FIRST, "b": TAIL}
    text = {"type": "string"}

    def under(fields: Mapping[str, Any]) -> dict[str, Any]:
        return {dedup: events_with(dedup=dedup, fields=fields) for dedup in ("key", "content")}

    two = under({"amount": text, "country": {**text, "allowed": ["DE"]}})
    in_steps(tmp_path / "steps", under({}), files, measures={})
    for contract in (two, under({"amount": {"type": "integer"}}), under({})):
        in_steps(tmp_path / "steps", contract, {}, measures={})
    same_as_at_once(under({}), files, measures={})


def test_a_column_takes_the_type_of_the_new_contract(tmp_path: Path, same_as_at_once: Same) -> None:
    """Silver and gold columns of whole numbers must not cut off the fractions of a later contract."""
    files = {"a": FIRST}
    whole, fractions = ({"app": events_with(fields={"amount": {"type": kind}})} for kind in ("integer", "number"))
    in_steps(tmp_path / "steps", whole, files)
    in_steps(tmp_path / "steps", fractions, {})
    same_as_at_once(fractions, files)
    # 0/8 + 1/8 + ... + 19/8
    total = rows_of(tmp_path / "steps", "SELECT sum(amount) AS total FROM gold.user_day")
    assert total == [{"total": 23.75}]


def test_replay_under_a_mended_contract_gives_what_a_build_gives(tmp_path: Path, same_as_at_once: Same) -> None:
    strict = {"app": events_with(fields={"amount": {"type": "number", "minimum": 1}})}
    mended = {"app": events_with(fields={"amount": {"type": "number", "minimum": 0}, "user": {"required": True}})}
    files = {"a": FIRST, "b": lines([event(30, user=None), event(31, amount=-1)])}
    root = tmp_path / "steps"
    in_steps(root, strict, files)
    assert rows_of(root, "SELECT count(*) AS n FROM silver.quarantine WHERE state = 'open'") == [{"n": 9}]
    make_project(root, mended)
    with tl.open(root) as session:
        session.replay()
    # 0/8 to 7/8 are taken now; -1 is still too small, and the row without user is refused.
    assert rows_of(root, "SELECT count(*) AS n FROM silver.app") == [{"n": 20}]
    assert rows_of(root, "SELECT count(*) AS n FROM silver.quarantine WHERE state = 'open'") == [{"n": 2}]
    same_as_at_once(mended, files)
    assert build(root).verdict == "unchanged"


def test_which_of_two_conflicting_rows_wins_does_not_depend_on_later_fields(
    tmp_path: Path, same_as_at_once: Same
) -> None:
    sources = {"app": events_with()}
    for number in range(3):
        row = event(1, received="2024-03-09T00:00:00Z", amount=number)
        steps = [
            {f"a{number}": lines([row, {**row, "amount": number + 1}])},
            {f"b{number}": lines([event(2, later_field="x"), {**row, "amount": number + 2}])},
        ]
        in_steps(tmp_path / "steps", sources, *steps)
    files = {path.name: path.read_bytes() for path in (tmp_path / "steps" / "data").iterdir()}
    same_as_at_once(sources, files)


def test_ids_that_are_missing_or_repeated_leave_gold_in_order(tmp_path: Path, same_as_at_once: Same) -> None:
    """Rows of one instant with one id, or none, are put in order by their content."""
    optional = {"id": {"required": False}}
    sources = {dedup: events_with(dedup=dedup, fields=optional) for dedup in ("none", "content", "key")}
    tied = [event(1, id=None, country=country, received=...) for country in ("DE", "FR", "IT", "ES")]
    in_steps(tmp_path / "steps", sources, *({f"f{i}": lines([row])} for i, row in enumerate(tied)))
    same_as_at_once(sources, {"a": lines(reversed(tied))})


PRODUCTS = {
    "kind": "files",
    "fact": "dimension",
    "path": "data/*",
    "key": ["sku"],
    "contract": {"fields": {"sku": {"required": True}, "price": {"type": "number"}}},
}


def test_the_last_snapshot_of_a_dimension_holds_also_when_it_equals_an_earlier_one(
    tmp_path: Path, same_as_at_once: Same
) -> None:
    old, new = (lines([{"sku": "a", "price": price}]) for price in (1, 2))
    snapshots = {"2024-03-01": old, "2024-03-02": new, "2024-03-03": old}
    sources = {"products": PRODUCTS}
    in_steps(
        tmp_path / "steps", sources, *({name: text} for name, text in snapshots.items()), measures={}, dimensions=[]
    )
    assert rows_of(tmp_path / "steps", "SELECT price FROM silver.products") == [{"price": 1.0}]
    same_as_at_once(sources, snapshots, measures={}, dimensions=[])


def test_a_dimension_takes_the_type_of_the_new_contract(tmp_path: Path, same_as_at_once: Same) -> None:
    files = {"a": lines([{"sku": "a", "price": 1.5}])}
    fields = {"sku": {"required": True}, "price": {"type": "string"}}
    text = {"products": {**PRODUCTS, "contract": {"fields": fields}}}
    in_steps(tmp_path / "steps", {"products": PRODUCTS}, files, measures={}, dimensions=[])
    in_steps(tmp_path / "steps", text, {}, measures={}, dimensions=[])
    same_as_at_once(text, files, measures={}, dimensions=[])


@pytest.mark.parametrize(
    ("wrong", "guess"), [("ap", "'app'"), ("product", "'products'"), ("session", "'gold.sessions'"), ("wek", "week")]
)
def test_select_proposes_sources_and_tables(tmp_path: Path, wrong: str, guess: str) -> None:
    root = make_project(tmp_path, {"app": events_with(), "products": PRODUCTS})
    (root / "models").mkdir()
    (root / "models/week.sql").write_text("SELECT actor_id FROM gold.user_day")
    with pytest.raises(UnknownNameError, match=f"source or table '{wrong}'") as caught:
        build(root, select=["app", wrong])
    assert guess in (caught.value.hint or "")
    assert not (root / "lake/bronze").exists()


def test_select_of_a_source_reads_it_and_makes_gold_and_of_a_table_reads_nothing(tmp_path: Path) -> None:
    other = events_with(path="other/*")
    root = make_project(tmp_path, {"app": events_with(), "other": other})
    (root / "other").mkdir()
    put(root, {"a": FIRST})
    assert build(root, select=["app"]).sources[0]["source"] == "app"
    assert rows_of(root, "SELECT sum(event_count) AS n FROM gold.user_day") == [{"n": 20}]
    put(root, {"b": TAIL})
    (root / "other/c").write_text(TAIL)
    made = build(root, select=["sessions"])
    assert (made.sources, [model.name for model in made.models]) == ((), ["gold.sessions"])
    build(root, select=["silver.app", "gold.sessions"])
    assert rows_of(root, "SELECT count(*) AS n FROM silver.app") == [{"n": 25}]
    assert rows_of(root, "SELECT sum(event_count) AS n FROM gold.user_day") == [{"n": 20}]


def test_a_column_whose_only_file_was_replaced_is_null(tmp_path: Path) -> None:
    root = make_project(tmp_path)
    put(root, {"a": FIRST})
    build(root)
    put(root, {"b": lines([event(31, ts="2024-03-20T10:00:00Z", received=..., later_field="x")])})
    build(root)
    assert rows_of(root, "SELECT count(*) AS n, count(later_field) AS x FROM silver.app") == [{"n": 21, "x": 1}]
    put(root, {"b": lines([event(31, amount=-1)])})
    build(root)
    assert rows_of(root, "SELECT count(*) AS n, count(later_field) AS x FROM silver.app") == [{"n": 20, "x": 0}]
    digests(root)


def test_a_field_of_quarantined_rows_only_leaves_silver_readable(tmp_path: Path) -> None:
    root = make_project(tmp_path)
    put(root, {"a": FIRST})
    build(root)
    put(root, {"b": lines([event(30, amount=-1, other_field="x")])})
    build(root)
    assert rows_of(root, "SELECT count(*) AS n, count(other_field) AS x FROM silver.app") == [{"n": 20, "x": 0}]
    digests(root)
