"""Draws what was read onto a copy of the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from digits.pictures.decoding import Picture
    from digits.recognizer import Reading

# Blue and orange of the Okabe-Ito palette, which differ for people with colour-blindness, too.
# An unsure digit has a question mark, besides.
SURE = "#0072B2"
UNSURE = "#D55E00"
SMALLEST_SIDE = 224  # longest side of a copy in pixels: 28 pixels are enlarged eight times


def annotate(picture: Picture, reading: Reading) -> Image.Image:
    """Return a copy, RGB, with a frame, the digit and its confidence around each digit.

    The confidence is left out where the next digit is too near. What was not read has a frame with a
    question mark.
    There is room above the picture where a text needs it. Small pictures are enlarged, so that the
    texts have pixels to stand on.
    """
    copy = Image.fromarray(picture.pixels).convert("RGB")
    enlarged = max(1.0, min(8.0, SMALLEST_SIDE / max(copy.size)))
    size = [round(side * enlarged) for side in copy.size]
    copy = copy.resize(size, Image.Resampling.NEAREST)
    scale = size[0] / picture.size[0]  # boxes are in pixels of the picture before it was reduced

    line = max(2, round(max(size) / 400))
    frames = [
        (digit.box, digit.accepted, f"{digit.digit}" if digit.accepted else f"{digit.digit}?",
         f" {digit.confidence:.0%}")
        for digit in reading.digits
    ] + [(box, False, "?", "") for box in reading.unread]  # fmt: skip
    boxes = [[round(side * scale) for side in box] for box, *_ in frames]
    heights = sorted(height for _, _, _, height in boxes) or [0]
    font = ImageFont.load_default(min(48, max(12, heights[len(heights) // 2] // 4)))
    top = min((y for _, y, _, _ in boxes), default=size[1])
    margin = max(0, round(font.size * 1.5) - top)
    canvas = Image.new("RGB", (size[0], size[1] + margin), "white")
    canvas.paste(copy, (0, margin))
    draw = ImageDraw.Draw(canvas)
    for (_, is_sure, text, confidence), (x, y, width, height) in zip(frames, boxes, strict=True):
        colour = SURE if is_sure else UNSURE
        corners = (x - line, y + margin - line, x + width + line, y + height + margin + line)
        edge = (corners[0] - 1, corners[1] - 1, corners[2] + 1, corners[3] + 1)
        draw.rectangle(edge, outline="white", width=line + 2)
        draw.rectangle(corners, outline=colour, width=line)
        near = (left - x for left, low, *_ in boxes if left > x and abs(low - y) < 2 * font.size)
        if font.getlength(text + confidence) + 4 < min(near, default=size[0]):
            text += confidence
        _label(draw, corners, text, colour, font)
    return canvas


def _label(draw: ImageDraw.ImageDraw, corners: tuple, text: str, colour: str, font) -> None:
    """Write a text above the frame, kept within the canvas."""
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = right - left, bottom - top
    x = min(max(1, corners[0]), max(1, draw.im.size[0] - width - 3))
    y = max(1, corners[1] - height - 5)
    draw.rectangle((x - 1, y - 1, x + width + 2, y + height + 2), fill="white")
    draw.text((x - left, y - top), text, fill=colour, font=font)
