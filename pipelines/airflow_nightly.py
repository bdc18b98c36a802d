"""The nightly job as an Airflow 3 DAG: one task that runs nightly.py for the logical date.

Copy this file into Airflow's folder of DAGs. Airflow itself does not need kyc_ml: the task calls
the Python of the environment in KYC_HOME. Settings of a bank are environment variables of the
worker (`Settings`), and so is MLFLOW_TRACKING_URI.

The run of 3:00 in KYC_TIMEZONE scores the day that ended at midnight there. A run that was killed,
that could not reach MLflow (exit code 4), or whose input had not arrived (5), is tried again and
resumes where it stopped. A run that was refused (exit code 1 or 2) is not tried again, because the
same arguments would be refused again: see pipelines/README.md. With KYC_FIRST_NIGHT, Airflow runs
the nights since then that it missed, one after another; without it, none before today.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self
from zoneinfo import ZoneInfo

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, CronTriggerTimetable
from airflow.sdk.exceptions import AirflowFailException

REFUSED: Final = {1: "a limit was exceeded", 2: "bad input, configuration or model"}
"""Exit codes of nightly.py after which a second try would fail too."""
LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Airflow wants a start; without `catchup` it runs the latest night only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Files, folders and models of a bank.

    Attributes
    ----------
    home : Path
        KYC_HOME: the checkout of kyc_ml, with its environment in .venv.
    source, data, out : Path
        KYC_SOURCE: the source mapping; KYC_DATA: the folder of its files; KYC_OUT: the folder
        for the scores of all nights.
    models : tuple of str
        KYC_MODELS: addresses of approved models, separated by spaces.
    options : tuple of str
        KYC_OPTIONS: further options of nightly.py, in the syntax of a shell.
    timezone : ZoneInfo
        KYC_TIMEZONE: the time zone of the source mapping, whose midnight ends a day.
    first_night : datetime or None
        KYC_FIRST_NIGHT: first day to run (ISO date). Airflow also runs the nights since then; None
        runs no earlier night.
    """

    home: Path
    source: Path
    data: Path
    out: Path
    models: tuple[str, ...]
    options: tuple[str, ...]
    timezone: ZoneInfo
    first_night: datetime | None

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Self:
        """Read the settings from environment variables."""
        home = Path(variables.get("KYC_HOME", "/srv/kyc"))
        zone = ZoneInfo(variables.get("KYC_TIMEZONE", "UTC"))
        first = variables.get("KYC_FIRST_NIGHT")
        models = variables.get("KYC_MODELS", "models:/fraud@champion models:/risk@champion")
        return cls(
            home=home,
            source=Path(variables.get("KYC_SOURCE", home / "configs/sources/mine.yaml")),
            data=Path(variables.get("KYC_DATA", "/srv/in")),
            out=Path(variables.get("KYC_OUT", "/srv/out")),
            models=tuple(models.split()),
            options=tuple(shlex.split(variables.get("KYC_OPTIONS", ""))),
            timezone=zone,
            first_night=datetime.fromisoformat(first).replace(tzinfo=zone) if first else None,
        )

    def command(self, day: str) -> list[str]:
        """Return the command that scores the day before `day` (ISO date)."""
        line = [str(self.home / ".venv/bin/python"), "pipelines/nightly.py", "--log", "json"]
        line += ["--source", str(self.source), "--data", str(self.data)]
        line += ["--as-of", day, "--out", str(self.out)]
        for model in self.models:
            line += ["--model", model]
        return [*line, *self.options]


SETTINGS: Final = Settings.of(os.environ)


def score(logical_date: datetime | None = None) -> None:
    """Score the day before the logical date; Airflow passes the date by the argument's name.

    Raises
    ------
    AirflowFailException
        If the job was refused, or the run has no logical date; Airflow does not try again.
    RuntimeError
        If the job was killed, failed by a defect, could not reach MLflow or had no input yet;
        Airflow tries again.
    """
    if logical_date is None:
        msg = "this run has no logical date: trigger it with one, the day after the night to score"
        raise AirflowFailException(msg)
    day = logical_date.astimezone(SETTINGS.timezone).date().isoformat()
    code = subprocess.run(SETTINGS.command(day), cwd=SETTINGS.home, check=False).returncode  # noqa: S603  a list, no shell
    if code in REFUSED:
        msg = f"refused with exit code {code}: {REFUSED[code]}; the log above has the reason"
        raise AirflowFailException(msg)
    if code:
        msg = f"ended with exit code {code}; the next try resumes where this one stopped"
        raise RuntimeError(msg)


with DAG(
    dag_id="kyc_nightly",
    description="Check the source, score the day with each model, check limits, publish",
    schedule=CronTriggerTimetable("0 3 * * *", timezone=str(SETTINGS.timezone)),
    start_date=SETTINGS.first_night or LONG_AGO,
    catchup=SETTINGS.first_night is not None,
    max_active_runs=1,
    tags=["kyc_ml"],
) as dag:
    PythonOperator(
        task_id="score",
        python_callable=score,
        retries=3,
        retry_delay=timedelta(minutes=5),
        execution_timeout=timedelta(hours=6),
    )
