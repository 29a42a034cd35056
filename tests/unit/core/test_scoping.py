"""Which secrets a step gets."""

from dataclasses import dataclass, replace
from itertools import permutations, product

import pytest

from flowbuild.core.scoping import Asking, SecretScope, choose, fits

DEPLOY = Asking(("deploy",), "prod", "main", "", "trusted")


@dataclass(frozen=True)
class Value:
    scope: SecretScope
    text: str = ""
    name: str = "KEY"


@pytest.mark.parametrize(
    ("scope", "asking", "fitting"),
    [
        (SecretScope(), {}, True),
        (SecretScope(environment="prod"), {}, True),
        (SecretScope(environment="prod"), {"environment": ""}, False),
        (SecretScope(environment="prod"), {"environment": "production"}, False),
        (SecretScope(environment="Prod"), {}, False),
        (SecretScope(branches="main"), {}, True),
        (SecretScope(branches="main"), {"branch": "main2"}, False),
        (SecretScope(branches="main"), {"branch": ""}, False),
        (SecretScope(branches="release/*"), {"branch": "release/1"}, True),
        (SecretScope(branches="release/*"), {"branch": "release/1/x"}, False),
        (SecretScope(branches="**"), {"branch": "any/thing"}, True),
        (SecretScope(branches="main"), {"branch": "main", "tag": "v1"}, False),  # a tag is no branch
        (SecretScope(branches="tags/v*"), {"branch": "", "tag": "v1"}, True),
        (SecretScope(branches="v*"), {"branch": "", "tag": "v1"}, False),
        (SecretScope(steps=("deploy", "smoke")), {}, True),
        (SecretScope(steps=("smoke",)), {}, False),
        (SecretScope(steps=("test",)), {"names": ("test-3-12", "test")}, True),
        (SecretScope("prod", "main", ("deploy",)), {}, True),
        (SecretScope("prod", "main", ("deploy",)), {"branch": "feature"}, False),
    ],
)
def test_scopes(scope, asking, fitting):
    assert fits(scope, replace(DEPLOY, **asking)) is fitting
    assert fits(scope, replace(DEPLOY, trust="internal", **asking)) is fitting


def test_a_run_that_is_not_known_to_be_trusted_gets_nothing():
    scopes = [SecretScope(*each) for each in product(("", "prod"), ("", "main", "**", "tags/**"), ((), ("deploy",)))]
    askings = [
        Asking(names, environment, branch, tag, trust)
        for names, environment, branch, tag, trust in product(
            (("deploy",), ()), ("", "prod"), ("main", ""), ("", "v1"), ("untrusted", "", "Trusted", "unknown")
        )
    ]
    assert not any(fits(scope, asking) for scope in scopes for asking in askings)
    # The control: with trust many of them fit.
    assert sum(fits(scope, replace(asking, trust="trusted")) for scope in scopes for asking in askings) > 100


def test_the_most_narrow_value_counts_in_whatever_order_they_come():
    values = [
        Value(SecretScope(), "all"),
        Value(SecretScope(branches="**"), "any branch"),
        Value(SecretScope(branches="ma*"), "some branches"),
        Value(SecretScope(branches="main"), "this branch"),
        Value(SecretScope(environment="prod"), "environment"),
    ]
    left = list(values)
    for expected in ("environment", "this branch", "some branches", "any branch", "all"):
        for order in permutations(left):
            assert choose(order, DEPLOY)["KEY"].text == expected
        left = [value for value in left if value.text != expected]


def test_each_name_for_itself():
    values = [Value(SecretScope(), name="A"), Value(SecretScope(environment="qa"), name="B")]
    assert set(choose(values, DEPLOY)) == {"A"}
    assert choose(values, replace(DEPLOY, trust="untrusted")) == {}
