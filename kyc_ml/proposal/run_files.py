"""Run configurations for a proposed source, and the tier policy that they name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.config import SourceMapping, Unit
from kyc_ml.contract.tables import (
    ADVERSE_OUTCOMES,
    CASES,
    CUSTOMER_ID,
    CUSTOMERS,
    EVENT_TIME,
    KNOWN_AT,
    OUTCOME,
    REVIEWS,
    TRANSACTION_ID,
    TRANSACTIONS,
)
from kyc_ml.proposal.dating import delay_days
from kyc_ml.proposal.families import Family, items_of, weigh_families
from kyc_ml.proposal.guesses import Proposal

_FEW_DAYS: Final = 90
"""Data shorter than this cannot be parted in time (convention)."""
_FEW_REVIEWS: Final = 2_000
_HORIZONS: Final = {"snapshot": 365, "panel": 60}
"""Days after a review in which an outcome counts, where nothing in the files tells them."""
_PANEL_PART: Final = 62
"""Days of two month ends."""
_MOST_ADVERSE: Final = 0.3
"""Share of adverse outcomes above which cut-offs about it would mean nothing (convention)."""
_PARTS: Final = ("early_stopping", "calibration", "test")

TIERS: Final = """\
# A first tier policy: three grades (低 中 高), the fewest that the guideline allows.
# Cut-offs are examples, {scale}; kyc-ml tiers fit proposes
# others from the model's own rows. Not in force: no approver.
name: proposed-three-grades
version: 1
author: kyc-ml init
approver: null
valid_from: {valid_from}
disclosure: internal_only
tiers:
  - name: low
    name_zh: 低
    from_probability: 0.0
    due_diligence: simplified
    review_months: 24
    monitoring: standard
  - name: medium
    name_zh: 中
    from_probability: {low}
    due_diligence: standard
    review_months: 12
    monitoring: raised
  - name: high
    name_zh: 高
    from_probability: {high}
    due_diligence: enhanced
    review_months: 6
    monitoring: every transaction
fit:
  whole:
    method: target_bad_rate
    # upper bound, at this confidence, of the share that turns out bad; the highest has none
    highest_bad_rate: {{low: {low}, medium: {high}}}
    confidence: 0.95
    interval: jeffreys
    fewest_rows: 30
