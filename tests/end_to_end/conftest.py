"""A small bank, quick configurations and a registered model, in a folder of their own."""

import contextlib
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from kyc_ml.cli import app
from kyc_ml.config import RunConfig, load_section
from kyc_ml.display import ProgressReporter
from kyc_ml.model import learn_profile
from kyc_ml.onboarding.synthetic.bank import make_bank
from kyc_ml.onboarding.synthetic.settings import BankConfig
from kyc_ml.onboarding.synthetic.storage import save_bank
from kyc_ml.registry import reach_store, save_bundle
from kyc_ml.scoring import ScoringRequest, run_score
from kyc_ml.training import TrainingResult, TrainRequest, run_train

CONFIGS = Path(__file__).parents[2] / "configs"
QUICK = {"n_estimators": 20, "stopping_rounds": 5, "learning_rate": 0.2, "min_child_samples": 20}


def pytest_itemcollected(item):
    """Let MLflow use SQLAlchemy, and itself, as it does: the user is not shown these warnings."""
    for quiet in ("sqlalchemy", "mlflow", "alembic"):
        item.add_marker(pytest.mark.filterwarnings(f"ignore::DeprecationWarning:{quiet}.*"))
    item.add_marker(pytest.mark.filterwarnings("ignore:The ``noload``"))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str
    crash: BaseException | None

    @property
    def is_summary_alone(self):
        """Tell whether nothing was written but one framed table below its title."""
        lines = self.out.splitlines()
        frames = [line[:1] for line in lines if line[:1] in tuple("┌┏└")]
        framed = len(lines) > 2 and (lines[1][:1], lines[-1][:1]) == ("┌", "└")
        return framed and frames == ["┌", "└"] and self.err == ""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A working folder, an MLflow store and a command line that uses both."""

    home: Path
    store: str
    configs: Path
    data: Path

    @property
    def source(self):
        return self.configs / "sources" / "synthetic.yaml"

    @contextlib.contextmanager
    def entered(self, home=None, **environment):
        """Work in this folder with this store, as a user's shell would."""
        before = dict(os.environ)
        os.environ.update({**self.environment, **environment})
        try:
            with contextlib.chdir(home or self.home):
                yield
        finally:  # MLflow leaves the experiment and the store in the environment
            os.environ.clear()
            os.environ.update(before)

    @property
    def environment(self):
        return {
            "MLFLOW_TRACKING_URI": self.store,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "TERM": "dumb",
        }

    def run(self, *arguments, home=None, **environment):
        """Run one kyc-ml command."""
        with self.entered(home, **environment):
            done = CliRunner().invoke(app, [str(argument) for argument in arguments])
        crash = None if isinstance(done.exception, SystemExit) else done.exception
        return Outcome(code=done.exit_code, out=done.stdout, err=done.stderr, crash=crash)

    def source_arguments(self, data=None, source=None):
        return ("--source", source or self.source, "--data", data or self.data)


