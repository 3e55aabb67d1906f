"""The project's own tables: `models/NAME.sql`, one SELECT each, with a contract in `models/NAME.yml` beside it.

`models/NAME.sql` makes `gold.NAME`; `models/staging/`, `intermediate/` and `mart/` make tables of those layers.

What a model reads is taken from its FROMs, and so is the order. A model with `date:` is made by touched
dates: each input that has a date is then read on those dates only, by a condition put into its FROM.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from tidelake.contracts.table import TableSpec, load_table
from tidelake.engine.base import MODEL_LAYERS
from tidelake.engine.sql import check_portable, tables_of
from tidelake.engine.sql.parsing import place, real_tables
from tidelake.engine.sql.parsing import select as parsed
from tidelake.errors import DefinitionError, QueryError, UnknownNameError
from tidelake.gold.model import Days, Input, Model, definition_hash
from tidelake.gold.sqltext import dates_condition


@dataclass(frozen=True)
class ModelFile:
    """A model as it is written, before anybody knows whether its inputs exist.

    Attributes:
        path: The `.sql` file.
        text: Its SELECT.
        needs: The tables in its FROMs.
    """

    path: Path
    text: str
    spec: TableSpec
    needs: tuple[str, ...]


def read_models(root: Path) -> list[ModelFile]:
    """Every model of a project, by name.

    Raises:
        DefinitionError: A SELECT is not portable, names no table, or two models make one table.
        ProjectError: A contract is wrong (says file and line).
    """
    found: dict[str, ModelFile] = {}
    for path in sorted((root / "models").glob("**/*.sql")):
        model = _read(path, root)
        if model.spec.name in found:
            raise DefinitionError(f"{path} and {found[model.spec.name].path} both make {model.spec.name}.")
        found[model.spec.name] = model
    return list(found.values())


def _read(path: Path, root: Path) -> ModelFile:
    text = path.read_text(encoding="utf-8").strip().rstrip(";").rstrip()
    contract = path.with_suffix(".yml")
    layer = path.relative_to(root / "models").parts[0]
    name = f"{layer if layer in MODEL_LAYERS else 'gold'}.{path.stem}"
    spec = load_table(contract, name=name) if contract.exists() else TableSpec(name=name)
    try:
        check_portable(text)
        needs = tuple(tables_of(text))
        _refuse_long_names(text)
    except QueryError as error:
        raise DefinitionError(f"{path.relative_to(root)}: {error}", hint=error.hint) from error
    if spec.name.partition(".")[0] not in MODEL_LAYERS:
        raise DefinitionError(
            f"{contract.relative_to(root)}: models make tables of {', '.join(MODEL_LAYERS)}, not {spec.name}.",
            hint=f"Leave `name:` out: the table is {name}.",
        )
    if spec.date is not None and spec.date not in spec.partitions:
        raise DefinitionError(
            f"{contract.relative_to(root)}: `partition_by:` must hold the date column '{spec.date}'.",
            hint="Dates are replaced as whole partitions.",
        )
    return ModelFile(path, text, spec, needs)


def _refuse_long_names(text: str) -> None:
    from sqlglot import exp

    for column in parsed(text).find_all(exp.Column):
        if column.db:
            line, _ = place(text, column)
            raise QueryError(
                f"Line {line}: column {column.sql()} is named with its layer.",
                hint=f"Write {column.table}.{column.name}, or give the table an alias.",
            )


def project_models(files: Sequence[ModelFile], known: Mapping[str, str | None], root: Path) -> list[Model]:
    """Models whose inputs all exist, in the order in which they must be built.

    Args:
        files: The models.
        known: Other tables by name, with the date partition by which changes are followed.
        root: The project's folder, for messages.

    Raises:
        UnknownNameError: A model reads a table that nothing makes.
        DefinitionError: Models read each other in a circle, or make a table that Tidelake makes.
    """
    by_name = {item.spec.name: item for item in files}
    for name, item in by_name.items():
        if name in known:
            raise DefinitionError(
                f"{item.path.relative_to(root)} makes {name}, which Tidelake makes itself.", hint="Rename the file."
            )
        for table in item.needs:
            if table not in known and table not in by_name:
                raise UnknownNameError(
                    "table",
                    table,
                    [*known, *(other for other in by_name if other != name)],
                    where=str(item.path.relative_to(root)),
                )
    dates = {**known, **{name: item.spec.date for name, item in by_name.items()}}
    return [_model(by_name[name], dates, root) for name in _order(by_name)]


def _order(files: Mapping[str, ModelFile]) -> list[str]:
    """Names so that each comes after what it reads."""
    done: list[str] = []
    above: list[str] = []

    def visit(name: str) -> None:
        if name in done:
            return
        if name in above:
            circle = " -> ".join([*above[above.index(name) :], name])
            raise DefinitionError(f"Models read each other in a circle: {circle}.", hint="Take one of the reads out.")
        above.append(name)
        for table in files[name].needs:
            if table in files:
                visit(table)
        above.pop()
        done.append(name)

    for name in sorted(files):
        visit(name)
    return done


def _model(item: ModelFile, dates: Mapping[str, str | None], root: Path) -> Model:
    inputs = tuple(Input(table, dates[table] if item.spec.date else None) for table in item.needs)

    def select(days: Days) -> str:
        if days is None:
            return item.text
        return restricted(item.text, {entry.table: entry.date for entry in inputs if entry.date}, days)

    return Model(
        spec=item.spec,
        inputs=inputs,
        select=select,
        definition=definition_hash(item.text, item.spec.model_dump()),
        is_built_in=False,
        file=item.path.relative_to(root).as_posix(),
    )


def restricted(text: str, columns: Mapping[str, str], days: Iterable[date]) -> str:
    """A SELECT with a condition on dates in each FROM of a table that has them.

    Args:
        text: The SELECT.
        columns: Date column by table.
        days: The dates to read.
    """
    chosen = sorted(set(days))
    pieces: list[tuple[int, int, str]] = []
    for table in real_tables(parsed(text)):
        name = f"{table.db}.{table.name}".lower()
        column = columns.get(name)
        if column is None:
            continue
        start = table.args["db"].meta["start"]
        end = table.this.meta["end"] + 1
        alias = "" if table.alias else f" AS {table.name}"
        pieces.append((start, end, f"(SELECT * FROM {name} WHERE {dates_condition(column, chosen)}){alias}"))
    for start, end, piece in sorted(pieces, reverse=True):
        text = text[:start] + piece + text[end:]
    return text
