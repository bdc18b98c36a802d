"""run_compare: a challenger against a champion on rows that are new to both."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.config import check_section
from kyc_ml.contract import ContractedTables, digest_together, known_until, read_tables
from kyc_ml.display import (
    ProgressReporter,
    plot_reliabilities,
    plot_tier_moves,
    say_count,
    say_number,
)
from kyc_ml.features import DECISION_TIME, OBSERVATION_ID
from kyc_ml.registry import (
    Bundle,
    RunRecord,
    load_model,
    log_comparison,
    reach_store,
    require_comparable,
    require_currency,
    require_different,
)
from kyc_ml.storage import require_place, written_whole
from kyc_ml.validation.comparison.comparing import CHALLENGER, CHAMPION, Comparison, compare_models
from kyc_ml.validation.comparison.settings import ComparisonSettings
from kyc_ml.validation.later_rows import first_later, rows_new_to_both

FIGURES: Final = "comparison.json"
MOVED: Final = "moved.parquet"
_TABLES: Final = ("metrics", "calibration", "reliability", "tiers", "causes", "alerts")
"""Tables of figures; `moved` holds single customers and stays out of MLflow and JSON."""

_MOVE: Final = (
    OBSERVATION_ID,
    "champion_tier",
    "challenger_tier",
    "champion_probability",
    "challenger_probability",
    "outcome",
    "reason_1_text",
)
_SHOWN: Final = 8
"""Rows of long tables that a terminal shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonResult:
    """A comparison, and what it was of.

    Attributes
    ----------
    challenger, champion : str
        Name and version of each model.
    digests : dict of 'challenger' and 'champion' to bundle digest
    since, until : Timestamp
        The judged rows were decided in ``[since, until)``; later ones are too young.
    as_of : Timestamp
        What was known then was used.
    folder : Path or None
        Where `comparison.json` and `moved.parquet` are.
    """

    comparison: Comparison
    settings: ComparisonSettings
    challenger: str
    champion: str
    digests: dict[str, str]
    since: pd.Timestamp
    until: pd.Timestamp
    as_of: pd.Timestamp
    folder: Path | None
    seconds: dict[str, float]
    mlflow_run: str = ""

    def facts(self) -> dict[str, object]:
        """Give the facts of the one summary that ends the job."""
        found = self.comparison
        ways = found.moved["direction"].value_counts()
        facts: dict[str, object] = {
            "verdict": found.sentence,
            "challenger": self.challenger,
            "champion": self.champion,
            "judged": f"{say_count(found.judged, 'row')}, "
            f"{say_count(found.positives, 'positive')}, {say_count(found.customers, 'customer')}, "
            f"decided {_day(self.since)} to {_day(self.until)}; {found.kind} rows",
            "changed tiers": f"{len(found.moved):,} of {say_count(found.rows, 'row')} until "
            f"{_day(self.as_of)}: {ways.get('up', 0):,} up, {ways.get('down', 0):,} down",
            **{stage: f"{spent:.1f} s" for stage, spent in self.seconds.items()},
            "MLflow run": self.mlflow_run,
        }
        if self.folder is not None:
            facts["written to"] = self.folder
        return facts


