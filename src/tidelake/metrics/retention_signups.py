"""Cohorts by the date of signup: where the dates are, and who entered by them."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from tidelake.contracts.table import quoted
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.context import Gold
from tidelake.gold.sqltext import day_start
from tidelake.metrics.kinds.retention import Clock, in_micros


@dataclass(frozen=True)
class Signup:
    """A dimension source and its column with the date of signup."""

    gold: Gold
    name: str
    column: str

    @property
    def table(self) -> str:
        return f"silver.{self.name}"

    @classmethod
    def of(cls, gold: Gold, cohort_by: str) -> Signup | None:
        """What `cohort_by` names; None for `entry`.

        Raises:
            UnknownNameError: There is no such dimension.
            DefinitionError: None or several have such a column, or it is no date.
        """
        if cohort_by == "entry":
            return None
        dimensions = {name: source for name, source in gold.sources.items() if source.fact == "dimension"}
        named, _, column = cohort_by.rpartition(".")
        holders = []
        for name in [named] if named else dimensions:
            if name not in dimensions:
                raise UnknownNameError("dimension source", name, dimensions, where="retention, cohort_by")
            schema = gold.lake.schema(f"silver.{name}")
            if schema is not None and column in schema.names and len(dimensions[name].key) == 1:
                holders.append(name)
        if len(holders) != 1:
            raise DefinitionError(
                f"cohort_by: '{cohort_by}' is a column of {len(holders) or 'no'} dimensions that have one row a user.",
                hint="Declare one with `fact: dimension` and `key: [USER]`, build, and name it: users.signup_date.",
            )
        kind = gold.lake.schema(f"silver.{holders[0]}").field(column).type
        if not (pa.types.is_date(kind) or pa.types.is_timestamp(kind)):
            raise DefinitionError(
                f"cohort_by: {holders[0]}.{column} is {kind}, not a date.",
                hint=f"Declare `{column}: {{type: date}}` in the contract of sources/{holders[0]}.yml.",
            )
        return cls(gold, holders[0], column)

    def write(self) -> None:
        """`temp.retention_signups`: one row a user with its signup's local date and instant, null where unknown."""
        source = self.gold.sources[self.name]
        is_date = pa.types.is_date(self.gold.lake.schema(self.table).field(self.column).type)
        names = {given: part for part, given in source.mapping.items()}
        key = quoted(names.get(source.key[0], source.key[0]))
        value = quoted(self.column)
        rows = (
            f"SELECT CAST({key} AS VARCHAR) AS actor_id, min({value}) AS signup FROM {self.table} "
            f"WHERE {key} IS NOT NULL GROUP BY CAST({key} AS VARCHAR)"
        )
        if not is_date:
            at = "epoch_micros(signup)"
            self.gold.temp(
                "retention_signups",
                f"SELECT actor_id, local_date(signup) AS entry_date, {at} AS anchor, {at} AS after "
                f"FROM ({rows}) AS rows",
            )
            return
        days = [row["signup"] for row in self.gold.query(f"SELECT DISTINCT {value} AS signup FROM {self.table}")]
        zone = self.gold.project.zone
        starts = [(day, in_micros(day_start(day, zone))) for day in days if day is not None]
        self.gold.temp(
            "retention_midnights",
            pa.table(
                {
                    "day": pa.array([day for day, _ in starts], pa.date32()),
                    "at_micros": pa.array([at for _, at in starts], pa.int64()),
                }
            ),
        )
        # A date has no hour: all that its day holds comes after it.
        self.gold.temp(
            "retention_signups",
            "SELECT rows.actor_id, rows.signup AS entry_date, midnights.at_micros AS anchor, "
            f"midnights.at_micros - 1 AS after FROM ({rows}) AS rows "
            "LEFT JOIN temp.retention_midnights AS midnights ON midnights.day = rows.signup",
        )

    def entries(self, clock: Clock) -> str:
        """Users by their signup, those without one by their first entry; the others go to `temp.retention_outside`."""
        number = clock.number("entry_date", "anchor")
        self.gold.temp(
            "retention_outside",
            "SELECT signups.actor_id FROM temp.retention_signups AS signups "
            "LEFT JOIN temp.retention_entries AS entries ON entries.actor_id = signups.actor_id "
            "WHERE signups.entry_date IS NULL AND entries.actor_id IS NULL",
        )
        return (
            f"SELECT actor_id, {number} AS unit_number, entry_date, anchor, after, 2 AS origin "
            "FROM temp.retention_signups WHERE entry_date IS NOT NULL UNION ALL "
            "SELECT entries.actor_id, entries.unit_number, entries.entry_date, entries.anchor, entries.after, "
            "3 AS origin FROM temp.retention_entries AS entries LEFT JOIN temp.retention_signups AS signups "
            "ON signups.actor_id = entries.actor_id WHERE signups.entry_date IS NULL"
        )
