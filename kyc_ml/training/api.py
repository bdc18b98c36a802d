"""Train, tune and fit tiers in memory: what the commands do, without a file or MLflow."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kyc_ml.config import (
    CustomerFoldsConfig,
    FilePath,
    RunConfig,
    TimeLike,
    parse_time,
    read_path,
    require_kind,
    require_section,
)
from kyc_ml.contract import ContractedTables, StoredTables, Tables, known_until, require_contracted
from kyc_ml.decision import Scorecard, TierPolicy
from kyc_ml.display import ProgressReporter, StageProgress
from kyc_ml.errors import ConfigError, Faults
from kyc_ml.features import FeatureTable, on_source, require_named_features
from kyc_ml.registry import Bundle, require_currency
from kyc_ml.storage import private_folder
from kyc_ml.training.customer_folds import train_customer_folds
from kyc_ml.training.evidence import Trained
from kyc_ml.training.facts import state_facts
from kyc_ml.training.out_of_time import train_out_of_time
from kyc_ml.training.tier_fitting import FitResult, fit_policy
from kyc_ml.training.tuning.tune import Tuned, tune_tables, with_budget


def train(
    source: Tables,
    *,
    config: RunConfig,
    policy: TierPolicy,
    as_of: TimeLike | None = None,
    data: Mapping[str, Any] = MappingProxyType({}),
    card: Scorecard | None = None,
    features: FeatureTable | None = None,
    progress: StageProgress | None = None,
) -> Trained:
    """Train, calibrate and evaluate a model with what was known at `as_of`.

    Features of stored tables, and those that would take more than 2 GiB, stay in files of the
    system's temporary folder, at most 16 bytes each, and only rows that are fitted or evaluated
    come into memory. All results are equal to the last bit.

    Parameters
    ----------
    source : ContractedTables or StoredTables
    as_of : Timestamp with a zone, ISO text or None
        What was known then is used; text without a zone is UTC, None is the end of the data:
        the midnight (UTC) after the last transaction or event. The bundle states it: rows
        decided later are new to the model for `compare`, `validate` and `fit_tiers`.
    data : mapping, optional
        Facts about the source that go into the bundle, such as its name and digests. The
        bundle's `as_of` and `base_currency` are those of this call and of `source`, and need
        not be here.
    card : Scorecard, optional
        Expert rating to compare the model with, on the same test rows.
    features : FeatureTable, optional
        Features of the observations in `source`, computed before, in any order; for parts in order
        of time. None computes them.

    Raises
    ------
    ConfigError
        If cross-validation by customer is combined with selection, refits or a scorecard, the
        configuration names features that it does not choose, `as_of` has no zone or lies
        beyond the data, an argument is of another kind, or `data` has another currency.
    LeakageError
        If `data` has another `as_of`.
    DatasetError
        If the labelled observations cannot carry a model.
    """
    require_section(config, RunConfig, name="config")
    require_section(policy, TierPolicy, name="policy")
    source = source.keys() if isinstance(source, StoredTables) else source
    require_contracted(source)
    config = on_source(config, source.attributes)
    require_named_features(config)
    moment = known_until(source, parse_time(as_of, name="as_of", zone=source.timezone))
    facts = state_facts(data, source, as_of=moment)
    tell = progress or ProgressReporter().progress
    if isinstance(config.splits, CustomerFoldsConfig):
        _require_no_extras(config, card)
        if features is not None:
            raise ConfigError("features are given for parts in order of time, not customer_folds")
        return train_customer_folds(
            source if source.stored is None else source.stored.keys(whole=True),
            config=config,
            splits=config.splits,
            policy=policy,
            as_of=moment,
            data=facts,
            tell=tell,
        )
    with private_folder(None) as scratch:
        return train_out_of_time(
            source,
            config=config,
            splits=config.splits,
            policy=policy,
            card=card,
            as_of=moment,
            data=facts,
            tell=tell,
            scratch=scratch,
            given=features,
        )


def tune(
    source: ContractedTables,
    *,
    config: RunConfig,
    as_of: TimeLike | None = None,
    trials: int | None = None,
    minutes: float | None = None,
    study: FilePath | None = None,
) -> Tuned:
    """Search LightGBM parameters on folds, and compare the best on rows that no choice saw.

    Folds lie in time and the rows are later ones; of a run cross-validated by customer both are
    folds by customer, nested.

    Parameters
    ----------
    as_of : Timestamp with a zone, ISO text or None
        What was known then is used; None is the end of the data: the midnight (UTC)
        after the last transaction or event.
    trials, minutes
        Budgets to use instead of the configuration's.
    study : path or None
        SQLite file of a study to create or resume; None keeps none.

    Raises
    ------
    ConfigError
        If tuning cannot follow a setting, the study is of other data or settings, `as_of` has no
        zone, or an argument is of another kind.
    DatasetError
        If a fold lacks rows of either class.

    Examples
    --------
    Ten trials, then a training with what they found::

        tuned = kyc_ml.tune(tables, config=config, trials=10)
        trained = kyc_ml.train(tables, config=tuned.config, policy=policy, ...)
    """
    require_contracted(source)
    require_section(config, RunConfig, name="config")
    run = with_budget(config, trials=trials, minutes=minutes)
    moment = known_until(source, parse_time(as_of, name="as_of", zone=source.timezone))
    with tempfile.TemporaryDirectory() as scratch:
        kept = None if study is None else read_path(study, name="study")
        tuned = tune_tables(
            source,
            config=run,
            as_of=moment,
            facts={"files": dict(source.digests), "as_of": moment.isoformat()},
            study=kept or Path(scratch) / "study.db",
            reporter=ProgressReporter(),
        )
    return replace(tuned, study=kept)


def fit_tiers(
    bundle: Bundle,
    source: ContractedTables,
    *,
    policy: TierPolicy | None = None,
    since: TimeLike | None = None,
    as_of: TimeLike | None = None,
    learned_rows: bool = False,
) -> FitResult:
    """Propose cut-offs by the `fit` section of a tier policy; nothing is changed.

    Parameters
    ----------
    policy : TierPolicy or None
        The policy in force; None is the bundle's own.
    since : Timestamp with a zone, ISO text or None
        First decision to fit on; None is the first whose row the model has not seen, and of
        a model cross-validated by customer all its rows out of fold.
    as_of : Timestamp with a zone, ISO text or None
        What was known then is used; None is the end of the data: the midnight (UTC)
        after the last transaction or event.
    learned_rows : bool
        Allow an earlier `since`; the proposal then warns of it.

    Raises
    ------
    LeakageError
        If the model learned from rows that `since` lets in.
    ConfigError
        If the policy has no `fit` section, the proposed policy is not valid, the source
        is of another currency, or a time has no zone.
    DatasetError
        If no row is old enough, or the rows cannot meet a target.

    Examples
    --------
    ::

        fitted = kyc_ml.fit_tiers(trained.bundle, tables)
        fitted.proposal.table
        print(fitted.diff)
    """
    require_kind(
        bundle,
        Bundle,
        name="bundle",
        cure="give .bundle of what kyc_ml.train returns, or read a folder with kyc_ml.load_bundle",
    )
    require_contracted(source)
    require_currency(bundle, source)
    first = parse_time(since, name="since", zone=source.timezone)
    moment = known_until(source, parse_time(as_of, name="as_of", zone=source.timezone))
    in_force = bundle.policy if policy is None else policy
    return fit_policy(
        bundle,
        source,
        in_force,
        since=first,
        as_of=moment,
        reporter=ProgressReporter(),
        learned_rows=learned_rows,
    )


def _require_no_extras(config: RunConfig, card: Scorecard | None) -> None:
    """Raise for settings that need parts in time: ignoring them silently would mislead."""
    asked = {
        "selection.method": config.selection.method != "none",
        "model.refit": config.model.refit != "none",
        "stability.seed_refits": config.stability.seed_refits > 0,
        "stability.bootstrap_refits": config.stability.bootstrap_refits > 0,
        "rating": card is not None,
    }
    faults = Faults("splits.method is customer_folds", ConfigError)
    faults.extend(
        f"{name} works with out_of_time only: leave it out" for name in asked if asked[name]
    )
    faults.raise_if_any()
