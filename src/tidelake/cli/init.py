"""`tide init`: a project, proposed from the files that are there."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import available_timezones

import typer

from tidelake.cli.options import FormatName, FormatOption, OutputOption, examples, flag
from tidelake.cli.streams import say
from tidelake.errors import ProjectError, UnknownNameError

if TYPE_CHECKING:
    from tidelake.engine.result import Result
    from tidelake.sources.infer import Proposal

EXAMPLES = examples(
    "tide init shop --from 'exports/*.csv'",
    "tide init app --from logs/ --from users.csv --timezone Europe/Berlin",
    "tide init app --template app-events",
)
_PARTS = ("event_time", "actor_id", "event_name", "event_id", "session_id", "entity")


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The new project's folder.", show_default=False)],
    *,
    data: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="GLOB", help="Files to look at: file, folder or quoted glob; may be repeated."),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option("--template", metavar="NAME", help="Start without files: app-events, projectviews or shop."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="The project's name; default: the folder's, or the template's.")
    ] = None,
    timezone: Annotated[
        str,
        typer.Option("--timezone", metavar="ZONE", help="Zone in which days begin (IANA name)."),
    ] = "UTC",
    force: Annotated[bool, flag("--force", help="Write over a project that is there.")] = False,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
) -> None:
    """Make a project: look at files, propose source, contract and mapping, and write them down with comments.

    Nothing is loaded: read what was proposed, mend it, then run `tide build`.
    """
    from tidelake.cli.output import emit
    from tidelake.sources.infer import project_name, propose, write_project, write_template

    if timezone not in available_timezones():
        raise UnknownNameError("time zone", timezone, available_timezones())
    called = project_name(folder, name)  # a name that is none is refused before anything is looked at
    if template is not None and not data:
        written = write_template(template, folder, name=name, force=force)
    elif data and template is None:
        proposal = propose(data, timezone=timezone)
        written = write_project(proposal, folder, name=name, force=force)
        emit(proposed(proposal), form=form, output=output)
    else:
        raise ProjectError(
            "`tide init` needs either --from or --template.",
            hint="tide init DIR --from 'logs/*.json', or tide init DIR --template app-events",
        )
    say("\nWritten, with comments:")
    for path in written:
        say(f"  {path}")
    if template is None and name is None and called != folder.resolve().name:
        say(f"\nThe project is called {called}, after its folder; --name chooses another name.")
    say(f"\nNext\n  read them, mend what is wrong\n  cd {shlex.quote(str(folder))}\n  tide build")


def proposed(proposal: Proposal) -> Result:
    """What was found: one row a source."""
    import pyarrow as pa

    from tidelake.engine.result import Result

    sources = proposal.sources
    mappings = [dict(source.settings.get("mapping") or {}) for source in sources]
    columns = {
        "source": pa.array([source.name for source in sources], pa.string()),
        "fact": pa.array([str(source.settings.get("fact", "event")) for source in sources], pa.string()),
        "files": pa.array([len(source.files) for source in sources], pa.int64()),
        "rows_looked_at": pa.array([source.rows_looked for source in sources], pa.int64()),
    }
    for part in _PARTS:
        found = [mapping.get(part) for mapping in mappings]
        if any(found):
            columns[part] = pa.array(found, pa.string())
    doubles = tuple(
        f"{source.name}: duplicates (dedup: {source.settings['dedup']}): {source.reasons['dedup']}"
        for source in sources
        if "dedup" in source.settings
    )
    skipped = tuple(f"{item.path.name} is no source: {item.reason}" for item in proposal.skipped[:5])
    more = (f"... and {len(proposal.skipped) - 5:,} more files",) if len(proposal.skipped) > 5 else ()
    return Result(pa.table(columns), title="Proposed sources", notes=(*proposal.notes, *doubles, *skipped, *more))
