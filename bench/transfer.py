"""Move a workspace from a server to another machine, against `rsync -a` and `tar | zstd -1` over the same link.

    python -m bench.transfer [--dir DIR] [--files 50000] [--megabytes 1000] [--rate 1gbit] [--rounds 3] [--json FILE]

Two network namespaces with a pair of veths between them stand for the machines; needs root, iproute2, rsync, zstd and tar.
Nothing of the network outside of them is touched. The server is `flow server` as a process; what a runner does before a step
runs is done by what `flow runner` does it with: fetch, then make the directory. Each round has a fresh home (cold), then takes
over a commit in which 1 % of the files changed, then begins the next run of the project with what that has. rsync goes on in
the directory that it made; tar has nothing like that, and brings all of it.

Figures are medians and their ratios within this run, and the megabytes that came over the link. Both sides share the processors.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
from bench.figures import Figures
from bench.serving import FLOW, admin

from flowbuild.client.runner import Lease
from flowbuild.core.ids import CommitId
from flowbuild.runner.repositories import FarRepositories
from flowbuild.runner.servers import Servers
from flowbuild.testing.home import Home, step
from flowbuild.testing.trees import change_some, differences, large_files, scan, small_files
from flowbuild.workspace.incoming import LargeFiles
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.slots import Slots

TOOLS = ("ip", "tc", "rsync", "zstd", "tar")
NEAR, FAR, DEVICE = "10.0.0.1", "10.0.0.2", "wire0"  # in their namespaces
HTTP, RSYNC, TAR = 8080, 8730, 8740
SELF = (sys.executable, "-m", "bench.transfer")
LARGE = 10_000_000  # bytes of one of few large files


def sh(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def missing() -> str:
    """Return why this cannot be measured here, or nothing."""
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (Debian: iproute2 rsync zstd tar)"
    return "" if os.geteuid() == 0 else "network namespaces need root"


@contextmanager
def link(rate: str) -> Iterator[tuple[str, str]]:
    """Make two namespaces with a link of that rate (empty: as fast as it goes); yields their names."""
    near, far = (f"flow-bench-{os.getpid()}-{side}" for side in ("near", "far"))
    made = []
    try:
        for name in (near, far):
            sh("ip", "netns", "add", name)
            made.append(name)
        sh("ip", "-n", near, "link", "add", DEVICE, "type", "veth", "peer", "name", DEVICE, "netns", far)
        for name, address in ((near, NEAR), (far, FAR)):
            sh("ip", "-n", name, "address", "add", f"{address}/24", "dev", DEVICE)
            for device in ("lo", DEVICE):
                sh("ip", "-n", name, "link", "set", device, "up")
            if rate:
                limits = ("rate", rate, "burst", "4mb", "limit", "16mb")
                sh("tc", "-n", name, "qdisc", "add", "dev", DEVICE, "root", "tbf", *limits)
        yield near, far
    finally:
        for name in made:
            sh("ip", "netns", "delete", name)


@contextmanager
def beside(near: str, port: int, command: list[str], **environment: str) -> Iterator[None]:
    """Run a program in the other namespace; it is ready when it listens there."""
    process = subprocess.Popen(["ip", "netns", "exec", near, *command], env=os.environ | environment)
    try:
        for _ in range(600):
            try:
                socket.create_connection((NEAR, port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.1)
        else:
            raise RuntimeError(f"{command[0]} does not listen")
        yield
    finally:
        process.terminate()
        process.wait(60)


def give(port: int, top: Path) -> None:
    """Answer every connection, which names a directory, with that as tar | zstd -1."""
    with socket.create_server((NEAR, port)) as listening:
        while True:
            connection, _ = listening.accept()
            with connection:
                name = connection.makefile("r").readline().strip()
                if name:
                    command = 'tar cf - -C "$0" . | zstd -q -1 -T0'
                    subprocess.run(["sh", "-c", command, str(top / name)], stdout=connection.fileno(), check=False)


def take(name: str, target: Path) -> None:
    """Unpack what `give` gives."""
    target.mkdir()
    with socket.create_connection((NEAR, TAR)) as connection:
        connection.sendall(name.encode() + b"\n")
        command = 'zstd -dcq | tar xf - -C "$0"'
        subprocess.run(["sh", "-c", command, str(target)], stdin=connection.fileno(), check=True)


def came() -> int:
    """Return how many bytes have come over the link."""
    return int(Path(f"/sys/class/net/{DEVICE}/statistics/rx_bytes").read_text())


class Run:
    """A run on the server that waits for a runner, with directories in its repository as if steps had left them."""

    def __init__(self, top: Path, home: Home, http: httpx2.Client, token: str, names: tuple[str, ...]) -> None:
        self.token = token
        self.id = post(http, f"/api/v1/projects/{top.name}/pipelines/test/runs", {})["id"]
        (path,) = home.data.glob(f"**/{self.id}*/**/HEAD")
        repository, slots = RunRepository.open(path.parent), Slots(top / "store")
        base = repository.main()
        assert base is not None
        self.commits: dict[str, CommitId] = {}
        for name in names:
            base = self.commits[name] = self._commit(repository, slots, base, top / name)

    def _commit(self, repository: RunRepository, slots: Slots, base: CommitId, source: Path) -> CommitId:
        """Commit a directory, as if its runner had sent it."""
        slot = slots.acquire(repository, self.id, base, slots.root / self.id / source.name)
        sh("rsync", "-a", "--delete", f"{source}/", f"{slot.workspace}/")
        made = slots.commit(slot, repository, message=source.name, trailers={}).commit
        slots.release(slot)
        sent = LargeFiles(repository, (), {}).sent
        for pointer in repository.large_files(made):
            sent(pointer)
        return made

    def work(self, name: str) -> Any:
        """Return an assignment, as far as it is about the repository."""
        return SimpleNamespace(
            lease=Lease(self.id, "a", 1, 1),
            state="leased",
            input_commit=self.commits[name],
            repository=f"/git/runs/{self.id}.git",
            token=self.token,
            source="bench",
        )


def post(http: httpx2.Client, path: str, body: object) -> Any:
    answer = http.post(path, json=body)
    if not answer.is_success:
        raise RuntimeError(f"{path}: {answer.text}")
    return answer.json()


def runs(top: Path, home: Home, token: str) -> tuple[Run, Run]:
    """Start two runs of one project; the second one has what the first one ended with."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=f"http://{NEAR}:{HTTP}", headers=headers, timeout=60) as http:
        post(http, "/api/v1/projects", {"name": top.name, "url": str(home.project)})
        post(http, f"/api/v1/projects/{top.name}/fetch", None)
        first = Run(top, home, http, token, ("before", "after"))
        return first, Run(top, home, http, token, ("after",))


