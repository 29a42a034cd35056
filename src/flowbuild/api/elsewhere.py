"""Assignments for machines elsewhere: nothing of the server is at a path there. Blocking: call from threads."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import replace

from flowbuild.api.backend import Backend
from flowbuild.client.runner import Assignment
from flowbuild.core.errors import NotFound
from flowbuild.core.ids import RunId


def elsewhere(assignment: Assignment, backend: Backend, token: str = "") -> Assignment:
    """Return an assignment for a machine elsewhere, with the token that opens its repository there."""
    run, history, source = RunId(assignment.lease.run), "", ""
    with suppress(NotFound):
        source = hashlib.sha256(os.fsencode(backend.repositories.source(run))).hexdigest()[:32]
        history = f"/git/sources/{run}.git"

    def there(each: Assignment) -> Assignment:
        place = f"/git/runs/{run}.git"
        return replace(each, repository=place, source_objects=(), token=token, history=history, source=source)

    return replace(there(assignment), upcoming=tuple(there(each) for each in assignment.upcoming))
