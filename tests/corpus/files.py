"""Data sets, models, cards and metrics that are broken or hostile: one file or folder of each kind."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from digits.config import CHAMPION

TRACE = Path("/tmp/digits-was-here")  # what hostile files would make if their code were run


class Careless:
    """Leaves a trace if it is unpickled."""

    def __reduce__(self):
        return TRACE.mkdir, ()


def _arrays(**changed) -> dict[str, np.ndarray]:
    x, y = np.zeros((100, 28, 28), np.uint8), np.arange(100) % 10
    good = {"x_train": x, "y_train": y, "x_test": x, "y_test": y}
    return {key: value for key, value in {**good, **changed}.items() if value is not None}


def _npz(**changed) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **_arrays(**changed))
    return file.getvalue()


def _archive(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def _array_head(shape: str, dtype: str = "|u1") -> bytes:
    head = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    head += b" " * (63 - (10 + len(head)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head


def bad_data() -> dict[str, Callable[[], bytes]]:
    """Return the content of bad ``.npz`` files, by what is wrong with them."""
    y = np.arange(100) % 10
    x = np.zeros((100, 28, 28))
    good = _npz()
    pickled = np.empty(100, object)
    pickled[:] = [Careless()] * 100
    return {
        "empty": lambda: b"",
        "text": lambda: b"x_train,y_train\n",
        **{f"cut at {tenth} tenths": lambda tenth=tenth: good[: len(good) * tenth // 10]
           for tenth in range(1, 10)},
        "a pickle": lambda: pickle.dumps(Careless()),
        "pickled images": lambda: _npz(x_train=pickled),
        "pickled labels": lambda: _npz(y_train=pickled),
        "a pickle in the archive": lambda: _archive("x_train.npy", pickle.dumps(Careless())),
        "no arrays": lambda: _archive("readme.txt", b"nothing"),
        "wrong keys": lambda: _npz(x_train=None, images=x),
        "one array": lambda: _saved(x),
        "flat images": lambda: _npz(x_train=x.reshape(100, -1).astype(np.uint8)),
        "images of 32 pixels": lambda: _npz(x_train=np.zeros((100, 32, 32), np.uint8)),
        "float images": lambda: _npz(x_train=x),
        "images that are no numbers": lambda: _npz(x_train=x * np.nan),
        "float labels": lambda: _npz(y_train=y.astype(float)),
        "labels that are no numbers": lambda: _npz(y_train=y * np.nan),
        "labels from 1 to 10": lambda: _npz(y_train=y + 1),
        "negative labels": lambda: _npz(y_train=y - 1),
        "text labels": lambda: _npz(y_train=y.astype(str)),
        "fewer labels than images": lambda: _npz(y_train=y[:50]),
        "one-hot labels": lambda: _npz(y_train=np.eye(10, dtype=np.uint8)[y]),
        "no zeros": lambda: _npz(y_train=np.maximum(y, 1)),
        "no images": lambda: _npz(x_train=np.zeros((0, 28, 28), np.uint8), y_train=y[:0]),
        "ten images": lambda: _npz(x_train=np.zeros((10, 28, 28), np.uint8), y_train=y[:10]),
        "a path that climbs": lambda: _archive("../../x_train.npy", _saved(x)),
        "an array declared of 8 EB": lambda: _archive(
            "x_train.npy", _array_head("(9223372036854775807, 28, 28)")),
        "an array declared of 100 TB": lambda: _archive(
            "x_train.npy", _array_head("(130000000000, 28, 28)")),
        "a head that is code": lambda: _archive(
            "x_train.npy", _array_head("__import__('os').mkdir('/tmp/digits-was-here')")),
        "a bomb of 4 GB": _bomb,
    }  # fmt: skip


def _saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _bomb() -> bytes:
    """Return images that are all zero: 4 GB in 4 MB."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("x_train.npy", "w", force_zip64=True) as member,
    ):
        n = (1 << 32) // 784
        member.write(_array_head(f"({n}, 28, 28)"))
        block = bytes(784 * 1024)
        for _ in range(n // 1024):
            member.write(block)
        member.write(bytes(784 * (n % 1024)))
    return file.getvalue()


def write_idx_folder(folder: Path) -> Path:
    """Write MNIST's four files with a head that promises more than there is."""
    folder.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        head = bytes([0, 0, 8, 3]) + (2**31 - 1).to_bytes(4, "big") * 3
        (folder / f"{name}-ubyte.gz").write_bytes(gzip.compress(head + bytes(10)))
    return folder


def bad_models() -> dict[str, Callable[[Path], None]]:
    """Return what spoils a copy of the shipped model's folder, by what is wrong with it."""

    def card(**changed) -> Callable[[Path], None]:
        def spoil(folder: Path) -> None:
            path = folder / "card.json"
            values = {**json.loads(path.read_text()), **changed}
            path.write_text(json.dumps({k: v for k, v in values.items() if v is not Ellipsis}))

        return spoil

    def written(name: str, content: bytes) -> Callable[[Path], None]:
        return lambda folder: (folder / name).write_bytes(content) and None

    def missing(name: str) -> Callable[[Path], None]:
        return lambda folder: (folder / name).unlink()

    whole = (CHAMPION / "model.onnx").read_bytes()
    deep = ("[" * 100_000 + "]" * 100_000).encode()
    return {
        "no model": missing("model.onnx"),
        "no card": missing("card.json"),
        "an empty model": written("model.onnx", b""),
        **{f"a model cut at {tenth} tenths": written("model.onnx", whole[: len(whole) * tenth // 10])
           for tenth in range(1, 10)},
        "a text as model": written("model.onnx", b"model"),
        "a pickle as model": written("model.onnx", pickle.dumps(Careless())),
        "a model of another shape": _other_model,
        "weights outside of the folder": _outside,
        "a card that is no JSON": written("card.json", b"{'temperature': 1}"),
        "a card that is a list": written("card.json", b"[1, 2]"),
        "a card that is a number": written("card.json", b"1"),
        "a card that is no text": written("card.json", b"\xff\xfe\x00"),
        "a card that is deep": written("card.json", deep),
        "no temperature": card(temperature=...),
        "a temperature of zero": card(temperature=0),
        "a negative temperature": card(temperature=-1.0),
        "a temperature that is no number": card(temperature=float("nan")),
        "an endless temperature": card(temperature=float("inf")),
        "a temperature in words": card(temperature="warm"),
        "a list as temperature": card(temperature=[1]),
        "no threshold": card(threshold=...),
        "a threshold that is no number": card(threshold=float("nan")),
        "a threshold in words": card(threshold="__import__('os').mkdir('/tmp/digits-was-here')"),
    }  # fmt: skip


def write_bad_model(spoil: Callable[[Path], None], folder: Path) -> Path:
    """Copy the shipped model to `folder` and spoil it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("model.onnx", "card.json"):
        shutil.copy(CHAMPION / name, folder / name)
    spoil(folder)
    return folder


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def _field(number: int, value: bytes | str | int) -> bytes:
    """Return one field of a protocol buffer, the form of ONNX files."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    value = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _tensor_info(name: str, *shape: int) -> bytes:
    dimensions = b"".join(_field(1, _field(1, side)) for side in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, dimensions)))


def _model(graph: bytes) -> bytes:
    return _field(1, 8) + _field(7, graph) + _field(8, _field(2, 13))


def _other_model(folder: Path) -> None:
    """Write a model that returns its input, five numbers."""
    node = _field(1, "image") + _field(2, "logits") + _field(4, "Identity")
    ends = _field(11, _tensor_info("image", 1, 5)) + _field(12, _tensor_info("logits", 1, 5))
    (folder / "model.onnx").write_bytes(_model(_field(1, node) + _field(2, "other") + ends))


def _outside(folder: Path) -> None:
    """Write a model whose weights are a file two folders above its own."""
    place = _field(1, "location") + _field(2, "../../../../etc/passwd")
    weights = (
        _field(1, 10) + _field(2, 1) + _field(8, "weights") + _field(13, place) + _field(14, 1)
    )
    node = _field(1, "image") + _field(1, "weights") + _field(2, "logits") + _field(4, "Add")
    ends = (_field(11, _tensor_info("image", 1, 28, 28, 1))
            + _field(12, _tensor_info("logits", 1, 28, 28, 10)))  # fmt: skip
    graph = _field(1, node) + _field(2, "outside") + _field(5, weights) + ends
    (folder / "model.onnx").write_bytes(_model(graph))


def bad_metrics() -> dict[str, bytes]:
    """Return the content of bad ``metrics.json`` files."""
    return {
        "empty": b"",
        "cut": b'{"evaluation": {"accuracy": {"n_sc',
        "a list": b"[]",
        "a number": b"1",
        "no text": b"\xff\xfe",
        "deep": ("[" * 100_000 + "]" * 100_000).encode(),
        "sections that are no objects": b'{"evaluation": [1], "pictures": "all"}',
        "no object at all": b"null",
        "a report that is a list": b'{"report": [1]}',
    }
