"""Images to learn from."""

from digits.data.datasets import (
    SOURCES,
    Dataset,
    embedded_split,
    enlarge,
    find_mnist,
    load,
    read_mnist,
)
from digits.data.labels import NOTHING, PAGE, SINGLE, load_labels
