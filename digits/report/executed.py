"""An executed notebook as a report keeps it: no local paths, texts for figures, provenance."""

from __future__ import annotations

import base64
import copy
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path

from digits.config import ROOT

LARGE_FIGURE = 40_000  # characters of a stored figure from which it is compressed


def title(notebook) -> str:
    """Return the text of a notebook's first heading."""
    for cell in notebook.cells:
        for line in cell.source.splitlines() if cell.cell_type == "markdown" else ():
            if line.startswith("# "):
                return line.removeprefix("# ").strip()
    return "Untitled"


def without_paths(value):
    """Return `value` with the project's folder and the home folder taken out of all texts."""
    if isinstance(value, str):
        return value.replace(f"{ROOT}{os.sep}", "").replace(str(Path.home()), "~")
    if isinstance(value, dict):
        return {key: without_paths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_paths(item) for item in value]
    return value


def finish(notebook, facts: dict, ran: dict):
    """Return an executed notebook as it is kept: no paths, texts for figures, its provenance."""
    import nbformat

    cells = []
    for cell in without_paths(copy.deepcopy(notebook.cells)):
        cell["metadata"].pop("papermill", None)
        if "outputs" in cell:
            cell["outputs"] = [output for output in cell["outputs"] if not _is_native_log(output)]
        cells.append(nbformat.from_dict(cell))
    _describe_figures(cells)
    _compress_figures(cells)
    parameters = ", ".join(f"{name}={value!r}" for name, value in ran["parameters"].items())
    packages = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    line = (
        f"*Made by `digits report` on {ran['created']} in {ran['seconds']:.0f} s. "
        f"Commit {facts['commit'] or 'unknown'}; data {facts['data']['name']}, "
        f"digest {facts['data']['digest'][:12]}; parameters `{parameters or 'none'}`; "
        f"{packages}.*"
    )
    provenance = nbformat.v4.new_markdown_cell(line, metadata={"tags": ["provenance"]})
    provenance["id"] = "provenance"
    metadata = {
        key: value
        for key, value in notebook.metadata.items()
        if key in ("kernelspec", "language_info")
    }
    return nbformat.v4.new_notebook(cells=[*cells, provenance], metadata=metadata)


def _is_native_log(output: dict) -> bool:
    """Whether an output is only what TensorFlow's C++ code says when it starts.

    TF_CPP_MIN_LOG_LEVEL does not silence it (2.21).
    """
    line = r"(WARNING: All log messages before absl::|[IW]\d{4} [\d:.]+ +\d+ \S+\.cc:\d+\])"
    return output.get("name") == "stderr" and all(
        re.match(line, text) for text in output["text"].splitlines() if text
    )


def _describe_figures(cells: list) -> None:
    """Give each figure an alternative text: what the text after it says, or the text before it."""
    for position, cell in enumerate(cells):
        text = _first_paragraph(cells[position + 1 :]) or _last_paragraph(cells[:position])
        for output in cell.get("outputs", ()):
            for kind in ("image/png", "image/jpeg"):
                if kind in output.get("data", {}):
                    output.metadata.setdefault(kind, {}).setdefault("alt", text or "Figure")


def _compress_figures(cells: list) -> None:
    """Store large figures with 256 colours: photos of paper would else make reports of many MB."""
    from PIL import Image

    for cell in cells:
        for output in cell.get("outputs", ()):
            encoded = output.get("data", {}).get("image/png", "")
            if len(encoded) < LARGE_FIGURE:
                continue
            with Image.open(io.BytesIO(base64.b64decode(encoded))) as figure:
                few = figure.convert("RGB").quantize(256, dither=Image.Dither.NONE)
            buffer = io.BytesIO()
            few.save(buffer, "PNG", optimize=True)
            smaller = base64.b64encode(buffer.getvalue()).decode()
            if len(smaller) < len(encoded):
                output["data"]["image/png"] = smaller


def rewrite_links(path: Path, notebooks: Path, target: Path) -> None:
    """Point links that were relative to the folder `notebooks` to the same files from `target`.

    Links between notebooks of one report stay as they are.
    """
    import nbformat

    def rewritten(match: re.Match) -> str:
        file, hash_sign, anchor = match[1].partition("#")
        if (path.parent / file).exists():
            return match[0]
        return f"]({os.path.relpath(notebooks / file, target)}{hash_sign}{anchor})"

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"\]\((?![a-z]+:|#|/)([^)\s]+)\)", rewritten, cell.source)
    nbformat.write(notebook, path)


def _last_paragraph(cells: Sequence) -> str:
    """Return the paragraph that announces what follows `cells`."""
    if not cells or cells[-1].cell_type != "markdown":
        return ""
    return _without_markup(cells[-1].source.split("\n\n")[-1]).rstrip(":")


def _first_paragraph(cells: Sequence) -> str:
    """Return the first paragraph of the first cell if it is prose, without markup.

    A last sentence that ends with a colon announces what comes next, so it is left out.
    """
    if not cells or cells[0].cell_type != "markdown":
        return ""
    for paragraph in cells[0].source.split("\n\n"):
        if not paragraph.startswith(("#", "|", "<", "```", ">")):
            return re.sub(r"(^|(?<=[.?!]) )[^.?!]*:$", "", _without_markup(paragraph))
    return ""


def _without_markup(markdown: str) -> str:
    """Return a paragraph on one line, without marks for bold type, code and links."""
    return " ".join(re.sub(r"\*\*|`|\[([^\]]*)\]\([^)]*\)", r"\1", markdown).split())
