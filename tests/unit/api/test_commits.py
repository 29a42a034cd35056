"""Commits between two others over HTTP."""

from flowbuild.testing.home import step
from flowbuild.testing.program import git

PATH = "/api/v1/projects/project/commits"


def commit(home, subject, *more):
    git(home.project, "commit", "--quiet", "--allow-empty", "--message", subject, *more)
    return git(home.project, "rev-parse", "HEAD").strip()


async def test_what_came_in_between(home, open_site):
    home.write({"a": step()})
    async with open_site() as site:
        await site.add_project(home, "project")
        first = git(home.project, "rev-parse", "HEAD").strip()
        second = commit(home, "Two\nlines", "--author", "Bob \x1b[31m<bob@example.org>")
        third = commit(home, "x" * 500)
        await site.post("/api/v1/projects/project/fetch", "admin")
        found = await site.get(f"{PATH}?since={first}&until={third}", "admin")
        last = await site.get(f"{PATH}?since={first[:8]}&until={third[:8]}&limit=1", "admin")
        none = await site.get(f"{PATH}?since={third}&until={first}", "admin")
        strange = [
            (await site.get(f"{PATH}?since={first}&until={each}", "admin")).status_code
            for each in ("0" * 40, "--all-no", "x")
        ]
    assert [(each["commit"], each["subject"]) for each in found.json()] == [(third, "x" * 200), (second, "Two lines")]
    assert found.json()[1]["author"] == "Bob [31m"
    assert [each["commit"] for each in last.json()] == [third]
    assert none.json() == []
    assert strange == [404, 404, 422]


async def test_the_source_is_for_developers(home, open_site):
    home.write({"a": step()})
    async with open_site() as site:
        await site.add_project(home, "project")
        first = git(home.project, "rev-parse", "HEAD").strip()
        assert (await site.get(f"{PATH}?since={first}&until={first}", "viewer")).status_code == 403
