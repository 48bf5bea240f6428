"""Draws what was read onto a copy of the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from digits.pictures.decoding import Picture
    from digits.recognizer import DigitReading, Reading

# Blue and orange of the Okabe-Ito palette, which people with colour-blindness tell apart. A sure
# digit has a whole frame, an unsure one a broken frame and a question mark.
SURE = "#0072B2"
UNSURE = "#D55E00"
SMALLEST_SIDE = 224  # longest side of a copy in pixels: 28 pixels are enlarged eight times


def annotate(picture: Picture, reading: Reading) -> Image.Image:
    """Return a copy of a picture with a frame, the digit and its confidence around each digit.

    Parameters
    ----------
    picture : Picture
        As `digits.pictures.decoding.decode` returns it.
    reading : Reading
        What was read on it.

    Returns
    -------
    PIL.Image.Image
        RGB, with room above the picture where a text needs it. Small pictures are enlarged, so that the
        texts have pixels to stand on.
    """
    copy = Image.fromarray(picture.pixels).convert("RGB")
    enlarged = max(1.0, min(8.0, SMALLEST_SIDE / max(copy.size)))
    size = [round(side * enlarged) for side in copy.size]
    copy = copy.resize(size, Image.Resampling.NEAREST)
    scale = size[0] / picture.size[0]  # boxes are in pixels of the picture before it was reduced

    line = max(2, round(max(size) / 400))
    boxes = [[round(side * scale) for side in digit.box] for digit in reading.digits]
    heights = sorted(height for _, _, _, height in boxes) or [0]
    font = ImageFont.load_default(min(48, max(12, heights[len(heights) // 2] // 4)))
    top = min((y for _, y, _, _ in boxes), default=size[1])
    margin = max(0, round(font.size * 1.5) - top)
    canvas = Image.new("RGB", (size[0], size[1] + margin), "white")
    canvas.paste(copy, (0, margin))
    draw = ImageDraw.Draw(canvas)
    for digit, (x, y, width, height) in zip(reading.digits, boxes, strict=True):
        corners = (x - line, y + margin - line, x + width + line, y + height + margin + line)
        _frame(draw, corners, digit, line)
        _label(draw, corners, digit, font)
    return canvas


def _frame(draw: ImageDraw.ImageDraw, corners: tuple, digit: DigitReading, line: int) -> None:
    """Draw a frame with a white edge, whole if the digit is sure and broken if it is not."""
    left, top, right, bottom = corners
    edges = (
        ((left, top), (right, top)),
        ((right, top), (right, bottom)),
        ((right, bottom), (left, bottom)),
        ((left, bottom), (left, top)),
    )
    for start, end in edges:
        draw.line((start, end), fill="white", width=line + 2)
    for start, end in edges:
        if digit.accepted:
            draw.line((start, end), fill=SURE, width=line)
            continue
        for first, last in _dashes(start, end, 4 * line):
            draw.line((first, last), fill=UNSURE, width=line)


def _dashes(start: tuple, end: tuple, length: int) -> list[tuple]:
    """Return the pieces of a broken line, each about `length` pixels long, ends included."""
    distance = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
    n = max(2, round(distance / length))
    n += 1 - n % 2  # odd, so that both corners are drawn

    def at(share: float) -> tuple:
        return tuple(a + (b - a) * share for a, b in zip(start, end, strict=True))

    return [(at(index / n), at((index + 1) / n)) for index in range(0, n, 2)]


def _label(draw: ImageDraw.ImageDraw, corners: tuple, digit: DigitReading, font) -> None:
    """Write the digit and its confidence above the frame, kept within the canvas."""
    mark = "" if digit.accepted else "?"
    text = f"{digit.digit}{mark} {digit.confidence:.0%}"
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = right - left, bottom - top
    x = min(max(1, corners[0]), max(1, draw.im.size[0] - width - 3))
    y = max(1, corners[1] - height - 5)
    draw.rectangle((x - 1, y - 1, x + width + 2, y + height + 2), fill="white")
    colour = SURE if digit.accepted else UNSURE
    draw.text((x - left, y - top), text, fill=colour, font=font)
