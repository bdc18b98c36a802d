"""Population stability: whether a distribution has shifted."""

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy  # its parts load at their first use

from kyc_ml.metrics.arrays import AnyArray, Ints

_MISSING: Final = "missing"
_OTHER: Final = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenBins:
    """Bins learned from reference values once, and held fixed from then on.

    Bin 0 holds missing values. Numbers are in bins that end at, and include, each cut, and
    in one beyond the last; categories have a bin each, and all others one together.

    Attributes
    ----------
    category : bool
    cuts : tuple
        Increasing ends of bins, or categories in order.
    """

    category: bool
    cuts: tuple[Any, ...]

    @classmethod
    def of(cls, values: AnyArray, *, category: bool = False, n_bins: int = 10) -> Self:
        """Learn bins: quantiles of numbers, or the commonest categories.

        Parameters
        ----------
        values : array of shape (n,)
            Numbers, or categories of any one kind; NaN, NaT and None are missing.
        n_bins : int
            Quantile bins, or most frequent categories with a separate bin. Convention: 10.
        """
        known = values[~pd.isna(values)]
        if not known.size:
            return cls(category=category, cuts=())
        if category:
            codes, counts = np.unique(known, return_counts=True)
            # stable: of equally common categories the first in order is kept
            cuts = np.sort(codes[np.argsort(-counts, kind="stable")[:n_bins]])
        else:
            # a value that often repeats ends a bin: zeros stay apart
            order = np.arange(1, n_bins) / n_bins
            cuts = np.unique(np.quantile(known, order, method="inverted_cdf"))
        return cls(category=category, cuts=tuple(cuts.tolist()))

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the bins in order."""
        if self.category:
            return (_MISSING, *(str(cut) for cut in self.cuts), _OTHER)
        ends = [f"{cut:g}" for cut in self.cuts]
        starts = ["-inf", *ends]
        # `starts` has one entry more: the last bin is written below
        inner = [f"({low}, {high}]" for low, high in zip(starts, ends, strict=False)]
        return (_MISSING, *inner, f"({starts[-1]}, inf]")

    def place(self, values: AnyArray) -> Ints:
        """Return each value its bin, int64 of shape (n,)."""
        missing = np.asarray(pd.isna(values))
        known = values[~missing]
        place = np.zeros(values.size, np.int64)
        if self.category:
            at = pd.Index(list(self.cuts), dtype=known.dtype).get_indexer(pd.Index(known))
            place[~missing] = np.where(at < 0, len(self.cuts), at) + 1
        else:
            place[~missing] = np.searchsorted(np.array(self.cuts), known, side="left") + 1
        return place

    def count(self, values: AnyArray) -> Ints:
        """Count the values of each bin, int64 of shape (len(cuts) + 2,)."""
        return np.bincount(self.place(values), minlength=len(self.cuts) + 2)


def compute_psi(expected: npt.ArrayLike, actual: npt.ArrayLike, *, smoothing: float = 0.5) -> float:
    """Compute the population stability index of two histograms of the same bins.

    PSI = sum (a - e) ln(a / e) over bins, e and a their shares. It is symmetric.

    Source: Siddiqi 2006, Credit Risk Scorecards, Wiley: below 0.1 no shift, above 0.25 a
    major one (convention, not theory).

    Parameters
    ----------
    expected, actual : arrays of counts, shape (bins,)
    smoothing : float
        Added to each count, so that an empty bin counts little instead of infinitely much.
        Bins empty in both are left out first.

    Examples
    --------
    >>> round(compute_psi([50, 50], [80, 20], smoothing=0.0), 3)
    0.416
    """
    one, two = _in_use(expected, actual)
    one, two = one + smoothing, two + smoothing
    p, q = one / one.sum(), two / two.sum()
    return float(((p - q) * np.log(p / q)).sum())


def _in_use(expected: npt.ArrayLike, actual: npt.ArrayLike) -> tuple[AnyArray, AnyArray]:
    """Leave out bins that are empty in both."""
    one, two = np.asarray(expected, dtype=np.float64), np.asarray(actual, dtype=np.float64)
    used = one + two > 0
    return one[used], two[used]


def psi_critical(bins: int, n_expected: float, n_actual: float, *, level: float) -> float:
    """Return the PSI that is exceeded by chance as often as `level`, where nothing shifted.

    Then PSI is nearly (1 / n_expected + 1 / n_actual) chi-squared with bins - 1 degrees of
    freedom, where bins hold about five or more.

    Source: Yurdakul and Naranjo 2020, Journal of Risk Model Validation 14(3), 89-100.

    Parameters
    ----------
    bins : int
    n_expected, n_actual : float
        Pieces of independent evidence: rows, or `effective_customers` where they have several.
    level : float, in (0, 1)
    """
    return float((1.0 / n_expected + 1.0 / n_actual) * scipy.stats.chi2.ppf(1.0 - level, bins - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How far a distribution moved, and how far chance alone moves it.

    Attributes
    ----------
    psi : float
    bins : int
        Bins that are not empty in both.
    critical_95, critical_99 : float
        PSI that 5 and 1 of 100 unshifted samples of these sizes exceed, where bins hold about
        five or more.
    p_value : float
        Of no shift, by Pearson's test: of bins with little evidence the PSI itself exceeds its
        critical value too often. Of many rows it is small for a shift too small to matter: read it
        together with the PSI.
    """

    psi: float
    bins: int
    critical_95: float
    critical_99: float
    p_value: float


def compute_drift(
    expected: npt.ArrayLike,
    actual: npt.ArrayLike,
    *,
    n_expected: float | None = None,
    n_actual: float | None = None,
    smoothing: float = 0.5,
) -> Drift:
    """Compare two histograms of the same frozen bins.

    Source: as for `psi_critical`; the test is Pearson's of two samples, of counts scaled to the
    pieces of evidence: Pearson 1911, Biometrika 8, 250-254; Rao and Scott 1987, Annals of
    Statistics 15, 385-397.

    Parameters
    ----------
    expected, actual : arrays of counts, shape (bins,)
    n_expected, n_actual : float, optional
        `effective_customers`, if rows of one customer are not independent; else all counts.
        The mere number of customers is too many where some have most of the rows.
    smoothing : float
        See `compute_psi`.

    Returns
    -------
    Drift
        All NaN but `bins` where a histogram is empty. With one bin nothing can shift: the
        p-value is 1.
    """
    one, two = _in_use(expected, actual)
    n = float(one.sum()) if n_expected is None else n_expected
    m = float(two.sum()) if n_actual is None else n_actual
    bins = one.size
    if not (one.sum() and two.sum()):
        return Drift(psi=np.nan, bins=bins, critical_95=np.nan, critical_99=np.nan, p_value=np.nan)
    if bins == 1:
        return Drift(psi=0.0, bins=1, critical_95=0.0, critical_99=0.0, p_value=1.0)
    return Drift(
        psi=compute_psi(one, two, smoothing=smoothing),
        bins=bins,
        critical_95=psi_critical(bins, n, m, level=0.05),
        critical_99=psi_critical(bins, n, m, level=0.01),
        p_value=_same_shares_p(one * (n / one.sum()), two * (m / two.sum())),
    )


def _same_shares_p(one: AnyArray, two: AnyArray) -> float:
    """Return the p-value of Pearson's test that two histograms have the same shares."""
    n, m = one.sum(), two.sum()
    statistic = n * m * ((one / n - two / m) ** 2 / (one + two)).sum()
    return float(scipy.stats.chi2.sf(statistic, one.size - 1))
