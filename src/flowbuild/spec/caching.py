"""Combinations of `cache` with other keys of a step that cannot mean what was wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flowbuild.spec.findings import Finding, Severity
from flowbuild.spec.steps import Steps
from flowbuild.spec.words import shown
from flowbuild.spec.written import Written

_SENSELESS = (
    ("background", "a background step is there to be up, and no recorded result is"),
    ("environment", "a step with an `environment` acts on it, and no recorded result does"),
)


def findings(
    written: Written, steps: Steps, *, checkout: bool, before: Callable[[str], frozenset[str] | None]
) -> Iterator[Finding]:
    """Yield what is wrong with the `cache` of the steps.

    `checkout`: the workspace starts as the source tree. `before` tells the steps that have ended, or serve, before one.
    """
    serving = {name for name, spec in steps.right().items() if spec.background}
    with_edges = {link.target for link in steps.links}
    for name, spec in steps.right().items():
        if spec.cache is None:
            continue
        place = written.place(("steps", name, "cache"), key=True)
        for key, why in _SENSELESS:
            if getattr(spec, key):
                message = f"`cache` beside `{key}`: {why}"
                yield Finding("cache_conflict", place, message, f"remove `cache` or `{key}`")
        up = sorted(serving & (before(name) or frozenset()))
        if up and spec.cache.inputs is None and spec.cache.variables is None:
            message = f"`cache: true` behind the background step {shown(up[0])}: what its services answer decides, too"
            hint = "say what decides: cache: {inputs: [patterns]}; or start the service in the step itself"
            yield Finding("cache_conflict", place, message, hint)
        if spec.cache.inputs is not None and not checkout and name not in with_edges and steps.complete:
            message = f"the step {shown(name)} starts with an empty workspace: `cache.inputs` can match nothing"
            yield Finding("unused_inputs", place, message, "name what decides in `cache.variables`", Severity.WARNING)
