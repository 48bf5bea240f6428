"""The command ``digits``.

Each command imports what it needs when it runs: reading one picture must not wait for TensorFlow,
pandas or papermill.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import click

from digits import InputError, printable
from digits.config import (
    CHAMPION,
    NOTEBOOKS,
    PROFILES,
    REPORTS,
    RUNS,
    TEST_IMAGES,
    Config,
    default_run_dir,
    missing_packages,
)

BAR_FROM = 20  # pictures from which a terminal shows a bar
MANY = 4  # pictures from which several processes may be faster


def _known_data(context, parameter, source: str) -> str:
    """Refuse a mistyped name or path of data before anything is loaded."""
    from digits.data import SOURCES

    if source not in SOURCES and not Path(source).expanduser().exists():
        names = ", ".join(SOURCES)
        message = f"{source!r} does not exist; give {names}, or the path of an .npz or .csv"
        raise click.UsageError(message)
    return source


PATH = click.Path(path_type=Path)
flag_option = partial(click.option, is_flag=True)
path_option = partial(click.option, type=PATH)
folder_option = partial(
    click.option, type=click.Path(path_type=Path, file_okay=False), metavar="DIR"
)
count_option = partial(click.option, type=click.IntRange(1), metavar="N")
assignments_option = partial(click.option, "assignments", multiple=True, metavar="NAME=VALUE")

data_option = click.option(
    "--data",
    callback=_known_data,
    default="auto",
    metavar="D",
    help="mnist, embedded, auto (mnist, else embedded), or the path of an .npz or of Kaggle's .csv.",
)
profile_option = click.option(
    "--profile",
    type=click.Choice(tuple(PROFILES)),
    default="default",
    help="How long to train: quick, a minute; default, under ten; best, over an hour.",
)
seed_option = click.option("--seed", type=click.IntRange(0), default=0, metavar="N")
run_option = folder_option("--run", "run_dir", help="The run folder.")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: one-line errors, exit status 0 done, 1 some input failed, 2 misused."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        status = cli.main(arguments or ["--help"], prog_name="digits", standalone_mode=False)
    except click.ClickException as error:
        hint = f" (see {error.ctx.command_path} --help)" if getattr(error, "ctx", None) else ""
        _say(" ".join(error.format_message().split()) + hint)
        status = error.exit_code
    except Exception as error:
        cause = error
        while cause := cause.__context__:  # imports turn Ctrl-C into errors of their own
            if isinstance(cause, KeyboardInterrupt):
                raise cause from None
        if "--debug" in arguments:
            traceback.print_exc()
        message = f"unexpected {type(error).__name__}: {error}; `digits --debug` shows where"
        if isinstance(error, InputError):
            message = str(error)
        elif isinstance(error, OSError) and error.strerror:
            where = f"{error.filename}: " if error.filename else ""
            message = f"{where}{error.strerror}; name a place that exists and may be written"
        _say(message)
        status = 1
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
    missing = [name for extra in extras for name in missing_packages(extra)]
    if missing:
        raise InputError(
            f"{command} needs {missing[0]}, which is not installed: "
            f"pip install 'digits[{','.join(extras)}]'{also}"
        )


def _short(path: Path) -> str:
    """Return `path` relative to the folder that the user is in, where that is shorter."""
    path = path.absolute()
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


class _Commands(click.Group):
    def invoke(self, context):
        try:
            return super().invoke(context)
        except KeyboardInterrupt:  # click would write an empty line, too
            _say("stopped")
            raise click.exceptions.Exit(130) from None  # what shells return for Ctrl-C
        except EOFError as error:  # click would take it for Ctrl-D
            raise RuntimeError("a file ended too early") from error


@click.group(
    cls=_Commands,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "show_default": True,
    },
)
@click.version_option(package_name="digits")
@flag_option("--debug", expose_value=False, help="Show the traceback of an error.")
def cli() -> None:
    """Read handwritten digits on pictures; train, explain and measure the network that does it.

    \b
    Examples:
      digits predict photo.jpg
      digits train --profile quick
      digits report --data embedded
    """
    logging.basicConfig(format="digits: %(message)s")


@cli.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(readable=False))
@flag_option("--json", "as_json", help="Print one JSON object per picture and line.")
@path_option("--csv", metavar="FILE", help="Write a table; - writes it to standard output.")
@folder_option("--annotate", help="Write copies that show the digits.")
@path_option("--model", metavar="M", help="A run folder or .onnx file; else the shipped model.")
@flag_option("--single", help="Take each picture as one digit.")
@count_option("--workers", help="Processes; one for each core otherwise.")
@folder_option("--output", help="Write a Parquet data set; continues a stopped run.")
@count_option("--part-size", help="With --output: pictures in a part; 1000 otherwise.")
@click.option(
    "--scheduler", metavar="ADDRESS", help="With --output: a Dask scheduler, tcp://host:8786."
)
def predict(
    paths, as_json, csv, annotate, model, single, workers, output, part_size, scheduler
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
    be read, or a file not be written.
    """
    if not paths and not TEST_IMAGES.is_dir():
        raise click.UsageError("give the path of a picture, or of a folder of pictures")
    if "" in paths:
        raise click.UsageError("a path is empty; give that of a picture, or of a folder")
    paths = paths or (_short(TEST_IMAGES),)
    if as_json and csv:
        raise click.UsageError("give --json or --csv, not both")
    if output and (as_json or csv or annotate):
        raise click.UsageError("give --output without --json, --csv and --annotate")
    if not output and (part_size or scheduler):
        raise click.UsageError("--part-size and --scheduler need --output")
    if output:
        return _predict_collection(paths, output, model, single, part_size, workers, scheduler)

    from digits.pictures.decoding import LARGEST_FILE
    from digits.pictures.files import find_pictures

    sources, n_failed = find_pictures(paths, _say)
    if not sources:
        return 1
    if csv and any(source != "-" and Path(source).resolve() == csv.resolve() for source in sources):
        raise click.UsageError(f"--csv {csv} is one of the pictures; name another file")
    # One byte more than is allowed is refused by the decoder; an endless stream is not read on.
    read = sys.stdin.buffer.read
    pictures = [read(LARGEST_FILE + 1) if source == "-" else source for source in sources]

    from digits.recognizer import output as results

    readings = _readings(pictures, model, single, workers)
    names = [os.fspath(source) for source in sources]
    write = results.writer(names, as_json, csv)
    copies = results.copy_names(sources, annotate) if annotate else []
    counts: Counter[str] = Counter()
    with _bar(readings, len(names), least=BAR_FROM) as bar:
        for index, reading in enumerate(bar):
            write({**reading.to_dict(), "file": names[index]})
            counts[reading.status] += 1
            if copies and reading.status != "error":
                try:
                    results.write_annotated(pictures[index], reading, copies[index])
                except OSError as error:
                    n_failed += 1
                    _say(f"cannot write {copies[index]} ({error.strerror or error})")
    if csv and str(csv) != "-":
        plural = "s" if len(names) != 1 else ""
        _say(f"{len(names):,} picture{plural} in {_short(csv)} ({_counted(counts)})")
    return 1 if n_failed or counts["error"] else 0


