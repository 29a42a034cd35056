"""Checks pipeline files that somebody sends, without a repository around them."""

from __future__ import annotations

from collections.abc import Mapping

from flowbuild.spec.findings import Finding
from flowbuild.spec.load import load_pipelines
from flowbuild.spec.source import MemoryRepository


def check_files(files: Mapping[str, str], file: str = "") -> tuple[list[str], list[Finding]]:
    """Return the names of the pipelines that can be used, and all findings, with the texts taken as a whole repository."""
    loaded = load_pipelines(MemoryRepository(files), file or None)
    return list(loaded.pipelines), loaded.findings
