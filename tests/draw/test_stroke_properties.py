"""Whatever arrives as strokes is drawn, or refused in one line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import LONG, MORE, answered, json_values

from digits import InputError
from digits.draw import strokes

numbers = st.floats() | st.integers() | st.just(LONG) | st.none() | st.text(max_size=2)
points = st.lists(numbers, max_size=4) | st.tuples(st.floats(-100, 600), st.floats(-100, 400))


@pytest.mark.slow
@given(st.lists(st.lists(points, max_size=4), max_size=3) | json_values)
@MORE
def test_strokes_are_drawn_or_refused(given_strokes):
    with answered():
        image = strokes.render(strokes.checked(given_strokes))
        assert image.dtype == np.uint8 and image.ndim == 2 and image.size


def test_numbers_beyond_all_floats_are_refused():
    with pytest.raises(InputError, match="strokes are lists"):
        strokes.checked([[(LONG, 1)]])
