"""The objective of a comparison, and what reviews and misses cost."""

from typing import Annotated

from pydantic import Field

from kyc_ml.config import Objective, Section

Amount = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class ComparisonSettings(Section):
    """How two models are compared. Without a source, a number is convention."""

    objective: Objective = "average_precision"
    """The figure that decides the verdict; recall_at_capacity is that of the first capacity."""
    capacities: tuple[Amount, ...] = Field(default=(50.0,), min_length=1)
    """Reviews a day."""
    review_cost: Amount = 1.0
    """Cost of one review, in the unit of `miss_cost`."""
    miss_cost: Amount = 100.0
    """Loss of one positive that is not reviewed."""
    samples: int = Field(default=1000, ge=100)
    """Bootstrap samples of the customers. Source of the size: Davison and Hinkley 1997,
    Bootstrap Methods and their Application, section 5.2.2."""
    seed: int = Field(default=20130105, ge=0)
    """Draws the samples."""
    reasons: int = Field(default=3, ge=1)
    """Features listed for each row that changes its tier."""