def measure(kind: str, top: Path, near: str, rounds: int) -> Figures:
    """Move `top/before`, then `top/after`, in each way, in turns."""
    figures = Figures(f"transfer {kind}", f"(l) a workspace to another machine: {kind}")
    home = Home(top / "home")
    home.top.mkdir()
    home.write({"a": step()})
    token = admin(home.data)
    server = {"FLOW_HOME": str(home.data), "FLOW_HOST": NEAR, "FLOW_PORT": str(HTTP), "FLOW_RUNNER": "false"}
    config = top / "rsyncd.conf"
    config.write_text(f"use chroot = no\nuid = 0\ngid = 0\n[bench]\npath = {top}\n")
    daemon = ["rsync", "--daemon", "--no-detach", f"--config={config}", f"--port={RSYNC}", f"--address={NEAR}"]
    giver = [*SELF, "--give", str(top)]
    with (
        beside(near, HTTP, [FLOW, "server"], FLOW_ALLOW_LOCAL=str(top), **server),
        beside(near, RSYNC, daemon),
        beside(near, TAR, giver),
    ):
        first, second = runs(top, home, token)
        for number in range(rounds):
            place = top / f"round-{number}"
            place.mkdir()
            asyncio.run(flow(figures, first, second, place / "flow", top if number == 0 else None))
            rsync(figures, place / "rsync")
            tar(figures, place / "tar")
    for what in ("cold", "1 %"):
        for other in ("rsync", "tar | zstd"):
            figures.ratio(f"flow, {what}", f"{other}, {what}")
    return figures


