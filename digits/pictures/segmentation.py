"""From ink to glyphs: connected strokes, and the fragments that lie beside them."""

from __future__ import annotations

from digits.pictures.glyphs import FRAGMENT, Glyph, component_glyphs, gaps, merge, typical_size
from digits.pictures.ink import Ink
from digits.pictures.reading_order import in_reading_order

NOISE = 0.08  # share of the typical size below which a glyph is noise, wherever it lies
FRAGMENT_GAP = 0.15  # of the typical size: how far from its digit a fragment may lie


def find_digits(ink: Ink) -> list[Glyph]:
    """Find what may be digits, in reading order.

    Noise is dropped, fragments are given to the glyph beside them. Whether two neighbours are one
    digit in pieces, or one wide glyph is two digits that touch, cannot be decided from the ink alone:
    the recognizer's detector does.
    """
    glyphs = component_glyphs(ink)
    if not glyphs:
        return []
    typical = typical_size(glyphs)
    large = [glyph for glyph in glyphs if glyph.side >= FRAGMENT * typical]
    small = [glyph for glyph in glyphs if NOISE * typical <= glyph.side < FRAGMENT * typical]
    parts = [[glyph] for glyph in large]
    for fragment, distances in zip(small, gaps(small, large), strict=True):
        nearest = int(distances.argmin())
        if distances[nearest] <= FRAGMENT_GAP * typical:
            parts[nearest].append(fragment)
    return in_reading_order([merge(part) for part in parts])
