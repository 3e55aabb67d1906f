"""`tide retention` and `tide activation`: options of which one would be ignored are refused, with what to write."""

from __future__ import annotations

import pytest

from tidelake.cli import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("retention", "--criterion", "on-or-after"), "next: --horizon 8"),
        (("retention", "--within", "72h", "--criterion", "streak"), "--within is a criterion of its own"),
        (("retention", "--within", "72h", "--bracket", "1:3"), "two criteria"),
        (("retention", "--horizon", "5"), "--horizon is for --criterion on-or-after only"),
        (("activation",), "tide activation video_play, or"),
        (("activation", "play", "--session", "watch_seconds >= 30"), "not both"),
    ],
)
def test_options_that_do_not_go_together(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(list(words)) == 2
    assert said in capsys.readouterr().err