def run_compare(
    *,
    challenger: str,
    champion: str,
    source: Path,
    data: Path,
    since: pd.Timestamp | None,
    as_of: pd.Timestamp | None,
    objective: str | None,
    capacities: Sequence[float] | None,
    review_cost: float | None,
    loss: float | None,
    out: Path | None,
    quarantine: Path | None,
    reporter: ProgressReporter,
) -> ComparisonResult:
    """Hold a challenger against a champion on rows that neither learnt from.

    Parameters
    ----------
    challenger, champion : str
        Registry addresses or bundles' folders.
    since : Timestamp or None
        First decision; None is the later of both training dates. Two models cross-validated
        by customer are then compared out of fold while no later rows are mature.
    as_of : Timestamp or None
        What was known then is used; None is the end of the data: see `end_of_data`.
    objective, capacities, review_cost, loss
        What is judged and what it costs; None is what the champion's section ``tuning`` says.
    out : Path or None
        Folder for every figure as JSON, and the rows that change their tier as Parquet.

    Raises
    ------
    ConfigError
        If the models are one, or they or the source are not of the same kind.
    LeakageError
        If a model may have learnt from rows that `since` lets in.
    DatasetError
        If no row is old enough, all are of one class, or a feature cannot be computed.
    """
    if out is not None:
        require_place(out / FIGURES)
    (new, new_label), (old, old_label) = load_model(challenger), load_model(champion)
    require_different(new, old)
    require_comparable(new, old)
    settings = _settings(
        old, objective=objective, capacities=capacities, review_cost=review_cost, miss_cost=loss
    )
    first_later(new, old, since=since)  # refused before anything is read
    reach_store(challenger, champion, writes_to=new.config.name)
    began = time.time()
    clock = [time.perf_counter()]
    tables, _ = read_tables(source, data, quarantine=quarantine, reporter=reporter)
    clock.append(time.perf_counter())
    require_currency(old, tables)
    moment = known_until(tables, as_of)
    rows, start = rows_new_to_both(new, old, tables, since=since, as_of=moment, reporter=reporter)
    clock.append(time.perf_counter())
    comparison = compare_models(new, old, rows, settings=settings, tell=reporter.progress)
    clock.append(time.perf_counter())
    stages = ("reading", "features", "comparing")
    spent = [end - begin for begin, end in itertools.pairwise(clock)]
    result = ComparisonResult(
        comparison=comparison,
        settings=settings,
        challenger=new_label,
        champion=old_label,
        digests={CHALLENGER: new.digest, CHAMPION: old.digest},
        since=start,
        until=rows.end,
        as_of=moment,
        folder=out,
        seconds=dict(zip(stages, spent, strict=True)),
    )
    if out is not None:
        _write(result, out)
    _tell(comparison, reporter)
    record = replace(_record(result, tables, new), began=began)
    return replace(result, mlflow_run=log_comparison(new.config.name, record))


def _settings(
    champion: Bundle,
    *,
    objective: str | None,
    capacities: Sequence[float] | None,
    review_cost: float | None,
    miss_cost: float | None,
) -> ComparisonSettings:
    """Take what the options say, and for the rest what the champion was tuned for."""
    usual = champion.config.tuning
    content = {
        "objective": objective or usual.objective,
        "capacities": tuple(dict.fromkeys(capacities or (usual.capacity_per_day,))),
        "review_cost": usual.review_cost if review_cost is None else review_cost,
        "miss_cost": usual.miss_cost if miss_cost is None else miss_cost,
    }
    return check_section(content, ComparisonSettings, subject="the options of kyc-ml compare")


def _tell(comparison: Comparison, reporter: ProgressReporter) -> None:
    reporter.show(
        f"on the same {comparison.kind} rows (95 % intervals)", _rounded(comparison.metrics)
    )
    beside = comparison.calibration.set_index("model").T.rename_axis("figure").reset_index()
    reporter.show("calibration", _rounded(beside))
    reporter.show(
        "rows by tier: champion down, challenger across (observed rate of judged rows)",
        _matrix(comparison.tiers),
    )
    reporter.show("largest moves", _rounded(comparison.moved[list(_MOVE)].head(_SHOWN)))
    reporter.show("what moves tiers most", comparison.causes.head(_SHOWN))
    reporter.show("alerts", _rounded(comparison.alerts))
    if comparison.skipped:
        reporter.info(
            f"{comparison.skipped:,} bootstrap samples held one class only and have no figures"
        )


def _rounded(table: pd.DataFrame) -> pd.DataFrame:
    """Write numbers with four digits that count: differences may be small ones."""

    def digits(value: float) -> str:
        return say_number(value, ",.0f" if abs(value) >= 1000 else ".4g")

    numbers = table.select_dtypes("number").columns
    return table.assign(**{name: [digits(value) for value in table[name]] for name in numbers})


