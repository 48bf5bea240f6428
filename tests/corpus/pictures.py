"""Pictures that are broken, hostile, or merely odd: one file (or pipe, link, folder) of each kind.

``python -m corpus.pictures FOLDER`` writes them all, to try another program on them.
"""

from __future__ import annotations

import gzip
import io
import os
import pickle
import socket
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, TiffImagePlugin

TRUNCATED = ("png", "jpg", "gif", "bmp", "tiff", "webp")
MEGABYTE = 1 << 20
GIGABYTE = 1 << 30

ERROR = "error"  # must be refused
ANY = "any"  # may be read or refused, but must be answered


@dataclass(frozen=True)
class Bad:
    """One bad picture.

    Attributes
    ----------
    kind : str
        What is wrong with it.
    name : bytes
        The file's name in the folder: some are no UTF-8.
    make : callable
        Writes it to the path that it is given, as bytes.
    expected : str
        `ERROR` or `ANY`.
    large : bool
        Whether making or reading it takes a second or more: left to the campaign.
    """

    kind: str
    name: bytes
    make: Callable[[bytes], None]
    expected: str = ANY
    large: bool = False


def bad_pictures() -> list[Bad]:
    """Return all kinds; nothing is made yet."""
    found = [
        *_truncated(), *_png(), *_jpeg(), *_gif(), *_bmp(), *_tiff(), *_other_formats(),
        *_no_pictures(), *_names(), *_no_files(), *_busy(),
    ]  # fmt: skip
    assert len({bad.kind for bad in found}) == len({bad.name for bad in found}) == len(found)
    return found


def write_bad_pictures(folder: str | os.PathLike, *, large: bool = True) -> dict[bytes, Bad]:
    """Write every kind into `folder`; return them by path, as bytes."""
    made = {}
    for bad in bad_pictures():
        if large or not bad.large:
            path = os.path.join(os.fsencode(folder), bad.name)
            bad.make(path)
            made[path] = bad
    return made


# --- Good pictures to be spoilt, and how to write --------------------------------------------------


