"""What the jobs do, with bundles and tables in memory: for a notebook.

The same rules as on the command line, `kyc_ml.jobs`; but nothing is read from a path, written,
registered or logged. Times are timestamps with a zone, or ISO text, which is UTC unless it says
otherwise; None is what the command would take.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from kyc_ml.config import (
    TimeLike,
    parse_time,
    require_kind,
)
from kyc_ml.contract import ContractedTables, digest_together, known_until, require_contracted
from kyc_ml.decision import NOBODY, OverrideBook, Scorecard, TierHistory
from kyc_ml.display import ProgressReporter
from kyc_ml.registry import Bundle, require_comparable, require_currency, require_different
from kyc_ml.scoring.counterfactual import find_drop
from kyc_ml.scoring.explain_job import Explained, as_explained, explain_case
from kyc_ml.validation import (
    CHECKS,
    CheckResult,
    ChosenPart,
    Comparison,
    ComparisonSettings,
    DataIdentity,
    Language,
    Report,
    ReviewedModel,
    ValidationPolicy,
    as_rival,
    choose_checks,
    choose_rows,
    compare_models,
    draw,
    load_policy,
    require_later,
    review_model,
    rows_new_to_both,
)


def compare(
    challenger: Bundle,
    champion: Bundle,
    source: ContractedTables,
    *,
    since: TimeLike | None = None,
    as_of: TimeLike | None = None,
    settings: ComparisonSettings | None = None,
) -> Comparison:
    """Hold a challenger against a champion on rows that neither learnt from.

    Parameters
    ----------
    since : Timestamp with a zone, ISO text or None
        First decision; None is the later of both training dates. Two models cross-validated
        by customer are then compared out of fold while no later rows are mature.
    as_of : Timestamp with a zone, ISO text or None
        What was known then is used; None is the end of the data, as everywhere.
    settings : ComparisonSettings, optional
        What is judged and what it costs; without it what the champion was tuned for.

    Raises
    ------
    ConfigError
        If the models are one, saved or not, they or the source are not of the same kind, or a
        time has no zone.
    LeakageError
        If a model may have learnt from rows that `since` lets in.
    DatasetError
        If no row is old enough, all are of one class, or a feature cannot be computed.

    Examples
    --------
    ::

        compared = kyc_ml.compare(trained.bundle, kyc_ml.load_bundle(folder), tables)
        compared.metrics
    """
    _require_bundle(challenger, name="challenger")
    _require_bundle(champion, name="champion")
    require_contracted(source)
    require_different(challenger, champion)
    require_comparable(challenger, champion)
    for bundle in (challenger, champion):
        require_currency(bundle, source)
    usual = champion.config.tuning
    chosen = settings or ComparisonSettings(
        objective=usual.objective,
        capacities=(usual.capacity_per_day,),
        review_cost=usual.review_cost,
        miss_cost=usual.miss_cost,
    )
    first = parse_time(since, name="since")
    reporter = ProgressReporter()
    rows, _ = rows_new_to_both(
        challenger,
        champion,
        source,
        since=first,
        as_of=known_until(source, parse_time(as_of, name="as_of")),
        reporter=reporter,
    )
    return compare_models(challenger, champion, rows, settings=chosen, tell=reporter.progress)


def validate(
    bundle: Bundle,
    source: ContractedTables,
    *,
    policy: ValidationPolicy | Path,
    rows: ChosenPart | None = None,
    since: TimeLike | None = None,
    as_of: TimeLike | None = None,
    only: Sequence[str] = (),
    champion: Bundle | None = None,
    card: Scorecard | None = None,
    validator: str | None = None,
) -> Report:
    """Hold a bundle against a validation policy; everything is computed anew from the tables.

    The report approves nothing by itself: what promotes a version is a report of
    ``kyc-ml validate``, which names the registered version and is in the audit log.

    Parameters
    ----------
    policy : ValidationPolicy, or Path of its YAML
    rows : 'later', 'test', 'out_of_fold' or None
        Judge by rows after the training date, by the training run's own test part, or by the
        out-of-fold rows of a model cross-validated by customer; None is later ones, and of
        such a model its out-of-fold rows until later ones of both classes are mature.
    since : Timestamp with a zone, ISO text or None
        First decision to judge by; None is the training date.
    as_of : Timestamp with a zone, ISO text or None
        What was known then is used; None is the end of the data, as everywhere.
    only : sequence of str
        Checks or families to run; empty runs all.
    champion : Bundle, optional
        Model to hold it against.
    card : Scorecard, optional
        Expert rating to hold it against; without it the tier policy's own, if it has one.
    validator : str or None
        Who validates; None is the account of the operating system.

    Raises
    ------
    ConfigError
        If the policy breaks its rules, a check is unknown, the source is of another kind, or a
        time has no zone.
    LeakageError
        If `since` is before the training date.
    DatasetError
        If no row has a mature outcome, or a feature cannot be computed.

    Examples
    --------
    ::

        report = kyc_ml.validate(bundle, tables, policy=Path("configs/validation.yaml"))
        report.to_frame()
        report.result("calibration.jeffreys").table("tiers")
    """
    _require_bundle(bundle, name="bundle")
    require_contracted(source)
    rules = load_policy(policy, checks=CHECKS) if isinstance(policy, Path) else policy
    require_kind(rules, ValidationPolicy, name="policy", cure="or give the Path of its YAML")
    first = parse_time(since, name="since")
    own = None if bundle.policy.expert is None else bundle.policy.expert.card
    reviewed = ReviewedModel(
        address="a bundle in memory", bundle=bundle, candidate=None, card=card or own
    )
    reporter = ProgressReporter()
    if first is not None:
        require_later(first, bundle)
    moment = known_until(source, parse_time(as_of, name="as_of"))
    return review_model(
        reviewed,
        source,
        data=DataIdentity(
            source="tables in memory",
            mapping_digest="",
            files=dict(source.digests),
            digest=digest_together(source.digests),
        ),
        policy=rules,
        procedures=choose_checks(tuple(only)),
        complete=not only,
        rows=choose_rows(bundle, source, rows, since=first, as_of=moment),
        since=first,
        as_of=moment,
        rival=lambda found: (
            None
            if champion is None
            else as_rival(
                champion,
                champion.config.name,
                bundle,
                tables=source,
                rows=found,
                reporter=reporter,
            )
        ),
        retrain=lambda: None,
        validator=validator,
        command="kyc_ml.validate(bundle, source, policy=policy)",
        rerun=lambda check: f"kyc_ml.validate(bundle, source, policy=policy, only=[{check.id!r}])",
        reporter=reporter,
    )


def plot_check(result: CheckResult, *, language: Language = "en") -> tuple[Figure, ...]:
    """Draw what a check of a report found, as the report's page does.

    Returns
    -------
    tuple of Figure
        One a plot of the check; those without a row to draw are left out.

    Examples
    --------
    ::

        report = kyc_ml.validate(bundle, tables, policy=policy, only=["calibration"])
        kyc_ml.plot_check(report.result("calibration.reliability"))[0]
    """
    drawn = (draw(plot, result.table(plot.table), language=language) for plot in result.plots)
    return tuple(figure for figure in drawn if figure is not None)


def explain_one(
    bundle: Bundle,
    source: ContractedTables,
    observation: str,
    *,
    reasons: int = 5,
    book: OverrideBook = NOBODY,
    history: TierHistory | None = None,
) -> Explained:
    """Score one observation and say why, and what would lower its tier.

    Parameters
    ----------
    observation : str
        A transaction's id, a review's, or CUSTOMER@DATE.
    reasons : int
        Most reasons to give, the strongest first.
    book, history : optional
        Overrides entered for single customers, and tiers of earlier reviews.

    Raises
    ------
    DatasetError
        If the source has no such observation.
    ConfigError
        If it is no text, as ids are.

    Examples
    --------
    ::

        case = kyc_ml.explain_one(bundle, tables, "T0001234")
        case.contributions
    """
    _require_bundle(bundle, name="bundle")
    require_contracted(source)
    require_kind(observation, str, name="observation", cure="ids are text, give str() of it")
    case = explain_case(
        bundle, source, observation, ProgressReporter(), book=book, history=history, top=reasons
    )
    return as_explained(case, lowering=find_drop(case))


def _require_bundle(given: object, *, name: str) -> None:
    cure = "give .bundle of what kyc_ml.train returns, or read a folder with kyc_ml.load_bundle"
    require_kind(given, Bundle, name=name, cure=cure)
