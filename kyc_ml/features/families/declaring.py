"""How families declare: what the features of one have in common, said once."""

from __future__ import annotations

from dataclasses import dataclass

from kyc_ml.contract.tables import TRANSACTIONS
from kyc_ml.features.spec import (
    Direction,
    FeatureSpec,
    How,
    Kind,
    Period,
    RowColumn,
    Statistic,
    Where,
    Window,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Declares the features of one family: its source and typology unless others are given."""

    family: str
    source: str
    typology: str | None = None

    def __call__(
        self,
        name: str,
        how: How,
        *,
        unit: str,
        english: str,
        chinese: str,
        source: str | None = None,
        typology: str | None = None,
        monotone: Direction = 0,
        units: tuple[str, ...] = ("fraud", "risk"),
        hidden: bool = False,
        kind: Kind = "number",
    ) -> FeatureSpec:
        """Declare one feature; see `FeatureSpec`."""
        return FeatureSpec(
            name=name,
            family=self.family,
            how=how,
            unit=unit,
            description=english,
            description_zh=chinese,
            source=self.source if source is None else source,
            typology=self.typology if typology is None else typology,
            monotone=monotone,
            units=units,
            hidden=hidden,
            kind=kind,
        )


def transactions_in(
    key: tuple[str | RowColumn, ...],
    statistic: Statistic,
    period: Period,
    value: str | RowColumn | None = None,
    *,
    where: Where | None = None,
) -> Window:
    """Read a statistic of a key's transactions in a period, or of those that match `where`."""
    return Window(
        table=TRANSACTIONS, key=key, statistic=statistic, period=period, value=value, where=where
    )
