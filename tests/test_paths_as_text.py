"""Wherever the Python interface takes a Path it takes text, and nothing else."""

from pathlib import Path

import pandas as pd
import pytest

import kyc_ml
from kyc_ml.decision import load_overrides
from kyc_ml.errors import ConfigError
from kyc_ml.onboarding import bank_config
from kyc_ml.onboarding.synthetic.storage import save_bank
from kyc_ml.scoring import ScoringRequest

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text") / "bank"
    made = kyc_ml.make_bank(bank_config(transactions=5_000, days=200, seed=5))
    save_bank(made, str(folder))
    return folder


def mapping():
    return kyc_ml.load_section(str(CONFIGS / "sources" / "synthetic.yaml"), kyc_ml.SourceMapping)


def test_sections_and_overrides_are_read_from_text(tmp_path):
    assert mapping() == kyc_ml.load_section(
        CONFIGS / "sources" / "synthetic.yaml", kyc_ml.SourceMapping
    )
    file = tmp_path / "overrides.csv"
    file.write_text("customer_id\n")
    assert load_overrides(str(file)) == load_overrides(file)


def test_a_source_is_read_from_text(bank):
    read = [kyc_ml.read_source(mapping(), data=each).accepted for each in (str(bank), bank)]
    assert read[0].digests == read[1].digests


def test_a_proposal_is_written_to_text(bank, tmp_path):
    made = kyc_ml.run_init(
        data=str(bank), out=str(tmp_path / "proposed"), timezone="Asia/Shanghai",
        base_currency="CNY",
    )  # fmt: skip
    assert made.files["source"] == tmp_path / "proposed" / "source.yaml"


def test_a_bundle_is_saved_and_loaded_by_text(bundle, tmp_path):
    digest = kyc_ml.save_bundle(bundle, str(tmp_path / "bundle"))
    assert kyc_ml.load_bundle(str(tmp_path / "bundle")).digest == digest


def test_a_request_to_score_takes_text():
    paths = {"source": "s.yaml", "data": "d", "out": "o", "limits": "l.yaml"}
    text = ScoringRequest(model="m", **paths, previous=["a", "b"])
    assert text == ScoringRequest(
        model="m",
        **{name: Path(each) for name, each in paths.items()},
        previous=(Path("a"), Path("b")),
    )


@pytest.mark.parametrize("wrong", [3, None, b"configs", ["a"], "", pd.DataFrame()])
@pytest.mark.parametrize(
    "use",
    [
        lambda wrong: kyc_ml.load_section(wrong, kyc_ml.RunConfig),
        kyc_ml.load_bundle,
        lambda wrong: kyc_ml.read_source(mapping(), data=wrong),
        lambda wrong: kyc_ml.run_init(data=wrong, out="x"),
        lambda wrong: load_overrides("" if wrong is None else wrong),  # None has no entries
    ],
)
def test_what_names_no_path_is_refused_with_the_name_of_the_argument(use, wrong):
    with pytest.raises(ConfigError, match="path"):
        use(wrong)
