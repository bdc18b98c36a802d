"""A small bank, quick configurations and a registered model, in a folder of their own."""

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from kyc_ml.cli import app
from kyc_ml.config import RunConfig, load_section
from kyc_ml.jobs import Silence, TrainingResult, run_train
from kyc_ml.synthetic import BankConfig, make_bank, save_bank

CONFIGS = Path(__file__).parents[2] / "configs"
QUICK = {"rounds": 20, "stopping_rounds": 5, "learning_rate": 0.2, "min_data_in_leaf": 20}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Keep these tests in one process: they share a trained model."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("end_to_end"))
            # MLflow's own use of SQLAlchemy and of itself; the user is not shown them
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
    """A week of transactions: their scores as a file, and their features as a file."""

    scores: Path
    features: Path
    outcome: Outcome
    features_outcome: Outcome
    since: pd.Timestamp
    as_of: pd.Timestamp

    def frame(self):
        return pd.read_parquet(self.scores)


def write_configs(folder):
    """Copy the shipped configurations, with few rounds and periods that fit the bank."""
    shutil.copytree(CONFIGS / "tiers", folder / "tiers")
    shutil.copytree(CONFIGS / "sources", folder / "sources")
    shutil.copytree(CONFIGS / "rating", folder / "rating")
    shutil.copytree(CONFIGS / "lists", folder / "lists")
    for name in ("fraud", "risk"):
        shipped = load_section(CONFIGS / f"{name}.yaml", RunConfig)
        config = shipped.model_dump(mode="json")
        config["model"].update(QUICK)
        if name == "risk":
            config["dataset"].update(horizon_days=30)
            config["splits"].update(
                early_stopping_days=62, calibration_days=92, test_days=62, inner_embargo_days=30
            )
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))


@pytest.fixture(scope="session")
def place(tmp_path_factory):
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
    return Place(
        home=home,
        store=f"sqlite:///{home}/mlflow.db",
        configs=home / "configs",
        data=home / "bank",
    )


@pytest.fixture(scope="session")
def model(place):
    with place.entered():
        result = run_train(
            config=place.configs / "fraud.yaml",
            source=place.source,
            data=place.data,
            as_of=None,
            quarantine=place.home / "refused.parquet",
            keep=place.home / "bundle",
            page=None,
            watch=Silence(),
        )
    return Registered(result=result, folder=place.home / "bundle")


@pytest.fixture(scope="session")
def scored(place, model):
    """Run `features` and `score` over the same week."""
    as_of = pd.Timestamp(model.result.bundle.data["as_of"])
    since = as_of - pd.Timedelta(days=7)
    period = ("--since", since.isoformat(), "--as-of", as_of.isoformat())
    scores, features = (place.home / "out" / f"{name}.parquet" for name in ("scores", "features"))
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


@pytest.fixture(scope="session")
def demo(place, tmp_path_factory):
    """Run the demo in a folder and a store of its own."""
    home = tmp_path_factory.mktemp("demo")
    here = Place(
        home=home,
        store=f"sqlite:///{home}/mlflow.db",
        configs=place.configs,
        data=home / "demo" / "bank",
    )
    size = ("--transactions", 60_000, "--seed", 11)
    outcome = here.run("demo", "--out", home / "demo", "--configs", here.configs, *size)
    return here, outcome


@pytest.fixture
def own_store(place, model, tmp_path):
    """A copy of the store, for a test that registers or breaks something."""
    shutil.copy(place.home / "mlflow.db", tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def below():
    """List every file and folder below a folder."""
    return lambda folder: sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
