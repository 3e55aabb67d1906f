"""One batch of lines read under its contract: `temp.parsed`, and the reasons of the rows that break it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Self

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.errors import ContractError
from tidelake.lake import Lake
from tidelake.lake.keys import KeyIndex
from tidelake.silver.compile import (
    LINEAGE,
    OTHER_FIELDS,
    SilverPlan,
    accepted_columns,
    key_lists_sql,
    parsed_sql,
    plan,
    reasons_sql,
)
from tidelake.silver.fields import reference_of

_SAMPLE = 5_000
_MOST_EXTRA = 200
_MOST_LISTS = 64


@dataclass
class Learned:
    """What one build of a source learns from batch to batch; shared by those who work on it at once.

    Attributes:
        extra: Undeclared fields that silver carries as text.
        key_lists: Lists of field names that need no closer look, the usual one first.
        identical: Rows of a batch that equal an earlier one of it, where nothing is deduplicated.
        touched_files: Files whose rows moved, so that the ledger counts them again.
        warnings: Number of rows by reason that broke a rule which only warns.
        messages: What a person should be told.
        names: Every field that a record of the sample has, and of the declared ones every field that any record has.
        settled: Waits until every batch that was parsed under the present plan is settled.
    """

    plan: SilverPlan
    extra: list[str] = field(default_factory=list)
    key_lists: list[list[str]] = field(default_factory=list)
    identical: int = 0
    touched_files: set[int] = field(default_factory=set)
    warnings: dict[str, int] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    evolved: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    settled: Callable[[], None] = lambda: None


@dataclass
class Parsing:
    """Reads the batches of one source in one build.

    Attributes:
        engine: Holds the batch at hand in its `temp` tables.
        app_id: Application id of silver's transactions; the version is the batch.
        index: The keys that silver holds; None where nothing is deduplicated.
    """

    engine: Engine
    lake: Lake
    project: Project
    source: Source
    app_id: str
    index: KeyIndex | None
    learned: Learned = field(init=False)

    def __post_init__(self) -> None:
        self.learned = Learned(self._planned([]))
        known = self.engine.schema(self.table)
        was_dimension = not self.lake.layout(self.table).partition_by
        is_same_kind = was_dimension == (self.source.fact == "dimension")
        if known is not None and self.source.contract.extra == "evolve" and is_same_kind:
            own = {*accepted_columns(self.plan), *(f"{name}_field" for name in LINEAGE)}
            self.learned.extra = [name for name in known.names if name not in own]
            self.learned.plan = self._planned(self.learned.extra)

    def _planned(self, extra: Sequence[str]) -> SilverPlan:
        return plan(self.source, self.project, extra, absent=absent_dimensions(self.engine, self.source))

    @property
    def plan(self) -> SilverPlan:
        return self.learned.plan

    def beside(self, engine: Engine) -> Self:
        """The same work on an engine with `temp` tables of its own, for another batch."""
        other = copy(self)
        other.engine = engine
        return other

    def _known_columns(self) -> list[str]:
        schema = self.engine.schema(self.table)
        return list(schema.names) if schema is not None else []

    def _refuse_missing_dimensions(self) -> None:
        absent = absent_dimensions(self.engine, self.source)
        for field_name, rule in self.source.contract.fields.items():
            if rule.references is None or rule.on_breach == "warn":
                continue
            dimension, _ = reference_of(rule.references)
            if dimension in absent:
                raise ContractError(
                    f"Source {self.source.name}: {field_name} refers to the dimension {dimension}, which has no "
                    "rows yet.",
                    hint=f"Bring its files and build it: tide build --select {dimension}.",
                )

    @property
    def table(self) -> str:
        return f"silver.{self.source.name}"

    # --- reading

    def parse(self) -> None:
        """Make `temp.parsed`, `temp.unclean` and `temp.reasons` from `temp.lines`.

        Raises:
            ContractError: A field or rule whose policy is `fail` was broken, or a file lacks a required column.
        """
        self._refuse_missing_dimensions()
        if not self.learned.key_lists:
            self._learn_key_lists()
        found = self._parse_once()
        if self._add_extra(found.undeclared):
            found = self._parse_once()
        if any(reason.startswith("missing_required") for reason in found.of_tables):
            self._refuse_missing_columns()
        if not found.reasons.isdisjoint(self.failing):
            self._refuse_failures()

    def _learn_key_lists(self) -> None:
        lists = self._key_lists()
        if self.source.contract.extra == "evolve":
            self._add_extra(sorted({name for names in lists for name in names} - self._known_fields()))
        self.learned.key_lists = self._without_unknown(lists)[:_MOST_LISTS]

    def _key_lists(self) -> list[list[str]]:
        """The lists of field names of the batch's first records, without those that have one twice."""
        rows = self.engine.query(key_lists_sql("temp.lines", _SAMPLE)).to_pylist()
        self.learned.names.update(name for row in rows for name in row["keys"])
        return [row["keys"] for row in rows if len(set(row["keys"])) == len(row["keys"])]

    def _known_fields(self) -> set[str]:
        return {*self.plan.known_fields, *(name for name, rule in self.source.privacy.items() if rule == "drop")}

    def _without_unknown(self, lists: Sequence[list[str]]) -> list[list[str]]:
        """Lists of field names of which none is still to be taken up or refused."""
        if self.source.contract.extra == "ignore" or OTHER_FIELDS in self.learned.extra:
            return list(lists)
        known = self._known_fields()
        return [names for names in lists if known.issuperset(names)]

    def _parse_once(self) -> _Found:
        self.engine.write(parsed_sql(self.plan, "temp.lines", self.learned.key_lists), "temp.parsed")
        self.engine.write("SELECT file_id, source_position FROM temp.parsed WHERE is_clean IS NOT TRUE", "temp.unclean")
        # A record with a field that the sample has not has another list of names, so that it is not clean yet.
        wanted = {*self.plan.known_fields} - self.learned.names
        self.engine.write(reasons_sql(self.plan, "temp.lines", "temp.unclean", wanted), "temp.reasons")
        rows = self.engine.query(
            "SELECT DISTINCT unnest(reasons) AS reason, is_of_table, CAST(NULL AS VARCHAR) AS name, "
            "CAST(NULL AS VARCHAR) AS of_wanted FROM temp.reasons "
            "UNION ALL SELECT DISTINCT NULL, NULL, unnest(undeclared), NULL FROM temp.reasons "
            "UNION ALL SELECT DISTINCT NULL, NULL, NULL, unnest(of_wanted) FROM temp.reasons ORDER BY ALL"
        ).to_pylist()
        self.learned.names.update(row["of_wanted"] for row in rows if row["of_wanted"] is not None)
        return _Found(
            reasons={row["reason"] for row in rows if row["reason"] is not None},
            of_tables={row["reason"] for row in rows if row["is_of_table"]},
            undeclared=[row["name"] for row in rows if row["name"] is not None],
        )

    def _add_extra(self, names: Sequence[str]) -> bool:
        """Take up fields that nothing declares; true when there are new ones."""
        # DuckDB's structs and columns know no case: of `New` and `new` only the first becomes a column.
        taken = {name.lower() for name in (*accepted_columns(self.plan), *self.plan.known_fields, *self.source.privacy)}
        taken.add(OTHER_FIELDS)
        new: list[str] = []
        for name in names:
            if (
                name
                and name.lower() not in taken
                and _is_column_name(name)
                and len(self.learned.extra) + len(new) < _MOST_EXTRA
            ):
                new.append(name)
                taken.add(name.lower())
        others = sorted(set(names) - set(new) - set(self.plan.known_fields))
        if others and OTHER_FIELDS not in self.learned.extra:
            new.append(OTHER_FIELDS)
        self._say_others(others)
        if not new:
            return False
        self.learned.settled()
        self.learned.extra += new
        self.learned.evolved += [name for name in new if name != OTHER_FIELDS]
        self.learned.plan = self._planned(self.learned.extra)
        self.learned.key_lists = []
        self.learned.key_lists = self._without_unknown(self._key_lists())[:_MOST_LISTS]
        return True

    def _say_others(self, names: Sequence[str]) -> None:
        text = f"undeclared fields kept in {OTHER_FIELDS} (no name for a new column, or too many): "
        said = text + ", ".join(repr(name) for name in names[:12]) + (" ..." if len(names) > 12 else "")
        if names and said not in self.learned.messages:
            self.learned.messages.append(said)

    def _refuse_missing_columns(self) -> None:
        """A table file (CSV, Parquet) without a required column is refused as a whole."""
        required = [
            item.field for item in self.plan.fields if any(c.reason.startswith("missing_required") for c in item.checks)
        ]
        if not required:
            return
        names = self.engine.query(
            "SELECT DISTINCT l.source_path, json_keys(l.record) AS keys FROM temp.lines l JOIN temp.reasons r "
            "USING (file_id, source_position) WHERE l.record IS NOT NULL AND l.problem IS NULL AND l.kind = 'record' "
            "AND len(list_filter(r.reasons, lambda reason: starts_with(reason, 'missing_required'))) > 0 "
            "ORDER BY l.source_path LIMIT 1000"
        ).to_pylist()
        for row in names:
            missing = [name for name in required if name not in row["keys"]]
            if missing:
                raise ContractError(
                    f"{row['source_path']}: the required column {missing[0]!r} is missing "
                    f"(the file has {', '.join(row['keys'][:12])}). Nothing of this file was taken.",
                    hint=f"Mend the file, or declare the column as not required in sources/{self.source.name}.yml.",
                )

    @property
    def failing(self) -> list[str]:
        """The reasons for which a row stops the build."""
        found = [c.reason for item in self.plan.fields for c in item.checks if c.on_breach == "fail"]
        found += [f"rule:{rule.name}" for rule in self.source.contract.rules if rule.on_breach == "fail"]
        return [*found, "undeclared_field"] if self.source.contract.extra == "fail" else found

    def _refuse_failures(self) -> None:
        found = self.engine.query(
            "SELECT reason, count(*) AS records, min(source_path || ':' || source_position) AS example FROM ("
            "SELECT unnest(reasons) AS reason, file_id, source_position FROM temp.reasons) "
            "JOIN temp.lines USING (file_id, source_position) WHERE list_contains($failing, reason) "
            "GROUP BY reason ORDER BY records DESC",
            {"failing": self.failing},
        ).to_pylist()
        if found:
            row = found[0]
            raise ContractError(
                f"Source {self.source.name}: {row['records']:,} rows break '{row['reason']}', which stops the build "
                f"(first: {row['example']}).",
                hint="Mend the data, or set the rule to `quarantine` or `warn` in the contract.",
            )


@dataclass(frozen=True)
class _Found:
    """What a batch's rows that are not clean have to say.

    Attributes:
        reasons: Those for which rows are not accepted.
        of_tables: Those of rows that come from table files.
        undeclared: Names of fields to take up.
    """

    reasons: set[str]
    of_tables: set[str]
    undeclared: list[str]


def absent_dimensions(engine: Engine, source: Source) -> set[str]:
    """Dimensions that a source refers to and that have no table yet."""
    named = {reference_of(rule.references)[0] for rule in source.contract.fields.values() if rule.references}
    return {name for name in named if engine.schema(f"silver.{name}") is None}


def _is_column_name(name: str) -> bool:
    return 0 < len(name) <= 128 and name.isprintable() and not any(c in name for c in " ,;{}()\n\t=")
