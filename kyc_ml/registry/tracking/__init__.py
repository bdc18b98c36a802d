"""The only importer of MLflow: runs, registered versions and aliases.

The tracking server is the one that ``MLFLOW_TRACKING_URI`` names; without it a SQLite
file, ``mlflow.db``, in the working folder.

One scheme of names serves training, tuning, scoring, comparing and validating, so that runs
compare:

- parameter: the configuration's own key, ``model.num_leaves``; what a run chose itself has
  ``.chosen``, as in ``calibration.chosen``.
- metric: ``part/figure`` of the run's own model, ``test/auc``; another's figure has its owner
  before it, ``baseline/test/auc``. The part of comparing and validating is ``later``, or the
  training's ``test``; a validation has each of its figures as ``check/figure`` too. Owners are
  ``baseline`` and ``rating`` in training, ``own`` and ``chosen`` in tuning, ``champion`` and
  ``challenger`` in comparing; ``difference`` is later less earlier. Counts are ``rows/scored``,
  ``tier/high``; times ``seconds/features``.
- tag: ``job`` (train, register, tune, score, compare, validate), ``unit``, ``as_of``, ``source``,
  ``policy``, and the digests ``bundle_digest``, ``config_digest``, ``data_digest`` with
  ``code_version``; of scoring ``run_id`` and ``out``, the folder that was published.
- tag of a version: ``kyc_ml.bundle_digest``, ``kyc_ml.trained_by``; of a version and its
  model ``kyc_ml.audit_anchor``, how far the audit log reached.
- artifact: plots below ``plots/``, tables below ``tables/``, what a rerun needs below
  ``record/``, the model card ``model_card.md``, the page of a training ``page.html``.
"""

import os

# MLflow decides when it is imported whether it sends usage statistics out of the house.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
