"""The validation report as one HTML file, in English or Chinese."""

from __future__ import annotations

from kyc_ml.report.render import render_report, save_report_page
from kyc_ml.validation.text import Language

__all__ = ["Language", "render_report", "save_report_page"]
