"""The cases of positive observations: how soon they became known, and their typology."""

import pandas as pd
import pyarrow as pa

from kyc_ml import contract as c
from kyc_ml.config import DatasetConfig, Unit
from kyc_ml.dataset.labels import join_outcomes, positive_since, states_known_at
from kyc_ml.features import DECISION_TIME, OBSERVATION_ID


def positive_cases(
    source: c.ContractedTables,
    observations: pa.Table,
    *,
    unit: Unit,
    as_of: pd.Timestamp,
    config: DatasetConfig,
    withdrawn: bool = False,
) -> pd.DataFrame:
    """Find the case that makes each positive observation positive; the first case known.

    `withdrawn`: count a case that once had such an outcome, even if its latest one is another.
    One row per positive observation with such a case: row (its place among the observations), days
    (from the decision to when the outcome was known), and typology (None if the source has none).
    """
    found: dict[str, list[object]] = {"row": [], "days": [], "typology": []}
    if c.CASES not in source.tables:
        return pd.DataFrame(found)
    known = states_known_at(source.tables[c.CASES], as_of)
    if withdrawn:
        ever = known[known[c.OUTCOME].isin(list(config.adverse_outcomes))]
        cases = ever.drop_duplicates(c.CASE_ID)
    else:
        cases = positive_since(known, config)
    if c.TYPOLOGY not in cases.columns:
        cases = cases.assign(**{c.TYPOLOGY: None})
    parts = []
    link = c.TRANSACTION_ID if unit == "fraud" else c.REVIEW_ID
    if link in cases.columns:
        frame: pd.DataFrame = observations.select([OBSERVATION_ID, DECISION_TIME]).to_pandas()
        frame["row"] = range(len(frame))
        named = cases.dropna(subset=[link])[[link, c.KNOWN_AT, c.TYPOLOGY]]
        parts.append(frame.merge(named, left_on=OBSERVATION_ID, right_on=link))
    if unit == "risk":
        joined = join_outcomes(observations, cases[[c.CUSTOMER_ID, c.KNOWN_AT, c.TYPOLOGY]], config)
        parts.append(joined[joined["within"]])
    if not parts:
        return pd.DataFrame(found)
    # stable: of cases known at one instant the first in order is kept
    both = pd.concat(parts, ignore_index=True).sort_values(["row", c.KNOWN_AT], kind="stable")
    first = both.drop_duplicates("row")
    return pd.DataFrame(
        {
            "row": first["row"].to_numpy(),
            "days": (
                (first[c.KNOWN_AT] - first[DECISION_TIME]).dt.total_seconds() / 86_400.0
            ).to_numpy(),
            "typology": first[c.TYPOLOGY].astype(object).where(first[c.TYPOLOGY].notna(), None),
        }
    ).reset_index(drop=True)
