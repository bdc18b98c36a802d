"""A row that comes by itself is checked exactly as a row of a table."""

import json
from datetime import datetime

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from kyc_ml.config import Attribute, IdentifierForm
from kyc_ml.contract import CONTRACT, contract_tables
from kyc_ml.contract.checks import ContractCheck, RowRules
from kyc_ml.contract.one_row import OneRow, row_to_json, rows_from_json

TRANSACTIONS = CONTRACT["transactions"]
LIMITS = [datetime.fromisoformat(day) for day in ("1899-12-31", "2200-01-02")]
TIMES = st.one_of(
    st.builds(
        "{}{}{}{}{}".format,
        st.sampled_from(["2024-03-31", "2024-10-27", "2024-02-30", "1899-12-31", "2200-01-01",
                         "0024-01-05", "12024-01-05", "2024/1/5", " 2024-01-05", "2024-1-05"]),
        st.sampled_from(["T", " ", "  ", "TT", "-"]),
        st.sampled_from(["00:00", "02:30:00", "2:30", "23:59:60", "24:00:00", "02:00:00.1234567",
                         "01:59:59,5", "10:00:00."]),
        st.sampled_from(["", " ", "Z"]),
        st.sampled_from(["", "Z", "+08:00", "-0330", " +08", "+15:00", "UTC", " Asia/Shanghai",
                         " CST", "+00:00:30"]),
    ),
    st.sampled_from(["2024-01-05", "infinity", "epoch", "", "\u3000", "\t", "soon", "2024-01-05T"]),
    st.datetimes(*LIMITS).map(datetime.isoformat),
)  # fmt: skip
CELLS = {
    "transaction_id": st.builds(
        "{0}{{0}}{1}".format,
        st.sampled_from(["t", " ", "\u00a0t", "００", "=", "1.5E+", "00", "na\u200bme", "\x00"]),
        st.sampled_from(["", ".0", " ", "ß", "0E+17", "\u202f", "\n"]),
    ),
    "event_time": TIMES,
    "known_at": st.just("2199-01-01T00:00:00Z") | TIMES,
    "amount": st.floats(0, 1e13)
    | st.none()
    | st.floats()
    | st.sampled_from([-0.0, 1e14, 1.0000001e14]),
    "balance": st.none() | st.floats(),
    "direction": st.sampled_from(["in", "out", "IN", " in", "", None]),
    "country": st.sampled_from(["CN", "cn", "CHN", "C\n", "ＣＮ", " ", None]),
    "device_id": st.sampled_from(["", " ", "d", "\u2060", "null", "-", None]),
    "channel": st.text(max_size=3) | st.none(),
    "loyal": st.booleans() | st.none(),
    "born": st.sampled_from(["2024-02-29", "2023-02-29", "0999-12-31", "1990/1/2", " ", "x", None]),
}
USUAL = {
    "transaction_id": "t{0}",
    "event_time": "2024-01-05T10:00:00.25+01:00",
    "known_at": "2199-01-01 10:00",
    "amount": 12.5,
    "balance": -1.0,
    "direction": "in",
    "country": "CN",
    "device_id": "d",
    "channel": "web",
    "loyal": True,
    "born": "2024-02-29",
}
ROWS = st.lists(
    st.builds(
        lambda names, drawn: {
            name: drawn[name] if name in names else USUAL[name] for name in CELLS
        },
        st.lists(st.sampled_from(list(CELLS)), max_size=3),
        st.fixed_dictionaries(CELLS),
    ),
    min_size=1,
    max_size=30,
)
RULES = st.builds(
    RowRules,
    zone=st.sampled_from(["UTC", "Europe/Berlin"]),
    form=st.builds(
        IdentifierForm,
        floats=st.sampled_from(["refuse", "whole", "keep"]),
        case=st.sampled_from(["keep", "upper", "lower"]),
        width=st.sampled_from(["keep", "half"]),
        nulls=st.sampled_from([(), ("null",)]),
    ),
)
OWN = {
    name: Attribute(type=kind, description=name, description_zh="中")
    for name, kind in (("loyal", "boolean"), ("born", "date"))
}


def reason_of(broken, contract):
    column = contract.column(broken.column)
    limit = column.minimum if broken.key == "below" else column.maximum
    words = {"allowed": ", ".join(column.allowed), "pattern": column.pattern, "unit": ""}
    return ContractCheck.of(
        broken.key, column.name, "", limit=limit, description="", **words
    ).reason


@given(rows=ROWS, rules=RULES)
def test_verdict_and_typed_row_are_those_of_a_table(rows, rules):
    rows = [
        {
            **row,
            "transaction_id": row["transaction_id"].format(place + 7),
            "customer_id": f"{place + 100}",
        }
        for place, row in enumerate(rows)
    ]
    kinds = {"amount": pa.float64(), "balance": pa.float64(), "loyal": pa.bool_()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in rows[0]])
    sound = {**dict.fromkeys(rows[0]), "transaction_id": "good", "customer_id": "99"}
    sound |= {"event_time": "2024-01-01", "known_at": "2024-01-01", "amount": 1.0}
    got = contract_tables(
        {"transactions": pa.Table.from_pylist([*rows, sound], schema=schema)},
        attributes={"transactions": OWN},
        base_currency="EUR",
        max_quarantined_share=1.0,
        timezone=rules.zone,
        identifiers=rules.form,
    )
    table = got.accepted["transactions"]
    contract = TRANSACTIONS.extended(got.accepted.attributes)
    own = {each.name: each.column for each in got.accepted.attributes}
    accepted = {row["customer_id"]: row for row in table.to_pylist()}
    refused = {
        json.loads(row["raw"])["customer_id"]: row["reasons"] for row in got.quarantine.to_pylist()
    }
    check = OneRow(contract, table.column_names, rules=rules)
    for row in rows:
        typed, broken = check.check({own.get(name, name): each for name, each in row.items()})
        if row["customer_id"] in refused:
            assert [reason_of(each, contract) for each in broken] == refused[row["customer_id"]]
        else:
            assert broken == []
            one = rows_from_json([row_to_json(typed)], table.schema)
            assert one.to_pylist() == [accepted[row["customer_id"]]]
            assert one.column("amount").to_pylist()[0].hex() == (row["amount"] + 0.0).hex()
