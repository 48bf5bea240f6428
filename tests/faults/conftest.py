"""The campaign's rows: what each of its tests tried and lost.

A whole run of one commit writes them to ``reports/``, ``faults.md`` or that of the fuzzing alone,
``fuzzing.md``; a part of one shows them in the terminal.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from digits.config import ROOT, git_commit, package_versions
from digits.storage import write_text
from faults.process import Ended

# Markers of the tests, and the tables of those that are run by themselves.
TABLES = {"campaign": "faults.md", "fuzzing": "fuzzing.md"}
HEAD = """\
# Faults

Written by `make {made_by}`. "Lost" counts how often something was not as `docs/promises.md` says: an
earlier result gone or damaged, another result than the unbroken run's, no answer or more than one
line, a traceback, code that was run, more than 3 s or 800 MB for one picture. "Largest" is never less
than what pytest itself held.

| test | tried | lost | slowest (s) | largest (MB) | remarks |
|---|---:|---:|---:|---:|---|
"""
ROWS = pytest.StashKey[dict]()
WHOLE = pytest.StashKey[set]()  # of the chosen marker's tests, the names of all
COMMIT = pytest.StashKey[str]()


@dataclass
class Row:
    """One test of the campaign.

    Attributes
    ----------
    share : float
        Of all tries, 0 to 1.
    tried : int
        How often.
    lost : list of str
        What was not as promised; must stay empty.
    slowest, largest : float
        Seconds that the slowest command took, and megabytes that the largest held.
    remarks : str
    """

    share: float
    tried: int = 0
    lost: list[str] = field(default_factory=list)
    slowest: float = 0.0
    largest: float = 0.0
    remarks: str = ""

    def times(self, n: int) -> range:
        """Return the numbers of the tries, where the whole campaign makes `n`."""
        return range(max(2, round(n * self.share)))

    def some(self, things: Sequence) -> list:
        """Return evenly spaced things, where the whole campaign takes all."""
        return list(things)[:: max(1, round(1 / self.share))]

    def note(self, ended: Ended) -> Ended:
        """Take the time and memory of a command into account, and return it."""
        self.slowest = max(self.slowest, ended.seconds)
        self.largest = max(self.largest, ended.megabytes)
        return ended

    def line(self, name: str, reason: str = "") -> str:
        """Return its line of the table; `reason` says why it was not tried."""
        remarks = "; ".join(self.lost) or reason or self.remarks
        return (
            f"| {name} | {self.tried:,} | {len(self.lost):,} | {self.slowest:.1f} "
            f"| {self.largest:.0f} | {remarks[:1000]} |\n"
        )

    def lose(self, what: str) -> None:
        """Note what was not as promised, in one line."""
        self.lost.append(" ".join(what.replace("|", "/").split())[:300])


def pytest_addoption(parser) -> None:
    parser.addoption("--share", type=float, default=1.0, help="campaign: of all tries, 0 to 1")


@pytest.fixture
def row(request) -> Row:
    row = Row(request.config.getoption("--share", 1.0))
    request.node.user_properties.append(("row", row))
    return row


def pytest_collection_modifyitems(config, items) -> None:
    """Leave the campaign out unless -m asks for it: it takes long."""
    marker = config.option.markexpr
    if marker in TABLES:
        config.stash[WHOLE] = {_name(item) for item in items if item.get_closest_marker(marker)}
        return
    left_out = [item for item in items if any(map(item.get_closest_marker, TABLES))]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _name(item: pytest.Item) -> str:
    return item.name.removeprefix("test_")


def pytest_configure(config) -> None:
    config.stash[ROWS], config.stash[WHOLE], config.stash[COMMIT] = {}, set(), git_commit()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    row = dict(item.user_properties).get("row")
    if row and call.when == "call":
        if report.failed and not row.lost:
            row.lose(f"the test ended with {call.excinfo.exconly()}")
        reason = f"not tried: {call.excinfo.value}" if report.skipped else ""
        item.config.stash[ROWS][_name(item)] = row.line(_name(item), reason)
    return report


def pytest_terminal_summary(terminalreporter, config) -> None:
    """Write the table of a whole run, or show that of a part."""
    rows, marker = config.stash[ROWS], config.option.markexpr
    if not rows or marker not in TABLES:
        return
    missing, share = config.stash[WHOLE] - rows.keys(), config.getoption("--share", 1.0)
    reason = not_whole(missing, share, config.stash[COMMIT], git_commit())
    packages = ", ".join(f"{name} {version}" for name, version in package_versions().items())
    table = HEAD.format(made_by="fuzz" if marker == "fuzzing" else "faults") + "".join(
        rows.values()
    )
    table += (
        f"\n{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {config.stash[COMMIT]}; "
        f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} cores; "
        f"{packages}.\n"
    )
    if reason:
        terminalreporter.write_line(f"{table}\nNot written to reports/: {reason}")
    else:
        (ROOT / "reports").mkdir(exist_ok=True)
        write_text(ROOT / "reports" / TABLES[marker], table)


def not_whole(missing: set[str], share: float, began: str, ended: str) -> str:
    """Return why rows are no table of one whole run at one commit, or nothing."""
    reasons = {
        f"not tried: {', '.join(sorted(missing))}": missing,
        f"{share:.0%} of the tries": share != 1,
        f"the code changed while it ran: {began}, then {ended}": began != ended,
        "the code is not committed": ended.endswith("+changes"),
    }
    return "; ".join(reason for reason, holds in reasons.items() if holds)
