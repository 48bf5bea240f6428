"""The shipped model: the one of some runs that validation prefers."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from digits import InputError
from digits.config import CHAMPION
from digits.data import Dataset
from digits.storage import write_json, write_text
from digits.training import card
from digits.training.detector_fit import weigh_detector
from digits.training.fit import choose_epoch


def ship(
    runs: Sequence[str | os.PathLike], dataset: Dataset, folder: str | os.PathLike = CHAMPION
) -> Path:
    """Put the best of some runs of one recipe into a folder, and weigh the detector there anew.

    Validation chooses, as it chose the epoch of each run. The card tells of all runs: their figures on
    the test set, which each read once, say what the recipe gives, and not only what luck gave.

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
        If a run is not finished, or differs from the others in data, code or settings.
    """
    cards = [card.load(run) for run in runs]
    recipes = [_recipe(one) for one in cards]
    if any(recipe != recipes[0] for recipe in recipes):
        raise InputError("these runs differ in more than their seeds: data, commit or settings")
    kept = []
    for run, one in zip(runs, cards, strict=True):
        history = pd.read_csv(Path(run) / "history.csv").set_index("epoch", drop=False)
        kept.append(history.loc[one["epoch"]].to_dict() | {"run": run})
    chosen = Path(choose_epoch(kept)["run"])
    facts = card.load(chosen) | {
        "name": Path(folder).name,
        "seeds": [
            {
                "seed": one["config"]["seed"],
                "val": one["metrics"]["val"]["n_wrong"],
                "test": one["metrics"]["test"]["n_wrong"],
                "non_digits": one["metrics"]["val"]["synthetic_non_digits"]["accepted"],
                "corruptions": one["corruptions"]["mean"],
            }
            for one in cards
        ],
    }
    for name in ("model.keras", "model.onnx"):
        shutil.copyfile(chosen / name, Path(folder) / name)
    write_json(Path(folder) / "card.json", facts)
    write_text(Path(folder) / card.FILE, card.render(facts))
    weigh_detector(dataset, Path(folder))
    return chosen


def _recipe(facts: dict) -> str:
    """Return what runs of one recipe have in common."""
    config = {**facts["config"], "seed": None}
    return json.dumps([config, facts["data_digest"], facts["commit"]], sort_keys=True)
