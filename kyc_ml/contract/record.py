"""A quality summary as JSON keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from kyc_ml.contract.quality import Finding, QualitySummary, TableQuality


def write_quality(quality: QualitySummary) -> dict[str, Any]:
    """Write a summary as plain values; `read_quality` gives an equal one back."""
    return {
        "tables": [_plain(table) for table in quality.tables],
        "warnings": [asdict(each) for each in quality.warnings],
    }


def read_quality(content: Mapping[str, Any]) -> QualitySummary:
    """Read what `write_quality` wrote."""
    return QualitySummary(
        tables=tuple(_table(each) for each in content["tables"]),
        warnings=tuple(Finding(**each) for each in content["warnings"]),
    )


def _plain(table: TableQuality) -> dict[str, Any]:
    plain = asdict(table)
    for name in ("first_event_time", "last_event_time"):
        moment: datetime | None = plain[name]
        plain[name] = None if moment is None else moment.astimezone(UTC).isoformat()
    return {**plain, "missing": dict(table.missing), "reasons": list(plain["reasons"])}


def _table(plain: Mapping[str, Any]) -> TableQuality:
    moments = {
        name: None if plain[name] is None else datetime.fromisoformat(plain[name])
        for name in ("first_event_time", "last_event_time")
    }
    reasons = tuple(Finding(**each) for each in plain["reasons"])
    return TableQuality(**{**plain, **moments, "reasons": reasons})
