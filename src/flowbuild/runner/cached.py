"""Before a step with `cache` runs: what decides its result, and whether one is recorded that may stand for it.

The compose file that counts is the one the engine would get, made once more without what differs from run to run: so
whatever `spec.compose` writes is part of the key without being named here.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from flowbuild.client.runner import AttemptResult, RunnerClient
from flowbuild.core.cache import Ingredients, cache_key, lasting_facts
from flowbuild.core.errors import SystemFailed
from flowbuild.core.model import Cache
from flowbuild.runner.plan import Plan
from flowbuild.spec import compose
from flowbuild.spec.findings import InvalidFile
from flowbuild.workspace.declared import Declared, declared
from flowbuild.workspace.repo import RunRepository

log = structlog.get_logger()


async def recorded_result(
    plan: Plan,
    repository: RunRepository,
    digests: Awaitable[Mapping[str, str]],
    client: RunnerClient,
    note: Callable[[str], Awaitable[None]],
) -> AttemptResult | None:
    """Return a result that stands for running the step, and say in its log whose it is; None: it has to run."""
    lease, step = plan.assignment.lease, plan.assignment.step
    if step.cache is None:
        return None
    plan = replace(plan, digests=await digests)
    try:
        reads = await asyncio.to_thread(what_it_reads, plan, repository)
        key = cache_key(ingredients(plan, reads))
    except InvalidFile:
        return None  # whoever makes the containers tells what is wrong with it
    for pattern in reads.unmatched:
        await note(f"cache: nothing in the workspace matches {pattern!r}, so it does not count")
    try:
        found = await client.cached(lease, key)
    except SystemFailed as error:  # it can run all the same
        log.warning("cache_failed", run=lease.run, step=lease.step, error=error.message)
        return None
    if found is not None and found.cached is not None:
        ended = datetime.fromtimestamp(found.cached.finished_at, UTC)
        await note(f"cached: {found.cached}, of {ended:%Y-%m-%d %H:%M:%S} UTC")
    return found


def what_it_reads(plan: Plan, repository: RunRepository) -> Declared:
    """Return what counts of the workspace: what the step declares, and what its compose file reads by itself."""
    patterns = (plan.assignment.step.cache or Cache()).inputs
    tree = repository.layout(plan.assignment.input_commit).workspace
    return declared(tree, repository.db.tree, patterns=patterns, paths=compose.read_paths(plan.model))


def ingredients(plan: Plan, reads: Declared) -> Ingredients:
    """Return all that decides the result of a step; the images of the plan are resolved. Raises InvalidFile."""
    assignment = plan.assignment
    cache, variables = assignment.step.cache or Cache(), dict(assignment.variables)
    if cache.variables is not None:
        variables = {name: variables[name] for name in cache.variables if name in variables}
    context = compose.EmitContext(
        project="",
        step=assignment.lease.step,
        labels={},
        network="",
        workspace="",
        variables_dir="",
        main=plan.main,
        variables=assignment.variables,
        flow_environment=lasting_facts(assignment.environment, whole=cache.inputs is None),
        image_digests=plan.digests,
        trusted=assignment.trusted,
    )
    return Ingredients(
        definition=compose.emit(plan.model, context),
        files=plan.inline_files,
        main=plan.main,
        machine=platform.machine(),
        tree=reads.entries,
        variables=variables,
        secrets=assignment.secret_versions,
    )
