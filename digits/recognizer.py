"""The trained network as ONNX: images to probabilities. TensorFlow is never imported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from digits.config import CHAMPION

BATCH = 512


class Recognizer:
    """A network, its temperature and its threshold."""

    def __init__(self, session, card: dict):
        self.session, self.card = session, card
        self.temperature, self.threshold = float(card["temperature"]), float(card["threshold"])

    @classmethod
    def load(cls, path=None) -> Recognizer:
        """Load a run folder, the shipped champion by default."""
        import onnxruntime

        folder = Path(path or CHAMPION)
        session = onnxruntime.InferenceSession(
            folder / "model.onnx", providers=["CPUExecutionProvider"]
        )
        return cls(session, json.loads((folder / "card.json").read_text()))

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Return float32 (n, k) for uint8 images (n, 28, 28)."""
        name = self.session.get_inputs()[0].name
        x = images[..., None].astype(np.float32) / np.float32(255)
        parts = [self.session.run(None, {name: x[i : i + BATCH]})[0] for i in range(0, len(x), BATCH)]
        return np.concatenate(parts)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Return float32 (n, 10); what the rows lack to 1 is "not a digit"."""
        scaled = self.logits(images) / np.float32(self.temperature)
        powers = np.exp(scaled - scaled.max(1, keepdims=True))
        return (powers / powers.sum(1, keepdims=True))[:, :10]

    def predict(self, images: np.ndarray):
        """Return a DataFrame with digit, confidence and accepted, one row an image."""
        import pandas as pd

        p = self.probabilities(images)
        confidence = p.max(1)
        return pd.DataFrame(
            {"digit": p.argmax(1), "confidence": confidence, "accepted": confidence >= self.threshold}
        )
