"""Bad input: one message that names the subject and the cure, exit code 2, nothing left behind.

The user's files here are CSV with a mapping of their own; the values in them must never
come back in a message.
"""

import errno
import os
import re
import shutil
import time

import pandas as pd
import pytest
import yaml

COLUMNS = {
    "transaction_id": "tx_no",
    "customer_id": "client",
    "event_time": "booked",
    "amount": "amt",
    "direction": "CASE WHEN dc = 'C' THEN 'in' ELSE 'out' END",
}
CASE_COLUMNS = {
    "case_id": "case_no",
    "customer_id": "client",
    "event_time": "happened",
    "known_at": "known",
    "outcome": "outcome",
    "transaction_id": "tx_no",
}
SECRETS = ("SECRETTX", "SECRETCLIENT", "987654", "SECRETDAY", "SECRETCASE")


class User:
    """A user's folder: CSV files, a mapping, a run configuration, and places for results."""

    def __init__(self, home):
        self.home = home
        self.data = home / "data"
        self.source = home / "bank.yaml"
        self.config = home / "run.yaml"
        self.out = home / "results" / "out.parquet"
        self.aside = home / "aside" / "refused.parquet"
        self.data.mkdir()
        self.transactions = pd.DataFrame(
            {
                "tx_no": [f"SECRETTX{n}" for n in range(400)],
                "client": [f"SECRETCLIENT{n % 20}" for n in range(400)],
                "booked": pd.date_range("2024-01-01", periods=400, freq="12h").astype(str),
                "amt": [f"{987654 + n}.25" for n in range(400)],
                "dc": ["C", "D"] * 200,
            }
        )
        frauds = range(3, 400, 10)
        self.cases = pd.DataFrame(
            {
                "case_no": [f"SECRETCASE{n}" for n in frauds],
                "client": [f"SECRETCLIENT{n % 20}" for n in frauds],
                "happened": [self.transactions["booked"][n] for n in frauds],
                "known": [self.transactions["booked"][n] for n in frauds],
                "outcome": "confirmed_fraud",
                "tx_no": [f"SECRETTX{n}" for n in frauds],
            }
        )
        self.mapping = {
            "name": "their bank",
            "base_currency": "CNY",
            "max_quarantined_share": 0.05,
            "files": {
                "tx": {"path": "tx.csv", "format": "csv"},
                "cs": {"path": "cases.csv", "format": "csv"},
            },
            "tables": {
                "transactions": {"from": "tx", "columns": dict(COLUMNS)},
                "cases": {"from": "cs", "columns": dict(CASE_COLUMNS)},
            },
        }
        self.run = {
            "name": "theirs",
            "unit": "fraud",
            "tiers": "configs/tiers/fraud.yaml",
            "features": {"families": ["velocity", "amounts"]},
            "dataset": {"label_maturity_days": 5},
            "splits": {"method": "out_of_time", "early_stopping_days": 20,
                       "calibration_days": 60, "test_days": 20, "embargo_days": 0},
            "model": {"n_estimators": 5, "min_child_samples": 5, "n_jobs": 1},
        }  # fmt: skip

    def spoil(self, column, value, *, rows, table="transactions"):
        frame = getattr(self, table)
        frame.loc[frame.index[:rows], column] = value

    def save(self):
        if self.data.is_dir():  # unless a test took it away
            self.transactions.to_csv(self.data / "tx.csv", index=False)
            self.cases.to_csv(self.data / "cases.csv", index=False)
        self.source.write_text(yaml.safe_dump(self.mapping))
        self.config.write_text(yaml.safe_dump(self.run))

    @property
    def reading(self):
        return ("--source", self.source, "--data", self.data, "--quarantine", self.aside)

    @property
    def check(self):
        return ("check", *self.reading)

    @property
    def features(self):
        return ("features", "build", "--config", self.config, *self.reading, "--out", self.out)

    @property
    def train(self):
        return ("train", "--config", self.config, *self.reading)


@pytest.fixture
def user(tmp_path, place):
    shutil.copytree(place.configs, tmp_path / "configs")
    return User(tmp_path)


