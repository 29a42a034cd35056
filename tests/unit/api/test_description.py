"""The description is exact enough to make clients from."""

from __future__ import annotations

from flowbuild.api.app import describe
from flowbuild.api.description import require_what_is_sent


def test_what_only_the_server_sends_has_all_its_fields() -> None:
    schemas = describe().openapi()["components"]["schemas"]
    assert set(schemas["RunView"]["required"]) == set(schemas["RunView"]["properties"])
    assert set(schemas["StepView"]["required"]) == set(schemas["StepView"]["properties"])


def test_what_clients_send_keeps_its_optional_fields() -> None:
    schemas = describe().openapi()["components"]["schemas"]
    assert "fresh" not in schemas["StartIn"].get("required", [])
    # Reached from a body, through another schema.
    assert "four_eyes" not in schemas["SettingsIn"].get("required", [])


def test_a_schema_of_both_directions_counts_as_one_that_clients_send() -> None:
    both = {"$ref": "#/components/schemas/Both"}
    description = {
        "paths": {"/a": {"post": {"requestBody": {"content": {"x": {"schema": both}}}, "responses": {"200": both}}}},
        "components": {
            "schemas": {
                "Both": {"properties": {"a": {}, "below": {"$ref": "#/components/schemas/Below"}}},
                "Below": {"properties": {"b": {}}},
                "Sent": {"properties": {"c": {}}},
            }
        },
    }
    require_what_is_sent(description)
    schemas = description["components"]["schemas"]
    assert [name for name in schemas if "required" in schemas[name]] == ["Sent"]
