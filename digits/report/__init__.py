"""Papermill over the notebooks: results that notebooks record, reports, and their pages."""

from digits.report.build import find_notebooks, make, plan, prepare, update_readme
from digits.report.metrics import headline, read_metrics, record, results_table
