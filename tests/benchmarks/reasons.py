"""Are the reasons right, and do they stay the same when the model is fitted again?

    python tests/benchmarks/reasons.py sentences FOLDER [ROWS]
    python tests/benchmarks/reasons.py agreement FOLDER [REFITS] [--seed SEED] [--smallest 0]
    python tests/benchmarks/reasons.py agreement BANK [REFITS] --day 20250624
    python tests/benchmarks/reasons.py figures FOLDER
    python tests/benchmarks/reasons.py figures BANK --day 20250624

FOLDER holds the Fraud Detection Handbook's transactions.parquet: they train with
configs/handbook.yaml as of 2018-08-22. BANK is the synthetic bank of `kyc-ml demo`: it trains with
configs/fraud.yaml as of the day that is named.

`sentences` scores ROWS transactions of the test week, drawn at random, and holds every reason
sentence whose feature is listed in `BY_HAND` against that feature counted again from the raw
file by pandas alone: the number and its unit in English and in Chinese, and the direction
against LightGBM's own contributions, summed by group, less the bundle's reference. It
prints how many sentences there were, how many could
be checked, how many were right, and the first that was not.

`agreement` fits the model again on REFITS bootstrap samples of customers and prints how far the
three reasons of a row agree between two of them (Jaccard: shared over all), the mean over 2,000
rows of the test period, over those of the highest 1% of margins, and over all pairs. SEED draws
the samples. `--smallest 0` counts reasons of any size, also below a twentieth of the largest.

`figures` prints, for all rows of the test period and for the 200 of the highest margins, once by
the largest contributions as before there was a contrast, and once as published: the share of rows
with the commonest first reason, of reasons whose value is usual among comparable rows, of rows
where nothing stands out, and how much of the margin above the base value, or of the difference
from comparable rows, the reasons cover (median).
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from functools import partial
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.config import SourceMapping, StabilityConfig, load_section
from kyc_ml.contract.source import read_source
from kyc_ml.dataset import make_observations
from kyc_ml.decision import FoundReasons, find_reasons, find_unusual, load_run, rank_reasons
from kyc_ml.decision.explain import contrast
from kyc_ml.decision.explain.contrast import sum_by_reason
from kyc_ml.features import build_features
from kyc_ml.registry import score_features
from kyc_ml.training.api import train

CONFIGS = Path(__file__).parents[2] / "configs"
TRAINED = pd.Timestamp("2018-08-22", tz="UTC")
WEEK = pd.Timestamp("2018-08-08", tz="UTC"), pd.Timestamp("2018-08-15", tz="UTC")
HOUR = 3_600.0
DAY = 24 * HOUR
KNOWN_AFTER = 7 * DAY


class History:
    """The raw file in seconds, and the rows of each customer and terminal in order of time."""

    def __init__(self, path: Path) -> None:
        raw = pd.read_parquet(path).sort_values("TX_DATETIME", kind="stable", ignore_index=True)
        self.time = raw["TX_DATETIME"].to_numpy().astype("datetime64[s]").astype(np.float64)
        self.amount = raw["TX_AMOUNT"].to_numpy(np.float64)
        self.fraud = raw["TX_FRAUD"].to_numpy(bool)
        self.customer = raw["CUSTOMER_ID"].to_numpy()
        self.terminal = raw["TERMINAL_ID"].to_numpy()
        self.row_of = dict(zip(raw["TRANSACTION_ID"].astype(str), raw.index, strict=True))
        self.of = {
            "customer": raw.groupby("CUSTOMER_ID").indices,
            "counterparty": raw.groupby("TERMINAL_ID").indices,
        }

    def rows(self, row: int, key: str, days: float = np.inf, *, lag: float = 0.0):
        """Rows of a transaction's customer or terminal that came before it, in a window."""
        who = (self.customer if key == "customer" else self.terminal)[row]
        own = self.of[key][who]
        end = self.time[row] - lag * DAY
        time = self.time[own]
        return own[(time < end) & (time >= end - days * DAY)]

    def known(self, row: int, rows):
        """Frauds among rows that were known when the transaction happened."""
        return rows[self.fraud[rows] & (self.time[rows] + KNOWN_AFTER <= self.time[row])]


