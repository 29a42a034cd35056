"""Secrets: set, never read again, given to steps that may have them; keys are changed while all goes on."""

import subprocess

import pytest
from sqlalchemy import insert, select

from flowbuild.core.errors import InvalidRequest, NotFound, VaultError
from flowbuild.core.scoping import Asking, SecretScope
from flowbuild.core.sources import Trust
from flowbuild.services.audit import Actor, AuditLog
from flowbuild.services.keys import KeyService
from flowbuild.services.secrets import MOST, SecretService
from flowbuild.store.server_tables import projects, secrets
from flowbuild.testing.databases import new_sqlite
from flowbuild.vault.keys import KeyFile
from flowbuild.vault.sealing import Vault, key_of

ANN = Actor("ann", "10.0.0.1")
ALL = SecretScope()
VALUE = "correct horse battery staple"
BUILD = Asking(("build",), "", "main", "", Trust.TRUSTED)
DEPLOY = Asking(("deploy",), "prod", "main", "", Trust.TRUSTED)
PROJECT, OTHER = "team/app", "other"


@pytest.fixture
def database(tmp_path):
    database = new_sqlite(tmp_path / "flow.db")
    with database.write() as tx:
        for number, name in enumerate((PROJECT, OTHER)):
            row = {"id": f"01{number:024}", "name": name, "url": "u", "created_at": 1.0}
            tx._connection.execute(insert(projects).values(**row))
    yield database
    database.close()


@pytest.fixture
def file(tmp_path):
    return KeyFile(tmp_path / "vault.keys")


@pytest.fixture
def now():
    return [1000.0]


@pytest.fixture
def service(database, file, now):
    return SecretService(database, Vault(file.ring), lambda: now[0])


@pytest.fixture
def keys(database, file):
    return KeyService(database, file, lambda: 1.0)


def sealed(database):
    with database.read() as tx:
        return list(tx._connection.execute(select(secrets.c.sealed)).scalars())


def test_what_is_set_is_given_to_steps_and_shown_to_nobody(service, database, tmp_path, now):
    info = service.put(ANN, PROJECT, "KEY", VALUE, ALL)
    assert service.resolve(PROJECT, ["KEY", "OTHER"], BUILD) == {"KEY": VALUE}
    listed = service.of_project(PROJECT)
    assert [(each.name, each.version, each.created_by, each.used_at) for each in listed] == [("KEY", 1, "ann", 1000.0)]
    assert VALUE not in repr((info, listed, AuditLog(database).page(before=None, limit=9, project=None)))
    database.close()  # all is in the file
    found = subprocess.run(["grep", "-rlaF", VALUE, tmp_path], capture_output=True, text=True, check=False)
    assert found.stdout == ""
    control = subprocess.run(["grep", "-rlaF", "KEY", tmp_path], capture_output=True, text=True, check=False)
    assert "flow.db" in control.stdout


def test_only_declared_names_are_given(service):
    service.put(ANN, PROJECT, "KEY", VALUE, ALL)
    assert service.resolve(PROJECT, [], BUILD) == {}
    assert service.resolve(PROJECT, ["OTHER"], BUILD) == {}


def test_other_projects_have_their_own(service):
    service.put(ANN, PROJECT, "KEY", VALUE, ALL)
    assert service.resolve(OTHER, ["KEY"], BUILD) == {}
    assert service.of_project(OTHER) == []
    for action in (
        lambda: service.put(ANN, "no/such", "KEY", VALUE, ALL),
        lambda: service.of_project("no/such"),
        lambda: service.remove(ANN, OTHER, service.of_project(PROJECT)[0].id),
        lambda: service.remove(ANN, PROJECT, "\0"),
    ):
        with pytest.raises(NotFound):
            action()


def test_a_new_value_replaces_the_old_one_of_the_same_place(service, now):
    first = service.put(ANN, PROJECT, "KEY", VALUE, ALL)
    service.put(ANN, PROJECT, "KEY", "value for production", SecretScope(environment="prod"))
    now[0] = 2000.0
    again = service.put(Actor("bob"), PROJECT, "KEY", "a newer value", SecretScope(steps=("build", "build")))
    assert (again.id, again.version, again.created_at, again.updated_at) == (first.id, 2, 1000.0, 2000.0)
    assert again.scope.steps == ("build",)
    assert service.resolve(PROJECT, ["KEY"], BUILD) == {"KEY": "a newer value"}
    assert service.resolve(PROJECT, ["KEY"], DEPLOY) == {"KEY": "value for production"}
    service.remove(ANN, PROJECT, first.id)
    assert service.resolve(PROJECT, ["KEY"], BUILD) == {}


