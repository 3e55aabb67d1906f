"""Wikimedia's hourly view counts, and what their codes and names mean.

A file `projectviews-YYYYMMDD-HH0000` (older: `projectcounts-…`) holds lines `code - count bytes`. The time
in its name is the **end** of the hour: 20141101-000000 holds the hour that began on 31 October at 23:00 UTC.

Source: Wikimedia, "Analytics/AQS/Pageviews" and the README of dumps.wikimedia.org/other/pageviews.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidelake.contracts.source import Source
from tidelake.errors import ContractError
from tidelake.sources.base import Group, Known, Look, Take
from tidelake.sources.delimited import escape_json
from tidelake.sources.layouts import Layout
from tidelake.sources.lines import line_spans, path_heads
from tidelake.sources.listing import Listing
from tidelake.sources.prefetch import prefetch
from tidelake.sources.spans import (
    RECORD,
    WRONG_SHAPE,
    Bytes,
    Integers,
    Spans,
    Truths,
    mark_blanks,
    offsets_of,
    scattered,
    text_views,
)
from tidelake.sources.streams import FileBytes, begins_as, hash_prefix, is_compressed
from tidelake.sources.text_groups import OpenFile, Region, text_groups

_NAME = re.compile(r"^(?:projectviews|projectcounts)-(\d{8})-(\d{2})(\d{4})(?:\.(?:gz|zst|bz2))?$")
_SPACE, _DASH = ord(" "), ord("-")


def hour_of(look: Look) -> datetime | None:
    """The start of the hour (UTC) that a file counts; None when its name is not one of an hourly file.

    Raises:
        ContractError: The name carries a time that does not exist.
    """
    name = look.source_path.rsplit("/", 1)[-1]
    match = _NAME.match(name)
    if match is None:
        return None
    try:
        end = datetime.strptime(f"{match[1]}{match[2]}", "%Y%m%d%H").replace(tzinfo=UTC)
    except ValueError as error:
        raise ContractError(
            f"{look.path}: its name carries a time that does not exist.",
            hint="Names are projectviews-YYYYMMDD-HH0000; rename the file or take it out.",
        ) from error
    return end - timedelta(hours=1)


class ProjectviewsReader:
    """Reads hourly files; other files in the same folders are left alone."""

    def __init__(self, source: Source, listing: Listing) -> None:
        self.source = source
        self.listing = listing

    def looks(self) -> list[Look]:
        """The hourly files that are there now, by path."""
        return [look for look in self.listing.looks() if self._wanted(look)]

    def passed_over(self) -> list[str]:
        """Names of the other files that lie there."""
        others = [look.source_path for look in self.listing.looks() if not self._wanted(look)]
        return sorted([*self.listing.passed_over(), *others])

    def _wanted(self, look: Look) -> bool:
        name = look.source_path.rsplit("/", 1)[-1]
        if self.source.pattern is not None and not fnmatchcase(name, self.source.pattern):
            return False
        return _NAME.match(name) is not None

    def groups(self, takes: Sequence[Take], *, group_bytes: int) -> Iterator[Group]:
        """Read files in order; the next group is read while the last one is worked on."""
        files = text_groups(
            takes,
            self._open,
            HourlyLines(),
            group_bytes=group_bytes,
            max_line_bytes=self.source.max_line_bytes,
        )
        return prefetch(files)

    def _open(self, take: Take) -> OpenFile:
        layout = self._layout(take.look)
        content = FileBytes(self.listing, take.look, salt=layout.salt, start=take.start_byte)
        return OpenFile(take, content, layout=layout)

    def _layout(self, look: Look) -> Layout:
        hour = hour_of(look)
        if hour is None:
            raise ContractError(
                f"{look.path} is not named like an hourly file.", hint="Names are projectviews-YYYYMMDD-HH0000."
            )
        return Layout("hourly", (("hour", hour.strftime("%Y-%m-%dT%H:%M:%SZ")),))

    def prefix_hash(self, look: Look, size: int) -> str | None:
        """The content hash (of the hour and the bytes) that the first `size` bytes give now."""
        if size != look.size and is_compressed(self.listing, look):
            return None
        return hash_prefix(self.listing, look, size, salt=self._layout(look).salt)

    def begins_as(self, look: Look, known: Sequence[Known]) -> Known | None:
        """The longest of some contents with which the file, of the same hour, begins, or None."""
        return begins_as(self.listing, look, known, salt=self._layout(look).salt)


class HourlyLines:
    """Lines `code - count bytes`: four fields, one space between them."""

    is_json = False
    resumes_at_newline = True
    growth = 4

    def spans(self, buffer: Bytes, regions: Sequence[Region]) -> Spans:
        """Every line; one that has not four fields and single spaces is flagged."""
        spans = line_spans(buffer, regions)
        mark_blanks(buffer, spans)
        if len(spans):
            spaces = offsets_of(buffer, int(spans.start[0]), int(spans.end[-1]), _SPACE)
            spans.flag(np.flatnonzero(~_well_formed(buffer, spans, spaces) & (spans.kind == RECORD)), WRONG_SHAPE)
        return spans

    def records(self, buffer: Bytes, spans: Spans, _raw: pa.Array, files: Sequence[OpenFile]) -> pa.Array | None:
        """Hour, code, count and bytes of each line as texts."""
        rows = np.flatnonzero(spans.good)
        if not len(rows):
            return pa.nulls(len(spans), pa.string_view())
        good = spans.chosen(rows)
        spaces = offsets_of(buffer, int(good.start[0]), int(good.end[-1]), _SPACE)
        first = np.searchsorted(spaces, good.start)
        one, two, three = spaces[first], spaces[first + 1], spaces[first + 2]
        code, count, size = (
            text_views(buffer, low, high, {}).cast(pa.string())
            for low, high in ((good.start, one), (two + 1, three), (three + 1, good.end))
        )
        texts = pc.binary_join_element_wise(
            "{",
            path_heads(good, files),
            ',"domain_code":"',
            escape_json(code),
            '","count_views":"',
            escape_json(count),
            '","bytes":"',
            escape_json(size),
            '"}',
            "",
        )
        return scattered([texts], [rows], len(spans))


def _well_formed(buffer: Bytes, spans: Spans, spaces: Integers) -> Truths:
    """Which lines are `code - count bytes`, no field empty, the second one a dash."""
    first = np.searchsorted(spaces, spans.start)
    three: Truths = np.searchsorted(spaces, spans.end) - first == 3
    last = max(len(spaces) - 1, 0)
    if not len(spaces):
        return three
    one, two, third = (spaces[np.minimum(first + step, last)] for step in range(3))
    dash = (two == one + 2) & (buffer[one + 1] == _DASH)
    formed: Truths = three & dash & (one > spans.start) & (third > two + 1) & (spans.end > third + 1)
    return formed


PROJECTS = {
    "b": "wikibooks",
    "d": "wiktionary",
    "f": "foundation",
    "n": "wikinews",
    "q": "wikiquote",
    "s": "wikisource",
    "v": "wikiversity",
    "voy": "wikivoyage",
    "w": "mediawiki",
    "wd": "wikidata",
}
"""What a suffix after a language (or after `.m`, `.zero`) means."""

OWN_SITES = (
    "commons",
    "meta",
    "incubator",
    "species",
    "strategy",
    "outreach",
    "usability",
    "quality",
    "advisory",
    "donate",
    "login",
    "vote",
    *(f"wikimania{year}" for year in range(2005, 2019)),
)
"""Wikimedia's own sites: after these, `.m` is the project and not the mobile site."""


