"""Whether what the bank knows of its customers is complete, valid and up to date."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.contract import (
    CUSTOMER_ID,
    CUSTOMER_TYPE,
    CUSTOMERS,
    DOCUMENT_CHECKS,
    DOCUMENT_EXPIRY,
    DOCUMENT_NUMBER,
    DOCUMENT_TYPE,
    EVENT_TIME,
    KNOWN_AT,
    NATIONALITY,
    SEGMENT,
    ContractedTables,
    Tables,
)
from kyc_ml.errors import ConfigError, DatasetError
from kyc_ml.storage import connect, quote_name, quote_text, write_csv, written_whole

MISSING, EXPIRED, WRONG, STALE = "missing", "expired", "wrong_number", "stale"
ALL: Final = "all"
STALE_DAYS: Final = 1_095
"""Days after which a profile without a new version is stale. Convention: three years; set that of
the bank's own reviews."""
_KEYS: Final = (CUSTOMER_ID, EVENT_TIME, KNOWN_AT)
_BRANCH: Final = "branch"


def customer_data(
    tables: Tables,
    as_of: pd.Timestamp,
    *,
    by: Sequence[str] | None = None,
    stale_days: int = STALE_DAYS,
) -> pd.DataFrame:
    """Count customers whose information is missing, expired, invalid or old.

    `as_of`: only what was known before counts, in each customer's last version.
    `by`: columns of the customers to count by; by default the segment, and a declared attribute
    whose name contains 'branch', where the source has them.
    by ('all' or a column), group (its value; empty where missing), measure ('missing', 'expired',
    'wrong_number' or 'stale'), field, customers (to whom the field applies), faults, share (NaN
    without customers). A nationality applies to persons only.
    Raises DatasetError if the source has no table of customers; ConfigError if a column of `by` is
    absent.
    """
    flags, columns = _flags(tables, as_of, by=by, stale_days=stale_days)
    names = [str(name) for name in flags if ":" in str(name)]
    rows = []
    for column in (ALL, *columns):
        key = [""] * len(flags) if column == ALL else flags[column].fillna("").astype(str)
        for group, part in flags.groupby(key, sort=True):
            for name in names:
                measure, _, field = name.partition(":")
                applies = part[name].dropna()
                n, faults = len(applies), int(applies.astype(bool).sum())
                share = faults / n if n else float("nan")
                rows.append((column, group, measure, field, n, faults, share))
    columns = ["by", "group", "measure", "field", "customers", "faults", "share"]
    return pd.DataFrame(rows, columns=columns)


def with_earlier(found: pd.DataFrame, earlier: pd.DataFrame) -> pd.DataFrame:
    """Add `share_before`: the share of an earlier day; NaN where it lacks the group or field.

    `found`, `earlier`: see `customer_data`; `earlier` may be empty.
    """
    names = ["by", "group", "measure", "field"]
    shares = earlier[[*names, "share"]].rename(columns={"share": "share_before"})
    keyed = shares.astype({name: found[name].dtype for name in names} | {"share_before": float})
    return found.merge(keyed, on=names, how="left")


def customers_due(
    tables: Tables,
    as_of: pd.Timestamp,
    *,
    by: Sequence[str] | None = None,
    stale_days: int = STALE_DAYS,
) -> pd.DataFrame:
    """List the customers whose information is due for an update: confidential.

    `as_of`, `by`, `stale_days`: as in `customer_data`.
    Returns customer_id, the columns of `by`, faults (count) and reasons, such as
    ``missing:industry;expired:document_expiry``; the customers with most faults first.
    """
    flags, columns = _flags(tables, as_of, by=by, stale_days=stale_days)
    names = [str(name) for name in flags if ":" in str(name)]
    found = flags[names].fillna(value=False).astype(bool)
    due = flags.loc[found.any(axis=1), [CUSTOMER_ID, *columns]].copy()
    chosen = found.loc[due.index]
    due["faults"] = chosen.sum(axis=1).astype("int64")
    due["reasons"] = [
        ";".join(name for name, is_so in zip(names, row, strict=True) if is_so)
        for row in chosen.to_numpy()
    ]
    ordered = due.sort_values(["faults", CUSTOMER_ID], ascending=[False, True], kind="stable")
    return ordered.reset_index(drop=True)


