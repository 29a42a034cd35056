# Shorthands; every recipe is a script or a tool of .venv that can be called by itself.
.PHONY: help setup demo test lint types format lock schema images fresh

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1|/' | column -t -s '|'

setup:  ## install what is missing: Docker, git-lfs, .venv, local images
	scripts/setup --dev

demo:  ## run the demo project's pipeline
	scripts/demo

test:  ## everything CI checks
	scripts/test

lint:  ## ruff, layers, sizes, shellcheck
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/lint-imports && .venv/bin/python scripts/check_sizes.py
	shellcheck $$(grep -lE '^#!.*\b(bash|sh)$$|^# shellcheck shell' scripts/* src/flowbuild/testing/*.sh .ci/run)

types:  ## mypy, strict
	.venv/bin/mypy

format:  ## let ruff rewrite
	.venv/bin/ruff format . && .venv/bin/ruff check --fix .

lock:  ## requirements*.lock from pyproject.toml (needs uv)
	scripts/lock

schema:  ## schema/*.json from the code
	.venv/bin/flow schema >schema/pipeline.schema.json
	.venv/bin/python -m flowbuild.api >schema/openapi.json

images:  ## the local images flow-demo/*
	scripts/images

fresh:  ## both README commands on a machine with nothing installed (a container)
	scripts/try_fresh