@contextmanager
def counted(figures: Figures, name: str) -> Iterator[None]:
    began, before = time.perf_counter(), came()
    yield
    figures.add(name, time.perf_counter() - began)
    figures.note(f"{name}: MB", (came() - before) / 1e6)


async def flow(figures: Figures, first: Run, second: Run, home: Path, check: Path | None) -> None:
    """`check`: where to look whether it is what it should be."""
    repositories = FarRepositories(Servers([f"http://{NEAR}:{HTTP}"]), home / "runs", home / "lfs", patience=0)
    slots = Slots(home / "work")
    try:
        for what, run, name in (("cold", first, "before"), ("1 %", first, "after"), ("next run", second, "after")):
            if run is second:
                await repositories.forget(first.id)
            work = run.work(name)
            with counted(figures, f"flow, {what}"):
                began = time.perf_counter()
                repository = await repositories.fetch(work)
                figures.add(f"of it the fetch, {what}", time.perf_counter() - began)
                at = slots.root / run.id / name
                slot = await asyncio.to_thread(slots.acquire, repository, run.id, work.input_commit, at)
            if check is not None:
                wrong = differences(scan(check / name), scan(slot.workspace))
                if wrong:
                    raise AssertionError(f"{len(wrong)} differences, like {wrong[0]}")
            slots.release(slot)
    finally:
        await repositories.close()


def rsync(figures: Figures, target: Path) -> None:
    for what, name in (("cold", "before"), ("1 %", "after")):
        with counted(figures, f"rsync, {what}"):
            sh("rsync", "-a", "--delete", f"rsync://{NEAR}:{RSYNC}/bench/{name}/", f"{target}/")


def tar(figures: Figures, target: Path) -> None:
    for what, name in (("cold", "before"), ("1 %", "after")):
        with counted(figures, f"tar | zstd, {what}"):
            take(name, target.with_name(f"{target.name}-{name}"))


def workspaces(top: Path, make: Callable[[Path], object]) -> None:
    """Make a workspace as it was and as it is now: rsync must see that from times and sizes."""
    make(top / "before")
    sh("cp", "-a", str(top / "before"), str(top / "after"))
    change_some(top / "after")


def inside(options: argparse.Namespace) -> None:
    """Measure; this process is in the namespace of the runner."""
    results = dict[str, object]()
    for kind, make in {
        f"{options.files} small files": lambda top: small_files(top, files=options.files),
        f"{options.megabytes} MB in large files": lambda top: large_files(
            top, files=max(1, options.megabytes * 1_000_000 // LARGE), size=LARGE
        ),
    }.items():
        top = options.dir / f"transfer{len(results)}"
        top.mkdir()
        workspaces(top, make)
        figures = measure(kind, top, options.inside, options.rounds)
        print(figures.table(), flush=True)
        results[figures.name] = figures.as_dict()
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, default=None, help="where to work (default: the temporary directory)")
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rate", default="1gbit", help="of the link, as tc knows rates; empty: as fast as it goes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--give", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--inside", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.give:
        give(TAR, options.give)
    elif options.inside:
        inside(options)
    else:
        if why := missing():
            parser.error(why)
        top = Path(tempfile.mkdtemp(prefix="bench-transfer-", dir=options.dir)).resolve()
        try:
            with link(options.rate) as (near, far):
                words = [*sys.argv[1:], "--dir", str(top), "--inside", near]
                command = ["ip", "netns", "exec", far, *SELF, *words]
                sys.exit(subprocess.run(command, check=False).returncode)
        finally:
            shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
