import dataclasses
import typing

import handrail.intervention as intervention


def test_the_public_names_are_the_curated_ones_and_exist() -> None:
    public = {
        name
        for name, value in vars(intervention).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("handrail.")
    } | {"SYNTHETIC_MAPPING"}
    assert public == set(intervention.__all__)
    assert len(intervention.__all__) == len(set(intervention.__all__))


def test_every_annotation_of_a_public_type_resolves() -> None:
    for name in intervention.__all__:
        value = getattr(intervention, name)
        if dataclasses.is_dataclass(value) and isinstance(value, type):
            assert typing.get_type_hints(value), name


def test_every_error_has_an_exit_code_of_its_own() -> None:
    errors = [intervention.LogError, intervention.RunError, intervention.RunLocked, intervention.DeviceError]
    codes = [error.exit_code for error in (*errors, intervention.LabelError)]
    assert codes == sorted(set(codes)) == [10, 11, 12, 13, 14]
