"""`flow server keys`, beside a server that works."""

from time import time

import pytest

from flowbuild.core.errors import InvalidRequest
from flowbuild.core.scoping import Asking, SecretScope
from flowbuild.services.audit import Actor, AuditLog
from flowbuild.services.secrets import SecretService
from flowbuild.store.projects import ProjectRow
from flowbuild.testing.databases import new_sqlite
from flowbuild.vault.keys import KeyFile
from flowbuild.vault.sealing import Vault
from flowbuild.wiring import operations

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
