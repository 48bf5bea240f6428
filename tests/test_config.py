"""Settings of a training run: taken as they are meant, or refused in one line."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import LONG, MORE, answered, json_values

from digits import InputError
from digits.config import Config


def test_settings_survive_json_and_are_converted_to_the_field_type():
    config = Config.from_profile("best", seed=7)
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    config = Config().with_overrides(["epochs=3", "filters=8,16", "kernels=3,3", "reject=true"])
    assert (config.epochs, config.filters, config.reject) == (3, (8, 16), True)


WRONG = [
    (lambda: Config().with_overrides(["reject=maybe"]), "expected bool"),
    (lambda: Config.from_dict({"epochs": 3.5}), "expected int"),
    (lambda: Config(epochs=0), "1 to 1000"),
    (lambda: Config(seed=-1), "from 0"),
    (lambda: Config(filters=(8,), kernels=(3,)), "two to six"),
    (lambda: Config(kernels=(5, 3)), "as many sides as filters"),
    (lambda: Config(dropout=1.0), "below 1"),
    (lambda: Config(learning_rate=0), "above 0"),
    (lambda: Config(precision="float16"), "float32 or mixed_bfloat16"),
    (lambda: Config.from_dict({"filters": [math.inf, 1]}), "filters"),
    (lambda: Config.from_dict({"dropout": LONG}), "dropout"),
]


@pytest.mark.parametrize(("make", "expected"), WRONG)
def test_wrong_settings_name_what_is_valid(make, expected):
    with pytest.raises(InputError, match=expected):
        make()


SETTINGS = tuple(Config().to_dict())
values = st.text(max_size=8) | st.sampled_from(
    ["1", "nan", "inf", "-1", "1e400", "9" * 5000, "true", "8,8", "1,", "۳", "1_0", "0x1"]
)


@given(st.sampled_from(SETTINGS) | st.text(max_size=5), st.sampled_from(["=", "", " = "]), values)
@MORE
def test_any_setting_is_taken_or_refused(name, sign, value):
    with answered():
        config = Config().with_overrides([f"{name}{sign}{value}"])
        json.dumps(config.to_dict(), allow_nan=False)
        assert Config.from_dict(config.to_dict()) == config


@given(st.sampled_from(SETTINGS), json_values)
@MORE
def test_any_setting_of_a_card_is_taken_or_refused(name, value):
    with answered():
        Config.from_dict({name: value})
