"""run_demo: the whole path on a synthetic bank, from tables to explained scores and a page."""

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pyarrow as pa

from kyc_ml.config import SourceMapping
from kyc_ml.contract import ContractedTables, end_of_data, read_tables
from kyc_ml.decision import load_run, tiers_set_table
from kyc_ml.display import ModelStory, PageStory, ProgressReporter, save_page
from kyc_ml.onboarding.demo_case import find_case
from kyc_ml.onboarding.synthesis import run_synth
from kyc_ml.onboarding.synthetic.settings import BankConfig
from kyc_ml.registry import load_model, tracking_uri
from kyc_ml.scoring import ScoringRequest, ScoringResult, read_scores, run_score
from kyc_ml.training import TrainingResult, flow_table, tell_model, train_tables

_TITLES = {
    "fraud": ("Transaction fraud", "交易欺诈"),
    "risk": ("Customer risk at monthly reviews", "客户洗钱风险（月度审查）"),
}
_COUNTED = ("tier", "tier_of_model", "tier_set_by")
_PAGES = ("demo.html", "demo.zh.html")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """The models of the demo and the path of its page; the Chinese page is beside it."""

    page: Path
    tables: ContractedTables
    models: dict[str, tuple[TrainingResult, ScoringResult, ModelStory]]
    seconds: float


def run_demo(
    *, configs: Path, out: Path, bank: BankConfig, reporter: ProgressReporter
) -> DemoResult:
    """Run the main job on a synthetic bank: synth, train, register, score, explain.

    `configs`: folder of the shipped configurations.
    `out`: folder for the bank, the scores and the page; those of an earlier demo are replaced.
    """
    start = time.perf_counter()
    data = out / "bank"
    run_synth(bank=bank, out=data, overwrite=True, reporter=reporter)
    source = configs / "sources" / "synthetic.yaml"
    tables, mapping = read_tables(
        source, data, quarantine=out / "quarantine.parquet", reporter=reporter
    )
    as_of = end_of_data(tables)
    models = {
        name: _train_and_score(
            tables,
            mapping,
            config=configs / f"{name}.yaml",
            source=source,
            as_of=as_of,
            out=out,
            reporter=reporter,
        )
        for name in ("fraud", "risk")
    }
    case = find_case(models["risk"][0].registered.uri, tables, out=out)
    seconds = time.perf_counter() - start
    story = PageStory(
        title="kyc_ml: from tables to tiers and reasons",
        subtitle="A synthetic bank, trained, registered, scored and explained by one command",
        facts=_facts(tables, mapping, bank, as_of, seconds),
        flow=flow_table(tables.quality),
        findings=tuple(f"{kind}: {each}" for kind, each in tables.quality.findings()),
        models=tuple(story for _, _, story in models.values()),
        case=case,
        files=_PAGES,
        title_zh="kyc_ml：从数据表到等级与原因",
        subtitle_zh="一条命令生成合成银行并完成训练、注册、评分与解释",
    )
    page = out / _PAGES[0]
    save_page(story, page)
    save_page(story, out / _PAGES[1], language="zh")
    return DemoResult(page=page, tables=tables, models=models, seconds=seconds)


def _train_and_score(
    tables: ContractedTables,
    mapping: SourceMapping,
    *,
    config: Path,
    source: Path,
    as_of: pd.Timestamp,
    out: Path,
    reporter: ProgressReporter,
) -> tuple[TrainingResult, ScoringResult, ModelStory]:
    files = load_run(config, source=source)
    # another name, because a demo must not change the aliases of a model in use
    run = files.run.model_copy(update={"name": f"demo-{files.run.name}"})
    files = replace(files, run=run)
    result = train_tables(
        tables,
        mapping,
        files=files,
        as_of=as_of,
        reporter=reporter,
        command="kyc-ml demo",
    )
    bundle, label = load_model(result.registered.uri)
    scores = out / f"scores_{run.unit}"
    shutil.rmtree(scores, ignore_errors=True)
    week = as_of - pd.Timedelta(days=7)
    scoring = run_score(
        ScoringRequest(
            model=result.registered.uri,
            source=source,
            data=out / "bank",
            out=scores,
            since=week if run.unit == "fraud" else None,
            as_of=as_of,
            restart=True,
        ),
        reporter=reporter,
    )
    story = tell_model(
        bundle,
        result.trained,
        title=_TITLES[run.unit][0],
        title_zh=_TITLES[run.unit][1],
        in_force=tiers_set_table(
            pa.Table.from_pandas(read_scores(scores, columns=_COUNTED)), bundle.policy
        ),
        version=f"{label} (alias challenger)",
        tiers=result.tiers,
        figures=result.figures,
        scored=scoring.rows,
        seconds={**result.seconds, **scoring.seconds},
    )
    return result, scoring, story


def _facts(
    tables: ContractedTables,
    mapping: SourceMapping,
    bank: BankConfig,
    as_of: pd.Timestamp,
    seconds: float,
) -> tuple[tuple[str, str], ...]:
    return (
        ("source", f"{mapping.name}, seed {bank.seed}, {bank.days} days"),
        ("data as of", f"{as_of.tz_convert(tables.timezone):%Y-%m-%d %H:%M}"),
        ("times of", tables.timezone),
        ("base currency", tables.base_currency),
        ("MLflow", tracking_uri()),
        ("duration", f"{seconds:.0f} s"),
    )
