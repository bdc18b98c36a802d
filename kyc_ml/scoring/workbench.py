"""What the jobs do, with bundles and tables in memory: for a notebook.

The same rules as on the command line, `kyc_ml.jobs`; but nothing is read from a path, written,
registered or logged. Times are timestamps with a zone, or ISO text, which is UTC unless it says
otherwise; None is what the command would take.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

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
from kyc_ml.contract import ContractedTables, known_until, require_contracted
from kyc_ml.decision import TierPolicy
from kyc_ml.display import ProgressReporter, say_in_html, say_plainly
from kyc_ml.registry import Bundle, require_currency
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


def _require_bundle(given: object, *, name: str) -> None:
    cure = "give .bundle of what kyc_ml.train returns, or read a folder with kyc_ml.load_bundle"
    require_kind(given, Bundle, name=name, cure=cure)
