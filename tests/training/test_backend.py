"""Keras starts without notes."""

import subprocess
import sys

import pytest

pytest.importorskip("keras")

from digits.training.backend import has_bfloat16


@pytest.mark.slow
def test_starting_keras_says_nothing():
    code = "from digits.training.backend import keras; import sys; print('heard', file=sys.stderr)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0
    assert run.stderr == "heard\n"


def test_bfloat16_is_told_by_the_flags_of_the_processor(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    for flags, expected in (
        ("fpu avx512f avx512_bf16 sse", True),
        ("fpu amx_bf16", True),
        ("fpu avx512f avx2", False),
    ):
        cpuinfo.write_text(f"processor\t: 0\nmodel name\t: amx_bf16\nflags\t\t: {flags}\n")
        assert has_bfloat16(cpuinfo) is expected, flags
    cpuinfo.write_text("processor\t: 0\n")
    assert not has_bfloat16(cpuinfo) and not has_bfloat16(tmp_path / "not Linux")
