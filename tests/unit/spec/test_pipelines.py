"""What pipeline files mean: the design's example, the seed's form, every key, matrices, hashes."""

from __future__ import annotations

import dataclasses

import pytest

from flowbuild.core.model import Edge, EdgeKind, Environment, Join, MergePolicy, Pipeline, Retry
from flowbuild.spec import compile as compiler
from flowbuild.spec import yamlpos
from flowbuild.spec.assemble import definition_hash
from flowbuild.spec.findings import Finding, InvalidFile, Severity
from flowbuild.spec.load import load_pipelines
from flowbuild.spec.source import MemoryRepository

SERVICE = "services:\n  a: {image: alpine, command: 'true'}\n"
FILES = {
    "c.yml": SERVICE,
    "db.yml": "services:\n  tests: {image: alpine, depends_on: [db]}\n  db: {image: alpine}\n",
    "bad.yml": "services:\n  a: {imagee: alpine}\n",
    "broken.yml": "services: [",
    "env.yml": 'services:\n  a: {image: alpine, environment: ["B=${{ nothing }}"]}\n',
}

DESIGN = """\
pipelines:
  release:
    on:                                  # triggers; every pipeline can also be started by hand
      push: {branches: [main, "release/*"], paths: ["src/**"]}
      tag: {tags: ["v*"]}
      pull_request: {branches: [main]}
      schedule: [{cron: "0 3 * * *", timezone: Europe/Riga, branch: main}]
      webhook: {name: nightly}           # POST /hooks/<project>/nightly with a token; JSON body -> inputs
    inputs:                              # typed; form in the web, flags in the CLI, checked by the API
      target: {type: choice, options: [qa, prod], default: qa, description: Where to deploy}
    variables: {GOFLAGS: -mod=vendor}    # initial context variables
    concurrency: {group: "deploy-${{ inputs.target }}", limit: 1, cancel_running: false}
    timeout: 1h
    checkout: true                       # workspace starts as the source tree; false = empty (the seed's "git" job clones)
    steps:
      build:
        action: ci/build-compose.yml     # a compose file of the repository …
        success: [unit, integration]     # parallel
        fail: [email]
      unit:
        compose:                         # … or the definition itself
          services:
            unit: {image: "python:3.13-slim", command: make test}
        success: [deploy]
        fail: [email]
        retry: {max: 2, on: [errored]}
        timeout: 10m
        cache: {inputs: ["src/**", "tests/**"]}
      integration:
        action: ci/integration-compose.yml
        main: [tests]                    # whose exit decides; default: services that no other service depends on
        success: [{step: deploy, if: "branch == 'main'"}]
        fail: [email]
      deploy:
        environment: {name: "${{ inputs.target }}", approve: [maintainers]}   # gate + exclusive lock + environment secrets
        secrets: [DEPLOY_KEY]
        action: ci/deploy-compose.yml
        background: true                 # succeeded when healthy; stays up, reachable as <service>.deploy, until the run ends
        success: [smoke]
        fail: [email]
      smoke: {action: ci/smoke-compose.yml, fail: [email]}
      email: {action: ci/email-compose.yml, join: any}
"""

SEED = """\
workflows:
    - workflow:
        name: "supper workflow"
        jobs:
            job:
                name: "git"
                action: git-compose.yml
                success:
                    - build
                fail:
                    - email
            job:
                name: build
                action: build-compose.yml
                success:
                    - deploy
                fail:
                    - email
            job:
                name: deploy
                action: qa-deploy-compose.yml
                success:
                    - integration-tests
                fail:
                    - email
            job:
                name: integration-tests
                action: integration-compose.yml
                fail:
                    - email
            job:
                name: email
                action: email-compose.yaml
"""
SEED_FILES = dict.fromkeys(
    ("git-compose.yml", "build-compose.yml", "qa-deploy-compose.yml", "integration-compose.yml", "email-compose.yaml"),
    SERVICE,
)


def load(text: str, **files: str) -> Pipeline:
    result = load_pipelines(MemoryRepository({**FILES, **files, ".flow.yml": text}))
    assert result.findings == [], "\n".join(map(str, result.findings))
    (pipeline,) = result.pipelines.values()
    return pipeline


def body(text: str) -> Pipeline:
    return load("pipelines:\n  p:\n" + "".join(f"    {line}\n" for line in text.strip().split("\n")))


