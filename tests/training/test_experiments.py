"""The small trainings of notebooks 03 and 06."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("keras")

from digits.training import experiments

pytestmark = pytest.mark.slow


def test_a_wrong_label_is_suspected(embedded):
    y = embedded.y_train.copy()
    planted = [5, 50, 500]
    y[planted] = (y[planted] + 5) % 10
    wrong = dataclasses.replace(embedded, y_train=y)
    suspects = experiments.suspect_labels(wrong, n=12, folds=2, epochs=6)
    assert set(planted) <= set(suspects["index"])
    assert suspects["p_true"].is_monotonic_increasing


def test_the_ablation_has_a_row_for_each_choice(embedded, monkeypatch):
    monkeypatch.setattr(experiments, "N_TRAIN", 200)
    monkeypatch.setattr(experiments, "N_MEASURED", 20)
    kinds = experiments.augmentation.layers(1.0, 0)
    monkeypatch.setattr(experiments.augmentation, "layers", lambda strength, seed: kinds[:1])
    table = experiments.ablate_augmentation(embedded, epochs=1)
    assert table["augmentation"].tolist() == ["none", "thickness", "all"]
    errors = table[["clean", "corrupted"]].to_numpy()
    assert ((errors >= 0) & (errors <= 1)).all() and np.isnan(table["others"]).all()
