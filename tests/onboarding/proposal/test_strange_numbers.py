"""Numbers as people write them: what a mark means, or that it is a guess, or which one stops us."""

import re

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyc_ml.onboarding.proposal.finding import find_sources
from kyc_ml.onboarding.proposal.marks import find_separators, take_apart
from kyc_ml.onboarding.proposal.numbers import read_number, why_no_number
from kyc_ml.onboarding.proposal.samples import open_samples

COPIES = 20
READ = {
    # texts, numbers, and a piece of the doubt that the user must see ('' where there is none)
    "euro": (["1.234,50", "-7,25", "12,00"], [1234.5, -7.25, 12.0], ""),
    "dollar": (["1,234.50", "7.25", "$ 12.00"], [1234.5, 7.25, 12.0], ""),
    "whole": (["850", "1,200", "150,000"], [850, 1200, 150000], "three digits"),
    "pointed": (["850", "1.200", "12.500"], [850, 1200, 12500], "three digits"),
    "three_decimals": (["1.200", "8.500", "7.125"], [1.2, 8.5, 7.125], "three digits"),
    "bare": (["1,250", "12345", "2,500"], [1.25, 12345, 2.5], "three digits"),
    "small_shares": (["0.250", "1.250", "0.125"], [0.25, 1.25, 0.125], ""),
    "grouped_twice": (["1.234.567", "850", "1.200"], [1234567, 850, 1200], ""),
    "wan": (["1.251万", "850元", "3亿"], [12510, 850, 3e8], ""),
    "wan_yuan": (["1.5万元", "850元", "12.25元"], [15000, 850, 12.25], ""),
    "jiao": (["5角", "3元", "25分"], [0.5, 3, 0.25], ""),
    "kilo": (["12k", "5", "7K"], [12000, 5, 7000], ""),
    "m": (["12m", "5", "7"], [12e6, 5, 7], "m for 1,000,000"),
    "parentheses": (["(105.25)", "1,102.25", "3.00"], [-105.25, 1102.25, 3], ""),
    "minus_sign": (["−105.25", "100.25", "3"], [-105.25, 100.25, 3], ""),
    "wide": (["１０５．２５", "－１００．２５", "3"], [105.25, -100.25, 3], ""),
    "minus_behind": (["105.25-", "100.25", "3.00"], [-105.25, 100.25, 3], ""),
    "dr_cr": (["105.25 DR", "100.25 CR", "3 DR"], [-105.25, 100.25, -3], "DR"),
    "jie_dai": (["105.25借", "100.25贷", "3.1借"], [-105.25, 100.25, -3.1], "借"),
    "pinyin": (["100J", "50D", "7J"], [-100, 50, -7], "J"),
    "french": (["1 234,50", "7,25", "-3,00"], [1234.5, 7.25, -3], ""),
    "swiss": (["1'234.50", "7.25", "3.00"], [1234.5, 7.25, 3], ""),
    "indian": (["12,34,567.50", "7.25", "1,00,000.00"], [1234567.5, 7.25, 100000], ""),
    "rupees": (["Rs.1,200.00", "Rs.7.50", "Rs.3.25"], [1200, 7.5, 3.25], ""),
    "percent": (["45%", "12.5%", "7%"], [0.45, 0.125, 0.07], ""),
    "amount_万元": (["1.25", "8.5", "12.75"], [12500, 85000, 127500], "name"),
}
NAMED = {
    "several_currencies": (["$12", "€5", "$7"], "several currencies (USD, EUR)"),
    "unknown_mark": (["12 fl", "13 fl", "9 fl"], "'fl'"),
    "two_signs": (["--5", "--7", "--9"], "'--'"),
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("numbers")
    columns = {name: rows[0] * COPIES for name, rows in {**READ, **NAMED}.items()}
    frame = pd.DataFrame({"row": [f"r{n}" for n in range(3 * COPIES)], **columns})
    frame.to_csv(folder / "t.csv", index=False)
    with open_samples(folder, find_sources(folder)) as opened:
        yield opened


@pytest.mark.parametrize("name", READ)
def test_a_number_is_read_as_it_was_meant_or_is_a_guess(engine, name):
    _, numbers, doubt = READ[name]
    sample = engine.sample("t")
    reading = read_number(sample.column(name), money=True)
    rows = engine.connection.execute(f"SELECT {reading.numeric} FROM t ORDER BY rowid").fetchall()
    assert [row[0] for row in rows[:3]] == numbers
    assert doubt in reading.doubt
    assert doubt or "digits" not in reading.doubt
    assert reading.negative == pytest.approx(sum(number < 0 for number in numbers) / 3)


@pytest.mark.parametrize("name", NAMED)
def test_marks_that_are_not_understood_are_named(engine, name):
    sample = engine.sample("t")
    assert read_number(sample.column(name), money=True) is None
    assert NAMED[name][1] in why_no_number(sample.column(name))


def test_a_value_of_another_form_is_not_read(engine):
    sample = engine.sample("t")
    reading = read_number(sample.column("whole"), money=True)
    strange = ["1.3万", "1,2", "flat 12", "(850)"]
    for text in strange:
        sql = re.sub(r"whole", f"'{text}'", reading.sql)
        assert engine.one(f"SELECT TRY_CAST({sql} AS DOUBLE)") == (None,)


@settings(max_examples=3 * settings.default.max_examples)
@given(
    numbers=st.lists(st.integers(-10_000_000, 10_000_000), min_size=3, max_size=20),
    thousands=st.sampled_from(["", ",", ".", "'"]),
    places=st.integers(0, 3),
)
def test_whatever_the_habit_a_number_is_found_again_or_doubted(numbers, thousands, places):
    """Written by one habit, all are valued alike by the habit found, or it is called a guess."""
    decimal = "," if thousands == "." else "."
    bodies, values = {}, []
    for number in numbers:
        text = f"{abs(number):,}".replace(",", thousands or "_").replace("_", "")
        text += f"{decimal}{number % 10**places:0{places}d}" if places else ""
        written = take_apart(re.sub(r"\d", "9", text))
        bodies[written.body, False] = bodies.get((written.body, False), 0) + 1
        values.append(text)
    found = find_separators(bodies)
    plain = [text.replace(thousands, "") if thousands else text for text in values]
    expected = [float(text.replace(decimal, ".")) for text in plain]
    got = [text.replace(found.thousands, "") if found.thousands else text for text in values]
    same = [float(text.replace(found.decimal, ".")) for text in got] == expected
    assert same or found.doubt
