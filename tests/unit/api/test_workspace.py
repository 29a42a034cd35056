"""Workspaces over HTTP: what a step left is looked at, and cannot act."""

import io
import os
import zipfile
from urllib.parse import quote

import pytest

from flowbuild.api.routers import previews
from flowbuild.testing.home import step

HTML = b"<script>alert(1)</script>"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.fixture
def filled(home):
    """A project with files of all kinds; the run stores them as its first workspace."""
    home.write({"a": step(write="x=1")})
    files = {
        b"page.html": HTML,
        b"logo.png": PNG,
        b"data.bin": b"\0\1\2",
        b"big.bin": os.urandom(3 << 20),
        b"dir/with space/\xe4\xff": b"odd",
        b"dir/.gitignore": b"",
        "ü.txt".encode(): "ü".encode(),
    }
    for name, data in files.items():
        path = home.project / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (home.project / "link").symlink_to("/etc/passwd")
    return files


async def finished(home, site):
    return (await site.life.finished((await site.life.start(home)).id)).id


async def test_variables_as_steps_found_and_left_them(home, open_site):
    home.write({"a": step(write="/variables/V=new")}, variables={"V": "old", "W": "same"})
    async with open_site() as site:
        run = await finished(home, site)
        path = f"/api/v1/runs/{run}/variables"
        found = [
            (await site.get(path, params=query)).json() for query in ({"step": "a", "before": True}, {"step": "a"}, {})
        ]
        wrong = await site.get(path, params={"step": "b"})
    assert found[0] == {"V": "old", "W": "same"}
    assert found[1] == found[2] == {"V": "new", "W": "same"}
    assert wrong.status_code == 404


async def test_directories_and_files(home, filled, open_site):
    async with open_site() as site:
        run = await finished(home, site)
        top = (await site.get(f"/api/v1/runs/{run}/workspace/tree")).json()
        kinds = {entry["name"]: entry["kind"] for entry in top["entries"]}
        below = (await site.get(f"/api/v1/runs/{run}/workspace/tree", params={"path": "dir/with%20space"})).json()
        (odd,) = below["entries"]
        got = {
            name: await site.get(f"/api/v1/runs/{run}/workspace/file", params={"path": quote(name)}) for name in filled
        }
        link = await site.get(f"/api/v1/runs/{run}/workspace/file", params={"path": "link"})
        answer = await site.get(f"/api/v1/runs/{run}/workspace/file", params={"path": odd["path"]})
    assert (kinds["dir"], kinds["link"], kinds["page.html"]) == ("directory", "link", "file")
    assert top["entries"][0]["kind"] == "directory"
    assert {name: each.content for name, each in got.items()} == filled
    assert link.content == b"/etc/passwd", "told, not followed"
    assert answer.content == b"odd"
    assert (odd["name"], odd["size"]) == ("ä\\xff" if odd["name"][0] == "ä" else "\\xe4\\xff", 3)


async def test_nothing_that_a_step_left_acts_in_a_browser(home, filled, open_site):
    async with open_site() as site:
        run = await finished(home, site)
        shown = {
            name: (await site.get(f"/api/v1/runs/{run}/workspace/file", params={"path": name})).headers
            for name in ("page.html", "logo.png", "data.bin")
        }
    assert shown["page.html"]["content-type"] == "text/plain; charset=utf-8"
    assert shown["logo.png"]["content-type"] == "image/png"
    assert shown["data.bin"]["content-disposition"].startswith("attachment")
    for headers in shown.values():
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("sandbox; default-src 'none'")


PAGE = b"""<!doctype html><style>h1 { color: teal }</style><h1>Coverage</h1><LINK rel=preconnect href=https://x.invalid>
<iframe srcdoc="&lt;link rel=preconnect href=https://x.invalid&gt;"></iframe><a href=x>linked</a>"""


@pytest.fixture
async def paged(home, filled, open_site):
    """Return a function that asks for a file as a page."""
    (home.project / "report.html").write_bytes(PAGE)
    (home.project / "utf16.html").write_bytes("\ufeff<script>".encode("utf-16-be"))
    (home.project / "late.html").write_bytes(b"x" * 9000 + b"\0")
    async with open_site() as site:
        run = await finished(home, site)

        async def ask(path, **headers):
            return await site.get(f"/api/v1/runs/{run}/workspace/page", params={"path": path}, headers=headers)

        yield ask


async def test_a_page_in_a_frame_has_its_styles_and_nothing_else(paged):
    answer = await paged("report.html", **{"Sec-Fetch-Dest": "iframe"})
    plain = await paged("report.html")  # over http browsers do not say what for
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    assert policy.pop("style-src") == "'unsafe-inline'"
    assert policy.pop("frame-ancestors") == "'self'"
    assert (policy.pop("img-src"), policy.pop("font-src")) == ("data:", "data:")
    assert policy == {"sandbox": "", "default-src": "'none'", "base-uri": "'none'", "form-action": "'none'"}
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert answer.headers["x-dns-prefetch-control"] == "off"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (plain.content, plain.headers["content-security-policy"]) == (
        answer.content,
        answer.headers["content-security-policy"],
    )


