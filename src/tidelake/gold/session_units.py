"""On which dates sessions with an id of the source's start, so that an id that comes again is found without a search.

A source session may come again after months, and is then made anew from all of its events (METRICS section 7). An
index beside the table knows the dates of every id. It is a cache, made again from the table where it is behind;
what it finds is a suspicion, and the ids themselves are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from tidelake.gold.context import Gold
from tidelake.gold.dates import chunks
from tidelake.gold.sqltext import dates_condition
from tidelake.lake.keys import Hashes, KeyIndex

_ALGORITHM = "md5, 60 bits"
_DIGITS = 15
_EPOCH = date(1970, 1, 1)
_HASH = f"substr(md5(source_session_id), 1, {_DIGITS}) AS digits"


class SessionUnits:
    """The dates on which source sessions start, by the hash of their id.

    Args:
        table: The table of sessions.
        folder: Where the index is kept.
    """

    def __init__(self, gold: Gold, table: str, folder: Path) -> None:
        self._gold, self._table, self._folder = gold, table, folder
        self._opened: KeyIndex | None = None

    def dates(self, ids: str) -> list[date]:
        """Dates that hold all sessions with these ids, and perhaps others.

        Args:
            ids: A table with the column `source_session_id`.
        """
        hashes = _hashes(self._gold.engine.query(f"SELECT {_HASH} FROM {ids} WHERE source_session_id IS NOT NULL"))
        _, days = self._index().find(np.unique(hashes))
        return [_EPOCH + timedelta(days=int(day)) for day in np.unique(days)]

    def took(self, rows: str, dates: Sequence[date] | None, *, is_all: bool = False) -> None:
        """Keep where the sessions lie that were just committed.

        Args:
            rows: The table that holds them; rows of other dates were not committed.
            is_all: They are all that the table has.
        """
        if is_all:
            self._opened = KeyIndex(self._folder)
        index = self._index()
        self._add(index, f"{rows} WHERE {dates_condition('session_date', dates)}")
        self._save(index)

    def _index(self) -> KeyIndex:
        """The index; as it was before a commit, once it was asked for before."""
        if self._opened is None:
            self._opened = KeyIndex.open(self._folder, algorithm=_ALGORITHM)
            if self._opened.version != self._gold.lake.version(self._table):
                self._opened.clear()
                self._fill(self._opened)
        return self._opened

    def _fill(self, index: KeyIndex) -> None:
        held = self._gold.rows_by_date([(self._table, "session_date")])
        for dates in chunks(held, held):
            self._add(index, f"{self._table} WHERE {dates_condition('session_date', dates)}")

    def _add(self, index: KeyIndex, rows: str) -> None:
        found = self._gold.engine.query(f"SELECT {_HASH}, session_date FROM {rows}")
        days = found.column("session_date").combine_chunks().view(pa.int32())
        index.add(_hashes(found), np.asarray(days))

    def _save(self, index: KeyIndex) -> None:
        index.version = self._gold.lake.version(self._table)
        index.save(algorithm=_ALGORITHM)


def _hashes(rows: pa.Table) -> Hashes:
    """Whole numbers of texts that have 15 hexadecimal digits each."""
    texts = rows.column("digits").combine_chunks()
    _, offsets, data = texts.buffers()
    if len(texts) == 0 or data is None:
        return np.zeros(0, np.int64)
    first = int(np.frombuffer(offsets, np.int32)[texts.offset])
    digits = np.frombuffer(data, np.uint8)[first : first + _DIGITS * len(texts)].reshape(-1, _DIGITS)
    values = np.where(digits >= ord("a"), digits - ord("a") + 10, digits - ord("0"))
    found = np.zeros(len(texts), np.int64)
    for column in range(_DIGITS):
        found = found << 4 | values[:, column]
    return found
