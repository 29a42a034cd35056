"""What every cluster must do: a class of tests, run on each implementation of `cluster.base.Cluster`.

A subclass gives the fixtures `cluster` and `bench`: a `Bench` for what people and containers do to it.
"""

# ruff: noqa: S101, D102, PT017  a module of tests without pytest: their names say what they check

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any, Protocol

from flowbuild.cluster.base import Cluster, Network
from flowbuild.core.errors import ClusterError, SubnetTaken

LABELS = {"flow.cluster": "suite", "flow.run": "r1"}
ONE, OTHER, WIDER = "10.224.7.0/25", "10.224.7.128/25", "10.224.7.0/24"


class Bench(Protocol):
    """What happens to a cluster from outside."""

    async def relabel(self, node: str, label: str, value: str) -> None:
        """Set a label of a node, by id."""
        ...

    async def use(self, network: str) -> None:
        """Let a container join a network."""
        ...

    async def leave(self, network: str) -> None:
        """Let no container be in it any more."""
        ...


async def refused(work: Any, error: type[ClusterError]) -> str:
    """Return the message of the error that some work must raise."""
    try:
        await work
    except ClusterError as raised:
        assert type(raised) is error, raised
        return raised.message
    raise AssertionError(f"no {error.__name__}")


class ClusterSuite:
    """The tests."""

    async def test_nodes_say_what_they_are(self, cluster: Cluster) -> None:
        nodes = await cluster.nodes()
        manager = next(node for node in nodes if node.role == "manager")
        assert (manager.state, manager.availability, manager.os) == ("ready", "active", "linux")
        assert manager.id
        assert manager.hostname
        assert manager.arch
        assert manager.cpus > 0
        assert manager.memory > 1 << 20
        assert len({node.id for node in nodes}) == len(nodes)

    async def test_a_change_of_a_node_is_told(self, cluster: Cluster, bench: Bench) -> None:
        first = (await cluster.nodes())[0]
        async with aclosing(cluster.changes()) as changes:
            await anext(changes)
            await bench.relabel(first.id, "disk", "ssd")
            async for _ in changes:
                if (await cluster.nodes())[0].labels.get("disk") == "ssd":
                    break

    async def test_a_network_is_made_once(self, cluster: Cluster) -> None:
        await asyncio.gather(*(cluster.ensure_network("flow-r1", LABELS, ONE) for _ in range(5)))
        await cluster.ensure_network("flow-r1", LABELS, ONE)
        assert await cluster.networks(LABELS) == [Network("flow-r1", ONE, LABELS)]
        assert Network("flow-r1", ONE, LABELS) in await cluster.networks({})
        assert not await cluster.networks({**LABELS, "flow.run": "r2"})
        assert await cluster.remove_network("flow-r1")
        assert not await cluster.networks(LABELS)

    async def test_addresses_belong_to_one_network(self, cluster: Cluster) -> None:
        await cluster.ensure_network("flow-r1", LABELS, ONE)
        for subnet in (ONE, WIDER):
            said = await refused(cluster.ensure_network("flow-r2", LABELS, subnet), SubnetTaken)
            assert "flow-r1" in said
            assert subnet in said
        await cluster.ensure_network("flow-r3", LABELS, OTHER)  # the control: this one is free
        assert [network.name for network in await cluster.networks(LABELS)] == ["flow-r1", "flow-r3"]
        assert await cluster.remove_network("flow-r1")
        await cluster.ensure_network("flow-r2", LABELS, ONE)  # and so is this one now
        assert [await cluster.remove_network(name) for name in ("flow-r2", "flow-r3")] == [True, True]

    async def test_another_network_of_that_name_is_left_alone(self, cluster: Cluster) -> None:
        await cluster.ensure_network("flow-r1", LABELS, ONE)
        await refused(cluster.ensure_network("flow-r1", LABELS, OTHER), ClusterError)
        await refused(cluster.ensure_network("flow-r1", {**LABELS, "flow.run": "r2"}, ONE), ClusterError)
        assert await cluster.networks(LABELS) == [Network("flow-r1", ONE, LABELS)]
        assert await cluster.remove_network("flow-r1")

    async def test_a_network_in_use_is_not_removed(self, cluster: Cluster, bench: Bench) -> None:
        assert await cluster.remove_network("flow-never-made")
        await cluster.ensure_network("flow-r1", LABELS, ONE)
        await bench.use("flow-r1")
        assert not await cluster.remove_network("flow-r1")
        assert await cluster.networks(LABELS)
        async with aclosing(cluster.changes()) as changes:
            await anext(changes)
            await bench.leave("flow-r1")
            async for _ in changes:  # whoever could not remove it hears when to try again
                if await cluster.remove_network("flow-r1"):
                    break
        assert not await cluster.networks(LABELS)
