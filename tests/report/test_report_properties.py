"""Metrics of an earlier report, which anybody may have changed, are shown or left out."""

from __future__ import annotations

import json
import math
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import LONG, MORE, answered, json_values

from digits.report import build, pages

TOLD = {
    "created": "2026-01-01 00:00 UTC",
    "profile": "quick",
    "seed": 0,
    "commit": "abc",
    "data": {"name": "embedded", "digest": "0" * 64, "note": ""},
    "versions": {},
    "notebooks": {"01_a": {"title": "A", "seconds": 1.5, "created": "2026", "parameters": {}}},
}
SCORE = {"n_scored": 100, "n_wrong": 2, "value": 0.98, "low": 0.9, "high": 0.99}
METRICS = {
    "report": TOLD,
    "evaluation": {
        "accuracy": SCORE, "coverage": 0.9, "n_parameters": 12, "train_seconds": 3.5,
        "confusion": [[5, 1], [0, 7]],
    },
    "pictures": {"n_pictures": 3, "n_right": 2, "n_unsure": 1, "n_wrong": 0},
    "benchmark": {"ratios": [{"label": "a", "value": 2.0, "low": 1.0, "high": 3.0, "n": 2}]},
}  # fmt: skip
PLACES = [
    ("report", "notebooks"), ("report", "notebooks", "01_a"), ("report", "data"),
    ("report", "notebooks", "01_a", "seconds"), ("report", "notebooks", "01_a", "title"),
    ("report", "data", "digest"), ("report", "seed"), ("evaluation", "accuracy"),
    ("evaluation", "accuracy", "value"), ("evaluation", "accuracy", "n_wrong"),
    ("evaluation", "coverage"), ("evaluation", "confusion"), ("evaluation", "confusion", 0),
    ("evaluation", "confusion", 0, 1), ("evaluation", "n_parameters"),
    ("evaluation", "train_seconds"), ("pictures", "n_pictures"), ("pictures", "n_right"),
    ("benchmark", "ratios"), ("benchmark", "ratios", 0), ("benchmark", "ratios", 0, "value"),
    ("benchmark", "ratios", 0, "n"), ("evaluation", "anything"),
]  # fmt: skip


def index_page(earlier):
    """Render the index page of a report that keeps `earlier`'s numbers, but for one."""
    now = METRICS | earlier
    now["report"] = TOLD | {"notebooks": earlier.get("report", TOLD)["notebooks"]}
    names = {name: ran.get("title", name) for name, ran in now["report"]["notebooks"].items()}
    return pages.index(now, names)


@pytest.mark.slow
@given(place=st.sampled_from(PLACES), value=json_values)
@settings(MORE, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_earlier_metrics_are_kept_or_left(place, value, tmp_path):
    metrics = json.loads(json.dumps(METRICS))
    inside = metrics
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    with answered():
        index_page(build.earlier_metrics(tmp_path))


@pytest.mark.parametrize("value", ["most", None, [1], {"n": 1}, LONG, math.nan])
def test_what_is_no_number_in_an_earlier_report_makes_it_none(value, tmp_path):
    metrics = METRICS | {"evaluation": {"coverage": value}}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    assert build.earlier_metrics(tmp_path) == {}


def test_whole_earlier_metrics_are_kept(tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS))
    assert build.earlier_metrics(tmp_path) == METRICS
    page = index_page(METRICS)
    assert "98.00%" in page
    cells = re.findall(r'share: ([\d.]+)" class="(\w+)">(\d+)', page)
    right, mistake = ("0.000", "right"), ("1.000", "some")
    assert cells == [(*right, "5"), (*mistake, "1"), ("0.000", "none", "0"), (*right, "7")]


def test_names_are_text_on_the_index_page():
    name = "<script>alert(1)</script>"
    data = {"name": name, "digest": "0" * 64, "note": name}
    told = TOLD | {"data": data, "created": name, "commit": name, "versions": {name: name}}
    shown = pages.Thumbnail("data:image/png;base64,AA", name, name)
    html = pages.index({"report": told}, {name: name}, [shown], [shown])
    assert "&lt;script&gt;" in html
    assert "<script" not in html
