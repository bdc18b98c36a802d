"""A message names all that is wrong, and what was probably meant."""

import inspect

import pytest

from kyc_ml import errors
from kyc_ml.errors import ConfigError, Faults, KycMlError, SourceError, hint


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("amuont", ["amount", "channel"], " (did you mean 'amount'?)"),
        ("AMOUNT", ["amount"], " (did you mean 'amount'?)"),
        ("event_ts", ["Event_Time", "known_at"], " (did you mean 'Event_Time'?)"),
        ("zzz", ["amount"], ""),
        ("amount", [], ""),
        ("", ["amount"], ""),
    ],
)
def test_a_hint_names_the_nearest_known_name_or_nothing(name, known, expected):
    assert hint(name, known) == expected


def test_faults_lists_all_of_them_in_order():
    faults = Faults("mapping 'x'", SourceError)
    faults.add("first")
    assert faults.extend(iter(["second", "third"])) is faults
    assert len(faults) == 3
    with pytest.raises(SourceError) as caught:
        faults.raise_if_any()
    assert str(caught.value) == "mapping 'x': 3 faults\n  - first\n  - second\n  - third"


def test_one_fault_is_not_called_faults():
    faults = Faults("x", ConfigError).extend(["only"])
    with pytest.raises(ConfigError, match=r"\Ax: 1 fault\n  - only\Z"):
        faults.raise_if_any()


def test_no_fault_raises_nothing():
    faults = Faults("x", ConfigError)
    assert len(faults) == 0
    faults.raise_if_any()


def test_every_error_is_of_the_one_family():
    classes = [each for _, each in inspect.getmembers(errors, inspect.isclass)]
    raised = [each for each in classes if issubclass(each, Exception)]
    assert len(raised) == 12
    assert all(issubclass(each, KycMlError) for each in raised)
    assert all(each.__doc__ for each in raised)
