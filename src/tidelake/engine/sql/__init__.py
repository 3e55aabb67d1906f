"""Portable SQL: one written subset of DuckDB's dialect that every engine answers alike.

`check_portable` refuses what engines answer differently, `translate` writes a query for an engine,
`MACROS` are the functions to use instead of those that differ, and `tables_of` reads a query's tables.
`docs/portable-sql.md` has the whole table of what to write, what not, and what was measured.
"""

from __future__ import annotations

from tidelake.engine.sql.macros import MACROS, Macro, duckdb_macros, macros_in
from tidelake.engine.sql.names import check_names, check_names_in
from tidelake.engine.sql.parsing import Problem, check_read_only, columns_of, pretty, tables_of
from tidelake.engine.sql.patterns import re2_faults
from tidelake.engine.sql.portable import check_expression, check_portable, problems
from tidelake.engine.sql.translate import translate

__all__ = [
    "MACROS",
    "Macro",
    "Problem",
    "check_expression",
    "check_names",
    "check_names_in",
    "check_portable",
    "check_read_only",
    "columns_of",
    "duckdb_macros",
    "macros_in",
    "pretty",
    "problems",
    "re2_faults",
    "tables_of",
    "translate",
]
