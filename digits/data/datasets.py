"""Images and labels: MNIST, the digits inside scikit-learn, or a file of the user's own.

Whatever the source, the caller gets the same `Dataset`: uint8 images ``(n, 28, 28)`` in MNIST form
(white ink on black) and int64 labels, split into training, validation and test.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
import shutil
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from digits import InputError
from digits.pictures import to_mnist_form

logger = logging.getLogger(__name__)

SOURCES = ("auto", "mnist", "embedded")
N_VALIDATION = 5_000
SPLIT_SEED = 0

# SHA-256 of the bytes of MNIST's four arrays (images and labels as uint8). They recognise MNIST in
# any container: Keras' npz, the original IDX files, somebody's own copy.
MNIST_DIGESTS = {
    "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}
# The file that keras.datasets.mnist uses, and its SHA-256 as Keras states it.
MNIST_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
MNIST_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
IDX_FILES = {
    "x_train": "train-images-idx3-ubyte.gz",
    "y_train": "train-labels-idx1-ubyte.gz",
    "x_test": "t10k-images-idx3-ubyte.gz",
    "y_test": "t10k-labels-idx1-ubyte.gz",
}
MAX_BYTES = 3_000_000_000  # bytes that an .npz may unpack to; MNIST has 55 million
CSV_COLUMNS = 1 + 28 * 28  # the label, then the pixels
AUTO_TIMEOUT = 20.0  # seconds that "auto" waits for a download before it takes the embedded set
DOWNLOAD_TIMEOUT = 300.0  # seconds that "mnist" waits
WITHOUT_MNIST = (
    "MNIST is not available, so everything here is computed on the 1,797 small digits inside "
    "scikit-learn: no figure can be compared with MNIST's."
)


@dataclass(frozen=True)
class Dataset:
    """Images and labels of one source, split.

    Attributes
    ----------
    name : str
        "mnist", "embedded", or the stem of the user's file.
    x_train, x_val, x_test : numpy.ndarray
        uint8, shape (n, 28, 28), 0 background to 255 ink.
    y_train, y_val, y_test : numpy.ndarray
        int64, shape (n,), 0 to 9.
    digest : str
        SHA-256 over the bytes of the six arrays: two runs with equal digests saw the same data.
    note : str
        One sentence that a report must show, empty where there is nothing to say.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    digest: str = ""
    note: str = ""

    def __str__(self) -> str:
        train, val, test = (f"{len(y):,}" for y in (self.y_train, self.y_val, self.y_test))
        sizes = f"{train} training, {val} validation, {test} test images"
        return f"{self.name}: {sizes} (digest {self.digest[:12]})"


def load(source: str | os.PathLike = "auto", *, seed: int = SPLIT_SEED) -> Dataset:
    """Load images and labels, split into training, validation and test.

    Parameters
    ----------
    source : str or path
        "mnist" (from ``$DIGITS_MNIST``, the cache, or a download), "embedded" (scikit-learn's
        digits, enlarged and put into MNIST form), "auto" (MNIST, else embedded), or the path of an
        ``.npz`` with x_train, y_train, x_test and y_test (and x_val, y_val if you like), or x and y,
        or of a ``.csv`` such as Kaggle's train.csv: a label and 784 pixels a row.
    seed : int
        Seed of the stratified validation split. The test set of MNIST stays whole and in order.

    Raises
    ------
    InputError
        If the source is unknown or not available, or its arrays are not what is expected.
    """
    name = os.fspath(source)
    if name == "auto":
        try:
            return _load_mnist(seed, AUTO_TIMEOUT)
        except InputError as error:
            logger.warning("EMBEDDED DATA: %s (%s)", WITHOUT_MNIST, error)
            return replace(_load_embedded(seed), note=WITHOUT_MNIST)
    if name == "embedded":
        return _load_embedded(seed)
    if name == "mnist":
        return _load_mnist(seed, DOWNLOAD_TIMEOUT)
    path = Path(name).expanduser()
    return _split(path, _read(path), seed)


# --- MNIST -----------------------------------------------------------------------------------


def find_mnist() -> Path | None:
    """Return where MNIST lies on this machine without a download, or None."""
    if named := os.environ.get("DIGITS_MNIST"):
        return Path(named).expanduser()
    return cached if (cached := _cached_mnist()).exists() else None


def read_mnist(path: Path) -> dict[str, np.ndarray]:
    """Return MNIST's four arrays, named as in Keras' ``.npz``: of such a file, or of the IDX folder.

    Raises
    ------
    InputError
        If it cannot be read, or is not MNIST.
    """
    arrays = _read(path)
    if not _is_mnist(arrays):
        raise InputError(
            f"{path} is not MNIST: the SHA-256 of its arrays differ; set DIGITS_MNIST to an intact "
            "copy, or unset it to download one"
        )
    return arrays


def _cached_mnist() -> Path:
    """Return where a download is kept: below ``$DIGITS_CACHE``, or the system's own cache."""
    import pooch

    return Path(os.environ.get("DIGITS_CACHE") or pooch.os_cache("digits")) / "mnist.npz"


