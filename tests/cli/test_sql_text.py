"""What `tide sql` takes its words for: a query, or the name of a file that holds one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidelake.cli.sql import query_text
from tidelake.errors import ProjectError


@pytest.mark.parametrize("length", [10, 300, 2_000, 200_000])
def test_words_longer_than_a_files_name_are_a_query(length: int) -> None:
    words = "SELECT '" + "x" * length + "' AS one"
    assert query_text(words) == words


def test_a_file_is_read_wherever_it_lies(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["folder" * 5] * 12)
    deep.mkdir(parents=True)
    (deep / "weekly.sql").write_text("SELECT 1 AS one\n", encoding="utf-8")
    assert query_text(str(deep / "weekly.sql")) == "SELECT 1 AS one\n"
    with pytest.raises(ProjectError, match=r"no file .*daily\.sql"):
        query_text(str(deep / "daily.sql"))
