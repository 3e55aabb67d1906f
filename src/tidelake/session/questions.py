"""The questions that a session answers from the tables of the last finished build."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from tidelake.config import Settings
from tidelake.engine.result import Result
from tidelake.errors import QueryError

if TYPE_CHECKING:
    from tidelake.analyses.canary.result import CanaryResult
    from tidelake.analyses.change.explanation import Explanation
    from tidelake.metrics.retention import Retention, RetentionResult

_NARROWING = ("by", "start", "end", "where", "grain", "cohort", "actor")
Answer = TypeVar("Answer", bound=Result)


class Questions:
    """What a session can be asked; dates may be given as text (`2025-11-17`), the last one is itself included.

    Every question takes `cohort`. Those about who comes and how far take `actor` too: a level of tide.yml's `actors:`,
    which counts in the place of actors.
    """

    def _answered(self, ask: Callable[..., Answer], *given: Any, **options: Any) -> Answer:
        """What `ask(engine, lake, project, sources, *given, **options)` answers."""
        raise NotImplementedError

    def _of(
        self,
        ask: Callable[..., Answer],
        define: Callable[..., Any],
        options: Mapping[str, Any],
        *more: str,
        members: Callable[..., Answer] | None = None,
    ) -> Answer:
        """What is answered about a definition made from the options that do not narrow it.

        Args:
            more: Options of `ask` beside those that narrow.
            members: Who answers instead of `ask` where `members=True`.
        """
        narrowed = {name: value for name, value in options.items() if name in (*_NARROWING, *more)}
        settings = {name: value for name, value in options.items() if name not in narrowed}
        if members is not None and settings.pop("members", False):
            ask = members
        return self._answered(ask, define(**settings), **narrowed)

    def measure(self, metric: str, **options: Any) -> Result:
        """A metric by period and dimension, with the status of every number (METRICS section 0).

        Args:
            metric: Name or alias.
            options: `by`, `grain` (day, week, month), `start` and `end` (None = all dates), `where`, `actor` (another
                level of tide.yml's `actors:`), `segment` (distinct actors under `any`, their `first` or their `last`
                value of the period), `compare` (`previous` or `year`) with `elapsed`, `members` (the actors behind the
                numbers, with their parts), as `metrics.measure.measure` says.

        Raises:
            QueryError: A text is no date.
            UnknownNameError: There is no such metric or dimension.
        """
        from tidelake.metrics.measure import measure

        return self._answered(measure, metric, **options)

    def metrics(self, name: str | None = None) -> Result:
        """The metrics that this project can be asked for, or the definition and the SQL of one.

        Args:
            name: Name or alias of a metric; None = one row for each of them.

        Raises:
            UnknownNameError: There is no such metric.
        """
        from tidelake.metrics.listing import metrics_of

        return self._answered(metrics_of, name)

    def cohorts(self, name: str | None = None, *, at: date | str | None = None, members: bool = False) -> Result:
        """The project's saved cohorts with their sizes, or one of them with its SQL, or its members.

        Every question takes them: `cohort="regulars"` (or several, or `not regulars`) is a filter, and
        `by="cohort.regulars"` a dimension with the values `in` and `out`.

        Args:
            name: One of `cohorts/*.yml`; None = all.
            at: As for a question whose first date this is; None = the day after the last complete one.
            members: The actors of that one.

        Raises:
            UnknownNameError: There is no such cohort.
            DefinitionError: It looks at dates without data.
        """
        from tidelake.metrics.cohort_listing import cohort_members, cohorts_of

        return self._answered(cohort_members if members else cohorts_of, name, at=at)

    # --- who comes, and who comes back

    def retention(self, definition: Retention | None = None, **options: Any) -> RetentionResult:
        """Share of each cohort that came back, period by period (METRICS section 5).

        Args:
            definition: What is asked; None = made from the options (`entry`, `unit`, `periods` ...).
            options: `by`, `start`, `end`, `where`, `grain` (cohorts by day, week or month of the entry, or `all` in
                one; None = the unit), and what `metrics.retention.Retention` has.

        Raises:
            DefinitionError: Settings that do not go together.
            UnknownNameError: There is no such setting, dimension or event.
        """
        from tidelake.metrics.cohort_definition import ENTERING
        from tidelake.metrics.retention import Retention, retention

        define = Retention.make if definition is None else lambda **_: definition
        if options.get("cohort") in ENTERING:  # how often an actor enters, not whom
            define = partial(define, cohort=options.pop("cohort"))
        return self._of(retention, define, options)

    def lifecycle(self, *, members: str | None = None, **options: Any) -> Result:
        """Who of each period's actors is new, returning, resurrected, and who is gone (METRICS section 4).

        Args:
            members: A state: then the actors behind it.
            options: `start`, `end`, `grain`, `by`, `segment`, `where`, `new_by`, `warmup_days`, `signup`, as
                `metrics.lifecycle` says.

        Raises:
            UnknownNameError: There is no such choice or dimension.
            LedgerError: The states do not add up to the actors.
        """
        from tidelake.metrics.lifecycle import lifecycle, lifecycle_members

        if members is not None:
            return self._answered(lifecycle_members, members, **options)
        return self._answered(lifecycle, **options)

    def power_curve(self, *, at: date | str | None = None, members: bool = False, **options: Any) -> Result:
        """Actors by their active days of the last 28 complete ones (METRICS section 3).

        Args:
            at: The window's last local date; None = the last complete one.
            members: The actors behind it.
            options: `window_days`, `power_days`, `by`, `segment`, `where`, as `metrics.power_curve` says.
        """
        from tidelake.metrics.power_curve import power_curve, power_curve_members

        return self._answered(power_curve_members if members else power_curve, at=at, **options)

    def stickiness(self, *, members: date | str | None = None, **options: Any) -> Result:
        """Mean DAU of 28 days / MAU_28, or DAU / MAU (METRICS section 2).

        Args:
            members: A date: then the actors behind it.
            options: `start`, `end`, `method`, `window_days`, `grain`, `by`, `segment`, `where`, as
                `metrics.stickiness` says.
        """
        from tidelake.metrics.stickiness import stickiness, stickiness_members

        if members is not None:
            return self._answered(stickiness_members, local_date(members), **options)
        return self._answered(stickiness, **options)

    def inactive(self, *, members: date | str | None = None, **options: Any) -> Result:
        """The share of actors without activity for k days (METRICS section 6 b).

        Args:
            members: A date: then the actors known on it, with their last active day.
            options: `k` (28, or `auto`), `start`, `end` (None = the last complete date), `by`, `segment`, `where`, as
                `metrics.inactive` says.
        """
        from tidelake.metrics.inactive import inactive, inactive_members

        if members is not None:
            return self._answered(inactive_members, local_date(members), **options)
        return self._answered(inactive, **options)

    def churn_label(self, *, members: date | str | None = None, **options: Any) -> Result:
        """The share of actors active before a date who do not come back in the days after it (METRICS section 6 c).

        Args:
            members: A date: then the actors with a label at it.
            options: `observation_days`, `prediction_days`, `every`, `start`, `end` (None = the last date whose days
                after have ended), `by`, `segment`, `where`, as `metrics.churn_label` says.
        """
        from tidelake.metrics.churn_label import churn_label, churn_label_members

        if members is not None:
            return self._answered(churn_label_members, local_date(members), **options)
        return self._answered(churn_label, **options)

    def trend(self, metric: str = "dau", *, at: date | str | None = None, **options: Any) -> Result:
        """Whether a metric of a day rises or falls, and how fast (METRICS section 1).

        Args:
            metric: Name or alias.
            at: The last date that is looked at; None = the last complete one.
            options: `days`, `by`, `where`, `min_change`, as `metrics.trend` says.
        """
        from tidelake.metrics.trend import trend

        return self._answered(trend, metric, at=at, **options)

    # --- how far they come

    def funnel(self, steps: Sequence[str], **options: Any) -> Result:
        """How many of those who began came how far within a window (METRICS section 8).

        Args:
            steps: Events, as `video_play`, `play,resume where seconds > 3` or `*`.
            options: `window`, `order`, `attempt`, `exclude`, `hold`, `count`, `simultaneity`, `touch` as in `Funnel`;
                `by`, `start`, `end`, `where`, `grain`; `members=True` = the actors behind the numbers.
        """
        from tidelake.metrics.funnel import funnel, funnel_members
        from tidelake.metrics.funnel_definition import funnel_of

        return self._of(funnel, partial(funnel_of, steps), options, members=funnel_members)

    def activation(self, criterion: str | None = None, **options: Any) -> Result:
        """The share of new actors who fulfil a criterion soon after they first appear (METRICS section 9).

        Args:
            criterion: Events; None with `session=`, a condition on the first session.
            options: `times`, `within`, `session`, `after_first`, `warmup` as in `Activation`; `by`, `start`, `end`,
                `where`, `grain`; `members=True` = the actors behind the numbers.
        """
        from tidelake.metrics.activation import activation, activation_members, activation_of

        return self._of(activation, partial(activation_of, criterion), options, members=activation_members)

    def adoption(self, feature: str, **options: Any) -> Result:
        """The share of actors who could use a feature and did (METRICS section 9).

        Args:
            feature: The events that are uses of it.
            options: `introduced_in`, `version`, `exposure`, `weeks` as in `Adoption`; `by`, `start`, `end`, `where`,
                `grain`; `members=True` = the actors behind the numbers.
        """
        from tidelake.metrics.adoption import adoption, adoption_members, adoption_of

        return self._of(adoption, partial(adoption_of, feature), options, members=adoption_members)

    def dropoff(self, **options: Any) -> Result:
        """Sessions with little watched, by two dimensions, each value against the rest (METRICS section 9).

        Args:
            options: `by`, `start`, `end`, `where`, and what `metrics.dropoff.Dropoff` has; `members=True` = the actors
                behind the numbers.
        """
        from tidelake.metrics.dropoff import Dropoff, dropoff

        return self._of(dropoff, partial(_defined, Dropoff), options, "members")

    def explain(
        self, metric: str, *, baseline: str | Sequence[date | str] | None = None, **options: Any
    ) -> Explanation:
        """Why a metric moved: since when, which segments carry it, and what it cost (docs/explain.md).

        Args:
            metric: Name or alias: a sum, actors of a day, or a ratio of such.
            baseline: First and last local date looked back at, also as `2025-11-10:2025-11-16`; None = 56 days before.
            options: `at` (first day of the change; without it it is looked for); `start` and `end` (the days looked at,
                with `baseline` those explained); `by`, `where`, `depth` (most dimensions in one segment), `others`
                (metrics shown beside it), as `analyses.change.question` says.

        Raises:
            DefinitionError: The metric has no parts that add up, or the days asked for are not there.
        """
        from tidelake.analyses.change.question import explain

        if baseline is not None:
            both = baseline.split(":") if isinstance(baseline, str) else list(baseline)
            if len(both) != 2:
                raise QueryError(f"'{baseline}' is not two dates.", hint="Write it as 2025-11-10:2025-11-16.")
            options["baseline"] = (local_date(both[0]), local_date(both[1]))
        return self._answered(explain, metric, **options)

    # --- what it is made of

    def revenue(self, event: str, **options: Any) -> Result:
        """Quantity times the price at the time less refunds, by category and currency (METRICS section 9).

        Args:
            event: The events that sell: names, or names where SQL.
            options: `by`, `start`, `end`, `where`, `grain`, and what `metrics.revenue.Revenue` has; `members=True` =
                the actors behind the numbers, with their part.
        """
        from tidelake.metrics.revenue import Revenue, revenue

        return self._of(revenue, partial(_defined, Revenue, event=event), options, "members")

    def diversity(self, metric: str, **options: Any) -> Result:
        """How evenly a metric's total is spread over entities or categories, by period (METRICS section 13).

        Args:
            metric: Name or alias.
            options: `of` (the categories: entity, or a dimension), `top_k`; `by`, `start`, `end`, `where`, `grain`;
                `members=True` = the actors behind the weights.
        """
        from tidelake.metrics.diversity import Diversity, diversity

        return self._of(diversity, partial(_defined, Diversity, metric=metric), options, "members")

    def streaks(self, metric: str, **options: Any) -> Result:
        """How many days in a row had more than the threshold (METRICS section 13).

        Args:
            metric: Name or alias.
            options: `threshold`; `by`, `start`, `end`, `where`; `each=True` = a row a streak.
        """
        from tidelake.metrics.streaks import Streaks, streaks

        return self._of(streaks, partial(_defined, Streaks, metric=metric), options, "each")

    def spikes(self, metric: str, **options: Any) -> Result:
        """Days far from the same weekday's previous values (METRICS section 13).

        Args:
            metric: Name or alias.
            options: `z`, robust standard deviations; `by`, `start`, `end`, `where`.
        """
        from tidelake.metrics.spikes import Spikes, spikes

        return self._of(spikes, partial(_defined, Spikes, metric=metric), options)

    def decline(self, metric: str, **options: Any) -> Result:
        """Entities that fell to a part of what they had just before (METRICS section 6).

        Args:
            metric: Name or alias.
            options: `share`, `before`, `after`, `min_base` as in `Decline`; `by`, `start`, `end`, `where`;
                `each=True` = a row an entity and date.
        """
        from tidelake.metrics.decline import Decline, decline

        return self._of(decline, partial(_defined, Decline, metric=metric), options, "each")

    def weekdays(self, metric: str, **options: Any) -> Result:
        """How far each weekday lies from the mean of its week (METRICS section 13).

        Args:
            metric: Name or alias.
            options: `by`, `start`, `end`, `where`.
        """
        from tidelake.metrics.weekdays import Weekdays, weekdays

        return self._of(weekdays, partial(_defined, Weekdays, metric=metric), options)

    # --- what a release does

    def canary(self, release: str, control: str, metrics: Sequence[str] = (), **options: Any) -> CanaryResult:
        """A release beside its control where both run: metrics, guardrails, diversity, drift, and a verdict.

        Args:
            release: `COLUMN=NEW`.
            control: The column's other value.
            metrics: What should get better: `NAME[,up|down][,MARGIN]`, such as `plays_per_user,up,2%`.
            options: `guardrails`, `margin`, `share`, `expected`, `log`, `served`, `features` as in
                `analyses.canary.canary.Canary`; `by`, `start`, `end`, `where`.

        Raises:
            DefinitionError: A metric cannot be compared, or no complete day has both.
            UnknownNameError: There is no such metric, dimension, column or source.
        """
        from tidelake.analyses.canary.canary import Canary, canary

        chosen = (metrics,) if isinstance(metrics, str) else tuple(metrics)
        return self._of(canary, partial(_defined, Canary, release=release, control=control, metrics=chosen), options)

    def canary_plan(self, metrics: Sequence[str] = (), **options: Any) -> Result:
        """Where to try a release: segments of low impact, how long, and what change would be seen there.

        Args:
            metrics: As of `canary`; the first decides.
            options: `effect`, `share`, `power`, `most`, `depth` as in `analyses.canary.planning.CanaryPlan`; `by`,
                `start`, `end`, `where`.
        """
        from tidelake.analyses.canary.planning import CanaryPlan, canary_plan

        chosen = (metrics,) if isinstance(metrics, str) else tuple(metrics)
        return self._of(canary_plan, partial(_defined, CanaryPlan, metrics=chosen), options)


def _defined(kind: type[Settings], /, **values: Any) -> Any:
    from tidelake.metrics.answer import defined

    return defined(kind, values)


def local_date(value: date | str | None) -> date | None:
    """A date that a caller gave as text or as a date.

    Raises:
        QueryError: The text is no date.
    """
    if not isinstance(value, str):
        return value.date() if isinstance(value, datetime) else value
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise QueryError(f"'{value}' is not a date.", hint="Write it as 2025-11-17.") from error
