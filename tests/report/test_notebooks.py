"""The form of the notebooks: read as JSON, nothing is run.

Each rule is a function that yields (cell ordinal or 0, what is wrong and what to do).
"""

from __future__ import annotations

import ast
import copy
import json
import re
import statistics
import symtable
from collections.abc import Iterator
from pathlib import Path

import pytest

from digits.config import NOTEBOOKS, ROOT
from digits.pictures.decoding import EXTENSIONS

Finding = tuple[int, str]

NAMES = sorted(NOTEBOOKS.glob("*.ipynb"))
LONGEST = 15  # lines of a code cell
OURS = ("digits", "benchmarks")
STORED = {"keep_output", "nbval-check-output"}
FORBIDDEN = {
    r"^\s*[!%]": "a shell or magic command; use plain Python",
    r"\bsys\.path\b": "changes sys.path; the package is installed",
    r"filterwarnings\(\s*[\"']ignore": "hides warnings; correct the code that warns",
    r"[\"'](/|[A-Za-z]:\\|~)[\w.-]+/": "an absolute path; take paths from digits.config",
    r"\bexcept\b[^\n]*:\s*pass\b": "swallows an error; say what is expected to fail",
    r"\b(TODO|FIXME|XXX)\b": "unfinished work; finish it",
}


def source(cell: dict) -> str:
    return "".join(cell["source"])


def tags(cell: dict) -> set[str]:
    return set(cell["metadata"].get("tags", ()))


def cells(notebook: dict, kind: str) -> list[tuple[int, dict]]:
    """Return the cells of one kind with their ordinals, counted over all cells from 1."""
    return [(n, cell) for n, cell in enumerate(notebook["cells"], 1) if cell["cell_type"] == kind]


def code_cells(notebook: dict) -> list[tuple[int, str]]:
    return [(number, source(cell)) for number, cell in cells(notebook, "code")]


def is_prose(code: str) -> bool:
    """Whether a code cell is a text with numbers that were computed."""
    return code.startswith("Markdown(") or "\nMarkdown(" in code


def n_lines(text: str) -> int:
    return sum(bool(line.strip()) for line in text.splitlines())


# --- The rules -------------------------------------------------------------------------------------


def title_is_the_first_line(notebook: dict, path: Path) -> Iterator[Finding]:
    first, number = notebook["cells"][0], int(path.name[:2])
    if first["cell_type"] != "markdown" or not re.match(rf"# {number}\. \S", source(first)):
        yield 1, f"must start with '# {number}. ' and the question that the notebook answers"
    for ordinal, cell in cells(notebook, "markdown")[1:]:
        if re.search(r"^# ", source(cell), re.MULTILINE):
            yield ordinal, "a second heading of the first level; use ##"


def the_way_through_all_notebooks(notebook: dict, path: Path) -> Iterator[Finding]:
    def link(other: Path) -> str:
        name = f"{int(other.name[:2])} {re.split('[_.]', other.name)[1]}"
        return f"**{name}**" if other.name == path.name else f"[{name}]({other.name})"

    line = " → ".join(map(link, sorted(path.parent.glob("[0-9][0-9]_*.ipynb"))))
    if line not in source(notebook["cells"][0]).splitlines():
        yield 1, f"lacks the line {line}"


def one_parameters_cell(notebook: dict, path: Path) -> Iterator[Finding]:
    tagged = [(n, cell) for n, cell in cells(notebook, "code") if "parameters" in tags(cell)]
    if len(tagged) != 1:
        yield 0, f"{len(tagged)} cells tagged 'parameters'; exactly one is needed"
        return
    ordinal, cell = tagged[0]
    lines = [line for line in source(cell).splitlines() if line and not line.startswith("#")]
    if not 1 <= len(lines) <= 6:
        yield ordinal, f"{len(lines)} parameters; 1 to 6"
    for line in lines:
        if not re.fullmatch(r"[A-Z_]+: (int|float|str|bool) = .+  # \S.*", line):
            yield ordinal, f"{line!r} is not of the form NAME: type = value  # help"
            continue
        try:
            ast.literal_eval(ast.parse(line).body[0].value)
        except ValueError:
            yield ordinal, f"{line!r} computes its value; a literal is needed"


