"""Figures of nights as columns: what the record of nights holds, so that changes can be found.

Each figure is on a scale on which chance moves it equally far at every level: the arcsine of the
root of a share, the logarithm of a count. Chance is what sampling alone would do; larger noise of
a bank is learned from its nights.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from kyc_ml.contract import ACCOUNTS, CUSTOMERS
from kyc_ml.metrics import Changes, Floats, Ints, Mask, calendar_of, find_changes
from kyc_ml.model import PROBABILITY
from kyc_ml.monitoring.nights import PUBLISHED, SERVED, NightsRecord

SCORE, FEATURES, TIERS, UNKNOWN, SCORED = "score", "features", "tiers", "unknown", "scored"
VOLUMES, LATENESS, QUARANTINE = "volumes", "lateness", "quarantine"
MISSING, MAGNITUDE, CATEGORIES = "missing", "magnitude", "categories"
_LEAST: Final = 20
"""Rows of a day below which shares are chance: of a day, or of a value. Convention."""
_POPULATION: Final = 0.01
"""Share by which a profile table may wander without notice. Convention."""
_SPREAD: Final = 0.25
"""Variance of the common logarithm of an amount. Convention; a larger one is learned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One subject's columns."""

    family: str
    subject: str
    figure: Floats
    noise: Floats
    """`figure` and `noise`: float64 arrays of shape (n, columns)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Blocks of the same nights."""

    days: pd.DatetimeIndex
    """DatetimeIndex of length n, ascending."""
    blocks: tuple[Block, ...]
    """Tuple of Block, those of a family together."""
    skip: Mask
    """bool array of shape (n,); nights that were refused: nothing is learned from them."""

    @property
    def families(self) -> tuple[str, ...]:
        """Names of the families in order."""
        return tuple(dict.fromkeys(block.family for block in self.blocks))

    def columns_of(self, place: int) -> slice:
        """Return the columns of a block in arrays of all columns."""
        sizes = [block.figure.shape[1] for block in self.blocks[: place + 1]]
        return slice(sum(sizes[:-1]), sum(sizes))

    def changes(self) -> Changes:
        """Find the nights on which a family changed; see `find_changes`."""
        place = {name: number for number, name in enumerate(self.families)}
        sizes = [block.figure.shape[1] for block in self.blocks]
        values = [block.figure for block in self.blocks] or [np.zeros((len(self.days), 0))]
        noise = [block.noise for block in self.blocks] or values
        return find_changes(
            np.concatenate(values, axis=1),
            np.concatenate(noise, axis=1),
            feature=np.repeat(np.arange(len(sizes)), sizes),
            family=np.array([place[block.family] for block in self.blocks], np.int64),
            calendar=calendar_of(self.days),
            skip=self.skip,
        )


def figures_of_model(record: NightsRecord, model: str, *, since: str = "") -> Figures:
    """Return score, features, tiers, unknown categories and rows of a model by night.

    Score and features are of the bundle of the last night, because bins differ; tiers are of its
    policy. Earlier nights of others have no figure.
    """
    nights = record.nights(model, since=since)
    nights = nights[nights["status"].isin((PUBLISHED, SERVED))].reset_index(drop=True)
    days = pd.DatetimeIndex(pd.to_datetime(nights["day"]))
    blocks: list[Block] = []
    if len(nights):
        profiles = record.profiles(model, since=since)
        at = days.get_indexer(pd.DatetimeIndex(pd.to_datetime(list(profiles.days))))
        for family, name, counts in sorted(
            (SCORE if name == PROBABILITY else FEATURES, name, counts)
            for name, counts in profiles.counts.items()
        ):
            whole = np.full((len(days), counts.shape[1]), -1, np.int64)
            whole[at] = counts
            blocks.append(_shares(family, name, whole))
        blocks.sort(key=lambda block: block.family != SCORE)
        blocks += _of_grading(nights)
    return Figures(days=days, blocks=tuple(blocks), skip=np.zeros(len(days), np.bool_))