@dataclass(frozen=True)
class Site:
    """What a domain code means.

    Attributes:
        language: Language or own site: what stands before the first dot.
        project: wikipedia, wikibooks ...; `mobile_aggregate` for `.mw`, which repeats what other codes
            count and must not be added to them; None for a suffix that is not known.
        access: desktop, mobile or zero; None where the project is not known.
    """

    language: str
    project: str | None
    access: str | None


def site_of(domain_code: str) -> Site:
    """Language, project and access of a domain code.

    Examples:
        >>> site_of("en.m.d")
        Site(language='en', project='wiktionary', access='mobile')
        >>> site_of("commons.m")
        Site(language='commons', project='wikimedia', access='desktop')
    """
    language, *suffixes = domain_code.split(".")
    unknown = Site(language, None, None)
    if language in OWN_SITES and suffixes[:1] == ["m"]:
        access = {(): "desktop", ("m",): "mobile", ("zero",): "zero"}.get(tuple(suffixes[1:]))
        return unknown if access is None else Site(language, "wikimedia", access)
    access = "desktop"
    if suffixes and suffixes[0] in ("m", "zero"):
        access = "mobile" if suffixes.pop(0) == "m" else "zero"
    if not suffixes:
        return Site(language, "wikipedia", access)
    if suffixes == ["mw"] and access == "desktop":
        return Site(language, "mobile_aggregate", "mobile")
    if len(suffixes) > 1 or suffixes[0] not in PROJECTS:
        return unknown
    return Site(language, PROJECTS[suffixes[0]], access)


