"""What a server with a cluster begins with, and what it refuses."""

import asyncio

import pytest

from flowbuild.cluster.base import Node
from flowbuild.core.errors import InvalidRequest, NoManager
from flowbuild.services.nodes import NodeBook
from flowbuild.services.overlays import Overlays
from flowbuild.services.placing import Standing
from flowbuild.services.signals import Signals
from flowbuild.settings import Settings
from flowbuild.testing.databases import new_sqlite
from flowbuild.testing.fake_cluster import FakeCluster
from flowbuild.wiring.cluster import Clustered, clustered, standing


@pytest.fixture
def database(tmp_path):
    database = new_sqlite(tmp_path / "flow.db")
    yield database
    database.close()


def made(cluster, database):
    signals = Signals()
    parts = {"cluster": cluster, "database": database, "signals": signals}
    overlays = Overlays(**parts, instance="me", pool="10.224.0.0/16", prefix=25)
    return Clustered(cluster, NodeBook(**parts), overlays)


def test_a_server_without_a_cluster_has_none(database, tmp_path):
    assert clustered(Settings(home=tmp_path), database, Signals(), "me") is None


def test_pools_do_not_overlap(database, tmp_path):
    settings = Settings(home=tmp_path, cluster="swarm", overlay_pool="10.201.0.0/20")
    with pytest.raises(InvalidRequest, match="FLOW_OVERLAY_POOL"):
        clustered(settings, database, Signals(), "me")
    assert (
        clustered(settings.model_copy(update={"overlay_pool": "10.224.0.0/12"}), database, Signals(), "me") is not None
    )


async def test_nodes_are_known_before_anything_is_handed_out(database):
    cluster = FakeCluster(Node("n1", "one"))
    there = made(cluster, database)
    async with there.working():
        assert there.nodes.of("n1") == Node("n1", "one")
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert len(others) == 2
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_engine_that_is_no_manager_is_refused(database, monkeypatch):
    async def nodes(_self):
        raise NoManager("the engine at x is no manager of a Swarm")

    monkeypatch.setattr(FakeCluster, "nodes", nodes)
    with pytest.raises(NoManager):
        async with made(FakeCluster(), database).working():
            pass


@pytest.mark.parametrize(
    ("changed", "taking", "draining"),
    [
        ({}, True, False),
        ({"state": "unknown"}, True, False),
        ({"state": "down"}, False, False),
        ({"availability": "pause"}, False, False),
        ({"availability": "drain"}, False, True),
    ],
)
def test_what_a_node_is_to_placement(changed, taking, draining):
    node = Node("n1", "one", "worker", labels={"disk": "ssd"}, **changed)
    assert standing(node) == Standing("worker", {"disk": "ssd"}, taking, draining)


def test_what_is_not_in_the_cluster_has_no_place_there(database):
    assert made(FakeCluster(), database).placing().standing("") is None
