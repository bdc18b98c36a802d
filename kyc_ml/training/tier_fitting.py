"""Propose the cut-offs of a tier policy from rows with known outcomes; nothing is written."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.contract import ContractedTables, digest_together
from kyc_ml.dataset import customers_of, evaluation_rows
from kyc_ml.decision import (
    CutOffProposal,
    FitRows,
    TierPolicy,
    decision_days,
    diff_policies,
    evaluate_cut_offs,
    propose,
    require_fit,
    tier_segments,
)
from kyc_ml.display import (
    ProgressReporter,
    say_count,
    say_in_html,
    say_moment,
    say_plainly,
    say_span,
)
from kyc_ml.errors import LeakageError
from kyc_ml.features import DECISION_TIME, FeatureTable, microseconds
from kyc_ml.metrics import Floats
from kyc_ml.registry import Bundle, features_and_facts, predict, zone_of
from kyc_ml.training.evaluation_rows import is_cross_validated, list_fold_rows, unseen_since
from kyc_ml.training.out_of_fold import predict_again

Basis = Literal["unseen", "out_of_fold", "learned"]
"""What rows are to a model: new, predicted by folds without their customer, or learned from."""

_KINDS: Final[dict[Basis, str]] = {
    "unseen": "the model has not seen them",
    "out_of_fold": "out of fold: each predicted by a model that saw nothing of its customer; they "
    "are not later than the training and show no change over time",
    "learned": "WARNING: the model learned from rows of this period; rates look better than they "
    "are, and no cut-off fitted on them should be approved",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """Proposed cut-offs, the rows they were fitted on, and the difference from the policy in force.

    Attributes
    ----------
    in_force : TierPolicy
    judged : DataFrame
        The cut-offs in force, evaluated on the same rows; see `evaluate_cut_offs`.
    diff : str
        Unified diff of both policies as YAML.
    rows, positives, left_out : int
        Rows used, and rows of the period without a usable outcome.
    since, until : Timestamp
        Half-open period of the decisions, in the time zone of the source.
    as_of : Timestamp
        The outcomes are those known then; in the same zone.
    model : str
        Name, and version where it has one.
    model_digest, data_digest : str
        SHA-256 of the bundle, empty for one that was never saved, and of all input files.
    basis : 'unseen', 'out_of_fold' or 'learned'
        What the rows are to the model.
    """

    proposal: CutOffProposal
    in_force: TierPolicy
    judged: pd.DataFrame
    rows: int
    positives: int
    left_out: int
    since: pd.Timestamp
    until: pd.Timestamp
    as_of: pd.Timestamp
    model: str
    model_digest: str
    data_digest: str
    basis: Basis = "unseen"
    path: Path | None = None

    @property
    def diff(self) -> str:
        """Unified diff of the policy in force and the proposed one as YAML."""
        return diff_policies(self.in_force, self.proposal.policy)

    def findings(self) -> dict[str, object]:
        """Return the kind of the rows, the targets that are missed, and the tiers without a row."""
        unmet, empty = self.proposal.unmet, self.proposal.unreached
        missed = f"{len(unmet)} of {self.proposal.targets} NOT met: {', '.join(unmet)}"
        found: dict[str, object] = {"kind of rows": _KINDS[self.basis]}
        if self.proposal.targets:
            found["targets"] = missed if unmet else f"all {self.proposal.targets} met"
        if empty:
            found["no row reaches"] = ", ".join(empty)
        return found

    def _facts(self) -> dict[str, object]:
        return {
            "fitted on": f"{say_count(self.rows, 'row')}, {self.positives:,} positive, decided "
            f"{say_span(self.since, self.until)}",
            "left out": f"{say_count(self.left_out, 'row')} without a usable outcome",
            "proposed": f"{self.proposal.policy.label}; in force stays {self.in_force.label}",
            **self.findings(),
            **{f"note {place}": note for place, note in enumerate(self.proposal.notes, start=1)},
        }

    def __repr__(self) -> str:
        return say_plainly("Fitted tiers", self._facts())

    def _repr_html_(self) -> str:
        columns = ["segment", "tier", "in_force", "proposed", "low", "high", "alerts", "met"]
        table = self.proposal.table[columns]
        return say_in_html("Fitted tiers", self._facts(), tables=[table])


def fit_policy(
    bundle: Bundle,
    tables: ContractedTables,
    in_force: TierPolicy,
    *,
    since: pd.Timestamp | None,
    as_of: pd.Timestamp,
    reporter: ProgressReporter,
    learned_rows: bool = False,
) -> FitResult:
    """Propose cut-offs by the `fit` section of a policy; nothing is written.

    `since`: first decision to fit on; None is the first whose row the model has not seen, and of a
    model cross-validated by customer all its rows out of fold.
    `learned_rows`: allow an earlier `since`; the proposal then warns of it.
    Raises ConfigError or DatasetError as `propose`, `mature_rows` and `list_fold_rows` do;
    LeakageError if the model learned from rows that `since` lets in.
    """
    require_fit(in_force)
    basis, start = require_unseen(bundle, since, learned_rows=learned_rows)
    if start is None:
        rows, start, until = _out_of_fold_rows(bundle, tables, in_force, reporter=reporter)
        as_of, left_out = until, 0
    else:
        rows, left_out, until = mature_rows(
            bundle, tables, in_force, since=start, as_of=as_of, reporter=reporter
        )
    return FitResult(
        proposal=propose(rows, in_force),
        in_force=in_force,
        judged=evaluate_cut_offs(rows, in_force),
        rows=rows.proba.size,
        positives=int(rows.target.sum()),
        left_out=left_out,
        since=start.tz_convert(tables.timezone),
        until=until.tz_convert(tables.timezone),
        as_of=as_of.tz_convert(tables.timezone),
        model=bundle.config.name,
        model_digest=bundle.digest,
        data_digest=digest_together(tables.digests),
        basis=basis,
    )


def require_unseen(
    bundle: Bundle, since: pd.Timestamp | None, *, learned_rows: bool
) -> tuple[Basis, pd.Timestamp | None]:
    """Choose the rows to fit on; raise for rows that the model learned from.

    Returns `start`: first decision; None for out-of-fold rows.
    """
    unseen = unseen_since(bundle)
    if since is None and is_cross_validated(bundle):
        return "out_of_fold", None
    start = unseen if since is None else since
    if start >= unseen:
        return "unseen", start
    if learned_rows:
        return "learned", start
    cure = (
        "leave --since out to fit on its out-of-fold rows"
        if is_cross_validated(bundle)
        else "leave --since out to fit on the rows that it has not seen"
    )
    raise LeakageError(
        f"--since is {say_moment(start, zone_of(bundle))}, but the model learned from rows decided "
        f"before {say_moment(unseen, zone_of(bundle))}: their probabilities are too good, and "
        f"cut-offs fitted on them biased; {cure}, name that date or a later one, or force it with "
        "--learned-rows: the proposal then states it"
    )


def mature_rows(
    bundle: Bundle,
    tables: ContractedTables,
    policy: TierPolicy,
    *,
    since: pd.Timestamp,
    as_of: pd.Timestamp,
    reporter: ProgressReporter,
) -> tuple[FitRows, int, pd.Timestamp]:
    """Score the rows decided since a day whose outcome is mature at `as_of`.

    Raises DatasetError if no row is old enough.

    Returns `left_out`: rows of the period without a usable outcome: open cases, and customers with
    an earlier adverse outcome.
    Returns `until`: end of the period: later outcomes are not mature.
    """
    found = evaluation_rows(tables, bundle.config, since=since, as_of=as_of)
    used = found.counted
    features, facts = _build(
        bundle, tables, policy, found.observations.filter(pa.array(used)), reporter
    )
    _, proba, _ = predict(bundle, features)
    rows = _fit_rows(features, facts, policy, proba=proba, target=found.labels.target[used])
    before_end = microseconds(found.observations[DECISION_TIME]) < found.end.value // 1000
    return rows, int(np.sum(before_end & ~used)), found.end


def _out_of_fold_rows(
    bundle: Bundle, tables: ContractedTables, policy: TierPolicy, *, reporter: ProgressReporter
) -> tuple[FitRows, pd.Timestamp, pd.Timestamp]:
    """Predict the rows of a cross-validated training by the models of its folds; since, until."""
    found = list_fold_rows(bundle, tables)
    if found.difference:
        reporter.warning(found.difference)
    features, facts = _build(bundle, tables, policy, found.observations, reporter)
    _, proba = predict_again(bundle, features, found.target, tell=reporter.progress)
    rows = _fit_rows(features, facts, policy, proba=proba, target=found.target)
    return rows, found.since, found.until


def _build(
    bundle: Bundle,
    tables: ContractedTables,
    policy: TierPolicy,
    observations: pa.Table,
    reporter: ProgressReporter,
) -> tuple[FeatureTable, FeatureTable]:
    graded = bundle if policy is bundle.policy else replace(bundle, policy=policy)
    return features_and_facts(graded, tables, observations, reporter)


def _fit_rows(
    features: FeatureTable,
    facts: FeatureTable,
    policy: TierPolicy,
    *,
    proba: Floats,
    target: Floats,
) -> FitRows:
    segment, _, _ = tier_segments(facts, policy)
    decision = pd.DatetimeIndex(features.keys[DECISION_TIME].to_pandas())
    return FitRows(
        proba=proba,
        target=target,
        customers=customers_of(features.keys),
        segment=segment,
        days=decision_days(decision, policy.calendar),
    )
