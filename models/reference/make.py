"""Write the reference bundle of the current format; run once for each new format.

python models/reference/make.py models/reference/format_3
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import kyc_ml
from kyc_ml.config import check_section
from kyc_ml.contract import end_of_data

CONFIG = {
    "name": "reference",
    "unit": "fraud",
    "tiers": "tiers/fraud.yaml",
    "features": {"families": ["velocity", "timing", "profile", "structuring"]},
    "dataset": {"label_maturity_days": 30},
    "splits": {
        "method": "out_of_time",
        "early_stopping_days": 40,
        "calibration_days": 60,
        "test_days": 30,
    },
    "model": {"num_leaves": 5, "n_estimators": 12, "stopping_rounds": 12, "learning_rate": 0.2},
}


def main() -> None:
    """Train a very small model, and keep it with rows and their scores."""
    folder = Path(sys.argv[1])
    bank = kyc_ml.make_bank(kyc_ml.BankConfig(transactions=20_000, seed=5))
    source = kyc_ml.contract_tables(
        bank.tables, timezone="Asia/Shanghai", base_currency="CNY"
    ).accepted
    config = check_section(CONFIG, kyc_ml.RunConfig, subject="reference")
    policy = kyc_ml.load_section(Path("configs/tiers/fraud.yaml"), kyc_ml.TierPolicy)
    as_of = end_of_data(source)
    data = {"source": "synthetic", "as_of": as_of.isoformat(), "base_currency": "CNY"}
    trained = kyc_ml.train(source, config=config, policy=policy, as_of=as_of, data=data)
    kyc_ml.save_bundle(trained.bundle, folder / "bundle")
    bundle = kyc_ml.load_bundle(folder / "bundle")
    ranked = np.argsort(trained.evidence.margin, kind="stable")
    features = trained.evidence.features.take(ranked[:: ranked.size // 49][:50])
    features.to_pandas().to_csv(folder / "features.csv", index=False)
    scores: pd.DataFrame = kyc_ml.score_features(bundle, features).to_pandas()
    scores.to_csv(folder / "scores.csv", index=False)


if __name__ == "__main__":
    main()
