"""Your event logs in, trusted engagement numbers out: with proof that nothing was lost.

    import tidelake as tl

    with tl.open("tide.yml") as session:
        session.build()
        print(session.measure("dau", by=["region"], grain="day"))

Names are loaded when they are first used, so that `import tidelake` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidelake.engine.result import Result
    from tidelake.errors import (
        BusyError,
        ContractError,
        DefinitionError,
        EngineError,
        GrainError,
        LakeError,
        LedgerError,
        ProjectError,
        QueryError,
        TidelakeError,
        UnknownNameError,
        UnsupportedError,
    )
    from tidelake.session import Session, open

__version__ = "0.1.0"
__all__ = [
    "BusyError",
    "ContractError",
    "DefinitionError",
    "EngineError",
    "GrainError",
    "LakeError",
    "LedgerError",
    "ProjectError",
    "QueryError",
    "Result",
    "Session",
    "TidelakeError",
    "UnknownNameError",
    "UnsupportedError",
    "__version__",
    "open",
]
_HOMES = {"Result": "tidelake.engine.result", "Session": "tidelake.session", "open": "tidelake.session"}


def __getattr__(name: str) -> Any:
    """Load a public name from the room where it lives."""
    if name not in __all__:
        raise AttributeError(f"module 'tidelake' has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "tidelake.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
