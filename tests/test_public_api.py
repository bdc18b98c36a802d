"""What users import is pinned, present, and cheap to import."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from inspect import formatannotation, isclass, isfunction, signature
from pathlib import Path
from types import ModuleType

import pytest

import kyc_ml

PUBLIC = {
    *("BankConfig", "Bundle", "ContractedTables", "FeatureSpec", "FeatureTable", "KycMlError"),
    *("RunConfig", "SourceMapping", "TierPolicy", "build_features", "choose_features"),
    *("compute_metrics", "contract_tables", "load_bundle", "load_section", "make_bank"),
    *("make_observations", "make_reviews_at", "mature_labels", "read_source", "save_bundle"),
    *("score_features", "train"),
    *("FeatureBuilder", "RiskClassifier", "audit_features", "explain_one", "fit_tiers", "tune"),
    *("ComparisonSettings", "OverrideBook", "compare", "plot_check", "run_init"),
    *("Attribute", "validate"),
    *("CheckResult", "Comparison", "Explained", "FeatureAudit", "FitResult", "InitResult"),
    *("Labels", "ModelMetrics", "ReadSource", "Report", "Scorecard", "Scorer", "SyntheticBank"),
    *("TierHistory", "Trained", "Tuned", "ValidationPolicy"),
}


def test_the_public_names_are_these():
    assert set(kyc_ml.__all__) == PUBLIC
    assert dir(kyc_ml) == sorted(PUBLIC)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_each_public_name_is_there_and_documented(name):
    found = getattr(kyc_ml, name)
    assert found.__doc__
    assert not isinstance(found, ModuleType)


def test_every_type_that_a_public_function_returns_is_public():
    missing = {}
    for name in sorted(PUBLIC):
        found = getattr(kyc_ml, name)
        if isfunction(found):
            returned = formatannotation(signature(found, eval_str=True).return_annotation)
            for word in re.findall(r"\w+", returned):
                kind = found.__globals__.get(word)
                if isclass(kind) and kind.__module__.startswith("kyc_ml.") and word not in PUBLIC:
                    missing[word] = name
    assert missing == {}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        kyc_ml.nothing  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    heavy = ("pandas", "numba", "lightgbm", "mlflow", "sklearn", "pyarrow", "duckdb")
    code = f"import sys, kyc_ml; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert run.stdout.strip() == "[]"


ROOT = Path(kyc_ml.__file__).parent
PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/__init__.pyi"))


@pytest.mark.parametrize("package", PACKAGES)
def test_each_name_of_a_face_is_there(package):
    face = import_module(f"kyc_ml.{package}")
    assert face.__all__
    assert [name for name in face.__all__ if not hasattr(face, name)] == []


def test_a_newcomer_sees_few_names():
    # 17 after the last reading of the house; monitoring, cases, history, protection, web, engines
    # are the six that its design adds
    modules = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in ROOT.rglob("*.py")}
    seen = {name for name in modules if not name.startswith("__")}
    assert len(seen) <= 23, sorted(seen)