def steps(text: str) -> Pipeline:
    return body("steps:\n" + "".join(f"  {line}\n" for line in text.strip().split("\n")))


def edges(pipeline: Pipeline) -> list[tuple[str, str, str]]:
    return [(edge.source, edge.kind.value, edge.target) for edge in pipeline.edges]


def test_the_example_of_the_design() -> None:
    names = ("build", "deploy", "smoke", "email")
    files = {f"ci/{name}-compose.yml": SERVICE for name in names} | {"ci/integration-compose.yml": FILES["db.yml"]}
    pipeline = load(DESIGN, **files)
    assert pipeline.name == "release"
    assert [step.key for step in pipeline.steps] == ["build", "unit", "integration", "deploy", "smoke", "email"]
    (schedule,) = pipeline.triggers["schedule"]
    assert schedule == {"cron": "0 3 * * *", "timezone": "Europe/Riga", "branch": "main", "misfire": "once"}
    assert pipeline.triggers["push"]["branches"] == ["main", "release/*"]
    assert sorted(pipeline.triggers) == ["pull_request", "push", "schedule", "tag", "webhook"]
    assert pipeline.variables == {"GOFLAGS": "-mod=vendor"}
    assert (pipeline.timeout, pipeline.checkout) == (3600.0, True)
    assert pipeline.concurrency.group == "deploy-${{ inputs.target }}"
    unit = pipeline.step("unit")
    assert (unit.retry, unit.timeout) == (Retry(2, frozenset({"errored"})), 600.0)
    assert unit.cache.inputs == ("src/**", "tests/**")
    assert unit.main == ("unit",)
    assert pipeline.step("integration").main == ("tests",)
    deploy = pipeline.step("deploy")
    assert deploy.environment == Environment("${{ inputs.target }}", ("maintainers",))
    assert (deploy.secrets, deploy.background) == (("DEPLOY_KEY",), True)
    assert pipeline.step("email").join is Join.ANY
    assert Edge("integration", "deploy", EdgeKind.SUCCESS, "branch == 'main'") in pipeline.edges
    assert str(pipeline.step("unit").position) == ".flow.yml:20:7"


def test_the_form_of_the_seed() -> None:
    pipeline = load(SEED, **SEED_FILES)
    assert pipeline.name == "supper workflow"
    assert [step.key for step in pipeline.steps] == ["git", "build", "deploy", "integration-tests", "email"]
    assert edges(pipeline) == [
        ("git", "success", "build"),
        ("git", "fail", "email"),
        ("build", "success", "deploy"),
        ("build", "fail", "email"),
        ("deploy", "success", "integration-tests"),
        ("deploy", "fail", "email"),
        ("integration-tests", "fail", "email"),
    ]


@pytest.mark.parametrize(
    "jobs",
    [
        "{job: {name: a, action: c.yml, success: b}, job: {name: b, action: c.yml}}",
        "{job: {name: a, action: c.yml, success: b}, b: {action: c.yml}}",
        "{job: {name: a, action: c.yml, success: b}, b: {action: c.yml}, job: {name: c, action: c.yml}}",
        "{a: {action: c.yml, success: b}, b: {action: c.yml}}",
        "{x: {name: a, action: c.yml, success: b}, b: {action: c.yml}}",
        "[{name: a, action: c.yml, success: b}, {name: b, action: c.yml}]",
        "[{job: {name: a, action: c.yml, success: b}}, {job: {name: b, action: c.yml}}]",
        "[{a: {action: c.yml, success: b}}, {b: {action: c.yml}}]",
    ],
)
@pytest.mark.parametrize("workflow", ["- workflow: {name: w w, jobs: %s}", "- {name: w w, jobs: %s}"])
def test_all_forms_of_jobs_mean_the_same(workflow: str, jobs: str) -> None:
    pipeline = load("workflows:\n  " + workflow % jobs)
    assert pipeline.name == "w w"
    assert [step.key for step in pipeline.steps][:2] == ["a", "b"]
    assert edges(pipeline) == [("a", "success", "b")]


def test_a_workflow_takes_the_keys_of_a_pipeline() -> None:
    pipeline = load("workflows: [{name: w, timeout: 5m, jobs: [{name: a, action: c.yml, timeout: 1m}]}]")
    assert (pipeline.timeout, pipeline.steps[0].timeout) == (300.0, 60.0)


