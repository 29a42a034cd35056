from flowbuild.engine.doctor import generic_amounts


def test_generic_resources_are_added_by_kind() -> None:
    told = [
        {"DiscreteResourceSpec": {"Kind": "SSD", "Value": 3}},
        {"NamedResourceSpec": {"Kind": "GPU", "Value": "uuid-1"}},
        {"NamedResourceSpec": {"Kind": "GPU", "Value": "uuid-2"}},
        {"SomethingNewSpec": {"Kind": "GPU", "Value": 8}},
    ]

    assert generic_amounts(told) == {"SSD": 3, "GPU": 2}
