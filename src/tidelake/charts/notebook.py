"""Charts in a notebook: a picture that needs no network, beside the specification for front ends that know it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt


def offline(chart: Any) -> alt.LayerChart | alt.FacetChart:
    """The same chart, which shows itself without Altair's renderer: that one may load scripts from the network.

    Copies of it (`.properties(...)`) do so too; what Altair is set to for other charts stays as it is.
    """
    kind = type(chart)
    own = type(kind.__name__, (kind,), {"_repr_mimebundle_": _bundle})
    object.__setattr__(chart, "__class__", own)  # Altair's own setattr writes into the specification
    shown: alt.LayerChart | alt.FacetChart = chart
    return shown


def _bundle(chart: Any, *_: Any, **__: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a front end can choose from: Vega-Lite where it draws that itself, else the picture."""
    import altair as alt
    import vl_convert as vlc

    spec = chart.to_dict()
    picture = vlc.vegalite_to_png(spec, scale=2)
    sides = {side: int.from_bytes(picture[at : at + 4], "big") // 2 for side, at in (("width", 16), ("height", 20))}
    major = alt.SCHEMA_VERSION.lstrip("v").split(".")[0]
    data = {
        f"application/vnd.vegalite.v{major}+json": spec,
        "image/png": base64.b64encode(picture).decode(),
        "text/plain": "a chart",
    }
    return data, {"image/png": sides}
