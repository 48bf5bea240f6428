"""Strategies and checks of the property tests: anything that may arrive from outside."""

from __future__ import annotations

import warnings
from contextlib import contextmanager

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from digits import InputError

FEW = settings(max_examples=25, deadline=None)
MORE = settings(max_examples=60, deadline=None)
KINDS = ("?", "u1", "i1", "u2", "i4", "i8", "f2", "f4", "f8", "c8", "S3", "U3", "O", "M8[s]")
LONG = 10**400  # a whole number beyond all floats, which JSON may hold

numbers = st.integers() | st.just(LONG) | st.floats()
texts = st.text(max_size=8) | st.sampled_from(["", "0.5", "many", " 0\n", "nan"])
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@contextmanager
def answered(name=""):
    """Let an InputError of one line pass, and nothing else, no warning either.

    A line end in `name` is the giver's own: the command line prints it as an escape.
    """
    said = "nothing"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            yield
        except InputError as error:
            said = str(error).replace(name, "it") if name else str(error)
    assert len(said.splitlines()) == 1, said


def an_array(shapes):
    return st.sampled_from(KINDS[:10]).flatmap(lambda kind: arrays.arrays(kind, shapes))
