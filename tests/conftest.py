"""A handful of rows that every kind of feature can live on, a model of them, a bundle."""

import io
import os
import shutil
import sqlite3
import warnings
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings
from playwright.sync_api import sync_playwright
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text
from xdist.scheduler import LoadScopeScheduling

from kyc_ml.cli.terminal.sheets import Sheet
from kyc_ml.config import ModelConfig, RunConfig, load_section
from kyc_ml.contract import NOT_IN_CUSTOMERS, DataQualityReport, TableQuality
from kyc_ml.contract.quality import RuleFinding
from kyc_ml.decision import TierPolicy, learn_reference
from kyc_ml.features import EVER, FeatureSpec, FeatureTable, Formula, Latest, Own, Where, Window
from kyc_ml.features.periods import period_of
from kyc_ml.model import Model, fit_fixed
from kyc_ml.model.calibration.fitting import fit_calibrator
from kyc_ml.registry import Bundle
from kyc_ml.scoring.counts import Counts
from kyc_ml.scoring.manifest import Manifest

# what tests read is English, whatever the locale of the machine
os.environ["KYC_ML_LANGUAGE"] = "en"

# A busy machine is no failure. A law that needs more examples, or fewer, takes a multiple of this
# number, so that KYC_ML_EXAMPLES=400 searches longer in every law, and `make quick` shorter.
settings.register_profile(
    "kyc_ml", deadline=None, max_examples=int(os.environ.get("KYC_ML_EXAMPLES", "20"))
)
settings.load_profile("kyc_ml")

NIGHTS = {"test_corrupt_inputs", "test_readme_commands", "test_same_bytes", "test_survival"}
ALONE = {"test_notebooks"}


class ByFixture(LoadScopeScheduling):
    """Hands a file's tests to one process, so that what they share is made once.

    Those below end_to_end share a bank and its models: they are two portions, one of nights.
    pytest-xdist's own groups do nothing under pytest 9.2.
    """

    def _split_scope(self, nodeid):
        path, _, _ = nodeid.partition("::")
        stem = Path(path).stem
        if "end_to_end" in path:
            return "nights" if stem in NIGHTS else "end_to_end"
        if "tests/engines" in path:
            return "engines"  # they share a cluster
        return nodeid if stem in ALONE else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return ByFixture(config, log)


_FRAMES = set("━─│┃┏┓┗┛┡┩└┘┌┐├┤╇┳┴┬┼╈┻")


def require_nothing_cut(sheet, width):
    """Assert that a sheet drawn at a width says every word of every cell, unbroken."""
    drawn = io.StringIO()
    Console(file=drawn, width=width, soft_wrap=True).print(*sheet.laid_out(width), sep="\n")
    text = drawn.getvalue()
    cells = [(column, column.heading) for column in sheet.columns if sheet.headed and sheet.rows]
    for row in sheet.rows:
        cells += zip(sheet.columns, row, strict=True)
    said = [str(cell) for column, cell in cells if not column.secondary]
    said += [sheet.title, sheet.caption]
    words = [word for each in said for word in each.split()]
    assert not [word for word in words if word.isascii() and word not in text]
    shown = Counter(text)
    whole = Counter("".join(str(c) for row in sheet.rows for c in row if not isinstance(c, Text)))
    assert not {each: n for each, n in whole.items() if not each.isspace() and shown[each] < n}
    wide = [line for line in text.splitlines() if cell_len(line) > width]
    assert all(max(cell_len(word) for word in line.split()) + 24 > width for line in wide)
    assert not _FRAMES & set("".join(wide))  # a frame has no place on the next line of a terminal


@pytest.fixture(scope="session", autouse=True)
def every_table_that_a_test_prints_is_whole_in_a_narrow_terminal():
    """Draw each sheet that any command prints in any test at 80 and at 200 columns too."""
    draw = Sheet.__rich_console__

    def drawn(sheet, console, options):
        for width in (80, 200):
            require_nothing_cut(sheet, width)
        return draw(sheet, console, options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Sheet, "__rich_console__", drawn)
        yield


@pytest.fixture(scope="session")
def nothing_cut():
    return require_nothing_cut


