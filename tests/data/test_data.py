"""Data sets: sources, splits, files that are damaged."""

import contextlib
import gzip
import hashlib
import http.server
import os
import threading
import time
import warnings

import filelock
import numpy as np
import pytest

from digits import InputError, data
from digits.data import datasets


@pytest.fixture
def own():
    """Return the arrays of a small valid file: 20 images of each digit."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(10), 20)
    return {"x": rng.integers(0, 256, (200, 28, 28), dtype=np.uint8), "y": y}


def refused(path, words: str) -> None:
    """Check that it is refused in one line, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match=words) as caught:
            data.load(path)
    assert "\n" not in str(caught.value)


def test_embedded_set_is_in_mnist_form_and_split_by_class(embedded):
    assert sorted(np.concatenate(data.embedded_split()).tolist()) == list(range(1797))
    assert (len(embedded.y_train), len(embedded.y_val), len(embedded.y_test)) == (1233, 205, 359)
    for part in ("train", "val", "test"):
        x, y = getattr(embedded, f"x_{part}"), getattr(embedded, f"y_{part}")
        assert x.shape == (len(y), 28, 28) and x.dtype == np.uint8 and y.dtype == np.int64
        share = np.bincount(y, minlength=10) / len(y)
        assert share.min() > 0.09 and share.max() < 0.11
    # The margins of MNIST form are empty, the middle is not.
    assert embedded.x_train[:, :2].max() == 0 and embedded.x_train.max(axis=(1, 2)).min() > 150


@pytest.mark.slow
def test_loading_twice_gives_the_same_digest_and_another_seed_another(embedded):
    assert data.load("embedded").digest == embedded.digest
    other = data.load("embedded", seed=1)
    assert other.digest != embedded.digest
    assert np.array_equal(other.x_test, embedded.x_test)


def test_own_file_is_split_and_its_own_parts_are_kept(tmp_path, own):
    path = tmp_path / "mine.npz"
    np.savez(path, **own)
    dataset = data.load(path)
    assert dataset.name == "mine" and set(dataset.y_test) == set(range(10))
    assert [len(y) for y in (dataset.y_train, dataset.y_val, dataset.y_test)] == [134, 26, 40]
    parts = {f"{key}_{part}": array for part in ("train", "test") for key, array in own.items()}
    np.savez(path, **parts)
    assert len(data.load(path).y_val) == 200 // 6
    np.savez(path, **parts, x_val=own["x"][::2], y_val=own["y"][::2])
    assert len(data.load(path).y_val) == 100


