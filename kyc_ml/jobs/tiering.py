"""Propose the cut-offs of a tier policy from mature rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.arguments import read_moment
from kyc_ml.bundle import Bundle
from kyc_ml.config import SplitConfig, dump_section, load_section
from kyc_ml.contract.contracted import ContractedTables
from kyc_ml.contract.ending import observable_until
from kyc_ml.contract.folder import digest_together
from kyc_ml.contract.tables import CUSTOMER_ID
from kyc_ml.dataset import make_observations, mature_labels
from kyc_ml.engine.writing import require_place, written_whole
from kyc_ml.errors import DatasetError
from kyc_ml.features.table import DECISION_TIME
from kyc_ml.jobs.loading import features_and_facts, load_model
from kyc_ml.jobs.reading import choose_known_until, read_tables
from kyc_ml.jobs.watch import Watch
from kyc_ml.presentation import say_count, say_in_html, say_plainly, say_span
from kyc_ml.score import probabilities
from kyc_ml.splits import TEST, plan_out_of_time
from kyc_ml.tiers import (
    FitRows,
    Proposal,
    TierPolicy,
    diff_policies,
    judge_cut_offs,
    propose,
    segments_of,
)
from kyc_ml.tiers.calendar import decision_days


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """A proposal, what it was fitted on, and how it differs from the policy in force.

    Attributes
    ----------
    in_force : TierPolicy
    judged : DataFrame
        The cut-offs in force, held against the same rows; see `judge_cut_offs`.
    diff : str
        Unified diff of both policies as YAML.
    rows, positives, left_out : int
        Rows used, and rows of the period without a usable outcome.
    since, until : Timestamp
        Half-open period of the decisions.
    as_of : Timestamp
        What was known then told the outcomes.
    model : str
        Name, and version where it has one.
    model_digest, data_digest : str
        SHA-256 of the bundle, empty for one that was never saved, and of all input files.
    """

    proposal: Proposal
    in_force: TierPolicy
    judged: pd.DataFrame
    diff: str
    rows: int
    positives: int
    left_out: int
    since: pd.Timestamp
    until: pd.Timestamp
    as_of: pd.Timestamp
    model: str
    model_digest: str
    data_digest: str
    path: Path | None = None

    def findings(self) -> dict[str, object]:
        """Say how many targets are not met, and which tiers no row reaches."""
        unmet, nobody = self.proposal.unmet, self.proposal.unreached
        missed = f"{len(unmet)} of {self.proposal.targets} NOT met: {', '.join(unmet)}"
        found: dict[str, object] = {}
        if self.proposal.targets:
            found["targets"] = missed if unmet else f"all {self.proposal.targets} met"
        if nobody:
            found["no row reaches"] = ", ".join(nobody)
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


def run_tiers_fit(
    *,
    model: str,
    source: Path,
    data: Path,
    since: str | None,
    as_of: str | None,
    policy: Path | None,
    out: Path | None,
    quarantine: Path | None,
    watch: Watch,
) -> FitResult:
    """Propose cut-offs by the `fit` section of a policy; nothing is changed.

    Parameters
    ----------
    since : str or None
        First decision to fit on; None is the first of the test part of the training, whose
        rows the model has not seen.
    policy : Path or None
        The policy in force; None is the bundle's own.
    out : Path or None
        YAML file to write the proposed policy to.
    """
    if out is not None:
        require_place(out)
    bundle, label = load_model(model)
    in_force = bundle.policy if policy is None else load_section(policy, TierPolicy)
    tables, _ = read_tables(source, data, quarantine=quarantine, watch=watch)
    moment = choose_known_until(as_of, tables)
    start = None if since is None else read_moment(since, name="--since")
    found = fit_policy(bundle, tables, in_force, since=start, as_of=moment, watch=watch)
    found = replace(found, model=label, path=out)
    if out is not None:
        with written_whole(out) as handle:
            handle.write(write_proposal(found).encode())
    return found


def write_proposal(found: FitResult) -> str:
    """Write the proposed policy as YAML, headed by what it was fitted on, as comments."""
    facts = {
        "proposed by": "kyc-ml tiers fit; approved by nobody; in force stays "
        f"{found.in_force.label}",
        "model": f"{found.model}, SHA-256 {found.model_digest}",
        "data": f"SHA-256 {found.data_digest}, known on {found.as_of:%Y-%m-%d %H:%M} UTC",
        "rows": f"{found.rows:,}, {say_count(found.positives, 'positive')}, "
        f"{found.left_out:,} left out",
        "decided": f"{found.since:%Y-%m-%d} to before {found.until:%Y-%m-%d}",
        **found.findings(),
    }
    head = "".join(f"# {name}: {fact}\n" for name, fact in facts.items())
    return head + dump_section(found.proposal.policy)


def fit_policy(
    bundle: Bundle,
    tables: ContractedTables,
    in_force: TierPolicy,
    *,
    since: pd.Timestamp | None,
    as_of: pd.Timestamp,
    watch: Watch,
) -> FitResult:
    """Propose cut-offs by the `fit` section of a policy; nothing is written.

    Parameters
    ----------
    since : Timestamp or None
        First decision to fit on; None is the first whose row the model has not seen.

    Raises
    ------
    ConfigError, DatasetError
        As `propose` and `mature_rows` do.
    """
    start = unseen_since(bundle) if since is None else since
    rows, left_out, until = mature_rows(
        bundle, tables, in_force, since=start, as_of=as_of, watch=watch
    )
    proposal = propose(rows, in_force)
    return FitResult(
        proposal=proposal,
        in_force=in_force,
        judged=judge_cut_offs(rows, in_force),
        diff=diff_policies(in_force, proposal.policy),
        rows=rows.proba.size,
        positives=int(rows.target.sum()),
        left_out=left_out,
        since=start,
        until=until,
        as_of=as_of,
        model=bundle.config.name,
        model_digest=bundle.digest,
        data_digest=digest_together(tables.digests),
    )


def unseen_since(bundle: Bundle) -> pd.Timestamp:
    """Give the first decision whose row a model was neither fitted nor calibrated on."""
    trained = pd.Timestamp(bundle.data["as_of"])
    run = bundle.config
    if not isinstance(run.splits, SplitConfig):
        return trained
    boundaries = plan_out_of_time(as_of=trained, splits=run.splits, dataset=run.dataset)
    first = boundaries.parts[TEST][0]
    return trained if first is None else first


def mature_rows(
    bundle: Bundle,
    tables: ContractedTables,
    policy: TierPolicy,
    *,
    since: pd.Timestamp,
    as_of: pd.Timestamp,
    watch: Watch,
) -> tuple[FitRows, int, pd.Timestamp]:
    """Score the rows decided since a day whose outcome anybody can know at `as_of`.

    Returns
    -------
    rows : FitRows
    left_out : int
        Rows of the period without a usable outcome: open cases, and customers who were
        known as adverse.
    until : Timestamp
        End of the period: later outcomes are not mature.

    Raises
    ------
    DatasetError
        If no row is old enough.
    """
    run = bundle.config
    ripening = pd.Timedelta(days=run.dataset.horizon_days + run.dataset.label_maturity_days)
    until = observable_until(tables, as_of - ripening)
    if until <= since:
        msg = (
            f"no row decided since {since:%Y-%m-%d} is mature on {as_of:%Y-%m-%d}: outcomes take "
            f"{ripening.days} days; bring data until {since + ripening:%Y-%m-%d} at least"
        )
        raise DatasetError(msg)
    observations = make_observations(
        tables, unit=run.unit, start=since, end=until, config=run.dataset
    )
    labels = mature_labels(tables, observations, unit=run.unit, as_of=as_of, config=run.dataset)
    usable = labels.usable
    graded = bundle if policy is bundle.policy else replace(bundle, policy=policy)
    features, facts = features_and_facts(
        graded, tables, observations.filter(pa.array(usable)), watch
    )
    segment, _, _ = segments_of(facts, policy)
    decision = pd.DatetimeIndex(features.keys[DECISION_TIME].to_pandas())
    rows = FitRows(
        proba=probabilities(bundle, features),
        target=labels.target[usable],
        customers=features.keys[CUSTOMER_ID].to_pandas().to_numpy(dtype=object),
        segment=segment,
        days=decision_days(decision, policy.calendar),
    )
    return rows, int(np.sum(~usable)), until
