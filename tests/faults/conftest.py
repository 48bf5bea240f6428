"""The campaign's rows: what each of its tests tried and lost, written to ``reports/faults.md``."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from digits.config import ROOT, git_commit, package_versions
from digits.storage import write_text
from faults.process import Ended

TABLE = ROOT / "reports" / "faults.md"
HEAD = """\
# Faults

Written by `make faults`. "Lost" counts how often something was not as `docs/promises.md` says: an
earlier result gone or damaged, another result than the unbroken run's, no answer or more than one
line, a traceback, code that was run, more than 5 s or 1 GB for one picture. "Largest" is never less
than what pytest itself held.

| test | tried | lost | slowest (s) | largest (MB) | remarks |
|---|---:|---:|---:|---:|---|
"""
ROWS = pytest.StashKey[dict]()


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
    """Leave the campaign out unless -m asks for it: it takes hours."""
    if "campaign" not in config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker("campaign")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_configure(config) -> None:
    config.stash[ROWS] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    row = dict(item.user_properties).get("row")
    if row and call.when == "call":
        name = item.name.removeprefix("test_")
        if report.failed and not row.lost:
            row.lose(f"the test ended with {call.excinfo.exconly()}")
        reason = f"not tried: {call.excinfo.value}" if report.skipped else ""
        remarks = "; ".join(row.lost) or reason or row.remarks
        item.config.stash[ROWS][name] = (
            f"| {name} | {row.tried:,} | {len(row.lost):,} | {row.slowest:.1f} | {row.largest:.0f} "
            f"| {remarks[:1000]} |\n"
        )
    return report


def pytest_sessionfinish(session) -> None:
    """Write the table of this run, whole or not; an earlier run's is replaced."""
    rows = session.config.stash[ROWS]
    if rows:
        packages = ", ".join(f"{name} {version}" for name, version in package_versions().items())
        share = session.config.getoption("--share", 1.0)
        foot = (
            f"\n{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {git_commit()}, {share:.0%} of all "
            f"tries; {platform.system()} {platform.release()}, {platform.machine()}; {packages}.\n"
        )
        TABLE.parent.mkdir(exist_ok=True)
        write_text(TABLE, HEAD + "".join(rows.values()) + foot)
