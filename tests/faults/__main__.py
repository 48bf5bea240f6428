"""Runs the experiments and writes ``reports/faults.md``."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from functools import partial
from itertools import chain
from pathlib import Path

import click

from faults import inputs, kills, machine, table
from faults.process import run, stop_all
from faults.table import Row

KILLS = 50  # of each command
FUZZ_SECONDS = 1800.0
# What is timed to the second has the machine for itself, but for the fuzzing; of the others two run
# at once.
TIMED = ("pictures", "changing", "memory", "interrupts")
LANES = 2


def fuzzing(folder: Path, share: float) -> Row:
    """Fuzz decoder and segmentation with atheris, where that is installed, in one process."""
    name = "fuzzing"
    if not importlib.util.find_spec("atheris"):
        return Row(name, 0, 0, 0, 0, "not tried: atheris is not installed")
    seconds = max(10, round(FUZZ_SECONDS * share))
    command = [sys.executable, "-m", "faults.fuzz", folder / "corpus", f"-max_total_time={seconds}",
               "-timeout=10", "-rss_limit_mb=2000", "-max_len=4096",
               f"-artifact_prefix={folder}/"]  # fmt: skip
    ended = run(command, timeout=seconds + 120)
    done = re.search(r"Done (\d+) runs in (\d+) second", ended.err)
    tried = int(done[1]) if done else 0
    finding = "" if done else ended.err[-500:]
    remarks = finding or f"inputs in {int(done[2])} s"
    return Row(name, tried, 1 if finding else 0, 0, ended.megabytes, remarks)


def _experiments() -> dict:
    """Return the experiments by name; each takes an empty folder and a share of its tries."""
    found = {
        "pictures": inputs.bad_pictures,
        "changing": inputs.changing_pictures,
        "data": inputs.bad_data,
        "models": inputs.bad_models,
        "keras": inputs.keras_files,
        "downloads": machine.downloads,
        "disk": machine.full_disk,
        "read-only": machine.read_only,
        "memory": machine.little_memory,
        "clock": machine.clock_jumps,
        "interrupts": machine.interrupts,
        "two": machine.two_at_once,
        "again": machine.same_again,
        "fuzz": fuzzing,
    }
    for victim in kills.victims():
        found[f"kill-{victim.name.split()[0]}"] = lambda folder, share, victim=victim: kills.kill(
            victim, folder, max(2, round(KILLS * share))
        )
    return found


@click.command()
@click.option("--only", metavar="NAME,NAME", help="Run these; the others' rows are kept.")
@click.option(
    "--share", type=click.FloatRange(0.01, 1), default=1.0, help="Of all tries; 0.1 for a trial."
)
@click.option("--output", type=click.Path(path_type=Path), default=table.PATH, help="The table.")
def main(only: str | None, share: float, output: Path) -> None:
    """Try to break the project: bad input, kills, full disks, Ctrl-C, fuzzing.

    Exit status 1 says that something was lost.
    """
    experiments = _experiments()
    chosen = only.split(",") if only else list(experiments)
    if unknown := set(chosen) - set(experiments):
        raise click.UsageError(f"no {sorted(unknown)[0]!r}; there are {', '.join(experiments)}")
    timed = [name for name in TIMED if name in chosen]
    others = [name for name in chosen if name not in (*TIMED, "fuzz")]
    started, lost = time.monotonic(), 0
    click.echo(table.COLUMNS)
    with ThreadPoolExecutor(1) as beside, ThreadPoolExecutor(LANES) as lanes:
        attempt = partial(_attempt, experiments, share=share)
        try:
            fuzzed = [beside.submit(attempt, "fuzz")] if "fuzz" in chosen else []
            for done in chain(
                map(attempt, timed), _in_lanes(lanes, attempt, others), _ended(fuzzed)
            ):
                click.echo(done.line())
                table.write([done], output)
                lost += done.lost
        except BaseException:
            for pool in (beside, lanes):
                pool.shutdown(wait=False, cancel_futures=True)
            stop_all()
            raise
    click.echo(f"{(time.monotonic() - started) / 60:.0f} minutes", err=True)
    sys.exit(lost > 0)


def _in_lanes(lanes: Executor, attempt: Callable[[str], Row], names: list[str]) -> Iterator[Row]:
    """Start the experiments when the first of their rows is asked for; yield the rows as they end."""
    yield from _ended([lanes.submit(attempt, name) for name in names])


def _ended(futures: list[Future]) -> Iterator[Row]:
    return (future.result() for future in as_completed(futures))


def _attempt(experiments: dict, name: str, share: float) -> Row:
    """Run one experiment in an empty folder."""
    folder = Path(tempfile.mkdtemp(prefix=f"digits-{name}-"))
    started = time.monotonic()
    try:
        row = experiments[name](folder, share)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    click.echo(f"{name}: {time.monotonic() - started:.0f} s", err=True)
    return Row(**{**vars(row), "when": table.stamp()})


if __name__ == "__main__":
    main(prog_name="python -m faults")
