"""How margins become probabilities."""

from typing import Literal, Self

from pydantic import Field, model_validator

from kyc_ml.config.section import Section

CalibrationMethod = Literal["none", "platt", "beta", "isotonic", "venn_abers"]


class CalibrationConfig(Section):
    """Candidates compared by log loss on the calibration rows."""

    candidates: tuple[CalibrationMethod, ...] = Field(
        default=("none", "platt", "beta", "isotonic", "venn_abers"), min_length=1
    )
    """Maps from margin to probability to choose among; none keeps the model's probability."""
    folds: int = Field(default=5, ge=2)
    """Folds of the cross-validation that compares them."""
    seed: int = Field(default=20130105, ge=0)
    """Seed of the folds."""
    segment: str | None = None
    """Category feature, such as profile_segment, whose values each have a separate shift."""
    segment_strength: float | None = Field(default=None, ge=0.0, allow_inf_nan=False)
    """Expected positives' worth of pseudo-observations that pull a segment to the whole:
    0 leaves it to itself; none given, they are estimated from how far segments differ."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        faults = []
        if len(set(self.candidates)) < len(self.candidates):
            faults.append("a candidate is named twice")
        if self.segment_strength is not None and self.segment is None:
            faults.append("segment_strength is given, but no segment: name the feature")
        if faults:
            raise ValueError("; ".join(faults))
        return self
