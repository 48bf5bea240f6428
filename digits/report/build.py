"""Papermill over the notebooks: `reports/<data>/` with pages, `metrics.json` and an index.

Notebooks import `record` from here, so papermill, nbconvert and Jinja are imported only when a
report is made.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from digits import InputError
from digits.config import (
    NOTEBOOKS,
    REPORTS,
    ROOT,
    Config,
    converted,
    default_run_dir,
    git_commit,
    package_versions,
    parse_assignments,
)
from digits.report.metrics import METRICS, read_metrics, readme_with
from digits.storage import replaced_folder, write_json, write_text

# Seconds that one cell may take before its notebook is stopped. Only training cells come near.
CELL_SECONDS = {"quick": 600, "default": 3600}
LONGEST_CELL = 12 * 3600  # with other profiles

# Parameters that have an option of their own on the command line.
OPTIONS = {"DATA": "--data", "PROFILE": "--profile", "SEED": "--seed"}

# The types of parameters, by the names that papermill finds in a notebook; others are text.
TYPES = {"bool": bool, "int": int, "float": float}


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
    given = parse_assignments(assignments)
    for name in given:
        if name in OPTIONS:
            raise InputError(f"{name} has an option of its own: use {OPTIONS[name]}")
        if name not in own:
            raise InputError(
                f"no notebook has a parameter {name!r}; the parameters are {', '.join(own) or 'none'}"
            )
    steps = []
    for path, names in declared.items():
        values = {name: value for name, value in standard.items() if name in names}
        for name in given.keys() & names:
            kind = TYPES.get(names[name]["inferred_type_name"], str)
            values[name] = converted(name, given[name], kind)
        steps.append(Step(path, values))
    return steps


# --- Making a report -----------------------------------------------------------------------------


def make(
    data: str = "auto",
    profile: str = "default",
    seed: int = 0,
    *,
    only: Sequence[str] = (),
    assignments: Sequence[str] = (),
    output: Path | None = None,
    notebooks: Path = NOTEBOOKS,
) -> Path:
    """Run the notebooks and write the report, all of it or nothing.

    Parameters
    ----------
    data, profile, seed
        As for `digits.data.load` and `digits.config.Config`.
    only : sequence of str
        Numbers of notebooks, as in ``["04", "05"]``. The others are kept from the earlier report.
    assignments : sequence of str
        Further notebook parameters, "NAME=VALUE".
    output : path, optional
        The folder to write, and to return; `reports/<data>` otherwise.
    notebooks : path
        The folder that the numbered notebooks are in.

    Raises
    ------
    InputError
        If an argument is not valid, or a notebook fails. That notebook is then kept in
        `<folder>.failed`, and an earlier report stays as it was.
    """
    from digits.data import SOURCES, load
    from digits.report import executed, pages

    Config.from_profile(profile)  # refuse mistyped arguments before any data is fetched
    chosen = find_notebooks(notebooks, only)
    plan(chosen, {}, assignments)
    dataset = load(data)
    source = dataset.name if data in SOURCES else str(Path(data).resolve())
    run_dir = str(default_run_dir(dataset.name, profile, seed))
    standard = {"DATA": source, "PROFILE": profile, "SEED": seed, "RUN_DIR": run_dir}
    steps = plan(chosen, standard, assignments)
    target = Path(output).resolve() if output else REPORTS / dataset.name
    _require_replaceable(target)
    facts = {
        "data": {"name": dataset.name, "digest": dataset.digest, "note": dataset.note},
        "profile": profile,
        "seed": seed,
        "commit": git_commit(),
        "versions": package_versions(),
    }
    failed = target.with_name(target.name + ".failed")
    with replaced_folder(target) as folder:
        metrics = earlier_metrics(target) if only else {}
        if metrics:
            shutil.copytree(target, folder, dirs_exist_ok=True)
        ran = metrics.pop("report", {}).get("notebooks", {})
        for step in steps:
            try:
                ran[step.name] = _run(step, folder, facts)
            except InputError as error:
                shutil.rmtree(failed, ignore_errors=True)
                folder.replace(failed)
                raise InputError(
                    f"{step.path.name} failed: {error}; read it in {failed / step.path.name}. "
                    "No report was changed"
                ) from None
        for step in steps:
            executed.rewrite_links(folder / step.path.name, notebooks, target)
            run = ROOT / step.parameters.get("RUN_DIR", run_dir)  # a relative one as notebooks do
            metrics |= read_metrics(run / METRICS) if (run / METRICS).exists() else {}
        metrics["report"] = {**facts, "created": _now(), "notebooks": dict(sorted(ran.items()))}
        _require_showable(metrics, run_dir)
        write_json(folder / METRICS, metrics)
        pages.write(folder, metrics)
        shutil.rmtree(failed, ignore_errors=True)
    return target


def _require_replaceable(target: Path) -> None:
    """Refuse a folder to write that holds other things than a report."""
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file; name a folder")
    if target.is_dir() and any(target.iterdir()) and not (target / METRICS).exists():
        raise InputError(f"{target} holds other things than a report; name a new folder")


def _run(step: Step, folder: Path, facts: dict) -> dict:
    """Run one notebook into `folder` and return what the report says about it."""
    import nbformat
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    from digits.report.executed import finish, title, without_paths

    path, longest = folder / step.path.name, CELL_SECONDS.get(facts["profile"], LONGEST_CELL)
    started = time.monotonic()
    try:
        # In the main thread nbclient would take Ctrl-C for itself.
        thread = ThreadPoolExecutor(1).submit(
            papermill.execute_notebook,
            step.path,
            path,
            step.parameters,
            kernel_name="python3",
            progress_bar=sys.stderr.isatty(),
            cwd=step.path.parent,
            execution_timeout=longest,
            # Kernels warn on every start that their loopback sockets are not encrypted.
            extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
        )
        notebook = thread.result()
    except PapermillExecutionError as error:
        reason = f"{error.ename}: {error.evalue}".splitlines()[0]
        raise InputError(f"cell {error.exec_count} raised {reason}") from None
    except CellTimeoutError:
        raise InputError(f"a cell took longer than {longest} s") from None
    except DeadKernelError:
        raise InputError("its kernel died (out of memory?)") from None
    seconds = round(time.monotonic() - started, 1)
    print(f"{step.path.name}: {seconds:.0f} s", file=sys.stderr, flush=True)
    ran = {
        "title": title(notebook),
        "parameters": without_paths(step.parameters),
        "commit": facts["commit"],
        "created": _now(),
        "seconds": seconds,
    }
    nbformat.write(finish(notebook, facts, ran), path)
    return ran


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


def earlier_metrics(target: Path) -> dict:
    """Return the metrics of the report in `target`, {} if there is none that a page can show."""
    try:
        metrics = read_metrics(target / METRICS)
        _require_showable(metrics, target)
    except InputError:
        return {}
    return metrics


def _require_showable(metrics: dict, folder: str | Path) -> None:
    """Refuse metrics, which others may have written, that a page cannot be made of."""
    from digits.report import pages

    try:
        json.dumps(metrics, allow_nan=False)
        ran = metrics["report"]["notebooks"].items()
        pages.index(metrics, {name: about.get("title", name) for name, about in ran})
    except Exception as error:  # a word for a number, or a list for a table, raises anything
        raise InputError(
            f"{METRICS} in {folder} holds words where numbers belong, or lacks some: "
            "delete it and run again"
        ) from error


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def update_readme(folder: Path) -> None:
    """Renew the results in README.md from the report in `folder`, and its picture."""
    from digits.report import pages

    path = ROOT / "README.md"
    write_text(path, readme_with(path.read_text(encoding="utf-8"), read_metrics(folder / METRICS)))
    pages.readme_picture(ROOT / "docs" / "reads.jpg")