@pytest.fixture
def refused(place, below):
    """Run a command that must be refused; give its one message."""

    def run(user, *command, leaves=(), code=2, **environment):
        before = below(user.home)
        outcome = place.run(*command, home=user.home, **environment)
        assert outcome.crash is None, repr(outcome.crash)
        assert outcome.code == code, outcome.err
        everything = outcome.out + outcome.err
        assert "Traceback" not in everything
        assert everything.count("error: ") == 1
        assert not [secret for secret in SECRETS if secret in everything]
        new = [name for name in below(user.home) if name not in before]
        assert sorted(new) == sorted(leaves)
        return outcome.err[outcome.err.index("error: ") :]

    return run


def test_the_sound_folder_is_accepted(user, place):
    user.save()
    for command in (user.check, user.features):
        outcome = place.run(*command, home=user.home)
        assert (outcome.code, outcome.crash) == (0, None), outcome.err


# --- places and files -----------------------------------------------------------------


def test_missing_data_folder(user, refused):
    user.data.rename(user.home / "date")
    user.save()
    message = refused(user, *user.check)
    assert f"--data {user.data} " in message
    assert "'date'" in message


def test_missing_file(user, refused):
    user.save()
    (user.data / "tx.csv").rename(user.data / "txs.csv")
    message = refused(user, *user.check, code=5)  # it may come
    assert "'tx.csv'" in message


def test_missing_column_of_the_users_file(user, refused):
    user.transactions = user.transactions.rename(columns={"amt": "amnt"})
    user.save()
    message = refused(user, *user.check)
    assert "column 'amount'" in message
    assert re.search("'amt'.*rows", message)


def test_all_faults_of_a_mapping_at_once(user, refused):
    user.mapping["tables"]["transactions"]["columns"].update(amount="amnt", event_time="bookd")
    user.save()
    message = refused(user, *user.check)
    assert "2 faults" in message
    assert "event_time" in message
    assert "'amount'" in message


@pytest.mark.parametrize("name", ["source", "config"])
def test_configuration_file_that_does_not_exist(user, refused, name):
    user.save()
    path = getattr(user, name)
    path.rename(path.with_suffix(".yml"))
    message = refused(user, *user.features)
    assert f"--{name} {path} " in message
    assert f"'{path.stem}.yml'" in message


def test_misspelt_key(user, refused):
    user.run["model"]["learning_rat"] = 0.1
    user.save()
    message = refused(user, *user.train)
    assert "model.learning_rat" in message


def test_unknown_feature_family(user, refused):
    user.run["features"]["families"] = ["velocty"]
    user.save()
    for command in (user.features, user.train):
        message = refused(user, *command)
        assert "'velocty'" in message
        assert "'velocity'" in message


def test_policy_that_breaks_the_review_rule(user, refused):
    path = user.home / "configs" / "tiers" / "fraud.yaml"
    path.write_text(path.read_text().replace("review_months: 36", "review_months: 60"))
    user.save()
    message = refused(user, *user.train)
    assert str(path) in message
    assert re.search(r"\b60\b.*\b24\b", message)


@pytest.mark.parametrize("name", ["fraud/cards", "a'b", "fraud@new", "", "a:b", "fraud v2\n"])
def test_a_model_name_that_no_registry_takes(user, refused, name):
    user.run["name"] = name
    user.save()
    message = refused(user, *user.train)
    assert "name: " in message


# --- rows -----------------------------------------------------------------------------


def test_empty_transactions(user, refused):
    user.transactions = user.transactions.head(0)
    user.save()
    message = refused(user, *user.check)
    assert re.search(r"'transactions': \b0\b.*\b1\b", message)


def test_empty_file(user, refused):
    user.save()
    (user.data / "tx.csv").write_text("")
    message = refused(user, *user.check, code=5)  # it may still be copied
    assert "'tx.csv'" in message


SPOILT = [
    ("tx_no", "SECRETTX1", "duplicate key"),
    ("booked", "SECRETDAY 31/31/2024", "transactions.event_time: not a timestamp"),
    ("amt", "-987654.5", "transactions.amount: below 0"),
    ("amt", "inf", "transactions.amount: not finite"),
    ("amt", "987654,5 CNY", "transactions.amount: not a number"),
    ("client", "", "transactions.customer_id: empty"),
]


