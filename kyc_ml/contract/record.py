"""A quality summary as JSON keeps it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from kyc_ml.contract.quality import Finding, QualitySummary, TableQuality
from kyc_ml.contract.strays import Strays


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
    return {
        **_write_times(plain, ("first_event_time", "last_event_time")),
        "missing": dict(table.missing),
        "reasons": list(plain["reasons"]),
        "strays": _write_times(plain["strays"], ("first", "last")),
    }


def _table(plain: Mapping[str, Any]) -> TableQuality:
    reasons = tuple(Finding(**each) for each in plain["reasons"])
    strays = Strays(**_read_times(plain.get("strays", {}), ("first", "last")))  # none before
    times = _read_times(plain, ("first_event_time", "last_event_time"))
    return TableQuality(**{**times, "reasons": reasons, "strays": strays})


def _write_times(plain: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    times: dict[str, datetime | None] = {name: plain[name] for name in names}
    texts = {n: t and t.astimezone(UTC).isoformat() for n, t in times.items()}
    return {**plain, **texts}


def _read_times(plain: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    texts = {name: plain[name] for name in names if name in plain}
    return {**plain, **{n: t and datetime.fromisoformat(t) for n, t in texts.items()}}
