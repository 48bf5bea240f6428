"""The drawing pad: a widget that reads a drawing, stroke by stroke.

It runs wherever anywidget does: JupyterLab, Notebook 7, Voila. The page draws, this side reads: each
change of `DrawingPad.strokes`, by hand or by code, is answered.
"""

from __future__ import annotations

import base64
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import anywidget
import numpy as np
import traitlets
from PIL import Image, ImageDraw, ImageOps

from digits import InputError
from digits.draw import strokes as pen
from digits.recognizer import DigitReading, Reading, Recognizer

FOLDER = Path(__file__).resolve().parent
PAGE = FOLDER / "templates" / "draw.ipynb"  # a notebook that is nothing but the pad


class DrawingPad(anywidget.AnyWidget):
    """A pad to draw digits on, which are read after each stroke by the shipped model or another.

    Attributes
    ----------
    folder : Path
        Where drawings are saved.
    strokes : list of list of (x, y, width)
        The drawing, in pixels of the pad, which is `digits.draw.strokes.SIZE` large. May be set.
    reading : Reading
        Of the drawing.
    answer, parts : dict, list of dict
        The reading, and how much each part of the strokes mattered, as the page shows them.
    said : str
        The outcome of the last saving, for the person who draws.
    """

    _esm = FOLDER / "pad.js"
    _css = FOLDER / "pad.css"

    size = traitlets.List(list(pen.SIZE)).tag(sync=True)
    brush = traitlets.Float(pen.BRUSH).tag(sync=True)
    strokes = traitlets.List().tag(sync=True)
    asked = traitlets.Float().tag(sync=True)  # when the page sent the strokes, by its own clock
    answer = traitlets.Dict().tag(sync=True)
    parts = traitlets.List().tag(sync=True)
    said = traitlets.Unicode().tag(sync=True)

    def __init__(self, recognizer: Recognizer | None = None, folder: str | Path = pen.MY_DIGITS):
        super().__init__()
        self.recognizer = recognizer or Recognizer.load()
        self.folder = Path(folder)
        self.observe(self._answer, "strokes")
        self.on_msg(self._on_message)
        self._answer()  # to an empty pad, so that nothing runs for the first time with a stroke

    def __repr__(self) -> str:
        """Stand for the pad where there is no browser, as in an executed notebook."""
        return f"DrawingPad({len(self.strokes)} strokes, reads {self.reading.text!r})"

    def _repr_mimebundle_(self, **kwargs) -> tuple[dict, dict]:
        """Show the pad, or a picture of the drawing and its answer where nobody can draw."""
        data, metadata = super()._repr_mimebundle_(**kwargs)
        sheet, file = Image.fromarray(pen.render(self.strokes)), io.BytesIO()
        mark = "?" if self.reading.status == "unsure" else ""
        ImageDraw.Draw(sheet).text((8, 5), f"read: {self.reading.text}{mark}", 0, font_size=16)
        ImageOps.expand(sheet, border=1, fill=160).save(file, "PNG")
        return data | {"image/png": base64.b64encode(file.getvalue()).decode()}, metadata

    @traitlets.validate("strokes")
    def _checked(self, proposal):
        return pen.checked(proposal["value"])

    def read(self, strokes) -> Reading:
        """Read a drawing, as any picture is read."""
        return pen.read(pen.checked(strokes), self.recognizer)

    def save(self, label: str) -> list[Path]:
        """Save the drawing under its label; see `digits.draw.strokes.save`."""
        return pen.save(self.strokes, label, self.reading, self.folder)

    def _answer(self, change=None) -> None:
        self.reading = reading = pen.read(self.strokes, self.recognizer)
        seen = reading
        if self.strokes and not reading.digits:
            # Read as one digit whatever it is, to show what the network made of it.
            seen = pen.read(self.strokes, self.recognizer, single=True)
        rows = probabilities(seen.digits, self.recognizer)
        self.answer = {
            "text": reading.text,
            "status": reading.status if self.strokes else "empty",
            "message": reading.message if self.strokes else "",
            "confidence": reading.confidence,
            "threshold": self.recognizer.threshold,
            "digits": [
                {
                    "digit": digit.digit,
                    "confidence": digit.confidence,
                    "accepted": digit.accepted and seen is reading,
                    "box": digit.box,
                    "image": base64.b64encode(digit.image.tobytes()).decode(),
                    "probabilities": row.tolist(),
                }
                for digit, row in zip(seen.digits, rows, strict=True)
            ],
            "asked": self.asked,
        }
        # The page shows the answer while this, which takes as long again, is computed.
        self.parts = [
            vars(part) | {"whole": whole}
            for whole in (False, True)
            for part in pen.what_mattered(self.strokes, reading, self.recognizer, whole=whole)
        ]

    def _on_message(self, widget, content: dict, buffers) -> None:
        if content.get("do") != "save":
            return
        self.said = ""  # so that saving the same twice is said twice
        try:
            names = ", ".join(file.name for file in self.save(str(content.get("label", ""))))
            self.said = f"Saved in {self.folder.name}/: {names}"
        except InputError as error:
            self.said = f"Not saved: {error}"


def probabilities(digits: tuple[DigitReading, ...], recognizer: Recognizer) -> np.ndarray:
    """Return the probability of each of the ten digits for each digit that was read, float32 (n, 10).

    A row's largest is the digit's confidence; the others share what is left as the classifier
    weighs them. A row sums to one, less the probability that it is not a digit at all.
    """
    if not digits:
        return np.zeros((0, 10), np.float32)
    table = recognizer.probabilities(np.stack([digit.image for digit in digits]))
    # The confidence in a digit that was cut, or put together, is as much the detector's.
    for row, digit in zip(table, digits, strict=True):
        row[digit.digit] = 0
        row *= min(1, (1 - digit.confidence) / max(row.sum(), 1e-9))
        np.minimum(row, digit.confidence, out=row)
        row[digit.digit] = digit.confidence
    return table


def serve(port: int = 8866, browser: bool = True) -> None:
    """Run Voila, which shows the pad as a page on this machine alone, until Ctrl-C.

    Raises
    ------
    InputError
        If Voila stops by itself; it has said why.
    """
    # Voila looks for templates, such as ours, below the folders of JUPYTER_PATH.
    paths = [str(PAGE.parent), os.environ.get("JUPYTER_PATH", "")]
    environment = {**os.environ, "JUPYTER_PATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-m", "voila", str(PAGE), "--template=draw"]
    command += ["--Voila.ip=127.0.0.1", f"--port={port}"]
    command += [] if browser else ["--no-browser"]
    # Voila is started so that it ignores Ctrl-C, and ended from here: it would show a traceback.
    ours = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        voila = subprocess.Popen(command, env=environment)
    finally:
        signal.signal(signal.SIGINT, ours)
    try:
        status = voila.wait()
    except KeyboardInterrupt:
        voila.terminate()
        voila.wait()
        raise
    if status:
        raise InputError(f"the drawing pad stopped with status {status}; try another --port")
