"""Keras, imported without the notes that TensorFlow's libraries write when they start.

They tell of processor instructions, which no reader could act on, and are written before any logging
level is looked at, past Python, to the process's standard error.
"""

from __future__ import annotations

import logging
from pathlib import Path

from digits import silenced_stderr

with silenced_stderr():
    import keras

    keras.ops.zeros(1)  # the first operation starts the rest

# It warns whoever computes with the fifth network of a process, as a comparison of seeds does.
logging.getLogger("tensorflow").setLevel(logging.ERROR)


def has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether the processor computes in bfloat16, which only Linux says; elsewhere False.

    Without such instructions mixed_bfloat16 trains about 8 times slower than float32.
    """
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "").split()
    return "amx_bf16" in flags or "avx512_bf16" in flags
