"""The pages of a report: one for each notebook, and the index that a person opens first.

Every page is a single file without scripts from elsewhere: it can be mailed, printed, and read
without a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from digits.config import CHAMPION, TEST_IMAGES
from digits.report.executed import encode, images
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
    """Write the page of each executed notebook in `folder`, and index.html.

    `metrics` is this report's `metrics.json`.
    """
    import nbformat

    notebooks = {path: nbformat.read(path, 4) for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    ran = metrics["report"]["notebooks"]
    titles = {path.stem: ran.get(path.stem, {}).get("title", path.stem) for path in notebooks}
    exporter = _exporter()
    for path, notebook in notebooks.items():
        for cell in notebook.cells:
            if cell.cell_type == "markdown":  # links between notebooks lead to their pages
                for name in titles:
                    cell.source = cell.source.replace(f"]({name}.ipynb", f"]({name}.html")
        resources = {"page_title": titles[path.stem], "name": path.stem, "titles": titles}
        html, _ = exporter.from_notebook_node(notebook, resources)
        path.with_suffix(".html").write_text(html, encoding="utf-8")
    html = index(metrics, titles, _chosen_figures(notebooks), own_pictures())
    (folder / "index.html").write_text(html, encoding="utf-8")


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


def index(
    metrics: dict,
    titles: dict[str, str],
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
        Those shown from the notebooks, and from `test_images/`.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    confusion = metrics.get("evaluation", {}).get("confusion", [])
    errors = [n for true, row in enumerate(confusion) for at, n in enumerate(row) if at != true]
    return environment.get_template("index.html.j2").render(
        report=metrics["report"],
        titles=titles,
        headline=headline(metrics),
        confusion=confusion,
        commonest=max([1, *errors]),
        figures=figures,
        pictures=pictures,
    )


def _chosen_figures(notebooks: dict) -> list[Thumbnail]:
    """Return the figures of cells tagged `index`; the first of each notebook where none is."""
    tagged, first = [], []
    for path, notebook in notebooks.items():
        figures = [(cell, *image) for cell in notebook.cells for image in images(cell)]
        for number, (cell, output, kind) in enumerate(figures):
            text = output.metadata.get(kind, {}).get("alt", "Figure")
            source = f"data:{kind};base64,{''.join(output.data[kind].split())}"
            link = f"{path.stem}.html#cell-id={cell.id}"
            figure = Thumbnail(source, text, text, link)
            tagged += [figure] if INDEX_TAG in cell.metadata.get("tags", ()) else []
            first += [figure] if number == 0 else []
    return tagged or first


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
    order = {"wrong": 0, "unsure": 1}
    rows = sorted(
        scores[scores["status"] != "error"].itertuples(),
        key=lambda row: (order.get(row.outcome, 2), row.group != PAGE),
    )
    return [
        _thumbnail(row, annotate(decode(folder / row.file), row.reading))
        for row in rows[:N_PICTURES]
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
    source = f"data:image/jpeg;base64,{encode(copy, 'JPEG', quality=85)}"
    truth = f", shows {score.label or 'no digit'}" if score.outcome == "wrong" else ""
    caption = f"{score.file}: reads {score.text or 'nothing'} ({score.outcome}{truth})"
    return Thumbnail(source, f"Picture {caption}", caption)
