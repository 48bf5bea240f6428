"""The pages of a report: one for each notebook, and the index that a person opens first.

Every page is a single file without scripts from elsewhere: it can be mailed, printed, and read
without a network.
"""

from __future__ import annotations

import base64
import copy
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from digits.config import CHAMPION, TEST_IMAGES
from digits.report.metrics import headline

TEMPLATES = Path(__file__).resolve().parent / "templates"
INDEX_TAG = "index"  # a notebook's cell with this tag has its figures shown on the index page
N_PICTURES = 12  # own pictures shown on the index page
THUMBNAIL_SIDE = 420  # pixels
README_PICTURE = TEST_IMAGES / "sums_on_squares.jpg"
README_SIDE = 800  # largest side of the README's picture, pixels


@dataclass(frozen=True)
class Thumbnail:
    """A picture on the index page, in the page itself."""

    source: str
    alt: str
    caption: str
    link: str = ""


def write(folder: Path, metrics: dict) -> None:
    """Write the page of each notebook in `folder`, and index.html.

    Parameters
    ----------
    folder : path
        Holds the executed notebooks.
    metrics : dict
        This report's `metrics.json`.
    """
    import nbformat

    paths = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    notebooks = {path: nbformat.read(path, as_version=4) for path in paths}
    ran = metrics["report"]["notebooks"]
    titles = {path.stem: ran.get(path.stem, {}).get("title", path.stem) for path in paths}
    exporter = _exporter()
    for path, notebook in notebooks.items():
        html, _ = exporter.from_notebook_node(
            _linked_to_pages(notebook, titles),
            resources={"page_title": titles[path.stem], "name": path.stem, "titles": titles},
        )
        path.with_suffix(".html").write_text(html, encoding="utf-8")
    html = index(metrics, titles, _chosen_figures(notebooks), own_pictures())
    (folder / "index.html").write_text(html, encoding="utf-8")


def _linked_to_pages(notebook, names):
    """Return a notebook whose links to the notebooks `names` lead to their pages."""
    linked = copy.deepcopy(notebook)
    for cell in linked.cells:
        if cell.cell_type == "markdown":
            for name in names:
                cell.source = cell.source.replace(f"]({name}.ipynb", f"]({name}.html")
    return linked


def _environment():
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment


def _exporter():
    """Return nbconvert's HTML exporter with this project's template."""
    import jinja2
    from nbconvert import HTMLExporter
    from pygments.formatters import HtmlFormatter

    loader = jinja2.FileSystemLoader(TEMPLATES)
    exporter = HTMLExporter(
        template_name="lab", template_file="notebook.html.j2", extra_loaders=[loader]
    )
    exporter.exclude_anchor_links = True
    light, dark = (
        HtmlFormatter(style=style).get_style_defs(".highlight")
        for style in ("default", "github-dark")
    )
    css = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    css += f"{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}\n"
    exporter.environment.globals["css"] = css
    return exporter


# --- What the index shows --------------------------------------------------------------------------


def index(
    metrics: dict,
    titles: dict[str, str] | None = None,
    figures: Sequence[Thumbnail] = (),
    pictures: Sequence[Thumbnail] = (),
) -> str:
    """Return a report's first page as HTML.

    Parameters
    ----------
    metrics : dict
        As for `write`.
    titles : dict
        The title of each notebook that has a page, by the page's name without ending.
    figures, pictures : sequence of Thumbnail
        What is shown of the notebooks, and of `test_images/`.
    """
    return (
        _environment()
        .get_template("index.html.j2")
        .render(
            metrics=metrics,
            report=metrics["report"],
            headline=headline(metrics),
            figures=figures,
            confusion=_confusion(metrics),
            pictures=pictures,
            titles=titles or {},
        )
    )


def _confusion(metrics: dict) -> list[dict]:
    """Return the confusion matrix as rows of cells; `share` shades each mistake by the commonest."""
    counts = metrics.get("evaluation", {}).get("confusion", [])
    mistakes = [n for true, row in enumerate(counts) for at, n in enumerate(row) if at != true]
    most = max([1, *mistakes])
    return [
        {
            "digit": true,
            "total": sum(row),
            "cells": [
                {"n": n, "right": at == true, "share": 0 if at == true else n / most}
                for at, n in enumerate(row)
            ],
        }
        for true, row in enumerate(counts)
    ]


def _chosen_figures(notebooks: dict) -> list[Thumbnail]:
    """Return the figures of cells tagged `index`; the first of each notebook where none is."""
    tagged, first = [], []
    for path, notebook in notebooks.items():
        figures = list(_figures(notebook, path.with_suffix(".html").name))
        tagged += [figure for figure, chosen in figures if chosen]
        first += [figure for figure, _ in figures[:1]]
    return tagged or first


def _figures(notebook, page: str):
    """Yield each figure of an executed notebook, and whether its cell is tagged for the index."""
    for cell in notebook.cells:
        chosen = INDEX_TAG in cell.metadata.get("tags", ())
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            for kind in ("image/png", "image/jpeg"):
                if kind in data:
                    text = output.metadata.get(kind, {}).get("alt", "Figure")
                    source = f"data:{kind};base64,{''.join(data[kind].split())}"
                    yield Thumbnail(source, text, text, f"{page}#cell-id={cell.id}"), chosen


def own_pictures(folder: Path = TEST_IMAGES, model: Path = CHAMPION) -> list[Thumbnail]:
    """Return pictures of a labelled folder with what the shipped model reads drawn on them.

    Those come first that teach most: read wrongly, then unsure, then pages, then the rest.
    """
    if not (folder / "labels.csv").exists() or not (model / "card.json").exists():
        return []
    from digits.data.labels import PAGE, load_labels
    from digits.evaluation.scoring import score_readings
    from digits.pictures.decoding import decode
    from digits.recognizer import Recognizer
    from digits.recognizer.annotate import annotate

    labels = load_labels(folder)
    readings = list(Recognizer.load(model).read_many(folder / name for name in labels["file"]))
    scores = score_readings(labels, readings)
    scores["reading"] = readings
    scores = scores[scores["status"] != "error"]
    instruction = 4 * (scores["outcome"] == "wrong") + 2 * (scores["outcome"] == "unsure")
    instruction += scores["group"] == PAGE
    order = instruction.sort_values(ascending=False, kind="stable").index[:N_PICTURES]
    return [
        _thumbnail(row, annotate(decode(folder / row.file), row.reading))
        for row in scores.loc[order].itertuples()
    ]


def readme_picture(path: Path, source: Path = README_PICTURE, model: Path = CHAMPION) -> None:
    """Write the README's picture: one of `test_images/` with what the shipped model reads on it."""
    from digits.pictures.decoding import decode
    from digits.recognizer import Recognizer
    from digits.recognizer.annotate import annotate

    copy = annotate(decode(source), Recognizer.load(model).read(source))
    copy.thumbnail((README_SIDE, README_SIDE))
    path.parent.mkdir(exist_ok=True)
    copy.save(path, quality=85)


def _thumbnail(score, copy) -> Thumbnail:
    """Return an annotated picture with a caption from its row of `score_readings`."""
    copy.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    file = io.BytesIO()
    copy.save(file, "JPEG", quality=85)
    source = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
    truth = f", shows {score.label or 'no digit'}" if score.outcome == "wrong" else ""
    caption = f"{score.file}: reads {score.text or 'nothing'} ({score.outcome}{truth})"
    return Thumbnail(source, f"Picture {caption}", caption)
