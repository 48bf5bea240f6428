"""What fine-tuning to a hand gains and costs: the experiments of notebook 06."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from digits.finetuning import Adapter
from digits.hands import Hand


def balanced_order(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return an order of the examples in which the digits take turns, int64 (n,).

    Whatever number is taken from its beginning, no digit is there twice before each is there once,
    as far as there are examples of it.
    """
    rng = np.random.default_rng([seed, 9])
    shuffled = rng.permutation(len(labels))
    turns = pd.Series(labels[shuffled]).groupby(labels[shuffled]).cumcount().to_numpy()
    return shuffled[np.argsort(turns, kind="stable")]


def learning_curve(
    adapter: Adapter,
    examples: tuple[np.ndarray, np.ndarray],
    held_out: tuple[np.ndarray, np.ndarray],
    kept: tuple[np.ndarray, np.ndarray],
    sizes: Sequence[int],
    n_draws: int,
    seed: int = 0,
) -> pd.DataFrame:
    """Teach ever more examples, with and without replay, and read what was not taught.

    Parameters
    ----------
    adapter : Adapter
    examples : tuple
        Variations (n, copies, k) and labels (n,) to draw from.
    held_out, kept : tuple
        Features (m, k) and labels (m,): pictures of the same hand, and test images of others.
    sizes : sequence of int
        How many examples are taught.
    n_draws : int
        How often other examples are drawn for each size.

    Returns
    -------
    pandas.DataFrame
        A row a training: ``n``, ``draw``, ``replay`` (bool), ``hand_error``, ``test_error`` (shares,
        0 to 1); the rows with n = 0 are the network as it came.
    """
    variations, labels = examples
    adapter.forget()
    before = {"hand_error": adapter.error(*held_out), "test_error": adapter.error(*kept)}
    rows = [{"n": 0, "draw": 0, "replay": replay, **before} for replay in (True, False)]
    for draw in range(n_draws):
        order = balanced_order(labels, seed + draw)
        for n in sizes:
            for replay in (True, False):
                chosen = order[:n]
                adapter.teach(variations[chosen], labels[chosen], seed + draw, replay=replay)
                errors = {
                    "hand_error": adapter.error(*held_out),
                    "test_error": adapter.error(*kept),
                }
                rows.append({"n": n, "draw": draw, "replay": replay, **errors})
    return pd.DataFrame(rows)


def invented(adapter: Adapter, seed: int, odd: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Return features (100, k) and labels (100,) of pictures in an invented hand."""
    images, labels = Hand.invent(seed, odd=odd).sample(100, seed)
    return adapter.features(images), labels


def gains(
    adapter: Adapter,
    examples: tuple[np.ndarray, np.ndarray],
    read: dict[str, tuple[np.ndarray, np.ndarray]],
    seed: int = 0,
) -> pd.DataFrame:
    """Teach examples, and read before and after what may or may not have to do with them.

    Parameters
    ----------
    adapter : Adapter
    examples : tuple
        Variations (n, copies, k) and labels (n,).
    read : dict
        Names of what is read, each with features (m, k) and labels (m,).

    Returns
    -------
    pandas.DataFrame
        Indexed by the names: ``before`` and ``after``, shares misread, 0 to 1.
    """
    adapter.forget()
    table = pd.DataFrame({"before": {name: adapter.error(*part) for name, part in read.items()}})
    adapter.teach(*examples, seed)
    table["after"] = {name: adapter.error(*part) for name, part in read.items()}
    return table
