"""What a source promises: where rows come from, what a row must look like, when a period is complete."""

from __future__ import annotations

import re
from collections.abc import Mapping as Dictionary
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from tidelake.config import Duration, Settings, load_yaml
from tidelake.contracts.table import ANSWERED
from tidelake.errors import DefinitionError, UnknownNameError

FieldType = Literal["string", "integer", "number", "boolean", "timestamp", "date", "json"]
OnMismatch = Literal["evolve", "coerce", "quarantine", "fail"]
OnBreach = Literal["warn", "quarantine", "fail"]
Privacy = Literal["drop", "hash", "truncate_ip"]


def _yes_no(value: object) -> object:
    return {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value


YesNo = Annotated[Literal["yes", "no"], BeforeValidator(_yes_no, json_schema_input_type=Literal["yes", "no"] | bool)]


class FieldRule(Settings):
    """One field of a record: its type and what its values may be."""

    type: FieldType = "string"
    required: bool = Field(False, description="whether null, or no such field, breaks the contract")
    on_mismatch: OnMismatch | None = Field(
        None,
        description="value of another type: evolve keeps it as text in a column beside (of a required field it "
        "quarantines the row), coerce casts what can be cast without loss and quarantines the rest, quarantine keeps "
        "the row aside, fail stops the build; "
        "null = the contract's `on_mismatch`",
    )
    on_breach: OnBreach = Field("quarantine", description="value breaks allowed, minimum, maximum or pattern")
    allowed: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = Field(None, description="regular expression (RE2) that the whole text must match")
    references: str | None = Field(
        None,
        description="source.column of a dimension that must hold the value; where it is the dimension's key, its "
        "other columns are dimensions of these events (docs/metrics-files.md)",
    )
    empty_is_null: bool = Field(False, description="treat '' as null")
    privacy: Privacy | None = Field(
        None,
        description="acts before bronze is written, whatever the case of the name: drop the value, hash "
        "it with the project's key, or keep the network part of an address",
    )
    unit: str | None = None
    description: str | None = None

    @model_validator(mode="after")
    def _allowed_numbers(self) -> FieldRule:
        if self.type in ("integer", "number"):
            for item in self.allowed:
                float(item)
        return self


class RowRule(Settings):
    """A condition over the whole row, in portable SQL over the contract's column names."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    where: str = Field(
        description="SQL over silver's columns (a mapped field by its part: `actor_id`) that must be true; null counts "
        "as true"
    )
    on_breach: OnBreach = "quarantine"


class Contract(Settings):
    """What every row of a source must meet."""

    fields: dict[str, FieldRule] = Field(default_factory=dict, description="by name")
    rules: tuple[RowRule, ...] = Field((), description="conditions over several fields")
    extra: Literal["evolve", "ignore", "quarantine", "fail"] = Field(
        "evolve",
        description="fields that are not declared: evolve keeps them as text columns, those whose names cannot be "
        "columns as JSON in `other_fields`, and says so",
    )
    on_mismatch: OnMismatch = "coerce"
    unique: tuple[str, ...] = Field((), description="columns whose combination may occur once (dimensions)")
    max_quarantined_share: float = Field(0.05, ge=0, le=1, description="above it the build ends with exit 3")
    min_rows: int = 0
    keep_unparsable: bool = Field(
        False, description="keep the text of lines that cannot be parsed although privacy rules exist"
    )


class Mapping(Settings):
    """Which fields of the record play which part. Silver carries them under these names."""

    event_time: str | None = Field(None, description="when it happened (count facts: start of the period)")
    event_id: str | None = Field(
        None,
        description="tells events apart; without it rows have no event_id, and events at one instant are ordered by "
        "their content; a row whose id is null gets one of its text, `no-id:` and a digest, and an id that begins with "
        "`no-id:` is kept as `no-id::`",
    )
    actor_id: str | None = Field(None, description="who did it")
    anonymous_id: str | None = Field(
        None,
        description="event facts: a device or visitor, also before it is known who it is (`actor_id` is null then); "
        "whose its events are says `identity:` in tide.yml",
    )
    event_name: str | None = Field(None, description="what was done")
    session_id: str | None = Field(None, description="the source's own session (see `session: mode:`)")
    received_at: str | None = Field(None, description="when the source's server received it")
    sent_at: str | None = Field(None, description="when the device sent it; with received_at its clock is put right")
    seq: str | None = Field(None, description="order of events at one instant, before event_id")
    entity: str | None = Field(None, description="count facts: what was counted")
    valid_from: str | None = Field(
        None, description="dimensions with history: since when a row holds; where it is null, from the beginning"
    )

    names: dict[str, str] = Field(
        default_factory=dict,
        description="other fields that silver carries under another name, by that name: `{order_status: status}` for a "
        "field that is called like a column of every answer",
    )

    @field_validator("names")
    @classmethod
    def _can_be_names(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                raise ValueError(f"'{name}' is no name: small letters, digits and _, a letter first")
            if name in cls.model_fields or name in ANSWERED:
                what = "a part of the mapping" if name in cls.model_fields else "a column of every answer"
                raise ValueError(f"'{name}' is {what}: choose another name")
        return value

    @model_validator(mode="after")
    def _each_field_once(self) -> Mapping:
        fields = [field for _, field in self._parts()]
        for name, field in self.names.items():
            if [*fields, *self.names.values()].count(field) > 1:
                raise ValueError(f"names: {name}: the field '{field}' has a name already")
        return self

    def _parts(self) -> list[tuple[str, str]]:
        named = [name for name in type(self).model_fields if name != "names"]
        return [(name, value) for name in named if (value := getattr(self, name)) is not None]

    def items(self) -> list[tuple[str, str]]:
        """(name in silver, field) of every part that is mapped, and of every field with another name."""
        return [*self._parts(), *self.names.items()]


class TrafficRule(Settings):
    """Rows that are not human: the first rule that matches names their class."""

    traffic: Literal["bot", "internal", "test"] = Field(alias="class")
    where: str = Field(description="SQL over silver's columns (a mapped field by its part: `actor_id`)")


class Coverage(Settings):
    """When a period of the source is complete (METRICS section 0, watermark)."""

    by: Literal["event_time", "daily_file", "hourly_file", "through"] = "event_time"
    through: date | None = None
    file_date: str = Field(
        r"(?P<date>\d{4}-?\d{2}-?\d{2})", description="where a file's name carries its date (and hour)"
    )
    first: date | None = Field(None, description="first local date expected, as a whole; null = from the first file on")
    empty_days: Literal["missing", "zero"] = Field(
        "missing",
        description="what a day without any row, or daily file, is between others: `missing` = its rows are lost and "
        "nothing is known of it; `zero` = nothing happened, as on a day on which a shop is closed",
    )

    @model_validator(mode="after")
    def _whole_days(self) -> Coverage:
        if self.empty_days == "zero" and self.by == "hourly_file":
            raise ValueError("`empty_days: zero` is of days: of a source with hourly files each hour has one")
        return self


_OF_POSTGRES = ("dsn", "table", "query", "cursor", "lag")
_TIME_FORMATS = ("auto", "iso", "epoch_s", "epoch_ms", "epoch_us")
_HOURLY_MAPPING = {"event_time": "hour", "entity": "domain_code"}
_HOURLY_FIELDS: dict[str, dict[str, Any]] = {
    "hour": {"type": "timestamp", "required": True, "description": "start of the hour, UTC"},
    # Codes are lower case; hyphens and digits are valid (zh-min-nan, wikimania2005.m).
    "domain_code": {"type": "string", "required": True, "pattern": r"[a-z0-9][a-z0-9-]*(\.[a-z0-9-]+)*"},
    "count_views": {"type": "integer", "required": True, "minimum": 0, "unit": "views"},
    "bytes": {"type": "integer", "minimum": 0, "unit": "bytes"},
}


_PASSWORD = re.compile(r"^\s*dsn\s*:.*(?:://[^/@\s]*:(?!\$\{)[^@\s]+@|password\s*=\s*(?!\$\{)\S)")


class Source(Settings):
    """`sources/NAME.yml`: one stream of facts or one dimension table."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    kind: Literal["files", "projectviews", "postgres"] = "files"
    fact: Literal["event", "count", "dimension"] = Field(
        "event",
        description="event: somebody did something; count: an entity had a quantity in a period; dimension: what is "
        "known of a user or a thing",
    )
    path: str = Field("", description="files: file, folder, pattern or s3:// address (docs/sources.md)")
    format: Literal["auto", "jsonl", "json", "csv", "tsv", "parquet"] = "auto"
    header: Annotated[
        Literal["yes", "no"], BeforeValidator(_yes_no, json_schema_input_type=Literal["yes", "no"] | bool)
    ] = "yes"
    delimiter: str | None = Field(None, description="csv: null = detected among , ; tab | and space")
    columns: tuple[str, ...] = Field((), description="csv without header: the fields' names")
    path_fields: str | None = Field(
        None, description="regular expression over the path whose named groups become fields of each record"
    )
    pattern: str | None = Field(None, description="projectviews: file name pattern; null = both names")
    dsn: str | None = Field(None, repr=False, description="postgres: address of the database, as ${NAME}")
    table: str | None = Field(None, description="postgres: table or view, with its schema where it needs one")
    query: str | None = Field(None, description="postgres: SELECT in place of `table:`")
    cursor: str | None = Field(
        None,
        description="postgres: column that grows with new rows (whole number or time), by which only new rows are "
        "read; null = all rows, whenever any changed",
    )
    recheck: Literal["count", "none"] = Field(
        "count",
        description="postgres with cursor: count what was read before, and read all anew where that number changed; "
        "none = never look back",
    )
    lag: Duration | None = Field(
        None, description="postgres with a time as cursor: leave rows younger than this for a later build"
    )
    timezone: str = Field("UTC", description="zone of timestamps that carry none")
    time_format: str = Field(
        "auto", description="auto, iso, epoch_s, epoch_ms, epoch_us, or strptime codes such as %d/%m/%Y"
    )
    mapping: Mapping = Mapping()
    measures: tuple[str, ...] = Field((), description="count facts: numeric fields that add up")
    contract: Contract = Contract()
    dedup: Literal["key", "content", "none"] = Field(
        "none",
        description="which rows are one: those with one event_id, those with one content, or none; the number of "
        "identical rows is reported",
    )
    history: Literal["none", "scd2"] = Field("none", description="dimensions: keep each row's history")
    key: tuple[str, ...] = Field(
        (),
        description="dimensions: the fields that identify a row; none = every row stays; one = events that have it "
        "can be cut by the other columns",
    )
    complete: Coverage = Coverage()
    traffic: tuple[TrafficRule, ...] = ()
    sort: tuple[str, ...] = Field((), description="columns by which compaction sorts")
    max_line_bytes: int = Field(16 * 1024 * 1024, gt=0)
    future_tolerance: Duration | None = Field(
        None, description="event_time may pass received_at (else the file's reading time) by this; null = 10 min"
    )

    @field_validator("complete", mode="before", json_schema_input_type=Coverage | str)
    @classmethod
    def _short_coverage(cls, value: object) -> object:
        if isinstance(value, str):
            if value.startswith("through:"):
                return {"by": "through", "through": value.removeprefix("through:").strip()}
            return {"by": value}
        return value

    @field_validator("time_format")
    @classmethod
    def _known_time_format(cls, value: str) -> str:
        if value not in _TIME_FORMATS and "%" not in value:
            near = UnknownNameError("time format", value, _TIME_FORMATS)
            raise ValueError(f"'{value}' is neither {', '.join(_TIME_FORMATS)} nor strptime codes. {near.hint}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _known_form(cls, value: Any) -> Any:
        """Hourly view counts have one form: what is not said about mapping and contract is known."""
        if not isinstance(value, dict) or value.get("kind") != "projectviews":
            return value
        contract = dict(value.get("contract") or {})
        contract["fields"] = {**_HOURLY_FIELDS, **(contract.get("fields") or {})}
        return {"fact": "count", "mapping": _HOURLY_MAPPING, "measures": ["count_views"], **value, "contract": contract}

    @model_validator(mode="after")
    def _place_known(self) -> Source:
        if self.kind != "postgres":
            if not self.path:
                raise ValueError("a source of files needs `path:`")
            if strange := [name for name in _OF_POSTGRES if getattr(self, name) is not None]:
                raise ValueError(f"`{strange[0]}:` is for `kind: postgres`")
        elif not self.dsn or (self.table is None) == (self.query is None):
            raise ValueError("a source of kind postgres needs `dsn: ${NAME}`, and either `table:` or `query:`")
        elif self.lag is not None and self.cursor is None:
            raise ValueError("`lag:` needs `cursor:`")
        return self

    @property
    def place(self) -> str:
        """Where its rows come from, for readers; never an address with a password."""
        if self.kind == "postgres":
            return f"PostgreSQL: {self.table or f'query {self.name}'}"
        return f"hourly files: {self.path}" if self.kind == "projectviews" else self.path

    @model_validator(mode="after")
    def _parts_present(self) -> Source:
        if self.fact == "event" and self.mapping.event_time is None:
            raise ValueError("an event source needs `mapping: event_time:`, the field with the instant")
        if self.fact != "event" and self.mapping.anonymous_id is not None:
            raise ValueError("`mapping: anonymous_id:` is for events, which somebody did")
        has_parts = self.mapping.entity and self.mapping.event_time
        if self.fact == "count" and self.kind != "projectviews" and not has_parts:
            raise ValueError("a count source needs `mapping:` with `entity:` and `event_time:`")
        if self.history != "none" and not self.key:
            raise ValueError("a dimension with `history:` needs `key:`, the fields that identify a row")
        if self.dedup == "key" and self.fact == "count":
            raise ValueError("`dedup: key` is for events, which have an id; counts are told apart by `dedup: content`")
        if self.dedup == "key" and self.fact == "event" and self.mapping.event_id is None:
            raise ValueError("`dedup: key` needs `mapping: event_id:`")
        if added := set(self.measures) & set(self.mapping.names.values()):
            raise ValueError(f"`mapping: names:` cannot name '{min(added)}' anew, which is one of `measures:`")
        return self

    @property
    def privacy(self) -> dict[str, Privacy]:
        """Fields that must be dropped, hashed or truncated before bronze."""
        return {name: rule.privacy for name, rule in self.contract.fields.items() if rule.privacy is not None}


def load_sources(root: Path) -> dict[str, Source]:
    """Every `sources/*.yml` of a project, by name (the file's stem), in alphabetical order.

    Raises:
        DefinitionError: There is none.
        ProjectError: One of them is wrong (says file and line).
    """
    found: dict[str, Source] = {}
    for path in sorted((root / "sources").glob("*.yml")):
        _refuse_password(path)
        found[path.stem] = load_yaml(path, Source, name=path.stem)
    if not found:
        raise DefinitionError(f"{root / 'sources'} holds no source.", hint="Add one with `tide init DIR --from GLOB`.")
    _check_references(found)
    return found


def _refuse_password(path: Path) -> None:
    """Raise where an address with a password stands in a project's file."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if _PASSWORD.search(line):
            raise DefinitionError(
                f"{path}:{number}: dsn: a password must not stand in a project's files.",
                hint="Write `dsn: ${PG_URL}` and set that variable: export PG_URL=postgresql://...",
            )


def _check_references(sources: dict[str, Source]) -> None:
    """Raise where a field refers to a dimension or column that nothing declares."""
    dimensions = {name: source for name, source in sources.items() if source.fact == "dimension"}
    for source in sources.values():
        for field, rule in source.contract.fields.items():
            if rule.references is None:
                continue
            name, _, column = rule.references.partition(".")
            where = f"sources/{source.name}.yml, {field}: references"
            if name not in dimensions:
                raise UnknownNameError("dimension", name, dimensions, where=where)
            parts = {given: part for part, given in dimensions[name].mapping.items()}
            columns = [parts.get(item, item) for item in (*dimensions[name].contract.fields, *dimensions[name].key)]
            if column not in columns:
                raise UnknownNameError("column", column, columns, where=where)


def columns_by_field(sources: Dictionary[str, Source]) -> dict[str, dict[str, str]]:
    """What silver tables call the mapped fields of their records: table, field, column."""
    return {
        f"silver.{name}": {field: column for column, field in source.mapping.items()}
        for name, source in sources.items()
    }


def source_from(data: dict[str, Any]) -> Source:
    """A source from plain values, for tests and `tide init`."""
    return Source.model_validate(data)
