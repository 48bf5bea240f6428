"""Check finished reports and runs: check_reports.py FOLDER FLOOR [FOLDER FLOOR ...].

Each report must hold every notebook, executed to its end, and its page; an index that links to
them; and metrics.json with the expected keys and a test accuracy of at least FLOOR. Of a run folder,
only what notebook 04 wrote into metrics.json is checked. The last line is "N passed, N failed".
"""

import json
import sys
from pathlib import Path

NOTEBOOKS = sorted(Path("notebooks").glob("[0-9][0-9]_*.ipynb"))
EVALUATION = ("accuracy", "expected_calibration_error", "confusion", "temperature", "threshold")
REPORT = ("data", "profile", "seed", "commit", "versions", "created", "notebooks")


def checks(folder: Path, floor: float):
    """Yield what is checked, and whether it holds."""
    sections = {"evaluation": EVALUATION}
    if not (folder / "model.onnx").exists():
        sections["report"] = REPORT
        yield from pages(folder)
    path = folder / "metrics.json"
    metrics = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for section, keys in sections.items():
        for key in keys:
            yield f"{path} has {section}.{key}", key in metrics.get(section, {})
    accuracy = metrics.get("evaluation", {}).get("accuracy", {}).get("value", 0.0)
    yield f"{folder}: test accuracy {accuracy:.4f} is at least {floor}", accuracy >= floor


def pages(folder: Path):
    """Yield what is checked of a report's notebooks and pages, and whether it holds."""
    index = folder / "index.html"
    yield f"{index} exists", index.is_file()
    links = index.read_text(encoding="utf-8") if index.is_file() else ""
    for source in NOTEBOOKS:
        path = folder / source.name
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"] if path.is_file() else []
        ran = [cell["execution_count"] for cell in cells if cell["cell_type"] == "code"]
        yield (
            f"{path} ran from the first cell to the last",
            ran == list(range(1, len(ran) + 1)) != [],
        )
        page = path.with_suffix(".html")
        yield f"{page} exists and is linked", page.is_file() and page.name in links


def main(arguments: list[str]) -> int:
    """Print what fails and the count; return the exit status."""
    pairs = zip(arguments[::2], arguments[1::2], strict=True)
    results = [result for folder, floor in pairs for result in checks(Path(folder), float(floor))]
    failed = [what for what, holds in results if not holds]
    for what in failed:
        print(f"FAILED: {what}")
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
