"""Looking at images before anything is trained: ink, strokes, look-alikes and near copies.

Every function takes images uint8 ``(n, 28, 28)``, 0 paper to 255 ink. Distances are Euclidean over the
784 pixels with ink counted from 0 to 1, so two blank and fully inked pictures are 28 apart.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from digits.evaluation import N_DIGITS, prediction_table

ROWS_AT_ONCE = 500  # bounds the memory of a distance matrix: 500 x 55,000 float32 are 110 MB


def sample(labels: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """Draw at most `n` indices without repetition, in rising order.

    Parameters
    ----------
    labels : numpy.ndarray
        Integer (m,). Only its length matters: classes come out as common as they are.
    n : int
        From 1. Where there are no more than `n` images, all are taken.
    """
    rng = np.random.default_rng(seed)
    return np.sort(rng.permutation(len(labels))[:n])


def ink(images: np.ndarray) -> np.ndarray:
    """Return the share of each image that is ink, float64 (n,), 0 to 1."""
    return images.reshape(len(images), -1).mean(axis=1) / 255.0


def stroke_width(images: np.ndarray) -> np.ndarray:
    """Estimate the width of each image's strokes in pixels, float64 (n,); nan for a blank image.

    A stroke much longer than wide has an outline twice its length, so its width is twice its area
    over its outline. The outline of a grey image is its total variation: the sum of the gradient's
    lengths. Both grow with the ink's darkness, so the estimate does not depend on it.

    Notes
    -----
    The ends of a stroke are part of its outline; a stroke ten times longer than wide is estimated
    a tenth too thin.
    """
    padded = np.pad(images.astype(np.float32), ((0, 0), (1, 1), (1, 1)))
    down = np.diff(padded, axis=1)[:, :, :-1]
    right = np.diff(padded, axis=2)[:, :-1, :]
    outline = np.hypot(down, right).sum(axis=(1, 2), dtype=np.float64)
    area = images.sum(axis=(1, 2), dtype=np.float64)
    return np.divide(2 * area, outline, out=np.full(len(images), np.nan), where=outline > 0)


def mean_digits(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each pixel by class.

    Returns
    -------
    mean, spread : numpy.ndarray
        float64 (10, 28, 28), 0 to 1; `spread` is at most 0.5.
    """
    by_class = [images[labels == digit] / 255.0 for digit in range(N_DIGITS)]
    return (
        np.stack([of_digit.mean(axis=0) for of_digit in by_class]),
        np.stack([of_digit.std(axis=0) for of_digit in by_class]),
    )


def nearest(images: np.ndarray, among: np.ndarray) -> pd.DataFrame:
    """Find for each image its nearest neighbour in another set.

    The neighbour is the image with the nearest thumbnail of 14x14 pixels, which takes a quarter of
    the work; its distance is then computed on all pixels. A copy has the same thumbnail, so none is
    missed; among unlike images a slightly nearer one may be.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 (n, 28, 28).
    among : numpy.ndarray
        uint8 (m, 28, 28), m from 1.

    Returns
    -------
    pandas.DataFrame
        Columns ``index`` (into `images`), ``nearest`` (into `among`), ``distance``; nearest first.
    """
    small, small_among = _thumbnails(images), _thumbnails(among)
    squares = (small_among**2).sum(axis=1)
    found = [
        (squares - 2 * (small[start : start + ROWS_AT_ONCE] @ small_among.T)).argmin(axis=1)
        for start in range(0, len(small), ROWS_AT_ONCE)
    ]
    partners = np.concatenate(found)
    difference = (images.astype(np.float32) - among[partners].astype(np.float32)) / 255.0
    table = pd.DataFrame(
        {
            "index": np.arange(len(images)),
            "nearest": partners,
            "distance": np.sqrt((difference**2).sum(axis=(1, 2))),
        }
    )
    return table.sort_values("distance", kind="stable", ignore_index=True)


def _thumbnails(images: np.ndarray) -> np.ndarray:
    """Return the means of 2x2 pixels as float32 (n, 196), 0 to 1."""
    n, height, width = images.shape
    blocks = images.reshape(n, height // 2, 2, width // 2, 2)
    return (blocks.mean(axis=(2, 4), dtype=np.float32) / 255.0).reshape(n, -1)


def look_alikes(images: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Find for each two classes the two most similar images.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 (n, 28, 28). All are compared with all: keep n below some thousands.
    labels : numpy.ndarray
        Integer (n,), each of 0 to 9 at least once.

    Returns
    -------
    pandas.DataFrame
        45 rows, the most similar first. Columns ``digit_a`` < ``digit_b``, ``index_a``, ``index_b``
        (into `images`), ``distance``.
    """
    pixels = images.reshape(len(images), -1).astype(np.float32) / 255.0
    members = [np.flatnonzero(labels == digit) for digit in range(N_DIGITS)]
    rows = []
    for a, b in combinations(range(N_DIGITS), 2):
        first, second = pixels[members[a]], pixels[members[b]]
        squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * first @ second.T
        i, j = np.unravel_index(squares.argmin(), squares.shape)
        distance = float(np.linalg.norm(first[i] - second[j]))
        rows.append((a, b, members[a][i], members[b][j], distance))
    columns = ["digit_a", "digit_b", "index_a", "index_b", "distance"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("distance", kind="stable", ignore_index=True)


def n_copies(images: np.ndarray, among: np.ndarray) -> int:
    """Count the images that also occur, pixel for pixel, in another set."""
    known = {image.tobytes() for image in among}
    return sum(image.tobytes() in known for image in images)


def linear_model(seed: int = 0):
    """Return an unfitted linear classifier of pixels 0..1, of shape (n, 784).

    Logistic regression on the 40 directions in which the images differ most: as accurate as on all
    784 pixels where there are some thousand images, and fitted in seconds.
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(PCA(40, random_state=seed), LogisticRegression(max_iter=500))


def out_of_fold(
    images: np.ndarray, labels: np.ndarray, seed: int = 0, folds: int = 3
) -> pd.DataFrame:
    """Read each image with a linear model that was fitted without it.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 (n, 28, 28).
    labels : numpy.ndarray
        Integer (n,), 0 to 9, each at least `folds` times.

    Returns
    -------
    pandas.DataFrame
        A prediction table, as `evaluation.prediction_table` makes it.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    pixels = images.reshape(len(images), -1).astype(np.float32) / 255.0
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed)
    probabilities = cross_val_predict(
        linear_model(seed), pixels, labels, cv=splits, method="predict_proba"
    )
    return prediction_table(probabilities, labels)