@pytest.mark.parametrize(("column", "value", "rule"), SPOILT)
def test_too_many_broken_rows(user, refused, column, value, rule):
    user.spoil(column, value, rows=60)
    user.save()
    message = refused(user, *user.train, leaves=["aside", "aside/refused.parquet"])
    assert rule in message
    assert "above max_quarantined_share 0.05" in message
    kept = pd.read_parquet(user.aside)
    assert len(kept) in {59, 60}
    assert user.aside.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("column", "value", "rule"), SPOILT)
def test_few_broken_rows_are_put_aside_without_a_value_told(user, place, column, value, rule):
    user.spoil(column, value, rows=7)
    user.save()
    outcome = place.run(*user.check, home=user.home)
    assert outcome.code == 0, outcome.err
    assert rule in outcome.err
    assert not [secret for secret in SECRETS if secret in outcome.out + outcome.err]
    assert len(pd.read_parquet(user.aside)) in {6, 7}


def test_labels_known_before_their_event(user, refused):
    user.spoil("known", "2023-12-01", rows=40, table="cases")
    user.save()
    message = refused(user, *user.train, leaves=["aside", "aside/refused.parquet"])
    assert "cases.known_at: before event_time" in message


# --- labels ---------------------------------------------------------------------------


def test_no_cases(user, refused):
    user.cases = user.cases.head(0)
    user.save()
    message = refused(user, *user.train)
    assert "classes" in message
    assert "customer_folds" in message
    assert "train: 0 positives" in message


def test_no_table_of_cases(user, refused):
    del user.mapping["tables"]["cases"], user.mapping["files"]["cs"]
    user.save()
    assert "dates" in refused(user, *user.train)


def test_no_mature_label(user, refused):
    user.run["dataset"]["label_maturity_days"] = 5000
    user.save()
    assert "check" in refused(user, *user.train)


def test_cross_validation_of_one_class(user, refused):
    user.cases = user.cases.head(0)
    user.run["splits"] = {"method": "customer_folds", "folds": 3}
    user.save()
    assert "0 positives" in refused(user, *user.train)


@pytest.mark.parametrize("splits", [None, {"method": "customer_folds", "folds": 3}])
def test_cases_that_became_known_after_the_labels_are_read_are_told(user, refused, splits):
    user.cases["known"] = ["2024-09-01"] * 20 + ["2024-09-03"] * 20
    user.cases.loc[:9, "outcome"] = "cleared"
    if splits is not None:
        user.run["splits"] = splits
    user.save()
    message = refused(user, *user.train)
    assert "0 positives" in message
    told = "40 cases, 30 .* 2024-09-01 .* 2024-09-03; "
    assert re.search(told, message)
    parts = "train, early_stopping, calibration .* 2024-0"
    assert re.search(" 2024-07-19" if splits else parts, message)
    assert "later" in message
    assert "--as-of" in message


# --- dates ----------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["yesterday", "2024-13-01", "01/02/2024", ""])
def test_wrong_date(user, refused, text):
    user.save()
    for option in ("--as-of", "--since"):
        message = refused(user, *user.features, option, text)
        assert re.search(f"{option} .*ISO.* 2024-07-01", message)


@pytest.mark.parametrize("text", ["2019-01-01", "0001-01-01", "0001-01-01T00:00+14:00"])
def test_a_date_before_any_data(user, refused, text):
    user.save()
    for command in (user.features, user.train):
        message = refused(user, *command, "--as-of", text)
        assert "date" in message or "classes" in message


@pytest.mark.parametrize("text", ["9999-12-31", "9999-12-31T23:59-14:00"])
def test_a_date_beyond_the_calendar(user, refused, text):
    user.save()
    message = refused(user, *user.features, "--as-of", text)
    assert "date" in message


