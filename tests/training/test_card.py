"""The card for people says what the card for programs holds."""

import json

from digits.config import CHAMPION, Config
from digits.training import card as model_card

SCORE = {
    "n_scored": 1000, "n_wrong": 12, "value": 0.988, "low": 0.979, "high": 0.993,
    "expected_calibration_error": 0.004, "accepted": 0.99, "accepted_wrong": 3,
}  # fmt: skip
OTHERS = {"n_scored": 2000, "accepted": 0.02, "low": 0.015, "high": 0.027, "auroc": 0.9987}
CARD = {
    "name": "mine", "created": "2026-01-02T03:04:05+00:00", "data": "mnist", "data_digest": "ab" * 32,
    "n_train": 57_466, "n_synthetic": {"digits": 13_750, "not digits": 27_500},
    "config": Config.from_profile("best", seed=3).to_dict(), "n_parameters": 345_678, "epoch": 44,
    "training_seconds": 1200.0, "temperature": 1.1, "threshold": 0.62, "versions": {"keras": "3"},
    "machine": "x86_64, 2 cores", "commit": "abcdef",
    "metrics": {"val": {**SCORE, "synthetic_non_digits": OTHERS}, "test": SCORE},
}  # fmt: skip


def test_the_card_states_what_json_holds():
    text = model_card.render(CARD)
    for fact in (
        "345,678 parameters", "57,466 images", "13,750 synthetic digits", "27,500 synthetic images",
        "digits train --data mnist --profile best --seed 3", "| test | 1,000 | 12 | 98.80 % |",
        "2,000 synthetic images that are not digits, 2.00 % are accepted", "abcdef",
    ):  # fmt: skip
        assert fact in text


def test_the_command_names_what_differs_from_the_profile():
    config = Config.from_profile("best", seed=4, epochs=9, filters=(8,) * 5).to_dict()
    text = model_card.render({**CARD, "config": config})
    assert (
        "`digits train --data mnist --profile best --seed 4 --set filters=8,8,8,8,8 --set epochs=9`"
        in text
    )
    assert "20.0 minutes" in text


def test_a_fine_tuned_model_says_what_it_started_from():
    score = {"n_scored": 50, "n_wrong": 7, "value": 0.86, "low": 0.74, "high": 0.93}
    facts = {
        "n_by_digit": [5] * 10, "seed": 3, "steps": 200, "replayed": {"training images": 4000},
        "folds": 5, "hand_before": score, "hand_after": score, "val_before": score,
    }  # fmt: skip
    base = {key: CARD[key] for key in model_card.OF_BASE if key in CARD}
    text = model_card.render({**CARD, "n_train": 50, "finetuning": facts, "started_from": base})
    assert "`digits finetune FOLDER --data mnist --seed 3`" in text
    assert "started from, mine (commit `abcdef`)" in text and "57,466 images" in text


def test_what_was_measured_in_full():
    spoiled = {"n_scored": 500, "mean": 0.0125, "error": {"blur": [0.0125, 0.006, 0.026]}}
    readings = {"n_scored": 1000, "right": 980, "unsure": 18, "wrong": 2, "commit": "fedcba"}
    text = model_card.render({**CARD, "corruptions": spoiled, "readings": readings})
    assert "500 validation images" in text and "| blur | 1.25 % | 0.60 % to 2.60 % |" in text
    assert "`fedcba`), 980 of the 1,000" in text and "18 are unsure, and 2 are wrong" in text


def test_a_model_without_the_rejecting_class_says_so():
    config = CARD["config"] | {"reject": False, "extra": False}
    none = {"digits": 0, "not digits": 0}
    text = model_card.render({**CARD, "config": config, "n_synthetic": none})
    assert "Whatever it is shown it takes for a digit" in text and "synthetic digits:" not in text


def test_the_shipped_card_is_the_generated_one():
    text = model_card.render(json.loads((CHAMPION / "card.json").read_text()))
    assert text == (CHAMPION / model_card.FILE).read_text()
