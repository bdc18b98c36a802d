"""Compute SHAP contributions of many rows; keep sums, reasons and the largest error."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from kyc_ml.decision import FoundReasons, find_reasons, rank_reasons
from kyc_ml.features import FeatureTable
from kyc_ml.metrics import Floats, Ints
from kyc_ml.registry import Bundle
from kyc_ml.validation.rows import ScoredRows

_PIECE: Final = 16_384
"""Rows explained at a time: some seconds of work, and little memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Summary of the SHAP contributions of n rows."""

    names: tuple[str, ...]
    strength: Floats
    """float64 array of shape (p,); mean absolute contribution of each feature, in log-odds."""
    codes: tuple[str, ...]
    """Reason codes; see `reasons_of_rows`."""
    reasons: npt.NDArray[np.int16]
    """int16 array of shape (n, k); indices in `codes` of the published reasons of each row, in
    their order; -1 for none."""
    worst_error: float
    """Largest difference between base value plus contributions and the margin."""
    rows: int

    def ranked(self) -> Ints:
        """Return the indices of the features, the strongest first; equal ones by name."""
        return np.lexsort((np.array(self.names, dtype=object), -self.strength))

    def top(self, k: int) -> tuple[str, ...]:
        """Return the names of the k strongest features whose contributions are not all 0."""
        return tuple(self.names[at] for at in self.ranked()[:k] if self.strength[at] > 0)


def attribute(
    bundle: Bundle,
    rows: ScoredRows,
    *,
    threads: int,
    progress: Callable[[int, int], None],
) -> Attribution:
    """Explain every row, in pieces, so that not all contributions are in memory together."""
    n, p = rows.matrix.shape
    k = min(bundle.config.explain.reasons, p)
    total, reasons, worst = np.zeros(p), np.empty((n, k), np.int16), 0.0
    codes: tuple[str, ...] = ()
    for start in range(0, n, _PIECE):
        here = slice(start, min(start + _PIECE, n))
        part = bundle.model.contributions(rows.matrix[here], threads=threads)
        values = part.values
        total += np.abs(values).sum(axis=0)
        found = reasons_of_rows(bundle, rows.features.take(range(n)[here]), values, k=k)
        codes, reasons[here] = found.codes, found.groups
        error = np.abs(part.base + values.sum(axis=1) - rows.margin[here])
        worst = max(worst, float(error.max(initial=0.0)))
        progress(here.stop, n)
    return Attribution(
        names=bundle.model.feature_names,
        strength=total / max(n, 1),
        codes=codes,
        reasons=reasons,
        worst_error=worst,
        rows=n,
    )


def reasons_of_rows(
    bundle: Bundle, features: FeatureTable, contributions: Floats, *, k: int
) -> FoundReasons:
    """Find the reasons of rows as scoring publishes them; see `make_reasons`.

    `features`: the model's own columns, in its order.
    """
    if bundle.reference.contrasts:
        return find_reasons(features, contributions, reference=bundle.reference, k=k)
    ranked = rank_reasons(contributions, k=k)
    return FoundReasons(
        codes=tuple(spec.code for spec in features.specs),
        groups=ranked,
        members=ranked,
        differences=contributions,
        references=np.zeros(len(features)),
    )
