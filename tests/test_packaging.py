"""pyproject.toml, requirements.lock and environment.yml say the same; nothing stray is committed."""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from digits.config import ROOT

# conda's `tensorflow` is what two packages of PyPI are, each for some machines.
ALIASES = {"tensorflow-cpu": "tensorflow"}
NOT_LOCKED = {"bench"}  # extras that neither `make` nor conda users need
LARGEST = 500_000  # bytes of a file in git, apart from reports, the shipped model and the lock


def declared() -> dict[str, str]:
    """Return the packages that are locked, those of extras included, with their lowest versions."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = list(project["dependencies"])
    for name, extra in project["optional-dependencies"].items():
        lines += [] if name in NOT_LOCKED else extra
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(r.name): str(r.specifier) for r in requirements}


def conda_lines() -> list[str]:
    lines = (ROOT / "environment.yml").read_text(encoding="utf-8").splitlines()
    found = [line.strip(" -") for line in lines if re.match(r"  - [a-z]", line)]
    return [line for line in found if line not in ("conda-forge", "pip", "pip:")]


def locked() -> dict[str, str]:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", text, re.MULTILINE))


def test_environment_has_the_packages_of_pyproject():
    wanted = {ALIASES.get(name, name): versions for name, versions in declared().items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted["python"] = project["requires-python"]
    found = dict(re.match(r"([a-z0-9-]+)([^ ]+)", line).groups() for line in conda_lines())
    assert found == wanted


def test_each_package_of_the_environment_has_its_reason():
    lines = [line for line in conda_lines() if not line.startswith("python>")]
    assert [line for line in lines if " # " not in line] == []


def test_lock_has_every_package_in_a_version_that_is_allowed():
    versions = locked()
    wrong = [
        f"{name}{allowed}: {versions.get(name, 'missing')}"
        for name, allowed in declared().items()
        if not Requirement(f"{name}{allowed}").specifier.contains(versions.get(name, "0"))
    ]
    assert wrong == [], "run `make lock`"
    assert "setuptools" in versions, "needed to install the package itself without isolation"


def test_lock_is_made_from_all_other_extras():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"--extra (\w+)", makefile))
    assert named == set(project["optional-dependencies"]) - NOT_LOCKED


def test_lock_has_hashes_and_no_address():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in text
    assert "index-url" not in text


def test_the_citation_names_the_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    assert f"version: {project['version']}" in lines


def tracked() -> list[str]:
    try:
        command = ["git", "-C", str(ROOT), "ls-files", "-z"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [name for name in done.stdout.split("\0") if name]


def test_no_large_file_is_committed():
    large = [
        name
        for name in tracked()
        if not name.startswith(("reports/", "digits/champion/"))
        and (ROOT / name).is_file()
        and (ROOT / name).stat().st_size > LARGEST
    ]
    assert large == []


def test_no_page_and_no_run_is_committed():
    assert [name for name in tracked() if name.startswith("runs/") or name.endswith(".html")] == []


def test_contributing_shows_every_room_and_no_other():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tree = re.search(r"^digits/\n((?:  .*\n)+)", text, re.MULTILINE)[1]
    shown = {line.split()[0].rstrip("/") for line in tree.splitlines()}
    names = {name.split("/")[1] for name in tracked() if name.startswith("digits/")}
    assert shown == names - {"__init__.py", "__main__.py"}
    assert len(names) <= 17, "what lies beside the rooms should be seen at a glance"


def test_links_and_paths_in_the_documentation_lead_somewhere():
    broken = []
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        text = page.read_text(encoding="utf-8")
        links = re.findall(r"\]\((?![a-z]+:|#)([^)#]+)", text)
        broken += [f"{page.name}: {link}" for link in links if not (page.parent / link).exists()]
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text[text.index("## Where changes go") : text.index("## Add a notebook")]
    for path in re.findall(r"`([a-z_]+(?:/\w+)*(?:\.[a-z.0-9]+|/))`", table):
        places = [ROOT / path, ROOT / "digits" / path, ROOT / "digits" / "pictures" / path]
        broken += [] if any(place.exists() for place in places) else [f"CONTRIBUTING.md: {path}"]
    assert broken == []
