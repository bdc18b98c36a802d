"""Everything one training run needs besides the data."""

import re
from typing import Self

from pydantic import Field, field_validator, model_validator

from kyc_ml.config.calibration import CalibrationConfig
from kyc_ml.config.dataset import DatasetConfig, Unit
from kyc_ml.config.features import FeatureConfig
from kyc_ml.config.model import ModelConfig
from kyc_ml.config.section import Section
from kyc_ml.config.selection import SelectionConfig
from kyc_ml.config.splits import CustomerFoldsConfig, SplitConfig
from kyc_ml.config.stability import StabilityConfig
from kyc_ml.config.tuning import TuningConfig


class ExplainConfig(Section):
    """Number of reasons of each scored row, and the rows it is compared with."""

    reasons: int = Field(default=3, ge=1, le=20)
    """Reasons of each scored row, the strongest first."""
    peers: str | tuple[str, ...] | None = None
    """Category features whose values make rows comparable, the most important first, such as
    direction, instrument and channel of a payment; of a list, fields that the run or its source
    lacks are passed over. None compares with the whole bank."""

    @property
    def comparable(self) -> tuple[str, ...]:
        """The fields of `peers`, in their order."""
        return (self.peers,) if isinstance(self.peers, str) else self.peers or ()


class RunConfig(Section):
    """Everything one training run needs besides the data."""

    name: str
    """Name of the registered model and of its files."""
    unit: Unit
    """fraud scores each transaction as it happens, risk each customer on a review date."""
    features: FeatureConfig
    dataset: DatasetConfig = DatasetConfig()
    splits: SplitConfig | CustomerFoldsConfig = Field(default=SplitConfig(), discriminator="method")
    """How rows are split into training, early stopping, calibration and test; without a method, in
    time."""
    model: ModelConfig = ModelConfig()
    selection: SelectionConfig = SelectionConfig()
    stability: StabilityConfig = StabilityConfig()
    calibration: CalibrationConfig = CalibrationConfig()
    tuning: TuningConfig = TuningConfig()
    explain: ExplainConfig = ExplainConfig()
    tiers: str
    """Path of the tier policy, relative to this file."""
    rating: str | None = None
    """Path of an expert scorecard to compare the model with, relative to this file."""

    @field_validator("name")
    @classmethod
    def _name_names_a_model_and_files(cls, name: str) -> str:
        if not re.fullmatch(r"\w([\w .-]*\w)?", name):
            msg = f"must be letters, digits, '_', and '-', '.' or blanks between them, got {name!r}"
            raise ValueError(msg)
        return name

    @model_validator(mode="after")
    def _risk_has_a_horizon(self) -> Self:
        if (self.unit == "risk") != (self.dataset.horizon_days > 0):
            raise ValueError(
                f"dataset.horizon_days is {self.dataset.horizon_days} for unit {self.unit!r}: "
                "a risk model needs a horizon above 0, a fraud model has none"
            )
        gap = self.splits.inner_embargo_days if isinstance(self.splits, SplitConfig) else None
        if gap is not None and gap < self.dataset.horizon_days:
            raise ValueError(
                f"splits.inner_embargo_days ({gap}) must be at least dataset.horizon_days "
                f"({self.dataset.horizon_days}): otherwise one outcome labels rows of two parts"
            )
        return self

    @model_validator(mode="after")
    def _selection_keeps_the_segment(self) -> Self:
        segment = self.calibration.segment
        if self.selection.method != "none" and segment not in {None, *self.selection.keep}:
            raise ValueError(
                f"calibration.segment is {segment!r}, but selection may drop it: add it to "
                "selection.keep"
            )
        return self
