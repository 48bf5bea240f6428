"""pyproject.toml, requirements.lock and environment.yml say the same; nothing stray is committed."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from digits.config import EXTRAS, ROOT

# conda's `tensorflow` is what two packages of PyPI are, each for some machines.
ALIASES = {"tensorflow-cpu": "tensorflow"}
MODULES = {"sklearn": "scikit-learn", "pillow_heif": "pillow-heif"}  # of other names than packages
NOT_LOCKED = {"bench"}  # extras that neither `make` nor conda users need
LARGEST = 500_000  # bytes of a file in git, apart from reports, the shipped model and the lock


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


PROJECT = tomllib.loads(text_of("pyproject.toml"))["project"]
OPTIONAL = PROJECT["optional-dependencies"]


def versions_of(lines: list[str]) -> dict[str, str]:
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(r.name): str(r.specifier) for r in requirements}


# The packages that are locked, those of extras included, with their lowest versions.
DECLARED = versions_of(
    [*PROJECT["dependencies"], *(p for e in OPTIONAL if e not in NOT_LOCKED for p in OPTIONAL[e])]
)


def test_environment_has_the_packages_of_pyproject_each_with_its_reason():
    wanted = {ALIASES.get(name, name): versions for name, versions in DECLARED.items()}
    wanted["python"] = PROJECT["requires-python"]
    found = re.findall(r"^  - ([a-z][a-z0-9-]*)([^ \n]*)( # )?", text_of("environment.yml"), re.M)
    found = [line for line in found if line[0] not in ("conda-forge", "pip")]
    assert {name: versions for name, versions, _ in found} == wanted
    assert [name for name, _, reason in found if not reason] == ["python"]


def test_lock_has_every_package_in_a_version_that_is_allowed():
    lock = re.findall(r"^([a-z0-9-]+)==([^ ]+)", text_of("requirements.lock"), re.MULTILINE)
    versions = dict(lock)
    wrong = [
        f"{name}{allowed}: {versions.get(name, 'missing')}"
        for name, allowed in DECLARED.items()
        if not Requirement(f"{name}{allowed}").specifier.contains(versions.get(name, "0"))
    ]
    assert wrong == [], "run `make lock`"
    assert "setuptools" in versions, "needed to install the package itself without isolation"


def test_lock_is_made_from_all_other_extras():
    named = set(re.findall(r"--extra (\w+)", text_of("Makefile")))
    assert named == set(OPTIONAL) - NOT_LOCKED


def test_lock_has_hashes_and_no_address():
    text = text_of("requirements.lock")
    entries = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in text
    assert "index-url" not in text


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_extras_bring_what_the_commands_ask_for(extra):
    needed = {MODULES.get(module, module) for module in EXTRAS[extra]}
    assert needed <= set(versions_of(OPTIONAL[extra]))


def test_the_citation_names_the_version():
    assert f"version: {PROJECT['version']}" in text_of("CITATION.cff").splitlines()


def tracked() -> list[str]:
    try:
        command = ["git", "-C", str(ROOT), "ls-files", "-z"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [name for name in done.stdout.split("\0") if name]


def test_no_large_file_no_page_and_no_run_is_committed():
    large = [
        name
        for name in tracked()
        if not name.startswith(("reports/", "digits/champion/"))
        and (ROOT / name).is_file()
        and (ROOT / name).stat().st_size > LARGEST
    ]
    made = [name for name in tracked() if name.startswith("runs/") or name.endswith(".html")]
    assert large + made == []


def test_contributing_shows_every_room_and_no_other():
    tree = re.search(r"^digits/\n((?:  .*\n)+)", text_of("CONTRIBUTING.md"), re.MULTILINE)[1]
    shown = {line.split()[0].rstrip("/") for line in tree.splitlines()}
    names = {name.split("/")[1] for name in tracked() if name.startswith("digits/")}
    assert shown == names - {"__init__.py", "__main__.py"}
    assert len(names) <= 17, "what lies beside the rooms should be seen at a glance"


def test_links_and_paths_in_the_documentation_lead_somewhere():
    broken = []
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        links = re.findall(r"\]\((?![a-z]+:|#)([^)#]+)", page.read_text(encoding="utf-8"))
        broken += [f"{page.name}: {link}" for link in links if not (page.parent / link).exists()]
    text = text_of("CONTRIBUTING.md")
    table = text[text.index("## Where changes go") : text.index("## Add a notebook")]
    for path in re.findall(r"`([a-z_]+(?:/\w+)*(?:\.[a-z.0-9]+|/))`", table):
        places = [ROOT / path, ROOT / "digits" / path, ROOT / "digits" / "pictures" / path]
        broken += [] if any(place.exists() for place in places) else [f"CONTRIBUTING.md: {path}"]
    assert broken == []


def test_each_term_of_the_glossary_is_bold_in_the_notebook_that_explains_it():
    row = r"^\| ([^|]+) \| [^|]+ \| \[\d\]\(\.\./(.+?)\) \|$"
    rows = re.findall(row, text_of("docs/glossary.md"), re.MULTILINE)
    assert len(rows) > 40 and rows == sorted(rows, key=lambda row: row[0].lower())
    missing = []
    for terms, notebook in rows:
        cells = json.loads(text_of(notebook))["cells"]
        sources = ["".join(cell["source"]) for cell in cells]
        texts = [text for text in sources if "**" in text and "import " not in text]
        bold = re.findall(r"\*\*(\w[^*\n]*)\*\*", "\n".join(texts))
        words = " ".join(bold).lower()
        missing += [(term, notebook) for term in terms.split(", ") if term.lower() not in words]
    assert missing == []