def _of_grading(nights: pd.DataFrame) -> Iterator[Block]:
    last = nights.iloc[-1]
    graded = ((nights["policy"] == last["policy"]) & (nights["scored_by"] == "model")).to_numpy()
    tiers = list(last["detail"].get("tiers", {}))
    if tiers:
        counts = _counts([each.get("tiers", {}) for each in nights["detail"]], tiers)
        yield _shares(TIERS, "", np.where(graded[:, None], counts, -1))
    names = sorted({name for each in nights["detail"] for name in each.get("unknown", {})})
    rows = nights["scored"].to_numpy(np.int64)
    unknown = _counts([each.get("unknown", {}) for each in nights["detail"]], names)
    for place, name in enumerate(names):
        pair = np.column_stack([unknown[:, place], rows - unknown[:, place]])
        yield _shares(UNKNOWN, name, np.where(graded[:, None], pair, -1))
    yield _volume(SCORED, "", rows.astype(np.float64), rows.astype(np.float64))


def _counts(each_night: Sequence[Mapping[str, int]], names: Sequence[str]) -> Ints:
    rows = [[night.get(name, 0) for name in names] for night in each_night]
    return np.array(rows, np.int64).reshape(len(each_night), len(names))


def _shares(family: str, subject: str, counts: Ints) -> Block:
    """Return the shares of a histogram; a night without a row, or with -1, has none."""
    total = counts.sum(axis=1, keepdims=True).astype(np.float64)
    share = np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total >= 1)
    noise = np.broadcast_to(0.25 / np.maximum(total, 1.0), counts.shape)
    return Block(
        family=family,
        subject=subject,
        figure=np.arcsin(np.sqrt(share)),
        noise=noise,
    )


def _volume(family: str, subject: str, rows: Floats, usual: Floats) -> Block:
    """Return the logarithm of a count; `usual` is the count that decides what chance may do."""
    return Block(
        family=family,
        subject=subject,
        figure=np.log1p(rows)[:, None],
        noise=1.0 / (1.0 + np.nan_to_num(usual))[:, None],
    )


def figures_of_tables(record: NightsRecord, *, since: str = "") -> Figures:
    """Return volumes, lateness, quarantine, missing values, sizes and categories of the tables.

    They belong to the bank, not to a model: of each day one run is read, a published one
    if there is any.
    """
    nights = record.nights(since=since)
    known = np.array([bool(detail.get("tables")) for detail in nights["detail"]], np.bool_)
    nights = nights[known]
    # in two steps: pandas fills a frame without rows from a longer column
    nights = nights.assign(last=nights["status"] != PUBLISHED)
    nights = nights.sort_values(["day", "last"], kind="stable").drop_duplicates("day")
    nights = nights.reset_index(drop=True)
    days = pd.DatetimeIndex(pd.to_datetime(nights["day"]))
    each = [detail["tables"] for detail in nights["detail"]]
    blocks: list[Block] = []
    follows = np.diff(days.to_numpy(), prepend=np.datetime64("NaT")) == np.timedelta64(1, "D")
    for table in sorted({name for tables in each for name in tables}):
        of_night = [tables.get(table, {}) for tables in each]
        blocks += _Table(table, of_night, follows).blocks()
    blocks.sort(key=lambda block: block.family)
    skip = ~nights["status"].isin((PUBLISHED, SERVED)).to_numpy()
    return Figures(days=days, blocks=tuple(blocks), skip=skip)


