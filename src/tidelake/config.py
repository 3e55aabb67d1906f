"""A project's settings: `tide.yml`, read into frozen, validated models.

Every YAML file of a project goes through `load_yaml`, so that an unknown key or a wrong
value is reported with its file and line.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from zoneinfo import ZoneInfo, available_timezones

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from tidelake.errors import ProjectError, UnknownNameError

PROJECT_FILE = "tide.yml"
PROJECT_NAME = r"^[a-z][a-z0-9_-]*$"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # written in C it is ten times faster
_DURATION = re.compile(r"^\s*(\d+)\s*(s|m|h|d)\s*$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SECRET = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def parse_duration(value: object) -> object:
    """Turn `30m`, `24h`, `7d`, `90s` into a timedelta; leave other kinds to the model."""
    if isinstance(value, str) and (match := _DURATION.match(value)):
        return timedelta(**{_UNITS[match.group(2)]: int(match.group(1))})
    if isinstance(value, str):
        raise ValueError(f"'{value}' is not a duration; write 90s, 30m, 24h or 7d")
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": r"^\s*\d+\s*[smhd]\s*$", "examples": ["30m"]}),
]


class Settings(BaseModel):
    """Base of every model that is read from YAML: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Activity(Settings):
    """Which events make an actor active (METRICS section 0)."""

    where: str | None = Field(None, description="SQL predicate over silver columns; null = default rule")
    any: bool = Field(False, description="true: every event counts, whatever its traffic class")


