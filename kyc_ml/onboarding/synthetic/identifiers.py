"""Invented identity numbers with valid check digits, and running numbers.

They satisfy the published checks; likeness to a number in use is chance.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numpy.random import Generator

from kyc_ml.metrics import Ints

# Counties whose code has never changed, so that it suits every year of birth.
REGIONS: Final = np.array(
    [
        110102, 110105, 110106, 110108, 120102, 120103, 120104, 310104, 310105, 310106,
        310107, 310109, 310110, 210224, 210921, 520203, 522622, 522634, 530124, 532322,
    ]
)  # fmt: skip

# Source: GB 11643-1999, ISO 7064 MOD 11-2: weights 2^(18-i) mod 11.
_RESIDENT_WEIGHTS: Final = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2])
_RESIDENT_CHECK: Final = np.frombuffer(b"10X98765432", dtype=np.uint8)

# Source: GB 11714-1997 (organisation code, digit 9) and GB 32100-2015 (credit code, digit 18).
_ALPHABET: Final = np.frombuffer(b"0123456789ABCDEFGHJKLMNPQRTUWXY", dtype=np.uint8)
_ORGANISATION_WEIGHTS: Final = np.array([3, 7, 9, 10, 5, 8, 4, 2])
_ORGANISATION_CHECK: Final = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 29])  # 29 is the letter X
_CREDIT_WEIGHTS: Final = np.array([1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28])


def make_resident_ids(birth_days: Ints, *, rng: Generator) -> list[str]:
    """Make a resident identity number for each birth date, in days since 1970; no two equal.

    Raises no error up to 999 persons born on one day in one county, which a bank of
    millions does not reach.
    """
    region = rng.integers(0, REGIONS.size, birth_days.size)
    group = region * 100_000 + birth_days + 50_000
    sequence = (group * 617 + _rank_within(group)) % 999 + 1
    dates = birth_days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]").astype(np.int64)
    day = birth_days - dates.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + 1
    ymd = (1970 + months // 12) * 10_000 + (months % 12 + 1) * 100 + day
    number = (REGIONS[region] * 100_000_000 + ymd) * 1000 + sequence
    digits = _digits(number, width=17)
    check = _RESIDENT_CHECK[(digits @ _RESIDENT_WEIGHTS) % 11]
    return _texts(np.column_stack([digits + ord("0"), check]))


def make_company_codes(n: int, *, rng: Generator) -> list[str]:
    """Make `n` unified social credit codes of enterprises; no two equal."""
    organisation = _digits((rng.integers(0, 10**8) + np.arange(n) * 7_919) % 10**8, width=8)
    check = _ORGANISATION_CHECK[(-(organisation @ _ORGANISATION_WEIGHTS)) % 11]
    region = _digits(rng.choice(REGIONS, n), width=6)
    head = np.column_stack([np.full((n, 1), 9), np.full((n, 1), 1), region, organisation, check])
    last = (-(head @ _CREDIT_WEIGHTS)) % 31
    return _texts(_ALPHABET[np.column_stack([head, last])])


def make_passports(n: int, *, rng: Generator) -> list[str]:
    """Make `n` passport numbers, a letter and eight digits; no two equal."""
    numbers = _digits((rng.integers(0, 10**8) + np.arange(n) * 104_729) % 10**8, width=8)
    return _texts(np.column_stack([rng.integers(ord("A"), ord("Z") + 1, n), numbers + ord("0")]))


def make_labels(prefix: str, numbers: Ints, *, width: int) -> pa.Array:
    """Make running numbers such as C0000123.

    Examples
    --------
    >>> make_labels("C", np.array([123]), width=7).to_pylist()
    ['C0000123']
    """
    padded = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0")
    return pc.binary_join_element_wise(prefix, padded, "")


def _rank_within(group: Ints) -> Ints:
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sizes = np.diff(np.r_[first, group.size])
    ranks = np.empty(group.size, dtype=np.int64)
    ranks[order] = np.arange(group.size) - np.repeat(first, sizes)
    return ranks


def _digits(numbers: Ints, *, width: int) -> Ints:
    powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    return (numbers[:, None] // powers) % 10


def _texts(characters: npt.NDArray[np.integer]) -> list[str]:
    width = characters.shape[1]
    # a row of bytes is read as one text, without a loop
    raw = np.ascontiguousarray(characters.astype(np.uint8)).view(f"S{width}").ravel()
    return [text.decode("ascii") for text in raw]
