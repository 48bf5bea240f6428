"""Pictures of any common format, and arrays, to upright 8-bit pixels of a workable size."""

from __future__ import annotations

import io
import logging
import os
import re
import stat
import warnings
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from digits import InputError, silenced_stderr
from digits.pictures.filters import quantile

HEIC = frozenset({".heic", ".heif", ".hif"})  # read with an extra, see pyproject.toml
# Endings that a folder is searched for: the formats in which people keep pictures.
EXTENSIONS = frozenset(
    {".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}
) | (HEIC if find_spec("pillow_heif") else frozenset())
# Formats that Pillow may open, whatever a file is named: the commonest first, as they are tried in
# turn (a phone's MPO begins as a JPEG does). It knows some thirty more, among them EPS, for which it
# starts Ghostscript on the file's program.
FORMATS = (
    "PNG", "JPEG", "GIF", "BMP", "PPM",
    "TIFF", "WEBP", "AVIF", "JPEG2000", "ICO", "TGA", "PCX", "DIB", "QOI",
)  # fmt: skip
# These are decoded in several copies at once, or slowly: they are bounded more closely.
COSTLY = frozenset({"WEBP", "AVIF", "JPEG2000", "HEIF"})
WORKING_SIDE = 1280  # longest side in pixels on which ink is looked for; larger ones are reduced
LARGEST = 120_000_000  # pixels; more are taken for a decompression bomb
LARGEST_TIFF = 100_000_000  # pixels; libtiff may unpack all of them beside Pillow's own copy
LARGEST_COSTLY = 30_000_000  # pixels of `COSTLY` formats, and of pixels that are not bytes
LARGEST_TEXT = 20_000_000  # bytes of a picture that is written in figures, as PPM may be
LARGEST_FILE = 400_000_000  # bytes, read as a whole for some formats
HEAD = 4096  # bytes in which a PPM gives its size
MOST_PAGES = 30  # of a TIFF that are counted: a hostile one takes 40 ms for each
BAND = 8_000_000  # pixels that are converted at a time, so that a huge picture fits in memory
ORIENTATION = 0x0112  # EXIF tag
SUBFILE = 0x00FE  # TIFF tag, whose lowest bit marks a smaller copy of another page
# The brands of HEIC in ISO/IEC 23008-12, and those that it shares with AVIF.
HEIC_BRANDS = re.compile(rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL)

Box = tuple[float, float, float, float]

# Our messages report the damage that Pillow logs.
logging.getLogger("PIL").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes
    ----------
    pixels : numpy.ndarray
        uint8 (height, width) or (height, width, 3) RGB, upright, on an opaque background, with a
        longest side of at most about `WORKING_SIDE`.
    size : tuple of int
        Width and height of the upright picture before it was reduced, in pixels.
    note : str
        For the reader of the answer, such as that there are more pages.
    """

    pixels: np.ndarray
    size: tuple[int, int]
    note: str = ""


def decode(
    source: str | os.PathLike | bytes | Image.Image | np.ndarray, *, window: Box | None = None
) -> Picture:
    """Decode a picture, or a part of it at a higher resolution.

    EXIF orientation is applied, transparency is laid on the background that shows the ink, the
    first frame of an animation and the first page of a TIFF are taken, and 16-bit, float, palette
    and CMYK pixels become 8-bit grey or RGB.

    Parameters
    ----------
    source : path, bytes, PIL image or array
        Arrays have the shape (height, width) or (height, width, 1 to 4), any real dtype.
    window : tuple of float or None
        Left, top, right and bottom of a part, in shares of the upright picture's width and height.

    Raises
    ------
    InputError
        If it does not exist, is not an image, is damaged, or is larger than `LARGEST`,
        `LARGEST_COSTLY` or `LARGEST_FILE` allow.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, window)
    if isinstance(source, Image.Image):
        return _load(source, "the image", window)
    if isinstance(source, bytes | bytearray | memoryview):
        name, stream = "the picture", io.BytesIO(source)
        _check_length(name, len(source))
    elif isinstance(source, str | os.PathLike):
        name = stream = _checked_path(source)
    else:
        raise InputError(
            f"an object of type {type(source).__name__} arrived; expected a path, bytes, a PIL image "
            "or an array"
        )
    try:
        with warnings.catch_warnings():
            # Of odd metadata, which the user cannot correct, and of megapixels, which are checked.
            warnings.simplefilter("ignore")
            Image.preinit()  # the commonest formats; for one that is not there Pillow loads all
            with Image.open(stream, formats=_formats(stream, name)) as image:
                picture = _load(image, name, window)
                if image.format == "TIFF" and image.is_animated:
                    picture = replace(picture, note=_pages(stream))
                return picture
    except UnidentifiedImageError:
        archive = str(name).lower().endswith((".zip", ".tar", ".tgz", ".tar.gz"))
        advice = "read archives with --output" if archive else "save it as PNG or JPEG"
        raise InputError(f"{name} is not an image that can be opened; {advice}") from None
    except InputError:
        raise
    except Image.DecompressionBombError:
        largest = f"{LARGEST / 1e6:.0f} megapixels"
        raise InputError(f"{name} has too many pixels; reduce it below {largest}") from None
    except Exception as error:  # damage shows as anything from OSError to struct.error
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"{name} cannot be opened ({reason}); save it as PNG or JPEG") from None