def test_a_risk_review_before_any_data(user, refused):
    user.run.update(unit="risk", dataset={"horizon_days": 10, "label_maturity_days": 10})
    user.run["splits"] = {**user.run["splits"], "inner_embargo_days": 10}
    user.save()
    message = refused(user, *user.features, "--as-of", "2019-01-01")
    assert "2019-01-01" in message


def test_a_date_long_after_the_data_ends(user, refused):
    user.save()
    message = refused(user, *user.features, "--as-of", "2150-01-01")
    assert "2150-01-01" in message


def test_since_after_as_of(user, refused):
    user.save()
    message = refused(user, *user.features, "--since", "2024-03-02", "--as-of", "2024-03-01")
    assert re.search("2024-03-02.*2024-03-01", message)


# --- places to write ------------------------------------------------------------------


def test_out_below_a_regular_file(user, refused):
    user.save()
    user.out = user.config / "out.parquet"
    message = refused(user, *user.features)
    assert f" {user.out} " in message


def test_out_is_a_folder(user, refused):
    user.save()
    user.out = user.data
    assert os.strerror(errno.EISDIR) in refused(user, *user.features)


def test_quarantine_below_a_regular_file(user, refused):
    user.spoil("amt", "-1", rows=3)
    user.aside = user.config / "refused.parquet"
    user.save()
    assert f" {user.aside} " in refused(user, *user.check)


@pytest.mark.parametrize("place_of", ["--keep", "--page"])
def test_train_refuses_a_place_it_cannot_write_before_it_trains(user, refused, place_of):
    user.save()
    target = user.config / "below"
    message = refused(user, *user.train, place_of, target)
    assert f" {target} " in message


def test_train_refuses_a_folder_that_exists_before_it_trains(user, refused):
    user.save()
    message = refused(user, *user.train, "--keep", user.data)
    assert f" {user.data} " in message
    assert "reading: done" not in message


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk_leaves_what_was_there(user, refused, monkeypatch, call):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    user.save()
    user.out.parent.mkdir()
    user.out.write_bytes(b"the last good file")
    monkeypatch.setattr("os.fsync" if call == "fsync" else "pathlib.Path.replace", full)
    message = refused(user, *user.features)
    assert os.strerror(errno.ENOSPC) in message
    assert user.out.read_bytes() == b"the last good file"


def test_synth_on_a_full_disk_leaves_nothing(user, refused, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    user.save()
    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    small = ("--transactions", 5000, "--days", 120)
    message = refused(user, "synth", *small, "--out", user.home / "bank")
    assert os.strerror(errno.ENOSPC) in message


def test_synth_below_a_regular_file(user, refused):
    user.save()
    small = ("--transactions", 5000, "--days", 120)
    message = refused(user, "synth", *small, "--out", user.config / "bank")
    assert "written" in message


def test_synth_settings_out_of_range(user, refused):
    user.save()
    message = refused(user, "synth", "--transactions", 10, "--days", 1, "--out", user.home / "b")
    assert "2 faults" in message


# --- MLflow ---------------------------------------------------------------------------


def test_a_server_that_cannot_be_reached_is_told_soon_and_before_the_work(user, refused):
    user.save()
    start = time.monotonic()
    message = refused(user, *user.train, code=4, MLFLOW_TRACKING_URI="http://127.0.0.1:1")
    assert time.monotonic() - start < 30
    assert "http://127.0.0.1:1" in message
    assert "MLFLOW_TRACKING_URI" in message


def test_the_password_of_a_server_is_not_told(user, refused):
    user.save()
    server = "http://clerk:SECRETDAY@127.0.0.1:1"
    assert "127.0.0.1:1" in refused(user, *user.train, code=4, MLFLOW_TRACKING_URI=server)


def test_a_store_of_an_unknown_kind(user, refused):
    user.save()
    message = refused(user, *user.train, MLFLOW_TRACKING_URI="carrier-pigeon://roof")
    assert "MLFLOW_TRACKING_URI" in message


def test_a_store_that_is_no_database(user, refused):
    user.save()
    message = refused(user, *user.train, MLFLOW_TRACKING_URI=f"sqlite:///{user.config}")
    assert "MLFLOW_TRACKING_URI" in message