def test_own_file_with_wrong_arrays_is_refused(tmp_path, own):
    path, y = tmp_path / "mine.npz", own["y"]
    for change, words in [
        ({"x": np.zeros((200, 28, 28), np.float32)}, "expected uint8"),
        ({"x": np.zeros((200, 28, 27), np.uint8)}, "expected uint8"),
        ({"y": y + 1}, "labels.*10]; expected 0 to 9"),
        ({"y": y - 1}, r"labels \[-1"),
        ({"y": y // 2}, r"3, 4\]; expected 0 to 9, each"),
        ({"y": y.astype(float)}, "whole numbers"),
        ({"y": np.arange(10)}, "200 whole numbers"),
        ({"x": own["x"][::20], "y": np.arange(10)}, "10 images are too few to be split by class"),
    ]:
        np.savez(path, **{**own, **change})
        refused(path, words)
    np.savez(path, images=own["x"], labels=y)
    refused(path, "holds images, labels; expected x_train")


PIXELS = ",".join(f"pixel{index}" for index in range(784))


def test_a_table_as_kaggle_has_it_is_read_like_an_npz(tmp_path, own):
    np.savez(tmp_path / "mine.npz", **own)
    table = np.column_stack([own["y"], own["x"].reshape(-1, 784)])
    for head in (f"label,{PIXELS}", ""):
        np.savetxt(tmp_path / "mine.CSV", table, "%d", ",", header=head, comments="")
        assert data.load(tmp_path / "mine.CSV").digest == data.load(tmp_path / "mine.npz").digest


def test_other_damaged_and_endless_files_and_unknown_sources_are_refused(
    tmp_path, own, monkeypatch
):
    path, pixels = tmp_path / "mine.csv", PIXELS.encode()
    for content, words in [
        (b"", "first column is ''"),
        (pixels + b"\n" + b"0," * 783 + b"0\n", "the first column is 'pixel0'"),
        (b"digit," + pixels + b"\n", "the first column is 'digit'"),
        (b"label," + pixels + b"\n1,2\n", "2 columns"),
        (b"7,0\n", "2 columns"),
        (b"label," + pixels + b"\n" + b"300," * 784 + b"0\n", "'300'.*from 0 to 255"),
        (b"label," + pixels + b"\n", r"labels \[\]"),
        (b"\xff" * 99, "cannot be read"),
    ]:
        path.write_bytes(content)
        refused(path, words)
    path.unlink()
    np.save(tmp_path / "single.npy", own["x"])
    np.savez(tmp_path / "pickled.npz", x=own["x"].astype(object), y=own["y"])
    np.savez_compressed(tmp_path / "large.npz", x=np.zeros((2000, 28, 28), np.uint8))
    idx = bytes([0, 0, 8, 3]) + bytes(12)
    for name, content in {"empty": b"", "idx": idx, "cut": b"PK\x03\x04 cut off"}.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(datasets, "MAX_BYTES", 1_000_000)
    for path in tmp_path.iterdir():
        reason = {"large": "it unpacks to", "pickled": "allow_pickle"}.get(path.stem, "not a zip")
        refused(path, rf"cannot be read \(.*{reason}.*np\.savez.*IDX")
    for name in ("minst", "gone.npz", "gone.csv"):
        refused(name, f"{name} does not exist; .* auto, mnist, embedded")


@pytest.fixture
def small_mnist(monkeypatch):
    rng = np.random.default_rng(1)
    arrays = {
        "x_train": rng.integers(0, 256, (600, 28, 28), dtype=np.uint8),
        "y_train": np.tile(np.arange(10, dtype=np.uint8), 60),
        "x_test": rng.integers(0, 256, (50, 28, 28), dtype=np.uint8),
        "y_test": np.tile(np.arange(10, dtype=np.uint8), 5),
    }
    digests = {key: hashlib.sha256(array.data).hexdigest() for key, array in arrays.items()}
    monkeypatch.setattr(datasets, "MNIST_DIGESTS", digests)
    monkeypatch.setattr(datasets, "N_VALIDATION", 100)
    return arrays


def write_idx(folder, arrays):
    for key, name in datasets.IDX_FILES.items():
        array = arrays[key]
        header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        (folder / name).write_bytes(gzip.compress(header + array.tobytes()))


def test_both_containers_give_the_same_data(tmp_path, monkeypatch, small_mnist):
    np.savez(tmp_path / "mnist.npz", **small_mnist)
    write_idx(tmp_path, small_mnist)
    own = data.load(tmp_path / "mnist.npz")
    assert own.name == "mnist", "a user's path to a copy is recognised, too"
    for place in (tmp_path / "mnist.npz", tmp_path):
        monkeypatch.setenv("DIGITS_MNIST", str(place))
        assert data.load("mnist").digest == own.digest
    assert np.array_equal(own.x_test, small_mnist["x_test"])
    assert np.bincount(own.y_val).tolist() == [10] * 10


def test_idx_files_may_be_unpacked(tmp_path, monkeypatch, small_mnist):
    monkeypatch.setenv("DIGITS_MNIST", str(tmp_path))
    for dot in (False, True):
        write_idx(tmp_path, small_mnist)
        for name in datasets.IDX_FILES.values():
            packed, plain = tmp_path / name, tmp_path / name.removesuffix(".gz")
            if dot:  # Kaggle's copy has folders of the other name, too
                plain.unlink()
                plain.mkdir()
                plain = plain.with_name(plain.name.replace("-idx", ".idx"))
            plain.write_bytes(gzip.decompress(packed.read_bytes()))
            packed.unlink()
        assert np.array_equal(data.load("mnist").x_test, small_mnist["x_test"])
    plain.unlink()
    refused("mnist", "four IDX files")


def test_another_file_and_a_cut_one_are_not_mnist(tmp_path, monkeypatch, small_mnist):
    monkeypatch.setenv("DIGITS_MNIST", str(tmp_path))
    write_idx(tmp_path, small_mnist)
    name = datasets.IDX_FILES["x_test"]
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-20])
    refused("mnist", name)
    small_mnist["x_train"][0, 0, 0] ^= 1
    write_idx(tmp_path, small_mnist)
    refused("mnist", "is not MNIST")