def _readings(pictures: list, model: Path | None, single: bool, workers: int | None) -> Iterator:
    """Return the readings of pictures, in order; several processes read many."""
    from digits.recognizer import Recognizer

    with _wrong_usage():
        if len(pictures) < MANY:
            return Recognizer.load(model, threads=1).read_many(pictures, single=single)
        from digits.recognizer.parallel import read_all  # takes a moment

        return read_all(pictures, model, single=single, processes=workers)


def _bar(readings: Iterator | None, n: int, least: int = 0):
    """Return a progress bar over `n` readings; they alone where nobody would see it or need it."""
    if n < least or not sys.stderr.isatty():
        return nullcontext(readings)
    return click.progressbar(readings, n, "Reading", file=sys.stderr, show_pos=True)


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items()))


def _predict_collection(sources, output, model, single, part_size, workers, scheduler) -> int:
    """Read a large collection; return the exit status."""
    _require("predict --output", "scale")
    from digits.collection.parts import read_collection

    with _bar(None, 1) as bar:

        def progress(n_read: int, n_pictures: int) -> None:
            if bar:
                bar.length = n_pictures
                bar.update(n_read - bar.pos)

        options = {"single": single, "part": part_size, "workers": workers}
        options |= {"scheduler": scheduler, "say": _say, "progress": progress}
        counts = read_collection(sources, output, model, **options)
    click.echo(f"{_short(output)}: {sum(counts.values()):,} pictures read ({_counted(counts)})")
    return 1 if counts.get("error") else 0


