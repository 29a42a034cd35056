"""`flow channels` over a real server."""

import asyncio
import json
import re
from dataclasses import replace

import pytest

from flowbuild.cli.main import run_program
from flowbuild.services.users import new_user
from flowbuild.store.projects import ProjectRow
from flowbuild.testing import site
from flowbuild.testing.home import Home
from flowbuild.testing.site import PROJECT
from flowbuild.wiring.remote import dial

OF = ("--of", PROJECT)


class WithAccount:
    """Who asks, as ever; the admin has an account."""

    def __init__(self, others, person):
        self.others, self.person = others, person

    def of_token(self, token):
        return replace(self.others.of_token(token), id=self.person)


@pytest.fixture
async def served(tmp_path):
    (tmp_path / "server").mkdir()
    async with site.open_site(Home(tmp_path / "server"), embedded=False) as made:

        def fill():
            with made.life.local.database.write() as tx:
                tx.projects.add(ProjectRow("01AAAAAAAAAAAAAAAAAAAAAAP1", PROJECT, "https://127.0.0.1/p", 1.0))
                user = new_user("root", "admin", 1.0)
                tx.users.add(user)
                return user.id

        person = await asyncio.to_thread(fill)
        made.backend.authenticator = WithAccount(made.backend.authenticator, person)
        yield made


@pytest.fixture
def flow(monkeypatch, capsys, tmp_path, served):
    """Calls the program as an admin of the server; returns its code and what it printed."""
    monkeypatch.setenv("FLOW_TOKEN", "admin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    async def call(*arguments):
        code = await asyncio.to_thread(run_program, None, ["--server", served.url, "channels", *arguments], dial=dial)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


async def test_a_webhook_of_a_project(flow):
    code, out, err = await flow(
        "add", "team", "webhook", "https://hooks.example.org/x/secret", *OF, "--on", "failed,recovered"
    )
    assert code == 0
    assert re.fullmatch(r"whsec_[\w+/=-]{32,}\n", out)
    assert f"flow channels test team --of {PROJECT}" in err
    assert await flow("list", *OF) == (0, "team  webhook  https://hooks.example.org/…  failed,recovered\n", "")
    code, out, _ = await flow("change", "team", *OF, "--new-secret", "--disable")
    assert (code, out.startswith("whsec_")) == (0, True)
    assert (await flow("list", *OF))[1].endswith("  disabled\n")
    code, _, err = await flow("test", "team", *OF)
    assert (code, err) == (2, "flow: the channel team is disabled\n  hint: enable it first\n")
    assert (await flow("remove", "team", *OF))[0] == 0
    assert await flow("list", *OF) == (0, "", "")


async def test_what_is_not_named_stays(flow):
    rule = ("--quiet", "22:00-07:00", "--urgent", "approval", "--timezone", "Europe/Riga", "--branch", "main,release/*")
    assert (await flow("add", "team", "matrix", "!r:x", *OF, *rule, "--digest", "08:30", "--no-mention"))[0] == 0
    before = json.loads((await flow("list", *OF, "--json"))[1])[0]["rule"]
    assert before["quiet"] == {"begin": "22:00", "end": "07:00", "timezone": "Europe/Riga", "urgent": ["approval"]}
    assert (before["branches"], before["digest"], before["mention"]) == (["main", "release/*"], "08:30", False)
    assert (await flow("change", "team", *OF, "--on", "started"))[0] == 0
    assert (await flow("change", "team", *OF, "--quiet", "23:00-06:00"))[0] == 0
    after = json.loads((await flow("list", *OF, "--json"))[1])[0]["rule"]
    assert after == before | {"on": ["started"], "quiet": {**before["quiet"], "begin": "23:00", "end": "06:00"}}
    assert (await flow("list", *OF))[1] == (
        "team  matrix  !r:x  started; branches main,release/*; digest 08:30; quiet 23:00-06:00\n"
    )
    assert (await flow("change", "team", *OF, "--quiet", "", "--branch", "", "--digest", ""))[0] == 0
    assert (await flow("list", *OF))[1] == "team  matrix  !r:x  started\n"


async def test_ones_own(flow):
    assert (await flow("add", "mine", "matrix", "--mine"))[0] == 0
    assert (await flow("list"))[1] == "mine  matrix  failed,errored,recovered,approval; mine\n"
    assert (await flow("test", "mine"))[0] == 0
    code, out, _ = await flow("log", "mine")
    assert code == 0
    assert out.split()[3:5] == ["test", "waiting"]
    identifier = out.split()[0]
    code, _, err = await flow("again", "mine", identifier)
    assert (code, "still to be sent" in err) == (2, True)
    assert json.loads((await flow("log", "mine", "--json"))[1])[0]["id"] == identifier


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "team", "mail", "x", *OF), "kind"),
        (("add", "team", "matrix", "!r:x", *OF, "--quiet", "22:00"), "no hours"),
        (("add", "team", "matrix", "!r:x", *OF, "--on", "fail"), "failed"),
        (("change", "nothing", *OF, "--on", "failed"), "no channel"),
        (("remove", "nothing"), "no channel"),
        (("add", "mine", "email", "bob@example.org"), "yourself"),
    ],
)
async def test_what_is_wrong_is_said(flow, arguments, words):
    code, _, err = await flow(*arguments)
    assert code == 2
    assert words in err