def _amounts(statistic, history, row, key, days):
    values = history.amount[history.rows(row, key, float(days))]
    if statistic == "std":
        return np.std(values, ddof=1) if values.size > 1 else np.nan
    return getattr(np, statistic)(values) if values.size else np.nan


def _to_usual(history, row, statistic, days):
    usual = _amounts(statistic, history, row, "customer", days)
    return history.amount[row] / usual if usual else np.nan


def _z(history, row, key, days):
    spread = _amounts("std", history, row, key, days)
    mean = _amounts("mean", history, row, key, days)
    return (history.amount[row] - mean) / spread if spread else np.nan


def _rank(history, row, key, days):
    values, own = history.amount[history.rows(row, key, float(days))], history.amount[row]
    return ((values < own).mean() + (values <= own).mean()) / 2 if values.size else np.nan


def _new_customers(history, row, days):
    rows = history.rows(row, "counterparty")
    first = pd.Series(history.time[rows]).groupby(history.customer[rows]).min()
    return float((first >= history.time[row] - float(days) * DAY).sum())


def _adverse_share(history, row, key, days):
    rows = history.rows(row, key, float(days), lag=7)
    low, high = np.searchsorted(history.time, history.time[row] - np.array([37, 7]) * DAY)
    prior = history.fraud[low:high].mean()
    return (history.known(row, rows).size + 5 * prior) / (rows.size + 5)


def _since_adverse(history, row, key):
    known = history.known(row, history.rows(row, key))
    return (history.time[row] - history.time[known[-1]]) / HOUR if known.size else np.nan


def _since_first(history, row):
    rows = history.rows(row, "counterparty")
    rows = rows[history.customer[rows] == history.customer[row]]
    return (history.time[row] - history.time[rows[0]]) / HOUR if rows.size else np.nan


def _night_share(history, row, days):
    time = history.time[history.rows(row, "customer", float(days))]
    return (time % DAY < 6 * HOUR).mean() if time.size else np.nan


def _gaps(history, row, days):
    """Hours before each of the customer's transactions of a window that is not the first."""
    every = history.time[history.rows(row, "customer")]
    within = every[1:] >= history.time[row] - float(days) * DAY
    return np.diff(every)[within] / HOUR


def _fading(history, row, key, days):
    age = history.time[row] - history.time[history.rows(row, key)]
    return np.exp2(-age / (float(days) * DAY)).sum()


def _largest(values):
    return values.max() if values.size else np.nan


BY_HAND = {
    r"amount": lambda h, row: h.amount[row],
    r"amount_to_customer_(median|mean|max)_(\d+)d": _to_usual,
    r"amount_z_(customer|counterparty)_(\d+)d": _z,
    r"amount_rank_(customer|counterparty)_(\d+)d": _rank,
    **{
        rf"(customer|counterparty)_amount_{statistic}_(\d+)d": partial(_amounts, statistic)
        for statistic in ("mean", "median", "std", "max", "min", "sum")
    },
    r"(customer|counterparty)_count_(\d+)d": lambda h, row, key, days: float(
        h.rows(row, key, float(days)).size
    ),
    r"(customer|counterparty)_count_half_life_(\d+)d": _fading,
    r"counterparty_customers_(\d+)d": lambda h, row, days: float(
        np.unique(h.customer[h.rows(row, "counterparty", float(days))]).size
    ),
    r"counterparty_new_customers_(\d+)d": _new_customers,
    r"(customer|counterparty)_adverse_share_(\d+)d_lag7d": _adverse_share,
    r"(customer|counterparty)_adverse_(\d+)d_lag7d": lambda h, row, key, days: float(
        h.known(row, h.rows(row, key, float(days), lag=7)).size
    ),
    r"(customer|counterparty)_adverse_known_(\d+)d": lambda h, row, key, days: float(
        h.known(row, h.rows(row, key, float(days))).size
    ),
    r"(customer|counterparty)_adverse_known_ever": lambda h, row, key: float(
        h.known(row, h.rows(row, key)).size
    ),
    r"(customer|counterparty)_hours_since_adverse": _since_adverse,
    r"pair_counterparty_hours_since_first": _since_first,
    r"customer_night_share_(\d+)d": _night_share,
    r"customer_gap_min_hours_(\d+)d": lambda h, row, days: -_largest(-_gaps(h, row, days)),
    r"customer_silence_max_days_(\d+)d": lambda h, row, days: _largest(_gaps(h, row, days)) / 24,
}
"""Feature names, their parts handed on, and how each is counted from the raw file."""