def _load_mnist(seed: int, timeout: float) -> Dataset:
    path = find_mnist() if os.environ.get("DIGITS_MNIST") else _download_mnist(timeout)
    return _split(path, read_mnist(path), seed)


def _is_mnist(arrays: dict[str, np.ndarray]) -> bool:
    return all(
        key in arrays
        and arrays[key].dtype.kind in "iu"
        and _sha256(arrays[key].astype(np.uint8)) == digest
        for key, digest in MNIST_DIGESTS.items()
    )


def _download_mnist(timeout: float) -> Path:
    """Return the cached file, downloaded first if it is missing or its checksum is wrong."""
    import filelock
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.WARNING)
    deadline = time.monotonic() + timeout
    cached = _cached_mnist()
    partial = cached.with_suffix(".partial")

    def is_intact() -> bool:
        return cached.exists() and pooch.file_hash(str(cached)) == MNIST_SHA256

    def download(url: str, path: str, _pooch: object) -> None:
        # The timeout of requests is for each read; the deadline is for all attempts together.
        with requests.get(url, stream=True, timeout=min(10.0, timeout / 4)) as response:
            response.raise_for_status()
            with open(path, "wb") as file:
                for chunk in response.iter_content(1 << 16):
                    file.write(chunk)
                    if time.monotonic() > deadline:
                        raise TimeoutError

    fetcher = pooch.create(
        partial, "", registry={"mnist.npz": MNIST_SHA256}, urls={"mnist.npz": MNIST_URL},
        retry_if_failed=2,
    )  # fmt: skip
    try:
        if is_intact():
            return cached  # in a folder that may be read only
        cached.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(cached.with_name(".mnist.npz.lock"), timeout):
            if not is_intact():  # another process may have been quicker
                shutil.rmtree(partial, ignore_errors=True)  # of a download that was killed
                Path(fetcher.fetch("mnist.npz", downloader=download)).replace(cached)
                partial.rmdir()
        return cached
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise InputError(
            f"MNIST could not be downloaded to {cached.parent} ({reason}); set DIGITS_CACHE to a "
            "folder that may be written, or DIGITS_MNIST to a copy of mnist.npz or to the folder of "
            "its four IDX files, or use the data 'embedded'"
        ) from None


# --- The embedded set --------------------------------------------------------------------------


def embedded_split(seed: int = SPLIT_SEED) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the training, validation and test indices into ``sklearn.datasets.load_digits``.

    A stratified fifth is the test set, a seventh of the rest the validation set.
    """
    from sklearn.datasets import load_digits

    y = load_digits().target
    rest, test = _stratified_split(y, len(y) // 5, SPLIT_SEED)
    train, val = _stratified_split(y[rest], len(rest) // 7, seed)
    return rest[train], rest[val], test


def enlarge(image: np.ndarray, factor: int = 5) -> np.ndarray:
    """Enlarge one 8x8 image of the embedded set (0 to 16) to float 0..1 ink, smoothly.

    Cubic interpolation turns the 4x4-block counts that the set holds back into strokes.
    """
    from scipy import ndimage

    padded = np.pad(np.asarray(image, np.float32) / 16.0, 1)
    return np.clip(ndimage.zoom(padded, factor, order=3), 0.0, 1.0)


def _load_embedded(seed: int) -> Dataset:
    from sklearn.datasets import load_digits

    raw = load_digits()
    x = np.stack([to_mnist_form(enlarge(image)) for image in raw.images])
    y = raw.target.astype(np.int64)
    parts = [(x[index], y[index]) for index in embedded_split(seed)]
    return _dataset("embedded", *parts)


# --- Files -------------------------------------------------------------------------------------


def _read(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of an .npz, a .csv, or the folder of MNIST's IDX files."""
    if not path.exists():
        raise InputError(
            f"{path} does not exist; give the path of an .npz or .csv, or {', '.join(SOURCES)}"
        )
    if path.is_dir():
        expected = "MNIST's four IDX files there, undamaged"
        return {key: _parsed(_find_idx(path, key), _parse_idx, expected) for key in IDX_FILES}
    if path.suffix.lower() == ".csv":
        expected = (
            f"{CSV_COLUMNS} columns, the label and then the pixels from 0 to 255, as in Kaggle's "
            "train.csv"
        )
        return _parsed(path, _parse_csv, expected)
    expected = (
        "an .npz without pickles, as np.savez('my.npz', x=images, y=labels) writes it; for MNIST's "
        "IDX files set DIGITS_MNIST to their folder"
    )
    return _parsed(path, _parse_npz, expected)


def _parsed(path: Path, parse: Callable[[Path], Any], expected: str) -> Any:
    try:
        return parse(path)
    except Exception as error:  # NumPy, zipfile and gzip raise ten kinds for a hostile file
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = text.splitlines()[0].rstrip(".")
        raise InputError(f"{path} cannot be read ({reason}); expected {expected}") from None


