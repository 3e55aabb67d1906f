"""What a project's YAML files may hold: JSON Schemas for editors, and a reference in Markdown."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, get_args

from tidelake.config import Project, Settings
from tidelake.contracts.source import Source
from tidelake.contracts.table import TableSpec
from tidelake.metrics.cohort_definition import Cohort
from tidelake.metrics.definition import Metric

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

FILES: dict[str, type[Settings]] = {
    "tide.yml": Project,
    "sources/*.yml": Source,
    "models/*.yml": TableSpec,
    "metrics/*.yml": Metric,
    "cohorts/*.yml": Cohort,
}
SCHEMAS: dict[str, type[Settings]] = {
    "tide": Project,
    "source": Source,
    "model": TableSpec,
    "metric": Metric,
    "cohort": Cohort,
}
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def schema_of(model: type[Settings]) -> dict[str, Any]:
    """The JSON Schema of one kind of YAML file; `name` comes from the file's name where it is left out."""
    made = model.model_json_schema(by_alias=True)
    if model is not Project:
        made["required"] = [name for name in made.get("required", ()) if name != "name"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def reference() -> str:
    """Every setting with its type, default and meaning, as Markdown tables."""
    parts: list[str] = []
    seen: set[type[Settings]] = set()
    for file, model in FILES.items():
        parts.append(f"## `{file}`\n\n{_table(model)}")
        parts += [
            f"### `{place}`\n\n{_summary(part)}\n\n{_table(part)}" for place, part in _parts(model, seen, prefix="")
        ]
    return "\n\n".join(parts)


def _parts(model: type[Settings], seen: set[type[Settings]], *, prefix: str) -> list[tuple[str, type[Settings]]]:
    """The models that a model's fields hold, with the place where they stand, each once."""
    found: list[tuple[str, type[Settings]]] = []
    for name, field in model.model_fields.items():
        for part in _models_in(field.annotation):
            if part not in seen:
                seen.add(part)
                place = f"{prefix}{name}"
                found += [(place, part), *_parts(part, seen, prefix=f"{place}.")]
    return found


def _models_in(annotation: Any) -> list[type[Settings]]:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _table(model: type[Settings]) -> str:
    rows = []
    for name, field in model.model_fields.items():
        if not field.exclude:
            said = _escaped(field.description or "")
            rows.append(f"| `{field.alias or name}` | {_kind(field)} | {_default(name, field, model)} | {said} |")
    return "\n".join(["| setting | type | default | means |", "|---|---|---|---|", *rows])


def _kind(field: FieldInfo) -> str:
    return _escaped(_named(field.annotation))


def _named(annotation: Any) -> str:
    if models := _models_in(annotation):
        many = "each a " if "dict" in str(annotation) else "list of " if "tuple" in str(annotation) else ""
        return f"{many}{' or '.join(_words(model) for model in models)}"
    text = str(annotation)
    if "Literal[" in text:
        accepted = [value for part in (annotation, *get_args(annotation)) for value in get_args(part)]
        return " | ".join(dict.fromkeys(f"`{value}`" for value in accepted if isinstance(value, str)))
    names = {"timedelta": "duration (`90s`, `30m`, `24h`, `7d`)", "datetime.date": "date", "bool": "true or false"}
    names |= {"int": "whole number", "float": "number", "str": "text"}
    kinds = [name for kind, name in names.items() if kind in text]
    return f"list of {kinds[0]}s" if "tuple" in text else kinds[0] if kinds else "value"


def _words(model: type[Settings]) -> str:
    """`SessionRule` as `session rule`."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in model.__name__).strip()


def _default(name: str, field: FieldInfo, model: type[Settings]) -> str:
    if name == "name" and model in (Source, TableSpec, Metric):
        return "the file's name"
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Settings) or value in ((), {}):
        return ""
    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        return next(f"`{seconds // size}{unit}`" for size, unit in _UNITS if seconds % size == 0)
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value)
    return "null" if value is None else f"`{_escaped(str(value).lower() if isinstance(value, bool) else str(value))}`"


def _summary(model: type[Settings]) -> str:
    return (model.__doc__ or "").split("\n\n")[0].strip()


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
