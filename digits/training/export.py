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
    both(x[:1])  # a model that was never called cannot be exported
    with warnings.catch_warnings():
        # Keras' exporter asks NumPy for a name that is going away: a user cannot change that.
        warnings.filterwarnings("ignore", category=FutureWarning, module="keras")
        both.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {session.get_inputs()[0].name: x})[0]


def write_plain_onnx(network: keras.Model, path: Path) -> None:
    """Write a network of convolutions as ONNX, a node a layer, normalisations folded into the weights.

    What Keras' own exporter writes moves all pixels about for a dilated convolution, and takes twice as
    long. Layers are Conv2D ("same" padding, no activation), BatchNormalization after one, ReLU and Add;
    the sides of what it reads are multiples of all strides.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights, names = [], {}, {}
    for layer in network.layers:
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        sources, out = [names.get(id(tensor)) for tensor in inputs], layer.name
        if isinstance(layer, keras.layers.InputLayer):
            out = f"{layer.name}/channels_first"
            nodes.append(helper.make_node("Transpose", [layer.name], [out], perm=[0, 3, 1, 2]))
        elif isinstance(layer, keras.layers.Conv2D):
            kernel, *bias = layer.get_weights()
            bias = bias[0] if bias else np.zeros(layer.filters, np.float32)
            weights[out] = [kernel.transpose(3, 2, 0, 1), bias]
            form = {"strides": layer.strides, "dilations": layer.dilation_rate}
            sides = zip(layer.kernel_size, *form.values(), strict=True)
            padding = [dilation * (size - 1) + 1 - step for size, step, dilation in sides]
            form["pads"] = [n // 2 for n in padding] + [n - n // 2 for n in padding]
            given = [*sources, f"{out}/kernel", f"{out}/bias"]
            nodes.append(helper.make_node("Conv", given, [out], **form))
        elif isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            scale = gamma / np.sqrt(variance + layer.epsilon)
            kernel, bias = weights[sources[0]]
            weights[sources[0]] = [
                kernel * scale[:, None, None, None],
                beta + (bias - mean) * scale,
            ]
            out = sources[0]
        else:
            kind = {keras.layers.ReLU: "Relu", keras.layers.Add: "Add"}[type(layer)]
            nodes.append(helper.make_node(kind, sources, [out]))
        names[id(layer.output)] = out
    nodes.append(helper.make_node("Transpose", [out], ["output"], perm=[0, 2, 3, 1]))
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", None, None, n_channels])
        for name, n_channels in (
            (network.inputs[0].name, network.input_shape[-1]),
            ("output", network.output_shape[-1]),
        )
    ]
    graph = helper.make_graph(
        nodes,
        network.name,
        ends[:1],
        ends[1:],
        [
            numpy_helper.from_array(np.ascontiguousarray(values), f"{name}/{which}")
            for name, pair in weights.items()
            for which, values in zip(("kernel", "bias"), pair, strict=True)
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


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
