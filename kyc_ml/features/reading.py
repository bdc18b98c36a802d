"""Windows and latest rows of many features together: grouped, swept on threads.

Features that read the same table, key and filter share one grouping of its rows, and
those of the same window share one timeline, so the cost grows with windows and
statistics, not with features. The result does not depend on the number of threads.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa

from kyc_ml.display import Progress
from kyc_ml.features.history import History, Keys, build_history
from kyc_ml.features.how import Where, name_of
from kyc_ml.features.kinds.rows_of_key import Latest, Window
from kyc_ml.features.sweeps import ColumnsRead, Sweep
from kyc_ml.features.timed_rows import TimedRows
from kyc_ml.features.values import read_column
from kyc_ml.metrics import Floats, Ints32

T = TypeVar("T")

_PART: Final = 1 << 16
"""Rows and observations of one task: their times and values fit into a core's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One window or latest row to read, into a column of the matrix or as text."""

    name: str
    how: Window | Latest
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Identity of a grouping: which rows of which table, by which key."""

    table: str
    key: tuple[str, ...]
    at: tuple[str, ...] | None
    where: Where | None
    having: str | None
    """Column that must hold a value: statistics of a value skip rows without one."""


def read_rows(
    tables: Mapping[str, TimedRows],
    observed: TimedRows,
    requests: Sequence[Request],
    *,
    out: Floats,
    threads: int,
    progress: Progress | None = None,
) -> dict[str, pa.Array]:
    """Answer requests for each observation, as it was known at its time.

    `tables`: mapping of table name to TimedRows.
    `observed`: observations, or the rows of a table that look back on others.
    `out`: float64 array of shape (n_observed, p), column-major, NaN; written.
    Returns mapping of request name to string array of shape (n_observed,); of the requests that
    read text.
    """
    groups = _grouped(requests, tables)
    keys = Keys(observed)
    texts: dict[str, pa.Array] = {}

    def group(rows: _Rows) -> History:
        return build_history(
            tables[rows.table],
            observed,
            key=rows.key,
            at=rows.at,
            where=rows.where,
            having=rows.having,
            keys=keys,
        )

    with _tasks(threads) as submit:
        following: Future[History] | None = submit(group, groups[0][0]) if groups else None
        for number, (_, windows) in enumerate(groups):
            assert following is not None  # noqa: S101  submitted in the step before
            history = following.result()
            # most groups ask for no latest row: their array has no length
            nearest = np.full(len(observed) if _latest(windows) else 0, -1, np.int32)
            sweep = partial(_sweep, windows=windows, observed=observed, out=out, nearest=nearest)
            # the next group is built while this one is swept
            swept = [submit(sweep, part) for part in history.parts(_PART)]
            if number + 1 < len(groups):
                following = submit(group, groups[number + 1][0])
            # `result` raises what a thread raised
            for each in swept:
                each.result()
            texts |= _read_latest(history, observed, _latest(windows), nearest, out)
            if progress is not None:
                progress(number + 1, len(groups))
    return texts


@contextmanager
def _tasks(threads: int) -> Iterator[Callable[..., Future[Any]]]:
    """Return a function that begins a task, on one of several threads."""
    if threads == 1:  # a pool of one takes longer to begin than few rows to read
        yield _do_now
        return
    with ThreadPoolExecutor(max_workers=threads) as pool:
        yield pool.submit


def _do_now(task: Callable[..., T], *read: Any) -> Future[T]:  # noqa: ANN401  of any task
    done: Future[T] = Future()
    done.set_result(task(*read))
    return done


_Windows = Mapping[tuple[int | None, int], Sequence[Request]]
"""Requests by window and lag, in microseconds; latest rows are of all history."""


def _grouped(
    requests: Sequence[Request], tables: Mapping[str, TimedRows]
) -> list[tuple[_Rows, _Windows]]:
    """Put requests that read the same rows together, the most work first."""
    groups: dict[_Rows, dict[tuple[int | None, int], list[Request]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for request in requests:
        how = request.how
        window = (how.period.us, how.lag_us) if isinstance(how, Window) else (None, 0)
        groups[_rows_of(how, tables)][window].append(request)
    return sorted(groups.items(), key=lambda item: -sum(map(len, item[1].values())))


def _latest(windows: _Windows) -> list[Request]:
    return [each for asked in windows.values() for each in asked if isinstance(each.how, Latest)]


def _sweep(
    part: History, *, windows: _Windows, observed: TimedRows, out: Floats, nearest: Ints32
) -> None:
    """Sweep every window over some of the keys."""
    columns = ColumnsRead(part)
    for (window_us, lag_us), asked in windows.items():
        sweep = Sweep(part, window_us=window_us, lag_us=lag_us, columns=columns)
        wanted = [(each.how, each.column) for each in asked if isinstance(each.how, Window)]
        sweep.fill(wanted, out, observations=observed)
        if len(wanted) < len(asked):
            sweep.find_nearest(nearest)


def _read_latest(
    history: History,
    observed: TimedRows,
    requests: Sequence[Request],
    nearest: Ints32,
    out: Floats,
) -> dict[str, pa.Array]:
    """Read a column, or the age, of each observation's latest visible row."""
    texts: dict[str, pa.Array] = {}
    if not requests:
        return texts
    table = history.source
    rows = pa.array(nearest, mask=nearest < 0)
    for request in requests:
        how = request.how
        assert isinstance(how, Latest)  # noqa: S101  the caller's filter
        if how.reading == "value" and how.column is not None:
            levelled = history.level(table.number(name_of(how.column)))
            seen = nearest >= 0
            out[seen, request.column] = levelled[nearest[seen]]
            continue
        column = table.table[table.time if how.column is None else name_of(how.column)]
        values = column.combine_chunks().take(rows)
        if how.is_text():
            texts[request.name] = values.cast(pa.string())
        else:
            out[:, request.column] = read_column(
                values, how.reading, decision=observed.event_time, listing=how.listing
            )
    return texts


def _rows_of(how: Window | Latest, tables: Mapping[str, TimedRows]) -> _Rows:
    having = None
    if isinstance(how, Window) and how.value is not None and how.statistic != "distinct":
        having = name_of(how.value)
        if not tables[how.table].table[having].null_count:
            having = None  # every row has a value: the grouping of all rows serves
    key = tuple(name_of(column) for column in how.key)
    return _Rows(table=how.table, key=key, at=how.at, where=how.where, having=having)