def _matrix(tiers: pd.DataFrame) -> pd.DataFrame:
    """Lay the tier table out with a row for each tier of the champion."""
    told = [
        f"{rows:,}" + ("" if np.isnan(rate) else f" ({rate:.2%})")
        for rows, rate in zip(tiers["rows"], tiers["observed_rate"], strict=True)
    ]
    names = list(dict.fromkeys(tiers["champion_tier"]))
    wide = tiers.assign(told=told).pivot(  # noqa: PD010  one value a cell
        index="champion_tier", columns="challenger_tier", values="told"
    )
    return wide.loc[names, names].reset_index()


def _write(result: ComparisonResult, folder: Path) -> None:
    """Write every figure as JSON, and the rows that change their tier as Parquet."""
    found = result.comparison
    content: dict[str, Any] = {
        **{name: getattr(result, name) for name in (CHALLENGER, CHAMPION, "digests")},
        **{name: getattr(result, name).isoformat() for name in ("since", "until", "as_of")},
        **{
            name: getattr(found, name)
            for name in (
                "verdict", "sentence", "kind", "rows", "judged", "positives", "customers", "skipped"
            )
        },
        "settings": result.settings.model_dump(mode="json"),
        **{
            name: json.loads(getattr(found, name).to_json(orient="records", double_precision=15))
            for name in _TABLES
        },
    }  # fmt: skip
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with written_whole(folder / FIGURES) as handle:
        handle.write(text.encode())
    times = pa.array(found.moved[DECISION_TIME].dt.tz_convert(None)).cast(pa.timestamp("us", "UTC"))
    moved = pa.Table.from_pandas(found.moved.drop(columns=DECISION_TIME), preserve_index=False)
    moved = moved.add_column(2, DECISION_TIME, times)
    with written_whole(folder / MOVED) as handle:
        pq.write_table(moved, handle, compression="zstd")


def _record(result: ComparisonResult, tables: ContractedTables, challenger: Bundle) -> RunRecord:
    """Collect what MLflow is to keep: figures, but no single customer."""
    found = result.comparison
    kind = found.kind.replace("-", "_")
    figures = found.metrics.drop_duplicates("figure").to_dict("records")
    metrics = {
        f"{who}/{kind}/{line['figure']}": line[who]
        for who in (CHALLENGER, CHAMPION, "difference")
        for line in figures
    }
    metrics |= {
        f"difference/{kind}/{line['figure']}_{end}": line[end]
        for line in figures
        for end in ("low", "high")
    }
    metrics |= {
        f"{line['model']}/{kind}/{name}": line[name]
        for line in found.calibration.to_dict("records")
        for name in ("observed_over_expected", "calibration_error", "intercept", "slope")
    }
    metrics |= {
        f"rows/{kind}": float(found.rows),
        "rows/judged": float(found.judged),
        "rows/positives": float(found.positives),
        "rows/customers": float(found.customers),
        "rows/moved": float(len(found.moved)),
    }
    return RunRecord(
        parameters={
            CHALLENGER: result.challenger,
            CHAMPION: result.champion,
            "since": result.since.isoformat(),
            "until": result.until.isoformat(),
            **result.settings.model_dump(mode="json"),
        },
        metrics=metrics,
        tags={
            "job": "compare",
            "unit": challenger.config.unit,
            "as_of": result.as_of.isoformat(),
            "code_version": version("kyc-ml"),
            "verdict": found.verdict,
            "sentence": found.sentence,
            **{f"{who}_digest": digest for who, digest in result.digests.items()},
            "data_digest": digest_together(tables.digests),
        },
        tables={name: getattr(found, name) for name in _TABLES},
        figures={
            "reliability": plot_reliabilities(found.reliability),
            "tier_moves": plot_tier_moves(found.tiers),
        },
    )


def _day(moment: pd.Timestamp) -> str:
    return f"{moment:%Y-%m-%d}"
