"""Who asks when something stands in front of the server: what that says counts, what anybody else says does not."""

import asyncio

import httpx2
import pytest

from flowbuild.api.app import create_app, guarded
from flowbuild.testing.site import PUBLIC_URL
from flowbuild.wiring.server import web_config

PROXIES = ("10.0.0.0/8", "2001:db8::1")
LOGIN = {"name": "ann", "password": "not the password"}


async def asked(app, connected, proxies=PROXIES, *, path="/api/v1/login", body=LOGIN, **headers):
    """Ask an application as the connection and headers of somebody; `|` stands between headers of one name."""
    config = web_config(app, proxies)
    config.load()
    transport = httpx2.ASGITransport(config.loaded_app, client=(connected, 4711))
    pairs = [(name.replace("_", "-"), each) for name, value in headers.items() for each in value.split("|")]
    async with httpx2.AsyncClient(transport=transport, base_url="http://flow.example") as http:
        return await http.post(path, json=body, headers=pairs)


async def mirror(scope, receive, send):
    """Answer with what an endpoint takes for address and scheme of who asks."""
    told = f"{scope['client'][0]} {scope['scheme']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": told})


@pytest.mark.parametrize(
    ("connected", "forwarded", "address"),
    [
        ("10.0.0.7", "192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "192.0.2.1", "192.0.2.1"),
        ("10.0.0.7", "127.0.0.1, 192.0.2.1", "192.0.2.1"),  # the first one is what the client made up
        ("10.0.0.7", "127.0.0.1|192.0.2.1", "192.0.2.1"),  # a proxy that adds a line of its own
        ("10.0.0.7", "192.0.2.1, 10.1.1.1", "192.0.2.1"),  # two proxies of ours
        ("10.0.0.7", "10.9.9.9, 10.1.1.1", "10.9.9.9"),  # somebody inside
        ("10.0.0.7", "", "10.0.0.7"),
        ("192.0.2.66", "127.0.0.1", "192.0.2.66"),  # no proxy of ours
        ("127.0.0.1", "192.0.2.1", "127.0.0.1"),
    ],
)
async def test_the_address_of_who_asks(connected, forwarded, address):
    assert (await asked(mirror, connected, X_Forwarded_For=forwarded)).text == f"{address} http"


async def test_without_trusted_proxies_nobody_is_believed():
    answer = await asked(mirror, "127.0.0.1", (), X_Forwarded_For="192.0.2.1", X_Forwarded_Proto="https")
    assert answer.text == "127.0.0.1 http"


@pytest.mark.parametrize(
    ("connected", "scheme", "told"),
    [("10.0.0.7", "https", "https"), ("10.0.0.7", "x", "http"), ("192.0.2.66", "https", "http")],
)
async def test_the_scheme(connected, scheme, told):
    assert (await asked(mirror, connected, X_Forwarded_Proto=scheme)).text == f"{connected} {told}"


async def test_limits_and_audit_go_by_the_address_of_who_asks(open_site):
    async with open_site() as site:
        app = guarded(create_app(site.backend))
        tries = [await asked(app, "10.0.0.7", X_Forwarded_For="192.0.2.1") for _ in range(6)]
        other = await asked(app, "10.0.0.7", X_Forwarded_For="192.0.2.2")
        moved = await asked(
            app, "10.0.0.7", X_Forwarded_For="192.0.2.99, 192.0.2.1"
        )  # made up in front of the true one
        rows = await asyncio.to_thread(site.backend.people.audit.page, before=None, limit=9, project=None)
    assert [answer.status_code for answer in tries] == [401] * 5 + [429]
    assert (other.status_code, moved.status_code) == (401, 429)
    assert {row.address for row in rows} == {"192.0.2.1", "192.0.2.2"}


@pytest.mark.parametrize(
    ("public_url", "scheme", "secure"),
    [(PUBLIC_URL, "http", True), ("http://flow.example", "https", True), ("http://flow.example", "http", False)],
)
async def test_cookies_need_https_where_there_is_https(open_site, public_url, scheme, secure):
    async with open_site() as site:
        site.backend.public_url = public_url
        code = await asyncio.to_thread(site.backend.people.accounts.setup_code)
        body = {"code": code, "name": "root", "password": "correct horse battery"}
        app = guarded(create_app(site.backend))
        answer = await asked(app, "10.0.0.7", path="/api/v1/setup", body=body, X_Forwarded_Proto=scheme)
    assert answer.status_code == 201, answer.text
    assert [("Secure" in cookie) for cookie in answer.headers.get_list("set-cookie")] == [secure] * 2
