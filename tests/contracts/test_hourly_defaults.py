"""Hourly view counts: what a source of kind `projectviews` need not say."""

from __future__ import annotations

import re

import pytest

from tidelake.contracts.source import source_from


def test_mapping_measures_and_contract_are_known() -> None:
    source = source_from({"name": "hourly", "kind": "projectviews", "path": "data"})
    assert source.fact == "count"
    assert (source.mapping.event_time, source.mapping.entity) == ("hour", "domain_code")
    assert source.measures == ("count_views",)
    assert source.contract.fields["count_views"].type == "integer"


def test_what_is_said_wins() -> None:
    contract = {"max_quarantined_share": 0.5, "fields": {"bytes": {"type": "string"}}}
    source = source_from({"name": "hourly", "kind": "projectviews", "path": "data", "contract": contract})
    assert source.contract.max_quarantined_share == 0.5
    assert source.contract.fields["bytes"].type == "string"
    assert source.contract.fields["hour"].type == "timestamp"


@pytest.mark.parametrize(
    ("code", "valid"),
    [
        ("en", True),
        ("en.m", True),
        ("commons.m.m", True),
        ("zh-min-nan", True),
        ("be-x-old", True),
        ("wikimania2005.m", True),
        ("www.wd", True),
        ("FR", False),
        ("en.", False),
        (".m", False),
        ("en m", False),
        ("", False),
    ],
)
def test_valid_domain_codes(code: str, valid: bool) -> None:
    source = source_from({"name": "hourly", "kind": "projectviews", "path": "data"})
    pattern = source.contract.fields["domain_code"].pattern
    assert pattern is not None
    assert (re.fullmatch(pattern, code) is not None) is valid