hysteresis: {{margin: 0.2}}
calendar: {{timezone: {timezone}, working_days: weekdays}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFile:
    """One run configuration.

    Attributes
    ----------
    trainable : bool
        False where the source has no label for this unit yet.
    as_of : str or None
        Date to train at, where the end of the bookings would come before the answers.
    name : str
        The model's.
    planned : bool
        True where what is scored are reviews of the files, and not every customer at the end.
    """

    unit: Unit
    name: str
    planned: bool
    text: str
    families: tuple[Family, ...]
    trainable: bool
    as_of: str | None = None


def run_files(
    proposal: Proposal, accepted: Mapping[str, pa.Table], mapping: SourceMapping
) -> tuple[RunFile, ...]:
    """Write a configuration for each unit that the tables allow.

    Parameters
    ----------
    accepted : mapping of table name to Arrow table
        The sample as the contract accepts it.
    mapping : SourceMapping
        The proposal as it is written.
    """
    columns = {
        name: tuple(dict.fromkeys((*table.expressions, "known_at")))
        for name, table in mapping.completed.items()
    }
    items = items_of(accepted)
    files = []
    for unit in _units(columns, proposal):
        families = weigh_families(columns, unit=unit, items=items, attributes=mapping.attributes)
        trainable = CASES in columns
        text = _write(proposal, accepted, unit, families, items, trainable=trainable)
        files.append(
            RunFile(
                unit=unit,
                name=f"{_label(proposal.name)}-{unit}",
                planned=unit == "risk" and proposal.kind != "bookings",
                text=text,
                families=families,
                trainable=trainable,
                as_of=_as_of(proposal, accepted) if unit == "risk" else None,
            )
        )
    return tuple(files)


def tiers_text(proposal: Proposal, accepted: Mapping[str, pa.Table]) -> str:
    """Write the tier policy that the configurations name, its cut-offs about the usual rate."""
    # the day of a snapshot is a guess: a policy from then on would grade no earlier one
    first = proposal.span[0] if proposal.span else date(2000, 1, 1)
    rate = _adverse_rate(accepted)
    low, high = (0.02, 0.15) if rate is None else (_rounded(rate), _rounded(min(3 * rate, 0.5)))
    scale = "convention" if rate is None else "the sample's own rate and three times it"
    return TIERS.format(
        valid_from=f"{first:%Y-%m-%d}",
        timezone=proposal.timezone,
        low=low,
        high=high,
        scale=scale,
    )


def _adverse_rate(accepted: Mapping[str, pa.Table]) -> float | None:
    """Share of the sample's reviews, bookings or customers that turned out bad; None if none."""
    if CASES not in accepted:
        return None
    cases = accepted[CASES]
    of_bookings = TRANSACTION_ID in cases.column_names
    order = (REVIEWS, TRANSACTIONS) if of_bookings else (REVIEWS, CUSTOMERS, TRANSACTIONS)
    name = next((each for each in order if each in accepted), None)
    if name is None:
        return None
    rows = accepted[name]
    by_customer = name == TRANSACTIONS and not of_bookings
    many = len(rows[CUSTOMER_ID].unique()) if by_customer else rows.num_rows
    adverse = pc.is_in(cases[OUTCOME], value_set=pa.array(ADVERSE_OUTCOMES))
    found = int(pc.sum(adverse).as_py() or 0)
    return found / many if 0 < found <= _MOST_ADVERSE * many else None


def _rounded(rate: float) -> float:
    """Round to one digit that counts."""
    return float(f"{rate:.1g}")


def _units(columns: Mapping[str, tuple[str, ...]], proposal: Proposal) -> list[Unit]:
    """Choose the units: payments with labels of their own, customers with reviews or others."""
    units: list[Unit] = []
    cases = columns.get(CASES, ())
    if TRANSACTIONS in columns and (TRANSACTION_ID in cases or not cases):
        units.append("fraud")
    sound = {TRANSACTIONS, CUSTOMERS, REVIEWS} & set(columns)
    if sound and cases:
        outcome = proposal.tables[CASES].columns["outcome"].sql
        fraud_only = outcome == "'confirmed_fraud'"
        if REVIEWS in columns or not (TRANSACTION_ID in cases and fraud_only):
            units.append("risk")
    return units


def _write(
    proposal: Proposal,
    accepted: Mapping[str, pa.Table],
    unit: Unit,
    families: tuple[Family, ...],
    items: tuple[str, ...],
    *,
    trainable: bool,
) -> str:
    chosen = [each.name for each in families if each.available]
    days = 0 if proposal.span is None else (proposal.span[1] - proposal.span[0]).days
    what = "a transaction, at its own time" if unit == "fraud" else "a customer at a review date"
    lines = [f"# Proposed by kyc-ml init: one observation is {what}."]
    if not trainable:
        lines.append(
            "# No label yet: kyc-ml features build works, kyc-ml train needs the table cases."
        )
    lines += [
        f"name: {_label(proposal.name)}-{unit}",
        f"unit: {unit}",
        "tiers: tiers.yaml",
        "",
        "features:",
        "  name: proposed",
        "  description: every family that the source gives features of",
        f"  families: [{', '.join(chosen)}]",
    ]
    if items and "third_party" in chosen:
        lines.append(f"  third_party_items: [{', '.join(items)}]")
    lines += ["", *_dataset(proposal, accepted, unit, days)]
    splits = _splits(proposal, accepted, unit, days)
    lines += ["", *splits, "", "model:"]
    if "  method: customer_folds" in splits:
        lines += [
            "  num_leaves: 4   # small trees for few rows",
            "  min_data_in_leaf: 20",
            "  rounds: 600   # at most: folds inside the folds choose how many",
            "  metric: binary_logloss   # steady with few positives",
        ]
    else:
        lines += ["  num_leaves: 15", "  rounds: 300"]
    lines.append("  learning_rate: 0.06")
    return "\n".join(lines) + "\n"


def _label(name: str) -> str:
    """Make the start of a model's name of a folder's name."""
    return re.sub(r"[^\w-]+", "-", name).strip("-") or "proposed"


def _dataset(
    proposal: Proposal, accepted: Mapping[str, pa.Table], unit: Unit, days: int
) -> list[str]:
    if unit == "fraud":
        matured = delay_days(proposal.span)
        lines = [
            "dataset:",
            "  # A transaction without a case counts as honest after so many days: confirm.",
            f"  label_maturity_days: {matured}",
        ]
        if proposal.span is not None and days >= _FEW_DAYS:
            start = proposal.span[0] + timedelta(days=30)
            lines.append(f'  history_start: "{start:%Y-%m-%d}"   # the first month fills windows')
        return lines
    horizon = _HORIZONS.get(proposal.kind)
    if proposal.kind == "applications" and proposal.span is not None:
        horizon = -(-(proposal.span[1] - proposal.span[0]).days // 365) * 365
    if horizon is not None:
        return [
            "dataset:",
            "  # Cases decide the reviews that they name; of others, an adverse outcome counts",
            "  # that is known so many days after the review: confirm.",
            f"  horizon_days: {horizon}",
            "  label_maturity_days: 0",
        ]
    if _one_review_day(accepted):
        return ["dataset:", "  horizon_days: 1   # the answer is told the day after the review",
                "  label_maturity_days: 0"]  # fmt: skip
    horizon = 365 if REVIEWS in proposal.tables else 60
    return [
        "dataset:",
        "  # Positive: an adverse outcome is known so many days after the review: confirm.",
        f"  horizon_days: {horizon}",
        "  label_maturity_days: 0",
    ]


def _as_of(proposal: Proposal, accepted: Mapping[str, pa.Table]) -> str | None:
    """Give the day after the last review and the last case known, where reviews are given."""
    if proposal.snapshot is not None:
        known = datetime.combine(
            proposal.snapshot + timedelta(days=1), time(0, 0, 1), ZoneInfo(proposal.timezone)
        )
        return f"{known.astimezone(UTC) + timedelta(days=1):%Y-%m-%d}"
    if REVIEWS not in accepted:
        return None
    times = [pc.max(accepted[REVIEWS][EVENT_TIME]).as_py()]
    times += [pc.max(accepted[CASES][KNOWN_AT]).as_py()] if CASES in accepted else []
    last = max((time for time in times if time is not None), default=None)
    return None if last is None else f"{last + timedelta(days=1):%Y-%m-%d}"


def _one_review_day(accepted: Mapping[str, pa.Table]) -> bool:
    if REVIEWS not in accepted or not accepted[REVIEWS].num_rows:
        return False
    return len(accepted[REVIEWS][EVENT_TIME].unique()) == 1


def _teaches(proposal: Proposal, accepted: Mapping[str, pa.Table]) -> bool:
    """Tell whether a panel is so long that the part before all others has adverse outcomes."""
    if proposal.span is None or CASES not in accepted:
        return False
    begun, last = (each.date() for each in proposal.span)
    # each of the three later parts is preceded by a horizon, and so are the labels of training
    known = last - timedelta(days=len(_PARTS) * (_PANEL_PART + _HORIZONS["panel"]))
    cases = accepted[CASES]
    adverse = cases.filter(pc.is_in(cases[OUTCOME], value_set=pa.array(ADVERSE_OUTCOMES)))
    # what is known at the first review teaches nothing: its customer is left out
    first = begun + timedelta(days=2)
    return any(first < each.date() <= known for each in adverse[KNOWN_AT].to_pylist() if each)


def _splits(
    proposal: Proposal, accepted: Mapping[str, pa.Table], unit: Unit, days: int
) -> list[str]:
    few = REVIEWS in accepted and accepted[REVIEWS].num_rows < _FEW_REVIEWS
    if proposal.kind == "panel" and not few and _teaches(proposal, accepted):
        return [
            "splits:",
            "  method: out_of_time",
            *(
                f"  {part}_days: {_PANEL_PART}"
                for part in ("early_stopping", "calibration", "test")
            ),
            "  embargo_days: 0",
            f"  inner_embargo_days: {_HORIZONS['panel']}",
        ]
    few = few or proposal.kind != "bookings"
    if days < _FEW_DAYS or (unit == "risk" and (few or _one_review_day(accepted) or days < 300)):
        return [
            "splits:",
            "  # Too short or too few to be parted in time: cross-validated by customer.",
            "  method: customer_folds",
            "  folds: 5",
            "  early_stopping_folds: 3",
        ]
    part = 14 if unit == "fraud" and days < 240 else 30
    inner = 1 if unit == "fraud" else 60 if REVIEWS not in accepted else 365
    return [
        "splits:",
        "  method: out_of_time",
        f"  early_stopping_days: {part}",
        f"  calibration_days: {part}",
        f"  test_days: {2 * part if part == 14 else part}",
        f"  embargo_days: {7 if unit == 'fraud' else 0}",
        f"  inner_embargo_days: {inner}",
    ]