def _checked_path(source: str | os.PathLike) -> Path:
    path = Path(source)
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path} does not exist; check the name") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise InputError(f"{path} cannot be opened ({error}); check the name") from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{path} is a folder; give a picture, or the folder to `digits predict`")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(
            f"{path} is a pipe, a socket or a device; give a file, or - for standard input"
        )
    _check_length(path, status.st_size)
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} may not be read; change its permissions")
    return path


def _check_length(name: str | Path, n_bytes: int) -> None:
    if not n_bytes:
        raise InputError(f"{name} is empty (0 bytes); save the picture again")
    if n_bytes > LARGEST_FILE:
        raise InputError(
            f"{name} has {n_bytes / 1e6:,.0f} MB; save it as PNG or JPEG, below "
            f"{LARGEST_FILE / 1e6:.0f} MB"
        )


def _formats(stream: Path | io.BytesIO, name: str | Path) -> tuple[str, ...]:
    """Return the formats that Pillow may try on a file, by its content.

    PPM files that Pillow would read byte by byte for minutes are refused, and documents and arrays,
    with advice of their own.
    """
    with open(stream, "rb") if isinstance(stream, Path) else nullcontext(stream) as file:
        head = file.read(HEAD)
        length = file.seek(0, os.SEEK_END)
        file.seek(0)
    if head.startswith(b"%PDF-"):
        raise InputError(
            f"{name} is a PDF, not an image; export the page as PNG (`pdftoppm -png` does), or take a "
            "screenshot"
        )
    if head.startswith(b"\x93NUMPY"):
        raise InputError(
            f"{name} is a NumPy array, not an image; save one image as PNG, or give what np.load "
            "returns to Recognizer.read, and many images in MNIST form to Recognizer.predict"
        )
    if re.match(rb"P[1-6]\s", head):
        if len(re.sub(rb"#[^\r\n]*", b"", head).split(maxsplit=3)) < 3:
            raise InputError(f"{name} has no size in its first {HEAD} bytes; save it as PNG")
        if head[1:2] in b"123" and length > LARGEST_TEXT:
            raise InputError(f"{name} holds {length / 1e6:,.0f} MB of figures; save it as PNG")
    if not HEIC_BRANDS.match(head) or b"avif" in head[:64]:
        return FORMATS
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise InputError(
            f"{name} is HEIC, as iPhones save it; pip install 'digits[heic]' to read it, or save it as "
            "JPEG (for new photos: Settings > Camera > Formats > Most Compatible)"
        ) from None
    register_heif_opener()
    return ("HEIF",)


def _pages(stream: Path | io.BytesIO) -> str:
    """Return a note on the pages of a TIFF that are not read; smaller copies do not count."""
    n_pages = 1
    with Image.open(stream, formats=("TIFF",)) as image, suppress(Exception):  # the end, or damage
        for index in range(1, MOST_PAGES + 1):
            image.seek(index)
            n_pages += not image.tag_v2.get(SUBFILE, 0) & 1
    number = n_pages if n_pages <= MOST_PAGES else f"more than {MOST_PAGES}"
    return f"only the first of {number} pages was read" if n_pages > 1 else ""


def _load(image: Image.Image, name: str | Path, window: Box | None = None) -> Picture:
    width, height = image.size
    costly = image.format in COSTLY or image.mode.startswith(("I", "F"))
    largest = LARGEST_COSTLY if costly else LARGEST_TIFF if image.format == "TIFF" else LARGEST
    if width * height > largest:
        raise InputError(
            f"{name} has {width * height / 1e6:,.0f} megapixels; reduce it below {largest / 1e6:.0f}"
        )
    try:
        # JPEG decodes to a half, a quarter or an eighth at a fraction of the cost.
        if window is None:
            image.draft(None, (WORKING_SIDE, WORKING_SIDE))
        orientation = image.getexif().get(ORIENTATION, 1)
        with silenced_stderr() if image.format == "TIFF" else nullcontext():  # for libtiff
            image.load()
        if window is not None:
            image = _part(image, window, orientation)
            (width, height), orientation = image.size, 1
        small = _reduced(image)
    except Exception as error:  # damage shows as anything from OSError to struct.error
        reason = str(error) or type(error).__name__
        raise InputError(f"{name} is damaged ({reason}); save or copy it again") from None
    size = (height, width) if orientation >= 5 else (width, height)  # four lie on their side
    return Picture(_opaque(_upright(small, orientation)), size)


