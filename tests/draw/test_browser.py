"""The drawing pad and the report's pages in a real browser, as a person uses them.

Skipped where there is no Chromium; `.ci/run` installs it.
"""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median

import pytest

from digits import report
from digits.config import NOTEBOOKS, REPORTS, TEST_IMAGES
from digits.draw.strokes import RECORDED, SIZE
from digits.report import pages
from digits.report.metrics import METRICS

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
NEEDED = pytest.mark.skipif(not CHROMIUM, reason="no Chromium; on Debian: apt-get install chromium")
pytestmark = [pytest.mark.browser, NEEDED]

FLAGS = [  # CI runs as root, and without a network
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]
PATIENCE = 90_000  # milliseconds until a page or an answer is there, on a machine that is busy
SLOWEST = 2_000  # milliseconds that the median stroke may wait; 100 on two idle cores


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@contextmanager
def opened(browser, url: str, width: int = 1280, scheme: str = "light"):
    """Open a page; yield it, and the list of what goes wrong on it."""
    page, wrong = browser.new_page(reduced_motion="reduce"), []
    show(page, width, scheme)
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda line: line.type == "error" and wrong.append(line.text))
    page.on("pageerror", lambda error: wrong.append(f"exception: {error}"))
    page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
    try:
        page.goto(url)
        yield page, wrong
    finally:
        keep_screenshot(page)
        page.close()


def show(page, width: int, scheme: str) -> None:
    """Give the window a width, and light or dark colours."""
    keep_screenshot(page)
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)