def seven(size: tuple[int, int] = (60, 80), mode: str = "L") -> Image.Image:
    """Return a picture of a 7: dark strokes on white, width and height in pixels."""
    width, height = size
    image = Image.new("L", size, 255)
    corners = [(0.2, 0.2), (0.8, 0.2), (0.4, 0.85)]
    points = [(round(x * width), round(y * height)) for x, y in corners]
    ImageDraw.Draw(image).line(points, fill=0, width=max(2, width // 10))
    return image.convert(mode)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    """Return `image` as the bytes of a file of this kind (an extension)."""
    file = io.BytesIO()
    names = {"jpg": "JPEG", "jp2": "JPEG2000"}
    image.save(file, names.get(kind, kind.upper()), **options)
    return file.getvalue()


def _content(content: bytes | Callable[[], bytes]) -> Callable[[bytes], None]:
    def make(path: bytes) -> None:
        with open(path, "wb") as file:
            file.write(content() if callable(content) else content)

    return make


def _file(kind: str, extension: str, content, expected: str = ERROR, large: bool = False) -> Bad:
    name = f"{kind.replace(' ', '-').replace('/', '-')}.{extension}"
    return Bad(kind, name.encode(), _content(content), expected, large)


def png(*chunks: tuple[bytes, bytes], end: bool = True) -> bytes:
    """Return a PNG of these chunks, each with its right checksum."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, data in (*chunks, *([(b"IEND", b"")] if end else [])):
        parts += [
            struct.pack(">I", len(data)),
            name,
            data,
            struct.pack(">I", zlib.crc32(name + data)),
        ]
    return b"".join(parts)


def header(width: int, height: int, bits: int = 8, colour: int = 0, interlaced: int = 0):
    """Return a PNG's first chunk."""
    return b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)


def _blank(width: int, height: int, bits_per_pixel: int = 8) -> bytes:
    """Return the compressed pixels of a black PNG, made row by row: they may be gigabytes."""
    row = bytes(1 + (width * bits_per_pixel + 7) // 8)
    packer = zlib.compressobj(9)
    together = max(1, MEGABYTE // len(row))
    parts = [packer.compress(row * together) for _ in range(height // together)]
    parts += [packer.compress(row * (height % together)), packer.flush()]
    return b"".join(parts)


def _spoilt(content: bytes, at: int, by: bytes) -> bytes:
    at %= len(content)
    return content[:at] + by + content[at + len(by) :]


# --- By format ---------------------------------------------------------------------------------------


def _truncated() -> list[Bad]:
    """Cut each common format at every tenth of its length."""
    found = []
    for kind in TRUNCATED:
        # Noise in a corner, so that each tenth of the file holds pixels.
        image = seven((60, 80), "RGB")
        noise = np.random.default_rng(0).integers(0, 256, (20, 60, 3), np.uint8)
        image.paste(Image.fromarray(noise), (0, 60))
        content = saved(image, kind)
        for tenth in range(10):
            cut = content[: len(content) * tenth // 10]
            expected = ERROR if tenth < 8 else ANY  # the end may hold nothing that is needed
            found.append(_file(f"{kind} cut at {tenth} tenths", kind, cut, expected))
    return found


def _png() -> list[Bad]:
    good = saved(seven(), "png")
    data = good.index(b"IDAT")
    deep = header(60, 80, 16, 2)
    frames = [seven(), Image.new("L", (60, 80), 255)] * 50
    text = b"Comment\0" + b"x" * (10 * MEGABYTE)

    def packed() -> bytes:
        return zlib.compress(bytes(100 * MEGABYTE), 9)

    pixels = (b"IDAT", zlib.compress(bytes(61 * 80)))
    return [
        _file("png wrong checksum of the head", "png", _spoilt(good, 29, b"\0\0\0\0")),
        _file("png wrong checksum of the pixels", "png", _spoilt(good, -16, b"\0\0\0\0"), ANY),
        _file("png damaged pixels", "png", _spoilt(good, data + 8, b"\xff" * 16)),
        _file("png without pixels", "png", png(header(60, 80))),
        _file("png without end", "png", png(header(60, 80), pixels, end=False), ANY),
        _file("png too few pixels", "png", png(header(600, 800), pixels), ANY),
        _file("png too many pixels", "png", png(header(6, 8), pixels), ANY),
        _file("png of no width", "png", png(header(0, 80), pixels)),
        _file("png declared 2147483647 wide", "png", png(header(2**31 - 1, 2**31 - 1), pixels)),
        _file("png declared 10000 by 10000", "png", png(header(10000, 10000), pixels), ANY, True),
        _file("png two heads", "png", png(header(60, 80), header(9000, 9000), pixels), ANY),
        _file("png unknown colour type", "png", png(header(60, 80, 8, 5), pixels)),
        _file("png 3 bits deep", "png", png(header(60, 80, 3), pixels)),
        _file("png without its palette", "png", png(header(60, 80, 8, 3), pixels), ANY),
        _file(
            "png palette of one colour, index 255", "png",
            png(header(60, 80, 8, 3), (b"PLTE", b"\0\0\0"),
                (b"IDAT", zlib.compress((b"\0" + b"\xff" * 60) * 80))), ANY,
        ),
        _file(
            "png palette of 100000 colours", "png",
            png(header(60, 80, 8, 3), (b"PLTE", bytes(300_000)), pixels), ANY,
        ),
        _file("png transparency of 10 MB", "png",
              png(header(60, 80, 8, 3), (b"PLTE", bytes(768)), (b"tRNS", bytes(10 * MEGABYTE)),
                  pixels), ANY),
        _file("png 16 bits of three colours", "png",
              png(deep, (b"IDAT", zlib.compress(bytes((60 * 6 + 1) * 80)))), ANY),
        _file("png interlaced and cut", "png",
              png(header(60, 80, 8, 0, 1), (b"IDAT", zlib.compress(bytes(61 * 80))[:20]))),
        _file("png with a text of 10 MB", "png",
              lambda: png(header(60, 80), (b"tEXt", text), pixels), ANY),
        _file("png with a text of 100 MB packed", "png",
              lambda: png(header(60, 80), (b"zTXt", b"Comment\0\0" + packed()), pixels), ANY),
        _file("png with a profile of 100 MB packed", "png",
              lambda: png(header(60, 80), (b"iCCP", b"icc\0\0" + packed()), pixels), ANY),
        _file("png with a 4 GB chunk declared", "png",
              good[:33] + struct.pack(">I", 2**32 - 1) + b"tEXtComment\0x" + good[33:], ANY),
        _file("png of 20000 empty chunks", "png",
              png(header(60, 80), *[(b"tEXt", b"a\0b")] * 20_000, pixels), ANY),
        _file("png animated", "png",
              lambda: saved(frames[0], "png", save_all=True, append_images=frames[1:]), ANY),
        _file("png bomb of 1 bit", "png",
              lambda: png(header(10_900, 10_900, 1), (b"IDAT", _blank(10_900, 10_900, 1))),
              ANY, True),
        _file("png bomb of three colours", "png",
              lambda: png(header(10_900, 10_900, 8, 2), (b"IDAT", _blank(10_900, 10_900, 24))),
              ANY, True),
        _file("png bomb of four 16-bit channels", "png",
              lambda: png(header(10_000, 10_000, 16, 6), (b"IDAT", _blank(10_000, 10_000, 64))),
              ANY, True),
        _file("png bomb of 400 megapixels", "png",
              lambda: png(header(20_000, 20_000, 1), (b"IDAT", _blank(20_000, 20_000, 1))),
              ERROR, True),
        _file("png one pixel high", "png", lambda: saved(Image.new("L", (100_000, 1)), "png"), ANY),
        _file("png one pixel wide", "png", lambda: saved(Image.new("L", (1, 100_000)), "png"), ANY),
        _file("png of one pixel", "png", saved(Image.new("RGBA", (1, 1)), "png"), ANY),
        _file("png all transparent", "png", saved(Image.new("RGBA", (60, 80)), "png"), ANY),
    ]  # fmt: skip


def _jpeg() -> list[Bad]:
    good = saved(seven((60, 80), "RGB"), "jpg")
    frame = good.index(b"\xff\xc0")

    def segment(content: bytes, marker: bytes = b"\xff\xe1") -> bytes:
        return marker + struct.pack(">H", len(content) + 2) + content

    def with_segments(*contents: bytes) -> bytes:
        return good[:2] + b"".join(segment(content) for content in contents) + good[2:]

    exif = Image.Exif()
    exif[0x0112] = 9
    loop = b"Exif\0\0II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 0x8769, 4, 1, 8) + b"\x08\0\0\0"
    many = struct.pack("<H", 65535) + struct.pack("<HHII", 0x010E, 2, 2**31, 8) * 5000
    progressive = saved(seven((60, 80)), "jpg", progressive=True)
    scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    size = struct.pack(">HH", 65535, 65535)
    comment = segment(b"x" * 60_000, b"\xff\xfe")
    return [
        _file("jpg declared 65535 by 65535", "jpg", _spoilt(good, frame + 5, size)),
        _file("jpg declared 10000 by 10000", "jpg",
              _spoilt(good, frame + 5, struct.pack(">HH", 10_000, 10_000)), ANY, True),
        _file("jpg of no height", "jpg", _spoilt(good, frame + 5, b"\0\0")),
        _file("jpg of 200 components", "jpg", _spoilt(good, frame + 9, b"\xc8")),
        _file("jpg without tables", "jpg", good.replace(b"\xff\xdb", b"\xff\xec"), ANY),
        _file("jpg damaged pixels", "jpg", _spoilt(good, -80, b"\xff" * 60), ANY),
        _file("jpg with 10 MB of metadata", "jpg", with_segments(*[b"x" * 65_000] * 160), ANY),
        _file("jpg with 10 MB of comments", "jpg", good[:2] + comment * 170 + good[2:], ANY),
        _file("jpg turned by 9", "jpg", saved(seven(), "jpg", exif=exif), ANY),
        _file("jpg exif cut", "jpg", with_segments(b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12"), ANY),
        _file("jpg exif that points to itself", "jpg", with_segments(loop), ANY),
        _file("jpg exif of 65535 long texts", "jpg",
              with_segments(b"Exif\0\0II*\0\x08\0\0\0" + many[:60_000]), ANY),
        _file("jpg of 20000 scans", "jpg", progressive[:-2] + scan * 20_000 + b"\xff\xd9", ANY),
        _file("jpg progressive bomb", "jpg",
              lambda: saved(Image.new("RGB", (10_900, 10_900)), "jpg", progressive=True),
              ANY, True),
        _file("jpg in four colours", "jpg", saved(seven((60, 80), "CMYK"), "jpg"), ANY),
        _file("jpg many thumbnails", "jpg", with_segments(*[b"MPF\0II*\0\x08\0\0\0\0\0"] * 9), ANY),
        _file("jpg of two pictures", "jpg", lambda: saved(
            seven(), "mpo", save_all=True, append_images=[seven()]), ANY),
    ]  # fmt: skip


def _gif() -> list[Bad]:
    good = saved(seven(), "gif")
    frame = good.index(b",")
    colourless = b"GIF89a" + struct.pack("<HHBBB", 60, 80, 0, 0, 0)
    frames = [seven((60, 80)), Image.new("L", (60, 80), 255)] * 1000
    lone = b"GIF89a" + struct.pack("<HHBBB", 60, 80, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return [
        _file("gif without a frame", "gif", lone + b";"),
        _file("gif declared 65535 by 65535", "gif", _spoilt(good, 6, b"\xff" * 4)),
        _file("gif declared 10000 by 10000", "gif",
              _spoilt(good, 6, struct.pack("<HH", 10_000, 10_000)), ANY, True),
        _file("gif frame outside of its canvas", "gif", _spoilt(good, frame + 1, b"\xff" * 4), ANY),
        _file("gif code size 0", "gif", _spoilt(good, frame + 10, b"\0"), ANY),
        _file("gif of 2000 frames", "gif",
              lambda: saved(frames[0], "gif", save_all=True, append_images=frames[1:]), ANY, True),
        _file("gif without colours", "gif", colourless + good[frame:], ANY),
        _file("gif endless comment", "gif",
              good[:-1] + b"!\xfe" + (b"\xff" + b"x" * 255) * 40_000, ANY),
        _file("gif bomb", "gif", lambda: saved(Image.new("L", (10_900, 10_900)), "gif"), ANY, True),
    ]  # fmt: skip


def _bmp() -> list[Bad]:
    good = saved(seven((60, 80), "RGB"), "bmp")

    def run_length(width: int, height: int) -> bytes:
        body = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 0, 0, 0, 256, 0)
        colours, pixels = bytes(1024), b"\xff\0" * 50 + b"\0\1"
        start = 14 + len(body) + len(colours)
        return (
            b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start)
            + body + colours + pixels
        )  # fmt: skip

    return [
        _file("bmp declared 2147483647 wide", "bmp", _spoilt(good, 18, struct.pack("<i", 2**31 - 1))),
        _file("bmp of negative width", "bmp", _spoilt(good, 18, struct.pack("<i", -60)), ANY),
        _file("bmp upside down", "bmp", _spoilt(good, 22, struct.pack("<i", -80)), ANY),
        _file("bmp 7 bits deep", "bmp", _spoilt(good, 28, b"\7")),
        _file("bmp pixels that start after its end", "bmp", _spoilt(good, 10, b"\xff\xff\xff\x7f")),
        _file("bmp unknown packing", "bmp", _spoilt(good, 30, b"\x63")),
        _file("bmp packed too short", "bmp", run_length(600, 800), ANY),
        _file("bmp packed bomb", "bmp", run_length(10_900, 10_900), ANY, True),
    ]  # fmt: skip


def _tiff() -> list[Bad]:
    good = saved(seven(), "tiff")

    def tags(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
        body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
        return (
            b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body
            + struct.pack("<I", following) + bytes(5000)
        )  # fmt: skip

    def deflated(mode: str, side: int) -> bytes:
        # All in one strip: it is unpacked at once.
        options = {"compression": "tiff_adobe_deflate", "tiffinfo": {278: side}}
        return saved(Image.new(mode, (side, side)), "tiff", **options)

    plain = [(256, 3, 1, 60), (257, 3, 1, 80), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
             (273, 4, 1, 200), (277, 3, 1, 1), (278, 3, 1, 80), (279, 4, 1, 4800)]  # fmt: skip

    def changed(tag: int, value: int, n: int = 1) -> bytes:
        return tags(*[(t, k, n, value) if t == tag else (t, k, m, v) for t, k, m, v in plain])

    nan = np.full((80, 60), np.nan, np.float32)
    nan[20:60, 25:32] = np.inf
    nan[:10] = 3e38
    compressed = saved(seven(), "tiff", compression="tiff_lzw")
    return [
        _file("tiff that points to itself", "tiff", tags(*plain, following=8), ANY),
        _file("tiff of no tags", "tiff", tags()),
        _file("tiff whose tags lie outside", "tiff", _spoilt(good, 4, b"\xff\xff\xff\x7f")),
        _file("tiff declared 4294967295 wide", "tiff", changed(256, 2**32 - 1)),
        _file("tiff of 4294967295 strips", "tiff", changed(273, 8, 2**32 - 1)),
        _file("tiff strip outside", "tiff", changed(273, 2**32 - 2)),
        _file("tiff of 60000 channels", "tiff", changed(277, 60_000)),
        _file("tiff unknown packing", "tiff", changed(259, 9999)),
        _file("tiff packed and damaged", "tiff", _spoilt(compressed, 12, b"\xff" * 40), ANY),
        _file("tiff of no numbers", "tiff", saved(Image.fromarray(nan), "tiff"), ANY),
        _file("tiff of negative numbers", "tiff",
              saved(Image.fromarray(np.full((80, 60), -(2**31), np.int32)), "tiff"), ANY),
        _file("tiff of 1000 pages", "tiff",
              lambda: saved(seven(), "tiff", save_all=True, append_images=[seven()] * 999),
              ANY, True),
        _file("tiff with 10 MB of metadata", "tiff", lambda: _tiff_with_text(10 * MEGABYTE), ANY),
        _file("tiff bomb of three colours", "tiff", lambda: deflated("RGB", 9_990), ANY, True),
        _file("tiff bomb of 119 megapixels", "tiff", lambda: deflated("RGB", 10_900), ERROR, True),
        _file("tiff bomb of floats", "tiff", lambda: deflated("F", 5_400), ANY, True),
        _file("tiff bomb of many floats", "tiff", lambda: deflated("F", 10_000), ERROR, True),
    ]  # fmt: skip


def _tiff_with_text(length: int) -> bytes:
    entries = TiffImagePlugin.ImageFileDirectory_v2()
    entries[270] = "x" * length
    return saved(seven(), "tiff", tiffinfo=entries)


def _other_formats() -> list[Bad]:
    webp = saved(seven((60, 80), "RGB"), "webp", lossless=True)
    frames = [seven((60, 80), "RGB"), Image.new("RGB", (60, 80), "white")] * 50
    at = webp.index(b"VP8L") + 9
    avif = saved(seven((60, 80), "RGB"), "avif")
    jp2 = saved(seven((60, 80)), "jp2")
    size = jp2.index(b"\xff\x51") + 6
    tga = saved(seven(), "tga")
    icon = saved(seven((48, 48), "RGBA"), "ico")
    return [
        _file("webp declared 16384 by 16384", "webp", _spoilt(webp, at, b"\xff\xff\xff\x0f"), ANY),
        _file("webp of a wrong length", "webp", _spoilt(webp, 4, b"\xff\xff\xff\x7f"), ANY),
        _file("webp animated", "webp",
              lambda: saved(frames[0], "webp", save_all=True, append_images=frames[1:]), ANY),
        _file("webp bomb", "webp", lambda: saved(
            Image.new("RGB", (6000, 4900)), "webp", lossless=True, method=0, quality=0),
            ANY, True),
        _file("webp bomb of 200 megapixels", "webp", lambda: saved(
            Image.new("RGB", (16_000, 12_500)), "webp", lossless=True, method=0, quality=0),
            ERROR, True),
        _file("avif cut", "avif", avif[: len(avif) // 2]),
        _file("avif damaged", "avif", _spoilt(avif, -30, b"\xff" * 20), ANY),
        _file("jp2 declared 2 GB wide", "jp2", _spoilt(jp2, size, b"\x7f\xff\xff\xff"), ERROR),
        _file("jp2 cut", "jp2", jp2[: len(jp2) // 2], ANY),
        _file("jp2 bomb", "jp2", lambda: saved(Image.new("L", (5400, 5400)), "jp2"), ANY, True),
        _file("ppm declared 30000 by 30000", "ppm", b"P6 30000 30000 255\n" + bytes(100)),
        _file("ppm short", "ppm", b"P6 600 800 255\n" + bytes(100)),
        _file("ppm of no grey level", "ppm", b"P5 60 80 0\n" + bytes(4800)),
        _file("ppm of negative size", "ppm", b"P5 -60 80 255\n" + bytes(4800)),
        _file("ppm in words", "ppm", b"P2 60 80 255\n" + b"seven " * 4800),
        _file("ppm with a comment of 10 MB", "ppm",
              b"P5 #" + b"x" * 10 * MEGABYTE + b"\n60 80 255\n" + bytes(4800), ANY),
        _file("ppm in figures of 10 MB", "ppm", b"P2 " + b"1" * 10 * MEGABYTE, ERROR),
        _file("pfm of no numbers", "ppm",
              b"Pf 60 80 -1\n" + struct.pack("<f", float("nan")) * 4800, ANY),
        _file("tga packed bomb", "tga",
              _spoilt(_spoilt(tga, 2, b"\x0b"), 12, struct.pack("<HH", 10_000, 10_000)),
              ANY, True),
        _file("ico that lies about its sizes", "ico", _spoilt(icon, 6, b"\1\1"), ANY),
        _file("ico of 65535 pictures", "ico", _spoilt(icon, 4, b"\xff\xff"), ANY),
        _file("eps that is a program", "eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 60 80\n"
              b"(/tmp/digits-was-here) (w) file closefile\nshowpage\n"),
        _file("wmf", "wmf", b"\xd7\xcd\xc6\x9a" + bytes(200)),
        _file("fits", "fits", b"SIMPLE  =                    T" + b" " * 2850),
        _file("psd", "psd", b"8BPS\0\1" + bytes(100)),
    ]  # fmt: skip


def _no_pictures() -> list[Bad]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../outside.png", saved(seven(), "png"))
    jpg = saved(seven(), "jpg")
    rng = np.random.default_rng(0)
    sparse = saved(seven(), "png")
    return [
        _file("nothing in it", "png", b""),
        _file("one byte", "png", b"\x89"),
        _file("only zeros", "png", bytes(5000)),
        _file("random bytes", "jpg", rng.bytes(5000)),
        _file("png signature twice", "png", b"\x89PNG\r\n\x1a\n" * 2),
        _file("a text", "png", b"seven\n" * 100),
        _file("a web page", "jpg", b"<!DOCTYPE html><html><script>alert(1)</script></html>"),
        _file("an svg", "png", b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>"),
        _file("a pdf", "png", b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n"),
        _file("a pickle", "png", pickle.dumps(_Careless())),
        _file("a program", "bmp", b"MZ" + bytes(2000)),
        _file("a program for Linux", "gif", b"\x7fELF" + bytes(2000)),
        _file("an archive", "tiff", packed.getvalue()),
        _file("a packed picture", "png", gzip.compress(sparse)),
        _file("a jpg called png", "png", jpg, ANY),
        _file("a jpg called txt", "txt", jpg, ANY),
        _file("a png after a text", "png", b"hello\n" + sparse),
        _file("a png before an archive", "png", sparse + packed.getvalue(), ANY),
        Bad("a png of 5 GB", b"a-png-of-5-GB.png", _sparse(sparse, 5 * GIGABYTE), ERROR),
        Bad("a webp of 5 GB", b"a-webp-of-5-GB.webp",
            _sparse(saved(seven((60, 80), "RGB"), "webp"), 5 * GIGABYTE), ERROR),
        Bad("a tiff of 300 MB", b"a-tiff-of-300-MB.tiff",
            _sparse(saved(seven(), "tiff"), 300 * MEGABYTE), ANY, True),
    ]  # fmt: skip


class _Careless:
    """Leaves a trace if it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("/tmp/digits-was-here",)


def _sparse(content: bytes, length: int) -> Callable[[bytes], None]:
    """Return a maker of a file that begins so and is `length` bytes long, but takes no room."""

    def make(path: bytes) -> None:
        _content(content)(path)
        os.truncate(path, length)

    return make


def _names() -> list[Bad]:
    """Good pictures whose names are not."""
    names = {
        "two lines": b"two\nlines.png",
        "a carriage return": b"carriage\rreturn.png",
        "a tab": b"tab\there.png",
        "spaces": b"  spaces around  .png",
        "emoji": "seven \N{PARTY POPPER}.png".encode(),
        "no utf-8": b"caf\xe9 \xff\xfe.png",
        "terminal commands": b"\x1b[2J\x1b[31mred\x07.png",
        "html": b"<script>alert(1)<&'\">.png",
        "a leading dash": b"-rf.png",
        "two leading dashes": b"--json.png",
        "right to left": "\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe.png".encode(),
        "255 bytes": b"x" * 251 + b".png",
        "wildcards": b"*?[a].png",
        "formats": b"%s%n{0}{name}$HOME`id`.png",
        "a formula": b"=1+1;cmd.png",
        "quotes and commas": b'a,"b",;c.png',
        "only dots": b"....png",
        "dos": b"CON.png",
    }
    return [
        Bad(f"name with {what}", name, _content(saved(seven(), "png")), ANY)
        for what, name in names.items()
    ]


def _no_files() -> list[Bad]:
    def unreadable(path: bytes) -> None:
        _content(saved(seven(), "png"))(path)
        os.chmod(path, 0)

    def loop(path: bytes) -> None:
        os.symlink(os.path.basename(path), path)

    def ring(path: bytes) -> None:
        os.mkdir(path)
        os.symlink(b".", os.path.join(path, b"again"))

    def link(target: str) -> Callable[[bytes], None]:
        return lambda path: os.symlink(os.fsencode(target), path)

    def listening(path: bytes) -> None:
        here = os.getcwd()
        os.chdir(os.path.dirname(path))  # the address of a socket is short
        try:
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(os.path.basename(path))
        finally:
            os.chdir(here)

    kinds = {
        "a folder": (os.mkdir, ERROR),
        "a link to itself": (loop, ERROR),
        "a link to nothing": (link("not-there"), ERROR),
        "a folder that holds itself": (ring, ERROR),
        "a pipe without a writer": (os.mkfifo, ERROR),
        "a socket": (listening, ERROR),
        "endless zeros": (link("/dev/zero"), ERROR),
        "endless noise": (link("/dev/urandom"), ERROR),
        "the terminal": (link("/dev/tty"), ERROR),
        "a full device": (link("/dev/full"), ERROR),
        "memory of the process": (link("/proc/self/mem"), ERROR),
        "a file that is not there": (lambda path: None, ERROR),
        "no permission": (unreadable, ANY),  # root may read it all the same
    }
    return [
        Bad(what, what.replace(" ", "-").encode() + b".png", make, expected)
        for what, (make, expected) in kinds.items()
    ]


def _busy() -> list[Bad]:
    """Pictures that are whole, but full of things to be looked at."""
    side = 2500

    def place() -> tuple[np.ndarray, np.ndarray]:
        return np.meshgrid(np.arange(side), np.arange(side))

    def noise(*shape: int) -> np.ndarray:
        return np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    def checkerboard() -> np.ndarray:
        across, down = place()
        return (across // 3 + down // 3) % 2 * 255

    def hatching() -> np.ndarray:
        across, down = place()
        return (across + down) % 9 // 3 * 120

    def spiral() -> np.ndarray:
        across, down = (axis - side / 2 for axis in place())
        return ((np.hypot(across, down) - np.arctan2(down, across) * 6) % 38 > 12) * 255

    def grid() -> np.ndarray:
        across, down = place()
        return ((across % 40 > 2) & (down % 40 > 2)) * 255

    def dots() -> np.ndarray:
        across, down = place()
        return ((across % 12 > 1) | (down % 12 > 1)) * 255

    def digits() -> np.ndarray:
        page = Image.new("L", (side, side), 255)
        for left in range(0, side - 40, 42):
            for top in range(0, side - 40, 52):
                page.paste(seven((30, 40)), (left, top))
        return np.asarray(page)

    pages = {
        "noise": lambda: noise(side, side),
        "noise in colour": lambda: noise(side, side, 3),
        "black and white noise": lambda: noise(side, side) // 128 * 255,
        "squares": checkerboard,
        "hatching": hatching,
        "a spiral": spiral,
        "a grid": grid,
        "dots": dots,
        "digits": digits,
        "a gradient": lambda: place()[0] * 255 // side,
        "black": lambda: np.zeros((side, side)),
    }

    def content(draw: Callable[[], np.ndarray]) -> Callable[[], bytes]:
        return lambda: saved(Image.fromarray(draw().astype(np.uint8)), "png", compress_level=1)

    return [
        _file(f"full of {name}", "png", content(draw), ANY, True) for name, draw in pages.items()
    ]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{len(write_bad_pictures(folder))} bad pictures in {folder}")
