"""Requests that are made up from the description of the API, by everybody: never a 5xx, and what answers say is described.

FLOW_FUZZ is the number of requests per operation and person; `pytest -s` shows how many there were, with which answers.
"""

import asyncio
import os
import threading
from collections import Counter
from contextlib import contextmanager, suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from flowbuild.api.app import describe
from flowbuild.core.access import Role
from flowbuild.services.audit import Actor
from flowbuild.store.users import UserRow
from flowbuild.testing.home import Home, step
from flowbuild.testing.site import open_site

EXAMPLES = int(os.environ.get("FLOW_FUZZ", "1"))
PEOPLE = ("nobody", "stranger", "viewer", "approver", "maintainer", "admin", "bot")
ENDLESS = ("/events", "/stream")  # what follows something is read to its end
LONGEST = 60_000  # characters of an address: httptools takes less than 64 KiB
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]

pytestmark = pytest.mark.timeout(3600)


def add_people(database):
    """Store those whom the site knows by their token, so that they can have things of their own."""
    with database.write() as tx:
        for name, ident in {**{each: each for each in Role}, "admin": "1", "stranger": "2"}.items():
            tx.users.add(UserRow(ident, name, "", "", "", "admin" if name == "admin" else "user", 1.0))


@contextmanager
def server(home):
    """A site in a thread of its own; yields its address, the id of a finished run, and the token of a bot."""
    ready, stop, found = threading.Event(), threading.Event(), {}

    async def live():
        async with open_site(home) as site:
            await asyncio.to_thread(add_people, site.life.local.database)
            run = await site.life.finished((await site.life.start(home)).id)
            await site.post("/api/v1/projects", "admin", json={"name": "shop", "url": str(home.project)})
            bot, _ = await asyncio.to_thread(site.backend.people.bots.create, Actor("admin"), "chatty", "matrix")
            found.update(url=site.url, run=run.id, bot=bot)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(live(),))
    thread.start()
    try:
        assert ready.wait(60)
        yield found["url"], found["run"], found["bot"]
    finally:
        stop.set()
        thread.join()


def test_whatever_is_asked_nothing_breaks(tmp_path):
    home = Home(tmp_path)
    home.write({"a": step(write="a=1", log="one\n")})
    schema = schemathesis.openapi.from_dict(describe().openapi())
    answers: Counter[tuple[str, int]] = Counter()
    slowest = [(0.0, "")]
    operations = [result.ok() for result in schema.get_all_operations()]
    operations.sort(key=lambda operation: operation.method == "delete")  # after that there is nothing left to ask
    with server(home) as (url, run, bot):
        proofs = {each: {"Authorization": f"Bearer {each}"} for each in (*PEOPLE, "developer")} | {"nobody": {}}
        proofs["bot"] = {"Authorization": f"Bearer {bot}"}
        for operation in operations:
            if operation.path.endswith(ENDLESS):
                continue
            for person in PEOPLE:
                ask(operation, GenerationMode.POSITIVE, (url, run, person, proofs[person]), answers, slowest)
            for person in ("nobody", "developer", "admin", "bot"):
                with suppress(Unsatisfiable):  # nothing can be wrong about a request without parameters
                    ask(operation, GenerationMode.NEGATIVE, (url, run, person, proofs[person]), answers, slowest)
    seconds, where = slowest[-1]
    print(f"\n{answers.total()} requests to {len(operations)} operations, slowest {seconds:.2f} s: {where}")
    for status, count in sorted(Counter(status for _, status in answers.elements()).items()):
        print(f"  {status}: {count}")
    assert sum(answers.values()) >= EXAMPLES * len(PEOPLE) * 50
    assert {status for _, status in answers} >= {200, 401, 403, 404, 422}, "the requests reach what is behind the door"


def ask(operation, mode, where, answers, slowest):
    url, run, person, headers = where

    @seed(20261126)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def once(case):
        if "run" in (case.path_parameters or {}):
            case.path_parameters["run"] = run
        if "project" in (case.path_parameters or {}):
            case.path_parameters["project"] = "project" if len(answers) % 2 else "shop"
        response = case.call(base_url=url, headers=headers)
        answers[person, response.status_code] += 1
        slowest.append(max(slowest.pop(), (response.elapsed, f"{operation.method.upper()} {operation.path}")))
        if len(str(response.request.url)) > LONGEST and response.status_code == 400:
            return  # the web server refuses it, in words of its own
        case.validate_response(response, checks=CHECKS)

    once()
