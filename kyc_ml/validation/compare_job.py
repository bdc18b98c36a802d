"""run_compare: compare a challenger with a champion on rows that are new to both."""

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

from kyc_ml import display, registry
from kyc_ml.config import Objective, check_section
from kyc_ml.contract import ContractedTables, digest_together, known_until
from kyc_ml.features import DECISION_TIME, OBSERVATION_ID
from kyc_ml.history import read_tables
from kyc_ml.storage import require_place, write_whole, written_whole
from kyc_ml.validation.comparison.comparing import CHALLENGER, CHAMPION, Comparison, compare_models
from kyc_ml.validation.comparison.later_rows import first_later, rows_new_to_both
from kyc_ml.validation.comparison.settings import ComparisonSettings

FIGURES: Final = "comparison.json"
MOVED: Final = "moved.parquet"
_TABLES: Final = ("metrics", "calibration", "reliability", "tiers", "causes", "alerts")
"""Tables of figures; `moved` has single customers and stays out of MLflow and JSON."""

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
class ComparisonRequest:
    """What a comparison is asked to do."""

    challenger: str
    champion: str
    """`challenger` and `champion`: registry addresses or folders of bundles."""
    source: Path
    data: Path
    """`source` and `data`: source mapping, and the folder of the files that it names."""
    since: pd.Timestamp | None = None
    """First decision; None is the later of both training dates. Two models cross-validated by
    customer are then compared out of fold while no later rows are mature."""
    as_of: pd.Timestamp | None = None
    """What was known then is used; None is the end of the data: see `end_of_data`."""
    objective: Objective | None = None
    capacities: Sequence[float] | None = None
    review_cost: float | None = None
    miss_cost: float | None = None
    """`objective`, `capacities`, `review_cost` and `miss_cost`: figure that decides, and costs;
    None is what the champion's section ``tuning`` has."""
    out: Path | None = None
    """Folder for every figure as JSON, and the rows that change their tier as Parquet."""
    quarantine: Path | None = None
    """Parquet file for rows that break the contract."""


def run_compare(asked: ComparisonRequest, *, reporter: display.ProgressReporter) -> Comparison:
    """Compare a challenger with a champion on rows from which neither has learned.

    Raises ConfigError if the models are the same, or they or the source are not of the same kind;
    LeakageError if a model may have learned from rows after `since`; DatasetError if no row is old
    enough, all are of one class, or a feature cannot be computed.
    """
    if asked.out is not None:
        require_place(asked.out / FIGURES)
    (new, new_name), (old, old_name) = (
        registry.load_model(asked.challenger),
        registry.load_model(asked.champion),
    )
    settings = tuned_settings(
        old,
        objective=asked.objective,
        capacities=asked.capacities,
        review_cost=asked.review_cost,
        miss_cost=asked.miss_cost,
    )
    # models, options and dates are refused before any data is read
    require_comparable_bundles(new, old)
    first_later(new, old, since=asked.since)
    registry.reach_store(asked.challenger, asked.champion, writes_to=new.config.name)
    began, start = time.time(), time.perf_counter()
    tables, _ = read_tables(
        asked.source, asked.data, quarantine=asked.quarantine, reporter=reporter
    )
    reading = time.perf_counter() - start
    found = compare_bundles(
        new,
        old,
        tables,
        since=asked.since,
        as_of=known_until(tables, asked.as_of),
        settings=settings,
        reporter=reporter,
    )
    found = replace(
        found,
        names={CHALLENGER: new_name, CHAMPION: old_name},
        seconds={"reading": reading, **found.seconds},
        folder=asked.out,
    )
    if asked.out is not None:
        _write(found, asked.out)
    _show(found, reporter)
    record = replace(_record(found, tables, new), began=began)
    return replace(found, mlflow_run=registry.log_job("compare", new.config.name, record))


def compare_bundles(
    challenger: registry.Bundle,
    champion: registry.Bundle,
    tables: ContractedTables,
    *,
    since: pd.Timestamp | None,
    as_of: pd.Timestamp,
    settings: ComparisonSettings,
    reporter: display.ProgressReporter,
) -> Comparison:
    """Compare two bundles on the rows that are new to both; nothing is written."""
    require_comparable_bundles(challenger, champion)
    registry.require_currency(challenger, tables)
    registry.require_currency(champion, tables)
    clock = [time.perf_counter()]
    rows = rows_new_to_both(
        challenger, champion, tables, since=since, as_of=as_of, reporter=reporter
    )
    clock.append(time.perf_counter())
    found = compare_models(challenger, champion, rows, settings=settings, tell=reporter.progress)
    clock.append(time.perf_counter())
    spent = [end - begin for begin, end in itertools.pairwise(clock)]
    return replace(found, seconds=dict(zip(("features", "comparing"), spent, strict=True)))


