"""``reports/faults.md``: what was tried, how often, and what was lost.

It is read back where only a part is renewed.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from digits.config import ROOT, git_commit, package_versions
from digits.storage import write_text

PATH = ROOT / "reports" / "faults.md"
HEAD = """\
Made by `make faults`; do not edit. "Lost" counts how often something was not as the README promises:
an earlier result gone or damaged, another result than the unbroken run's, no answer or more than one
line, a traceback, code that was run, more than 5 s or 1 GB for one picture, more than 2 s after
Ctrl-C. A run of a part renews its rows alone: "when" says from which run and commit each is."""
COLUMNS = "| what | tried | lost | slowest (s) | largest (MB) | when | remarks |"


@dataclass(frozen=True)
class Row:
    """One experiment.

    Attributes
    ----------
    name : str
    tried : int
        How often.
    lost : int
        How often what is promised was not kept; must be 0.
    slowest : float
        Seconds that the slowest answer took.
    largest : float
        Megabytes that the largest process held; 0 where that was not measured.
    remarks : str
        One line for people; of a loss, what it was.
    when : str
        Date and commit.
    """

    name: str
    tried: int
    lost: int
    slowest: float
    largest: float
    remarks: str = ""
    when: str = ""

    def line(self) -> str:
        """Return the row as Markdown."""
        remarks = re.sub(r"\s+", " ", self.remarks.replace("|", "/"))
        cells = (
            self.name, f"{self.tried:,}", f"{self.lost:,}", f"{self.slowest:.1f}",
            f"{self.largest:.0f}" if self.largest else "-", self.when, remarks,
        )  # fmt: skip
        return f"| {' | '.join(cells)} |"


def read(path: Path = PATH) -> list[Row]:
    """Return the rows of an earlier table; none where there is no such file."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 7 and cells[0] != "what":
            name, tried, lost, slowest, largest, when, remarks = cells
            numbers = [value.replace(",", "").replace("-", "0") for value in (tried, lost, largest)]
            rows.append(
                Row(name, int(numbers[0]), int(numbers[1]), float(slowest), float(numbers[2]),
                    remarks, when)
            )  # fmt: skip
    return rows


def stamp() -> str:
    """Return the date and the commit of a row that was just made."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} {git_commit()}".strip()


def write(rows: Iterable[Row], path: Path = PATH) -> None:
    """Write the table; rows of an earlier one that are not made anew are kept."""
    rows = {row.name: row for row in [*read(path), *rows]}
    packages = ", ".join(f"{name} {version}" for name, version in package_versions().items())
    lines = [
        "# Faults",
        "",
        *HEAD.splitlines(),
        "",
        COLUMNS,
        "|---|---:|---:|---:|---:|---|---|",
        *[row.line() for row in rows.values()],
        "",
        f"{platform.system()} {platform.release()}, {platform.machine()}; {packages}.",
    ]  # fmt: skip
    path.parent.mkdir(exist_ok=True)
    write_text(path, "\n".join(lines) + "\n")
