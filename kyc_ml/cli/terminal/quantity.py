"""A number with its unit: text for people, the number itself for a log that a program reads."""

from dataclasses import dataclass

from kyc_ml.display import say_count


@dataclass(frozen=True, slots=True)
class Quantity:
    """A fact of a summary.

    Examples
    --------
    >>> print(Quantity(562557, "rows"), Quantity(15.04, "s"), sep=", ")
    562,557 rows, 15.0 s
    >>> print(Quantity(1, "rows"))
    1 row
    """

    value: float
    unit: str

    def __str__(self) -> str:
        """Write a count in full, a measure to one decimal."""
        if isinstance(self.value, int):
            return say_count(self.value, self.unit.removesuffix("s"), self.unit)
        return f"{self.value:.1f} {self.unit}"


def to_json(fact: object) -> str | float:
    """Return a fact for JSON: a number stays a number, anything else becomes its text."""
    value = fact.value if isinstance(fact, Quantity) else fact
    return value if isinstance(value, int | float) else str(value)