UNITS = {
    "base currency": (" EUR", " EUR"),
    "times": (" times", "倍"),
    "standard deviations": (" standard deviations", "个标准差"),
    "share": ("%", "%"),
    "days": (" days", "天"),
    "customers": ("", "个"),
    "transactions": ("", "笔"),
    "outcomes": ("", "次"),
}


def count_by_hand(history: History, row: int, feature: str) -> float | None:
    """Count one feature of one transaction; None if nobody has written down how."""
    for pattern, compute in BY_HAND.items():
        parts = re.fullmatch(pattern, feature)
        if parts:
            return float(compute(history, row, *parts.groups()))
    return None


def says(text: str, value: float, unit: str, *, chinese: bool) -> bool:
    """Tell whether words give a value with its unit, as exactly as they are written."""
    if np.isnan(value):
        return text == ("未知" if chinese else "not known")
    factor, suffix = 1.0, UNITS.get(unit, ("", ""))[chinese]
    if unit == "hours":
        names = (" minutes", " hours", " days") if not chinese else ("分钟", "小时", "天")
        size = int(not 0 < abs(value) < 1) + int(abs(value) >= 72)
        factor, suffix = (60.0, 1.0, 1 / 24)[size], names[size]
    if unit == "share":
        factor = 100.0
    number = text.removesuffix(suffix).replace(",", "")
    if not text.endswith(suffix) or not re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", number):
        return False
    digits, _, power = number.partition("e")
    place = 10.0 ** (int(power or 0) - len(digits.partition(".")[2]))
    return abs(float(number) - value * factor) <= place * 0.5 * (1 + 1e-6) + 1e-9


def check_sentences(folder: Path, rows: int) -> None:
    """Print the share of checked sentences, and of right ones among them."""
    tables, bundle, _ = _trained(folder)
    history = History(folder / "transactions.parquet")
    week = make_observations(
        tables, unit="fraud", start=WEEK[0], end=WEEK[1], config=bundle.config.dataset
    )
    drawn = np.random.default_rng(0).choice(len(week), rows, replace=False)
    built = build_features(tables, week.take(pa.array(np.sort(drawn))), specs=bundle.specs)
    features = built.reorder(bundle.model.feature_names)
    scores = score_features(bundle, features).to_pandas()
    matrix, _ = features.encode(bundle.vocabularies)
    pushed = lightgbm.Booster(model_str=bundle.model.text).predict(matrix, pred_contrib=True)
    specs = {spec.name: spec for spec in features.specs}
    codes, sums = sum_by_reason(features.specs, pushed[:, :-1])
    usuals = [[usual.by_reason[code] for code in codes] for usual in bundle.reference.usuals]
    apart = sums - np.array(usuals)[bundle.reference.group_of(features)]
    found, wrong = Counter(), []
    for place in range(1, bundle.config.explain.reasons + 1):
        columns = [f"reason_{place}_{name}" for name in ("code", "feature", "text", "text_zh")]
        told = scores[["observation_id", *columns]].itertuples(index=False, name=None)
        for number, (name, code, feature, english, chinese) in enumerate(told):
            if not isinstance(feature, str):  # fewer reasons, or nothing stands out
                continue
            spec = specs[feature]
            value = count_by_hand(history, history.row_of[name], spec.name)
            if value is None:
                found["no such feature by hand"] += 1
                continue
            way = apart[number, codes.index(code)]
            right = _is_right(spec, english, chinese, value, way)
            found["right" if right else "wrong"] += 1
            found[spec.name] += right
            if not right:
                wrong.append((spec.name, value, float(way), english, chinese))
    checked = found["right"] + found["wrong"]
    print(
        f"{checked + found['no such feature by hand']:,} sentences, {checked:,} checked, "
        f"{found['right']:,} right ({found['right'] / checked:.2%}), of "
        f"{len(found) - len({'right', 'wrong', 'no such feature by hand'} & {*found})} features"
    )
    for each in wrong[:5]:
        print("wrong:", *each, sep=" | ")


