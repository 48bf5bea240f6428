"""Readings as people and programs get them: JSON lines, a CSV file, a table, annotated copies."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import click

from digits import printable
from digits.pictures import decode
from digits.pictures.files import MADE_BY, is_copy
from digits.recognizer.reading import Reading


def writer(names: list[str], as_json: bool, csv_path: Path | None) -> Callable[[dict], None]:
    """Return a function that writes one answer, a `Reading.to_dict`, where it is wanted.

    `names` are the files to come, whose longest decides how wide the table is.
    """
    if as_json:
        return lambda answer: click.echo(json.dumps(answer))
    return _csv_writer(csv_path) if csv_path else _table_writer(names)


def _table_writer(names: list[str]):
    """Return a function that prints one row; the head is printed before the first."""
    width = min(48, max(len("file"), *(len(printable(name)) for name in names)))
    click.echo(f"{'file':<{width}}  {'digits':<10}  {'confidence':>10}  status")

    def write(answer: dict) -> None:
        name = printable(answer["file"])
        if len(name) > width:
            name = "…" + name[1 - width :]
        confidence = f"{answer['confidence']:.0%}" if answer["digits"] else "-"
        message = f": {answer['message']}" if answer["message"] else ""
        rows = answer["rows"] or ["-"]
        row = f"{name:<{width}}  {rows[0]:<10}  {confidence:>10}  {answer['status']}{message}"
        click.echo(printable(row))
        for row in rows[1:]:  # a page's further rows stand below its first
            click.echo(f"{'':<{width}}  {printable(row)}")

    return write


def _csv_writer(path: Path):
    """Return a function that appends one row to `path`, which each run starts anew, or to "-"."""
    # Lines are flushed one by one, so that a run that is stopped leaves what it has read.
    options = {"newline": "", "encoding": "utf-8", "errors": "backslashreplace"}
    if str(path) == "-":
        file = sys.stdout
        file.reconfigure(line_buffering=True, **options)
    else:
        file = path.open("w", buffering=1, **options)
    names = ["file", "text", "confidence", "status", "message"]
    rows = csv.DictWriter(file, names, extrasaction="ignore")
    rows.writeheader()

    def write(answer: dict) -> None:
        rows.writerow(answer | {"text": "\n".join(answer["rows"])})

    return write


def copy_names(sources: list, folder: Path) -> list[Path]:
    """Name each picture's annotated copy; no two alike, and none the name of another file."""
    taken = {Path(source).resolve() for source in sources}
    names = []
    for source in sources:
        stem = "stdin" if source == "-" else Path(source).stem
        number, path = 1, folder / f"{stem}_read.png"
        while path.resolve() in taken or (path.is_file() and not is_copy(path)):
            number += 1
            path = folder / f"{stem}_read-{number}.png"
        taken.add(path.resolve())
        names.append(path)
    return names


def write_annotated(source: bytes | Path, reading: Reading, path: Path) -> None:
    """Write a picture with what was read drawn on it; OSError if that fails."""
    from PIL.PngImagePlugin import PngInfo

    from digits.recognizer.annotate import annotate  # and Pillow's fonts

    path.parent.mkdir(parents=True, exist_ok=True)
    made_by = PngInfo()
    made_by.add_text("Software", MADE_BY)
    annotate(decode(source), reading).save(path, pnginfo=made_by)
