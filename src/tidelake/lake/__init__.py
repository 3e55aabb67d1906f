"""Delta tables: where they lie, how a batch is committed once, and what their past says."""

from tidelake.engine.base import DataFile
from tidelake.lake.lake import Lake
from tidelake.lake.location import Location

__all__ = ["DataFile", "Lake", "Location"]
