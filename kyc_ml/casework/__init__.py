"""One case for an analyst: recent behaviour, reasons, tier, as one HTML page."""

from kyc_ml.casework.recent import Measure, recent_behaviour
from kyc_ml.casework.sheet import CaseSheet, Drop, ReasonRow, render_sheet, save_sheet

__all__ = [
    "CaseSheet",
    "Drop",
    "Measure",
    "ReasonRow",
    "recent_behaviour",
    "render_sheet",
    "save_sheet",
]
