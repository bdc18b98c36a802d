"""Split rows into segments and protected groups."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from kyc_ml.metrics import Mask, Names
from kyc_ml.validation.policy import Group
from kyc_ml.validation.rows import ScoredRows

UNKNOWN = "(unknown)"
"""Name of the segment of rows without a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Rows of one value of a category."""

    feature: str
    value: str
    rows: Mask
    """bool array of shape (n,); Mask of all rows, whether or not their outcome is known."""

    @property
    def label(self) -> str:
        """Feature and value, as a report shows them."""
        return f"{self.feature} = {self.value}"


def values_of(rows: ScoredRows, feature: str) -> Names:
    """Return the category of each row; a missing value is `UNKNOWN`."""
    values = rows.category(feature)
    return np.where(values == None, UNKNOWN, values)  # noqa: E711  element by element


def segments(rows: ScoredRows, features: tuple[str, ...]) -> Iterator[Segment]:
    """Yield a segment for each value of each category in these rows, in sorted order."""
    for feature in features:
        spec = rows.spec(feature)
        if spec is None or spec.kind != "category":
            continue
        # sorted: the order of segments does not depend on the order of rows
        codes, names = pd.factorize(values_of(rows, feature), sort=True)
        for place, name in enumerate(names):
            yield Segment(feature=feature, value=str(name), rows=codes == place)


def group_names(rows: ScoredRows, group: Group) -> Names | None:
    """Return the protected group of each row; None if the rows do not have the feature.

    A number belongs to the group between two cuts, such as '25 to 40'.
    """
    spec = rows.spec(group.feature)
    if spec is None:
        return None
    if spec.kind == "category":
        return values_of(rows, group.feature)
    values, cuts = rows.number(group.feature), np.array(group.cuts)
    names = _names_between(group.cuts)
    place = np.digitize(values, cuts)
    return np.where(np.isnan(values), UNKNOWN, names[np.minimum(place, len(names) - 1)])


def _names_between(cuts: tuple[float, ...]) -> Names:
    if not cuts:
        return np.array(["all"], dtype=object)
    between = [f"{low:g} to {high:g}" for low, high in pairwise(cuts)]
    return np.array([f"below {cuts[0]:g}", *between, f"{cuts[-1]:g} or more"], dtype=object)
