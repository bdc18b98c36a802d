"""What Spark chooses to train on, and a model of it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import kyc_ml
from kyc_ml.config import SourceMapping
from kyc_ml.dataset import sample_on_spark
from kyc_ml.engines import LandedSource
from kyc_ml.errors import ConfigError, DatasetError
from kyc_ml.features import build_features, choose_features

CONFIGS = Path(__file__).parents[2] / "configs"
AS_OF = pd.Timestamp("2024-12-15", tz="UTC")


@pytest.fixture(scope="module")
def source():
    bank = kyc_ml.make_bank(kyc_ml.BankConfig(transactions=20_000, seed=11))
    return kyc_ml.contract_tables(bank.tables, timezone="UTC", base_currency="CNY").accepted


@pytest.fixture(scope="module")
def run():
    read = kyc_ml.load_section(CONFIGS / "fraud.yaml", kyc_ml.RunConfig)
    content = read.model_dump(mode="json", by_alias=True)
    content["features"] |= {"families": ["velocity"]}
    content["explain"] = {}
    content["model"] |= {"n_estimators": 8, "learning_rate": 0.2, "min_child_samples": 20}
    content["model"] |= {"n_jobs": 1, "negative_share": 1.0, "refit": "none"}
    content["calibration"] |= {"candidates": ["platt"], "folds": 2}
    return kyc_ml.RunConfig.model_validate(content)


def landed(source, folder, *, parts):
    """Write the tables as `land` does, each in some parts."""
    files = {}
    for name, table in source.tables.items():
        ends = np.linspace(0, len(table), parts + 1).astype(int)
        files[name] = tuple(folder / f"{name}-{n}.parquet" for n in range(parts))
        for path, start, end in zip(files[name], ends[:-1], ends[1:], strict=True):
            pq.write_table(table.slice(start, end - start), path)
    mapping = {"timezone": source.timezone, "base_currency": source.base_currency, "tables": {}}
    return LandedSource(
        parts=files,
        quarantine=folder,
        mapping=SourceMapping.model_construct(**mapping),
        digests=source.digests,
        quality=source.quality,
        resumed=(),
    )


def trained(source, run, **given):
    policy = kyc_ml.load_section(CONFIGS / "tiers" / "fraud.yaml", kyc_ml.TierPolicy)
    return kyc_ml.train(source, config=run, policy=policy, as_of=AS_OF, **given)


def test_all_rows_give_the_model_of_one_machine(spark, source, run, tmp_path):
    tables = landed(source, tmp_path, parts=4)
    sample = sample_on_spark(
        spark, tables, run=run, share=1.0, folder=tmp_path / "rows", as_of=AS_OF
    )
    assert sample.negatives == sample.kept
    rows = pa.concat_tables(map(pq.read_table, sample.files))
    specs = choose_features(run.features, unit=run.unit)
    features = build_features(source, rows.take(np.arange(len(rows))[::-1]), specs=specs)
    ours, theirs = trained(sample.source, run, features=features), trained(source, run)
    assert np.array_equal(ours.evidence.probability, theirs.evidence.probability)
    assert ours.quality == theirs.quality
    with pytest.raises(DatasetError, match="1 of"):
        trained(sample.source, run, features=features.take(np.arange(len(rows) - 1)))


def test_the_sample_depends_on_ids_alone(spark, source, run, tmp_path):
    chosen = []
    for parts in (1, 3):
        (tmp_path / str(parts)).mkdir()
        tables = landed(source, tmp_path / str(parts), parts=parts)
        sample = sample_on_spark(
            spark, tables, run=run, share=0.25, folder=tmp_path / f"rows{parts}", as_of=AS_OF
        )
        rows = pa.concat_tables(map(pq.read_table, sample.files))
        assert rows["observation_id"] == sample.source["transactions"]["transaction_id"]
        chosen.append(rows)
    assert chosen[0].equals(chosen[1])
    assert 0.22 < sample.negatives_kept < 0.28
    specs = choose_features(run.features, unit=run.unit)
    model = run.model.model_copy(update={"negatives_kept": sample.negatives_kept})
    sampled = trained(
        sample.source,
        run.model_copy(update={"model": model}),
        features=build_features(source, rows, specs=specs),
    )
    # the rows of the test are all of them, and their level is that of the bank
    whole = trained(source, run).evidence
    assert np.array_equal(sampled.evidence.target, whole.target)
    assert sampled.evidence.margin.mean() == pytest.approx(whole.margin.mean(), abs=0.5)


@pytest.mark.parametrize("share", [0.0, 1.5, float("nan")])
def test_a_share_is_a_share(spark, source, run, tmp_path, share):
    with pytest.raises(ConfigError, match="share"):
        sample_on_spark(
            spark, landed(source, tmp_path, parts=1), run=run, share=share, folder=tmp_path
        )


def test_a_refit_would_mix_parts(spark, source, run, tmp_path):
    model = run.model.model_copy(update={"refit": "all"})
    with pytest.raises(ConfigError, match="refit"):
        sample_on_spark(
            spark,
            landed(source, tmp_path, parts=1),
            run=run.model_copy(update={"model": model}),
            share=0.5,
            folder=tmp_path,
        )
