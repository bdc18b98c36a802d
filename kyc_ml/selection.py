"""Drop features that are useless against noise or unstable over time, each with its reason.

Only training rows may be judged: rows that stop, calibrate or test a model would leak
into the choice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from kyc_ml.config import ModelConfig, SelectionConfig
from kyc_ml.errors import ConfigError, DatasetError, Faults, hint
from kyc_ml.features.spec import FeatureSpec, all_made_of
from kyc_ml.features.table import FeatureTable
from kyc_ml.model import fit_fixed, sample_rows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ALL_MISSING: Final = "all missing"
CONSTANT: Final = "constant"
USELESS: Final = "useless"
SHIFTING: Final = "shifting"
FLIPPING: Final = "flipping"

_NOISE: Final = ("gain", "noise_gain", "hits")
_TIME: Final = ("psi", "psi_real", "psi_blocks", "z_low", "z_high")
_FEW_VALUES: Final = 10
_COPIES_OF_A_CATEGORY: Final = 5
_PSI_BINS: Final = 10  # Convention: deciles
_PSI_LEVEL: Final = 0.01
_FEWEST_OF_A_CLASS: Final = 5
"""A block with fewer positives or negatives says nothing of the sign of a relation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which features stay, and why the others do not.

    Attributes
    ----------
    kept : tuple of str
        In the order of the model's input.
    dropped : mapping of feature name to reason, a sentence
    table : DataFrame
        One row a feature: feature, family, kept, why ('' or all missing, constant,
        useless, shifting, flipping; the first that holds), gain and noise_gain (medians
        over repetitions), hits (repetitions in which the feature beat the noise), psi (the
        largest of any two blocks, less what chance gives), psi_blocks, psi_real (beyond
        chance), z_low and z_high (the lowest and highest of the blocks' relation to the
        outcome). A figure that was not computed is NaN.
    """

    kept: tuple[str, ...]
    dropped: Mapping[str, str]
    table: pd.DataFrame

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
    """Choose features by training rows alone. The number of threads changes nothing.

    Constant and all-missing features go first. A feature is useless if in most repetitions
    a small model gains no more from it than from a quantile of noise: real columns whose
    values were dealt to other rows, or to other customers as a whole. It shifts if its
    distribution, missing included, differs between two blocks of time by more than
    `psi_limit` beyond chance. It flips if its relation to the outcome is significant with
    opposite signs in two blocks; categories have no sign.

    A feature that only repeats a kept one may stay: gain is shared among them, but noise
    has none. A feature of value only together with others that gain much more may go. One
    that grows with the history at hand, such as a count of 90 days where the data start 60
    days ago, shifts without being wrong: see `psi_limit`.

    Source: Kursa and Rudnicki 2010, Journal of Statistical Software 36(11), for noise made
    of the features themselves.

    Parameters
    ----------
    matrix : float64 array of shape (n, len(specs))
        Training rows only; categories as codes, NaN is missing.
    target : array of 0 and 1, shape (n,)
    times : array of shape (n,)
        Anything that sorts: equal times share a block.
    customers : array of shape (n,), optional
        Rows of one customer are no independent evidence: noise is dealt by customer, and
        chance is judged by the number of customers.

    Returns
    -------
    Selection
        With ``config.method == "none"`` all features stay and nothing is computed.

    Raises
    ------
    DatasetError
        If there are no rows, one class only, or no feature would stay.
    ConfigError
        If `config.keep` names a feature that is not there.
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
        return _conclude(table.join(pd.DataFrame(columns=[*_NOISE, *_TIME])), config)
    _require_both_classes(target)
    groups = np.arange(target.size) if customers is None else _number(customers)
    rows = _Rows(matrix=matrix, target=target, groups=groups, specs=tuple(specs))
    table["why"] = [_emptiness(matrix[:, column]) for column in range(len(table))]
    alive = np.flatnonzero(table["why"] == "")
    blocks = _cut(times, config.time_blocks)
    table = table.join(_compare_noise(rows, alive, config, threads=threads, progress=progress))
    table = table.join(_compare_blocks(rows, alive, blocks))
    _judge(table, config, blocks=int(blocks.max()) + 1)
    table.loc[table["feature"].isin(config.keep), "why"] = ""
    if (table["why"] != "").all():
        told = ", ".join(f"{n} {why}" for why, n in table["why"].value_counts().items())
        msg = (
            f"selection would drop all {len(table)} features ({told}): set selection.method "
            "to none, or check the features"
        )
        raise DatasetError(msg)
    return _conclude(table, config)


