"""Runs over HTTP: look, follow, steer; who may."""

import asyncio
import json

import httpx2
import pytest
import yaml
from pydantic import TypeAdapter

from flowbuild.api.routers.runs import RunMessage
from flowbuild.client.base import RunView
from flowbuild.client.patches import apply_patch
from flowbuild.testing.home import service, step

CHAIN = {"a": step(write="a=1", then="b"), "b": step(write="b=1")}
GATE = {"a": {**step(), "environment": {"name": "prod", "approve": ["approvers"]}}}


async def messages(response):
    """Yield the messages of a stream as (event, id, data)."""
    found = {}
    async for line in response.aiter_lines():
        name, _, value = line.partition(": ")
        if line:
            found[name] = value
        elif "data" in found:
            yield found.get("event"), found.get("id"), json.loads(found["data"])
            found = {}


async def follow(site, run, **options):
    async with site.http.stream("GET", f"/api/v1/runs/{run}/events", headers=site.as_("viewer"), **options) as response:
        assert response.status_code == 200
        return [message async for message in messages(response)]


async def test_a_run_is_shown_with_the_address_of_its_repository(home, open_site):
    home.write(CHAIN)
    async with open_site() as site:
        run = await site.life.finished((await site.life.start(home)).id)
        answer = await site.get(f"/api/v1/runs/{run.id}")
    shown = TypeAdapter(RunView).validate_python(answer.json())
    assert shown.repository == f"https://flow.example/git/runs/{run.id}.git"
    assert [each.key for each in shown.steps] == ["a", "b"]
    assert str(home.data) not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


async def test_what_did_not_change_is_not_sent_again(home, open_site):
    home.write(CHAIN)
    async with open_site() as site:
        run = await site.life.finished((await site.life.start(home)).id)
        first = await site.get(f"/api/v1/runs/{run.id}")
        again = await site.get(f"/api/v1/runs/{run.id}", headers={"If-None-Match": first.headers["etag"]})
        other = await site.get(f"/api/v1/runs/{run.id}", headers={"If-None-Match": 'W/"x"'})
    assert (again.status_code, again.content) == (304, b"")
    assert other.status_code == 200


async def test_following_shows_every_event_and_ends_in_the_final_view(home, open_site):
    home.write(CHAIN)
    async with open_site() as site:
        begun = await site.life.start(home)
        found = await follow(site, begun.id)
        final = (await site.get(f"/api/v1/runs/{begun.id}")).json()
    assert found[-1][0] == "end"
    view, sequence = None, []
    for event, identifier, data in found[:-1]:
        message = TypeAdapter(RunMessage).validate_python(data)
        assert (event, identifier) == ("update", str(message.seq))
        view = apply_patch(view, message.patch) if message.patch else view
        sequence.append(message.seq)
    stored = [message for message in found[:-1] if message[2]["event"]["type"] != "attempt_phase"]
    assert [int(identifier) for _, identifier, _ in stored] == list(range(1, len(stored) + 1))
    assert TypeAdapter(RunView).dump_python(view, mode="json") == final
    assert sequence == sorted(sequence)


@pytest.mark.parametrize("way", ["header", "query"])
async def test_following_goes_on_after_the_last_message(home, open_site, way):
    home.write(CHAIN)
    async with open_site() as site:
        run = await site.life.finished((await site.life.start(home)).id)
        everything = [int(identifier) for _, identifier, _ in (await follow(site, run.id))[:-1]]
        path = f"/api/v1/runs/{run.id}/events"
        options = {"params": {"after": 3}} if way == "query" else {}
        headers = site.as_("viewer", **({"Last-Event-ID": "3"} if way == "header" else {}))
        async with site.http.stream("GET", path, headers=headers, **options) as response:
            rest = [int(identifier) async for event, identifier, _ in messages(response) if event == "update"]
    assert rest == [number for number in everything if number > 3]


async def test_a_server_that_stops_ends_its_streams(home, open_site):
    home.write({"a": step(sleep=1000)})
    async with open_site() as site:
        begun = await site.life.start(home)
        async with site.http.stream("GET", f"/api/v1/runs/{begun.id}/events", headers=site.as_("viewer")) as response:
            found = messages(response)
            await anext(found)
            site.backend.stop.set()
            rest = [event async for event, _, _ in found]
        assert "end" not in rest, "the client is to come again"
        await site.life.client.cancel(begun.id)
        await site.life.finished(begun.id)


async def test_cancel(home, open_site):
    home.write({"a": step(sleep=1000)})
    async with open_site() as site:
        begun = await site.life.start(home)
        answer = await site.post(f"/api/v1/runs/{begun.id}/cancel", json={"force": True})
        assert answer.status_code == 202
        again = await site.post(f"/api/v1/runs/{begun.id}/cancel")
        view = await site.life.finished(begun.id)
    assert (view.state, again.status_code) == ("cancelled", 202)


