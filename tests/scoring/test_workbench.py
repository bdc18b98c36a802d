"""The jobs' work in memory gives what the jobs give, and writes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import kyc_ml
from kyc_ml.contract import end_of_data
from kyc_ml.contract.contracted import ReadSource
from kyc_ml.errors import ConfigError, DatasetError, LeakageError
from kyc_ml.training.facts import state_facts

CONFIGS = Path(__file__).parents[2] / "configs"
AS_OF = pd.Timestamp("2024-09-15", tz="UTC")
LATER = pd.Timestamp("2024-12-15", tz="UTC")


@pytest.fixture(scope="module")
def source():
    bank = kyc_ml.make_bank(kyc_ml.BankConfig(transactions=30_000, seed=11))
    return kyc_ml.contract_tables(
        bank.tables, timezone="Asia/Shanghai", base_currency="CNY"
    ).accepted


@pytest.fixture(scope="module")
def config():
    run = kyc_ml.load_section(CONFIGS / "fraud.yaml", kyc_ml.RunConfig)
    content = run.model_dump(mode="json", by_alias=True)
    content["features"] |= {"families": ["velocity", "devices"]}
    content["model"] |= {"n_estimators": 25, "learning_rate": 0.2, "min_child_samples": 20}
    content["model"] |= {"n_jobs": 1}
    content["calibration"] |= {"candidates": ["platt"], "folds": 2}
    content["tuning"] |= {"folds": {"method": "prequential", "folds": 1}}
    return kyc_ml.RunConfig.model_validate(content)


@pytest.fixture(scope="module")
def trained(source, config):
    policy = kyc_ml.load_section(CONFIGS / "tiers" / "fraud.yaml", kyc_ml.TierPolicy)
    return kyc_ml.train(source, config=config, policy=policy, as_of=AS_OF, data={"source": "test"})


@pytest.fixture(scope="module")
def twin(trained):
    """Give the same model under another name."""
    renamed = trained.bundle.config.model_copy(update={"name": "twin"})
    return replace(trained.bundle, config=renamed)


@pytest.fixture(autouse=True)
def _nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.iterdir())


def test_tables_of_any_library_pass_the_same_contract(source):
    polars = {name: pl.DataFrame(table) for name, table in source.tables.items()}
    polars["transactions"] = polars["transactions"].with_columns(pl.col("channel").cast(pl.Enum(
        polars["transactions"]["channel"].drop_nulls().unique().sort())))  # fmt: skip
    again = kyc_ml.contract_tables(polars, timezone="Asia/Shanghai", base_currency="CNY").accepted
    assert all(again[name].equals(source[name]) for name in source.tables)
    assert source.to_pandas()["cases"].equals(source["cases"].to_pandas())


def test_what_is_no_table_is_named():
    with pytest.raises(kyc_ml.KycMlError, match="'cases'"):
        kyc_ml.contract_tables({"cases": [1]}, base_currency="CNY")


def test_a_feature_table_goes_to_any_library(trained):
    features = trained.evidence.features
    assert pa.table(features).equals(features.to_arrow())
    assert pl.DataFrame(features).shape == (len(features), 3 + len(features.specs))


def test_validation_of_one_check_gives_the_figures_of_that_check(source, trained):
    gates = CONFIGS / "validation.yaml"
    some = kyc_ml.validate(
        trained.bundle, source, policy=gates, rows="test", only=["discrimination", "data.lineage"]
    )
    one = kyc_ml.validate(
        trained.bundle, source, policy=gates, rows="test", only=["discrimination.auc"]
    )
    assert not some.complete
    auc = one.result("discrimination.auc")
    assert auc.to_frame().equals(some.result("discrimination.auc").to_frame())
    judged = trained.quality["LightGBM"]["test"]
    assert auc.figure("auc").value == pytest.approx(judged.auc, abs=0.02)
    assert some.result("data.lineage").verdict == "not_applicable"
    assert len(some.to_frame()) == len(some.results)
    drawn = kyc_ml.plot_check(some.result("discrimination.ranking"))
    assert all(figure.axes for figure in drawn)


def test_tiers_are_not_fitted_on_rows_that_a_model_learned_from(source, trained):
    with pytest.raises(LeakageError, match="learned-rows"):
        kyc_ml.fit_tiers(trained.bundle, source, since="2024-03-01")


def test_a_model_is_not_better_than_its_twin(source, trained, twin):
    compared = kyc_ml.compare(trained.bundle, twin, source)
    assert compared.verdict == "not shown better"
    assert (compared.metrics["difference"] == 0).all()
    assert compared.moved.empty


def test_a_model_is_not_held_against_itself(source, trained):
    with pytest.raises(ConfigError, match="bundle"):
        kyc_ml.compare(trained.bundle, trained.bundle, source)


def test_a_bundle_knows_its_date_and_currency_by_itself(trained):
    assert trained.bundle.data == {
        "source": "test",
        "as_of": AS_OF.isoformat(),
        "base_currency": "CNY",
    }


def test_no_caller_may_date_a_bundle_back(source, config, trained):
    policy = trained.bundle.policy
    for stated in ("2024-06-20", "2024-09-15T00:00:00+08:00", AS_OF - pd.Timedelta(days=1)):
        with pytest.raises(LeakageError, match=r"until 2024-09-15T00:00:00\+00:00"):
            kyc_ml.train(source, config=config, policy=policy, as_of=AS_OF, data={"as_of": stated})
    with pytest.raises(ConfigError, match=r"base_currency 'EUR'.*'CNY'"):
        kyc_ml.train(
            source, config=config, policy=policy, as_of=AS_OF, data={"base_currency": "EUR"}
        )


def test_a_date_said_twice_alike_is_one_date(source):
    for stated in ("2024-09-15", "2024-09-15T08:00:00+08:00", AS_OF.tz_convert("Asia/Shanghai")):
        facts = state_facts({"as_of": stated}, source, as_of=AS_OF)
        assert facts == {"as_of": AS_OF.isoformat(), "base_currency": "CNY"}


def test_a_time_has_a_zone_or_is_text(source, config, trained, twin):
    naive, policy = AS_OF.tz_localize(None), trained.bundle.policy
    gates, bundle = CONFIGS / "validation.yaml", trained.bundle
    uses = {
        "as_of": (
            lambda at: kyc_ml.train(source, config=config, policy=policy, as_of=at),
            lambda at: kyc_ml.tune(source, config=config, as_of=at),
            lambda at: kyc_ml.compare(bundle, twin, source, as_of=at),
            lambda at: kyc_ml.validate(bundle, source, policy=gates, as_of=at),
            lambda at: kyc_ml.fit_tiers(bundle, source, as_of=at),
        ),
        "since": (
            lambda at: kyc_ml.compare(bundle, twin, source, since=at),
            lambda at: kyc_ml.validate(bundle, source, policy=gates, since=at),
            lambda at: kyc_ml.fit_tiers(bundle, source, since=at),
        ),
    }
    for name, use in ((name, use) for name, of_name in uses.items() for use in of_name):
        with pytest.raises(ConfigError, match=f"{name} .*timezone.* 2024-09-15T00"):
            use(naive)
        with pytest.raises(ConfigError, match=f"{name} .*ISO"):
            use("15/09/2024")


def test_text_is_the_instant_that_the_command_line_reads(source, trained, twin):
    by_text = kyc_ml.compare(trained.bundle, twin, source, as_of="2024-12-15", since="2024-09-20")
    by_time = kyc_ml.compare(
        trained.bundle,
        twin,
        source,
        as_of=pd.Timestamp("2024-12-15", tz=source.timezone),
        since=pd.Timestamp("2024-09-20", tz=source.timezone),
    )
    assert by_text.metrics.equals(by_time.metrics)


def test_an_argument_of_another_kind_is_named_with_the_cure(source, config, trained):
    policy, path, read = trained.bundle.policy, CONFIGS / "fraud.yaml", ReadSource(
        accepted=source, quarantine=pa.table({})
    )  # fmt: skip
    asked = {"config": config, "policy": policy, "as_of": AS_OF}
    uses = {
        "config must be a RunConfig, got PosixPath: read a file with kyc_ml.load_section": (
            lambda: kyc_ml.train(source, **{**asked, "config": path}),
            lambda: kyc_ml.tune(source, config=path),
        ),
        "policy must be a TierPolicy, got str: read a file": (
            lambda: kyc_ml.train(source, **{**asked, "policy": "tiers.yaml"}),
        ),
        "policy must be a ValidationPolicy, got str: or give the Path": (
            lambda: kyc_ml.validate(trained.bundle, source, policy="validation.yaml"),
        ),
        "source must be a ContractedTables, got ReadSource: give .accepted": (
            lambda: kyc_ml.train(read, **asked),
            lambda: kyc_ml.tune(read, config=config),
            lambda: kyc_ml.fit_tiers(trained.bundle, read),
            lambda: kyc_ml.explain_one(trained.bundle, read, "1"),
            lambda: kyc_ml.FeatureBuilder(read, trained.bundle.specs).fit(source["transactions"]),
        ),
        "challenger must be a Bundle, got Trained: give .bundle": (
            lambda: kyc_ml.compare(trained, trained.bundle, source),
        ),
        "observation must be a str, got int: ids are text": (
            lambda: kyc_ml.explain_one(trained.bundle, source, 15000),
        ),
        "as_of must be a Timestamp with a zone, .*, got NaT": (
            lambda: kyc_ml.train(source, **{**asked, "as_of": pd.NaT}),
        ),
        "as_of must be a Timestamp with a zone, .*, got date": (
            lambda: kyc_ml.train(source, **{**asked, "as_of": AS_OF.date()}),
        ),
    }
    for told, of_kind in uses.items():
        for use in of_kind:
            with pytest.raises(ConfigError, match=told):
                use()


def test_a_bundle_that_names_no_currency_says_so(source, trained):
    silent = replace(trained.bundle, data={"as_of": AS_OF.isoformat()})
    with pytest.raises(ConfigError, match="base_currency"):
        kyc_ml.fit_tiers(silent, source)


def test_rows_that_a_model_may_have_learnt_from_judge_nothing(source, trained, twin):
    early = AS_OF - pd.Timedelta(days=1)
    with pytest.raises(LeakageError, match="2024-"):
        kyc_ml.compare(trained.bundle, twin, source, since=early)
    with pytest.raises(LeakageError, match="2024-"):
        kyc_ml.validate(
            trained.bundle, source, policy=CONFIGS / "validation.yaml", since=early, only=["data"]
        )


def test_another_currency_is_refused(source, trained, twin):
    euros = replace(source, base_currency="EUR")
    with pytest.raises(ConfigError, match="base_currency is EUR"):
        kyc_ml.fit_tiers(trained.bundle, euros)
    with pytest.raises(ConfigError, match="base_currency is EUR"):
        kyc_ml.compare(trained.bundle, twin, euros)


def test_cut_offs_are_proposed_and_nothing_is_changed(source, trained):
    content = trained.bundle.policy.model_dump(mode="json", by_alias=True)
    content["fit"] = {"whole": {"method": "fixed"}}
    content["fit"]["samples"] = 20
    policy = kyc_ml.TierPolicy.model_validate(content)
    fitted = kyc_ml.fit_tiers(trained.bundle, source, policy=policy)
    assert fitted.in_force == policy
    assert fitted.proposal.policy.approver is None
    assert fitted.proposal.policy.cut_offs() == policy.cut_offs()
    assert fitted.path is None
    assert "Fitted tiers" in repr(fitted)
    assert fitted.since >= trained.boundaries.parts["test"][0]


def test_cut_offs_are_fitted_on_nothing_after_the_end_of_the_data(source, trained):
    content = trained.bundle.policy.model_dump(mode="json", by_alias=True)
    content["fit"] = {"whole": {"method": "fixed"}, "samples": 0}
    policy = kyc_ml.TierPolicy.model_validate(content)
    cases = source["cases"]
    known = cases["known_at"].to_pylist()
    known[0] = max(known) + pd.Timedelta(days=366)
    place = cases.schema.get_field_index("known_at")
    cases = cases.set_column(place, cases.field(place), pa.array(known, cases.field(place).type))
    late = replace(source, tables={**source.tables, "cases": cases})
    dataset = trained.bundle.config.dataset
    label_delay = pd.Timedelta(days=dataset.horizon_days + dataset.label_maturity_days)
    end = end_of_data(source)
    fitted = kyc_ml.fit_tiers(trained.bundle, late, policy=policy)
    assert fitted.until == end - label_delay
    asked = kyc_ml.fit_tiers(trained.bundle, late, policy=policy, as_of=pd.Timestamp(known[0]))
    assert asked.until == end


def test_one_observation_is_explained_as_it_was_scored(source, trained):
    scores = kyc_ml.score_features(trained.bundle, trained.evidence.features).to_pandas()
    row = scores.sort_values("margin").iloc[-1]
    case = kyc_ml.explain_one(trained.bundle, source, row["observation_id"], reasons=3)
    assert case.margin == pytest.approx(row["margin"], abs=1e-12)
    codes = [row[f"reason_{k}_code"] for k in (1, 2, 3)]
    assert case.contributions["code"].tolist() == [code for code in codes if isinstance(code, str)]
    assert all(case.lowering.note)
    assert case.decided == row["decision_time"]
    assert f"{case.decided:%Y-%m-%d %H:%M} Asia/Shanghai" in repr(case)  # the source's own days
    with pytest.raises(DatasetError, match="'nobody'"):
        kyc_ml.explain_one(trained.bundle, source, "nobody")


def test_a_search_can_be_trained_with(source, config):
    tuned = kyc_ml.tune(source, config=config, as_of=LATER, trials=2)
    assert tuned.trials["trial"].tolist() == [0, 1]
    assert tuned.comparison.sentence in repr(tuned)
    assert tuned.config.model == tuned.comparison.taken
    assert tuned.config.features == config.features


def test_parameters_that_are_kept_have_no_table_beside_their_sentence(source, config):
    tuned = kyc_ml.tune(source, config=config, as_of=LATER, trials=1)
    assert "kept" in tuned.comparison.sentence
    assert tuned.comparison.table.empty
    assert tuned._repr_html_().count("<table") == 1  # the facts alone


def test_a_study_that_is_kept_is_gone_on_with(source, config, tmp_path_factory):
    study = tmp_path_factory.mktemp("study") / "study.db"
    kyc_ml.tune(source, config=config, as_of=LATER, trials=1, study=study)
    again = kyc_ml.tune(source, config=config, as_of=LATER, trials=2, study=study)
    assert again.search.resumed == 1


def test_every_result_introduces_itself_without_a_customers_value(source, trained, twin):
    gates = CONFIGS / "validation.yaml"
    one = ["discrimination.auc"]
    report = kyc_ml.validate(trained.bundle, source, policy=gates, rows="test", only=one)
    results = {
        "ContractedTables": source,
        "FeatureTable": trained.evidence.features,
        "Trained": trained,
        "Bundle": trained.bundle,
        "TierPolicy": trained.bundle.policy,
        "Validation": report,
        "Check": report.results[0],
        "Comparison": kyc_ml.compare(trained.bundle, twin, source),
    }
    customers = set(source["customers"]["customer_id"].to_pylist())
    for name, result in results.items():
        for said in (repr(result), result._repr_html_()):
            assert name in said
            assert len(said) < 6_000
            assert not customers & set(said.replace("<", " ").replace(">", " ").split())
        assert len(repr(result).splitlines()) < 30


def test_repeated_names_and_markup_are_escaped():
    from kyc_ml.display import say_in_html  # noqa: PLC0415  only here

    said = say_in_html("<b>", {"<i>": "<u>"}, tables=[pd.DataFrame({"<s>": ["<p>x"]})])
    assert not any(tag in said for tag in ("<b>", "<i>", "<u>", "<s>", "<p>x"))
