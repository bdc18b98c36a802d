"""How long each stage of a job took."""

from __future__ import annotations

import time


class Stopwatch:
    """Measures stages, one after the other.

    Attributes
    ----------
    seconds : dict of stage to seconds
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def note(self, stage: str) -> None:
        """Add the time since the last note to a stage."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now
