"""What is written down is so."""

from pathlib import Path

import pytest

from flowbuild.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_option_is_in_the_page_of_options(name):
    field = Settings.model_fields[name]
    variable = field.validation_alias or f"FLOW_{name.upper()}"
    assert any(
        line.startswith(f"| `{variable}` |") and field.description in line
        for line in (DOCS / "server.md").read_text().splitlines()
    ), f"{variable} is missing in docs/server.md, or says something else there"
