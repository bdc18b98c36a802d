"""kyc_ml on Apache Spark, for notebooks: features and scores of one machine, made by a cluster.

``with open_cluster() as cluster`` takes the active session, and checks every machine first.
`run_score` scores there with ``ScoringRequest(..., engine="spark")``. `land` writes the accepted
rows of a source, `build_features_on_spark` computes features of them, and `sample_on_spark` and
`read_features` bring a sample to one machine, to train on. See ``kyc_ml/engines/README.md``.
"""

from kyc_ml.dataset import sample_on_spark
from kyc_ml.engines import (
    Cluster,
    build_features_on_spark,
    land,
    open_cluster,
    read_features,
    run_check,
)
from kyc_ml.scoring import ScoringRequest, run_score

__all__ = [
    "Cluster",
    "ScoringRequest",
    "build_features_on_spark",
    "land",
    "open_cluster",
    "read_features",
    "run_check",
    "run_score",
    "sample_on_spark",
]
