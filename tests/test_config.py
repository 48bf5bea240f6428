import json

import pytest

from digits import InputError
from digits.config import PROFILES, Config


def test_profiles_are_named_after_themselves():
    assert list(PROFILES) == ["quick", "default", "best"]
    for name, config in PROFILES.items():
        assert config.profile == name


def test_settings_survive_json():
    config = Config.from_profile("best", seed=7)
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_assignments_are_converted_to_the_field_type():
    config = Config().with_overrides(["epochs=3", "filters=8,16", "kernels=3,3", "reject=true"])
    assert (config.epochs, config.filters, config.reject) == (3, (8, 16), True)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Config.from_profile("fast"), "quick, default, best"),
        (lambda: Config().replace(epoch=3), "epochs"),
        (lambda: Config().with_overrides(["epochs"]), "NAME=VALUE"),
        (lambda: Config().with_overrides(["epochs=three"]), "expected int"),
        (lambda: Config().with_overrides(["reject=maybe"]), "expected bool"),
        (lambda: Config(epochs=0), "1 to 1000"),
        (lambda: Config(seed=-1), "from 0"),
        (lambda: Config(filters=(8,), kernels=(3,)), "two to six"),
        (lambda: Config(kernels=(5, 3)), "as many sides as filters"),
        (lambda: Config(dropout=1.0), "below 1"),
        (lambda: Config(learning_rate=0), "above 0"),
        (lambda: Config(precision="float16"), "float32 or mixed_bfloat16"),
    ],
)
def test_wrong_settings_name_what_is_valid(make, expected):
    with pytest.raises(InputError, match=expected):
        make()
