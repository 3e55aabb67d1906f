"""Write ARCHITECTURE.md's table of modules from the first line of each module's docstring.

`make docs` runs it; `python docs/modules.py --check` fails when the table is stale.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "tidelake"
PAGE = ROOT / "ARCHITECTURE.md"
START, END = "<!-- modules: written by `make docs` -->\n", "<!-- end of modules -->"


def summary(path: Path) -> str:
    """First line of a module's docstring.

    Raises:
        SystemExit: It has none.
    """
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not text:
        raise SystemExit(f"{path.relative_to(ROOT)} has no docstring: say in one line what is in it.")
    return " ".join(text.split("\n\n")[0].split())


def table() -> str:
    """One row a module, `__init__` of rooms left out, in the order of the folders."""
    modules = [path for path in sorted(PACKAGE.rglob("*.py")) if not path.name.startswith("__")]
    rows = [
        f"| `{path.relative_to(PACKAGE).as_posix()}` | {summary(path).replace('|', chr(92) + '|')} |"
        for path in modules
    ]
    return "\n".join(["| module | what is in it |", "|---|---|", *rows]) + "\n"


def renewed(page: str) -> str:
    """The page with a fresh table between its two marks."""
    before, rest = page.split(START)
    return before + START + table() + END + rest.split(END)[1]


def main() -> None:
    """Renew the page, or check it."""
    page = PAGE.read_text(encoding="utf-8")
    fresh = renewed(page)
    if "--check" in sys.argv and fresh != page:
        raise SystemExit("ARCHITECTURE.md's table of modules is stale: run `make docs`.")
    PAGE.write_text(fresh, encoding="utf-8")


if __name__ == "__main__":
    main()
