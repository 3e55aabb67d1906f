"""Write the measured tables of examples/collapse/README.md: what `tide demo collapse` prints, built anew.

`python docs/case.py [FOLDER]`; the folder may hold an earlier build of the demo.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tidelake.cli import main
from tidelake.cli.case import case_tables
from tidelake.reports.case import markdown
from tidelake.session import open as open_session

README = Path(__file__).parent.parent / "examples" / "collapse" / "README.md"
START, END = "<!-- case: written by docs/case.py -->\n", "<!-- end of case -->"


def written(page: str, told: str) -> str:
    """A page with other tables between the marks."""
    before, _, rest = page.partition(START)
    return before + START + told + "\n" + END + rest.partition(END)[2]


def tables_of(folder: Path) -> str:
    """The case's tables of a built demo, as Markdown."""
    with open_session(folder) as session:
        return markdown(case_tables(session))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(scratch) / "collapse"
        if not (folder / "lake").is_dir():
            main(["demo", "collapse", "--dir", str(folder)])
        README.write_text(written(README.read_text(encoding="utf-8"), tables_of(folder)), encoding="utf-8")