class _Table:
    """The figures of one table."""

    def __init__(self, name: str, nights: Sequence[Mapping[str, Any]], follows: Mask) -> None:
        self._name, self._nights, self._follows = name, nights, follows
        self._arrived = np.array([(night.get("arrivals") or [np.nan])[0] for night in nights])
        self._described = self._number("described")

    def blocks(self) -> Iterator[Block]:
        """Yield every block of the table."""
        usual = [np.mean(night.get("arrivals") or [np.nan]) for night in self._nights]
        yield _volume(VOLUMES, self._name, self._arrived, np.array(usual))
        if self._name in {CUSTOMERS, ACCOUNTS}:
            rows = self._number("rows")
            known = np.where(rows > 0, rows, np.nan)
            noise = np.full((rows.size, 1), _POPULATION**2)
            subject = f"{self._name}.rows"
            yield Block(family=VOLUMES, subject=subject, figure=np.log(known)[:, None], noise=noise)
        yield self._new_share(LATENESS, "late", "accepted")
        yield self._share(QUARANTINE, "quarantined", "read")
        for family, key in ((MISSING, "missing"), (MAGNITUDE, "magnitude")):
            names = sorted({name for night in self._nights for name in night.get(key, {})})
            for name in names:
                own = [night.get(key, {}).get(name, np.nan) for night in self._nights]
                yield self._day(family, f"{self._name}.{name}", np.array(own)[:, None])
        for column in sorted({name for night in self._nights for name in night.get("shares", {})}):
            shares = [night.get("shares", {}).get(column) for night in self._nights]
            values = sorted(
                {
                    value
                    for each, described in zip(shares, self._described, strict=True)
                    for value, share in (each or {}).items()
                    if share * described >= _LEAST
                }
            )
            if values:
                table = [[np.nan if e is None else e.get(v, 0.0) for v in values] for e in shares]
                subject = f"{self._name}.{column}"
                yield self._day(CATEGORIES, subject, np.array(table))

    def _number(self, key: str) -> Floats:
        return np.array([night.get(key, np.nan) for night in self._nights], np.float64)

    def _share(self, family: str, part: str, whole: str) -> Block:
        some, every = self._number(part), self._number(whole)
        counts = np.nan_to_num(np.column_stack([some, every - some]), nan=-1.0).astype(np.int64)
        return _shares(family, self._name, counts)

    def _new_share(self, family: str, part: str, whole: str) -> Block:
        """Return the share among the rows that are new since the night before."""
        some, every = self._number(part), self._number(whole)
        new, late = np.diff(every, prepend=np.nan), np.diff(some, prepend=np.nan)
        sound = self._follows & (new >= _LEAST) & (late >= 0) & (late <= new)
        counts = np.column_stack([np.where(sound, late, -1), np.where(sound, new - late, 0)])
        return _shares(family, self._name, counts.astype(np.int64))

    def _day(self, family: str, subject: str, figure: Floats) -> Block:
        """Return what the last day alone adds to a figure of all rows that are described."""
        sound = self._follows & (self._arrived >= _LEAST)
        rows = np.where(sound, self._arrived, np.nan)[:, None]
        before = np.vstack([np.full((1, figure.shape[1]), np.nan), figure[:-1]])
        values = (figure - before) * (self._described[:, None] / rows)
        chance = _SPREAD if family == MAGNITUDE else before * (1.0 - before)
        noise = np.nan_to_num(2.0 * chance / rows + 1.0 / rows**2, nan=1.0)
        return Block(
            family=family,
            subject=subject,
            figure=values,
            noise=np.broadcast_to(noise, values.shape),
        )


def day_shares(
    table: Mapping[str, Any], before: Mapping[str, Any], column: str
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the shares of a column's values among the rows of the last day, and those before.

    Both empty where a night lacks them.
    """
    now, earlier = table.get("shares", {}).get(column), before.get("shares", {}).get(column)
    arrived = (table.get("arrivals") or [0])[0]
    if now is None or earlier is None or not arrived:
        return {}, {}
    times = table["described"] / arrived
    values = now.keys() | earlier.keys()
    day = {
        value: (now.get(value, 0.0) - earlier.get(value, 0.0)) * times + earlier.get(value, 0.0)
        for value in values
    }
    return day, dict(earlier)
