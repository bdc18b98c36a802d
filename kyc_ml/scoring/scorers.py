"""The scorers of a run, the model and its fallback, and the observations that they score."""

from dataclasses import dataclass, replace
from typing import Final

from kyc_ml import decision
from kyc_ml.config import LimitsConfig, SourceMapping, Unit
from kyc_ml.contract import StoredTables, end_of_data, require_fresh
from kyc_ml.dataset import ChosenObservations
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import AuditError, BundleError, ConfigError, RegistryError
from kyc_ml.registry import Standing, load_in_use
from kyc_ml.scoring.by_model import ModelScorer
from kyc_ml.scoring.by_rating import RatingScorer, card_of
from kyc_ml.scoring.earlier import customers_not_due, last_as_of, read_history
from kyc_ml.scoring.request import ScoringRequest
from kyc_ml.scoring.schema import RATING

NO_MODEL: Final = "cannot be loaded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorers:
    """The model and its fallback; at least one of them is present."""

    model: ModelScorer | None
    """None if it could not be loaded."""
    no_model: str
    """Why the model could not be loaded; empty if it was."""
    rating: RatingScorer | None
    """The fallback; None without one."""
    label: str
    """Name and version of the model."""
    unit: Unit
    book: decision.OverrideBook
    standing: Standing | None = None
    """What the audit log says of the model; None if it could not be loaded."""

    def policy_of(self, who: str) -> decision.TierPolicy:
        """Return the tier policy of one of them; `who` is a value of `scored_by`."""
        scorer = self.rating if who == RATING else self.model
        if scorer is None:
            raise KeyError(who)
        return scorer.policy


def load_scorers(
    request: ScoringRequest, *, mapping: SourceMapping, reporter: ProgressReporter
) -> Scorers:
    """Load the model and, if the request names one, its fallback.

    Raises AuditError or BundleError or RegistryError if the model cannot be loaded, or is not what
    was promoted, and there is no fallback; ConfigError if the fallback's configuration is absent,
    has no scorecard or is of another unit.
    """
    files = _fallback_files(request)
    book = decision.load_overrides(request.overrides, form=mapping.identifiers)
    model, no_model, label, standing = None, "", request.model, None
    try:
        if request.replaced:
            raise RegistryError(request.replaced)
        loaded = load_in_use(
            request.model,
            log=request.audit_log,
            allow_unpromoted=request.allow_unpromoted,
            job="score",
            reporter=reporter,
        )
    except (AuditError, BundleError, RegistryError) as error:
        if files is None:
            raise
        what = "is replaced" if request.replaced else NO_MODEL
        no_model = f"{request.model} {what}: {error}"
        reporter.warning(no_model)
    else:
        bundle, label, standing = loaded.bundle, loaded.label, loaded.standing
        bundle = replace(bundle, policy=bundle.policy.with_rules(book.rules))
        model = ModelScorer(
            bundle=bundle,
            label=label,
            book=book,
            history=read_history(request.previous, bundle.policy),
            full=request.contributions,
            threads=1 if request.engine == "spark" else 2,  # a worker has one core a task
        )
    rating, units = None, set()
    if files is not None:
        run, units = files.run, {files.run.unit}
        files = replace(files, policy=files.policy.with_rules(book.rules))
        rating = RatingScorer(
            policy=files.policy,
            specs=decision.policy_features(files.policy, run.features, unit=run.unit),
            name=label,
            currency=mapping.base_currency,
            cash_report=run.features.amounts.cash_report,
            reasons=run.explain.reasons,
            book=book,
        )
    if model is not None:
        units.add(model.bundle.config.unit)
    if len(units) > 1:
        msg = f"--config {request.config} is of another unit than {label}: name that of the model"
        raise ConfigError(msg)
    return Scorers(
        model=model,
        no_model=no_model,
        rating=rating,
        label=label,
        unit=units.pop(),
        book=book,
        standing=standing,
    )


def choose(
    request: ScoringRequest, scorers: Scorers, tables: StoredTables, *, limits: LimitsConfig
) -> ChosenObservations:
    """Choose the observations that a request asks to score.

    Raises ConfigError if the dates do not fit the data or the policy, or the data is older than its
    limit.
    """
    unit = scorers.unit
    as_of, stale_hours = request.as_of, limits.stale_hours
    if as_of is None:  # the end of the data cannot be older than the data
        as_of, stale_hours = end_of_data(tables), None
    require_fresh(as_of, tables, stale_hours=stale_hours)
    for scorer in (scorers.model, scorers.rating):
        if scorer is not None:
            decision.require_in_force(scorer.policy, as_of)
    if request.full:
        chosen = ChosenObservations(
            unit=unit, since=request.since, as_of=as_of, planned=unit == "risk"
        )
    else:
        chosen = ChosenObservations.by_default(
            unit, since=request.since, as_of=as_of, zone=tables.timezone
        )
    if request.incremental and unit == "fraud":
        chosen = replace(chosen, since=last_as_of(request.previous))
    elif request.incremental:
        chosen = replace(
            chosen, not_due=customers_not_due(request.previous, as_of=as_of, zone=tables.timezone)
        )
    return chosen


def _fallback_files(request: ScoringRequest) -> decision.RunFiles | None:
    """Read the fallback's configuration; None without a fallback.

    Raises ConfigError if only one of fallback and configuration is given, or the policy has no
    scorecard.
    """
    if (request.fallback is None) != (request.config is None):
        raise ConfigError(
            "--fallback rating and --config belong together: the configuration names the tier "
            "policy whose expert rating replaces the model, such as configs/risk.yaml"
        )
    if request.config is None:
        return None
    files = decision.load_run(request.config, source=request.source)
    card_of(files.policy)
    return files
