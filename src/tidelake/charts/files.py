"""Charts as files: PNG and SVG without a browser, HTML that works without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tidelake.errors import ProjectError

if TYPE_CHECKING:
    import altair as alt

ENDINGS = (".png", ".svg", ".html", ".json")


def save(chart: alt.TopLevelMixin, path: Path) -> None:
    """Write a chart; the file's name says the format. A crash leaves an older file as it was.

    Raises:
        ProjectError: The name does not say a format.
    """
    import vl_convert as vlc

    spec = chart.to_json()
    match path.suffix.lower():
        case ".png":
            content = vlc.vegalite_to_png(spec, scale=2)
        case ".svg":
            content = vlc.vegalite_to_svg(spec).encode()
        case ".html":
            content = vlc.vegalite_to_html(spec, bundle=True).encode()
        case ".json":
            content = spec.encode()
        case _:
            raise ProjectError(
                f"--chart {path}: its name does not say which format to draw.", hint=f"End it in {', '.join(ENDINGS)}."
            )
    beside = path.with_name(path.name + ".part")
    beside.write_bytes(content)
    beside.replace(path)