def parameters_are_read_and_never_assigned(notebook: dict, path: Path) -> Iterator[Finding]:
    names, read, first = set(), set(), 0
    for ordinal, cell in cells(notebook, "code"):
        tree = ast.parse(source(cell))
        if "parameters" in tags(cell):
            names, first = {n.target.id for n in tree.body if hasattr(n, "target")}, ordinal
            continue
        used = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in names]
        read |= {node.id for node in used}
        for node in used:
            if isinstance(node.ctx, ast.Store):
                yield ordinal, f"assigns the parameter {node.id}; use another name"
    for name in sorted(names - read):
        yield first, f"the parameter {name} is never read; use it or drop it"


def nothing_forbidden(notebook: dict, path: Path) -> Iterator[Finding]:
    for ordinal, text in code_cells(notebook):
        for pattern, reason in FORBIDDEN.items():
            if re.search(pattern, text, re.MULTILINE):
                yield ordinal, reason


def cells_are_short(notebook: dict, path: Path) -> Iterator[Finding]:
    lengths = {ordinal: n_lines(text) for ordinal, text in code_cells(notebook)}
    for ordinal, length in lengths.items():
        if length > LONGEST:
            yield ordinal, f"{length} lines; at most {LONGEST}, move code to digits/"
    if (
        statistics.median(n_lines(text) for _, text in code_cells(notebook) if not is_prose(text))
        > 6
    ):
        yield 0, "the median cell has more than 6 lines; split cells, move code to digits/"
    for ordinal, text in code_cells(notebook):
        sliders = re.findall(r"plots\.slider\((\w+)", text)  # these draw a figure, as a cell does
        for node in ast.walk(ast.parse(text)):
            long = isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 4
            if long and node.name not in sliders:
                yield ordinal, f"defines {node.name} of more than 4 lines; move it to digits/"


def text_comes_first(notebook: dict, path: Path) -> Iterator[Finding]:
    n_computed = sum(is_prose(text) for _, text in code_cells(notebook))
    n_texts = len(cells(notebook, "markdown")) + n_computed
    n_codes = len(cells(notebook, "code")) - n_computed
    if n_texts < n_codes:
        yield 0, f"{n_texts} texts for {n_codes} code cells; each figure is announced and remarked"


def outputs_are_stripped(notebook: dict, path: Path) -> Iterator[Finding]:
    for ordinal, cell in cells(notebook, "code"):
        if cell["outputs"] and not tags(cell) >= STORED:
            yield ordinal, "stores output; run nbstripout --keep-id --keep-count"
        if tags(cell) & STORED and not tags(cell) >= STORED:
            yield ordinal, f"needs both tags {', '.join(sorted(STORED))}, or neither"
        if tags(cell) >= STORED and not cell["outputs"]:
            yield ordinal, "is compared by nbval but stores nothing; run it and save"
        if "nbval-skip" in tags(cell):
            yield ordinal, "is skipped by nbval; a cell that is not run rots"


def counts_rise_from_one(notebook: dict, path: Path) -> Iterator[Finding]:
    ran = [(n, cell["execution_count"]) for n, cell in cells(notebook, "code")]
    for expected, (ordinal, count) in enumerate(ran, 1):
        if count not in (None, expected):
            yield ordinal, f"execution count {count} instead of {expected}; restart, run all, save"


