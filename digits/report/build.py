"""Papermill over the notebooks: `reports/<data>/` with pages, `metrics.json` and an index.

Notebooks import `record` from here, so papermill, nbconvert and Jinja are imported only when a
report is made.
"""

from __future__ import annotations

import base64
import copy
import glob
import io
import json
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from digits import InputError
from digits.config import (
    NOTEBOOKS,
    REPORTS,
    ROOT,
    Config,
    default_run_dir,
    git_commit,
    package_versions,
)
from digits.report.metrics import METRICS, read_metrics, readme_with
from digits.storage import locked, publish, recover, write_json, write_text

# Seconds that one cell may take before its notebook is stopped. Only training cells come near.
CELL_SECONDS = {"quick": 600, "default": 3600, "best": 12 * 3600}

LARGE_FIGURE = 40_000  # characters of a stored figure from which it is compressed

# Parameters that have an option of their own on the command line.
OPTIONS = {"DATA": "--data", "PROFILE": "--profile", "SEED": "--seed"}


# --- Choosing notebooks and parameters -----------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One notebook of a report, and the parameters that it is run with."""

    path: Path
    parameters: dict

    @property
    def name(self) -> str:
        """The file name without its ending, as in "04_evaluate"."""
        return self.path.stem

    @property
    def n_cells(self) -> int:
        """How many code cells will run: its own, and the one that sets the parameters."""
        cells = json.loads(self.path.read_text(encoding="utf-8"))["cells"]
        return sum(cell["cell_type"] == "code" for cell in cells) + bool(self.parameters)


