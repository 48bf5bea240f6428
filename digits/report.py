"""Papermill over the notebooks: `reports/<data>/` with notebooks, pages, `metrics.json` and an index.

Notebooks import `record` from here, so papermill, nbconvert and Jinja are imported only when a
report is made.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from digits.errors import InputError

METRICS = "metrics.json"


def record(run_dir: str | Path, section: str, values: dict) -> Path:
    """Merge one section of results into `<run_dir>/metrics.json`, in one step.

    Parameters
    ----------
    run_dir : path
        The run folder that notebook 03 made. It must exist.
    section : str
        Who speaks: "evaluation" for notebook 04, "pictures" for 05. An earlier section of the same
        name is replaced, the others stay.
    values : dict
        Results. NumPy and pandas scalars, arrays and tables become plain JSON. The index page and the
        README know these keys, all optional:

        evaluation
            ``accuracy``, ``validation_accuracy``: {n_scored, n_wrong, value, low, high} (shares from
            0 to 1, 95 % interval); ``expected_calibration_error`` (share); ``temperature``;
            ``threshold``; ``coverage`` and ``accepted_error`` (shares, at the threshold);
            ``confusion``: 10 rows of 10 counts, rows are true digits; ``n_parameters``;
            ``train_seconds``.
        pictures
            ``n_pictures``, ``n_right``, ``n_unsure``, ``n_wrong`` of `test_images/`.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        If there is no such folder, or a value (named in the message) has no JSON form.
    """
    run_dir = Path(run_dir)
    if not run_dir.is_dir():
        raise InputError(f"no run folder {run_dir}: run notebook 03 (03_train.ipynb) first")
    path = run_dir / METRICS
    metrics = read_metrics(path) if path.exists() else {}
    metrics[section] = _plain(values, section)
    write_json(path, metrics)
    return path


def read_metrics(path: str | Path) -> dict:
    """Return what a `metrics.json` holds; an unreadable one is an `InputError`."""
    try:
        metrics = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): delete it and run again") from None
    if not isinstance(metrics, dict):
        raise InputError(f"{path} holds no JSON object: delete it and run again")
    return metrics


def write_json(path: Path, values: dict) -> None:
    """Write `values` to `path` so that a reader sees the old file or the new one, never a part."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(values, file, indent=2, allow_nan=False)
            file.write("\n")
        # mkstemp makes private files; a report is meant to be read by others.
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _plain(value, name: str):
    """Return `value` as JSON knows it; `name` is the key path for the error message."""
    if hasattr(value, "_asdict"):  # named tuples
        value = value._asdict()
    elif hasattr(value, "__dataclass_fields__"):
        value = {field: getattr(value, field) for field in value.__dataclass_fields__}
    elif hasattr(value, "to_dict"):  # a pandas table becomes one object per row
        value = value.to_dict("records") if hasattr(value, "columns") else value.to_dict()
    elif hasattr(value, "tolist"):  # NumPy scalars and arrays
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): _plain(item, f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{name}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, float) and value != value or value in (float("inf"), float("-inf")):
        raise InputError(f"{name} is {value}: metrics.json holds finite numbers; use None instead")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return value.name
    raise InputError(f"{name} is a {type(value).__name__}: metrics.json holds plain values")
