"""`digits doctor`: what is installed and found."""

from __future__ import annotations

import hashlib
import os
import shutil

from digits import InputError
from digits.config import (
    CHAMPION,
    EXTRAS,
    NOTEBOOKS,
    REPORTS,
    ROOT,
    missing_packages,
    package_versions,
)


def examine() -> tuple[list[tuple[str, str]], int]:
    """Return names and findings (versions, extras, data, disk, model), and how many are wrong."""
    wrong = 0
    rows = list(package_versions().items())
    rows.append(("processors", str(os.cpu_count())))
    for extra in EXTRAS:
        missing = missing_packages(extra)
        without = f"lacks {', '.join(missing)}: pip install 'digits[{extra}]'"
        rows.append((f"[{extra}]", without if missing else "installed"))
    if not missing_packages("train"):
        from digits.data import find_mnist, read_mnist

        rows.append(("backend", os.environ.get("KERAS_BACKEND", "tensorflow")))
        mnist = find_mnist()
        here = str(mnist) if mnist else "not here yet: downloaded when first used"
        try:
            if mnist:
                read_mnist(mnist)
        except InputError as error:
            wrong += 1
            here = str(error)
        rows.append(("MNIST", here))
    rows.append(("disk", f"{shutil.disk_usage(ROOT).free / 2**30:.1f} GiB free in {ROOT}"))
    for kind, card in (("model", "card.json"), ("detector", "detector.json")):
        model = CHAMPION / f"{kind}.onnx"
        if model.exists() and (CHAMPION / card).exists():
            digest = hashlib.sha256(model.read_bytes()).hexdigest()
            rows.append((kind, f"{model.stat().st_size / 1e6:.1f} MB, SHA-256 {digest[:16]}"))
        else:
            wrong += 1
            rows.append((kind, f"{CHAMPION} lacks {model.name} or {card}"))
    if NOTEBOOKS.is_dir():
        reports = sorted(path.parent.name for path in REPORTS.glob("*/metrics.json"))
        rows.append(("reports", ", ".join(reports) or "none yet: `digits report` makes one"))
    return rows, wrong
