"""From any picture to digits in MNIST form, stage by stage."""

import io
import os
import sys
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from scipy import ndimage

from digits import InputError
from digits.data import load
from digits.pictures import decode, find_digits, find_ink, to_mnist_form
from digits.pictures.decoding import LARGEST, WORKING_SIDE
from digits.pictures.glyphs import Glyph, farthest, merge
from digits.pictures.ink import DARK, LIGHT, remove_border_region
from digits.pictures.mnist_form import ink_box, is_mnist_form, stroke_width
from digits.pictures.reading_order import in_reading_order, words
from digits.pictures.segmentation import (
    at_necks,
    merge_features,
    propose_merges,
    propose_splits,
)


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


STROKE = [(100, 60), (100, 200)]


def boxes(image):
    return [glyph.box for glyph in find_digits(find_ink(decode(image)))]


# --- MNIST form --------------------------------------------------------------------------------


def bar(width, length=100, side=140):
    ink = np.zeros((side, side))
    ink[20 : 20 + length, 60 : 60 + width] = 1
    return ink


def test_what_needs_no_normalising():
    x, y = np.mgrid[:60, :40]
    ring = np.clip(8 - abs(np.hypot((x - 30) / 1.5, y - 20) - 15), 0, 1)
    image = to_mnist_form(ring)
    two = np.where(abs(np.arange(28) - 14) < 2, 0, image).astype(np.uint8)
    images = {
        "as MNIST": image,
        "dark on light": 255 - image,
        "off centre": np.roll(image, 2, 0),
        "faint": image // 2,
        "small": np.pad(image[::2, ::2], 7),
        "on grey paper": np.maximum(image, 9),
        "two strokes": two,
        "blank": np.zeros_like(image),
    }
    stack = np.stack(list(images.values()))
    assert dict(zip(images, is_mnist_form(stack), strict=True)) == {
        name: name == "as MNIST" for name in images
    }
    assert is_mnist_form(stack[:0]).shape == (0,)
    assert ink_box(image) == (7, 4, 14, 20)


def test_most_images_of_a_data_set_in_mnist_form_need_no_normalising(embedded):
    assert is_mnist_form(embedded.x_test).mean() > 0.95


def test_form_refuses_what_is_not_ink():
    for shape in ((5,), (2, 3, 3), (0, 4)):
        with pytest.raises(InputError, match="shape"):
            to_mnist_form(np.zeros(shape))
    for value in (np.nan, np.inf):
        with pytest.raises(InputError, match="finite"):
            to_mnist_form(np.array([[0.0, value]]))
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


def test_strokes_come_out_as_wide_as_mnists():
    for width in (1, 2, 4, 10):
        assert 1.2 < stroke_width(to_mnist_form(bar(width)) / 255) < 3


def test_thick_strokes_keep_their_loop_open():
    ring = np.asarray(page((200, 150, 100), width=62).convert("L"))
    form = to_mnist_form(255 - ring)
    assert form[14, 14] < 60 and form.max() == 255


def test_grey_levels_are_kept():
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


def test_stroke_width_is_that_of_the_stroke_however_blurred():
    for width in (4, 9):
        blurred = ndimage.gaussian_filter(bar(width), 1.5)
        assert stroke_width(bar(width)) == pytest.approx(width, rel=0.15)
        assert stroke_width(blurred) == pytest.approx(width, rel=0.25)


# --- Decoding ----------------------------------------------------------------------------------


def test_every_kind_of_pixel_shows_the_same_ink():
    image = page(STROKE).convert("L")
    for mode in ("1", "L", "P", "RGB", "RGBA", "LA", "I;16", "I", "F", "CMYK"):
        if mode == "I;16":
            other = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
        elif mode in ("LA", "P"):
            other = image.convert("RGB").convert("RGBA" if mode == "LA" else "P").convert(mode)
        else:
            other = image.convert(mode)
        assert boxes(other) == boxes(page(STROKE)), mode