@cli.command()
@data_option
@profile_option
@seed_option
@assignments_option("--set", help="Replace a setting; repeatable.")
@flag_option("--detector", help="Train the network that finds digits, with --data and --seed.")
@flag_option("--resume", help="Go on from the last checkpoint of a stopped run.")
@run_option
def train(data, profile, seed, assignments, detector, resume, run_dir) -> None:
    """Train the network and write a run folder: model, history, card.

    \b
    Examples:
      digits train --profile quick
      digits train --set epochs=30 --set batch_size=512 --run runs/longer
      digits train --resume
      digits train --detector

    --detector takes hours, and has settings of its own.
    """
    _require("train", "train")
    with _wrong_usage():
        config = Config.from_profile(profile, seed=seed).with_overrides(assignments)
    if detector and assignments:
        raise click.UsageError("give --detector without --set")
    from digits.data import load

    dataset = load(data)
    from digits import training  # after what may fail: TensorFlow takes seconds

    run_dir = run_dir or default_run_dir(dataset.name, "detector" if detector else profile, seed)
    click.echo(dataset)

    def progress(row: dict) -> None:
        click.echo(training.format_epoch(row), err=True)

    options = {"resume": resume, "progress": progress}
    if detector:
        training.train_detector(dataset, run_dir, seed=seed, **options)
    else:
        training.train(dataset, config, run_dir, **options)
    click.echo(f"The run is in {_short(run_dir)}")


@cli.command()
@click.option(
    "--format",
    "kind",
    required=True,
    type=click.Choice(("onnx", "litert", "keras")),
    help="onnx for ONNX Runtime, litert for phones, keras for more training.",
)
@run_option
@click.argument("output", type=PATH)
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


@cli.command()
@click.argument("folder", type=PATH)
@path_option("--output", metavar="DIR", help="The new model's folder; else runs/my_hand.")
@path_option("--model", metavar="M", help="A run to start from; else the shipped model.")
@flag_option("--force", help="Save the model even if it is worse.")
@seed_option
@data_option
def finetune(folder, output, model, force, seed, data) -> int:
    """Teach the model one person's hand from the labelled pictures in FOLDER.

    Ten pictures of one digit each are the least; two or more of each digit are better. A picture's
    label is in its name (7_first.png), its subfolder (7/first.png), or a table labels.csv with the
    columns file and label. The training images named by --data are replayed, so that other hands
    are read as well as before.

    \b
    Examples:
      digits finetune my_digits
      digits finetune my_digits --output runs/anna
      digits predict --model runs/anna photo.jpg
    """
    _require("finetune", "train")
    output, model = output or RUNS / "my_hand", model or CHAMPION
    from digits.data import load
    from digits.data.examples import load_examples
    from digits.recognizer import Recognizer

    with _wrong_usage():
        examples, remarks = load_examples(folder, Recognizer.load(model))
    for remark in remarks:
        _say(remark)
    examples.require_enough()
    click.echo(examples)
    dataset = load(data)
    from digits.training import finetuning  # after what may fail: TensorFlow takes seconds

    options = {"base": model, "seed": seed, "force": force}
    progress = partial(click.echo, err=True)
    outcome = finetuning.finetune(examples, dataset, output, **options, progress=progress)
    click.echo(outcome)
    if outcome.problem and not force:
        _say(f"not saved: {outcome.problem}; --force saves it all the same")
        return 1
    if outcome.problem:
        _say(f"saved as --force asks, although {outcome.problem}")
    click.echo(f"The model is in {_short(output)}: digits predict --model {_short(output)} PATH")
    return 0


@cli.command()
@data_option
@profile_option
@seed_option
@click.option("--only", metavar="NN,NN", help="Run these notebooks, and keep the others' pages.")
@folder_option("--output", help="The folder to write; reports/<data> otherwise.")
@assignments_option("-p", help="A further parameter of the notebooks; repeatable.")
@flag_option("--prepare-only", help="Write the notebooks with these parameters; run nothing.")
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
    place = "" if NOTEBOOKS.is_dir() else ", and a checkout of the project with its notebooks/"
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
    options = {"only": numbers, "assignments": assignments, "output": output}
    folder = reporting.make(data, profile, seed, **options)
    if folder == REPORTS / "mnist":
        reporting.update_readme(folder)
    click.echo(f"The report is in {_short(folder / 'index.html')}")


@cli.command()
@click.option("--port", type=click.IntRange(1024, 65535), default=8866)
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


@cli.command()
def doctor() -> int:
    """Say what is installed and found: versions, backend, data, disk, and the shipped model.

    \b
    Example:
      digits doctor
    """
    from digits.doctor import examine

    rows, wrong = examine()
    for name, value in rows:
        click.echo(f"{name:<16}{value}")
    return 1 if wrong else 0
