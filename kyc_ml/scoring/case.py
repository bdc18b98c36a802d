"""One explained observation."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.contract import TRANSACTIONS, ContractedTables
from kyc_ml.decision import OverrideBook, Pattern, TierHistory, find_patterns
from kyc_ml.display import ProgressReporter
from kyc_ml.features import DECISION_TIME, FeatureTable
from kyc_ml.history import History
from kyc_ml.registry import Bundle, features_and_facts, reasons_of, score_and_grade
from kyc_ml.scoring.one_observation import find_observation

_NUMBERS: Final = ("value", "peer_median", "percentile")
_PUSHES: Final = ("contribution", "share")
_COLUMNS: Final = ("code", "family", "text", "text_zh", *_NUMBERS, *_PUSHES, "feature")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One observation with all that explains it; tables hold its one row."""

    bundle: Bundle
    observation: pa.Table
    """pyarrow.Table of one row; its keys and own fields."""
    features: FeatureTable
    facts: FeatureTable
    """`features` and `facts`: what the model reads, and what the tier policy reads."""
    book: OverrideBook
    history: TierHistory | None
    score: dict[str, Any]
    """The observation's row of the score table."""
    reasons: pd.DataFrame
    """See `Explained.contributions`."""
    patterns: tuple[Pattern, ...] = ()
    """What the customer's payments show, as known at the decision; the published one first."""
    timezone: str = "UTC"
    """Time zone of the source, in which dates are shown to people."""

    @property
    def decided(self) -> pd.Timestamp:
        """Time of the decision in the source's zone; its date may differ from the date in UTC."""
        return pd.Timestamp(self.score[DECISION_TIME]).tz_convert(self.timezone)


def make_case(
    bundle: Bundle,
    tables: ContractedTables,
    observation: str,
    *,
    reporter: ProgressReporter,
    book: OverrideBook,
    history: TierHistory | None,
    reasons: int,
    store: History | None = None,
) -> Case:
    """Score one observation and collect all that explains it.

    `observation`: identifier in the form of the tables; see `in_form`.
    `reasons`: number of reasons to list, the strongest first.
    `store`: finds the rows that features read; `tables` then hold some rows; see `tables_around`.
    Raises DatasetError if the source has no such observation.
    """
    observations = find_observation(tables, observation, unit=bundle.config.unit)
    features, facts = features_and_facts(bundle, tables, observations, reporter, store)
    scored = score_and_grade(bundle, features, facts=facts, book=book, history=history)
    columns = reasons_of(bundle, features, scored.contributions, k=reasons)
    patterns: tuple[Pattern, ...] = ()
    if TRANSACTIONS in tables.tables:
        (patterns,) = find_patterns(
            tables[TRANSACTIONS],
            observations,
            timezone=tables.timezone,
            currency=tables.base_currency,
            cash_report=bundle.config.features.amounts.cash_report,
            begins=None if store is None else _first_event_us(tables),
        )
    places = sum(name.endswith("_code") for name in columns)
    rows = [
        {name: columns[f"reason_{place}_{name}"][0].as_py() for name in _COLUMNS}
        for place in range(1, places + 1)
        if columns[f"reason_{place}_code"][0].is_valid
    ]
    listed = pd.DataFrame(rows, columns=list(_COLUMNS))
    return Case(
        bundle=bundle,
        observation=observations,
        features=features,
        facts=facts,
        book=book,
        history=history,
        score=scored.table.to_pylist()[0],
        # a column of missing values alone would be of objects, not of numbers
        reasons=listed.astype(dict.fromkeys((*_NUMBERS, *_PUSHES), np.float64)),
        patterns=patterns,
        timezone=tables.timezone,
    )


def _first_event_us(tables: ContractedTables) -> int | None:
    first = tables.quality.table(TRANSACTIONS).first_event_time
    return None if first is None else pd.Timestamp(first).value // 1000
