"""What is written down is so."""

import re
from pathlib import Path

import pytest

from flowbuild.settings import Settings

TOP = Path(__file__).parents[2]
DOCS = TOP / "docs"
STACK = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", (TOP / "deploy/stack.yml").read_text()))


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_option_is_in_the_page_of_options(name):
    field = Settings.model_fields[name]
    variable = field.validation_alias or f"FLOW_{name.upper()}"
    assert any(
        line.startswith(f"| `{variable}` |") and field.description in line
        for line in (DOCS / "server.md").read_text().splitlines()
    ), f"{variable} is missing in docs/server.md, or says something else there"


@pytest.mark.parametrize(("name", "default"), STACK.items())
def test_every_variable_of_the_stack_is_in_the_page_of_clusters(name, default):
    rows = [line for line in (DOCS / "cluster.md").read_text().splitlines() if f"`{name}`" in line.partition(" | ")[0]]
    shown = [line.split(" | ")[1].strip() for line in rows if line.startswith("| `FLOW_")]
    assert shown == [f"`{default}`" if default else ""], (
        f"{name} is missing in docs/cluster.md, or has another default there"
    )


def test_every_variable_of_the_stack_has_a_default():
    text = (TOP / "deploy/stack.yml").read_text()
    assert len(STACK) > 20
    assert [name for name in re.findall(r"\$\{?(\w+)", text) if name not in STACK] == []
