"""Customer risk rating and fraud scoring with machine learning.

`read_source` checks tables by the data contract, `build_features` computes features as known at
each decision, `train` fits a calibrated model, and `score_features` gives probabilities, tiers and
reasons. `tune`, `compare`, `validate`, `fit_tiers` and `explain_one` work in memory like the
commands of those names. `run_init` proposes the mapping of unknown files. `RiskClassifier` and
`FeatureBuilder` are steps of scikit-learn pipelines. Public names are those below and those of the
packages `kyc_ml.metrics`, `kyc_ml.display` and `kyc_ml.dataset`; each is imported at its first use,
so that ``import kyc_ml`` is fast.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
