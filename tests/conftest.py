"""What several rooms' tests share."""

from __future__ import annotations

import pytest

from digits import data


@pytest.fixture(scope="session")
def embedded():
    """Return the embedded digits, which take a second to load. Change none of their arrays."""
    return data.load("embedded")
