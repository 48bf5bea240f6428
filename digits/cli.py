"""The command ``digits``.

Each command imports what it needs when it runs: reading one picture must not wait for TensorFlow,
pandas or papermill.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import click

from digits import InputError, interrupt
from digits.config import CHAMPION, NOTEBOOKS, PROFILES, REPORTS, ROOT, RUNS, TEST_IMAGES, Config

BAR_FROM = 20  # pictures from which a terminal shows a bar
MANY = 4  # pictures from which it is worth while to think of several processes
# What the extras of pyproject.toml bring, by the names that are imported.
EXTRAS = {
    "train": ("keras", "pandas", "pooch", "scipy", "sklearn"),
    "notebooks": (
        "anywidget",
        "jinja2",
        "matplotlib",
        "nbconvert",
        "papermill",
        "seaborn",
        "voila",
    ),
    "scale": ("distributed", "fsspec", "pyarrow"),
    "heic": ("pillow_heif",),
}


def _known_data(context, parameter, source: str) -> str:
    """Refuse data that can be told to be mistyped before anything is loaded."""
    from digits.data import SOURCES

    if source not in SOURCES and not Path(source).expanduser().exists():
        is_path = source.endswith((".npz", ".csv"))
        problem = "does not exist" if is_path else "is no data that is known"
        raise click.UsageError(
            f"{source!r} {problem}; give {', '.join(SOURCES)} or the path of an .npz or .csv"
        )
    return source


DATA = click.option(
    "--data",
    callback=_known_data,
    default="auto",
    show_default=True,
    metavar="D",
    help="mnist, embedded, auto (mnist, else embedded), or the path of an .npz or of Kaggle's .csv.",
)
PROFILE = click.option(
    "--profile",
    type=click.Choice(tuple(PROFILES)),
    default="default",
    show_default=True,
    help="How long to train: quick, a minute; default, under ten; best, as long as it takes.",
)
SEED = click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N")
RUN = click.option(
    "--run", "run_dir", type=click.Path(path_type=Path), metavar="DIR", help="The run folder."
)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: one-line errors, exit status 0 done, 1 some input failed, 2 misused."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        status = cli.main(arguments, prog_name="digits", standalone_mode=False)
    except click.ClickException as error:
        if not isinstance(error, click.UsageError):
            _say(error.format_message())
        else:
            hint = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
            _say(" ".join(error.format_message().split()) + hint)
        status = error.exit_code
    except Exception as error:
        if interrupt.pressed():  # it came in an import, which turned it into an error
            raise KeyboardInterrupt from None
        if "--debug" in arguments:
            traceback.print_exc()
        status = 1
        if isinstance(error, InputError):
            _say(str(error))
        elif isinstance(error, OSError) and error.strerror:
            where = f"{error.filename}: " if error.filename else ""
            _say(f"{where}{error.strerror}; name a place that exists and may be written")
        else:
            _say(f"unexpected {type(error).__name__}: {error}; `digits --debug` shows where")
    sys.exit(status)


def _say(message: str) -> None:
    """Print one line to standard error."""
    click.echo(f"digits: {printable(message)}", err=True)


@contextmanager
def _wrong_usage() -> Iterator[None]:
    """Turn what is wrong with an option into exit status 2."""
    try:
        yield
    except InputError as error:
        raise click.UsageError(str(error)) from None


def _require(command: str, *extras: str, also: str = "") -> None:
    """Refuse a command whose packages are not installed, before it begins."""
    missing = _missing(*extras)
    if missing:
        wanted = ",".join(extras)
        raise InputError(
            f"{command} needs {missing[0]}, which is not installed: "
            f"pip install 'digits[{wanted}]'{also}"
        )


def _missing(*extras: str) -> list[str]:
    return [name for extra in extras for name in EXTRAS[extra] if find_spec(name) is None]


class _Stopped(click.ClickException):
    """Ctrl-C."""

    exit_code = interrupt.STATUS


class _Commands(click.Group):
    def invoke(self, context):
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            raise _Stopped("stopped") from None  # click would write an empty line, too
        except EOFError as error:  # click would take it for Ctrl-D
            raise RuntimeError("a file ended too early") from error


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="digits")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Read handwritten digits on pictures; train, explain and measure the network that does it.

    \b
    Examples:
      digits predict photo.jpg
      digits train --profile quick
      digits report --data embedded
    """
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING, format="digits: %(message)s"
    )
    # Libraries' own debug lines would bury ours.
    logging.getLogger().setLevel(logging.WARNING)


