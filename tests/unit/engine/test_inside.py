"""A runner in a container finds where its volume is on the machine."""

from pathlib import Path

import pytest

from flowbuild.core.errors import EngineError, InvalidRequest
from flowbuild.engine import inside
from flowbuild.engine.inside import covering, own_ids, place_on_machine

ONE, TWO = "1" * 64, "2" * 64
MOUNTINFO = """\
715 700 0:50 / / rw,relatime master:300 - overlay overlay rw,lowerdir=/x/{id}/y
720 715 254:0 /var/lib/docker/volumes/flow_runner/_data /var/lib/flow-build rw - ext4 /dev/vda rw
721 715 254:0 /var/lib/docker/containers/{id}/resolv.conf /etc/resolv.conf rw - ext4 /dev/vda rw
722 715 254:0 /containers/{id}/hostname /etc/hostname rw - ext4 /dev/vda rw
"""
ON_A_MACHINE = "25 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n30 25 0:22 / /etc/hosts.d rw - tmpfs tmpfs rw\n"


@pytest.mark.parametrize(
    ("groups", "mounts", "ids"),
    [
        ("0::/\n", MOUNTINFO.format(id=ONE), [ONE]),
        (f"4:memory:/flow/n1/{TWO}\n1:cpu:/flow/n1/{TWO}\n", ON_A_MACHINE, [TWO]),
        (f"0::/system.slice/docker-{TWO}.scope\n", MOUNTINFO.format(id=ONE), [TWO, ONE]),
        ("0::/user.slice\n", ON_A_MACHINE, []),
        ("", "", []),
    ],
)
def test_what_may_be_the_own_container(groups, mounts, ids):
    assert own_ids(groups, mounts) == ids


VOLUME = {"Type": "volume", "Source": "/machine/volumes/home/_data", "Destination": "/home"}
SOCKET = {"Type": "bind", "Source": "/var/run/docker.sock", "Destination": "/var/run/docker.sock"}
DEEPER = {"Type": "bind", "Source": "/machine/deep", "Destination": "/home/deeper"}


def test_the_nearest_mount_counts():
    mounts = [VOLUME, SOCKET, DEEPER, {"Type": "tmpfs", "Source": "", "Destination": "/home/deeper/memory"}]
    assert covering(mounts, Path("/home")) == covering(mounts, Path("/home/deep")) == VOLUME
    assert covering(mounts, Path("/home/deeper/x")) == covering(mounts, Path("/home/deeper/memory")) == DEEPER
    with pytest.raises(InvalidRequest, match="/elsewhere is inside of this container"):
        covering(mounts, Path("/elsewhere"))


class Engine:
    """Knows one container."""

    def __init__(self, mounts):
        self.mounts = mounts

    async def inspect(self, container):
        return {"Mounts": self.mounts} if container == ONE else None


@pytest.fixture
def contained(monkeypatch):
    monkeypatch.setattr(inside, "_read", lambda path: MOUNTINFO.format(id=ONE) if path.name == "mountinfo" else TWO)


async def test_both_paths_are_one_directory(tmp_path, contained):
    volume, machine = tmp_path / "volume", tmp_path / "docker" / "volumes" / "home"
    volume.mkdir()
    engine = Engine([{"Source": str(machine), "Destination": str(volume)}])
    for _ in range(2):  # also when the container starts again
        place = await place_on_machine(engine, volume / "runs")
        assert place == machine / "runs"
    (volume / "runs").mkdir()
    assert place.samefile(volume / "runs")
    engine.mounts = [{"Source": str(tmp_path), "Destination": str(volume)}]
    with pytest.raises(EngineError, match="is something else in this container"):
        await place_on_machine(engine, volume)


async def test_out_of_containers_paths_are_what_they_are(tmp_path, monkeypatch):
    assert (
        await place_on_machine(Engine([]), tmp_path) == tmp_path
    )  # this test, perhaps in a container of another engine
    monkeypatch.setattr(inside, "_read", lambda _path: MOUNTINFO.format(id=TWO))
    assert await place_on_machine(Engine([]), tmp_path) == tmp_path
