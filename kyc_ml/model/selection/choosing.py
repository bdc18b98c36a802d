"""The features that stay, and the reasons against the others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from kyc_ml.config import SelectionConfig
from kyc_ml.errors import ConfigError, DatasetError, Faults, hint, require_both_classes
from kyc_ml.features import FeatureSpec
from kyc_ml.metrics import Floats
from kyc_ml.model.selection.against_noise import NOISE, compare_noise
from kyc_ml.model.selection.over_time import TIME, compare_blocks, cut_blocks
from kyc_ml.model.selection.rows import TrainingRows, number_labels

ALL_MISSING: Final = "all missing"
CONSTANT: Final = "constant"
USELESS: Final = "useless"
SHIFTING: Final = "shifting"
FLIPPING: Final = "flipping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The features that stay, and the reasons against the others."""

    kept: tuple[str, ...]
    """In the order of the model's input."""
    dropped: Mapping[str, str]
    """Mapping of feature name to reason, a sentence."""
    table: pd.DataFrame
    """One row a feature: feature, family, kept, why ('' or all missing, constant, useless,
    shifting, flipping; the first that holds), gain and noise_gain (medians over repetitions), hits
    (repetitions in which the feature beat the noise), psi (the largest of any two blocks, less its
    expectation by chance), psi_blocks, psi_real (significant), z_low and z_high (the lowest and
    highest of the blocks' relation to the outcome). A figure that was not computed is NaN."""

    def counts(self) -> dict[str, int]:
        """Count the dropped features by why, commonest first."""
        why = self.table.loc[~self.table["kept"], "why"]
        return {str(name): int(n) for name, n in why.value_counts().items()}


def select_features(
    matrix: Floats,
    target: Floats,
    times: npt.ArrayLike,
    *,
    specs: Sequence[FeatureSpec],
    config: SelectionConfig,
    customers: npt.ArrayLike | None = None,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Selection:
    """Choose features from training rows only; the number of threads changes nothing.

    Constant and all-missing features go first. A feature is useless if in most repetitions
    a small model gains no more from it than from a quantile of noise: real columns whose
    values were shuffled to other rows, or to other customers as a whole. It shifts if its
    distribution, missing included, differs between two blocks of time by more than
    `psi_limit` and by more than sampling noise. It flips if its relation to the outcome is
    significant with opposite signs in two blocks; categories have no sign.

    A feature that only repeats a kept one may stay: gain is shared among them, but noise
    has none. A feature of value only together with others that gain much more may go. One
    that grows with the history at hand, such as a count of 90 days where the data start 60
    days ago, shifts without being wrong: see `psi_limit`.

    Source: Kursa and Rudnicki 2010, Journal of Statistical Software 36(11), for noise made
    of the features themselves.

    `matrix`: float64 array of shape (n, len(specs)); training rows only; categories as codes, NaN
    is missing.
    `target`: array of 0 and 1, shape (n,).
    `times`: array of shape (n,); anything that sorts: equal times share a block.
    `customers`: array of shape (n,); rows of one customer are correlated: noise is shuffled by
    customer, and significance depends on the number of customers.
    With ``config.method == "none"`` all features stay and nothing is computed.
    Raises DatasetError if there are no rows, one class only, or no feature would stay; ConfigError
    if `config.keep` names a feature that does not exist.
    """
    _require_known(config.keep, specs)
    table = pd.DataFrame(
        {
            "feature": [spec.name for spec in specs],
            "family": [spec.family for spec in specs],
            "why": "",
        }
    )
    if config.method == "none":
        return _conclude(table.join(pd.DataFrame(columns=[*NOISE, *TIME])), config)
    require_both_classes(
        "selection",
        int(target.sum()),
        target.size,
        cure="widen the training part, or check cases and label_maturity_days",
    )
    groups = np.arange(target.size) if customers is None else number_labels(customers)
    rows = TrainingRows(matrix=matrix, target=target, groups=groups, specs=tuple(specs))
    table["why"] = [_emptiness(matrix[:, column]) for column in range(len(table))]
    alive = np.flatnonzero(table["why"] == "")
    blocks = cut_blocks(times, config.time_blocks)
    table = table.join(compare_noise(rows, alive, config, threads=threads, progress=progress))
    table = table.join(compare_blocks(rows, alive, blocks))
    _judge(table, config, blocks=int(blocks.max()) + 1)
    # after the faults: a feature that the configuration keeps has none
    table.loc[table["feature"].isin(config.keep), "why"] = ""
    if (table["why"] != "").all():
        told = ", ".join(f"{n} {why}" for why, n in table["why"].value_counts().items())
        raise DatasetError(
            f"selection would drop all {len(table)} features ({told}): set selection.method "
            "to none, or check the features"
        )
    return _conclude(table, config)


def _require_known(keep: tuple[str, ...], specs: Sequence[FeatureSpec]) -> None:
    known = [spec.name for spec in specs]
    faults = Faults("selection", ConfigError)
    faults.extend(
        f"keep: {name!r} is not a feature of the model{hint(name, known)}"
        for name in keep
        if name not in known
    )
    faults.raise_if_any()


def _conclude(table: pd.DataFrame, config: SelectionConfig) -> Selection:
    table.insert(2, "kept", table["why"] == "")
    dropped = {
        row["feature"]: _sentence(row, config) for _, row in table[~table["kept"]].iterrows()
    }
    return Selection(kept=tuple(table.loc[table["kept"], "feature"]), dropped=dropped, table=table)


def _sentence(row: pd.Series, config: SelectionConfig) -> str:
    match row["why"]:
        case "useless":
            return (
                f"useless: gains {row['gain']:.3g}, shuffled features {row['noise_gain']:.3g}; "
                f"more than they in {row['hits']:.0f} of {config.repetitions} repetitions"
            )
        case "shifting":
            return (
                f"shifting: PSI {row['psi']:.2f} between blocks {row['psi_blocks']} of the "
                f"training time, limit {config.psi_limit:g}"
            )
        case "flipping":
            return (
                "flipping: its relation to the outcome is "
                f"{row['z_low']:.1f} standard errors in one block of time, "
                f"{row['z_high']:+.1f} in another"
            )
        case why:
            return f"{why} in the training rows"


def _judge(table: pd.DataFrame, config: SelectionConfig, *, blocks: int) -> None:
    """Write down the first fault of each feature that is neither empty nor constant."""
    faults = {USELESS: table["hits"] <= config.repetitions / 2}
    if config.psi_limit is not None:
        faults[SHIFTING] = (table["psi"] > config.psi_limit) & (table["psi_real"] == 1)
    if config.flip_level is not None:
        # Bonferroni over the blocks, on both sides
        bound = stats.norm.ppf(1.0 - config.flip_level / blocks / 2)
        faults[FLIPPING] = (table["z_low"] < -bound) & (table["z_high"] > bound)
    for why, here in faults.items():
        table.loc[(table["why"] == "") & here, "why"] = why


def _emptiness(values: Floats) -> str:
    missing = np.isnan(values)
    if missing.all():
        return ALL_MISSING
    return CONSTANT if not missing.any() and (values == values[0]).all() else ""
