"""Score rows name a pattern, above the lowest tier only."""

from types import SimpleNamespace

import pyarrow as pa

from kyc_ml.scoring.patterns import add_patterns
from kyc_ml.scoring.schema import describe_columns

POLICY = SimpleNamespace(tiers=[SimpleNamespace(name="low"), SimpleNamespace(name="high")])
COLUMNS = ("pattern_code", "pattern_text", "pattern_text_zh")


def scored(*tiers):
    n = len(tiers)
    names = ["observation_id", "customer_id", "decision_time", "tier", "tier_set_by_text_zh"]
    values = [list(range(n)), [f"c{row}" for row in range(n)], [0] * n, list(tiers), ["x"] * n]
    return pa.table(dict(zip([*names, "base_value"], [*values, [0.0] * n], strict=True)))


class Asked:
    """Gives each customer what `shown` has of it, and remembers who was asked about."""

    def __init__(self, shown):
        self.shown, self.customers = shown, []

    def find(self, observations):
        self.customers += observations["customer_id"].to_pylist()
        return [self.shown.get(name, ()) for name in observations["customer_id"].to_pylist()]


def pattern(code):
    return SimpleNamespace(code=code, text=(f"{code} en", f"{code} zh"))


def test_the_first_pattern_is_named_and_the_lowest_tier_is_not_asked_about():
    found = {"c1": (pattern("a"), pattern("b")), "c0": (pattern("c"),), "c3": ()}
    asked = Asked(found)
    got = add_patterns(scored("low", "high", "low", "high"), asked, policy=POLICY)
    assert asked.customers == ["c1", "c3"]
    assert got["pattern_code"].to_pylist() == [None, "a", None, None]
    assert got["pattern_text"].to_pylist() == [None, "a en", None, None]
    assert got["pattern_text_zh"].to_pylist() == [None, "a zh", None, None]


def test_the_columns_stand_where_the_schema_describes_them():
    got = add_patterns(scored("low"), Asked({}), policy=POLICY).column_names
    described = [name for name in describe_columns(reasons=1) if name in got]
    assert [name for name in got if name in described] == described
    assert set(COLUMNS) < set(got)
    assert add_patterns(scored(), Asked({}), policy=POLICY).num_rows == 0