def require_comparable_bundles(challenger: registry.Bundle, champion: registry.Bundle) -> None:
    """Raise ConfigError unless these are two different models of the same outcome."""
    registry.require_different(challenger, champion)
    registry.require_comparable(challenger, champion)


def tuned_settings(
    champion: registry.Bundle,
    *,
    objective: Objective | None = None,
    capacities: Sequence[float] | None = None,
    review_cost: float | None = None,
    miss_cost: float | None = None,
) -> ComparisonSettings:
    """Return settings with the given values, and for the rest those the champion was tuned for."""
    usual = champion.config.tuning
    content = {
        "objective": objective or usual.objective,
        # the same capacity twice would give two figures of one name
        "capacities": tuple(dict.fromkeys(capacities or (usual.capacity_per_day,))),
        "review_cost": usual.review_cost if review_cost is None else review_cost,
        "miss_cost": usual.miss_cost if miss_cost is None else miss_cost,
    }
    return check_section(content, ComparisonSettings, subject="the options of kyc-ml compare")


def _show(comparison: Comparison, reporter: display.ProgressReporter) -> None:
    reporter.show(
        f"on the same {comparison.kind} rows (95% intervals)", _rounded(comparison.metrics)
    )
    calibration = comparison.calibration.set_index("model").T.rename_axis("figure").reset_index()
    reporter.show("calibration", _rounded(calibration))
    reporter.show(
        "rows by tier: champion down, challenger across (observed rate where the outcome is known)",
        _matrix(comparison.tiers),
    )
    reporter.show("largest moves", _rounded(comparison.moved[list(_MOVE)].head(_SHOWN)))
    reporter.show("what moves tiers most", comparison.causes.head(_SHOWN))
    reporter.show("alerts", _rounded(comparison.alerts))
    if comparison.skipped:
        reporter.info(
            f"{comparison.skipped:,} bootstrap samples have only one class and therefore no figures"
        )


def _rounded(table: pd.DataFrame) -> pd.DataFrame:
    """Write numbers with four significant digits: differences may be small."""

    def digits(value: float) -> str:
        return display.say_number(value, ",.0f" if abs(value) >= 1000 else ".4g")

    numbers = table.select_dtypes("number").columns
    return table.assign(**{name: [digits(value) for value in table[name]] for name in numbers})


def _matrix(tiers: pd.DataFrame) -> pd.DataFrame:
    cells = [
        f"{rows:,}" + ("" if np.isnan(rate) else f" ({rate:.2%})")
        for rows, rate in zip(tiers["rows"], tiers["observed_rate"], strict=True)
    ]
    names = list(dict.fromkeys(tiers["champion_tier"]))
    wide = tiers.assign(cell=cells).pivot(  # noqa: PD010  one value a cell
        index="champion_tier", columns="challenger_tier", values="cell"
    )
    return wide.loc[names, names].reset_index()


def _write(found: Comparison, folder: Path) -> None:
    content: dict[str, Any] = {
        **found.names,
        "digests": found.digests,
        **{name: getattr(found, name).isoformat() for name in ("since", "until", "as_of")},
        **{
            name: getattr(found, name)
            for name in (
                "verdict", "sentence", "kind", "rows", "judged", "positives", "customers", "skipped"
            )
        },
        "settings": found.settings.model_dump(mode="json"),
        **{
            name: json.loads(getattr(found, name).to_json(orient="records", double_precision=15))
            for name in _TABLES
        },
    }  # fmt: skip
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(folder / FIGURES, text.encode())
    times = pa.array(found.moved[DECISION_TIME].dt.tz_convert(None)).cast(pa.timestamp("us", "UTC"))
    moved = pa.Table.from_pandas(found.moved.drop(columns=DECISION_TIME), preserve_index=False)
    moved = moved.add_column(2, DECISION_TIME, times)
    with written_whole(folder / MOVED) as handle:
        pq.write_table(moved, handle, compression="zstd")


def _record(
    found: Comparison, tables: ContractedTables, challenger: registry.Bundle
) -> registry.RunRecord:
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
    return registry.RunRecord(
        parameters={
            **found.names,
            "since": found.since.isoformat(),
            "until": found.until.isoformat(),
            **found.settings.model_dump(mode="json"),
        },
        metrics=metrics,
        tags={
            "job": "compare",
            "unit": challenger.config.unit,
            "as_of": found.as_of.isoformat(),
            "code_version": version("kyc-ml"),
            "verdict": found.verdict,
            "sentence": found.sentence,
            **{f"{who}_digest": digest for who, digest in found.digests.items()},
            "data_digest": digest_together(tables.digests),
        },
        tables={name: getattr(found, name) for name in _TABLES},
        figures={
            "differences": display.plot_differences(found.metrics),
            "reliability": display.plot_reliabilities(found.reliability),
            "tier_moves": display.plot_tier_moves(found.tiers),
        },
    )