@dataclass(frozen=True, kw_only=True)
class Registered:
    """The fraud model that every test of a model uses."""

    result: TrainingResult
    folder: Path

    @property
    def uri(self):
        return "models:/fraud@challenger"


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A week of transactions: their published scores, and their features as a file."""

    scores: Path
    features: Path
    outcome: Outcome
    features_outcome: Outcome
    since: pd.Timestamp
    as_of: pd.Timestamp

    def frame(self):
        return pd.read_parquet(self.scores / "scores")


def write_configs(folder):
    """Copy the shipped configurations, with few rounds and periods that fit the bank."""
    shutil.copytree(CONFIGS / "tiers", folder / "tiers")
    shutil.copytree(CONFIGS / "sources", folder / "sources")
    shutil.copytree(CONFIGS / "rating", folder / "rating")
    shutil.copytree(CONFIGS / "lists", folder / "lists")
    shutil.copy(CONFIGS / "limits.yaml", folder)
    for name in ("fraud", "risk"):
        shipped = load_section(CONFIGS / f"{name}.yaml", RunConfig)
        config = shipped.model_dump(mode="json")
        config["model"].update(QUICK)
        if name == "fraud":  # a small bank has rows to spare for every part
            config["model"].update(refit="none", negative_share=1.0)
        if name == "risk":
            config["dataset"].update(horizon_days=30)
            config["splits"].update(
                early_stopping_days=62, calibration_days=92, test_days=62, inner_embargo_days=30
            )
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))


@pytest.fixture(scope="session")
def place(tmp_path_factory, make_store):
    home = tmp_path_factory.mktemp("kyc_ml")
    write_configs(home / "configs")
    bank = BankConfig(
        transactions=24_000,
        days=330,
        transactions_per_customer=50,
        seed=8,
        fraud_share=0.012,
        launderer_share=0.1,
    )
    save_bank(make_bank(bank), home / "bank")
    made = Place(
        home=home,
        store=make_store(home),
        configs=home / "configs",
        data=home / "bank",
    )
    with made.entered():  # MLflow keeps files below the folder where it first opens a store
        reach_store()
    return made


@pytest.fixture(scope="session")
def model(place):
    with place.entered():
        request = TrainRequest(
            config=place.configs / "fraud.yaml",
            source=place.source,
            data=place.data,
            quarantine=place.home / "refused.parquet",
            keep=place.home / "bundle",
        )
        result = run_train(request, reporter=ProgressReporter())
    return Registered(result=result, folder=place.home / "bundle")


@pytest.fixture(scope="session")
def scored(place, model):
    """Run `features` and `score` over the same week."""
    as_of = pd.Timestamp(model.result.bundle.data["as_of"])
    since = as_of - pd.Timedelta(days=7)
    period = ("--since", since.isoformat(), "--as-of", as_of.isoformat())
    scores, features = place.home / "out" / "scores", place.home / "out" / "features.parquet"
    outcome = place.run(
        "score", "--model", model.uri, *place.source_arguments(), *period, "--out", scores
    )
    features_outcome = place.run(
        "features", "build", "--config", place.configs / "fraud.yaml",
        *place.source_arguments(), *period, "--out", features,
    )  # fmt: skip
    return Scored(
        scores=scores,
        features=features,
        outcome=outcome,
        features_outcome=features_outcome,
        since=since,
        as_of=as_of,
    )


@pytest.fixture
def own_store(place, model, tmp_path):
    """A copy of the store, for a test that registers or breaks something."""
    shutil.copy(place.home / "mlflow.db", tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def below():
    """List every file and folder below a folder."""
    return lambda folder: sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@dataclass(frozen=True, kw_only=True)
class Night:
    """A small bank in CSV, a mapping of it, a model, and a request to score it."""

    home: Path
    store: str
    data: Path
    source: Path
    model: Path
    limits: Path
    fallback: Path

    def request(self, out, **changed):
        """Ask for its last days, in parts of 60 rows, with everything that can be written."""
        asked = {
            "model": str(self.model), "source": self.source, "data": self.data, "out": out,
            "since": "2024-03-01", "limits": self.limits, "part_rows": 60,
            "contributions": True, "csv": True,
        }  # fmt: skip
        return ScoringRequest(**{**asked, **changed})

    def score(self, out, *, reporter=None, tables=None, **changed):
        """Score in this process."""
        request = self.request(out, **changed)
        return run_score(request, reporter=reporter or ProgressReporter(), tables=tables)

    def copy(self, folder):
        """Copy everything but the MLflow store, for a test that changes some of it."""
        names = ("data", "source", "model", "limits", "fallback")
        shutil.copytree(self.home, folder)
        moved = {name: folder / getattr(self, name).relative_to(self.home) for name in names}
        return replace(self, home=folder, **moved)


def _night_tables():
    """400 payments of 20 customers over 100 days; two of the amounts are no amounts."""
    n = 400
    rng = np.random.default_rng(5)
    booked = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(n) * 6, unit="h")
    late = np.where(rng.random(n) < 0.1, 30, 0)
    payments = pd.DataFrame(
        {
            "transaction_id": [f"SECRETTX{row:04d}" for row in range(n)],
            "customer_id": [f"SECRETCLIENT{row % 20}" for row in range(n)],
            "event_time": booked.astype(str),
            "known_at": (booked + pd.to_timedelta(late, unit="h")).astype(str),
            "amount": [f"{value:.2f}" for value in rng.lognormal(4, 1, n)],
            "direction": rng.choice(["in", "out"], n),
            "channel": rng.choice(["app", "branch", "web", "a new one", ""], n),
        }
    )
    payments.loc[[7, 388], "amount"] = "-1"
    customers = pd.DataFrame(
        {
            "customer_id": [f"SECRETCLIENT{row}" for row in range(20)],
            "event_time": "2023-01-01",
            "customer_type": "person",
        }
    )
    reports = pd.DataFrame(
        {
            "report_id": [f"SECRETREPORT{row}" for row in range(20)],
            "customer_id": customers["customer_id"],
            "event_time": "2024-01-02",
            "provider": "bureau",
            "item": "score",
            "value": "1.5",
        }
    )
    return {"transactions": payments, "customers": customers, "third_party": reports}


@pytest.fixture(scope="session")
def night(tmp_path_factory, place, bundle, small):
    home = tmp_path_factory.mktemp("night") / "home"
    write_configs(home / "configs")
    (home / "data").mkdir()
    tables = _night_tables()
    for name, frame in tables.items():
        frame.to_csv(home / "data" / f"{name}.csv", index=False)
    mapping = {
        "name": "night",
        "base_currency": "CNY",
        "max_quarantined_share": 0.05,
        "files": {name: {"path": f"{name}.csv", "format": "csv"} for name in tables},
        "tables": {
            name: {"from": name, "columns": {column: column for column in frame}}
            for name, frame in tables.items()
        },
    }
    (home / "source.yaml").write_text(yaml.safe_dump(mapping))
    limits = {
        "quarantined_share": 0.05,
        "unknown_categories_share": 1.0,
        "unknown_customers_share": 1.0,
        "drift": {"score": None, "features_drifted": None},
    }
    (home / "limits.yaml").write_text(yaml.safe_dump(limits))
    config = yaml.safe_load((home / "configs" / "fraud.yaml").read_text())
    policy = (home / "configs" / "tiers" / "fraud.yaml").read_text()
    names = ("low", "medium_low", "medium", "medium_high", "high")
    expert = {"tier_of_grade": {name: name for name in names}}
    expert = yaml.safe_dump({"expert": expert}).replace(
        "expert:\n", "expert:\n  card: !include ../rating/transaction.yaml\n"
    )
    (home / "configs" / "tiers" / "rated.yaml").write_text(f"{policy}\n{expert}")
    config["tiers"] = "tiers/rated.yaml"
    (home / "configs" / "rated.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
    proba = bundle.calibrator.probability(small.model.margin(small.matrix))
    save_bundle(replace(bundle, profile=learn_profile(small.features, proba)), home / "model")
    return Night(
        home=home,
        store=place.store,
        data=home / "data",
        source=home / "source.yaml",
        model=home / "model",
        limits=home / "limits.yaml",
        fallback=home / "configs" / "rated.yaml",
    )


@pytest.fixture
def in_store(place):
    """Log to this session's MLflow store."""
    with place.entered():
        yield
