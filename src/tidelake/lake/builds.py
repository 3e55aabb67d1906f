"""The lake's builds: which table versions belong together, so that `--as-of` reads one consistent state."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from tidelake.engine.base import Engine
from tidelake.errors import QueryError
from tidelake.lake.lake import Lake

BUILDS = "ops.builds"
SCHEMA = pa.schema(
    [
        ("build", pa.int64()),
        ("run_id", pa.string()),
        ("finished_at", pa.timestamp("us", "UTC")),
        ("versions", pa.string()),
    ]
)


def record_build(
    engine: Engine, lake: Lake, run_id: str, now: datetime, verdicts: Mapping[str, Mapping[str, Any]] | None = None
) -> int:
    """Append the state of all tables as the next build; returns its number.

    Args:
        verdicts: By source what it broke of its contract's limits; those of earlier builds say of which.
    """
    known = _builds(engine)
    number = 1 + max((row["build"] for row in known), default=0)
    versions = {table: lake.version(table) for table in lake.tables() if table != BUILDS}
    row = {"build": number, "run_id": run_id, "finished_at": now, "versions": json.dumps(versions)}
    said = {"build": number, "finished_at": f"{now:%Y-%m-%d %H:%M} UTC"}
    dated = {source: {**said, **verdict} for source, verdict in (verdicts or {}).items()}
    note = {**said, "versions": versions, "verdicts": dated}
    engine.write(pa.Table.from_pylist([row], schema=SCHEMA), BUILDS, note=note)
    return number


def unfinished_note(lake: Lake) -> str | None:
    """One sentence where tables were read as the last finished build left them, because a later one is not done."""
    if not lake.held_back:
        return None
    last = lake.note(BUILDS)
    tables = sorted(lake.held_back)
    named = ", ".join(tables[:3]) + (" ..." if len(tables) > 3 else "")
    if not last:
        return (
            f"The first build is at work, or was cut off: {named} are not read before it has ended. "
            "--as-of newest shows them as they are; `tide build` goes on."
        )
    return (
        f"A later build is at work, or was cut off: {named} as build {last.get('build', '?')} "
        f"({last.get('finished_at', '?')}) left them. --as-of newest shows them as they are."
    )


def is_same(lake: Lake, table: str, version: int | None) -> bool:
    """Whether a table holds the rows that it held at a version: nothing was committed since, or only compaction."""
    now = lake.version(table)
    if now is None or version is None or now <= version:
        return now == version
    return lake.changed_partitions(table, "", version) == []


def versions_at(engine: Engine, as_of: str) -> dict[str, int]:
    """Table versions of a build; see `build_at`."""
    return dict(json.loads(build_at(engine, as_of)["versions"]))


def build_at(engine: Engine, as_of: str) -> dict[str, Any]:
    """The row of a build by its number, or of the last build that had finished at a time.

    Args:
        as_of: A build's number, a date (its end, UTC) or an ISO instant (UTC where it has no zone).

    Raises:
        QueryError: There is no such build, or the text is neither a number nor a time.
    """
    known = sorted(_builds(engine), key=lambda row: row["build"])
    if not known:
        raise QueryError("This lake has no builds yet.", hint="Run `tide build` first.")
    if as_of.isdigit():
        found = [row for row in known if row["build"] == int(as_of)]
    else:
        moment = _moment(as_of)
        found = [row for row in known if row["finished_at"] <= moment]
    if not found:
        first, last = known[0], known[-1]
        raise QueryError(
            f"There is no build as of {as_of}.",
            hint=f"Builds {first['build']} ({first['finished_at']:%Y-%m-%d %H:%M}) to {last['build']} "
            f"({last['finished_at']:%Y-%m-%d %H:%M} UTC) are known.",
        )
    return found[-1]


# --- builds whose files are gone


def lost_tables(engine: Engine, lake: Lake, going: Mapping[str, Collection[str]] | None = None) -> dict[int, list[str]]:
    """For each build the tables that cannot be read any more as it left them; none where all can be.

    Args:
        lake: The lake as it is now.
        going: Files by table that are about to be removed: looked at as if they were gone.
    """
    builds = {row["build"]: dict(json.loads(row["versions"])) for row in _builds(engine)}
    wanted: dict[str, set[int]] = {}
    for versions in builds.values():
        for table, version in versions.items():
            wanted.setdefault(table, set()).add(version)
    lost = {
        table: _unreadable(lake, table, versions, (going or {}).get(table, ())) for table, versions in wanted.items()
    }
    return {
        number: sorted(table for table, version in builds[number].items() if version in lost[table])
        for number in sorted(builds)
    }


def _unreadable(lake: Lake, table: str, versions: Collection[int], going: Collection[str]) -> set[int]:
    """Those of a table's versions that name files which are not there."""
    there = lake.stored(table) - {unquote(path) for path in going}
    absent, found = set[str](), set[int]()
    for version in range(max(versions) + 1):
        actions = lake.actions_of(table, version)
        if actions is None:  # the log does not reach back so far, or the table was dropped and made anew
            found |= {version} & set(versions)
            continue
        for action in actions:
            if removed := action.get("remove"):
                absent.discard(unquote(removed["path"]))
            elif (added := action.get("add")) and unquote(added["path"]) not in there:
                absent.add(unquote(added["path"]))
        if absent and version in versions:
            found.add(version)
    return found


def listed(numbers: Iterable[int]) -> str:
    """Numbers of builds in words: `1 to 3, 5, 6`."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][-1] + 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    return ", ".join(
        f"{span[0]} to {span[-1]}" if len(span) > 2 else ", ".join(str(number) for number in span) for span in spans
    )


def readable_note(lost: Mapping[int, Collection[str]], *, is_planned: bool = False) -> str | None:
    """One sentence on which builds `--as-of` can read; None where there are no builds."""
    if not lost:
        return None
    gone = [number for number, tables in lost.items() if tables]
    left = [number for number in lost if number not in gone]
    can = "could" if is_planned else "can"
    if not gone:
        return f"Every build {can} still be read with --as-of."
    still = f"; {listed(left)} still {can}" if left else ""
    return f"{'Build' if len(gone) == 1 else 'Builds'} {listed(gone)} {can} no longer be read with --as-of{still}."


def _builds(engine: Engine) -> list[dict[str, Any]]:
    if engine.schema(BUILDS) is None:
        return []
    rows: list[dict[str, Any]] = engine.query(f"SELECT * FROM {BUILDS}").to_pylist()
    return rows


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise QueryError(
            f"'{text}' is neither a build's number nor a time.", hint="Write 12, 2025-11-17 or 2025-11-17T08:00:00Z."
        ) from error
    if len(text) == len("2025-11-17"):
        moment = moment.replace(hour=23, minute=59, second=59, microsecond=999_999)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
