"""From any picture to digits in MNIST form, stage by stage."""

import io
import os
import sys
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageDraw
from scipy import ndimage

from digits import InputError
from digits.data import load
from digits.pictures import decode, find_digits, find_ink, to_mnist_form
from digits.pictures.decoding import LARGEST, WORKING_SIDE
from digits.pictures.glyphs import merge
from digits.pictures.ink import DARK, LIGHT, remove_border_region
from digits.pictures.mnist_form import ink_box, is_mnist_form, is_one_stroke, stroke_width
from digits.pictures.reading_order import in_reading_order, words
from digits.pictures.small import is_small, small_digits


def page(*shapes, size=(400, 300), paper="white", ink="black", width=6):
    """Return a picture with lines (lists of points) and circles (x, y, radius)."""
    image = Image.new("RGB", size, paper)
    draw = ImageDraw.Draw(image)
    for shape in shapes:
        if isinstance(shape, tuple):
            x, y, r = shape
            draw.ellipse((x - r, y - r, x + r, y + r), outline=ink, width=width)
        else:
            draw.line(shape, fill=ink, width=width)
    return image


def png(image, format="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def found(*shapes, **options):
    return find_digits(find_ink(decode(page(*shapes, **options))))


def boxes(source):
    return [glyph.box for glyph in find_digits(find_ink(decode(source)))]


STROKE = [(100, 60), (100, 200)]


def bar(width):
    return np.pad(np.ones((100, width)), 20)


def test_what_needs_no_normalising(embedded):
    x, y = np.mgrid[:60, :40]
    ring = np.clip(8 - abs(np.hypot((x - 30) / 1.5, y - 20) - 15), 0, 1)
    image = to_mnist_form(ring)
    images = {
        "as MNIST": image,
        "dark on light": 255 - image,
        "off centre": np.roll(image, 2, 0),
        "faint": image // 2,
        "small": np.pad(image[::2, ::2], 7),
        "on grey paper": np.maximum(image, 9),
        "two strokes": np.where(abs(np.arange(28) - 14) < 2, 0, image).astype(np.uint8),
        "blank": np.zeros_like(image),
    }
    stack = np.stack(list(images.values()))
    ready = [name for name, is_ready in zip(images, is_mnist_form(stack), strict=True) if is_ready]
    assert ready == ["as MNIST", "two strokes"]
    is_one = dict(zip(images, is_one_stroke(stack).tolist(), strict=True))
    assert [is_one[name] for name in ("as MNIST", "two strokes", "blank")] == [True, False, False]
    assert is_mnist_form(stack[:0]).shape == (0,)
    assert ink_box(image) == (7, 4, 14, 20)
    assert is_mnist_form(embedded.x_test).mean() > 0.95


def test_form_refuses_what_is_not_ink():
    cases = [(np.zeros(shape), "shape") for shape in ((5,), (2, 3, 3), (0, 4))]
    cases += [(np.array([[0.0, value]]), "finite") for value in (np.nan, np.inf)]
    for ink, reason in cases:
        with pytest.raises(InputError, match=reason):
            to_mnist_form(ink)
    assert not to_mnist_form(np.zeros((5, 7))).any()


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_form_fills_the_box_and_centres_the_mass(height, width, seed):
    ink = np.random.default_rng(seed).random((height, width)) ** 3
    form = to_mnist_form(ink)
    assert form.shape == (28, 28) and form.dtype == np.uint8 and form.max() == 255
    rows, columns = np.flatnonzero(form.any(1)), np.flatnonzero(form.any(0))
    assert max(np.ptp(rows), np.ptp(columns)) < 20
    y, x = (form.sum(axis) @ np.arange(28) / form.sum() for axis in (1, 0))
    # Half a pixel of rounding, unless the box would leave the image.
    assert abs(y - 14) <= 0.51 or rows[0] == 0 or rows[-1] == 27
    assert abs(x - 14) <= 0.51 or columns[0] == 0 or columns[-1] == 27


def test_strokes_come_out_as_wide_as_mnists_and_are_measured_however_blurred():
    for width in (1, 2, 4, 10):
        assert 1.2 < stroke_width(to_mnist_form(bar(width)) / 255) < 3
    for width in (4, 9):
        blurred = ndimage.gaussian_filter(bar(width), 1.5)
        assert stroke_width(bar(width)) == pytest.approx(width, rel=0.15)
        assert stroke_width(blurred) == pytest.approx(width, rel=0.25)


def test_loops_of_thick_strokes_stay_open_and_grey_levels_are_kept():
    ring = np.asarray(page((200, 150, 100), width=80).convert("L"))
    form = to_mnist_form(255 - ring)
    assert form[14, 14] < 60 and stroke_width(form / 255) < 6
    ink = bar(12)
    ink[60:] *= 0.5
    form = to_mnist_form(ink)
    upper, lower = form[6, 13:16].max(), form[21, 13:16].max()
    assert upper == 255 and 90 < lower < 165


def test_mnist_passes_nearly_unchanged():
    if not os.environ.get("DIGITS_MNIST"):
        pytest.skip("DIGITS_MNIST does not name a copy of MNIST")
    images = load("mnist").x_test[:2000]
    forms = np.stack([to_mnist_form(image) for image in images])
    assert np.abs(forms.astype(float) - images).mean() < 6


def test_every_kind_of_pixel_shows_the_same_ink():
    colour = page(STROKE)
    grey = colour.convert("L")
    kinds = [grey.convert(mode) for mode in ("1", "L", "LA", "RGB", "RGBA", "I", "F", "CMYK")]
    kinds += [colour.convert("P"), Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)]
    assert [kind.mode for kind in kinds if boxes(kind) != boxes(colour)] == []


