"""Margin to probability: monotone maps fitted on rows of their own, kept as numbers."""

from __future__ import annotations

from kyc_ml.calibration.choosing import (
    CalibrationChoice,
    calibrate_by_fold,
    choose_calibrator,
    cross_calibrate,
)
from kyc_ml.calibration.fitting import ReversedRankingError, calibrate_later, fit_calibrator
from kyc_ml.calibration.maps import Calibrator, Method, to_probability
from kyc_ml.calibration.sampling import undo_downsampling
from kyc_ml.calibration.segments import (
    SegmentRows,
    Segments,
    SegmentShift,
    estimate_strength,
    fit_segments,
)

__all__ = [
    "CalibrationChoice",
    "Calibrator",
    "Method",
    "ReversedRankingError",
    "SegmentRows",
    "SegmentShift",
    "Segments",
    "calibrate_by_fold",
    "calibrate_later",
    "choose_calibrator",
    "cross_calibrate",
    "estimate_strength",
    "fit_calibrator",
    "fit_segments",
    "to_probability",
    "undo_downsampling",
]
