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

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