def test_common_formats_and_arrays_of_every_type():
    for format in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM"):
        assert boxes(png(page(STROKE), format)) == [pytest.approx((96, 59, 8, 143), abs=3)], format
    grey = np.asarray(page(STROKE).convert("L")) > 128
    white = {"bool": 1, "u1": 255, "u2": 4095, "i4": 1000, "f4": 1, "f8": 1}
    arrays = [(grey * value).astype(dtype) for dtype, value in white.items()]
    arrays += [array[..., None] for array in arrays]
    for array in (*arrays, (grey - 0.5) * 7, grey * 1e300):
        assert len(boxes(array)) == 1, array.dtype


def test_what_is_no_picture_is_refused_with_a_reason(tmp_path, monkeypatch):
    array, path, side = io.BytesIO(), tmp_path / "picture.png", int(LARGEST**0.5) + 1000
    np.save(array, np.zeros((28, 28)))
    contents = {
        b"": "empty",
        b"not a picture at all": "not an image",
        b"%PDF-1.7\n": "pdftoppm -png",
        array.getvalue(): "np.load",
        b"P2 #" + b"x" * 5000: "no size",
        png(page((200, 150, 60)))[:900]: "damaged",
        png(page((200, 150, 60)), "JPEG")[:900]: "damaged",
        png(Image.new("1", (side, side))): "megapixels",
        png(Image.new("1", (10_000, 10_100)), "TIFF"): "below 100",
    }
    others = [
        (np.zeros(4), "expected"),
        (np.zeros((2, 2, 5)), "expected"),
        (np.zeros((0, 3)), "expected"),
        (np.zeros((3, 3), complex), "expected"),
        (np.zeros((5, 28, 28), np.uint8), r"Recognizer\.predict takes many"),
        (np.zeros((5, 28, 28, 1), np.uint8), r"Recognizer\.predict takes many"),
        ([1], "an object of type list arrived; expected a path"),
        (tmp_path, "folder"),
        (tmp_path / "missing.png", "does not exist"),
        ("a\0b.png", "cannot be opened"),
        (os.devnull, "a device"),
    ]
    for source, reason in [*contents.items(), *others]:
        with pytest.raises(InputError, match=reason):
            decode(source)
    for content, reason in contents.items():
        path.write_bytes(content)
        with pytest.raises(InputError, match=reason):
            decode(path)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read whatever its mode
    with pytest.raises(InputError, match="permissions"):
        decode(path)


