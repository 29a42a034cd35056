"""Who may start a run that deploys gets no say in what its programs do, beyond what the pipeline offers."""

from flowbuild.testing.home import step

START = "/api/v1/projects/project/pipelines/test/runs"
GUARDED = {"more": {"environment": {"name": "qa"}}}
DECLARED = {"variables": {"LEVEL": "1", "MAKEFLAGS": "-j4"}}
HOSTILE = [
    "LD_PRELOAD",
    "BASH_ENV",
    "MAKEFLAGS",
    "makeflags",
    "PYTHONSTARTUP",
    "NODE_OPTIONS",
    "GIT_SSH_COMMAND",
    "TAG",
]


async def refused(site, given, path=START, who="maintainer"):
    """Return why a start with a variable is refused, as all of it is said; "" when it is not."""
    answer = await site.post(path, who, json={"variables": dict.fromkeys(given, "x")})
    if answer.status_code == 201:
        await site.life.finished(answer.json()["id"])
        return ""
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    return answer.text


async def test_only_what_the_pipeline_declares_may_be_set(home, open_site):
    home.write({"a": step(**GUARDED)}, **DECLARED)
    async with open_site() as site:
        await site.add_project(home)
        told = [await refused(site, [name]) for name in HOSTILE]
        together = await refused(site, ["LEVEL", "TAG", "MAKEFLAGS"])
        may = await refused(site, ["LEVEL"])
    assert all(told)
    assert all(name in text for name, text in zip(HOSTILE, told, strict=True)), told
    assert all(word in together for word in ("no variable TAG", "obey the variable MAKEFLAGS", "any_variables"))
    assert "LEVEL" not in together
    assert may == ""


async def test_the_same_for_what_runs_again(home, open_site):
    home.write({"a": step(then="b"), "b": step(**GUARDED)}, **DECLARED)
    async with open_site() as site:
        await site.add_project(home)
        begun = await site.post(START, json={})
        run = await site.life.finished(begun.json()["id"])
        again = f"/api/v1/runs/{run.id}/rerun"
        told = [await refused(site, [name], again) for name in HOSTILE]
        may = await refused(site, ["LEVEL"], again)
    assert all(told)
    assert may == ""


async def test_a_pipeline_without_anything_to_protect_takes_all(home, open_site):
    home.write({"a": step()}, **DECLARED)
    async with open_site() as site:
        await site.add_project(home)
        assert await refused(site, HOSTILE) == ""


async def test_maintainers_may_allow_any(home, open_site):
    home.write({"a": step(**GUARDED)})
    async with open_site() as site:
        await site.add_project(home)
        wider = {"settings": {"any_variables": True}}
        path = "/api/v1/projects/project"
        developer = await site.http.patch(path, headers=site.as_("developer"), json=wider)
        maintainer = await site.http.patch(path, headers=site.as_("maintainer"), json=wider)
        shown = (await site.get(path)).json()["settings"]["any_variables"]
        assert await refused(site, ["TAG"]) == ""
    assert (developer.status_code, maintainer.status_code, shown) == (403, 200, True)