@pytest.fixture(scope="session")
def make_store(pytestconfig, tmp_path_factory):
    """Copy an empty MLflow store into a folder, and give its address.

    A new one runs some fifty migrations, which take seconds: it is made once per version of
    MLflow and kept in pytest's cache folder.
    """
    kept = pytestconfig.cache.mkdir("mlflow") / f"{version('mlflow')}.db"

    def migrate():
        from mlflow import MlflowClient  # noqa: PLC0415  few tests need it, and it loads for long

        new = tmp_path_factory.mktemp("store") / "mlflow.db"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            MlflowClient(f"sqlite:///{new}", f"sqlite:///{new}").search_experiments()
        database = sqlite3.connect(new)
        # the default experiment remembers this folder; MLflow makes it anew where it is absent
        database.execute("DELETE FROM experiments")
        database.commit()
        database.close()
        own = kept.with_suffix(f".{os.getpid()}")
        shutil.copy(new, own)
        own.replace(kept)  # in one step: another worker may read it now

    def make(folder):
        if not kept.exists():
            migrate()
        shutil.copy(kept, folder / "mlflow.db")
        return f"sqlite:///{folder}/mlflow.db"

    return make


CONFIGS = Path(__file__).parents[1] / "configs"
QUICK = ModelConfig(n_estimators=12, min_child_samples=10, learning_rate=0.2, n_jobs=1, seed=0)


