"""The network that finds digits on a page: its layers, its targets, its loss, and its training."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from digits import InputError, data
from digits.config import Config, git_commit, package_versions
from digits.data import Dataset
from digits.data.pages import CUT, Patches, make_page, make_patches
from digits.pictures import Picture, find_digits, find_ink
from digits.pictures.ink import DARK as DARK_ON_LIGHT
from digits.recognizer import Recognizer
from digits.recognizer.candidates import score_glyphs
from digits.recognizer.detector import (
    CELL,
    CLASSES,
    N_CHANNELS,
    OWNED,
    SIDE,
    SIZES,
    VOTES,
    Detector,
    Proposal,
    evidence,
)
from digits.storage import replaced_folder, write_json, write_text
from digits.training.backend import keras
from digits.training.export import PARITY, to_onnx
from digits.training.fit import CHECKPOINT, learning_rate_schedule, open_run, usable_precision
from digits.training.model import as_input

kl, ops = keras.layers, keras.ops

WIDTH = 64  # channels
DILATIONS = (
    1,
    2,
    1,
    4,
    1,
    2,
)  # of the residual layers: how far apart the nine pixels are looked at
EPOCHS = 20
N_PATCHES = 20_000  # that are made for each epoch
WINDOW = 3  # epochs that see them: making them takes longer than learning from them
N_VALIDATION = 1_000
VALIDATION_SEED = 1_000_003  # of the validation's patches: never a training's seed
BATCH = 32
LEARNING_RATE = 3e-3
N_PAGES = 600  # on which the weights are fitted
NOTHING = np.full(10, 0.1)  # what the detector says of ink that belongs to none of its digits
DARK = 25  # grey level of the ink from which its owner is known


def _rare(shape, dtype=None):
    """Return biases by which hardly any cell is the middle of a digit before anything is learned."""
    return ops.convert_to_tensor([-4.0] + [0.0] * (shape[0] - 1), dtype)


def build_detector(seed: int, precision: str = "float32") -> keras.Model:
    """Build the untrained network.

    Returns
    -------
    keras.Model
        Input float32 (n, height, width, 1), 0 paper to 1 ink, sides that are multiples of `CELL`.
        Output float32 (n, height / 4, width / 4, 25): see `digits.recognizer.detector.HEAT` and
        the slices after it.
    """
    keras.utils.set_random_seed(seed)
    common = {"dtype": keras.DTypePolicy(precision)}

    def block(x, filters, size, strides=1, dilation=1):
        x = kl.Conv2D(
            filters, size, strides, "same", dilation_rate=dilation, use_bias=False, **common
        )(x)
        return kl.BatchNormalization(momentum=0.97, **common)(x)

    ink = keras.Input((None, None, 1), name="ink")
    x = kl.ReLU(**common)(block(ink, 16, 5, 2))
    x = kl.ReLU(**common)(block(x, 32, 3, 2))
    x = kl.ReLU(**common)(block(x, WIDTH, 3))
    for dilation in DILATIONS:
        x = kl.ReLU(**common)(kl.Add(**common)([x, block(x, WIDTH, 3, 1, dilation)]))
    x = kl.ReLU(**common)(block(x, 96, 1))
    out = kl.Conv2D(N_CHANNELS, 1, bias_initializer=_rare, dtype="float32", name="cells")(x)
    return keras.Model(ink, out, name="digits_detector")


def targets(ink: np.ndarray, owner: np.ndarray, digits: np.ndarray) -> np.ndarray:
    """Return what the network should say about patches; see `digits.data.pages.Patches`.

    Returns
    -------
    numpy.ndarray
        float32 (n, height / 4, width / 4, 30): the 25 channels, with the class in the first of
        its ten; then whether class and size are known, and which quarters hold ink whose owner is
        known.
    """
    n, height, width = ink.shape
    rows, columns = height // CELL, width // CELL
    out = np.zeros((n, rows, columns, N_CHANNELS + 5), np.float32)
    known = np.concatenate([np.zeros((n, 1, 5), np.float32), digits], 1)
    dark = ink.reshape(n, 2 * rows, 2, 2 * columns, 2).max((2, 4)) > DARK
    is_known, is_owned = dark & (owner != CUT), (owner > 0) & (owner != CUT)
    mine = known[np.arange(n)[:, None, None], np.where(is_owned, owner, 0)]
    place = np.stack(np.meshgrid(np.arange(2 * columns), np.arange(2 * rows)), -1) * 2.0 + 1
    votes = np.where(is_owned[..., None], (mine[..., 1:3] - place) / SIDE, 0)

    def cells(values: np.ndarray) -> np.ndarray:
        """Bring the four quarters of each cell into its channels."""
        split = values.reshape(n, rows, 2, columns, 2, -1)
        return split.transpose(0, 1, 3, 2, 4, 5).reshape(n, rows, columns, -1)

    out[..., VOTES] = cells(votes)
    out[..., OWNED] = cells(is_owned)
    out[..., N_CHANNELS + 1 :] = cells(is_known)
    # The class of a cell is that of any owner of its ink, or of the digit whose middle it is.
    quarter = cells(np.where(is_owned & dark, owner, 0)).max(-1).astype(int)
    y, x = np.mgrid[:rows, :columns] * float(CELL) + CELL / 2
    for page, there in enumerate(digits):
        for number, (_, across, down, wide, high) in enumerate(there[there[:, 0] >= 0], 1):
            spread = np.maximum(0.09 * wide, 2.2), np.maximum(0.09 * high, 2.2)
            heat = np.exp(-(((x - across) / spread[0]) ** 2 + ((y - down) / spread[1]) ** 2) / 2)
            peak = np.unravel_index(heat.argmax(), heat.shape)
            heat[peak] = 1
            np.maximum(out[page, ..., 0], heat, out=out[page, ..., 0])
            quarter[page][(heat > 0.6) & (quarter[page] == 0)] = number
            quarter[page][peak] = number
    chosen = known[np.arange(n)[:, None, None], quarter]
    is_digit = quarter > 0
    out[..., 1] = np.where(is_digit, chosen[..., 0], 0)
    out[..., SIZES] = np.where(
        is_digit[..., None], np.log(np.maximum(chosen[..., 3:], 1) / SIDE), 0
    )
    out[..., N_CHANNELS] = is_digit
    return out


def loss(truth, output):
    """Return the loss of each patch.

    The focal loss of CenterNet (Zhou, Wang, Kraehenbuehl 2019) for the middles, cross-entropy for
    classes and owners, absolute differences for votes and sizes.
    """
    heat, is_digit = truth[..., 0], truth[..., N_CHANNELS]
    is_known = truth[..., N_CHANNELS + 1 :]
    axes = (1, 2)
    logit = output[..., 0]
    log_p, log_q = -ops.softplus(-logit), -ops.softplus(logit)
    p = ops.sigmoid(logit)
    is_peak = ops.cast(heat == 1, "float32")
    focal = is_peak * (1 - p) ** 2 * log_p + (1 - is_peak) * (1 - heat) ** 4 * p**2 * log_q
    n_digits = ops.sum(is_peak, axes) + 1
    found = -ops.sum(focal, axes) / n_digits

    labels = ops.cast(truth[..., 1], "int32")
    entropy = ops.sparse_categorical_crossentropy(labels, output[..., CLASSES], from_logits=True)
    n_cells = ops.sum(is_digit, axes) + 10
    named = ops.sum(is_digit * entropy, axes) / n_cells
    sized = (
        ops.sum(is_digit * ops.sum(ops.abs(truth[..., SIZES] - output[..., SIZES]), -1), axes)
        / n_cells
    )

    is_owned = truth[..., OWNED]
    binary = ops.softplus(output[..., OWNED]) - is_owned * output[..., OWNED]
    owned = ops.sum(is_known * binary, (1, 2, 3)) / (ops.sum(is_known, (1, 2, 3)) + 40)
    off = ops.abs(truth[..., VOTES] - output[..., VOTES])
    weight = ops.repeat(is_known * is_owned, 2, axis=-1)
    voted = ops.sum(weight * off, (1, 2, 3)) / (ops.sum(is_known * is_owned, (1, 2, 3)) + 40)
    return found + named + 0.3 * sized + owned + 2.5 * voted


# --- One run ---------------------------------------------------------------------------------


def train_detector(
    dataset: Dataset,
    run_dir: str | os.PathLike,
    *,
    seed: int = 0,
    epochs: int = EPOCHS,
    n_patches: int = N_PATCHES,
    resume: bool = False,
    progress: Callable[[dict], None] | None = None,
) -> Path:
    """Train a detector on made pages, and write its folder.

    An epoch sees the patches that were made for it, and those of the `WINDOW` - 1 epochs before.
    They depend on the seed and the epoch's number alone, so that a resumed run sees the same. Until
    the folder is complete, everything lies in ``<run_dir>.partial``, with a checkpoint after each
    epoch.

    Parameters
    ----------
    dataset : Dataset
        Its training digits are written on the pages; others, on which ``val_loss`` is measured, hold
        its validation digits.
    run_dir : path
        Gets ``config.json``, ``history.csv``, ``detector.keras``, ``detector.onnx`` and
        ``detector.json``.
    seed : int
    epochs : int
    n_patches : int
        How many are made for an epoch.
    resume : bool
        Continue an interrupted run from its last epoch.
    progress : callable, optional
        Called after each epoch with its row of ``history.csv``.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    InputError
        If the folder cannot be written, or is being written by another run, the loss stops being a
        number, or `resume` finds a run with other settings or other data.
    """
    x, y = dataset.x_train, dataset.y_train
    if dataset.name != "embedded":  # other writers
        embedded = data.load("embedded")
        x, y = np.concatenate([x, embedded.x_train]), np.concatenate([y, embedded.y_train])
    plan = {
        "data": dataset.name, "data_digest": dataset.digest,
        "seed": seed, "epochs": epochs, "n_patches": n_patches,
    }  # fmt: skip
    n_steps = max(1, WINDOW * n_patches // BATCH)
    schedule = learning_rate_schedule(Config(epochs=epochs, learning_rate=LEARNING_RATE), n_steps)
    precision = usable_precision("mixed_bfloat16")
    with replaced_folder(run_dir, keep=True) as partial:
        history = open_run(partial, plan, resume)
        network = build_detector(seed, precision)
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=1e-3, clipnorm=5.0)
        network.compile(optimizer, loss, jit_compile=False)
        if history:
            optimizer.build(network.trainable_variables)
            network.load_weights(partial / CHECKPOINT)
            history = history[: int(optimizer.iterations) // n_steps]
        validation = make_patches(dataset.x_val, dataset.y_val, [VALIDATION_SEED], N_VALIDATION)
        made: dict[int, Patches] = {}
        for epoch in range(len(history) + 1, epochs + 1):
            start = time.perf_counter()
            for number in range(epoch - WINDOW + 1, epoch + 1):
                if number not in made:
                    made[number] = make_patches(x, y, [seed, number + WINDOW], n_patches)
            made.pop(epoch - WINDOW, None)
            patches = Patches(*map(np.concatenate, zip(*made.values(), strict=True)))
            order = np.random.default_rng([seed, epoch]).permutation(len(patches.ink))
            losses = []
            for first in range(0, n_steps * BATCH, BATCH):
                losses.append(
                    network.train_on_batch(*_batch(patches, order[first : first + BATCH]))
                )
                if not np.isfinite(losses[-1]):
                    raise InputError(
                        f"the loss is not a number in epoch {epoch}; take another seed"
                    )
            val_losses = [
                network.test_on_batch(*_batch(validation, slice(first, first + BATCH)))
                for first in range(0, N_VALIDATION, BATCH)
            ]
            row = {
                "epoch": epoch,
                "loss": float(np.mean(losses)),
                "val_loss": float(np.mean(val_losses)),
                "seconds": round(time.perf_counter() - start, 1),
            }
            history.append(row)
            write_text(partial / "history.csv", pd.DataFrame(history).to_csv(index=False))
            network.save_weights(partial / "next.weights.h5")  # of the optimiser, too
            os.replace(partial / "next.weights.h5", partial / CHECKPOINT)
            if progress:
                progress(row)
        trained, network = network, build_detector(seed)  # whatever it was trained in
        network.set_weights(trained.get_weights())
        network.save(partial / "detector.keras")
        _export(network, partial / "detector.onnx", validation.ink[:BATCH])
        detector = Detector.load(partial / "detector.onnx")
        card = {
            **plan,
            "weights": fit_weights(detector, Recognizer.load(), dataset.x_val, dataset.y_val),
            "n_parameters": network.count_params(),
            "precision": precision,
            "training_seconds": round(sum(row["seconds"] for row in history), 1),
            "val_loss": history[-1]["val_loss"],
            "commit": git_commit(),
            "versions": package_versions(),
        }
        write_json(partial / "detector.json", card)
        (partial / CHECKPOINT).unlink()
    return Path(run_dir)


def _batch(patches: Patches, chosen) -> tuple[np.ndarray, np.ndarray]:
    """Return some patches as the network's input and target."""
    ink, owner, digits = (values[chosen] for values in patches)
    return as_input(ink), targets(ink, owner, digits)


