"""Arithmetic in twice the working precision, so that running sums do not drift.

A number is held as ``high + low``, two float64 whose sum has about 32 digits.
"""

from typing import Final

from kyc_ml.storage import kernel

EQUAL: Final = 1e-18
"""Squared distances below this share of the sum of squares are 0: values that agree to
nine digits are equal."""

ROUNDING: Final = 1e-31
"""What one step may round off of the largest sum of squares since the window was empty:
twice the unit of double-double arithmetic, 2**-104."""


EVEN: Final = 1e-15
"""Shares that differ from equal ones by less than this are equal: a few units of rounding."""

_WHOLE: Final = 1e-24
"""What a sum may differ from `count` equal values, as a share of it, if it is of them: what
larger values that came and left may round off in twice the working precision."""


@kernel(inline="always")
def two_sum(high: float, low: float, value: float) -> tuple[float, float]:
    """Add `value` to the double-double ``high + low`` without losing what rounds off.

    Source: Knuth, The Art of Computer Programming 2, 4.2.2, theorem B.
    """
    total = high + value
    # do not simplify: in exact arithmetic `lost` is 0, here it is what `total` rounded off
    part = total - high
    lost = (high - (total - part)) + (value - part)
    low += lost
    # keeps `low` below the rounding of the high part, as the next step assumes
    renewed = total + low
    return renewed, low - (renewed - total)


@kernel(inline="always")
def two_product(left: float, right: float) -> tuple[float, float]:
    """Multiply exactly, as the double-double ``high + low``.

    Source: Dekker 1971, Numerische Mathematik 18, 224-242.
    """
    high = left * right
    # 2**27 + 1 splits 53 bits into two halves whose products are exact
    split = left * 134217729.0
    left_upper = split - (split - left)
    left_lower = left - left_upper
    split = right * 134217729.0
    right_upper = split - (split - right)
    right_lower = right - right_upper
    low = left_upper * right_upper - high
    low += left_upper * right_lower
    low += left_lower * right_upper
    return high, low + left_lower * right_lower


@kernel(inline="always")
def mean_of(count: int, total: float, total_low: float) -> float:
    """Mean of `count` values from their sum ``total + total_low``; of equal values, that value.

    A sum of seven values of 0.1 divided by seven is 0.09999999999999999. The mean is corrected
    where the sum is that of `count` equal numbers, and nowhere else.
    """
    mean = (total + total_low) / count
    product, product_low = two_product(float(count), mean)
    # one correction step: the rounded quotient may differ from the value that all rows share
    whole = mean + ((total - product) + (total_low - product_low)) / count
    product, product_low = two_product(float(count), whole)
    apart = (total - product) + (total_low - product_low)
    return whole if abs(apart) <= _WHOLE * abs(total) else mean


@kernel(inline="always")
def squared_distance(
    count: int,
    total: float,
    total_low: float,
    square: float,
    square_low: float,
    steps: int,
    peak: float,
) -> float:
    """Sum of squared distances from the mean, from a sum and a sum of squares.

    `total`, `total_low`, `square`, `square_low`: sum and sum of squares of `count` values,
    ``high + low``.
    `steps`, `peak`: how many values were added or taken since the window was empty, and the largest
    sum of squares meanwhile: what lies below their rounding is 0.
    """
    scaled, scaled_low = two_product(float(count), square)
    scaled_low += count * square_low
    squared, squared_low = two_product(total, total)
    squared_low += 2.0 * total * total_low
    # the high parts first: they nearly cancel, and the low parts decide what is left
    spread = ((scaled - squared) + (scaled_low - squared_low)) / count
    # also catches a negative result, of which no root exists
    if spread < max(EQUAL * square, ROUNDING * steps * peak):
        return 0.0
    return spread
