"""Which of several drifts a gate is told of."""

import numpy as np
import pandas as pd
import pytest

from kyc_ml.validation.extremes import most_drifted


def drifts(*lines):
    return pd.DataFrame(lines, columns=["feature", "csi", "critical_95", "critical_99"])


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        # a category of many values excuses itself, not the number that shifted
        ([("country", 0.30, 0.47, 0.50), ("amount", 0.28, 0.03, 0.04)], "amount"),
        ([("country", 0.30, 0.47, 0.50), ("amount", 0.12, 0.03, 0.04)], "amount"),
        # major ones come first, and then the largest
        ([("a", 0.45, 0.40, 0.46), ("b", 0.26, 0.03, 0.04)], "b"),
        ([("a", 0.26, 0.03, 0.04), ("b", 0.60, 0.03, 0.04)], "b"),
        # beyond its critical value, but too small to matter
        ([("a", 0.09, 0.01, 0.02), ("b", 0.095, 0.2, 0.3)], "b"),
        ([("b", 0.05, 0.1, 0.2), ("a", 0.05, 0.1, 0.2)], "a"),
        ([("a", np.nan, np.nan, np.nan), ("b", 0.05, 0.1, 0.2)], "b"),
    ],
)
def test_the_drift_that_breaks_most_is_told_with_its_own_critical_values(lines, named):
    table = drifts(*lines)
    found = most_drifted(table, "csi", named="feature")
    line = table.set_index("feature").loc[named]
    assert {each.about for each in found.values()} == {named}
    assert found["drift"].value == line["csi"]
    assert found["critical_95"].value == line["critical_95"]
    assert found["critical_99"].value == line["critical_99"]


@pytest.mark.parametrize("lines", [[], [("a", np.nan, np.nan, np.nan)]])
def test_without_a_drift_all_is_undefined(lines):
    found = most_drifted(drifts(*lines), "csi", named="feature")
    assert all(np.isnan(each.value) for each in found.values())
