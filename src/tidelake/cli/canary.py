"""`tide canary`: a release beside its control, and where to try one."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from tidelake.cli.opening import opened, say_unfinished
from tidelake.cli.options import (
    HERE,
    AsOfOption,
    EngineOption,
    FormatName,
    FormatOption,
    LimitOption,
    OutputOption,
    ProjectOption,
    TargetOption,
    examples,
)
from tidelake.cli.output import emit
from tidelake.cli.questions import ByOption, FromOption, ToOption, WhereOption, tell
from tidelake.cli.streams import put

if TYPE_CHECKING:
    from tidelake.analyses.canary.result import CanaryResult

READ_EXAMPLES = examples(
    "tide canary --release model_version=v4.2 --control v4.1 --metric plays_per_user",
    "tide canary --release model=v2 --control v1 --metric plays_per_user,up,5% --guardrail bounce_session --share 80%",
    "tide canary --release model=v2 --control v1 --metric plays_per_user --fail-on worse --format json",
    "tide canary --release app_version=1.11 --control 1.10 --metric watch_seconds --by region",
)
PLAN_EXAMPLES = examples(
    "tide canary plan --metric plays_per_user --effect 5%",
    "tide canary plan --metric plays_per_user --by region --share 0.2 --power 0.9",
)
FAILED = 4


class _ReadsByDefault(TyperGroup):
    """`tide canary --release ...` is `tide canary read --release ...`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ("--help", "-h"):
            args = ["read", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ReadsByDefault,
    help="A release beside its control where both run (read, which may be left out), and where to try one (plan).",
    no_args_is_help=True,
    epilog=READ_EXAMPLES,
)

MetricOption = Annotated[
    list[str],
    typer.Option(
        "--metric", metavar="NAME", help="NAME[,up|down][,2%]: what is better, and what matters; may be given again."
    ),
]
GuardrailOption = Annotated[
    list[str] | None,
    typer.Option("--guardrail", metavar="NAME", help="The same of what must not get worse; may be given again."),
]
MarginOption = Annotated[
    str | None, typer.Option("--margin", metavar="SHARE", help="Least relative change that matters; default: 2%.")
]
ExpectedOption = Annotated[
    str | None,
    typer.Option(
        "--expected", metavar="SHARE", help="Change for which the bound is tightest; fix it before the first look."
    ),
]


def _share(name: str, text: str | None) -> float | None:
    from tidelake.analyses.canary.verdict import share_of

    return None if text is None else share_of(text, name)


@app.command(epilog=READ_EXAMPLES)
def read(
    *,
    release: Annotated[str, typer.Option("--release", metavar="COLUMN=NEW", help="The release.", show_default=False)],
    control: Annotated[
        str, typer.Option("--control", metavar="OLD", help="The column's other value.", show_default=False)
    ],
    metrics: MetricOption,
    guardrails: GuardrailOption = None,
    margin: MarginOption = None,
    share: Annotated[
        str | None, typer.Option("--share", metavar="SHARE", help="The release's share of the actors, as it was meant.")
    ] = None,
    expected: ExpectedOption = None,
    by: ByOption = None,
    start: FromOption = None,
    end: ToOption = None,
    where: WhereOption = None,
    log: Annotated[
        str | None,
        typer.Option("--log", metavar="SOURCE", help="What was served and fed; default: features, where there is one."),
    ] = None,
    served: Annotated[
        str | None, typer.Option("--served", metavar="COLUMN", help="Of the log: what was served.")
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option("--feature", metavar="COLUMN", help="Of the log: what was fed; default: all numbers."),
    ] = None,
    fail_on: Annotated[
        Literal["worse", "not-better"] | None,
        typer.Option("--fail-on", help="Exit 4: worse; or not-better: worse, no difference, cannot be told."),
    ] = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = None,
) -> None:
    """A release beside its control, in the days and segments in which both run, with the same mix of both.

    Metrics and guardrails with bounds that hold however often one looks, the sample ratio, the diversity of what was
    served, the drift of what the model was fed; and a verdict: better, worse, no difference, cannot be told.
    """
    given = {
        "guardrails": tuple(guardrails or ()),
        "margin": _share("--margin", margin),
        "share": _share("--share", share),
        "expected": _share("--expected", expected),
        "by": tuple(by or ()),
        "start": _date(start),
        "end": _date(end),
        "where": where,
        "log": log,
        "served": served,
        "features": tuple(features or ()),
    }
    wanted = {name: value for name, value in given.items() if value not in (None, ())}
    with opened(project, target=target, engine=engine, as_of=as_of) as session:
        result = session.canary(release, control, tuple(metrics), **wanted)
        _show(result, form, output, limit)
        say_unfinished(session)
    fails = {"worse": ("worse",), "not-better": ("worse", "no difference", "cannot be told")}
    if fail_on is not None and result.verdict in fails[fail_on]:
        raise typer.Exit(FAILED)


def _show(result: CanaryResult, form: FormatName, output: Path | None, limit: int | None) -> None:
    if form is not FormatName.table:
        emit(result, form=form, output=output, limit=limit)
        return
    emit(result.for_people(), form=form, output=output, limit=limit)
    drifts = result.drifts()
    if drifts is not None and output is None:
        put("")
        emit(drifts, form=form, limit=limit)


def _date(given: datetime | None) -> Any:
    return given.date() if given is not None else None


@app.command(epilog=PLAN_EXAMPLES)
def plan(
    *,
    metrics: MetricOption,
    guardrails: GuardrailOption = None,
    effect: Annotated[
        str | None, typer.Option("--effect", metavar="SHARE", help="Relative change to be seen; default: 2%.")
    ] = None,
    expected: ExpectedOption = None,
    share: Annotated[
        str | None,
        typer.Option("--share", metavar="SHARE", help="Of a segment's actors that get the release; default: 50%."),
    ] = None,
    power: Annotated[
        str | None, typer.Option("--power", metavar="SHARE", help="How surely it is seen; default: 80%.")
    ] = None,
    most: Annotated[
        str | None,
        typer.Option("--most", metavar="SHARE", help="Of the metric that a segment may carry; default: 20%."),
    ] = None,
    depth: Annotated[
        int | None, typer.Option("--depth", min=1, max=3, help="Dimensions that a segment may name; default: 2.")
    ] = None,
    by: ByOption = None,
    start: FromOption = None,
    end: ToOption = None,
    where: WhereOption = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = None,
) -> None:
    """Where to try a release: segments of low impact that behave like the rest, how long, and what would be seen."""
    given = {
        "guardrails": tuple(guardrails or ()),
        "effect": _share("--effect", effect),
        "expected": _share("--expected", expected),
        "share": _share("--share", share),
        "power": _share("--power", power),
        "most": _share("--most", most),
        "depth": depth,
        "by": tuple(by or ()),
        "start": _date(start),
        "end": _date(end),
        "where": where,
    }
    wanted = {name: value for name, value in given.items() if value not in (None, ())}
    tell(
        lambda session: session.canary_plan(tuple(metrics), **wanted),
        project=project,
        target=target,
        as_of=as_of,
        engine=engine,
        form=form,
        output=output,
        limit=limit,
        chart=None,
    )
