"""Rows with a known truth, scored by a small model, and a policy to judge them by."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from kyc_ml.config import ModelConfig, RunConfig, load_section
from kyc_ml.decision import TierPolicy, learn_reference
from kyc_ml.features import FeatureTable, Own
from kyc_ml.metrics import compute_metrics
from kyc_ml.model import fit_fixed
from kyc_ml.model.calibration.fitting import fit_calibrator
from kyc_ml.registry import Bundle
from kyc_ml.validation import CHECKS, load_policy
from kyc_ml.validation.catalogue import PROCEDURES
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.policy import Group
from kyc_ml.validation.rows import ScoredRows, score_built
from kyc_ml.validation.run.checks import run_check
from kyc_ml.validation.text import Text

START = pd.Timestamp("2024-01-01", tz="UTC")
DAY = pd.Timedelta(days=1)
MODEL = ModelConfig(n_estimators=40, num_leaves=7, min_child_samples=50, n_jobs=1, seed=0)


@dataclass(frozen=True, kw_only=True)
class World:
    """Draws rows whose true log-odds are known, from one law."""

    specs: tuple

    def draw(self, n, *, seed, first_day, days=30, base=-3.0, segment_shift=0.0):
        """Draw features and outcomes; `base` moves the prior, `segment_shift` one segment."""
        rng = np.random.default_rng(seed)
        signal, other, plain = rng.normal(size=(3, n))
        segment = rng.choice(["retail", "private", "corporate"], size=n, p=[0.6, 0.25, 0.15])
        corporate = segment == "corporate"
        odds = base + 1.4 * signal + 0.9 * other + np.where(corporate, 0.5 + segment_shift, 0.0)
        target = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(np.float64)
        numbers = np.column_stack([signal, other, plain, np.full(n, np.nan)])
        day = np.sort(rng.integers(0, days, n)) + first_day
        when = START + pd.to_timedelta(day * 24 + rng.integers(0, 24, n), unit="h")
        customer = rng.integers(0, n // 2, n)
        keys = {
            "observation_id": pa.array([f"o{first_day}-{row}" for row in range(n)]),
            "customer_id": pa.array([f"c{each}" for each in customer]),
            "decision_time": pa.array(when.tz_localize(None).as_unit("us")).cast(
                pa.timestamp("us", "UTC")
            ),
        }
        features = FeatureTable(
            keys=pa.table(keys),
            specs=self.specs,
            numbers=np.asfortranarray(numbers),
            categories={"segment": pa.array(list(segment), pa.string())},
            unavailable={},
        )
        return features, target


@pytest.fixture(scope="session")
def world(make_spec):
    own = Own(reading="night")
    specs = (
        make_spec("signal", own, monotone=1),
        make_spec("other", own),
        make_spec("plain", own),
        make_spec("segment", Own(reading="category", column="channel"), kind="category"),
    )
    return World(specs=specs)


@pytest.fixture(scope="session")
def tested_bundle(world, configs):
    """Fit a small model on drawn rows, and calibrate it on others."""
    features, target = world.draw(12_000, seed=1, first_day=0, days=90)
    vocabularies = features.learn_vocabularies(np.ones(len(features), bool))
    matrix, _ = features.encode(vocabularies)
    model = fit_fixed(matrix, target, specs=world.specs, config=MODEL)
    later, outcome = world.draw(12_000, seed=2, first_day=90)
    margin = model.margin(later.encode(vocabularies)[0])
    calibrator = fit_calibrator(margin, outcome, method="platt")
    test, seen = world.draw(12_000, seed=3, first_day=120)
    tested = model.margin(test.encode(vocabularies)[0])
    quality = compute_metrics(seen, tested, calibrator.probability(tested))
    return Bundle(
        model=model,
        calibrator=calibrator,
        policy=load_section(configs / "tiers" / "fraud.yaml", TierPolicy),
        config=load_section(configs / "fraud.yaml", RunConfig),
        specs=world.specs,
        vocabularies=vocabularies,
        reference=learn_reference(
            features,
            np.ones(len(features), bool),
            contributions=lambda rows: model.contributions(matrix[rows]).values,  # noqa: PD011
        ),
        metrics={"test": quality.as_dict()},
        data={"name": "world", "as_of": "2024-06-01", "base_currency": "CNY"},
    )


@pytest.fixture(scope="session")
def score(tested_bundle):
    """Score drawn rows as a validation does."""

    def make(drawn, *, role="current", **rest) -> ScoredRows:
        features, target = drawn
        times = features.keys["decision_time"].to_pandas()
        first, last = times.min().normalize(), times.max().normalize() + DAY
        n = len(features)
        rng = np.random.default_rng(0)
        return ScoredRows(
            **score_built(tested_bundle, features),
            role=role,
            origin=Text(f"{role} rows", f"{role} 样本"),
            since=first,
            until=last,
            status=np.where(target == 1, "positive", "negative").astype(object),
            evaluated=np.ones(n, bool),
            end=last,
            typology=np.where(target == 1, rng.choice(["mule", "theft"], n), None),
            arrival_days=np.where(target == 1, rng.exponential(10, n), np.nan),
            amount=rng.lognormal(4, 1, n),
            **rest,
        )

    return make


@pytest.fixture(scope="session")
def evidence(world, tested_bundle, score):
    """Later rows of the very law that the model was trained on."""
    test = score(world.draw(12_000, seed=3, first_day=120), role="reference")
    return ReviewEvidence(
        bundle=tested_bundle,
        as_of=START + 400 * DAY,
        current=score(world.draw(12_000, seed=4, first_day=160, days=60)),
        reference=test,
        train=score(world.draw(6_000, seed=1, first_day=0, days=90), role="train"),
        recorded=compute_metrics(test.target, test.evaluated_margin, test.evaluated_probability),
        recorded_part="test",
        threads=1,
    )


@pytest.fixture(scope="session")
def rules(configs):
    """Take the shipped policy, with segments and groups of these rows and few draws."""
    policy = load_policy(configs / "validation.yaml", checks=CHECKS)
    settings = policy.settings.model_copy(
        update={
            "segments": ("segment",),
            "groups": (Group(feature="segment"), Group(feature="plain", cuts=(0.0,))),
            "draws": 100,
            "perturbed_rows": 3_000,
        }
    )
    return policy.model_copy(update={"settings": settings})


@pytest.fixture(scope="session")
def check(rules):
    """Run one check against the policy."""

    def run(name, evidence, **settings):
        changed = rules.settings.model_copy(update=settings)
        result, found = run_check(
            PROCEDURES[name],
            evidence,
            policy=rules.model_copy(update={"settings": changed}),
            command="",
        )
        return result, found

    return run


@pytest.fixture(scope="session")
def with_current(evidence):
    """Put other rows in the place of the current ones."""
    return lambda rows: replace(evidence, current=rows)
