"""A contract's `pattern` is judged by the engine that runs it, when the project is opened and not in the build."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.projects import APP, TinyProject
from tidelake import session as tl
from tidelake.cli import health, main
from tidelake.errors import DefinitionError


def project(root: Path, pattern: str) -> TinyProject:
    return TinyProject.make(root, APP.replace("version: {type: string}", f"version: {{pattern: '{pattern}'}}"))


@pytest.mark.parametrize("pattern", ["[a", "(?=a)", "(a)\\1", "a{1001}"])
def test_a_pattern_that_re2_cannot_read_is_refused(tmp_path: Path, pattern: str) -> None:
    """Python's own expressions take all of these but the first."""
    made = project(tmp_path, pattern)
    with pytest.raises(DefinitionError) as caught:
        tl.open(made.root)
    assert f"sources/app.yml, version: pattern '{pattern}' is no regular expression: " in str(caught.value)


@pytest.mark.parametrize("pattern", ["\\pL+", "[[:alpha:]]", "(?i)v[0-9]+\\z", "a{1000}"])
def test_a_pattern_that_re2_reads_is_taken(tmp_path: Path, pattern: str) -> None:
    """Python's own expressions know neither of `\\pL` and `\\z`."""
    tl.open(project(tmp_path, pattern).root).close()


def test_every_command_says_which_field_has_the_wrong_pattern(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = project(tmp_path, "[a")
    made.write("a.jsonl", '{"id": "1", "at": "2025-11-17T08:00:00Z", "user": "u", "name": "play", "version": "a"}\n')
    said = "sources/app.yml, version: pattern '[a' is no regular expression: missing ]: [a."
    for verb in ("build", "check"):
        assert main([verb, "--project", str(made.root)]) == 2
        assert f"error: {said}\n  next: Patterns are RE2's" in capsys.readouterr().err
    assert not made.lake.exists()
    found = {finding.part: finding for finding in health.examine(made.root)}
    assert (found["project"].status, found["project"].found) == ("fail", said)
