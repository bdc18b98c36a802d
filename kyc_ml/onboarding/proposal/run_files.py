"""Run configurations for a proposed source, and their tier policy."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml import contract as c
from kyc_ml.config import SourceMapping, Unit
from kyc_ml.onboarding.proposal.dating import delay_days
from kyc_ml.onboarding.proposal.families import ColumnFamily, items_of, weigh_families
from kyc_ml.onboarding.proposal.guesses import MappingProposal
from kyc_ml.onboarding.proposal.vocabulary import content

_FEW_DAYS: Final = 90
"""Data shorter than this cannot be separated in time (convention)."""
_FEW_DAYS_OF_RISK: Final = 300
_FEW_REVIEWS: Final = 2_000
_HORIZONS: Final = {"snapshot": 365, "panel": 60}
"""Outcome window in days, where the files do not show it."""
_PANEL_PART: Final = 62
"""Days of two month ends."""
_MOST_ADVERSE: Final = 0.3
"""Share of adverse outcomes above which cut-offs near it are not useful (convention)."""
_FEWEST_ADVERSE: Final = 800
"""Adverse cases from which features are selected against noise (convention)."""
_LATER_PARTS: Final = 3
"""Early stopping, calibration and test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFile:
    """One run configuration."""

    unit: Unit
    name: str
    planned: bool
    """True where reviews in the files are scored, and not every customer at the end."""
    text: str
    families: tuple[ColumnFamily, ...]
    trainable: bool
    """False where the source has no label for this unit yet."""
    as_of: str | None = None
    """Date of the training, where the bookings end before the outcomes are known."""


def run_files(
    proposal: MappingProposal, accepted: Mapping[str, pa.Table], mapping: SourceMapping
) -> tuple[RunFile, ...]:
    """Write a configuration for each unit that the tables allow."""
    columns = {
        name: tuple(dict.fromkeys((*table.expressions, "known_at")))
        for name, table in mapping.completed.items()
    }
    items = items_of(accepted)
    files = []
    for unit in _units(columns, proposal):
        families = weigh_families(columns, unit=unit, items=items, attributes=mapping.attributes)
        trainable = c.CASES in columns
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


def tiers_text(proposal: MappingProposal, accepted: Mapping[str, pa.Table]) -> str:
    """Write the tier policy of the configurations, with cut-offs near the usual rate."""
    # the day of a snapshot is a guess: a policy that starts then would not apply to an earlier one
    first = proposal.span[0] if proposal.span else date(2000, 1, 1)
    rate = _adverse_rate(accepted)
    low, high = (0.02, 0.15) if rate is None else (_rounded(rate), _rounded(min(3 * rate, 0.5)))
    scale = "convention" if rate is None else "the sample's own rate and three times it"
    return _piece(
        "tiers",
        valid_from=f"{first:%Y-%m-%d}",
        timezone=proposal.timezone,
        low=low,
        high=high,
        scale=scale,
    )


def _adverse_rate(accepted: Mapping[str, pa.Table]) -> float | None:
    if c.CASES not in accepted:
        return None
    of_bookings = c.TRANSACTION_ID in accepted[c.CASES].column_names
    order = (c.REVIEWS, c.TRANSACTIONS) if of_bookings else (c.REVIEWS, c.CUSTOMERS, c.TRANSACTIONS)
    name = next((each for each in order if each in accepted), None)
    if name is None:
        return None
    rows = accepted[name]
    by_customer = name == c.TRANSACTIONS and not of_bookings
    many = len(rows[c.CUSTOMER_ID].unique()) if by_customer else rows.num_rows
    found = _adverse(accepted)
    return found / many if 0 < found <= _MOST_ADVERSE * many else None


def _adverse(accepted: Mapping[str, pa.Table]) -> int:
    if c.CASES not in accepted:
        return 0
    found = pc.is_in(accepted[c.CASES][c.OUTCOME], value_set=pa.array(c.ADVERSE_OUTCOMES))
    return int(pc.sum(found).as_py() or 0)


def _rounded(rate: float) -> float:
    return float(f"{rate:.1g}")


def _units(columns: Mapping[str, tuple[str, ...]], proposal: MappingProposal) -> list[Unit]:
    """Choose the units: fraud if payments have labels, risk if customers have labels."""
    units: list[Unit] = []
    cases = columns.get(c.CASES, ())
    if c.TRANSACTIONS in columns and (c.TRANSACTION_ID in cases or not cases):
        units.append("fraud")
    sound = {c.TRANSACTIONS, c.CUSTOMERS, c.REVIEWS} & set(columns)
    if sound and cases:
        fraud_only = proposal.tables[c.CASES].columns["outcome"].sql == "'confirmed_fraud'"
        if c.REVIEWS in columns or not (c.TRANSACTION_ID in cases and fraud_only):
            units.append("risk")
    return units