def narrow_specs(specs: Sequence[FeatureSpec], selection: Selection) -> tuple[FeatureSpec, ...]:
    """Leave out dropped features; those a kept one is computed from stay, but hidden."""
    known = {spec.name: spec for spec in specs}
    needed = {
        name
        for spec in specs
        if spec.name not in selection.dropped and not spec.hidden
        for name in (spec.name, *all_made_of(spec, known))
    }
    return tuple(
        replace(spec, hidden=spec.hidden or spec.name in selection.dropped)
        for spec in specs
        if spec.name in needed
    )


def narrow_table(features: FeatureTable, selection: Selection) -> FeatureTable:
    """Leave out the columns of dropped features."""
    kept = set(selection.kept)
    return replace(
        features.reorder(selection.kept),
        categories={name: v for name, v in features.categories.items() if name in kept},
    )


def compute_psi(counts: Ints, others: Ints) -> float:
    """Compute the population stability index of two histograms; an empty bin is half a row.

    Source: Siddiqi 2006, Credit Risk Scorecards, Wiley: below 0.1 no shift, above 0.25 a
    major one (convention, not theory).

    Examples
    --------
    >>> round(compute_psi(np.array([50, 50]), np.array([80, 20])), 3)
    0.416
    """
    one, two = np.maximum(counts, 0.5), np.maximum(others, 0.5)
    p, q = one / one.sum(), two / two.sum()
    return float(((p - q) * np.log(p / q)).sum())


