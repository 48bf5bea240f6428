"""Small trainings that each answer one question of notebook 03.

They use the quick network and a part of the data: they compare, so the order of their numbers counts,
which are worse than the real model's.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import softmax

from digits import data, evaluation
from digits.config import Config
from digits.data import Dataset
from digits.training import augmentation
from digits.training.backend import keras
from digits.training.model import as_input, augmented, build_cnn

N_TRAIN = 20_000  # training images of one small training, at most
N_MEASURED = 1_000  # validation images under each corruption, at most


def ablate_augmentation(dataset: Dataset, *, epochs: int = 4, seed: int = 0) -> pd.DataFrame:
    """Train the quick network without augmentation, with each kind alone, and with all.

    Parameters
    ----------
    dataset : Dataset
        Trained on a part of its training images, measured on its validation images.
    epochs : int
    seed : int
        The same for every row: initial weights and the order of the images are equal.

    Returns
    -------
    pandas.DataFrame
        Columns ``augmentation``, ``clean``, ``corrupted`` (mean over the corruptions of
        `evaluation.CORRUPTIONS`) and ``others`` (the test fifth of the embedded digits, written by
        other people; missing where `dataset` is that set): shares of images read wrongly, 0 to 1.
    """
    all_layers = augmentation.layers(1.0, seed)
    choices = {layer.name.removeprefix("augment_"): [layer] for layer in all_layers}
    choices = {"none": [], **choices, "all": augmentation.layers(1.0, seed)}
    others = None if dataset.name == "embedded" else data.load("embedded")
    x, y = dataset.x_val[:N_MEASURED], dataset.y_val[:N_MEASURED]
    corrupted = [evaluation.corrupt(x, kind, seed=seed) for kind in evaluation.CORRUPTIONS]
    rows = []
    for name, layers in choices.items():
        model = _fit(dataset.x_train[:N_TRAIN], dataset.y_train[:N_TRAIN], layers, epochs, seed)
        row = {
            "augmentation": name,
            "clean": _error(model, dataset.x_val, dataset.y_val),
            "corrupted": float(np.mean([_error(model, images, y) for images in corrupted])),
            "others": _error(model, others.x_test, others.y_test) if others else np.nan,
        }
        rows.append(row)
    return pd.DataFrame(rows)


def suspect_labels(
    dataset: Dataset, *, n: int = 24, folds: int = 3, epochs: int = 3, seed: int = 0
) -> pd.DataFrame:
    """List the training images whose label a network that has not seen them believes least.

    The idea of confident learning (Northcutt, Jiang, Chuang 2021): train on the other folds, and
    look at the probability of the given label.

    Returns
    -------
    pandas.DataFrame
        The `n` least believed, columns as `evaluation.prediction_table`; ``index`` counts in
        `dataset.x_train`.
    """
    fold = np.random.default_rng(seed).permutation(len(dataset.y_train)) % folds
    probabilities = np.empty((len(dataset.y_train), 10))
    for k in range(folds):
        seen, held = fold != k, fold == k
        model = _fit(dataset.x_train[seen], dataset.y_train[seen], [], epochs, seed)
        probabilities[held] = softmax(np.float64(_logits(model, dataset.x_train[held])), axis=1)
    table = evaluation.prediction_table(probabilities, dataset.y_train)
    return table.sort_values("p_true", kind="stable").head(n).reset_index(drop=True)


def _fit(x, y, layers: list[keras.layers.Layer], epochs: int, seed: int) -> keras.Model:
    """Train the quick network behind the given augmentation."""
    network = build_cnn(Config.from_profile("quick", seed=seed))
    model = augmented(network, layers)
    model.compile(
        keras.optimizers.Adam(2e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    model.fit(as_input(x), y, batch_size=128, epochs=epochs, verbose=0)
    return network


def _logits(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return model.predict(as_input(images), batch_size=1000, verbose=0)


def _error(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    return float((_logits(model, x).argmax(1) != y).mean())
