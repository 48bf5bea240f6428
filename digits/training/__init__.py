"""Network, augmentation, training, export and fine-tuning: the only room that imports Keras."""

from digits.training.backend import keras
from digits.training.champion import ship
from digits.training.detector_fit import train_detector
from digits.training.export import PARITY, export_model
from digits.training.fit import format_epoch, learning_rate_schedule, train
from digits.training.model import as_input, build_cnn