async def test_rerun_from_a_step_with_other_variables(home, open_site):
    home.write(CHAIN)
    async with open_site() as site:
        run = await site.life.finished((await site.life.start(home)).id)
        wanted = {"from_steps": ["b"], "variables": {"X": "1"}}
        answer = await site.post(f"/api/v1/runs/{run.id}/rerun", json=wanted)
        assert answer.status_code == 201
        view = await site.life.finished(answer.json()["id"])
        nothing = await site.post(f"/api/v1/runs/{run.id}/rerun", json={"failed": True})
        both = await site.post(f"/api/v1/runs/{run.id}/rerun", json={"failed": True, "from_steps": ["a"]})
        typo = await site.post(f"/api/v1/runs/{run.id}/rerun", json={"form_steps": ["b"]})
        unknown = await site.post(f"/api/v1/runs/{run.id}/rerun", json={"from_steps": ["c"]})
    assert [each.reused for each in view.steps] == [True, False]
    assert view.variables["X"] == "1"
    codes = {each.status_code: each.json()["code"] for each in (nothing, both, typo, unknown)}
    assert codes == {409: "conflict", 400: "invalid_request", 422: "invalid_request", 404: "not_found"}
    assert "form_steps" in typo.text


@pytest.mark.parametrize(("verb", "state"), [("approve", "succeeded"), ("reject", "failed")])
async def test_approval(home, open_site, verb, state):
    home.write(GATE)
    async with open_site() as site:
        begun = await site.life.start(home)
        await site.life.until(begun.id, "a", "waiting")
        path = f"/api/v1/runs/{begun.id}/steps/a/{verb}"
        refused = await site.post(path)
        answer = await site.post(path, "approver", json={"comment": "because"})
        view = await site.life.finished(begun.id)
        late = await site.post(path, "approver")
    assert (refused.status_code, answer.status_code, late.status_code) == (403, 202, 409)
    assert view.state == state


@pytest.mark.parametrize(
    ("approvers", "refused"),
    [
        (["maintainers"], ["developer", "approver"]),
        (["approver"], ["developer"]),
        (["developers", "developer"], ["developer"]),  # whom developers name in a file of theirs is no approver by that
        (["somebody-else"], ["developer", "approver", "maintainer", "admin"]),
    ],
)
async def test_only_those_whom_the_pipeline_names_let_a_step_act(home, open_site, approvers, refused):
    home.write({"a": {**step(), "environment": {"name": "prod", "approve": approvers}}})
    heard = {}
    async with open_site() as site:
        run = (await site.life.start(home)).id
        await site.life.until(run, "a", "waiting")
        for who in ("developer", "approver", "maintainer", "admin"):
            answer = await site.post(f"/api/v1/runs/{run}/steps/a/approve", who)
            heard[who] = answer.status_code
            if answer.is_success:
                break
        await site.life.client.cancel(run, force=True)
        await site.life.finished(run)
    assert [who for who, status in heard.items() if status == 403] == refused
    assert [status for who, status in heard.items() if who not in refused] == ([] if "admin" in refused else [202])


async def test_who_may_not_look_does_not_learn_that_a_run_exists(home, open_site, public):
    home.write(CHAIN)
    async with open_site() as site:
        run = (await site.life.finished((await site.life.start(home)).id)).id
        path, missing = f"/api/v1/runs/{run}", "/api/v1/runs/01AAAAAAAAAAAAAAAAAAAAAAAA"
        stranger, nobody = await site.get(path, "stranger"), await site.get(missing, "stranger")
        anonymous, wrong = await site.http.get(path), await site.get(path, "wrong")
        basic = await site.http.get(path, headers={"Authorization": "Basic eDp5"})
        public.add("project")
        open_to_all = await site.http.get(path)
        not_to_steer = await site.http.post(f"{path}/cancel")
    assert stranger.json()["detail"].replace(run, "X") == nobody.json()["detail"].replace(missing[-26:], "X")
    assert [each.status_code for each in (stranger, nobody, anonymous, wrong, basic)] == [404, 404, 401, 401, 401]
    assert anonymous.headers["www-authenticate"] == "Bearer"
    assert (open_to_all.status_code, not_to_steer.status_code) == (200, 401)


async def test_a_session_that_changes_something_shows_that_it_is_our_page(home, open_site):
    home.write({"a": step(sleep=1000)})
    async with open_site() as site:
        begun = await site.life.start(home)
        path, cookie = f"/api/v1/runs/{begun.id}", {"__Host-flow_session": "developer"}
        async with httpx2.AsyncClient(base_url=site.url, cookies=cookie) as browser:
            look = await browser.get(path)
            forged = await browser.post(f"{path}/cancel")
            wrong = await browser.post(f"{path}/cancel", headers={"X-Flow-Form-Token": "x"})
            real = await browser.post(f"{path}/cancel", headers={"X-Flow-Form-Token": "form of developer"})
        await site.life.finished(begun.id)
    assert [each.status_code for each in (look, forged, wrong, real)] == [200, 403, 403, 202]


@pytest.mark.parametrize("identifier", ["x", "1", "last", "..%2f", "0" * 27, "%00", "01aaaaaaaaaaaaaaaaaaaaaaaa"])
async def test_ids_are_whole(home, open_site, identifier):
    home.write(CHAIN)
    async with open_site() as site:
        answer = await site.get(f"/api/v1/runs/{identifier}")
    assert answer.status_code == 404


