"""Who may set which variables."""

from types import SimpleNamespace

import pytest

from flowbuild.core.steering import guarded, refusals
from flowbuild.spec.load import load_pipelines
from flowbuild.spec.source import MemoryRepository

PLAIN = "{compose: {services: {main: {image: busybox}}}}"
OBEYED = ["PATH", "LD_PRELOAD", "BASH_ENV", "PYTHONSTARTUP", "NODE_OPTIONS", "GIT_SSH_COMMAND", "DOCKER_HOST"]
OPTIONS = ["MAKEFLAGS", "GOFLAGS", "PIP_INDEX_URL", "npm_config_registry", "CARGO_BUILD_RUSTC_WRAPPER", "https_proxy"]
ORDINARY = ["VERSION", "NODE_ENV", "PYTHON_VERSION", "LDFLAGS", "GITHUB", "PIPELINE", "TARGET"]


def pipeline(step=PLAIN, variables=()):
    written = "".join(f"      {name}: x\n" for name in variables)
    text = f"pipelines:\n  p:\n    variables:\n{written or '      A: x'}\n    steps: {{a: {PLAIN}, b: {step}}}\n"
    loaded = load_pipelines(MemoryRepository({".flow.yml": text}))
    assert not loaded.findings
    return loaded.pipelines["p"]


def test_what_is_guarded():
    assert not guarded(pipeline())
    assert guarded(pipeline(PLAIN[:-1] + ", secrets: [KEY]}"))
    assert guarded(pipeline(PLAIN[:-1] + ", environment: {name: qa}}"))


@pytest.mark.parametrize("name", [*OBEYED, *OPTIONS, *ORDINARY])
def test_what_is_not_declared_is_refused(name):
    assert refusals(pipeline(), [name]) == [f"the pipeline declares no variable {name}"]


@pytest.mark.parametrize("name", [*OBEYED, *OPTIONS])
def test_what_programs_obey_is_refused_even_when_it_is_declared(name):
    (told,) = refusals(SimpleNamespace(variables={name: "x"}), [name])
    assert name in told


def test_the_rest_of_what_is_declared_may_be_set():
    assert refusals(pipeline(variables=ORDINARY), ORDINARY) == []
    assert len(refusals(pipeline(variables=ORDINARY), [*ORDINARY, "OTHER", "MORE"])) == 2
