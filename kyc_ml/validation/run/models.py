"""Load the model to validate and its champion, and train it again."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kyc_ml import registry
from kyc_ml.contract import ContractedTables
from kyc_ml.decision import Scorecard
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import RegistryError, UnreachableError
from kyc_ml.features import OBSERVATION_ID
from kyc_ml.metrics import Floats
from kyc_ml.training import is_cross_validated, list_fold_rows, run_reproduce
from kyc_ml.validation.evidence import ChampionScores, Retrained, ReviewEvidence
from kyc_ml.validation.result import ModelIdentity
from kyc_ml.validation.run.row_collection import score_with


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewedModel:
    """A model to validate."""

    address: str
    bundle: registry.Bundle
    candidate: registry.Candidate | None
    """Its version in the registry; None for a bundle's folder."""
    card: Scorecard | None
    """Scorecard that its training run recorded; of a folder, that of the tier policy."""

    def identity(self) -> ModelIdentity:
        """Return the facts that identify the model in a report."""
        bundle, candidate = self.bundle, self.candidate
        return ModelIdentity(
            name=bundle.config.name if candidate is None else candidate.name,
            version="" if candidate is None else candidate.version,
            address=self.address,
            digest=bundle.digest,
            unit=bundle.config.unit,
            trainer="" if candidate is None else ", ".join(candidate.trainers),
            trained_at="" if candidate is None else candidate.trained_at,
            known_until=registry.trained_until(bundle).isoformat(),
            policy=bundle.policy.label,
            features=len(bundle.inputs),
            trees=bundle.model.n_trees,
        )


class Champion(NamedTuple):
    """A model to compare with, and its name and version for people."""

    bundle: registry.Bundle
    label: str


def card_of_policy(bundle: registry.Bundle) -> Scorecard | None:
    """Return the scorecard of the tier policy; None if it has none."""
    return None if bundle.policy.expert is None else bundle.policy.expert.card


def load_reviewed(model: str, reporter: ProgressReporter) -> ReviewedModel:
    """Load a bundle, the people who trained it, and the scorecard that its run recorded.

    Raises BundleError, RegistryError if it does not exist or was changed.
    """
    bundle, _ = registry.load_model(model)
    if not model.startswith("models:/"):
        return ReviewedModel(
            address=model, bundle=bundle, candidate=None, card=card_of_policy(bundle)
        )
    candidate = registry.fetch_candidate(model)
    return ReviewedModel(
        address=model, bundle=bundle, candidate=candidate, card=_recorded_card(model, reporter)
    )


def _recorded_card(model: str, reporter: ProgressReporter) -> Scorecard | None:
    with tempfile.TemporaryDirectory() as scratch:
        try:
            run_id, folder = registry.fetch_record(model, Path(scratch))
            return registry.load_record(folder, subject=f"run {run_id}").card
        except UnreachableError:  # a server that is down does not mean that there is no record
            raise
        except RegistryError as error:
            reporter.info(f"no scorecard to compare with: {error}")
            return None


def load_champion(
    reviewed: ReviewedModel, champion: str | None, reporter: ProgressReporter
) -> Champion | None:
    """Load the model to compare with; None if there is no champion.

    Raises ConfigError if the two do not predict the same outcome.

    None is the registry's champion, if it is another version.
    """
    candidate = reviewed.candidate
    if champion is None and candidate is not None and candidate.champion:
        if candidate.champion == candidate.version:
            reporter.info("the model is the champion: it is not compared with another one")
            return None
        champion = f"models:/{candidate.name}/{candidate.champion}"
    if champion is None:
        return None
    bundle, label = registry.load_model(champion)
    registry.require_comparable(reviewed.bundle, bundle)
    return Champion(bundle, label)


def score_champion(
    champion: Champion, tables: ContractedTables, evidence: ReviewEvidence
) -> ChampionScores | None:
    """Score the current rows with the champion; None if it may have learned from them.

    Raises ConfigError if the two do not predict the same outcome.
    """
    bundle, label = champion
    registry.require_comparable(evidence.bundle, bundle)
    learned = _learned_out_of_fold(bundle, tables, evidence)
    current, reporter = evidence.current, evidence.reporter
    if learned is None and registry.trained_until(bundle) > current.since:
        reporter.info(
            f"{label} is not compared with: it was trained until "
            f"{registry.trained_until(bundle):%Y-%m-%d} and may have learned from the rows "
            "evaluated here"
        )
        return None
    scored = score_with(
        bundle, tables, current, evidence.observations, learned=learned, reporter=reporter
    )
    return ChampionScores(label=label, rows=scored)


def _learned_out_of_fold(
    bundle: registry.Bundle, tables: ContractedTables, evidence: ReviewEvidence
) -> Floats | None:
    """Return the outcomes that a champion learned, if these rows are its out-of-fold rows too."""
    ours = evidence.observations
    if ours is None or evidence.fitted is None or not is_cross_validated(bundle):
        return None
    theirs = list_fold_rows(bundle, tables)
    same = theirs.observations[OBSERVATION_ID].equals(ours[OBSERVATION_ID])
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