def _write(
    proposal: MappingProposal,
    accepted: Mapping[str, pa.Table],
    unit: Unit,
    families: tuple[ColumnFamily, ...],
    items: tuple[str, ...],
    *,
    trainable: bool,
) -> str:
    chosen = [each.name for each in families if each.available]
    listed = items and "third_party" in chosen
    splits = _splits(proposal, accepted, unit)
    by_folds = splits == _piece("folds")
    return _piece(
        "run",
        what="a transaction, at its own time" if unit == "fraud" else "a customer at a review date",
        untrainable="" if trainable else _piece("untrainable"),
        name=_label(proposal.name),
        unit=unit,
        families=", ".join(chosen),
        items=f"  third_party_items: [{', '.join(items)}]\n" if listed else "",
        dataset=_dataset(proposal, accepted, unit),
        splits=splits,
        selection="" if by_folds or _adverse(accepted) < _FEWEST_ADVERSE else _piece("selection"),
        model=_piece("model_of_folds" if by_folds else "model_out_of_time"),
    )


def _piece(key: str, **values: object) -> str:
    text: str = content("runs")[key]
    return text.format(**values)


def _label(name: str) -> str:
    return re.sub(r"[^\w-]+", "-", name).strip("-") or "proposed"


def _days(proposal: MappingProposal) -> int:
    return 0 if proposal.span is None else (proposal.span[1] - proposal.span[0]).days


def _dataset(proposal: MappingProposal, accepted: Mapping[str, pa.Table], unit: Unit) -> str:
    days = _days(proposal)
    if unit == "fraud":
        text = _piece("maturity", days=delay_days(proposal.span))
        if proposal.span is not None and days >= _FEW_DAYS:
            text += _piece("history_start", start=proposal.span[0] + timedelta(days=30))
        return text
    horizon = _HORIZONS.get(proposal.kind)
    if proposal.kind == "applications" and proposal.span is not None:
        horizon = -(-days // 365) * 365  # whole years, rounded up
    if horizon is not None:
        return _piece("horizon_of_cases", days=horizon)
    if _one_review_day(accepted):
        return _piece("one_review_day")
    return _piece("horizon", days=365 if c.REVIEWS in proposal.tables else 60)


def _as_of(proposal: MappingProposal, accepted: Mapping[str, pa.Table]) -> str | None:
    """Return the day after the last review and the last case known, where reviews are given."""
    if proposal.snapshot is not None:
        known = datetime.combine(
            proposal.snapshot + timedelta(days=1), time(0, 0, 1), ZoneInfo(proposal.timezone)
        )
        return f"{known.astimezone(UTC) + timedelta(days=1):%Y-%m-%d}"
    if c.REVIEWS not in accepted:
        return None
    times = [pc.max(accepted[c.REVIEWS][c.EVENT_TIME]).as_py()]
    times += [pc.max(accepted[c.CASES][c.KNOWN_AT]).as_py()] if c.CASES in accepted else []
    last = max((time for time in times if time is not None), default=None)
    return None if last is None else f"{last + timedelta(days=1):%Y-%m-%d}"


def _one_review_day(accepted: Mapping[str, pa.Table]) -> bool:
    if c.REVIEWS not in accepted or not accepted[c.REVIEWS].num_rows:
        return False
    return len(accepted[c.REVIEWS][c.EVENT_TIME].unique()) == 1


def _teaches(proposal: MappingProposal, accepted: Mapping[str, pa.Table]) -> bool:
    """Return whether a panel is so long that its training part has adverse outcomes."""
    if proposal.span is None or c.CASES not in accepted:
        return False
    begun, last = (each.date() for each in proposal.span)
    # each of the three later parts is preceded by a horizon, and so are the labels of training
    known = last - timedelta(days=_LATER_PARTS * (_PANEL_PART + _HORIZONS["panel"]))
    cases = accepted[c.CASES]
    adverse = cases.filter(pc.is_in(cases[c.OUTCOME], value_set=pa.array(c.ADVERSE_OUTCOMES)))
    # a customer whose outcome is known at the first review is left out
    first = begun + timedelta(days=2)
    return any(first < each.date() <= known for each in adverse[c.KNOWN_AT].to_pylist() if each)


def _splits(proposal: MappingProposal, accepted: Mapping[str, pa.Table], unit: Unit) -> str:
    days, fraud = _days(proposal), unit == "fraud"
    few = c.REVIEWS in accepted and accepted[c.REVIEWS].num_rows < _FEW_REVIEWS
    if proposal.kind == "panel" and not few and _teaches(proposal, accepted):
        part, inner = _PANEL_PART, _HORIZONS["panel"]
        return _piece("out_of_time", part=part, test=part, embargo=0, inner=inner)
    few = few or proposal.kind != "bookings" or _one_review_day(accepted)
    if days < _FEW_DAYS or (not fraud and (few or days < _FEW_DAYS_OF_RISK)):
        return _piece("folds")
    part, test = (14, 28) if fraud and days < 240 else (30, 30)
    inner = 1 if fraud else 60 if c.REVIEWS not in accepted else 365
    return _piece("out_of_time", part=part, test=test, embargo=7 if fraud else 0, inner=inner)
