"""Equal to a limit is within it; one more is beyond."""

import re

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.config import LimitsConfig
from kyc_ml.model import DriftFound
from kyc_ml.scoring.counts import Counts
from kyc_ml.scoring.limits import RunFigures, check_limits

NONE = LimitsConfig(quarantined_share=1, unknown_categories_share=1, unknown_customers_share=1)
PERCENT = st.integers(0, 99)


def judged(quality, *, unknown=0, rows=100, faults=()):
    found = DriftFound(table=pd.DataFrame({"column": [], "psi": [], "drifted": []}), faults=faults)
    counts = Counts(rows=rows, unknown_categories={"channel": unknown})
    return RunFigures(quality=quality, counts=counts, drift=found)


def faults_of(limit, percent, **found):
    limits = NONE.model_copy(update={limit: percent / 100})
    return check_limits(judged(**found), limits)


@given(percent=PERCENT)
def test_a_share_equal_to_its_limit_is_within(make_quality, percent):
    for more, beyond in ((0, False), (1, True)):
        n = percent + more
        quarantined = {"quality": make_quality(refused=n)}
        assert bool(faults_of("quarantined_share", percent, **quarantined)) == beyond
        late = {"quality": make_quality(late=n)}
        assert bool(faults_of("late_share", percent, **late)) == beyond
        customers = {"quality": make_quality(unknown=n)}
        assert bool(faults_of("unknown_customers_share", percent, **customers)) == beyond
        categories = {"quality": make_quality(), "unknown": n}
        assert bool(faults_of("unknown_categories_share", percent, **categories)) == beyond


def test_a_fault_names_its_limit_the_counts_and_the_table(make_quality):
    (fault,) = faults_of("quarantined_share", 2, quality=make_quality(refused=3))
    assert re.match("quarantined_share: transactions: 3 .*100 .*0.02", fault)


def test_without_a_limit_late_rows_are_no_fault(make_quality):
    assert check_limits(judged(make_quality(late=100)), NONE) == ()


def test_an_empty_table_passes_no_limit(make_quality):
    strict = LimitsConfig(
        quarantined_share=0, unknown_categories_share=0, unknown_customers_share=0, late_share=0
    )
    assert check_limits(judged(make_quality(read=0), rows=0), strict) == ()


def test_all_faults_are_told_at_once(make_quality):
    found = judged(make_quality(refused=9, unknown=9), unknown=9, faults=("drift.score: far",))
    names = [fault.split(":")[0] for fault in check_limits(found, LimitsConfig())]
    assert names == ["quarantined_share", "unknown_customers_share", "unknown_categories_share",
                     "drift.score"]  # fmt: skip
