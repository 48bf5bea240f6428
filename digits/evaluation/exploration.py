"""Looking at images before anything is trained: samples, look-alikes, near copies, a linear model.

Distances are Euclidean over the 784 pixels with ink counted from 0 to 1, so a blank and a fully inked
picture are 28 apart.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import pairwise_distances_argmin_min
from sklearn.pipeline import Pipeline, make_pipeline

from digits.evaluation import N_DIGITS


def sample(labels: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """Draw at most `n` indices into `labels` without repetition, in rising order."""
    return np.sort(np.random.default_rng(seed).permutation(len(labels))[:n])


def _pixels(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 255.0


def nearest(images: np.ndarray, among: np.ndarray) -> pd.DataFrame:
    """Find for each image, uint8 (n, 28, 28), its nearest neighbour in another set.

    Returns
    -------
    pandas.DataFrame
        Columns ``index`` (into `images`), ``nearest`` (into `among`), ``distance``; nearest first.
    """
    partners, distances = pairwise_distances_argmin_min(_pixels(images), _pixels(among))
    table = pd.DataFrame({"nearest": partners, "distance": distances})
    table.insert(0, "index", table.index)
    return table.sort_values("distance", kind="stable", ignore_index=True)


def look_alikes(images: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Find for each two classes the two most similar images.

    All images, uint8 (n, 28, 28), are compared with all: keep n below some thousands. Each label
    from 0 to 9 must occur.

    Returns
    -------
    pandas.DataFrame
        45 rows, the most similar first. Columns ``digit_a`` < ``digit_b``, ``index_a``, ``index_b``
        (into `images`), ``distance``.
    """
    pixels = _pixels(images)
    members = [np.flatnonzero(labels == digit) for digit in range(N_DIGITS)]
    rows = []
    for a, b in combinations(range(N_DIGITS), 2):
        found, distances = pairwise_distances_argmin_min(pixels[members[a]], pixels[members[b]])
        closest = distances.argmin()
        index_a, index_b = members[a][closest], members[b][found[closest]]
        rows.append((a, b, index_a, index_b, distances[closest]))
    table = pd.DataFrame(rows, columns=["digit_a", "digit_b", "index_a", "index_b", "distance"])
    return table.sort_values("distance", kind="stable", ignore_index=True)


def n_copies(images: np.ndarray, among: np.ndarray) -> int:
    """Count the images that also occur, pixel for pixel, in another set."""
    known = {image.tobytes() for image in among}
    return sum(image.tobytes() in known for image in images)


def linear_model(seed: int = 0) -> Pipeline:
    """Return an unfitted linear classifier of pixels 0..1, of shape (n, 784).

    Logistic regression on the 40 directions in which the images differ most: as accurate as on all
    784 pixels where there are some thousand images, and fitted in seconds.
    """
    return make_pipeline(PCA(40, random_state=seed), LogisticRegression(max_iter=500))
