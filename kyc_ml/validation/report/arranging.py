"""Arrange the rows of plots and tables, and write the message of a plot in words."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.validation.report.drawing import TIER, complete, groups_of
from kyc_ml.validation.report.naming import Naming
from kyc_ml.validation.report.numbers import write_cell
from kyc_ml.validation.report.words import word
from kyc_ml.validation.result import Plot

_FEWEST_ROWS: Final = 20
"""Rows of a protected group that is drawn: the rate of fewer is chance."""


def high_first(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of tiers, which checks write lowest first, with the highest on top.

    Blocks, such as the tiers of the model and those in force, keep their order. A table without
    a column of tiers stays as it is.
    """
    name = next((each for each in TIER if each in table), None)
    if name is None or table[name].isna().any():
        return table
    place = pd.Series(pd.factorize(table[name])[0], index=table.index)
    order = pd.DataFrame({"block": (place.diff() < 0).cumsum(), "place": -place})
    return table.loc[order.sort_values(["block", "place"], kind="stable").index]


def panels(
    plot: Plot, table: pd.DataFrame, *, naming: Naming
) -> Iterator[tuple[str, Plot, pd.DataFrame]]:
    """Yield title, plot and rows: one for each attribute where groups of several are compared."""
    title = naming.say(plot.title)
    if (plot.x, plot.group) != ("group", "feature"):
        yield title, plot, high_first(table)
        return
    table = table[table["rows"] >= _FEWEST_ROWS]
    # the checks sort groups by name, which puts 'below 25' last
    lowest_first = (
        table["group"].str.startswith("below ").sort_values(ascending=False, kind="stable")
    )
    for name, part in table.loc[lowest_first.index].groupby("feature", sort=False):
        colon = word("colon", naming.language)
        yield f"{title}{colon}{naming.value(str(name))}", replace(plot, group=""), part


def describe(plot: Plot, table: pd.DataFrame, *, naming: Naming) -> str:
    """Write the message of a plot in words: the range of its values, and where the ends are."""
    language, column = naming.language, plot.value or plot.y
    colon, found = word("colon", language), []
    for name, part in groups_of(complete(plot, table), plot):
        values = part[column].to_numpy(dtype=np.float64)
        ends: dict[str, str] = {}
        for end, place in (("low", values.argmin()), ("high", values.argmax())):
            row = part.iloc[int(place)]
            ends |= {
                end: write_cell(float(row[column]), column),
                f"{end}_at": _at(row, plot, naming),
            }
        said = word("alt_range" if len(part) > 1 else "alt_one", language).format(**ends)
        found.append(naming.value(name) + colon + said if name else said)
    label = naming.say(plot.title if plot.value else plot.y_label)
    return label + colon + word("semicolon", language).join(found)


def _at(row: pd.Series, plot: Plot, naming: Naming) -> str:
    """Name the place of a value on the axes of its plot."""
    places = [row[name] for name in ((plot.y, plot.x) if plot.value else (plot.x,))]
    written = (
        naming.value(each) if isinstance(each, str) else write_cell(each, plot.x) for each in places
    )
    return " → ".join(written)