def _part(image: Image.Image, window: Box, orientation: int) -> Image.Image:
    if image.has_transparency_data:  # the whole decides on which background it is laid
        image = Image.fromarray(_opaque(image.convert("RGBA")))
    image = _upright(image, orientation)
    left, top, right, bottom = (share * image.size[i % 2] for i, share in enumerate(window))
    return image.crop(
        (int(left), int(top), max(round(right), int(left) + 1), max(round(bottom), int(top) + 1))
    )


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    if orientation == 1:
        return image
    image.getexif()[ORIENTATION] = orientation
    return ImageOps.exif_transpose(image)


def _reduced(image: Image.Image) -> Image.Image:
    """Convert to L, RGB or RGBA and reduce to the working size, band by band."""
    factor = -(-max(image.size) // WORKING_SIDE)
    convert = _converter(image)
    width, height = image.size
    if factor == 1:
        return convert(image)
    # A band is a whole number of blocks high, so that bands meet without a seam.
    rows = max(1, BAND // (width * factor)) * factor
    if rows >= height:
        return convert(image).reduce(factor)
    bands = [
        np.asarray(convert(image.crop((0, top, width, min(top + rows, height)))).reduce(factor))
        for top in range(0, height, rows)
    ]
    return Image.fromarray(np.concatenate(bands))


def _converter(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """Return the function that brings this image, or a band of it, to L, RGB or RGBA."""
    if image.mode.startswith(("I", "F")):
        low, high = _range(np.asarray(image))
        return lambda band: Image.fromarray(_to_bytes(np.asarray(band), low, high))
    mode = "L" if image.mode in ("1", "L") else "RGB"
    if image.has_transparency_data:
        mode = "RGBA"
    return lambda band: band if band.mode == mode else band.convert(mode)


def _range(values: np.ndarray) -> tuple[float, float]:
    """Return the values that stand for black and white in an array of any dtype."""
    if values.dtype == bool:
        return 0.0, 1.0
    finite = values if values.dtype.kind in "iu" else values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if low < 0:
        return low, high if high > low else low + abs(low)
    if high <= 1 and values.dtype.kind == "f":
        return 0.0, 1.0
    if high >= 2**32:  # a measurement, not a picture
        return 0.0, high
    # Many 16-bit files hold 10 or 12 bits: white is the largest number of as many bits.
    return 0.0, float(2 ** max(8, int(np.ceil(np.log2(high + 1)))) - 1)


def _to_bytes(values: np.ndarray, low: float, high: float) -> np.ndarray:
    if values.dtype == np.uint8:
        return values
    largest = max(abs(low), abs(high))
    if largest > 1e30:  # brought to where sums and products stay numbers
        values, low, high = values / largest, low / largest, high / largest
    finite = np.nan_to_num(values.astype(np.float32), posinf=high, neginf=low)
    scaled = (finite - low) * (255 / max(high - low, 1e-30))
    return np.clip(scaled, 0, 255).astype(np.uint8)


def _from_array(array: np.ndarray, window: Box | None) -> Picture:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or not 1 <= channels <= 4 or not array.size:
        many = array.shape[1:] in ((28, 28), (28, 28, 1))
        advice = "; Recognizer.predict takes many images in MNIST form" if many else ""
        raise InputError(
            f"an array of shape {array.shape} arrived; expected (height, width) or "
            f"(height, width, 1 to 4){advice}"
        )
    if array.dtype.kind not in "buif":
        raise InputError(f"an array of {array.dtype} arrived; expected numbers")
    pixels = _to_bytes(array, *_range(array))
    if channels == 1:
        pixels = pixels.reshape(array.shape[:2])
    # Two channels are grey and alpha: Image.fromarray knows both forms.
    return _load(Image.fromarray(pixels), "the array", window)


def _opaque(image: Image.Image) -> np.ndarray:
    """Return the pixels on the background that shows the ink."""
    pixels = np.asarray(image)
    if image.mode != "RGBA":
        return pixels
    colour, alpha = pixels[..., :3], pixels[..., 3:].astype(np.float32) / 255
    if alpha.min() == 1:
        return np.ascontiguousarray(colour)
    visible = colour[alpha[..., 0] > 0.5]
    grey = visible.mean(1)
    if len(visible) > alpha.size / 2 and np.ptp(grey) > 64:
        # A picture with a few clear pixels: they continue its paper.
        background = np.array([quantile(channel, 0.5) for channel in visible.T])
    else:
        # A drawing on nothing: what is drawn is the ink.
        background = np.full(3, 255.0 if not len(visible) or quantile(grey, 0.5) < 160 else 0.0)
    return np.rint(colour * alpha + background * (1 - alpha)).astype(np.uint8)