# --- predict -------------------------------------------------------------------------------------


@cli.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(readable=False))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per picture and line.")
@click.option(
    "--csv", "csv_path", type=click.Path(path_type=Path), metavar="FILE", help="Write a table."
)
@click.option(
    "--annotate",
    "annotate_dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write a copy of each picture with what was read drawn on it.",
)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    metavar="M",
    help="A run folder or an .onnx file; the shipped model otherwise.",
)
@click.option("--single", is_flag=True, help="Take each picture as one digit.")
@click.option(
    "--workers",
    type=click.IntRange(1),
    metavar="N",
    help="Processes that read many pictures; one for each core otherwise.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write a Parquet data set, part by part; the same command continues a stopped run.",
)
@click.option(
    "--part-size",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    metavar="N",
    help="With --output: pictures in a part.",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="With --output: the Dask scheduler whose workers read, as in tcp://host:8786.",
)
def predict(
    paths, as_json, csv_path, annotate_dir, model, single, workers, output, part_size, scheduler
) -> int:
    """Read the digits on pictures.

    PATH is a picture, a folder that is searched for pictures, or - for one picture on standard
    input. Without PATH, in a checkout of the project, its own test_images/ are read.

    With --output, for large collections, PATH may also be a quoted pattern, a text or Parquet file
    of paths, a zip or tar archive, or a URL that fsspec knows.

    \b
    Examples:
      digits predict photo.jpg
      digits predict scans/ --csv answers.csv --annotate looked-at/
      digits predict --json page.png | jq -r .text
      cat photo.jpg | digits predict -
      digits predict --output results.parquet scans/ more.zip "old/**/*.jpg"

    Status "unsure" marks a best guess below the model's threshold, "no-digit" a picture with
    nothing written on it or something else than digits. Exit status 1 says that a picture could not
    be read.
    """
    if not paths:
        if not TEST_IMAGES.is_dir():
            raise click.UsageError("give the path of a picture, or of a folder of pictures")
        paths = (_short(TEST_IMAGES),)
    if as_json and csv_path:
        raise click.UsageError("give --json or --csv, not both")
    if output:
        if as_json or csv_path or annotate_dir:
            raise click.UsageError("give --output without --json, --csv and --annotate")
        return _collect(paths, output, model, single, part_size, workers, scheduler)
    for name, value in (("--scheduler", scheduler), ("--part-size", part_size)):
        if value and _given(name):
            raise click.UsageError(f"{name} needs --output")
    # Folders are walked before anything heavy is loaded: a mistake is answered at once.
    sources, failed, others = [], 0, Counter()
    for path in paths:
        found = _pictures(path, others)
        sources += found
        if not found:
            failed += 1
            _say(f"no pictures in {path}")
    if others:
        from digits.collection.sources import not_looked_at

        _say(not_looked_at(others))
    if not sources:
        return 1

    from digits.pictures.decoding import LARGEST_FILE

    # A byte more than is allowed is refused by the decoder; an endless stream must not be read on.
    read = sys.stdin.buffer.read
    streams = [read(LARGEST_FILE + 1) if source == "-" else source for source in sources]
    with _wrong_usage():
        readings = _readings(streams, model, single, workers)
    if annotate_dir:
        annotate_dir.mkdir(parents=True, exist_ok=True)
        annotated = _copy_names(sources, annotate_dir)

    names = [os.fspath(source) for source in sources]
    if as_json:
        write = _write_json
    elif csv_path:
        write = _csv_writer(csv_path)
    else:
        write = _table_writer(names)
    counts: Counter[str] = Counter()
    for index, reading in enumerate(_with_bar(readings, len(sources))):
        answer = {**reading.to_dict(), "file": names[index]}
        counts[answer["status"]] += 1
        failed += answer["status"] == "error"
        write(answer)
        if annotate_dir and answer["status"] != "error":
            failed += not _write_annotated(streams[index], reading, annotated[index])
    if csv_path:
        said = ", ".join(f"{n:,} {status}" for status, n in sorted(counts.items()))
        plural = "s" if len(names) != 1 else ""
        _say(f"{len(names):,} picture{plural} in {_short(csv_path)} ({said})")
    return 1 if failed else 0


