"""A runner changes its key, and dies at every point on the way: on both databases one of its keys is always good."""

import asyncio
import secrets
import threading
from contextlib import asynccontextmanager
from functools import partial

import pytest

from flowbuild.auth.tokens import TokenKind, new_token
from flowbuild.client.runner import Facts, Report
from flowbuild.core.errors import Unauthenticated
from flowbuild.runner.identity import kept_identity
from flowbuild.runner.keys import Keys
from flowbuild.runner.remote import RemoteClient
from flowbuild.runner.servers import Servers
from flowbuild.testing.far import FarMachine
from flowbuild.testing.home import LIMIT, Home, step
from flowbuild.testing.site import open_site

# What a change of keys does, in this order; the runner dies before or after each.
DOES = ("keep", "announce", "use", "keep again")
POINTS = [(number, when) for number in range(len(DOES)) for when in ("before", "after")]


@pytest.fixture(params=["sqlite", "postgresql"])
def home(request, tmp_path):
    (tmp_path / "server").mkdir()
    database = request.getfixturevalue("postgres").database() if request.param == "postgresql" else ""
    return Home(tmp_path / "server", database=database)


@pytest.fixture
async def served(home):
    async with open_site(home, embedded=False) as site:
        yield site


@pytest.fixture
async def path(served, tmp_path):
    """The file of a registered runner."""
    await FarMachine(tmp_path).register(served)
    return tmp_path / "identity.json"


class Died(BaseException):
    """The program is gone."""


class Mortal:
    """Counts what a change of keys does, and dies at a point of it; without one it never does."""

    def __init__(self, point=None):
        self.point, self.done = point, []

    def keys(self, path):
        keys = Keys(path, kept_identity(path), partial(new_token, TokenKind.RUNNER))
        keys._keep = self._wrapped(keys._keep)
        return keys

    def _wrapped(self, act):
        def acting(*args):
            self._at("before")
            act(*args)
            self._at("after")

        return acting

    async def request(self, real, method, url, **options):
        if not url.endswith("/key"):
            return await real(method, url, **options)
        self._at("before")
        answer = await real(method, url, **options)
        self._at("after")
        return answer

    def _at(self, when):
        if (len(self.done), when) == self.point:
            raise Died
        if when == "after":
            self.done.append(when)


@asynccontextmanager
async def life(served, path, mortal):
    """A life of the runner's program: what it says at its start has been heard."""
    keys = mortal.keys(path)
    client = RemoteClient(Servers([served.url]), keys.current, keys=keys)
    client._http.request = partial(mortal.request, client._http.request)
    name = f"far/{secrets.token_hex(8)}"
    try:
        await client.hello(name, capacity=2, facts=Facts())
        yield partial(client.heartbeat, name, Report(), wait=0.0)
    finally:
        await client.close()


async def info(served):
    (found,) = (await served.get("/api/v1/runners", "admin")).json()
    return found


async def opens(served, key):
    client = RemoteClient(Servers([served.url]), key)
    try:
        await client.claim("far/0123456789abcdef", request_key=secrets.token_hex(16), wait=0.0)
    except Unauthenticated as error:
        return "is not known" not in error.message  # else only: another program has begun
    finally:
        await client.close()
    return True


async def test_a_runner_that_dies_while_its_key_changes_is_let_in_again(served, path):
    for point in POINTS:
        first = kept_identity(path).key
        async with life(served, path, Mortal()) as beat:
            assert not (await beat()).new_key
            assert (await served.post("/api/v1/runners/far/rotate", "admin")).status_code == 204
            assert (await info(served))["key_wanted"]
        mortal = Mortal(point)
        async with life(served, path, mortal) as beat:
            with pytest.raises(Died):
                await beat()
        assert len(mortal.done) == point[0]
        async with life(served, path, Mortal()) as beat:
            await beat()
            assert not (await beat()).new_key
        known, told = kept_identity(path), await info(served)
        assert (known.next_key, known.key != first) == ("", True), point
        assert (told["key_wanted"], told["key_rotated_at"] == told["key_made_at"] > told["created_at"]) == (False, True)
        assert await opens(served, known.key), point
        assert not await opens(served, first), point
    rows = (await served.get("/api/v1/audit", "admin", params={"limit": 100})).json()["items"]
    about = [row["action"] for row in reversed(rows) if row["object"] == "far"]
    assert about == ["runner.register", *["runner.rotate", "runner.new_key"] * len(POINTS)]


