"""The shipped model: the one of some runs that validation prefers."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from digits import InputError
from digits.config import CHAMPION
from digits.data import Dataset
from digits.storage import replaced_folder, write_json, write_text
from digits.training import card
from digits.training.detector_fit import weigh_detector
from digits.training.fit import read_history
from digits.training.model import load_network


def ship(
    runs: Sequence[str | os.PathLike], dataset: Dataset, folder: str | os.PathLike = CHAMPION
) -> Path:
    """Put the best of some runs of one recipe into a folder, and weigh the detector there anew.

    Validation chooses, as it chose the epoch of each run. What is chosen is calibrated and measured by
    the code that ships it. The card tells of all runs: their figures on the test set, which each read
    once, say what the recipe gives, and not only what luck gave.

    Parameters
    ----------
    runs : sequence of path
        Folders of finished runs that differ in their seeds alone.
    dataset : Dataset
        The one that they were trained on.
    folder : path
        Holds the detector; gets ``model.keras``, ``model.onnx``, ``card.json`` and ``MODEL_CARD.md``.

    Returns
    -------
    pathlib.Path
        The chosen run.

    Raises
    ------
    InputError
        If a run is not finished or was not taught to reject, or differs from the others in data,
        code or settings.
    """
    cards = [card.load(run) for run in runs]
    if any(_recipe(one) != _recipe(cards[0]) for one in cards):
        raise InputError("these runs differ in more than their seeds: data, commit or settings")
    if not cards[0]["config"]["reject"]:
        raise InputError(
            "these runs were not taught to reject what is no digit; the shipped model is"
        )
    chosen, facts = min(zip(map(Path, runs), cards, strict=True), key=_validation)
    facts |= {"name": Path(folder).name, "seeds": [_summary(one) for one in cards]}
    with replaced_folder(folder) as partial:
        shutil.copytree(folder, partial, dirs_exist_ok=True)
        facts = card.write(partial, load_network(chosen), dataset, facts, in_full=True)
        reader = weigh_detector(dataset, partial)
        facts["readings"] = card.readings(reader, dataset)
        write_json(partial / "card.json", facts)
        write_text(partial / card.FILE, card.render(facts))
    return chosen


def _validation(run: tuple[Path, dict]) -> tuple[int, float]:
    """Return a run's mistakes on validation, and the loss of the epoch that was kept.

    A non-digit that is accepted is one, too: by its digits alone, a run may be chosen that had not
    yet learned to reject.
    """
    folder, facts = run
    history, val = read_history(folder), facts["metrics"]["val"]
    loss = next(row["val_loss"] for row in history if row["epoch"] == facts["epoch"])
    others = val["synthetic_non_digits"]
    return val["n_wrong"] + round(others["accepted"] * others["n_scored"]), loss


def _summary(facts: dict) -> dict:
    """Return what the shipped model's card says of a run."""
    return {
        "seed": facts["config"]["seed"],
        "val": facts["metrics"]["val"]["n_wrong"],
        "test": facts["metrics"]["test"]["n_wrong"],
        "non_digits": facts["metrics"]["val"]["synthetic_non_digits"]["accepted"],
        "corruptions": facts["corruptions"]["mean"],
    }


def _recipe(facts: dict) -> str:
    """Return what runs of one recipe have in common."""
    config = {**facts["config"], "seed": None}
    return json.dumps([config, facts["data_digest"], facts["commit"]], sort_keys=True)
