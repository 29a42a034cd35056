"""Compose files without the places of machines."""

from flowbuild.services.emitted import shown

WORK = "/srv/flow/work/R/a.1.1"


def bind(source, target):
    return {"type": "bind", "source": source, "target": target}


def test_paths_begin_at_the_directory_of_the_attempt():
    compose = {
        "services": {
            "x.a": {
                "volumes": [bind(f"{WORK}/workspace/data", "/data"), bind(f"{WORK}/workspace", "/workspace"), bind("/srv/m/objects", "/o")],
                "build": {"context": f"{WORK}/workspace/ci"},
                "environment": {"A": "/srv/flow", "N": None},
            }
        },
        "configs": {"c": {"file": f"{WORK}/files/c"}},
    }  # fmt: skip
    found = shown(compose)
    service = found["services"]["x.a"]
    assert [each["source"] for each in service["volumes"]] == ["./workspace/data", "./workspace", "…/objects"]
    assert (service["build"]["context"], found["configs"]["c"]["file"]) == ("./workspace/ci", "./files/c")
    assert service["environment"] == {"A": "/srv/flow", "N": None}


def test_a_file_without_a_workspace():
    assert (
        shown({"services": {"x": {"volumes": [bind("/srv/a", "/b")]}}})["services"]["x"]["volumes"][0]["source"]
        == "…/a"
    )
    assert shown({}) == {}


def test_a_file_that_is_none():
    """A runner elsewhere could send anything."""
    for odd in ({"services": []}, {"services": {"a": "x", "b": {"volumes": {"target": "/workspace", "source": 5}}}}):
        assert shown(odd) == odd
