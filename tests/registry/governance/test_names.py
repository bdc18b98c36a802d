"""One person written in several ways is one person; another one is not."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.registry import is_among, is_named

NAMES = st.sampled_from(["lin.hua", "Zhao Min", "李华", "José", "svc-train", "o.brien"])


@given(
    name=NAMES,
    case=st.sampled_from([str.upper, str.lower, str.title, str.swapcase]),
    form=st.sampled_from(["NFC", "NFD", "NFKC"]),
    separator=st.sampled_from([" ", ".", "_", "-", "  ", ", ", "\u00a0", "\u3000"]),
    blank=st.sampled_from(["", " ", "\t", "\u200b", "\ufeff"]),
)
def test_case_form_separators_and_blanks_change_no_name(name, case, form, separator, blank):
    written = blank + separator.join(case(unicodedata.normalize(form, name)).split()) + blank
    written = written.replace(".", separator)
    assert is_among(written, [name])
    assert is_among(name, ["another", written])


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Lin.Hua", "lin.hua "),
        ("Hua Lin", "lin.hua"),
        ("l\u0456n hu\u0430", "lin hua"),  # Cyrillic
        ("LIN \u0397UA", "lin hua"),  # Greek
        ("1in.hua", "lin.hua"),
        ("\uff2c\uff49\uff4e\uff0e\uff28\uff55\uff41", "lin.hua"),  # full width
        ("l\u00adin hu\u200da", "lin hua"),
        ("lin.hua@bank.example", "lin.hua"),
        ("Lin Hua <lin.hua@bank.example>", "lin.hua"),
        ("BANK\\lin.hua", "lin.hua"),
        ("linhua", "lin.hua"),
        ("S\u00f8ren \u0141uk", "soren luk"),
        ("Jose", "Jos\u00e9"),
        ("李 华", "李 华"),
    ],
)
def test_look_alikes_are_one_person(written, name):
    assert is_among(written, [name])


@pytest.mark.parametrize(
    ("one", "other"),
    [("lin", "lin hua"), ("李华", "李花"), ("wang", "wong"), ("", ""), ("\u200b", "\u200b")],
)
def test_others_are_other_people_and_nobody_is_nobody(one, other):
    assert not is_among(one, [other])


@pytest.mark.parametrize("name", ["", " ", "\u200b", ".", "@bank.example", "\u0301"])
def test_what_names_nobody(name):
    assert not is_named(name)
