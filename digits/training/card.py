"""The model card: where a model comes from and what it can do, as JSON and for people."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, UndefinedError
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from digits import InputError, evaluation
from digits.config import Config, git_commit, package_versions
from digits.data import Dataset, synthesis
from digits.recognizer import Recognizer
from digits.storage import write_json, write_text
from digits.training.export import write_model

FILE = "MODEL_CARD.md"
N_OTHERS = 2000  # synthetic images that are not digits
N_CORRUPTED = 2000  # validation images that are read under each corruption
VALIDATION_SEED = 1_000_003  # of those synthetic images: never a training's seed
OF_BASE = (  # facts that the card of a fine-tuned model repeats of the one that it started from
    "name", "data", "n_train", "n_synthetic", "synthetic_share", "config", "commit", "created",
    "started_from", "finetuning",
)  # fmt: skip


def write(folder: Path, network, dataset: Dataset, facts: dict, *, in_full: bool = False) -> dict:
    """Save and export a network, calibrate and measure it, and write its ``card.json`` and `FILE`.

    Validation decides temperature and threshold; then the test set is read. All of it goes through
    the exported model, as a user reads.

    Parameters
    ----------
    folder : pathlib.Path
        Named after the model, perhaps with ".partial".
    network : keras.Model
    dataset : Dataset
        The one that the network was trained on.
    facts : dict
        Settings, seconds and the like, as the training knows them.
    in_full : bool
        Measure also with corruptions, and the whole reader on the test images.

    Returns
    -------
    dict
        The card.
    """
    network.save(folder / "model.keras")
    write_model(network, "onnx", folder / "model.onnx", dataset.x_val[:256])
    card = {
        "data": dataset.name,
        "data_digest": dataset.digest,
        **origin(),
        **facts,
        "name": folder.name.removesuffix(".partial"),
        "temperature": 1.0,
        "threshold": 0.0,
    }
    write_json(folder / "card.json", card)
    recognizer = Recognizer.load(folder)
    logits = recognizer.logits(dataset.x_val)
    recognizer.temperature = card["temperature"] = evaluation.fit_temperature(logits, dataset.y_val)
    probabilities = softmax(np.float64(logits) / card["temperature"], axis=1)
    confidence = probabilities[:, : evaluation.N_DIGITS].max(axis=1)
    recognizer.threshold = card["threshold"] = evaluation.choose_threshold(confidence)
    card["metrics"] = {
        "val": _metrics(recognizer, dataset.x_val, dataset.y_val)
        | {"synthetic_non_digits": _rejection(recognizer, dataset)},
        "test": _metrics(recognizer, dataset.x_test, dataset.y_test),
    }
    if in_full:
        card["corruptions"] = _corruptions(recognizer, dataset)
        card["readings"] = readings(recognizer, dataset)
    write_json(folder / "card.json", card)
    write_text(folder / FILE, render(card))
    return card


def origin() -> dict:
    """Return what a card says of the code, the time and the machine that made a model."""
    return {
        "commit": git_commit(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": package_versions(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def _metrics(recognizer: Recognizer, x: np.ndarray, y: np.ndarray) -> dict:
    """Return accuracy, calibration and what the threshold accepts, for one part of the data."""
    table = evaluation.prediction_table(recognizer.probabilities(x), y, recognizer.threshold)
    return {
        **asdict(evaluation.accuracy(table)),
        "expected_calibration_error": evaluation.expected_calibration_error(table),
        "accepted": float(table["accepted"].mean()),
        "accepted_wrong": int((table["accepted"] & evaluation.is_wrong(table)).sum()),
    }


def _rejection(recognizer: Recognizer, dataset: Dataset) -> dict:
    """Return how many synthetic images that are not digits are accepted as digits."""
    others = synthesis.non_digits(N_OTHERS, dataset.x_val, dataset.y_val, VALIDATION_SEED)
    known, other = (recognizer.probabilities(x).max(axis=1) for x in (dataset.x_val, others))
    is_digit = np.repeat([1, 0], [len(known), len(other)])
    accepted = evaluation.Score.of(len(other), int((other < recognizer.threshold).sum()))
    return {
        "n_scored": accepted.n_scored,
        "accepted": accepted.value,
        "low": accepted.low,
        "high": accepted.high,
        "auroc": float(roc_auc_score(is_digit, np.concatenate([known, other]))),
    }


def _corruptions(recognizer: Recognizer, dataset: Dataset) -> dict:
    """Return the error, with its interval, on validation images under each corruption."""
    x, y = dataset.x_val[:N_CORRUPTED], dataset.y_val[:N_CORRUPTED]
    table = evaluation.corruption_errors(recognizer.probabilities, x, y)
    errors = {row.corruption: [row.error, row.low, row.high] for row in table.itertuples()}
    return {"n_scored": len(y), "mean": float(table["error"].mean()), "error": errors}


def readings(recognizer: Recognizer, dataset: Dataset) -> dict:
    """Count what the whole reader, from ink to digit, makes of the test images.

    It must not lose what the network knows, nor its doubts, by looking for ink and digits.
    """
    counts = dict.fromkeys(("right", "unsure", "wrong"), 0)
    for label, reading in zip(dataset.y_test, recognizer.read_many(dataset.x_test), strict=True):
        is_right = reading.text == str(label)
        counts["unsure" if reading.status != "ok" else "right" if is_right else "wrong"] += 1
    return {"n_scored": len(dataset.y_test), **counts, "commit": git_commit()}


def load(folder: str | os.PathLike) -> dict:
    """Return the card of a finished run.

    Raises
    ------
    InputError
        If it cannot be read or, for lack of facts, not be rendered.
    """
    try:
        card = json.loads((Path(folder) / "card.json").read_text())
        render(card)
    except OSError as error:
        reason = error.strerror
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, UndefinedError) as e:
        reason = f"its card.json is not whole: {type(e).__name__}: {e}"
    else:
        return card
    raise InputError(f"{folder} is not a finished run ({reason})")


def render(card: dict) -> str:
    """Return the model card as Markdown, from ``card.json`` alone."""
    wrong = [run["test"] for run in card.get("seeds", [])]
    spread = {"mean": np.mean(wrong), "deviation": np.std(wrong, ddof=1)} if len(wrong) > 1 else {}
    return template(FILE).render(card=card, command=_command(card), spread=spread)


def template(name: str) -> Template:
    """Return the template of a card."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["thousands"] = "{:,}".format
    environment.filters["percent"] = lambda share: f"{100 * share:.2f} %"
    return environment.get_template(f"{name}.j2")


def _command(card: dict) -> str:
    """Return the command that repeats the run."""
    if "finetuning" in card:
        seed = card["finetuning"]["seed"]
        return f"digits finetune FOLDER --data {card['data']} --seed {seed}"
    config = Config.from_dict(card["config"]).to_dict()  # with what older cards do not name
    profile = Config.from_profile(config["profile"], seed=config["seed"]).to_dict()
    changed = [
        f" --set {name}={','.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in config.items()
        if value != profile[name]
    ]
    return (
        f"digits train --data {card['data']} --profile {config['profile']} "
        f"--seed {config['seed']}{''.join(changed)}"
    )
