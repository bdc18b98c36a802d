"""What the jobs do, with bundles and tables in memory: for a notebook.

The same rules as on the command line, `kyc_ml.jobs`; but nothing is read from a path, written,
registered or logged. Times are timestamps with a zone, or ISO text, which is UTC unless it says
otherwise; None is what the command would take.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from kyc_ml.config import (
    FilePath,
    RunConfig,
    TimeLike,
    TuningConfig,
    parse_time,
    read_path,
    require_kind,
    require_section,
)
from kyc_ml.contract import ContractedTables, digest_together, known_until, require_contracted
from kyc_ml.decision import NOBODY, OverrideBook, Scorecard, TierHistory, TierPolicy
from kyc_ml.display import ProgressReporter, say_in_html, say_plainly
from kyc_ml.registry import Bundle, require_comparable, require_currency, require_different
from kyc_ml.scoring.counterfactual import find_drop
from kyc_ml.scoring.explain_job import Explained, as_explained, explain_case
from kyc_ml.training import (
    FitResult,
    ParameterComparison,
    Search,
    Studies,
    fit_policy,
    identify_study,
    prepare,
    require_tunable,
    trials_table,
)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """Parameters found on folds, and how they fared on rows that no choice saw.

    Attributes
    ----------
    config : RunConfig
        The run with the chosen model section; train with it.
    search : Search
    comparison : ParameterComparison
        The run's own parameters and the chosen ones, on rows that no trial saw; where the own
        are kept, it has a sentence and no table.
    folds : DataFrame
        What each fold fitted on, stopped on and was judged by.
    """

    config: RunConfig
    search: Search
    comparison: ParameterComparison
    folds: pd.DataFrame

    @property
    def trials(self) -> pd.DataFrame:
        """One row a trial: trial, state, value, each fold's value, parameters, trees, seconds."""
        return trials_table(self.search)

    def _facts(self) -> dict[str, object]:
        found = self.search
        return {
            "objective": self.config.tuning.objective.replace("_", " "),
            "trials": f"{len(found.trials)}, {sum(t.pruned for t in found.trials)} of them pruned",
            "on the folds": f"own {found.own.value:.4g}, best {found.best.value:.4g} "
            f"(trial {found.best.number})",
            "on other rows": self.comparison.sentence,
        }

    def __repr__(self) -> str:
        return say_plainly("Tuned", self._facts())

    def _repr_html_(self) -> str:
        compared = self.comparison
        tables = [compared.table.round(4)] if compared.compared else []
        return say_in_html("Tuned", self._facts(), tables=tables)


def tune(
    source: ContractedTables,
    *,
    config: RunConfig,
    as_of: TimeLike | None = None,
    trials: int | None = None,
    minutes: float | None = None,
    study: FilePath | None = None,
) -> Tuned:
    """Search LightGBM parameters on folds, and try the best on rows that no choice saw.

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
        SQLite file of a study to begin or go on with; None keeps none.

    Raises
    ------
    ConfigError
        If a setting cannot be followed, the study is of other data or settings, `as_of` has no
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
    budget = {"trials": trials, "minutes": minutes}
    given = {name: value for name, value in budget.items() if value is not None}
    tuning = TuningConfig.model_validate({**config.tuning.model_dump(), **given})
    run = config.model_copy(update={"tuning": tuning})
    require_tunable(run)
    moment = known_until(source, parse_time(as_of, name="as_of"))
    reporter = ProgressReporter()
    rows = prepare(source, config=run, as_of=moment, tell=reporter.progress)
    facts = {"files": dict(source.digests), "as_of": moment.isoformat()}
    with tempfile.TemporaryDirectory() as scratch:
        studies = Studies(
            config=run,
            identity=identify_study(run, facts),
            path=Path(scratch) / "study.db" if study is None else read_path(study, name="study"),
            tell=reporter.progress,
        )
        found = studies.search(rows)
        compared = studies.compare(rows, found.chosen)
    return Tuned(
        config=run.model_copy(update={"model": compared.taken}),
        search=found,
        comparison=compared,
        folds=rows.summary,
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
        Let `since` be earlier, and say so in the proposal.

    Raises
    ------
    LeakageError
        If the model learned from rows that `since` lets in.
    ConfigError
        If the policy has no `fit` section, what is proposed makes no lawful policy, the source
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
    _require_bundle(bundle, name="bundle")
    require_contracted(source)
    require_currency(bundle, source)
    first = parse_time(since, name="since")
    moment = known_until(source, parse_time(as_of, name="as_of"))
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
