"""What counts as a money-flow pattern: its limits, each with its source."""

from dataclasses import dataclass, fields
from typing import Final

from kyc_ml.errors import ConfigError, Faults


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternRules:
    """What counts as each pattern. Every limit is inclusive.

    A retention is the share of one payment that the next passes on. AMLSim's launderers
    forward 90% a hop; slightly more than all leaves room for rounding and for own money.

    Raises
    ------
    ConfigError
        If a limit is not positive or a range is empty; all faults are listed.
    """

    cycle_span_days: float = 30.0
    """From first to last edge. Convention: a month."""
    cycle_length_max: int = 5
    """Edges. Convention: longer ones are rare and dear to search."""
    cycle_retention_low: float = 0.8
    """Convention around AMLSim's 0.9."""
    cycle_retention_high: float = 1.02
    """Convention: 2% of own money."""
    cycle_looks_cap: int = 2_048
    """Edges that one search may look at. Convention: bounds the time of a dense network."""
    stack_gap_days: float = 7.0
    """Between the payments of a hop. Convention: a week."""
    stack_retention_low: float = 0.7
    """Convention: lower than a cycle's, as layers pay their helpers."""
    stack_retention_high: float = 1.02
    """Convention: 2% of own money."""
    stack_depth_max: int = 10
    """Deeper stacks are reported as this deep. Convention."""
    scatter_gather_delay_days: float = 3.0
    """How long an intermediary may keep the money. Convention."""
    scatter_gather_window_days: float = 30.0
    """In which intermediaries are counted. Convention: a month."""
    scatter_gather_retention_low: float = 0.85
    """Convention around AMLSim's 0.9."""
    scatter_gather_retention_high: float = 1.0
    """Convention: an intermediary adds nothing."""
    gather_scatter_window_hours: float = 72.0
    """Convention: three days, as for pass-through accounts."""
    gather_scatter_retention_low: float = 0.8
    """Of all money out over all money in. Convention around AMLSim's 0.9."""
    gather_scatter_retention_high: float = 1.02
    """Convention: 2% of own money."""
    butterfly_window_days: float = 30.0
    """Convention: a month."""
    degree_cap: int = 64
    """Most recent edges of a node, to either side, that a search looks at. Convention:
    who has more in the window is a merchant or a utility, not a launderer."""
    butterfly_degree_cap: int = 20
    """Edges of a node in the window above which butterflies leave it out. Convention."""

    def __post_init__(self) -> None:
        faults = Faults("pattern rules", ConfigError)
        for each in fields(self):
            value = getattr(self, each.name)
            # `not value > 0` catches NaN too
            if not value > 0:
                faults.add(f"{each.name} must be positive, got {value}")
        for name in ("cycle", "stack", "scatter_gather", "gather_scatter"):
            low, high = (getattr(self, f"{name}_retention_{end}") for end in ("low", "high"))
            if low > high:
                faults.add(f"{name}_retention_low ({low}) is above {name}_retention_high ({high})")
        if self.cycle_length_max == 1:
            faults.add("cycle_length_max must be at least 2, got 1: no edge pays itself")
        faults.raise_if_any()


DEFAULT_RULES: Final = PatternRules()
