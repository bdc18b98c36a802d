"""Which features are dropped before fitting."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from kyc_ml.config.section import Section


class SelectionConfig(Section):
    """Which features are dropped before fitting, by training rows only.

    Without a source, what is not said otherwise is convention.
    """

    renamed: ClassVar[Mapping[str, str]] = {"rounds": "n_estimators"}
    method: Literal["none", "noise"] = "none"
    """noise drops features no better than shuffled ones, and features unstable over time."""
    keep: tuple[str, ...] = ()
    """Features that are never dropped, such as the segment feature of calibration."""
    seed: int = Field(default=20130105, ge=0)
    """Seed of the sampled rows and of the shuffles."""
    repetitions: int = Field(default=5, ge=1)
    """Number of times that features are compared with shuffled ones."""
    noise_features: int = Field(default=50, ge=1)
    """Shuffled features added at each repetition: as many of few values as of many."""
    quantile: float = Field(default=0.9, ge=0.0, le=1.0)
    """A feature must gain more than this quantile of the shuffled ones, in most repetitions."""
    most_rows: int = Field(default=50_000, ge=100)
    """Rows of a repetition; negatives are left out first."""
    n_estimators: int = Field(default=60, ge=1)
    """Trees of the small model that ranks the features."""
    num_leaves: int = Field(default=15, ge=2)
    """Leaves of each of its trees."""
    time_blocks: int = Field(default=4, ge=2)
    """Number of blocks of training rows, equal in size and in order of time."""
    psi_limit: float | None = Field(default=None, gt=0.0)
    """Shift of a feature between two blocks above which it is dropped, by convention 0.25;
    None drops none: features with a long window shift while the history grows, and may still
    predict well."""
    flip_level: float | None = Field(default=0.01, gt=0.0, lt=1.0)
    """Level at which a feature's relation to the outcome must be significant, with opposite
    signs in two blocks, for it to be dropped; None drops none."""
