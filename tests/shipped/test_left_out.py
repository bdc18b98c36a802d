"""Whatever optional column or table a source lacks, what was trained on it can be used on it."""

import re
from dataclasses import replace
from types import SimpleNamespace

import hypothesis.strategies as st
import pandas as pd
import pytest
import yaml
from hypothesis import given

import kyc_ml
from kyc_ml.config import SplitConfig
from kyc_ml.contract import CONTRACT, KNOWN_AT, end_of_data
from kyc_ml.contract.source import read_source
from kyc_ml.decision import (
    NO_OVERRIDES,
    TierPolicy,
    load_run,
    merge_specs,
    policy_features,
    save_sheet,
)
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import ConfigError, DatasetError
from kyc_ml.features import choose_features, incomplete, split_available
from kyc_ml.features.build import chosen_unavailable, in_table_order
from kyc_ml.features.prepare import columns_of
from kyc_ml.registry import features_of_bundle, load_bundle, save_bundle
from kyc_ml.scoring import ScoringRequest, run_score
from kyc_ml.scoring.case import make_case
from kyc_ml.scoring.counterfactual import find_counterfactual
from kyc_ml.scoring.explain_job import list_customer_facts
from kyc_ml.scoring.one_observation import find_observation
from kyc_ml.scoring.sheet_content import make_sheet
from kyc_ml.training.evidence import needed_specs
from kyc_ml.training.train_job import train_on

FORMS = ("fraud", "risk", "handbook", "berka", "amlsim")
GROUPS = 3


@pytest.fixture(scope="module")
def sources(forms):
    """Read the data of each form as its shipped mapping says."""
    return {
        name: read_source(form.mapping, data=form.data).accepted for name, form in forms.items()
    }


@pytest.fixture(scope="module")
def place(make_store, tmp_path_factory):
    """Work in a folder with an MLflow store of its own."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", make_store(home))
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.chdir(home)
        yield home


def optional(source):
    """List the columns of a source that a mapping may leave out, as table.column."""
    return [
        f"{name}.{column}"
        for name, table in source.tables.items()
        for column in table.column_names
        if column != KNOWN_AT and not CONTRACT[name].column(column).required
    ]


def without(source, names):
    """Leave tables and columns (table.column) out of a source, as if they were never mapped."""
    tables = {}
    for name, table in source.tables.items():
        if name not in names:
            gone = [column for column in table.column_names if f"{name}.{column}" in names]
            tables[name] = table.drop_columns(gone)
    kept = tuple(each for each in source.quality.tables if each.table in tables)
    return replace(source, tables=tables, quality=replace(source.quality, tables=kept))


@pytest.mark.parametrize("name", FORMS)
@given(draw=st.data())
def test_all_that_a_training_keeps_can_be_computed_again(forms, sources, name, draw):
    form, whole = forms[name], sources[name]
    choices = [*optional(whole), *(table for table in whole.tables if table != "cases")]
    source = without(whole, draw.draw(st.sets(st.sampled_from(choices), min_size=1)))
    run, there = form.run, columns_of(source)
    observed = source.tables.get("transactions") if run.unit == "fraud" else None
    observations = () if observed is None else observed.column_names
    specs = choose_features(run.features, unit=run.unit)
    available, unavailable = split_available(specs, there, observations)
    built = SimpleNamespace(
        specs=in_table_order(available), unavailable=chosen_unavailable(specs, unavailable)
    )
    kept = needed_specs(specs, built)
    assert not incomplete(kept)
    assert split_available(kept, there, observations)[1] == {}
    policy = load_run(form.config).policy
    graded = merge_specs(kept, policy_features(policy, run.features, unit=run.unit))
    lost = split_available(graded, there, observations)[1]
    assert not lost.keys() & {spec.name for spec in kept}


def draws(source):
    """Leave each optional column out in one of a few groups, then each table in turn."""
    columns = optional(source)
    groups = [set(columns[start::GROUPS]) for start in range(min(GROUPS, len(columns)))]
    tables = [{name} for name in source.tables]
    both = {"transactions", "events"} & set(source.tables)
    return [*groups, *tables, *([both] if len(both) == 2 else [])]


NO_LABELS = "lack one of the two classes|need as many rows of each class"
REFUSED = {
    "transactions": "needs the table transactions|lie later|no feature of families",
    "cases": f"{NO_LABELS}|the tables end before",
    "cases.transaction_id": NO_LABELS,
    "cases.review_id": NO_LABELS,
    "reviews": NO_LABELS,
}
"""What a training cannot do without, and what it says then."""


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_whatever_is_left_out_every_command_works_or_says_what_it_needs(
    forms, sources, name, place, tmp_path
):
    form, trained = forms[name], 0
    for number, gone in enumerate(draws(sources[name])):
        source = without(sources[name], gone)
        bundle, said = train(form, source, folder=tmp_path / f"{number}")
        if bundle is None:
            pieces = [REFUSED[each] for each in gone if each in REFUSED]
            assert pieces, f"without {gone}: {said}"
            assert re.search("|".join(pieces), said), f"without {gone}: {said}"
            continue
        trained += 1
        use(form, source, bundle, folder=tmp_path / f"{number}", validated=number % 2 == 0)
    assert trained >= len(draws(sources[name])) // 2


def train(form, source, *, folder):
    """Train on a source, or give what the refusal says."""
    files = load_run(form.config)
    content = files.policy.model_dump(mode="json", by_alias=True)
    content["fit"] = {"whole": {"method": "fixed"}, "samples": 0}
    files = replace(files, policy=TierPolicy.model_validate(content))
    as_of = pd.Timestamp(form.as_of, tz="UTC")
    try:
        trained = train_on(
            source, form.mapping, files=files, as_of=as_of, reporter=ProgressReporter()
        )
    except (DatasetError, ConfigError) as error:
        return None, str(error)
    save_bundle(trained.bundle, folder / "bundle")
    return load_bundle(folder / "bundle"), ""


def use(form, source, bundle, *, folder, validated):
    """Do all that a model is there for."""
    name = form.observation
    if form.name in {"berka", "amlsim"} and "reviews" not in source.tables:
        name = f"{source['transactions']['customer_id'][0]}@{end_of_data(source):%Y-%m-%d}"
    case = make_case(
        bundle,
        source,
        name,
        reporter=ProgressReporter(),
        book=NO_OVERRIDES,
        history=None,
        reasons=5,
    )
    lowering = find_counterfactual(case)
    sheet = make_sheet(case, source, label="model", lowering=lowering, language="zh")
    save_sheet(sheet, folder / "sheet.html")
    found = find_observation(source, name, unit=bundle.config.unit)
    list_customer_facts(bundle, features_of_bundle(bundle, source, found, ProgressReporter()))
    limits = folder / "limits.yaml"
    passed = {
        "stale_hours": None,
        "drift": {"score": None, "features_drifted": None},
        "unknown_categories_share": 1.0,
    }
    limits.write_text(yaml.safe_dump(passed))
    request = ScoringRequest(
        model=str(folder / "bundle"),
        source=form.source,
        data=form.data,
        out=folder / "scores",
        limits=limits,
    )
    stored = source.store(folder / "tables")
    assert run_score(request, reporter=ProgressReporter(), tables=stored).rows > 0
    kyc_ml.fit_tiers(bundle, source, as_of=form.as_of)
    if validated:  # it takes as long as all the rest
        in_time = isinstance(bundle.config.splits, SplitConfig)
        kyc_ml.validate(
            bundle,
            source,
            policy=form.validation,
            rows="test" if in_time else "out_of_fold",
            as_of=form.as_of,
            only=("tiers",),
        )