def test_common_formats_from_bytes():
    for format in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM"):
        (found,) = boxes(png(page(STROKE), format))
        assert found == pytest.approx((96, 59, 8, 143), abs=3), format


def test_arrays_of_every_type():
    grey = np.asarray(page(STROKE).convert("L")) > 128
    for dtype, white in (
        (bool, 1), (np.uint8, 255), (np.uint16, 4095), (np.int32, 1000), (np.float32, 1), (float, 1)
    ):  # fmt: skip
        array = (grey * white).astype(dtype)
        assert len(boxes(array)) == len(boxes(array[..., None])) == 1, dtype
    low, huge = (grey.astype(float) - 0.5) * 7, grey * 1e300
    assert len(boxes(low)) == len(boxes(huge)) == 1


def test_arrays_that_are_not_a_picture():
    for array in (
        np.zeros(4), np.zeros((2, 2, 5)), np.zeros((0, 3)), np.zeros((3, 3), complex)
    ):  # fmt: skip
        with pytest.raises(InputError, match="expected"):
            decode(array)
    for shape in ((5, 28, 28), (5, 28, 28, 1)):
        with pytest.raises(InputError, match=r"Recognizer\.predict takes many"):
            decode(np.zeros(shape, np.uint8))
    with pytest.raises(InputError, match="a list arrived; expected a path"):
        decode([1])


def test_documents_and_arrays_in_files_name_the_way_out():
    array = io.BytesIO()
    np.save(array, np.zeros((28, 28)))
    for content, advice in ((b"%PDF-1.7\n", "pdftoppm -png"), (array.getvalue(), "np.load")):
        with pytest.raises(InputError, match=advice):
            decode(content)


HEIC_HEAD = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf"


def test_heic_without_its_extra_names_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for name in ("IMG_1.HEIC", "IMG_1.JPG"):
        (tmp_path / name).write_bytes(HEIC_HEAD)
        with pytest.raises(InputError, match=r"digits\[heic\].*Most Compatible"):
            decode(tmp_path / name)


def test_heic_is_recognized_by_its_content(tmp_path):
    heif = pytest.importorskip("pillow_heif", reason="needs the extra heic")
    image = page(STROKE)
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    heif.from_pillow(image).save(stream, exif=exif.tobytes())
    for name in ("as.heic", "as.jpg"):
        (tmp_path / name).write_bytes(stream.getvalue())
        assert decode(tmp_path / name).size == (300, 400)
    assert len(boxes(stream.getvalue())) == 1
    (tmp_path / "jpeg.HEIC").write_bytes(png(image, "JPEG"))
    assert decode(tmp_path / "jpeg.HEIC").size == (400, 300)
    with pytest.raises(InputError, match="save it as PNG or JPEG"):
        decode(stream.getvalue()[:-100])


