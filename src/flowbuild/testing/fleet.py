"""A server and runners on other machines, as real processes, with people who start runs and follow them.

The server's own runner and the first of the others have dummy engines, which this process holds (`testing.engine_socket`); the second
has the real one. Steps do the same on both. Whatever dies, the engines, the people and this process go on.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import yaml

from flowbuild.cli.servers import SCOPES
from flowbuild.client.base import RunView
from flowbuild.client.http import HttpClient
from flowbuild.core.errors import SystemFailed
from flowbuild.core.events import AttemptFinished
from flowbuild.core.ids import RunId
from flowbuild.settings import Settings
from flowbuild.store.database import Database
from flowbuild.testing import crash
from flowbuild.testing.engine_socket import program_with, serving_engine
from flowbuild.testing.engine_suite import SCRIPT
from flowbuild.testing.far import FarMachine
from flowbuild.testing.home import Home, step
from flowbuild.testing.images import ensure_busybox
from flowbuild.testing.program import Program, Started, git, leftovers
from flowbuild.wiring.local import database_url

LIVES = 3600.0  # seconds that one life of a program may last
PEOPLE = "ada"
PROJECT = "shop"
ENVIRONMENTS = 5
STEPS = {
    "a": step(write="a=1", log="from a\n", then="b c served"),
    "b": step(write="b=1", log="from b\n", sleep=1, then="d"),
    "c": step(write="c=1", log="from c\n", sleep=2, then="d"),
    "served": step(write="s=1", sleep=10000, health=True, log="up\n", then="d", more={"background": True}),
    "d": step(write="d=1", log="merged\n", then="flaky deploy"),
    "flaky": step(exit=3, write="f=1", log="tried\n", fail="mail", more={"retry": {"max": 1, "on": ["failed"]}}),
    "mail": step(log="sent\n"),
    "deploy": step(write="e=1", log="deployed\n", more={"environment": {"name": "qa-${{ inputs.place }}"}}),
}


def pipeline() -> str:
    """Return a pipeline file with those steps: containers of the real engine do what the dummy one acts out."""
    steps: dict[str, Any] = {}
    for name, each in STEPS.items():
        main = {**each["compose"]["services"]["main"], "command": ["sh", "-c", SCRIPT.replace("$", "$$")]}
        if "healthcheck" in main:
            main["healthcheck"] = {"test": ["CMD", "test", "-e", "/tmp/healthy"], "interval": "200ms", "retries": 50}  # noqa: S108 (in the container)
        steps[name] = {**each, "compose": {"services": {"main": main}}}
    return yaml.safe_dump(
        {"pipelines": {"test": {"inputs": {"place": {"default": "0"}}, "steps": steps}}}, sort_keys=False
    )


@dataclass(slots=True)
class Member:
    """A program of the fleet that is killed and started again: with which arguments, and what it says when it is up."""

    program: Program
    arguments: tuple[str, ...]
    greeting: str
    process: Started | None = None
    began: list[tuple[float, float]] = field(default_factory=list)  # when each life was started, and when it was up

    async def start(self) -> str:
        """Start it; return its greeting."""
        at = time.time()
        self.process = Started(self.program, *self.arguments, limit=LIVES)
        line = await asyncio.to_thread(self.process.wait_for, self.greeting)
        self.began.append((at, time.time()))
        return line

    async def cut(self, seconds: float) -> None:
        """Start it and kill it so many seconds later, up or not."""
        started = Started(self.program, *self.arguments, limit=LIVES)
        try:
            await asyncio.sleep(seconds)
        finally:
            await asyncio.to_thread(started.kill)

    async def kill(self) -> None:
        """Kill it (-9)."""
        process, self.process = self.process, None
        if process is not None:
            await asyncio.to_thread(process.kill)


class Fleet:
    """The programs below `top`; `server_code`: Python that the server executes before it begins, to break it.

    `far`: whether there are runners besides the server's own.
    """

    def __init__(self, top: Path, database: str = "", *, far: bool = True, server_code: str = "") -> None:
        self.top, self.database = top, database
        self.home = Home(top, database=database)
        self.far = FarMachine(top / "far" / "runner")
        self.ledger: list[str] = []
        self.runs: list[str] = []  # that the server acknowledged
        # When people were told of which event, by run and number. (An event's own time is before it was stored.)
        self.seen: dict[tuple[str, int], float] = {}
        self.up = asyncio.Event()
        self.enough = asyncio.Event()
        self.home.write(STEPS)
        (self.home.project / ".flow.yml").write_text(pipeline())
        git(self.home.project, "commit", "--quiet", "--all", "--message", "for both engines")
        self.commit = git(self.home.project, "rev-parse", "HEAD").strip()
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        own = {
            "FLOW_PORT": str(self.port),
            "FLOW_ALLOW_LOCAL": str(top),
            "FLOW_DATABASE": database,
            "FLOW_CAPACITY": "6",
        }
        near = program_with(top / "near.sock", code=server_code)
        self.server = Member(Program(self.home.data, top, own, near), ("server",), "flow server")
        dummy = Program(top / "far", top, {"FLOW_CAPACITY": "4"}, program_with(top / "far.sock"))
        real = Program(top / "real", top, {"FLOW_NETWORK_POOL": "10.214.0.0/16", "FLOW_CAPACITY": "2"})
        named = {"far": dummy, "real": real} if far else {}
        self.runners = [Member(program, ("runner",), f"runner {name}") for name, program in named.items()]

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Begin: server and runners are up, an admin and a project are there. At the end all that is left is killed."""
        ensure_busybox()
        async with AsyncExitStack() as stack:
            for machine, address in ((self.home, "near.sock"), (self.far, "far.sock")):
                engine = crash.LedgerEngine(machine, self.ledger)
                engine._sleep = lambda seconds: asyncio.sleep(seconds / 4)  # noqa: SLF001
                await stack.enter_async_context(serving_engine(engine, self.top / address))
            for member in (self.server, *self.runners):
                stack.push_async_callback(member.kill)
            await self._begin()
            yield

    async def _begin(self) -> None:
        process = Started(self.server.program, "server", limit=LIVES)
        self.server.process = process
        code = (await asyncio.to_thread(process.wait_for, "--code")).split()[-1]
        async with httpx2.AsyncClient(base_url=f"{self.url}/api/v1/", timeout=60) as http:
            person = {"code": code, "name": PEOPLE, "password": "correct horse battery"}
            entered = (await http.post("setup", json=person)).json()
            headers = {"X-Flow-Form-Token": entered["form_token"]}
            wanted = {"name": "test", "scopes": list(SCOPES)}
            self.token = (await http.post("tokens", json=wanted, headers=headers)).json()["token"]
            headers = {"Authorization": f"Bearer {self.token}"}
            project = {"name": PROJECT, "url": str(self.home.project)}
            (await http.post("projects", json=project, headers=headers, timeout=60)).raise_for_status()
            codes = [(await http.post("runners/codes", headers=headers)).json()["code"] for _ in self.runners]
        await asyncio.gather(*(self._register(*each) for each in zip(self.runners, codes, strict=True)))
        self.up.set()

    async def _register(self, member: Member, code: str) -> None:
        arguments = ("runner", "--server", self.url, "--code", code, "--name", member.greeting.split()[-1])
        once = replace(member, arguments=arguments)
        await once.start()
        member.process = once.process

    def client(self) -> HttpClient:
        """Return a client of the server that waits for it as long as it is away."""
        return HttpClient(self.url, self.token, project=PROJECT, sleep=lambda _seconds: self.up.wait())

    async def person(self, number: int, times: int = 0) -> None:
        """Start a run, follow it to its end, and again: so often, or until it is enough."""
        client = self.client()
        try:
            done = 0
            while not self.enough.is_set() and (not times or done < times):
                await self.follow(client, await self.start(client, number))
                done += 1
        finally:
            await client.close()

    async def start(self, client: HttpClient, number: int) -> str:
        """Start a run; again, when there was no answer."""
        path = f"projects/{PROJECT}/pipelines/test/runs"
        body = {"ref": self.commit, "inputs": {"place": str(number % ENVIRONMENTS)}}
        while True:
            await self.up.wait()
            try:
                begun = await client.ask("POST", path, body)
            except SystemFailed:
                await asyncio.sleep(0.1)  # it is being killed just now, perhaps
                continue
            self.runs.append(begun["id"])
            return str(begun["id"])

    async def follow(self, client: HttpClient, run: str) -> RunView:
        """Return a run when it has ended."""
        seen, view = 0, None
        while view is None or not view.state.final:
            try:
                async for update in client.watch(run, seen):
                    seen, view = update.seq, update.run
                    self.seen.setdefault((run, seen), time.time())
            except SystemFailed:
                await self.up.wait()
        return view

    async def work_under_way(self) -> int:
        """Return how many attempts and effects the database holds that are not done; 0 when it cannot be asked."""

        def look() -> int:
            database = Database(self.address)
            try:
                with database.read() as tx:
                    open_attempts = tx.figures.open_attempts()
                    return sum(open_attempts.values()) + tx.figures.effects()
            finally:
                database.close()

        return await asyncio.to_thread(look)

    @property
    def address(self) -> str:
        """Return the URL of the database."""
        return database_url(Settings(home=self.home.data, database=self.database))

    async def rest(self) -> None:
        """Let the runners finish and leave, then stop the server: what is left now stays for ever."""
        client = self.client()
        try:
            for member in self.runners:
                await client.ask("POST", f"runners/{member.greeting.split()[-1]}/drain")
            for member in self.runners:
                assert member.process is not None  # noqa: S101 (it was started)
                output = await asyncio.to_thread(member.process.end)
                member.process = None
                assert output.code == 0, output.text  # noqa: S101
        finally:
            await client.close()
        while self.home.machine.units or self.home.machine.networks:
            await self.home.machine.change()
        assert self.server.process is not None  # noqa: S101 (it was started)
        self.server.process.process.terminate()
        output = await asyncio.to_thread(self.server.process.end)
        self.server.process = None
        assert output.code == 0, output.text  # noqa: S101

    def left_far(self) -> list[str]:
        """Return what is left of steps on the machines of the runners, apart from what is in a real engine."""
        places = [
            place
            for member in self.runners
            for name in ("work", "runs", "spool")
            for place in (member.program.home / "runner" / name).glob("[!.]*")
        ]
        return [f"{each} is left" for each in (*self.far.machine.units, *self.far.machine.networks, *places)]

    async def examine(self, facts: Mapping[str, str]) -> list[str]:
        """Return what is wrong after `rest`: runs that are lost, that ended otherwise than `facts` say, what happened twice, what is left."""
        wrong = [f"{name} was started {count} times" for name, count in Counter(self.ledger).items() if count > 1]
        wrong += self.home.leftovers() + self.left_far()
        async with self.home.looking() as life:
            database = life.local.database
            wrong += await asyncio.to_thread(crash._unsettled, database)  # noqa: SLF001
            known = {view.id for view in await life.client.runs(everything=True, limit=100_000)}
            wrong += [f"run {run} is lost" for run in self.runs if run not in known]
            wrong += [
                f"repository of no run {place.name}"
                for place in self.home.data.glob("runs/*")
                if place.name not in known
            ]
            wrong += leftovers(sorted(known))
            for run in sorted(known):
                found = await crash.facts_of(life, run)
                wrong += [
                    f"{run} {key}: {found.get(key)}, not {value}"
                    for key, value in facts.items()
                    if found.get(key) != value
                ]
                wrong += await asyncio.to_thread(_twice, database, RunId(run))
        return wrong

    async def facts(self) -> dict[str, str]:
        """Return what the first run was like."""
        async with self.home.looking() as life:
            return await crash.facts_of(life, self.runs[0])

    def moved(self) -> Sequence[tuple[float, float]]:
        """Return of each life of the server after how many seconds it was up, and after how many a run had moved."""
        database = Database(self.address)
        try:
            with database.read() as tx:
                times = sorted(event.at for run in tx.runs.ids() for event in tx.runs.events(RunId(run)))
        finally:
            database.close()
        firsts = [(at, up, next((time for time in times if time >= at), None)) for at, up in self.server.began]
        return [(up - at, first - at) for at, up, first in firsts if first is not None]


def _twice(database: Database, run: RunId) -> list[str]:
    """Return which attempts of a run ended more than once."""
    with database.read() as tx:
        events = [row.event for row in tx.runs.events(run)]
    ends = Counter((event.step, event.attempt) for event in events if isinstance(event, AttemptFinished))
    return [f"{run}: {count} results of {step} attempt {number}" for (step, number), count in ends.items() if count > 1]
