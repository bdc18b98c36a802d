"""What a served model answers: strict JSON, flags for what cannot be scored, one sentence."""

import json
import threading
import time
import urllib.error
import urllib.request
import warnings

import mlflow
import numpy as np
import pandas as pd
import pytest
import uvicorn
from mlflow.models import ModelSignature

from kyc_ml.registry import Scorer
from kyc_ml.registry.bundle import save_bundle
from kyc_ml.registry.tracking.serving import RefusedRequestError
from kyc_ml.registry.tracking.training import LOADER, _inputs, usual_row

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of MLflow's own type hints, on import
    from mlflow.pyfunc import scoring_server


@pytest.fixture(scope="module")
def scorer(bundle):
    return Scorer(bundle)


@pytest.fixture(scope="module")
def row(bundle):
    return usual_row(bundle)


@pytest.fixture(scope="module")
def logged(bundle, tmp_path_factory):
    """Load the bundle as a registered model is loaded."""
    place = tmp_path_factory.mktemp("served")
    save_bundle(bundle, place / "bundle")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it would rather have an example
        mlflow.pyfunc.save_model(
            path=str(place / "model"),
            loader_module=LOADER,
            data_path=str(place / "bundle"),
            signature=ModelSignature(inputs=_inputs(bundle.inputs)),
            pip_requirements=[],
        )
    return mlflow.pyfunc.load_model(str(place / "model"))


@pytest.fixture(scope="module")
def ask(logged):
    """Serve the model by MLflow's own application, and return a function that posts to it."""
    server = uvicorn.Server(
        uvicorn.Config(scoring_server.init(logged), port=0, log_level="critical")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]

    def post(columns, *rows):
        body = json.dumps({"dataframe_split": {"columns": list(columns), "data": list(rows)}})
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations",
            body.encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return answer.status, strict(answer.read())["predictions"]
        except urllib.error.HTTPError as error:
            return error.code, strict(error.read())

    yield post
    server.should_exit = True
    thread.join(timeout=10)


def strict(text):
    """Read JSON as its standard has it: NaN and Infinity are none."""

    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(text, parse_constant=refuse)


def values(frame):
    return [None if pd.isna(value) else value for value in frame.iloc[0]]


def test_an_answer_is_strict_json_with_null_for_what_is_missing(ask, row):
    status, (answer,) = ask(row, values(row))
    assert status == 200
    assert answer["usable"] is True
    assert answer["input_flags"] == ""
    assert answer["override_code"] is None
    assert 0.0 < answer["probability"] < 1.0


def test_a_row_of_which_nothing_is_known_has_no_tier(ask, row):
    status, (nothing, usual) = ask(row, [None] * len(row.columns), values(row))
    assert status == 200
    assert nothing["usable"] is False
    assert nothing["input_flags"] == "nothing_known"
    kept = {"usable", "input_flags"}
    assert {name for name, value in nothing.items() if value is not None} == kept
    assert usual["usable"] is True


@pytest.mark.parametrize("number", [float("inf"), float("-inf")])
def test_an_infinite_number_is_named_and_not_scored(ask, row, number):
    sent = values(row)
    sent[0] = number
    _, (answer,) = ask(row, sent)
    assert answer["input_flags"] == f"infinite: {row.columns[0]}"
    assert (answer["usable"], answer["tier"], answer["probability"]) == (False, None, None)


def test_an_unknown_category_is_named_and_scored_as_missing(ask, row):
    place = list(row.columns).index("channel")
    sent, missing = values(row), values(row)
    sent[place], missing[place] = "no-such", None
    _, (answer, without) = ask(row, sent, missing)
    assert answer["input_flags"] == "unknown_category: channel"
    assert answer["usable"] is True
    assert without["input_flags"] == ""
    assert answer["probability"] == without["probability"]


@pytest.mark.parametrize("column", ["signal", "channel"])
def test_a_wrong_type_is_answered_in_one_sentence_that_names_the_column(ask, row, column):
    sent = values(row)
    sent[list(row.columns).index(column)] = "Zhang San" if column == "signal" else 5
    status, answer = ask(row, sent)
    assert status == 400
    assert column in answer["message"]
    assert len(answer["message"]) < 300
    assert "stack_trace" not in answer


def test_a_missing_column_is_answered_in_one_sentence_without_the_rows(ask, row):
    kept = row.drop(columns="signal").assign(channel="secret-of-a-customer")
    status, answer = ask(kept, values(kept))
    assert status == 400
    assert "signal" in answer["message"]
    assert len(answer["message"]) < 300
    assert "secret" not in json.dumps(answer)


def test_all_wrong_columns_are_named_at_once(scorer, row):
    bad = row.assign(signal="x", noise="y")
    for name in ("decision_time", "customer_id", "observation_id"):
        for odd in ("zhang-san" if name == "decision_time" else 4, {"zhang-san": 1}, [10**400]):
            with pytest.raises(RefusedRequestError, match=name) as refused:
                scorer.predict(row.assign(**{name: [odd]}))
            assert "zhang" not in str(refused.value)
    frame = row.assign(signal=[10**400])
    with pytest.raises(RefusedRequestError, match="signal"):
        scorer.predict(frame)
    with pytest.raises(RefusedRequestError, match=r"\b1\b"):
        scorer.predict(pd.concat([frame, frame[["signal"]]], axis=1))
    with pytest.raises(RefusedRequestError, match=r"(?s)signal.*noise"):
        scorer.predict(bad)


def test_the_first_number_is_the_probability(scorer, row):
    # spark_udf(result_type="double") takes the first column that is a number
    answer = scorer.predict(pd.concat([row, row.mask(row.notna())], ignore_index=True))
    numbers = answer.select_dtypes(include=(np.number,))
    assert numbers.columns[0] == "probability"
    assert answer["probability"].dtype == np.float64


@pytest.mark.filterwarnings("ignore")  # of MLflow's own libraries
def test_mlflow_evaluates_the_probabilities_as_a_classifier(logged, small, bundle, tmp_path):
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    # another test of this process may have left an experiment of its own store
    made = mlflow.create_experiment("evaluation", artifact_location=str(tmp_path / "files"))
    mlflow.set_experiment(experiment_id=made)
    frame = small.features.to_arrow().to_pandas()
    frame[[spec.name for spec in bundle.inputs if spec.name not in frame]] = np.nan
    answer = logged.predict(frame)
    data = pd.DataFrame(
        {"target": small.target.astype(int), "answer": (answer["probability"] > 0.5).astype(int)}
    )
    found = mlflow.models.evaluate(
        data=data, targets="target", predictions="answer", model_type="classifier"
    )
    right = float((data["target"] == data["answer"]).mean())
    assert found.metrics["accuracy_score"] == pytest.approx(right)