async def test_many_followers_of_one_run_see_the_same(home, open_site):
    home.write(CHAIN)
    async with open_site() as site:
        begun = await site.life.start(home)
        found = await asyncio.gather(*(follow(site, begun.id) for _ in range(20)))
    stored = [[m for m in one if m[2].get("event", {}).get("type") != "attempt_phase"] for one in found]
    assert len({json.dumps([(m[0], m[1], m[2].get("event")) for m in one]) for one in stored}) == 1


async def test_a_run_is_deleted_with_all_that_is_of_it(home, open_site):
    home.write({"a": {**step(write="x=1", log="one\n"), "environment": {"name": "prod", "approve": ["approvers"]}}})
    async with open_site() as site:

        async def delete(run, who):
            return (await site.http.delete(f"/api/v1/runs/{run}", headers=site.as_(who))).status_code

        begun = await site.life.start(home)
        await site.life.until(begun.id, "a", "waiting")
        early = await delete(begun.id, "maintainer")
        await site.post(f"/api/v1/runs/{begun.id}/steps/a/approve", "approver")
        await site.life.finished(begun.id)
        again = (await site.post(f"/api/v1/runs/{begun.id}/rerun", json={"failed": False, "from_steps": ["a"]})).json()
        await site.post(f"/api/v1/runs/{again['id']}/steps/a/approve", "approver")
        await site.life.finished(again["id"])
        refused = [await delete(begun.id, who) for who in ("developer", "approver", "stranger")]
        gone = await delete(begun.id, "maintainer")
        late = await delete(begun.id, "maintainer")
        left = await site.get(f"/api/v1/runs/{again['id']}")
        listed = (await site.get("/api/v1/runs")).json()["items"]
        newest = await site.life.client.runs()
        tree = (await site.get(f"/api/v1/runs/{again['id']}/workspace/tree")).json()
        rows = await asyncio.to_thread(site.backend.people.audit.page, before=None, limit=1, project=None)
        await site.life.client.delete(again["id"])
        nothing = await site.life.client.runs()
    assert (early, refused, gone, late) == (409, [403, 403, 404], 204, 404)
    assert (left.status_code, left.json()["rerun_of"], left.json()["state"]) == (200, None, "succeeded")
    assert ([each["id"] for each in listed], [each.id for each in newest], nothing) == (
        [again["id"]],
        [again["id"]],
        [],
    )
    assert [entry["name"] for entry in tree["entries"]] == [".git", ".flow.yml", "x"]
    assert [(row.actor, row.action, row.object) for row in rows] == [("maintainer", "run.delete", f"run:{begun.id}")]
    assert [list((home.data / place).iterdir()) for place in ("runs", "logs")] == [[], []]


async def test_what_an_attempt_ran(home, open_site):
    """The compose file as the engine got it, and how each container ended."""
    main, side = service(exit=3), service(log="word is s3cr3t-value")
    main["environment"] |= {"NOTE": "in s3cr3t-value the middle"}
    home.write({"a": {"compose": {"services": {"main": main, "side": side}}, "secrets": ["KEY"], "retry": 1}})
    async with open_site() as site:
        run = await site.life.start(home, secrets={"KEY": "s3cr3t-value"})
        await site.life.finished(run.id)
        path = f"/api/v1/runs/{run.id}/steps/a/compose"
        answer = await site.get(path)
        first = (await site.get(path, params={"attempt": 1})).json()
        wrong = [(await site.get(path, params={"attempt": 3})), await site.get(path.replace("/a/", "/b/"))]
        view = (await site.get(f"/api/v1/runs/{run.id}")).json()["steps"][0]["attempts"]
    services = yaml.safe_load(answer.json()["text"])["services"]
    assert (answer.json()["attempt"], first["attempt"]) == (2, 1)
    assert services["main.a"]["labels"]["flow.attempt"] == "2"
    assert services["main.a"]["environment"]["KEY"] == "***"
    assert services["main.a"]["environment"]["NOTE"] == "in *** the middle"
    assert "s3cr3t" not in answer.text
    sources = {mount["target"]: mount["source"] for mount in services["main.a"]["volumes"]}
    assert (sources["/workspace"], sources["/variables"]) == ("./workspace", "./variables")
    assert str(home.top) not in answer.text, "places on the machine are nobody's business"
    assert [each.status_code for each in wrong] == [404, 404]
    assert [each["services"]["main"] for each in view] == [
        {"status": "exited", "exit_code": 3, "oom_killed": False, "error": ""}
    ] * 2
    assert view[0]["services"]["side"]["exit_code"] == 0


async def test_a_step_that_started_nothing_ran_nothing(home, open_site):
    home.write({"a": step(exit=1, then="b"), "b": step()})
    async with open_site() as site:
        run = (await site.life.finished((await site.life.start(home)).id)).id
        answer = await site.get(f"/api/v1/runs/{run}/steps/b/compose")
    assert answer.status_code == 404
    assert "no containers" in answer.json()["detail"]