def test_short_forms() -> None:
    pipeline = body("""
on: [push, tag]
concurrency: one
timeout: 90
notify: [me, {to: [you, them], on: recovered, branches: main}]
merge: {"dist/**": theirs}
merge_variables: {A: max}
inputs: {a: , n: {type: number, default: 3.50}, s: {default: 3.50}, b: {type: boolean, default: true}, t: {default: true}}
variables: {V: 3.10, T: true, N: , M: no}
description: hello
checkout: false
steps:
  a: {action: ./c.yml, success: b, retry: 2, environment: qa, secrets: KEY, main: a, always: {step: c, if: true}}
  b: {action: c.yml, if: "true"}
  c: {action: c.yml, allow_failure: true, retry: {max: 1, on: timeout, delay: 1h30m}}
""")
    assert list(pipeline.triggers) == ["push", "tag"]
    assert (pipeline.concurrency.group, pipeline.timeout, pipeline.checkout) == ("one", 90.0, False)
    assert pipeline.notify == (
        {"to": ["me"], "on": ["failed", "errored", "recovered", "approval"], "branches": []},
        {"to": ["you", "them"], "on": ["recovered"], "branches": ["main"]},
    )
    assert [(rule.pattern, rule.policy) for rule in pipeline.merge] == [("dist/**", MergePolicy.THEIRS)]
    assert [(rule.pattern, rule.policy) for rule in pipeline.merge_variables] == [("A", MergePolicy.MAX)]
    assert [given.default for given in pipeline.inputs] == [None, 3.5, "3.50", True, "true"]
    assert pipeline.variables == {"V": "3.10", "T": "true", "N": "", "M": "no"}
    a, b, c = pipeline.steps
    assert (a.action, a.retry, a.environment) == (
        "c.yml",
        Retry(2, frozenset({"failed", "errored"})),
        Environment("qa"),
    )
    assert (a.secrets, a.main, b.condition) == (("KEY",), ("a",), "true")
    assert (c.retry, c.allow_failure) == (Retry(1, frozenset({"timeout"}), 5400.0), True)
    assert pipeline.edges[1] == Edge("a", "c", EdgeKind.ALWAYS, "true")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "push",
            {
                "push": {"branches": [], "branches_ignore": [], "tags": [], "tags_ignore": []}
                | {"paths": [], "paths_ignore": []}
            },
        ),
        (
            "{push: }",
            {
                "push": {"branches": [], "branches_ignore": [], "tags": [], "tags_ignore": []}
                | {"paths": [], "paths_ignore": []}
            },
        ),
        (
            "{schedule: {cron: '*/5 * * * *'}}",
            {"schedule": [{"cron": "*/5 * * * *", "timezone": "UTC", "branch": None, "misfire": "once"}]},
        ),
        ("{webhook: hook.1}", {"webhook": {"name": "hook.1"}}),
        ("{schedule: []}", {}),
        ("{}", {}),
        ("", {}),
    ],
)
def test_triggers(text: str, expected: dict) -> None:
    assert body(f"on: {text}\nsteps: {{a: {{action: c.yml}}}}").triggers == expected


def test_a_matrix_fans_out_and_in() -> None:
    pipeline = steps("""
build: {action: c.yml, success: test}
test:
  matrix: {py: [3.9, 3.10], os: [debian], exclude: [{py: 3.9}], include: [{py: "3.13", os: alpine}, {extra: x}]}
  if: matrix.py != '' && steps.build.outcome == 'succeeded'
  compose:
    services: {t: {image: alpine, environment: {PY: "${{ matrix.py }} on ${{matrix.os}} $${{ matrix.py }}"}}}
  success: [{step: pack, if: "steps.test.outcome == 'succeeded'"}, test2]
test2: {action: c.yml, matrix: {n: [1, 2]}, success: pack}
pack: {action: c.yml, if: "steps['test-3-10-debian'].outcome == 'succeeded'", success: last}
last: {action: c.yml}
""")
    assert [step.key for step in pipeline.steps] == [
        "build", "test-3-10-debian", "test-3-13-alpine", "test-x", "test2-1", "test2-2", "pack", "last",
    ]  # fmt: skip
    assert edges(pipeline)[:3] == [("build", "success", f"test-{end}") for end in ("3-10-debian", "3-13-alpine", "x")]
    assert len([edge for edge in pipeline.edges if edge.target == "pack"]) == 3 + 2
    assert len([edge for edge in pipeline.edges if edge.target.startswith("test2")]) == 3 * 2
    first = pipeline.step("test-3-10-debian")
    assert first.matrix == {"py": "3.10", "os": "debian"}
    assert first.name == "test"
    assert first.compose["services"]["t"]["environment"]["PY"] == "3.10 on debian $${{ matrix.py }}"
    assert "${{ matrix.py }}" in pipeline.step("test-x").compose["services"]["t"]["environment"]["PY"]
    assert len({step.definition_hash for step in pipeline.steps if step.name == "test"}) == 3


