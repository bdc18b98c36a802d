"""The model under validation, the champion beside it, and what training again gives."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from kyc_ml.contract import ContractedTables
from kyc_ml.decision import Scorecard
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import RegistryError, UnreachableError
from kyc_ml.features import OBSERVATION_ID
from kyc_ml.metrics import Floats
from kyc_ml.registry import (
    Bundle,
    Candidate,
    fetch_candidate,
    fetch_record,
    load_model,
    load_record,
    require_comparable,
    trained_until,
)
from kyc_ml.training import is_cross_validated, list_fold_rows, run_reproduce
from kyc_ml.validation.evidence import ChampionScores, Retrained
from kyc_ml.validation.result import ModelIdentity
from kyc_ml.validation.validation_rows import ValidationRows, collect_rival


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewedModel:
    """The model as the registry, or a folder, has it.

    Attributes
    ----------
    address : str
        What was asked for.
    candidate : Candidate or None
        None for a bundle's folder.
    card : Scorecard or None
        What its training run held it against; of a folder, the tier policy's own.
    """

    address: str
    bundle: Bundle
    candidate: Candidate | None
    card: Scorecard | None

    def identity(self) -> ModelIdentity:
        """Name it as a report does."""
        bundle, candidate = self.bundle, self.candidate
        return ModelIdentity(
            name=bundle.config.name if candidate is None else candidate.name,
            version="" if candidate is None else candidate.version,
            address=self.address,
            digest=bundle.digest,
            unit=bundle.config.unit,
            trainer="" if candidate is None else ", ".join(candidate.trainers),
            trained_at="" if candidate is None else candidate.trained_at,
            known_until=trained_until(bundle).isoformat(),
            policy=bundle.policy.label,
            features=len(bundle.inputs),
            trees=bundle.model.n_trees,
        )


def load_reviewed(model: str, reporter: ProgressReporter) -> ReviewedModel:
    """Load the bundle, who trained it, and the rating card that its run recorded.

    Raises
    ------
    BundleError, RegistryError
        If it does not exist or was changed.
    """
    bundle, _ = load_model(model)
    if not model.startswith("models:/"):
        card = None if bundle.policy.expert is None else bundle.policy.expert.card
        return ReviewedModel(address=model, bundle=bundle, candidate=None, card=card)
    candidate = fetch_candidate(model)
    return ReviewedModel(
        address=model, bundle=bundle, candidate=candidate, card=_recorded_card(model, reporter)
    )


def _recorded_card(model: str, reporter: ProgressReporter) -> Scorecard | None:
    with tempfile.TemporaryDirectory() as scratch:
        try:
            run_id, folder = fetch_record(model, Path(scratch))
            return load_record(folder, subject=f"run {run_id}").card
        except UnreachableError:  # not the same as a model that has none
            raise
        except RegistryError as error:
            reporter.info(f"no rating card to compare with: {error}")
            return None


def load_rival(
    reviewed: ReviewedModel,
    champion: str | None,
    tables: ContractedTables,
    rows: ValidationRows,
    reporter: ProgressReporter,
) -> ChampionScores | None:
    """Load the champion and score the current rows by it; None if they are not new to it.

    Parameters
    ----------
    champion : str or None
        None is the registry's champion, if it is another version.

    Raises
    ------
    ConfigError
        If the two do not predict the same thing.
    """
    candidate = reviewed.candidate
    address = champion
    if address is None and candidate is not None and candidate.champion:
        if candidate.champion == candidate.version:
            reporter.info("the model is the champion: there is none to hold it against")
            return None
        address = f"models:/{candidate.name}/{candidate.champion}"
    if address is None:
        return None
    bundle, label = load_model(address)
    return as_rival(bundle, label, reviewed.bundle, tables=tables, rows=rows, reporter=reporter)


def as_rival(
    bundle: Bundle,
    label: str,
    reviewed: Bundle,
    *,
    tables: ContractedTables,
    rows: ValidationRows,
    reporter: ProgressReporter,
) -> ChampionScores | None:
    """Score the current rows by another bundle; None if they are not new to it.

    Raises
    ------
    ConfigError
        If the two do not predict the same thing.
    """
    require_comparable(reviewed, bundle)
    learned = _learned_out_of_fold(bundle, tables, rows)
    if learned is None and trained_until(bundle) > rows.current.since:
        reporter.info(
            f"{label} is not compared with: it was trained until {trained_until(bundle):%Y-%m-%d} "
            "and may have learnt from the rows judged here"
        )
        return None
    scored = collect_rival(
        bundle, tables, rows.current, rows.observations, learned=learned, reporter=reporter
    )
    return ChampionScores(label=label, bundle=bundle, rows=scored)


def _learned_out_of_fold(
    bundle: Bundle, tables: ContractedTables, rows: ValidationRows
) -> Floats | None:
    """Give the outcomes a champion learned, where it has the very rows out of fold as well."""
    if rows.fitted is None or not is_cross_validated(bundle):
        return None
    theirs = list_fold_rows(bundle, tables)
    same = theirs.observations[OBSERVATION_ID].equals(rows.observations[OBSERVATION_ID])
    return theirs.target if same else None


def train_again(
    model: str, data: Path, quarantine: Path | None, reporter: ProgressReporter
) -> Retrained:
    """Train again from the run's own record; see `run_reproduce`."""
    again = run_reproduce(
        run=model, data=data, threads=None, quarantine=quarantine, reporter=reporter
    )
    return Retrained(
        recorded=again.recorded,
        again=again.again,
        differing=again.differing,
        changes=again.changes,
    )
