"""Dockerfiles that lie in the workspace: what a step left there does not decide what runs a build."""

import os
from pathlib import Path

import pytest

from flowbuild.core.errors import StepFailed
from flowbuild.runner.dockerfiles import MAX_BYTES, copy_dockerfiles
from flowbuild.spec.compose import dockerfile_problem

PLAIN = "FROM scratch\n"


@pytest.mark.parametrize(
    "text",
    [
        "# syntax=evil/frontend\nFROM x\n",
        "#syntax=evil/frontend",
        "#\f\t SYNTAX\v=  evil/x:1 and more\r\nFROM x",
        "# escape=`\n# check=skip=all\n# SynTax = docker/dockerfile-evil\nFROM x",
        "# a comment\n\n# syntax=docker/dockerfile:1@sha256:0\nFROM x",
        "// syntax=evil/x\nFROM x",
        "#!/usr/bin/env evil\n// syntax=evil/x\n",
        "\ufeff# syntax=evil/x\n",
        '{"syntax": "evil/x"}',
        '\ufeff \n{"\\u0073yntax": "evil/x"} FROM x',
        '#!/bin/x\n  {"syntax": "evil/x"}',
    ],
)
def test_what_names_a_program_for_the_build(text):
    assert "refused" in dockerfile_problem(text)


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "",
        "# syntax=docker/dockerfile:1\nFROM x\n",
        "# Syntax = docker/dockerfile:1.7-labs\nFROM x",
        "#!syntax\nFROM x",
        "FROM x\nRUN <<EOF\n# syntax=of a file that is made here\n{}\nEOF\n",
        "# my syntax=none\nFROM x",
    ],
)
def test_what_does_not(text):
    assert dockerfile_problem(text) == ""


def model(**build):
    return {"services": {"web": {"build": {"context": "app", **build}}, "db": {"image": "x"}}}


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "workspace" / "app").mkdir(parents=True)
    return tmp_path / "workspace"


def copied(workspace, **build):
    return copy_dockerfiles(model(**build), workspace, workspace.parent / "copies")


@pytest.mark.parametrize(
    ("build", "name"), [({}, "Dockerfile"), ({}, "dockerfile"), ({"dockerfile": "ci/x.Dockerfile"}, "ci/x.Dockerfile")]
)
def test_the_copy_is_what_was_checked(workspace, build, name):
    original = workspace / "app" / name
    original.parent.mkdir(exist_ok=True)
    original.write_text(PLAIN)
    original.with_name(original.name + ".dockerignore").write_text("secret\n")
    copies = copied(workspace, **build)
    original.write_text("# syntax=evil/x\n")
    assert list(copies) == ["web"]
    copy = Path(copies["web"])
    assert (copy.name, copy.read_text()) == (original.name, PLAIN)
    assert copy.with_name(copy.name + ".dockerignore").read_text() == "secret\n"


def test_one_in_the_file_itself_needs_no_copy(workspace):
    assert copied(workspace, dockerfile_inline=PLAIN) == {}


def link_out(path, tmp_path):
    (tmp_path / "outside").write_text(PLAIN)
    path.symlink_to(tmp_path / "outside")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path, _: None, "app/Dockerfile: there is no such file"),
        (lambda path, _: path.write_text("# syntax=evil/x\n"), "app/Dockerfile: the syntax `evil/x` is refused"),
        (lambda path, _: path.mkdir(), "app/Dockerfile: is not a file"),
        (lambda path, _: os.mkfifo(path), "app/Dockerfile: is not a file"),
        (lambda path, _: path.symlink_to("Dockerfile"), "app/Dockerfile: cannot be read: Too many levels"),
        (lambda path, _: path.write_bytes(b"#" * (MAX_BYTES + 1)), "app/Dockerfile: is larger than 1 MiB"),
        (link_out, "app/Dockerfile: leads out of the workspace"),
    ],
)
def test_what_cannot_be_built_from(workspace, tmp_path, make, told):
    make(workspace / "app" / "Dockerfile", tmp_path)
    with pytest.raises(StepFailed) as caught:
        copied(workspace)
    assert told in caught.value.message


def test_a_link_inside_is_followed(workspace):
    (workspace / "real").write_text(PLAIN)
    (workspace / "app" / "Dockerfile").symlink_to("../real")
    assert list(copied(workspace)) == ["web"]
