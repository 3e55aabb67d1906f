"""What the collapse example says once it is built: its case study, asked of the lake."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidelake.engine.result import Result
    from tidelake.session import Session


def case_tables(session: Session) -> list[Result]:
    """The tables of the case study, from the explanations of its metrics and the numbers beside the leading one."""
    from tidelake.reports.case import BESIDE, EXPLAINED, case, leading

    told = {name: session.explain(name) for name in EXPLAINED}
    name = leading(told)
    told[name] = session.explain(name, others=BESIDE)
    measured = {other: session.measure(other, grain="day") for other in BESIDE}
    return case(told, measured)


def show_case(session: Session) -> None:
    """Print the case study, wide texts wrapped on a terminal."""
    from tidelake.cli.output import emit
    from tidelake.cli.streams import put

    for table in case_tables(session):
        put("")
        emit(table, limit=0, wrap=table.table.column_names[-1])
