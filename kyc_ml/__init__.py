"""Machine-learning risk prediction for knowing customers.

Tables pass the contract (`read_source`), become features as known at each decision
(`build_features`), train a calibrated model (`train`), and get scores, tiers and reasons
(`score_features`). `tune`, `compare`, `validate`, `fit_tiers` and `explain_one` do in memory
what the commands of those names do, `run_init` proposes the mapping of unknown files, and
`RiskClassifier` and `FeatureBuilder` are steps of scikit-learn's pipelines. The names below are
the public ones, with those of `kyc_ml.metrics`, the plots of `kyc_ml.display` and the splits of
`kyc_ml.dataset`; each is imported when it is first used, so that ``import kyc_ml`` costs nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
