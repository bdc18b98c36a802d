"""Tables and a configuration in, a bundle and its evidence out. Pure: it writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from kyc_ml.config import CustomerFoldsConfig, RunConfig, TimeLike, parse_time, require_section
from kyc_ml.contract import ContractedTables, require_contracted
from kyc_ml.decision import Scorecard, TierPolicy
from kyc_ml.display import ProgressReporter, StageProgress
from kyc_ml.errors import ConfigError, Faults
from kyc_ml.features import on_source, require_named_features
from kyc_ml.training.customer_folds import train_customer_folds
from kyc_ml.training.evidence import Trained
from kyc_ml.training.facts import state_facts
from kyc_ml.training.out_of_time import train_out_of_time


def train(
    source: ContractedTables,
    *,
    config: RunConfig,
    policy: TierPolicy,
    as_of: TimeLike,
    data: Mapping[str, Any] = MappingProxyType({}),
    card: Scorecard | None = None,
    progress: StageProgress | None = None,
) -> Trained:
    """Train, calibrate and evaluate a model with what was known at `as_of`.

    Parameters
    ----------
    as_of : Timestamp with a zone, or ISO text
        Text is UTC unless it says otherwise. The bundle states it, and `compare`, `validate`
        and `fit_tiers` take rows for new by it.
    data : mapping, optional
        Facts about the source that go into the bundle, such as its name and digests. The
        bundle's `as_of` and `base_currency` are those of this call and of `source`, and need
        not be here.
    card : Scorecard, optional
        Expert rating to compare the model with, on the same test rows.

    Raises
    ------
    ConfigError
        If selection, refits or a card are asked for where rows are not parted in time, the
        configuration names features that it does not choose, `as_of` has no zone, an argument
        is of another kind, or `data` has another currency.
    LeakageError
        If `data` has another `as_of`.
    DatasetError
        If the labelled observations cannot carry a model.
    """
    require_section(config, RunConfig, name="config")
    require_section(policy, TierPolicy, name="policy")
    require_contracted(source)
    config = on_source(config, source.attributes)
    require_named_features(config)
    moment = parse_time(as_of, name="as_of")
    facts = state_facts(data, source, as_of=moment)
    tell = progress or ProgressReporter().progress
    if isinstance(config.splits, CustomerFoldsConfig):
        _require_no_extras(config, card)
        return train_customer_folds(
            source,
            config=config,
            splits=config.splits,
            policy=policy,
            as_of=moment,
            data=facts,
            tell=tell,
        )
    return train_out_of_time(
        source,
        config=config,
        splits=config.splits,
        policy=policy,
        card=card,
        as_of=moment,
        data=facts,
        tell=tell,
    )


def _require_no_extras(config: RunConfig, card: Scorecard | None) -> None:
    """Refuse what needs parts in time: it must not be left out in silence."""
    asked = {
        "selection.method": config.selection.method != "none",
        "model.refit": config.model.refit,
        "stability.seed_refits": config.stability.seed_refits > 0,
        "stability.bootstrap_refits": config.stability.bootstrap_refits > 0,
        "rating": card is not None,
    }
    faults = Faults("splits.method is customer_folds", ConfigError)
    faults.extend(
        f"{name} works with out_of_time only: leave it out" for name in asked if asked[name]
    )
    faults.raise_if_any()
