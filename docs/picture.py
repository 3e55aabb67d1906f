"""Draw a terminal's output as an SVG picture for the documents.

    script -qec "tide demo collapse" /dev/null | python docs/picture.py docs/demo.svg "tide demo collapse"

Real output comes in, colours included; progress bars that were overwritten are left out.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 100
# Pictures must not fetch fonts from anywhere.
FONT_FACES = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-LN-Za-ln-z]")


def picture(output: str, title: str) -> str:
    """The SVG text of what a terminal showed at its end."""
    shown = [line.split("\r")[-1] for line in output.replace("\r\n", "\n").split("\n")]
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(CONTROL.sub("", "\n".join(shown)).strip("\n")))
    return FONT_FACES.sub("", console.export_svg(title=title))


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(picture(sys.stdin.read(), sys.argv[2]), encoding="utf-8")