def _is_right(spec, english: str, chinese: str, value: float, way: float) -> bool:
    effects = (("raises the risk", "lowers the risk"), ("使风险升高", "使风险降低"))
    read = (
        re.fullmatch(rf"{re.escape(spec.description)}: (.+?) \(.*\); (.+)", english),
        re.fullmatch(rf"{re.escape(spec.description_zh)}：(.+?)（.*）；(.+)", chinese),
    )
    return all(
        said is not None
        and says(said[1], value, spec.unit, chinese=bool(language))
        and said[2] == effects[language][int(way < 0)]
        for language, said in enumerate(read)
    )


def measure_agreement(
    folder: Path, refits: int, *, seed: int, smallest: float, day: int | None
) -> None:
    """Print how far the reasons of refits on samples of customers agree."""
    contrast.SMALLEST = smallest
    config = StabilityConfig(bootstrap_refits=refits, seed=seed)
    (stability,) = _trained(folder, **_run_of(day), stability=config)[2].stability
    print(stability.overlaps.to_string(index=False))
    print(stability.runs[["run", "customers", "trees", "average_precision"]].to_string(index=False))


def print_figures(folder: Path, day: int | None) -> None:
    """Print what the reasons of the test period tell, before and after there was a contrast."""
    _, bundle, result = _trained(folder, **_run_of(day))
    features = result.evidence.features.reorder(bundle.model.feature_names)
    matrix, _ = features.encode(bundle.vocabularies)
    found = bundle.model.contributions(matrix)
    contributions = found.values  # noqa: PD011
    head = np.argsort(-result.evidence.margin, kind="stable")[:200]
    for part, rows in (("all", np.arange(len(features))), ("200 highest", head)):
        table, own = features.take(rows), contributions[rows]
        unusual = find_unusual(table, bundle.reference, bundle.reference.group_of(table))
        ranked = rank_reasons(own, k=3)
        before = FoundReasons(
            codes=features.names,
            groups=ranked,
            members=ranked,
            differences=own,
            references=np.zeros(len(rows)),
        )
        after = find_reasons(table, own, reference=bundle.reference, k=3)
        for name, each in (("contributions", before), ("by contrast", after)):
            given = each.members >= 0
            usual = ~np.take_along_axis(unusual, each.members, axis=1)[given]
            shown = np.where(given, np.take_along_axis(each.differences, each.groups, axis=1), 0.0)
            first = Counter(each.groups[:, 0].tolist())
            first_code, most = first.most_common(1)[0]
            share = shown.sum(axis=1) / each.differences.sum(axis=1)
            print(
                f"{part}, {name}: commonest first {most / len(rows):.3f} "
                f"({each.codes[first_code] if first_code >= 0 else 'nothing'}), usual "
                f"{usual.mean():.3f}, nothing stands out {1 - given[:, 0].mean():.3f}, covered "
                f"{np.median(share):.2f}"
            )


def _run_of(day):
    if day is None:
        return {}
    return {"run": "fraud", "source": "synthetic", "as_of": pd.Timestamp(str(day), tz="UTC")}


def _trained(folder: Path, run="handbook", source="handbook", as_of=TRAINED, **sections):
    files = load_run(CONFIGS / f"{run}.yaml")
    mapping = load_section(CONFIGS / "sources" / f"{source}.yaml", SourceMapping)
    tables = read_source(mapping, data=folder).accepted
    result = train(
        tables,
        config=files.run.model_copy(update=sections),
        policy=files.policy,
        as_of=as_of,
        data={"as_of": as_of.isoformat(), "base_currency": tables.base_currency},
    )
    return tables, result.bundle, result


def main() -> None:
    """Run the part that is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=("sentences", "agreement", "figures"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("count", type=int, nargs="?", help="rows or refits")
    parser.add_argument("--seed", type=int, default=StabilityConfig().seed)
    parser.add_argument("--smallest", type=float, default=contrast.SMALLEST)
    parser.add_argument("--day", type=int, help="of a synthetic bank: trained as of this day")
    given = parser.parse_args()
    if given.part == "sentences":
        check_sentences(given.folder, given.count or 2_000)
    elif given.part == "agreement":
        measure_agreement(
            given.folder,
            given.count or 5,
            seed=given.seed,
            smallest=given.smallest,
            day=given.day,
        )
    else:
        print_figures(given.folder, given.day)


if __name__ == "__main__":
    main()
