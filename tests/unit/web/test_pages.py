"""The files of the web app: found by their names only, with a policy and a nonce of its own for each page."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from flowbuild.web.pages import Pages


async def _api(scope, receive, send):
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "static"
    (made / "assets").mkdir(parents=True)
    (made / "index.html").write_text('<script>one()</script><meta name="style-nonce" content="__STYLE_NONCE__">')
    (made / "assets" / "app-1.js").write_text("let a = 1;" * 100)
    (made / "assets" / "app-1.js.gz").write_bytes(gzip.compress(b"let a = 1;" * 100))
    (made / "favicon.svg").write_text("<svg/>")
    (tmp_path / "secret").write_text("not for anybody")
    return made


@pytest.fixture
async def http(folder: Path) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(Pages(_api, folder)), base_url="http://x") as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/projects/shop/runs/12?step=build", "/login", "/apis", "/%2e%2e/secret"])
async def test_every_address_is_the_same_page(http: httpx2.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "style-nonce" in answer.text


async def test_each_page_has_a_nonce_of_its_own_in_policy_and_text(http: httpx2.AsyncClient) -> None:
    nonces = set()
    for _ in range(2):
        answer = await http.get("/")
        said = re.search(r"style-src 'self' 'nonce-([^']+)'", answer.headers["content-security-policy"])
        assert said is not None
        assert f'content="{said[1]}"' in answer.text
        assert answer.headers["cache-control"] == "no-store"
        nonces.add(said[1])
    assert len(nonces) == 2


async def test_the_policy_lets_no_other_script_of_the_page_act(http: httpx2.AsyncClient) -> None:
    policy = (await http.get("/")).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    [sources] = re.findall("script-src ([^;]*);", policy)
    # The one that stands in the page, byte for byte: printf 'one()' | openssl dgst -sha256 -binary | base64
    assert sources == "'self' 'sha256-HR7iaask9daLMRRskMI++QeJtjWDOjyPA6lGzYGzKW4='"


@pytest.mark.parametrize("path", ["/api/v1/runs", "/git/runs/x.git/info/refs", "/hooks/a/b", "/health", "/metrics"])
async def test_what_is_no_page_goes_to_the_api(http: httpx2.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert (answer.status_code, answer.text) == (418, path)


async def test_changes_go_to_the_api(http: httpx2.AsyncClient) -> None:
    assert (await http.post("/")).status_code == 418


async def test_files_with_a_hash_in_their_name_are_kept_by_browsers(http: httpx2.AsyncClient) -> None:
    answer = await http.get("/assets/app-1.js", headers={"accept-encoding": "gzip"})
    assert answer.headers["cache-control"].endswith("immutable")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.text.startswith("let a")
    plain = await http.get("/assets/app-1.js", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == answer.text
    assert (await http.get("/favicon.svg")).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["/assets/app-0.js", "/assets/../../secret", "/assets/%2e%2e/%2e%2e/secret"])
async def test_other_files_do_not_exist(http: httpx2.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert "not for anybody" not in answer.text
    assert answer.status_code == 404 or "style-nonce" in answer.text


async def test_head_has_no_body(http: httpx2.AsyncClient) -> None:
    answer = await http.head("/")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_without_a_build_it_says_what_to_do(tmp_path: Path) -> None:
    pages = Pages(_api, tmp_path / "none")
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(pages), base_url="http://x") as client:
        answer = await client.get("/")
    assert answer.status_code == 503
    assert "scripts/web" in answer.text
