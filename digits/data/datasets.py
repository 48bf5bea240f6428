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
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from digits import InputError
from digits.pictures import to_mnist_form
from digits.storage import locked

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
MAX_BYTES = 3_000_000_000  # bytes that an .npz or .csv may hold; MNIST has 55 million
CSV_COLUMNS = 1 + 28 * 28  # the label, then the pixels
AUTO_TIMEOUT = 20.0  # seconds that "auto" waits for a download before it takes the embedded set
DOWNLOAD_TIMEOUT = 300.0  # seconds that "mnist" waits


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
        sizes = ", ".join(
            f"{len(getattr(self, 'y_' + part)):,} {word}"
            for part, word in (("train", "training"), ("val", "validation"), ("test", "test"))
        )
        return f"{self.name}: {sizes} images (digest {self.digest[:12]})"


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
        If the source is unknown or cannot be had, or its arrays are not what is expected.
    """
    name = os.fspath(source)
    if name == "auto":
        return _load_auto(seed)
    if name == "mnist":
        return _load_mnist(seed, DOWNLOAD_TIMEOUT)
    if name == "embedded":
        return _load_embedded(seed)
    path = Path(name).expanduser()
    if path.suffix not in (".npz", ".csv") and not path.exists():
        raise InputError(
            f"unknown data {name!r}; give {', '.join(SOURCES)} or the path of an .npz or .csv"
        )
    arrays = _read_csv(path) if path.suffix.lower() == ".csv" else _read_npz(path)
    if _is_mnist(arrays):
        return _split_mnist(arrays, seed)
    return _split_own(path, arrays, seed)


def _load_auto(seed: int) -> Dataset:
    try:
        return _load_mnist(seed, AUTO_TIMEOUT)
    except InputError as error:
        note = (
            "MNIST could not be had, so everything here is computed on the 1,797 small digits inside "
            "scikit-learn: no figure can be compared with MNIST's."
        )
        logger.warning("EMBEDDED DATA: %s (%s)", note, error)
        dataset = _load_embedded(seed)
        return Dataset(**{**vars(dataset), "note": note})


# --- MNIST -----------------------------------------------------------------------------------


def find_mnist() -> Path | None:
    """Return where MNIST lies on this machine without a download, or None."""
    named = os.environ.get("DIGITS_MNIST")
    if named:
        return Path(named).expanduser()
    cached = cache_folder() / "mnist.npz"
    return cached if cached.exists() else None


def cache_folder() -> Path:
    """Return the folder that downloads are kept in (``$DIGITS_CACHE``, or the system's own)."""
    import pooch

    return Path(os.environ.get("DIGITS_CACHE") or pooch.os_cache("digits"))


def _load_mnist(seed: int, timeout: float) -> Dataset:
    named = os.environ.get("DIGITS_MNIST")
    path = Path(named).expanduser() if named else _download_mnist(timeout)
    return _split_mnist(read_mnist(path), seed)


def read_mnist(path: Path) -> dict[str, np.ndarray]:
    """Return MNIST's four arrays as they are named in Keras' file, x_train (60000, 28, 28) first.

    Parameters
    ----------
    path : path
        An ``.npz``, or the folder of the four IDX files, packed or not.

    Raises
    ------
    InputError
        If it cannot be read, or is not MNIST.
    """
    arrays = _read_idx_folder(path) if path.is_dir() else _read_npz(path)
    if not _is_mnist(arrays):
        raise InputError(
            f"{path} is not MNIST: the SHA-256 of its arrays differ; set DIGITS_MNIST to an intact "
            "copy, or unset it to download one"
        )
    return arrays


def _download_mnist(timeout: float) -> Path:
    """Return the cached file, downloading it if it is missing or its checksum is wrong."""
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.WARNING)
    deadline = time.monotonic() + timeout

    def download(url: str, output_file: str, _pooch: object) -> None:
        # requests' own timeout is per read; the deadline bounds the whole, however slow the line.
        with requests.get(url, stream=True, timeout=min(10.0, timeout)) as response:
            response.raise_for_status()
            with open(output_file, "wb") as file:
                for chunk in response.iter_content(1 << 16):
                    file.write(chunk)
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"not complete within {timeout:.0f} s")

    cached = cache_folder() / "mnist.npz"

    def is_whole() -> bool:
        return cached.exists() and pooch.file_hash(str(cached)) == MNIST_SHA256

    if is_whole():
        return cached  # in a folder that may be read only
    partial = cached.with_suffix(".partial")
    last: Exception | None = None
    with _locked_before(deadline, cached):
        if is_whole():
            return cached  # another process was quicker
        for attempt in range(3):
            if attempt:
                time.sleep(min(2.0**attempt, max(0.0, deadline - time.monotonic())))
            if time.monotonic() > deadline:
                break
            shutil.rmtree(partial, ignore_errors=True)  # of a download that was killed, too
            try:
                # retrieve() checks the sum and deletes what is wrong.
                fetched = pooch.retrieve(
                    MNIST_URL, MNIST_SHA256, "mnist.npz", partial, downloader=download
                )
                os.replace(fetched, cached)
                return cached
            except (OSError, ValueError) as error:
                last = error
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    raise InputError(
        f"MNIST could not be downloaded ({type(last).__name__}); set DIGITS_MNIST to a copy of "
        "mnist.npz or to the folder of its four IDX files, or use the data 'embedded'"
    )


