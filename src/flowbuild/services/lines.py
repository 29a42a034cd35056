"""In which line a step stands that wants an environment for itself."""

from __future__ import annotations

from flowbuild.store.database import Transaction


def line_of(tx: Transaction, project: str, environment: str) -> str:
    """Return the name of the line: each project of a server has its own, else one could keep others out of their `prod`.

    What is run on this machine without a server shares all lines: it belongs to one person, whatever directory it is in.
    """
    return f"{project}:{environment}" if tx.projects.identity(project) else environment


def environment_of(project: str, line: str) -> str:
    """Return the environment of a line of a project."""
    return line.removeprefix(f"{project}:")
