"""An executed notebook as a report keeps it: no local paths, texts for figures, provenance."""

from __future__ import annotations

import base64
import copy
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

from digits.config import ROOT

LARGE_FIGURE = 40_000  # characters of a stored figure from which it is compressed
# TensorFlow's C++ code says this when it starts; TF_CPP_MIN_LOG_LEVEL does not silence it (2.21).
NATIVE_LOG = r"(WARNING: All log messages before absl::|[IW]\d{4} [\d:.]+ +\d+ \S+\.cc:\d+\])"


def title(notebook) -> str:
    """Return the text of a notebook's first heading."""
    texts = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    heading = re.search(r"^# (.+)", "\n".join(texts), re.MULTILINE)
    return heading[1].strip() if heading else "Untitled"


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
    """Return an executed notebook as it is kept.

    Parameters
    ----------
    notebook : NotebookNode
    facts : dict
        Of the report: ``commit``, ``data``, ``versions``.
    ran : dict
        Of this notebook: ``created``, ``seconds``, ``parameters``.
    """
    import nbformat

    cells = nbformat.from_dict(without_paths(copy.deepcopy(notebook.cells)))
    for position, cell in enumerate(cells):
        cell.metadata.pop("papermill", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_native_log(output)]
        text = _first_paragraph(cells[position + 1 :]) or _last_paragraph(cells[:position])
        for output, kind in images(cell):
            output.metadata.setdefault(kind, {}).setdefault("alt", text or "Figure")
            if kind == "image/png" and len(output.data[kind]) >= LARGE_FIGURE:
                output.data[kind] = _compressed(output.data[kind])
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
    kept = {"kernelspec", "language_info"} & notebook.metadata.keys()
    metadata = {key: notebook.metadata[key] for key in sorted(kept)}
    return nbformat.v4.new_notebook(cells=[*cells, provenance], metadata=metadata)


def images(cell) -> Iterator[tuple]:
    """Yield each output of a cell that is an image, with its MIME type."""
    for output in cell.get("outputs", ()):
        for kind in ("image/png", "image/jpeg"):
            if kind in output.get("data", {}):
                yield output, kind


def _is_native_log(output) -> bool:
    """Whether an output is only what TensorFlow's C++ code says when it starts."""
    return output.get("name") == "stderr" and all(
        re.match(NATIVE_LOG, line) for line in output.text.splitlines() if line
    )


def _compressed(encoded: str) -> str:
    """Store a PNG with 256 colours: photos of paper would else make reports of many MB."""
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(encoded))) as figure:
        few = figure.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    few.save(buffer, "PNG", optimize=True)
    return min(base64.b64encode(buffer.getvalue()).decode(), encoded, key=len)


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


def _last_paragraph(cells: list) -> str:
    """Return the last paragraph of the last cell if it is text: it announces what follows."""
    if not cells or cells[-1].cell_type != "markdown":
        return ""
    return _without_markup(cells[-1].source.split("\n\n")[-1]).rstrip(":")


def _first_paragraph(cells: list) -> str:
    """Return the first paragraph of prose of the first cell if it is text.

    A last sentence that ends with a colon announces what comes next, so it is left out.
    """
    if not cells or cells[0].cell_type != "markdown":
        return ""
    for paragraph in cells[0].source.split("\n\n"):
        if not paragraph.startswith(("#", "|", "<", "```", ">")):
            return re.sub(r"(^|(?<=[.?!]) )[^.?!]*:$", "", _without_markup(paragraph))
    return ""


def _without_markup(markdown: str) -> str:
    """Return a paragraph on one line, without marks for emphasis, code and links."""
    return " ".join(
        re.sub(r"\*+(?=\S)|(?<=\S)\*+|`|\[([^\]]*)\]\([^)]*\)", r"\1", markdown).split()
    )
