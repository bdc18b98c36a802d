"""Which features a run has, and the lists and amounts that they read."""

from typing import Self

from pydantic import Field, model_validator

from kyc_ml.config.attributes import TableAttribute
from kyc_ml.config.section import Day, Section


class CountryEntry(Section):
    """One period of a country on a list: its first day, and the first day after it."""

    country: str = Field(pattern="^[A-Z]{2}$")
    """ISO 3166 code of two letters."""
    since: Day
    """First day on the list."""
    until: Day | None = None
    """First day no longer on the list; null: still on it."""

    @model_validator(mode="after")
    def _leaves_after_it_came(self) -> Self:
        if self.until is not None and self.until <= self.since:
            raise ValueError(f"until ({self.until}) must be after since ({self.since})")
        return self


class CountryList(Section):
    """A list of countries, with the history of its members."""

    name: str = Field(pattern="^[a-z][a-z0-9_]*$")
    """Part of the names of the features that read it."""
    english: str
    """Members of the list, as a plural noun: "jurisdictions under increased monitoring"."""
    chinese: str
    """The same in Chinese."""
    source: str
    """Who published it, and where."""
    verified_on: Day
    """Day on which it was last compared with its source."""
    entries: tuple[CountryEntry, ...] = Field(min_length=1)


class AmountsOfInterest(Section):
    """Thresholds of typologies, in base currency.

    Defaults: PBOC Order 〔2016〕No. 3 for cash and for transfers of natural persons, in
    CNY. Another jurisdiction or currency gives its own.
    """

    cash_report: float = Field(default=50_000.0, gt=0.0)
    """Cash of a day from which the bank reports it."""
    transfer_report: float = Field(default=500_000.0, gt=0.0)
    """Domestic transfers of a natural person's day from which the bank reports them."""
    near_share: float = Field(default=0.8, gt=0.0, lt=1.0)
    """Share of a threshold from which an amount counts as just below it (convention)."""
    round_to: float = Field(default=100.0, ge=0.01)
    """A whole multiple of it is a round amount (convention)."""
    probe: float = Field(default=10.0, gt=0.0)
    """Up to it a payment may be a probe before a large one (convention)."""


class FeatureConfig(Section):
    """A named set of declared features: whole families, and features by name."""

    name: str = "unnamed"
    """Name of the set, kept in the bundle."""
    description: str = ""
    """Description for readers."""
    families: tuple[str, ...] = ()
    """Families to take whole; see `kyc-ml features list`."""
    include: tuple[str, ...] = ()
    """Features to add to those of the families, by name."""
    exclude: tuple[str, ...] = ()
    """Features to take out of those of the families, by name."""
    third_party_items: tuple[str, ...] = ()
    """Items of the third_party table to read; providers and items are the user's own."""
    country_lists: tuple[CountryList, ...] = ()
    """Lists of countries with their history; without lists their features are left out."""
    amounts: AmountsOfInterest = AmountsOfInterest()
    real_time: bool = Field(default=False, exclude_if=lambda chosen: not chosen)
    """Leave out what one request cannot wait for: money-flow patterns, for which the whole bank is
    searched. `kyc-ml serve` refuses a model that has them."""
    attributes: tuple[TableAttribute, ...] = Field(
        default=(), exclude_if=lambda declared: not declared
    )
    """Taken from the source mapping when a run begins: leave it out."""

    @model_validator(mode="after")
    def _chooses_something(self) -> Self:
        faults = []
        if not self.families and not self.include:
            faults.append("families and include are both empty: choose at least one")
        both = sorted(set(self.include) & set(self.exclude))
        if both:
            faults.append(f"{', '.join(both)}: both included and excluded")
        names = [each.name for each in self.country_lists]
        if len(set(names)) < len(names):
            faults.append("two country_lists have the same name")
        if faults:
            raise ValueError("; ".join(faults))
        return self
