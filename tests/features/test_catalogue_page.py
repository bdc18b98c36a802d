"""The catalogue page that is shipped is the one the code would write."""

from __future__ import annotations

from pathlib import Path

import kyc_ml
from kyc_ml.features import run_page


def test_the_shipped_page_is_of_this_code():
    shipped = Path(kyc_ml.__file__).parent / "features" / "CATALOGUE.md"
    assert shipped.read_text(encoding="utf-8") == run_page(None), (
        "write it again: kyc-ml features list --markdown > kyc_ml/features/CATALOGUE.md"
    )