def save_due(due: pd.DataFrame, path: Path) -> None:
    """Write the list of `customers_due`, readable by its owner alone, as CSV or Parquet.

    Raises ConfigError if the name ends with neither .csv nor .parquet; OutputError if it cannot be
    written.
    """
    if path.suffix not in {".csv", ".parquet"}:
        msg = f"{path} must end with .csv or .parquet, got {path.suffix or 'no ending'}"
        raise ConfigError(msg)
    table = pa.Table.from_pandas(due, preserve_index=False)
    with written_whole(path) as handle:
        if path.suffix == ".csv":
            write_csv(handle, table.schema, [table])
        else:
            pq.write_table(table, handle)


def _flags(
    tables: Tables, as_of: pd.Timestamp, *, by: Sequence[str] | None, stale_days: int
) -> tuple[pd.DataFrame, list[str]]:
    """Return one row for each customer with a flag for each measure and field, and `by`."""
    stored = not isinstance(tables, ContractedTables)
    held = tables.files if not isinstance(tables, ContractedTables) else tables.tables
    if CUSTOMERS not in held:
        msg = f"the source has no table {CUSTOMERS}: map it to see what is known of customers"
        raise DatasetError(msg)
    files = [tables.files[CUSTOMERS]] if not isinstance(tables, ContractedTables) else []
    with closing(connect(data=None, files=files)) as connection:
        if isinstance(tables, ContractedTables):
            connection.register("held", tables.tables[CUSTOMERS])
        rows = f"read_parquet({quote_text(str(files[0].resolve()))})" if stored else "held"
        until = (as_of - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(microseconds=1)
        connection.execute(
            f"CREATE TEMP TABLE latest AS SELECT * FROM {rows} "
            f"WHERE epoch_us({KNOWN_AT}) < {until} AND epoch_us({EVENT_TIME}) < {until} "
            f"QUALIFY row_number() OVER (PARTITION BY {CUSTOMER_ID} "
            f"ORDER BY {EVENT_TIME} DESC, {KNOWN_AT} DESC) = 1"
        )
        there = [row[0] for row in connection.execute("DESCRIBE latest").fetchall()]
        columns = _groups(tables, there, by)
        fields = [name for name in there if name not in {*_KEYS, *columns}]
        selected = [quote_name(name) for name in (CUSTOMER_ID, *columns)]
        selected += [f"{_missing(name, there)} AS {quote_name(f'{MISSING}:{name}')}"
                     for name in [*fields, *(c for c in columns if c == SEGMENT)]]  # fmt: skip
        if DOCUMENT_EXPIRY in there:
            day = quote_text(as_of.tz_convert(tables.timezone).date().isoformat())
            expired = f"{DOCUMENT_EXPIRY} < CAST({day} AS DATE)"
            selected.append(f"{expired} AS {quote_name(f'{EXPIRED}:{DOCUMENT_EXPIRY}')}")
        age = f"{until} - epoch_us({EVENT_TIME})"
        selected.append(
            f"{age} > {stale_days * 86_400_000_000} AS {quote_name(f'{STALE}:{EVENT_TIME}')}"
        )
        order = f"FROM latest ORDER BY {CUSTOMER_ID}"
        frame: pd.DataFrame = (
            connection.sql(f"SELECT {', '.join(selected)} {order}").to_arrow_table().to_pandas()
        )
        if {DOCUMENT_TYPE, DOCUMENT_NUMBER} <= set(there):
            pairs = connection.execute(f"SELECT {DOCUMENT_TYPE}, {DOCUMENT_NUMBER} {order}")
            frame[f"{WRONG}:{DOCUMENT_NUMBER}"] = pd.Series(
                [_is_wrong(kind, number) for kind, number in pairs.fetchall()], dtype="object"
            )
    return frame, columns


def _groups(tables: Tables, there: Sequence[str], by: Sequence[str] | None) -> list[str]:
    if by is None:
        own = [each.column for each in tables.attributes if each.table == CUSTOMERS]
        return [name for name in (SEGMENT, *own) if name in there and
                (name == SEGMENT or _BRANCH in name)]  # fmt: skip
    absent = sorted(set(by) - set(there))
    if absent:
        msg = f"customers have no column {', '.join(absent)}: name some of {', '.join(there)}"
        raise ConfigError(msg)
    return list(by)


def _missing(name: str, there: Sequence[str]) -> str:
    """Write whether a field has no value; NULL where it does not apply."""
    absent = f"{quote_name(name)} IS NULL"
    if name == NATIONALITY and CUSTOMER_TYPE in there:
        return f"CASE WHEN {CUSTOMER_TYPE} IS DISTINCT FROM 'entity' THEN {absent} END"
    return absent


def _is_wrong(kind: str | None, number: str | None) -> bool | None:
    """Return whether a document number fails its checksum; None without a checksum."""
    check = DOCUMENT_CHECKS.get(kind or "")
    return None if check is None or number is None else not check(number)
