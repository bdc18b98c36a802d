"""Features whose missing values say what a field says that the model does not have."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.features import OBSERVATION_ID, FeatureTable, Own, name_of
from kyc_ml.metrics import Ints, Mask

_MOST_VALUES: Final = 50
"""Most different values of a field that a missing feature can stand in for."""

_FEWEST: Final = 0.01
"""Share of rows, missing and known, below which the agreement says little. Convention."""


def find_stand_ins(features: FeatureTable, observations: pa.Table) -> pd.DataFrame:
    """Compare the missing values of each feature with each text field of the observations.

    A feature that is missing for incoming payments alone gives the model the direction. The
    trees then use it for that, and a reason that names it says nothing about its value.

    `features`: the model's own columns.
    `observations`: the same rows, or more, with their own fields.
    Returns DataFrame[feature, field, agreement]; the agreement is the phi coefficient, from 0 to 1,
    of "the feature is missing" and "the field has one of the values for which it mostly is". Fields
    that are a feature of the model are left out; the closest first, equal ones by name.
    """
    place = pc.index_in(features.keys[OBSERVATION_ID], value_set=observations[OBSERVATION_ID])
    known = np.asarray(pc.is_valid(place))
    fields = dict(_fields(observations.take(place.drop_null()), features))
    lines = []
    for column, spec in enumerate(features.specs):
        missing = (
            np.asarray(features.categories[spec.name].is_null())
            if spec.kind == "category"
            else np.isnan(features.numbers[:, column])
        )[known]
        if not missing.size or not _FEWEST <= missing.mean() <= 1.0 - _FEWEST:
            continue
        lines += [
            {"feature": spec.name, "field": name, "agreement": _agreement(missing, codes)}
            for name, codes in fields.items()
        ]
    table = pd.DataFrame(lines, columns=["feature", "field", "agreement"])
    table = table.astype({"agreement": np.float64})
    return table.sort_values(
        ["agreement", "feature", "field"], ascending=[False, True, True], ignore_index=True
    )


def _fields(rows: pa.Table, features: FeatureTable) -> Iterator[tuple[str, Ints]]:
    """List each text field that the model does not have, with its values as numbers."""
    own = {
        name_of(spec.how.column)
        for spec in features.specs
        if isinstance(spec.how, Own) and spec.how.column is not None
    }
    for name in rows.column_names:
        values = rows[name].combine_chunks()
        if name in own or not pa.types.is_string(values.type):
            continue
        coded = values.dictionary_encode()
        if 1 < len(coded.dictionary) <= _MOST_VALUES:
            codes = coded.indices.fill_null(len(coded.dictionary))
            yield name, codes.to_numpy(zero_copy_only=False).astype(np.int64)


def _agreement(missing: Mask, codes: Ints) -> float:
    """Compute the phi coefficient of being missing and of the values where most rows are."""
    rows = np.bincount(codes)
    gone = np.bincount(codes, weights=missing, minlength=rows.size)
    foretold = (gone > rows / 2.0)[codes]
    if foretold.all() or not foretold.any():
        return 0.0
    return float(np.corrcoef(missing, foretold)[0, 1])
