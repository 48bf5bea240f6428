"""Network, augmentation, training, export and fine-tuning: the only room that imports Keras."""

from digits.training.backend import keras
from digits.training.fit import (
    PARITY,
    add_readings,
    as_input,
    average,
    export_model,
    format_epoch,
    learning_rate_schedule,
    train,
)

__all__ = [
    "PARITY",
    "add_readings",
    "as_input",
    "average",
    "export_model",
    "format_epoch",
    "keras",
    "learning_rate_schedule",
    "train",
]
