"""What decides the result of a step, and what does not: one row for every fact that a runner is told."""

import dataclasses
import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flowbuild.client.runner import Assignment, Lease
from flowbuild.core.cache import RUN_FACTS, SOURCE_FACTS, cache_key
from flowbuild.core.model import Cache, Retry
from flowbuild.runner.cached import ingredients, what_it_reads
from flowbuild.runner.plan import make_plan
from flowbuild.runner.tools import RunnerPlaces
from flowbuild.services.assignments import flow_environment
from flowbuild.spec.load import load_pipelines
from flowbuild.workspace.declared import Declared
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.slots import Slots

FILE = """
pipelines:
  p:
    inputs: {target: {default: qa}}
    steps:
      s:
        cache: true
        secrets: TOKEN
        main: app
        compose:
          services:
            app:
              image: app:${VERSION}
              command: make
              environment: {TARGET: "${{ inputs.target }}", WHERE: "${{ branch }}", LEVEL: "$LEVEL", ONLY: }
              volumes: ["./data:/data"]
            db: {image: db, build: {context: ci, dockerfile: db.Dockerfile, args: {A: "$NOTE"}}}
          configs: {settings: {content: "level $LEVEL"}}
"""
NARROW = Cache(inputs=("src/**",), variables=("LEVEL",))
TREE = Declared(((".", 0o40000, "aa" * 32),))
ENVIRONMENT = {
    "FLOW": "true", "FLOW_RUN_ID": "01A", "FLOW_RUN_NUMBER": "7", "FLOW_PROJECT": "shop", "FLOW_PIPELINE": "p", "FLOW_STEP": "s",
    "FLOW_ATTEMPT": "1", "FLOW_BRANCH": "main", "FLOW_TAG": "", "FLOW_COMMIT": "c" * 40, "FLOW_EVENT": "manual",
    "FLOW_FAILED_STEPS": "", "FLOW_SUMMARY": "/workspace/s.md", "FLOW_INPUT_TARGET": "qa", "FLOW_MATRIX_SIZE": "big",
}  # fmt: skip


class Source:
    def __init__(self, text):
        self.text = text

    def read(self, path):
        return self.text.encode() if path == ".flow.yml" else None

    def names(self, folder):
        return [".flow.yml"] if not folder else []


def step(text=FILE, **changes):
    loaded = load_pipelines(Source(text))
    assert loaded.findings == [] or not any(f.severity == "error" for f in loaded.findings), loaded.findings
    return dataclasses.replace(loaded.pipelines["p"].step("s"), **changes)


def changed_step(*path, value, **changes):
    document = yaml.safe_load(FILE)
    here = document["pipelines"]["p"]["steps"]["s"]
    for name in path[:-1]:
        here = here[name]
    here[path[-1]] = value
    return step(yaml.safe_dump(document, sort_keys=False), **changes)


def assignment(**changes):
    made = Assignment(
        lease=Lease("01A", "s", 1, 1),
        state="leased",
        step=step(),
        repository="/home/runs/01A/repository.git",
        input_commit="1" * 64,
        source_objects=("/source/.git/objects",),
        variables={"LEVEL": "debug", "NOTE": "n", "VERSION": "1", "PATH": "/x", "ONLY": "o"},
        secrets={"TOKEN": "secret value"},
        secret_versions={"TOKEN": "ab" * 32},
        environment=ENVIRONMENT,
        facts={"branch": "main", "inputs": {"target": "qa"}, "variables": {}, "matrix": {}, "steps": {}},
        trailers={"Flow-Run": "01A"},
    )
    return dataclasses.replace(made, **changes)


DIGESTS = {"app:1": "app@sha256:1", "app:2": "app@sha256:2", "other": "app@sha256:1"}
PLACES = RunnerPlaces(Path("/work"), "instance")


def key(made, *, cache=None, reads=TREE, digests=DIGESTS, places=PLACES):
    if cache is not None:
        made = dataclasses.replace(made, step=dataclasses.replace(made.step, cache=cache))
    plan = dataclasses.replace(make_plan(made, places), digests=digests)
    return cache_key(ingredients(plan, reads))


def variables(**changes):
    return {"variables": {**assignment().variables, **changes}}


def without(name):
    return {"variables": {n: value for n, value in assignment().variables.items() if n != name}}


def facts(**changes):
    return {"facts": {**assignment().facts, **changes}}


def environment(**changes):
    return {"environment": {**ENVIRONMENT, **changes}}