def find_notebooks(folder: Path = NOTEBOOKS, only: Sequence[str] = ()) -> list[Path]:
    """Return the numbered notebooks in order, or those whose number is in `only`."""
    found = {path.name[:2]: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    if not found:
        raise InputError(
            f"no numbered notebooks in {folder}; a report needs a checkout of the project, which has "
            "notebooks/"
        )
    wanted = [number.strip().zfill(2) for number in only] or list(found)
    unknown = [number for number in wanted if number not in found]
    if unknown:
        raise InputError(f"no notebook {unknown[0]!r}; the notebooks are {', '.join(found)}")
    return [found[number] for number in sorted(set(wanted))]


def plan(notebooks: Sequence[Path], standard: dict, assignments: Sequence[str] = ()) -> list[Step]:
    """Give each notebook those parameters that it declares.

    papermill itself only warns about a parameter that no notebook knows, and runs on.

    Parameters
    ----------
    notebooks : sequence of path
    standard : dict
        DATA, PROFILE, SEED, RUN_DIR: passed to each notebook that declares them.
    assignments : sequence of str
        "NAME=VALUE" from the command line, passed to each notebook that declares NAME.

    Raises
    ------
    InputError
        If no notebook declares a name, or a value is not of the declared type.
    """
    import papermill

    declared = {path: papermill.inspect_notebook(path) for path in notebooks}
    own = sorted({name for names in declared.values() for name in names} - set(OPTIONS))
    given = {}
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        name = name.strip()
        if not separator:
            raise InputError(f"{assignment!r} is no parameter: expected NAME=VALUE")
        if name in OPTIONS:
            raise InputError(f"{name} has an option of its own: use {OPTIONS[name]}")
        if name not in own:
            raise InputError(
                f"no notebook has a parameter {name!r}; the parameters are {', '.join(own) or 'none'}"
            )
        given[name] = value.strip()
    steps = []
    for path in notebooks:
        values = {name: value for name, value in standard.items() if name in declared[path]}
        for name, value in given.items():
            if name in declared[path]:
                kind = declared[path][name]["inferred_type_name"]
                values[name] = _parameter(name, value, kind)
        steps.append(Step(path, values))
    return steps


def _parameter(name: str, value: str, kind: str) -> bool | int | float | str:
    """Convert text from the command line to the type that the notebook declares."""
    try:
        if kind == "bool":
            return {"true": True, "1": True, "false": False, "0": False}[value.lower()]
        return {"int": int, "float": float}.get(kind, str)(value)
    except (KeyError, ValueError):
        raise InputError(f"{name}={value!r} is not valid: expected {kind}") from None


# --- Making a report -----------------------------------------------------------------------------

# Called before the first notebook with None, then after each code cell.
Progress = Callable[["CellDone | None", int], None]


@dataclass(frozen=True)
class CellDone:
    """One code cell has run: the `number`th of `total` in `notebook`, in `seconds`."""

    notebook: str
    number: int
    total: int
    seconds: float


def make(
    data: str = "auto",
    profile: str = "default",
    seed: int = 0,
    *,
    only: Sequence[str] = (),
    assignments: Sequence[str] = (),
    output: Path | None = None,
    notebooks: Path = NOTEBOOKS,
    progress: Progress | None = None,
) -> Path:
    """Run the notebooks and write the report, all of it or nothing.

    Parameters
    ----------
    data, profile, seed
        As for `digits.data.load` and `digits.config.Config`.
    only : sequence of str
        Numbers of notebooks, as in ``["04", "05"]``. The others are kept from the report that is
        there already.
    assignments : sequence of str
        Further notebook parameters, "NAME=VALUE".
    output : path, optional
        The folder to write; `reports/<data>` otherwise.
    notebooks : path
        The folder that the numbered notebooks are in.
    progress : callable, optional
        Called with None and the number of code cells to come, then with a `CellDone` a cell.

    Returns
    -------
    Path
        The report's folder.

    Raises
    ------
    InputError
        If an argument is not valid, or a notebook fails. That notebook is then kept in
        `<folder>.failed`, and an earlier report stays as it was.
    """
    from digits.data import load
    from digits.report import pages

    Config.from_profile(profile, seed=seed)
    chosen = find_notebooks(notebooks, only)
    plan(chosen, {}, assignments)  # refuse mistyped parameters before any data is fetched
    dataset = load(data)
    source = dataset.name if data in ("auto", "mnist", "embedded") else str(Path(data).resolve())
    standard = {
        "DATA": source,
        "PROFILE": profile,
        "SEED": seed,
        "RUN_DIR": str(default_run_dir(dataset.name, profile, seed)),
    }
    steps = plan(chosen, standard, assignments)
    target = Path(output).resolve() if output else REPORTS / dataset.name
    facts = {
        "data": {"name": dataset.name, "digest": dataset.digest, "note": dataset.note},
        "profile": profile,
        "seed": seed,
        "commit": git_commit(),
        "versions": package_versions(),
    }

    if progress:
        progress(None, sum(step.n_cells for step in steps))
    with _all_or_nothing(target) as folder:
        earlier = _earlier_metrics(target)
        if only and target.is_dir():
            shutil.copytree(target, folder, dirs_exist_ok=True)
        ran = {step.name: _run(step, folder, facts, progress) for step in steps}
        for step in steps:
            _mend_links(folder / step.path.name, notebooks, target)
        metrics = _collect(steps, standard["RUN_DIR"], earlier if only else {})
        kept = earlier.get("report", {}).get("notebooks", {}) if only else {}
        metrics["report"] = {
            **facts,
            "created": _now(),
            "notebooks": dict(sorted((kept | ran).items())),
        }
        if not pages.fit_to_show(metrics):
            raise InputError(
                f"{METRICS} in the run folder {standard['RUN_DIR']} holds words where numbers belong, "
                "or lacks some: delete it and run again"
            )
        write_json(folder / METRICS, metrics)
        pages.write(folder, metrics, earlier)
    if target == REPORTS / "mnist":
        update_readme(metrics)
    return target


def _run(step: Step, folder: Path, facts: dict, progress: Progress | None) -> dict:
    """Run one notebook into `folder` and return what the report says about it."""
    import nbformat
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    path = folder / step.path.name
    total = step.n_cells
    done = 0  # counts the cell that fails, too

    def on_cell(cell) -> None:
        nonlocal done
        done += 1
        if progress:
            seconds = cell.metadata.papermill["duration"]
            progress(CellDone(step.name, done, total, seconds), 1)

    started = time.monotonic()
    try:
        notebook = _in_a_thread(
            papermill.execute_notebook,
            step.path,
            path,
            step.parameters,
            engine_name=_engine(),
            kernel_name="python3",
            progress_bar=False,
            cwd=step.path.parent,
            execution_timeout=CELL_SECONDS[facts["profile"]],
            on_cell=on_cell,
            # Kernels warn on every start that their loopback sockets are not encrypted.
            extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
        )
    except PapermillExecutionError as error:
        reason = f"{error.ename}: {error.evalue}".splitlines()[0]
        raise _NotebookFailed(step, f"cell {error.exec_count} raised {reason}") from None
    except CellTimeoutError:
        raise _NotebookFailed(step, f"code cell {done} took longer than allowed") from None
    except DeadKernelError:
        raise _NotebookFailed(
            step, f"its kernel died in code cell {done} (out of memory?)"
        ) from None
    seconds = round(time.monotonic() - started, 1)
    ran = {
        "title": title(notebook),
        "parameters": _without_paths(step.parameters),
        "commit": facts["commit"],
        "created": _now(),
        "seconds": seconds,
    }
    nbformat.write(_finish(notebook, facts, ran), path)
    return ran


def _in_a_thread(function: Callable, *arguments, **options):
    """Call in a thread of its own: in the main one, nbclient would take Ctrl-C for itself.

    After Ctrl-C the thread, and then the kernel, end with this process.
    """
    done = Future()

    def work() -> None:
        try:
            done.set_result(function(*arguments, **options))
        except BaseException as error:  # raised where it is waited for
            done.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return done.result()


class _NotebookFailed(InputError):
    def __init__(self, step: Step, reason: str):
        super().__init__(f"{step.path.name} failed: {reason}")
        self.notebook = step.path.name


def _engine() -> str:
    """Register, under the name returned, papermill's engine with a callback after each code cell."""
    from papermill.engines import NBClientEngine, papermill_engines

    class CellByCell(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, *, on_cell, **kwargs):
            complete = nb_man.cell_complete

            def cell_complete(cell, *args, **more):
                complete(cell, *args, **more)
                if cell.cell_type == "code":
                    on_cell(cell)

            nb_man.cell_complete = cell_complete
            return super().execute_managed_notebook(nb_man, kernel_name, **kwargs)

    papermill_engines.register("cell by cell", CellByCell)
    return "cell by cell"


class _all_or_nothing:
    """A temporary folder beside `target` that becomes `target` in one step if nothing fails.

    What a failing notebook left is kept in `<target>.failed`.
    """

    def __init__(self, target: Path):
        self.target = target
        if target.is_dir() and any(target.iterdir()) and not (target / METRICS).exists():
            raise InputError(f"{target} holds other things than a report; name a new folder")
        if target.exists() and not target.is_dir():
            raise InputError(f"{target} is a file; name a folder")

    def __enter__(self) -> Path:
        prefix = f".{self.target.name}-"
        with ExitStack() as undo:
            try:
                self.target.parent.mkdir(parents=True, exist_ok=True)
                undo.enter_context(locked(self.target))
                recover(self.target)
                for stale in self.target.parent.glob(f"{glob.escape(prefix)}????????.new"):
                    shutil.rmtree(stale, ignore_errors=True)  # of a run that was killed
                name = tempfile.mkdtemp(".new", prefix, self.target.parent)
            except OSError as error:
                raise InputError(
                    f"cannot write beside {self.target} ({error.strerror}); name another folder"
                ) from None
            self.unlock = undo.pop_all()
        self.folder = Path(name)
        self.folder.chmod(0o755)
        return self.folder

    def __exit__(self, kind, error, traceback) -> None:
        failed = self.target.with_name(self.target.name + ".failed")
        with self.unlock:
            if kind is None:
                publish(self.folder, self.target)
                shutil.rmtree(failed, ignore_errors=True)
            elif isinstance(error, _NotebookFailed):
                shutil.rmtree(failed, ignore_errors=True)
                self.folder.replace(failed)
                raise InputError(
                    f"{error}; read it in {failed / error.notebook}. No report was changed"
                ) from None
            else:
                shutil.rmtree(self.folder, ignore_errors=True)


def prepare(
    folder: Path, data: str, profile: str, seed: int = 0, *, notebooks: Path = NOTEBOOKS
) -> list[Path]:
    """Write copies of all notebooks that carry these parameters, without running them.

    nbval runs the copies: the notebooks as they are would train at full length.
    """
    import papermill

    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    standard = {"DATA": data, "PROFILE": profile, "SEED": seed, "RUN_DIR": str(folder / "run")}
    copies = []
    for step in plan(find_notebooks(notebooks), standard):
        copies.append(folder / step.path.name)
        papermill.execute_notebook(
            step.path, copies[-1], step.parameters, prepare_only=True, progress_bar=False
        )
    return copies


def _earlier_metrics(target: Path) -> dict:
    """Return the metrics of the report that is there, or nothing; a damaged file is no obstacle."""
    try:
        metrics = read_metrics(target / METRICS)
    except InputError:
        return {}
    from digits.report import pages

    told = metrics.get("report", {})
    kinds = {"created": str, "profile": str, "seed": int, "data": dict, "notebooks": dict}
    whole = all(isinstance(told.get(key), kind) for key, kind in kinds.items())
    return metrics if whole and pages.fit_to_show(metrics) else {}


def _collect(steps: Sequence[Step], run_dir: str, earlier: dict) -> dict:
    """Return what the notebooks recorded, over what an earlier report holds."""
    metrics = {section: values for section, values in earlier.items() if section != "report"}
    for folder in {step.parameters.get("RUN_DIR", run_dir) for step in steps}:
        path = ROOT / folder / METRICS  # as the notebooks do with a relative RUN_DIR
        if path.exists():
            metrics |= read_metrics(path)
    return metrics


# --- What a report says about itself -------------------------------------------------------------


def title(notebook) -> str:
    """Return the text of a notebook's first heading."""
    for cell in notebook.cells:
        for line in cell.source.splitlines() if cell.cell_type == "markdown" else ():
            if line.startswith("# "):
                return line.removeprefix("# ").strip()
    return "Untitled"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _without_paths(value):
    """Return `value` with the project's folder and the home folder taken out of all texts."""
    if isinstance(value, str):
        return value.replace(f"{ROOT}{os.sep}", "").replace(str(Path.home()), "~")
    if isinstance(value, dict):
        return {key: _without_paths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_paths(item) for item in value]
    return value


def _finish(notebook, facts: dict, ran: dict):
    """Return an executed notebook as it is kept: no paths, texts for figures, its provenance."""
    import nbformat

    cells = []
    for cell in _without_paths(copy.deepcopy(notebook.cells)):
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


def _mend_links(path: Path, notebooks: Path, target: Path) -> None:
    """Point links that were relative to the folder `notebooks` to the same files from `target`.

    Links between notebooks of one report stay as they are.
    """
    import nbformat

    def mended(match: re.Match) -> str:
        file, hash_sign, anchor = match[1].partition("#")
        if (path.parent / file).exists():
            return match[0]
        return f"]({os.path.relpath(notebooks / file, target)}{hash_sign}{anchor})"

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"\]\((?![a-z]+:|#|/)([^)\s]+)\)", mended, cell.source)
    nbformat.write(notebook, path)