@pytest.fixture
def server(tmp_path, monkeypatch, small_mnist):
    """Serve MNIST's stand-in on loopback; the cache is empty; return the list of requests."""
    path, requests, done = tmp_path / "served.npz", [], threading.Event()
    np.savez(path, **small_mnist)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if path.exists() else 404)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(path.read_bytes())
                while self.path.endswith("endless") and not done.wait(0.01):
                    self.wfile.write(bytes(1000))

        def log_message(self, *args):
            requests.append(args)

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    monkeypatch.delenv("DIGITS_MNIST", raising=False)
    monkeypatch.setenv("DIGITS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets, "MNIST_URL", f"http://127.0.0.1:{httpd.server_port}/mnist.npz")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(datasets, "MNIST_SHA256", digest)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    yield requests
    done.set()
    httpd.shutdown()
    httpd.server_close()


def test_download_is_cached_and_a_damaged_cache_is_fetched_again(tmp_path, server):
    for _ in range(2):
        assert data.load("mnist").name == "mnist" and len(server) == 1
    (tmp_path / "cache" / "mnist.npz").write_bytes(b"damaged")
    assert data.load("mnist").name == "mnist" and len(server) == 2


def test_a_wrong_checksum_leaves_no_file(tmp_path, server):
    (tmp_path / "served.npz").write_bytes(b"<html>sign in to the network</html>")
    refused("mnist", "could not be downloaded to .*DIGITS_MNIST")
    assert len(server) == 3
    assert [path.name for path in (tmp_path / "cache").rglob("mnist*[!l]")] == []


def test_a_download_that_does_not_end_is_given_up(tmp_path, server, monkeypatch):
    monkeypatch.setattr(datasets, "DOWNLOAD_TIMEOUT", 0.4)
    monkeypatch.setattr(datasets, "MNIST_URL", datasets.MNIST_URL + "/endless")
    refused("mnist", r"\(TimeoutError\)")
    assert not (tmp_path / "cache" / "mnist.npz").exists()


def test_a_cache_in_use_or_without_permission_is_named(tmp_path, server, monkeypatch):
    monkeypatch.setattr(datasets, "DOWNLOAD_TIMEOUT", 0.01)
    (tmp_path / "cache").mkdir()
    with filelock.FileLock(tmp_path / "cache" / ".mnist.npz.lock"):
        refused("mnist", r"\(Timeout\)")
    monkeypatch.setenv("DIGITS_CACHE", str(tmp_path / "served.npz"))
    refused("mnist", "set DIGITS_CACHE to a folder")


def test_auto_falls_back_to_the_embedded_set_and_says_so(tmp_path, server, caplog):
    (tmp_path / "served.npz").unlink()
    dataset = data.load("auto")
    assert dataset.name == "embedded" and "no figure can be compared" in dataset.note
    assert "EMBEDDED DATA" in caplog.text


@pytest.mark.skipif(not os.environ.get("DIGITS_MNIST"), reason="DIGITS_MNIST is not set")
def test_the_real_mnist():
    dataset = data.load("mnist")
    assert [len(dataset.y_train), len(dataset.y_val), len(dataset.y_test)] == [55000, 5000, 10000]
