"""Halves of characters, which JSON can hold: refused wherever they stand, and whatever would have become of them."""

import json

import pytest

from flowbuild.testing.home import step

HALF = "a\ud800b"
REQUESTS = [
    ("POST", "/api/v1/lint", {"files": {".flow.yml": HALF}}),
    ("POST", "/api/v1/lint", {"files": {HALF: "x"}, "file": HALF}),
    ("POST", "/api/v1/projects/project/hooks", {"kind": "generic", "name": "x", "mapping": {"inputs": {"a": HALF}}}),
    ("PATCH", "/api/v1/projects/project", {"settings": {"protected": [HALF]}}),
    ("PATCH", "/api/v1/projects/project", {HALF: 1}),
    ("POST", "/api/v1/projects/project/pipelines/test/runs", {"inputs": {"t": HALF}}),
    ("POST", "/api/v1/login", {"name": HALF, "password": "x"}),
]


@pytest.fixture
async def site(home, open_site):
    home.write({"a": step()}, inputs={"t": {"default": "x"}})
    async with open_site() as site:
        added = await site.post("/api/v1/projects", "admin", json={"name": "project", "url": str(home.project)})
        assert added.status_code == 201
        yield site


async def send(site, method, path, body):
    headers = site.as_("maintainer", **{"content-type": "application/json"})
    return await site.http.request(method, path, content=body, headers=headers)


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
async def test_half_a_character_is_refused(site, method, path, body):
    answer = await send(site, method, path, json.dumps(body))
    assert answer.status_code in (400, 404, 422), answer.text


@pytest.mark.parametrize("text", ["\U0001f600", "\\ud800 in words", "\\\\ud83d", "\u20ac"])
async def test_whole_characters_are_let_through_however_they_are_written(site, text):
    for ascii_ in (True, False):
        body = json.dumps({"files": {".flow.yml": f"# {text}"}}, ensure_ascii=ascii_)
        answer = await send(site, "POST", "/api/v1/lint", body.encode())
        assert answer.status_code == 200, answer.text


async def test_what_is_no_json_is_told_as_such(site):
    for body in (b'{"\\ud800', b"[" * 100_000 + b'"\\ud800"'):
        assert (await send(site, "POST", "/api/v1/lint", body)).status_code in (400, 422)