def names_of_ours_exist(notebook: dict, path: Path) -> Iterator[Finding]:
    modules = {}
    for ordinal, text in code_cells(notebook):
        asked = []
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(OURS):
                asked += [(node.module, alias.name) for alias in node.names]
                full = {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
                modules |= {name: module for name, module in full.items() if file_of(module)}
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                module = modules.get(node.value.id)
                asked += [(module, node.attr)] if module else []
        for module, name in asked:
            if not exists(module, name):
                yield ordinal, f"{module} has no {name}"


def exists(module: str, name: str) -> bool:
    """Whether `name` can be imported from `module`, by its text: importing takes seconds."""
    file = file_of(module)
    if not file or file_of(f"{module}.{name}"):
        return bool(file)
    table = symtable.symtable(file.read_text(encoding="utf-8"), str(file), "exec")
    found = name in table.get_identifiers() and table.lookup(name)
    return bool(found) and (found.is_assigned() or found.is_imported())


def file_of(module: str) -> Path | None:
    """Return the file of a module or a package of this project, None where there is none."""
    path = ROOT / Path(*module.split("."))
    return next((f for f in (path / "__init__.py", path.with_suffix(".py")) if f.exists()), None)


def ends_with_a_link(notebook: dict, path: Path) -> Iterator[Finding]:
    last = notebook["cells"][-1]
    if last["cell_type"] != "markdown" or not re.search(r"\]\([^)]+\)", source(last)):
        yield len(notebook["cells"]), "must be text with a link to what comes next"


def links_resolve(notebook: dict, path: Path) -> Iterator[Finding]:
    for ordinal, cell in cells(notebook, "markdown"):
        for link in re.findall(r"\]\(([^)\s]+)\)", source(cell)):
            target = link.partition("#")[0]
            if not re.match(r"[a-z]+:", link) and target and not (path.parent / target).exists():
                yield ordinal, f"links to {link}, which does not exist"


def sections_that_every_lesson_has(notebook: dict, path: Path) -> Iterator[Finding]:
    text = "\n".join(source(cell) for _, cell in cells(notebook, "markdown"))
    for heading in ("Try it", "What we found"):
        if not re.search(rf"^## .*{heading}", text, re.MULTILINE | re.IGNORECASE):
            yield 0, f"has no section '## {heading}'"
    if not any(re.search(r"^assert ", code, re.MULTILINE) for _, code in code_cells(notebook)):
        yield 0, "checks nothing; end with a cell of asserts"


# --- Each is given a notebook that breaks it -------------------------------------------------------


def text(words: str) -> dict:
    return {"cell_type": "markdown", "metadata": {}, "source": words.splitlines(keepends=True)}


def code(words: str, *with_tags: str, outputs=(), count=None) -> dict:
    return {
        "cell_type": "code",
        "metadata": {"tags": list(with_tags)},
        "source": words.splitlines(keepends=True),
        "outputs": list(outputs),
        "execution_count": count,
    }


OUTPUT = {"output_type": "stream", "name": "stdout", "text": ["3\n"]}
GOOD = {
    "cells": [
        text("# 1. What is there?\n\nAn answer.\n\n**1 example**"),
        text("## Parameters"),
        code("# set by papermill\nSEED: int = 0  # seed", "parameters", count=1),
        text("Three:"),
        code("from digits import InputError\nfrom digits import config", count=2),
        code("print(InputError, config.ROOT, SEED)", *STORED, outputs=[OUTPUT], count=3),
        text("## Try it\n\nChange it."),
        text("## What we found\n\nNothing."),
        code("assert SEED >= 0", count=4),
        text("[Next](broken.md) or [the web](https://example.org)"),
    ]
}


@pytest.fixture
def path(tmp_path):
    for name in ("broken.md", "01_example.ipynb"):
        (tmp_path / name).touch()
    return tmp_path / "01_example.ipynb"


TWO = "SEED: int = 0  # seed\nOTHER: int = 0  # o"
BROKEN = [
    (title_is_the_first_line, 0, text("# What is there?"), "must start with '# 1. '"),
    (title_is_the_first_line, 0, text("# 2. What is there?"), "must start with '# 1. '"),
    (title_is_the_first_line, 1, text("# Parameters"), "use ##"),
    (the_way_through_all_notebooks, 0, text("# 1. What is there?"), "lacks the line **1 example**"),
    (one_parameters_cell, 2, code("SEED: int = 0  # seed"), "0 cells tagged"),
    (one_parameters_cell, 2, code("SEED = 0  # seed", "parameters"), "is not of the form"),
    (one_parameters_cell, 2, code("SEED: int = 0", "parameters"), "is not of the form"),
    (one_parameters_cell, 2, code("seed: int = 0  # s", "parameters"), "is not of the form"),
    (one_parameters_cell, 2, code("A: int = f(1)  # s", "parameters"), "a literal is needed"),
    (one_parameters_cell, 2, code("A: int = 0  # s\n" * 7, "parameters"), "7 parameters"),
    (parameters_are_read_and_never_assigned, 5, code("SEED = 3"), "assigns the parameter SEED"),
    (parameters_are_read_and_never_assigned, 2, code(TWO, "parameters"), "OTHER is never read"),
    (nothing_forbidden, 5, code("!pip install x"), "shell or magic"),
    (nothing_forbidden, 5, code("%matplotlib inline"), "shell or magic"),
    (nothing_forbidden, 5, code("import sys; sys.path.append('..')"), "sys.path"),
    (nothing_forbidden, 5, code("warnings.filterwarnings('ignore')"), "hides warnings"),
    (nothing_forbidden, 5, code("open('/home/me/x.csv')"), "absolute path"),
    (nothing_forbidden, 5, code("try:\n    f()\nexcept ValueError: pass"), "swallows"),
    (nothing_forbidden, 5, code("x = 1  # TODO"), "unfinished"),
    (cells_are_short, 5, code("x = 1\n" * 16), "16 lines; at most 15"),
    (cells_are_short, slice(2, 6), [code("x = 1\n" * 7)] * 4, "median"),
    (cells_are_short, 5, code("def f():" + "\n    a = 1" * 4), "defines f"),
    (cells_are_short, 5, code("def f():" + "\n    a = 1" * 4 + "\nplots.slider(g)"), "defines f"),
    (text_comes_first, slice(6, 6), [code("x = 1")] * 4, "6 texts for 8 code cells"),
    (outputs_are_stripped, 5, code("print(3)", outputs=[OUTPUT]), "stores output"),
    (outputs_are_stripped, 5, code("3", "keep_output", outputs=[OUTPUT]), "needs both tags"),
    (outputs_are_stripped, 5, code("3", *STORED), "stores nothing"),
    (outputs_are_stripped, 5, code("3", "nbval-skip"), "skipped by nbval"),
    (counts_rise_from_one, 5, code("3", count=9), "execution count 9 instead of 3"),
    (names_of_ours_exist, 4, code("from digits import Oops\nOops"), "has no Oops"),
    (names_of_ours_exist, 4, code("from digits import nowhere\nnowhere"), "no nowhere"),
    (names_of_ours_exist, 5, code("config.ROOTS"), "digits.config has no ROOTS"),
    (ends_with_a_link, 9, text("The end."), "must be text with a link"),
    (links_resolve, 9, text("[Next](02_none.ipynb)"), "02_none.ipynb, which does not exist"),
    (sections_that_every_lesson_has, 6, text("## Exercise"), "no section '## Try it'"),
    (sections_that_every_lesson_has, 7, text("## Summary"), "no section '## What we found'"),
    (sections_that_every_lesson_has, 8, code("print(SEED)"), "checks nothing"),
]
# A rule without a notebook that breaks it is not run.
RULES = list(dict.fromkeys(rule for rule, *_ in BROKEN))


def test_a_good_notebook_keeps_every_rule(path):
    assert [(rule.__name__, *found) for rule in RULES for found in rule(GOOD, path)] == []


@pytest.mark.parametrize(("rule", "place", "replacement", "words"), BROKEN)
def test_a_broken_notebook_is_rejected(rule, place, replacement, words, path):
    notebook = copy.deepcopy(GOOD)
    notebook["cells"][place] = replacement
    found = list(rule(notebook, path))
    assert any(words in what for _, what in found), found


# --- The notebooks keep them -----------------------------------------------------------------------


@pytest.mark.parametrize("path", NAMES, ids=lambda path: path.stem)
def test_form(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    found = [
        f"{path.name}, cell {ordinal}: {what} ({rule.__name__})"
        for rule in RULES
        for ordinal, what in rule(notebook, path)
    ]
    assert not found, "\n" + "\n".join(found)


def test_numbers_rise_without_gaps():
    numbers = [int(path.name[:2]) for path in NAMES]
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_title_stands_in_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in NAMES:
        first = source(json.loads(path.read_text(encoding="utf-8"))["cells"][0]).splitlines()[0]
        question = re.sub(r"^# \d+\. ", "", first)
        assert question in readme, f"README.md lacks the title of {path.name}: {question}"
        assert f"(notebooks/{path.name})" in readme


def test_every_own_picture_is_labelled_once():
    folder = ROOT / "test_images"
    if not (folder / "labels.csv").exists():
        pytest.skip("no test_images/ yet")
    rows = (folder / "labels.csv").read_text(encoding="utf-8").splitlines()[1:]
    named = sorted(row.split(",")[0] for row in rows)
    assert named == sorted(path.name for path in folder.iterdir() if path.suffix in EXTENSIONS)
