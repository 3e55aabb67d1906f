"""How a verb that declares its options becomes a question to the session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from importlib import import_module
from inspect import signature
from typing import Annotated, Any

import pyarrow as pa
import pytest
import typer
from typer.testing import CliRunner

from tidelake.cli import questions
from tidelake.cli.app import _VERBS
from tidelake.cli.questions import ByOption, FromOption, MembersOption, MetricArgument, narrowed, question
from tidelake.config import Settings
from tidelake.engine.result import Result
from tidelake.metrics.narrowing import Narrowing
from tidelake.session.questions import Questions

Asked = list[tuple[str, dict[str, Any]]]


class _Session:
    """Notes what it is asked, and answers with one row."""

    unfinished = behind = None

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    def __getattr__(self, name: str) -> Any:
        def ask(**options: Any) -> Result:
            self._asked.append((name, options))
            return Result(pa.table({"value": [1]}), title="One")

        return ask


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    found: Asked = []

    @contextmanager
    def opened(*_: Any, **__: Any) -> Iterator[_Session]:
        yield _Session(found)

    monkeypatch.setattr(questions, "opened", opened)
    return found


def run(command: Any, *words: str) -> Any:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, words)


def test_options_reach_the_method_of_the_command_s_name(asked: Asked) -> None:
    """A date without its time, a list as a tuple, defaults as they are; what was not given is left to the method."""

    @question(narrowed)
    def streaks(
        metric: MetricArgument,
        *,
        by: ByOption = None,
        threshold: Annotated[float, typer.Option("--above")] = 0.5,
        members: MembersOption = False,
    ) -> None:
        """Runs."""

    result = run(streaks, "dau", "--by", "region", "--by", "device", "--from", "2025-03-01", "--format", "csv")
    assert result.exit_code == 0, result.output
    given = {"metric": "dau", "by": ("region", "device"), "threshold": 0.5, "members": False}
    assert asked == [("streaks", given | {"start": date(2025, 3, 1)})]
    assert result.output == "value\n1\n"


def test_options_are_judged_before_the_project_is_opened(asked: Asked) -> None:
    def refuse(given: dict[str, Any]) -> dict[str, Any]:
        raise ValueError(f"{given['at']} is too early")

    @question(asked=refuse)
    def trend(*, at: FromOption = None) -> None:
        """A slope."""

    result = run(trend, "--from", "2025-03-01")
    assert (str(result.exception), asked) == ("2025-03-01 is too early", [])


WORDS = {"funnel": ["--step", "a", "--step", "b"], "activation": ["play"], "adoption": ["play"]}
ASKING = [
    verb for verb in _VERBS if hasattr(Questions, verb.replace("-", "_")) and verb != "explain"
]  # an explanation is printed in a way of its own: tests/cli/test_explain_input.py


def test_fifteen_verbs_are_questions() -> None:
    assert len(ASKING) >= 15


@pytest.mark.parametrize("verb", ASKING)
def test_every_option_is_one_of_the_question(asked: Asked, verb: str) -> None:
    """Each is an option of the session's method, of what narrows, of the metric's function, or of its definition."""
    name = verb.replace("-", "_")
    command = getattr(import_module(f"tidelake.cli.{_VERBS[verb][1]}"), name)
    of = signature(command).parameters.get("metric")
    words = WORDS.get(verb, ["dau"] if of is not None and of.default is of.empty else [])
    assert run(command, *words, "--format", "json").exit_code == 0
    ((method, given),) = asked
    metric = import_module(f"tidelake.metrics.{name}")
    definitions = [one for one in vars(metric).values() if isinstance(one, type) and issubclass(one, Settings)]
    known = {*signature(getattr(Questions, method)).parameters, *Narrowing.__annotations__, "members"}
    known |= {*signature(getattr(metric, name)).parameters}
    known |= {field for one in definitions for field in one.model_fields}
    assert set(given) <= known
    assert not any(isinstance(value, list | datetime) for value in given.values())
