import pytest

from flowbuild.core.errors import Conflict, InvalidRequest, NotFound
from flowbuild.services.audit import Actor
from flowbuild.services.hooks import HookChange, HookService, mapped_of
from flowbuild.testing.databases import new_sqlite
from flowbuild.testing.triggers import Clock, PlainSealer, add_project

ANN = Actor("ann")
PROJECT = "team/app"


@pytest.fixture
def service(tmp_path):
    database = new_sqlite(tmp_path / "flow.db")
    add_project(database, PROJECT)
    yield HookService(database, PlainSealer(), Clock())
    database.close()


def test_a_secret_is_made_and_told_once(service):
    row, secret = service.add(ANN, PROJECT, "github", "forge", HookChange())
    assert len(secret) > 30
    assert service.secret(row) == service.secret(service.find(PROJECT, "forge")) == secret
    assert service.token(row) == ""
    _, other = service.add(ANN, PROJECT, "github", "another", HookChange())
    assert other != secret
    assert [hook.name for hook in service.list(PROJECT)] == ["another", "forge"]


def test_what_can_be_changed(service):
    row, secret = service.add(ANN, PROJECT, "gitlab", "forge", HookChange(secret="s" * 16, token="glpat"))
    assert (secret, service.token(row)) == ("s" * 16, "glpat")
    same, nothing = service.change(
        ANN, PROJECT, "forge", HookChange(token="glpat", api_url="https://git.example.com/api/v4/")
    )
    assert (same.api_url, nothing, service.secret(same)) == ("https://git.example.com/api/v4", "", "s" * 16)
    new, fresh = service.change(ANN, PROJECT, "forge", HookChange(secret="", token=""))
    assert fresh not in ("", secret)
    assert (service.secret(new), service.token(new)) == (fresh, "")


def test_a_token_never_goes_along_to_another_address(service):
    url = "https://git.example.com/api/v4"
    service.add(ANN, PROJECT, "gitlab", "forge", HookChange(token="glpat", api_url=url))
    with pytest.raises(InvalidRequest, match="belongs to the old address"):
        service.change(ANN, PROJECT, "forge", HookChange(api_url="https://mallory.example"))
    assert service.find(PROJECT, "forge").api_url == url
    same, _ = service.change(ANN, PROJECT, "forge", HookChange(api_url=url + "/"))
    assert service.token(same) == "glpat"
    moved, _ = service.change(ANN, PROJECT, "forge", HookChange(token="", api_url="https://mallory.example"))
    assert service.token(moved) == ""


@pytest.mark.parametrize(
    "change",
    [HookChange(token="t\N{EURO SIGN}ken"), HookChange(token="a\nb"), HookChange(api_url="https://gíthub.com")],
)
def test_what_no_request_can_hold_is_refused(service, change):
    service.add(ANN, PROJECT, "github", "forge", HookChange())
    with pytest.raises(InvalidRequest):
        service.change(ANN, PROJECT, "forge", change)


def test_names_are_there_once(service):
    service.add(ANN, PROJECT, "github", "forge", HookChange())
    with pytest.raises(Conflict):
        service.add(ANN, PROJECT, "gitlab", "forge", HookChange())
    service.remove(ANN, PROJECT, "forge")
    service.add(ANN, PROJECT, "gitlab", "forge", HookChange())


def test_what_is_not_there(service):
    for call in (
        lambda: service.add(ANN, "team/other", "github", "x", HookChange()),
        lambda: service.change(ANN, PROJECT, "x", HookChange()),
        lambda: service.remove(ANN, PROJECT, "x"),
        lambda: service.find(PROJECT, "x"),
    ):
        with pytest.raises(NotFound):
            call()


@pytest.mark.parametrize(
    ("kind", "name", "change"),
    [
        ("githup", "x", HookChange()),
        ("github", "", HookChange()),
        ("github", "../x", HookChange()),
        ("github", "x" * 65, HookChange()),
        ("github", "x", HookChange(secret="short")),
        ("github", "x", HookChange(secret="with\nnewline and more")),
        ("github", "x", HookChange(api_url="ftp://x")),
        ("github", "x", HookChange(api_url="https://user:pass@x")),
        ("github", "x", HookChange(api_url="https://x?y")),
        ("github", "x", HookChange(api_url="https://[")),
        ("github", "x", HookChange(api_url="https://x:99999")),
        ("github", "x", HookChange(mapping={"inputs": {}})),
        ("gitea", "x", HookChange(token="t")),
        ("generic", "x", HookChange(mapping={"input": {}})),
        ("generic", "x", HookChange(mapping={"inputs": []})),
        ("generic", "x", HookChange(mapping={"inputs": {"a b": "x"}})),
        ("generic", "x", HookChange(mapping={"inputs": {"a": 1}})),
        ("generic", "x", HookChange(mapping={"branch": ""})),
    ],
)
def test_what_is_refused(service, kind, name, change):
    with pytest.raises(InvalidRequest):
        service.add(ANN, PROJECT, kind, name, change)
    assert service.list(PROJECT) == []


def test_a_mapping_is_read():
    mapped = mapped_of("generic", {"inputs": {"a": "b.c"}, "branch": "ref"})
    assert (mapped.inputs, mapped.branch, mapped.commit) == ({"a": "b.c"}, "ref", "")
    assert mapped_of("github", {}).inputs is None
