"""The cluster without machines keeps the contract."""

import pytest

from flowbuild.cluster.base import Node
from flowbuild.testing.cluster_suite import ClusterSuite
from flowbuild.testing.fake_cluster import FakeCluster


@pytest.fixture
def cluster():
    return FakeCluster(Node("1", "one", "manager", os="linux", arch="x86_64", cpus=2.0, memory=1 << 30))


@pytest.fixture
def bench(cluster):
    class Bench:
        async def relabel(self, node, label, value):
            (found,) = [each for each in await cluster.nodes() if each.id == node]
            cluster.put(found, labels={label: value})

        async def use(self, network):
            cluster.used.add(network)

        async def leave(self, network):
            cluster.release([network])

    return Bench()


class TestFake(ClusterSuite):
    pass