def _given(option: str) -> bool:
    """Whether an option stands on the command line, rather than having its default."""
    name = option.removeprefix("--").replace("-", "_")
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def _pictures(path: str | Path, others: Counter) -> list[str | Path]:
    """Return the pictures that one argument names, those of a folder sorted by path.

    The endings of what else a folder holds are counted in `others`.
    """
    if os.fspath(path) == "-":
        return ["-"]
    if not os.path.isdir(path):
        return [Path(path)]
    from digits.collection.sources import walk

    return list(walk(Path(path), _say_unreadable, others))


def _say_unreadable(error: OSError) -> None:
    _say(f"cannot look into {error.filename} ({error.strerror})")


def _readings(pictures: list, model: Path | None, single: bool, workers: int | None) -> Iterator:
    if len(pictures) < MANY:  # what shares pictures among processes takes a moment to import
        from digits.recognizer import Recognizer

        return Recognizer.load(model, threads=1).read_many(pictures, single=single)
    from digits.recognizer.parallel import read_all

    return read_all(pictures, model, single=single, processes=workers)


def _with_bar(readings: Iterator, n: int) -> Iterator:
    if n < BAR_FROM or not sys.stderr.isatty():
        yield from readings
        return
    with click.progressbar(
        readings, length=n, label="Reading", file=sys.stderr, show_pos=True
    ) as bar:
        yield from bar


def _collect(sources, output, model, single, part_size, workers, scheduler) -> int:
    """Read a large collection; return the exit status."""
    _require("predict --output", "scale")

    from digits.collection.parts import read_collection

    with click.progressbar(
        length=1, label="Reading", file=sys.stderr, show_pos=True, hidden=not sys.stderr.isatty()
    ) as bar:

        def progress(n_read: int, n_pictures: int) -> None:
            bar.length = n_pictures
            bar.update(n_read - bar.pos)

        counts = read_collection(
            sources,
            output,
            model,
            single=single,
            part=part_size,
            workers=workers,
            scheduler=scheduler,
            say=_say,
            progress=progress,
        )
    listed = ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items()))
    click.echo(f"{_short(output)}: {sum(counts.values()):,} pictures read ({listed})")
    return 1 if counts.get("error") else 0


def _write_json(answer: dict) -> None:
    click.echo(json.dumps(answer))


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
        rows = answer["rows"] or [answer["text"] or "-"]
        row = f"{name:<{width}}  {rows[0]:<10}  {confidence:>10}  {answer['status']}{message}"
        click.echo(printable(row))
        for row in rows[1:]:  # a page's further rows stand below its first
            click.echo(f"{'':<{width}}  {printable(row)}")

    return write


def _csv_writer(path: Path):
    """Return a function that appends one row to `path`, which each run starts anew."""
    import csv

    # Lines are flushed one by one, so that a run that is stopped leaves what it has read.
    file = path.open("w", newline="", encoding="utf-8", errors="backslashreplace", buffering=1)
    rows = csv.writer(file)
    rows.writerow(["file", "text", "confidence", "status", "message"])

    def write(answer: dict) -> None:
        text = "\n".join(answer["rows"]) or answer["text"]
        cells = [answer["file"], text, answer["confidence"], answer["status"], answer["message"]]
        rows.writerow(cells)

    return write


def _copy_names(sources: list, folder: Path) -> list[Path]:
    """Name each picture's annotated copy; no two alike, and none the name of a picture read."""
    taken = {Path(source).resolve() for source in sources}
    names = []
    for source in sources:
        stem = "stdin" if source == "-" else Path(source).stem
        number, path = 1, folder / f"{stem}_read.png"
        while path.resolve() in taken:
            number += 1
            path = folder / f"{stem}_read-{number}.png"
        taken.add(path.resolve())
        names.append(path)
    return names


def _write_annotated(source: bytes | Path, reading, path: Path) -> bool:
    """Write the annotated copy; say so and return False if that fails."""
    from digits.pictures.decoding import decode
    from digits.recognizer.annotate import annotate

    try:
        annotate(decode(source), reading).save(path)
    except OSError as error:
        _say(f"cannot write {path} ({error.strerror or error})")
        return False
    return True


def printable(text: str) -> str:
    """Return `text` with what a terminal cannot show, or would obey, written as an escape.

    File names may hold bytes that are no UTF-8 (Python keeps them as surrogates), line ends and
    control sequences.
    """
    text = os.fsencode(text).decode("utf-8", "backslashreplace")
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


# --- train, export -------------------------------------------------------------------------------


