"""Docker Swarm keeps the contract, on engines of a laboratory; and what it does when managers are lost."""

import asyncio
from contextlib import aclosing

import pytest

from flowbuild.cluster import swarm
from flowbuild.cluster.base import Node
from flowbuild.cluster.swarm import Swarm, read_node
from flowbuild.core.errors import ClusterError, NoManager, SubnetTaken
from flowbuild.testing.cluster_suite import LABELS, ONE, OTHER, ClusterSuite, refused
from flowbuild.testing.images import BUSYBOX
from flowbuild.testing.lab import Lab

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("lab")]


@pytest.fixture
async def cluster(lab):
    async with Swarm(lab["n1"].host) as cluster:
        yield cluster


@pytest.fixture
def bench(lab):
    class Bench:
        async def relabel(self, node, label, value):
            await asyncio.to_thread(lab["n1"].docker, "node", "update", "--label-add", f"{label}={value}", node)

        async def use(self, network):
            arguments = ("run", "--detach", "--name", "user", "--network", network, BUSYBOX, "sleep", "600")
            await asyncio.to_thread(lab["n2"].docker, *arguments)

        async def leave(self, network):
            await asyncio.to_thread(lab["n2"].docker, "rm", "--force", "user")

    return Bench()


class TestSwarm(ClusterSuite):
    pass


async def test_a_network_without_addresses_is_an_error_and_does_not_stay(lab, cluster, monkeypatch):
    await cluster.ensure_network("flow-r1", LABELS, ONE)
    monkeypatch.setattr(swarm, "ADDRESS_SECONDS", 1.0)
    options = ("--driver", "overlay", "--attachable", "--subnet", ONE, "flow-r2")
    lab["n1"].docker("network", "create", *options)  # the control: Swarm says that all is well
    assert [each.subnet for each in await cluster.networks({}) if each.name == "flow-r2"] == [""]
    await refused(cluster.ensure_network("flow-r2", LABELS, OTHER), SubnetTaken)
    assert "flow-r2" not in [each.name for each in await cluster.networks({})]
    assert await cluster.remove_network("flow-r1")


async def test_what_is_no_manager_says_so(lab):
    async with Swarm(lab["n2"].host) as worker, Swarm(f"unix://{lab.folder}/nothing.sock") as nothing:
        for ask in (
            worker.nodes(),
            worker.networks({}),
            worker.ensure_network("n", {}, ONE),
            worker.remove_network("n"),
        ):
            assert "is no manager" in await refused(ask, NoManager)
        for ask in (nothing.nodes(), nothing.ensure_network("n", {}, ONE), nothing.remove_network("n")):
            assert "does not exist" in await hint(ask)


async def hint(ask):
    with pytest.raises(ClusterError) as caught:
        await ask
    return caught.value.hint


async def test_a_network_of_one_machine_is_another_thing(lab, cluster):
    lab["n1"].docker("network", "create", "--subnet", "10.201.9.0/26", "flow-r1")
    assert await cluster.remove_network("flow-r1")  # there is none of the Swarm
    assert "flow-r1" in lab["n1"].docker("network", "ls", "--format", "{{.Name}}").split()
    lab["n1"].docker("network", "rm", "flow-r1")


async def test_changes_go_on_when_the_engine_was_killed(lab, cluster):
    async with aclosing(cluster.changes()) as changes:
        await anext(changes)
        lab["n1"].kill_engine()
        await refused(cluster.nodes(), ClusterError)
        await asyncio.to_thread(lab["n1"].start_engine)
        async for _ in changes:
            try:
                nodes = await cluster.nodes()
            except ClusterError:  # it has no leader yet, and tells when it has
                continue
            if {node.state for node in nodes} == {"ready"}:
                break


async def test_without_a_leader_nothing_is_taken_for_gone():
    with Lab() as lab:
        lab.up(managers=2, workers=0)
        async with Swarm(lab["n1"].host) as cluster:
            await cluster.ensure_network("flow-r1", LABELS, ONE)
            async with aclosing(cluster.changes()) as changes:
                await anext(changes)
                lab["n2"].off()
                said = ""
                while "has no leader" not in said:  # until it has found out
                    try:
                        await cluster.nodes()
                    except ClusterError as error:
                        said = error.message
                asked = (cluster.remove_network("flow-r1"), cluster.networks({}), cluster.ensure_network("x", {}, ONE))
                for words in await asyncio.gather(*(refused(ask, ClusterError) for ask in asked)):
                    assert "has no leader" in words
                await asyncio.to_thread(lab["n2"].on)
                async for _ in changes:
                    try:
                        assert [each.name for each in await cluster.networks(LABELS)] == ["flow-r1"]
                        break
                    except ClusterError:
                        continue
            assert await cluster.remove_network("flow-r1")


def test_nodes_are_read_with_all_they_have():
    found = {
        "ID": "abc",
        "Spec": {"Labels": {"zone": "a"}, "Role": "worker", "Availability": "drain"},
        "Description": {
            "Hostname": "gpu-1",
            "Platform": {"Architecture": "aarch64", "OS": "linux"},
            "Resources": {
                "NanoCPUs": 1500000000,
                "MemoryBytes": 4096,
                "GenericResources": [
                    {"NamedResourceSpec": {"Kind": "GPU", "Value": "UUID1"}},
                    {"NamedResourceSpec": {"Kind": "GPU", "Value": "UUID2"}},
                    {"DiscreteResourceSpec": {"Kind": "SSD", "Value": 3}},
                ],
            },
            "Engine": {"Labels": {"storage": "nvme"}},
        },
        "Status": {"State": "down"},
    }
    labels = ({"zone": "a"}, {"storage": "nvme"})
    machine = ("linux", "aarch64", 1.5, 4096, {"GPU": 2, "SSD": 3})
    assert read_node(found) == Node("abc", "gpu-1", "worker", "drain", "down", *labels, *machine)
    new = {"ID": "new", "Spec": {"Role": "worker", "Availability": "active"}}  # it has not told anything yet
    assert read_node(new) == Node("new", "", state="unknown")
