"""Reads pictures with RapidOCR, as a rival for `rivals`.

A script for whichever Python has RapidOCR: ``python -P rapidocr_reader.py FILE...``, where ``1:``
before a name says that the picture holds a single digit, which only the recogniser is given: the
detector overlooks many. Prints a JSON object for each answer: file, text, seconds.
"""

from __future__ import annotations

import json
import sys
import time


def main(names: list[str]) -> None:
    """Read each picture, and print each answer as soon as it is known."""
    import numpy as np
    from PIL import Image
    from rapidocr import RapidOCR

    engine = RapidOCR(params={"Global.log_level": "critical"})
    for name in names:
        single, file = name.startswith("1:"), name.removeprefix("1:")
        start = time.perf_counter()
        pixels = np.asarray(Image.open(file).convert("RGB"))
        found = engine(pixels, use_det=not single, use_cls=not single, use_rec=True)
        seconds = time.perf_counter() - start
        text = "".join(found.txts or ())
        print(json.dumps({"file": file, "text": text, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
