"""run_drill: an incident on a small synthetic bank, from planted fault to closing report."""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

import pandas as pd

from kyc_ml.config import CustomerFoldsConfig, ModelConfig, SourceMapping, load_section
from kyc_ml.contract import AMOUNT, EVENT_TIME, TRANSACTIONS, end_of_data, read_tables
from kyc_ml.decision import load_run
from kyc_ml.display import ProgressReporter, say_count
from kyc_ml.errors import GateError
from kyc_ml.monitoring import (
    Playbooks,
    StepRequest,
    load_playbooks,
    run_incident_close,
    run_incident_step,
    run_watchdog,
    score_under_incidents,
)
from kyc_ml.onboarding.synthetic.bank import make_bank
from kyc_ml.onboarding.synthetic.settings import BankConfig
from kyc_ml.onboarding.synthetic.storage import save_bank
from kyc_ml.registry import reach_store, save_bundle
from kyc_ml.scoring import ScoringRequest
from kyc_ml.training import train

_BANK: Final = BankConfig(
    transactions=10_000, days=240, transactions_per_customer=25, launderer_share=0.2
)
_FAMILIES: Final = ("velocity", "amounts", "flow_through", "profile", "third_party")
_FAULT: Final = 100
"""Amounts of the last day in fen instead of yuan."""
_OPERATOR, _MANAGER = "drill operator", "drill manager"


@dataclass(frozen=True, slots=True)
class DrillResult:
    """What a drill showed."""

    incident: str
    timeline: pd.DataFrame
    """step, effect (English), effect_zh, published (of the night after the step)."""
    reports: tuple[Path, ...]
    """The closing report in English and in Chinese."""
    seconds: float


def run_drill(*, out: Path, configs: Path, reporter: ProgressReporter) -> DrillResult:
    """Play one incident: a fault in the tables, the alert, the steps, the closing report.

    Bank, model, nights, audit log and MLflow store are in a temporary folder, which is removed
    at the end; `out` gets the closing reports alone.

    `configs`: folder of the shipped configurations.
    """
    began, out, configs = time.perf_counter(), out.absolute(), configs.absolute()
    with _elsewhere() as place:
        night, healthy, morning = _prepare(place, configs)
        reporter.progress("drill", 1, 4)
        with contextlib.suppress(GateError):  # the planted fault must be refused
            score_under_incidents(night, reporter=ProgressReporter())
        playbooks = _one_playbook(configs)
        zone = load_section(night.source, SourceMapping).timezone
        noticed = run_watchdog(
            folder=night.out.parents[1],
            by="07:00",
            zone=zone,
            playbooks=playbooks,
            log=night.audit_log,
            now=morning,
        )
        reporter.progress("drill", 2, 4)
        [incident] = [each.incident for each in noticed.alerts]
        rows = []
        for step in playbooks.playbooks[0].steps:
            request = StepRequest(
                incident=incident,
                step=step.step,
                out=night.out.parents[1],
                overrides=place / "overrides.yaml",
                log=night.audit_log,
                playbooks=playbooks,
            )
            effect = run_incident_step(request).effect  # shown first
            run_incident_step(replace(request, who=_MANAGER))
            said = ""
            if step.action in {"hold", "release"}:  # the tables were delivered again
                fixed = replace(
                    night,
                    data=healthy,
                    overrides=request.overrides if request.overrides.exists() else None,
                )
                result, held = score_under_incidents(fixed, reporter=ProgressReporter())
                by = f"{say_count(result.rows, 'row')} by {result.manifest.scored_by}"
                said = f"{by}, {'held' if held else 'published'}"
            rows.append((step.step, effect.en, effect.zh, said))
        reporter.progress("drill", 3, 4)
        _, reports = run_incident_close(
            incident, conclusion="drill", who=_OPERATOR, out=out, log=night.audit_log
        )
        reporter.progress("drill", 4, 4)
    timeline = pd.DataFrame(rows, columns=["step", "effect", "effect_zh", "night"])
    return DrillResult(incident, timeline, reports, time.perf_counter() - began)


@contextlib.contextmanager
def _elsewhere() -> Iterator[Path]:
    """Work in a temporary folder with a separate MLflow store."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        try:
            reach_store()
            yield Path(folder)
        finally:  # MLflow leaves its experiment in the environment
            os.environ.clear()
            os.environ.update(before)


def _prepare(place: Path, configs: Path) -> tuple[ScoringRequest, Path, datetime]:
    """Make bank, model and spoilt tables; return the night, the good tables, the morning after."""
    source, healthy, spoilt = configs / "sources" / "synthetic.yaml", place / "a", place / "b"
    bank = make_bank(_BANK)
    save_bank(bank, healthy)
    save_bank(bank, spoilt)
    tables, _ = read_tables(
        source, healthy, quarantine=place / "q.parquet", reporter=ProgressReporter()
    )
    as_of = end_of_data(tables)
    path = spoilt / f"{TRANSACTIONS}.parquet"
    rows = pd.read_parquet(path)
    last = rows[EVENT_TIME] >= as_of - pd.Timedelta(days=1)
    rows.loc[last, AMOUNT] *= _FAULT
    rows.to_parquet(path, index=False)
    files = load_run(configs / "risk.yaml", source=source)
    small = {
        "features": files.run.features.model_copy(update={"families": _FAMILIES}),
        "dataset": files.run.dataset.model_copy(update={"horizon_days": 30}),
        "model": ModelConfig(n_estimators=20, learning_rate=0.2),
        "splits": CustomerFoldsConfig(method="customer_folds"),
    }
    run = files.run.model_copy(update=small)
    trained = train(tables, config=run, policy=files.policy, as_of=as_of - pd.Timedelta(days=2))
    save_bundle(trained.bundle, place / "bundle")
    day = as_of.tz_convert(tables.timezone).date().isoformat()
    night = ScoringRequest(
        model=str(place / "bundle"),
        source=source,
        data=spoilt,
        out=place / "nights" / day / run.name,
        as_of=as_of,
        audit_log=place / "audit.jsonl",
    )
    return night, healthy, (as_of + pd.Timedelta(hours=8)).to_pydatetime()


def _one_playbook(configs: Path) -> Playbooks:
    """Return every step of the shipped playbooks that needs no promoted champion, each once."""
    shipped = load_playbooks()
    known = {each.step: each for playbook in shipped.playbooks for each in playbook.steps}
    card = {"config": str(configs / "risk.yaml")}
    steps = tuple(
        each.model_copy(update=card) if each.config else each
        for each in known.values()
        if each.action not in {"rollback", "withdraw"}
    )
    change = {"name": "drill", "signals": ("*",), "steps": steps}
    playbook = shipped.playbooks[0].model_copy(update=change)
    return shipped.model_copy(update={"playbooks": (playbook,)})
