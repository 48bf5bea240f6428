"""A model in ONNX Runtime: probabilities of digits for images in MNIST form.

TensorFlow is neither needed nor imported.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from digits import InputError
from digits.config import CHAMPION
from digits.pictures.mnist_form import SIDE

if TYPE_CHECKING:
    import pandas as pd

SLACK = 0.5  # what floats may lie beyond 0 and 1: enlarging and sharpening go a little further
BATCH = 128  # images that are run at a time, which bounds the memory


class Classifier:
    """A model that classifies images in MNIST form. Use `load`.

    All methods take `images`, uint8 0 to 255 or float 0 to 1, (n, 28, 28) or (n, 28, 28, 1), white
    on black, and raise an InputError for another shape, dtype or range.

    Attributes
    ----------
    card : dict
        The model's card.
    temperature : float
        What logits are divided by, so that the confidence is the share of right answers.
    threshold : float
        The confidence from which an answer is accepted.
    threads : int or None
        How many cores it may use; None for all.
    """

    def __init__(self, session, card: dict, threads: int | None = None):
        self._session, self.threads = session, threads
        self._input = session.get_inputs()[0].name
        self.card = card
        self.temperature = float(card["temperature"])
        self.threshold = float(card["threshold"])

    @classmethod
    def load(cls, path: str | os.PathLike | None = None, *, threads: int | None = None) -> Self:
        """Load a model; it may use `threads` cores, by default all.

        Parameters
        ----------
        path : path or None
            A folder with ``model.onnx`` and ``card.json`` (a run's folder), or an ``.onnx`` file
            with ``card.json`` beside it; the shipped model by default.

        Raises
        ------
        InputError
            If the model does not exist, or is not one of this project's.
        """
        path = CHAMPION if path is None else Path(path)
        folder, model = (path, path / "model.onnx") if path.is_dir() else (path.parent, path)
        is_keras = model.suffix in (".keras", ".h5", ".hdf5")
        if is_keras or not model.is_file():
            raise InputError(
                f"{model} {'is not ONNX' if model.is_file() else 'does not exist'}; give a run's "
                "folder or an .onnx file, write it from model.keras with `digits export --format onnx "
                f"--run {folder} {folder / 'model.onnx'}`, or train one with `digits train`"
            )
        card = _load_card(model.with_name("card.json"))
        session = start_session(model, threads)
        shape, outputs = session.get_inputs()[0].shape, session.get_outputs()[0].shape
        if shape[1:] != [SIDE, SIDE, 1] or outputs[-1] not in (10, 11):
            raise InputError(
                f"{model} takes {shape} and gives {outputs}; expected (n, 28, 28, 1) and (n, 10) "
                "or (n, 11)"
            )
        return cls(session, card, threads)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Return the raw outputs, float32 (n, 10), or (n, 11) with an output for "not a digit"."""
        return self._run(images, 0)

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return what the layer before the output computes, float32 (n, units), none negative.

        Raises
        ------
        InputError
            If the model's file gives logits alone.
        """
        if len(self._session.get_outputs()) < 2:
            raise InputError(
                "this model's file gives no features; write it anew with `digits export`"
            )
        return self._run(images, 1)

    def _run(self, images: np.ndarray, which: int) -> np.ndarray:
        """Return one of the outputs for images in MNIST form."""
        images = np.asarray(images)
        if images.shape[3:] == (1,):  # as Keras has them
            images = images[..., 0]
        found, is_known = str(images.dtype), images.dtype in (np.uint8, bool)
        if images.dtype.kind == "f":
            low, high = images.min(initial=0), images.max(initial=0)
            found += f" from {low} to {high}"
            is_known = low >= -SLACK and high <= 1 + SLACK  # which NaN fails
        if not is_known or images.shape[1:] != (SIDE, SIDE):
            raise InputError(
                f"images {images.shape} of {found} arrived; expected (n, 28, 28) in MNIST form "
                "(digits.pictures.to_mnist_form makes it), uint8 from 0 to 255 or floats from 0 to 1"
            )
        scale = 255.0 if images.dtype == np.uint8 else 1.0
        output = self._session.get_outputs()[which]
        out = np.empty((len(images), output.shape[-1]), np.float32)
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH, ..., None].astype(np.float32) / scale
            (out[start : start + BATCH],) = self._session.run([output.name], {self._input: batch})
        return out

    def log_probabilities(self, images: np.ndarray) -> np.ndarray:
        """Return the logarithm of the calibrated probability of each output; shapes as `logits`."""
        scaled = self.logits(images) / self.temperature
        scaled -= scaled.max(axis=1, keepdims=True)
        return scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Return the calibrated probability of each digit, float32 (n, 10).

        A row sums to one, less what the model gives to "not a digit".
        """
        return np.exp(self.log_probabilities(images)[:, :10])

    def predict(self, images: np.ndarray) -> pd.DataFrame:
        """Return a table, a row an image: digit (int), confidence (0 to 1), accepted (bool).

        It needs pandas, unlike `probabilities` and `Recognizer.read`: without, InputError.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError:
            raise InputError(
                "predict needs pandas, which is not installed: pip install 'digits[train]'; "
                "probabilities does without"
            ) from None
        p = self.probabilities(images)
        table = pd.DataFrame({"digit": p.argmax(1), "confidence": p.max(1)})
        return table.assign(accepted=table["confidence"] >= self.threshold)


def _load_card(path: Path) -> dict:
    """Read a model's card, and check what reading depends on."""
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        temperature, threshold = float(card["temperature"]), float(card["threshold"])
        if not (0 < temperature < math.inf and 0 <= threshold <= 1):
            raise ValueError(f"the temperature is {temperature}, the threshold {threshold}")
    except FileNotFoundError:
        raise InputError(f"{path} is missing; it belongs beside the model") from None
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
        raise InputError(
            f"{path} is not a model card ({type(error).__name__}: {error}); "
            "expected JSON with a temperature above 0 and a threshold from 0 to 1"
        ) from None
    return card


def start_session(model: Path, threads: int | None):
    """Start ONNX Runtime on a model; it may use `threads` cores, by default all."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3  # errors only: notes on the machine help nobody who reads
    # Idle threads would otherwise spin, and slow down whatever else runs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(
            os.fspath(model), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's errors share no base class
        reason = str(error).splitlines()[0]
        raise InputError(f"{model} is not an ONNX model that can be run ({reason})") from None
