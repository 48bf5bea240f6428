"""Figures are drawn without a screen, and closed."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

plt.switch_backend("Agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="session")
def images():
    return np.random.default_rng(0).integers(0, 256, (60, 28, 28)).astype(np.uint8)


@pytest.fixture
def texts():
    """Return a function that returns what is written inside axes."""
    return lambda ax: [text.get_text() for text in ax.texts]


@pytest.fixture
def line():
    """Return a function that finds a line by its name in the legend."""

    def find(ax, label):
        (found,) = [drawn for drawn in ax.lines if drawn.get_label() == label]
        return found

    return find
