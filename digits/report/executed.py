"""An executed notebook as a report keeps it: no local paths, texts for figures, provenance."""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

from digits.config import ROOT

LARGE_FIGURE = 40_000  # characters of a stored figure from which it is compressed


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

    cells = nbformat.from_dict(without_paths(notebook.cells))
    for cell in cells:
        cell.metadata.pop("papermill", None)
        for output, kind in images(cell):
            # No kernel, no widget.
            output.data.pop("application/vnd.jupyter.widget-view+json", None)
            words = output.data.get("text/plain", "")  # the figure's title, see `digits.plots`
            alternative = "Figure" if words.startswith("<") else " ".join(words.split())
            output.metadata.setdefault(kind, {}).setdefault("alt", alternative or "Figure")
            if kind == "image/png" and len(output.data[kind]) >= LARGE_FIGURE:
                _compress(output)
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


def _compress(output) -> None:
    """Store a figure with photos as JPEG, and any other large one with 256 colours."""
    from PIL import Image

    encoded = output.data.pop("image/png")
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as figure:
        figure = figure.convert("RGB")
    few = figure.quantize(256, dither=Image.Dither.NONE)
    png, jpeg = encode(few, "PNG", optimize=True), encode(figure, "JPEG", quality=85)
    smaller = min(png, encoded, key=len)
    # Lines and letters are sharp as PNG, and hardly larger; only for photos JPEG is far smaller.
    is_photo = len(jpeg) < len(smaller) / 2
    kind = "image/jpeg" if is_photo else "image/png"
    output.data[kind] = jpeg if is_photo else smaller
    output.metadata[kind] = output.metadata.pop("image/png")


def encode(figure, form: str, **how) -> str:
    """Return a Pillow image as a file of the format `form`, in base64."""
    buffer = io.BytesIO()
    figure.save(buffer, form, **how)
    return base64.b64encode(buffer.getvalue()).decode()


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