@cli.command()
@DATA
@PROFILE
@SEED
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="Replace one setting of the profile; may be given again.",
)
@click.option(
    "--start",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A finished run of the same network whose weights to start from.",
)
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint of a stopped run.")
@RUN
def train(data, profile, seed, assignments, start, resume, run_dir) -> None:
    """Train the network and write a run folder: model, history, card.

    \b
    Examples:
      digits train --profile quick
      digits train --set epochs=30 --set batch_size=512 --run runs/longer
      digits train --resume
    """
    _require("train", "train")
    with _wrong_usage():
        config = Config.from_profile(profile, seed=seed).with_overrides(list(assignments))

    from digits.config import default_run_dir
    from digits.data import load

    dataset = load(data)

    from digits import training  # after what may fail: TensorFlow takes seconds

    run_dir = run_dir or default_run_dir(dataset.name, profile, seed)
    click.echo(str(dataset))
    training.train(
        dataset,
        config,
        run_dir,
        start=start,
        resume=resume,
        progress=lambda row: click.echo(training.format_epoch(row), err=True),
    )
    click.echo(f"The run is in {_short(run_dir)}")


@cli.command()
@DATA
@click.option(
    "--run",
    "run_dir",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder of the new run.",
)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
def average(data, run_dir, runs) -> None:
    """Average the weights of RUNS that started one from another (`digits train --start`).

    \b
    Example:
      digits average runs/first runs/second runs/third --run runs/averaged
    """
    _require("average", "train")

    from digits.data import load

    dataset = load(data)

    from digits import training  # after what may fail: TensorFlow takes seconds

    training.average(runs, dataset, run_dir)
    click.echo(f"The run is in {_short(run_dir)}")


@cli.command()
@click.option(
    "--format",
    "kind",
    type=click.Choice(("onnx", "litert", "keras")),
    required=True,
    help="onnx for ONNX Runtime, litert for phones, keras for more training.",
)
@RUN
@click.argument("output", type=click.Path(path_type=Path))
def export(kind, run_dir, output) -> None:
    """Write a trained model, the shipped one unless --run names a run folder, to OUTPUT.

    \b
    Examples:
      digits export --format litert digits.tflite
      digits export --format onnx --run runs/mnist-quick-0 model.onnx
    """
    _require("export", "train")

    from digits import training

    training.export_model(run_dir or CHAMPION, kind, output)
    click.echo(f"Wrote {_short(output)}")


# --- finetune ------------------------------------------------------------------------------------


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=RUNS / "my_hand",
    metavar="MODEL",
    help="The folder of the new model; runs/my_hand otherwise.",
)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    default=CHAMPION,
    metavar="M",
    help="A run folder to start from; the shipped model otherwise.",
)
@click.option("--force", is_flag=True, help="Save the model even if it is worse.")
@SEED
@DATA
def finetune(folder, output, model, force, seed, data) -> int:
    """Teach the model one person's hand from the labelled pictures in FOLDER.

    Ten pictures of one digit each are the least; two or more of each digit are better. What a
    picture shows is told by its name (7_first.png), its subfolder (7/first.png), or a table
    labels.csv with the columns file and label. The training images named by --data are replayed, so
    that other hands are read as well as before.

    \b
    Examples:
      digits finetune my_digits
      digits finetune my_digits --output runs/anna
      digits predict --model runs/anna photo.jpg
    """
    _require("finetune", "train")

    from digits.data.examples import load_examples
    from digits.recognizer import Recognizer

    with _wrong_usage():
        examples, remarks = load_examples(folder, Recognizer.load(model))
    for remark in remarks:
        _say(remark)
    examples.require_enough()
    click.echo(examples)

    from digits.data import load

    dataset = load(data)

    from digits.training import finetuning  # after what may fail: TensorFlow takes seconds

    outcome = finetuning.finetune(
        examples,
        dataset,
        output,
        base=model,
        seed=seed,
        force=force,
        progress=lambda line: click.echo(line, err=True),
    )
    click.echo(outcome)
    if outcome.folder is None:
        _say(f"not saved: {outcome.problem}; --force saves it all the same")
        return 1
    if outcome.problem:
        _say(f"saved as --force asks, although {outcome.problem}")
    click.echo(f"The model is in {_short(output)}: digits predict --model {_short(output)} PATH")
    return 0


# --- report --------------------------------------------------------------------------------------


