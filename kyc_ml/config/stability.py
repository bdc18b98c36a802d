"""Refits that show how much of a model is due to chance."""

from pydantic import Field, field_validator

from kyc_ml.config.section import Section


class StabilityConfig(Section):
    """Refits that show how much of a model is due to chance; 0 refits skips a kind."""

    seed_refits: int = Field(default=0, ge=0)
    """Refits with other seeds, on the same rows; 0 or at least 2."""
    bootstrap_refits: int = Field(default=0, ge=0)
    """Refits on customers drawn with replacement; 0 or at least 2."""
    seed: int = Field(default=20130105, ge=0)
    """Seed of the bootstrap samples and of the explained rows."""
    top_features: int = Field(default=20, ge=1)
    """Number of features, by mean contribution, that are compared between refits."""
    top_reasons: int = Field(default=3, ge=1)
    """Number of reasons of each row that are compared between refits."""
    explained_rows: int = Field(default=2_000, ge=1)
    """Most test rows whose reasons are compared."""

    @field_validator("seed_refits", "bootstrap_refits")
    @classmethod
    def _one_has_no_spread(cls, refits: int) -> int:
        if refits == 1:
            raise ValueError("must be 0 or at least 2: one refit has no spread")
        return refits
