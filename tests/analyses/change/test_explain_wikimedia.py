"""Real views: in May 2015 the Chinese Wikipedia was blocked in China, while all wikis went into their summer."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from tidelake.analyses.change.question import explain_table

DAILY = Path(__file__).parents[3] / "examples" / "wikimedia" / "data" / "daily"


def test_the_block_of_may_2015_is_found_without_a_date() -> None:
    """Views by wiki over May 2015: the onset lies within 18 to 20 May and in zhwiki.

    The English one lost more in absolute terms, as every year; against what the others did zhwiki lost most. There are
    18 or 19 days of history, so that no interval can be calibrated, and that is said.
    """
    table = ds.dataset(DAILY).to_table(columns=["date", "site", "total"])
    first, last = (pa.scalar(date(2015, 5, day), pa.date32()) for day in (1, 31))
    table = table.filter(pc.and_(pc.greater_equal(table["date"], first), pc.less_equal(table["date"], last)))
    said = explain_table(table.rename_columns(["day", "wiki", "value"]), ["wiki"], name="views").document()
    assert said["verdict"] == "segments"
    assert said["onset"]["within"] == {"wiki": "zhwiki"}
    assert said["segments"][0]["where"] == {"wiki": "zhwiki"}
    assert date(2015, 5, 18) <= said["onset"]["day"] <= date(2015, 5, 20)
    assert said["loss"]["lost"] > 0
    assert said["loss"]["is_calibrated"] is False
    assert "not calibrated: 18 days before the change" in " ".join(said["notes"])
