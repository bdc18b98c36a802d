"""A CSV file opens in a spreadsheet as it is, and runs nothing."""

import io

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.storage import save_csv, write_csv

LIVE = ["=1+1", '=cmd|"/c calc"!A1', "+86 138", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1", "－1+1"]
LIVE += [" =1", "  @SUM(A1)", "\u00a0=1", "\u3000＝1", "\ufeff=1"]
PLAIN = ["abc", "", None, "-", "-5", "+1", "-1.5", "1e5", "-1,234.5", "a=1", " -5", "  a"]


def written(table):
    out = io.BytesIO()
    write_csv(out, table.schema, [table.slice(0, 1), table.slice(1)])
    return out.getvalue()


@pytest.mark.parametrize(
    ("text", "live"), [*((t, True) for t in LIVE), *((t, False) for t in PLAIN)]
)
def test_a_formula_gets_an_apostrophe_and_nothing_else_does(text, live, tmp_path):
    table = pa.table({"text": pa.array(["x", text], pa.string()), "number": [-1.5, 2.0]})
    content = written(table)
    assert content.startswith(b"\xef\xbb\xbf")
    read = pd.read_csv(io.BytesIO(content), keep_default_na=False, dtype=str)
    assert read["text"].tolist() == ["x", f"'{text}" if live else text or ""]
    assert read["number"].tolist() == ["-1.5", "2"]
    save_csv(table.to_pandas().rename(columns={"number": "=n"}), tmp_path / "t.csv")
    again = pd.read_csv(tmp_path / "t.csv", keep_default_na=False, dtype=str)
    assert again["text"].tolist() == read["text"].tolist()
    assert list(again) == ["text", "'=n"]
    assert (tmp_path / "t.csv").read_bytes().startswith(b"\xef\xbb\xbf")


@given(st.lists(st.text("=+-@\t＝1a.,e \u00a0", max_size=5), min_size=1))
def test_both_ways_to_write_a_table_agree(texts):
    from kyc_ml.storage.delimited import _harmless, _harmless_text  # noqa: PLC0415

    table = _harmless(pa.table({"text": pa.array(texts, pa.string())}))
    assert table["text"].to_pylist() == [_harmless_text(text) for text in texts]


def test_columns_that_are_no_text_stay_as_they_are():
    table = pa.table({"flag": [True], "day": pa.array([0], pa.date32()), "n": [-3]})
    assert written(table).decode("utf-8-sig").splitlines() == [
        '"flag","day","n"',
        "true,1970-01-01,-3",
    ]