@cli.command()
@DATA
@PROFILE
@SEED
@click.option("--only", metavar="NN,NN", help="Run these notebooks, and keep the others' pages.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The folder to write; reports/<data> otherwise.",
)
@click.option(
    "-p",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="A further parameter of the notebooks; may be given again.",
)
@click.option(
    "--prepare-only", is_flag=True, help="Write the notebooks with these parameters; run nothing."
)
def report(data, profile, seed, only, output, assignments, prepare_only) -> None:
    """Run the notebooks with papermill and write their report.

    The report's folder holds the executed notebooks, a page for each, metrics.json, and index.html.
    It appears when all is done; when a notebook fails, an earlier report stays as it was.

    \b
    Examples:
      digits report
      digits report --data embedded --profile quick
      digits report --only 04,05
      digits report --data my.npz --seed 7 --output seventh/
    """
    place = (
        "" if NOTEBOOKS.is_dir() else ", and a checkout of the project, whose notebooks/ it runs"
    )
    _require("report", "train", "notebooks", also=place)

    from digits import report as reporting

    if prepare_only:
        if not output:
            raise click.UsageError("--prepare-only needs --output")
        reporting.prepare(output, data, profile, seed)
        return
    with _wrong_usage():
        numbers = only.split(",") if only else []
        reporting.plan(reporting.find_notebooks(only=numbers), {}, assignments)
    with _Progress() as progress:
        folder = reporting.make(
            data,
            profile,
            seed,
            only=numbers,
            assignments=assignments,
            output=output,
            progress=progress,
        )
    click.echo(f"The report is in {_short(folder / 'index.html')}")


class _Progress:
    """Shows a report's progress: a bar on a terminal, elsewhere a line for each cell."""

    def __init__(self):
        self.bar = None
        self.notebook = ""

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        if self.bar:
            self.bar.__exit__(*error)

    def __call__(self, cell, n_cells: int) -> None:
        if cell is None:
            if sys.stderr.isatty():
                self.bar = click.progressbar(length=n_cells, file=sys.stderr, show_pos=True)
                self.bar.__enter__()
            return
        if self.bar:
            self.bar.label = cell.notebook
            self.bar.update(n_cells)
            return
        if cell.notebook != self.notebook:
            self.notebook = cell.notebook
            click.echo(cell.notebook, err=True)
        click.echo(f"  cell {cell.number:2} of {cell.total}  {cell.seconds:6.1f} s", err=True)


def _short(path: Path) -> str:
    """Return `path` relative to the folder that the user is in, where that is shorter."""
    path = Path(path).absolute()
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


# --- draw ------------------------------------------------------------------------------------------


@cli.command()
@click.option("--port", type=click.IntRange(1024, 65535), default=8866, show_default=True)
@click.option("--browser/--no-browser", default=True, help="Whether to open the page.")
def draw(port, browser) -> None:
    """Open the drawing pad as a page of its own, which this machine alone can see.

    \b
    Examples:
      digits draw
      digits draw --no-browser --port 9000
    """
    _require("draw", "notebooks")

    from digits.draw import serve

    serve(port, browser)


# --- doctor --------------------------------------------------------------------------------------


@cli.command()
def doctor() -> int:
    """Say what is installed and found: versions, backend, data, disk, and the shipped model.

    \b
    Example:
      digits doctor
    """
    import hashlib
    import shutil

    from digits.config import package_versions
    from digits.data import find_mnist, read_mnist

    wrong = 0
    rows = list(package_versions().items())
    rows.append(("processors", str(os.cpu_count())))
    for extra in EXTRAS:
        missing = _missing(extra)
        without = f"lacks {', '.join(missing)}: pip install 'digits[{extra}]'"
        rows.append((f"[{extra}]", without if missing else "installed"))
    if not _missing("train"):
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
    model, card = CHAMPION / "model.onnx", CHAMPION / "card.json"
    if model.exists() and card.exists():
        digest = hashlib.sha256(model.read_bytes()).hexdigest()
        rows.append(("model", f"{model.stat().st_size / 1e6:.1f} MB, SHA-256 {digest[:16]}"))
    else:
        wrong += 1
        rows.append(("model", f"{CHAMPION} lacks {model.name} or {card.name}"))
    if NOTEBOOKS.is_dir():
        reports = sorted(path.parent.name for path in REPORTS.glob("*/metrics.json"))
        rows.append(("reports", ", ".join(reports) or "none yet: `digits report` makes one"))
    for name, value in rows:
        click.echo(f"{name:<16}{value}")
    return 1 if wrong else 0