async def test_what_no_policy_stops_is_left_out_of_a_page(paged):
    text = (await paged("report.html")).content.lower()
    assert b"<link" not in text
    assert b"<iframe" not in text
    assert b"<h1>coverage</h1>" in text
    assert b"<a href=x>linked</a>" in text


async def test_a_page_at_its_own_address_is_text(paged):
    answer = await paged("report.html", **{"Sec-Fetch-Dest": "document"})
    assert answer.content == PAGE
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert answer.headers["vary"] == "Sec-Fetch-Dest"


@pytest.mark.parametrize("name", ["data.bin", "logo.png", "utf16.html", "late.html", "big.bin"])
async def test_what_is_no_text_is_no_page(paged, name):
    answer = await paged(name)
    assert (answer.status_code, answer.json()["detail"]) == (400, "the file is not text in UTF-8")


async def test_a_page_has_a_limit(paged, monkeypatch):
    monkeypatch.setattr(previews, "MOST", 1 << 20)
    answer = await paged("big.bin")
    assert (answer.status_code, "1 MiB" in answer.json()["detail"]) == (400, True)
    assert (await paged("report.html")).status_code == 200


@pytest.mark.parametrize("path", ["..", "nothing", "dir", ""])
async def test_no_path_of_a_page_leads_out(paged, path):
    assert (await paged(path)).status_code in (400, 404)


@pytest.mark.parametrize("name", ["big.bin", "page.html"])
async def test_ranges(home, filled, open_site, name):
    data = filled[name.encode()]
    async with open_site() as site:
        run = await finished(home, site)

        async def part(text):
            return await site.get(f"/api/v1/runs/{run}/workspace/file", params={"path": name}, headers={"Range": text})

        middle, end, beyond, odd = [await part(t) for t in ("bytes=2-5", "bytes=7-", "bytes=99999999-", "lines=1-2")]
        whole = await part("")
        same = await site.get(
            f"/api/v1/runs/{run}/workspace/file",
            params={"path": name},
            headers={"If-None-Match": whole.headers["etag"]},
        )
    assert (middle.status_code, middle.content) == (206, data[2:6])
    assert middle.headers["content-range"] == f"bytes 2-5/{len(data)}"
    assert (end.content, beyond.status_code, odd.content, whole.content) == (data[7:], 416, data, data)
    assert same.status_code == 304


async def test_all_of_it_as_a_zip(home, filled, open_site):
    async with open_site() as site:
        run = await finished(home, site)
        answer = await site.get(f"/api/v1/runs/{run}/workspace/zip")
        part = await site.get(f"/api/v1/runs/{run}/workspace/zip", params={"path": "dir"})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.read("big.bin") == filled[b"big.bin"]
        assert archive.read("link") == b"/etc/passwd"
        assert (archive.getinfo("link").external_attr >> 28) == 0o12, "as a link"
    with zipfile.ZipFile(io.BytesIO(part.content)) as archive:
        assert "dir/.gitignore" in archive.namelist()


@pytest.mark.parametrize(
    "path", ["..", "a/../b", "/etc/passwd", "dir//x", ".", "dir/", "%2e%2e/x", "a%00b", "nothing", "dir", ""]
)
async def test_no_path_leads_out(home, filled, open_site, path):
    async with open_site() as site:
        run = await finished(home, site)
        answer = await site.get(f"/api/v1/runs/{run}/workspace/file", params={"path": path})
    assert answer.status_code in (400, 404), answer.text


async def test_only_commits_of_the_run_are_opened(home, filled, open_site):
    async with open_site() as site:
        first, second = await finished(home, site), await finished(home, site)
        view = (await site.get(f"/api/v1/runs/{first}")).json()["steps"][0]
        path = "/api/v1/runs/{}/workspace/tree"
        own = await site.get(path.format(first), params={"commit": view["result_commit"]})
        foreign = await site.get(path.format(second), params={"commit": view["result_commit"]})
        after = await site.get(path.format(first), params={"step": "a"})
        before = await site.get(path.format(first), params={"step": "a", "before": True})
        unknown = await site.get(path.format(first), params={"step": "b"})
        odd = await site.get(path.format(first), params={"commit": "--output=x"})
    assert [each.status_code for each in (own, foreign, after, before, unknown, odd)] == [200, 404, 200, 200, 404, 422]
    assert own.headers["etag"] == after.headers["etag"]
    assert {entry["name"] for entry in after.json()["entries"]} >= {entry["name"] for entry in before.json()["entries"]}


async def test_what_a_step_changed(home, filled, open_site):
    async with open_site() as site:
        run = await finished(home, site)
        diff = (await site.get(f"/api/v1/runs/{run}/steps/a/diff", params={"patch": True})).json()
    assert [(each["status"], each["path"]) for each in diff["files"]] == [("A", "x")]
    assert diff["patch"]