@pytest.fixture(scope="session")
def browser():
    """Start the Chromium of this machine, without a screen."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium on this machine: .ci/run installs it")
    with sync_playwright() as play:
        running = play.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield running
        running.close()


@pytest.fixture(scope="session")
def find_barriers(browser):
    """Return a function that lists what axe-core finds against a page, and what does not fit.

    The page is looked at wide in light colours, and narrow in dark ones.
    """
    axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")

    def find(html):
        found = []
        for width, scheme in ((1280, "light"), (390, "dark")):
            context = browser.new_context(
                viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
            )
            page = context.new_page()
            page.set_content(html)
            page.evaluate(axe)
            result = page.evaluate("axe.run({resultTypes: ['violations']})")
            found += [
                (width, scheme, each["id"], node["target"])
                for each in result["violations"]
                for node in each["nodes"]
            ]
            reach = page.evaluate("document.documentElement.scrollWidth")
            if reach > width:
                found.append((width, scheme, "wider than the screen", reach))
            context.close()
        return found

    return find


def _spec(name, how, *, kind="number", unit="days", **rest):
    return FeatureSpec(
        name=name,
        family=rest.pop("family", "amounts"),
        how=how,
        kind=kind,
        unit=unit,
        description=f"{name} in words",
        description_zh=f"{name}的说明",
        **rest,
    )


SPECS = (
    _spec(
        "signal",
        Window(
            table="transactions",
            key=("customer_id",),
            statistic="sum",
            period=period_of("7d"),
            value="amount",
            where=Where(column="direction", values=("in", "out")),
        ),
        unit="base currency",
        monotone=1,
    ),
    _spec("noise", Formula(operation="ratio", inputs=("signal", "unseen")), unit="ratio"),
    _spec("constant", Own(reading="night"), unit="0 or 1", family="timing"),
    _spec(
        "all_missing",
        Latest(
            table="third_party",
            key=("customer_id",),
            reading="value",
            column="value",
            where=Where(column="item", values=("score",)),
        ),
        unit="item's own unit",
        family="third_party",
    ),
    _spec(
        "channel", Own(reading="category", column="channel"), kind="category", unit="category",
        family="timing",
    ),
)  # fmt: skip
UNSEEN = _spec(
    "unseen",
    Window(table="transactions", key=(), statistic="count", period=EVER, lag_us=5),
    unit="transactions",
    intermediate=True,
)


@dataclass(frozen=True, kw_only=True)
class Small:
    """600 rows, their features and outcomes, and a model of them."""

    features: FeatureTable
    matrix: np.ndarray
    target: np.ndarray
    vocabularies: dict[str, tuple[str, ...]]
    model: Model
    quick: ModelConfig


@pytest.fixture(scope="session")
def make_spec():
    """Declare a feature by name, how it is read and what else matters to a test."""
    return _spec


@pytest.fixture(scope="session")
def configs():
    """Folder of the shipped configurations."""
    return CONFIGS


@pytest.fixture(scope="session")
def policy():
    """Give the shipped tier policy of the fraud model."""
    return load_section(CONFIGS / "tiers" / "fraud.yaml", TierPolicy)


@pytest.fixture(scope="session")
def make_table():
    """Put numbers and categories into a feature table of these specs."""

    def make(specs, numbers, categories):
        n = len(numbers)
        when = pd.date_range("2024-01-31", periods=n, freq="h", tz="UTC", unit="us")
        keys = {
            "observation_id": pa.array([f"o{row}" for row in range(n)]),
            "customer_id": pa.array([f"c{row % 7}" for row in range(n)]),
            "decision_time": pa.array(when.tz_localize(None)).cast(pa.timestamp("us", "UTC")),
        }
        return FeatureTable(
            keys=pa.table(keys),
            specs=tuple(specs),
            numbers=np.asfortranarray(np.asarray(numbers, dtype=np.float64)),
            categories={name: pa.array(values, pa.string()) for name, values in categories.items()},
            unavailable={},
        )

    return make


@pytest.fixture(scope="session")
def small(make_table):
    """Make rows whose outcome depends on `signal` and `channel` only."""
    rng = np.random.default_rng(0)
    n = 600
    signal, noise = rng.normal(size=n), rng.normal(size=n)
    noise[rng.random(n) < 0.3] = np.nan
    channel = rng.choice(["app", "branch", "web", None], size=n, p=[0.4, 0.2, 0.3, 0.1])
    logit = 1.5 * signal - 1.5 + np.where(channel == "web", 1.5, 0.0)
    target = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.float64)
    blank = np.full(n, np.nan)
    numbers = np.column_stack([signal, noise, np.ones(n), blank, blank])
    features = make_table(SPECS, numbers, {"channel": list(channel)})
    vocabularies = features.learn_vocabularies(np.ones(n, bool))
    matrix, _ = features.encode(vocabularies)
    model = fit_fixed(matrix, target, specs=SPECS, config=QUICK)
    return Small(
        features=features,
        matrix=matrix,
        target=target,
        vocabularies=vocabularies,
        model=model,
        quick=QUICK,
    )


@pytest.fixture(scope="session")
def bundle(small, policy):
    """Bundle the small model; one median is unknown, and one figure undefined."""
    margin = small.model.margin(small.matrix)
    return Bundle(
        model=small.model,
        calibrator=fit_calibrator(margin, small.target, method="isotonic"),
        policy=policy,
        config=load_section(CONFIGS / "fraud.yaml", RunConfig),
        specs=(*SPECS, UNSEEN),
        vocabularies=small.vocabularies,
        reference=learn_reference(small.features, np.ones(len(small.features), bool)),
        metrics={"test": {"auc": 0.9, "auc_low": float("nan")}},
        data={"name": "small", "as_of": "2024-07-01", "base_currency": "CNY"},
    )


UNTIL = pd.Timestamp("2024-06-26")
"""End of the extract's last day, a Tuesday."""


def _stream(rng, *, per_day, days=440):
    """Draw times of what happens by day, less at weekends, none at night."""
    day = pd.date_range(end=UNTIL - pd.Timedelta(days=1), periods=days, freq="D", unit="us")
    rows = rng.poisson(per_day * np.where(day.day_of_week >= 5, 0.6, 1.0))
    hours = 8 + 14 * rng.beta(2, 2, rows.sum())
    when = day.repeat(rows) + pd.to_timedelta((hours * 3.6e9).astype("int64"), unit="us")
    return when.sort_values()


