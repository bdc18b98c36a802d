"""LightGBM's parameters."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from kyc_ml.config.section import Section


class ModelConfig(Section):
    """LightGBM parameters, by the names of its scikit-learn classes.

    Defaults suit 10^5 to 10^6 rows with few positives.
    """

    renamed: ClassVar[Mapping[str, str]] = {
        "num_threads": "n_jobs",
        "rounds": "n_estimators",
        "min_data_in_leaf": "min_child_samples",
        "feature_fraction": "colsample_bytree",
        "bagging_fraction": "subsample",
        "lambda_l2": "reg_lambda",
    }
    seed: int = Field(default=20130105, ge=0)
    """Seed of LightGBM's samples."""
    n_jobs: int = Field(default=2, ge=1)
    """Threads to train with; the model is the same with any number."""
    n_estimators: int = Field(default=600, ge=1)
    """Highest number of trees."""
    stopping_rounds: int = Field(default=50, ge=1)
    """Trees without a gain on the early stopping rows after which fitting ends."""
    learning_rate: float = Field(default=0.05, gt=0.0, le=1.0)
    """Share of each tree's step that is taken."""
    num_leaves: int = Field(default=31, ge=2)
    """Highest number of leaves of a tree."""
    min_child_samples: int = Field(default=100, ge=1)
    """Lowest number of rows of a leaf."""
    colsample_bytree: float = Field(default=0.5, gt=0.0, le=1.0)
    """Share of the features that each tree may use."""
    subsample: float = Field(default=1.0, gt=0.0, le=1.0)
    """Share of the rows that each tree sees; drawn again for each tree if below 1."""
    reg_lambda: float = Field(default=5.0, ge=0.0)
    """L2 regularisation: a larger number shrinks the values of leaves more."""
    max_bin: int = Field(default=255, ge=2)
    """Highest number of bins of a feature."""
    metric: Literal["average_precision", "binary_logloss", "auc"] = "average_precision"
    """Metric on the early stopping rows that decides when to stop."""
    monotone: bool = False
    """Keep the directions that features declare: risk never falls, or never rises, with them."""
    negative_share: float = Field(default=1.0, gt=0.0, le=1.0)
    """Share of the negatives of the training rows that are kept, chosen by the seed and by
    what the rows hold; margins are corrected for it. Regularised trees leave the level 10 to
    20 % off: calibrate too. No other rows are ever left out."""
    negatives_kept: float = Field(
        default=1.0, gt=0.0, le=1.0, exclude_if=lambda share: share == 1.0
    )
    """Share of the negatives of the train part that the rows hold, where others were left out
    before training, as `sample_on_spark` does; margins are corrected for it as for
    `negative_share`."""
    positive_weight: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    """Weight of a positive training row against a negative; margins are corrected for it.
    Regularised trees leave the level 10 to 20 % off: calibrate too."""
    refit: Literal["none", "early_stopping", "all"] = "none"
    """Rows that the model in use learns from besides the train rows, in a last fit for as many
    trees as early stopping found: early_stopping takes those rows too (as does true), all takes
    the calibration rows and the days between the parts besides. With all, the map to
    probabilities comes from every learned row after the train part, by models that learned from
    no row of its customer: no row calibrates its own fit. For parts in time only; no figures are
    given of rows that were learned, except those of train."""
    averaged: int = Field(default=1, ge=1, le=100)
    """Fits with different seeds whose mean margin is the model's. They are kept as one model with
    the trees of all, each leaf divided by the number of fits: contributions add up as before.
    Without `negative_share`, `colsample_bytree` or `subsample` below 1 a seed changes nothing."""

    @field_validator("refit", mode="before")
    @classmethod
    def _was_true_or_false(cls, value: object) -> object:
        """Read the settings of versions that knew one kind of refit."""
        return {True: "early_stopping", False: "none"}[value] if isinstance(value, bool) else value
