"""A metric's tree: the chain of sums that its definition declares, by which a change of it is explained."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.metrics.definition import Metric

Find = Callable[[str], Metric | None]


def factors_of(metric: Metric, find: Find) -> tuple[Metric, ...]:
    """The quantities of a metric's tree, from the widest to the metric itself (of a ratio: to its numerator).

    Args:
        find: A metric by its name or alias; None where the project has none.

    Returns:
        Empty where the metric has no tree, or where the project has fewer than two of its quantities: a built-in tree
        may name a measure that `tide.yml` does not declare, which is then left out.
    """
    chain = tuple(one for name in metric.factors if (one := find(name)) is not None)
    ends = (metric.factors[0], metric.factors[-1]) if metric.factors else ()
    if len(chain) < 2 or any(find(name) is None for name in ends):
        return ()
    return chain


def check_factors(metric: Metric, find: Find, known: Mapping[str, Metric], where: str) -> None:
    """Raise for a tree that cannot be split.

    Args:
        known: All metrics, for "did you mean".
        where: File and line of the tree.

    Raises:
        UnknownNameError: A quantity is no metric.
        DefinitionError: One cannot be added up over actors and days, or the chain does not end with the metric.
    """
    if not metric.factors:
        return
    chain = []
    for name in metric.factors:
        found = find(name)
        if found is None:
            raise UnknownNameError("metric", name, known, where=where)
        chain.append(found)
    _check_ends(metric, [one.name for one in chain], find, where)
    for link in chain:
        if link.kind != "sum" or link.additive is False:
            raise DefinitionError(
                f"{where}: {link.name} is no sum ({link.kind}), and the quantities of a tree are: parts of the change "
                "add up only over what adds up.",
                hint="Write active_days in the place of users: each actor counts once a day.",
            )
    if len({link.source for link in chain}) > 1:
        said = ", ".join(f"{link.name} ({link.source or 'events'})" for link in chain)
        raise DefinitionError(f"{where}: the quantities are of different sources: {said}.")


def _check_ends(metric: Metric, names: list[str], find: Find, where: str) -> None:
    if metric.kind == "sum":
        if names[-1] != metric.name:
            raise DefinitionError(
                f"{where}: a sum's tree ends with the sum itself, {metric.name}, not with {names[-1]}.",
                hint=f"factors: [{', '.join([*(name for name in names if name != metric.name), metric.name])}]",
            )
        return
    if metric.numerator is None or metric.denominator is None:
        raise DefinitionError(
            f"{where}: a {metric.kind} has no tree: sums have, and ratios with `numerator:` and `denominator:`."
        )
    ends = [one.name if (one := find(name)) else name for name in (metric.denominator, metric.numerator)]
    if [names[0], names[-1]] != ends:
        raise DefinitionError(
            f"{where}: a ratio's tree begins with its denominator, {ends[0]}, and ends with its numerator, {ends[1]}, "
            f"not with {names[0]} and {names[-1]}.",
            hint=f"factors: [{', '.join([ends[0], *(name for name in names if name not in ends), ends[1]])}]",
        )
