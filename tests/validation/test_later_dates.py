"""A refusal names the dates on the clock of the source: the one it asks for is then accepted."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from kyc_ml.config import parse_time
from kyc_ml.errors import LeakageError
from kyc_ml.validation.comparison.later_rows import first_later
from kyc_ml.validation.run.review import require_later

ZONE = "Asia/Shanghai"
BUNDLE = SimpleNamespace(data={"as_of": "2024-06-30T16:00:00+00:00", "timezone": ZONE})


@pytest.mark.parametrize(
    "require", [require_later, lambda since, bundle: first_later(bundle, bundle, since=since)]
)
def test_the_date_that_a_refusal_names_is_accepted(require):
    with pytest.raises(LeakageError) as error:
        require(parse_time("2024-06-30", name="since", zone=ZONE), BUNDLE)
    given, asked = re.findall(r"[0-9-]{10} [0-9:]{5}", str(error.value))
    assert (given, asked) == ("2024-06-30 00:00", "2024-07-01 00:00")
    require(parse_time(asked, name="since", zone=ZONE), BUNDLE)
