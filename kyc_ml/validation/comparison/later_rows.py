"""Choose rows that are new to two models, and compute the features of both."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.config import RunConfig
from kyc_ml.contract import ContractedTables
from kyc_ml.dataset import can_evaluate, evaluation_rows, labels_of
from kyc_ml.decision import merge_specs
from kyc_ml.display import ProgressReporter, say_moment
from kyc_ml.errors import LeakageError
from kyc_ml.features import OBSERVATION_ID, FeatureSpec, FeatureTable, build_features
from kyc_ml.registry import (
    Bundle,
    columns_of_bundle,
    features_and_facts,
    policy_needs,
    trained_until,
    zone_of,
)
from kyc_ml.training import is_cross_validated, list_fold_rows, predict_again
from kyc_ml.validation.comparison.rows import LaterRows

_NO_ROWS: Final = np.zeros(0, np.int64)


def first_later(
    challenger: Bundle, champion: Bundle, *, since: pd.Timestamp | None
) -> pd.Timestamp:
    """Return the first decision that neither model can have learned from, or a later `since`.

    Raises LeakageError if `since` is earlier.
    """
    first = max(trained_until(challenger), trained_until(champion))
    if since is None:
        return first
    if since < first:
        zone = zone_of(challenger)
        msg = (
            f"--since is {say_moment(since, zone)}, but the models were trained with what was "
            f"known on {say_moment(first, zone)}: they may have learned from the rows between; "
            "name that date or a later one, or leave it out"
        )
        raise LeakageError(msg)
    return since


def rows_new_to_both(
    challenger: Bundle,
    champion: Bundle,
    tables: ContractedTables,
    *,
    since: pd.Timestamp | None,
    as_of: pd.Timestamp,
    reporter: ProgressReporter,
) -> LaterRows:
    """Choose the rows to compare two models on: later rows, otherwise the out-of-fold rows of both.

    Out-of-fold rows are taken where both models were cross-validated by customer, `since` is
    None, and the mature later rows do not have both classes.
    """
    start = first_later(challenger, champion, since=since)
    if since is None and is_cross_validated(challenger) and is_cross_validated(champion):
        run = _run(challenger, champion)
        if not can_evaluate(tables, run, since=start, as_of=as_of):
            return _rows_out_of_fold(challenger, champion, tables, as_of=as_of, reporter=reporter)
    return _later_rows(challenger, champion, tables, since=start, as_of=as_of, reporter=reporter)


def _later_rows(
    challenger: Bundle,
    champion: Bundle,
    tables: ContractedTables,
    *,
    since: pd.Timestamp,
    as_of: pd.Timestamp,
    reporter: ProgressReporter,
) -> LaterRows:
    """List the observations in ``[since, as_of)`` with the features of both models."""
    # figures come only from rows that are old enough for any outcome to be known: of younger rows
    # the positives would be known first
    found = evaluation_rows(
        tables,
        _run(challenger, champion),
        since=since,
        as_of=as_of,
        cure=", or compare models trained earlier",
    )
    features = _features_of_both(challenger, champion, tables, found.observations, reporter)
    return LaterRows(
        challenger=features[0],
        champion=features[1],
        status=found.labels.status,
        evaluated=found.counted,
        since=since,
        end=found.end,
        as_of=as_of,
    )


def _rows_out_of_fold(
    challenger: Bundle,
    champion: Bundle,
    tables: ContractedTables,
    *,
    as_of: pd.Timestamp,
    reporter: ProgressReporter,
) -> LaterRows:
    """Predict the rows that both models were cross-validated on, each with its own folds."""
    # every row is new to the model of its fold, also where the two models have different folds.
    # Equal folds only make the paired differences less random
    found = [list_fold_rows(bundle, tables) for bundle in (challenger, champion)]
    ids = [rows.observations[OBSERVATION_ID].to_numpy(zero_copy_only=False) for rows in found]
    _, mine, theirs = np.intersect1d(ids[0], ids[1], assume_unique=True, return_indices=True)
    tables_of, predictions = [], []
    for bundle, rows, here in zip((challenger, champion), found, (mine, theirs), strict=True):
        if rows.difference:
            reporter.warning(rows.difference)
        _, facts = features_and_facts(bundle, tables, rows.observations, reporter)
        predicted, probability = predict_again(bundle, facts, rows.target, tell=reporter.progress)
        tables_of.append(facts.take(here))
        predictions.append((predicted.margin[here], probability[here]))
    observations = found[1].observations.take(pa.array(theirs))
    # what was known at a training cannot become unknown through an earlier `as_of`
    known = max(as_of, *(rows.until for rows in found))
    labels = labels_of(tables, observations, _run(challenger, champion), as_of=known)
    return LaterRows(
        challenger=tables_of[0],
        champion=tables_of[1],
        status=labels.status,
        evaluated=np.asarray(labels.usable & labels.settled),
        since=max(each.since for each in found),
        end=min(each.until for each in found),
        as_of=as_of,
        out_of_fold=(predictions[0], predictions[1]),
    )


def join_specs(
    one: tuple[FeatureSpec, ...], other: tuple[FeatureSpec, ...]
) -> tuple[FeatureSpec, ...] | None:
    """Merge the declarations of two models; None if they declare a feature differently.

    A feature that is intermediate in one model and shown in the other is shown.
    """
    merged = {spec.name: spec for spec in one}
    for spec in other:
        known = merged.setdefault(spec.name, spec)
        if replace(known, intermediate=spec.intermediate) != spec:
            return None
        if known.intermediate:
            merged[spec.name] = spec
    return tuple(merged.values())


def _run(challenger: Bundle, champion: Bundle) -> RunConfig:
    """Return the champion's configuration, with the longer of both label maturities."""
    both = [bundle.config.dataset for bundle in (challenger, champion)]
    maturity = max(each.label_maturity_days for each in both)
    dataset = both[1].model_copy(update={"label_maturity_days": maturity})
    return champion.config.model_copy(update={"dataset": dataset})


def _features_of_both(
    challenger: Bundle,
    champion: Bundle,
    tables: ContractedTables,
    observations: pa.Table,
    reporter: ProgressReporter,
) -> tuple[FeatureTable, FeatureTable]:
    specs = join_specs(challenger.specs, champion.specs)
    if specs is None:
        reporter.info("the models declare a feature differently: features are computed for each")
        _, new = features_and_facts(challenger, tables, observations, reporter)
        _, old = features_and_facts(champion, tables, observations, reporter)
        return new, old
    for bundle in (challenger, champion):
        specs = merge_specs(specs, policy_needs(bundle))
    built = build_features(
        tables,
        observations,
        specs=specs,
        progress=lambda done, total: reporter.progress("building features", done, total),
    )
    for bundle in (challenger, champion):
        # raises if a column is missing; without rows, because it copies them
        columns_of_bundle(bundle, built.take(_NO_ROWS))
    return built, built