class Heartbeat(Settings):
    """Engaged time from heartbeats (METRICS section 7): the first counts `first`, each other one the interval."""

    event: tuple[str, ...] = Field(("heartbeat",), description="events that the source sends while it is used")
    interval: Duration = Field(timedelta(seconds=30), description="how often it sends one")
    first: Duration | None = Field(None, description="what the first of a session stands for; null = the interval")
    cap: Duration | None = Field(
        None, description="no session is engaged for longer; null = up to its own duration, which is never passed"
    )

    @field_validator("event", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class SessionRule(Settings):
    """How an actor's events are cut into sessions (METRICS section 7)."""

    mode: Literal["ignore", "trust", "verify", "bracket"] = Field(
        "ignore",
        description="ignore the source's session and cut by pauses; trust it as it is; verify that it is one actor's "
        "and not longer than the cap, else cut it again; bracket: from a start event to its end event",
    )
    timeout: Duration = Field(timedelta(minutes=30), description="a longer pause begins a new session")
    cap: Duration = Field(timedelta(hours=24), description="no session is longer")
    split_at_midnight: bool = Field(False, description="a new local date begins a new session")
    split_by: tuple[str, ...] = Field((), description="columns whose values have sessions of their own (device)")
    start: str | None = Field(None, description="bracket mode: event name that opens a session")
    end: str | None = Field(None, description="bracket mode: event name that closes a session")
    engaged_cap: Duration = Field(timedelta(minutes=5), description="a pause counts as engaged up to this")
    heartbeat: Heartbeat | None = Field(
        None, description="engaged time from heartbeats; a session without one has 0; null = from pauses"
    )


class WatchRule(Settings):
    """How watch time is measured (METRICS section 12): declared by a column, or from play states."""

    column: str | None = Field(None, description="column with declared seconds; null = from states")
    event: str | None = Field(None, description="event name that carries the declared seconds")
    content: str = Field("content_id", description="column that names what is watched")
    play: tuple[str, ...] = ("play", "video_play")
    resume: tuple[str, ...] = ("resume", "video_resume")
    pause: tuple[str, ...] = ("pause", "video_pause")
    buffer_start: tuple[str, ...] = ("buffer_start",)
    buffer_end: tuple[str, ...] = ("buffer_end",)
    end: tuple[str, ...] = ("stop", "complete", "video_stop", "video_complete")
    heartbeat: tuple[str, ...] = ("heartbeat",)
    cap: Duration = Field(timedelta(minutes=5), description="how long a state without an end goes on")


class Identity(Settings):
    """Whose an event is that carries a source's `anonymous_id` and no known actor."""

    stitch: Annotated[
        Literal["first_known", "off"],
        BeforeValidator(lambda value: "off" if value is False else value),
    ] = Field(
        "first_known",
        description="first_known: the events of an anonymous id, before and after, belong to the known id of the "
        "earliest event that carries both; off: each anonymous id is an actor by itself; without a source that maps "
        "`anonymous_id` neither does anything",
    )
    ignore: tuple[str, ...] = Field(
        ("", "00000000-0000-0000-0000-000000000000"),
        description="values of `anonymous_id` that many devices send and that stand for none: as if they were null",
    )


class Measure(Settings):
    """A count or a sum that gold tables carry per actor and day."""

    event: tuple[str, ...] = Field((), description="event names that count; empty = all")
    sum: str | None = Field(None, description="numeric column to add up; null = count events")
    distinct: str | None = Field(None, description="column whose distinct values are counted within the day")

    @field_validator("event", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class Hypothesis(Settings):
    """A suspicion of why a metric may move, tested whenever a change is explained, and said so if it cannot be."""

    name: str = Field(description="what it is called in the report")
    where: str = Field(description="SQL condition over dimensions: the segment that is suspected")
    start: date | None = Field(None, alias="from", description="first day on which it acts; null = the onset found")
    words: str | None = Field(None, description="a sentence for whoever reads the report")


class KnownEvent(Settings):
    """Something that happened on known dates; laid beside an onset as a coincidence, never as its cause."""

    name: str = Field(description="what it is called in the report")
    day: date | None = Field(None, alias="date", description="the day, of what has one")
    start: date | None = Field(None, alias="from", description="the first day, of what has several")
    end: date | None = Field(None, alias="to", description="its last day; null = it goes on")
    kind: Literal["release", "holiday", "incident", "campaign"] = Field(description="what kind of thing it is")

    @model_validator(mode="after")
    def _has_a_day(self) -> Self:
        if (self.day is None) == (self.start is None):
            raise ValueError("an event has either `date:` or `from:` (and `to:`)")
        if self.end is not None and (self.start is None or self.end < self.start):
            raise ValueError("`to:` is a day on or after `from:`")
        return self

    @property
    def first(self) -> date:
        """Its first day."""
        return self.day or self.start or date.min

    @property
    def last(self) -> date | None:
        """Its last day; None = it goes on."""
        return self.day or self.end


class Watch(Settings):
    """A metric that `tide watch` looks at: whether it moved; with a level, whether it stands there."""

    metric: str = Field(description="name or alias")
    name: str | None = Field(None, description="what it is called; null = after metric and segment")
    by: tuple[str, ...] = Field((), description="dimensions, each of whose values is looked at beside the whole")
    segment: dict[str, str] = Field(default_factory=dict, description="by dimension: only rows that have this value")
    where: str | None = Field(None, description="SQL predicate over silver columns: only rows for which it is true")
    direction: Literal["fall", "rise", "both"] = Field("both", description="which changes are told")
    false_alarms: float = Field(
        0.005, gt=0, le=0.5, description="most expected share of false ones among the changes that one look tells"
    )
    at_least: float | None = Field(None, description="the level that a day must have; then no change is looked for")
    at_most: float | None = Field(None, description="the same from above")
    by_day: date | None = Field(None, description="the day that is judged; null = the newest day that counts")
    since: date | None = Field(None, description="when the change began that the level shall mend; it is only told")

    @field_validator("by", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        if self.at_least is not None and self.at_most is not None:
            raise ValueError("a watch has either `at_least:` or `at_most:`; write two watches")
        if self.level is None and (self.by_day or self.since):
            raise ValueError("`by_day:` and `since:` belong to a level: add `at_least:` or `at_most:`")
        if self.level is not None and self.by:
            raise ValueError("a level is that of one segment: write `segment:` in place of `by:`")
        return self

    @property
    def level(self) -> float | None:
        """What a day must have; None = it is looked for changes."""
        return self.at_least if self.at_least is not None else self.at_most


class Target(Settings):
    """Another lake for the same definitions (`--target prod`)."""

    lake: str


def _is_zone(name: str) -> bool:
    """Whether a time zone has exactly this name; all of them are listed only where one look does not tell."""
    if sys.platform == "linux" and not name.startswith(("posix", "right")):
        with suppress(OSError, ValueError, KeyError):
            return ZoneInfo(name) is not None
    return name in available_timezones()


class Project(Settings):
    """`tide.yml`: what holds for the whole project."""

    name: str = Field(pattern=PROJECT_NAME)
    timezone: str = Field("UTC", description="IANA name of the zone in which days begin")
    week_start: Literal["monday", "sunday"] = "monday"
    lake: str = Field("lake", description="folder, from the project's, or s3:// address of the tables")
    engine: Literal["duckdb", "spark"] = "duckdb"
    epoch: date = Field(date(2000, 1, 1), description="events before this date are clock_skew")
    activity: Activity = Activity()
    session: SessionRule = SessionRule()
    watch: WatchRule = WatchRule()
    identity: Identity = Identity()
    measures: dict[str, Measure] = Field(default_factory=dict, description="by name: what gold counts or adds up")
    dimensions: tuple[str, ...] = Field(
        (),
        description="silver columns by which numbers can be cut, kept in gold; "
        "columns of dimension tables (`users.tier`) need not be listed",
    )
    actors: dict[str, str] = Field(
        default_factory=dict, description="by name: columns of other actor levels, such as account: account_id"
    )
    lateness: Duration | None = Field(None, description="null = p99.5 of received_at - event_time")
    hypotheses: tuple[Hypothesis, ...] = Field((), description="suspicions that every explanation of a change tests")
    events: tuple[KnownEvent, ...] = Field((), description="releases, holidays and the like, laid beside an onset")
    events_file: str | None = Field(
        None, description="CSV of more of them, from the project's folder: name, kind and date, or from and to"
    )
    watches: tuple[Watch, ...] = Field((), description="metrics that `tide watch` looks at after a build")
    watch_after_build: bool = Field(False, description="true: `tide build` looks at them too, as with --watch")
    targets: dict[str, Target] = Field(default_factory=dict, description="by name: other lakes (`--target prod`)")
    root: Path = Field(Path("."), exclude=True)

    @field_validator("activity", mode="before", json_schema_input_type=Activity | Literal["any"])
    @classmethod
    def _activity_preset(cls, value: object) -> object:
        return {"any": True} if value == "any" else value

    @field_validator("hypotheses")
    @classmethod
    def _named_once(cls, value: tuple[Hypothesis, ...]) -> tuple[Hypothesis, ...]:
        names = [one.name for one in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"there are two hypotheses '{name}'")
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if not _is_zone(value):
            unknown = UnknownNameError("time zone", value, available_timezones())
            raise ValueError(str(unknown)) from unknown
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The project's time zone, by which local dates are made."""
        return ZoneInfo(self.timezone)

    def lake_address(self, target: str | None = None) -> str:
        """The lake's absolute folder or `s3://` address, for the target named."""
        lake = self.lake
        if target is not None:
            if target not in self.targets:
                raise UnknownNameError("target", target, self.targets, where=PROJECT_FILE)
            lake = self.targets[target].lake
        return lake if "://" in lake else str((self.root / lake).resolve())


Model = TypeVar("Model", bound=BaseModel)


def load_yaml(path: Path, model: type[Model], **extra: Any) -> Model:
    """Read one YAML file into a model.

    Raises:
        ProjectError: The file is missing, is not YAML, or a key or value is wrong (says the line).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ProjectError(f"There is no {path}.", hint="Run `tide init DIR` to make a project.") from error
    try:
        data = yaml.load(text, Loader=_LOADER) or {}
    except yaml.YAMLError as error:
        raise ProjectError(f"{path} is not valid YAML: {error}", hint="Mend the YAML and try again.") from error
    if not isinstance(data, dict):
        raise ProjectError(f"{path} must hold keys and values, not a {type(data).__name__}.")
    try:
        return model.model_validate({**_expand(data, path), **extra})
    except ValidationError as error:
        raise _explain(error, path, yaml.compose(text, Loader=_LOADER), model) from error


def _expand(value: Any, path: Path) -> Any:
    """Replace `${NAME}` by the environment's value, everywhere in a document."""
    if isinstance(value, dict):
        return {key: _expand(item, path) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, path) for item in value]
    if not isinstance(value, str):
        return value

    def from_environment(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise ProjectError(
                f"{path} asks for ${{{name}}}, which is not set.",
                hint=f"Set it: export {name}=...",
            )
        return os.environ[name]

    return _SECRET.sub(from_environment, value)


def _explain(error: ValidationError, path: Path, node: Any, model: type[BaseModel]) -> ProjectError:
    """Say each fault in the file's own words, with its line."""
    lines, hints = [], []
    for fault in error.errors():
        place = [part for part in fault["loc"] if not (isinstance(part, str) and part.startswith("function-"))]
        line = _line_of(node, place)
        name = ".".join(str(part) for part in place) or "(file)"
        if fault["type"] == "extra_forbidden":
            unknown = UnknownNameError("key", str(place[-1]), _known_keys(model, place[:-1]))
            lines.append(f"{path}:{line}: unknown key '{name}'.")
            hints.append(unknown.hint or "")
        else:
            own = fault.get("ctx", {}).get("error")  # ours, where a validator of ours refused the value
            message = str(own) if isinstance(own, Exception) else fault["msg"]
            hints.append(getattr(getattr(own, "__cause__", None), "hint", None) or "")
            lines.append(f"{path}:{line}: {name}: {message}{'' if message.endswith(('.', '?')) else '.'}")
    return ProjectError("\n".join(lines), hint=" ".join(dict.fromkeys(filter(None, hints))) or None)


def line_in(path: Path, *place: str | int) -> int:
    """The line on which the innermost key of a YAML file that exists stands, from 1."""
    return _line_of(yaml.compose(path.read_text(encoding="utf-8"), Loader=_LOADER), list(place))


def _line_of(node: Any, place: list[Any]) -> int:
    """The line on which the innermost key that exists stands, from 1."""
    line = 1
    for part in place:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    line, node = key.start_mark.line + 1, value
                    break
            else:
                return line
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line


def _known_keys(model: Any, place: list[Any]) -> list[str]:
    """Keys that the model at this place allows, for "did you mean"."""
    for part in place:
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            inner = _inner_model(model)
            model = inner if inner is not None else model
            continue
        model = _inner_model(field.annotation) or field.annotation
    return [info.alias or name for name, info in getattr(model, "model_fields", {}).items()]


def _inner_model(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _inner_model(argument)
        if found is not None:
            return found
    return None


def find_project(start: Path) -> Path:
    """The project file: `start` itself, or in `start` or the nearest folder above it."""
    if start.is_file():
        return start.resolve()
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / PROJECT_FILE).is_file():
            return folder / PROJECT_FILE
    raise ProjectError(
        f"There is no {PROJECT_FILE} in {start.resolve()} or above it.",
        hint="Run `tide init DIR --from GLOB`, or `tide demo` to see an example.",
    )


def load_project(start: Path) -> Project:
    """Read the settings of the project at, in or above `start`."""
    path = find_project(start)
    return load_yaml(path, Project, root=path.parent)
