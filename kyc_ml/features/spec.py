"""The declaration of a feature: its name, its words, and how it is computed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from kyc_ml.contract import TRANSACTIONS
from kyc_ml.features.how import OBSERVED, How, columns_read, name_of, tables_read

Kind = Literal["number", "category"]
Direction = Literal[-1, 0, 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSpec:
    """One declared feature.

    Attributes
    ----------
    name : str
        Column name; the unit or window is part of it.
    unit : str
        Unit of the value, as people read it.
    description, description_zh : str
        A noun phrase that fits into a sentence: "payments in the last 7 days".
    source : str
        Where the definition comes from.
    typology : str or None
        The misconduct that the feature is meant to detect.
    monotone : {-1, 0, 1}
        Direction in which risk may move with the value, where that is certain.
    observation_units : tuple of str
        Kinds of observation that have the feature: a review has no payment to describe.
    intermediate : bool
        True for an intermediate feature, which formulas read and models do not.
    group : str or None
        Code of the reason that features with the same group give together, such as
        ``velocity.sent``; its names are in ``groups.yaml``. None is a group by itself.
    """

    name: str
    family: str
    how: How
    unit: str
    description: str
    description_zh: str
    source: str = "kyc_ml"
    typology: str | None = None
    monotone: Direction = 0
    observation_units: tuple[str, ...] = ("fraud", "risk")
    intermediate: bool = False
    kind: Kind = field(default="number")
    # not compared: a group decides how reasons are worded, not what the feature is
    group: str | None = field(default=None, compare=False)

    @property
    def code(self) -> str:
        """Return the stable code of the feature: family and name."""
        return f"{self.family}.{self.name}"

    @property
    def reason_code(self) -> str:
        """Return the stable code of the reason this feature gives: of its group, or its own."""
        return self.code if self.group is None else self.group


def all_made_of(spec: FeatureSpec, known: Mapping[str, FeatureSpec]) -> list[str]:
    """Return the names of all features that one is computed from, directly or not."""
    return [
        n for item in spec.how.features_read() for n in (item, *all_made_of(known[item], known))
    ]


def columns_of_spec(spec: FeatureSpec, specs: Sequence[FeatureSpec]) -> frozenset[str]:
    """Return what a feature reads, directly or not: tables, and columns as ``table.column``.

    Columns of the observation itself have the table of payments.
    """
    known = {each.name: each for each in specs}
    found: set[str] = set()
    for each in (spec, *(known[name] for name in all_made_of(spec, known))):
        found.update(tables_read(each.how))
        for table, column in columns_read(each.how, OBSERVED):
            place = TRANSACTIONS if table == OBSERVED else table
            found.add(f"{place}.{name_of(column)}")
    return frozenset(found)


def incomplete(specs: Sequence[FeatureSpec]) -> tuple[FeatureSpec, ...]:
    """List the specs that cannot be computed because a feature they are made of is absent."""
    there = {spec.name for spec in specs}
    while True:
        lacking = {
            spec.name
            for spec in specs
            if spec.name in there and not there.issuperset(spec.how.features_read())
        }
        if not lacking:
            return tuple(spec for spec in specs if spec.name not in there)
        there -= lacking
