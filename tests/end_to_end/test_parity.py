"""One observation has one score, whoever asks: the batch job, Python, or a served model."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

START_SECONDS = 120


@pytest.fixture(scope="module")
def features(scored):
    return pd.read_parquet(scored.features)


@pytest.fixture(scope="module")
def loaded(place, model):
    with place.entered():
        mlflow.set_tracking_uri(place.store)
        return mlflow.pyfunc.load_model(model.uri)


def bits(values):
    return np.asarray(values, np.float64).view(np.uint64).tolist()


def same_scores(got, expected):
    """Margins and probabilities bit for bit; tiers and reasons word for word."""
    for name in ("margin", "probability"):
        assert bits(got[name]) == bits(expected[name])
    words = [name for name in expected if name.startswith(("tier", "reason_"))]
    assert len(words) > 10
    assert {name for name in got if name.startswith(("tier", "reason_"))} == set(words)
    pd.testing.assert_frame_equal(
        got[words].reset_index(drop=True), expected[words].reset_index(drop=True), check_exact=True
    )


def test_the_feature_file_lists_the_scored_observations(features, scored):
    assert features["observation_id"].tolist() == scored.frame()["observation_id"].tolist()


def test_pyfunc_scores_as_the_batch_job_does(loaded, features, scored):
    same_scores(loaded.predict(features), scored.frame())


def test_pyfunc_needs_the_features_alone(loaded, features, scored, model):
    inputs = [spec.name for spec in model.result.bundle.inputs]
    same_scores(loaded.predict(features[inputs[::-1]]), scored.frame())


def test_the_signature_lists_what_a_prediction_has(loaded, features):
    got = loaded.predict(features)
    told = loaded.metadata.get_output_schema()
    assert told.input_names() == list(got.columns)
    kinds = {"double": "f", "long": "i", "boolean": "b", "string": "O"}
    for column in told.inputs:
        values = got[column.name]
        assert kinds[column.type.name] == ("O" if values.dtype.kind in "OU" else values.dtype.kind)


def test_the_example_of_a_request_is_scored_and_holds_what_is_usual(place, loaded, model):
    with place.entered():
        mlflow.set_tracking_uri(place.store)
        example = mlflow.models.Model.load(model.uri).load_input_example()
    bundle = model.result.bundle
    assert list(example.columns) == [spec.name for spec in bundle.inputs]
    numbers = [spec.name for spec in bundle.inputs if spec.kind != "category"]
    medians = [bundle.reference.medians[name] for name in numbers]
    np.testing.assert_array_equal(example[numbers].to_numpy(float)[0], medians)
    assert len(loaded.predict(example)) == 1


@pytest.mark.parametrize("row", [0, 1, -1])
def test_pyfunc_scores_a_single_row_alike(loaded, features, scored, row):
    row %= len(features)
    same_scores(loaded.predict(features.iloc[[row]]), scored.frame().iloc[[row]])


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def serving(place, uri, log):
    """Serve a registered model on this machine; it and its workers end with the block."""
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("mlflow")), "models", "serve", "--model-uri", uri,
        "--host", "127.0.0.1", "--port", str(port), "--env-manager", "local",
    ]  # fmt: skip
    # the server starts uvicorn by name: find the one beside this Python
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, **place.environment, "PATH": programs}
    with log.open("wb") as sink:
        server = subprocess.Popen(  # noqa: S603  our own command
            command, cwd=place.home, env=environment, stdout=sink, stderr=sink,
            start_new_session=True,
        )  # fmt: skip
        try:
            _wait_until_up(server, port, log)
            yield f"http://127.0.0.1:{port}/invocations"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait(timeout=30)


def _wait_until_up(server, port, log):
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text(errors="replace")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.3)
    pytest.fail(f"not up within {START_SECONDS} s:\n{log.read_text(errors='replace')}")


def ask(address, frame):
    """Send rows as dataframe_split, a missing value as null."""
    rows = [
        [None if pd.isna(value) else value for value in row]
        for row in frame.itertuples(index=False, name=None)
    ]
    body = json.dumps({"dataframe_split": {"columns": list(frame), "data": rows}}, allow_nan=False)
    request = urllib.request.Request(  # noqa: S310  127.0.0.1
        address, body.encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return pd.DataFrame(json.loads(answer.read())["predictions"])


@pytest.mark.slow
def test_a_served_model_scores_as_the_batch_job_does(place, model, features, scored, tmp_path):
    inputs = [spec.name for spec in model.result.bundle.inputs]
    rows = features[inputs]
    assert rows.isna().any(axis=None)
    expected = scored.frame()
    holes = rows.isna().any(axis=1).to_numpy()
    with serving(place, model.uri, tmp_path / "server.log") as address:
        got = ask(address, rows)
        single = ask(address, rows[holes].head(1))  # its missing values fill whole columns
        whole = rows.head(20).map(
            lambda value: int(value) if isinstance(value, float) and value.is_integer() else value
        )
        integers = ask(address, whole)  # as a client writes 3.0 that has one kind of number
    for name in ("margin", "probability"):
        assert got[name].tolist() == expected[name].tolist()
        assert single[name].tolist() == expected.loc[holes, name].head(1).tolist()
        assert integers[name].tolist() == expected[name].head(20).tolist()
    words = [name for name in expected if name.startswith(("tier", "reason_"))]
    pd.testing.assert_frame_equal(got[words], expected[words], check_exact=True, check_dtype=False)