SERVICE = ("compose", "services", "app")
# What changed -> whether it counts for `cache: true`, and for a step that declares src/** and LEVEL.
CASES = [
    # the definition, as it will run
    ("command", {"step": changed_step(*SERVICE, "command", value="make all")}, True, True),
    ("user", {"step": changed_step(*SERVICE, "user", value="nobody")}, True, True),
    ("a limit", {"step": changed_step(*SERVICE, "mem_limit", value="1g")}, True, True),
    ("a mount", {"step": changed_step(*SERVICE, "volumes", value=["./other:/data"])}, True, True),
    ("environment", {"step": changed_step(*SERVICE, "environment", value={"A": "1"})}, True, True),
    ("a side service", {"step": changed_step("compose", "services", "db", "command", value="postgres")}, True, True),
    ("a build argument", {"step": changed_step("compose", "services", "db", "build", value={"context": "ci", "dockerfile": "db.Dockerfile"})}, True, True),
    ("a config", {"step": changed_step("compose", "configs", value={"settings": {"content": "other"}})}, True, True),
    ("main services", {"step": changed_step("main", value=["app", "db"])}, True, True),
    ("an input in the definition", facts(inputs={"target": "prod"}), True, True),
    ("a branch in the definition", facts(branch="other"), True, True),
    # variables
    ("a declared variable", variables(LEVEL="release"), True, True),
    ("a declared variable is gone", without("LEVEL"), True, True),
    ("a variable that an image is named by", variables(VERSION="2"), True, True),
    ("a variable that is an argument of a build", variables(NOTE="m"), True, True),
    ("a variable that a service takes over", variables(ONLY="p"), True, True),
    ("a variable that no environment gets", variables(PATH="/y"), True, False),
    ("another variable", variables(MORE="1"), True, False),
    ("a variable is gone", without("PATH"), True, False),
    # secrets
    ("the version of a secret", {"secret_versions": {"TOKEN": "cd" * 32}}, True, True),
    ("one more secret", {"secret_versions": {"TOKEN": "ab" * 32, "MORE": "cd" * 32}}, True, True),
    # where it stands
    ("the step", {"lease": Lease("01A", "t", 1, 1), **environment(FLOW_STEP="t")}, True, True),
    ("a matrix value", environment(FLOW_MATRIX_SIZE="small"), True, True),
    ("an input", environment(FLOW_INPUT_TARGET="prod"), True, True),
    ("the pipeline", environment(FLOW_PIPELINE="q"), True, True),
    ("a fact that is new", environment(FLOW_NEW="1"), True, True),
    *((f"the fact {name}", environment(**{name: "changed"}), True, False) for name in sorted(SOURCE_FACTS)),
    *((f"the fact {name}", environment(**{name: "changed"}), False, False) for name in sorted(RUN_FACTS)),
    # which run it is, and how it is run
    ("run, attempt and epoch", {"lease": Lease("01B", "s", 3, 2)}, False, False),
    ("repository and commit", {"repository": "/elsewhere", "input_commit": "2" * 64}, False, False),
    ("trailers", {"trailers": {"Flow-Run": "01B"}}, False, False),
    ("where the history comes from", {"source_objects": ("/a", "/b")}, False, False),
    ("the value of a secret", {"secrets": {"TOKEN": "other value"}}, False, False),  # its version says so
    ("facts that the definition does not use", facts(commit="x", event="push"), False, False),
    ("when it is tried again", {"step": step(retry=Retry(3, frozenset({"failed"}), 9.0))}, False, False),
    ("timeout", {"step": step(timeout=9.0)}, False, False),
    ("whether it may fail", {"step": step(allow_failure=True)}, False, False),
    ("condition", {"step": step(condition="true")}, False, False),
    ("where it stands in the file", {"step": step("\n\n" + FILE)}, False, False),
    ("nothing", {"step": changed_step(*SERVICE, "command", value="make")}, False, False),
    ("how it is written", {"step": step(FILE.replace("command: make", "command: [make]"))}, False, False),
]  # fmt: skip


@pytest.mark.parametrize("cache", [Cache(), NARROW], ids=["whole", "narrow"])
@pytest.mark.parametrize(("what", "change", "whole", "narrow"), CASES, ids=[case[0] for case in CASES])
def test_what_counts(what, change, whole, narrow, cache):
    same = key(assignment(), cache=cache) == key(assignment(**change), cache=cache)
    assert same != (narrow if cache is NARROW else whole), what


