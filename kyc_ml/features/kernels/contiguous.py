"""Moments and extremes of windows whose visible rows lie side by side, compiled.

Where the rows of every key enter and leave in the order they happened in, as those that
arrive on time do, an observation sees a run of them. Two ends define the run, and one
pass computes all its statistics. The sums take the same steps in the same order as those of
`kyc_ml.features.kernels.moments`, so that both give the same bits.
"""

import numpy as np

from kyc_ml.features.kernels.exact import mean_of, squared_distance, two_product, two_sum
from kyc_ml.features.kernels.timeline import most_rows
from kyc_ml.metrics import Floats, Ints, Ints32
from kyc_ml.storage import kernel


@kernel()
def sweep_contiguous(
    first: Ints32,
    last: Ints32,
    row_starts: Ints,
    observed_starts: Ints,
    place: Ints32,
    value: Floats,
    out: Floats,
    columns: Ints,
) -> None:
    """Count, sum, mean, sample standard deviation, largest and smallest visible value.

    `first`, `last`: int32 arrays of shape (n_observations,); as `timeline.find_ends` writes them:
    the rows ``first <= position < last`` are seen.
    `place`: int32 array; row of the feature matrix of each observation, by position.
    `value`: float64 array, one value a row, finite; empty if only rows are to be counted.
    `out`: float64 array of shape (n, p), column-major, NaN; written; the mean, and either extreme,
    is missing without rows, the deviation below two.
    `columns`: int64 array of shape (6,); where in `out` count, sum, mean, deviation, largest and
    smallest go; negative if not wanted.
    """
    at_count, at_sum, at_mean, at_std = columns[0], columns[1], columns[2], columns[3]
    at_max, at_min = columns[4], columns[5]
    # the mean and the deviation are made of the sum
    summed = at_sum >= 0 or at_mean >= 0 or at_std >= 0
    # buffers for the longest key, reused by all: nothing is allocated inside the loops
    widest = most_rows(row_starts)
    falling = np.empty(widest if at_max >= 0 else 0, np.int64)
    rising = np.empty(widest if at_min >= 0 else 0, np.int64)
    for key in range(row_starts.size - 1):
        low = high = row_starts[key]
        total, total_low, square, square_low = 0.0, 0.0, 0.0, 0.0
        steps, peak = 0, 0.0
        max_head, max_tail, min_head, min_tail = 0, 0, 0, 0
        for observation in range(observed_starts[key], observed_starts[key + 1]):
            begin, end = int(first[observation]), int(last[observation])
            # start from exact zeros: subtracting what left would keep its rounding
            if begin >= high:  # all that was seen has left
                low = high = begin
                total, total_low, square, square_low = 0.0, 0.0, 0.0, 0.0
                steps, peak = 0, 0.0
                max_head, max_tail, min_head, min_tail = 0, 0, 0, 0
            if summed:
                # first what leaves, then what enters: the order of the sums decides their last bits
                for position in range(low, begin):
                    total, total_low = two_sum(total, total_low, -value[position])
                    if at_std >= 0:
                        above, below = two_product(value[position], value[position])
                        square, square_low = two_sum(square, square_low, -above)
                        square, square_low = two_sum(square, square_low, -below)
                        steps += 1
                        peak = max(peak, square)
                for position in range(high, end):
                    total, total_low = two_sum(total, total_low, value[position])
                    if at_std >= 0:
                        above, below = two_product(value[position], value[position])
                        square, square_low = two_sum(square, square_low, above)
                        square, square_low = two_sum(square, square_low, below)
                        steps += 1
                        peak = max(peak, square)
            # a queue holds what can still become the largest: later rows that are smaller
            if at_max >= 0:
                while max_head < max_tail and falling[max_head] < begin:
                    max_head += 1
                if max_head == max_tail:
                    max_head, max_tail = 0, 0
                for position in range(high, end):
                    new = value[position]
                    # `<=`: of equal values the later row stays, because it leaves later
                    while max_head < max_tail and value[falling[max_tail - 1]] <= new:
                        max_tail -= 1
                    falling[max_tail] = position
                    max_tail += 1
            if at_min >= 0:
                while min_head < min_tail and rising[min_head] < begin:
                    min_head += 1
                if min_head == min_tail:
                    min_head, min_tail = 0, 0
                for position in range(high, end):
                    new = value[position]
                    # `>=`: of equal values the later row stays, because it leaves later
                    while min_head < min_tail and value[rising[min_tail - 1]] >= new:
                        min_tail -= 1
                    rising[min_tail] = position
                    min_tail += 1
            low, high = begin, end
            row, count = place[observation], end - begin
            if at_count >= 0:
                out[row, at_count] = count
            if at_sum >= 0:
                out[row, at_sum] = total
            if count > 0:
                if at_mean >= 0:
                    out[row, at_mean] = mean_of(count, total, total_low)
                if at_max >= 0:
                    out[row, at_max] = value[falling[max_head]]
                if at_min >= 0:
                    out[row, at_min] = value[rising[min_head]]
            # a sample deviation needs two values
            if at_std >= 0 and count > 1:
                spread = squared_distance(count, total, total_low, square, square_low, steps, peak)
                out[row, at_std] = np.sqrt(spread / (count - 1))
