"""The rows that tuning may use: folds before calibration and test, and the parts of the run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml import dataset
from kyc_ml.config import EARLY_STOPPING, TEST, TRAIN, RunConfig, SplitConfig
from kyc_ml.contract import ContractedTables
from kyc_ml.display import StageProgress
from kyc_ml.errors import ConfigError, DatasetError, Faults
from kyc_ml.features import DAY_US, DECISION_TIME, FeatureTable, choose_features, microseconds
from kyc_ml.metrics import Floats, Ints, Names
from kyc_ml.training.evidence import build_all
from kyc_ml.training.out_of_time import require_rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TuningPart:
    """Rows of the feature table, with their outcomes as known on one day."""

    rows: Ints
    target: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TuningFold:
    """The fit, early stopping and test rows of a fold, or of the run itself."""

    name: str
    fit: TuningPart
    stop: TuningPart | None
    """None where all of `model.n_estimators` are fitted."""
    test: TuningPart
    test_day: Ints
    """int64 array, one a test row; day of the decision."""
    end_day: int
    """The day after the test period."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OuterFold:
    """A fold that tests the parameters chosen on inner folds of the other rows.

    `folds` are of the rows of `fit`.
    """

    fit: TuningPart
    test: TuningPart
    folds: tuple[TuningFold, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TuningRows:
    """Features of all rows that tuning uses, and which rows each fold takes of them."""

    features: FeatureTable
    folds: tuple[TuningFold, ...]
    final: TuningFold
    """The run's own train, early stopping and test; no trial sees its test. Of a run that is
    cross-validated by customer its test is all rows, each held out once."""
    summary: pd.DataFrame
    """One row a fold and part: fold, part, start, end, labels_read, rows, positives."""
    outer: tuple[OuterFold, ...] = ()
    """Of a run that is cross-validated by customer; empty of others."""


def prepare_rows(
    source: ContractedTables, *, config: RunConfig, as_of: pd.Timestamp, tell: StageProgress
) -> TuningRows:
    """Label the rows of each fold as known at its own cut-offs, and compute features once.

    The last fold ends where the run's early stopping does, before calibration and test, and
    no label is read after the run's development cut-off: nothing of the test is known.

    Raises ConfigError if the run's rows are not split in time; DatasetError if a fold or a part
    lacks rows or one of the classes.
    """
    splits = require_parts_in_time(config)
    boundaries = dataset.plan_out_of_time(as_of=as_of, splits=splits, dataset=config.dataset)
    observations, part, status = dataset.label_parts(source, config=config, boundaries=boundaries)
    parts = dataset.summarise_parts(part, status, dataset.customers_of(observations), boundaries)
    require_rows(parts, source, boundaries=boundaries, dataset=config.dataset)
    times = microseconds(observations[DECISION_TIME])
    when = times.view("datetime64[us]")
    splitter = dataset.make_splitter(
        config.tuning.folds,
        dataset=config.dataset,
        seed=config.tuning.seed,
        end=boundaries.parts[EARLY_STOPPING][1],
        times=when,
    )
    labelled = [
        _label_fold(source, observations, times, fold, config=config, boundaries=boundaries)
        for fold in splitter.folds(when)
    ]
    own = _own_parts(part, dataset.to_target(status), times, boundaries)
    require_classes_in([rows for rows, _ in labelled])
    used = np.unique(
        np.concatenate(
            [
                each.rows
                for rows in [own, *(f for f, _ in labelled)]
                for each in parts_of(rows).values()
            ]
        )
    )
    taken = np.zeros(times.size, np.bool_)
    taken[used] = True
    specs = choose_features(config.features, unit=config.unit, attributes=source.attributes)
    features = build_all(
        source, observations.filter(pa.array(taken)), specs, config=config, tell=tell
    )
    return TuningRows(
        features=features,
        folds=tuple(_renumbered(rows, used) for rows, _ in labelled),
        final=_renumbered(own, used),
        summary=pd.DataFrame([line for _, lines in labelled for line in lines]),
    )


def require_parts_in_time(config: RunConfig) -> SplitConfig:
    """Return the run's parts in time, or raise if it has none."""
    if not isinstance(config.splits, SplitConfig):
        msg = f"splits.method is {config.splits.method}: its rows are not split in time"
        raise ConfigError(msg)
    return config.splits


def _label_fold(
    source: ContractedTables,
    observations: pa.Table,
    times: Ints,
    fold: dataset.Fold,
    *,
    config: RunConfig,
    boundaries: dataset.Boundaries,
) -> tuple[TuningFold, list[dict[str, object]]]:
    """Label the rows at the fold's cut-offs, and separate early stopping from training."""
    period, splits = fold.period, require_parts_in_time(config)
    assert period is not None  # noqa: S101  a prequential fold always has one
    day = pd.Timedelta(days=1)
    stop_start = period.train_end - splits.early_stopping_days * day
    fit_end = stop_start - splits.inner_embargo_days * day
    when = times[fold.train]
    test_known = min(period.test_cutoff, boundaries.development_cutoff)
    wanted = (
        ("fit", fold.train[when < _us(fit_end)], period.train_cutoff, period.train_start, fit_end),
        (
            "stop",
            fold.train[when >= _us(stop_start)],
            period.train_cutoff,
            stop_start,
            period.train_end,
        ),
        ("test", fold.test, test_known, period.test_start, period.test_end),
    )
    parts, lines = {}, []
    for name, rows, known, start, end in wanted:
        labels = dataset.labels_of(source, observations.take(pa.array(rows)), config, as_of=known)
        found = TuningPart(rows=rows[labels.usable], target=labels.target[labels.usable])
        parts[name] = found
        lines.append(
            {
                "fold": fold.number,
                "part": name,
                "start": start,
                "end": end,
                "labels_read": known,
                "rows": found.rows.size,
                "positives": int(found.target.sum()),
            }
        )
    return fold_rows(f"fold {fold.number}", parts, times, period.test_end), lines


def _own_parts(
    part: Names,
    target: Floats,
    times: Ints,
    boundaries: dataset.Boundaries,
) -> TuningFold:
    parts = {}
    for short, name in (("fit", TRAIN), ("stop", EARLY_STOPPING), ("test", TEST)):
        rows = np.flatnonzero((part == name) & ~np.isnan(target))
        parts[short] = TuningPart(rows=rows, target=target[rows])
    return fold_rows("the run's own parts", parts, times, boundaries.parts[TEST][1])


def fold_rows(
    name: str, parts: Mapping[str, TuningPart], times: Ints, end: pd.Timestamp
) -> TuningFold:
    """Assemble a fold from its parts by name; 'stop' may be absent.

    `times`: int64 array; decision of each observation that the parts count, in microseconds.
    `end`: end of the test's period.
    """
    return TuningFold(
        name=name,
        fit=parts["fit"],
        stop=parts.get("stop"),
        test=parts["test"],
        test_day=times[parts["test"].rows] // DAY_US,
        # `-(-a // b)` rounds up
        end_day=-(-_us(end) // DAY_US),
    )


def parts_of(rows: TuningFold) -> dict[str, TuningPart]:
    """Return the parts of a fold by name."""
    named = {"fit": rows.fit, "stop": rows.stop, "test": rows.test}
    return {name: part for name, part in named.items() if part is not None}


def _renumbered(rows: TuningFold, used: Ints) -> TuningFold:
    """Count rows in the table of used rows instead of all observations."""
    parts = {
        # `used` is sorted: the place of a row in it is its new number
        name: TuningPart(rows=np.searchsorted(used, part.rows), target=part.target)
        for name, part in parts_of(rows).items()
    }
    return replace(rows, fit=parts["fit"], stop=parts.get("stop"), test=parts["test"])


def require_classes_in(folds: Iterable[TuningFold]) -> None:
    """Raise DatasetError naming all parts of folds that lack one of the classes."""
    faults = Faults(
        "tuning.folds leaves parts without one of the two classes: choose fewer folds or longer "
        "parts, or check cases and dates",
        DatasetError,
    )
    for fold in folds:
        for name, part in parts_of(fold).items():
            positives = int(part.target.sum())
            if positives in {0, part.target.size}:
                faults.add(f"{fold.name}, {name}: {positives} positives of {part.target.size} rows")
    faults.raise_if_any()


def _us(time: pd.Timestamp) -> int:
    return int(time.value) // 1_000  # `value` is in nanoseconds, whatever the unit
