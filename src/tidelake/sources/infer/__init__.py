"""Looks at files and proposes a project that reads them: sources, contracts, mapping, settings."""

from __future__ import annotations

from tidelake.sources.infer.fields import ProposedField
from tidelake.sources.infer.groups import Skipped
from tidelake.sources.infer.proposal import Proposal, ProposedSource, propose
from tidelake.sources.infer.templates import TEMPLATES, write_template
from tidelake.sources.infer.write import project_name, write_project

__all__ = [
    "TEMPLATES",
    "Proposal",
    "ProposedField",
    "ProposedSource",
    "Skipped",
    "project_name",
    "propose",
    "write_project",
    "write_template",
]