def test_an_edge_may_name_one_variant_of_a_matrix() -> None:
    pipeline = steps("""
t: {action: c.yml, matrix: {n: [1, 2]}}
a: {action: c.yml, success: t-2}
""")
    assert edges(pipeline) == [("a", "success", "t-2")]


def test_long_and_odd_matrix_values_get_short_keys() -> None:
    pipeline = steps(f"t: {{action: c.yml, matrix: {{n: [{'x' * 60}, {'x' * 61}, '***', '']}}}}")
    keys = [step.key for step in pipeline.steps]
    assert len(set(keys)) == 4
    assert all(len(key) <= 48 for key in keys)


def test_the_hash_of_a_definition() -> None:
    base = steps("a: {action: c.yml}").steps[0]
    same = "a: {action: c.yml, timeout: 5m, retry: 1, fail: b, if: 'true', environment: qa}\nb: {action: c.yml}"
    assert {step.definition_hash for step in steps(same).steps} == {base.definition_hash}
    inline = "a: {compose: {services: {a: {command: 'true', image: alpine}}}}"
    assert steps(inline).steps[0].definition_hash == base.definition_hash
    for other in ("secrets: K", "background: true", "matrix: {n: [1]}"):
        assert steps(f"a: {{action: c.yml, {other}}}").steps[0].definition_hash != base.definition_hash
    changed = dataclasses.replace(base, compose={"services": {"a": {"image": "debian"}}})
    assert definition_hash(changed) != base.definition_hash


def test_free_keys_and_anchors() -> None:
    pipeline = load("x-common: &common {fail: email, timeout: 5m}\npipelines:\n  p:\n    steps:\n"
                    "      a: {<<: *common, action: c.yml}\n      b: {<<: *common, action: c.yml, timeout: 1m}\n"
                    "      email: {action: c.yml}\n")  # fmt: skip
    assert [step.timeout for step in pipeline.steps] == [300.0, 60.0, None]
    assert edges(pipeline) == [("a", "fail", "email"), ("b", "fail", "email")]


@pytest.mark.parametrize(
    "form", ["pipelines: {p: {%s}, q: {notify: [], %s}}", "workflows: [{name: p, %s}, {name: q, notify: [], %s}]"]
)
def test_what_the_file_says_counts_for_pipelines_that_do_not_say_it(form: str) -> None:
    own = "steps: {a: {action: c.yml}}" if form.startswith("pipelines") else "jobs: {a: {action: c.yml}}"
    text = f"notify: {{to: team, branches: main}}\n{form % (own, own)}\n"
    loaded = load_pipelines(MemoryRepository({**FILES, ".flow.yml": text}))
    assert loaded.findings == []
    assert [entry["to"] for entry in loaded.pipelines["p"].notify] == [["team"]]
    assert loaded.pipelines["q"].notify == ()
    without = load_pipelines(MemoryRepository({**FILES, ".flow.yml": text.partition("\n")[2]}))
    assert without.pipelines["p"].notify == ()


def test_alternatives_do_not_make_a_step_unreachable() -> None:
    pipeline = steps("""
a: {action: c.yml, success: [b, x], fail: [c, x]}
b: {action: c.yml, success: d, fail: e}
c: {action: c.yml, success: d, always: e, allow_failure: true}
d: {action: c.yml, join: any}
e: {action: c.yml}
x: {action: c.yml}
""")
    assert len(pipeline.steps) == 6


def test_problems_of_compose_files_are_told_once() -> None:
    text = "pipelines: {p: {steps: {a: {action: bad.yml, success: b}, b: {action: bad.yml}, c: {action: broken.yml}}}}"
    result = load_pipelines(MemoryRepository({**FILES, ".flow.yml": text}))
    assert {finding.position.file for finding in result.findings} == {"bad.yml", "broken.yml"}
    assert len([f for f in result.findings if f.code == "compose_unknown_key"]) == 1
    assert result.pipelines == {}


