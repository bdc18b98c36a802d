"""Run one validation: rows, champion, checks and verdict. Nothing is written."""

import itertools
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Final

import pandas as pd

from kyc_ml import registry
from kyc_ml.contract import ContractedTables
from kyc_ml.display import ProgressReporter, say_moment
from kyc_ml.errors import LeakageError
from kyc_ml.validation.catalogue import choose_checks
from kyc_ml.validation.evidence import Retrained
from kyc_ml.validation.policy import ValidationPolicy
from kyc_ml.validation.result import CheckResult, DataIdentity, Report, conclude
from kyc_ml.validation.rows import ScoredRows
from kyc_ml.validation.run.checks import run_checks
from kyc_ml.validation.run.models import Champion, ReviewedModel, score_champion
from kyc_ml.validation.run.out_of_fold import caveat
from kyc_ml.validation.run.row_choice import ChosenPart, choose_rows
from kyc_ml.validation.run.row_collection import collect_rows

_STAGES: Final = ("features", "retraining", "checking")


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What a validation is asked to do, with models and tables in memory."""

    model: ReviewedModel
    tables: ContractedTables
    data: DataIdentity
    policy: ValidationPolicy
    as_of: pd.Timestamp
    command: Callable[[str], str]
    """Returns the command that makes the report again, for '', or reruns one check, for its id."""
    rows: ChosenPart | None = None
    """'later', 'test', 'out_of_fold' or None; rows to evaluate on; None is the rule of
    `choose_rows`."""
    since: pd.Timestamp | None = None
    only: tuple[str, ...] = ()
    champion: Champion | None = None
    validator: str | None = None


def review_model(
    asked: Review,
    *,
    reporter: ProgressReporter,
    retrain: Callable[[], Retrained | None] = lambda: None,
    hand_out: Callable[[ScoredRows], None] = lambda _: None,
) -> Report:
    """Validate a model against a policy; nothing is written.

    `retrain`: trains again; called once the features are built, because it takes long.
    `hand_out`: receives the rows before they are evaluated.
    Raises ConfigError if the source is of another kind, a check is unknown, or the model does not
    have the rows that were asked for; LeakageError if `since` is before the training date;
    DatasetError if no row has a mature outcome, or a feature cannot be computed.
    """
    procedures = choose_checks(asked.only)
    bundle, settings = asked.model.bundle, asked.policy.settings
    registry.require_currency(bundle, asked.tables)
    require_later(asked.since, bundle)
    part = choose_rows(bundle, asked.tables, asked.rows, since=asked.since, as_of=asked.as_of)
    as_of = asked.as_of
    if part == "out_of_fold":  # what was known at the training cannot become unknown later
        as_of = max(as_of, registry.trained_until(bundle))
    clock = [time.perf_counter()]
    evidence = collect_rows(
        bundle,
        asked.tables,
        chosen=part,
        since=asked.since,
        as_of=as_of,
        settings=settings,
        card=asked.model.card,
        reporter=reporter,
    )
    hand_out(evidence.current)
    if asked.champion is not None:
        rival = score_champion(asked.champion, asked.tables, evidence)
        evidence = replace(evidence, rival=rival)
    clock.append(time.perf_counter())
    evidence = replace(evidence, retrained=retrain())
    clock.append(time.perf_counter())
    results, findings = run_checks(
        procedures, evidence, policy=asked.policy, command=lambda check: asked.command(check.id)
    )
    clock.append(time.perf_counter())
    if part == "out_of_fold":
        findings += (caveat(registry.trained_until(bundle), bundle.config.dataset.label_delay),)
    current, reference, train = evidence.current, evidence.reference, evidence.train
    used = (current, None if reference is current else reference, train)
    spent = [end - begin for begin, end in itertools.pairwise(clock)]
    return Report(
        model=asked.model.identity(),
        validator=asked.validator or registry.current_account(),
        as_of=as_of.isoformat(),
        data=asked.data,
        policy=asked.policy.identity(),
        rows=tuple(each.used() for each in used if each is not None),
        verdict=conclude(results, findings),
        complete=not asked.only,
        findings=findings,
        results=results,
        headline=tuple(pair for pair in asked.policy.headline if _is_computed(results, pair)),
        command=asked.command(""),
        environment=asdict(registry.Environment.current()),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=dict(zip(_STAGES, spent, strict=True)),
        features={
            spec.name: (spec.description, spec.description_zh)
            for table in (current.features, current.facts)
            for spec in table.specs
        },
    )


def require_later(since: pd.Timestamp | None, bundle: registry.Bundle) -> None:
    """Raise LeakageError if `since` is before the training date: the model may know such rows."""
    known, zone = registry.trained_until(bundle), registry.zone_of(bundle)
    if since is not None and since < known:
        raise LeakageError(
            f"--since is {say_moment(since, zone)}, but the model was trained with what "
            f"was known on {say_moment(known, zone)}: it may have learned from the rows "
            "between; name that date or a later one, or leave it out"
        )


def _is_computed(results: tuple[CheckResult, ...], pair: tuple[str, str]) -> bool:
    check, figure = pair
    return any(
        result.check.id == check and figure in {each.name for each in result.figures}
        for result in results
    )