def relation_z(values: Floats, target: Floats, groups: Ints) -> float:
    """How many standard errors the area under the ROC curve of a feature lies from one half.

    Rows without a value are left out. The standard error adds up each group's share, so
    rows of one customer count as one piece of evidence.

    Source: Obuchowski 1997, Biometrics 53, 567-578.

    Returns
    -------
    float
        Positive where the risk rises with the feature; NaN with few rows of a class.
    """
    present = ~np.isnan(values)
    values, positive, groups = values[present], target[present] != 0, groups[present]
    n, m = int(positive.sum()), int((~positive).sum())
    if min(n, m) < _FEWEST_OF_A_CLASS:
        return np.nan
    ranks = stats.rankdata(values)
    share = np.empty(values.size)
    share[positive] = (ranks[positive] - stats.rankdata(values[positive])) / m
    share[~positive] = 1.0 - (ranks[~positive] - stats.rankdata(values[~positive])) / n
    area = float(share[positive].mean())
    pull = (share - area) / np.where(positive, n, m)
    spread = float((np.bincount(groups, weights=pull) ** 2).sum())
    if spread == 0.0:
        return 0.0 if area == 0.5 else float(np.copysign(np.inf, area - 0.5))
    return (area - 0.5) / float(np.sqrt(spread))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Training rows; `groups` numbers the customers from 0."""

    matrix: Floats
    target: Floats
    groups: Ints
    specs: tuple[FeatureSpec, ...]


def _require_known(keep: tuple[str, ...], specs: Sequence[FeatureSpec]) -> None:
    known = [spec.name for spec in specs]
    faults = Faults("selection", ConfigError)
    faults.extend(
        f"keep: {name!r} is no feature of the model{hint(name, known)}"
        for name in keep
        if name not in known
    )
    faults.raise_if_any()


def _require_both_classes(target: Floats) -> None:
    positives = int(target.sum())
    if positives in {0, target.size}:
        msg = (
            f"selection needs training rows of both classes, got {positives} positives of "
            f"{target.size} rows: widen the part, or check cases and label_maturity_days"
        )
        raise DatasetError(msg)


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
        bound = stats.norm.ppf(1.0 - config.flip_level / blocks / 2)
        faults[FLIPPING] = (table["z_low"] < -bound) & (table["z_high"] > bound)
    for why, here in faults.items():
        table.loc[(table["why"] == "") & here, "why"] = why


def _emptiness(values: Floats) -> str:
    missing = np.isnan(values)
    if missing.all():
        return ALL_MISSING
    return CONSTANT if not missing.any() and (values == values[0]).all() else ""


def _number(labels: npt.ArrayLike) -> Ints:
    return np.asarray(pd.factorize(np.asarray(labels), sort=True)[0], dtype=np.int64)


def _cut(times: npt.ArrayLike, blocks: int) -> Ints:
    """Part rows into at most so many blocks of equal size, in order of time."""
    when = _number(times)
    ends = np.quantile(when, np.arange(1, blocks) / blocks, method="higher")
    return _number(np.searchsorted(np.unique(ends), when, side="right"))


def _compare_blocks(rows: _Rows, alive: Ints, blocks: Ints) -> pd.DataFrame:
    """Compare blocks of time: distribution, and relation to the outcome; one row a column."""
    inside = [np.flatnonzero(blocks == block) for block in range(int(blocks.max()) + 1)]
    people = [np.unique(rows.groups[here]).size for here in inside]
    found = []
    for column in alive:
        values = np.ascontiguousarray(rows.matrix[:, column])
        category = rows.specs[column].kind == "category"
        place = _bin(values, category=category)
        counts = [np.bincount(place[here], minlength=int(place.max()) + 1) for here in inside]
        z = np.full(1, np.nan)
        if not category:
            z = np.array([relation_z(values[i], rows.target[i], rows.groups[i]) for i in inside])
        known = z[~np.isnan(z)]
        low, high = (known.min(), known.max()) if known.size else (np.nan, np.nan)
        found.append((*_largest_psi(counts, people), low, high))
    return pd.DataFrame(found, index=alive, columns=list(_TIME))


def _bin(values: Floats, *, category: bool) -> Ints:
    """Give each row its bin: deciles or commonest categories, and one for missing."""
    missing = np.isnan(values)
    known = values[~missing]
    place = np.zeros(values.size, np.int64)
    if category:
        codes, counts = np.unique(known, return_counts=True)
        common = np.sort(codes[np.argsort(-counts, kind="stable")[:_PSI_BINS]])
        at = np.searchsorted(common, known).clip(max=common.size - 1)
        place[~missing] = np.where(common[at] == known, at + 1, common.size + 1)
    else:
        order = np.arange(1, _PSI_BINS) / _PSI_BINS
        edges = np.unique(np.quantile(known, order, method="inverted_cdf"))
        # an edge has a bin of its own up to it: zeros, often the commonest value, stay apart
        place[~missing] = np.searchsorted(edges, known, side="left") + 1
    return _number(place)


def _largest_psi(counts: list[Ints], people: list[int]) -> tuple[float, bool, str]:
    """Find the largest PSI of two blocks less its expectation by chance, and whether it is real.

    Of one distribution, PSI is nearly (1 / n + 1 / m) chi-squared with bins - 1 degrees of
    freedom; n and m are taken as numbers of customers, which rather keeps a feature.

    Source: Yurdakul and Naranjo 2020, Journal of Risk Model Validation 14(3), 89-100.
    """
    best = (-np.inf, False, "")
    pairs = [(a, b) for b in range(len(counts)) for a in range(b)]
    bound = stats.chi2.ppf(1.0 - _PSI_LEVEL / max(len(pairs), 1), counts[0].size - 1)
    for a, b in pairs:
        noise = 1.0 / people[a] + 1.0 / people[b]
        psi = compute_psi(counts[a], counts[b])
        beyond = psi - noise * (counts[0].size - 1)
        if beyond > best[0]:
            best = (beyond, bool(psi > noise * bound), f"{a + 1} and {b + 1}")
    return best if pairs else (np.nan, False, "")


def _compare_noise(
    rows: _Rows,
    alive: Ints,
    config: SelectionConfig,
    *,
    threads: int,
    progress: Callable[[int, int], None] | None,
) -> pd.DataFrame:
    """Fit small models beside noise, and count how often each feature gains more."""
    pools = _pools(rows, alive)
    gains, bars = np.zeros((2, config.repetitions, alive.size))
    for number in range(config.repetitions if alive.size else 0):
        gains[number], bars[number] = _gain_beside_noise(
            rows, alive, pools, config, number=number, threads=threads
        )
        if progress is not None:
            progress(number + 1, config.repetitions)
    won = (gains > bars).sum(axis=0)
    figures = (np.median(gains, axis=0), np.median(bars, axis=0), won.astype(np.float64))
    return pd.DataFrame(dict(zip(_NOISE, figures, strict=True)), index=alive)


def _pools(rows: _Rows, alive: Ints) -> Ints:
    """Give features whose noise is judged together one number; a category is alone, from 2 on.

    The more values a feature has, the more it gains by chance: like is compared with like.
    """
    pools = np.zeros(alive.size, np.int64)
    for place, column in enumerate(alive):
        if rows.specs[column].kind == "category":
            pools[place] = place + 2
        else:
            pools[place] = np.unique(rows.matrix[:, column]).size > _FEW_VALUES
    return pools


def _gain_beside_noise(
    rows: _Rows,
    alive: Ints,
    pools: Ints,
    config: SelectionConfig,
    *,
    number: int,
    threads: int,
) -> tuple[Floats, Floats]:
    """Fit one small model: the gain of each feature, and what its pool of noise gains."""
    rng = np.random.default_rng([config.seed, number])
    drawn = _draw(rows.matrix, rows.target, config, seed=int(rng.integers(2**32)))
    source = np.concatenate(
        [
            np.resize(
                rng.permutation(np.flatnonzero(pools == pool)),
                config.noise_features if pool < 2 else _COPIES_OF_A_CATEGORY,
            )
            for pool in np.unique(pools)
        ]
    )
    copied = alive[source]
    beside = np.empty((drawn.size, alive.size + copied.size), order="F")
    beside[:, : alive.size] = rows.matrix[np.ix_(drawn, alive)]
    groups = _number(rows.groups[drawn])
    for place, column in enumerate(copied, alive.size):
        beside[:, place] = rows.matrix[drawn[_deal(groups, rng)], column]
    noise = [
        replace(rows.specs[column], name=f"noise {place} of {rows.specs[column].name}")
        for place, column in enumerate(copied)
    ]
    small = ModelConfig(
        seed=config.seed + number,
        num_threads=threads,
        rounds=config.rounds,
        num_leaves=config.num_leaves,
        learning_rate=0.1,
        min_data_in_leaf=20,
        feature_fraction=0.5,
    )
    shown = [rows.specs[column] for column in alive]
    model = fit_fixed(beside, rows.target[drawn], specs=[*shown, *noise], config=small)
    gain, by_chance = np.split(model.importance(), [alive.size])
    bars = {
        pool: np.quantile(by_chance[pools[source] == pool], config.quantile)
        for pool in np.unique(pools)
    }
    return gain, np.array([bars[pool] for pool in pools])


def _draw(matrix: Floats, target: Floats, config: SelectionConfig, *, seed: int) -> Ints:
    """Draw at most `most_rows` rows: positives up to half of them, negatives for the rest."""
    positives, negatives = np.flatnonzero(target != 0), np.flatnonzero(target == 0)
    if target.size <= config.most_rows:
        return np.arange(target.size)
    most = max(config.most_rows // 2, config.most_rows - negatives.size)
    chosen = sample_rows(matrix, positives, count=most, seed=seed)
    left = config.most_rows - chosen.size
    return np.sort(np.r_[chosen, sample_rows(matrix, negatives, count=left, seed=seed)])


def _deal(groups: Ints, rng: np.random.Generator) -> Ints:
    """Give each group the rows of another one, stretched or thinned to its own number of rows.

    Shuffled so, a feature keeps its likeness within customers, which alone gains something
    where outcomes are alike within customers.
    """
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    starts = np.cumsum(sizes) - sizes
    donor = rng.permutation(sizes.size)
    own = groups[order]
    step = np.arange(groups.size) - starts[own]
    source = np.empty(groups.size, np.int64)
    source[order] = order[starts[donor[own]] + step * sizes[donor[own]] // sizes[own]]
    return source
