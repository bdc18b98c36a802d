"""How LightGBM's parameters are searched."""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from kyc_ml.config.model import ModelConfig
from kyc_ml.config.section import Section
from kyc_ml.config.splits import PrequentialConfig


class IntRange(Section):
    """Whole numbers to search, both ends included."""

    low: int
    """Lowest value tried."""
    high: int
    """Highest value tried."""
    log: bool = True
    """Whether to search by order of magnitude; low must be above 0 then."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        _require_range(self.low, self.high, log=self.log)
        return self


class FloatRange(Section):
    """Numbers to search, both ends included."""

    low: float
    """Lowest value tried."""
    high: float
    """Highest value tried."""
    log: bool = False
    """Whether to search by order of magnitude; low must be above 0 then."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        _require_range(self.low, self.high, log=self.log)
        return self


def _require_range(low: float, high: float, *, log: bool) -> None:
    if low > high:
        raise ValueError(f"low ({low}) must not exceed high ({high})")
    if log and low <= 0:
        raise ValueError(f"low must be above 0 where log is true, got {low}")


class SearchConfig(Section):
    """Which values tuning tries, by the name of the parameter; convention, not theory.

    Where the configuration's own value is outside, the range is widened to hold it.
    """

    renamed: ClassVar[Mapping[str, str]] = ModelConfig.renamed
    num_leaves: IntRange = IntRange(low=4, high=128)
    learning_rate: FloatRange = FloatRange(low=0.02, high=0.3, log=True)
    min_child_samples: IntRange = IntRange(low=10, high=500)
    colsample_bytree: FloatRange = FloatRange(low=0.1, high=1.0)
    subsample: FloatRange = FloatRange(low=0.5, high=1.0)
    reg_lambda: FloatRange = FloatRange(low=0.0, high=50.0)
    max_bin: IntRange = IntRange(low=31, high=255)

    @model_validator(mode="after")
    def _models_can_have_them(self) -> Self:
        for end in ("low", "high"):
            ModelConfig(
                **{name: getattr(getattr(self, name), end) for name in type(self).model_fields}
            )
        return self


SEARCHED: Final = tuple(SearchConfig.model_fields)
"""Names of the model parameters that tuning searches."""


Objective = Literal["average_precision", "log_loss", "recall_at_capacity", "expected_cost"]


class TuningConfig(Section):
    """How `kyc-ml tune` searches LightGBM parameters: on which folds, for what, how long."""

    folds: PrequentialConfig = PrequentialConfig(method="prequential", folds=3)
    """Of a run with splits.method customer_folds only their number is read: this many inner folds
    by customer choose, and the run's own folds test."""
    objective: Objective = "average_precision"
    """Metric that chooses the parameters, as a mean over the folds."""
    capacity_per_day: float = Field(default=50.0, gt=0.0, allow_inf_nan=False)
    """Reviews a day that recall_at_capacity allows for."""
    review_cost: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    """Cost of one review, for expected_cost; in the unit of `miss_cost`."""
    miss_cost: float = Field(default=100.0, gt=0.0, allow_inf_nan=False)
    """Cost of one positive that is not reviewed. What pays is reviewed: every row whose
    probability times `miss_cost` is at least `review_cost`."""
    trials: int = Field(default=40, ge=1)
    """Trials of the whole study; those of earlier, interrupted runs count."""
    minutes: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    """No trial of a run starts after this many minutes; None sets no limit."""
    negative_share: float | None = Field(default=None, gt=0.0, le=1.0)
    """Share of the negatives that trials train on, for speed; None takes the model's own. What
    counts rows, such as min_child_samples, is then found for fewer rows than training has."""
    seed: int = Field(default=20130105, ge=0)
    """Draws the parameters to try and the samples of the comparison."""
    search: SearchConfig = SearchConfig()
