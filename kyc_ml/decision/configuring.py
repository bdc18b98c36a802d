"""A run configuration with the files that it names."""

from dataclasses import dataclass
from pathlib import Path

from kyc_ml.config import RunConfig, SourceMapping, load_section
from kyc_ml.decision.needs import policy_features
from kyc_ml.decision.rating.card import Scorecard
from kyc_ml.decision.tiers.policy import TierPolicy
from kyc_ml.features import on_source, require_named_features


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """A run configuration and the files that it names."""

    run: RunConfig
    policy: TierPolicy
    card: Scorecard | None
    """The expert rating that the model is compared with."""


def load_run(config: Path, *, source: Path | None = None) -> RunFiles:
    """Read a run configuration, its tier policy and, if it names one, its rating card.

    Parameters
    ----------
    source : Path or None
        Source mapping whose attributes the run may use.

    Raises
    ------
    ConfigError
        If one of the files cannot be read or breaks its rules, the run names a feature that
        does not exist for it, or the policy reads one that the run does not declare.
    """
    run = load_section(config, RunConfig)
    policy = load_section(config.parent / run.tiers, TierPolicy)
    if source is not None:
        run = on_source(run, load_section(source, SourceMapping).attributes)
    require_named_features(run)
    policy_features(policy, run.features, unit=run.unit)
    return RunFiles(
        run=run,
        policy=policy,
        card=None if run.rating is None else load_section(config.parent / run.rating, Scorecard),
    )
