"""Hourly counts: hours that end in the name, lines of the right shape, and what codes mean."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from tests.sources.conftest import Reading, reader_of
from tidelake.errors import ContractError
from tidelake.sources.projectviews import OWN_SITES, domain_code_of, domain_code_sql, site_of, site_sql

HOURLY = {"kind": "projectviews", "fact": "count"}


def test_time_in_the_name_is_the_end_of_the_hour(write: Callable[..., Path], read: Callable[..., Reading]) -> None:
    reading = read(write("projectviews-20141101-000000", "en.m - 123 456\n"), **HOURLY)
    assert json.loads(reading.rows[0]["record"]) == {
        "hour": "2014-10-31T23:00:00Z",
        "domain_code": "en.m",
        "count_views": "123",
        "bytes": "456",
    }
    assert reading.rows[0]["raw"] == "en.m - 123 456"


def test_hours_names_and_other_files(write: Callable[..., Path], tmp_path: Path) -> None:
    for name in (
        "2014/projectcounts-20141101-200001",
        "2014/projectviews-20141101-200000.gz",
        "2014/pageviews-20141101-200000.gz",
        "2014/projectviews-20141101-200000.tmp",
        "README",
    ):
        write(name, "en - 1 2\n")
    assert [look.source_path for look in reader_of(tmp_path, **HOURLY).looks()] == [
        "2014/projectcounts-20141101-200001",
        "2014/projectviews-20141101-200000.gz",
    ]
    counts = Reading(reader_of(tmp_path, pattern="projectcounts-*", **HOURLY))
    assert json.loads(counts.rows[0]["record"])["hour"] == "2014-11-01T19:00:00Z"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("en - 1 2", None),
        ("zh-min-nan - 1 2", None),
        ("FR - 1 2", None),
        ("en - -1 2", None),
        ("en - many 2", None),
        ('"e\\ - 1 2', None),
        ("- 0 0", "wrong_shape"),
        (" - 0 0", "wrong_shape"),
        ("en  - 1 2", "wrong_shape"),
        ("en - 1 2 3", "wrong_shape"),
        ("en - 1", "wrong_shape"),
        ("en - 1 ", "wrong_shape"),
        ("en -  1", "wrong_shape"),
        ("en Main_Page 1 2", "wrong_shape"),
        ("en\t-\t1\t2", "wrong_shape"),
        ("oops", "wrong_shape"),
    ],
)
def test_shape_of_a_line(
    line: str, problem: str | None, write: Callable[..., Path], read: Callable[..., Reading]
) -> None:
    reading = read(write("projectviews-20141101-200000", f"de - 7 8\n{line}\nfr - 9 10\n"), **HOURLY)
    assert reading.column("problem") == [None, problem, None]
    assert [text and json.loads(text)["count_views"] for text in reading.column("record")] == [
        "7",
        None if problem else line.split(" ")[2],
        "9",
    ]


def test_same_lines_in_two_hours_are_two_contents(write: Callable[..., Path], tmp_path: Path) -> None:
    for hour in ("19", "20"):
        write(f"projectviews-20141101-{hour}0000", "en - 1 2\n")
    write("copy/projectviews-20141101-200000", "en - 1 2\n")
    reading = Reading(reader_of(tmp_path, **HOURLY))
    assert len({file.content_hash for file in reading.files.values()}) == 2


def test_name_with_an_impossible_time_is_said(write: Callable[..., Path], read: Callable[..., Reading]) -> None:
    with pytest.raises(ContractError, match="a time that does not exist"):
        read(write("projectviews-20141301-200000", "en - 1 2\n"), **HOURLY)


def test_all_fixtures_are_read_as_counted_by_another_road(
    shared_data: Callable[[str], Path], read: Callable[..., Reading]
) -> None:
    folder = shared_data("wikimedia_hourly_fixtures")
    want = []
    for path in sorted(folder.rglob("project*-*-*"), key=str):
        stamp = path.name.split("-", 1)[1]
        hour = datetime.strptime(stamp, "%Y%m%d-%H%M%S").replace(tzinfo=UTC) - timedelta(hours=1)
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.fullmatch(r"(\S+) - (\S+) (\S+)", line)
            fields = dict(zip(("domain_code", "count_views", "bytes"), match.groups(), strict=True)) if match else None
            want.append((path.relative_to(folder).as_posix(), number, match and {"hour": hour.isoformat(), **fields}))
    for group_bytes in (50, 1 << 20):
        reading = read(folder, group_bytes=group_bytes, **HOURLY)
        got = []
        for row in reading.rows:
            record = row["record"] and json.loads(row["record"])
            if record:
                record["hour"] = record["hour"].replace("Z", "+00:00")
            got.append((row["path"], row["source_position"], record))
        assert got == want
        assert len(reading.files) == 334
        assert sum(row["problem"] == "wrong_shape" for row in reading.rows) == 1


# Worked out from the case study R4 and Wikimedia's own description of the codes.
SITES = {
    "en": ("en", "wikipedia", "desktop"),
    "en.m": ("en", "wikipedia", "mobile"),
    "en.zero": ("en", "wikipedia", "zero"),
    "en.m.d": ("en", "wiktionary", "mobile"),
    "en.zero.voy": ("en", "wikivoyage", "zero"),
    "de.b": ("de", "wikibooks", "desktop"),
    "fr.q": ("fr", "wikiquote", "desktop"),
    "fr.s": ("fr", "wikisource", "desktop"),
    "fr.n": ("fr", "wikinews", "desktop"),
    "fr.v": ("fr", "wikiversity", "desktop"),
    "www.w": ("www", "mediawiki", "desktop"),
    "www.wd": ("www", "wikidata", "desktop"),
    "www.f": ("www", "foundation", "desktop"),
    "zh-min-nan": ("zh-min-nan", "wikipedia", "desktop"),
    "be-x-old.m": ("be-x-old", "wikipedia", "mobile"),
    "commons.m": ("commons", "wikimedia", "desktop"),
    "commons.m.m": ("commons", "wikimedia", "mobile"),
    "meta.m.zero": ("meta", "wikimedia", "zero"),
    "species.m": ("species", "wikimedia", "desktop"),
    "en.mw": ("en", "mobile_aggregate", "mobile"),
    "en.xyz": ("en", None, None),
    "en.m.xyz": ("en", None, None),
    "en.b.m": ("en", None, None),
    "en.": ("en", None, None),
    "commons.m.x": ("commons", None, None),
    "commons": ("commons", "wikipedia", "desktop"),
    "": ("", "wikipedia", "desktop"),
}


@pytest.mark.parametrize(("code", "want"), SITES.items())
def test_site_of_a_code(code: str, want: tuple[str, str | None, str | None]) -> None:
    site = site_of(code)
    assert (site.language, site.project, site.access) == want


def test_sql_gives_the_same_sites() -> None:
    parts = ["", "en", "m", "zero", "mw", "b", "wd", "commons", "quality", "x"]
    codes = [".".join(pick) for pick in [(a, b, c) for a in parts for b in parts for c in parts]]
    codes += [f"{a}.{b}" for a in parts for b in parts] + list(SITES) + list(OWN_SITES)
    sql = site_sql("code")
    with duckdb.connect() as connection:
        got = connection.execute(
            f"SELECT code, {sql['language']}, {sql['project']}, {sql['access']} FROM (SELECT unnest($codes) AS code)",
            {"codes": codes},
        ).fetchall()
    want = [(code, *(getattr(site_of(code), name) for name in ("language", "project", "access"))) for code in codes]
    assert got == want


# From the daily set's names and the sites that they stand for.
DAILY = {
    "enwiki": "en",
    "zh_min_nanwiki": "zh-min-nan",
    "be_x_oldwiki": "be-x-old",
    "enwikibooks": "en.b",
    "zh_min_nanwiktionary": "zh-min-nan.d",
    "dewikinews": "de.n",
    "dewikiquote": "de.q",
    "dewikisource": "de.s",
    "betawikiversity": "beta.v",
    "eswikivoyage": "es.voy",
    "commonswiki": "commons.m",
    "metawiki": "meta.m",
    "wikimania2014wiki": "wikimania2014.m",
    "wikidatawiki": "www.wd",
    "mediawikiwiki": "www.w",
    "foundationwiki": "www.f",
    "testwikidatawiki": "test.wd",
    "nzwikimedia": None,
    "sourceswiki": None,
    "all": None,
    "wiki": None,
}


@pytest.mark.parametrize(("name", "code"), DAILY.items())
def test_code_of_a_daily_name(name: str, code: str | None) -> None:
    assert domain_code_of(name) == code


def test_sql_gives_the_same_codes_for_every_site_of_the_daily_set(shared_data: Callable[[str], Path]) -> None:
    names = [path.stem for path in shared_data("wikimedia_projectview_daily").rglob("daily/*.csv")] + list(DAILY)
    with duckdb.connect() as connection:
        got = connection.execute(
            f"SELECT site, {domain_code_sql('site')} FROM (SELECT unnest($names) AS site)", {"names": names}
        ).fetchall()
    assert got == [(name, domain_code_of(name)) for name in names]
    codes = [code for _, code in got[: -len(DAILY)] if code is not None]
    assert len(set(codes)) == len(codes) > 800


def test_daily_set_can_be_read_by_any_reader(shared_data: Callable[[str], Path]) -> None:
    (path,) = shared_data("wikimedia_projectview_daily").rglob("daily/enwiki.csv")
    with path.open() as file:
        first = next(csv.DictReader(file))
    record = json.loads(Reading(reader_of(path, path_fields=r"(?P<site>[^/]+)\.csv$")).rows[1]["record"])
    assert record == {"site": "enwiki", **first}
