"""`tide identity`: actors before and after anonymous ids are stitched to known ones."""

from __future__ import annotations

from tidelake.cli.opening import opened, say_unfinished
from tidelake.cli.options import (
    HERE,
    AsOfOption,
    FormatName,
    FormatOption,
    OutputOption,
    ProjectOption,
    TargetOption,
    examples,
)
from tidelake.cli.output import emit

EXAMPLES = examples(
    "tide identity",
    "tide identity --as-of 12",
    'tide sql "SELECT * FROM gold.identity WHERE known_count > 1"',
)


def identity(
    *,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
) -> None:
    """Actors before and after anonymous ids are stitched to known ones (`mapping: anonymous_id:`)."""
    with opened(project, target=target, as_of=as_of) as session:
        emit(session.identity(), form=form, output=output, limit=0)
        say_unfinished(session)
