"""Public: what every engine must pass, and the comparison of rows that parity tests use."""

from __future__ import annotations

from tidelake.testing.rows import assert_same_rows, row_differences

__all__ = ["assert_same_rows", "row_differences"]