async def test_the_control_a_runner_that_forgets_its_next_key_is_locked_out(served, path):
    first = path.read_bytes()
    await served.post("/api/v1/runners/far/rotate", "admin")
    async with life(served, path, Mortal()) as beat:
        await beat()
    path.write_bytes(first)  # as if the next one had not been kept before it was used
    with pytest.raises(Unauthenticated):
        async with life(served, path, Mortal()):
            pass


async def test_what_is_announced_late_and_again_changes_nothing(served, path):
    """Also when the old key is still on its way with a request."""
    first = kept_identity(path).key
    async with life(served, path, Mortal()) as beat:
        await served.post("/api/v1/runners/far/rotate", "admin")
        keys = Mortal().keys(path)
        slow = RemoteClient(Servers([served.url]), first, keys=keys)
        await beat()
        second = kept_identity(path).key
        body = {"runner": "far/0123456789abcdef", "key": second}
        late = await served.http.post("/api/v1/runner/key", json=body, headers=served.as_(first))
        again = await served.http.post("/api/v1/runner/key", json=body, headers=served.as_(second))
        assert (late.status_code, again.status_code) == (
            401,
            401,
        )  # the second: of an older life than the one that lives
        await slow.close()
    assert (await info(served))["key_wanted"] is False
    assert await opens(served, second)


async def test_nobody_announces_the_key_of_another_runner(served, path, tmp_path):
    other = FarMachine(tmp_path / "other", "other")
    await other.register(served)
    own = kept_identity(path).key
    stolen = kept_identity(tmp_path / "other" / "identity.json").key
    for key, status in ((stolen, 409), (own, 204), ("flowr_short", 422), ("flowt_" + "x" * 43, 422)):
        body = {"runner": "far/0123456789abcdef", "key": key}
        answer = await served.http.post("/api/v1/runner/key", json=body, headers=served.as_(own))
        assert answer.status_code == status, answer.text
    body = {"runner": "other/0123456789abcdef", "key": new_token(TokenKind.RUNNER)}
    assert (await served.http.post("/api/v1/runner/key", json=body, headers=served.as_(own))).status_code == 403
    assert (await served.post("/api/v1/runners/far/rotate", "maintainer")).status_code == 403
    assert (await served.post("/api/v1/runners/nobody/rotate", "admin")).status_code == 404


async def test_a_key_changes_while_steps_run(home, tmp_path, monkeypatch):
    far, changed, used = FarMachine(tmp_path), threading.Event(), Keys.used
    monkeypatch.setattr(Keys, "used", lambda keys, key: (used(keys, key), changed.set()))
    home.write({"a": step(log="from a\n", sleep=100_000), "b": step(log="from b\n")})
    async with open_site(home, embedded=False) as served:
        await far.register(served)
        first = kept_identity(tmp_path / "identity.json").key
        async with far.life():
            begun = await served.life.start(home)
            await served.life.until(begun.id, "a", "run")
            await served.post("/api/v1/runners/far/rotate", "admin")
            async with asyncio.timeout(LIMIT):
                await asyncio.to_thread(changed.wait)
            await served.life.client.cancel(begun.id)
            view = (await served.life.updates(begun.id))[-1].run
            assert view.state == "cancelled"
            again = await served.life.start(home)
            await served.life.until(again.id, "a", "run")
            await served.life.client.cancel(again.id, force=True)
            await served.life.updates(again.id)
        assert kept_identity(tmp_path / "identity.json").key != first