def test_avif_is_not_taken_for_heic(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    avif = bytearray(png(page(STROKE), "AVIF"))
    avif[8:12] = b"mif1"  # a brand that both have; "avif" stands further on
    with pytest.raises(InputError) as caught:
        decode(bytes(avif[:200]))
    assert "HEIC" not in str(caught.value)


def test_transparency_gets_the_background_that_shows_the_ink():
    mask = page(STROKE, paper="black", ink="white").convert("L")
    for ink, hidden in product(("black", "white", "navy", "yellow"), ("black", "white")):
        image = page(STROKE, paper=hidden, ink=ink).convert("RGBA")
        image.putalpha(mask)
        assert len(boxes(png(image))) == 1, (ink, hidden)
    clear = Image.new("RGBA", (40, 30))
    assert boxes(clear) == []


def test_clear_corners_are_no_ink():
    image = page(STROKE, paper=(180, 170, 160)).convert("RGBA")
    alpha = Image.new("L", image.size, 255)
    ImageDraw.Draw(alpha).rectangle((0, 0, 40, 30), fill=0)
    image.putalpha(alpha)
    assert len(boxes(png(image))) == 1


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


def test_the_first_frame_of_an_animation_is_read():
    frames = [page(STROKE), page((200, 150, 60))]
    data = png(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert boxes(data)[0][2] < 20
    for format in ("GIF", "PNG", "WEBP", "MPO"):  # a phone's MPO holds a preview
        data = png(frames[0], format, save_all=True, append_images=frames[1:])
        assert decode(data).note == ""


def test_further_pages_are_said(tmp_path, monkeypatch):
    pages = [page(STROKE), page((200, 150, 60)), page((200, 150, 60))]
    data = png(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    (tmp_path / "scan.tif").write_bytes(data)
    for source in (data, tmp_path / "scan.tif"):
        assert decode(source).note == "only the first of 3 pages was read"
        assert boxes(source)[0][2] < 20
    assert decode(png(pages[0], "TIFF")).note == ""
    pages[1].encoderinfo = {"tiffinfo": {254: 1}}
    data = png(pages[0], "TIFF", save_all=True, append_images=pages[1:2])
    assert decode(data).note == "", "a smaller copy is no page"
    monkeypatch.setattr("digits.pictures.decoding.MOST_PAGES", 2)
    assert decode(tmp_path / "scan.tif").note == "only the first of more than 2 pages was read"


def test_large_pictures_are_reduced_and_boxes_keep_their_scale():
    image = page([(1500, 600), (1500, 2400)], size=(4000, 3000), width=80)
    picture = decode(png(image, "JPEG"))
    assert picture.size == (4000, 3000) and max(picture.pixels.shape) <= WORKING_SIDE
    assert boxes(png(image, "JPEG"))[0] == pytest.approx((1460, 600, 80, 1800), abs=12)


def test_too_many_pixels_are_refused(tmp_path):
    side = int(LARGEST**0.5) + 1000
    path = tmp_path / "bomb.png"
    Image.new("1", (side, side)).save(path)
    with pytest.raises(InputError, match="megapixels"):
        decode(path)


def test_broken_files_say_what_is_wrong(tmp_path):
    path, image = tmp_path / "picture.png", page((200, 150, 60))
    for content, reason in (
        (b"", "empty"),
        (b"not a picture at all", "not an image"),
        (b"P2 #" + b"x" * 5000, "no size"),
        (png(image)[:900], "damaged"),
        (png(image, "JPEG")[:900], "damaged"),
    ):
        path.write_bytes(content)
        for source in (path, content):
            with pytest.raises(InputError, match=reason):
                decode(source)


def test_paths_that_are_not_a_file(tmp_path):
    with pytest.raises(InputError, match="folder"):
        decode(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        decode(tmp_path / "missing.png")
    with pytest.raises(InputError, match="cannot be opened"):
        decode("a\0b.png")
    with pytest.raises(InputError, match="a device"):
        decode(os.devnull)


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "private.png"
    path.write_bytes(png(page((200, 150, 60))))
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read whatever its mode
    with pytest.raises(InputError, match="permissions"):
        decode(path)


def test_a_name_that_is_not_utf8(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.png"
    try:
        with open(path, "wb") as file:
            file.write(png(page((200, 150, 60))))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert decode(os.fsdecode(path)).size == (400, 300)


# --- Ink ---------------------------------------------------------------------------------------


def test_one_colour_and_noise_alone_are_blank():
    noise = np.random.default_rng(0).normal(180, 6, (300, 400)).clip(0, 255)
    one_colour = np.zeros((1, 1)), np.full((1, 9), 7), np.full((300, 300), 130), np.zeros((4, 4))
    for pixels in (*one_colour, noise):
        ink = find_ink(decode(pixels.astype(np.uint8)))
        assert find_digits(ink) == []
        assert pixels is noise or not (ink.mask.any() or ink.strength.any())


def test_polarity_and_colour():
    for paper, ink, polarity in (
        ("white", "black", DARK),
        ("black", "white", LIGHT),
        ("lime", "blue", None),
        ((180, 228, 30), (60, 60, 200), None),
        ((250, 245, 240), (225, 222, 220), DARK),
    ):
        found = find_ink(decode(page(STROKE, paper=paper, ink=ink)))
        assert polarity is None or found.polarity == polarity
        assert found.mask[130, 100] and found.mask.mean() < 0.02, (paper, ink)
        assert found.strength[130, 100] > 0.9


def test_strokes_of_every_width_are_whole():
    for width in (1, 5, 30):
        image = page([(200, 20), (200, 280)], width=width)
        assert boxes(image)[0] == pytest.approx((200 - width // 2, 20, width, 260), abs=4)


def test_a_shadow_is_not_ink():
    image = np.asarray(page(STROKE, ink=(60, 60, 60)).convert("L"), float)
    ramp = np.linspace(0.35, 1, image.shape[1])
    assert len(boxes((image * ramp).astype(np.uint8))) == 1


def test_a_desk_around_the_sheet_can_be_left_out():
    image = Image.new("L", (800, 600), 90)
    image.paste(page(STROKE).convert("L"), (200, 150))
    found = remove_border_region(find_ink(decode(image), DARK))
    assert [glyph.box[:2] for glyph in find_digits(found)] == [pytest.approx((296, 209), abs=4)]


def test_ruled_and_squared_paper_leave_the_digits():
    digits = [(100, 75, 40), [(250, 35), (250, 115)], (340, 195, 35)]
    lines = [[(0, y), (400, y)] for y in range(10, 300, 40)]
    columns = [[(x, 0), (x, 300)] for x in range(15, 400, 40)]
    for rules in (lines, lines + columns):
        image = page(*rules, width=2, ink=(120, 120, 120))
        image = Image.fromarray(np.minimum(np.asarray(image), np.asarray(page(*digits))))
        ink = find_ink(decode(image))
        assert ink.mask[190:200, 300:312].any() and not ink.mask[:, 0].any()
        large = [glyph for glyph in find_digits(ink) if glyph.side > 50]
        assert len(large) == 3


def test_a_straight_digit_alone_is_not_a_ruled_line():
    for shape in ([(200, 0), (200, 299)], [(200, 20), (200, 280)]):
        assert not find_ink(decode(page(shape))).rules.any()


# --- Segmentation ------------------------------------------------------------------------------


def test_reading_order_of_rows_that_are_not_level():
    places = [(60 + 70 * i, 60 + 8 * i, 20) for i in range(5)]
    places += [(60 + 70 * i, 140 + 8 * i, 20) for i in range(5)]
    shuffled = [places[i] for i in np.random.default_rng(1).permutation(10)]
    glyphs = find_digits(find_ink(decode(page(*shuffled))))
    assert [glyph.row for glyph in glyphs] == [0] * 5 + [1] * 5
    assert [g.box[0] for g in glyphs[:5]] == sorted(g.box[0] for g in glyphs[:5])
    assert in_reading_order([]) == []


def test_several_sizes_on_a_page():
    glyphs = find_digits(find_ink(decode(page((100, 150, 70), (250, 150, 25), (340, 150, 20)))))
    assert [glyph.box[2] > 100 for glyph in glyphs] == [True, False, False]


def test_noise_is_dropped():
    noise = [[(x, 20), (x + 3, 20)] for x in range(10, 390, 30)]
    assert len(boxes(page((200, 150, 80), *noise, width=3))) == 1


def test_a_merge_holds_the_ink_of_both():
    glyphs = find_digits(find_ink(decode(page((100, 150, 40), (150, 205, 14)))))
    assert propose_merges(glyphs) == [(0, 1)]
    whole = merge(glyphs)
    assert whole.ink.sum() == pytest.approx(sum(glyph.ink.sum() for glyph in glyphs))
    assert whole.box[0] == glyphs[0].box[0]
    assert propose_merges(find_digits(find_ink(decode(page((100, 150, 40), (300, 150, 40)))))) == []


def test_a_cut_divides_circles_that_touch():
    (glyph,) = find_digits(find_ink(decode(page((100, 150, 40), (176, 150, 40)))))
    lattice = propose_splits(glyph)
    n = len(lattice)
    # Cuts that leave two pieces, neither wider than a digit may be.
    both = [i for i in range(1, n) if i <= len(lattice[0]) and len(lattice[i]) == n - i]
    pairs = [(lattice[0][i - 1], lattice[i][-1]) for i in both]
    assert any(abs(a.width - 80) < 12 and abs(b.width - 80) < 12 for a, b in pairs)
    assert all(a.cut and b.cut for a, b in pairs)
    for a, b in pairs:
        assert a.ink.sum() + b.ink.sum() == pytest.approx(glyph.ink.sum(), rel=1e-4)


def found(*shapes):
    return find_digits(find_ink(decode(page(*shapes))))


def test_pieces_of_a_digit_overlap_or_nearly_touch():
    overlap, proximity = merge_features(found((100, 150, 20), [(126, 130), (126, 170)]))
    assert overlap < 0.1 and 0.1 < proximity < 0.9
    overlap, proximity = merge_features(found((150, 150, 60), [(150, 130), (150, 170)]))
    assert overlap == 1 and proximity == 0
    assert merge_features(found((100, 150, 40), (300, 150, 40))) == (0, 0)
    assert farthest(found((100, 150, 40), (300, 150, 40))) == pytest.approx(118, abs=4)


def test_a_glyph_falls_apart_where_its_ink_is_faint():
    ink = np.zeros((60, 130), np.float32)
    ink[:, 5:50] = ink[:, 80:125] = 1
    ink[25:35, 50:80] = 0.15
    (parts,) = at_necks(Glyph(ink, 0, 0, 1.0))
    assert [(part.left, part.right) for part in parts] == [(5, 65), (65, 125)]
    assert sum(part.ink.sum() for part in parts) == pytest.approx(ink.sum())
    ink[25:35, 50:80] = 0.9
    assert at_necks(Glyph(ink, 0, 0, 1.0)) == []


def test_words_are_close_together_and_rows_may_drift():
    places = [(40, 100, 20), (90, 100, 20), (250, 110, 20), (300, 112, 20), (40, 200, 20)]
    assert [len(word) for word in words(found(*places))] == [2, 2, 1]
    drifting = [(40 + 60 * i, 60 + 30 * i, 20) for i in range(5)]
    assert [glyph.row for glyph in found(*drifting)] == [0] * 5


# --- What is printed, or lies at the edge ------------------------------------------------------


def test_printed_cells_are_taken_away_and_digits_stay():
    digits = [(90, 150, 22), (170, 150, 22), (250, 150, 22)]
    lines = [[(50, y), (290, y)] for y in (100, 200)]
    lines += [[(x, 100), (x, 200)] for x in (50, 130, 210, 290)]
    image = np.asarray(page(*lines, width=2, ink=(90, 90, 90)))
    image = Image.fromarray(np.minimum(image, np.asarray(page(*digits))))
    for turned in (0, 1):
        found = boxes(image.rotate(turned, fillcolor="white"))
        assert len(found) == 3 and all(abs(box[2] - 45) < 5 for box in found)


def test_a_ring_of_straight_strokes_without_content_is_not_a_box():
    ring = [[(150, 80), (250, 80), (250, 220), (150, 220), (150, 77)]]
    assert not find_ink(decode(page(*ring))).rules.any()


def test_a_strip_along_the_edge_is_left_out_beside_a_digit():
    image = page((150, 150, 60))
    ImageDraw.Draw(image).rectangle((392, 60, 399, 240), fill=(60, 50, 40))
    assert len(boxes(image)) == 1


def test_a_digit_cut_off_by_the_edge_stays_where_it_is_alone():
    assert len(boxes(page([(2, 20), (2, 280)]))) == 1


def test_a_digit_whose_foot_lies_on_the_edge_stays_beside_a_fragment():
    digit = [[(60, 60), (200, 20), (340, 60), (60, 297), (340, 297)], [(380, 100), (380, 126)]]
    found = boxes(page(*digit))
    assert any(box[3] > 250 for box in found)


# --- A part at its own resolution --------------------------------------------------------------


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