def _export(network: keras.Model, path: Path, ink: np.ndarray) -> None:
    """Write the network as ONNX, checked on the ink of patches, uint8 (n, height, width)."""
    x = as_input(ink)
    to_onnx(network, path, x)
    detector = Detector.load(path)
    found = np.stack([detector.cells(page) for page in x[..., 0]])
    difference = np.abs(found - keras.ops.convert_to_numpy(network(x))).max()
    if not difference < PARITY:
        raise RuntimeError(f"the ONNX export differs from Keras by {difference:.2g}")


def fit_weights(
    detector: Detector, classifier: Recognizer, x: np.ndarray, y: np.ndarray, n_pages: int = N_PAGES
) -> dict:
    """Fit how the classifier's and the detector's opinions are weighed, on made pages.

    `x` and `y` are validation images and labels. Returns what `Weights` takes.
    """
    said, labels = [], []
    for i in range(n_pages):
        page = make_page(x, y, np.random.default_rng([VALIDATION_SEED, 1, i]))
        ink = find_ink(Picture(page.pixels, page.pixels.shape[::-1]), DARK_ON_LIGHT)
        glyphs = find_digits(ink)
        if not glyphs:
            continue
        proposals, others = detector.propose(glyphs)
        proposals += [Proposal(glyphs[i], NOTHING, 0.0) for i in others]
        candidates = score_glyphs([p.glyph for p in proposals], classifier.log_probabilities)
        for proposal, candidate in zip(proposals, candidates, strict=True):
            scores = candidate.log_digits, candidate.log_p_reject
            said.append((*scores, proposal.probabilities, proposal.heat))
        labels += page.labels_of([p.glyph for p in proposals], ink.mask)
    labels = np.array(labels)
    is_digit = labels >= 0
    regression = LogisticRegression(C=10, fit_intercept=False, max_iter=1000)
    regression.fit([evidence(*one) for one in said], is_digit)
    ours, theirs = (np.array([one[k] for one in said])[is_digit] for k in (0, 2))

    def entropy(weights: np.ndarray) -> float:
        log_p = weights[0] * ours + weights[1] * np.log(theirs + 1e-6)
        log_p -= np.logaddexp.reduce(log_p, 1, keepdims=True)
        return -float(log_p[np.arange(len(log_p)), labels[is_digit]].mean())

    classes = minimize(entropy, (0.5, 0.5), method="Nelder-Mead").x
    return {
        "classes": [round(float(weight), 3) for weight in classes],
        "digit": [round(float(weight), 3) for weight in regression.coef_[0]],
    }
