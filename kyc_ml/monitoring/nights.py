"""The record of nights: one SQLite file with a row for each run of a model on a day.

The file is `nights.db` in the folder of all nights. A row is written by one transaction, so the
file is whole after a kill at any instant, and two jobs can write together.
"""

import json
import os
import sqlite3
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pandas as pd

from kyc_ml.errors import ConfigError, OutputError
from kyc_ml.metrics import Ints

RECORD: Final = "nights.db"
PUBLISHED, REFUSED, LATE, FAILED, SERVED = "published", "refused", "late", "failed", "served"
HELD = "held"
"""Complete, but an incident holds its publication."""
SUFFIX: Final = {REFUSED: ".failed", HELD: ".held"}
"""End of the name of the folder that such a run leaves in place of its scores."""
_BEST_FIRST: Final = (PUBLISHED, SERVED, HELD, REFUSED, LATE, FAILED)
"""Which row describes a night that ran several times."""
_FORMAT: Final = 1
_WAIT: Final = 30.0
"""Seconds to wait for another writer, which holds the file for milliseconds."""
_COLUMNS: Final = (
    *("model", "day", "run", "status", "as_of", "version", "digest", "policy", "scored_by"),
    *("rows_read", "quarantined", "scored", "customers"),
)
_SCHEMA: Final = (
    f"CREATE TABLE IF NOT EXISTS nights ({', '.join(f'{name} NOT NULL' for name in _COLUMNS)}, "
    "attempts INTEGER NOT NULL, recorded_at TEXT NOT NULL, shape TEXT NOT NULL, "
    "profile BLOB NOT NULL, detail BLOB NOT NULL, PRIMARY KEY (model, day, run, status))",
    "CREATE TABLE IF NOT EXISTS shapes (shape TEXT PRIMARY KEY, columns TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS customer_data (day TEXT PRIMARY KEY, shares BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS replays (day TEXT NOT NULL, model TEXT NOT NULL, "
    "compared INTEGER NOT NULL, differ TEXT NOT NULL, PRIMARY KEY (day, model))",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """One run of a model on a day."""

    model: str
    """Name without version."""
    day: str
    """ISO date in the zone of the source."""
    status: str
    """'published', 'refused' (a limit was exceeded), 'late' (the input had not arrived), 'failed',
    'held' (by an incident) or 'served' (requests of a day, counted together)."""
    run: str = ""
    """Run id; empty where the run ended before it had one."""
    as_of: str = ""
    """Decision time, ISO, UTC; empty if unknown."""
    version: str = ""
    digest: str = ""
    policy: str = ""
    """`version`, `digest` and `policy`: name and version of the model, digest of its bundle, label
    of the tier policy."""
    scored_by: str = ""
    """'model' or 'rating'; empty where nothing was scored."""
    rows_read: int = 0
    quarantined: int = 0
    scored: int = 0
    customers: int = 0
    profile: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Mapping of column to counts; rows in each bin of the bundle's profile; the first bin is for
    missing values."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Plain values: reason, faults, tiers and expected (by tier), unknown (rows by feature), drift
    (figures), tables (see `describe_tables`), seconds (by stage), bytes (by kind of file),
    folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiles:
    """Counts by bin of several nights of one model, in order of their days."""

    days: tuple[str, ...]
    counts: Mapping[str, Ints]
    """By column, int64 of shape (nights, bins); -1 where a night has no counts of the column."""


@dataclass(frozen=True, slots=True)
class NightsRecord:
    """The nights of all models in one file; see `open`."""

    path: Path

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Self:
        """Open a record: the file, or the folder of all nights, which holds it.

        `create`: make the file if it is absent; otherwise that is an error.
        Raises ConfigError if it is absent, is not a record, or was written by a newer kyc_ml;
        OutputError if it cannot be made.
        """
        path = path if path.suffix == ".db" else path / RECORD
        if create:
            with open_store(path, create=True) as store:
                for statement in _SCHEMA:
                    store.execute(statement)
        record = cls(path)
        record.models()  # reads the table: another file is refused here
        return record

    def models(self) -> list[str]:
        """List the names of the models that have a night."""
        return [str(row[0]) for row in self._rows("SELECT DISTINCT model FROM nights ORDER BY 1")]

    def nights(
        self, model: str | None = None, *, since: str = "", every_run: bool = False
    ) -> pd.DataFrame:
        """Return the nights in order of their days, one row for each model and day.

        `since`: first day to read, an ISO date.
        `every_run`: return also the runs of a day that another one replaces: a published one stands
        for the day, otherwise the one that came farthest.
        Returns the fields of `Night` up to `customers`, attempts, recorded_at (UTC), detail (dict).
        """
        names = (*_COLUMNS, "attempts", "recorded_at", "detail")
        sql = f"SELECT {', '.join(names)} FROM nights WHERE day >= ?"
        rows = self._rows(
            *((sql, (since,)) if model is None else (f"{sql} AND model = ?", (since, model)))
        )
        frame = pd.DataFrame(rows, columns=list(names))
        with _whole(self.path):
            details: list[Any] = [
                dict(json.loads(zlib.decompress(packed))) for packed in frame["detail"]
            ]
            frame["detail"] = details
            return _in_order(frame, every_run=every_run)

    def profiles(self, model: str, *, since: str = "", digest: str | None = None) -> Profiles:
        """Return the counts by bin of published and served nights.

        `since`: first day to read, an ISO date.
        `digest`: bundle whose nights are read, because bins differ; by default that of the last
        night.
        """
        sql = (
            "SELECT day, run, status, recorded_at, model, digest, shape, profile FROM nights "
            "WHERE model = ? AND day >= ? AND status IN (?, ?) AND shape <> ''"
        )
        names = ("day", "run", "status", "recorded_at", "model", "digest", "shape", "profile")
        rows = self._rows(sql, (model, since, PUBLISHED, SERVED))
        shapes = dict(self._rows("SELECT shape, columns FROM shapes"))
        with _whole(self.path):
            frame = _in_order(pd.DataFrame(rows, columns=list(names)), every_run=False)
            if len(frame):
                frame = frame[frame["digest"] == (digest or frame["digest"].iloc[-1])]
            counts = _unpack(list(frame["profile"]), [shapes[s] for s in frame["shape"]])
        return Profiles(days=tuple(frame["day"]), counts=counts)

    def add(self, *nights: Night) -> int:
        """Add nights in one transaction; return how many were not there yet.

        The same run again changes nothing but the number of attempts, and where it did not
        publish, the reason.

        Raises OutputError if the file cannot be written.
        """
        names = (*_COLUMNS, "attempts", "recorded_at", "shape", "profile", "detail")
        # a published run never changes; the last reason of the others is the one to read
        newer = "CASE WHEN status = 'published' THEN nights.{0} ELSE excluded.{0} END"
        changed = ", ".join(
            f"{name} = {newer.format(name)}"
            for name in names
            if name not in {"model", "day", "run", "status", "attempts"}
        )
        sql = (
            f"INSERT INTO nights ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
            f"ON CONFLICT DO UPDATE SET attempts = attempts + 1, {changed}"
        )
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with open_store(self.path) as store:
            [(before,)] = store.execute("SELECT count(*) FROM nights")
            for night in nights:
                columns = json.dumps([[n, len(c)] for n, c in sorted(night.profile.items())])
                shape = (
                    f"{zlib.crc32(columns.encode()):08x}-{len(columns)}" if night.profile else ""
                )
                if shape:
                    store.execute("INSERT OR IGNORE INTO shapes VALUES (?, ?)", (shape, columns))
                detail = json.dumps(night.detail, sort_keys=True, allow_nan=False).encode()
                fields = [getattr(night, name) for name in _COLUMNS]
                packed = zlib.compress(detail, 6)
                store.execute(sql, (*fields, 1, now, shape, _pack(night.profile), packed))
            [(after,)] = store.execute("SELECT count(*) FROM nights")
        return int(after - before)

    def add_customer_data(self, day: str, shares: pd.DataFrame) -> None:
        """Add the counts of `customer_data` of a day, in place of earlier ones of the day.

        Raises OutputError if the file cannot be written.
        """
        packed = zlib.compress(shares.drop(columns="share").to_json(orient="split").encode(), 6)
        with open_store(self.path) as store:
            store.execute("INSERT OR REPLACE INTO customer_data VALUES (?, ?)", (day, packed))

    def customer_data(self, *, until: str = "") -> pd.DataFrame:
        """Return day and the columns of `customer_data`, of all days in order.

        `until`: read only the last day that is not after this one, an ISO date.
        """
        names = ["day", "by", "group", "measure", "field", "customers", "faults", "share"]
        frames = [pd.DataFrame(columns=names)]
        sql = "SELECT day, shares FROM customer_data"
        last = (f"{sql} WHERE day <= ? ORDER BY day DESC LIMIT 1", (until,))
        for day, packed in self._rows(*(last if until else (f"{sql} ORDER BY day",))):
            content = json.loads(zlib.decompress(packed))
            frame = pd.DataFrame(content["data"], columns=content["columns"])
            share = frame["faults"] / frame["customers"].where(frame["customers"] > 0)
            frames.append(frame.assign(day=day, share=share)[names])
        return frames[0] if len(frames) == 1 else pd.concat(frames[1:], ignore_index=True)

    def add_replay(self, day: str, model: str, compared: int, differ: Mapping[str, int]) -> None:
        """Add what a replay of served transactions found; the first of a day and model stays.

        `differ`: mapping of what differs to the number of transactions.
        Raises OutputError if the file cannot be written.
        """
        with open_store(self.path) as store:
            sql = "INSERT OR IGNORE INTO replays VALUES (?, ?, ?, ?)"
            store.execute(sql, (day, model, compared, json.dumps(dict(differ))))

    def replays(self, *, since: str = "") -> list[tuple[str, str, int, dict[str, int]]]:
        """Return day, model, transactions compared and what differs, of each replay."""
        if not self._rows("SELECT 1 FROM sqlite_schema WHERE name = 'replays'"):
            return []  # a record of before
        found = self._rows("SELECT * FROM replays WHERE day >= ? ORDER BY day, model", (since,))
        with _whole(self.path):
            return [(day, model, n, json.loads(differ)) for day, model, n, differ in found]

    def _rows(self, sql: str, values: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
        with open_store(self.path, write=False) as store:
            return store.execute(sql, values).fetchall()


@contextmanager
def open_store(
    path: Path, *, create: bool = False, write: bool = True
) -> Iterator[sqlite3.Connection]:
    """Open the file of the record for one transaction, which is undone by an error.

    Raises ConfigError if the file is absent, or is not the record of this version of kyc_ml;
    OutputError if it cannot be written.
    """
    if not create and not path.is_file():
        msg = f"{path} does not exist: run kyc-ml monitor record on the folder of all nights"
        raise ConfigError(msg)
    try:
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
            # readable by its owner alone, as the scores are
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        with closing(sqlite3.connect(path, timeout=_WAIT, isolation_level=None)) as store:
            [(known,)] = store.execute("PRAGMA user_version").fetchall()
            if known > _FORMAT:
                msg = f"{path} has format {known}: read it with the kyc_ml that wrote it"
                raise ConfigError(msg)
            if create and known < _FORMAT:
                store.execute(f"PRAGMA user_version = {_FORMAT}")
            store.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            try:
                yield store
            except BaseException:
                if store.in_transaction:
                    store.execute("ROLLBACK")
                raise
            if store.in_transaction:
                store.execute("COMMIT")
    except (sqlite3.OperationalError, OSError) as error:
        if "no such" in str(error):  # a table or column of the record
            raise ConfigError(
                f"{path} lacks parts ({error}): move it away; kyc-ml monitor record makes it again"
            ) from None
        raise OutputError(
            f"{path} cannot be {'written' if write else 'read'} ({error}): is the disk full, the "
            "file another user's, or another job writing for a long time? Then try again"
        ) from None
    except sqlite3.DatabaseError:
        raise ConfigError(
            f"{path} is not the record of nights: move it away, and make it again by "
            "kyc-ml monitor record"
        ) from None


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Refuse rows that SQLite can read and no kyc_ml wrote."""
    try:
        yield
    except (zlib.error, ValueError, TypeError, KeyError):
        raise ConfigError(
            f"{path}: a row is damaged: restore the file, or move it away and make it again by "
            "kyc-ml monitor record"
        ) from None


def is_day(name: str) -> bool:
    """Return whether a name is an ISO date, as the folder of a night has it."""
    try:
        return date.fromisoformat(name).isoformat() == name
    except ValueError:
        return False


def list_days(days: Collection[str]) -> list[str]:
    """List every day from the first to the last of some; all are ISO dates."""
    every = pd.date_range(min(days), max(days)) if days else pd.DatetimeIndex([])
    return every.strftime("%Y-%m-%d").tolist()


def record_beside(goal: Path) -> Path | None:
    """Return the file of the record that the folder of a run belongs to.

    Runs in OUT/DAY/NAME and OUT/DAY belong to OUT; any other folder to its parent, if that has a
    record already. None without one: a trial run beside other files is not a night.
    """
    goal = goal.absolute()
    if is_day(goal.parent.name):
        return goal.parent.parent / RECORD
    beside = goal.parent / RECORD
    return beside if is_day(goal.name) or beside.is_file() else None


def _in_order(frame: pd.DataFrame, *, every_run: bool) -> pd.DataFrame:
    """Sort runs by day and model, the one that stands for its night first."""
    rank = [_BEST_FIRST.index(status) for status in frame["status"]]
    if not all(map(is_day, frame["day"])):
        raise ValueError  # `_whole` says which file
    ordered = frame.assign(rank=rank).sort_values(
        ["day", "model", "rank", "recorded_at", "run"], kind="stable", ignore_index=True
    )
    if not every_run:
        ordered = ordered.drop_duplicates(["day", "model"], ignore_index=True)
    return ordered.drop(columns="rank")


def _pack(profile: Mapping[str, Sequence[int]]) -> bytes:
    """Pack counts: all low bytes, then all higher ones, because those are mostly equal."""
    counts = [np.asarray(counts, dtype="<u4") for _, counts in sorted(profile.items())]
    flat = np.concatenate(counts) if counts else np.zeros(0, "<u4")
    return zlib.compress(flat.view(np.uint8).reshape(-1, 4).T.tobytes(), 6)


def _unpack(packed: Sequence[bytes], shapes: Sequence[str]) -> dict[str, Ints]:
    """Unpack counts into one array by column; nights without a column have -1 there."""
    # of a column whose bins have changed, the last night's bins count
    ordered = reversed(list(dict.fromkeys(reversed(shapes))))
    columns = {shape: json.loads(shape) for shape in ordered}
    sizes: dict[str, int] = {name: size for each in columns.values() for name, size in each}
    found = {name: np.full((len(packed), size), -1, np.int64) for name, size in sizes.items()}
    for shape, each in columns.items():
        rows = [row for row, own in enumerate(shapes) if own == shape]
        raw = [np.frombuffer(zlib.decompress(packed[row]), np.uint8) for row in rows]
        together = np.ascontiguousarray(np.stack(raw).reshape(len(rows), 4, -1).swapaxes(1, 2))
        counts, start = together.view("<u4")[:, :, 0], 0
        for name, size in each:
            if size == sizes[name]:
                found[name][rows] = counts[:, start : start + size]
            start += size
    return found