def keep_screenshot(page) -> None:
    """Keep what a page shows in the folder SCREENSHOTS, for people to look at."""
    if (folder := os.environ.get("SCREENSHOTS")) and page.title():
        scheme = "dark" if dark(page) else "light"
        name = re.sub(r"\W+", "-", f"{page.title()} {page.viewport_size['width']} {scheme}")
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def server(arguments: list[str], url: str, folder: Path):
    """Run a server with its own settings below `folder` until it answers; stop all of it after."""
    own = {name: str(folder / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")}
    with (folder / "server.log").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=folder, env={**os.environ, **own}, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + PATIENCE / 1000
            while fetched(url) is None:
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    pytest.fail(f"the server did not start:\n{log.read()[-2000:]}")
                time.sleep(0.3)
            yield
        finally:
            for how, seconds in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):  # kernels as well
                with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    os.killpg(process.pid, how)
                    process.wait(seconds)


def fetched(url: str) -> bytes | None:
    with suppress(OSError), urllib.request.urlopen(url, timeout=5) as response:
        return response.read()


class Hand:
    """Draws on the pad with the mouse, and looks at what the page answers."""

    def __init__(self, page):
        self.page = page
        self.pad = page.locator(".digits-pad")
        self.canvas = self.pad.get_by_role("application")

    def draw(self, strokes) -> None:
        frame = self.canvas.bounding_box()
        for stroke in strokes:
            scale = frame["width"] / SIZE[0]
            places = [(frame["x"] + x * scale, frame["y"] + y * scale) for x, y in stroke]
            self.page.mouse.move(*places[0])
            self.page.mouse.down()
            for place in places[1:]:
                self.page.mouse.move(*place, steps=4)
            self.page.mouse.up()

    def reads(self, text: str) -> None:
        playwright.expect(self.pad.locator(".text")).to_have_text(text, timeout=PATIENCE)

    def clear(self) -> None:
        self.pad.get_by_role("button", name="Clear").click()
        self.reads("")

    def bars(self) -> list[float]:
        labels = self.pad.locator(".bars .value").all_inner_texts()
        return [float(label.removesuffix("%")) for label in labels]

    def fits(self) -> bool:
        """Whether no part of the pad reaches over an edge of the window, left or right."""
        return self.pad.evaluate(
            "pad => [pad, ...pad.querySelectorAll('*')].map(e => e.getBoundingClientRect())"
            ".every(frame => frame.left >= 0 && frame.right <= window.innerWidth)"
        )

    def milliseconds(self) -> int:
        self.page.locator(".digits-pad[data-milliseconds]").wait_for()
        return int(self.pad.get_attribute("data-milliseconds"))


def use(hand: Hand, saved: Path) -> None:
    """Do on the pad what a person does, and look at the answers and how long they take."""
    page, pad, waited = hand.page, hand.pad, []
    hand.draw(RECORDED["three"])
    hand.reads("3")
    waited.append(hand.milliseconds())
    bars = hand.bars()
    assert len(bars) == 10 and bars.index(max(bars)) == 3 and bars[3] > 90
    assert "sure" in pad.locator(".state").inner_text()
    assert pad.locator(".thumbnails canvas").count() == 1
    playwright.expect(pad.locator(".mattered figcaption")).to_contain_text("What mattered")

    hand.clear()
    for stroke, so_far in zip(RECORDED["seventeen"], ("1", "17", "17"), strict=True):
        hand.draw([stroke])
        hand.reads(so_far)
        waited.append(hand.milliseconds())
    assert pad.locator(".thumbnails button").count() == 2
    pad.get_by_role("button", name=re.compile("Digit 1: 1")).click()
    assert hand.bars().index(max(hand.bars())) == 1

    pad.get_by_role("button", name="Save as PNG").click()
    playwright.expect(pad.locator(".said")).to_contain_text("Saved in", timeout=PATIENCE)
    assert sorted(path.name[0] for path in saved.glob("*.png")) == ["1", "7"]

    pad.get_by_role("button", name="Undo").click()
    pad.get_by_role("button", name="Undo").click()
    hand.reads("1")

    # A 1 with the keyboard alone: Delete clears, Space lowers and lifts the pen.
    hand.canvas.focus()
    up, down = ["Shift+ArrowUp"] * 2, ["Shift+ArrowDown"] * 4
    for keys, text in ((["Delete"], ""), ([*up, " ", *down, " "], "1"), (["Control+z"], "")):
        for key in keys:
            page.keyboard.press(key)
        hand.reads(text)
    print(f"answers after {waited} ms, median {median(waited):.0f} ms")
    assert median(waited) < SLOWEST


SLIDER = """import matplotlib.pyplot as plt
from digits import plots


def draw(n=3):
    plt.subplots()[1].plot([0, n])


plots.slider(draw, 0, 5)"""


def test_the_pad_and_a_slider_in_jupyterlab(browser, tmp_path):
    notebook = json.loads((NOTEBOOKS / "07_draw.ipynb").read_text(encoding="utf-8"))
    saved, shown, own = (tmp_path / name for name in ("saved", "shown", "server"))
    shown.mkdir()
    own.mkdir()
    for cell in notebook["cells"]:
        if "parameters" in cell["metadata"].get("tags", ()):
            cell["source"] += [f"\nSAVE_TO = {str(saved)!r}"]
    added = {"cell_type": "code", "id": "slider", "metadata": {}, "source": SLIDER, "outputs": []}
    notebook["cells"].insert(0, added | {"execution_count": None})
    # A copy, as JupyterLab saves what it shows.
    (shown / "07_draw.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    port, token = free_port(), secrets.token_hex(16)
    url = f"http://127.0.0.1:{port}"
    arguments = [
        *("jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"),
        *(f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"),
        f"--ServerApp.root_dir={shown}",
    ]
    with (
        server(arguments, f"{url}/api", own),
        opened(browser, f"{url}/lab/tree/07_draw.ipynb?token={token}") as (page, wrong),
    ):
        page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        wait_until_idle(f"{url}/api/kernels?token={token}")
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        wait_until_idle(f"{url}/api/kernels?token={token}")
        slider, figure = page.get_by_role("slider").first, page.locator(".widget-image")
        scroll_to(page, slider)
        before = figure.get_attribute("src")
        changed = "before => document.querySelector('.widget-image').src != before"
        slider.press("ArrowRight")
        page.wait_for_function(changed, arg=before)
        hand = Hand(page)
        scroll_to(page, hand.canvas)
        hand.reads("17")  # the drawing that the pad begins with
        hand.clear()
        use(hand, saved)
        # JupyterLab's own lines on the console are its own affair.
        assert not [line for line in wrong if line.startswith("exception")]


def scroll_to(page, place) -> None:
    """Scroll a notebook down from its top to a place: JupyterLab hides cells far from the window."""
    for top in range(0, 10_000, 300):
        page.evaluate(f"document.querySelector('.jp-WindowedPanel-outer').scrollTop = {top}")
        page.wait_for_timeout(200)
        if place.is_visible():
            break
    place.scroll_into_view_if_needed()


def wait_until_idle(url: str) -> None:
    """Wait until the one kernel that runs is there, and has done all cells: idle for a while."""
    deadline, rest = time.monotonic() + PATIENCE / 1000, 0
    while rest < 5:
        assert time.monotonic() < deadline, "the cells did not end"
        kernels = json.loads(fetched(url) or "[]")
        idle = kernels and kernels[0]["execution_state"] == "idle"
        rest = rest + 1 if idle else 0
        time.sleep(0.3)


def test_the_pad_on_a_page_of_its_own(browser, tmp_path):
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    with (
        server(["digits", "draw", "--no-browser", f"--port={port}"], url, tmp_path),
        opened(browser, url, 390, "dark") as (page, wrong),
    ):
        hand = Hand(page)
        hand.canvas.wait_for()
        assert "DrawingPad()" not in page.locator("body").inner_text(), "the code is shown"
        for width, scheme in ((390, "dark"), (1280, "light")):
            show(page, width, scheme)
            for name, text in (("three", "3"), ("seventeen", "17")):
                hand.draw(RECORDED[name])
                hand.reads(text)
                assert hand.fits() and dark(page) == (scheme == "dark")
                hand.clear()
        assert not wrong


def dark(page) -> bool:
    """Whether the ground of the page is darker than its text."""
    colours = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    ground, text = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours)
    return ground < text


def test_the_pages_of_the_committed_report(browser, tmp_path, monkeypatch):
    committed = REPORTS / "mnist"
    if not (committed / METRICS).exists():
        pytest.skip("no report is committed yet")
    folder, some = tmp_path / "report", tmp_path / "pictures"  # a few, not all of test_images/
    shutil.copytree(committed, folder)
    some.mkdir()
    head, *lines = (TEST_IMAGES / "labels.csv").read_text(encoding="utf-8").splitlines()
    chosen = [line for line in lines if line.startswith(("sums", "nothing"))]
    (some / "labels.csv").write_text("\n".join([head, *chosen]), encoding="utf-8")
    for line in chosen:
        shutil.copy(TEST_IMAGES / line.split(",")[0], some)
    monkeypatch.setattr(pages, "own_pictures", partial(pages.own_pictures, some))
    pages.write(folder, report.read_metrics(folder / METRICS))
    fits = (
        "[document.documentElement, document.body].every(e => e.scrollWidth <= window.innerWidth)"
    )
    for path in sorted(folder.glob("*.html")):
        with opened(browser, path.as_uri()) as (page, wrong):
            assert page.evaluate("[...document.images].every(i => i.naturalWidth && i.alt)"), path
            for width, scheme in product((390, 1280), ("light", "dark")):
                show(page, width, scheme)
                assert page.evaluate(fits), (path, width)
                assert dark(page) == (scheme == "dark"), path
            assert not wrong, path
