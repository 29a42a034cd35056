"""`flow server keys`, beside a server that works."""

import json
from time import time

import pytest
from sqlalchemy import select

from flowbuild.core.errors import InvalidRequest
from flowbuild.core.giturl import Policy
from flowbuild.core.scoping import Asking, SecretScope
from flowbuild.services.audit import Actor, AuditLog
from flowbuild.services.hooks import HookChange, HookService
from flowbuild.services.projects import ProjectChange, ProjectService
from flowbuild.services.secrets import SecretService
from flowbuild.services.signals import Signals
from flowbuild.store.chat_tables import metadata
from flowbuild.store.projects import ProjectRow
from flowbuild.store.sealed import PLACES, Sealed
from flowbuild.store.server_tables import hooks
from flowbuild.testing.databases import new_sqlite
from flowbuild.vault.keys import KeyFile
from flowbuild.vault.sealing import Vault
from flowbuild.wiring import operations
from flowbuild.workspace.remote import Credential

ANN = Actor("ann")
VALUES = [
    *(f"secret value {number}" for number in range(5)),
    "the secret of the webhook",
    "the token at the forge",
    "a password",
]
STEP = Asking(("deploy",), "", "main", "", "trusted")


@pytest.fixture
def database(tmp_path, monkeypatch):
    monkeypatch.setenv("FLOW_HOME", str(tmp_path))
    database = new_sqlite(tmp_path / "flow.db")
    with database.write() as tx:
        tx.projects.add(ProjectRow("01AAAAAAAAAAAAAAAAAAAAAAP1", "project", "https://git.example/p", 1.0))
    yield database
    database.close()


def test_keys_are_changed_while_the_server_works(database, tmp_path):
    file = KeyFile(tmp_path / "vault.keys")
    server = SecretService(database, Vault(file.ring), time)
    for name in ("ONE", "TWO"):
        server.put(Actor("ann"), "project", name, f"the value of {name}", SecretScope())
    old = file.ring().current
    assert operations.keys(change=False, prune=False) == f"{old}  seals 2"
    told = operations.keys(change=True, prune=False).splitlines()
    new = file.ring().current
    assert told[0].startswith("sealed 2 secrets with a new key")
    assert told[1:] == [f"{new}  seals 2", f"{old}  seals 0"]
    server.put(Actor("ann"), "project", "THREE", "the value of THREE", SecretScope())
    assert operations.keys(change=False, prune=True).splitlines()[1:] == [f"{new}  seals 3"]
    assert server.resolve("project", ["ONE", "THREE"], STEP) == {
        "ONE": "the value of ONE",
        "THREE": "the value of THREE",
    }
    rows = AuditLog(database).page(before=None, limit=9, project=None, actor="operator")
    assert [row.action for row in rows] == ["key.prune", "key.change"]


@pytest.mark.usefixtures("database")
def test_without_keys_none_are_made_up(tmp_path):
    with pytest.raises(InvalidRequest, match="there are no keys"):
        operations.keys(change=True, prune=False)
    assert not (tmp_path / "vault.keys").exists()


class Sealing:
    """A server's services that seal something, over one database."""

    def __init__(self, database, top):
        self.database, self.file = database, KeyFile(top / "vault.keys")
        self.vault = Vault(self.file.ring)
        self.secrets = SecretService(database, self.vault, time)
        self.hooks = HookService(database, self.vault, time)
        self.projects = ProjectService(
            database=database,
            directory=top / "mirrors",
            policy=Policy(),
            sealer=self.vault,
            signals=Signals(),
            clock=time,
        )

    def fill(self):
        """Seal one of everything, more than one of some."""
        for number in range(5):
            self.secrets.put(ANN, "project", f"KEY_{number}", f"secret value {number}", SecretScope())
        change = HookChange(secret="the secret of the webhook", token="the token at the forge")
        self.hooks.add(ANN, "project", "github", "forge", change)
        with self.database.write() as tx:
            row = tx.projects.get("project")
            tx.projects.save(self.projects._changed(row, ProjectChange(credential=Credential("ci", "a password"))))

    def opened(self):
        """Open everything again, as the server does when it needs it."""
        hook = self.hooks.find("project", "forge")
        project = self.projects.get("project")
        names = [f"KEY_{number}" for number in range(5)]
        return [
            *self.secrets.resolve("project", names, STEP).values(),
            self.hooks.secret(hook),
            self.hooks.token(hook),
            json.loads(self.vault.open(project.sealed_credential, "credential", project.id))["password"],
        ]

    def keys_in_use(self):
        """Return the keys of whatever looks sealed in any column of any table, known to `store.sealed` or not."""
        found = set()
        with self.database.read() as tx:
            for table in metadata.sorted_tables:
                for row in tx.sealed._connection.execute(select(table)):
                    found |= {text.split(".")[1] for text in map(str, row) if text.startswith("v1.")}
        return found


@pytest.fixture
def sealing(database, tmp_path):
    sealing = Sealing(database, tmp_path)
    sealing.fill()
    return sealing


def test_everything_that_is_sealed_gets_the_new_key(sealing):
    old = sealing.file.ring().current
    assert (sealing.keys_in_use(), sealing.opened()) == ({old}, VALUES)
    operations.keys(change=True, prune=True)
    (new,) = sealing.file.ring().keys
    assert (sealing.keys_in_use(), sealing.opened()) == ({new}, VALUES)
    assert new != old


def test_what_nobody_told_the_store_of_would_be_found(sealing, monkeypatch):
    """The control: a column that is sealed and not in the list of them."""
    monkeypatch.setattr(
        "flowbuild.store.sealed.PLACES", [place for place in PLACES if place is not hooks.c.sealed_token]
    )
    operations.keys(change=True, prune=False)
    assert sealing.keys_in_use() == set(sealing.file.ring().keys)


@pytest.mark.parametrize("after", range(9))
def test_a_change_that_is_cut_off_loses_nothing(sealing, monkeypatch, after):
    done = []
    replaced = Sealed.replace

    def replace(self, *values):
        if len(done) == after:
            raise KeyboardInterrupt
        done.append(values)
        replaced(self, *values)

    with monkeypatch.context() as cutting:
        cutting.setattr(Sealed, "replace", replace)
        if after < len(VALUES):
            with pytest.raises(KeyboardInterrupt):
                operations.keys(change=True, prune=True)
        else:
            operations.keys(change=True, prune=True)
    assert sealing.opened() == VALUES
    operations.keys(change=False, prune=True)
    assert (sealing.keys_in_use(), sealing.opened()) == (set(sealing.file.ring().keys), VALUES)
    assert len(sealing.file.ring().keys) == 1
