"""Nights of a bank that does not exist, as the record keeps them, with one planted fault.

The nights have weekdays, ends of month, growth and noise of their own beyond sampling. Tests and
the benchmark of monitoring read the same ones.
"""

import hashlib
from datetime import date, timedelta

import numpy as np

from kyc_ml.monitoring import Night

FAULTS = {
    "unit": "data.unit", "empty": "data.empty", "stale": "data.stale",
    "repeated": "data.repeated", "product": "data.new_category", "recoded": "data.recoded",
    "clock": "data.clock", "merged": "data.population", "labels": "labels.stopped",
    "wave": "score.wave",
}  # fmt: skip
"""The ten planted faults, and the code of the signal that is meant for each."""
WINDOW = 92
_HOURS = "hour of event_time"


def digest(value):
    """Name a value as a manifest does."""
    return hashlib.sha256(value.encode()).hexdigest()[:8]


class Bank:
    """A bank whose nights are drawn one after the other."""

    def __init__(self, seed, *, features=12, rows=4_000):
        self.rng = np.random.default_rng(seed)
        self.rows, self.features = rows, features
        self.base = self.rng.dirichlet(np.full(10, 3.0), features)
        self.score = np.array([0, 30, 20, 14, 10, 8, 6, 5, 4, 2, 1.0]) / 100
        self.hours = self.rng.dirichlet(np.full(24, 5.0))
        self.weekday = self.rng.normal(0, 0.05, (7, features, 10))
        self.days = []
        self.customers = 8_000.0

    def night(self, place, day, fault=None):
        """Draw a day and return its night."""
        rng, month_end = self.rng, (day + timedelta(days=2)).month != day.month
        level = np.log(self.rows) + place / 30 * np.log(1.03) + 0.2 * month_end
        level += [0, 0.05, 0.03, 0.02, 0.1, -0.4, -0.6][day.weekday()] + rng.normal(0, 0.06)
        grown = 1.25 if fault == "merged" else 1.0
        n = int(rng.poisson(np.exp(level) * grown))
        self.customers += rng.poisson(8 * 1.03 ** (place / 30))
        extra = n if fault == "repeated" else 0
        shares = {"transfer": 0.5, "card": 0.3, "cash": 0.2}
        if fault == "product":
            shares = {**{name: 0.96 * share for name, share in shares.items()}, "wallet": 0.04}
        if fault == "recoded":
            shares = {"transfer": 0.5, "CARD": 0.3, "cash": 0.2}
        hours = np.roll(self.hours, 8) if fault == "clock" else self.hours
        day_of = {
            "rows": n,
            "amount": 1.9 + rng.normal(0, 0.02) + (2.0 if fault == "unit" else 0.0),
            "channel": rng.binomial(n, 0.02) / max(n, 1) if fault != "empty" else 1.0,
            "instrument": self._drawn(n, shares),
            "hours": self._drawn(n, {str(hour): share for hour, share in enumerate(hours)}),
            "cases": 0 if fault == "labels" else int(rng.poisson(8)),
        }
        self.days.append(day_of)
        return self._record(day, day_of, fault, extra=extra, scored=n)

    def _drawn(self, n, shares):
        counts = self.rng.multinomial(n, np.array(list(shares.values())) / sum(shares.values()))
        return dict(zip(shares, counts.tolist(), strict=True))

    def _record(self, day, now, fault, *, extra, scored):
        window = self.days[-WINDOW:]
        described = sum(each["rows"] for each in window)

        def mean(name):
            return round(sum(d[name] * d["rows"] for d in window) / max(described, 1), 6)

        def mixture(name):
            values = {value for d in window for value in d[name]}
            sums = {v: sum(d[name].get(v, 0) for d in window) for v in sorted(values)}
            return {digest(v): round(s / max(described, 1), 6) for v, s in sums.items()}

        read = sum(each["rows"] for each in self.days) + extra
        transactions = {
            "read": read, "quarantined": extra, "accepted": read - extra, "late": 0,
            "reasons": {"transaction_id: duplicate key": extra} if extra else {},
            "rows": read - extra, "newest": day.isoformat(), "described": described,
            "arrivals": [each["rows"] for each in reversed(window[-7:])],
            "missing": {"channel": mean("channel"), "amount": 0.0},
            "magnitude": {"amount": mean("amount")},
            "shares": {"instrument": mixture("instrument"), _HOURS: mixture("hours")},
        }  # fmt: skip
        held = int(self.customers * (1.25 if fault == "merged" else 1.0))
        customers = {
            "read": held, "quarantined": 0, "accepted": held, "late": 0, "reasons": {},
            "rows": held, "arrivals": [8], "described": held, "missing": {}, "magnitude": {},
            "shares": {},
        }  # fmt: skip
        cases = {**customers, "arrivals": [each["cases"] for each in reversed(window[-7:])]}
        tables = {"transactions": transactions, "customers": customers, "cases": cases}
        profile = self._profile(day, scored, fault)
        top = profile["probability"][-3:]
        tiers = {"low": scored - sum(top), "medium": top[0] + top[1], "high": top[2]}
        late = fault == "stale"
        said = "tables that have not landed:\n  - stale: transactions: the newest of 9 rows"
        return Night(
            model="fraud", day=day.isoformat(), run="" if late else day.isoformat(),
            status="late" if late else "published", as_of=f"{day.isoformat()}T00:00:00+00:00",
            version="fraud v1", digest="d" * 64, policy="fraud v1", scored_by="model",
            rows_read=read, quarantined=extra, scored=0 if late else scored, customers=scored // 2,
            profile={} if late else profile,
            detail={"reason": said, "faults": []} if late else {"tiers": tiers, "tables": tables},
        )  # fmt: skip

    def _profile(self, day, n, fault):
        rng = self.rng
        moved = np.exp(self.weekday[day.weekday()] + rng.normal(0, 0.03, self.base.shape))
        shares = self.base * moved
        if fault in {"unit", "wave"}:
            # three features of amounts are beyond their last bin; a wave moves velocities
            shares[:3] = shares[:3] * (
                [0] * 9 + [1] if fault == "unit" else np.linspace(0.7, 1.6, 10)
            )
        shares /= shares.sum(axis=1, keepdims=True)
        counts = {
            f"feature_{place}": [0, *rng.multinomial(n, each).tolist(), 0]
            for place, each in enumerate(shares)
        }
        for place in (3, 4) if fault == "empty" else ():
            counts[f"feature_{place}"] = [n, *[0] * 11]
        score = self.score * np.exp(rng.normal(0, 0.03, self.score.size))
        if fault in {"wave", "unit"}:
            score = score * np.linspace(0.9, 1.8, score.size)
        return {**counts, "probability": rng.multinomial(n, score / score.sum()).tolist()}


def make_nights(days, *, fault=None, at=None, seed=0, start=date(2025, 1, 1), **sizes):
    """Return the nights of a bank; the fault begins on day `at` and stays."""
    bank = Bank(seed, **sizes)
    return [
        bank.night(place, start + timedelta(days=place),
                   fault if at is not None and place >= at else None)
        for place in range(days)
    ]  # fmt: skip
