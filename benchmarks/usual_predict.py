"""The usual `predict.py`: import TensorFlow, load a model, make the picture 28x28, predict.

What most projects of this kind offer for one's own pictures, as a rival; `rivals` runs
it as a script: ``python -P usual_predict.py MODEL PICTURE...``. Pictures are turned to light on dark
where they are bright, as the better ones do, and once more, without that, all at once. Prints a JSON
object for each answer: file, way, text, seconds.
"""

from __future__ import annotations

import json
import sys
import time

INVERTED, AS_IT_IS = "inverted if bright", "as it is"


def main(model_path: str, files: list[str]) -> None:
    """Read the pictures, and print each answer as soon as it is known."""
    import numpy as np
    import tensorflow as tf
    from PIL import Image

    model = tf.keras.models.load_model(model_path, compile=False, safe_mode=True)
    all_pixels = []
    for file in files:
        start = time.perf_counter()
        pixels = np.asarray(Image.open(file).convert("L").resize((28, 28)), np.float32) / 255
        all_pixels.append(pixels)
        if pixels.mean() > 0.5:
            pixels = 1 - pixels
        (scores,) = model.predict(pixels[None, ..., None], verbose=0)
        _print(file, INVERTED, scores, time.perf_counter() - start)
    start = time.perf_counter()
    table = model.predict(np.stack(all_pixels)[..., None], verbose=0)
    seconds = (time.perf_counter() - start) / len(files)
    for file, scores in zip(files, table, strict=True):
        _print(file, AS_IT_IS, scores, seconds)


def _print(file: str, way: str, scores, seconds: float) -> None:
    # The shipped model's eleventh answer, "not a digit", is one that others do not have.
    answer = {"file": file, "way": way, "text": str(scores[:10].argmax()), "seconds": seconds}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
