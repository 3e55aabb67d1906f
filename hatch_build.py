"""Puts the example projects into the wheel."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ExamplesHook(BuildHookInterface[Any]):
    """An installed wheel carries `examples` as `tidelake/examples`; an editable install reads them in place."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the folder to a wheel that is to be installed."""
        if version == "standard":
            build_data["force_include"]["examples"] = "tidelake/examples"
