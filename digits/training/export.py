"""Export of a trained network, checked against Keras on validation images."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
from scipy.special import softmax

from digits import InputError, data
from digits.training.backend import keras
from digits.training.model import as_input, load_network

PARITY = 1e-4  # largest probability difference allowed between Keras and an exported model


def export_model(run_dir: str | os.PathLike, kind: str, output: str | os.PathLike) -> float:
    """Write a trained model in another format, checked against the run's Keras model.

    Parameters
    ----------
    run_dir : path
        A run folder, or the champion's.
    kind : str
        A key of `FORMATS`: "onnx" (ONNX Runtime), "litert" (phones), or "keras" (more training).
    output : path
        Written under a temporary name and renamed when the check has passed.

    Returns
    -------
    float
        Largest difference of a probability on 256 validation images of the embedded set.

    Raises
    ------
    InputError
        If the format is unknown, there is no model, or the output cannot be written.
    RuntimeError
        If the difference is not below `PARITY`.
    """
    output = Path(output)
    if kind not in FORMATS:
        raise InputError(f"unknown format {kind!r}; the formats are {', '.join(FORMATS)}")
    if kind == "litert" and output.suffix != ".tflite":
        raise InputError(f"{output} is not a name for a LiteRT model; let it end in .tflite")
    model = load_network(run_dir)
    images = data.load("embedded").x_val
    temporary = output.with_name(f".{output.stem}.{os.getpid()}{output.suffix}")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        try:
            difference = write_model(model, kind, temporary, images)
            os.replace(temporary, output)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {output}: {error.strerror or error}") from None
    return difference


def write_model(model: keras.Model, kind: str, path: Path, images: np.ndarray) -> float:
    """Write `model` in a format; return the largest difference of a probability on uint8 images."""
    x = as_input(images)
    found, expected = FORMATS[kind](model, path, x), keras.ops.convert_to_numpy(model(x))
    difference = np.abs(softmax(np.float64(expected), 1) - softmax(np.float64(found), 1)).max()
    if not difference < PARITY:
        raise RuntimeError(
            f"the {kind} export differs from Keras by {difference:.2g} in probability"
        )
    return float(difference)


def _write_onnx(model: keras.Model, path: Path, x: np.ndarray) -> np.ndarray:
    """Write ONNX with outputs "logits" and "penultimate", the last layer's input; return its logits."""
    import onnxruntime

    # The exporter puts outputs in the order of their names.
    both = keras.Model(
        model.inputs[0], {"logits": model.outputs[0], "penultimate": model.layers[-1].input}
    )
    to_onnx(both, path, x[:1])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {session.get_inputs()[0].name: x})[0]


def to_onnx(model: keras.Model, path: Path, x: np.ndarray) -> None:
    """Write a model as ONNX; `x` is an input for it."""
    model(x)  # a model that was never called cannot be exported
    with warnings.catch_warnings():
        # Keras' exporter asks NumPy for a name that is going away: a user cannot change that.
        warnings.filterwarnings("ignore", category=FutureWarning, module="keras")
        model.export(path, format="onnx", verbose=False)


def _write_litert(model: keras.Model, path: Path, x: np.ndarray) -> np.ndarray:
    import tensorflow as tf

    # A fixed batch of one image is what a phone reads.
    image = keras.Input(batch_shape=(1, *model.input_shape[1:]), name="image")
    keras.Model(image, model(image, training=False)).export(path, format="litert", verbose=False)
    with warnings.catch_warnings():
        # TensorFlow's own interpreter is to move into a package of its own: not a user's concern.
        warnings.filterwarnings("ignore", category=UserWarning, module="tensorflow")
        interpreter = tf.lite.Interpreter(str(path))
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    found = []
    for image in x:
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(target["index"])[0])
    return np.stack(found)


def _write_keras(model: keras.Model, path: Path, x: np.ndarray) -> np.ndarray:
    model.save(path)
    again = keras.models.load_model(path, compile=False, safe_mode=True)
    return keras.ops.convert_to_numpy(again(x))


FORMATS = {"onnx": _write_onnx, "litert": _write_litert, "keras": _write_keras}