@given(rows=st.lists(st.sampled_from(CASES), max_size=6), cache=st.sampled_from([Cache(), NARROW]))
def test_any_changes_together(rows, cache):
    """Only what counts decides, however much of the rest changes with it."""
    merged = {}
    for _, change, _, _ in rows:
        merged |= change
    counts = [
        narrow if cache is NARROW else whole for _, change, whole, narrow in rows if change.items() <= merged.items()
    ]
    harmless = all(not (narrow if cache is NARROW else whole) for _, _, whole, narrow in rows)
    same = key(assignment(), cache=cache) == key(assignment(**merged), cache=cache)
    if harmless:
        assert same
    elif any(counts):
        assert not same


@pytest.mark.parametrize("cache", [Cache(), NARROW])
def test_images_count_by_what_they_are(cache):
    before = key(assignment(), cache=cache)
    assert key(assignment(), cache=cache, digests={**DIGESTS, "app:1": "app@sha256:3"}) != before
    same = assignment(step=changed_step("compose", "services", "app", "image", value="other"))
    assert key(same, cache=cache) == before, "the same image by another name"


def test_the_workspace_counts_by_what_is_declared():
    assert key(assignment(), reads=Declared((("src", 0o40000, "bb" * 32),))) != key(assignment())
    assert key(assignment(), reads=dataclasses.replace(TREE, unmatched=("x",))) == key(assignment())


def test_places_and_machines(monkeypatch):
    before = key(assignment())
    assert key(assignment(), places=RunnerPlaces(Path("/elsewhere"), "other")) == before
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert key(assignment()) != before


def test_no_secret_is_in_the_ingredients():
    plan = dataclasses.replace(make_plan(assignment(), PLACES), digests=DIGESTS)
    assert "secret value" in repr(plan)  # the control: it is there to be leaked
    assert "secret value" not in repr(ingredients(plan, TREE))


def test_every_flow_variable_is_classified():
    """A new one counts until somebody says otherwise; the documentation says of each which it is."""
    text = Path(__file__).parents[3].joinpath("docs", "pipeline-format.md").read_text()
    made = set(ENVIRONMENT) | {"FLOW_NETWORK"}
    source = Path(flow_environment.__code__.co_filename).read_text()
    for name in made - {"FLOW_INPUT_TARGET", "FLOW_MATRIX_SIZE", "FLOW_NETWORK"}:
        assert f'"{name}"' in source, "this test knows a variable that is no more"
    assert source.count('        "FLOW') == len(made) - 3, "this test does not know all variables"
    for name in made:
        assert f"`{name.replace('TARGET', 'NAME').replace('SIZE', 'NAME')}`" in text


@pytest.fixture
def repository(tmp_path):
    return RunRepository.create(tmp_path / "run.git", lfs=tmp_path / "lfs")


def commit(repository, tmp_path, files):
    slots, at = Slots(tmp_path / "work"), tmp_path / "work" / "r" / "slot"
    start = repository.initial(source=None, variables={}, trailers={}) if not (tmp_path / "start").exists() else None
    start = start or (tmp_path / "start").read_text()
    (tmp_path / "start").write_text(start)
    slot = slots.acquire(repository, "r", start, at)
    for path, content in files.items():
        (slot.workspace / path).parent.mkdir(parents=True, exist_ok=True)
        (slot.workspace / path).write_text(content)
    done = slots.commit(slot, repository, message="m", trailers={}).commit
    shutil.rmtree(at)
    return done


FILES = {"src/a": "1", "ci/db.Dockerfile": "FROM x", "ci/more": "m", "data/input": "d", "other": "o"}


@pytest.mark.parametrize(
    ("changed", "whole", "narrow"),
    [
        ("src/a", True, True),
        ("src/deep/new", True, True),
        ("ci/db.Dockerfile", True, True),  # built from, though not declared
        ("ci/more", True, True),
        ("data/input", True, False),  # mounted: that is reading files, which is declared
        ("other", True, False),
    ],
)
def test_files_that_count(repository, tmp_path, changed, whole, narrow):
    before = commit(repository, tmp_path, FILES)
    after = commit(repository, tmp_path, FILES | {changed: "changed"})
    for cache, counts in ((Cache(), whole), (NARROW, narrow)):
        made = assignment(step=step(cache=cache))
        plans = [make_plan(dataclasses.replace(made, input_commit=oid), PLACES) for oid in (before, after)]
        reads = [what_it_reads(plan, repository) for plan in plans]
        assert (reads[0].entries != reads[1].entries) == counts


def test_times_do_not_count(repository, tmp_path):
    commits = {commit(repository, tmp_path, FILES) for _ in range(2)}
    assert len(commits) == 2, "the control: the times of the files differ"
    plans = [make_plan(assignment(input_commit=oid), PLACES) for oid in commits]
    assert len({what_it_reads(plan, repository) for plan in plans}) == 1