@contextmanager
def _locked_before(deadline: float, path: Path) -> Iterator[None]:
    """Lock `path`, waiting for another's download to end."""
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(locked(path))
                break
            except OSError as error:
                raise InputError(
                    f"cannot write into {path.parent} ({error.strerror}); set DIGITS_CACHE to a "
                    "folder that may be written"
                ) from None
            except InputError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        yield


def _read_idx_folder(folder: Path) -> dict[str, np.ndarray]:
    arrays = {}
    for key, packed in IDX_FILES.items():
        # As they are, unpacked, or unpacked with a dot, as in Kaggle's copy, which also has folders
        # of the second name.
        plain = packed.removesuffix(".gz")
        names = (packed, plain, plain.replace("-idx", ".idx"))
        name = next((name for name in names if (folder / name).is_file()), packed)
        try:
            raw = (folder / name).read_bytes()
            raw = gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(
                f"{folder / name} cannot be read ({reason}); expected MNIST's four IDX files there"
            ) from None
        # An IDX file starts with two zero bytes, the type, the number of axes, then each length.
        axes = raw[3] if len(raw) > 3 else 0
        header = 4 + 4 * axes
        lengths = np.frombuffer(raw[4:header], ">u4")
        if not axes or len(raw) != header + int(np.prod(lengths, dtype=np.int64)):
            raise InputError(f"{folder / name} is damaged; fetch it again")
        arrays[key] = np.frombuffer(raw[header:], np.uint8).reshape(lengths)
    return arrays


def _is_mnist(arrays: dict[str, np.ndarray]) -> bool:
    return all(
        key in arrays
        and arrays[key].dtype.kind in "iu"
        and _sha256(arrays[key].astype(np.uint8)) == digest
        for key, digest in MNIST_DIGESTS.items()
    )


def _split_mnist(arrays: dict[str, np.ndarray], seed: int) -> Dataset:
    x, y = arrays["x_train"], arrays["y_train"].astype(np.int64)
    train, val = _stratified_split(np.arange(len(y)), y, N_VALIDATION, seed)
    return _dataset(
        "mnist",
        (x[train], y[train]),
        (x[val], y[val]),
        (arrays["x_test"], arrays["y_test"].astype(np.int64)),
    )


# --- The embedded set --------------------------------------------------------------------------