def site_sql(column: str = "domain_code") -> dict[str, str]:
    """SQL expressions for `language`, `project` and `access` of a column of domain codes.

    They stay in the portable subset (`split_part`, CASE), for use in a model; same answers as `site_of`.
    """
    first, second, third = (f"split_part({column}, '.', {number})" for number in (1, 2, 3))
    own = f"({first} IN ({_quoted(OWN_SITES)}) AND {second} = 'm')"
    reached = f"{second} IN ('m', 'zero')"
    # An empty part is either one that is not there, or the mistake of a dot at the end: told by the dots.
    dots = f"(length({column}) - length(replace({column}, '.', '')))"
    suffixes = " ".join(f"WHEN '{suffix}' THEN '{project}'" for suffix, project in PROJECTS.items())
    project = (
        f"CASE WHEN {own} THEN CASE WHEN {dots} = 1 OR ({dots} = 2 AND {third} IN ('m', 'zero')) THEN 'wikimedia' END "
        f"WHEN {dots} = 0 OR ({dots} = 1 AND {reached}) THEN 'wikipedia' "
        f"WHEN {dots} = 1 AND {second} = 'mw' THEN 'mobile_aggregate' "
        f"WHEN {dots} = 1 THEN CASE {second} {suffixes} END "
        f"WHEN {dots} = 2 AND {reached} THEN CASE {third} {suffixes} END END"
    )
    way = "CASE {part} WHEN 'm' THEN 'mobile' WHEN 'zero' THEN 'zero' WHEN 'mw' THEN 'mobile' ELSE 'desktop' END"
    access = (
        f"CASE WHEN ({project}) IS NULL THEN NULL WHEN {own} THEN {way.format(part=third)} "
        f"ELSE {way.format(part=second)} END"
    )
    return {"language": first, "project": project, "access": access}


_DAILY_SUFFIXES = {
    "wikibooks": "b",
    "wiktionary": "d",
    "wikinews": "n",
    "wikiquote": "q",
    "wikisource": "s",
    "wikiversity": "v",
    "wikivoyage": "voy",
}
_DAILY_SPECIAL = {
    "wikidatawiki": "www.wd",
    "testwikidatawiki": "test.wd",
    "mediawikiwiki": "www.w",
    "foundationwiki": "www.f",
}


def domain_code_of(daily_name: str) -> str | None:
    """The domain code (desktop) of a name in Wikimedia's daily set; None where it has none.

    Chapters' sites (`nzwikimedia`) have none: `nz.m` would be the mobile Wikipedia of a language `nz`.

    Examples:
        >>> domain_code_of("zh_min_nanwiki"), domain_code_of("enwikibooks"), domain_code_of("commonswiki")
        ('zh-min-nan', 'en.b', 'commons.m')
    """
    if daily_name in _DAILY_SPECIAL:
        return _DAILY_SPECIAL[daily_name]
    for ending, suffix in _DAILY_SUFFIXES.items():
        if daily_name.endswith(ending) and daily_name != ending:
            return f"{_hyphenated(daily_name.removesuffix(ending))}.{suffix}"
    bare = daily_name.removesuffix("wiki")
    if bare in ("", daily_name, "sources"):
        return None
    return f"{bare}.m" if bare in OWN_SITES else _hyphenated(bare)


def domain_code_sql(column: str = "site") -> str:
    """A portable SQL expression with the same answers as `domain_code_of`."""
    special = " ".join(f"WHEN {column} = '{name}' THEN '{code}'" for name, code in _DAILY_SPECIAL.items())
    endings = " ".join(
        f"WHEN length({column}) > {len(ending)} AND right({column}, {len(ending)}) = '{ending}' "
        f"THEN replace(left({column}, length({column}) - {len(ending)}), '_', '-') || '.{suffix}'"
        for ending, suffix in _DAILY_SUFFIXES.items()
    )
    bare = f"left({column}, length({column}) - 4)"
    return (
        f"CASE {special} {endings} "
        f"WHEN length({column}) <= 4 OR right({column}, 4) <> 'wiki' OR {column} = 'sourceswiki' THEN NULL "
        f"WHEN {bare} IN ({_quoted(OWN_SITES)}) THEN {bare} || '.m' "
        f"ELSE replace({bare}, '_', '-') END"
    )


def _hyphenated(name: str) -> str:
    return name.replace("_", "-")


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
