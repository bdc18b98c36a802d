"""Who scores a night, over what, and all that its result depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kyc_ml.config import LimitsConfig, SourceMapping, Unit, isoformat, section_digest
from kyc_ml.contract import StoredTables, digest_together, end_of_data, require_fresh
from kyc_ml.dataset import ChosenObservations
from kyc_ml.decision import (
    NO_OVERRIDES,
    OverrideBook,
    RunFiles,
    TierPolicy,
    load_overrides,
    load_run,
    policy_features,
    require_in_force,
)
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import BundleError, ConfigError, RegistryError
from kyc_ml.registry import load_model
from kyc_ml.scoring.by_model import ModelScorer
from kyc_ml.scoring.by_rating import RatingScorer, card_of
from kyc_ml.scoring.earlier import customers_not_due, last_as_of
from kyc_ml.scoring.identity import identify_code, identify_file
from kyc_ml.scoring.manifest import damaged, read_manifest
from kyc_ml.scoring.request import ScoringRequest
from kyc_ml.scoring.schema import RATING
from kyc_ml.scoring.scored_dates import read_history

_NO_MODEL = "cannot be loaded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorers:
    """The model, and what stands in for it; at least one of them is there.

    Attributes
    ----------
    no_model : str
        Why there is no model; empty where there is one.
    """

    model: ModelScorer | None
    no_model: str
    rating: RatingScorer | None
    label: str
    unit: Unit
    book: OverrideBook

    def policy_of(self, who: str) -> TierPolicy:
        """Return the policy by which one of them grades."""
        scorer = self.rating if who == RATING else self.model
        if scorer is None:
            raise KeyError(who)
        return scorer.policy


def load_scorers(
    request: ScoringRequest, *, mapping: SourceMapping, reporter: ProgressReporter
) -> Scorers:
    """Load the model and, if asked for, the rating that stands in.

    Raises
    ------
    BundleError, RegistryError
        If the model cannot be loaded and nothing stands in.
    ConfigError
        If the fallback's configuration is absent, has no card or is of another unit.
    """
    files = _fallback_files(request)
    book = (
        NO_OVERRIDES
        if request.overrides is None
        else load_overrides(request.overrides, form=mapping.identifiers)
    )
    model, no_model, label = None, "", request.model
    try:
        bundle, label = load_model(request.model)
    except (BundleError, RegistryError) as error:
        if files is None:
            raise
        no_model = f"{request.model} {_NO_MODEL}: {error}"
        reporter.warning(f"{no_model}")
    else:
        model = ModelScorer(
            bundle=bundle,
            label=label,
            book=book,
            history=read_history(request.previous, bundle.policy),
            full=request.contributions,
        )
    rating = (
        None if files is None else _rating(files, label, currency=mapping.base_currency, book=book)
    )
    units = {files.run.unit} if files is not None else set()
    if model is not None:
        units.add(model.bundle.config.unit)
    if len(units) > 1:
        msg = f"the fallback's configuration {request.config} is of another unit than {label}"
        raise ConfigError(msg)
    return Scorers(
        model=model, no_model=no_model, rating=rating, label=label, unit=units.pop(), book=book
    )


def identify_run(
    request: ScoringRequest,
    scorers: Scorers,
    *,
    mapping: SourceMapping,
    limits: LimitsConfig,
    inputs: Mapping[str, str],
) -> dict[str, str]:
    """List everything that a run's result depends on, by name.

    Parameters
    ----------
    inputs : mapping of path to digest
        The source's files; see `SourceOnDisk.digests`.

    Raises
    ------
    ConfigError
        If an earlier run is not as it was published.
    """
    model, rating = scorers.model, scorers.rating
    named = {
        f"previous {n} {path.name}": _earlier(path) for n, path in enumerate(request.previous, 1)
    }
    if request.overrides is not None:
        named["overrides"] = identify_file(request.overrides)
    if rating is not None:
        named["fallback policy"] = section_digest(rating.policy)
        named["fallback reasons"] = str(rating.reasons)
        named["fallback features"] = digest_together({s.name: repr(s) for s in rating.specs})
    if model is not None:
        named["policy"] = section_digest(model.policy)
    return {
        **{f"input {name}": digest for name, digest in inputs.items()},
        **named,
        **identify_code(),
        "model": scorers.label,
        "bundle": _NO_MODEL if model is None else model.bundle.digest,
        "source mapping": section_digest(mapping),
        "limits": section_digest(limits),
        "as of": "the end of the data" if request.as_of is None else isoformat(request.as_of),
        "since": "default" if request.since is None else isoformat(request.since),
        "rows": f"full {request.full}, incremental {request.incremental}",
        "outputs": f"contributions {request.contributions}, csv {request.csv}, "
        f"duckdb {request.duckdb}, part rows {request.part_rows}",
    }


def _earlier(path: Path) -> str:
    """Digest an earlier run, or one score file."""
    broken = damaged(path, read_manifest(path).files) if path.is_dir() else []
    if broken:
        msg = (
            f"--previous {path}: {', '.join(broken)} is not as it was published: find out who "
            "changed it, or leave that run out"
        )
        raise ConfigError(msg)
    return identify_file(path)


def choose(
    request: ScoringRequest, scorers: Scorers, tables: StoredTables, *, limits: LimitsConfig
) -> ChosenObservations:
    """Return which observations a request is about.

    Raises
    ------
    ConfigError
        If the dates do not fit the data or the policy, or the data is older than its limit.
    """
    unit = scorers.unit
    as_of, stale_hours = request.as_of, limits.stale_hours
    if as_of is None:  # the end of the data cannot be older than the data
        as_of, stale_hours = end_of_data(tables), None
    require_fresh(as_of, tables, stale_hours=stale_hours)
    for scorer in (scorers.model, scorers.rating):
        if scorer is not None:
            require_in_force(scorer.policy, as_of)
    if request.full:
        chosen = ChosenObservations(
            unit=unit, since=request.since, as_of=as_of, planned=unit == "risk"
        )
    else:
        chosen = ChosenObservations.by_default(unit, since=request.since, as_of=as_of)
    if request.incremental and unit == "fraud":
        chosen = replace(chosen, since=last_as_of(request.previous))
    elif request.incremental:
        chosen = replace(chosen, not_due=customers_not_due(request.previous, as_of=as_of))
    return chosen


def _fallback_files(request: ScoringRequest) -> RunFiles | None:
    """Read the fallback's configuration, before anything else is done.

    Raises
    ------
    ConfigError
        If it is not named, or its policy has no card.
    """
    if (request.fallback is None) != (request.config is None):
        msg = (
            "--fallback rating and --config go together: the configuration names the tier policy "
            "whose expert rating stands in, such as configs/risk.yaml"
        )
        raise ConfigError(msg)
    if request.config is None:
        return None
    files = load_run(request.config, source=request.source)
    card_of(files.policy)
    return files


def _rating(files: RunFiles, label: str, *, currency: str, book: OverrideBook) -> RatingScorer:
    run, policy = files.run, files.policy
    return RatingScorer(
        policy=policy,
        specs=policy_features(policy, run.features, unit=run.unit),
        name=label,
        currency=currency,
        reasons=run.explain.reasons,
        book=book,
    )
