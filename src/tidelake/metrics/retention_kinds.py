"""Kinds of members: how many actors came back in the very same units, so that cells are counted for few rows.

For first entries and returns by any active event, in days, weeks or months of the calendar: `gold.user_day` has one
row an actor and day, so one sum per actor holds in how many days of each unit it was active (3 bits a week, 5 a month,
1 a day), and one minimum its first day with whether that had several events.

`temp.retention_kinds`, one row a kind: cohort, origin, unit_number (of the entry), is_again (active again in the unit
of its entry), p0, p1 (bits: a unit with active days), weight (actors), first_entry, last_entry.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pyarrow as pa

from tidelake.gold.context import Gold
from tidelake.gold.sqltext import date_literal, day_start
from tidelake.metrics.kinds.retention import Clock, Plan
from tidelake.metrics.periods import dates_between

BITS = {"day": 1, "week": 3, "month": 5}
_WORD, _WORDS = 62, 2
_KEYS = ("cohort", "origin", "unit_number", "is_again")


class Kinds:
    """The kinds of one question's members.

    Attributes:
        first: First date of `gold.user_day`.
        last: Its last date.
        words: Names of the columns with bits.
    """

    def __init__(self, gold: Gold, clock: Clock, first: date, last: date) -> None:
        self.gold = gold
        self.clock = clock
        self.first = first
        self.last = last
        self._bits = BITS[clock.unit]
        self._held = _WORD // self._bits
        self._begun = self._number(first)
        self._units = self._number(last) - self._begun + 1
        self.words = tuple(f"p{word}" for word in range(-(-self._units // self._held)))

    @classmethod
    def of(cls, gold: Gold, clock: Clock) -> Kinds | None:
        """The kinds; None where there are no dates, or more units than their words hold."""
        days = gold.rows_by_date([("gold.user_day", "activity_date")])
        if clock.unit not in BITS or not days:
            return None
        found = cls(gold, clock, min(days), max(days))
        return found if len(found.words) <= _WORDS else None

    def write(self, *, cohort: str, origin: str, condition: str) -> None:
        """`temp.retention_kinds` and `temp.retention_bits`, which says what each bit stands for.

        Args:
            cohort: SQL over entry_date.
            origin: SQL over entry_date.
            condition: Which entries count, SQL over entry_date.
        """
        self.gold.temp("retention_bits", self._bit_table())
        day = f"days_between({date_literal(self.first)}, activity_date)"
        sums = ", ".join(f"CAST(sum({self._power(word)}) AS BIGINT) AS w{word}" for word in range(len(self.words)))
        actors = (
            f"SELECT min({day} * 2 + CASE WHEN active_event_count >= 2 THEN 0 ELSE 1 END) AS code, {sums} "
            "FROM gold.user_day WHERE is_active GROUP BY actor_id"
        )
        entered = (
            f"SELECT *, add_days({date_literal(self.first)}, whole_divide(code, 2)) AS entry_date, "
            f"code % 2 = 0 AS is_several FROM ({actors}) AS actors"
        )
        number = self.clock.number("entry_date", "0")
        numbered = (
            f"SELECT entry_date, {cohort} AS cohort, {origin} AS origin, {number} AS unit_number, is_several, "
            f"{self._words()} FROM ({entered}) AS entered WHERE {condition}"
        )
        marked = f"SELECT *, is_several OR {self._is_twice()} AS is_again FROM ({numbered}) AS numbered"
        presence = ", ".join(f"{self._present(f'w{word}')} AS {name}" for word, name in enumerate(self.words))
        columns = ", ".join((*_KEYS, *self.words))
        self.gold.temp(
            "retention_kinds",
            f"SELECT {columns}, count(*) AS weight, min(entry_date) AS first_entry, max(entry_date) AS last_entry "
            f"FROM (SELECT cohort, origin, unit_number, is_again, entry_date, {presence} FROM ({marked}) AS marked) "
            f"AS actors GROUP BY {columns}",
        )

    def plan(self, plan: Plan) -> Plan:
        """The plan over kinds in the place of members."""
        return replace(plan, kinds=(*_KEYS, *self.words))

    def hits(self, plan: Plan) -> str:
        """SELECT of the units in which kinds came back: one row a kind and index `place`."""
        word = "kinds.p0"
        if len(self.words) > 1:
            word = f"(CASE WHEN bits.word = 0 THEN {word} ELSE kinds.p1 END)"
        index = "bits.unit_number - kinds.unit_number"
        listed = ", ".join(f"kinds.{name} AS {name}" for name in (*plan.keys, *plan.carried))
        low, high = plan.span
        return (
            f"SELECT {listed}, {index} AS place FROM temp.retention_kinds AS kinds JOIN temp.retention_bits AS bits "
            f"ON ({word} & bits.mask) <> 0 WHERE {index} BETWEEN {low} AND {high} "
            "AND (bits.unit_number > kinds.unit_number OR kinds.is_again)"
        )

    # --- bits

    def _number(self, day: date) -> int:
        return self.clock.number_of(day, day_start(day, self.clock.zone))

    def _bit_table(self) -> pa.Table:
        units = range(self._units)
        columns = {
            "unit_number": [self._begun + unit for unit in units],
            "word": [unit // self._held for unit in units],
            "mask": [1 << (unit % self._held * self._bits) for unit in units],
        }
        return pa.table({name: pa.array(values, pa.int64()) for name, values in columns.items()})

    def _power(self, word: int) -> str:
        """What a day adds to a word: the lowest bit of its unit's."""
        later = dates_between(self.first + timedelta(days=1), self.last)
        begins = [self.first]
        begins += [day for day in later if self._number(day) != self._number(day - timedelta(days=1))]
        held = list(enumerate(begins))[word * self._held : (word + 1) * self._held]
        last = held[-1][0] + 1
        whens = " ".join(
            f"WHEN activity_date >= {date_literal(begin)} THEN {1 << (unit % self._held * self._bits)}"
            for unit, begin in reversed(held)
        )
        after = f"WHEN activity_date >= {date_literal(begins[last])} THEN 0 " if last < len(begins) else ""
        return f"CASE {after}{whens} ELSE 0 END"

    def _words(self) -> str:
        return ", ".join(f"w{word}" for word in range(len(self.words)))

    def _is_twice(self) -> str:
        """Whether the unit of the entry has more active days than one."""
        if self._bits == 1:
            return "FALSE"
        fields = " ".join(
            f"WHEN {self._begun + unit} THEN "
            f"whole_divide(w{unit // self._held}, {1 << (unit % self._held * self._bits)}) % {1 << self._bits}"
            for unit in range(self._units)
        )
        return f"(CASE unit_number {fields} ELSE 0 END >= 2)"

    def _present(self, word: str) -> str:
        """The lowest bit of each unit that has any."""
        if self._bits == 1:
            return word
        parts = [word, *(f"whole_divide({word}, {1 << bit})" for bit in range(1, self._bits))]
        mask = sum(1 << (unit * self._bits) for unit in range(self._held))
        return f"(({' | '.join(parts)}) & {mask})"
