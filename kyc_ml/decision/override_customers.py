"""Find overrides whose customer is unknown: they have no effect although they look active."""

from collections.abc import Mapping
from contextlib import closing
from datetime import date
from pathlib import Path

import pyarrow as pa

from kyc_ml.contract import CONTRACT, CUSTOMER_ID, StoredTables, alike_sql, parts_of
from kyc_ml.dataset import ChosenObservations
from kyc_ml.decision.tiers.sections import OverrideBook
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import ConfigError, Faults
from kyc_ml.storage import connect, quote_text


def require_known_customers(
    book: OverrideBook,
    tables: StoredTables,
    chosen: ChosenObservations,
    *,
    most: int | None,
    reporter: ProgressReporter,
) -> None:
    """Refuse overrides in force whose customer is in no table.

    `most`: highest number allowed; None means no limit. Those within it are listed as a warning.
    Raises ConfigError if there are more; each is named by its place in the file, never by its
    customer.
    """
    last = chosen.as_of.tz_convert(tables.timezone).date()
    first = date.min if chosen.since is None and chosen.unit == "fraud" else last
    first = first if chosen.since is None else chosen.since.tz_convert(tables.timezone).date()
    asked = {
        place: entry.customer_id
        for place, entry in enumerate(book.overrides, start=1)
        if entry.is_in_force(first=first, last=last)
    }
    unknown = _find_unknown(asked, tables.files) if asked else {}
    if unknown and tables.history is not None:
        ids = pa.array([asked[place] for place in unknown], pa.string())
        of = [name for name in tables.whole if CUSTOMER_ID in CONTRACT[name].names]
        there = {each for n in of for each in tables.history.known(n, CUSTOMER_ID, ids).to_pylist()}
        unknown = {place: why for place, why in unknown.items() if asked[place] not in there}
    if not unknown:
        return
    head = f"{len(unknown)} of {len(asked)} overrides in force name a customer that no table has"
    lines = [
        f"override {place} ({book.overrides[place - 1].code}): {why}"
        for place, why in unknown.items()
    ]
    if most is None or len(unknown) <= most:
        reporter.warning(f"{head}: {'; '.join(lines)}")
        return
    cure = "correct them, or allow more with unmatched_overrides in the file of --limits"
    Faults(f"{head}, so they have no effect; {cure}", ConfigError).extend(lines).raise_if_any()


def _find_unknown(asked: Mapping[int, str], files: Mapping[str, Path]) -> dict[int, str]:
    """Explain for each customer in no table whether another identifier is similar."""
    known = " UNION ALL ".join(
        f"SELECT {CUSTOMER_ID} AS id FROM read_parquet({quote_text(str(part.resolve()))})"
        for name, path in files.items()
        for part in parts_of(path)
        if CUSTOMER_ID in CONTRACT[name].names
    )
    with closing(
        connect(data=None, files=[part for path in files.values() for part in parts_of(path)])
    ) as connection:
        # no identifier is null here: with one null, `NOT IN` would find nothing
        rows = connection.execute(
            f"WITH known AS (SELECT DISTINCT id FROM ({known})), "
            "asked AS (SELECT unnest(?::BIGINT[]) AS place, unnest(?::VARCHAR[]) AS id) "
            f"SELECT place, {alike_sql('id')} IN "
            f"(SELECT {alike_sql('id')} FROM known) FROM asked "
            "WHERE id NOT IN (SELECT id FROM known) ORDER BY place",
            [list(asked), list(asked.values())],
        ).fetchall()
    alike = (
        "a customer differs only in letter case, leading zeros, quotes or character width: write "
        "it as the tables do, or declare the form under `identifiers` of the source mapping"
    )
    return {place: alike if near else "no customer is similar" for place, near in rows}
