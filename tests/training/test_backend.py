import subprocess
import sys

import pytest

pytest.importorskip("keras")


@pytest.mark.slow
def test_starting_keras_says_nothing():
    code = "from digits.training.backend import keras; import sys; print('heard', file=sys.stderr)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0
    assert run.stderr == "heard\n"
