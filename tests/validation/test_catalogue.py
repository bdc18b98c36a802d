"""What the checks say of themselves."""

import re

import pytest

from kyc_ml.errors import ConfigError
from kyc_ml.validation import CHECKS, FAMILIES, choose_checks
from kyc_ml.validation.catalogue import PROCEDURES

CHINESE = re.compile(r"[\u4e00-\u9fff]")


def test_checks_stand_in_the_order_of_the_families():
    order = [check.family for check in CHECKS.values()]
    assert order == sorted(order, key=list(FAMILIES).index)


@pytest.mark.parametrize("check", CHECKS.values(), ids=str)
def test_a_check_speaks_both_languages(check):
    for text in (check.title, check.purpose, check.method, check.signs, check.limits):
        assert text.en.strip()
        assert not CHINESE.search(text.en)
        assert CHINESE.search(text.zh) or text.zh.isascii() is False
    for measure in check.measures:
        assert measure.label.en
        assert measure.label.zh
    assert check.source
    assert len({measure.name for measure in check.measures}) == len(check.measures)


def test_a_check_is_chosen_by_id_or_family():
    chosen = choose_checks(("calibration.jeffreys", "tiers"))
    assert [each.check.id for each in chosen] == [
        "calibration.jeffreys",
        *(name for name in PROCEDURES if name.startswith("tiers.")),
    ]
    assert len(choose_checks(())) == len(PROCEDURES)


def test_an_unknown_check_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"'calibration\.jeffreys'"):
        choose_checks(("calibration.jefreys",))