def test_an_expression_in_a_compose_file_is_named_there() -> None:
    text = "pipelines: {p: {steps: {a: {action: env.yml}}}}"
    (finding,) = load_pipelines(MemoryRepository({**FILES, ".flow.yml": text})).findings
    assert (finding.code, finding.position.file, finding.position.line) == ("interpolation", "env.yml", 2)


def test_one_wrong_pipeline_does_not_take_the_others_along() -> None:
    text = "pipelines: {good: {steps: {a: {action: c.yml}}}, bad: {steps: {a: {action: nothing.yml}}}}"
    document, findings = yamlpos.load(text.encode(), ".flow.yml")
    assert findings == []
    pipelines, found = compiler.compile(document, MemoryRepository(FILES), trusted=False)
    assert list(pipelines) == ["good"]
    assert [finding.code for finding in found] == ["missing_file"]


def test_findings_are_bounded() -> None:
    many = ", ".join(f"s{n}: {{actoin: c.yml}}" for n in range(compiler.MAX_FINDINGS))
    text = f"pipelines: {{p: {{steps: {{{many}}}}}, q: {{steps: 1}}, r: {{}}}}"
    findings = load_pipelines(MemoryRepository({".flow.yml": text})).findings
    assert len(findings) == compiler.MAX_FINDINGS + 1
    assert findings[-1].code == "too_many_findings"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("".join(f"      s{n}: {{action: c.yml}}\n" for n in range(1001)), "more than 1000 steps"),
        (
            "".join(f"      s{n}: {{action: c.yml, matrix: {{n: {list(range(200))}}}}}\n" for n in range(6)),
            "more than 1000",
        ),
        (
            (
                f"      a: {{action: c.yml, matrix: &m {{n: {list(range(200))}}}, success: b}}\n"
                "      b: {action: c.yml, matrix: *m}\n"
            ),
            "more than 20000 edges",
        ),
    ],
)
def test_the_size_of_a_pipeline_is_bounded(text: str, message: str) -> None:
    result = load_pipelines(MemoryRepository({**FILES, ".flow.yml": f"pipelines:\n  p:\n    steps:\n{text}"}))
    assert [finding.code for finding in result.findings] == ["too_many"]
    assert message in result.findings[0].message


def test_the_number_of_expressions_and_pipelines_is_bounded() -> None:
    conditions = "".join(f"      s{n}: {{action: c.yml, if: branch == '{n}'}}\n" for n in range(1000))
    more = "    variables: {A: \"${{ branch + 'x' }}\"}\n"
    text = f"pipelines:\n  p:\n{more}    steps:\n{conditions}"
    result = load_pipelines(MemoryRepository({**FILES, ".flow.yml": text}))
    assert [finding.message for finding in result.findings] == ["more than 1000 different expressions in one file"]
    many = "".join(f"  p{n}: {{steps: {{a: {{action: c.yml}}}}}}\n" for n in range(201))
    result = load_pipelines(MemoryRepository({**FILES, ".flow.yml": f"pipelines:\n{many}"}))
    assert [finding.message for finding in result.findings] == ["more than 200 pipelines"]


def test_a_finding_is_shown_and_given_as_data() -> None:
    text = "pipelines: {p: {steps: {a: {action: c.yml, joi: any}}}}"
    (finding,) = load_pipelines(MemoryRepository({**FILES, ".flow.yml": text})).findings
    assert str(finding) == (
        ".flow.yml:1:44: error: unknown key `joi` [unknown_key]\n    hint: did you mean `join` or `main`?"
    ) or str(finding).startswith(
        ".flow.yml:1:44: error: unknown key `joi` [unknown_key]\n    hint: did you mean `join`"
    )
    assert finding.to_dict() == {
        "code": "unknown_key", "severity": "error", "file": ".flow.yml", "line": 1, "column": 44,
        "message": "unknown key `joi`", "hint": finding.hint,
    }  # fmt: skip
    error = InvalidFile([finding])
    assert (error.findings, error.code, str(error)) == (
        (finding,),
        "invalid_file",
        "the pipeline cannot be used: 1 error",
    )
    warning = Finding("x", finding.position, "y", severity=Severity.WARNING)
    assert str(warning) == ".flow.yml:1:44: warning: y [x]"
