"""The drawing pad: a widget that reads what is drawn, stroke by stroke.

It runs in JupyterLab, in Notebook 7, in Voila and wherever else anywidget does. The page draws, this
side reads: each change of `DrawingPad.strokes`, by hand or by code, is answered.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import anywidget
import numpy as np
import traitlets

from digits import InputError
from digits.draw import strokes as pen
from digits.recognizer import DigitReading, Reading, Recognizer

FOLDER = Path(__file__).resolve().parent
PAGE = FOLDER / "templates" / "draw.ipynb"  # a notebook that is nothing but the pad


class DrawingPad(anywidget.AnyWidget):
    """A pad to draw digits on, which are read after each stroke.

    Parameters
    ----------
    recognizer : Recognizer or None
        The shipped model by default.
    folder : path
        Where drawings are saved.
    strokes : iterable of strokes
        What is drawn at first.

    Attributes
    ----------
    strokes : list of list of (x, y, width)
        What is drawn, in pixels of the pad, which is `digits.draw.strokes.SIZE` large. May be set.
    reading : Reading
        What is read of it.
    answer, parts : dict, list of dict
        What the page shows: of the reading, and of what each part of the strokes was worth.
    said : str
        What came of the last saving, for the person who draws.
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

    def __init__(
        self,
        recognizer: Recognizer | None = None,
        folder: str | os.PathLike = pen.MY_DIGITS,
        strokes=(),
    ):
        super().__init__()
        self.recognizer = recognizer or Recognizer.load()
        self.folder = Path(folder)
        self.observe(self._answer, "strokes")
        self.on_msg(self._on_message)
        self._answer()  # to an empty pad, so that nothing runs for the first time with a stroke
        self.strokes = strokes

    def __repr__(self) -> str:
        """Stand for the pad where there is no browser, as in an executed notebook."""
        return f"DrawingPad({len(self.strokes)} strokes, reads {self.reading.text!r})"

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
        started = time.perf_counter()
        self.reading = reading = pen.read(self.strokes, self.recognizer)
        seen = reading
        if self.strokes and not reading.digits:
            # Read as one digit whatever it is, to show what the network made of it.
            seen = pen.read(self.strokes, self.recognizer, single=True)
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
                for digit, row in zip(
                    seen.digits, probabilities(seen.digits, self.recognizer), strict=True
                )
            ],
            "asked": self.asked,
            "seconds": time.perf_counter() - started,
        }
        # The page shows the answer while this, which takes as long again, is worked out.
        self.parts = [
            vars(part) | {"whole": whole}
            for whole in (False, True)
            for part in pen.what_mattered(self.strokes, reading, self.recognizer, whole=whole)
        ]

    def _on_message(self, widget, content: dict, buffers) -> None:
        if content.get("do") != "save":
            return
        self.said = ""  # so that saving the same twice is told twice
        try:
            files = self.save(str(content.get("label", "")))
        except InputError as error:
            self.said = f"Not saved: {error}"
            return
        names = ", ".join(file.name for file in files)
        self.said = f"Saved in {self.folder.name}/: {names}"


def probabilities(digits: tuple[DigitReading, ...], recognizer: Recognizer) -> np.ndarray:
    """Return the probability of each of the ten digits for each digit that was read.

    Returns
    -------
    numpy.ndarray
        float32 (n, 10). A row's largest is the digit's confidence; a row sums to one, less the
        doubt that it is a digit at all.
    """
    if not digits:
        return np.zeros((0, 10), np.float32)
    table = recognizer.probabilities(np.stack([digit.image for digit in digits]))
    # A digit that was cut from its neighbour is doubted for the cut, too.
    doubt = [digit.confidence / row[digit.digit] for digit, row in zip(digits, table, strict=True)]
    return table * np.array(doubt, np.float32)[:, None]


def serve(port: int = 8866, browser: bool = True) -> None:
    """Run Voila, which shows the pad as a page on this machine alone, until Ctrl-C.

    Raises
    ------
    InputError
        If Voila stops by itself; it has said why.
    """
    # Voila looks for templates, such as ours, below the folders of JUPYTER_PATH.
    paths = [str(PAGE.parent), os.environ.get("JUPYTER_PATH", "")]
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, paths))
    arguments = [
        *(sys.executable, "-m", "voila", str(PAGE), "--template=draw", "--Voila.ip=127.0.0.1"),
        f"--port={port}",
    ]
    arguments += [] if browser else ["--no-browser"]
    # Ctrl-C reaches both: only this process answers it.
    ignore = _ignore_interrupt if os.name == "posix" else None
    with subprocess.Popen(arguments, preexec_fn=ignore) as voila:
        try:
            status = voila.wait()
        except KeyboardInterrupt:
            voila.kill()  # it would ask, or wait for its kernels; they end with it
            raise
    if status:
        raise InputError(f"the drawing pad stopped with status {status}; try another --port")


def _ignore_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
