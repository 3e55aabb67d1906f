"""Makes docs/images/demo.svg: what `tide demo` really prints on a terminal 96 cells wide.

Run it from the repository: `python docs/picture.py`. The demo runs in a temporary folder, with a pseudo-terminal
for its output; what it printed becomes an SVG that needs no font of its own.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 96
ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "demo.svg"
FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def terminal_output(words: list[str], folder: Path) -> str:
    """What a command prints to a terminal, with its colours; progress is left out."""
    inner, outer = pty.openpty()
    fcntl.ioctl(outer, termios.TIOCSWINSZ, struct.pack("HHHH", 60, WIDTH, 0, 0))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where `tide` has its short name
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "src")}
    environment |= {"TERM": "xterm-256color", "COLUMNS": str(WIDTH)}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "tidelake", *words], cwd=folder, env=environment, stdout=outer, stderr=subprocess.PIPE
    )
    os.close(outer)
    pieces = []
    while True:
        try:
            piece = os.read(inner, 65536)
        except OSError:  # the terminal's other side was closed: the command has ended
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(inner)
    _, said = process.communicate()
    if process.returncode:
        sys.stderr.write(said.decode())
        raise SystemExit(process.returncode)
    return b"".join(pieces).decode().replace("\r\n", "\n")


def picture(commands: list[list[str]]) -> str:
    """An SVG of the commands and what they printed, one after another."""
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True, color_system="truecolor")
    with tempfile.TemporaryDirectory() as name:
        for words in commands:
            console.print(Text("$ tide " + " ".join(words), style="bold"))
            console.print(Text.from_ansi(terminal_output(words, Path(name))))
    return FONTS.sub("", console.export_svg(title="tide", unique_id="demo"))


if __name__ == "__main__":
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(picture([["demo", "collapse"]]), encoding="utf-8")
    sys.stdout.write(f"{PICTURE.relative_to(ROOT)} made\n")
