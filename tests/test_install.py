"""What the first command does on a fresh machine: `make report`, and `pip install .`."""

from __future__ import annotations

import compileall
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from digits.config import ROOT, TEST_IMAGES

pytestmark = pytest.mark.slow

# --- `make`: the real Makefile installs a small project from a small index on disk ------------------

# No build tool is needed to install the project: its wheel, which holds nothing, is there.
BACKEND = """
import shutil

def build_editable(folder, config_settings=None, metadata_directory=None):
    shutil.copy("../index/small-1-py3-none-any.whl", folder)
    return "small-1-py3-none-any.whl"
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "small"
version = "1"
"""


def add_wheel(index: Path, name: str, version: str, requirement: str = "") -> str:
    """Put an empty package on the index; return its line for a lock."""
    index.mkdir(exist_ok=True)
    path = index / f"{name}-{version}-py3-none-any.whl"
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nProvides-Extra: toml\n"
    about += f"Requires-Dist: {requirement}\n" if requirement else ""
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in (
            ("METADATA", about),
            ("WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
            ("RECORD", ""),
        ):
            wheel.writestr(f"{name}-{version}.dist-info/{file}", text)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{name}=={version} \\\n    --hash=sha256:{digest}\n"


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A checkout with our Makefile, two locked packages, and an index with a newer version."""
    folder, index = tmp_path / "checkout", tmp_path / "index"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    lock = [add_wheel(index, "cover", "1.0"), add_wheel(index, "plugin", "1.0", "cover[toml]>=1.0")]
    add_wheel(index, "cover", "2.0")
    add_wheel(index, "small", "1")
    (folder / "requirements.lock").write_text("".join(lock), encoding="utf-8")
    (folder / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    (folder / "backend.py").write_text(BACKEND, encoding="utf-8")
    return folder


def install(checkout: Path, uv: str) -> subprocess.CompletedProcess:
    index = str(checkout.parent / "index")
    settings = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_", "MAKE"))}
    settings |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": index}
    settings |= {"UV_NO_CONFIG": "1", "UV_FIND_LINKS": index, "UV_DEFAULT_INDEX": index}
    settings["UV_CACHE_DIR"] = str(checkout / "cache")
    command = ["make", ".venv/installed", f"PYTHON={sys.executable}", f"UV={uv}", "VENV=.venv"]
    return subprocess.run(
        command, cwd=checkout, env=settings, capture_output=True, text=True, timeout=300
    )


def installed(checkout: Path) -> dict[str, str]:
    found = checkout.glob(".venv/lib/python*/site-packages/*.dist-info")
    names = [path.name.removesuffix(".dist-info").split("-") for path in found]
    return {name: version for name, version in names if name not in ("pip", "setuptools")}


LOCKED = {"cover": "1.0", "plugin": "1.0", "small": "1"}


@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_a_newer_version_on_the_index_changes_nothing(checkout, tool):
    uv = str(Path(sys.prefix, "bin", "uv"))
    if tool == "uv" and not Path(uv).exists():
        pytest.skip("uv is not installed beside this Python")
    done = install(checkout, uv if tool == "uv" else "false")
    assert done.returncode == 0, done.stderr
    assert installed(checkout) == LOCKED
    assert ("Installing with pip" in done.stderr) == (tool == "pip")
    assert done.stdout.splitlines()[-1].startswith("Installed.")


def test_uv_is_taken_from_the_lock_where_it_is_not_installed(checkout):
    """The one on this index can do nothing, so that pip has to go on: it was tried, and fetched."""
    (checkout / ".venv" / "half-done").mkdir(parents=True)
    lock = checkout / "requirements.lock"
    line = add_wheel(checkout.parent / "index", "uv", "1.0")
    lock.write_text(lock.read_text(encoding="utf-8") + line, encoding="utf-8")
    done = install(checkout, "")
    assert done.returncode == 0, done.stderr
    assert (checkout / ".venv" / "uv.txt").read_text(encoding="utf-8") == line
    assert "Installing with pip" in done.stderr
    assert installed(checkout) == {**LOCKED, "uv": "1.0"}
    assert not (checkout / ".venv" / "half-done").exists()


def test_a_lock_that_lacks_something_ends_in_one_sentence(checkout):
    lock = checkout / "requirements.lock"
    plugin = lock.read_text(encoding="utf-8").partition("plugin")
    lock.write_text(plugin[1] + plugin[2], encoding="utf-8")
    done = install(checkout, "false")
    assert done.returncode != 0
    assert "plugin 1.0 requires cover, which is not installed." in done.stderr
    assert "`make lock` renews it" in done.stderr
    assert not (checkout / ".venv" / "installed").exists(), "the next call must try again"


# --- `pip install .`: reading pictures, in an environment and a folder that hold nothing else --------


PIP = ["-m", "pip", "--quiet", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build the wheel, from a copy: `build/` of an earlier one would be packed, too."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT / "digits", source / "digits")
    compileall.compile_dir(source / "digits", quiet=1)  # as in a checkout that was used
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)]
    subprocess.run([sys.executable, *PIP, *build], check=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_is_whole(wheel):
    files = [path.relative_to(ROOT) for path in (ROOT / "digits").rglob("*") if path.is_file()]
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("digits/")}
    assert packed == {path.as_posix() for path in files if path.suffix != ".pyc"}


@pytest.fixture(scope="module")
def reader(wheel, tmp_path_factory) -> Path:
    """Return the folder of an environment that the wheel was installed into."""
    folder = tmp_path_factory.mktemp("reader")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    pip = [str(folder / "venv" / "bin" / "python"), *PIP]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    versions = re.findall(r"^(\S+==.*?) \\$", lock, re.MULTILINE)
    (folder / "locked.txt").write_text("\n".join(versions), encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = ["--constraint", str(folder / "locked.txt"), *project["dependencies"]]
    done = subprocess.run([*pip, "install", *needed], capture_output=True, text=True)
    if "No matching distribution found" in done.stderr:
        pytest.skip("there is no package index here")
    assert done.returncode == 0, done.stderr
    # From here on nothing is fetched, so that nothing can be missing from the wheel's own list.
    subprocess.run([*pip, "install", "--no-index", str(wheel)], check=True)
    (folder / "empty").mkdir()
    shutil.copy(TEST_IMAGES / "ruled_3_in_shadow.jpg", folder / "empty" / "photo.jpg")
    return folder


def run(reader: Path, program: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess:
    outside = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "DIGITS_"))}
    command = [str(reader / "venv" / "bin" / program), *arguments]
    return subprocess.run(command, cwd=folder, env=outside, capture_output=True, text=True)


def digits(reader: Path, *arguments: str) -> subprocess.CompletedProcess:
    return run(reader, "digits", *arguments, folder=reader / "empty")


def test_the_wheel_reads_a_picture(reader):
    done = digits(reader, "predict", "--json", "photo.jpg")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["text"] == "3"


def test_reading_pictures_needs_few_packages_and_little_room(reader):
    packages = reader / "venv" / "lib"
    assert len(list(packages.rglob("*.dist-info"))) <= 15
    files = [path for path in packages.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in files) < 250e6


LACKING = {
    "train": "train",
    "finetune .": "train",
    "export --format onnx model.onnx": "train",
    "report": "train,notebooks",  # and a checkout
    "draw": "notebooks",
    "predict --output out photo.jpg": "scale",
}


@pytest.mark.parametrize("arguments", LACKING)
def test_a_command_names_the_extra_that_it_lacks(reader, arguments):
    done = digits(reader, *arguments.split())
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    checkout = ", and a checkout of the project with its notebooks/" * (arguments == "report")
    needs = rf"digits: {arguments.split()[0]}.* needs \w+, which is not installed: "
    install = re.escape(f"pip install 'digits[{LACKING[arguments]}]'{checkout}\n")
    assert re.fullmatch(needs + install, done.stderr)
    assert os.listdir(reader / "empty") == ["photo.jpg"]


def test_doctor_says_what_is_not_there(reader):
    done = digits(reader, "doctor")
    assert (done.returncode, done.stderr) == (0, "")
    for extra in ("train", "notebooks", "scale"):
        assert f"pip install 'digits[{extra}]'" in done.stdout


def test_an_installed_package_finds_the_checkout_that_the_user_is_in(reader):
    code = "import digits.config as c; print(c.ROOT)"
    for folder, root in ((ROOT / "tests", ROOT), (reader / "empty", reader / "empty")):
        done = run(reader, "python", "-I", "-c", code, folder=folder)
        assert Path(done.stdout.strip()) == root.resolve()