@pytest.fixture(scope="session")
def extract(tmp_path_factory):
    """Write a bank of 440 calm days as Parquet: payments, events, monthly reports, customers."""
    rng = np.random.default_rng(11)
    folder = tmp_path_factory.mktemp("extract")
    when, seen = _stream(rng, per_day=150), _stream(rng, per_day=120)
    n, m = len(when), len(seen)
    months = pd.date_range(end=UNTIL, periods=14, freq="MS", unit="us").normalize()
    reported = (months + pd.Timedelta(days=2)).repeat(80)
    tables = {
        "transactions": {
            "transaction_id": [f"t{row:06d}" for row in range(n)],
            "customer_id": [f"c{who:03d}" for who in rng.integers(0, 300, n)],
            "event_time": when,
            "amount": rng.lognormal(4, 1, n).round(2),
            "direction": rng.choice(["in", "out"], n, p=[0.4, 0.6]),
            "balance": rng.normal(5_000, 1_000, n).round(2),
            "counterparty_id": rng.choice(["x1", "x2", "x3", None], n, p=[0.4, 0.3, 0.2, 0.1]),
            "channel": rng.choice(["app", "branch", "web"], n, p=[0.5, 0.3, 0.2]),
        },
        "events": {
            "event_id": [f"e{row:06d}" for row in range(m)],
            "customer_id": [f"c{who:03d}" for who in rng.integers(0, 300, m)],
            "event_time": seen,
            "event_type": rng.choice(["login", "failed_login"], m, p=[0.9, 0.1]),
        },
        "third_party": {
            "report_id": [f"r{row:05d}" for row in range(len(reported))],
            "customer_id": [f"c{who:03d}" for who in rng.integers(0, 300, len(reported))],
            "event_time": reported,
            "provider": "bureau",
            "item": "score",
            "value": rng.normal(600, 50, len(reported)),
        },
        "customers": {
            "customer_id": [f"c{who:03d}" for who in range(300)],
            "event_time": [pd.Timestamp("2023-01-01")] * 300,
            "customer_type": "person",
            "pep_status": np.where(np.arange(300) < 60, "domestic", "none"),
            "declared_income": rng.lognormal(11, 0.5, 300).round(),
        },
    }
    for name, columns in tables.items():
        table = pa.Table.from_pandas(pd.DataFrame(columns), preserve_index=False)
        utc = table["event_time"].cast(pa.timestamp("us", "UTC"))
        table = table.set_column(table.column_names.index("event_time"), "event_time", utc)
        pq.write_table(table, folder / f"{name}.parquet", write_page_checksum=True)
    return folder


def quality_of(*, read=100, refused=0, late=0, unknown=0):
    """Make a summary of a table of transactions."""
    why = RuleFinding(
        table="transactions", column="amount", rule="below 0", count=refused, cure="c"
    )
    who = RuleFinding(
        table="transactions", column="customer_id", rule=NOT_IN_CUSTOMERS, count=unknown, cure="c"
    )
    table = TableQuality(
        table="transactions",
        read=read,
        accepted=read - refused,
        quarantined=refused,
        reasons=(why,) if refused else (),
        missing={"amount": 0.0, "channel": 1 / 3},
        first_event_time=datetime(2024, 1, 1, tzinfo=UTC),
        last_event_time=datetime(2024, 3, 1, 12, 0, 0, 1, tzinfo=UTC),
        late_rows=late,
    )
    return DataQualityReport(tables=(table,), warnings=(who,) if unknown else ())


@pytest.fixture(scope="session")
def make_quality():
    return quality_of


@pytest.fixture
def make_manifest():
    """Make an account of a run of five rows."""

    def make(**changed):
        drift = pd.DataFrame(
            {
                "column": ["probability", "signal"],
                "psi": [0.1 + 0.2, np.nan],
                "critical_99": [1 / 3, 0.0],
                "drifted": [False, True],
                "not_counted": ["", "all history"],
            }
        )
        content = {
            "identity": {"input tx.csv": "a" * 64, "model": "模型 1"},
            "as_of": "2024-03-01T00:00:00+00:00",
            "scored_by": "model",
            "reason": "",
            "observations": 5,
            "customers": 2,
            "not_scored": {"not due yet": 4},
            "quality": quality_of(refused=3, late=1, unknown=2),
            "counts": Counts(
                rows=5, tiers={"low": 3, "high": 2}, expected={"low": 0.1 + 0.2, "high": 1 / 3},
                unknown_categories={"channel": 1}, graded={"rows": 1}, unchecked={"floor": "why"},
                profile={"signal": [0, 5]},
            ),
            "drift": drift,
            "faults": ("one", "zwei 二"),
            "files": {"scores/part-00000.parquet": "b" * 64},
        }  # fmt: skip
        return Manifest(**{**content, **changed})

    return make