def _last_paragraph(cells: Sequence) -> str:
    """Return the paragraph that announces what follows `cells`."""
    if not cells or cells[-1].cell_type != "markdown":
        return ""
    return _plain_text(cells[-1].source.split("\n\n")[-1]).rstrip(":")


def _first_paragraph(cells: Sequence) -> str:
    """Return the first paragraph of the first cell if it is prose, without markup.

    A last sentence that ends with a colon announces what comes next, so it is left out.
    """
    if not cells or cells[0].cell_type != "markdown":
        return ""
    for paragraph in cells[0].source.split("\n\n"):
        if not paragraph.startswith(("#", "|", "<", "```", ">")):
            return re.sub(r"(^|(?<=[.?!]) )[^.?!]*:$", "", _plain_text(paragraph))
    return ""


def _plain_text(markdown: str) -> str:
    """Return a paragraph on one line, without marks for bold type, code and links."""
    return " ".join(re.sub(r"\*\*|`|\[([^\]]*)\]\([^)]*\)", r"\1", markdown).split())


def update_readme(metrics: dict) -> None:
    """Renew the results in README.md, and its picture."""
    from digits.report import pages

    path = ROOT / "README.md"
    write_text(path, readme_with(path.read_text(encoding="utf-8"), metrics))
    pages.readme_picture(ROOT / "docs" / "reads.jpg")
