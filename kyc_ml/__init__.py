"""Machine-learning risk prediction for knowing customers.

Tables go through the contract (`read_source`), become features as known at each decision
(`build_features`), train a calibrated model (`train`), and are scored, graded and
explained (`score_features`). `tune`, `compare`, `validate`, `fit_tiers` and `explain_one` do in
memory what the commands of those names do, `run_init` proposes the mapping of a stranger's
files, and `RiskClassifier` and `FeatureBuilder` are steps of scikit-learn's pipelines. The
names below are the public ones, with the packages `kyc_ml.metrics`, `kyc_ml.plots` and
`kyc_ml.splits`; each is imported when it is first used, so that ``import kyc_ml`` costs
nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kyc_ml.bundle import Bundle, load_bundle, save_bundle
    from kyc_ml.comparison import ComparisonSettings
    from kyc_ml.config import Attribute, RunConfig, SourceMapping, load_section
    from kyc_ml.contract.contracted import ContractedTables
    from kyc_ml.contract.memory import contract_tables
    from kyc_ml.contract.source import read_source
    from kyc_ml.dataset import make_observations, make_reviews_at, mature_labels
    from kyc_ml.errors import KycMlError
    from kyc_ml.estimators import FeatureBuilder, RiskClassifier
    from kyc_ml.features.audit.proof import audit_features
    from kyc_ml.features.build import build_features
    from kyc_ml.features.catalog import choose_features
    from kyc_ml.features.spec import FeatureSpec
    from kyc_ml.features.table import FeatureTable
    from kyc_ml.jobs.proposing import run_init
    from kyc_ml.metrics import compute_quality
    from kyc_ml.score import score_features
    from kyc_ml.synthetic import BankConfig, make_bank
    from kyc_ml.tiers import OverrideBook, TierPolicy
    from kyc_ml.training import train
    from kyc_ml.workbench import compare, explain_one, fit_tiers, plot_check, tune, validate

_HOMES: Final = {
    "Attribute": "kyc_ml.config",
    "BankConfig": "kyc_ml.synthetic",
    "Bundle": "kyc_ml.bundle",
    "ComparisonSettings": "kyc_ml.comparison",
    "ContractedTables": "kyc_ml.contract.contracted",
    "FeatureBuilder": "kyc_ml.estimators",
    "FeatureSpec": "kyc_ml.features.spec",
    "FeatureTable": "kyc_ml.features.table",
    "KycMlError": "kyc_ml.errors",
    "OverrideBook": "kyc_ml.tiers",
    "RiskClassifier": "kyc_ml.estimators",
    "RunConfig": "kyc_ml.config",
    "SourceMapping": "kyc_ml.config",
    "TierPolicy": "kyc_ml.tiers",
    "audit_features": "kyc_ml.features.audit.proof",
    "build_features": "kyc_ml.features.build",
    "choose_features": "kyc_ml.features.catalog",
    "compare": "kyc_ml.workbench",
    "compute_quality": "kyc_ml.metrics",
    "contract_tables": "kyc_ml.contract.memory",
    "explain_one": "kyc_ml.workbench",
    "fit_tiers": "kyc_ml.workbench",
    "load_bundle": "kyc_ml.bundle",
    "load_section": "kyc_ml.config",
    "make_bank": "kyc_ml.synthetic",
    "make_observations": "kyc_ml.dataset",
    "make_reviews_at": "kyc_ml.dataset",
    "mature_labels": "kyc_ml.dataset",
    "plot_check": "kyc_ml.workbench",
    "read_source": "kyc_ml.contract.source",
    "run_init": "kyc_ml.jobs.proposing",
    "save_bundle": "kyc_ml.bundle",
    "score_features": "kyc_ml.score",
    "train": "kyc_ml.training",
    "tune": "kyc_ml.workbench",
    "validate": "kyc_ml.workbench",
}

__all__ = [
    "Attribute",
    "BankConfig",
    "Bundle",
    "ComparisonSettings",
    "ContractedTables",
    "FeatureBuilder",
    "FeatureSpec",
    "FeatureTable",
    "KycMlError",
    "OverrideBook",
    "RiskClassifier",
    "RunConfig",
    "SourceMapping",
    "TierPolicy",
    "audit_features",
    "build_features",
    "choose_features",
    "compare",
    "compute_quality",
    "contract_tables",
    "explain_one",
    "fit_tiers",
    "load_bundle",
    "load_section",
    "make_bank",
    "make_observations",
    "make_reviews_at",
    "mature_labels",
    "plot_check",
    "read_source",
    "run_init",
    "save_bundle",
    "score_features",
    "train",
    "tune",
    "validate",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  a module's names are of any type
    if name not in _HOMES:
        msg = f"module 'kyc_ml' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