def test_heic_without_its_extra_names_the_way_out_and_avif_is_none(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for name in ("IMG_1.HEIC", "IMG_1.JPG"):
        (tmp_path / name).write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf")
        with pytest.raises(InputError, match=r"digits\[heic\].*Most Compatible"):
            decode(tmp_path / name)
    avif = bytearray(png(page(STROKE), "AVIF"))
    avif[8:12] = b"mif1"  # a brand that both have; "avif" stands further on
    with pytest.raises(InputError, match=r"^(?!.*HEIC)"):
        decode(bytes(avif[:200]))


def test_heic_is_recognized_by_its_content(tmp_path):
    heif = pytest.importorskip("pillow_heif", reason="needs the extra heic")
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    heif.from_pillow(page(STROKE)).save(stream, exif=exif.tobytes())
    heic, jpeg = stream.getvalue(), png(page(STROKE), "JPEG")
    for name, content in (("as.heic", heic), ("as.jpg", heic), ("jpeg.HEIC", jpeg)):
        (tmp_path / name).write_bytes(content)
        assert decode(tmp_path / name).size == ((300, 400) if content is heic else (400, 300))
    assert len(boxes(heic)) == 1
    with pytest.raises(InputError, match="save it as PNG or JPEG"):
        decode(heic[:-100])


def test_transparency_gets_the_background_that_shows_the_ink():
    mask = page(STROKE, paper="black", ink="white").convert("L")
    for ink, hidden in product(("black", "white", "navy", "yellow"), ("black", "white")):
        image = page(STROKE, paper=hidden, ink=ink).convert("RGBA")
        image.putalpha(mask)
        assert len(boxes(png(image))) == 1, (ink, hidden)
    assert boxes(Image.new("RGBA", (40, 30))) == []


def test_exif_orientation_is_applied():
    image, exif = page(STROKE, size=(400, 240)), Image.Exif()
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        data = png(image, "JPEG", exif=exif)
        picture = decode(data)
        assert picture.size == ((400, 240) if orientation < 5 else (240, 400))
        assert picture.pixels.shape[:2] == picture.size[::-1]
        x, y, width, height = boxes(data)[0]
        assert (width < height) == (orientation < 5)
        assert 0 <= x < picture.size[0] and 0 <= y < picture.size[1]


def test_the_first_frame_or_page_is_read_and_further_pages_are_said(tmp_path, monkeypatch):
    def pages(format, n_more, **options):
        more = [page((200, 150, 60)) for _ in range(n_more)]
        for image in more:
            image.encoderinfo = options
        return png(page(STROKE), format, save_all=True, append_images=more)

    for format in ("GIF", "PNG", "WEBP", "MPO"):  # a phone's MPO holds a preview
        assert decode(pages(format, 1)).note == ""
    assert decode(png(page(STROKE), "TIFF")).note == ""
    smaller_copy = pages("TIFF", 1, tiffinfo={254: 1})
    assert decode(smaller_copy).note == ""
    path = tmp_path / "scan.tif"
    path.write_bytes(pages("TIFF", 2))
    for source in (path, path.read_bytes()):
        assert decode(source).note == "only the first of 3 pages was read"
    for source in (path, path.read_bytes(), pages("GIF", 1)):
        assert boxes(source)[0][2] < 20
    monkeypatch.setattr("digits.pictures.decoding.MOST_PAGES", 2)
    assert decode(path).note == "only the first of more than 2 pages was read"


def test_large_pictures_are_reduced_and_boxes_keep_their_scale():
    image = png(page([(1500, 600), (1500, 2400)], size=(4000, 3000), width=80), "JPEG")
    picture = decode(image)
    assert picture.size == (4000, 3000) and max(picture.pixels.shape) <= WORKING_SIDE
    assert boxes(image)[0] == pytest.approx((1460, 600, 80, 1800), abs=12)


def test_one_colour_and_noise_alone_are_blank():
    noise = np.random.default_rng(0).normal(180, 6, (300, 400)).clip(0, 255)
    assert find_digits(find_ink(decode(noise.astype(np.uint8)))) == []


def test_what_is_written_faintly_on_grainy_paper_is_found():
    grain = np.random.default_rng(0).normal(0, 10, (300, 400))
    faint = np.where(np.asarray(page((200, 150, 80)).convert("L")) < 128, 135, 180)
    (ring,) = find_digits(find_ink(decode((faint + grain).clip(0, 255).astype(np.uint8))))
    assert ring.box == pytest.approx((117, 67, 166, 166), abs=4)
    for shape, value in (((1, 1), 0), ((1, 9), 7), ((300, 300), 130), ((4, 4), 0)):
        ink = find_ink(decode(np.full(shape, value, np.uint8)))
        assert not (ink.mask.any() or ink.strength.any() or find_digits(ink))


def test_polarity_and_colour():
    for polarity, paper, ink in (
        (DARK, "white", "black"),
        (LIGHT, "black", "white"),
        (None, "lime", "blue"),
        (None, (180, 228, 30), (60, 60, 200)),
        (DARK, (250, 245, 240), (225, 222, 220)),
    ):
        seen = find_ink(decode(page(STROKE, paper=paper, ink=ink)))
        assert polarity in (None, seen.polarity)
        assert seen.mask[130, 100] and seen.mask.mean() < 0.02, (paper, ink)
        assert seen.strength[130, 100] > 0.9


def test_strokes_of_every_width_are_whole():
    for width in (1, 5, 30):
        image = page([(200, 20), (200, 280)], width=width)
        assert boxes(image)[0] == pytest.approx((200 - width // 2, 20, width, 260), abs=4)


def test_one_digit_is_found_where_there_is_one():
    shadow = np.asarray(page(STROKE, ink=(60, 60, 60)).convert("L")) * np.linspace(0.35, 1, 400)
    noise = [[(x, 20), (x + 3, 20)] for x in range(10, 390, 30)]
    strip = page((150, 150, 60))
    strip.paste((60, 50, 40), (392, 60, 400, 241))
    corner = page(STROKE, paper=(180, 170, 160)).convert("RGBA")
    corner.paste((0, 0, 0, 0), (0, 0, 41, 31))
    pictures = {
        "in a shadow": shadow.astype(np.uint8),
        "among noise": page((200, 150, 80), *noise, width=3),
        "beside a strip along the edge": strip,
        "with a clear corner": corner,
        "cut off by the edge": page([(2, 20), (2, 280)]),
    }
    assert [name for name, picture in pictures.items() if len(boxes(picture)) != 1] == []


def test_a_desk_around_the_sheet_can_be_left_out():
    image = Image.new("L", (800, 600), 90)
    image.paste(page(STROKE).convert("L"), (200, 150))
    glyphs = find_digits(remove_border_region(find_ink(decode(image), DARK)))
    assert [glyph.box[:2] for glyph in glyphs] == [pytest.approx((296, 209), abs=4)]


def test_ruled_and_squared_paper_leave_the_digits():
    digits = [(100, 75, 40), [(250, 35), (250, 115)], (340, 195, 35)]
    lines = [[(0, y), (400, y)] for y in range(10, 300, 40)]
    columns = [[(x, 0), (x, 300)] for x in range(15, 400, 40)]
    for rules in (lines, lines + columns):
        squared = page(*rules, width=2, ink=(120, 120, 120))
        ink = find_ink(decode(ImageChops.darker(squared, page(*digits))))
        assert ink.mask[190:200, 300:312].any() and not ink.mask[:, 0].any()
        assert sum(glyph.side > 50 for glyph in find_digits(ink)) == 3


def test_straight_strokes_of_digits_are_no_ruled_lines():
    ring = [(150, 80), (250, 80), (250, 220), (150, 220), (150, 77)]
    for digit in ([(200, 0), (200, 299)], [(200, 20), (200, 280)], ring):
        assert not find_ink(decode(page(digit))).rules.any(), digit


def test_rows_need_not_be_level_or_of_one_size_and_words_are_close_together():
    places = [(60 + 70 * i, y + 8 * i, 20) for y in (60, 140) for i in range(5)]
    glyphs = found(*[places[i] for i in np.random.default_rng(1).permutation(10)])
    assert [glyph.row for glyph in glyphs] == [0] * 5 + [1] * 5
    assert [g.box[0] for g in glyphs[:5]] == sorted(g.box[0] for g in glyphs[:5])
    assert in_reading_order([]) == []
    drifting = found(*[(40 + 60 * i, 60 + 30 * i, 20) for i in range(5)])
    assert [glyph.row for glyph in drifting] == [0] * 5
    sizes = found((100, 150, 70), (250, 150, 25), (340, 150, 20))
    assert [glyph.box[2] > 100 for glyph in sizes] == [True, False, False]
    near = found((40, 100, 20), (90, 100, 20), (250, 110, 20), (300, 112, 20), (40, 200, 20))
    assert [len(word) for word in words(near)] == [2, 2, 1]


def test_a_merge_holds_the_ink_of_all_pieces():
    pieces = found((100, 150, 40), (150, 205, 14))
    whole = merge(pieces)
    assert whole.ink.sum() == pytest.approx(sum(piece.ink.sum() for piece in pieces))
    assert whole.box[0] == pieces[0].box[0]


def test_printed_cells_are_taken_away_and_digits_stay():
    digits = [(90, 150, 22), (170, 150, 22), (250, 150, 22)]
    lines = [[(50, y), (290, y)] for y in (100, 200)]
    lines += [[(x, 100), (x, 200)] for x in (50, 130, 210, 290)]
    image = ImageChops.darker(page(*lines, width=2, ink=(90, 90, 90)), page(*digits))
    for turned in (0, 1):
        widths = [width for _, _, width, _ in boxes(image.rotate(turned, fillcolor="white"))]
        assert widths == pytest.approx([45] * 3, abs=4)


def test_a_digit_whose_foot_lies_on_the_edge_stays_beside_a_fragment():
    digit = [[(60, 60), (200, 20), (340, 60), (60, 297), (340, 297)], [(380, 100), (380, 126)]]
    assert any(box[3] > 250 for box in boxes(page(*digit)))


def test_a_part_is_that_of_the_upright_picture():
    pixels = np.arange(40 * 60, dtype=np.uint16).reshape(40, 60).astype(np.uint8)
    for orientation in range(1, 9):
        image = Image.fromarray(pixels)
        image.getexif()[0x0112] = orientation
        whole = decode(image).pixels
        height, width = whole.shape
        part = decode(image, window=(0.5, 0.25, 1.0, 0.75)).pixels
        assert np.array_equal(part, whole[height // 4 : 3 * height // 4, width // 2 :])


def test_a_part_of_a_large_picture_is_not_reduced():
    pixels = np.zeros((2000, 3000), np.uint8)
    pixels[1000:1010, 1500:1510] = 255
    assert decode(pixels).pixels.shape == (667, 1000)
    part = decode(pixels, window=(0.4, 0.4, 0.6, 0.6))
    assert part.size == (600, 400) and np.count_nonzero(part.pixels == 255) == 100


def test_a_part_lies_on_the_ground_that_the_whole_is_laid_on():
    ink = np.zeros((40, 60, 4), np.uint8)
    ink[10:30, 10:12] = 255  # white on nothing
    ink[:, 40:] = (0, 0, 0, 9)  # a part without any
    whole, part = decode(ink), decode(ink, window=(0.6, 0.0, 1.0, 1.0))
    assert whole.pixels[0, 0].max() == part.pixels[0, 0].max() == 0


def test_small_plain_pictures_go_the_short_way():
    x, y = np.mgrid[:60, :40]
    ring = np.clip(8 - abs(np.hypot((x - 30) / 1.5, y - 20) - 15), 0, 1)
    image = to_mnist_form(ring)
    grey = (200 - 0.5 * image).astype(np.uint8)
    large = np.pad(Image.fromarray(image).resize((44, 44)), 6)
    pictures = {
        "as MNIST": image,
        "black on white": 255 - image,
        "grey on grey": grey,
        "in three channels": np.repeat(grey[..., None], 3, 2),
        "larger, off centre": np.roll(large, 3, 0),
        "grain": np.maximum(image, np.random.default_rng(0).integers(0, 9, image.shape)),
    }
    circle = np.mgrid[:56, :56] - 27.5
    others = {
        "coloured": np.stack([image, image // 2, image], 2),
        "faint": 255 - image // 5,
        "under a shadow": np.clip(255.0 - image + np.arange(28) * 6 - 160, 0, 255),
        "light and dark": np.where(np.arange(28) < 14, 128 - image // 2, 128 + image // 2),
        "with a light shadow": 128 - image // 2 + np.roll(image, 9, 1) // 6,
        "at the frame": np.roll(large, 12, 0),
        "in a ring": np.maximum(large, np.where(abs(np.hypot(*circle) - 25) < 2, 255, 0)),
        "two strokes": np.where(abs(np.arange(28) - 14) < 2, 0, image),
        "wide": np.pad(image[:, 4:-4].repeat(2, 1), 6),
        "blank": np.zeros_like(image),
    }
    found = small_digits([np.uint8(p) for p in (pictures | others).values()])
    ready = dict(zip(pictures | others, found, strict=True))
    assert [name for name, digit in ready.items() if digit] == list(pictures)
    larger = ready.pop("larger, off centre")
    for name in pictures.keys() & ready:
        np.testing.assert_allclose(ready[name].image, image, atol=9, err_msg=name)
        assert ready[name].box == (6, 3, 16, 22) and ready[name].as_given, name
    assert not larger.as_given
    np.testing.assert_allclose(larger.image, to_mnist_form(large), atol=9)
    assert larger.box[3] == pytest.approx(33, abs=2)
    heavy = np.zeros_like(image)  # its centre of mass puts it at the frame
    heavy[8:12, 8:21], heavy[12:, 13:16] = 255, 226
    (edge,) = small_digits([heavy])
    assert edge.as_given and edge.box == (7, 7, 15, 21)
    sizes = {(28, 28): True, (20, 64, 3): True, (19, 28): False, (28, 65): False}
    assert {size: is_small(np.zeros(size)) for size in sizes} == sizes


def test_ink_is_turned_as_its_picture_is():
    page = Image.new("RGB", (300, 200), "white")
    ImageDraw.Draw(page).line([(60, 40), (60, 150), (200, 150)], fill="black", width=9)
    ink = find_ink(decode(page))
    for turn in (1, 2, 3):
        turned, found = ink.turned(turn), find_ink(decode(page.rotate(90 * turn, expand=True)))
        assert turned.size == found.size
        for name in ("mask", "strength", "paper", "rules"):
            np.testing.assert_allclose(getattr(turned, name), getattr(found, name), atol=0.02)
