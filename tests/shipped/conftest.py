"""Small data in the files' real form, for each configuration that is shipped."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from kyc_ml.cli import app
from kyc_ml.config import RunConfig, SourceMapping, load_section
from kyc_ml.onboarding.synthetic.bank import make_bank
from kyc_ml.onboarding.synthetic.settings import BankConfig
from kyc_ml.onboarding.synthetic.storage import save_bank

CONFIGS = Path(__file__).parents[2] / "configs"
LOANS = ("A", "B", "C", "D")


def pytest_itemcollected(item):
    """Let MLflow use SQLAlchemy, and itself, as it does: the user is not shown these warnings."""
    for quiet in ("sqlalchemy", "mlflow", "alembic"):
        item.add_marker(pytest.mark.filterwarnings(f"ignore::DeprecationWarning:{quiet}.*"))
    item.add_marker(pytest.mark.filterwarnings("ignore:The ``noload``"))


@dataclass(frozen=True, kw_only=True)
class Form:
    """A shipped configuration, made small, with data of its form.

    Attributes
    ----------
    observation : str
        Id of one that can be explained.
    """

    name: str
    config: Path
    source: Path
    data: Path
    as_of: str
    observation: str

    @property
    def run(self):
        return load_section(self.config, RunConfig)

    @property
    def mapping(self):
        return load_section(self.source, SourceMapping)

    @property
    def validation(self):
        return CONFIGS / "validation.yaml"


def text_date(days):
    """Write days since 1993-01-01 as the Berka files do: YYMMDD."""
    return (pd.Timestamp("1993-01-01") + pd.to_timedelta(days, unit="D")).strftime("%y%m%d")


def write_berka(folder):
    """Write 60 loans with what led to them, as semicolon-separated text of the 1990s."""
    rng = np.random.default_rng(1)
    n = 60
    account = np.arange(1, n + 1)
    opened = rng.integers(0, 900, n)
    granted = rng.integers(1500, 2100, n)  # 1997-02 to 1998-09
    bad = rng.random(n) < 0.3
    frequency = rng.choice(["POPLATEK MESICNE", "POPLATEK TYDNE"], n)
    born = [f"{rng.integers(30, 75)}{rng.choice([3, 53]):02d}15" for _ in account]
    tables = {
        "account": {
            "account_id": account, "district_id": account % 3 + 1, "frequency": frequency,
            "date": [text_date(d) for d in opened],
        },
        "client": {"client_id": account, "birth_number": born, "district_id": account % 3 + 1},
        "disp": {
            "disp_id": account, "client_id": account, "account_id": account, "type": "OWNER",
        },
        "card": {
            "card_id": account[::3], "disp_id": account[::3], "type": "classic",
            "issued": [f"{text_date(d + 100)} 00:00:00" for d in opened[::3]],
        },
        "loan": {
            "loan_id": 5000 + account, "account_id": account,
            "date": [text_date(d) for d in granted],
            "amount": 1000 * rng.integers(20, 300, n) + 40_000 * bad, "duration": 24,
            "payments": [f"{p}.00" for p in rng.integers(900, 9000, n)],
            "status": np.where(bad, "B", "A"),
        },
    }  # fmt: skip
    for name, columns in tables.items():
        pd.DataFrame(columns).to_csv(
            folder / f"{name}.asc", sep=";", index=False, quoting=2, lineterminator="\r\n"
        )
    facts = "".join(f";{value}" for value in (8110, "?", 3.4, 111, "?", 2804))
    lines = ["A1;A2;A3;A4;A5;A6;A7;A8;A9;A10;A11;A12;A13;A14;A15;A16"]
    lines += [f'{d};"Town";"region";88884;80;26;6;2;5;46.7{facts}' for d in (1, 2, 3)]
    (folder / "district.asc").write_text("\r\n".join(lines) + "\r\n")
    rows = []
    for who, first, last, late in zip(account, opened, granted, bad, strict=True):
        for when in np.sort(rng.integers(first, last, 14)):
            kind = int(rng.integers(0, 4))
            amount = round(float(rng.gamma(2.0, 900.0)), 1)
            balance = round(float(rng.gamma(3.0, 5000.0 - 3000.0 * late)), 1)
            rows.append(
                {
                    "trans_id": len(rows) + 1,
                    "account_id": who,
                    "date": text_date(when),
                    "type": ("credit", "withdrawal", "withdrawal in cash", "credit")[kind],
                    "operation": (
                        "credit in cash", "remittance to another bank", "withdrawal in cash", None
                    )[kind],
                    "amount": amount,
                    "balance": balance,
                    "k_symbol": "interest credited" if kind == 3 else None,
                    "bank": "AB" if kind == 1 else None,
                    "account": f"{who * 7}.0" if kind == 1 else None,
                    "loan_id": 5000 + who,
                }
            )  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "transactions_354_loans.csv", index=False)
    return "1999-01-01", "5001"


def write_amlsim(folder):
    """Write 90 accounts and their transfers; node 0 has none, and step 149 is the last."""
    rng = np.random.default_rng(2)
    n, transfers = 90, 900
    fraud = np.arange(n) % 5 == 1
    step = np.where(fraud, rng.integers(20, 149, n), -1)
    nodes = {"nodeid": np.arange(n), "isFraud": fraud.astype(int), "init_balance": 100.25,
             "fraudStep": step}  # fmt: skip
    pd.DataFrame(nodes).to_csv(folder / "nodes.csv", index=False)
    source = rng.integers(1, n, transfers)
    value = np.round(rng.gamma(2.0, 60.0, transfers) + 200.0 * fraud[source], 2)
    time = np.sort(rng.integers(1, 150, transfers))
    time[-1] = 149
    rows = {"sourceNodeId": source, "targetNodeId": 1 + (source + 7) % (n - 1), "value": value,
            "time": time}  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "transactions.csv", index=False)
    return "2017-06-02", "0"


def write_handbook(folder):
    """Write card payments of 60 customers from April to August 2018, one in 14 a fraud."""
    rng = np.random.default_rng(3)
    n = 6_000
    seconds = np.sort(rng.integers(0, 143 * 86_400, n))
    fraud = rng.random(n) < 0.07
    rows = {
        "TRANSACTION_ID": np.arange(n, dtype=np.int32),
        "TX_DATETIME": (pd.Timestamp("2018-04-01") + pd.to_timedelta(seconds, unit="s")).as_unit(
            "us"
        ),
        "CUSTOMER_ID": rng.integers(0, 60, n).astype(np.int32),
        "TERMINAL_ID": np.where(fraud, 0, rng.integers(1, 40, n)).astype(np.int32),
        "TX_AMOUNT": np.round(rng.gamma(2.0, 25.0, n) + 150.0 * fraud, 2),
        "TX_TIME_DAYS": (seconds // 86_400).astype(np.int32),
        "TX_FRAUD": fraud.astype(np.int32),
        "TX_FRAUD_SCENARIO": (fraud * rng.integers(1, 4, n)).astype(np.int32),
    }
    pd.DataFrame(rows).to_parquet(folder / "transactions.parquet", index=False)
    return "2018-08-22", str(n - 5)


def write_synthetic(folder):
    """Write a small bank of the generator, with misconduct enough to learn from."""
    bank = BankConfig(
        transactions=8_000,
        days=360,
        transactions_per_customer=40,
        seed=3,
        fraud_share=0.03,
        fraud_delay_median_days=5.0,
        launderer_share=0.2,
        report_share=1.0,
        report_delay_median_days=10.0,
    )
    save_bank(make_bank(bank), folder, overwrite=True)
    return "2024-12-26", ""


FORMS = {
    "berka": ("berka", write_berka),
    "amlsim": ("amlsim", write_amlsim),
    "handbook": ("handbook", write_handbook),
    "fraud": ("synthetic", write_synthetic),
    "risk": ("synthetic", write_synthetic),
}
"""Shipped run configurations: their source mapping, and who writes data of its form."""

SMALLER = {
    "fraud": {"splits": {"early_stopping_days": 40, "calibration_days": 60, "test_days": 60}},
    "risk": {
        "dataset": {"horizon_days": 30},
        "splits": {
            "early_stopping_days": 31, "calibration_days": 62, "test_days": 31,
            "inner_embargo_days": 30,
        },
    },
    "berka": {"splits": {"folds": 2}},
    "amlsim": {"splits": {"folds": 2}},
}  # fmt: skip


@pytest.fixture(scope="session")
def forms(tmp_path_factory):
    """Give every shipped run configuration with small data, few rounds and short parts."""
    made, written = {}, {}
    for name, (source, write) in FORMS.items():
        if write not in written:
            data = tmp_path_factory.mktemp(source)
            written[write] = (data, write(data))
        data, (as_of, observation) = written[write]
        run = load_section(CONFIGS / f"{name}.yaml", RunConfig)
        content = run.model_dump(mode="json", by_alias=True)
        content["model"] |= {"n_estimators": 4, "learning_rate": 0.3, "min_child_samples": 5}
        content["model"] |= {"num_leaves": 4, "n_jobs": 1}
        content["calibration"] |= {"candidates": ["isotonic"], "folds": 2}
        content["tiers"] = str(CONFIGS / run.tiers)
        content["rating"] = None if run.rating is None else str(CONFIGS / run.rating)
        for section, keys in SMALLER.get(name, {}).items():
            content[section] |= keys
        config = tmp_path_factory.mktemp("configs") / f"{name}.yaml"
        config.write_text(yaml.safe_dump(content, allow_unicode=True))
        made[name] = Form(
            name=name,
            config=config,
            source=CONFIGS / "sources" / f"{source}.yaml",
            data=data,
            as_of=as_of,
            observation=observation or _latest(name, data),
        )
    return made


def _latest(name, data):
    """Name a row of the synthetic bank: a late transaction, or an old customer at a review."""
    if name == "fraud":
        return str(pd.read_parquet(data / "transactions.parquet")["transaction_id"].iloc[-1])
    return f"{pd.read_parquet(data / 'customers.parquet')['customer_id'].iloc[0]}@2024-11-01"


@pytest.fixture(scope="session")
def kyc(make_store, tmp_path_factory):
    """Run a command in a folder that no configuration lies in; give exit code and messages."""
    home = tmp_path_factory.mktemp("home")
    own = {"MLFLOW_TRACKING_URI": make_store(home), "TERM": "dumb"}
    own["MLFLOW_DISABLE_TELEMETRY"] = "true"

    def run(*arguments):
        before = dict(os.environ)
        os.environ.update(own)
        try:
            with contextlib.chdir(home):
                done = CliRunner().invoke(app, [str(argument) for argument in arguments])
        finally:
            os.environ.clear()
            os.environ.update(before)
        return done.exit_code, done.stderr

    return run
