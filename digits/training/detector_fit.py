"""Training of the detector on made pages, and its card."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from digits import InputError, data, evaluation
from digits.config import Config, git_commit
from digits.data import Dataset
from digits.data.pages import Patches, make_page, make_patches, make_row
from digits.pictures import Picture, find_digits, find_ink
from digits.pictures.ink import DARK
from digits.recognizer import Recognizer
from digits.recognizer.candidates import score_glyphs
from digits.recognizer.detector import Detector, Weights, evidence
from digits.storage import replaced_folder, write_json, write_text
from digits.training import card
from digits.training.backend import keras
from digits.training.detector import DILATIONS, build_detector, loss, targets
from digits.training.export import PARITY, write_plain_onnx
from digits.training.fit import CHECKPOINT, learning_rate_schedule, open_run, usable_precision
from digits.training.model import as_input, fused

CARD = "DETECTOR_CARD.md"
EPOCHS = 20
N_PATCHES = 20_000  # that are made for each epoch
WINDOW = 3  # epochs that see them: making them takes longer than learning from them
N_VALIDATION = 1_000  # patches on which the loss is measured after each epoch
N_PAGES = 600  # on which the weights are fitted
N_ROWS = 200  # of each kind, that are read for the card
GAPS = {"wide": 0.2, "narrow": 0.05, "touching": 0.0, "overlapping": -0.05}  # heights
VALIDATION_SEED = 1_000_003  # never a training's seed
BATCH = 32
LEARNING_RATE = 3e-3


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
        Gets ``config.json``, ``history.csv``, ``detector.keras``, ``detector.onnx``,
        ``detector.json`` and `CARD`.
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
        network = fused(build_detector(seed, precision))
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
        facts = {
            **plan,
            "window": WINDOW,
            "n_parameters": network.count_params(),
            "precision": precision,
            "training_seconds": round(sum(row["seconds"] for row in history), 1),
            "val_loss": history[-1]["val_loss"],
            **card.origin(),
        }
        write_card(partial, facts, dataset, Recognizer.load())
        (partial / CHECKPOINT).unlink()
    return Path(run_dir)


def _batch(patches: Patches, chosen) -> tuple[np.ndarray, np.ndarray]:
    """Return some patches as the network's input and target."""
    ink, owner, digits = (values[chosen] for values in patches)
    return as_input(ink), targets(ink, owner, digits)


def _export(network: keras.Model, path: Path, ink: np.ndarray) -> None:
    """Write the network as ONNX, checked on the ink of patches, uint8 (n, height, width)."""
    x = as_input(ink)
    write_plain_onnx(network, path)
    detector = Detector.load(path)
    found = np.stack([detector.cells(page) for page in x[..., 0]])
    difference = np.abs(found - keras.ops.convert_to_numpy(network(x))).max()
    if not difference < PARITY:
        raise RuntimeError(f"the ONNX export differs from Keras by {difference:.2g}")


def weigh_detector(dataset: Dataset, folder: Path) -> Recognizer:
    """Weigh the detector in a folder against the classifier there, renew its card, return both."""
    facts, reader = json.loads((folder / "detector.json").read_text()), Recognizer.load(folder)
    write_card(folder, facts, dataset, reader)
    return reader


def write_card(folder: Path, facts: dict, dataset: Dataset, reader: Recognizer) -> None:
    """Weigh the detector in a folder against a reader's classifier, measure both, write the card.

    Validation decides the weights; then the test set is read.
    """
    reader.detector = Detector.load(folder / "detector.onnx")
    weights = fit_weights(reader, dataset.x_val, dataset.y_val)
    reader.detector.weights = Weights(**weights)
    rows = read_rows(reader, dataset.x_test, dataset.y_test)
    facts = facts | {"weights": weights, "test_rows": rows, "measured": git_commit()}
    write_json(folder / "detector.json", facts)
    write_text(folder / CARD, card.template(CARD).render(card=facts, dilations=DILATIONS))


def fit_weights(reader: Recognizer, x: np.ndarray, y: np.ndarray, n_pages: int = N_PAGES) -> dict:
    """Fit how the classifier's and the detector's opinions are weighed, on made pages.

    `x` and `y` are validation images and labels. Returns what `Weights` takes.
    """
    said, labels, is_whole = [], [], []
    for i in range(n_pages):
        page = make_page(x, y, np.random.default_rng([VALIDATION_SEED, 1, i]))
        ink = find_ink(Picture(page.pixels, page.pixels.shape[::-1]), DARK)
        glyphs = find_digits(ink)
        if not glyphs:
            continue
        proposals = reader.detector.propose(glyphs)
        candidates = score_glyphs([p.glyph for p in proposals], reader.log_probabilities)
        for proposal, candidate in zip(proposals, candidates, strict=True):
            scores = candidate.log_digits, candidate.log_p_reject
            said.append((*scores, proposal.probabilities, proposal.heat))
        labels += page.labels_of([p.glyph for p in proposals], ink.mask)
        inks = {id(glyph.ink) for glyph in glyphs}
        is_whole += [id(p.glyph.ink) in inks for p in proposals]
    labels = np.array(labels)
    is_digit = labels >= 0
    regression = LogisticRegression(C=10, fit_intercept=False, max_iter=1000)
    regression.fit([evidence(*one) for one in said], is_digit)
    pooled = is_digit & ~np.array(is_whole)
    ours, theirs = (np.array([one[k] for one in said])[pooled] for k in (0, 2))

    def entropy(weights: np.ndarray) -> float:
        log_p = weights[0] * ours + weights[1] * np.log(theirs + 1e-6)
        log_p -= np.logaddexp.reduce(log_p, 1, keepdims=True)
        return -float(log_p[np.arange(len(log_p)), labels[pooled]].mean())

    classes = np.array([0.5, 0.5])
    if pooled.any():
        classes = minimize(entropy, classes, method="Nelder-Mead").x
    return {
        "classes": [round(float(weight), 3) for weight in classes],
        "digit": [round(float(weight), 3) for weight in regression.coef_[0]],
    }


def read_rows(reader: Recognizer, x: np.ndarray, y: np.ndarray, n_rows: int = N_ROWS) -> dict:
    """Read made rows of five digits, and count by the gap between them what is answered.

    Returns, by the keys of `GAPS`, the gap, the number of rows, how many are right and sure, with a
    95 % interval of their share, unsure, and sure though wrong.
    """
    found = {}
    for kind, gap in GAPS.items():
        counts = {"right": 0, "unsure": 0, "wrong": 0}
        for i in range(n_rows):
            page = make_row(x, y, gap, np.random.default_rng([VALIDATION_SEED, 2, i]))
            reading = reader.read(page.pixels)
            is_right = reading.text == "".join(map(str, page.labels))
            counts["unsure" if reading.status != "ok" else "right" if is_right else "wrong"] += 1
        share = evaluation.Score.of(n_rows, n_rows - counts["right"])
        found[kind] = {"gap": gap, "n": n_rows, **counts, "low": share.low, "high": share.high}
    return found