def embedded_split(seed: int = SPLIT_SEED) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the training, validation and test indices into ``sklearn.datasets.load_digits``.

    A stratified fifth is the test set, a seventh of the rest the validation set.
    """
    from sklearn.datasets import load_digits

    y = load_digits().target
    rest, test = _stratified_split(np.arange(len(y)), y, len(y) // 5, SPLIT_SEED)
    train, val = _stratified_split(rest, y, len(rest) // 7, seed)
    return train, val, np.sort(test)


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


# --- The user's own file -----------------------------------------------------------------------


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is no file; give the path of an .npz")
    if path.is_file() and not zipfile.is_zipfile(path):
        raise InputError(f"{path} {_instead_of_npz(path)}")
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise InputError(f"{path} {_instead_of_npz(path)}")
            unpacked = sum(member.file_size for member in file.zip.infolist())
            if unpacked > MAX_BYTES:
                raise InputError(
                    f"{path} unpacks to {unpacked / 1e9:,.0f} GB; expected images of 28 by 28 pixels, "
                    f"{MAX_BYTES / 1e9:.0f} GB at most"
                )
            arrays = {key: file[key] for key in file.files}
            # What has no array's head comes back as bytes.
            return {key: array for key, array in arrays.items() if isinstance(array, np.ndarray)}
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give the path of an .npz") from None
    except (
        OSError, EOFError, ValueError, KeyError, MemoryError, SyntaxError, NotImplementedError,
        RuntimeError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        if isinstance(error, InputError):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read as .npz without pickles ({reason})") from None


def _instead_of_npz(path: Path) -> str:
    """Say what a file is, and the way out."""
    head = b""
    with suppress(OSError), path.open("rb") as file:
        head = file.read(6)
    if head == b"\x93NUMPY":
        return "is a single array; np.savez('my.npz', x=images, y=labels) makes what is expected"
    if head.startswith(b"\0\0\x08") or "ubyte" in path.name:
        return (
            "is an IDX file; if it is MNIST's, set DIGITS_MNIST to its folder and take the data mnist, "
            "else write an .npz with x_train, y_train, x_test and y_test"
        )
    return "cannot be read: it is damaged, or no .npz; save it again"


def _read_csv(path: Path) -> dict[str, np.ndarray]:
    """Read rows of a label and 784 pixels, below a line of names or without one."""
    wanted = (
        f"expected {CSV_COLUMNS} columns, the label and then the pixels, as in Kaggle's train.csv"
    )
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES / 1e9:.0f} GB; {wanted}")
        with path.open(encoding="utf-8-sig") as file:
            first = file.readline(1 << 16).replace('"', "").strip().split(",")
        if len(first) == CSV_COLUMNS - 1:
            raise InputError(f"{path} has no labels, only pixels; {wanted}")
        named = not first[0].isdecimal()
        if len(first) != CSV_COLUMNS or (named and first[0].lower() != "label"):
            raise InputError(f"{path} has {len(first)} columns, first {first[0][:20]!r}; {wanted}")
        with warnings.catch_warnings(action="ignore"):  # that there are no rows is said later
            how = {"delimiter": ",", "comments": None, "encoding": "utf-8-sig"}
            table = np.loadtxt(path, np.uint8, skiprows=int(named), ndmin=2, **how)
        if len(table) and table.shape[1] != CSV_COLUMNS:
            raise InputError(f"{path} has rows of {table.shape[1]} columns; {wanted}")
    except (OSError, ValueError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{path} cannot be read ({reason}); {wanted}, from 0 to 255") from None
    return {"x": table[:, 1:].reshape(-1, 28, 28), "y": table[:, 0]}


def _split_own(path: Path, arrays: dict[str, np.ndarray], seed: int) -> Dataset:
    if {"x_train", "y_train", "x_test", "y_test"} <= set(arrays):
        train = _validated(path, arrays, "x_train", "y_train")
        test = _validated(path, arrays, "x_test", "y_test")
    elif {"x", "y"} <= set(arrays):
        x, y = _validated(path, arrays, "x", "y")
        rest, held = _split_or_explain(path, np.arange(len(y)), y, len(y) // 5, seed)
        train, test = (x[rest], y[rest]), (x[held], y[held])
    else:
        raise InputError(
            f"{path} holds {', '.join(sorted(arrays)) or 'nothing'}; expected x_train, y_train, x_test "
            "and y_test, or x and y"
        )
    if {"x_val", "y_val"} <= set(arrays):
        val = _validated(path, arrays, "x_val", "y_val")
    else:
        x, y = train
        rest, held = _split_or_explain(
            path, np.arange(len(y)), y, min(N_VALIDATION, len(y) // 6), seed
        )
        train, val = (x[rest], y[rest]), (x[held], y[held])
    return _dataset(path.stem, train, val, test)


def _validated(
    path: Path, arrays: dict[str, np.ndarray], x_key: str, y_key: str
) -> tuple[np.ndarray, np.ndarray]:
    x, y = arrays[x_key], arrays[y_key]
    if x.dtype != np.uint8 or x.ndim != 3 or x.shape[1:] != (28, 28):
        raise InputError(
            f"{path}: {x_key} is {x.dtype} {x.shape}; expected uint8 (n, 28, 28), ink 255 on 0"
        )
    if y.ndim != 1 or y.dtype.kind not in "iu" or len(y) != len(x):
        raise InputError(
            f"{path}: {y_key} is {y.dtype} {y.shape}; expected {len(x)} whole numbers, one an image"
        )
    outside = np.unique(y[(y < 0) | (y > 9)])
    if outside.size:
        raise InputError(f"{path}: {y_key} holds the label {outside[0]}; expected 0 to 9")
    missing = sorted(set(range(10)) - set(np.unique(y).tolist()))
    if missing:
        raise InputError(
            f"{path}: {y_key} has no image of class {missing[0]}; expected all ten digits"
        )
    return x, y.astype(np.int64)


# --- Splitting and digests ---------------------------------------------------------------------


def _split_or_explain(path, index, y, n_held, seed):
    try:
        return _stratified_split(index, y, n_held, seed)
    except ValueError:
        raise InputError(
            f"{path} is too small to be split by class: it holds {len(y)} images; give at least 100, "
            "ten of each digit"
        ) from None


def _stratified_split(
    index: np.ndarray, y: np.ndarray, n_held: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Split `index` into the rest and `n_held`, each class in proportion, both in rising order."""
    from sklearn.model_selection import train_test_split

    rest, held = train_test_split(index, test_size=n_held, stratify=y[index], random_state=seed)
    return np.sort(rest), np.sort(held)


def _dataset(name, train, val, test) -> Dataset:
    arrays = [np.ascontiguousarray(array) for part in (train, val, test) for array in part]
    return Dataset(name, *arrays, digest=_sha256(*arrays))


def _sha256(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
