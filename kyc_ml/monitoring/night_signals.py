"""Signals of single nights and of their order: refused, late, missing, twice, of another model."""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

import pandas as pd

from kyc_ml.contract import CASES
from kyc_ml.monitoring.figures import day_shares
from kyc_ml.monitoring.found import OF_LIMITS, Finding
from kyc_ml.monitoring.nights import LATE, PUBLISHED, REFUSED, SERVED, list_days
from kyc_ml.scoring import HOUR

_LINE: Final = re.compile(
    r"^\s*(?:- )?(?P<limit>[a-z_]+): (?P<table>[a-z_]+)"
    r"(?:\.(?P<column>\w+)\b|: (?P<other>[^:]+):)?",
    re.MULTILINE,
)
"""How the line of a limit begins: its name, the table, and the column where there is one."""
_OF_ROW: Final = {"mixture", "magnitude", "missing"}
_FORM: Final = "form of customer_id"
_NEW: Final = 0.01
"""Share of the rows of a day that makes a value new, or gone. Convention."""
_DUPLICATE: Final = "duplicate key"
_BACK_HOURS: Final = 1.0


def findings_of_nights(nights: pd.DataFrame) -> Iterator[Finding]:
    """Yield what limits named as the fault of each night that was not published.

    `nights`: as `NightsRecord.nights` returns them, of any models.
    """
    before: dict[str, Mapping[str, Any]] = {}
    for _, night in nights.sort_values(["day", "model"], kind="stable").iterrows():
        detail = night["detail"]
        tables = detail.get("tables", {})
        if night["status"] in {PUBLISHED, SERVED}:
            before = tables or before
            if night["scored_by"] != "rating" or not detail.get("faults"):
                continue
        faults = detail.get("faults") or [detail.get("reason", "")]
        named = _named("\n".join(faults), tables, before)
        cause = ""
        for (code, subject), line in named.items():
            found = Finding(
                code=code, model="", day=night["day"], since=night["day"], subject=subject,
                words={"line": line},
            )  # fmt: skip
            cause = cause or found.key
            yield found
        if night["status"] not in {PUBLISHED, SERVED}:
            status = {REFUSED: "refused", LATE: "late"}.get(night["status"], "failed")
            yield Finding(
                code=f"night.{status}", model=night["model"], day=night["day"],
                since=night["day"], words={"reason": faults[0].partition("\n")[0]}, cause=cause,
            )  # fmt: skip


def _named(
    text: str, tables: Mapping[str, Any], before: Mapping[str, Any]
) -> dict[tuple[str, str], str]:
    """Return the line of each limit in a text, by code and subject."""
    found: dict[tuple[str, str], str] = {}
    for match in _LINE.finditer(text):
        code = OF_LIMITS.get(match["limit"])
        if code is None:
            continue
        column = (match["column"] or match["other"] or "") if match["limit"] in _OF_ROW else ""
        table = match["table"]
        told = tables.get(table, {})
        if match["limit"] == "mixture":
            code = name_mixture(column, *day_shares(told, before.get(table, {}), column))
        elif match["limit"] == "stale" and table == CASES:
            code = "labels.stopped"
        elif match["limit"] == "quarantined_share":
            code = name_quarantine(told)
        subject = f"{table}.{column}" if column else table
        line = text[match.start() :].strip().partition("\n")[0].removeprefix("- ")
        found.setdefault((code, subject), line)
    return found


def name_quarantine(table: Mapping[str, Any]) -> str:
    """Return the code of many quarantined rows: repeated ones have a key twice."""
    reasons: Mapping[str, int] = table.get("reasons", {})
    repeated = sum(count for reason, count in reasons.items() if _DUPLICATE in reason)
    many = 2 * repeated >= sum(reasons.values()) > 0
    return "data.repeated" if many else "data.quarantine"


def name_mixture(column: str, day: Mapping[str, float], before: Mapping[str, float]) -> str:
    """Return the code of moved shares of a column's values.

    `day`, `before`: mapping of value to share; of the rows of the last day, and of the rows known
    before.
    """
    if column == HOUR:
        return "data.clock"
    if column == _FORM:
        return "data.population"
    new = sum(share for value, share in day.items() if value not in before and share > _NEW)
    gone = sum(
        share
        for value, share in before.items()
        if share > _NEW and day.get(value, 0.0) < share / 10
    )
    if new and gone >= new / 2:
        return "data.recoded"
    return "data.new_category" if new else "data.recoded" if gone else "drift.category"


def find_gaps(nights: pd.DataFrame) -> list[Finding]:
    """List nights that are missing, twice, out of order, empty, of another model or policy.

    `nights`: as `NightsRecord.nights` returns them with ``every_run=True``, of any models.
    """
    found: list[Finding] = []
    for model, every in nights.groupby("model", sort=True):
        own = every.drop_duplicates("day")
        published = every[every["status"] == PUBLISHED]
        for day, runs in published.groupby("day", sort=True):
            if len(runs) > 1:
                found.append(_gap("nights.again", model, day, count=len(runs)))
        found += _missing(str(model), list(own["day"]))
        found += _order(str(model), own[own["status"] == PUBLISHED])
    return sorted(found, key=lambda each: (each.day, each.model, each.code))


def findings_of_replays(
    replays: Iterable[tuple[str, str, int, Mapping[str, int]]],
) -> Iterator[Finding]:
    """Yield the days on which served transactions had another score or feature in batch.

    `replays`: as `NightsRecord.replays` returns them.
    """
    for day, model, compared, differ in replays:
        if differ:
            most = max(sorted(differ), key=differ.__getitem__)
            words = {"compared": compared, "count": len(differ), "times": differ[most]}
            yield Finding(
                code="served.differs", model=model, day=day, since=day, subject=most, words=words
            )


def _gap(code: str, model: object, day: object, **words: object) -> Finding:
    return Finding(code=code, model=str(model), day=str(day), since=str(day), words=words)


def _missing(model: str, days: list[str]) -> Iterator[Finding]:
    for ends in pairwise(days):
        absent = list_days(ends)[1:-1]
        if absent:
            yield _gap("nights.missing", model, absent[0], count=len(absent))


def _order(model: str, nights: pd.DataFrame) -> Iterator[Finding]:
    recorded = pd.to_datetime(nights["recorded_at"], utc=True, format="ISO8601")
    decided = pd.to_datetime(nights["as_of"], utc=True, format="ISO8601", errors="coerce")
    by_job = ~nights["detail"].map(lambda detail: bool(detail.get("added_later")))
    latest = recorded.where(by_job).cummax().ffill().shift()
    before = nights.shift()
    for place, (_, night) in enumerate(nights.iterrows()):
        day = night["day"]
        back = (latest.iloc[place] - recorded.iloc[place]) / pd.Timedelta(hours=1)
        ahead = (decided.iloc[place] - recorded.iloc[place]) / pd.Timedelta(days=1)
        if ahead > 1.0:
            yield _gap("nights.clock", model, day)
        elif back > _BACK_HOURS and not night["detail"].get("added_later"):
            yield _gap("nights.order", model, day)
        if not night["scored"]:
            yield _gap("nights.empty", model, day)
        for code, field in (("nights.model", "digest"), ("nights.policy", "policy")):
            if place and before[field].iloc[place] != night[field]:
                yield _gap(code, model, day)
