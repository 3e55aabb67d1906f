"""Where rows come from: files and databases, how to read them, and generated ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tidelake.contracts.source import Source
from tidelake.sources.base import Reader


def make_reader(source: Source, root: Path, *, storage: Mapping[str, str] | None = None) -> Reader:
    """The reader of a source.

    Args:
        source: Its settings.
        root: The project's folder, from which relative paths start.
        storage: Settings for `s3://` beyond the environment (AWS_ENDPOINT_URL and the like).
    """
    if source.kind == "postgres":
        from tidelake.sources.postgres import PostgresReader

        return PostgresReader(source)
    from tidelake.sources.listing import find_listing

    listing = find_listing(source.path, root=root, storage=storage)
    if source.kind == "projectviews":
        from tidelake.sources.projectviews import ProjectviewsReader

        return ProjectviewsReader(source, listing)
    from tidelake.sources.files import FilesReader

    return FilesReader(source, listing)
