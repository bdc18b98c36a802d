"""The result of a check before gates are applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from kyc_ml.config import read_packaged
from kyc_ml.validation.check import Check, FigureText
from kyc_ml.validation.result import Figure, Plot
from kyc_ml.validation.text import Text, notice, texts_of

if TYPE_CHECKING:
    from kyc_ml.validation.evidence import ReviewEvidence
    from kyc_ml.validation.policy import Settings


@dataclass(frozen=True, slots=True)
class Value:
    """A number with its interval; NaN or infinite is undefined.

    `about` names the tier, segment or feature of the figure; '' for all rows.
    """

    value: float
    low: float = np.nan
    high: float = np.nan
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Figures and tables by name; labels and titles are declared in the YAML of the family.

    `parts` has a row for each tier, segment or feature: its name in the column part, and figures
    of the check in columns of their names. A gate on such figures is on every part.
    """

    values: Mapping[str, Value | float]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    parts: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: tuple[Text, ...] = ()

    def figures(self, procedure: Procedure) -> tuple[Figure, ...]:
        """Return the figures in the order in which the check declares them.

        Raises ValueError if figures or tables are not those that the check declares.
        """
        check = procedure.check
        declared = {measure.name for measure in check.measures} | procedure.tables.keys()
        computed = self.values.keys() | self.tables.keys()
        if declared != computed:
            raise ValueError(
                f"check {check.id}: {sorted(declared ^ computed)} must be both declared in "
                f"families/{check.family}.yaml and computed"
            )
        found = []
        for measure in check.measures:
            given = self.values[measure.name]
            value = given if isinstance(given, Value) else Value(given)
            found.append(
                Figure(
                    measure=measure,
                    value=_defined(value.value),
                    low=_defined(value.low),
                    high=_defined(value.high),
                    about=value.about,
                )
            )
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotApplicable:
    """The reason why a check does not apply to this model and data."""

    reason: Text


def not_applicable(key: str, **values: object) -> NotApplicable:
    """Return a reason from ``notices.yaml`` why a check does not apply."""
    return NotApplicable(reason=notice(key, **values))


Run = Callable[["ReviewEvidence", "Settings"], Outcome | NotApplicable]


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """A check, the function that runs it, and the titles of its tables and plots.

    `needs` is '', 'outcomes', 'both_classes' or 'two_periods': the condition on the rows without
    which the check does not apply; see `missing`.
    """

    check: Check
    run: Run
    needs: str
    tables: Mapping[str, Text]
    plots: tuple[Plot, ...]


def procedures(family: str, functions: Mapping[str, Any]) -> tuple[Procedure, ...]:
    """Join the checks in ``families/FAMILY.yaml`` with the functions ``run_NAME`` of the family.

    Raises ValueError if a check has no function, or a function has no declaration.

    `functions` are the names of the family's module; those that begin with ``run_`` are used.
    """
    declared = read_packaged(Path(__file__).parent / "families" / f"{family}.yaml")
    runs = {name[4:]: each for name, each in functions.items() if name.startswith("run_")}
    if declared.keys() != runs.keys():
        names = sorted(declared.keys() ^ runs.keys())
        msg = f"{names} must have both a declaration in families/{family}.yaml and a function"
        raise ValueError(msg)
    return tuple(
        _procedure(f"{family}.{name}", each, runs[name]) for name, each in declared.items()
    )


def _procedure(name: str, declared: Mapping[str, Any], run: Run) -> Procedure:
    labels = texts_of(declared["figures"])
    tables = texts_of(declared.get("tables", {}))
    check = Check(
        id=name,
        family=name.partition(".")[0],
        source=declared["source"],
        measures=tuple(
            FigureText(name=figure, label=labels[figure], unit=content["unit"])
            for figure, content in declared["figures"].items()
        ),
        **texts_of({key: declared[key] for key in _TEXTS}),
    )
    plots = declared.get("plots", {}).items()
    return Procedure(
        check=check, run=run, needs=declared.get("needs", ""), tables=tables,
        plots=tuple(_plot(plot, content, tables) for plot, content in plots),
    )  # fmt: skip


_TEXTS: Final = ("title", "purpose", "method", "signs", "limits")


def _plot(name: str, content: Mapping[str, Any], tables: Mapping[str, Text]) -> Plot:
    draw = content["draw"]
    texts: dict[str, Any] = texts_of({key: each for key, each in content.items() if key != "draw"})
    return Plot(name=name, **{"title": tables[draw["table"]], **texts}, **draw)


def _defined(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
