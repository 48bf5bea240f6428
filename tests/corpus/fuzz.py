"""Changes good pictures at random and takes them through everything that looks for digits on one.

``python -m corpus.fuzz SECONDS`` does so for so long; a finding becomes a test in `test_faults.py`.
"""

from __future__ import annotations

import io
import itertools
import random
import sys
import time
from functools import cache

import numpy as np
from PIL import Image

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "TIFF", "WEBP", "ICO", "TGA", "PCX", "JPEG2000")
MODES = ("1", "L", "P", "RGB", "RGBA", "I;16", "CMYK")
RAW = b"raw"  # inputs that begin so are an array: three bytes say its form, the rest are its values
DTYPES = ("u1", "?", "i1", "u2", "i4", "f4", "f8", "u1")


def seeds() -> dict[str, bytes]:
    """Return small pictures of every format and mode, by name."""
    drawn = np.full((24, 32), 255, np.uint8)
    drawn[4:20, 8:11] = drawn[4:7, 8:20] = drawn[10:20, 24:26] = 0
    image = Image.fromarray(drawn)
    found = {"array": RAW + bytes([31, 23, 0]) + drawn.tobytes()}
    found["floats"] = RAW + bytes([15, 15, 5]) + drawn[:16, :16].astype("f4").tobytes()
    for mode in MODES:
        for kind in FORMATS:
            file = io.BytesIO()
            try:
                image.convert("L" if mode == "I;16" else mode).convert(mode).save(file, kind)
            except (OSError, ValueError):
                continue  # a format that has no such mode
            found[f"{kind}-{mode.replace(';', '')}".lower()] = file.getvalue()
    return found


def picture(data: bytes) -> bytes | np.ndarray:
    """Return what the fuzzer's bytes stand for: a file's content, or an array."""
    if not data.startswith(RAW) or len(data) < 6:
        return data
    width, height, form = data[3] % 96 + 1, data[4] % 96 + 1, data[5]
    dtype = np.dtype(DTYPES[form % 8])
    channels = (1, 1, 1, 3, 4, 2, 1, 1)[form // 8 % 8]
    n = width * height * channels
    values = np.frombuffer(data[6:].ljust(n * dtype.itemsize, b"\xff"), dtype, n)
    return (
        values.reshape(height, width, channels) if channels > 1 else values.reshape(height, width)
    )


@cache
def _detector():
    from digits.recognizer.detector import Detector

    return Detector.load(threads=1)


def read_all(data: bytes) -> bool:
    """Take a picture all the way to MNIST form; return whether it was read.

    Raises
    ------
    AssertionError
        If a stage breaks its promises. Any exception but `InputError` is a finding, too.
    """
    from digits import InputError, pictures
    from digits.pictures.ink import remove_border_region

    try:
        decoded = pictures.decode(picture(data))
    except InputError as error:
        if "\n" in str(error).strip():
            raise RuntimeError("a message of several lines") from error
        return False
    pixels = decoded.pixels
    assert pixels.dtype == np.uint8 and pixels.ndim in (2, 3) and pixels.size
    assert pixels.ndim == 2 or pixels.shape[2] == 3
    ink = pictures.find_ink(decoded)
    for found in (ink, remove_border_region(ink)):
        assert found.strength.shape == found.mask.shape == pixels.shape[:2]
        assert np.isfinite(found.strength).all() and 0 <= found.scale <= 1
        assert found.strength.min() >= 0 and found.strength.max() <= 1
        glyphs = pictures.find_digits(found)
        if not glyphs:
            continue
        proposals = _detector().propose(glyphs)
        for glyph in [*glyphs, *(proposal.glyph for proposal in proposals)]:
            left, top, width, height = glyph.box
            assert left >= 0 and top >= 0 and width > 0 and height > 0
            assert left + width <= decoded.size[0] + 1 / found.scale + 1
            assert top + height <= decoded.size[1] + 1 / found.scale + 1
            image = pictures.to_mnist_form(glyph.ink)
            assert image.shape == (28, 28) and image.dtype == np.uint8
    return True


def changed(data: bytes, rng: random.Random) -> bytes:
    """Return `data` with some bytes replaced, removed or doubled, at random places."""
    content = bytearray(data)
    for _ in range(rng.choice([1, 2, 4, 16])):
        at, length = rng.randrange(len(content) + 1), rng.choice([1, 2, 4, 64])
        content[at : at + length] = rng.choice(
            [b"", rng.randbytes(length), 2 * content[at : at + length], b"\xff" * length]
        )
    return bytes(content)


def main(seconds: float) -> None:
    """Read pictures that are changed at random, until a time is over; print how many."""
    rng, end, slowest = random.Random(), time.monotonic() + seconds, 0.0
    good = list(seeds().values())
    for number in itertools.count():
        started = time.monotonic()
        if started > end:
            print(f"{number} read, the slowest in {slowest:.1f} s")
            return
        data = changed(rng.choice(good), rng)
        try:
            read_all(data)
        except Exception as error:
            raise RuntimeError(f"found: {data!r}") from error
        slowest = max(slowest, time.monotonic() - started)


if __name__ == "__main__":
    main(float(sys.argv[1]))
