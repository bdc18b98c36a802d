"""A message names all that is wrong, and what was probably meant."""

import inspect

import pytest

from kyc_ml import errors
from kyc_ml.errors import ConfigError, Faults, KycMlError, SourceError, hint, hint_path


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
    named = [each for each in classes if issubclass(each, Exception)]
    raised = [each for each in named if not issubclass(each, Warning)]
    assert len(raised) == 15
    assert all(issubclass(each, KycMlError) for each in raised)
    assert all(each.__doc__ for each in named)


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("nope.yaml", ["handbook.yaml", "risk.yaml"], None),
        ("tx.csv", ["cases.csv", "districts.csv"], None),
        ("a.yaml", ["b.yaml"], None),
        ("*.csv", ["tx.csv"], None),
        ("fruad.yaml", ["fraud.yaml", "risk.yaml"], "fraud.yaml"),
        ("fraud.yaml", ["FRAUD.yml"], "FRAUD.yml"),
        ("tx.cvs", ["tx.csv", "taxes.csv"], "tx.csv"),
        ("tx.csv", ["sub/tx.csv"], "sub/tx.csv"),
        ("b/tx.csv", ["a/tx.csv", "c/b/tx.csv"], "c/b/tx.csv"),
        ("tx.csv", ["tx.csv.gz"], "tx.csv.gz"),
        ("dta", ["data", "docs"], "data"),
        ("nope.yaml", [], None),
    ],
)
def test_hint_of_a_path_goes_by_what_stands_before_the_ending(name, known, meant):
    assert hint_path(name, known) == (f" (did you mean {meant!r}?)" if meant else "")


@pytest.mark.parametrize("fewest", [1, 3])
@pytest.mark.parametrize("positives", range(11))
def test_both_classes_are_needed_as_often_as_asked(positives, fewest):
    if fewest <= positives <= 10 - fewest:
        errors.require_both_classes("x", positives, 10, cure="wait", fewest=fewest)
        return
    with pytest.raises(errors.DatasetError, match=rf"\b{positives}\b.*\b10\b.*: wait"):
        errors.require_both_classes("x", positives, 10, cure="wait", fewest=fewest)
