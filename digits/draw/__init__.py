"""The drawing pad, and what is done with the strokes drawn on it."""

from digits.draw.pad import DrawingPad, probabilities, serve
