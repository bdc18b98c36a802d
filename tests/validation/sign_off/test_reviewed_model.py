"""What a validation loads beside the model: nothing is taken for absent that is only away."""

import pytest

from kyc_ml.display import ProgressReporter
from kyc_ml.errors import RegistryError, UnreachableError
from kyc_ml.validation import validation_model


class Listener(ProgressReporter):
    def __init__(self):
        self.said = []

    def info(self, line):
        self.said.append(line)

    warning = info


def test_a_store_that_is_away_is_not_a_model_without_a_card(monkeypatch):
    reporter = Listener()

    def fails(error):
        def fetch(*_):
            raise error

        monkeypatch.setattr(validation_model, "fetch_record", fetch)

    fails(RegistryError("run 1 has no record"))
    assert validation_model._recorded_card("models:/fraud/1", reporter) is None
    assert reporter.said == ["no rating card to compare with: run 1 has no record"]
    fails(UnreachableError("MLflow does not answer"))
    with pytest.raises(UnreachableError):
        validation_model._recorded_card("models:/fraud/1", reporter)
