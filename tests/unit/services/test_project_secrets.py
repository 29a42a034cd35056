"""Secrets of projects on their way into steps, on an engine without containers."""

import asyncio
from dataclasses import dataclass
from time import time

import pytest

from flowbuild.core.errors import InvalidRequest
from flowbuild.core.scoping import SecretScope
from flowbuild.core.states import Outcome, Reason
from flowbuild.services.audit import Actor
from flowbuild.services.ids import new_id
from flowbuild.services.runs import Order, choose, load
from flowbuild.services.secrets import ProjectSecrets, SecretService
from flowbuild.settings import Settings
from flowbuild.store.projects import ProjectRow
from flowbuild.testing.home import Home, step
from flowbuild.vault.keys import KeyFile
from flowbuild.vault.sealing import Vault
from flowbuild.wiring.local import Local
from flowbuild.workspace.source import WorkingTree

SECRET, NEWER = "correct horse battery staple", "tea with a purple zebra"
ANN = Actor("ann")


@dataclass(slots=True)
class Served(Home):
    """A home whose secrets come from its project, as on a server."""

    def local(self, *, drive, serve=False):
        local = Local(Settings(home=self.data, capacity=self.capacity), str(self.project))
        local.secrets = ProjectSecrets(self.service(local))
        local.open(drive=drive, serve=serve)
        with local.database.write() as tx:
            if not tx.projects.list():
                tx.projects.add(ProjectRow(new_id(time()), "project", "https://git.example/project", time()))
        return local

    def service(self, local):
        return SecretService(local.database, Vault(KeyFile(self.top / "vault.keys").ring), time)


@pytest.fixture
def home(tmp_path):
    return Served(tmp_path)


def write(home, **script):
    home.write({"a": step(more={"secrets": ["KEY", "OTHER"]}, **script)})


async def put(life, home, value, *, name="KEY", **scope):
    await asyncio.to_thread(home.service(life.local).put, ANN, "project", name, value, SecretScope(**scope))


async def remove(life, home, _value):
    service = home.service(life.local)
    (secret,) = await asyncio.to_thread(service.of_project, "project")
    await asyncio.to_thread(service.remove, ANN, "project", secret.id)


async def begin(life, home, trust="trusted"):
    """Begin a run of the project."""
    source = WorkingTree(home.project)
    order = Order(source, choose(load(source), ""), project="project", trust=trust)
    return await asyncio.to_thread(life.local.runs.begin, order)


async def finished(life, home, **options):
    """Run the pipeline and return its step and what it wrote."""
    view = await life.finished(await begin(life, home, **options))
    (found,) = view.steps
    return found, (await life.log(view.id, "a")).decode()


async def running(life, home, **options):
    """Run the pipeline until its step speaks; return what the engine was told to make, and end it."""
    run = await begin(life, home, **options)
    await life.speaks(run, "a")
    ((spec, _),) = home.machine.units.values()
    await life.client.cancel(run, force=True)
    await life.finished(run)
    (service,) = spec.compose["services"].values()
    return service


async def test_a_step_gets_what_it_declared_and_its_output_is_masked(home):
    write(home, log=f"it is {SECRET}!\n")
    async with home.life() as life:
        await put(life, home, SECRET)
        await put(life, home, NEWER, name="UNDECLARED")
        found, text = await finished(life, home)
    assert found.outcome is Outcome.SUCCEEDED
    assert "it is ***!" in text
    assert "the secret OTHER is not given to this step: the project has no value" in text
    assert "UNDECLARED" not in text
    assert "KEY is not" not in text


async def test_values_reach_the_container_and_no_others(home):
    write(home, log="up\n", sleep=100_000)
    async with home.life() as life:
        await put(life, home, SECRET)
        await put(life, home, NEWER, name="OTHER", environment="prod")
        made = await running(life, home)
    assert made["environment"]["KEY"] == SECRET
    assert "OTHER" not in made["environment"]


async def test_an_untrusted_run_does_without_secrets_and_capabilities(home):
    write(home, log="up\n", sleep=100_000)
    async with home.life() as life:
        await put(life, home, SECRET)
        made = {trust: await running(life, home, trust=trust) for trust in ("trusted", "internal", "untrusted")}
    assert [trust for trust, service in made.items() if "KEY" in service["environment"]] == ["trusted", "internal"]
    assert [trust for trust, service in made.items() if service["cap_drop"] == ["ALL"]] == ["untrusted"]


async def test_an_untrusted_run_is_told_so_and_its_output_is_kept(home):
    write(home, log="up\n")
    async with home.life() as life:
        await put(life, home, SECRET)
        found, text = await finished(life, home, trust="untrusted")
    assert found.outcome is Outcome.SUCCEEDED
    assert "up" in text  # there is nothing to mask in it
    assert "the secret KEY is not given to this step: the run is not trusted" in text


async def test_secrets_that_cannot_be_opened_are_our_fault(home):
    write(home, log="up\n")
    async with home.life() as life:
        await put(life, home, SECRET)
        (home.top / "vault.keys").unlink()
        KeyFile(home.top / "vault.keys")
        found, text = await finished(life, home)
    assert (found.outcome, found.reason) == (Outcome.ERRORED, Reason.WORKSPACE_ERROR)
    assert "its secrets cannot be had" in found.message
    assert "up" not in text


async def adopted(home, between):
    """Return the log of a step that ran while the program died, and `between` happened."""
    write(home, log=f"it is {SECRET}!\n", sleep=100_000)
    async with home.life() as life:
        await put(life, home, SECRET)
        run = await begin(life, home)
        await life.until(run, "a", "run")
        while not any(unit for _, unit in home.machine.units.values() if unit["main"].log):
            await home.machine.change()
    async with home.life() as life:
        await between(life)
        await life.client.resume("", secrets={})
        await life.speaks(run, "a")
        await life.client.cancel(run, force=True)
        await life.finished(run)
        return await life.log(run, "a")


async def test_after_a_restart_output_is_masked_without_anybody_giving_values_again(home):
    async def nothing(_life):
        pass

    text = await adopted(home, nothing)
    assert b"it is ***" in text
    assert SECRET.encode() not in text
    assert b"cannot be masked" not in text


async def test_output_is_not_kept_when_the_value_that_the_step_has_is_not_known_any_more(home):
    for number, change in enumerate((put, remove)):
        again = Served(home.top / str(number))
        again.top.mkdir()
        text = await adopted(again, lambda life, again=again, change=change: change(life, again, NEWER))
        assert SECRET.encode() not in text
        assert b"the secret(s) KEY in it cannot be masked any more" in text


async def test_no_values_come_with_a_run(home):
    write(home)
    async with home.life() as life:
        with pytest.raises(InvalidRequest, match="takes no secrets"):
            await life.start(home, secrets={"KEY": SECRET})
