import socket

from flowbuild.settings import Settings
from flowbuild.wiring.server import _listen


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def at_once(listening):
    """Whether what is sent on an accepted connection leaves without waiting for the other side."""
    with listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            return accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_no_part_of_an_answer_waits_for_the_one_before(tmp_path):
    assert at_once(_listen(Settings(home=tmp_path, port=free_port())))
    assert not at_once(socket.create_server(("127.0.0.1", 0)))  # the control
