# ruff: noqa: N803  scikit-learn names the rows X
"""Splitters with scikit-learn's protocol that respect time, label delay and customers.

Each serves as `cv` of scikit-learn: ``cross_val_score(model, X, y, groups=customers, cv=...)``.
Times come from `times`, aligned with the rows of X, or from X itself: a frame's column
``decision_time``, or its index if that holds times. The index is better: the model does not
see it, and it follows the rows when X is split again. Times without a zone are UTC.

scikit-learn passes one outcome per row, but what was known of an outcome depends on the fold.
There are two correct ways. Give `known_at`, when the outcome of each row became known: a row
whose outcome is not known at the cut-off of a fold is left out of its training. Or iterate over
`folds`, whose periods hold the cut-offs, and mature the labels for each::

    for fold in splitter.folds(observations):
        labels = mature_labels(..., as_of=fold.period.train_cutoff)
        train = fold.train[labels.usable[fold.train]]
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils.metadata_routing import MetadataRequest

from kyc_ml.dataset.splits.folds import Fold, StatusAt, summarise_folds
from kyc_ml.dataset.splits.rows import (
    Data,
    count_fold_rows,
    read_customers,
    read_status,
    read_target,
    to_status,
)
from kyc_ml.errors import DatasetError, Faults
from kyc_ml.metrics import Floats, Ints, Names, Times


class Splitter(ABC):
    """The methods of scikit-learn's protocol that follow from `folds`."""

    needs_customers: ClassVar[bool] = False

    @abstractmethod
    def folds(
        self, X: Data, y: npt.ArrayLike | None = None, groups: npt.ArrayLike | None = None
    ) -> tuple[Fold, ...]:
        """Assign each row of each fold, independently of its outcome."""

    def get_n_splits(
        self, X: Data = None, y: npt.ArrayLike | None = None, groups: npt.ArrayLike | None = None
    ) -> int:
        """Return the number of folds; scikit-learn requires the arguments."""
        return int(getattr(self, "n_splits", 1))  # a single split has no such parameter

    @abstractmethod
    def _times(self, X: Data) -> Times | None:
        """Return the times of the rows; None if they are neither known nor needed."""

    @property
    def _subject(self) -> str:
        return type(self).__name__

    def split(
        self, X: Data, y: npt.ArrayLike | None = None, groups: npt.ArrayLike | None = None
    ) -> Iterator[tuple[Ints, Ints]]:
        """Yield the row numbers to train and to test on, fold by fold.

        `X`: array, frame or list of n rows.
        `y`: array of shape (n,); 1, 0, or NaN for an outcome that may not be used: such rows are
        left out.
        `groups`: array of shape (n,); the customer of each row. Linked customers with one name stay
        together.
        Raises DatasetError if a fold lacks rows, or one of the two classes; every such fold is
        named.
        """
        if groups is not None and not self.needs_customers:
            warnings.warn(
                f"The groups parameter is ignored by {self._subject}", UserWarning, stacklevel=2
            )
        target = (
            None if y is None else read_target(y, n_rows=count_fold_rows(X), subject=self._subject)
        )
        # all folds are checked before the first one is used
        parts = []
        for fold in self.folds(X, y, groups):
            train, test = fold.train, fold.test
            if target is not None:
                train, test = (rows[~np.isnan(target[rows])] for rows in (train, test))
            parts.append((train, test))
        _require_both_classes(parts, target, subject=self._subject)
        yield from parts

    def describe(
        self,
        X: Data,
        y: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
        *,
        status: npt.ArrayLike | StatusAt | None = None,
    ) -> pd.DataFrame:
        """Count what each part of each fold holds and what was left out, and why.

        A fold that `split` refuses is counted too, so that its fault can be found here.

        `status`: array of shape (n,), or a function of a date that gives one; states of
        `mature_labels`. The function is called with the cut-offs of each fold. Without it, `y`
        gives positives, negatives and, as NaN, immature rows.
        One row per fold and part: fold, part, start, end (the period, end excluded), labels_read
        (the day whose knowledge counts), first, last (decision times of the rows used),
        observations, rows (those used), positives, negatives, customers, immature, open_case,
        already_adverse, dropped_by_delay, dropped_by_embargo, dropped_by_purging,
        dropped_by_customer. A count without its input is missing.
        """
        n_rows, subject = count_fold_rows(X), self._subject
        states: Names | StatusAt | None = None
        if callable(status):
            states = status
        elif status is not None:
            states = read_status(status, n_rows=n_rows, subject=subject)
        elif y is not None:
            states = to_status(read_target(y, n_rows=n_rows, subject=subject))
        customers = (
            None if groups is None else read_customers(groups, n_rows=n_rows, subject=subject)
        )
        folds = self.folds(X, y, groups)
        return summarise_folds(folds, times=self._times(X), status=states, customers=customers)

    def get_metadata_routing(self) -> MetadataRequest:
        """Request `groups` from scikit-learn if the split needs customers; see metadata routing."""
        request = MetadataRequest(owner=self)
        if self.needs_customers:
            request.split.add_request(param="groups", alias=True)
        return request


def _require_both_classes(
    parts: list[tuple[Ints, Ints]], target: Floats | None, *, subject: str
) -> None:
    faults = Faults(
        f"{subject} leaves parts that cannot train or evaluate a model: choose longer parts or "
        "fewer folds, or check cases and dates; describe() counts what was left out",
        DatasetError,
    )
    for number, fold in enumerate(parts, 1):
        for name, rows in zip(("train", "test"), fold, strict=True):
            if rows.size == 0:
                faults.add(f"fold {number} has no row to {name} on")
            elif target is not None and target[rows].min() == target[rows].max():
                kind = "positives" if target[rows[0]] == 1 else "negatives"
                faults.add(f"fold {number}, {name}: all {rows.size} rows are {kind}")
    faults.raise_if_any()


def check_counts(splitter: Splitter, lowest: dict[str, int], faults: Faults) -> None:
    """Note parameters of a splitter that are not whole numbers, or are below their minimum."""
    for name, least in lowest.items():
        value = getattr(splitter, name)
        # a bool is an int in Python, and not a number here
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            faults.add(f"{name} must be a whole number of at least {least}, got {value!r}")
