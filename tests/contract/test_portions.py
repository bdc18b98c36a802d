"""Portions of a table, checked apart, give what the whole table gives."""

from collections import Counter
from contextlib import closing

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.config import SourceMapping
from kyc_ml.contract import MemorySink, RowPass, RowRules, bind_by_row
from kyc_ml.contract.portions import REMARKS
from kyc_ml.contract.rows import contract_rows
from kyc_ml.errors import Faults, SourceError
from kyc_ml.storage import connect

SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "who": pa.string(),
        "t": pa.timestamp("us"),
        "sum": pa.string(),
        "unused": pa.int64(),
    }
)
COLUMNS = {
    "transaction_id": "id",
    "customer_id": "who",
    "event_time": "t",
    "amount": "CAST(sum AS DOUBLE)",
}
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from(["1", "2", "3", " 4", "null", None]),
            "who": st.sampled_from(["a", "b", None]),
            "t": st.sampled_from([0, 10**15, 2 * 10**15, 9 * 10**15]),
            "sum": st.sampled_from(["1", "2.5", "-1", "x", None]),
            "unused": st.just(0),
        }
    ),
    max_size=12,
)


def mapping(columns=COLUMNS, **of_table):
    return SourceMapping.model_validate(
        {
            "name": "bank",
            "base_currency": "EUR",
            "timezone": "Asia/Shanghai",
            "files": {"f": {"path": "f.parquet", "format": "parquet"}},
            "tables": {"transactions": {"from": "f", "columns": columns, **of_table}},
        }
    )


def binding(declared):
    faults = Faults("source 'bank'", SourceError)
    return bind_by_row(declared, {"f": SCHEMA}, digests={}, faults=faults)


@pytest.fixture(scope="module")
def bound():
    with binding(mapping()) as source:
        yield source


@given(rows=ROWS, cuts=st.sets(st.integers(0, 12), max_size=3))
def test_portions_give_what_the_whole_table_gives(bound, rows, cuts):
    whole = pa.Table.from_pylist(rows, schema=SCHEMA)
    rules, sink = RowRules.of(bound.mapping), MemorySink()
    bound.connection.register("f", whole)
    wanted = contract_rows(
        bound.connection, bound.bound[0], rules=rules, horizon=None, malformed=[], sink=sink
    )
    passed = RowPass(bound=bound.bound[0], rules=rules, horizon=None)
    with closing(connect(data=None, threads=1, files=[])) as connection:
        ends = [*sorted(cuts), len(rows)]
        parts = [whole.slice(a, max(b - a, 0)) for a, b in zip([0, *ends], ends, strict=False)]
        found = [passed.check(connection, part) for part in parts]
        rows_of = pa.concat_tables([each.accepted for each in found])
        first = passed.keep_first(connection, rows_of)
        broken = sum((each.broken for each in found), Counter())
        broken[()] -= rows_of.num_rows
        broken.update(first.broken)
        connection.register("kept", first.accepted)
        noted = Counter(first.accepted[REMARKS].to_pylist())
        halves = [f"(FROM kept WHERE event_time {way} '2001-01-01')" for way in ("<", ">=")]
        statistics = [passed.statistics(connection, half) for half in halves]
        assert passed.sum_up(statistics, broken=broken, noted=noted) == wanted
        accepted = passed.sort(connection, first.accepted)
    assert accepted.equals(sink.tables["transactions"])
    refused = pa.concat_tables([*(each.refused for each in found), first.refused])
    assert sorted(map(str, refused.to_pylist())) == sorted(map(str, sink.quarantine.to_pylist()))


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("row_number() OVER (ORDER BY t)", "window"),
        ("(SELECT max(sum) FROM f)", "query"),
        ("CASE WHEN id IN (SELECT who FROM f) THEN 1 END", "query"),
    ],
)
def test_an_expression_that_needs_other_rows_is_refused(sql, name):
    with pytest.raises(SourceError, match=name), binding(mapping({**COLUMNS, "amount": sql})):
        pass


@pytest.mark.parametrize(
    "rows", ["f JOIN f AS g USING (id)", "f QUALIFY true", "f LIMIT 3", "f GROUP BY ALL"]
)
def test_rows_of_several_files_or_of_an_order_are_refused(rows):
    with pytest.raises(SourceError, match="catalogue"), binding(mapping(**{"from": rows})):
        pass


@pytest.mark.parametrize(
    ("sql", "read"),
    [("1.0", ["id", "who", "t"]), ("len(CAST(f AS VARCHAR))", SCHEMA.names), ("f.SUM", None)],
)
def test_the_columns_that_the_mapping_names_are_read(sql, read):
    with binding(mapping({**COLUMNS, "amount": sql})) as source:
        passed = RowPass(bound=source.bound[0], rules=RowRules(), horizon=None)
        assert passed.columns_read(SCHEMA.names) == (read or ["id", "who", "t", "sum"])
