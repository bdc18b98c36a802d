"""What a server counts of itself, in the text format of Prometheus."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, defaultdict
from typing import Final

from kyc_ml.storage import Sample, write_metrics

_SECONDS: Final = (
    *(0.0005, 0.001, 0.002, 0.004, 0.008, 0.012, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
"""Upper bounds of the histogram of latencies (convention: each about twice the last)."""


class Figures:
    """Counts and latencies of one process; its methods may be called from any thread."""

    def __init__(self) -> None:
        self.waiting = 0
        self.logged = 0
        self.model: dict[str, str] = {}
        self.rows: dict[str, int] = {}
        self.reloads: Counter[str] = Counter()
        self._requests: Counter[str] = Counter()
        self._buckets: dict[str, list[int]] = defaultdict(lambda: [0] * (len(_SECONDS) + 1))
        self._total: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    def observe(self, stage: str, seconds: float) -> None:
        """Count the seconds of one stage of a request."""
        with self._lock:
            self._buckets[stage][bisect_left(_SECONDS, seconds)] += 1
            self._total[stage] += seconds

    def answered(self, status: int) -> None:
        """Count one answer."""
        with self._lock:
            self._requests[str(status)] += 1

    def write(self) -> str:
        """Return all figures."""
        with self._lock:
            gauges: list[tuple[str, str, list[Sample]]] = [
                ("kyc_ml_serve_waiting", "Transactions that wait.", [({}, self.waiting)]),
                ("kyc_ml_serve_model", "The model that scores.", [(self.model, 1)]),
                (
                    "kyc_ml_serve_store_rows",
                    "Rows in the tables of the store, without those that are only in the log.",
                    [({"table": name}, rows) for name, rows in self.rows.items()],
                ),
            ]
            counters: list[tuple[str, str, list[Sample]]] = [
                (
                    "kyc_ml_serve_requests_total",
                    "Answers by status.",
                    [({"status": status}, count) for status, count in self._requests.items()],
                ),
                ("kyc_ml_serve_logged_total", "Transactions logged.", [({}, self.logged)]),
                (
                    "kyc_ml_serve_reloads_total",
                    "Loads of another model, by result.",
                    [({"result": result}, count) for result, count in self.reloads.items()],
                ),
            ]
            seconds: list[Sample] = []
            for stage, counts in self._buckets.items():
                seen = 0
                for bound, count in zip((*map(str, _SECONDS), "+Inf"), counts, strict=True):
                    seen += count
                    seconds.append(({"suffix": "_bucket", "stage": stage, "le": bound}, seen))
                seconds.append(({"suffix": "_sum", "stage": stage}, self._total[stage]))
                seconds.append(({"suffix": "_count", "stage": stage}, seen))
            return (
                write_metrics(gauges)
                + write_metrics(counters, kind="counter")
                + write_metrics(
                    [("kyc_ml_serve_seconds", "Seconds by stage.", seconds)], kind="histogram"
                )
            )
