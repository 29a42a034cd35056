"""Combinations of `cache` with other keys of a step that cannot mean what was wanted."""

from __future__ import annotations

from collections.abc import Iterator

from flowbuild.spec.findings import Finding, Severity
from flowbuild.spec.steps import Steps
from flowbuild.spec.words import shown
from flowbuild.spec.written import Written

_SENSELESS = (
    ("background", "a background step is there to be up, and no recorded result is"),
    ("environment", "a step with an `environment` acts on it, and no recorded result does"),
)


def findings(written: Written, steps: Steps, *, checkout: bool) -> Iterator[Finding]:
    """Yield what is wrong with the `cache` of the steps; `checkout`: the workspace starts as the source tree."""
    with_edges = {link.target for link in steps.links}
    for name, spec in steps.right().items():
        if spec.cache is None:
            continue
        place = written.place(("steps", name, "cache"), key=True)
        for key, why in _SENSELESS:
            if getattr(spec, key):
                message = f"`cache` beside `{key}`: {why}"
                yield Finding("cache_conflict", place, message, f"remove `cache` or `{key}`")
        if spec.cache.inputs is not None and not checkout and name not in with_edges and steps.complete:
            message = f"the step {shown(name)} starts with an empty workspace: `cache.inputs` can match nothing"
            yield Finding("unused_inputs", place, message, "name what decides in `cache.variables`", Severity.WARNING)
