"""A challenger is promoted on evidence that suffices, and not by chance."""

import numpy as np
import pytest

from kyc_ml.monitoring import compare_challenger


def pair(known, *, rows=4000, champion=0.0, challenger=0.0, seed=0, **columns):
    """Score the same rows by two models whose log-odds have noise of a size."""
    rng = np.random.default_rng(seed)
    true = rng.normal(-3.0, 1.2, rows)

    def scored(noise):
        return 1 / (1 + np.exp(-(true + noise * rng.normal(size=rows))))

    target = (rng.random(rows) < scored(0.0)).astype(float)
    common = {"decided": np.arange(rows) / 20, "target": target, **columns}
    return tuple(known(probability=scored(each), **common) for each in (champion, challenger))


@pytest.mark.parametrize(
    ("champion", "challenger", "verdict"), [(1.0, 0.0, "better"), (0.0, 1.0, "worse")]
)
def test_a_clear_difference_is_decided_on_its_day(known, champion, challenger, verdict):
    found = compare_challenger(*pair(known, champion=champion, challenger=challenger))
    assert found.verdict == verdict
    assert found.positives_needed == 0
    decided = found.path.set_index("day").loc[found.decided_on]
    assert decided[f"evidence_{verdict}"] >= 1.0
    assert (found.gain > 0) == (verdict == "better")
    assert found.decided_on in found.text.en
    assert found.decided_on in found.text.zh


def test_models_that_are_equally_good_are_not_decided(known):
    # the same probabilities with noise of one size: neither has a lower mean log loss
    verdicts = [
        compare_challenger(*pair(known, rows=800, champion=0.5, challenger=0.5, seed=seed)).verdict
        for seed in range(40)
    ]
    assert verdicts.count("not_decided") >= 38


def test_a_small_difference_says_how_many_positives_are_needed(known):
    found = compare_challenger(*pair(known, rows=1500, champion=0.45))
    assert found.verdict == "not_decided"
    assert 0 < found.positives_needed < 20_000
    assert f"{found.positives_needed:,}" in found.text.en


def test_equal_models_show_no_growth(known):
    outcomes, _ = pair(known, rows=200)
    found = compare_challenger(outcomes, outcomes)
    assert (found.gain, found.positives_needed) == (0.0, None)


def test_only_rows_of_both_count(known):
    one, two = pair(known, rows=300)
    half = pair(known, rows=300)[1]
    object.__setattr__(half, "rows", two.rows.iloc[::2])
    assert compare_challenger(one, half).rows == 150


def test_nothing_in_common(known):
    one, _ = pair(known, rows=100)
    found = compare_challenger(one, known(decided=[], probability=np.zeros(0)))
    assert (found.rows, found.verdict, found.decided_on) == (0, "not_decided", "")
    assert np.isnan(found.gain)
    assert found.path.empty
