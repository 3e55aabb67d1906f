"""`tide docs`: the project described in Markdown, and documents that carry parts of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidelake.cli.options import HERE, ProjectOption, TargetOption, checked_output, examples, flag
from tidelake.cli.streams import put, say
from tidelake.errors import ProjectError, TidelakeError

if TYPE_CHECKING:
    from tidelake.config import Project
    from tidelake.reports.document import TableInfo

EXAMPLES = examples(
    "tide docs",
    "tide docs --output docs/lake.md",
    "tide docs --diagram",
    "tide docs --refresh README.md",
    "tide docs --check README.md",
    "tide docs --schema schemas",
)


def docs(
    *,
    diagram: Annotated[bool, flag("--diagram", help="Only the pipeline, as Mermaid.")] = False,
    refresh: Annotated[
        list[Path] | None,
        typer.Option("--refresh", metavar="FILE", help="Make the marked places of a document anew."),
    ] = None,
    check: Annotated[
        list[Path] | None,
        typer.Option("--check", metavar="FILE", help="End with 1 when a document's marked places are stale."),
    ] = None,
    schema: Annotated[
        Path | None,
        typer.Option("--schema", metavar="FOLDER", help="Write JSON Schemas of the YAML files there, for editors."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write there.", callback=checked_output),
    ] = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
) -> None:
    """Describe the project: lineage as a diagram, sources with their contracts, tables with their columns.

    A document marks a place with <!-- tide:diagram --> and its end with <!-- /tide:diagram -->; a path in the mark
    (<!-- tide:diagram examples/collapse -->) names another project than the one beside the document. tide:sources
    works the same way, and tide:settings lists every setting of the YAML files.

    An editor that speaks YAML checks and completes a file whose first line names its schema:
    # yaml-language-server: $schema=schemas/source.schema.json
    """
    if schema is not None:
        write_schemas(schema)
        return
    if refresh or check:
        _keep_fresh(list(refresh or ()), list(check or ()))
        return
    from tidelake.config import load_project

    settings = load_project(project)
    text = project_diagram(settings) + "\n" if diagram else described(settings, target)
    if output is None:
        put(text.rstrip("\n"))
        return
    output.write_text(text, encoding="utf-8")
    say(f"The description is in {output}")


def write_schemas(folder: Path) -> None:
    """One JSON Schema a kind of YAML file: `tide.schema.json`, `source.schema.json`, `model.schema.json`."""
    import json

    from tidelake.reports.settings import SCHEMAS, schema_of

    folder.mkdir(parents=True, exist_ok=True)
    for name, model in SCHEMAS.items():
        text = json.dumps(schema_of(model), indent=2, ensure_ascii=False)
        (folder / f"{name}.schema.json").write_text(text + "\n", encoding="utf-8")
    say(f"{len(SCHEMAS)} schemas are in {folder}: {', '.join(f'{name}.schema.json' for name in SCHEMAS)}")


def project_diagram(settings: Project) -> str:
    """The pipeline of a project as Mermaid text."""
    from tidelake.contracts.source import load_sources
    from tidelake.reports.lineage import lineage
    from tidelake.reports.mermaid import flowchart
    from tidelake.reports.pipeline import pipeline

    sources = load_sources(settings.root)
    return flowchart(*pipeline(sources, *lineage(settings, sources)))


def described(settings: Project, target: str | None) -> str:
    """The whole project as Markdown."""
    from tidelake.contracts.source import load_sources
    from tidelake.gold.models import read_models
    from tidelake.reports.document import document

    models = {model.spec.name: model.text for model in read_models(settings.root)}
    sources = load_sources(settings.root)
    return document(settings, sources, project_diagram(settings), tables(settings, target), models)


def tables(settings: Project, target: str | None) -> list[TableInfo]:
    """Every table that is in the lake now."""
    from tidelake.lake import Lake
    from tidelake.reports.document import TableInfo

    lake = Lake(settings.lake_address(target))
    found = []
    for name in lake.tables():
        schema, version = lake.schema(name), lake.version(name)
        if schema is not None and version is not None:
            found.append(TableInfo(name, schema, version, sum(file.records for file in lake.files(name))))
    return found


def _keep_fresh(refresh: list[Path], check: list[Path]) -> None:
    stale = []
    for path in refresh:
        text, made = made_anew(path)
        if made != text:
            path.write_text(made, encoding="utf-8")
        say(f"{path}: {'made anew' if made != text else 'was fresh'}")
    for path in check:
        text, made = made_anew(path)
        if made != text:
            stale.append(str(path))
    if stale:
        raise TidelakeError(
            f"Stale: {', '.join(stale)}.",
            hint="Run " + " ".join(["`tide docs", *(f"--refresh {path}" for path in stale)]) + "`.",
        )
    if check:
        say(f"{len(check)} document(s) fresh")


def made_anew(path: Path) -> tuple[str, str]:
    """A document as it is, and as it should be.

    Raises:
        ProjectError: It cannot be read, or has no marked place.
    """
    from tidelake.config import load_project
    from tidelake.contracts.source import load_sources
    from tidelake.reports.document import source_section
    from tidelake.reports.mermaid import fenced, places, refreshed

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ProjectError(f"There is no {path}.") from error
    if not places(text):
        raise ProjectError(
            f"{path} marks no place for a diagram.",
            hint="Write <!-- tide:diagram --> and <!-- /tide:diagram --> where it should stand.",
        )

    def project(argument: str) -> Project:
        return load_project(path.parent / argument)

    def diagram(argument: str) -> str:
        return fenced(project_diagram(project(argument)))

    def sources(argument: str) -> str:
        found = load_sources(project(argument).root)
        return "\n\n".join(source_section(source) for source in found.values())

    def settings(_: str) -> str:
        from tidelake.reports.settings import reference

        return reference()

    return text, refreshed(text, {"diagram": diagram, "sources": sources, "settings": settings})
