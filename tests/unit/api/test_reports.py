"""Test reports and summaries of steps over HTTP."""

import pytest

from flowbuild.services import reports
from flowbuild.testing.home import service, step

SUITE = '<testsuite name="s">{}</testsuite>'
OK = '<testcase name="ok" time="0.25"/>'
BAD = (
    '<testcase name="bad" classname="c" time="1.5" file="t.py" line="7"><failure message="no">why</failure></testcase>'
)


def writes(*written, **more):
    """Return a step whose services write a file each."""
    return {"compose": {"services": {f"s{n}": service(write=each) for n, each in enumerate(written)}}, **more}


async def run_of(home, site):
    return (await site.life.finished((await site.life.start(home)).id)).id


async def test_what_steps_wrote_is_added_up(home, open_site):
    home.write(
        {
            "a": writes("reports/a.xml=" + SUITE.format(OK + BAD), "junit.xml=" + SUITE.format(OK), success=["b"]),
            "b": step(write="other.txt=x", then="c"),
            "c": step(write="reports/c.xml=" + SUITE.format(OK), exit=1),
        }
    )
    async with open_site() as site:
        run = await run_of(home, site)
        found = (await site.get(f"/api/v1/runs/{run}/reports")).json()
        one = (await site.get(f"/api/v1/runs/{run}/reports", params={"step": "c"})).json()
        none = (await site.get(f"/api/v1/runs/{run}/reports", params={"step": "b"})).json()
        wrong = await site.get(f"/api/v1/runs/{run}/reports", params={"step": "x"})
        file = await site.get(
            f"/api/v1/runs/{run}/workspace/file",
            params={"path": found["steps"][0]["failed"][0]["report"], "commit": found["steps"][0]["commit"]},
        )
    assert found["totals"] == {"passed": 3, "failed": 1, "errored": 0, "skipped": 0, "seconds": 2.25}
    first, last = found["steps"]
    assert (first["step"], first["attempt"], first["files"], first["complete"]) == ("a", 1, 2, True)
    assert first["failed"] == [
        {
            "suite": "s", "classname": "c", "name": "bad", "status": "failed", "seconds": 1.5, "message": "no",
            "details": "why", "file": "t.py", "line": 7, "report": "reports/a.xml",
        }
    ]  # fmt: skip
    assert [each["seconds"] for each in first["slowest"]] == [1.5, 0.25, 0.25]
    assert (last["step"], last["files"]) == ("c", 1), (
        "a failed step has its reports; those that it found are not its own"
    )
    assert one["steps"] == [last]
    assert (none["steps"], wrong.status_code) == ([], 404)
    assert "<testsuite" in file.text


async def test_hostile_and_other_files(home, open_site):
    home.write(
        {
            "a": writes(
                'reports/bomb.xml=<!DOCTYPE t [<!ENTITY a "x">]>' + SUITE.format(OK),
                "reports/coverage.xml=<coverage/>",
                "reports/cut.xml=<testsuite>" + OK,
                "reports/fine.xml=<testsuite><!-- -->" + OK + "</testsuite>",
            )
        }
    )
    async with open_site() as site:
        run = await run_of(home, site)
        (found,) = (await site.get(f"/api/v1/runs/{run}/reports")).json()["steps"]
    assert [each["report"] for each in found["problems"]] == ["reports/bomb.xml", "reports/cut.xml"]
    assert "document type" in found["problems"][0]["message"]
    assert (found["files"], found["totals"]["passed"], found["complete"]) == (3, 2, False)


async def test_more_than_is_read(home, open_site, monkeypatch):
    monkeypatch.setattr(reports, "FILES_MAX", 1)
    home.write({"a": writes("reports/a.xml=" + SUITE.format(OK), "reports/b.xml=" + SUITE.format(OK))})
    async with open_site() as site:
        run = await run_of(home, site)
        (found,) = (await site.get(f"/api/v1/runs/{run}/reports")).json()["steps"]
    assert (found["files"], found["totals"]["passed"], found["complete"]) == (1, 1, False)


async def test_failed_cases_are_bounded_and_counted(home, open_site, monkeypatch):
    monkeypatch.setattr(reports, "FAILED_MAX", 2)
    home.write({"a": step(write="junit.xml=" + SUITE.format(BAD * 5))})
    async with open_site() as site:
        run = await run_of(home, site)
        (found,) = (await site.get(f"/api/v1/runs/{run}/reports")).json()["steps"]
    assert (found["totals"]["failed"], len(found["failed"]), found["complete"]) == (5, 2, False)


async def test_a_report_that_is_kept_as_a_large_file(home, open_site):
    home.write({"a": step(write=f"junit.xml={SUITE.format(OK)}*{(1 << 20) // 50}")})
    async with open_site() as site:
        run = await run_of(home, site)
        (found,) = (await site.get(f"/api/v1/runs/{run}/reports")).json()["steps"]
    (problem,) = found["problems"]
    assert found["totals"]["passed"] == 1, "of the first document in it"
    assert "junk after document element" in problem["message"]


async def test_summaries(home, open_site):
    home.write(
        {
            "a": step(write=".flow-summary.a.md=# Fine <script>", then="b"),
            "b": step(write=".flow-summary.a.md=not of this one", then="c"),
            "c": step(write=f".flow-summary.c.md=x*{reports.SUMMARY_BYTES + 1}", fail="d", exit=1),
            "d": step(),
        }
    )
    async with open_site() as site:
        run = await run_of(home, site)
        found = (await site.get(f"/api/v1/runs/{run}/summaries")).json()
    assert [(each["step"], each["attempt"], len(each["text"]), each["cut"]) for each in found] == [
        ("a", 1, 15, False),
        ("c", 1, reports.SUMMARY_BYTES, True),
    ]
    assert found[0]["text"] == "# Fine <script>", "as it is: who shows it makes it harmless"


@pytest.mark.parametrize("write", [".flow-summary.a.md=", "x=1"])
async def test_no_summary(home, open_site, write):
    home.write({"a": step(write=write)})
    async with open_site() as site:
        run = await run_of(home, site)
        assert (await site.get(f"/api/v1/runs/{run}/summaries")).json() == []
