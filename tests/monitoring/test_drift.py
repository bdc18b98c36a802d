"""Planted faults are found within two nights and named; a quiet record raises nothing twice."""

import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kyc_ml.model import learn_profile
from kyc_ml.monitoring import NightsRecord, Severity, feature_moves, find_drift
from kyc_ml.monitoring.drift import effect_on_score
from kyc_ml.monitoring.found import NAMES, TEXTS
from kyc_ml.monitoring.night_signals import findings_of_nights
from kyc_ml.scoring import HOUR
from kyc_ml.scoring.extract_days import say_beyond

MADE = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "made_nights.py"))
FAULTS, make_nights = MADE["FAULTS"], MADE["make_nights"]
AT = 120


def record_of(nights, folder):
    record = NightsRecord.open(folder, create=True)
    record.add(*nights)
    return record


def signals_of(record, since):
    return [each for each in find_drift(record, {}).signals if each.day >= since]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named_within_two_nights(fault, tmp_path):
    nights = make_nights(AT + 2, fault=fault, at=AT, seed=3)
    found = signals_of(record_of(nights, tmp_path), nights[AT].day)
    named = [each for each in found if each.code == FAULTS[fault]]
    assert named, [each.code for each in found]
    # whatever else moved is explained by it: one cause, one alert
    assert {each.key for each in found} == {named[0].key}, [(e.code, e.key) for e in found]
    assert all(each.text and each.text_zh for each in found)


def test_a_lasting_change_is_reported_once(tmp_path):
    nights = make_nights(AT + 40, fault="product", at=AT, seed=5)
    found = signals_of(record_of(nights, tmp_path), nights[AT].day)
    assert [each.code for each in found if each.code == "data.new_category"] == [
        "data.new_category"
    ]


def test_what_a_night_raises_does_not_depend_on_later_nights(tmp_path):
    nights = make_nights(AT + 6, fault="wave", at=AT, seed=1)
    whole = find_drift(record_of(nights, tmp_path / "a"), {}).signals
    until = nights[AT + 2].day
    first = find_drift(record_of(nights[: AT + 3], tmp_path / "b"), {}).signals
    assert [e for e in whole if e.day <= until] == list(first)


def test_a_short_or_empty_record_raises_nothing(tmp_path):
    assert find_drift(NightsRecord.open(tmp_path / "none", create=True), {}).signals == ()
    one = record_of(make_nights(1), tmp_path / "one")
    assert find_drift(one, {}).signals == ()
    assert feature_moves(one, "fraud", None).empty


def test_a_quiet_holiday_divides_by_nothing(tmp_path):
    nights = make_nights(80, seed=2, rows=1)
    found = find_drift(record_of(nights, tmp_path), {})
    assert np.isfinite(found.evidence["evidence"]).all()


@pytest.mark.parametrize(
    ("line", "code", "subject"),
    [
        (say_beyond("magnitude", "transactions", ".amount: x"), "data.unit", "transactions.amount"),
        (say_beyond("magnitude", "accounts", ": balance: x"), "data.unit", "accounts.balance"),
        (say_beyond("missing", "customers", ".industry: x"), "data.empty", "customers.industry"),
        (say_beyond("repeated", "transactions", ": x"), "data.repeated", "transactions"),
        (say_beyond("mixture", "events", f": {HOUR}: x"), "data.clock",
         f"events.{HOUR}"),
        ("stale: transactions: x", "data.stale", "transactions"),
        ("stale: cases: x", "labels.stopped", "cases"),
        ("arrivals: events: x", "data.incomplete", "events"),
    ],
)  # fmt: skip
def test_the_limit_that_refused_a_night_names_its_fault(line, code, subject):
    night = {
        "model": "m", "day": "2025-03-04", "status": "refused", "scored_by": "model",
        "detail": {"faults": [line]},
    }  # fmt: skip
    first, second = findings_of_nights(pd.DataFrame([night]))
    assert (first.code, first.subject) == (code, subject)
    assert (second.code, second.cause) == ("night.refused", first.key)
    assert line in first.signal().text
    assert line in first.signal().text_zh


def test_every_code_has_a_sentence_and_a_severity():
    assert set(NAMES) <= set(TEXTS)
    assert {Severity.CRITICAL, Severity.WARNING} <= {
        each.signal().severity
        for each in findings_of_nights(
            pd.DataFrame(
                [{"model": "m", "day": "2025-01-01", "status": status, "scored_by": "",
                  "detail": {"reason": "x"}} for status in ("refused", "late")]
            )
        )
    }  # fmt: skip


def test_the_largest_effect_comes_first_and_shares_add_up(tmp_path):
    moves = feature_moves(
        record_of(make_nights(120, fault="unit", at=113), tmp_path), "fraud", None
    )
    assert set(moves["feature"].head(3)) == {"feature_0", "feature_1", "feature_2"}
    assert [row.sum() for row in moves["after"]] == pytest.approx([1.0] * len(moves))


def test_the_effect_is_that_of_the_margin(bundle, small):
    proba = bundle.calibrator.probability(small.model.margin(small.matrix))
    profile = learn_profile(small.features, proba)
    bundle = replace(bundle, profile=profile)
    name = bundle.model.feature_names[0]
    shares = profile.counts[name] / profile.counts[name].sum()
    assert effect_on_score(bundle, name, shares, shares) == 0.0
    assert np.isnan(effect_on_score(bundle, "absent", shares, shares))
    whole = np.zeros(shares.size)
    whole[-1] = 1.0
    assert abs(effect_on_score(bundle, name, shares, whole)) > 0.0
