"""Why labelled rows hold no positive: cases that became known only after labels were read."""

from collections.abc import Mapping

import pandas as pd

from kyc_ml.config import DatasetConfig
from kyc_ml.contract import CASE_ID, CASES, KNOWN_AT, OUTCOME, ContractedTables


def say_late_cases(
    source: ContractedTables, read: Mapping[str, pd.Timestamp], *, dataset: DatasetConfig
) -> str | None:
    """Return how many cases became known too late to label anything, and until when labels count.

    `read` maps each part that lacks positives to the instant at which its labels are read; an empty
    name means all rows.

    Return counts and days, no customer's value; None where no adverse case came too late.
    """
    if not read or CASES not in source.tables:
        return None
    cases: pd.DataFrame = source[CASES].select([CASE_ID, KNOWN_AT, OUTCOME]).to_pandas()
    late = cases[cases[KNOWN_AT] > min(read.values())]
    adverse = late[late[OUTCOME].isin(list(dataset.adverse_outcomes))]
    if adverse.empty:
        return None
    first, last = late[KNOWN_AT].min(), late[KNOWN_AT].max()
    return (
        f"{late[CASE_ID].nunique():,} cases, {adverse[CASE_ID].nunique():,} of them adverse, "
        f"became known from {first:%Y-%m-%d} to {last:%Y-%m-%d}; {_reading(read)}: later ones do "
        "not count; give a later --as-of, or map known_at of cases to when each was known"
    )


def _reading(read: Mapping[str, pd.Timestamp]) -> str:
    """Return when the labels of each part are read, parts of one instant together."""
    parts = []
    for moment in sorted(set(read.values())):
        names = ", ".join(name for name, each in read.items() if each == moment and name)
        parts.append(f"{f'of {names} ' if names else ''}are read as known on {moment:%Y-%m-%d}")
    return "labels " + ", those ".join(parts)
