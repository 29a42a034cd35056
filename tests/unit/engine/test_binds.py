"""Which mounts containers of a unit could redirect."""

import pytest

from flowbuild.engine.base import Labels, UnitSpec
from flowbuild.engine.binds import Bind, redirectable


def bind(source, **extra):
    return {"type": "bind", "source": source, "target": "/somewhere", **extra}


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        ([bind("/w")], {}),
        ([bind("/w"), bind("/w/sub/file")], {"a": (Bind("/w", "/w/sub/file"),)}),
        ([bind("/w"), bind("/w", target="/code")], {}),
        ([bind("/w"), bind("/w2/sub")], {}),
        ([bind("/w", read_only=True), bind("/w/sub")], {}),
        ([bind("/w"), {"type": "volume", "source": "/w/sub"}, "/w/sub:/x"], {}),
    ],
)
def test_mounts_inside_what_is_written_to(mounts, expected):
    compose = {"services": {"a": {"image": "i", "volumes": mounts}}}
    assert redirectable(UnitSpec("p", Labels("i", "r"), compose, ("a",))) == expected


def test_another_service_may_be_the_one_that_writes():
    services = {"a.s": {"volumes": [bind("/w")]}, "b.s": {"volumes": [bind("/w/x")], "labels": {"flow.service": "b"}}}
    assert redirectable(UnitSpec("p", Labels("i", "r"), {"services": services}, ("b",))) == {"b": (Bind("/w", "/w/x"),)}
