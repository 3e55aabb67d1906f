"""Source sessions that come again are found by an index, whatever became of it, and without reading other dates."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tidelake.gold.session_units import _hashes

EVENTS = [
    {"event_time": "2025-01-01 10:00", "session_id": "s1"},
    {"event_time": "2025-01-02 10:00", "session_id": "s2"},
    {"event_time": "2025-01-03 10:00", "session_id": "s3"},
]
AGAIN = [
    {"event_time": "2025-01-04 09:00", "session_id": "s1", "event_id": "late"},
    {"event_time": "2025-01-04 11:00", "session_id": "s4", "event_id": "new"},
]


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Tiny]:
    with Tiny(tmp_path, {"session": {"mode": "trust"}}) as made:
        made.add(EVENTS)
        made.build()
        yield made


def spans(tiny: Tiny) -> list[tuple[str, str, str]]:
    """Source session, and the days of January 2025 on which it starts and ends."""
    sql = "SELECT source_session_id AS id, session_date AS a, ended_date AS b FROM gold.sessions ORDER BY ALL"
    return [(row["id"], f"{row['a']:%d}", f"{row['b']:%d}") for row in tiny.query(sql)]


WANTED = [("s1", "01", "04"), ("s2", "02", "02"), ("s3", "03", "03"), ("s4", "04", "04")]


def test_an_id_that_comes_again_lengthens_its_session(tiny: Tiny) -> None:
    tiny.add(AGAIN)
    tiny.build()
    assert spans(tiny) == WANTED


@pytest.mark.parametrize("lost", ["all of it", "its state", "the last commit"])
def test_an_index_that_is_lost_or_behind_is_made_again(tiny: Tiny, lost: str) -> None:
    folder = tiny.lake.index_folder("gold.sessions")
    assert folder is not None
    assert folder.is_dir()
    if lost == "all of it":
        shutil.rmtree(folder)
    elif lost == "its state":
        (folder / "state.json").write_text("{")
    else:
        before = folder.with_name("before")
        shutil.copytree(folder, before)
        tiny.add([{"event_time": "2025-01-03 12:00", "session_id": "s5", "event_id": "x"}])
        tiny.build()
        shutil.rmtree(folder)
        before.rename(folder)
        tiny.add([{"event_time": "2025-01-04 12:00", "session_id": "s5", "event_id": "y"}])
        tiny.build()
        assert ("s5", "03", "04") in spans(tiny)
        return
    tiny.add(AGAIN)
    tiny.build()
    assert spans(tiny) == WANTED


def test_sessions_of_other_dates_are_not_read(tiny: Tiny) -> None:
    (file,) = [file for file in tiny.lake.files("gold.sessions") if file.partition["session_date"] == "2025-01-02"]
    kept = Path(file.path).read_bytes()
    Path(file.path).unlink()
    tiny.add([AGAIN[1]])
    tiny.build()
    Path(file.path).write_bytes(kept)
    assert spans(tiny) == [("s1", "01", "01"), *WANTED[1:]]


def test_hashes_are_the_first_sixty_bits_of_an_md5() -> None:
    digits = [hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:15] for text in ("", "s1", "ü")]
    table = pa.table({"digits": pa.array(["0" * 15, *digits, "f" * 15])})
    assert _hashes(table).tolist() == [0, *(int(text, 16) for text in digits), 2**60 - 1]
    assert _hashes(table.slice(2, 1)).tolist() == [int(digits[1], 16)]
    assert _hashes(table.slice(0, 0)).tolist() == []
