"""What a server counts of itself, in the text format of Prometheus."""

import threading
from bisect import bisect_left
from collections import Counter, defaultdict
from typing import Final

from kyc_ml.storage import Sample, write_metrics

_SECONDS: Final = (0.001, 0.002, 0.004, 0.008, 0.012, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Figures:
    """Counts and latencies of one process; its methods may be called from any thread."""

    def __init__(self) -> None:
        self.waiting = 0
        self.rows: dict[str, int] = {}
        self.model: dict[str, str] = {}
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._buckets: dict[str, list[int]] = defaultdict(lambda: [0] * (len(_SECONDS) + 1))
        self._total: dict[str, float] = defaultdict(float)

    def observe(self, stage: str, seconds: float) -> None:
        """Count the seconds of one stage of a request."""
        with self._lock:
            self._buckets[stage][bisect_left(_SECONDS, seconds)] += 1
            self._total[stage] += seconds

    def count(self, what: str, label: str, value: str, *, by: int = 1) -> None:
        """Count what happened, by the value of a label."""
        with self._lock:
            self._counts[what, label, value] += by

    def write(self) -> str:
        """Return all figures."""
        with self._lock:
            rows: list[Sample] = [({"table": name}, n) for name, n in self.rows.items()]
            counters: dict[str, list[Sample]] = defaultdict(list)
            for (what, label, value), n in self._counts.items():
                counters[what].append(({label: value}, n))
            seconds: list[Sample] = []
            for stage, counts in self._buckets.items():
                own = {"stage": stage}
                for at, bound in enumerate((*map(str, _SECONDS), "+Inf"), 1):
                    seconds.append(({**own, "suffix": "_bucket", "le": bound}, sum(counts[:at])))
                seconds.append(({**own, "suffix": "_sum"}, self._total[stage]))
                seconds.append(({**own, "suffix": "_count"}, sum(counts)))
        told: list[tuple[str, str, str, list[Sample]]] = [
            ("waiting", "gauge", "Transactions that wait.", [({}, self.waiting)]),
            ("model", "gauge", "The model that scores.", [(self.model, 1)]),
            ("store_rows", "gauge", "Rows in the tables of the store.", rows),
            ("seconds", "histogram", "Seconds of a request by stage.", seconds),
        ]
        for what, samples in counters.items():
            told.append((f"{what}_total", "counter", f"Number of {what}.", samples))
        return "".join(
            write_metrics([(f"kyc_ml_serve_{name}", said, samples)], kind=kind)
            for name, kind, said, samples in told
        )