def _parse_npz(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:  # NumPy would take another file for a pickle
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > MAX_BYTES:
        raise ValueError(f"it unpacks to {unpacked / 1e9:,.0f} GB")
    with np.load(path, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    # A member that is not an array comes back as bytes.
    return {key: array for key, array in arrays.items() if isinstance(array, np.ndarray)}


def _parse_csv(path: Path) -> dict[str, np.ndarray]:
    """Read rows of a label and 784 pixels, below a line of names or without one."""
    with path.open(encoding="utf-8-sig") as file:
        first = file.readline(1 << 16).split(",")[0].strip(' "\n')
    has_names = not first.isdecimal()
    if has_names and first.lower() != "label":
        raise ValueError(f"the first column is {first[:20]!r}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are no rows is said later
        # NumPy 2.3 refuses 300 and 3.5, which before it took, with this warning, for 44 and 3.
        warnings.filterwarnings("error", r"loadtxt\(\): Parsing an integer via a float")
        table = np.loadtxt(
            path, np.uint8, delimiter=",", comments=None, encoding="utf-8-sig", ndmin=2,
            skiprows=int(has_names),
        )  # fmt: skip
    if len(table) and table.shape[1] != CSV_COLUMNS:
        raise ValueError(f"{table.shape[1]} columns")
    return {"x": table[:, 1:].reshape(-1, 28, 28), "y": table[:, 0]}


def _find_idx(folder: Path, key: str) -> Path:
    """Return one of MNIST's original files: packed, unpacked, or unpacked as Kaggle's copy names it."""
    packed = folder / IDX_FILES[key]
    plain = packed.with_suffix("")
    names = packed, plain, plain.with_name(plain.name.replace("-idx", ".idx"))
    return next(filter(Path.is_file, names), packed)


def _parse_idx(path: Path) -> np.ndarray:
    raw = path.read_bytes()
    raw = gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
    # An IDX file starts with two zero bytes, the type, the number of axes, then each length.
    header = 4 + 4 * raw[3]
    shape = np.frombuffer(raw[4:header], ">u4")
    return np.frombuffer(raw[header:], np.uint8).reshape(shape)


def _split(path: Path, arrays: dict[str, np.ndarray], seed: int) -> Dataset:
    """Check the arrays of a file, and split off the parts that it lacks."""
    name = path.stem
    if _is_mnist(arrays):
        name, arrays = "mnist", {key: arrays[key].astype(np.uint8) for key in MNIST_DIGESTS}
    parts = {
        part: _validated(path, part, arrays[f"x{part}"], arrays[f"y{part}"])
        for part in ("_train", "_val", "_test", "")
        if {f"x{part}", f"y{part}"} <= set(arrays)
    }
    if not {"_train", "_test"} <= set(parts):
        if "" not in parts:
            raise InputError(
                f"{path} holds {', '.join(sorted(arrays)) or 'nothing'}; expected x_train, y_train, "
                "x_test and y_test, or x and y"
            )
        n = len(parts[""][1]) // 5
        parts["_train"], parts["_test"] = _hold_out(*parts[""], n, seed)
    if "_val" not in parts:
        n = min(N_VALIDATION, len(parts["_train"][1]) // 6)
        parts["_train"], parts["_val"] = _hold_out(*parts["_train"], n, seed)
    return _dataset(name, parts["_train"], parts["_val"], parts["_test"])


def _validated(path: Path, part: str, x: np.ndarray, y: np.ndarray) -> tuple:
    """Return the images and labels of a part, checked."""
    problem, labels = "", np.unique(y).tolist()
    if x.dtype != np.uint8 or x.ndim != 3 or x.shape[1:] != (28, 28):
        problem = f"x{part} is {x.dtype} {x.shape}; expected uint8 (n, 28, 28), ink 255 on 0"
    elif y.ndim != 1 or y.dtype.kind not in "iu" or len(y) != len(x):
        problem = f"y{part} is {y.dtype} {y.shape}; expected {len(x)} whole numbers, one an image"
    elif labels != list(range(10)):
        problem = f"y{part} holds the labels {labels[:11]}; expected 0 to 9, each of them"
    if problem:
        raise InputError(f"{path}: {problem}")
    return x, y.astype(np.int64)


def _hold_out(x: np.ndarray, y: np.ndarray, n: int, seed: int) -> tuple:
    """Return images and labels without `n` of them, and these."""
    rest, held = _stratified_split(y, n, seed)
    return (x[rest], y[rest]), (x[held], y[held])


def _stratified_split(y: np.ndarray, n_held: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the rest and of `n_held`, each class in proportion, in rising order."""
    from sklearn.model_selection import train_test_split

    try:
        rest, held = train_test_split(
            np.arange(len(y)), test_size=n_held, stratify=y, random_state=seed
        )
    except ValueError:
        raise InputError(
            f"{len(y)} images are too few to be split by class; give at least 100, ten of each digit"
        ) from None
    return np.sort(rest), np.sort(held)


def _dataset(name: str, *parts: tuple[np.ndarray, np.ndarray]) -> Dataset:
    arrays = [np.ascontiguousarray(array) for part in parts for array in part]
    return Dataset(name, *arrays, digest=_sha256(*arrays))


def _sha256(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
