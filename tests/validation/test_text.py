"""Values are put into sentences of both languages."""

import pytest

from kyc_ml.monitoring.found import TEXTS
from kyc_ml.monitoring.outcomes import SENTENCES
from kyc_ml.validation import Text


@pytest.mark.parametrize(
    ("count", "said"), [(1, "1 row"), ("1", "1 row"), (1.0, "1 row"), (0, "0 rows"), (2, "2 rows")]
)
def test_a_word_follows_its_number(count, said):
    text = Text("{count} {count:row|rows}", "{count} 行").fill(count=count)
    assert text.en.replace("1.0", "1") == said
    assert text.zh == f"{count} 行"


def test_values_are_no_patterns():
    assert Text("{name}", "{name}").fill(name="{x:a|b}").en == "{x:a|b}"
    with pytest.raises(KeyError):
        Text("{name}", "").fill(other=1)


def test_sentences_of_monitoring_agree_with_one():
    values = {"model": "m", "since": "d", "subject": "s", "effect": "0.1", "after": "1%"}
    moved = TEXTS["drift.feature"].fill(count="1", **values)
    assert "features" not in moved.en
    alarms = SENTENCES["level_guarantee"].fill(family="f", false_alarms=1.0, margin=0.1)
    assert "alarms" not in alarms.en