@pytest.mark.parametrize("trust", ["untrusted", "", "anything"])
def test_untrusted_runs_get_none(service, trust):
    service.put(ANN, PROJECT, "KEY", VALUE, ALL)
    service.put(ANN, PROJECT, "KEY", VALUE, SecretScope("prod", "main", ("deploy",)))
    assert service.resolve(PROJECT, ["KEY"], Asking(("deploy",), "prod", "main", "", trust)) == {}
    assert service.of_project(PROJECT)[0].used_at is None


@pytest.mark.parametrize(
    ("name", "value", "scope"),
    [
        ("", VALUE, ALL),
        ("1KEY", VALUE, ALL),
        ("../KEY", VALUE, ALL),
        ("K" * 65, VALUE, ALL),
        ("FLOW_RUN_ID", VALUE, ALL),
        ("KEY", "", ALL),
        ("KEY", "abc", ALL),
        ("KEY", "a\0bcdef", ALL),
        ("KEY", "abc\ud800def", ALL),
        ("KEY", "ä" * (MOST // 2 + 1), ALL),
        ("KEY", VALUE, SecretScope(environment="a\0")),
        ("KEY", VALUE, SecretScope(environment="x" * 129)),
        ("KEY", VALUE, SecretScope(branches="x" * 513)),
        ("KEY", VALUE, SecretScope(steps=("../x",))),
        ("KEY", VALUE, SecretScope(steps=tuple(f"s{n}" for n in range(101)))),
    ],
)
def test_what_cannot_be_a_secret(service, name, value, scope):
    with pytest.raises(InvalidRequest) as caught:
        service.put(ANN, PROJECT, name, value, scope)
    assert not value or value not in caught.value.message
    assert service.of_project(PROJECT) == []


def test_a_secret_does_not_open_in_another_row(service, database):
    service.put(ANN, PROJECT, "KEY", VALUE, ALL)
    service.put(ANN, OTHER, "KEY", "mine to give away", ALL)
    with database.write() as tx:  # who can write to the database moves a secret to where they may use it
        (text,) = [row.sealed for row in tx.secrets.of_project(tx.projects.get(PROJECT).id)]
        tx._connection.execute(secrets.update().where(secrets.c.sealed != text).values(sealed=text))
    with pytest.raises(VaultError, match="moved"):
        service.resolve(OTHER, ["KEY"], BUILD)
    assert service.resolve(PROJECT, ["KEY"], BUILD) == {"KEY": VALUE}


def test_all_that_changes_is_told(service, database):
    info = service.put(ANN, PROJECT, "KEY", VALUE, SecretScope("prod"))
    service.remove(ANN, PROJECT, info.id)
    rows = AuditLog(database).page(before=None, limit=9, project=PROJECT)
    assert [(row.actor, row.action, row.object, row.address) for row in rows] == [
        ("ann", "secret.remove", "secret:KEY", "10.0.0.1"),
        ("ann", "secret.put", "secret:KEY", "10.0.0.1"),
    ]
    assert rows[0].detail == {"environment": "prod", "branches": "", "version": 1}


class TestKeys:
    def test_changing_them(self, service, keys, database, file):
        for number in range(5):
            service.put(ANN, PROJECT, f"KEY{number}", f"{VALUE} {number}", ALL)
        old = file.ring().current
        assert keys.change(ANN) == 5
        new = file.ring().current
        assert {key_of(text) for text in sealed(database)} == {new}
        assert keys.uses() == {new: 5, old: 0}
        assert service.resolve(PROJECT, ["KEY3"], BUILD) == {"KEY3": f"{VALUE} 3"}
        assert keys.prune(ANN) == (old,)
        assert list(file.ring().keys) == [new]
        assert service.resolve(PROJECT, ["KEY4"], BUILD) == {"KEY4": f"{VALUE} 4"}
        assert (keys.reseal(), keys.prune(ANN)) == (0, ())

    def test_a_key_that_is_needed_is_not_dropped(self, service, keys, file):
        service.put(ANN, PROJECT, "KEY", VALUE, ALL)
        old = file.ring().current
        new = file.add().current  # the change died here
        assert keys.prune(ANN) == ()
        assert keys.uses() == {new: 0, old: 1}
        assert service.resolve(PROJECT, ["KEY"], BUILD) == {"KEY": VALUE}
        assert keys.reseal() == 1
        assert keys.prune(ANN) == (old,)

    def test_a_lost_key_is_named(self, service, keys, file, tmp_path):
        service.put(ANN, PROJECT, "KEY", VALUE, ALL)
        lost = file.ring().current
        (tmp_path / "vault.keys").unlink()
        KeyFile(tmp_path / "vault.keys")
        with pytest.raises(VaultError, match=lost):
            service.resolve(PROJECT, ["KEY"], BUILD)
        assert keys.uses()[lost] == 1
        with pytest.raises(VaultError, match=lost):
            keys.reseal()
