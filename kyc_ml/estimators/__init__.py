"""scikit-learn's face of the project: features and the calibrated model as pipeline steps."""

from __future__ import annotations

from kyc_ml.estimators.classifier import RiskClassifier
from kyc_ml.estimators.feature_builder import FeatureBuilder

__all__ = ["FeatureBuilder", "RiskClassifier"]
