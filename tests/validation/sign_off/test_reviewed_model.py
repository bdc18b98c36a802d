"""What a validation loads beside the model: nothing is taken for absent that is only away."""

import pytest

from kyc_ml.display import ProgressReporter
from kyc_ml.errors import RegistryError, UnreachableError
from kyc_ml.validation.run import models


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

        monkeypatch.setattr(models.registry, "fetch_record", fetch)

    fails(RegistryError("run 1 has no record"))
    assert models._recorded_card("models:/fraud/1", reporter) is None
    assert [line.partition(": ")[2] for line in reporter.said] == ["run 1 has no record"]
    fails(UnreachableError("MLflow does not answer"))
    with pytest.raises(UnreachableError):
        models._recorded_card("models:/fraud/1", reporter)
